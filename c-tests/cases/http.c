/* HTTP: requests as they arrive, responses as they are delivered, and connections. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "load.h"

/* ---- Methods ------------------------------------------------------------------------------- */

struct method_row {
    const char *name;
    const char *method;
    const char *body;
    /* Content-Length as it arrives; NULL: none. */
    const char *length;
    const char *type;
};

/* RFC 9110, 8.6: a method that anticipates content announces even that there is none. */
static const struct method_row method_rows[] = {
    {"get", "GET", NULL, NULL, NULL},
    {"post", "POST", NULL, "0", NULL},
    {"post_empty_body", "POST", "", "0", "application/x-www-form-urlencoded"},
    {"post_body", "POST", "a=1&b=2", "7", "application/x-www-form-urlencoded"},
    {"put", "PUT", NULL, "0", NULL},
    {"put_body", "PUT", "new content", "11", NULL},
    {"patch", "PATCH", NULL, "0", NULL},
    {"patch_body", "PATCH", "+x", "2", NULL},
    {"delete", "DELETE", NULL, NULL, NULL},
    {"delete_body", "DELETE", "which", "5", NULL},
    {"options", "OPTIONS", NULL, NULL, NULL},
    {"options_body", "OPTIONS", "?", "1", NULL},
    {"custom", "X-Custom!", NULL, NULL, NULL},
    {"custom_body", "PROPFIND", "<a/>", "4", NULL},
    {"lower_case", "purge", NULL, NULL, NULL},
};

TEST_EACH(method, struct method_row, method_rows)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = fault_url("/echo?a=1&b");
    nsurlsession_request_t *request = request_for(row->method, url, NULL);
    if (row->body)
        with_body(request, row->body, strlen(row->body));
    const char *echo = load_text(session, request);

    CHECK_EQ_STR(first_line(echo), test_format("%s /echo?a=1&b HTTP/1.1", row->method));
    CHECK_EQ_STR(echoed(echo, "Host"), authority_of(url));
    CHECK_EQ_STR(echoed(echo, "Content-Length"), row->length);
    CHECK_EQ_STR(echoed(echo, "Content-Type"), row->type);
    CHECK_EQ_STR(echoed(echo, "Transfer-Encoding"), NULL);
    CHECK_EQ_STR(echoed(echo, "Expect"), NULL);
    CHECK_EQ_STR(echoed(echo, "Accept"), "*/*");
    CHECK_EQ_STR(echoed_body(echo), row->body ? row->body : "");
    session_end(session);
}

/* Whether a line of nginx's log ends like this. */
static bool logged(const char *end)
{
    FILE *file = fopen(env_text("NGINX_ACCESS_LOG"), "re");
    CHECK(file != NULL);
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        size_t length = strlen(line);
        found = length >= strlen(end) && strcmp(line + length - strlen(end), end) == 0;
    }
    fclose(file);
    return found;
}

TEST(method_head)
{
    nsurlsession_t *session = session_for(NULL);
    const char *path = test_format("/1k.bin?%s", unique_name());
    struct load *head = load(session, request_for("HEAD", http_url(path), NULL));
    CHECK_EQ_STR(load_body(head, 200), "");
    CHECK_EQ_INT(head->completion->body_length, 0);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(head->response), 1024);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(head->task), 0);
    EVENTUALLY(logged(test_format("HTTP/1.1 HEAD %s 200", path)));
    session_end(session);
}

/* RFC 9110, 9.3.2: no server sends content to a HEAD, with whatever the request comes. */
TEST(method_head_with_a_body)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request =
        with_timeout(request_for("HEAD", fault_url("/body?size=1000"), NULL), 5);
    struct load *head = load(session, with_body(request, "abc", 3));
    CHECK_EQ_STR(load_body(head, 200), "");
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(head->response), 1000);
    CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next")), "next");
    session_end(session);
}

TEST(content_type_of_the_caller)
{
    nsurlsession_t *session = session_for(NULL);
    const char *echo = load_text(
        session,
        with_body(request_for("POST", fault_url("/echo"), "content-type", "text/x", NULL), "a", 1));
    CHECK_EQ_STR(echoed(echo, "Content-Type"), "text/x");
    session_end(session);

    session = session_for(with_additional(configuration_new(), "Content-Type", "text/y", NULL));
    echo = load_text(session, with_body(request_for("POST", fault_url("/echo"), NULL), "a", 1));
    CHECK_EQ_STR(echoed(echo, "Content-Type"), "text/y");
    session_end(session);
}

/* The task has a copy of the request. */
TEST(request_changed_after_the_task_was_made)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request =
        with_body(request_for("PUT", fault_url("/echo"), "X-A", "1", NULL), "old", 3);
    nsurlsession_retain(request);
    struct load *sent = load_new(session, request);
    nsurlsession_request_set_http_method(request, "DELETE");
    nsurlsession_request_set_value_for_http_header_field(request, "2", "X-A");
    with_body(request, "new", 3);
    nsurlsession_release(request);
    nsurlsession_task_resume(sent->task);
    const char *echo = load_body(sent, 200);
    CHECK_EQ_STR(first_line(echo), "PUT /echo HTTP/1.1");
    CHECK_EQ_STR(echoed(echo, "X-A"), "1");
    CHECK_EQ_STR(echoed_body(echo), "old");
    session_end(session);
}

/* ---- Fields of the request ----------------------------------------------------------------- */

TEST(fields)
{
    nsurlsession_t *session = session_for(NULL);
    char *longest = test_allocate(60001);
    memset(longest, 'v', 60000);
    nsurlsession_request_t *request = request_for(
        "GET", fault_url("/echo"), "X-Second", "2", "x-lower-CASE", "3", "X-Empty", "", "X-Padded",
        " \tpadded\t ", "X-Utf-8", "grün", "X-Separators", "a, b; c=\"d\\\"e\", :f:", "X-Long",
        longest, "!#$%&'*+-.^_`|~", "token", "X-Replaced", "old", NULL);
    nsurlsession_request_set_value_for_http_header_field(request, "new", "x-rEPLACED");
    nsurlsession_request_set_value_for_http_header_field(request, "gone", "X-Gone");
    nsurlsession_request_set_value_for_http_header_field(request, NULL, "x-gone");
    nsurlsession_request_add_value_for_http_header_field(request, "a", "X-Added");
    nsurlsession_request_add_value_for_http_header_field(request, "b", "x-added");
    const char *echo = load_text(session, request);

    CHECK_EQ_STR(echoed(echo, "X-Second"), "2");
    CHECK_CONTAINS(echo, "\r\nx-lower-CASE: 3\r\n");
    CHECK_EQ_STR(echoed(echo, "X-Empty"), "");
    CHECK_EQ_STR(echoed(echo, "X-Padded"), "padded");
    CHECK_EQ_STR(echoed(echo, "X-Utf-8"), "grün");
    CHECK_EQ_STR(echoed(echo, "X-Separators"), "a, b; c=\"d\\\"e\", :f:");
    CHECK_EQ_STR(echoed(echo, "X-Long"), longest);
    CHECK_EQ_STR(echoed(echo, "!#$%&'*+-.^_`|~"), "token");
    CHECK_EQ_STR(echoed(echo, "X-Replaced"), "new");
    CHECK_EQ_STR(echoed(echo, "X-Gone"), NULL);
    CHECK_EQ_STR(echoed(echo, "X-Added"), "a,b");
    CHECK(strstr(echo, "X-Second") < strstr(echo, "x-lower-CASE"));
    CHECK(strstr(echo, "x-lower-CASE") < strstr(echo, "X-Empty"));
    CHECK(strstr(echo, "X-Empty") < strstr(echo, "X-Long"));
    session_end(session);
}

