/*
 * Uploads that go on where an earlier one was, by the IETF's draft of resumable uploads.
 */
#include "resume.h"

#include <sys/stat.h>
#include <unistd.h>

#define SIZE 3000000
#define CUT 1000000

static const char *body_file(void)
{
    const char *path = test_format("%s/body", env_text("TMPDIR"));
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(pattern_bytes(SIZE), 1, SIZE, file) == SIZE);
    fclose(file);
    return path;
}

/* An upload whose connection is reset in its middle; returns what it left. */
static nsurlsession_data_t *first_part(const char *path, const char *query, const char *file)
{
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_INFORMATIONAL;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        request_for("PUT", fault_url(test_format("%s?%s&cut=%d", path, query, CUT)), "X-A", "1", NULL);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_file(session, request, file);
    nsurlsession_release(request);
    return finish(recorder, session, task);
}

TEST(an_upload_goes_on)
{
    const char *name = unique_name();
    nsurlsession_data_t *data =
        first_part("/resumable", test_format("name=%s", name), body_file());
    CHECK(data != NULL);
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_SENT;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_resume_data(session, data);
    CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_UPLOAD);
    nsurlsession_release(data);
    CHECK(finish(recorder, session, task) == NULL);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(recorder_text(recorder), pattern_sink(SIZE));
    CHECK_LOG(recorder, test_format("create, sent %d/%d, response 200, data %zu, complete nil, "
                                    "invalid nil, release",
                                    SIZE - CUT, SIZE - CUT, strlen(pattern_sink(SIZE))));
    CHECK_EQ_STR(control(test_format("/resumable-log?name=%s", name)),
                 test_format("PUT version [3] incomplete [?0] offset [] length [%d]\n"
                             "HEAD version [3] incomplete [] offset [] length []\n"
                             "PATCH version [3] incomplete [?0] offset [%d] length [%d]",
                             SIZE, CUT, SIZE - CUT));
}

TEST(an_upload_goes_on_twice_and_ends_in_a_handler)
{
    const char *name = unique_name();
    nsurlsession_data_t *data =
        first_part("/resumable", test_format("name=%s&cut_times=2", name), body_file());
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_data_t *again =
        finish(recorder, session, nsurlsession_upload_task_with_resume_data(session, data));
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value, -1005);
    CHECK(again != NULL);
    nsurlsession_release(data);
    session = session_for(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_upload_task_with_resume_data_completion_handler(
        session, again, record_completion, completion);
    nsurlsession_release(again);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, pattern_sink(SIZE));
    nsurlsession_release(task);
    session_end(session);
}

struct taken {
    struct latch done;
    nsurlsession_data_t *data;
};

static void take(void *context, nsurlsession_data_t *resume_data)
{
    struct taken *taken = context;
    taken->data = nsurlsession_retain(resume_data);
    latch_count_down(&taken->done);
}

TEST(without_the_servers_word_there_is_nothing_to_resume)
{
    const char *name = unique_name();
    CHECK(first_part("/resumable", test_format("name=%s&silent=1", name), body_file()) == NULL);
    CHECK(first_part("/resumable",
                     test_format("name=%s&location=http://elsewhere/", unique_name()),
                     body_file()) == NULL);
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("PUT", held_url(), NULL);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_file(session, request, body_file());
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    wait_until_held(1);
    struct taken taken = {.done = LATCH(1)};
    nsurlsession_upload_task_cancel_by_producing_resume_data(task, take, &taken);
    latch_wait(&taken.done);
    CHECK(taken.data == NULL);
    nsurlsession_release(task);
    session_end(session);
}

