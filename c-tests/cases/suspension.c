/* Suspended tasks: nothing is read, sent or delivered, and they go on at the same byte. */
#include "recorder.h"

#include <sys/resource.h>
#include <unistd.h>

/* A name that no other test, and no other run of this one, uses at the fault server. */
static const char *unique(const char *name)
{
    static unsigned number;
    return test_format("suspension-%s-%d-%.6f-%u", name, (int)getpid(), date_now(),
                       __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
}

/* More than what the sockets' buffers and the library's window can hold. */
#define LENGTH (48 << 20)
/*
 * What may be on its way between the server and the task that does not read. It may still grow a
 * little when the task has long been suspended: the kernel packs what nobody reads more tightly.
 */
#define ON_THE_WAY (12 << 20)

/* How many body bytes the server has got rid of, once that does not grow any more. */
static uint64_t settled(const char *what, const char *tag)
{
    return strtoull(control(test_format("/%s?tag=%s&settle=250", what, tag)), NULL, 10);
}

static uint64_t received_by(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    uint64_t received = recorder->received;
    pthread_mutex_unlock(&recorder->mutex);
    return received;
}

static void end_session(nsurlsession_t *session, struct recorder *recorder)
{
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* GETs something else in the session, to the end: what was to happen by then has happened. */
static void let_others_pass(nsurlsession_t *session)
{
    for (int round = 0; round < 3; round++)
        CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
}

/* ---- Downloads ----------------------------------------------------------------------------- */

static void check_it_stands_still(struct recorder *recorder, nsurlsession_task_t *task,
                                  const char *tag)
{
    uint64_t sent = settled("sent", tag);
    uint64_t received = received_by(recorder);
    unsigned pieces = recorder_count(recorder, CALLBACK_DATA);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK(sent < LENGTH);
    CHECK(sent - received < ON_THE_WAY);
    CHECK(settled("sent", tag) - received < ON_THE_WAY);
    CHECK_EQ_INT(received_by(recorder), received);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), pieces);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), received);
}

TEST_HEAVY(a_download_that_is_suspended, "48 MiB are compared byte by byte")
{
    const char *tag = unique("download");
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder_script(recorder, {CALLBACK_DATA, 3, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=%d&tag=%s", LENGTH, tag)));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_DATA, 3);
    /* Suspended inside a callback: that one was the last. */
    check_it_stands_still(recorder, task, tag);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 3);

    /* Twice suspended, once resumed: still. */
    nsurlsession_task_suspend(task);
    nsurlsession_task_resume(task);
    check_it_stands_still(recorder, task, tag);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 3);

    /* It goes on; then it is suspended from outside. */
    uint64_t before = received_by(recorder);
    nsurlsession_task_resume(task);
    EVENTUALLY(received_by(recorder) > before + (1 << 20));
    nsurlsession_task_suspend(task);
    check_it_stands_still(recorder, task, tag);

    let_others_pass(session);
    check_it_stands_still(recorder, task, tag);

    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder->received, LENGTH);
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* The same of a body that a completion handler is to get. */
TEST_HEAVY(a_download_for_a_handler_that_is_suspended, "48 MiB are compared byte by byte")
{
    const char *tag = unique("handler");
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url(test_format("/body?size=%d&tag=%s", LENGTH, tag)), record_completion,
        completion);
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) > 0);
    nsurlsession_task_suspend(task);
    uint64_t sent = settled("sent", tag);
    int64_t received = nsurlsession_task_count_of_bytes_received(task);
    CHECK(sent < LENGTH);
    CHECK((int64_t)sent - received < ON_THE_WAY);
    CHECK((int64_t)settled("sent", tag) - received < ON_THE_WAY);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), received);
    CHECK(!latch_is_open(&completion->done));
    let_others_pass(session);

    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, 0);
    CHECK_EQ_INT(completion->body_length, LENGTH);
    for (size_t index = 0; index < LENGTH; index++)
        if ((uint8_t)completion->body[index] != pattern_byte(index))
            FAIL("byte %zu is wrong", index);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