TEST(many_fields)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = request_for("GET", fault_url("/echo"), NULL);
    for (int index = 0; index < 500; index++)
        nsurlsession_request_set_value_for_http_header_field(
            request, test_format("value %d", index), test_format("X-Field-%d", index));
    const char *echo = load_text(session, request);
    for (int index = 0; index < 500; index++)
        CHECK_CONTAINS(echo, test_format("\r\nX-Field-%d: value %d\r\n", index, index));
    session_end(session);
}

/* A line break in a value would begin another field, or another request. */
TEST(fields_that_are_none)
{
    static const struct {
        const char *name, *value;
    } fields[] = {
        {"X-Bad", "1\r\nX-Injected: 2"}, {"X-Bad", "1\nX-Injected: 2"},
        {"X-Bad", "1\r\n\r\nGET /x HTTP/1.1\r\n"}, {"X-Bad: 1\r\nX-Injected", "2"},
        {"X Bad", "1"}, {"X-Bad:", "1"}, {"", "1"}, {"X-B\xc3\xa4" "d", "1"},
    };
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof fields / sizeof fields[0]; index++) {
        nsurlsession_request_t *request = request_for("GET", fault_url("/echo"), NULL);
        nsurlsession_request_set_value_for_http_header_field(request, fields[index].value,
                                                             fields[index].name);
        nsurlsession_request_add_value_for_http_header_field(request, fields[index].value,
                                                             fields[index].name);
        const char *echo = load_text(session, request);
        CHECK(!strstr(echo, "Bad") && !strstr(echo, "Injected"));
    }
    session_end(session);

    session = session_for(with_additional(configuration_new(), "X-Bad", "1\r\nX-Injected: 2",
                                          "X-Good", "3", NULL));
    const char *echo = get_text(session, fault_url("/echo"));
    CHECK(!strstr(echo, "Bad") && !strstr(echo, "Injected"));
    CHECK_EQ_STR(echoed(echo, "X-Good"), "3");
    session_end(session);
}

/* What frames the message is the loader's alone. */
TEST(reserved_fields)
{
    nsurlsession_t *session = session_for(with_additional(
        configuration_new(), "connection", "close, X-Kept", "transfer-encoding", "chunked", NULL));
    nsurlsession_request_t *request = request_for(
        "POST", fault_url("/echo"), "Connection", "close", "Content-Length", "1",
        "Transfer-Encoding", "chunked", "Keep-Alive", "timeout=1", "Proxy-Connection", "close",
        "Upgrade", "h2c", "X-Kept", "kept", NULL);
    const char *echo = load_text(session, with_body(request, "12345", 5));
    CHECK_EQ_STR(echoed(echo, "Content-Length"), "5");
    CHECK_EQ_STR(echoed(echo, "Transfer-Encoding"), NULL);
    CHECK_EQ_STR(echoed(echo, "Keep-Alive"), NULL);
    CHECK_EQ_STR(echoed(echo, "Proxy-Connection"), NULL);
    CHECK_EQ_STR(echoed(echo, "Upgrade"), NULL);
    CHECK_EQ_STR(echoed(echo, "X-Kept"), "kept");
    const char *connection = echoed(echo, "Connection");
    CHECK(!connection || strcmp(connection, "keep-alive") == 0);
    CHECK_EQ_STR(echoed_body(echo), "12345");

    echo = load_text(session, request_for("GET", fault_url("/echo"), "Content-Length", "7", NULL));
    CHECK_EQ_STR(echoed(echo, "Content-Length"), NULL);
    session_end(session);
}

TEST(host_of_the_caller)
{
    nsurlsession_t *session = session_for(NULL);
    const char *echo = load_text(
        session, request_for("GET", fault_url("/echo"), "Host", "virtual.example:81", NULL));
    CHECK_EQ_STR(echoed(echo, "Host"), "virtual.example:81");
    session_end(session);
}

TEST(default_fields)
{
    nsurlsession_t *session = session_for(NULL);
    const char *echo = get_text(session, fault_url("/echo"));
    CHECK_EQ_STR(echoed(echo, "Accept"), "*/*");
    const char *codings[] = {"gzip", "deflate", "br", "zstd"};
    for (size_t index = 0; index < 4; index++)
        if (nsurlsession_supports_feature(codings[index]))
            CHECK_CONTAINS(echoed(echo, "Accept-Encoding"), codings[index]);
    CHECK_CONTAINS(echoed(echo, "User-Agent"), nsurlsession_version_string());

    echo = load_text(session, request_for("GET", fault_url("/echo"), "accept", "text/plain",
                                          "accept-encoding", "identity", "user-agent", "me/1",
                                          NULL));
    CHECK_EQ_STR(echoed(echo, "Accept"), "text/plain");
    CHECK_EQ_STR(echoed(echo, "Accept-Encoding"), "identity");
    CHECK_EQ_STR(echoed(echo, "User-Agent"), "me/1");
    session_end(session);

    session = session_for(with_additional(configuration_new(), "Accept", "image/*",
                                          "Accept-Encoding", "br", "User-Agent", "you/2", NULL));
    echo = load_text(session,
                     request_for("GET", fault_url("/echo"), "User-Agent", "me/1", NULL));
    CHECK_EQ_STR(echoed(echo, "Accept"), "image/*");
    CHECK_EQ_STR(echoed(echo, "Accept-Encoding"), "br");
    CHECK_EQ_STR(echoed(echo, "User-Agent"), "me/1");
    session_end(session);
}

TEST(additional_fields)
{
    nsurlsession_configuration_t *configuration =
        with_additional(configuration_new(), "X-Both", "configuration", "X-Only", "configuration",
                        "Authorization", "Bearer c", NULL);
    nsurlsession_retain(configuration);
    nsurlsession_t *session = session_for(configuration);
    /* The session has a copy. */
    with_additional(configuration, "X-Late", "late", NULL);
    nsurlsession_release(configuration);

    for (int pass = 0; pass < 2; pass++) {
        const char *echo = load_text(
            session, request_for("GET", fault_url("/echo"), "x-both", "request", NULL));
        CHECK_EQ_STR(echoed(echo, "X-Both"), "request");
        CHECK_EQ_STR(echoed(echo, "X-Only"), "configuration");
        CHECK_EQ_STR(echoed(echo, "Authorization"), "Bearer c");
        CHECK_EQ_STR(echoed(echo, "X-Late"), NULL);
    }
    /* They are not part of the task's request. */
    struct load *plain = get(session, fault_url("/echo"));
    nsurlsession_request_t *request = nsurlsession_task_current_request(plain->task);
    CHECK_EQ_STR(text_of(nsurlsession_request_value_for_http_header_field(request, "X-Only")),
                 NULL);
    nsurlsession_release(request);
    /* A redirect within the origin keeps both kinds, and the request still wins. */
    const char *echo = load_text(session, request_for("GET", fault_url("/redirect?to=/echo"),
                                                      "x-both", "request", NULL));
    CHECK_EQ_STR(echoed(echo, "X-Both"), "request");
    CHECK_EQ_STR(echoed(echo, "X-Only"), "configuration");
    session_end(session);
}

