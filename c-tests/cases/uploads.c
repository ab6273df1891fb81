/*
 * Upload tasks and bodies from files and streams: what arrives, what the delegate hears, and what
 * happens when a body has to be sent again.
 */
#include "load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct recorder *upload_recorder(void)
{
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_SENT | 1u << CALLBACK_NEED_STREAM;
    recorder->merge_data = true;
    return recorder;
}

/* A file of `length` bytes of the pattern in the temporary directory. */
static const char *pattern_file(size_t length)
{
    const char *path = test_format("%s/body-%zu", env_text("TMPDIR"), length);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(pattern_bytes(length), 1, length, file) == length);
    fclose(file);
    return path;
}

static const char *file_url(const char *path)
{
    return test_format("file://%s", path);
}

static void finish(struct recorder *recorder, nsurlsession_t *session, nsurlsession_task_t *task)
{
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

/* ---- From memory and from files -------------------------------------------------------------- */

struct size_row {
    const char *name;
    size_t size;
};
static const struct size_row sizes[] = {
    {"nothing", 0}, {"a_byte", 1}, {"64k", 65536}, {"5m", 5 << 20}};

static void expect_sink(struct recorder *recorder, size_t size)
{
    const char *answer = pattern_sink(size);
    CHECK_EQ_STR(recorder_text(recorder), answer);
    const char *sent = size ? test_format("sent %zu/%zu, ", size, size) : "";
    CHECK_LOG(recorder, test_format("create, %sresponse 200, data %zu, complete nil, invalid nil, "
                                    "release",
                                    sent, strlen(answer)));
}

TEST_EACH(data_arrives, struct size_row, sizes)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_data_t *data =
        nsurlsession_data_with_bytes_length(pattern_bytes(row->size), row->size);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_data(session, request, data);
    nsurlsession_release(request);
    nsurlsession_release(data);
    CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_UPLOAD);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(task), row->size);
    finish(recorder, session, task);
    expect_sink(recorder, row->size);
}

TEST_EACH(a_file_arrives, struct size_row, sizes)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request = request_for("PUT", fault_url("/sink"), NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file(
        session, request, file_url(pattern_file(row->size)));
    nsurlsession_release(request);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(task), row->size);
    finish(recorder, session, task);
    expect_sink(recorder, row->size);
}

TEST(a_file_is_sent_with_its_length_and_instead_of_the_body)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        with_body(request_for("PUT", fault_url("/echo"), "X-A", "1", NULL), "ignored", 7);
    /* A plain path will do. */
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_file(session, request, pattern_file(10));
    nsurlsession_release(request);
    finish(recorder, session, task);
    const char *echo = recorder_text(recorder);
    CHECK_EQ_STR(first_line(echo), "PUT /echo HTTP/1.1");
    CHECK_EQ_STR(echoed(echo, "Content-Length"), "10");
    CHECK_EQ_STR(echoed(echo, "X-A"), "1");
    CHECK_EQ_INT(echoed_count(echo, "Transfer-Encoding"), 0);
    CHECK_EQ_INT(echoed_count(echo, "Expect"), 0);
    CHECK_EQ_BYTES(echoed_body(echo), 10, pattern_bytes(10), 10);
}

struct handled {
    struct latch done;
    const char *body;
    int64_t status, error;
};

static void handle(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                   nsurlsession_error_t *error)
{
    struct handled *handled = context;
    handled->body = data ? text_of_data(data) : NULL;
    handled->status = nsurlsession_response_status_code(response);
    handled->error = error ? nsurlsession_error_code(error) : 0;
    latch_count_down(&handled->done);
}

TEST(handlers_get_the_answer)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(pattern_bytes(100), 100);
    struct handled from_data = {.done = LATCH(1)}, from_file = {.done = LATCH(1)};
    nsurlsession_task_t *first = nsurlsession_upload_task_with_request_from_data_completion_handler(
        session, request, data, handle, &from_data);
    nsurlsession_task_t *second = nsurlsession_upload_task_with_request_from_file_completion_handler(
        session, request, file_url(pattern_file(200)), handle, &from_file);
    nsurlsession_task_resume(first);
    nsurlsession_task_resume(second);
    latch_wait(&from_data.done);
    latch_wait(&from_file.done);
    CHECK_EQ_INT(from_data.status, 200);
    CHECK_EQ_STR(from_data.body, pattern_sink(100));
    CHECK_EQ_STR(from_file.body, pattern_sink(200));
    nsurlsession_release(first);
    nsurlsession_release(second);
    nsurlsession_release(data);
    nsurlsession_release(request);
    session_end(session);
}

