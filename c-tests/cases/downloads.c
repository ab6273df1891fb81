/*
 * Download tasks: the file, its life, what the delegate hears, and what goes wrong with files.
 */
#include "resume.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WITH_ALL                                                                                   \
    (1u << CALLBACK_WRITTEN | 1u << CALLBACK_RESUMED | 1u << CALLBACK_DOWNLOADED |                 \
     1u << CALLBACK_BECAME_DOWNLOAD)

static struct recorder *download_recorder(void)
{
    struct recorder *recorder = recorder_new();
    recorder->with = WITH_ALL;
    return recorder;
}

/* Downloads `url` with a delegate, to its end. */
static void download(struct recorder *recorder, const char *url)
{
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(session, url);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

struct row {
    const char *name, *path, *log;
    uint64_t size;
};
static const struct row rows[] = {
    {"announced", "/body?size=100000",
     "create, written 100000/100000, downloaded 100000, complete nil", 100000},
    {"chunked", "/body?size=100000&chunked=1",
     "create, written 100000/-1, downloaded 100000, complete nil", 100000},
    {"empty", "/body?size=0", "create, downloaded 0, complete nil", 0},
    {"decoded", "/encoded?coding=gzip&size=70000",
     "create, written 70000/-1, downloaded 70000, complete nil", 70000},
    {"large", "/body?size=20m", "create, written 20971520/20971520, downloaded 20971520, complete nil",
     20971520},
};

TEST_EACH(a_body_becomes_a_file, struct row, rows)
{
    struct recorder *recorder = download_recorder();
    download(recorder, fault_url(row->path));
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_INT(recorder->received, row->size);
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(files_left(NULL), 0);
}

TEST(an_error_status_has_a_file_too)
{
    struct recorder *recorder = download_recorder();
    download(recorder, fault_url("/status?code=404&body=nothing%20here"));
    CHECK_LOG(recorder,
              "create, written 12/12, downloaded 12, complete nil, invalid nil, release");
    CHECK_EQ_STR(recorder_text(recorder), "nothing here");
}

TEST(a_file_that_is_moved_stays)
{
    struct recorder *recorder = download_recorder();
    recorder->keep_as = test_format("%s/kept", env_text("TMPDIR"));
    download(recorder, fault_url("/body?size=5000"));
    struct stat status;
    CHECK_EQ_INT(stat(recorder->keep_as, &status), 0);
    CHECK_EQ_INT(status.st_size, 5000);
    CHECK_EQ_INT(status.st_mode & 0777, 0600);
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* ---- The completion handler ---------------------------------------------------------------- */

struct handled {
    struct latch done;
    const char *url, *path;
    int64_t status, error_code, size;
    bool existed, has_resume_data;
    nsurlsession_data_t *resume_data;
};

static void handle_download(void *context, const char *location, nsurlsession_response_t *response,
                            nsurlsession_error_t *error)
{
    struct handled *handled = context;
    handled->url = test_copy(location);
    handled->status = nsurlsession_response_status_code(response);
    handled->error_code = error ? nsurlsession_error_code(error) : 0;
    CHECK((location == NULL) == (error != NULL));
    if (location) {
        struct stat status = {0};
        handled->path = text_of(nsurlsession_url_path(location));
        handled->existed = stat(handled->path, &status) == 0;
        handled->size = status.st_size;
    }
    handled->resume_data = resume_data_in(error);
    latch_count_down(&handled->done);
}

static struct handled *handled_new(void)
{
    struct handled *handled = test_allocate(sizeof *handled);
    latch_init(&handled->done, 1);
    return handled;
}

TEST(a_handler_gets_the_file_for_the_length_of_its_call)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct handled *handled = handled_new();
    nsurlsession_task_t *task = nsurlsession_download_task_with_url_completion_handler(
        session, fault_url("/body?size=1234"), handle_download, handled);
    CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_DOWNLOAD);
    nsurlsession_task_resume(task);
    latch_wait(&handled->done);
    session_end(session);
    nsurlsession_release(task);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, invalid nil, release");
    CHECK_EQ_INT(handled->status, 200);
    CHECK_EQ_INT(handled->size, 1234);
    CHECK_CONTAINS(handled->url, "file:///");
    CHECK(handled->existed);
    CHECK(access(handled->path, F_OK) != 0);
}

