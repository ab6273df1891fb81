/*
 * Downloads that go on where an earlier one was: every way in which a server can answer, and every
 * state in which the earlier one's file can be.
 */
#include "resume.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 100000
#define CUT 40000

static struct recorder *download_recorder(void)
{
    struct recorder *recorder = recorder_new();
    recorder->with =
        1u << CALLBACK_WRITTEN | 1u << CALLBACK_RESUMED | 1u << CALLBACK_DOWNLOADED;
    return recorder;
}

/* Downloads a URL; for one that is cut, returns the resume data. */
static nsurlsession_data_t *first_part(const char *url)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_data_t *data =
        finish(recorder, session, nsurlsession_download_task_with_url(session, url));
    CHECK_LOG(recorder, test_format("create, written %d/%d, complete -1005, invalid nil, release",
                                    CUT, SIZE));
    CHECK(data != NULL);
    CHECK_EQ_INT(files_left(NULL), 1);
    return data;
}

/* Goes on from resume data, which it releases. */
static struct recorder *second_part(nsurlsession_data_t *data, nsurlsession_data_t **left)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_resume_data(session, data);
    nsurlsession_release(data);
    data = finish(recorder, session, task);
    if (left)
        *left = data;
    else
        CHECK(data == NULL);
    return recorder;
}

struct row {
    const char *name, *query, *log;
    unsigned requests;
    unsigned seed;
};
#define RESUMED "create, resumed 40000/100000, written 100000/100000, downloaded 100000, complete nil"
#define ANEW "create, written 100000/100000, downloaded 100000, complete nil"
static const struct row rows[] = {
    {"honest_etag", "etag=%22v1%22", RESUMED, 2, 0},
    {"honest_date",
     "modified=Mon,%2001%20Jan%202024%2000:00:00%20GMT"
     "&header=Date:Tue,%2002%20Jan%202024%2000:00:00%20GMT",
     RESUMED, 2, 0},
    {"redirect", "etag=%22v1%22&mode=redirect",
     "create, redirect 302, resumed 40000/100000, written 100000/100000, downloaded 100000, "
     "complete nil",
     3, 0},
    {"ignored", "etag=%22v1%22&mode=ignore", ANEW, 2, 0},
    {"changed", "etag=%22v1%22&mode=changed", ANEW, 2, 1},
    {"early_start", "etag=%22v1%22&mode=early-start", ANEW, 3, 0},
    {"late_start", "etag=%22v1%22&mode=late-start", ANEW, 3, 0},
    {"wrong_total", "etag=%22v1%22&mode=wrong-total", ANEW, 3, 0},
    {"no_content_range", "etag=%22v1%22&mode=no-content-range", ANEW, 3, 0},
    {"garbage_content_range", "etag=%22v1%22&mode=garbage-content-range", ANEW, 3, 0},
    {"multipart", "etag=%22v1%22&mode=multipart", ANEW, 3, 0},
    {"other_etag", "etag=%22v1%22&mode=other-etag", ANEW, 3, 0},
    {"gzip", "etag=%22v1%22&mode=gzip", ANEW, 3, 0},
    {"416", "etag=%22v1%22&mode=416", ANEW, 3, 0},
    {"412", "etag=%22v1%22&mode=412", ANEW, 3, 0},
    {"304", "etag=%22v1%22&mode=304", ANEW, 3, 0},
};

TEST_EACH(never_splices, struct row, rows)
{
    const char *name = unique_name();
    const char *url = fault_url(
        test_format("/range?size=%d&cut=%d&name=%s&%s", SIZE, CUT, name, row->query));
    struct recorder *recorder = second_part(first_part(url), NULL);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_INT(recorder->received, SIZE);
    for (size_t index = 0; index < SIZE; index++)
        if (recorder->body[index] != (uint8_t)((index * 31 + row->seed) % 251))
            FAIL("byte %zu is %u", index, recorder->body[index]);
    const char *log = control(test_format("/range-log?name=%s", name));
    unsigned requests = 1;
    for (const char *line = log; (line = strchr(line, '\n')) != NULL; line++)
        requests++;
    CHECK_EQ_INT(requests, row->requests);
    CHECK_CONTAINS(log, "range [bytes=40000-] if-range [");
    CHECK_CONTAINS(log, "accept-encoding [identity]");
    CHECK_EQ_INT(files_left(NULL), 0);
}

