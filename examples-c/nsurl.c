/*
 * nsurl: downloads and uploads several URLs at once.
 *
 *   nsurl [-o FILE]... [-X METHOD] [-H 'Name: value']... [-d DATA | -T FILE] [-C]
 *         [--timing] [--har FILE] URL...
 *
 *   -o FILE     where the next URL's body goes; otherwise the name that the server suggests
 *   -X METHOD   another method than GET, or POST with -d, or PUT with -T
 *   -H FIELD    a header field, may be repeated
 *   -d DATA     send this body; @FILE sends a file's bytes
 *   -T FILE     upload a file
 *   -C          continue an interrupted download. What is needed for that is kept beside the file,
 *               in FILE.nsurl, and is up to a second old when the program is killed.
 *   --timing    draw how long each phase took
 *   --har FILE  write that as an HTTP Archive for a browser's developer tools
 *
 * Exit status: 0 all went well, 1 something failed or a server answered with an error status,
 * 2 wrong usage, 130 interrupted.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nsurl_report.h"

/* ---- One URL ---------------------------------------------------------------------------------- */

enum outcome { UNDER_WAY, DONE, FAILED, INTERRUPTED };

struct transfer {
    const char *url;
    char *file;      /* NULL: the name is not known yet */
    bool named;      /* by -o */
    char *resume_file;
    nsurlsession_task_t *task;
    nsurlsession_progress_t *progress;
    enum outcome outcome;
    int64_t status;
    char message[512];
    size_t answer; /* bytes of an upload's answer */
};

static struct {
    nsurlsession_queue_t *queue;
    struct transfer *transfers;
    size_t count, open;
    bool continues, timing, terminal;
    FILE *har;
    unsigned lines; /* of bars on the terminal, above the cursor */
} nsurl;

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static char *join(const char *first, const char *second)
{
    char *text = malloc(strlen(first) + strlen(second) + 1);
    if (!text)
        abort();
    return strcat(strcpy(text, first), second);
}

static struct transfer *transfer_of(nsurlsession_task_t *task)
{
    for (size_t index = 0; index < nsurl.count; index++)
        if (nsurl.transfers[index].task == task)
            return &nsurl.transfers[index];
    abort();
}

/* ---- Files ------------------------------------------------------------------------------------ */

/* Writes a file as a whole or not at all: others see the old bytes or the new ones. */
static bool write_whole(const char *path, const void *bytes, size_t length)
{
    char *temporary = join(path, ".new");
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool written = file >= 0 && write(file, bytes, length) == (ssize_t)length && fsync(file) == 0;
    if (file >= 0 && close(file) != 0)
        written = false;
    if (!written || rename(temporary, path) != 0) {
        unlink(temporary);
        written = false;
    }
    free(temporary);
    return written;
}

static nsurlsession_data_t *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *bytes = NULL;
    size_t length = 0, room = 0;
    do {
        room = room ? room * 2 : 4096;
        bytes = realloc(bytes, room);
        if (!bytes)
            abort();
        length += fread(bytes + length, 1, room - length, file);
    } while (length == room);
    fclose(file);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(bytes, length);
    free(bytes);
    return data;
}

/* Moves a file; copies it where it is on another file system. */
static bool move(const char *from, const char *to)
{
    if (rename(from, to) == 0)
        return true;
    if (errno != EXDEV)
        return false;
    char *temporary = join(to, ".new");
    FILE *source = fopen(from, "rb"), *target = source ? fopen(temporary, "wb") : NULL;
    static char bytes[1 << 16];
    bool copied = target != NULL;
    for (size_t length; copied && (length = fread(bytes, 1, sizeof bytes, source)) > 0;)
        copied = fwrite(bytes, 1, length, target) == length;
    if (source && ferror(source))
        copied = false;
    if (source)
        fclose(source);
    if (target && fclose(target) != 0)
        copied = false;
    copied = copied && rename(temporary, to) == 0;
    if (!copied)
        unlink(temporary);
    free(temporary);
    return copied;
}