/* RFC 9111, 5.2.1: no-cache and max-age=0 keep caches on the way from answering by themselves. */
TEST(cache_policies)
{
    static const struct {
        int32_t policy;
        const char *cache_control;
    } policies[] = {{0, NULL}, {1, "no-cache"}, {2, NULL}, {4, "no-cache"}, {5, "max-age=0"}};
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof policies / sizeof policies[0]; index++) {
        const char *echo = load_text(
            session, nsurlsession_request_with_url_cache_policy_timeout_interval(
                         fault_url("/echo"), policies[index].policy, 60));
        CHECK_EQ_STR(echoed(echo, "Cache-Control"), policies[index].cache_control);
    }
    session_end(session);
}

/* ---- Bodies of requests -------------------------------------------------------------------- */

static void check_upload(nsurlsession_t *session, const char *url, size_t length)
{
    const uint8_t *bytes = pattern_bytes(length);
    nsurlsession_request_t *request = with_body(request_for("PUT", url, NULL), bytes, length);
    struct load *upload = load_start(session, request);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(upload->task), length);
    const char *reply = load_body(upload, 200);
    if (strstr(url, "/sink"))
        CHECK_EQ_STR(reply, pattern_sink(length));
    else
        CHECK_EQ_STR(line_value(reply, "content-length"), test_format("%zu", length));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(upload->task), length);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(upload->task), length);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(upload->task), strlen(reply));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(upload->task), strlen(reply));
}

TEST(bodies)
{
    static const size_t lengths[] = {0, 1, 16383, 16384, 65535, 65536, 65537, 1 << 20, 3};
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++)
        check_upload(session, fault_url("/sink"), lengths[index]);
    check_upload(session, tls_h1_url("/upload"), 1 << 20);
    check_upload(session, tls_h2_url("/upload"), 0);
    check_upload(session, tls_h2_url("/upload"), 1);
    check_upload(session, tls_h2_url("/upload"), 1 << 20);
    session_end(session);
}

TEST_HEAVY(body_of_64_mib, "64 MiB through valgrind")
{
    nsurlsession_t *session = session_for(NULL);
    check_upload(session, fault_url("/sink"), 64 << 20);
    check_upload(session, tls_h2_url("/upload"), 64 << 20);
    session_end(session);
}

/* RFC 9110, 10.1.1: without Expect nothing waits for 100 Continue, which never comes here. */
TEST(no_expectation)
{
    nsurlsession_t *session = session_for(NULL);
    size_t length = 3 << 20;
    const uint8_t *bytes = pattern_bytes(length);
    CHECK_EQ_STR(load_text(session, with_body(request_for("POST", fault_url("/no-continue"), NULL),
                                              bytes, length)),
                 pattern_sink(length));
    const char *echo = load_text(
        session, with_body(request_for("POST", fault_url("/echo"), NULL), bytes, length));
    CHECK_EQ_STR(echoed(echo, "Expect"), NULL);
    session_end(session);
}

TEST(body_without_a_copy)
{
    nsurlsession_t *session = session_for(NULL);
    static char bytes[] = "static bytes";
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_no_copy_length_deallocator(
        bytes, strlen(bytes), NULL, NULL);
    nsurlsession_request_t *request = request_for("POST", fault_url("/echo"), NULL);
    nsurlsession_request_set_http_body(request, data);
    nsurlsession_release(data);
    CHECK_EQ_STR(echoed_body(load_text(session, request)), "static bytes");
    session_end(session);
}

/* ---- Servers that answer before the body is sent ------------------------------------------- */

struct early_row {
    const char *name;
    const char *path;
    int status;
};

/* RFC 9112, 9.5: the answer counts, and sending the rest may stop. */
static const struct early_row early_rows[] = {
    {"refused", "/early?code=413", 413},
    {"error", "/early?code=500", 500},
    {"refused_and_read", "/early?code=403&keep=1", 403},
    {"accepted_and_read", "/early?code=200&keep=1", 200},
    {"accepted", "/early?code=200", 200},
};

TEST_EACH(early, struct early_row, early_rows)
{
    nsurlsession_t *session = session_for(NULL);
    size_t length = 8 << 20;
    struct load *upload = load(
        session, with_body(request_for("POST", fault_url(row->path), NULL), pattern_bytes(length),
                           length));
    CHECK_EQ_STR(load_body(upload, row->status), "early\n");
    CHECK(nsurlsession_task_count_of_bytes_sent(upload->task) <= (int64_t)length);
    /* The connection does not carry the rest of the body as a request. */
    CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next")), "next");
    session_end(session);
}

TEST(early_to_a_delegate)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    size_t length = 8 << 20;
    nsurlsession_request_t *request = with_body(
        request_for("PUT", fault_url("/early?code=403"), NULL), pattern_bytes(length), length);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request(session, request);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 403, data 6, complete nil");
    nsurlsession_release(task);
    session_end(session);
}

/* ---- Responses ----------------------------------------------------------------------------- */

TEST(statuses)
{
    static const int statuses[] = {
        200, 201, 202, 203, 206, 226, 299, 300, 400, 401, 403, 404, 407, 410,
        418, 421, 425, 429, 451, 499, 500, 501, 502, 503, 504, 511, 599,
    };
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof statuses / sizeof statuses[0]; index++) {
        int status = statuses[index];
        struct load *answer =
            get(session, fault_url(test_format("/status?code=%d&reason=Any%%20Reason", status)));
        CHECK_EQ_STR(load_body(answer, status), test_format("status %d\n", status));
        CHECK_EQ_INT(nsurlsession_task_state(answer->task), NSURLSESSION_TASK_STATE_COMPLETED);
        CHECK(task_error_is(answer->task, NULL));
    }
    /* A status line without a reason, RFC 9112, 4. */
    CHECK_EQ_STR(load_body(get(session, fault_url("/status?code=404&reason=")), 404),
                 "status 404\n");
    session_end(session);
}

TEST(response_of_the_task)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = http_url("/charset/hello.txt?q#fragment");
    struct load *answer = get(session, url);
    CHECK_EQ_STR(load_body(answer, 200), "Hello, world!\n");
    nsurlsession_response_t *response = nsurlsession_task_response(answer->task);
    CHECK(nsurlsession_is_equal(response, answer->response));
    CHECK_EQ_STR(nsurlsession_response_url(response), url);
    CHECK_EQ_STR(nsurlsession_response_mime_type(response), "text/plain");
    CHECK_EQ_STR(nsurlsession_response_text_encoding_name(response), "utf-8");
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "hello.txt");
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response), 14);
    CHECK_CONTAINS(nsurlsession_response_value_for_http_header_field(response, "SERVER"), "nginx");
    nsurlsession_release(response);
    session_end(session);
}