struct transport {
    const char *name;
    const char *(*url)(const char *path_and_query);
    const char *path;
};

static const struct transport transports[] = {
    {"http1", fault_url, "/body?size=1m"},
    {"chunked", fault_url, "/body?size=1m&chunked=1"},
    {"gzip", fault_url, "/encoded?coding=gzip&size=1m"},
    {"tls", tls_h1_url, "/1m.bin"},
    {"http2", tls_h2_url, "/1m.bin"},
};

static void *suspend_and_resume(void *task)
{
    while (nsurlsession_task_state(task) != NSURLSESSION_TASK_STATE_COMPLETED) {
        nsurlsession_task_suspend(task);
        nsurlsession_task_suspend(task);
        nsurlsession_task_resume(task);
        nsurlsession_task_resume(task);
        sched_yield();
    }
    return NULL;
}

/* Suspended in every callback, and by two threads all the time. */
TEST_EACH(suspended_again_and_again, struct transport, transports)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_RESPONSE, 0, ACTION_SUSPEND_RESUME_LATER, false, NULL},
                    {CALLBACK_DATA, 0, ACTION_SUSPEND_RESUME_LATER, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, row->url(row->path));
    nsurlsession_task_resume(task);
    pthread_t threads[2];
    for (int index = 0; index < 2; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, suspend_and_resume, task), 0);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    for (int index = 0; index < 2; index++)
        pthread_join(threads[index], NULL);
    CHECK_LOG(recorder, "create, response 200, data 1048576, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* One stream that is not read does not hold up the others on its connection. */
TEST(a_suspended_stream_leaves_its_connection_to_others)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, tls_h2_url("/16m.bin"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_DATA, 1);
    for (int round = 0; round < 20; round++) {
        struct completion *completion = fetch(session, tls_h2_url("/1m.bin"));
        CHECK_EQ_INT(completion->error_code, 0);
        CHECK_EQ_INT(completion->body_length, 1 << 20);
    }
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 1);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder->received, 16 << 20);
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* ---- Before the response ------------------------------------------------------------------- */

TEST(suspended_before_the_response)
{
    const char *name = unique("response");
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/hold?name=%s&tag=%s", name, name)));
    nsurlsession_task_resume(task);
    control(test_format("/waiting?name=%s", name));
    nsurlsession_task_suspend(task);
    control(test_format("/release?name=%s", name));
    control(test_format("/wait-finished?tag=%s", name));
    let_others_pass(session);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create");
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 9, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

TEST(suspended_before_a_redirect)
{
    const char *tag = unique("redirect");
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/redirect?to=%%2Fbody%%3Fsize%%3D9%%26tag%%3D%s", tag)));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_REDIRECT, 1);
    let_others_pass(session);
    /* The answer was given, but the request that it leads to is not sent yet. */
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, redirect 302");
    CHECK_EQ_STR(control(test_format("/wait-arrived?tag=%s&n=0", tag)), "0");
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1),
                 "create, redirect 302, response 200, data 9, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* A task that waits for a connection and is suspended meanwhile does not take its turn. */
TEST(suspended_behind_the_connection_limit)
{
    const char *name = unique("limit"), *tag = unique("queued");
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_release(configuration);
    nsurlsession_task_t *first = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/hold?name=%s", name)));
    nsurlsession_task_t *queued = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=9&tag=%s", tag)));
    nsurlsession_task_t *last = nsurlsession_data_task_with_url(session, fault_url("/body?size=7"));
    nsurlsession_task_resume(first);
    control(test_format("/waiting?name=%s", name));
    nsurlsession_task_resume(queued);
    nsurlsession_task_resume(last);
    let_others_pass(session);
    nsurlsession_task_suspend(queued);
    let_others_pass(session);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 9, complete nil");
    CHECK_EQ_STR(recorder_log(recorder, 3), "create, response 200, data 7, complete nil");
    let_others_pass(session);
    CHECK_EQ_STR(control(test_format("/wait-arrived?tag=%s&n=0", tag)), "0");
    CHECK_EQ_STR(recorder_log(recorder, 2), "create");
    nsurlsession_task_resume(queued);
    recorder_wait(recorder, CALLBACK_COMPLETE, 3);
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, response 200, data 9, complete nil");
    nsurlsession_release(first);
    nsurlsession_release(queued);
    nsurlsession_release(last);
    end_session(session, recorder);
}

TEST(resumed_and_suspended_at_once)
{
    /* However long this thread is held up, none of them can end before it is suspended. */
    const char *name = unique("at-once");
    const char *url = fault_url(test_format("/hold?name=%s", name));
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *tasks[20];
    for (int index = 0; index < 20; index++) {
        tasks[index] = nsurlsession_data_task_with_url(session, url);
        nsurlsession_task_resume(tasks[index]);
        nsurlsession_task_suspend(tasks[index]);
    }
    let_others_pass(session);
    for (int index = 0; index < 20; index++) {
        CHECK_EQ_INT(nsurlsession_task_state(tasks[index]), NSURLSESSION_TASK_STATE_SUSPENDED);
        nsurlsession_task_resume(tasks[index]);
    }
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 20);
    for (int index = 0; index < 20; index++) {
        CHECK_EQ_STR(recorder_log(recorder, nsurlsession_task_identifier(tasks[index])),
                     "create, response 200, data 9, complete nil");
        nsurlsession_release(tasks[index]);
    }
    end_session(session, recorder);
}