struct something_else {
    const char *name;
    int status;
};
static const struct something_else others[] = {{"404", 404}, {"500", 500}, {"503", 503}};

/* What a server says instead of the rest has a file of its own; the first part can still be used. */
TEST_EACH(something_else_comes, struct something_else, others)
{
    const char *name = unique_name();
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&name=%s&mode=%d";
    nsurlsession_data_t *data = first_part(fault_url(test_format(path, name, row->status)));
    nsurlsession_retain(data);
    struct recorder *recorder = second_part(data, NULL);
    CHECK_LOG(recorder, "create, written 13/13, downloaded 13, complete nil, invalid nil, release");
    CHECK_EQ_STR(recorder_text(recorder), "no part of it");
    CHECK_EQ_INT(files_left(NULL), 1);
    nsurlsession_release(data);
}

/* A part need not say again what its request was conditional on. */
struct part {
    const char *name, *mode;
};
static const struct part parts[] = {{"with_its_validator", "honest"},
                                    {"without_a_validator", "no-validator"}};

TEST_EACH(a_part_that_ends_early_can_be_resumed_again, struct part, parts)
{
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&cut_times=2&name=%s&mode=%s";
    nsurlsession_data_t *data = first_part(fault_url(test_format(path, unique_name(), row->mode)));
    struct recorder *recorder = second_part(data, &data);
    CHECK_LOG(recorder, "create, resumed 40000/100000, written 80000/100000, complete -1005, "
                        "invalid nil, release");
    recorder = second_part(data, NULL);
    CHECK_LOG(recorder, "create, resumed 80000/100000, written 100000/100000, downloaded 100000, "
                        "complete nil, invalid nil, release");
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(recorder->received, SIZE);
    CHECK_EQ_INT(files_left(NULL), 0);
}

struct anew {
    const char *name, *mode, *log;
};
static const struct anew anews[] = {{"ignored", "ignore", ANEW}, {"changed", "changed", RESUMED}};

/* What starts anew in answer to a request for the rest can be resumed as any other download. */
TEST_EACH(what_starts_anew_can_be_resumed, struct anew, anews)
{
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&cut_times=2&name=%s&mode=%s";
    nsurlsession_data_t *data = first_part(fault_url(test_format(path, unique_name(), row->mode)));
    struct recorder *recorder = second_part(data, &data);
    CHECK_LOG(recorder, "create, written 40000/100000, complete -1005, invalid nil, release");
    CHECK(data != NULL);
    CHECK_EQ_INT(files_left(NULL), 1);
    CHECK_LOG(second_part(data, NULL), test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* Its bytes are counted from elsewhere than the file's. */
TEST(a_range_of_the_programs_own_leaves_nothing)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&name=%s";
    nsurlsession_request_t *request = request_for(
        "GET", fault_url(test_format(path, unique_name())), "Range", "bytes=1000-", NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_request(session, request);
    nsurlsession_release(request);
    CHECK(finish(recorder, session, task) == NULL);
    CHECK_LOG(recorder, "create, written 40000/99000, complete -1005, invalid nil, release");
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* ---- The file of the first part ------------------------------------------------------------- */

static nsurlsession_data_t *first_part_of_honest(void)
{
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&name=%s";
    return first_part(fault_url(test_format(path, unique_name())));
}

static void remove_file(const char *path)
{
    CHECK_EQ_INT(unlink(path), 0);
}

static void alter_file(const char *path)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file && fseek(file, 12345, SEEK_SET) == 0 && fputc('?', file) == '?');
    fclose(file);
}

static void shorten_file(const char *path)
{
    CHECK_EQ_INT(truncate(path, CUT - 1), 0);
}

static void lengthen_file(const char *path)
{
    FILE *file = fopen(path, "ab");
    CHECK(file && fputs("more than was told of", file) >= 0);
    fclose(file);
}

static void replace_by_link(const char *path)
{
    const char *target = test_format("%s.target", path);
    CHECK_EQ_INT(rename(path, target), 0);
    CHECK_EQ_INT(symlink(target, path), 0);
}

struct file_row {
    const char *name;
    void (*change)(const char *path);
    const char *log;
};
static const struct file_row file_rows[] = {
    {"missing", remove_file, ANEW},       {"altered", alter_file, ANEW},
    {"shorter", shorten_file, ANEW},      {"a_link", replace_by_link, ANEW},
    {"longer", lengthen_file, RESUMED},
};

TEST_EACH(a_file_is_used_only_as_it_was, struct file_row, file_rows)
{
    nsurlsession_data_t *data = first_part_of_honest();
    const char *path = NULL;
    CHECK_EQ_INT(files_left(&path), 1);
    row->change(path);
    struct recorder *recorder = second_part(data, NULL);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(recorder->received, SIZE);
}

/* ---- Resume data that are none --------------------------------------------------------------- */

struct garbage_row {
    const char *name, *bytes;
};
static const struct garbage_row garbage_rows[] = {
    {"empty", ""},
    {"a_property_list", "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict/></plist>"},
    {"the_beginning_alone", "nsurlsession download\n\1"},
};

TEST_EACH(garbage_fails_in_the_completion, struct garbage_row, garbage_rows)
{
    nsurlsession_data_t *data =
        nsurlsession_data_with_bytes_length(row->bytes, strlen(row->bytes));
    struct recorder *recorder = second_part(data, NULL);
    CHECK_LOG(recorder, "create, complete -3001, invalid nil, release");
}

TEST(every_damaged_byte_is_found)
{
    nsurlsession_data_t *good = first_part_of_honest();
    size_t length = nsurlsession_data_length(good);
    uint8_t *bytes = test_allocate(length);
    memcpy(bytes, nsurlsession_data_bytes(good), length);
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    for (size_t index = 0; index < length; index++) {
        bytes[index] ^= 0x20;
        nsurlsession_data_t *bad = nsurlsession_data_with_bytes_length(bytes, length);
        bytes[index] ^= 0x20;
        nsurlsession_task_t *task = nsurlsession_download_task_with_resume_data(session, bad);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
        nsurlsession_release(bad);
    }
    recorder_wait(recorder, CALLBACK_COMPLETE, (unsigned)length);
    for (unsigned index = 1; index <= length; index++)
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, index).value,
                     NSURLSESSION_ERROR_CANNOT_OPEN_FILE);
    session_end(session);
    nsurlsession_release(good);
}