TEST(cancelling_produces_resume_data)
{
    const char *name = unique_name();
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_INFORMATIONAL;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        request_for("PUT", fault_url(test_format("/resumable?name=%s&tag=%s", name, name)), NULL);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_file(session, request, body_file());
    nsurlsession_release(request);
    /* The answer to the 104 holds nothing up: suspend the task as soon as it is there. */
    recorder_script(recorder, {CALLBACK_INFORMATIONAL, 1, ACTION_SUSPEND, false, NULL});
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_INFORMATIONAL, 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_INFORMATIONAL, 1).value, 104);
    struct taken taken = {.done = LATCH(1)};
    nsurlsession_upload_task_cancel_by_producing_resume_data(task, take, &taken);
    latch_wait(&taken.done);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    if (taken.data) {
        nsurlsession_data_t *in_error = resume_data_of(task);
        CHECK(nsurlsession_is_equal(in_error, taken.data));
        nsurlsession_release(in_error);
        nsurlsession_t *second = session_for(NULL);
        struct completion *completion = completion_new();
        nsurlsession_task_t *resumed =
            nsurlsession_upload_task_with_resume_data_completion_handler(
                second, taken.data, record_completion, completion);
        nsurlsession_task_resume(resumed);
        completion_wait(completion);
        CHECK_EQ_STR(completion->body, pattern_sink(SIZE));
        nsurlsession_release(resumed);
        session_end(second);
    } else {
        /* All was sent and answered before. */
        nsurlsession_response_t *response = nsurlsession_task_response(task);
        CHECK(response != NULL);
        nsurlsession_release(response);
    }
    nsurlsession_release(taken.data);
    nsurlsession_release(task);
    session_end(session);
}

struct refusal {
    const char *name, *query;
    int64_t code;
};
static const struct refusal refusals[] = {
    {"gone", "head=404", NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE},
    {"beyond_the_end", "offset=3000001", NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE},
    {"garbage", "offset=lots", NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE},
};

TEST_EACH(a_server_that_cannot_go_on, struct refusal, refusals)
{
    nsurlsession_data_t *data = first_part(
        "/resumable", test_format("name=%s&%s", unique_name(), row->query), body_file());
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_release(finish(recorder, session, nsurlsession_upload_task_with_resume_data(session, data)));
    nsurlsession_release(data);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value, row->code);
}

TEST(a_file_that_was_changed_is_not_gone_on_with)
{
    const char *path = body_file();
    nsurlsession_data_t *data =
        first_part("/resumable", test_format("name=%s", unique_name()), path);
    CHECK_EQ_INT(truncate(path, SIZE - 1), 0);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_release(finish(recorder, session, nsurlsession_upload_task_with_resume_data(session, data)));
    nsurlsession_release(data);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, complete -1021, invalid nil, release");
}

static nsurlsession_input_stream_t *stream_from(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    size_t offset = (size_t)call->more;
    nsurlsession_data_t *data =
        nsurlsession_data_with_bytes_length(pattern_bytes(SIZE) + offset, SIZE - offset);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_data(data);
    nsurlsession_release(data);
    return stream;
}

TEST(a_stream_goes_on_from_its_offset)
{
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_NEED_STREAM;
    recorder->stream_for = stream_from;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request = request_for(
        "POST", fault_url(test_format("/resumable?name=%s&cut=%d", unique_name(), CUT)), NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_streamed_request(session, request);
    nsurlsession_release(request);
    nsurlsession_data_t *data = finish(recorder, session, task);
    CHECK(data != NULL);
    recorder = recorder_new();
    recorder->with = 1u << CALLBACK_NEED_STREAM;
    recorder->stream_for = stream_from;
    session = recorder_session(recorder, NULL, NULL);
    CHECK(finish(recorder, session, nsurlsession_upload_task_with_resume_data(session, data)) == NULL);
    nsurlsession_release(data);
    CHECK_EQ_STR(recorder_text(recorder), pattern_sink(SIZE));
    CHECK_CONTAINS(recorder_log(recorder, 0), test_format("need stream from %d", CUT));
}

TEST(what_is_no_resume_data)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("garbage", 7);
    CHECK(nsurlsession_upload_task_with_resume_data(session, data) == NULL);
    CHECK(nsurlsession_upload_task_with_resume_data(session, NULL) == NULL);
    CHECK(nsurlsession_upload_task_with_resume_data(NULL, data) == NULL);
    nsurlsession_release(data);
    session_end(session);
}