/* A suggested name, without what would lead to another folder. */
static char *safe_name(const char *suggested)
{
    const char *slash = suggested ? strrchr(suggested, '/') : NULL;
    const char *name = slash ? slash + 1 : suggested;
    bool usable = name && *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    return join(usable ? name : "index.html", "");
}

/* ---- The delegate ----------------------------------------------------------------------------- */

static void fail(struct transfer *transfer, const char *what, const char *why)
{
    transfer->outcome = FAILED;
    snprintf(transfer->message, sizeof transfer->message, "%s%s%s", what, why ? ": " : "",
             why ? why : "");
}

/* The body is complete. The file is removed when this returns. */
static void did_finish_downloading_to_url(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task, const char *location)
{
    (void)context, (void)session;
    struct transfer *transfer = transfer_of(task);
    nsurlsession_response_t *response = nsurlsession_task_response(task);
    transfer->status = nsurlsession_response_status_code(response);
    if (!transfer->file)
        transfer->file = safe_name(nsurlsession_response_suggested_filename(response));
    nsurlsession_string_t *path = nsurlsession_url_path(location);
    if (!move(nsurlsession_string_utf8_string(path), transfer->file))
        fail(transfer, transfer->file, strerror(errno));
    /* The temporary file was for this user's eyes only. */
    mode_t mask = umask(0);
    umask(mask);
    chmod(transfer->file, 0666 & ~mask);
    nsurlsession_release(path);
    nsurlsession_release(response);
}

static void did_receive_response(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                                 nsurlsession_response_t *response,
                                 nsurlsession_response_completion_t *completion)
{
    (void)context, (void)session;
    transfer_of(task)->status = nsurlsession_response_status_code(response);
    nsurlsession_response_completion_call(completion, NSURLSESSION_RESPONSE_ALLOW);
}

/* The answer to an upload. */
static void did_receive_data(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                             nsurlsession_data_t *data)
{
    (void)context, (void)session;
    struct transfer *transfer = transfer_of(task);
    const char *name = transfer->named ? transfer->file : NULL;
    FILE *out = name ? fopen(name, transfer->answer ? "ab" : "wb") : nsurl.terminal ? NULL : stdout;
    size_t length = nsurlsession_data_length(data);
    if (out && fwrite(nsurlsession_data_bytes(data), 1, length, out) != length)
        fail(transfer, name ? name : "standard output", strerror(errno));
    if (name && !out)
        fail(transfer, name, strerror(errno));
    if (name && out && fclose(out) != 0)
        fail(transfer, name, strerror(errno));
    transfer->answer += length;
}

static void did_finish_collecting_metrics(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task,
                                          nsurlsession_task_metrics_t *metrics);

static void did_complete(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                         nsurlsession_error_t *error)
{
    (void)context, (void)session;
    struct transfer *transfer = transfer_of(task);
    nsurlsession_dictionary_t *info = error ? nsurlsession_error_user_info(error) : NULL;
    nsurlsession_data_t *resume_data =
        nsurlsession_dictionary_object_for_key(info, NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA);
    if (resume_data && nsurl.continues && transfer->resume_file)
        write_whole(transfer->resume_file, nsurlsession_data_bytes(resume_data),
                    nsurlsession_data_length(resume_data));
    else if (!error && transfer->resume_file)
        unlink(transfer->resume_file);
    nsurlsession_release(resume_data);
    nsurlsession_release(info);

    if (error && interrupted && nsurlsession_error_code(error) == NSURLSESSION_ERROR_CANCELLED)
        transfer->outcome = INTERRUPTED;
    else if (error)
        fail(transfer, nsurlsession_error_localized_description(error),
             nsurlsession_error_localized_failure_reason(error));
    else if (transfer->outcome == UNDER_WAY)
        transfer->outcome = DONE;
    nsurl.open--;
}

/* ---- Bars ------------------------------------------------------------------------------------- */

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 80;
}

