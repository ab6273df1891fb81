/* Redirects: which requests they become, what stays behind, and the delegate's answers. */
#include "load.h"

static const char *redirect_url(int code, const char *to)
{
    return fault_url(test_format("/redirect?code=%d&to=%s", code, escaped(to)));
}

static const char *url_of(nsurlsession_request_t *owned)
{
    const char *url = text_of(nsurlsession_request_url(owned));
    nsurlsession_release(owned);
    return url;
}

static const char *method_of(nsurlsession_request_t *owned)
{
    const char *method = text_of(nsurlsession_request_http_method(owned));
    nsurlsession_release(owned);
    return method;
}

static const char *response_url_of(nsurlsession_task_t *task)
{
    nsurlsession_response_t *response = nsurlsession_task_response(task);
    const char *url = test_copy(nsurlsession_response_url(response));
    nsurlsession_release(response);
    return url;
}

/* ---- Methods ------------------------------------------------------------------------------- */

struct code_row {
    const char *name;
    int code;
    /* What becomes of these methods. */
    const char *get, *head, *post, *put, *delete, *custom;
};

/*
 * RFC 9110, 15.4: 301 and 302 may turn POST into GET, as everybody does; 303 means a retrieval; 307
 * and 308 keep the method.
 */
static const struct code_row code_rows[] = {
    {"301", 301, "GET", "HEAD", "GET", "PUT", "DELETE", "PATCH"},
    {"302", 302, "GET", "HEAD", "GET", "PUT", "DELETE", "PATCH"},
    {"303", 303, "GET", "HEAD", "GET", "GET", "GET", "GET"},
    {"307", 307, "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"},
    {"308", 308, "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"},
};

static void check_method(nsurlsession_t *session, int code, const char *method, const char *next,
                         const char *body)
{
    const char *first = redirect_url(code, "/echo?x");
    nsurlsession_request_t *request =
        request_for(method, first, "Content-Type", "text/x", "X-Kept", "kept", NULL);
    if (body)
        with_body(request, body, strlen(body));
    struct load *redirected = load(session, request);
    const char *echo = load_body(redirected, 200);

    bool kept = strcmp(method, next) == 0;
    CHECK_EQ_STR(method_of(nsurlsession_task_original_request(redirected->task)), method);
    CHECK_EQ_STR(method_of(nsurlsession_task_current_request(redirected->task)), next);
    CHECK_EQ_STR(url_of(nsurlsession_task_original_request(redirected->task)), first);
    CHECK_EQ_STR(url_of(nsurlsession_task_current_request(redirected->task)),
                 fault_url("/echo?x"));
    CHECK_EQ_STR(redirected->completion->url, fault_url("/echo?x"));
    size_t length = kept && body ? strlen(body) : 0;
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(redirected->task), length);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(redirected->task), length);
    if (strcmp(next, "HEAD") == 0)
        return;
    CHECK_EQ_STR(first_line(echo), test_format("%s /echo?x HTTP/1.1", next));
    CHECK_EQ_STR(echoed(echo, "X-Kept"), "kept");
    CHECK_EQ_STR(echoed(echo, "Content-Type"), kept ? "text/x" : NULL);
    CHECK_EQ_STR(echoed(echo, "Transfer-Encoding"), NULL);
    CHECK_EQ_STR(echoed_body(echo), length > 0 ? body : "");
    const char *content = echoed(echo, "Content-Length");
    if (length > 0)
        CHECK_EQ_STR(content, test_format("%zu", length));
    else
        CHECK(!content || strcmp(content, "0") == 0);
    if (!kept)
        CHECK_EQ_STR(content, NULL);
}

TEST_EACH(method, struct code_row, code_rows)
{
    nsurlsession_t *session = session_for(NULL);
    check_method(session, row->code, "GET", row->get, NULL);
    check_method(session, row->code, "HEAD", row->head, NULL);
    check_method(session, row->code, "POST", row->post, NULL);
    check_method(session, row->code, "POST", row->post, "posted");
    check_method(session, row->code, "PUT", row->put, NULL);
    check_method(session, row->code, "PUT", row->put, "put there");
    check_method(session, row->code, "DELETE", row->delete, NULL);
    check_method(session, row->code, "DELETE", row->delete, "deleted");
    check_method(session, row->code, "PATCH", row->custom, "patched");
    session_end(session);
}

