/*
 * Tasks: states, counters, labels, delegates of their own, answers, data, completion handlers, and
 * what happens when a callback cancels, suspends, invalidates or releases.
 */
#include "recorder.h"

#include <netinet/in.h>
#include <unistd.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

/* A name that no other test, and no other run of this one, uses at the fault server. */
static const char *unique(const char *name)
{
    static unsigned number;
    return test_format("tasks-%s-%d-%.6f-%u", name, (int)getpid(), date_now(),
                       __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
}

static nsurlsession_task_t *task_with_body(nsurlsession_t *session, const char *url,
                                           const void *bytes, size_t length,
                                           struct completion *completion)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(url);
    nsurlsession_data_t *body = nsurlsession_data_with_bytes_length(bytes, length);
    nsurlsession_request_set_http_method(request, "POST");
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_task_t *task =
        completion ? nsurlsession_data_task_with_request_completion_handler(
                         session, request, record_completion, completion)
                   : nsurlsession_data_task_with_request(session, request);
    nsurlsession_release(body);
    nsurlsession_release(request);
    return task;
}

/* Ends the session and waits for its last sign of life: nothing can come after it. */
static void end_session(nsurlsession_t *session, struct recorder *recorder)
{
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* Runs `function(context)` on another thread and waits for its end. */
static void elsewhere(void *(*function)(void *context), void *context)
{
    pthread_t thread;
    CHECK_EQ_INT(pthread_create(&thread, NULL, function, context), 0);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}

static void *cancel_it(void *task)
{
    nsurlsession_task_cancel(task);
    return NULL;
}

static void *resume_it(void *task)
{
    nsurlsession_task_resume(task);
    return NULL;
}

static void *invalidate_it(void *session)
{
    nsurlsession_invalidate_and_cancel(session);
    return NULL;
}

/* Counts the records of the log that tell of a misuse. */
struct misuses {
    pthread_mutex_t mutex;
    unsigned count;
    char last[512];
};

static void count_misuse(void *context, nsurlsession_log_level_t level, const char *target,
                         const char *message)
{
    struct misuses *misuses = context;
    if (strcmp(target, "ffi") != 0)
        return;
    CHECK_EQ_INT(level, NSURLSESSION_LOG_LEVEL_ERROR);
    pthread_mutex_lock(&misuses->mutex);
    misuses->count++;
    snprintf(misuses->last, sizeof misuses->last, "%s", message);
    pthread_mutex_unlock(&misuses->mutex);
}

static struct misuses *watch_misuses(void)
{
    struct misuses *misuses = test_allocate(sizeof *misuses);
    pthread_mutex_init(&misuses->mutex, NULL);
    nsurlsession_set_log_handler(count_misuse, misuses, NULL);
    return misuses;
}

static void check_misuses(struct misuses *misuses, unsigned count, const char *part)
{
    pthread_mutex_lock(&misuses->mutex);
    CHECK_EQ_INT(misuses->count, count);
    if (part)
        CHECK_CONTAINS(misuses->last, part);
    pthread_mutex_unlock(&misuses->mutex);
}

/* ---- The state machine --------------------------------------------------------------------- */

TEST(suspensions_nest)
{
    const char *name = unique("nest");
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/hold?name=%s", name)));
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);

    nsurlsession_task_suspend(task);
    nsurlsession_task_suspend(task);
    nsurlsession_task_resume(task);
    nsurlsession_task_resume(task);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_resume(task);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_RUNNING);
    control(test_format("/waiting?name=%s", name));

    /* More resumes than suspends are not saved up. */
    nsurlsession_task_resume(task);
    nsurlsession_task_resume(task);
    nsurlsession_task_suspend(task);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_suspend(task);
    nsurlsession_task_resume(task);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_resume(task);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_RUNNING);

    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK_LOG(recorder, "create, response 200, data 9, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

static void note_state(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_state_t *states = recorder->user;
    states[call->kind] = nsurlsession_task_state(call->task);
    nsurlsession_error_t *error = nsurlsession_task_error(call->task);
    if (call->kind != CALLBACK_COMPLETE) {
        CHECK(error == NULL);
    } else if (call->error) {
        CHECK(nsurlsession_is_equal(error, call->error));
    } else {
        CHECK(error == NULL);
    }
    nsurlsession_release(error);
    nsurlsession_response_t *response = nsurlsession_task_response(call->task);
    if (call->kind == CALLBACK_RESPONSE)
        CHECK(nsurlsession_is_equal(response, call->response));
    nsurlsession_release(response);
}

#define NOTE_STATES                                                                                \
    {CALLBACK_CREATE, 0, ACTION_NONE, false, note_state},                                          \
        {CALLBACK_RESPONSE, 0, ACTION_NONE, false, note_state},                                    \
        {CALLBACK_DATA, 0, ACTION_NONE, false, note_state},                                        \
        {CALLBACK_COMPLETE, 0, ACTION_NONE, false, note_state}

TEST(states_inside_callbacks)
{
    nsurlsession_task_state_t states[CALLBACK_KINDS] = {0};
    struct recorder *recorder = recorder_new();
    recorder->user = states;
    recorder_script(recorder, NOTE_STATES);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=100"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 100, complete nil");
    CHECK_EQ_INT(states[CALLBACK_CREATE], NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK_EQ_INT(states[CALLBACK_RESPONSE], NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_INT(states[CALLBACK_DATA], NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_INT(states[CALLBACK_COMPLETE], NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK(nsurlsession_task_error(task) == NULL);
    nsurlsession_release(task);
    end_session(session, recorder);
}

TEST(states_of_a_failure)
{
    nsurlsession_task_state_t states[CALLBACK_KINDS] = {0};
    struct recorder *recorder = recorder_new();
    recorder->user = states;
    recorder_script(recorder, NOTE_STATES);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/cut?after=10&size=100"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 10, complete -1005");
    CHECK_EQ_INT(states[CALLBACK_COMPLETE], NSURLSESSION_TASK_STATE_COMPLETED);
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    nsurlsession_release(error);
    nsurlsession_release(task);
    end_session(session, recorder);
}

static void cancel_and_note_state(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_cancel(call->task);
    note_state(recorder, call);
    nsurlsession_task_suspend(call->task);
    nsurlsession_task_resume(call->task);
    CHECK_EQ_INT(nsurlsession_task_state(call->task), NSURLSESSION_TASK_STATE_CANCELING);
}

TEST(states_of_a_cancellation)
{
    nsurlsession_task_state_t states[CALLBACK_KINDS] = {0};
    struct recorder *recorder = recorder_new();
    recorder->user = states;
    recorder_script(recorder, {CALLBACK_RESPONSE, 0, ACTION_NONE, false, cancel_and_note_state},
                    {CALLBACK_COMPLETE, 0, ACTION_NONE, false, note_state});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=100"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, complete -999");
    CHECK_EQ_INT(states[CALLBACK_RESPONSE], NSURLSESSION_TASK_STATE_CANCELING);
    CHECK_EQ_INT(states[CALLBACK_COMPLETE], NSURLSESSION_TASK_STATE_COMPLETED);
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_CANCELLED);
    nsurlsession_release(error);
    nsurlsession_release(task);
    end_session(session, recorder);
}

TEST(after_completion_everything_is_ignored)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=100"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    for (int round = 0; round < 3; round++) {
        nsurlsession_task_resume(task);
        nsurlsession_task_suspend(task);
        nsurlsession_task_suspend(task);
        nsurlsession_task_cancel(task);
        CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
        CHECK(nsurlsession_task_error(task) == NULL);
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), 100);
    }
    end_session(session, recorder);
    CHECK_LOG(recorder, "create, response 200, data 100, complete nil, invalid nil, release");
    nsurlsession_release(task);
}