TEST(a_cancelled_handler_is_called)
{
    nsurlsession_t *session = session_for(NULL);
    struct handled *handled = handled_new();
    nsurlsession_task_t *task = nsurlsession_download_task_with_url_completion_handler(
        session, held_url(), handle_download, handled);
    nsurlsession_task_resume(task);
    wait_until_held(1);
    nsurlsession_task_cancel(task);
    latch_wait(&handled->done);
    CHECK_EQ_INT(handled->error_code, NSURLSESSION_ERROR_CANCELLED);
    CHECK(handled->resume_data == NULL);
    nsurlsession_release(task);
    session_end(session);
    CHECK_EQ_INT(files_left(NULL), 0);
}

TEST(a_request_with_a_method_and_a_body)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        with_body(request_for("POST", fault_url("/echo"), "X-A", "1", NULL), "hello", 5);
    nsurlsession_task_t *task = nsurlsession_download_task_with_request(session, request);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    CHECK_CONTAINS(recorder_text(recorder), "POST /echo HTTP/1.1");
    CHECK_EQ_STR(echoed(recorder_text(recorder), "X-A"), "1");
    CHECK_EQ_STR(echoed_body(recorder_text(recorder)), "hello");
}

/* ---- From data task to download task -------------------------------------------------------- */

static void note_download_task(struct recorder *recorder, const struct call *call)
{
    recorder->user = nsurlsession_retain(call->download_task);
    CHECK_EQ_INT(nsurlsession_task_kind(call->download_task), NSURLSESSION_TASK_KIND_DOWNLOAD);
    CHECK_EQ_INT(nsurlsession_task_state(call->download_task), NSURLSESSION_TASK_STATE_RUNNING);
    nsurlsession_response_t *response = nsurlsession_task_response(call->download_task);
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 200);
    nsurlsession_release(response);
}

struct conversion {
    const char *name;
    enum action answer;
    const char *path, *log;
    uint64_t size;
};
static const struct conversion conversions[] = {
    {"body", ACTION_ANSWER_BECOME_DOWNLOAD, "/body?size=300000",
     "create, response 200, became download, written 300000/300000, downloaded 300000, "
     "complete nil, invalid nil, release", 300000},
    {"empty", ACTION_ANSWER_BECOME_DOWNLOAD, "/body?size=0",
     "create, response 200, became download, downloaded 0, complete nil, invalid nil, release", 0},
    {"decoded", ACTION_ANSWER_BECOME_DOWNLOAD, "/encoded?coding=br&size=5000",
     "create, response 200, became download, written 5000/-1, downloaded 5000, complete nil, "
     "invalid nil, release", 5000},
};

TEST_EACH(a_data_task_becomes_a_download, struct conversion, conversions)
{
    struct recorder *recorder = download_recorder();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, row->answer, false, NULL},
                    {CALLBACK_BECAME_DOWNLOAD, 1, ACTION_NONE, false, note_download_task});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url(row->path));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_task_t *download = recorder->user;
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK_EQ_INT(nsurlsession_task_state(download), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK(nsurlsession_task_identifier(task) != nsurlsession_task_identifier(download));
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).task,
                 nsurlsession_task_identifier(download));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(download), row->size);
    nsurlsession_release(task);
    nsurlsession_release(download);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, row->log);
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(recorder->received, row->size);
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* The progress of the data task goes on with the download, and a parent with it. */
TEST(progress_goes_on_with_the_new_task)
{
    struct recorder *recorder = download_recorder();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_BECOME_DOWNLOAD, false, NULL},
                    {CALLBACK_BECAME_DOWNLOAD, 1, ACTION_NONE, false, note_download_task});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *name = unique_name();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/holdbody?name=%s&size=20", name)));
    nsurlsession_task_set_description(task, "text");
    nsurlsession_progress_t *progress = nsurlsession_task_progress(task);
    nsurlsession_progress_t *parent =
        nsurlsession_progress_discrete_with_total_unit_count(1);
    nsurlsession_progress_add_child_with_pending_unit_count(parent, progress, 1);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_BECAME_DOWNLOAD, 1);
    nsurlsession_task_t *download = recorder->user;
    EVENTUALLY(nsurlsession_progress_completed_unit_count(progress) == 10);
    CHECK(!nsurlsession_progress_finished(parent));
    CHECK_EQ_STR(text_of(nsurlsession_task_description(download)), "text");
    nsurlsession_progress_t *theirs = nsurlsession_task_progress(download);
    CHECK(theirs == progress);
    nsurlsession_progress_t *ours = nsurlsession_task_progress(task);
    CHECK(ours == progress);
    CHECK_EQ_STR(text_of(nsurlsession_progress_file_operation_kind(progress)),
                 NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_DOWNLOADING);
    nsurlsession_progress_pause(parent);
    CHECK_EQ_INT(nsurlsession_task_state(download), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_suspend(task);
    nsurlsession_task_resume(task);
    CHECK(nsurlsession_progress_paused(progress));
    nsurlsession_progress_resume(parent);
    CHECK_EQ_INT(nsurlsession_task_state(download), NSURLSESSION_TASK_STATE_RUNNING);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK(nsurlsession_progress_finished(progress));
    CHECK(nsurlsession_progress_finished(parent));
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress), 20);
    nsurlsession_release(theirs);
    nsurlsession_release(ours);
    nsurlsession_release(parent);
    nsurlsession_release(progress);
    nsurlsession_release(task);
    nsurlsession_release(download);
    session_end(session);
}