/* ---- Files that are none --------------------------------------------------------------------- */

static int64_t error_for_file(const char *url)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("PUT", fault_url("/sink"), NULL);
    struct handled handled = {.done = LATCH(1)};
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file_completion_handler(
        session, request, url, handle, &handled);
    nsurlsession_task_resume(task);
    latch_wait(&handled.done);
    nsurlsession_release(task);
    nsurlsession_release(request);
    session_end(session);
    return handled.error;
}

TEST(files_that_cannot_be_sent)
{
    const char *directory = env_text("TMPDIR");
    CHECK_EQ_INT(error_for_file(file_url(test_format("%s/none", directory))),
                 NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST);
    CHECK_EQ_INT(error_for_file(file_url(directory)), NSURLSESSION_ERROR_FILE_IS_DIRECTORY);
    CHECK_EQ_INT(error_for_file("file:///dev/null"), NSURLSESSION_ERROR_CANNOT_OPEN_FILE);
    CHECK_EQ_INT(error_for_file("http://host/file"), NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST);
    CHECK_EQ_INT(error_for_file(NULL), NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST);
    CHECK_EQ_INT(error_for_file("\xff"), NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST);
}

/* The server holds the body up in its middle; the file is changed; the server goes on. */
TEST(a_file_that_is_changed_meanwhile)
{
    const char *path = pattern_file(16 << 20);
    const char *name = unique_name();
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        request_for("PUT", fault_url(test_format("/holdsink?name=%s&after=100000", name)), NULL);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_file(session, request, path);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    control(test_format("/waiting?name=%s", name));
    CHECK_EQ_INT(truncate(path, 12 << 20), 0);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                 NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED);
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    CHECK_CONTAINS(nsurlsession_error_localized_failure_reason(error),
                   "shrank from 16777216 to 12582912 bytes");
    nsurlsession_release(error);
    nsurlsession_release(task);
    session_end(session);
}

TEST(a_body_with_get)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load_with_body = load(session, with_body(request_for("GET", fault_url("/echo"), NULL), "x", 1));
    CHECK_EQ_INT(nsurlsession_error_code(load_with_body->error),
                 NSURLSESSION_ERROR_DATA_LENGTH_EXCEEDS_MAXIMUM);
    session_end(session);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static nsurlsession_input_stream_t *stream_of_bytes(size_t length)
{
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(pattern_bytes(length), length);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_data(data);
    nsurlsession_release(data);
    return stream;
}

static nsurlsession_input_stream_t *stream_for_upload(struct recorder *recorder,
                                                      const struct call *call)
{
    (void)call;
    return stream_of_bytes(*(size_t *)recorder->user);
}

TEST_EACH(a_streamed_request_asks_for_its_body, struct size_row, sizes)
{
    struct recorder *recorder = upload_recorder();
    size_t size = row->size;
    recorder->user = &size;
    recorder->stream_for = stream_for_upload;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_streamed_request(session, request);
    nsurlsession_release(request);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(task), -1);
    finish(recorder, session, task);
    const char *answer = pattern_sink(size);
    CHECK_EQ_STR(recorder_text(recorder), answer);
    const char *sent = size ? test_format("sent %zu/-1, ", size) : "";
    CHECK_LOG(recorder, test_format("create, need stream, %sresponse 200, data %zu, complete nil, "
                                    "invalid nil, release",
                                    sent, strlen(answer)));
}

TEST(a_streamed_request_without_a_stream)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    finish(recorder, session, nsurlsession_upload_task_with_streamed_request(session, request));
    CHECK_LOG(recorder, "create, need stream, complete -1021, invalid nil, release");

    recorder = upload_recorder();
    recorder->with = 0;
    session = recorder_session(recorder, NULL, NULL);
    finish(recorder, session, nsurlsession_upload_task_with_streamed_request(session, request));
    CHECK_LOG(recorder, "create, complete -1021, invalid nil, release");
    nsurlsession_release(request);
}