/* RFC 9110, 5.3: fields of one name are one list, in order. */
TEST(repeated_fields)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(
        session,
        fault_url("/status?code=200&header=X-List:%20a&header=Set-Cookie:%20a=1;%20Path=/"
                  "&header=x-list:b,%20c&header=X-Empty:&header=set-cookie:%20b=2"
                  "&header=X-LIST:%20"));
    load_body(answer, 200);
    CHECK_EQ_STR(load_field(answer, "X-List"), "a, b, c, ");
    CHECK_EQ_STR(load_field(answer, "set-cookie"), "a=1; Path=/, b=2");
    CHECK_EQ_STR(load_field(answer, "X-Empty"), "");
    CHECK_EQ_STR(load_field(answer, "X-Absent"), NULL);

    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(answer->response);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(fields, 0), "X-List");
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(fields, 1), "Set-Cookie");
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(fields, 2), "X-Empty");
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 5); /* with Content-Type and -Length */
    CHECK_EQ_STR(text_at(fields, "x-LIST"), "a, b, c, ");
    session_end(session);
}

TEST(large_head_of_a_response)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(session, fault_url("/headers?count=100&size=1000"));
    CHECK_EQ_STR(load_body(answer, 200), "ok\n");
    for (int index = 0; index < 100; index++)
        CHECK_EQ_INT(strlen(load_field(answer, test_format("x-filler-%d", index))), 1000);
    session_end(session);
}

struct raw_row {
    const char *name;
    const char *method;
    const char *response;
    int status;
    const char *body;
    int64_t expected_length;
    /* The value of the field X. */
    const char *field;
};

/* Responses byte for byte, after which the server closes. */
static const struct raw_row raw_rows[] = {
    {"until_the_end", "GET", "HTTP/1.1 200 OK\r\nX: 1\r\n\r\nhello", 200, "hello", -1, "1"},
    {"http_1_0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", -1, NULL},
    {"http_1_0_length", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", 2,
     NULL},
    {"line_feeds", "GET", "HTTP/1.1 200 OK\nX: 1\nContent-Length: 2\n\nhi", 200, "hi", 2, "1"},
    {"no_reason", "GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", 2, NULL},
    {"white_space", "GET", "HTTP/1.1 200 OK\r\nX:\t 1 \t \r\nContent-Length:2\r\n\r\nhi", 200, "hi",
     2, "1"},
    {"latin_1", "GET", "HTTP/1.1 200 OK\r\nX: gr\xfcn\r\nContent-Length: 0\r\n\r\n", 200, "", 0,
     "grün"},
    {"utf_8", "GET", "HTTP/1.1 200 OK\r\nX: grün\r\nContent-Length: 0\r\n\r\n", 200, "", 0,
     "grün"},
    /* RFC 9112, 5.2: a user agent replaces each line folding with spaces. */
    {"folded", "GET", "HTTP/1.1 200 OK\r\nX: a\r\n b: c\r\nContent-Length: 0\r\n\r\n", 200, "", 0,
     "a b: c"},
    /* RFC 9112, 6.3: these have no body, whatever the fields say. */
    {"no_content_with_length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204,
     "", 5, NULL},
    {"not_modified_with_length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
     304, "", 5, NULL},
    {"not_modified_chunked", "GET",
     "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, "", -1, NULL},
    {"head_chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", -1,
     NULL},
    /* RFC 9112, 6.3, rule 3: Transfer-Encoding overrides Content-Length. */
    {"chunked_with_length", "GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n0\r\n\r\n",
     200, "hello", -1, NULL},
    {"chunk_extensions", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3;a=\"b;c\"\r\nhel\r\n002 \r\nlo\r\n000;x\r\nX: trailer\r\n\r\n",
     200, "hello", -1, NULL},
    {"informational", "GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: early\r\n\r\n"
     "HTTP/1.1 199 Any\r\nX: any\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
     200, "hi", 2, NULL},
};

TEST_EACH(raw_response, struct raw_row, raw_rows)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = fault_url(test_format("/raw?bytes=%s", escaped(row->response)));
    struct load *answer = load(session, request_for(row->method, url, NULL));
    CHECK_EQ_STR(load_body(answer, row->status), row->body);
    CHECK(nsurlsession_data_length(answer->data) == strlen(row->body));
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(answer->response),
                 row->expected_length);
    CHECK_EQ_STR(load_field(answer, "X"), row->field);
    session_end(session);
}

/* No body is an empty body: the data is there. */
TEST(empty_bodies)
{
    static const struct {
        const char *method, *path;
        int status;
    } answers[] = {
        {"GET", "/body?size=0", 200},  {"GET", "/body?size=0&chunked=1", 200},
        {"HEAD", "/body?size=9", 200}, {"GET", "/status?code=204", 204},
        {"GET", "/status?code=304", 304}, {"POST", "/status?code=200&body=", 200},
    };
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof answers / sizeof answers[0]; index++) {
        struct load *answer = load(
            session, request_for(answers[index].method, fault_url(answers[index].path), NULL));
        CHECK_EQ_STR(load_body(answer, answers[index].status), "");
        CHECK(answer->data != NULL);
        CHECK_EQ_INT(nsurlsession_data_length(answer->data), 0);
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(answer->task), 0);
    }
    session_end(session);

    struct recorder *recorder = recorder_new();
    session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/body?size=0&chunked=1"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, complete nil");
    nsurlsession_release(task);
    session_end(session);
}

TEST(lengths)
{
    nsurlsession_t *session = session_for(NULL);
    static const size_t lengths[] = {1, 1000, 65536, 1000000};
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++)
        for (int chunked = 0; chunked < 2; chunked++) {
            size_t length = lengths[index];
            struct load *answer = get(
                session, fault_url(test_format("/body?size=%zu&chunked=%d", length, chunked)));
            load_body(answer, 200);
            CHECK_EQ_BYTES(answer->completion->body, answer->completion->body_length,
                           pattern_bytes(length), length);
            int64_t expected = chunked ? NSURLSESSION_RESPONSE_UNKNOWN_LENGTH : (int64_t)length;
            CHECK_EQ_INT(nsurlsession_response_expected_content_length(answer->response), expected);
            CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(answer->task),
                         expected);
            CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(answer->task), length);
            CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(answer->task), 0);
            CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(answer->task), 0);
        }
    session_end(session);
}

TEST(informational_responses)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url("/informational?codes=100,102,103,103&header=X-Early:1"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 6, complete nil");
    CHECK_EQ_STR(recorder_text(recorder), "final\n");
    nsurlsession_response_t *response = nsurlsession_task_response(task);
    CHECK_EQ_STR(nsurlsession_response_value_for_http_header_field(response, "X-Early"), NULL);
    nsurlsession_release(response);
    nsurlsession_release(task);
    session_end(session);
}