TEST(a_task_that_was_cancelled_before_its_start_never_starts)
{
    const char *tag = unique("never");
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=100&tag=%s", tag)));
    nsurlsession_task_cancel(task);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_task_resume(task);
    end_session(session, recorder);
    CHECK_LOG(recorder, "create, complete -999, invalid nil, release");
    CHECK_EQ_STR(control(test_format("/wait-arrived?tag=%s&n=0", tag)), "0");
    nsurlsession_release(task);
}

/* ---- Counters ------------------------------------------------------------------------------ */

static void check_counts(nsurlsession_task_t *task, int64_t sent, int64_t expected_to_send,
                         int64_t received, int64_t expected_to_receive)
{
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(task), sent);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(task), expected_to_send);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), received);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(task), expected_to_receive);
}

/* What is counted of a GET of `url`, with a delegate and with a completion handler. */
struct counts {
    const char *name;
    const char *url;
    int64_t received, expected;
};

static const struct counts counts[] = {
    {"length", "/body?size=300000", 300000, 300000},
    {"chunked", "/body?size=300000&chunked=1", 300000, NSURLSESSION_TRANSFER_SIZE_UNKNOWN},
    {"empty", "/body?size=0", 0, 0},
    {"no_body", "/status?code=204", 0, NSURLSESSION_TRANSFER_SIZE_UNKNOWN},
    /* The length of what the delegate gets is not known. */
    {"gzip", "/encoded?coding=gzip&size=300000", 300000, NSURLSESSION_TRANSFER_SIZE_UNKNOWN},
    {"redirect", "/redirect?to=%2Fbody%3Fsize%3D1000", 1000, 1000},
};

static void check_received_so_far(struct recorder *recorder, const struct call *call)
{
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(call->task), recorder->received);
}

TEST_EACH(counts, struct counts, counts)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, check_received_so_far});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url(row->url));
    check_counts(task, 0, 0, 0, 0);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    check_counts(task, 0, 0, row->received, row->expected);
    nsurlsession_release(task);

    struct completion *completion = completion_new();
    task = nsurlsession_data_task_with_url_completion_handler(session, fault_url(row->url),
                                                              record_completion, completion);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, 0);
    CHECK_EQ_INT(completion->body_length, row->received);
    check_counts(task, 0, 0, row->received, row->expected);
    nsurlsession_release(task);
    end_session(session, recorder);
}

TEST(counts_of_an_upload)
{
    enum { LENGTH = 300000 };
    uint8_t *bytes = test_allocate(LENGTH);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = task_with_body(session, fault_url("/sink"), bytes, LENGTH, NULL);
    check_counts(task, 0, LENGTH, 0, 0);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_text(recorder), "300000 bytes sum 0\n");
    check_counts(task, LENGTH, LENGTH, 19, 19);
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* After a redirect the counters tell of the request that is being served. */
TEST(counts_of_an_upload_that_is_redirected)
{
    enum { LENGTH = 300000 };
    uint8_t *bytes = test_allocate(LENGTH);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *kept =
        task_with_body(session, fault_url("/redirect?code=307&to=/sink"), bytes, LENGTH, NULL);
    nsurlsession_task_resume(kept);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, redirect 307, response 200, data 19, complete nil");
    check_counts(kept, LENGTH, LENGTH, 19, 19);
    nsurlsession_release(kept);

    nsurlsession_task_t *dropped =
        task_with_body(session, fault_url("/redirect?code=303&to=/sink"), bytes, LENGTH, NULL);
    nsurlsession_task_resume(dropped);
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    check_counts(dropped, 0, 0, 14, 14);
    nsurlsession_release(dropped);
    end_session(session, recorder);
}

/* ---- Identifiers, kind, description -------------------------------------------------------- */

TEST(identifiers_kind_and_description)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    for (uint64_t number = 1; number <= 3; number++) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/"));
        CHECK_EQ_INT(nsurlsession_task_identifier(task), number);
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_CREATE, (unsigned)number).task, number);
        CHECK(pthread_equal(recorder_event(recorder, CALLBACK_CREATE, (unsigned)number).thread,
                            pthread_self()));
        CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_DATA);
        nsurlsession_release(task);
    }
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(other, http_url("/"));
    CHECK_EQ_INT(nsurlsession_task_identifier(task), 1);
    CHECK_EQ_INT(nsurlsession_task_kind(NULL), NSURLSESSION_TASK_KIND_NONE);
    CHECK_EQ_INT(nsurlsession_task_identifier(NULL), 0);

    CHECK(nsurlsession_task_description(task) == NULL);
    char text[] = "Größe";
    nsurlsession_task_set_description(task, text);
    text[0] = 'g';
    CHECK_EQ_STR(text_of(nsurlsession_task_description(task)), "Größe");
    nsurlsession_task_set_description(task, "");
    CHECK_EQ_STR(text_of(nsurlsession_task_description(task)), "");
    nsurlsession_task_set_description(task, NULL);
    CHECK(nsurlsession_task_description(task) == NULL);
    nsurlsession_task_set_description(NULL, "nothing");
    CHECK(nsurlsession_task_description(NULL) == NULL);

    nsurlsession_release(task);
    nsurlsession_release(other);
    nsurlsession_invalidate_and_cancel(session);
    end_session(session, recorder);
}

static void *create_tasks(void *session)
{
    uint64_t previous = 0;
    for (int number = 0; number < 200; number++) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, "http://localhost/");
        CHECK(nsurlsession_task_identifier(task) > previous);
        previous = nsurlsession_task_identifier(task);
        nsurlsession_release(task);
    }
    return NULL;
}