static void print_bytes(char *text, size_t room, double bytes)
{
    static const char units[] = "BKMGT";
    int unit = 0;
    for (; bytes >= 999.5 && units[unit + 1]; unit++)
        bytes /= 1024;
    snprintf(text, room, unit ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
}

static void print_time(char *text, size_t room, double seconds)
{
    if (isnan(seconds) || seconds > 359999)
        snprintf(text, room, "--:--");
    else if (seconds >= 3600)
        snprintf(text, room, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60,
                 (int)seconds % 60);
    else
        snprintf(text, room, "%02d:%02d", (int)seconds / 60, (int)seconds % 60);
}

/* The last part of a text, of at most `length` bytes. */
static const char *tail(const char *text, size_t length)
{
    size_t all = strlen(text);
    return all > length ? text + all - length : text;
}

static void draw_bar(const struct transfer *transfer, int width)
{
    const char *name = tail(transfer->file ? transfer->file : transfer->url, 20);
    char done[16], rate[16], left[16];
    int64_t completed = nsurlsession_progress_completed_unit_count(transfer->progress);
    int64_t pace = nsurlsession_progress_throughput(transfer->progress);
    print_bytes(done, sizeof done, (double)completed);
    print_bytes(rate, sizeof rate, pace > 0 ? (double)pace : 0);
    print_time(left, sizeof left,
               nsurlsession_progress_estimated_time_remaining(transfer->progress));
    printf("\r\033[K%-20s ", name);
    if (transfer->outcome == FAILED) {
        printf("failed: %.*s", width - 30, transfer->message);
    } else if (transfer->outcome == INTERRUPTED) {
        printf("interrupted after %s", done);
    } else if (transfer->outcome == DONE) {
        printf("%8s  done, status %" PRId64, done, transfer->status);
    } else {
        int room = width - 20 - 1 - 2 - 6 - 9 - 11 - 9 - 1;
        double fraction = nsurlsession_progress_fraction_completed(transfer->progress);
        putchar('[');
        if (nsurlsession_progress_indeterminate(transfer->progress)) {
            int place = (int)(fmod(now(), 2) * room / 2);
            for (int column = 0; column < room; column++)
                putchar(column == place ? '*' : ' ');
            printf("]     ? ");
        } else {
            for (int column = 0; column < room; column++)
                putchar(column < fraction * room ? '=' : ' ');
            printf("] %3d%% ", (int)(fraction * 100));
        }
        printf("%8s %8s/s %8s", done, rate, left);
    }
    putchar('\n');
}

/* Goes back to the first bar. */
static void rewind_bars(void)
{
    if (nsurl.terminal && nsurl.lines > 0)
        printf("\033[%uA", nsurl.lines);
    nsurl.lines = 0;
}

static void draw_bars(void)
{
    if (!nsurl.terminal)
        return;
    int width = columns();
    rewind_bars();
    for (size_t index = 0; index < nsurl.count; index++)
        draw_bar(&nsurl.transfers[index], width);
    nsurl.lines = (unsigned)nsurl.count;
    fflush(stdout);
}

static void did_finish_collecting_metrics(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task,
                                          nsurlsession_task_metrics_t *metrics)
{
    (void)context, (void)session, (void)task;
    if (nsurl.timing) {
        rewind_bars();
        if (nsurl.terminal)
            printf("\033[J");
        report_timing(nsurl.terminal ? stdout : stderr, metrics, nsurl.terminal ? columns() : 80);
    }
    if (nsurl.har)
        har_add(nsurl.har, metrics);
}

/* ---- Keeping resume data ---------------------------------------------------------------------- */

/* On a thread of the library's. The task is retained until here. */
static void keep_resume_data(void *context, nsurlsession_data_t *resume_data)
{
    char *path = context;
    if (resume_data)
        write_whole(path, nsurlsession_data_bytes(resume_data),
                    nsurlsession_data_length(resume_data));
    free(path);
}

static void keep_going(bool cancel)
{
    for (size_t index = 0; index < nsurl.count; index++) {
        struct transfer *transfer = &nsurl.transfers[index];
        if (transfer->outcome != UNDER_WAY)
            continue;
        bool download =
            nsurlsession_task_kind(transfer->task) == NSURLSESSION_TASK_KIND_DOWNLOAD;
        if (cancel && download && nsurl.continues)
            nsurlsession_download_task_cancel_by_producing_resume_data(transfer->task, NULL, NULL);
        else if (cancel)
            nsurlsession_task_cancel(transfer->task);
        else if (download && nsurl.continues && transfer->resume_file)
            nsurlsession_download_task_get_resume_data_with_completion_handler(
                transfer->task, keep_resume_data, join(transfer->resume_file, ""));
    }
}

/* ---- The command line -------------------------------------------------------------------------- */

static void usage(void)
{
    fputs("usage: nsurl [-o FILE]... [-X METHOD] [-H 'Name: value']... [-d DATA | -T FILE] [-C]\n"
          "             [--timing] [--har FILE] URL...\n",
          stderr);
    exit(2);
}

static void add_field(nsurlsession_request_t *request, const char *field)
{
    const char *colon = strchr(field, ':');
    if (!colon)
        usage();
    char *name = join(field, "");
    name[colon - field] = '\0';
    nsurlsession_request_add_value_for_http_header_field(request, colon + 1 + strspn(colon + 1, " "),
                                                         name);
    free(name);
}

/* Without a name of its own, a file is named as the URL's path ends: it must be known beforehand. */
static char *name_in_url(const char *url)
{
    nsurlsession_string_t *path = nsurlsession_url_path(url);
    char *name = safe_name(path ? nsurlsession_string_utf8_string(path) : NULL);
    nsurlsession_release(path);
    return name;
}

static void start(nsurlsession_t *session, struct transfer *transfer, nsurlsession_request_t *request,
                  const char *upload, nsurlsession_data_t *body)
{
    nsurlsession_data_t *resume_data = NULL;
    if (nsurl.continues && !upload) {
        if (!transfer->file)
            transfer->file = name_in_url(transfer->url);
        transfer->resume_file = join(transfer->file, ".nsurl");
        resume_data = read_whole(transfer->resume_file);
    }
    nsurlsession_request_set_url(request, transfer->url);
    if (resume_data)
        transfer->task = nsurlsession_download_task_with_resume_data(session, resume_data);
    else if (upload)
        transfer->task = nsurlsession_upload_task_with_request_from_file(session, request, upload);
    else {
        nsurlsession_request_set_http_body(request, body);
        transfer->task = nsurlsession_download_task_with_request(session, request);
    }
    nsurlsession_release(resume_data);
    transfer->progress = nsurlsession_task_progress(transfer->task);
}

static nsurlsession_data_t *body_of(const char *text)
{
    if (text[0] != '@')
        return nsurlsession_data_with_bytes_length(text, strlen(text));
    nsurlsession_data_t *data = read_whole(text + 1);
    if (!data) {
        fprintf(stderr, "nsurl: %s: %s\n", text + 1, strerror(errno));
        exit(1);
    }
    return data;
}

int main(int count, char **arguments)
{
    const char *method = NULL, *data = NULL, *upload = NULL, *har = NULL;
    const char **names = calloc((size_t)count + 1, sizeof *names);
    nsurl.transfers = calloc((size_t)count + 1, sizeof *nsurl.transfers);
    nsurlsession_request_t *request = nsurlsession_request_new();
    size_t name_count = 0;
    if (!names || !nsurl.transfers)
        abort();
    for (int index = 1; index < count; index++) {
        const char *argument = arguments[index];
        const char *value = index + 1 < count ? arguments[index + 1] : NULL;
        if (argument[0] != '-') {
            nsurl.transfers[nsurl.count++].url = argument;
            continue;
        }
        if (strcmp(argument, "-C") == 0)
            nsurl.continues = true;
        else if (strcmp(argument, "--timing") == 0)
            nsurl.timing = true;
        else if (!value)
            usage();
        else if (strcmp(argument, "-o") == 0)
            names[name_count++] = value, index++;
        else if (strcmp(argument, "-X") == 0)
            method = value, index++;
        else if (strcmp(argument, "-H") == 0)
            add_field(request, value), index++;
        else if (strcmp(argument, "-d") == 0)
            data = value, index++;
        else if (strcmp(argument, "-T") == 0)
            upload = value, index++;
        else if (strcmp(argument, "--har") == 0)
            har = value, index++;
        else
            usage();
    }
    if (nsurl.count == 0 || name_count > nsurl.count || (data && upload))
        usage();

    char path[PATH_MAX];
    if (upload && !realpath(upload, path)) {
        fprintf(stderr, "nsurl: %s: %s\n", upload, strerror(errno));
        return 1;
    }
    if (har && !(nsurl.har = har_begin(har))) {
        fprintf(stderr, "nsurl: %s: %s\n", har, strerror(errno));
        return 1;
    }
    nsurl.terminal = isatty(STDOUT_FILENO);
    nsurl.queue = nsurlsession_queue_new();
    const nsurlsession_task_delegate_t task_methods = {
        .struct_size = sizeof task_methods,
        .did_finish_collecting_metrics =
            nsurl.timing || nsurl.har ? did_finish_collecting_metrics : NULL,
        .did_complete_with_error = did_complete,
    };
    const nsurlsession_data_delegate_t data_methods = {
        .struct_size = sizeof data_methods,
        .did_receive_response = did_receive_response,
        .did_receive_data = did_receive_data,
    };
    const nsurlsession_download_delegate_t download_methods = {
        .struct_size = sizeof download_methods,
        .did_finish_downloading_to_url = did_finish_downloading_to_url,
    };
    const nsurlsession_delegate_t delegate = {
        .struct_size = sizeof delegate,
        .task = &task_methods,
        .data = &data_methods,
        .download = &download_methods,
    };
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    nsurlsession_t *session = nsurlsession_session_with_configuration_delegate_delegate_queue(
        configuration, &delegate, nsurl.queue);
    nsurlsession_data_t *body = data ? body_of(data) : NULL;
    nsurlsession_request_set_http_method(request, method ? method : upload ? "PUT"
                                                                  : data   ? "POST"
                                                                           : "GET");
    for (size_t index = 0; index < nsurl.count; index++) {
        struct transfer *transfer = &nsurl.transfers[index];
        transfer->named = index < name_count;
        transfer->file = transfer->named ? join(names[index], "") : NULL;
        start(session, transfer, request, upload ? path : NULL, body);
    }
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    nsurl.open = nsurl.count;
    for (size_t index = 0; index < nsurl.count; index++)
        nsurlsession_task_resume(nsurl.transfers[index].task);

    /* Callbacks run here; ten times a second the bars are drawn. */
    double kept = now();
    bool stopping = false;
    while (nsurl.open > 0) {
        nsurlsession_queue_run_until_date(nsurl.queue, now() + 0.1);
        if (interrupted && !stopping) {
            stopping = true;
            keep_going(true);
        } else if (nsurl.continues && !stopping && now() - kept >= 0.5) {
            kept = now();
            keep_going(false);
        }
        draw_bars();
    }

    int status = interrupted ? 130 : 0;
    for (size_t index = 0; index < nsurl.count; index++) {
        struct transfer *transfer = &nsurl.transfers[index];
        if (transfer->outcome == FAILED) {
            if (!nsurl.terminal || strlen(transfer->message) > 40)
                fprintf(stderr, "nsurl: %s: %s\n", transfer->url, transfer->message);
            status = status ? status : 1;
        } else if (transfer->outcome == DONE && transfer->status >= 400) {
            fprintf(stderr, "nsurl: %s: status %" PRId64 "\n", transfer->url, transfer->status);
            status = status ? status : 1;
        } else if (transfer->outcome == DONE && !nsurl.terminal && transfer->file && !upload) {
            printf("%s: %" PRId64 " bytes, status %" PRId64 "\n", transfer->file,
                   nsurlsession_progress_completed_unit_count(transfer->progress),
                   transfer->status);
        }
        nsurlsession_release(transfer->progress);
        nsurlsession_release(transfer->task);
        free(transfer->file);
        free(transfer->resume_file);
    }
    if (nsurl.har && !har_end(nsurl.har)) {
        fprintf(stderr, "nsurl: %s could not be written\n", har);
        status = status ? status : 1;
    }
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
    nsurlsession_release(body);
    nsurlsession_release(request);
    nsurlsession_release(nsurl.queue);
    free(nsurl.transfers);
    free(names);
    return status;
}