static const char *trailer(const nsurlsession_dictionary_t *trailers, const char *name)
{
    return text_of(nsurlsession_dictionary_object_for_key(trailers, name));
}

TEST(trailers)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(
        session,
        fault_url("/trailers?size=1000&trailer=X-Trailer:%201&trailer=Content-Type:%20x/y"));
    load_body(answer, 200);
    CHECK_EQ_BYTES(answer->completion->body, answer->completion->body_length, pattern_bytes(1000),
                   1000);
    CHECK_EQ_STR(load_field(answer, "X-Trailer"), NULL);
    CHECK_EQ_STR(load_field(answer, "Content-Type"), "application/octet-stream");
    nsurlsession_dictionary_t *trailers = nsurlsession_response_trailers(answer->response);
    CHECK_EQ_INT(nsurlsession_dictionary_count(trailers), 2);
    CHECK_EQ_STR(trailer(trailers, "X-Trailer"), "1");
    CHECK_EQ_STR(trailer(trailers, "x-trailer"), "1");
    CHECK_EQ_STR(trailer(trailers, "Content-Type"), "x/y");
    nsurlsession_release(trailers);
    const char *before = get_text(session, fault_url("/connection-id"));
    load_body(get(session, fault_url("/trailers")), 200);
    CHECK_EQ_STR(get_text(session, fault_url("/connection-id")), before);
    session_end(session);
}

/* A real server's, by both protocols. */
TEST(trailers_of_nginx)
{
    const char *urls[] = {
        http_url("/trailers/64k.bin"), tls_h1_url("/trailers/64k.bin"), tls_h2_url("/trailers/64k.bin")};
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof urls / sizeof urls[0]; index++) {
        struct load *answer = get(session, urls[index]);
        load_body(answer, 200);
        CHECK_EQ_BYTES(answer->completion->body, answer->completion->body_length,
                       pattern_bytes(65536), 65536);
        nsurlsession_dictionary_t *trailers = nsurlsession_response_trailers(answer->response);
        CHECK_EQ_INT(nsurlsession_dictionary_count(trailers), 2);
        CHECK_EQ_STR(trailer(trailers, "X-Trailer"), "first, second");
        CHECK_EQ_STR(trailer(trailers, "X-Status"), "200");
        CHECK_EQ_STR(load_field(answer, "X-Status"), NULL);
        nsurlsession_release(trailers);
    }
    session_end(session);
}