TEST(large_body_sent_again)
{
    nsurlsession_t *session = session_for(NULL);
    size_t length = 1 << 20;
    struct load *upload =
        load(session, with_body(request_for("PUT", redirect_url(307, "/sink"), NULL),
                                pattern_bytes(length), length));
    CHECK_EQ_STR(load_body(upload, 200), pattern_sink(length));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(upload->task), length);

    /* The same, answered before the body was read. */
    length = 8 << 20;
    const char *url = fault_url("/redirect?read=0&code=307&to=/sink");
    upload = load(session,
                  with_body(request_for("POST", url, NULL), pattern_bytes(length), length));
    CHECK_EQ_STR(load_body(upload, 200), pattern_sink(length));
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(upload->task), length);
    session_end(session);
}

/* ---- Location ------------------------------------------------------------------------------ */

struct location_row {
    const char *name;
    const char *field;
    /* %s is the server's host and port. */
    const char *location;
    const char *target;
};

/* RFC 9110, 10.2.2: a URI reference, resolved against the URL of the request. */
static const struct location_row location_rows[] = {
    {"absolute", "Location", "http://%s/echo?x", "/echo?x"},
    {"absolute_path", "Location", "/echo?x", "/echo?x"},
    {"relative_path", "Location", "echo?x", "/echo?x"},
    {"dots", "Location", "../a/./b/../../echo", "/echo"},
    {"protocol_relative", "Location", "//%s/echo", "/echo"},
    {"upper_case_scheme", "Location", "HTTP://%s/echo", "/echo"},
    {"lower_case_name", "location", "/echo", "/echo"},
    {"upper_case_name", "LOCATION", "/echo", "/echo"},
    {"white_space", "Location", "  /echo \t", "/echo"},
    {"utf_8", "Location", "/echo?grün", "/echo?gr%%C3%%BCn"},
    {"latin_1", "Location", "/echo?a=gr\xfcn", "/echo?a=gr%%FCn"},
    {"space", "Location", "/echo?a b", "/echo?a%%20b"},
    {"encoded", "Location", "/echo?%%41%%2f", "/echo?%%41%%2f"},
    {"fragment", "Location", "/echo#part", "/echo"},
    {"user", "Location", "http://user:secret@%s/echo", "/echo"},
};

TEST_EACH(location, struct location_row, location_rows)
{
    nsurlsession_t *session = session_for(NULL);
    const char *authority = authority_of(fault_url("/"));
    /* Formats with at most one %s. */
    const char *location = test_format(row->location, authority);
    const char *target = test_format(row->target, authority);
    const char *url = fault_url(
        test_format("/redirect?name=%s&to=%s", row->field, escaped(location)));
    const char *echo = get_text(session, url);
    CHECK_EQ_STR(first_line(echo), test_format("GET %s HTTP/1.1", target));
    CHECK_EQ_STR(echoed(echo, "Host"), authority);
    CHECK_EQ_STR(echoed(echo, "Authorization"), NULL);
    session_end(session);
}

/* RFC 9110, 10.2.2: a target without a fragment inherits that of the request. */
TEST(fragment)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(session, test_format("%s#old", redirect_url(302, "/echo")));
    load_body(answer, 200);
    CHECK_EQ_STR(answer->completion->url, fault_url("/echo#old"));
    answer = get(session, test_format("%s#old", redirect_url(302, "/echo#new")));
    load_body(answer, 200);
    CHECK_EQ_STR(answer->completion->url, fault_url("/echo#new"));
    session_end(session);
}

TEST(no_redirect)
{
    static const int codes[] = {300, 304, 305, 306, 309, 399, 201};
    static const int redirects[] = {301, 302, 303, 307, 308};
    nsurlsession_t *session = session_for(NULL);
    for (size_t index = 0; index < sizeof codes / sizeof codes[0]; index++) {
        struct load *answer = get(session, redirect_url(codes[index], "/echo"));
        CHECK_EQ_STR(load_body(answer, codes[index]), codes[index] == 304 ? "" : "redirecting\n");
        CHECK_EQ_STR(load_field(answer, "Location"), "/echo");
    }
    /* Without a location, or with none in it, there is nowhere to go. */
    for (size_t index = 0; index < sizeof redirects / sizeof redirects[0]; index++) {
        const char *path = test_format("/redirect?code=%d", redirects[index]);
        CHECK_EQ_STR(load_body(get(session, fault_url(path)), redirects[index]), "redirecting\n");
        path = test_format("/redirect?code=%d&to=%%20", redirects[index]);
        CHECK_EQ_STR(load_body(get(session, fault_url(path)), redirects[index]), "redirecting\n");
    }
    session_end(session);

    /* Nobody is asked either. */
    struct recorder *recorder = recorder_new();
    session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/redirect?code=302&to="));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 302, data 12, complete nil");
    nsurlsession_release(task);
    session_end(session);
}

