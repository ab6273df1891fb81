/*
 * Downloads whose process, or whose server, is killed at random moments: each is gone on with from
 * the resume data that was saved as it went, and ends with the very bytes of the original.
 */
#include "resume.h"
#include "server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *saved_file(void)
{
    return test_format("%s/saved", env_text("TMPDIR"));
}

static const char *final_file(void)
{
    return test_format("%s/final", env_text("TMPDIR"));
}

/* As a program would: the old bytes or the new ones, never some of both. */
static void save(nsurlsession_data_t *data)
{
    if (!data)
        return;
    const char *path = test_format("%s.new", saved_file());
    FILE *file = fopen(path, "wb");
    size_t length = nsurlsession_data_length(data);
    CHECK(file && fwrite(nsurlsession_data_bytes(data), 1, length, file) == length);
    CHECK_EQ_INT(fclose(file), 0);
    CHECK_EQ_INT(rename(path, saved_file()), 0);
}

static nsurlsession_data_t *saved(void)
{
    static uint8_t bytes[65536];
    FILE *file = fopen(saved_file(), "rb");
    if (!file)
        return NULL;
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return nsurlsession_data_with_bytes_length(bytes, length);
}

struct run {
    struct latch done;
    int64_t error;
    nsurlsession_data_t *resume_data;
};

static void handle(void *context, const char *location, nsurlsession_response_t *response,
                   nsurlsession_error_t *error)
{
    struct run *run = context;
    (void)response;
    run->error = error ? nsurlsession_error_code(error) : 0;
    if (location)
        CHECK_EQ_INT(rename(text_of(nsurlsession_url_path(location)), final_file()), 0);
    run->resume_data = resume_data_in(error);
    latch_count_down(&run->done);
}

static nsurlsession_task_t *go_on(nsurlsession_t *session, const char *url, struct run *run)
{
    nsurlsession_data_t *data = saved();
    nsurlsession_task_t *task =
        data ? nsurlsession_download_task_with_resume_data_completion_handler(session, data, handle,
                                                                              run)
             : nsurlsession_download_task_with_url_completion_handler(session, url, handle, run);
    nsurlsession_release(data);
    nsurlsession_task_resume(task);
    return task;
}

struct taken {
    struct latch done;
};

static void take(void *context, nsurlsession_data_t *resume_data)
{
    save(resume_data);
    latch_count_down(&((struct taken *)context)->done);
}

/* What the process that is killed does. */
_Noreturn static void download(const char *url)
{
    nsurlsession_t *session = session_for(NULL);
    struct run run = {.done = LATCH(1)};
    nsurlsession_task_t *task = go_on(session, url, &run);
    while (!latch_is_open(&run.done)) {
        struct taken taken = {LATCH(1)};
        nsurlsession_download_task_get_resume_data_with_completion_handler(task, take, &taken);
        latch_wait(&taken.done);
        usleep(2000);
    }
    _exit(run.error == 0 ? 0 : 1);
}

static void check_final(size_t size)
{
    FILE *file = fopen(final_file(), "rb");
    CHECK(file != NULL);
    for (size_t index = 0; index < size; index++)
        CHECK_EQ_INT(fgetc(file), pattern_byte(index));
    CHECK(fgetc(file) == EOF);
    fclose(file);
    unlink(final_file());
    unlink(saved_file());
}

TEST_HEAVY(a_process_that_is_killed, "it starts hundreds of processes")
{
    const char *url = http_url("/slow/1m.bin");
    unsigned kills = 0, downloads = 0;
    unsigned seed = 12345;
    while (kills < 200) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            download(url);
        usleep(1000 + (useconds_t)(rand_r(&seed) % 60000));
        kill(child, SIGKILL);
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (WIFSIGNALED(status)) {
            CHECK_EQ_INT(WTERMSIG(status), SIGKILL);
            kills++;
        } else {
            CHECK_EQ_INT(WEXITSTATUS(status), 0);
            check_final(1 << 20);
            downloads++;
        }
    }
    pid_t child = fork();
    if (child == 0)
        download(url);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_final(1 << 20);
    /* What a process that was killed before it saved anything left, the next one has removed. */
    CHECK_EQ_INT(files_left(NULL), 0);
    fprintf(stderr, "%u kills, %u downloads\n", kills, downloads + 1);
}

/* ---- The server ------------------------------------------------------------------------------ */

static void go_on_until_complete(enum server_kind kind, const char *path, size_t size)
{
    struct server server = server_start(kind);
    const char *url = server_url(&server, path);
    nsurlsession_t *session = session_for(NULL);
    unsigned seed = 54321, kills = 0;
    for (bool complete = false; !complete;) {
        struct run run = {.done = LATCH(1)};
        nsurlsession_task_t *task = go_on(session, url, &run);
        if (kills < 50) {
            usleep(1000 + (useconds_t)(rand_r(&seed) % 15000));
            server_kill(&server);
            kills++;
            latch_wait(&run.done);
            server_restart(&server);
        }
        latch_wait(&run.done);
        nsurlsession_release(task);
        complete = run.error == 0;
        if (complete && kills < 50) {
            check_final(size);
            complete = false;
        }
        save(run.resume_data);
        nsurlsession_release(run.resume_data);
    }
    check_final(size);
    server_kill(&server);
    session_end(session);
    CHECK_EQ_INT(files_left(NULL), 0);
}

TEST_HEAVY(a_server_that_is_killed, "it starts a server dozens of times")
{
    go_on_until_complete(SERVER_FAULT, "/range?size=40m&etag=%22a%22", 40 << 20);
}

TEST_HEAVY(nginx_that_is_killed, "it starts a server dozens of times")
{
    go_on_until_complete(SERVER_NGINX, "/16m.bin", 16 << 20);
}