TEST(responses_without_trailers)
{
    nsurlsession_t *session = session_for(NULL);
    const char *urls[] = {
        http_url("/64k.bin"), tls_h2_url("/64k.bin"), fault_url("/body?size=10&chunked=1")};
    for (size_t index = 0; index < sizeof urls / sizeof urls[0]; index++) {
        struct load *answer = get(session, urls[index]);
        load_body(answer, 200);
        CHECK(nsurlsession_response_trailers(answer->response) == NULL);
    }
    /* One whose trailers never came to their end. */
    const char *cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "2\r\nhi\r\n0\r\nX-Trailer: 1\r\nX-Oth";
    struct load *answer = get(session, fault_url(test_format("/raw?bytes=%s", escaped(cut))));
    CHECK_EQ_INT(nsurlsession_error_code(answer->error), NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    CHECK(nsurlsession_response_trailers(answer->response) == NULL);
    nsurlsession_dictionary_t *fields = nsurlsession_dictionary_new();
    nsurlsession_response_t *made =
        nsurlsession_response_with_url_status_code_http_version_header_fields(
            http_url("/"), 200, NULL, fields);
    CHECK(nsurlsession_response_trailers(made) == NULL);
    nsurlsession_release(made);
    nsurlsession_release(fields);
    session_end(session);
}

/* RFC 9112, 6.3: what a server sends behind the body belongs to no response. */
TEST(more_than_announced)
{
    for (int keep = 0; keep < 2; keep++) {
        nsurlsession_t *session = session_for(NULL);
        struct load *answer = get(
            session, fault_url(test_format("/long?announce=5&send=5000&keep=%d", keep)));
        load_body(answer, 200);
        CHECK_EQ_BYTES(answer->completion->body, answer->completion->body_length, pattern_bytes(5),
                       5);
        session_end(session);
    }
    /* A second response that nobody asked for. */
    const char *two = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\n"
                      "Content-Length: 3\r\n\r\ntwo";
    const char *path = test_format("/raw?keep=1&bytes=%s", escaped(two));
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_STR(get_text(session, fault_url(path)), "one");
    CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next")), "next");
    session_end(session);
}

/* ---- URLs ---------------------------------------------------------------------------------- */

TEST(ipv6)
{
    if (!getenv("HTTP6_URL"))
        return;
    nsurlsession_t *session = session_for(NULL);
    const char *url = http6_url("/echo");
    CHECK_EQ_STR(line_value(get_text(session, url), "host"),
                 test_format("[::1]:%d", port_of(url)));
    CHECK_EQ_STR(get_text(session, local_url("http", "[0:0:0:0:0:0:0:1]", port_of(url),
                                             "/hello.txt")),
                 "Hello, world!\n");
    url = env_url("TLS6_URL", "/echo");
    const char *echo = get_text(session, url);
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/2.0");
    session_end(session);
}

/* RFC 6761, 6.3: names below localhost are the loopback address. */
TEST(international_host)
{
    nsurlsession_t *session = session_for(NULL);
    int port = port_of(fault_url("/"));
    struct load *answer = get(session, local_url("http", "BÜCHER.localhost", port, "/echo"));
    const char *echo = load_body(answer, 200);
    CHECK_EQ_STR(echoed(echo, "Host"), test_format("xn--bcher-kva.localhost:%d", port));
    CHECK_EQ_STR(nsurlsession_response_url(answer->response),
                 local_url("http", "xn--bcher-kva.localhost", port, "/echo"));
    session_end(session);
}

struct url_row {
    const char *name;
    /* What comes behind http://127.0.0.1:PORT, and what arrives as the target. */
    const char *path;
    const char *target;
};

/* The URL standard: what may not stand in a URL is percent-encoded, what is encoded stays so. */
static const struct url_row url_rows[] = {
    {"query", "/echo?a=1&b=2", "/echo?a=1&b=2"},
    {"space", "/echo?a b", "/echo?a%20b"},
    {"non_ascii", "/echo?ä=日", "/echo?%C3%A4=%E6%97%A5"},
    {"encoded", "/echo?%41%2f%C3%A4", "/echo?%41%2f%C3%A4"},
    {"encoded_path", "/%65cho?", "/%65cho?"},
    {"quotes", "/echo?\"<>'", "/echo?%22%3C%3E%27"},
    {"fragment", "/echo?a#b?c", "/echo?a"},
    {"dots", "/a/./b/../../echo?../x", "/echo?../x"},
    {"encoded_dots", "/a/%2e%2E/echo", "/echo"},
    {"backslash", "\\echo", "/echo"},
    {"line_break", "/ec\nho?a\tb", "/echo?ab"},
    {"surrounding_space", "/echo?a  ", "/echo?a"},
};

TEST_EACH(url, struct url_row, url_rows)
{
    nsurlsession_t *session = session_for(NULL);
    const char *echo = get_text(session, fault_url(row->path));
    CHECK_EQ_STR(first_line(echo), test_format("GET %s HTTP/1.1", row->target));
    session_end(session);
}

TEST(url_of_files)
{
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_STR(get_text(session, http_url("/naïve café.txt")), "é\n");
    CHECK_EQ_STR(get_text(session, tls_h2_url("/na%C3%AFve%20caf%C3%A9.txt")), "é\n");
    session_end(session);
}

/* RFC 9110, 7.1 and 4.2.4: neither the fragment nor the user information is part of the target. */
TEST(user_information)
{
    nsurlsession_t *session = session_for(NULL);
    const char *authority = authority_of(fault_url("/"));
    const char *url = test_format("http://user:secret@%s/echo", authority);
    const char *echo = get_text(session, url);
    CHECK_EQ_STR(first_line(echo), "GET /echo HTTP/1.1");
    CHECK_EQ_STR(echoed(echo, "Host"), authority);
    CHECK_EQ_STR(echoed(echo, "Authorization"), NULL);
    CHECK(!strstr(echo, "secret"));
    session_end(session);
}

TEST(host_without_a_path)
{
    nsurlsession_t *session = session_for(NULL);
    CHECK_CONTAINS(get_text(session, http_url("")), "It works.");
    CHECK_CONTAINS(get_text(session, http_url("?query")), "It works.");
    session_end(session);
}

/* ---- Connections --------------------------------------------------------------------------- */

static const char *connection(nsurlsession_t *session)
{
    return get_text(session, fault_url("/connection-id"));
}

TEST(connection_reused)
{
    nsurlsession_t *session = session_for(NULL);
    const char *first = connection(session);
    load_body(get(session, fault_url("/status?code=404")), 404);
    load_body(get(session, fault_url("/status?code=204")), 204);
    load_body(get(session, fault_url("/status?code=304")), 304);
    load_body(get(session, fault_url("/body?size=100000")), 200);
    load_body(get(session, fault_url("/body?size=100000&chunked=1")), 200);
    load_body(get(session, fault_url("/informational?codes=100,103")), 200);
    load_body(load(session, request_for("HEAD", fault_url("/body?size=100"), NULL)), 200);
    load_body(load(session, request_for("DELETE", fault_url("/echo"), NULL)), 200);
    load_body(load(session, request_for("POST", fault_url("/echo"), NULL)), 200);
    load_body(load(session, with_body(request_for("PUT", fault_url("/sink"), NULL),
                                      pattern_bytes(100000), 100000)), 200);
    CHECK_EQ_STR(connection(session), first);

    /* Other sessions have connections of their own. */
    nsurlsession_t *other = session_for(NULL);
    CHECK(strcmp(connection(other), first) != 0);
    session_end(other);

    /* The server closes it. */
    load_body(get(session, fault_url("/status?code=200&close=1")), 200);
    const char *second = connection(session);
    CHECK(strcmp(second, first) != 0);
    CHECK_EQ_STR(connection(session), second);
    session_end(session);
}

TEST(connection_reused_over_tls)
{
    nsurlsession_t *session = session_for(NULL);
    const char *urls[] = {tls_h1_url("/echo"), tls_h2_url("/echo")};
    const char *protocols[] = {"HTTP/1.1", "HTTP/2.0"};
    for (int index = 0; index < 2; index++) {
        const char *first = get_text(session, urls[index]);
        const char *second = get_text(session, urls[index]);
        CHECK_EQ_STR(line_value(first, "protocol"), protocols[index]);
        CHECK_EQ_STR(line_value(second, "protocol"), protocols[index]);
        CHECK_EQ_STR(line_value(second, "connection-number"),
                     line_value(first, "connection-number"));
    }
    session_end(session);
}

TEST(connection_closed_while_idle)
{
    nsurlsession_t *session = session_for(NULL);
    for (int index = 0; index < 20; index++)
        CHECK_EQ_STR(get_text(session, fault_url("/close-after")), "closing soon\n");
    session_end(session);
}

struct retry_row {
    const char *name;
    const char *method;
    const char *body;
    bool retried;
};

/* RFC 9110, 9.2.2: what is not idempotent should not be sent again without being told to. */
static const struct retry_row retry_rows[] = {
    {"get", "GET", NULL, true},
    {"head", "HEAD", NULL, true},
    {"put", "PUT", "body", true},
    {"put_empty", "PUT", NULL, true},
    {"delete", "DELETE", NULL, true},
    {"options", "OPTIONS", NULL, true},
    {"post", "POST", "body", false},
    {"post_empty", "POST", NULL, false},
    {"post_empty_body", "POST", "", false},
    {"patch", "PATCH", "body", false},
    {"patch_empty", "PATCH", NULL, false},
};

TEST_EACH(retry, struct retry_row, retry_rows)
{
    nsurlsession_t *session = session_for(NULL);
    for (int reset = 0; reset < 2; reset++) {
        const char *name = unique_name();
        const char *url = fault_url(test_format("/reuse-reset?name=%s&reset=%d", name, reset));
        CHECK_EQ_STR(get_text(session, url), "attempt 1\n");
        nsurlsession_request_t *request = request_for(row->method, url, NULL);
        if (row->body)
            with_body(request, row->body, strlen(row->body));
        struct load *again = load(session, request);
        const char *attempts = control(test_format("/attempts?name=%s", name));
        if (row->retried) {
            bool head = strcmp(row->method, "HEAD") == 0;
            CHECK_EQ_STR(load_body(again, 200), head ? "" : "attempt 3\n");
            CHECK_EQ_STR(attempts, "3");
            CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(again->task),
                         row->body ? strlen(row->body) : 0);
        } else {
            CHECK_EQ_STR(attempts, "2");
            CHECK_EQ_INT(again->completion->error_code, NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
            CHECK_EQ_INT(again->completion->status, 0);
        }
        /* Whatever came of it, the next request goes through. */
        CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next&close=1")), "next");
    }
    session_end(session);
}

/* A new connection that breaks is not tried again. */
TEST(retry_not_on_a_new_connection)
{
    nsurlsession_t *session = session_for(NULL);
    const char *name = unique_name();
    struct load *lost = get(session, fault_url(test_format("/reuse-reset?name=%s&on=1", name)));
    CHECK_EQ_INT(lost->completion->error_code, NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    CHECK_EQ_STR(control(test_format("/attempts?name=%s", name)), "1");
    session_end(session);
}

/* ---- The limit on connections -------------------------------------------------------------- */

static nsurlsession_t *limited(int64_t limit)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    if (limit > 0)
        nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, limit);
    return session_for(configuration);
}

struct limit_row {
    const char *name;
    int64_t limit; /* 0: leave the default, which is 6 */
    unsigned connections;
};

static const struct limit_row limit_rows[] = {{"one", 1, 1}, {"three", 3, 3}, {"default", 0, 6}};