TEST(a_stream_is_sent_in_chunks_or_with_the_length_that_was_given)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/echo"), NULL);
    nsurlsession_input_stream_t *stream = stream_of_bytes(1000);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    const char *echo = load_text(session, request);
    CHECK_EQ_STR(echoed(echo, "Transfer-Encoding"), "chunked");
    CHECK_EQ_INT(echoed_count(echo, "Content-Length"), 0);
    CHECK_EQ_BYTES(echoed_body(echo), 1000, pattern_bytes(1000), 1000);

    request = request_for("POST", fault_url("/echo"), "Content-Length", "1000", NULL);
    stream = stream_of_bytes(1000);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    echo = load_text(session, request);
    CHECK_EQ_STR(echoed(echo, "Content-Length"), "1000");
    CHECK_EQ_INT(echoed_count(echo, "Transfer-Encoding"), 0);
    session_end(session);
}

TEST(a_request_has_a_body_or_a_stream)
{
    nsurlsession_request_t *request = with_body(request_for("POST", "http://a/", NULL), "x", 1);
    nsurlsession_input_stream_t *stream = stream_of_bytes(10);
    nsurlsession_request_set_http_body_stream(request, stream);
    CHECK(nsurlsession_request_http_body(request) == NULL);
    nsurlsession_input_stream_t *again = nsurlsession_request_http_body_stream(request);
    CHECK(again == stream);
    nsurlsession_release(again);
    nsurlsession_request_t *copy = nsurlsession_copy(request);
    again = nsurlsession_request_http_body_stream(copy);
    CHECK(again == stream && nsurlsession_is_equal(request, copy));
    nsurlsession_release(again);
    with_body(request, "y", 1);
    CHECK(nsurlsession_request_http_body_stream(request) == NULL);
    CHECK(!nsurlsession_is_equal(request, copy));
    nsurlsession_request_set_http_body_stream(copy, NULL);
    CHECK(nsurlsession_request_http_body_stream(copy) == NULL);
    CHECK(nsurlsession_request_http_body_stream(NULL) == NULL);
    nsurlsession_request_set_http_body_stream(NULL, stream);
    nsurlsession_release(stream);
    nsurlsession_release(copy);
    nsurlsession_release(request);
}

/* ---- Sending again --------------------------------------------------------------------------- */

struct redirect_row {
    const char *name;
    int code;
    const char *log;
};
static const struct redirect_row redirects[] = {
    {"307", 307, "create, need stream, sent 70000/-1, redirect 307, need stream, sent 70000/-1, response 200, data 24, complete nil"},
    {"308", 308, "create, need stream, sent 70000/-1, redirect 308, need stream, sent 70000/-1, response 200, data 24, complete nil"},
    {"303", 303, "create, need stream, sent 70000/-1, redirect 303, response 200, data 14, complete nil"},
};

TEST_EACH(a_redirect_asks_for_the_body_again, struct redirect_row, redirects)
{
    struct recorder *recorder = upload_recorder();
    size_t size = 70000;
    recorder->user = &size;
    recorder->stream_for = stream_for_upload;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request = request_for(
        "POST", fault_url(test_format("/redirect?code=%d&to=/sink", row->code)), NULL);
    finish(recorder, session, nsurlsession_upload_task_with_streamed_request(session, request));
    nsurlsession_release(request);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_STR(recorder_text(recorder), pattern_sink(row->code == 303 ? 0 : size));
}

TEST(a_redirect_repeats_a_file_by_itself)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        request_for("PUT", fault_url("/redirect?code=307&to=/sink"), NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file(
        session, request, pattern_file(70000));
    nsurlsession_release(request);
    finish(recorder, session, task);
    CHECK_LOG(recorder, "create, sent 70000/70000, redirect 307, sent 70000/70000, response 200, "
                        "data 24, complete nil, invalid nil, release");
    CHECK_EQ_STR(recorder_text(recorder), pattern_sink(70000));
}

/* The second request on a connection finds it closed: its body is sent again on another one. */
static void on_a_lost_connection(struct recorder *recorder,
                                 nsurlsession_task_t *(*make)(nsurlsession_t *session,
                                                              const nsurlsession_request_t *request))
{
    const char *name = unique_name();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *url = fault_url(test_format("/reuse-reset?name=%s&times=1", name));
    CHECK_EQ_STR(fetch(session, url)->body, "attempt 1\n");
    nsurlsession_request_t *request = request_for("PUT", url, NULL);
    nsurlsession_task_t *task = make(session, request);
    nsurlsession_release(request);
    finish(recorder, session, task);
    CHECK_EQ_STR(control(test_format("/attempts?name=%s", name)), "3");
    CHECK_EQ_STR(recorder_text(recorder), "attempt 3\n");
}