static void count_identifier(struct recorder *recorder, const struct call *call)
{
    unsigned *seen = recorder->user;
    uint64_t identifier = nsurlsession_task_identifier(call->task);
    CHECK(identifier >= 1 && identifier <= 800);
    CHECK_EQ_INT(__atomic_fetch_add(&seen[identifier], 1, __ATOMIC_RELAXED), 0);
}

TEST(identifiers_are_unique_whoever_creates)
{
    struct recorder *recorder = recorder_new();
    recorder->user = test_allocate(801 * sizeof(unsigned));
    recorder_script(recorder, {CALLBACK_CREATE, 0, ACTION_NONE, false, count_identifier});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    pthread_t threads[4];
    for (int index = 0; index < 4; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, create_tasks, session), 0);
    for (int index = 0; index < 4; index++)
        pthread_join(threads[index], NULL);
    nsurlsession_invalidate_and_cancel(session);
    end_session(session, recorder);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 800);
}

/* ---- A delegate of the task's own ---------------------------------------------------------- */

/* The one method that the task's delegate implements, and what both delegates see. */
struct split {
    const char *name;
    enum callback method;
    const char *own, *sessions;
};

static const struct split splits[] = {
    {"redirect", CALLBACK_REDIRECT, "redirect 302, release",
     "create, response 200, data 9, complete nil"},
    {"response", CALLBACK_RESPONSE, "response 200, release",
     "create, redirect 302, data 9, complete nil"},
    {"data", CALLBACK_DATA, "data 9, release",
     "create, redirect 302, response 200, complete nil"},
    {"complete", CALLBACK_COMPLETE, "complete nil, release",
     "create, redirect 302, response 200, data 9"},
    {"nothing", CALLBACK_RELEASE, "release",
     "create, redirect 302, response 200, data 9, complete nil"},
};

TEST_EACH(own_delegate, struct split, splits)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    /* The recorder must not expect what the other delegate gets. */
    recorder->without = 1u << CALLBACK_RESPONSE;
    struct recorder *own = recorder_new();
    own->without = ~(1u << row->method | 1u << CALLBACK_RELEASE);

    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/redirect?to=%2Fbody%3Fsize%3D9"));
    CHECK(nsurlsession_task_delegate(task) == NULL);
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    CHECK(nsurlsession_task_delegate(task) == own);
    nsurlsession_task_resume(task);
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK(nsurlsession_task_delegate(task) == NULL);
    nsurlsession_release(task);
    CHECK_LOG(own, row->own);
    CHECK_LOG(recorder, row->sessions);
    end_session(session, recorder);
}

static void check_order_of_the_end(struct recorder *own, const struct call *call)
{
    struct recorder *recorder = own->user;
    CHECK(call->kind == CALLBACK_RELEASE);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 1);
    CHECK_EQ_INT(recorder->returned[CALLBACK_COMPLETE], 1);
}

static void check_completed_without_delegate(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    CHECK(nsurlsession_task_delegate(call->task) == NULL);
}

TEST(own_delegate_is_released_after_the_last_callback)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder,
                    {CALLBACK_COMPLETE, 1, ACTION_NONE, false, check_completed_without_delegate});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct recorder *own = recorder_new();
    own->without = 1u << CALLBACK_COMPLETE;
    own->user = recorder;
    recorder_script(own, {CALLBACK_RELEASE, 1, ACTION_NONE, false, check_order_of_the_end});
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    nsurlsession_task_resume(task);
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK_LOG(own, "response 200, data 9, release");
    CHECK_LOG(recorder, "create, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

TEST(own_delegate_set_too_late)
{
    const char *name = unique("late");
    struct misuses *misuses = watch_misuses();
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/hold?name=%s", name)));
    struct recorder *own = recorder_new();
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    nsurlsession_task_resume(task);
    check_misuses(misuses, 0, NULL);

    struct recorder *late = recorder_new();
    nsurlsession_task_set_delegate(task, recorder_delegate(late));
    CHECK_LOG(late, "release");
    check_misuses(misuses, 1, "nsurlsession_task_set_delegate");
    nsurlsession_task_suspend(task);
    nsurlsession_task_set_delegate(task, NULL);
    check_misuses(misuses, 2, "nsurlsession_task_set_delegate");
    CHECK(nsurlsession_task_delegate(task) == own);
    nsurlsession_task_resume(task);

    control(test_format("/release?name=%s", name));
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK_LOG(own, "response 200, data 9, complete nil, release");
    struct recorder *later = recorder_new();
    nsurlsession_task_set_delegate(task, recorder_delegate(later));
    CHECK_LOG(later, "release");
    check_misuses(misuses, 3, "nsurlsession_task_set_delegate");
    CHECK_LOG(late, "release");
    nsurlsession_release(task);
    end_session(session, recorder);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
}

TEST(own_delegate_replaced_and_taken_away)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    struct recorder *first = recorder_new(), *second = recorder_new();
    nsurlsession_task_set_delegate(task, recorder_delegate(first));
    nsurlsession_task_set_delegate(task, recorder_delegate(second));
    CHECK_LOG(first, "release");
    CHECK(nsurlsession_task_delegate(task) == second);
    nsurlsession_task_set_delegate(task, NULL);
    CHECK_LOG(second, "release");
    CHECK(nsurlsession_task_delegate(task) == NULL);
    /* Without a task the context has an owner all the same. */
    struct recorder *third = recorder_new();
    nsurlsession_task_set_delegate(NULL, recorder_delegate(third));
    CHECK_LOG(third, "release");
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    end_session(session, recorder);
    CHECK_LOG(recorder, "create, response 200, data 9, complete nil, invalid nil, release");
    CHECK_LOG(first, "release");
    CHECK_LOG(second, "release");
}

static void set_delegate_in_create(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_set_delegate(call->task, recorder_delegate(recorder->user));
    nsurlsession_task_set_description(call->task, "set in did_create_task");
}