struct unusable_row {
    const char *name;
    const char *location;
    int code;
};

/* No server may send anybody to a local file, or to what is not loaded over HTTP. */
static const struct unusable_row unusable_rows[] = {
    {"file", "file:///etc/passwd", NSURLSESSION_ERROR_UNSUPPORTED_URL},
    {"ftp", "ftp://127.0.0.1/x", NSURLSESSION_ERROR_UNSUPPORTED_URL},
    {"data", "data:text/plain,x", NSURLSESSION_ERROR_UNSUPPORTED_URL},
    {"unknown", "x-unknown:y", NSURLSESSION_ERROR_UNSUPPORTED_URL},
    {"no_host", "http://", NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION},
    {"bad_address", "http://[::1", NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION},
    {"bad_port", "http://127.0.0.1:99999/", NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION},
    {"bad_host", "http://a b/", NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION},
};

TEST_EACH(unusable, struct unusable_row, unusable_rows)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = redirect_url(302, row->location);
    struct load *failed = get(session, url);
    CHECK_EQ_INT(failed->completion->error_code, row->code);
    CHECK_EQ_STR(failed->completion->error_domain, NSURLSESSION_ERROR_DOMAIN);
    CHECK(failed->data == NULL);
    CHECK_EQ_STR(text_at(nsurlsession_error_user_info(failed->error),
                         NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY), url);
    session_end(session);

    struct recorder *recorder = recorder_new();
    session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, test_format("create, complete %d", row->code));
    nsurlsession_release(task);
    session_end(session);
}

/* ---- The limit ----------------------------------------------------------------------------- */

TEST(limit)
{
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_STR(get_text(session, fault_url("/redirect-chain?n=1")), "end");
    CHECK_EQ_STR(get_text(session, fault_url("/redirect-chain?n=20")), "end");
    struct load *looping = get(session, fault_url("/redirect-chain?n=21"));
    CHECK_EQ_INT(looping->completion->error_code, NSURLSESSION_ERROR_HTTP_TOO_MANY_REDIRECTS);
    looping = get(session, fault_url("/redirect-loop?code=308"));
    CHECK_EQ_INT(looping->completion->error_code, NSURLSESSION_ERROR_HTTP_TOO_MANY_REDIRECTS);
    session_end(session);

    struct recorder *recorder = recorder_new();
    session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, http_url("/redirect/loop"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_REDIRECT), 20);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RESPONSE), 0);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                 NSURLSESSION_ERROR_HTTP_TOO_MANY_REDIRECTS);
    nsurlsession_release(task);
    session_end(session);
}

/* ---- Secrets ------------------------------------------------------------------------------- */

/* nginx listens on another port, so it is another origin; its /echo names what it got. */
static void check_no_secrets(const char *echo)
{
    CHECK_EQ_STR(line_value(echo, "authorization"), "");
    CHECK_EQ_STR(line_value(echo, "cookie"), "");
    CHECK_EQ_STR(line_value(echo, "x-test"), "custom");
}

TEST(secrets_of_the_request)
{
    nsurlsession_t *session = session_for(NULL);
    const char *targets[] = {
        http_url("/echo"), tls_h2_url("/echo"), redirect_url(302, http_url("/echo")),
        env_url("HTTP_LOCALHOST_URL", "/echo"),
    };
    for (size_t index = 0; index < sizeof targets / sizeof targets[0]; index++) {
        nsurlsession_request_t *request = request_for(
            "GET", redirect_url(302, targets[index]), "Authorization", "Bearer secret",
            "proxy-authorization", "Basic secret", "cookie", "secret=1", "X-Test", "custom", NULL);
        struct load *redirected = load(session, request);
        check_no_secrets(load_body(redirected, 200));
        request = nsurlsession_task_current_request(redirected->task);
        CHECK_EQ_STR(
            text_of(nsurlsession_request_value_for_http_header_field(request, "Authorization")),
            NULL);
        nsurlsession_release(request);
    }
    /* From TLS to none. */
    check_no_secrets(load_text(
        session, request_for("GET", tls_h2_url("/redirect/http/302/echo"), "Authorization",
                             "Bearer secret", "Cookie", "secret=1", "X-Test", "custom", NULL)));

    /* Within the origin Authorization goes too, as with Apple; the rest stays. */
    const char *echo = load_text(
        session, request_for("GET", redirect_url(307, "/echo"), "Authorization", "Bearer secret",
                             "Cookie", "secret=1", "X-Test", "custom", NULL));
    CHECK_EQ_STR(echoed(echo, "Authorization"), NULL);
    CHECK_EQ_STR(echoed(echo, "Cookie"), "secret=1");
    CHECK_EQ_STR(echoed(echo, "X-Test"), "custom");
    session_end(session);
}