static void *invalidate(void *context)
{
    struct recorder *recorder = context;
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    nsurlsession_invalidate_and_cancel(recorder->session);
    return NULL;
}

/* A session is invalidated at any moment of a conversion: there is one completion, of one of both. */
TEST(conversions_meet_invalidation)
{
    for (unsigned round = 0; round < 300; round++) {
        struct recorder *recorder = download_recorder();
        recorder_script(recorder,
                        {CALLBACK_RESPONSE, 1, ACTION_ANSWER_BECOME_DOWNLOAD, false, NULL});
        nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
        recorder->session = session;
        nsurlsession_task_t *task =
            nsurlsession_data_task_with_url(session, fault_url("/body?size=3"));
        test_thread(invalidate, recorder);
        nsurlsession_task_resume(task);
        recorder_wait(recorder, CALLBACK_RELEASE, 1);
        CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 1);
        CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);
        nsurlsession_release(task);
        nsurlsession_release(session);
    }
    CHECK_EQ_INT(files_left(NULL), 0);
}

static void cancel_download_task(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    nsurlsession_task_cancel(call->download_task);
}

TEST(the_new_task_can_be_cancelled)
{
    struct recorder *recorder = download_recorder();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_BECOME_DOWNLOAD, false, NULL},
                    {CALLBACK_BECAME_DOWNLOAD, 1, ACTION_NONE, false, cancel_download_task});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/stall?at=body&sends=1000&size=5000"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, became download, complete -999, invalid nil, release");
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* ---- Files that cannot be written ------------------------------------------------------------ */

static void fails_with(int64_t code)
{
    struct recorder *recorder = download_recorder();
    recorder->without = 1u << CALLBACK_CREATE;
    recorder->with = 1u << CALLBACK_DOWNLOADED;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_download_task_with_url(session, fault_url("/body?size=4m"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, test_format("complete %d", (int)code));
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    nsurlsession_array_t *below = nsurlsession_error_underlying_errors(error);
    nsurlsession_error_t *first = nsurlsession_array_object_at_index(below, 0);
    CHECK_EQ_STR(nsurlsession_error_domain(first), NSURLSESSION_POSIX_ERROR_DOMAIN);
    nsurlsession_release(first);
    nsurlsession_release(below);
    nsurlsession_release(error);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

/* As a disk that is full: no more than a megabyte can be written. */
TEST(a_full_disk)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    CHECK_EQ_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fails_with(NSURLSESSION_ERROR_CANNOT_WRITE_TO_FILE);
    CHECK_EQ_INT(files_left(NULL), 0);
}

static void keep_resume_data(void *context, nsurlsession_data_t *resume_data)
{
    struct handled *handled = context;
    nsurlsession_release(handled->resume_data);
    handled->resume_data = nsurlsession_retain(resume_data);
    latch_count_down(&handled->done);
}

/* Who was given resume data can come back when there is room again. */
TEST(a_full_disk_takes_no_promise_back)
{
    const char *name = unique_name();
    const char *path = "/range?size=2000000&etag=%%22v1%%22&hold=%s&after=500000&name=%s";
    struct handled *handled = handled_new();
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url_completion_handler(
        session, fault_url(test_format(path, name, name)), handle_download, handled);
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) == 500000);
    struct handled *taken = handled_new();
    nsurlsession_download_task_get_resume_data_with_completion_handler(task, keep_resume_data,
                                                                       taken);
    latch_wait(&taken->done);
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    CHECK_EQ_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    control(test_format("/release?name=%s", name));
    latch_wait(&handled->done);
    CHECK_EQ_INT(handled->error_code, NSURLSESSION_ERROR_CANNOT_WRITE_TO_FILE);
    CHECK(handled->resume_data != NULL);
    CHECK_EQ_INT(files_left(NULL), 1);
    nsurlsession_release(task);

    limit.rlim_cur = RLIM_INFINITY;
    CHECK_EQ_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct handled *rest = handled_new();
    task = nsurlsession_download_task_with_resume_data_completion_handler(
        session, handled->resume_data, handle_download, rest);
    nsurlsession_task_resume(task);
    latch_wait(&rest->done);
    CHECK_EQ_INT(rest->error_code, 0);
    CHECK_EQ_INT(rest->size, 2000000);
    CHECK_CONTAINS(control(test_format("/range-log?name=%s", name)), "range [bytes=");
    EVENTUALLY(files_left(NULL) == 0);
    nsurlsession_release(taken->resume_data);
    nsurlsession_release(handled->resume_data);
    nsurlsession_release(task);
    session_end(session);
}