TEST(own_delegate_set_in_did_create_task)
{
    struct recorder *recorder = recorder_new(), *own = recorder_new();
    recorder->user = own;
    recorder_script(recorder, {CALLBACK_CREATE, 1, ACTION_NONE, false, set_delegate_in_create});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    CHECK(nsurlsession_task_delegate(task) == own);
    CHECK_EQ_STR(text_of(nsurlsession_task_description(task)), "set in did_create_task");
    nsurlsession_task_resume(task);
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK_LOG(own, "response 200, data 9, complete nil, release");
    CHECK_LOG(recorder, "create");
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* A session without a delegate, a task with a handler: only its redirect method is called. */
TEST(own_delegate_of_a_task_with_a_handler)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct recorder *own = recorder_new();
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url("/redirect?to=%2Fbody%3Fsize%3D9"), record_completion, completion);
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    nsurlsession_task_resume(task);
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK(latch_is_open(&completion->done));
    CHECK_EQ_INT(completion->body_length, 9);
    CHECK_LOG(own, "redirect 302, release");
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST(own_delegate_of_a_task_that_never_ran)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct recorder *cancelled = recorder_new();
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    nsurlsession_task_set_delegate(task, recorder_delegate(cancelled));
    nsurlsession_task_cancel(task);
    recorder_wait(cancelled, CALLBACK_RELEASE, 1);
    CHECK_LOG(cancelled, "complete -999, release");
    nsurlsession_release(task);

    struct recorder *forgotten = recorder_new();
    task = nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    nsurlsession_task_set_delegate(task, recorder_delegate(forgotten));
    nsurlsession_release(task);
    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(forgotten, CALLBACK_RELEASE, 1);
    CHECK_LOG(forgotten, "complete -999, release");
    end_session(session, recorder);
    CHECK_LOG(recorder, "create, create, invalid nil, release");
}

/* ---- Dispositions -------------------------------------------------------------------------- */

struct disposition {
    const char *name;
    nsurlsession_response_disposition_t value;
    bool allows;
    unsigned misuses;
};

static const struct disposition dispositions[] = {
    {"cancel", NSURLSESSION_RESPONSE_CANCEL, false, 0},
    {"allow", NSURLSESSION_RESPONSE_ALLOW, true, 0},
    {"become_stream", NSURLSESSION_RESPONSE_BECOME_STREAM, false, 1},
    {"unknown", 4, false, 1},
    {"negative", -1, false, 1},
    {"smallest", INT32_MIN, false, 1},
    {"largest", INT32_MAX, false, 1},
};

static void answer_with_disposition(struct recorder *recorder, const struct call *call)
{
    const struct disposition *row = recorder->user;
    nsurlsession_response_completion_call(call->completion, row->value);
}

TEST_EACH(disposition, struct disposition, dispositions)
{
    struct misuses *misuses = watch_misuses();
    struct recorder *recorder = recorder_new();
    recorder->user = (void *)(uintptr_t)row;
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_NEVER_ANSWER, false,
                               answer_with_disposition});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    end_session(session, recorder);
    CHECK_LOG(recorder, row->allows
                            ? "create, response 200, data 9, complete nil, invalid nil, release"
                            : "create, response 200, complete -999, invalid nil, release");
    check_misuses(misuses, row->misuses, row->misuses ? "is not known in this version" : NULL);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
}

TEST(answers_that_come_twice_are_logged)
{
    struct misuses *misuses = watch_misuses();
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_TWICE, false, NULL},
                    {CALLBACK_REDIRECT, 1, ACTION_ANSWER_TWICE, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/redirect?to=%2Fbody%3Fsize%3D9"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, redirect 302, response 200, data 9, complete nil");
    check_misuses(misuses, 2, "nsurlsession_response_completion_call");
    nsurlsession_release(task);
    end_session(session, recorder);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
}

/* A task that waits for an answer keeps nobody else waiting, on the same connection or not. */
TEST(an_answer_that_is_owed_holds_up_only_its_task)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_HELD, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *held = nsurlsession_data_task_with_url(session, tls_h2_url("/1m.bin"));
    nsurlsession_task_resume(held);
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    for (unsigned count = 1; count <= 5; count++) {
        nsurlsession_task_t *task =
            nsurlsession_data_task_with_url(session, tls_h2_url("/hello.txt"));
        nsurlsession_task_resume(task);
        recorder_wait(recorder, CALLBACK_COMPLETE, count);
        CHECK_EQ_STR(recorder_log(recorder, nsurlsession_task_identifier(task)),
                     "create, response 200, data 14, complete nil");
        nsurlsession_release(task);
    }
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200");
    CHECK_EQ_INT(nsurlsession_task_state(held), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(held), 0);
    recorder_answer(recorder, true);
    recorder_wait(recorder, CALLBACK_COMPLETE, 6);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(held), 1024 * 1024);
    nsurlsession_release(held);
    end_session(session, recorder);
}

/* Answers that come when the task is over do nothing, and keep nothing from ending. */
TEST(answers_after_the_end)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 0, ACTION_ANSWER_HELD, false, NULL},
                    {CALLBACK_REDIRECT, 0, ACTION_ANSWER_HELD, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *one = nsurlsession_data_task_with_url(session, fault_url("/body?size=9"));
    nsurlsession_task_t *two =
        nsurlsession_data_task_with_url(session, fault_url("/redirect?to=/"));
    nsurlsession_task_resume(one);
    nsurlsession_task_resume(two);
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    recorder_wait(recorder, CALLBACK_REDIRECT, 1);
    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(one);
    nsurlsession_release(two);
    nsurlsession_release(session);
    recorder_answer(recorder, true);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, complete -999");
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, redirect 302, complete -999");
}

/* ---- Data ---------------------------------------------------------------------------------- */

struct body {
    const char *name;
    const char *(*url)(const char *path_and_query);
    const char *path;
    uint64_t length;
};

static const struct body bodies[] = {
    {"one_byte", fault_url, "/body?size=1", 1},
    {"plain", fault_url, "/body?size=3000001", 3000001},
    {"chunked", fault_url, "/body?size=3000001&chunked=1", 3000001},
    {"dripping", fault_url, "/drip?size=300&every=1&chunk=7&chunked=1", 300},
    {"gzip", fault_url, "/encoded?coding=gzip&size=3000001", 3000001},
    {"brotli", fault_url, "/encoded?coding=br&size=3000001", 3000001},
    {"nginx", http_url, "/1m.bin", 1024 * 1024},
    {"tls", tls_h1_url, "/1m.bin", 1024 * 1024},
    {"http2", tls_h2_url, "/1m.bin", 1024 * 1024},
    {"http2_gzip", tls_h2_url, "/gzip/1m.bin", 1024 * 1024},
};

TEST_EACH(data, struct body, bodies)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, row->url(row->path));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, test_format("create, response 200, data %" PRIu64 ", complete nil",
                                    row->length));
    CHECK(recorder->pattern_holds);

    struct completion *completion = fetch(session, row->url(row->path));
    CHECK_EQ_INT(completion->error_code, 0);
    CHECK_EQ_BYTES(completion->body, completion->body_length, recorder->body,
                   recorder->body_length);
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* Data that was retained stays as it was; what follows does not write over it. */
static void keep_data(struct recorder *recorder, const struct call *call)
{
    void **kept = recorder->user;
    if (call->nth <= 64)
        kept[call->nth - 1] = nsurlsession_retain(call->data);
}