TEST(secrets_of_the_configuration)
{
    nsurlsession_t *session = session_for(
        with_additional(configuration_new(), "AUTHORIZATION", "Bearer secret",
                        "Proxy-Authorization", "Basic secret", "Cookie", "secret=1", "X-Test",
                        "custom", NULL));
    check_no_secrets(get_text(session, redirect_url(302, http_url("/echo"))));
    check_no_secrets(get_text(session, redirect_url(302, env_url("HTTP_LOCALHOST_URL", "/echo"))));
    check_no_secrets(get_text(session, tls_h2_url("/redirect/http/302/echo")));
    /* Back again they stay away: the other origin chose where to go. */
    const char *back = http_url(test_format("/redirect/http/302/redirect/302/echo"));
    check_no_secrets(get_text(session, redirect_url(302, back)));

    const char *echo = get_text(session, redirect_url(302, "/echo"));
    CHECK_EQ_STR(echoed(echo, "Authorization"), "Bearer secret");
    CHECK_EQ_STR(echoed(echo, "Cookie"), "secret=1");
    /* Another task starts afresh. */
    echo = get_text(session, http_url("/echo"));
    CHECK_EQ_STR(line_value(echo, "authorization"), "Bearer secret");
    session_end(session);
}

/* The caller's Host names the host of the first request, not that of the next. */
TEST(host_field_stays_behind)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = fault_url("/echo");
    const char *echo = load_text(
        session, request_for("GET", redirect_url(302, url), "Host", "virtual.example", NULL));
    CHECK_EQ_STR(echoed(echo, "Host"), authority_of(url));
    session_end(session);
}

/* ---- The delegate -------------------------------------------------------------------------- */

/* A task with a delegate, through a redirect. The caller ends the session and releases the task. */
struct asked {
    struct recorder *recorder;
    nsurlsession_t *session;
    nsurlsession_task_t *task;
};

static struct asked ask(struct recorder *recorder, nsurlsession_request_t *request)
{
    recorder->merge_data = true;
    struct asked asked = {.recorder = recorder, .session = recorder_session(recorder, NULL, NULL)};
    asked.task = nsurlsession_data_task_with_request(asked.session, request);
    nsurlsession_release(request);
    nsurlsession_task_resume(asked.task);
    return asked;
}

static void end_asked(struct asked asked)
{
    nsurlsession_release(asked.task);
    session_end(asked.session);
}

static void look_at_redirect(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    CHECK_EQ_INT(nsurlsession_response_status_code(call->response), 307);
    CHECK_EQ_STR(nsurlsession_response_url(call->response), redirect_url(307, "/echo?next"));
    CHECK_EQ_STR(nsurlsession_response_value_for_http_header_field(call->response, "location"),
                 "/echo?next");
    CHECK_EQ_STR(text_of(nsurlsession_request_url(call->request)), fault_url("/echo?next"));
    CHECK_EQ_STR(text_of(nsurlsession_request_http_method(call->request)), "POST");
    CHECK_EQ_STR(
        text_of(nsurlsession_request_value_for_http_header_field(call->request, "X-Kept")), "kept");
    CHECK_EQ_STR(
        text_of(nsurlsession_request_value_for_http_header_field(call->request, "Authorization")),
        NULL);
    nsurlsession_data_t *body = nsurlsession_request_http_body(call->request);
    CHECK_EQ_STR(text_of_data(body), "body");
    nsurlsession_release(body);
    CHECK_EQ_STR(url_of(nsurlsession_task_original_request(call->task)),
                 redirect_url(307, "/echo?next"));
}

static nsurlsession_request_t *request_of_307(void)
{
    return with_body(request_for("POST", redirect_url(307, "/echo?next"), "X-Kept", "kept",
                                 "Authorization", "Bearer secret", NULL),
                     "body", 4);
}