static nsurlsession_task_t *upload_file(nsurlsession_t *session,
                                        const nsurlsession_request_t *request)
{
    return nsurlsession_upload_task_with_request_from_file(session, request, pattern_file(5000));
}

TEST(a_file_is_sent_again_when_the_connection_was_lost)
{
    on_a_lost_connection(upload_recorder(), upload_file);
}

TEST(a_stream_is_asked_for_again_when_the_connection_was_lost)
{
    struct recorder *recorder = upload_recorder();
    size_t size = 5000;
    recorder->user = &size;
    recorder->stream_for = stream_for_upload;
    on_a_lost_connection(recorder, nsurlsession_upload_task_with_streamed_request);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_NEED_STREAM), 2);
}

/* ---- Producers that are slow ----------------------------------------------------------------- */

struct producer {
    pthread_mutex_t mutex;
    size_t available, given, total;
    unsigned opened, closed, not_now;
    struct latch asked, released;
};

static int64_t produce(void *context, uint8_t *buffer, size_t max_length)
{
    struct producer *producer = context;
    pthread_mutex_lock(&producer->mutex);
    size_t count = producer->available - producer->given;
    if (count > max_length)
        count = max_length;
    if (count > 0)
        memcpy(buffer, pattern_bytes(producer->total) + producer->given, count);
    producer->given += count;
    int64_t result = (int64_t)count;
    if (count == 0 && producer->given < producer->total) {
        result = NSURLSESSION_STREAM_READ_NOT_NOW;
        if (producer->not_now++ == 0)
            latch_count_down(&producer->asked);
    }
    pthread_mutex_unlock(&producer->mutex);
    return result;
}

static bool open_producer(void *context, nsurlsession_input_stream_t *stream)
{
    (void)stream;
    ((struct producer *)context)->opened++;
    return true;
}

static void close_producer(void *context)
{
    ((struct producer *)context)->closed++;
}

static void release_producer(void *context)
{
    latch_count_down(&((struct producer *)context)->released);
}

static nsurlsession_input_stream_t *stream_of(struct producer *producer)
{
    nsurlsession_input_stream_source_t source = {
        .struct_size = sizeof source,
        .context = producer,
        .release = release_producer,
        .read = produce,
        .open = open_producer,
        .close = close_producer,
    };
    return nsurlsession_input_stream_with_source(&source);
}

/* While one producer has nothing, other tasks go on; when it has, its own does. */
TEST(a_slow_producer_holds_nobody_up)
{
    struct producer producer = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                .total = 30000,
                                .asked = LATCH(1),
                                .released = LATCH(1)};
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_input_stream_t *stream = stream_of(&producer);
    nsurlsession_request_set_http_body_stream(request, stream);
    struct load *slow = load_start(session, request);
    latch_wait(&producer.asked);
    for (unsigned step = 1; step <= 3; step++) {
        CHECK_EQ_STR(get_text(session, fault_url("/body?size=0")), "");
        CHECK(!latch_is_open(&slow->completion->done));
        pthread_mutex_lock(&producer.mutex);
        producer.available = step * 10000;
        pthread_mutex_unlock(&producer.mutex);
        nsurlsession_input_stream_signal(stream);
    }
    load_wait(slow);
    CHECK_EQ_STR(load_body(slow, 200), pattern_sink(30000));
    nsurlsession_release(stream);
    nsurlsession_release(slow->task);
    session_end(session);
    latch_wait(&producer.released);
    CHECK_EQ_INT(producer.opened, 1);
    CHECK_EQ_INT(producer.closed, 1);
}

static void *write_pattern(void *context)
{
    nsurlsession_output_stream_t *output = context;
    nsurlsession_io_stream_open(output);
    const uint8_t *bytes = pattern_bytes(1000000);
    for (size_t written = 0; written < 1000000;) {
        int64_t count =
            nsurlsession_output_stream_write_max_length(output, bytes + written, 1000000 - written);
        CHECK(count > 0);
        written += (size_t)count;
    }
    nsurlsession_io_stream_close(output);
    nsurlsession_release(output);
    return NULL;
}

TEST(a_bound_pair_carries_a_body)
{
    nsurlsession_input_stream_t *input = NULL;
    nsurlsession_output_stream_t *output = NULL;
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        4096, &input, &output);
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_request_set_http_body_stream(request, input);
    nsurlsession_release(input);
    test_thread(write_pattern, output);
    CHECK_EQ_STR(load_text(session, request), pattern_sink(1000000));
    session_end(session);
}