TEST(data_can_be_kept)
{
    void *kept[64] = {NULL};
    struct recorder *recorder = recorder_new();
    recorder->user = kept;
    recorder->discard_body = true;
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, keep_data});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=4m"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    end_session(session, recorder);
    CHECK(kept[0] != NULL);
    uint64_t position = 0;
    for (int index = 0; index < 64 && kept[index]; index++) {
        const uint8_t *bytes = nsurlsession_data_bytes(kept[index]);
        for (size_t at = 0; at < nsurlsession_data_length(kept[index]); at++)
            if (bytes[at] != pattern_byte(position + at))
                FAIL("piece %d was changed at %zu", index, at);
        position += nsurlsession_data_length(kept[index]);
        nsurlsession_release(kept[index]);
    }
}

/* ---- Handler or delegate ------------------------------------------------------------------- */

TEST(a_handler_takes_the_place_of_the_data_callbacks)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct completion *completion =
        fetch(session, fault_url("/redirect?to=%2Fbody%3Fsize%3D9"));
    CHECK_EQ_INT(completion->status, 200);
    CHECK_EQ_INT(completion->body_length, 9);
    CHECK_EQ_STR(completion->url, fault_url("/body?size=9"));
    CHECK_LOG(recorder, "create, redirect 302");

    /* Without a handler it is the delegate's. */
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url("/body?size=9"), NULL, NULL);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, response 200, data 9, complete nil");
    nsurlsession_release(task);
    end_session(session, recorder);
}

/* Whatever the status, the handler gets it with its body; a failure gets the response, no data. */
TEST(what_a_handler_gets)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = fetch(session, fault_url("/status?code=500&body=sorry"));
    CHECK_EQ_INT(completion->status, 500);
    CHECK_EQ_STR(completion->body, "sorry");
    CHECK_EQ_INT(completion->error_code, 0);

    completion = fetch(session, fault_url("/status?code=204"));
    CHECK_EQ_INT(completion->status, 204);
    CHECK_EQ_STR(completion->body, "");

    completion = fetch(session, fault_url("/cut?after=10&size=100"));
    CHECK_EQ_INT(completion->status, 200);
    CHECK(completion->body == NULL);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    CHECK_EQ_STR(completion->error_domain, NSURLSESSION_ERROR_DOMAIN);

    completion = fetch(session, "nonsense:");
    CHECK_EQ_INT(completion->status, 0);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_UNSUPPORTED_URL);
    nsurlsession_release(session);
}

/* A task needs no reference once it was resumed, and its session neither. */
TEST(a_running_task_needs_no_references)
{
    const char *name = unique("alone");
    struct completion *completion = completion_new();
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url(test_format("/hold?name=%s", name)), record_completion, completion);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
    control(test_format("/waiting?name=%s", name));
    control(test_format("/release?name=%s", name));
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, "released\n");
}

/* ---- Cancelling at any moment -------------------------------------------------------------- */

enum moment {
    NEVER_RESUMED,
    BEHIND_THE_LIMIT,
    CONNECTING,
    TLS_HANDSHAKE,
    WAITING_FOR_HEADERS,
    WITHIN_HEADERS,
    WITHIN_BODY,
    SUSPENDED_WITHIN_BODY,
    UPLOADING,
    REDIRECT_IS_ASKED,
    COMPLETED,
};

struct moment_row {
    const char *name;
    enum moment moment;
};

static const struct moment_row moments[] = {
    {"never_resumed", NEVER_RESUMED},
    {"behind_the_limit", BEHIND_THE_LIMIT},
    {"connecting", CONNECTING},
    {"tls_handshake", TLS_HANDSHAKE},
    {"waiting_for_headers", WAITING_FOR_HEADERS},
    {"within_headers", WITHIN_HEADERS},
    {"within_body", WITHIN_BODY},
    {"suspended_within_body", SUSPENDED_WITHIN_BODY},
    {"uploading", UPLOADING},
    {"redirect_is_asked", REDIRECT_IS_ASKED},
    {"completed", COMPLETED},
};

/* Whether the kernel knows a connection to `port` of 127.0.0.1 in a state of its tcp_states.h. */
static bool has_connection(unsigned port, unsigned state)
{
    FILE *file = fopen("/proc/self/net/tcp", "re");
    CHECK(file != NULL);
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned remote_port, line_state;
        if (sscanf(line, "%*d: %*x:%*x %*x:%x %x", &remote_port, &line_state) == 2)
            found = remote_port == port && line_state == state;
    }
    fclose(file);
    return found;
}

struct attempt {
    enum moment moment;
    struct recorder *recorder;
    nsurlsession_t *session;
    nsurlsession_task_t *task;
    nsurlsession_task_t *blocker; /* occupies the only connection */
    struct completion *completion; /* NULL: the delegate's callbacks */
    const char *tag;
    unsigned port;
    bool asked; /* the redirect method was called */
};

static nsurlsession_task_t *make_task(struct attempt *attempt, const char *url)
{
    if (attempt->moment == UPLOADING)
        return task_with_body(attempt->session, url, test_allocate(16 << 20), 16 << 20,
                              attempt->completion);
    if (attempt->completion)
        return nsurlsession_data_task_with_url_completion_handler(
            attempt->session, url, record_completion, attempt->completion);
    return nsurlsession_data_task_with_url(attempt->session, url);
}

static const char *url_for(struct attempt *attempt)
{
    const char *tag = attempt->tag;
    switch (attempt->moment) {
    case CONNECTING:
        attempt->port = (unsigned)atoi(control("/blackhole-port"));
        return test_format("http://127.0.0.1:%u/", attempt->port);
    case TLS_HANDSHAKE:
        attempt->port = (unsigned)atoi(control("/silent-port"));
        return test_format("https://127.0.0.1:%u/", attempt->port);
    case WAITING_FOR_HEADERS: return fault_url(test_format("/stall?at=accept&tag=%s", tag));
    case WITHIN_HEADERS: return fault_url(test_format("/stall?at=headers&tag=%s", tag));
    case WITHIN_BODY:
    case SUSPENDED_WITHIN_BODY:
        return fault_url(test_format("/stall?at=body&sends=1000&size=2000&tag=%s", tag));
    case UPLOADING: return fault_url(test_format("/holdsink?name=%s&after=64k&tag=%s", tag, tag));
    case REDIRECT_IS_ASKED: return fault_url("/redirect?to=/");
    default: return fault_url(test_format("/body?size=9&tag=%s", tag));
    }
}