/* Nothing is delivered while a task is suspended, not even its end. */
TEST(the_end_waits_too)
{
    const char *tag = unique("end");
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/cut?after=10&size=100&tag=%s", tag)));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    control(test_format("/wait-finished?tag=%s", tag));
    let_others_pass(session);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200");
    CHECK(nsurlsession_task_error(task) == NULL);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 10, complete -1005");
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* Suspended tasks have no timeouts; the server's settling is the clock here. */
TEST(timeouts_do_not_run)
{
    const char *tag = unique("timeout");
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, stretched(1));
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder->discard_body = true;
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_release(configuration);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=1m&tag=%s", tag)));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_DATA, 1);
    control(test_format("/sent?tag=%s&settle=%d", tag, (int)(stretched(1) * 1500)));
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 0);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 1048576, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* ---- Uploads ------------------------------------------------------------------------------- */

static nsurlsession_task_t *upload(nsurlsession_t *session, const char *url, const void *bytes,
                                   size_t length, struct completion *completion)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(url);
    nsurlsession_data_t *body =
        nsurlsession_data_with_bytes_no_copy_length_deallocator((void *)(uintptr_t)bytes, length,
                                                                NULL, NULL);
    nsurlsession_request_set_http_method(request, "PUT");
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        session, request, record_completion, completion);
    nsurlsession_release(body);
    nsurlsession_release(request);
    return task;
}

static const uint8_t *upload_body(uint32_t *sum)
{
    uint8_t *bytes = test_allocate(LENGTH);
    *sum = 0;
    for (size_t index = 0; index < LENGTH; index++) {
        bytes[index] = pattern_byte(index);
        *sum += bytes[index];
    }
    return bytes;
}