/* ---- Taking resume data ---------------------------------------------------------------------- */

struct taken {
    struct latch done;
    unsigned calls;
    nsurlsession_data_t *data;
    pthread_t thread;
};

static struct taken *taken_new(void)
{
    struct taken *taken = test_allocate(sizeof *taken);
    latch_init(&taken->done, 1);
    return taken;
}

static void take(void *context, nsurlsession_data_t *resume_data)
{
    struct taken *taken = context;
    taken->calls++;
    taken->data = nsurlsession_retain(resume_data);
    taken->thread = pthread_self();
    latch_count_down(&taken->done);
}

/* A download of which the first 40,000 bytes have come. */
struct under_way {
    struct recorder *recorder;
    nsurlsession_t *session;
    nsurlsession_task_t *task;
    const char *held;
};

static struct under_way begin(const char *more)
{
    struct under_way way = {.recorder = download_recorder(), .held = unique_name()};
    way.session = recorder_session(way.recorder, NULL, NULL);
    const char *url = fault_url(test_format("/range?size=100000&hold=%s&after=40000&%s", way.held, more));
    way.task = nsurlsession_download_task_with_url(way.session, url);
    nsurlsession_task_resume(way.task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(way.task) == CUT);
    return way;
}

static void end(struct under_way *way)
{
    control(test_format("/release?name=%s", way->held));
    recorder_wait(way->recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(way->task);
    session_end(way->session);
    recorder_wait(way->recorder, CALLBACK_RELEASE, 1);
}

TEST(cancelling_produces_resume_data)
{
    struct under_way way = begin("etag=%22v1%22");
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(way.task, take, taken);
    latch_wait(&taken->done);
    recorder_wait(way.recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_data_t *in_error = resume_data_of(way.task);
    CHECK(nsurlsession_is_equal(taken->data, in_error));
    nsurlsession_release(in_error);
    /* Too late for another one, which gets the same. */
    struct taken *again = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(way.task, take, again);
    latch_wait(&again->done);
    CHECK(nsurlsession_is_equal(taken->data, again->data));
    nsurlsession_release(again->data);
    end(&way);
    CHECK_CONTAINS(recorder_log(way.recorder, 0), "complete -999");
    CHECK_EQ_INT(taken->calls, 1);
    struct recorder *recorder = second_part(taken->data, NULL);
    CHECK_LOG(recorder, RESUMED ", invalid nil, release");
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(files_left(NULL), 0);
}

struct not_resumable {
    const char *name, *query;
};
static const struct not_resumable not_resumable_rows[] = {
    {"no_validator", "seed=0"},
    {"a_date_alone", "modified=Mon,%2001%20Jan%202024%2000:00:00%20GMT"},
    {"weak_etag", "etag=W/%22v1%22"},
    {"ranges_refused", "etag=%22v1%22&header=Accept-Ranges:none"},
    {"date_of_this_second",
     "modified=Mon,%2001%20Jan%202024%2000:00:00%20GMT&header=Date:Mon,%2001%20Jan%202024%2000:00:00%20GMT"},
};

TEST_EACH(what_cannot_be_resumed_leaves_nothing, struct not_resumable, not_resumable_rows)
{
    struct under_way way = begin(row->query);
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(way.task, take, taken);
    latch_wait(&taken->done);
    CHECK(taken->data == NULL);
    recorder_wait(way.recorder, CALLBACK_COMPLETE, 1);
    CHECK(resume_data_of(way.task) == NULL);
    end(&way);
    CHECK_EQ_INT(files_left(NULL), 0);
}

TEST(plain_cancelling_leaves_nothing)
{
    struct under_way way = begin("etag=%22v1%22");
    nsurlsession_task_cancel(way.task);
    recorder_wait(way.recorder, CALLBACK_COMPLETE, 1);
    CHECK(resume_data_of(way.task) == NULL);
    end(&way);
    CHECK_EQ_INT(files_left(NULL), 0);
}

TEST(before_the_response_there_is_nothing_to_resume)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(session, held_url());
    struct taken *snapshot = taken_new(), *cancelled = taken_new();
    nsurlsession_task_resume(task);
    wait_until_held(1);
    nsurlsession_download_task_get_resume_data_with_completion_handler(task, take, snapshot);
    latch_wait(&snapshot->done);
    CHECK(snapshot->data == NULL);
    nsurlsession_download_task_cancel_by_producing_resume_data(task, take, cancelled);
    latch_wait(&cancelled->done);
    CHECK(cancelled->data == NULL);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
}

TEST(a_task_that_never_began_gives_its_resume_data_back)
{
    nsurlsession_data_t *data = first_part_of_honest();
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_resume_data(session, data);
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(task, take, taken);
    latch_wait(&taken->done);
    CHECK(nsurlsession_is_equal(taken->data, data));
    nsurlsession_release(taken->data);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    CHECK_LOG(second_part(data, NULL), RESUMED ", invalid nil, release");
}

/* Whoever asks later is answered too, before the task is completed and after that. */
TEST(a_task_that_was_cancelled_before_it_began_has_no_resume_data)
{
    nsurlsession_data_t *data = first_part_of_honest();
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_resume_data(session, data);
    nsurlsession_task_cancel(task);
    for (unsigned time = 0; time < 2; time++) {
        struct taken *taken = taken_new();
        nsurlsession_download_task_cancel_by_producing_resume_data(task, take, taken);
        latch_wait(&taken->done);
        CHECK(taken->data == NULL);
        recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    }
    CHECK(resume_data_of(task) == NULL);
    nsurlsession_release(task);
    session_end(session);
    CHECK_LOG(second_part(data, NULL), RESUMED ", invalid nil, release");
}

/* A download that was to go on is led elsewhere, and cancelled before anything comes from there. */
TEST(a_redirect_takes_no_resume_data_away)
{
    const char *name = unique_name();
    const char *path = "/range?size=100000&etag=%%22v1%%22&cut=40000&name=%s&mode=redirect"
                       "&to=%%2Fhold%%3Fname%%3D%s";
    nsurlsession_data_t *data = first_part(fault_url(test_format(path, name, name)));
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_resume_data(session, data);
    nsurlsession_task_resume(task);
    control(test_format("/waiting?name=%s", name));
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(task, take, taken);
    latch_wait(&taken->done);
    CHECK(nsurlsession_is_equal(taken->data, data));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_data_t *in_error = resume_data_of(task);
    CHECK(nsurlsession_is_equal(in_error, data));
    CHECK_LOG(recorder, "create, redirect 302, complete -999");
    CHECK_EQ_INT(files_left(NULL), 1);
    nsurlsession_release(in_error);
    nsurlsession_release(taken->data);
    nsurlsession_release(data);
    nsurlsession_release(task);
    session_end(session);
    control(test_format("/release?name=%s", name));
}

/* A forked child that lives on has inherited the open file. */
TEST(a_forked_child_does_not_keep_the_file)
{
    const char *log = unique_name();
    struct under_way way = begin(test_format("etag=%%22v1%%22&name=%s", log));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        for (;;)
            pause();
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(way.task, take, taken);
    latch_wait(&taken->done);
    CHECK(taken->data != NULL);
    CHECK_LOG(second_part(taken->data, NULL), RESUMED ", invalid nil, release");
    CHECK_CONTAINS(control(test_format("/range-log?name=%s", log)), "range [bytes=40000-]");
    CHECK_EQ_INT(kill(child, SIGKILL), 0);
    CHECK_EQ_INT(waitpid(child, NULL, 0), child);
    end(&way);
}

TEST(resume_data_of_a_running_download)
{
    struct under_way way = begin("etag=%22v1%22");
    struct taken *first = taken_new(), *second = taken_new();
    nsurlsession_download_task_get_resume_data_with_completion_handler(way.task, take, first);
    latch_wait(&first->done);
    nsurlsession_download_task_get_resume_data_with_completion_handler(way.task, take, second);
    latch_wait(&second->done);
    CHECK(first->data && second->data);
    end(&way);
    CHECK_LOG(way.recorder, ANEW ", invalid nil, release");
    CHECK(way.recorder->pattern_holds);
    /* Its file went with the download: what was taken leads to another beginning. */
    CHECK_EQ_INT(files_left(NULL), 0);
    nsurlsession_release(first->data);
    CHECK_LOG(second_part(second->data, NULL), ANEW ", invalid nil, release");
}

TEST(a_data_task_has_no_resume_data)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url("/echo"));
    struct taken *taken = taken_new();
    nsurlsession_download_task_cancel_by_producing_resume_data(task, take, taken);
    nsurlsession_download_task_get_resume_data_with_completion_handler(task, take, taken);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK_EQ_INT(taken->calls, 0);
    nsurlsession_release(task);
    session_end(session);
}