/* Lets the task run until the moment has come. */
static void reach(struct attempt *attempt)
{
    const char *tag = attempt->tag;
    if (attempt->moment == NEVER_RESUMED)
        return;
    if (attempt->moment == BEHIND_THE_LIMIT) {
        attempt->blocker = nsurlsession_data_task_with_url(
            attempt->session, fault_url(test_format("/hold?name=%s", tag)));
        nsurlsession_task_resume(attempt->blocker);
        control(test_format("/waiting?name=%s", tag));
    }
    nsurlsession_task_resume(attempt->task);
    switch (attempt->moment) {
    case CONNECTING: EVENTUALLY(has_connection(attempt->port, 2)); break; /* SYN_SENT */
    case TLS_HANDSHAKE: EVENTUALLY(has_connection(attempt->port, 1)); break; /* ESTABLISHED */
    case WAITING_FOR_HEADERS:
    case WITHIN_HEADERS: control(test_format("/wait-arrived?tag=%s", tag)); break;
    case WITHIN_BODY:
    case SUSPENDED_WITHIN_BODY:
        EVENTUALLY(nsurlsession_task_count_of_bytes_received(attempt->task) == 1000);
        break;
    case UPLOADING: control(test_format("/received?tag=%s&n=65536", tag)); break;
    case REDIRECT_IS_ASKED: recorder_wait(attempt->recorder, CALLBACK_REDIRECT, 1); break;
    case COMPLETED:
        if (attempt->completion)
            completion_wait(attempt->completion);
        else
            recorder_wait(attempt->recorder, CALLBACK_COMPLETE, 1);
        break;
    default: break;
    }
    if (attempt->moment == SUSPENDED_WITHIN_BODY)
        nsurlsession_task_suspend(attempt->task);
}

static void cancel_at(enum moment moment, bool with_handler, bool invalidate)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    struct attempt attempt = {.moment = moment, .tag = unique("cancel")};
    attempt.recorder = recorder_new();
    recorder_script(attempt.recorder, {CALLBACK_REDIRECT, 1, ACTION_ANSWER_HELD, false, NULL});
    attempt.session = recorder_session(attempt.recorder, configuration, NULL);
    attempt.completion = with_handler ? completion_new() : NULL;
    attempt.task = make_task(&attempt, url_for(&attempt));
    uint64_t identifier = nsurlsession_task_identifier(attempt.task);
    reach(&attempt);

    if (invalidate) {
        elsewhere(invalidate_it, attempt.session);
    } else {
        pthread_t other;
        CHECK_EQ_INT(pthread_create(&other, NULL, cancel_it, attempt.task), 0);
        nsurlsession_task_cancel(attempt.task);
        pthread_join(other, NULL);
        nsurlsession_task_resume(attempt.task);
    }
    if (with_handler)
        completion_wait(attempt.completion);
    else
        recorder_wait(attempt.recorder, CALLBACK_COMPLETE, 1);
    if (!invalidate && moment != COMPLETED)
        nsurlsession_task_cancel(attempt.task);
    if (moment == BEHIND_THE_LIMIT)
        control(test_format("/release?name=%s", attempt.tag));
    recorder_drop_answers(attempt.recorder);
    end_session(attempt.session, attempt.recorder);

    int64_t code = moment == COMPLETED ? 0 : NSURLSESSION_ERROR_CANCELLED;
    if (with_handler) {
        CHECK_EQ_INT(attempt.completion->calls, 1);
        CHECK_EQ_INT(attempt.completion->error_code, code);
        CHECK_EQ_STR(recorder_log(attempt.recorder, identifier),
                     moment == REDIRECT_IS_ASKED ? "create, redirect 302" : "create");
    } else {
        const char *before = moment == REDIRECT_IS_ASKED ? "redirect 302, "
                             : moment == WITHIN_BODY || moment == SUSPENDED_WITHIN_BODY
                                 ? "response 200, data 1000, "
                             : moment == COMPLETED ? "response 200, data 9, "
                                                   : "";
        const char *error = moment == COMPLETED ? "nil" : "-999";
        CHECK_EQ_STR(recorder_log(attempt.recorder, identifier),
                     test_format("create, %scomplete %s", before, error));
    }
    CHECK_EQ_INT(nsurlsession_task_state(attempt.task), NSURLSESSION_TASK_STATE_COMPLETED);
    if (moment == UPLOADING)
        control(test_format("/release?name=%s", attempt.tag));
    nsurlsession_release(attempt.task);
    nsurlsession_release(attempt.blocker);
    nsurlsession_release(configuration);
}

TEST_EACH(cancel, struct moment_row, moments)
{
    cancel_at(row->moment, true, false);
    cancel_at(row->moment, true, true);
    cancel_at(row->moment, false, false);
    cancel_at(row->moment, false, true);
}

/* The server learns of a cancellation: the connection is not left to itself. */
TEST(a_cancelled_transfer_is_not_read_to_its_end)
{
    const char *tag = unique("closed");
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url(test_format("/stall?at=body&sends=10&tag=%s", tag)), record_completion,
        completion);
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(task) == 10);
    nsurlsession_task_cancel(task);
    completion_wait(completion);
    control(test_format("/wait-closed?tag=%s", tag));
    nsurlsession_release(task);
    nsurlsession_release(session);
}

/* Cancels tasks from another thread while they run through all their stages. */
struct race {
    pthread_barrier_t barrier;
    nsurlsession_task_t *task;
    unsigned spins;
    bool over;
};

static void *cancel_in_rounds(void *context)
{
    struct race *race = context;
    for (;;) {
        pthread_barrier_wait(&race->barrier);
        if (race->over)
            return NULL;
        for (volatile unsigned spin = 0; spin < race->spins; spin = spin + 1)
            ;
        nsurlsession_task_cancel(race->task);
        pthread_barrier_wait(&race->barrier);
    }
}

TEST(cancel_races_with_everything)
{
    enum { ROUNDS = 150 };
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct race race = {.over = false};
    pthread_barrier_init(&race.barrier, NULL, 2);
    pthread_t canceller;
    CHECK_EQ_INT(pthread_create(&canceller, NULL, cancel_in_rounds, &race), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct completion *completion = completion_new();
        const char *url = fault_url("/redirect?to=%2Fbody%3Fsize%3D200000");
        race.task = round % 2 ? nsurlsession_data_task_with_url_completion_handler(
                                    session, url, record_completion, completion)
                              : nsurlsession_data_task_with_url(session, url);
        race.spins = round * round * 20;
        nsurlsession_task_resume(race.task);
        pthread_barrier_wait(&race.barrier);
        if (round % 2) {
            completion_wait(completion);
            CHECK(completion->error_code == 0 ||
                  completion->error_code == NSURLSESSION_ERROR_CANCELLED);
            CHECK(completion->error_code != 0 || completion->body_length == 200000);
        } else {
            recorder_wait(recorder, CALLBACK_COMPLETE, round / 2 + 1);
        }
        pthread_barrier_wait(&race.barrier);
        nsurlsession_release(race.task);
    }
    race.over = true;
    pthread_barrier_wait(&race.barrier);
    pthread_join(canceller, NULL);
    pthread_barrier_destroy(&race.barrier);
    end_session(session, recorder);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), ROUNDS / 2);
}