static void *write_for_ever(void *context)
{
    nsurlsession_output_stream_t *output = context;
    nsurlsession_io_stream_open(output);
    while (nsurlsession_output_stream_write_max_length(output, pattern_bytes(1000), 1000) > 0)
        continue;
    CHECK_EQ_INT(nsurlsession_io_stream_stream_status(output), NSURLSESSION_STREAM_STATUS_ERROR);
    nsurlsession_release(output);
    return NULL;
}

TEST(cancelling_ends_the_writer)
{
    nsurlsession_input_stream_t *input = NULL;
    nsurlsession_output_stream_t *output = NULL;
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        4096, &input, &output);
    const char *name = unique_name();
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request =
        request_for("POST", fault_url(test_format("/holdsink?name=%s&after=1000", name)), NULL);
    nsurlsession_request_set_http_body_stream(request, input);
    nsurlsession_release(input);
    test_thread(write_for_ever, output);
    struct load *started = load_start(session, request);
    control(test_format("/waiting?name=%s", name));
    nsurlsession_task_cancel(started->task);
    load_wait(started);
    CHECK_EQ_INT(nsurlsession_error_code(started->error), NSURLSESSION_ERROR_CANCELLED);
    session_end(session);
    control(test_format("/release?name=%s", name));
}

static int64_t fail_to_produce(void *context, uint8_t *buffer, size_t max_length)
{
    (void)context, (void)buffer, (void)max_length;
    return NSURLSESSION_STREAM_READ_ERROR;
}

TEST(a_producer_that_fails)
{
    nsurlsession_input_stream_source_t source = {.struct_size = sizeof source,
                                                 .read = fail_to_produce};
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_source(&source);
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    struct load *failed = load(session, request);
    CHECK_EQ_INT(nsurlsession_error_code(failed->error),
                 NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED);
    session_end(session);
}

/* ---- Early answers --------------------------------------------------------------------------- */

TEST(an_answer_that_comes_before_the_body_was_sent)
{
    const char *path = pattern_file(8 << 20);
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("PUT", fault_url("/early?code=413"), NULL);
    struct handled handled = {.done = LATCH(1)};
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file_completion_handler(
        session, request, path, handle, &handled);
    nsurlsession_task_resume(task);
    latch_wait(&handled.done);
    CHECK_EQ_INT(handled.status, 413);
    CHECK_EQ_STR(handled.body, "early\n");
    nsurlsession_release(task);
    nsurlsession_release(request);
    session_end(session);
}

/*
 * The server does not want the body, which it was asked about. It is asked once. (On a connection
 * that stays open, libcurl does not pass on the body of such an answer.)
 */
static void check_417(const char *method)
{
    struct recorder *recorder = upload_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        request_for(method, fault_url("/early?code=417&keep=1"), "Expect", "100-continue", NULL);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("body", 4);
    nsurlsession_task_t *task =
        nsurlsession_upload_task_with_request_from_data(session, request, data);
    nsurlsession_release(data);
    nsurlsession_release(request);
    finish(recorder, session, task);
    CHECK_LOG(recorder, "create, response 417, complete nil, invalid nil, release");
}

TEST(an_expectation_that_fails_is_an_answer)
{
    check_417("PUT");
    check_417("POST");
}

TEST(a_stream_that_ends_before_its_length)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request =
        request_for("POST", fault_url("/sink"), "Content-Length", "5000", NULL);
    nsurlsession_input_stream_t *stream = stream_of_bytes(3000);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    struct load *failed = load(session, request);
    CHECK_EQ_INT(nsurlsession_error_code(failed->error),
                 NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED);
    session_end(session);
}

/* ---- HTTP/2 ---------------------------------------------------------------------------------- */

TEST(files_and_streams_over_http_2)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("PUT", tls_h2_url("/echo"), NULL);
    struct handled handled = {.done = LATCH(1)};
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file_completion_handler(
        session, request, pattern_file(50000), handle, &handled);
    nsurlsession_task_resume(task);
    latch_wait(&handled.done);
    CHECK_EQ_INT(handled.status, 200);
    CHECK_EQ_STR(line_value(handled.body, "protocol"), "HTTP/2.0");
    CHECK_EQ_STR(line_value(handled.body, "content-length"), "50000");
    nsurlsession_release(task);
    nsurlsession_input_stream_t *stream = stream_of_bytes(50000);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    const char *echo = load_text(session, request);
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/2.0");
    CHECK_EQ_STR(line_value(echo, "content-length"), "");
    session_end(session);
}