/* ---- Real servers ---------------------------------------------------------------------------- */

struct real {
    const char *name, *base;
};
static const struct real reals[] = {{"nginx", "HTTP_URL"}, {"apache", "APACHE_URL"}};

TEST_EACH(a_real_server_goes_on, struct real, reals)
{
    struct recorder *recorder = download_recorder();
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_download_task_with_url(session, env_url(row->base, "/16m.bin"));
    struct taken *taken = taken_new();
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) > 0);
    nsurlsession_download_task_cancel_by_producing_resume_data(task, take, taken);
    latch_wait(&taken->done);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    if (!taken->data)
        return; /* It was complete before it was cancelled. */
    recorder = download_recorder();
    recorder->discard_body = true;
    session = recorder_session(recorder, NULL, NULL);
    task = nsurlsession_download_task_with_resume_data(session, taken->data);
    nsurlsession_release(taken->data);
    CHECK(finish(recorder, session, task) == NULL);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RESUMED), 1);
    CHECK_EQ_INT(recorder->received, 16 << 20);
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* A chunked part can be shorter than it says: that is not the whole file. */
TEST(a_part_of_another_length_is_no_success)
{
    const char *part = "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n"
                       "ETag: \"v1\"\r\nContent-Range: bytes 5-9/10\r\n\r\n"
                       "3\r\nfgh\r\n0\r\n\r\n";
    const char *whole = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"v1\"\r\n\r\nabcde";
    const char *name = unique_name();
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(
        session, fault_url(test_format("/turns?name=%s&bytes=%s&bytes=%s", name, escaped(whole),
                                       escaped(part))));
    nsurlsession_data_t *data = finish(recorder, session, task);
    CHECK(data != NULL);
    recorder = second_part(data, &data);
    CHECK_LOG(recorder, "create, resumed 5/10, written 8/10, complete -1011, invalid nil, release");
    CHECK(data == NULL);
    CHECK_EQ_INT(files_left(NULL), 0);
}