/* ---- The matrix: every callback, and what is done in it ------------------------------------ */

static void cancel_elsewhere(struct recorder *recorder, const struct call *call)
{
    elsewhere(cancel_it, call->task ? call->task : recorder->task);
}

static void invalidate_elsewhere(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    elsewhere(invalidate_it, call->session);
}

static void suspend_resume_elsewhere(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_t *task = call->task ? call->task : recorder->task;
    nsurlsession_task_suspend(task);
    elsewhere(resume_it, task);
}

static void suspend_from_session(struct recorder *recorder, const struct call *call)
{
    (void)call;
    nsurlsession_task_suspend(recorder->task);
    nsurlsession_task_cancel(recorder->task);
    nsurlsession_task_resume(recorder->task);
}

struct cell {
    const char *name;
    struct step step;
    const char *log; /* without "invalid nil, release" at its end */
};

#define ALL "create, redirect 302, response 200, data 1000, data 1000, complete nil"
#define TO_CREATE "create, complete -999"
#define TO_REDIRECT "create, redirect 302, complete -999"
#define TO_RESPONSE "create, redirect 302, response 200, complete -999"
#define TO_FIRST "create, redirect 302, response 200, data 1000, complete -999"
#define TO_LATER "create, redirect 302, response 200, data 1000, data 1000, complete -999"

/* What every callback of a task can do. `cut` is how it ends when that cancels. */
#define CELLS(prefix, kind, nth, cut)                                                              \
    {prefix "_cancel", {kind, nth, ACTION_CANCEL, false, NULL}, cut},                              \
        {prefix "_cancel_elsewhere", {kind, nth, ACTION_NONE, false, cancel_elsewhere}, cut},      \
        {prefix "_suspend_resume_later", {kind, nth, ACTION_SUSPEND_RESUME_LATER, false, NULL},    \
         ALL},                                                                                     \
        {prefix "_suspend_resume_inside",                                                          \
         {kind, nth, ACTION_NONE, false, suspend_resume_elsewhere}, ALL},                          \
        {prefix "_resume", {kind, nth, ACTION_RESUME, false, NULL}, ALL},                          \
        {prefix "_invalidate", {kind, nth, ACTION_INVALIDATE_AND_CANCEL, false, NULL}, cut},       \
        {prefix "_invalidate_elsewhere", {kind, nth, ACTION_NONE, false, invalidate_elsewhere},    \
         cut},                                                                                     \
        {prefix "_finish", {kind, nth, ACTION_FINISH_TASKS_AND_INVALIDATE, false, NULL}, ALL},     \
        {prefix "_release_session", {kind, nth, ACTION_RELEASE_SESSION, false, NULL}, ALL}

#define RELEASE_TASK(prefix, kind, nth)                                                            \
    {prefix "_release_task", {kind, nth, ACTION_RELEASE_TASK, false, NULL}, ALL}

/* What those can do that owe an answer. */
#define ANSWERS(prefix, kind, cut, refused)                                                        \
    {prefix "_answer_later", {kind, 1, ACTION_ANSWER_LATER, false, NULL}, ALL},                    \
        {prefix "_answer_twice", {kind, 1, ACTION_ANSWER_TWICE, false, NULL}, ALL},                \
        {prefix "_refuse", {kind, 1, ACTION_ANSWER_CANCEL, false, NULL}, refused},                 \
        {prefix "_never_answer", {kind, 1, ACTION_NEVER_ANSWER, false, NULL}, cut},                \
        {prefix "_release_answer_later", {kind, 1, ACTION_RELEASE_ANSWER_LATER, false, NULL}, cut}

static const struct cell cells[] = {
    CELLS("create", CALLBACK_CREATE, 1, TO_CREATE),
    CELLS("redirect", CALLBACK_REDIRECT, 1, TO_REDIRECT),
    RELEASE_TASK("redirect", CALLBACK_REDIRECT, 1),
    ANSWERS("redirect", CALLBACK_REDIRECT, TO_REDIRECT,
            "create, redirect 302, response 302, data 12, complete nil"),
    CELLS("response", CALLBACK_RESPONSE, 1, TO_RESPONSE),
    RELEASE_TASK("response", CALLBACK_RESPONSE, 1),
    ANSWERS("response", CALLBACK_RESPONSE, TO_RESPONSE, TO_RESPONSE),
    CELLS("first_data", CALLBACK_DATA, 1, TO_FIRST),
    RELEASE_TASK("first_data", CALLBACK_DATA, 1),
    CELLS("later_data", CALLBACK_DATA, 2, TO_LATER),
    RELEASE_TASK("later_data", CALLBACK_DATA, 2),
    CELLS("complete", CALLBACK_COMPLETE, 1, ALL),
    RELEASE_TASK("complete", CALLBACK_COMPLETE, 1),
    {"invalid_cancel_elsewhere", {CALLBACK_INVALID, 1, ACTION_NONE, false, cancel_elsewhere}, ALL},
    {"invalid_suspend_cancel_resume",
     {CALLBACK_INVALID, 1, ACTION_NONE, false, suspend_from_session}, ALL},
    {"invalid_invalidate", {CALLBACK_INVALID, 1, ACTION_INVALIDATE_AND_CANCEL, false, NULL}, ALL},
    {"invalid_finish", {CALLBACK_INVALID, 1, ACTION_FINISH_TASKS_AND_INVALIDATE, false, NULL}, ALL},
    {"invalid_release_session", {CALLBACK_INVALID, 1, ACTION_RELEASE_SESSION, false, NULL}, ALL},
    {"invalid_release_task", {CALLBACK_INVALID, 1, ACTION_RELEASE_TASK, false, NULL}, ALL},
};

/* Has the server send the second half of the body. */
static void send_the_rest(struct recorder *recorder, const struct call *call)
{
    (void)call;
    control(test_format("/release?name=%s", (const char *)recorder->user));
}

static const char *url_of_the_matrix(const char *name)
{
    return fault_url(test_format("/redirect?to=%%2Fholdbody%%3Fname%%3D%s%%26size%%3D2000", name));
}