TEST_HEAVY(an_upload_that_is_suspended, "48 MiB are sent and counted")
{
    const char *name = unique("upload");
    uint32_t sum;
    const uint8_t *bytes = upload_body(&sum);
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task =
        upload(session, fault_url(test_format("/holdsink?name=%s&after=1m&tag=%s", name, name)),
               bytes, LENGTH, completion);
    nsurlsession_task_resume(task);
    /* The server has read a little and waits; it is told to go on when the task is suspended. */
    control(test_format("/received?tag=%s&n=1048576", name));
    nsurlsession_task_suspend(task);
    control(test_format("/release?name=%s", name));
    uint64_t received = settled("received", name);
    int64_t sent = nsurlsession_task_count_of_bytes_sent(task);
    CHECK(received < LENGTH);
    CHECK((int64_t)received <= sent);
    CHECK(sent < LENGTH);
    let_others_pass(session);
    CHECK((int64_t)settled("received", name) <= sent);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(task), sent);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);

    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, 0);
    CHECK_EQ_STR(completion->body, test_format("%d bytes sum %" PRIu32 "\n", LENGTH, sum));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(task), LENGTH);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST_HEAVY(an_upload_suspended_again_and_again, "48 MiB are sent and counted")
{
    uint32_t sum;
    const uint8_t *bytes = upload_body(&sum);
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = upload(session, fault_url("/sink"), bytes, LENGTH, completion);
    nsurlsession_task_resume(task);
    for (int64_t mark = 0; mark < LENGTH; mark += LENGTH / 64) {
        EVENTUALLY(nsurlsession_task_count_of_bytes_sent(task) >= mark);
        nsurlsession_task_suspend(task);
        nsurlsession_task_resume(task);
    }
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, test_format("%d bytes sum %" PRIu32 "\n", LENGTH, sum));
    nsurlsession_release(task);
    nsurlsession_release(session);
}

/* ---- Cancelling ---------------------------------------------------------------------------- */

TEST(a_suspended_task_can_be_cancelled)
{
    const char *tag = unique("cancel");
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=1g&tag=%s", tag)));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_DATA, 1);
    nsurlsession_task_suspend(task);
    nsurlsession_task_suspend(task);
    settled("sent", tag);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 1);
    nsurlsession_task_cancel(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value, -999);
    control(test_format("/wait-closed?tag=%s", tag));
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* ---- Many ---------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void suspend_first_piece(struct recorder *recorder, const struct call *call)
{
    uint8_t *suspended = recorder->user;
    uint64_t identifier = nsurlsession_task_identifier(call->task);
    if (suspended[identifier])
        FAIL("task %" PRIu64 " got data while it was suspended", identifier);
    suspended[identifier] = 1;
    nsurlsession_task_suspend(call->task);
}

TEST_MEASURE(many_suspended_tasks_cost_little, "memory, threads and processor time")
{
    enum { TASKS = 1000 };
    const char *tag = unique("many");
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, TASKS);
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder->user = test_allocate(TASKS + 1);
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, suspend_first_piece});
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_release(configuration);
    int descriptors = open_descriptor_count(), threads = thread_count();
    long before = rss_kib();
    nsurlsession_task_t **tasks = test_allocate(TASKS * sizeof *tasks);
    const char *url = fault_url(test_format("/body?size=1g&tag=%s", tag));
    for (int index = 0; index < TASKS; index++) {
        tasks[index] = nsurlsession_data_task_with_url(session, url);
        nsurlsession_task_resume(tasks[index]);
    }
    recorder_wait(recorder, CALLBACK_DATA, TASKS);
    control(test_format("/sent?tag=%s&settle=500", tag));
    long used = rss_kib() - before;
    double cpu = cpu_seconds();
    control(test_format("/sent?tag=%s&settle=2000", tag));
    cpu = cpu_seconds() - cpu;
    printf("%d suspended tasks: %ld KiB, %d threads more, %.3f s CPU in two seconds or more\n",
           TASKS, used, thread_count() - threads, cpu);
    CHECK_BETWEEN(used, 0, TASKS * 150);
    CHECK_BETWEEN(thread_count() - threads, 0, 3);
    CHECK_BETWEEN(cpu, 0, 0.2);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), TASKS);

    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), TASKS);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), TASKS);
    for (int index = 0; index < TASKS; index++)
        nsurlsession_release(tasks[index]);
    nsurlsession_release(session);
    /* The sockets are closed; the loop's own descriptors stay. */
    EVENTUALLY(open_descriptor_count() <= descriptors + 2);
}