TEST_EACH(limit, struct limit_row, limit_rows)
{
    nsurlsession_t *session = limited(row->limit);
    const char *name = unique_name();
    const char *url = fault_url(test_format("/hold?name=%s", name));
    enum { LOADS = 14 };
    struct load *held[LOADS];
    for (int index = 0; index < LOADS; index++)
        held[index] = load_start(session, request_for("GET", url, NULL));
    const char *count = test_format("%u", row->connections);
    CHECK_EQ_STR(control(test_format("/waiting?name=%s&n=%s", name, count)), count);
    /* Other hosts are not concerned; and once this is answered the others had their chance. */
    CHECK_EQ_STR(get_text(session, env_url("FAULT_LOCALHOST_URL", "/status?code=200&body=other")),
                 "other");
    CHECK_EQ_STR(control(test_format("/waiting?name=%s", name)), count);

    control(test_format("/release?name=%s", name));
    for (int index = 0; index < LOADS; index++)
        CHECK_EQ_STR(load_body(held[index], 200), "released\n");
    session_end(session);
}

TEST(limit_counted_by_the_server)
{
    nsurlsession_t *session = limited(3);
    enum { LOADS = 60 };
    struct load *loads[LOADS];
    for (int index = 0; index < LOADS; index++)
        loads[index] = load_start(session, request_for("GET", http_url("/echo"), NULL));
    const char *numbers[LOADS];
    unsigned count = 0;
    for (int index = 0; index < LOADS; index++) {
        const char *number = line_value(load_body(loads[index], 200), "connection-number");
        unsigned known = 0;
        while (known < count && strcmp(numbers[known], number) != 0)
            known++;
        if (known == count)
            numbers[count++] = number;
    }
    CHECK_BETWEEN(count, 1, 3);
    session_end(session);
}

/* Tasks that wait for a connection get it in the order in which they were resumed. */
TEST(limit_keeps_the_order)
{
    nsurlsession_t *session = limited(1);
    const char *name = unique_name();
    struct load *first = load_start(
        session, request_for("GET", fault_url(test_format("/hold?name=%s", name)), NULL));
    control(test_format("/waiting?name=%s", name));

    const char *url = fault_url(test_format("/reuse-reset?on=1000&name=%s", name));
    enum { LOADS = 20 };
    struct load *loads[LOADS];
    for (int index = 0; index < LOADS; index++)
        loads[index] = load_new(session, request_for("GET", url, NULL));
    for (int index = LOADS; index-- > 0;)
        nsurlsession_task_resume(loads[index]->task);
    /* One that is cancelled leaves the queue. */
    nsurlsession_task_cancel(loads[LOADS - 3]->task);
    load_wait(loads[LOADS - 3]);
    CHECK_EQ_INT(loads[LOADS - 3]->completion->error_code, NSURLSESSION_ERROR_CANCELLED);

    control(test_format("/release?name=%s", name));
    load_body(first, 200);
    int attempt = 0;
    for (int index = LOADS; index-- > 0;)
        if (index != LOADS - 3)
            CHECK_EQ_STR(load_body(loads[index], 200), test_format("attempt %d\n", ++attempt));
    session_end(session);
}

/* However a load ends, the next one gets its turn. */
TEST(limit_after_failures)
{
    nsurlsession_t *session = limited(1);
    static const char *const paths[] = {
        "/cut?after=3&size=10", "/cut?after=0&size=10&from=start", "/raw?bytes=nonsense",
        "/encoded?coding=unknown", "/encoded?coding=gzip&corrupt=1", "/redirect-loop",
        "/redirect?to=file:///", "/stall?at=accept", "/stall?at=body",
    };
    enum { LOADS = sizeof paths / sizeof paths[0] };
    struct load *failing[LOADS], *good[LOADS];
    for (int index = 0; index < LOADS; index++) {
        failing[index] = load_start(
            session, with_timeout(request_for("GET", fault_url(paths[index]), NULL), 0.2));
        good[index] = load_start(session, request_for("GET", fault_url("/body?size=10"), NULL));
    }
    for (int index = 0; index < LOADS; index++) {
        load_wait(failing[index]);
        CHECK(failing[index]->error != NULL);
        load_body(good[index], 200);
    }
    session_end(session);
}

/* A cancelled load leaves its place to the next. */
TEST(limit_after_cancels)
{
    nsurlsession_t *session = limited(2);
    const char *name = unique_name();
    const char *url = fault_url(test_format("/hold?name=%s&tag=%s", name, name));
    struct load *held[6];
    for (int index = 0; index < 6; index++)
        held[index] = load_start(session, request_for("GET", url, NULL));
    for (int index = 0; index < 4; index++) {
        control(test_format("/wait-arrived?tag=%s&n=%d", name, index + 2));
        nsurlsession_task_cancel(held[index]->task);
        load_wait(held[index]);
        CHECK_EQ_INT(held[index]->completion->error_code, NSURLSESSION_ERROR_CANCELLED);
    }
    control(test_format("/wait-arrived?tag=%s&n=6", name));
    control(test_format("/release?name=%s", name));
    load_body(held[4], 200);
    load_body(held[5], 200);
    session_end(session);
}

/* ---- HTTP/2 -------------------------------------------------------------------------------- */

TEST(http2)
{
    nsurlsession_t *session = session_for(NULL);
    CHECK(nsurlsession_supports_protocol("h2"));
    const char *echo = load_text(
        session, with_body(request_for("POST", tls_h2_url("/echo?q"), "X-Test", "value",
                                       "Connection", "close", "TE", "gzip", "Upgrade", "x",
                                       NULL), "abc", 3));
    CHECK_EQ_STR(line_value(echo, "request"), "POST /echo?q HTTP/2.0");
    CHECK_EQ_STR(line_value(echo, "host"), authority_of(tls_h2_url("/")));
    CHECK_EQ_STR(line_value(echo, "x-test"), "value");
    CHECK_EQ_STR(line_value(echo, "content-length"), "3");
    CHECK_EQ_STR(line_value(echo, "connection"), "");

    /* RFC 9113, 8.2: names come in lower case; programs see the usual spelling. */
    struct load *answer = get(session, tls_h2_url("/echo"));
    load_body(answer, 200);
    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(answer->response);
    bool found = false;
    for (size_t index = 0; index < nsurlsession_dictionary_count(fields); index++)
        found |= strcmp(nsurlsession_dictionary_key_at_index(fields, index), "Content-Type") == 0;
    CHECK(found);
    CHECK_EQ_STR(text_at(fields, "x-echo"), "first, second");

    struct load *head = load(session, request_for("HEAD", tls_h2_url("/1m.bin"), NULL));
    CHECK_EQ_STR(load_body(head, 200), "");
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(head->response), 1 << 20);
    CHECK_EQ_STR(load_body(get(session, tls_h2_url("/status/204")), 204), "");
    CHECK_EQ_STR(load_body(get(session, tls_h2_url("/status/404")), 404), "status 404\n");
    session_end(session);
}

TEST(http2_body)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, tls_h2_url("/1m.bin"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 1048576, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    session_end(session);
}