TEST_EACH(matrix, struct cell, cells)
{
    struct recorder *recorder = recorder_new();
    recorder->user = (void *)(uintptr_t)unique("matrix");
    recorder_script(recorder, row->step, {CALLBACK_DATA, 1, ACTION_NONE, false, send_the_rest});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    recorder->session = session;
    recorder->task = nsurlsession_data_task_with_url(session, url_of_the_matrix(recorder->user));
    nsurlsession_task_resume(recorder->task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    if (row->step.action != ACTION_RELEASE_SESSION || row->step.at == CALLBACK_INVALID)
        nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    nsurlsession_release(recorder->task);
    nsurlsession_release(recorder->session);
}

/* The same for a task with a completion handler; `handler` is what happens in the handler. */
struct handler_cell {
    const char *name;
    struct step step;     /* in the session's delegate */
    enum action handler;  /* in the handler */
    bool in_handler;
    const char *log;      /* what the delegate saw before the handler was called */
    int64_t code;
};

#define REDIRECTED "create, redirect 302"

#define REDIRECT_CELL(name, action, hook, code)                                                    \
    {"redirect_" name, {CALLBACK_REDIRECT, 1, action, false, hook}, ACTION_NONE, false,            \
     REDIRECTED, code}
#define CREATE_CELL(name, action, hook, log, code)                                                 \
    {"create_" name, {CALLBACK_CREATE, 1, action, false, hook}, ACTION_NONE, false, log, code}
#define HANDLER_CELL(name, action)                                                                 \
    {"handler_" name, {CALLBACK_RELEASE, 0, ACTION_NONE, false, NULL}, action, true, REDIRECTED, 0}

static const struct handler_cell handler_cells[] = {
    CREATE_CELL("cancel", ACTION_CANCEL, NULL, "create", -999),
    CREATE_CELL("cancel_elsewhere", ACTION_NONE, cancel_elsewhere, "create", -999),
    CREATE_CELL("suspend_resume_later", ACTION_SUSPEND_RESUME_LATER, NULL, REDIRECTED, 0),
    CREATE_CELL("invalidate", ACTION_INVALIDATE_AND_CANCEL, NULL, "create", -999),
    CREATE_CELL("release_session", ACTION_RELEASE_SESSION, NULL, REDIRECTED, 0),
    REDIRECT_CELL("cancel", ACTION_CANCEL, NULL, -999),
    REDIRECT_CELL("cancel_elsewhere", ACTION_NONE, cancel_elsewhere, -999),
    REDIRECT_CELL("suspend_resume_later", ACTION_SUSPEND_RESUME_LATER, NULL, 0),
    REDIRECT_CELL("answer_later", ACTION_ANSWER_LATER, NULL, 0),
    REDIRECT_CELL("answer_twice", ACTION_ANSWER_TWICE, NULL, 0),
    REDIRECT_CELL("refuse", ACTION_ANSWER_CANCEL, NULL, 0),
    REDIRECT_CELL("never_answer", ACTION_NEVER_ANSWER, NULL, -999),
    REDIRECT_CELL("release_answer_later", ACTION_RELEASE_ANSWER_LATER, NULL, -999),
    REDIRECT_CELL("invalidate", ACTION_INVALIDATE_AND_CANCEL, NULL, -999),
    REDIRECT_CELL("finish", ACTION_FINISH_TASKS_AND_INVALIDATE, NULL, 0),
    REDIRECT_CELL("release_session", ACTION_RELEASE_SESSION, NULL, 0),
    REDIRECT_CELL("release_task", ACTION_RELEASE_TASK, NULL, 0),
    HANDLER_CELL("cancel", ACTION_CANCEL),
    HANDLER_CELL("suspend", ACTION_SUSPEND),
    HANDLER_CELL("resume", ACTION_RESUME),
    HANDLER_CELL("invalidate", ACTION_INVALIDATE_AND_CANCEL),
    HANDLER_CELL("finish", ACTION_FINISH_TASKS_AND_INVALIDATE),
    HANDLER_CELL("release_session", ACTION_RELEASE_SESSION),
    HANDLER_CELL("release_task", ACTION_RELEASE_TASK),
};

struct handled {
    struct recorder *recorder;
    struct completion *completion;
    const struct handler_cell *row;
    const char *log;
};

static void handle_completion(void *context, nsurlsession_data_t *data,
                              nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct handled *handled = context;
    struct recorder *recorder = handled->recorder;
    handled->log = recorder_log(recorder, 0);
    if (handled->row->in_handler)
        CHECK_EQ_INT(nsurlsession_task_state(recorder->task), NSURLSESSION_TASK_STATE_COMPLETED);
    switch (handled->row->handler) {
    case ACTION_CANCEL: elsewhere(cancel_it, recorder->task); break;
    case ACTION_SUSPEND: nsurlsession_task_suspend(recorder->task); break;
    case ACTION_RESUME: nsurlsession_task_resume(recorder->task); break;
    case ACTION_INVALIDATE_AND_CANCEL: nsurlsession_invalidate_and_cancel(recorder->session); break;
    case ACTION_FINISH_TASKS_AND_INVALIDATE:
        nsurlsession_finish_tasks_and_invalidate(recorder->session);
        break;
    case ACTION_RELEASE_SESSION: nsurlsession_release(recorder->session); break;
    case ACTION_RELEASE_TASK: nsurlsession_release(recorder->task); break;
    default: break;
    }
    /* The arguments live on, whatever was released. */
    record_completion(handled->completion, data, response, error);
}

TEST_EACH(handler_matrix, struct handler_cell, handler_cells)
{
    struct recorder *recorder = recorder_new();
    recorder->user = (void *)(uintptr_t)unique("handler");
    struct handled handled = {
        .recorder = recorder, .completion = completion_new(), .row = row};
    recorder_script(recorder, row->step);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    recorder->session = session;
    recorder->task = nsurlsession_data_task_with_url_completion_handler(
        session, url_of_the_matrix(recorder->user), handle_completion, &handled);
    control(test_format("/release?name=%s", (const char *)recorder->user));
    nsurlsession_task_resume(recorder->task);
    completion_wait(handled.completion);
    CHECK_EQ_STR(handled.log, row->log);
    CHECK_EQ_INT(handled.completion->error_code, row->code);
    bool released_session = row->handler == ACTION_RELEASE_SESSION ||
                            row->step.action == ACTION_RELEASE_SESSION;
    if (!released_session)
        nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_INT(handled.completion->calls, 1);
    if (row->handler != ACTION_RELEASE_TASK)
        nsurlsession_release(recorder->task);
    if (!released_session)
        nsurlsession_release(session);
}