TEST(delegate_is_asked)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_NONE, false, look_at_redirect});
    struct asked asked = ask(recorder, request_of_307());
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    const char *echo = recorder_text(recorder);
    CHECK_LOG(recorder, test_format("create, redirect 307, response 200, data %zu, complete nil",
                                    strlen(echo)));
    CHECK_EQ_STR(first_line(echo), "POST /echo?next HTTP/1.1");
    CHECK_EQ_STR(echoed_body(echo), "body");
    CHECK_EQ_STR(response_url_of(asked.task), fault_url("/echo?next"));
    CHECK_EQ_STR(url_of(nsurlsession_task_current_request(asked.task)), fault_url("/echo?next"));
    end_asked(asked);
}

TEST(delegate_of_a_task_with_a_handler)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_NONE, false, look_at_redirect});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *echo = load_text(session, request_of_307());
    CHECK_EQ_STR(first_line(echo), "POST /echo?next HTTP/1.1");
    CHECK_LOG(recorder, "create, redirect 307");
    session_end(session);
}

TEST(delegate_of_the_task)
{
    struct recorder *of_session = recorder_new(), *of_task = recorder_new();
    of_task->without = 1u << CALLBACK_COMPLETE | 1u << CALLBACK_RESPONSE | 1u << CALLBACK_DATA |
                       1u << CALLBACK_CREATE | 1u << CALLBACK_INVALID;
    of_session->merge_data = true;
    nsurlsession_t *session = recorder_session(of_session, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/redirect-chain?n=2"));
    nsurlsession_task_set_delegate(task, recorder_delegate(of_task));
    nsurlsession_task_resume(task);
    recorder_wait(of_session, CALLBACK_COMPLETE, 1);
    CHECK_LOG(of_session, "create, response 200, data 3, complete nil");
    recorder_wait(of_task, CALLBACK_RELEASE, 1);
    CHECK_LOG(of_task, "redirect 302, redirect 302, release");
    nsurlsession_release(task);
    session_end(session);
}

/* A delegate without the method follows. */
TEST(delegate_that_does_not_care)
{
    struct recorder *recorder = recorder_new();
    recorder->without = 1u << CALLBACK_REDIRECT;
    struct asked asked = ask(recorder, request_for("GET", fault_url("/redirect-chain?n=2"), NULL));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 3, complete nil");
    end_asked(asked);
}

/* Each redirect of a chain is asked about, wherever the answer comes from. */
struct answer_row {
    const char *name;
    enum action action;
    const char *log;
};

#define FOLLOWED "redirect 302, redirect 302, response 200, data 3, complete nil"

static const struct answer_row answer_rows[] = {
    {"same", ACTION_NONE, FOLLOWED},
    {"twice", ACTION_ANSWER_TWICE, FOLLOWED},
    {"later", ACTION_ANSWER_LATER, FOLLOWED},
    {"null", ACTION_ANSWER_CANCEL, "redirect 302, response 302, data 12, complete nil"},
    {"never", ACTION_NEVER_ANSWER, "redirect 302, complete -999"},
    {"released_later", ACTION_RELEASE_ANSWER_LATER, "redirect 302, complete -999"},
    {"cancel", ACTION_CANCEL, "redirect 302, complete -999"},
    {"invalidate", ACTION_INVALIDATE_AND_CANCEL, "redirect 302, complete -999"},
    {"finish", ACTION_FINISH_TASKS_AND_INVALIDATE, FOLLOWED},
    {"suspend", ACTION_SUSPEND_RESUME_LATER, FOLLOWED},
};

TEST_EACH(answer, struct answer_row, answer_rows)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 0, row->action, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", fault_url("/redirect-chain?n=2"), NULL));
    uint64_t identifier = nsurlsession_task_identifier(asked.task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, identifier), test_format("create, %s", row->log));
    end_asked(asked);
}

/* The response of the redirect is the result, with all of its body. */
TEST(answer_null)
{
    char *body = test_allocate(200001);
    for (int index = 0; index < 200000; index++)
        body[index] = (char)('a' + index % 26);
    const char *urls[] = {
        fault_url(test_format("/redirect?to=/echo&body=%s", body)),
        fault_url("/redirect?to=/echo&body="),
        tls_h2_url("/redirect/302/echo"),
    };
    for (int index = 0; index < 3; index++) {
        struct recorder *recorder = recorder_new();
        recorder_script(recorder, {CALLBACK_REDIRECT, 0, ACTION_ANSWER_CANCEL, false, NULL});
        struct asked asked = ask(recorder, request_for("GET", urls[index], NULL));
        recorder_wait(recorder, CALLBACK_COMPLETE, 1);
        const char *text = recorder_text(recorder);
        struct load *handled = get(asked.session, urls[index]);
        CHECK_EQ_STR(load_body(handled, 302), text);
        CHECK_EQ_INT(recorder_count(recorder, CALLBACK_REDIRECT), 2);
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_RESPONSE, 1).value, 302);
        CHECK(!recorder_event(recorder, CALLBACK_COMPLETE, 1).has_error);
        if (index == 2)
            CHECK_CONTAINS(text, "302 Found");
        else
            CHECK_EQ_STR(text, index == 0 ? body : "");
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(asked.task), strlen(text));
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(handled->task), strlen(text));
        CHECK_EQ_STR(response_url_of(asked.task), urls[index]);
        CHECK_EQ_STR(url_of(nsurlsession_task_current_request(asked.task)), urls[index]);
        CHECK(load_field(handled, "Location") != NULL);
        end_asked(asked);
    }
}