/* Far more loads than connections are allowed, all on one, and more than nginx's 128 streams. */
TEST(http2_multiplexes)
{
    nsurlsession_t *session = limited(1);
    enum { LOADS = 300 };
    struct load *loads[LOADS];
    for (int index = 0; index < LOADS; index++)
        loads[index] = load_start(
            session, request_for("GET", tls_h2_url(test_format("/echo?%d", index)), NULL));
    const char *number = line_value(load_body(loads[0], 200), "connection-number");
    for (int index = 0; index < LOADS; index++) {
        const char *echo = load_body(loads[index], 200);
        CHECK_EQ_STR(line_value(echo, "request"), test_format("GET /echo?%d HTTP/2.0", index));
        CHECK_EQ_STR(line_value(echo, "connection-number"), number);
    }
    session_end(session);
}

/* How many segments with data this process has sent on its one connection to that port. */
static uint32_t segments_sent_to(in_port_t port)
{
    uint32_t segments = 0;
    int connections = 0;
    for (int fd = 3; fd < 1024; fd++) {
        /* The port lies at the same place in an address of version 4. */
        struct sockaddr_in6 peer = {0};
        socklen_t length = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &length) || peer.sin6_port != port)
            continue;
        struct tcp_info info = {0};
        length = sizeof info;
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
        segments = info.tcpi_data_segs_out;
        connections++;
    }
    CHECK_EQ_INT(connections, 1);
    return segments;
}

/* Those that waited for the first answer start together, and share packets. */
TEST(http2_requests_leave_together)
{
    nsurlsession_t *session = limited(1);
    enum { LOADS = 100 };
    struct load *loads[LOADS];
    const char *url = tls_h2_url("/echo");
    for (int index = 0; index < LOADS; index++)
        loads[index] = load_start(session, request_for("GET", url, NULL));
    for (int index = 0; index < LOADS; index++)
        load_body(loads[index], 200);
    const char *port = strrchr(authority_of(url), ':');
    uint32_t segments = segments_sent_to(htons((uint16_t)atoi(port + 1)));
    CHECK(segments < LOADS / 2);
    session_end(session);
}

/* Loads go on side by side, and one that is cancelled takes nothing with it. */
TEST(http2_side_by_side)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *before = line_value(get_text(session, tls_h2_url("/echo")), "connection-number");
    enum { TASKS = 20 };
    nsurlsession_task_t *tasks[TASKS];
    /* At 256 KiB a second none of them ends before all have begun. */
    for (int index = 0; index < TASKS; index++) {
        tasks[index] = nsurlsession_data_task_with_url(session, tls_h2_url("/slow/16m.bin"));
        nsurlsession_task_resume(tasks[index]);
    }
    recorder_wait(recorder, CALLBACK_RESPONSE, TASKS);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 0);
    for (int index = 0; index < TASKS; index++)
        nsurlsession_task_cancel(tasks[index]);
    recorder_wait(recorder, CALLBACK_COMPLETE, TASKS);
    for (unsigned index = 1; index <= TASKS; index++)
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, index).value,
                     NSURLSESSION_ERROR_CANCELLED);
    CHECK_EQ_STR(line_value(get_text(session, tls_h2_url("/echo")), "connection-number"), before);
    for (int index = 0; index < TASKS; index++)
        nsurlsession_release(tasks[index]);
    session_end(session);
}

/* Uploads wait for leave to send more, which comes between the bytes of downloads that never cease. */
TEST(http2_uploads_beside_downloads)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    get_text(session, tls_h2_url("/echo"));
    enum { DOWNLOADS = 4, UPLOADS = 4, SIZE = 4 << 20 };
    nsurlsession_task_t *tasks[DOWNLOADS];
    for (int index = 0; index < DOWNLOADS; index++) {
        tasks[index] = nsurlsession_data_task_with_url(session, tls_h2_url("/slow/16m.bin"));
        nsurlsession_task_resume(tasks[index]);
    }
    recorder_wait(recorder, CALLBACK_RESPONSE, DOWNLOADS);
    char *bytes = calloc(1, SIZE);
    struct load *uploads[UPLOADS];
    for (int index = 0; index < UPLOADS; index++)
        uploads[index] = load_start(
            session, with_body(request_for("POST", tls_h2_url("/upload"), NULL), bytes, SIZE));
    for (int index = 0; index < UPLOADS; index++)
        load_body(uploads[index], 200);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 0);
    for (int index = 0; index < DOWNLOADS; index++)
        nsurlsession_task_cancel(tasks[index]);
    recorder_wait(recorder, CALLBACK_COMPLETE, DOWNLOADS);
    for (int index = 0; index < DOWNLOADS; index++)
        nsurlsession_release(tasks[index]);
    free(bytes);
    session_end(session);
}

/* Without HTTP/2 on the other side, TLS is spoken with HTTP/1.1 and the usual limit. */
TEST(tls_without_http2)
{
    nsurlsession_t *session = limited(2);
    enum { LOADS = 12 };
    struct load *loads[LOADS];
    for (int index = 0; index < LOADS; index++)
        loads[index] = load_start(session, request_for("GET", tls_h1_url("/echo"), NULL));
    const char *first = NULL, *second = NULL;
    for (int index = 0; index < LOADS; index++) {
        const char *echo = load_body(loads[index], 200);
        CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/1.1");
        const char *number = line_value(echo, "connection-number");
        if (!first || strcmp(number, first) == 0)
            first = number;
        else if (!second)
            second = number;
        else
            CHECK_EQ_STR(number, second);
    }
    session_end(session);
}

/* ---- One request after the other -------------------------------------------------------------- */

/* Whatever the requests before it were and came to, a plain one is as if it were the first. */
TEST(nothing_of_a_request_stays_for_the_next)
{
    nsurlsession_t *session = session_for(NULL);
    for (unsigned round = 0; round < 3; round++) {
        nsurlsession_request_t *requests[] = {
            request_for("GET", fault_url("/echo"), "X-Own", "1", "User-Agent", "own",
                        "Accept-Encoding", "identity", NULL),
            request_for("GET", fault_url("/echo"), "X-Own", "1", NULL),
            with_body(request_for("POST", fault_url("/echo"), NULL), "body", 4),
            request_for("HEAD", fault_url("/echo"), NULL),
            request_for("DELETE", fault_url("/echo"), NULL),
            with_timeout(request_for("GET", fault_url("/echo"), NULL), 1000),
            request_for("GET", fault_url("/status?code=404"), NULL),
            request_for("GET", fault_url("/cut?after=10&size=20"), NULL),
            request_for("GET", fault_url("/redirect?code=302&to=%2Fecho"), NULL),
            request_for("GET", tls_h2_url("/echo"), "X-Own", "1", NULL),
        };
        for (size_t index = 0; index < sizeof requests / sizeof *requests; index++) {
            load(session, requests[index]);
            const char *echo = get_text(session, fault_url("/echo"));
            CHECK_CONTAINS(echo, "GET /echo HTTP/1.1");
            CHECK(echoed(echo, "X-Own") == NULL);
            CHECK(echoed(echo, "Content-Length") == NULL);
            CHECK_CONTAINS(echoed(echo, "User-Agent"), "libnsurlsession/");
            CHECK_CONTAINS(echoed(echo, "Accept-Encoding"), "gzip");
        }
    }
    session_end(session);
}