TEST(a_directory_that_is_gone)
{
    setenv("TMPDIR", test_format("%s/gone", env_text("TMPDIR")), 1);
    fails_with(NSURLSESSION_ERROR_CANNOT_CREATE_FILE);
}

TEST(a_directory_that_is_a_file)
{
    const char *path = test_format("%s/file", env_text("TMPDIR"));
    fclose(fopen(path, "w"));
    setenv("TMPDIR", path, 1);
    fails_with(NSURLSESSION_ERROR_CANNOT_CREATE_FILE);
}

/* ---- What a process that dies leaves --------------------------------------------------------- */

TEST(the_next_download_removes_what_a_dead_process_left)
{
    int ready[2];
    CHECK_EQ_INT(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        nsurlsession_t *session = session_for(NULL);
        nsurlsession_task_t *task = nsurlsession_download_task_with_url(
            session, fault_url("/stall?at=body&sends=50000&size=90000"));
        nsurlsession_task_resume(task);
        EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) == 50000);
        CHECK_EQ_INT(write(ready[1], "x", 1), 1);
        pause();
    }
    char byte;
    CHECK_EQ_INT(read(ready[0], &byte, 1), 1);
    CHECK_EQ_INT(files_left(NULL), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_EQ_INT(files_left(NULL), 1);
    download(download_recorder(), fault_url("/body?size=10"));
    CHECK_EQ_INT(files_left(NULL), 0);
}

/* ---- Slow delegates and suspension ----------------------------------------------------------- */

static void wait_for_release(struct recorder *recorder, const struct call *call)
{
    (void)call;
    latch_wait((struct latch *)recorder->user);
}

/* The file is written while the delegate is busy: it is told once of all that came meanwhile. */
TEST(a_slow_delegate_does_not_hold_the_file_up)
{
    struct recorder *recorder = download_recorder();
    struct latch latch = LATCH(1);
    recorder->user = &latch;
    recorder->discard_body = true;
    recorder_script(recorder, {CALLBACK_WRITTEN, 1, ACTION_NONE, false, wait_for_release});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_download_task_with_url(session, fault_url("/body?size=40m"));
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) == 40 << 20);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_WRITTEN), 1);
    latch_count_down(&latch);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_WRITTEN), 2);
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

TEST(lists_of_tasks_know_downloads)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(session, fault_url("/echo"));
    CHECK_CONTAINS(text_of(nsurlsession_description(task)), "download task 1");
    nsurlsession_release(task);
    session_end(session);
}

TEST(paths_of_urls)
{
    CHECK_EQ_STR(text_of(nsurlsession_url_path("file:///tmp/a%20b%C3%BC")), "/tmp/a bü");
    CHECK_EQ_STR(text_of(nsurlsession_url_path("http://host/a/b?c#d")), "/a/b");
    CHECK(nsurlsession_url_path(NULL) == NULL);
    CHECK(nsurlsession_url_path("no url") == NULL);
    CHECK(nsurlsession_url_path("data:,x") == NULL);
    CHECK(nsurlsession_url_path("\xff\xfe") == NULL);
}