/* So long that it is held back while the delegate thinks, and then goes on. */
TEST(answer_null_later_to_a_large_body)
{
    char *body = test_allocate(800001);
    memset(body, 'b', 800000);
    const char *url = fault_url(test_format("/redirect?to=/echo&body=%s", body));
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 0, ACTION_ANSWER_HELD, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", url, NULL));
    struct load *handled = load_start(asked.session, request_for("GET", url, NULL));
    recorder_wait(recorder, CALLBACK_REDIRECT, 2);
    recorder_answer(recorder, false);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_text(recorder), body);
    CHECK_EQ_STR(load_body(handled, 302), body);
    end_asked(asked);
}

/* An encoded body is decoded as any other. */
TEST(answer_null_to_an_encoded_body)
{
    /* "redirected\n" by gzip */
    static const unsigned char gzip[] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x01, 11, 0, 0xf4, 0xff, 'r', 'e', 'd', 'i', 'r', 'e',
        'c', 't', 'e', 'd', '\n', 0x19, 0xd5, 0x75, 0x82, 11, 0, 0, 0,
    };
    const char *url =
        fault_url(test_format("/redirect?to=/echo&header=Content-Encoding:gzip&body=%s",
                              escaped_bytes(gzip, sizeof gzip)));
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 0, ACTION_ANSWER_CANCEL, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", url, NULL));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_text(recorder), "redirected\n");
    CHECK_EQ_STR(load_body(get(asked.session, url), 302), "redirected\n");
    end_asked(asked);
}

/* What a hook answers with, before the recorder does: the first answer holds. */
static nsurlsession_request_t *(*other_request)(const struct call *call);

static void answer_with_other(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    nsurlsession_request_t *request = other_request(call);
    nsurlsession_redirection_completion_call(call->completion, request);
    nsurlsession_release(request);
}

static struct asked ask_with_other(const char *to,
                                   nsurlsession_request_t *(*other)(const struct call *call))
{
    other_request = other;
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_NONE, false, answer_with_other});
    struct asked asked = ask(recorder, request_for("GET", redirect_url(302, to), "Authorization",
                                                   "Bearer secret", NULL));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    return asked;
}

static nsurlsession_request_t *elsewhere(const struct call *call)
{
    (void)call;
    return with_body(request_for("PUT", fault_url("/echo?elsewhere"), "X-New", "new", NULL), "new",
                     3);
}

TEST(answer_with_another_request)
{
    struct asked asked = ask_with_other("/echo?proposed", elsewhere);
    const char *echo = recorder_text(asked.recorder);
    CHECK_EQ_STR(first_line(echo), "PUT /echo?elsewhere HTTP/1.1");
    CHECK_EQ_STR(echoed(echo, "X-New"), "new");
    CHECK_EQ_STR(echoed(echo, "Authorization"), NULL);
    CHECK_EQ_STR(echoed_body(echo), "new");
    CHECK_EQ_STR(response_url_of(asked.task), fault_url("/echo?elsewhere"));
    CHECK_EQ_STR(method_of(nsurlsession_task_current_request(asked.task)), "PUT");
    CHECK_EQ_STR(method_of(nsurlsession_task_original_request(asked.task)), "GET");
    end_asked(asked);
}

/* The request is the delegate's own: changing it later changes nothing. */
static nsurlsession_request_t *changed_proposal(const struct call *call)
{
    nsurlsession_request_t *request = nsurlsession_copy(call->request);
    nsurlsession_request_set_value_for_http_header_field(request, "Bearer again", "Authorization");
    nsurlsession_redirection_completion_call(call->completion, request);
    nsurlsession_request_set_value_for_http_header_field(request, "Bearer late", "Authorization");
    return request;
}

