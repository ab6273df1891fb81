/* The shortest way through everything: value objects, a completion handler, a delegate. */
#include "recorder.h"

TEST(version)
{
    CHECK_EQ_INT(nsurlsession_version(), NSURLSESSION_VERSION_NUMBER);
    CHECK(nsurlsession_version_string() != NULL);
}

TEST(values)
{
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("abc", 3);
    CHECK_EQ_BYTES(nsurlsession_data_bytes(data), nsurlsession_data_length(data), "abc", 3);

    nsurlsession_dictionary_t *fields = nsurlsession_dictionary_new();
    nsurlsession_string_t *value = nsurlsession_string_with_utf8_string("text/plain");
    nsurlsession_dictionary_set_object_for_key(fields, value, "Content-Type");
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 1);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(fields, 0), "Content-Type");

    nsurlsession_request_t *request = nsurlsession_request_with_url("http://example.com/a");
    nsurlsession_request_set_all_http_header_fields(request, fields);
    nsurlsession_request_t *copy = nsurlsession_copy(request);
    nsurlsession_request_set_http_method(request, "POST");
    nsurlsession_request_set_http_body(request, data);
    CHECK_EQ_STR(text_of(nsurlsession_request_url(copy)), "http://example.com/a");
    CHECK_EQ_STR(text_of(nsurlsession_request_http_method(copy)), "GET");
    CHECK_EQ_STR(text_of(nsurlsession_request_http_method(request)), "POST");
    CHECK_EQ_STR(text_of(nsurlsession_request_value_for_http_header_field(copy, "content-type")),
                 "text/plain");

    nsurlsession_release(copy);
    nsurlsession_release(request);
    nsurlsession_release(value);
    nsurlsession_release(fields);
    nsurlsession_release(data);
}

TEST(completion_handler)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);

    struct completion *completion = fetch(session, http_url("/hello.txt"));
    CHECK_EQ_INT(completion->error_code, 0);
    CHECK_EQ_INT(completion->status, 200);
    CHECK_EQ_STR(completion->body, "Hello, world!\n");

    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
}

TEST(delegate_on_a_queue_of_the_callers)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    recorder->stop_queue = queue;
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/64k.bin"));

    nsurlsession_task_resume(task);
    run_queue(queue);
    CHECK_LOG(recorder, "create, response 200, data 65536, complete nil");
    CHECK(recorder->pattern_holds);
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_COMPLETE, 1).thread, pthread_self()));

    nsurlsession_finish_tasks_and_invalidate(session);
    run_queue(queue);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);

    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

/* Each callback of a plain GET, and what a delegate does in it. */
struct row {
    const char *name;
    struct step step;
    const char *log;
};

static const struct row rows[] = {
    {"cancel_in_response", {CALLBACK_RESPONSE, 1, ACTION_CANCEL, false, NULL},
     "create, response 200, complete -999, invalid nil, release"},
    {"answer_cancel", {CALLBACK_RESPONSE, 1, ACTION_ANSWER_CANCEL, false, NULL},
     "create, response 200, complete -999, invalid nil, release"},
    {"never_answer", {CALLBACK_RESPONSE, 1, ACTION_NEVER_ANSWER, false, NULL},
     "create, response 200, complete -999, invalid nil, release"},
    {"answer_later", {CALLBACK_RESPONSE, 1, ACTION_ANSWER_LATER, false, NULL},
     "create, response 200, data 14, complete nil, invalid nil, release"},
    {"suspend_and_resume", {CALLBACK_DATA, 1, ACTION_SUSPEND_RESUME_LATER, false, NULL},
     "create, response 200, data 14, complete nil, invalid nil, release"},
    {"finish_in_complete", {CALLBACK_COMPLETE, 1, ACTION_FINISH_TASKS_AND_INVALIDATE, false, NULL},
     "create, response 200, data 14, complete nil, invalid nil, release"},
};

TEST_EACH(delegate, struct row, rows)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, row->step);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));

    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, row->log);

    nsurlsession_release(task);
    nsurlsession_release(session);
}