TEST(answer_with_authorization_put_back)
{
    struct asked asked = ask_with_other(http_url("/echo"), changed_proposal);
    CHECK_EQ_STR(line_value(recorder_text(asked.recorder), "authorization"), "Bearer again");
    end_asked(asked);
}

static nsurlsession_request_t *file_request(const struct call *call)
{
    (void)call;
    return request_for("GET", "file:///etc/passwd", NULL);
}

static nsurlsession_request_t *malformed_request(const struct call *call)
{
    (void)call;
    return request_for("GET", "http://[::1", NULL);
}

static nsurlsession_request_t *request_without_url(const struct call *call)
{
    (void)call;
    return nsurlsession_request_new();
}

TEST(answer_with_an_unusable_request)
{
    struct asked asked = ask_with_other("/echo", file_request);
    CHECK_LOG(asked.recorder, "create, redirect 302, complete -1002");
    end_asked(asked);
    asked = ask_with_other("/echo", malformed_request);
    CHECK_LOG(asked.recorder, "create, redirect 302, complete -1000");
    end_asked(asked);
    asked = ask_with_other("/echo", request_without_url);
    CHECK_LOG(asked.recorder, "create, redirect 302, complete -1002");
    end_asked(asked);
}

/* While a delegate thinks about one task, the others of the session go on. */
TEST(only_the_asked_task_waits)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_ANSWER_HELD, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", fault_url("/redirect-chain?n=2"), NULL));
    recorder_wait(recorder, CALLBACK_REDIRECT, 1);
    CHECK_EQ_STR(get_text(asked.session, fault_url("/redirect-chain?n=3")), "end");
    CHECK_EQ_INT(nsurlsession_task_state(asked.task), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 0);
    recorder_answer(recorder, true);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_text(recorder), "end");
    end_asked(asked);
}

TEST(cancelled_while_asked)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 0, ACTION_ANSWER_HELD, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", fault_url("/redirect-chain?n=2"), NULL));
    struct load *handled =
        load_start(asked.session, request_for("GET", fault_url("/redirect-chain?n=2"), NULL));
    recorder_wait(recorder, CALLBACK_REDIRECT, 2);
    nsurlsession_task_cancel(asked.task);
    nsurlsession_task_cancel(handled->task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    load_wait(handled);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                 NSURLSESSION_ERROR_CANCELLED);
    CHECK_EQ_INT(handled->completion->error_code, NSURLSESSION_ERROR_CANCELLED);
    /* Too late, and without effect. */
    recorder_answer(recorder, true);
    CHECK_EQ_STR(get_text(asked.session, fault_url("/status?code=200&body=next")), "next");
    end_asked(asked);
}

/* ---- Time ---------------------------------------------------------------------------------- */

static const char *timeout_kind(struct load *load)
{
    CHECK_EQ_INT(load->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    return text_at(nsurlsession_error_user_info(load->error), NSURLSESSION_ERROR_TIMEOUT_KIND_KEY);
}

/* The request's timeout goes with it, and the load's own counts through all redirects. */
TEST(timeouts_survive)
{
    nsurlsession_t *session = session_for(NULL);
    const char *url = redirect_url(302, redirect_url(302, "/stall?at=accept"));
    struct load *stalled =
        load(session, with_timeout(request_for("GET", url, NULL), stretched(0.3)));
    CHECK_EQ_STR(timeout_kind(stalled), "request");
    CHECK_EQ_STR(text_at(nsurlsession_error_user_info(stalled->error),
                         NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY),
                 fault_url("/stall?at=accept"));
    session_end(session);

    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, 0.5);
    session = session_for(configuration);
    stalled = get(session, redirect_url(302, "/drip?size=1g&every=20"));
    CHECK_EQ_STR(timeout_kind(stalled), "resource");
    session_end(session);
}

/* ---- Bodies and connections ---------------------------------------------------------------- */

/* A body that nobody wants is not waited for, not even for its connection's sake. */
TEST(stalled_body)
{
    const char *raw = "HTTP/1.1 302 Found\r\nLocation: /echo?next\r\n"
                      "Content-Length: 100\r\n\r\nhalf";
    const char *url = fault_url(test_format("/raw?keep=1&bytes=%s", escaped(raw)));
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    nsurlsession_t *session = session_for(configuration);
    CHECK_EQ_STR(first_line(get_text(session, url)), "GET /echo?next HTTP/1.1");
    session_end(session);

    struct recorder *recorder = recorder_new();
    struct asked asked = ask(recorder, request_for("GET", url, NULL));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(first_line(recorder_text(recorder)), "GET /echo?next HTTP/1.1");
    end_asked(asked);
}

TEST(endless_body)
{
    char *body = test_allocate(900001);
    memset(body, 'b', 900000);
    const char *url = fault_url(test_format("/redirect?to=/echo?next&body=%s", body));
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_STR(first_line(get_text(session, url)), "GET /echo?next HTTP/1.1");
    session_end(session);

    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_ANSWER_HELD, false, NULL});
    struct asked asked = ask(recorder, request_for("GET", url, NULL));
    recorder_wait(recorder, CALLBACK_REDIRECT, 1);
    recorder_answer(recorder, true);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(first_line(recorder_text(recorder)), "GET /echo?next HTTP/1.1");
    end_asked(asked);
}

/* The body of a redirect breaks off or cannot be decoded: nobody wants it. */
TEST(broken_body)
{
    /* What follows the status line and the location. */
    static const char *const responses[] = {
        "Content-Length: 100\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "Content-Encoding: x-unknown\r\nContent-Length: 3\r\n\r\nabc",
        "\r\nuntil the end",
    };
    nsurlsession_t *session = session_for(NULL);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *asking = recorder_session(recorder, NULL, NULL);
    for (size_t index = 0; index < sizeof responses / sizeof responses[0]; index++) {
        const char *response =
            test_format("HTTP/1.1 302 Found\r\nLocation: /echo\r\n%s", responses[index]);
        const char *url = fault_url(test_format("/raw?bytes=%s", escaped(response)));
        CHECK_EQ_STR(first_line(get_text(session, url)), "GET /echo HTTP/1.1");
        CHECK_EQ_STR(first_line(get_text(asking, url)), "GET /echo HTTP/1.1");
    }
    session_end(session);
    session_end(asking);
}

/* A redirect whose body is there with its head costs no connection. */
TEST(connection_reused)
{
    nsurlsession_t *session = session_for(NULL);
    const char *first = line_value(get_text(session, http_url("/echo")), "connection-number");
    for (int index = 0; index < 3; index++) {
        const char *echo = get_text(session, http_url("/redirect/relative/302/echo"));
        CHECK_EQ_STR(line_value(echo, "connection-number"), first);
    }
    load_body(load(session, request_for("HEAD", http_url("/redirect/302/hello.txt"), NULL)), 200);
    CHECK_EQ_STR(get_text(session, http_url("/redirect/hop/xxxxx")), "arrived\n");
    CHECK_EQ_STR(line_value(get_text(session, http_url("/echo")), "connection-number"), first);

    first = get_text(session, fault_url("/connection-id"));
    CHECK_EQ_STR(get_text(session, fault_url("/redirect?body=&to=/connection-id")), first);
    session_end(session);

    struct recorder *recorder = recorder_new();
    session = recorder_session(recorder, NULL, NULL);
    first = line_value(get_text(session, http_url("/echo")), "connection-number");
    CHECK_EQ_STR(line_value(get_text(session, http_url("/redirect/302/echo")), "connection-number"),
                 first);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_REDIRECT), 1);
    session_end(session);
}

/* Redirects go through the limit on connections like any request. */
TEST(many_with_one_connection)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    nsurlsession_t *session = session_for(configuration);
    struct load *loads[20];
    for (int index = 0; index < 20; index++)
        loads[index] =
            load_start(session, request_for("GET", fault_url("/redirect-chain?n=5"), NULL));
    for (int index = 0; index < 20; index++)
        CHECK_EQ_STR(load_body(loads[index], 200), "end");
    session_end(session);
}

TEST(between_protocols)
{
    nsurlsession_t *session = session_for(NULL);
    const char *echo = get_text(session, http_url("/redirect/https/301/echo"));
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/2.0");
    echo = get_text(session, tls_h2_url("/redirect/http/308/echo"));
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/1.1");
    echo = get_text(session, tls_h2_url("/redirect/http/302/redirect/https/302/echo"));
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/2.0");
    echo = get_text(session, tls_h2_url("/redirect/relative/302/echo"));
    CHECK_EQ_STR(line_value(echo, "protocol"), "HTTP/2.0");
    nsurlsession_request_t *request =
        request_for("PUT", tls_h2_url("/redirect/307/upload"), NULL);
    echo = load_text(session, with_body(request, pattern_bytes(100000), 100000));
    CHECK_EQ_STR(line_value(echo, "method"), "PUT");
    CHECK_EQ_STR(line_value(echo, "content-length"), "100000");
    session_end(session);
}
