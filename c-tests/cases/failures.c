/* Each error that a load can end with: what it says, and what came before it. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* CURLcode and X509_V_ERR_*, from the documentation of libcurl and of OpenSSL. */
enum {
    CURL_ANY = -1,
    CURL_NONE = 0,
    CURL_COULDNT_RESOLVE_HOST = 6,
    CURL_COULDNT_CONNECT = 7,
    CURL_PARTIAL_FILE = 18,
    CURL_SSL_CONNECT_ERROR = 35,
    CURL_GOT_NOTHING = 52,
    CURL_RECV_ERROR = 56,
    CURL_PEER_FAILED_VERIFICATION = 60,
    X509_CERT_NOT_YET_VALID = 9,
    X509_CERT_HAS_EXPIRED = 10,
    X509_DEPTH_ZERO_SELF_SIGNED_CERT = 18,
    X509_UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20,
};

/* ---- What every error has ------------------------------------------------------------------ */

struct expected {
    int64_t code;
    const char *url;    /* NULL: none */
    int64_t curl;       /* the nearest underlying error; CURL_ANY: some error of libcurl's */
    const char *domain; /* the one below that; NULL: none, unless CURL_ANY */
    int64_t below;
};

static void check_underlying(nsurlsession_error_t *error, const struct expected *expected)
{
    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(error);
    nsurlsession_dictionary_t *info = nsurlsession_error_user_info(error);
    nsurlsession_error_t *first =
        nsurlsession_dictionary_object_for_key(info, NSURLSESSION_UNDERLYING_ERROR_KEY);
    size_t count = nsurlsession_array_count(underlying);
    if (expected->curl == CURL_NONE)
        CHECK_EQ_INT(count, 0);
    else if (expected->curl == CURL_ANY)
        CHECK_BETWEEN(count, 1, 2);
    else
        CHECK_EQ_INT(count, expected->domain ? 2 : 1);
    for (size_t index = 0; index < count; index++) {
        nsurlsession_error_t *each = nsurlsession_array_object_at_index(underlying, index);
        const char *domain = nsurlsession_error_domain(each);
        if (index == 0) {
            CHECK(nsurlsession_is_equal(each, first));
            CHECK_EQ_STR(domain, NSURLSESSION_CURL_ERROR_DOMAIN);
            if (expected->curl != CURL_ANY)
                CHECK_EQ_INT(nsurlsession_error_code(each), expected->curl);
        } else if (expected->domain) {
            CHECK_EQ_STR(domain, expected->domain);
            CHECK_EQ_INT(nsurlsession_error_code(each), expected->below);
        }
        CHECK(nsurlsession_error_code(each) != 0);
        CHECK(nsurlsession_error_localized_description(each)[0] != '\0');
        nsurlsession_release(each);
    }
    nsurlsession_release(first);
    nsurlsession_release(info);
    nsurlsession_release(underlying);
}

static const char *info_text(nsurlsession_error_t *error, const char *key)
{
    return text_at(nsurlsession_error_user_info(error), key);
}

static void check_error(nsurlsession_error_t *error, const struct expected *expected)
{
    CHECK(error != NULL);
    CHECK_EQ_INT(nsurlsession_error_code(error), expected->code);
    CHECK_EQ_STR(nsurlsession_error_domain(error), NSURLSESSION_ERROR_DOMAIN);
    const char *description = nsurlsession_error_localized_description(error);
    CHECK(description && description[0]);
    CHECK_EQ_STR(info_text(error, NSURLSESSION_LOCALIZED_DESCRIPTION_KEY), description);
    CHECK_EQ_STR(info_text(error, NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY), expected->url);
    CHECK_EQ_STR(info_text(error, NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY), expected->url);
    check_underlying(error, expected);
}

/* Within the last callback the task is completed and has the error. */
static void look_at_the_end(struct recorder *recorder, const struct call *call)
{
    CHECK_EQ_INT(nsurlsession_task_state(call->task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK(task_error_is(call->task, call->error));
    recorder->user = nsurlsession_retain(call->error);
}

/* A delegate's load. The log must be this, with an error of that kind at its end. */
static void check_delegate(nsurlsession_configuration_t *configuration,
                           nsurlsession_request_t *request, const char *log,
                           const struct expected *expected)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_COMPLETE, 1, ACTION_NONE, false, look_at_the_end});
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request(session, request);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, test_format("create, %scomplete %" PRId64, log ? log : "", expected->code));
    check_error(recorder->user, expected);
    CHECK(recorder->pattern_holds);
    nsurlsession_response_t *response = nsurlsession_task_response(task);
    CHECK_EQ_INT(response != NULL, log && strstr(log, "response"));
    nsurlsession_release(response);
    nsurlsession_release(task);
    /* Nothing comes after the error but the end of the session. */
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
    nsurlsession_release(recorder->user);
}

/* A load with a handler, and one with a delegate. Releases the request. */
static void check_failure(nsurlsession_configuration_t *configuration,
                          nsurlsession_request_t *request, const char *log,
                          const struct expected *expected)
{
    nsurlsession_t *session = session_for(nsurlsession_retain(configuration));
    nsurlsession_retain(request);
    struct load *failed = load(session, request);
    check_error(failed->error, expected);
    CHECK(failed->data == NULL);
    CHECK_EQ_INT(failed->response != NULL, log && strstr(log, "response"));
    CHECK(task_error_is(failed->task, failed->error));
    CHECK_EQ_INT(nsurlsession_task_state(failed->task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK_EQ_INT(failed->completion->calls, 1);
    /* The session is as good as before. */
    CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next")), "next");
    session_end(session);

    check_delegate(configuration, request, log, expected);
    nsurlsession_release(request);
}

/* ---- One by one ---------------------------------------------------------------------------- */

struct failure_row {
    const char *name;
    /* A variable with a base URL; or a path of the fault server that gives a port, then begins the
       URL with the scheme; or NULL. */
    const char *base;
    const char *path;
    int code;
    int64_t curl;
    const char *domain;
    int64_t below;
    const char *log;
};

#define RESPONSE "response 200, "

static const struct failure_row failure_rows[] = {
    {"bad_url", NULL, "http://[::1", -1000, CURL_NONE, NULL, 0, NULL},
    {"bad_url_port", NULL, "http://127.0.0.1:70000/", -1000, CURL_NONE, NULL, 0, NULL},
    {"bad_url_relative", NULL, "a/b", -1000, CURL_NONE, NULL, 0, NULL},
    {"unsupported_ftp", NULL, "ftp://127.0.0.1/x", -1002, CURL_NONE, NULL, 0, NULL},
    {"unsupported_file", NULL, "file:///etc/passwd", -1002, CURL_NONE, NULL, 0, NULL},
    {"unsupported_ws", NULL, "ws://127.0.0.1/", -1002, CURL_NONE, NULL, 0, NULL},
    {"unsupported_unknown", NULL, "x-unknown:y", -1002, CURL_NONE, NULL, 0, NULL},
    /* RFC 6761, 6.4: no name below invalid exists. */
    {"host", NULL, "http://nonexistent.invalid/x", -1003, CURL_COULDNT_RESOLVE_HOST, NULL, 0, NULL},
    {"refused", "http /closed-port", "/x", -1004, CURL_COULDNT_CONNECT,
     NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNREFUSED, NULL},
    {"refused_tls", "https /closed-port", "/x", -1004, CURL_COULDNT_CONNECT,
     NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNREFUSED, NULL},
    {"lost_at_once", "http /reset-port", "/x", -1005, CURL_ANY, NSURLSESSION_POSIX_ERROR_DOMAIN,
     ECONNRESET, NULL},
    {"lost_at_once_tls", "https /reset-port", "/x", -1005, CURL_ANY,
     NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNRESET, NULL},
    {"lost_before", "FAULT_URL", "/cut?after=0&size=9&from=start", -1005, CURL_GOT_NOTHING, NULL, 0,
     NULL},
    {"lost_before_by_reset", "FAULT_URL", "/cut?after=0&size=9&from=start&reset=1", -1005,
     CURL_RECV_ERROR, NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNRESET, NULL},
    {"lost_in_the_head_by_reset", "FAULT_URL", "/cut?after=30&size=9&from=start&reset=1", -1005,
     CURL_RECV_ERROR, NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNRESET, NULL},
    {"lost_in_the_body", "FAULT_URL", "/cut?after=10&size=20", -1005, CURL_PARTIAL_FILE, NULL, 0,
     RESPONSE "data 10, "},
    {"lost_at_the_body", "FAULT_URL", "/cut?after=0&size=20", -1005, CURL_PARTIAL_FILE, NULL, 0,
     RESPONSE},
    {"lost_in_a_large_body", "FAULT_URL", "/cut?after=999999&size=1000000", -1005,
     CURL_PARTIAL_FILE, NULL, 0, RESPONSE "data 999999, "},
    {"lost_in_the_body_by_reset", "FAULT_URL", "/cut?after=10&size=20&reset=1", -1005,
     CURL_RECV_ERROR, NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNRESET, RESPONSE "data 10, "},
    {"lost_between_chunks", "FAULT_URL", "/cut?after=10&size=20&chunked=1", -1005, CURL_ANY, NULL,
     0, RESPONSE "data 10, "},
    {"lost_in_a_chunk", "FAULT_URL", "/cut?after=10&size=20&midchunk=1", -1005, CURL_ANY, NULL, 0,
     RESPONSE "data 10, "},
    {"redirects", "FAULT_URL", "/redirect-loop?code=302", -1007, CURL_NONE, NULL, 0,
     "redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, "
     "redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, "
     "redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, redirect 302, "
     "redirect 302, redirect 302, "},
    {"redirect_to_nowhere", "FAULT_URL", "/redirect?to=http://[", -1010, CURL_NONE, NULL, 0, NULL},
    {"decode", "FAULT_URL", "/encoded?coding=gzip&corrupt=1&corrupt_at=0", -1015, CURL_NONE, NULL,
     0, RESPONSE},
    {"coding", "FAULT_URL", "/encoded?coding=x-unknown", -1016, CURL_NONE, NULL, 0, RESPONSE},
    {"garbage", "http /garbage-port", "/x", -1017, CURL_ANY, NULL, 0, NULL},
    {"large_head", "FAULT_URL", "/headers?count=2000&size=1000", -1017, CURL_ANY, NULL, 0, NULL},
    {"large_field", "FAULT_URL", "/headers?count=1&size=1m", -1017, CURL_ANY, NULL, 0, NULL},
    {"tls_garbage", "https /tls-garbage", "/x", -1200, CURL_SSL_CONNECT_ERROR, NULL, 0, NULL},
    {"tls_greeted_by_garbage", "https /garbage-port", "/x", -1200, CURL_SSL_CONNECT_ERROR, NULL, 0,
     NULL},
    {"tls_expired", "TLS_EXPIRED_URL", "/x", -1201, CURL_PEER_FAILED_VERIFICATION,
     NSURLSESSION_OPENSSL_ERROR_DOMAIN, X509_CERT_HAS_EXPIRED, NULL},
    {"tls_wrong_host", "TLS_WRONG_HOST_URL", "/x", -1202, CURL_ANY, NULL, 0, NULL},
    {"tls_self_signed", "TLS_SELF_SIGNED_URL", "/x", -1202, CURL_PEER_FAILED_VERIFICATION,
     NSURLSESSION_OPENSSL_ERROR_DOMAIN, X509_DEPTH_ZERO_SELF_SIGNED_CERT, NULL},
    {"tls_unknown_root", "TLS_UNKNOWN_ROOT_URL", "/x", -1203, CURL_PEER_FAILED_VERIFICATION,
     NSURLSESSION_OPENSSL_ERROR_DOMAIN, X509_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, NULL},
    {"tls_not_yet_valid", "TLS_NOT_YET_VALID_URL", "/x", -1204, CURL_PEER_FAILED_VERIFICATION,
     NSURLSESSION_OPENSSL_ERROR_DOMAIN, X509_CERT_NOT_YET_VALID, NULL},
};

static const char *url_of_base(const char *base, const char *path)
{
    if (!base)
        return path;
    const char *space = strchr(base, ' ');
    if (!space)
        return env_url(base, path);
    const char *scheme = test_format("%.*s", (int)(space - base), base);
    return local_url(scheme, "127.0.0.1", atoi(control(space + 1)), path);
}

TEST_EACH(failure, struct failure_row, failure_rows)
{
    const char *url = url_of_base(row->base, row->path);
    struct expected expected = {row->code, url, row->curl, row->domain, row->below};
    check_failure(NULL, request_for("GET", url, NULL), row->log, &expected);
}

TEST(no_url)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *failed = load(session, nsurlsession_request_new());
    CHECK_EQ_INT(failed->completion->error_code, NSURLSESSION_ERROR_UNSUPPORTED_URL);
    CHECK_EQ_STR(failed->completion->error_domain, NSURLSESSION_ERROR_DOMAIN);
    CHECK(failed->response == NULL && failed->data == NULL);
    session_end(session);
}

TEST(url_that_is_no_text)
{
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_INT(get(session, "http://127.0.0.1/\xff\xfe")->completion->error_code,
                 NSURLSESSION_ERROR_BAD_URL);
    CHECK_EQ_INT(get(session, "")->completion->error_code, NSURLSESSION_ERROR_BAD_URL);
    session_end(session);
}

/* A port of plain HTTP that is spoken to in TLS, and the other way round. */
TEST(protocols_confused)
{
    const char *url = local_url("https", "127.0.0.1", port_of(fault_url("/")), "/x");
    struct expected expected = {-1200, url, CURL_SSL_CONNECT_ERROR, NULL, 0};
    check_failure(NULL, request_for("GET", url, NULL), NULL, &expected);

    nsurlsession_t *session = session_for(NULL);
    url = local_url("http", "127.0.0.1", port_of(tls_h1_url("/")), "/x");
    load_body(get(session, url), 400); /* nginx says what is wrong */
    session_end(session);
}

/* The certificate is for the names localhost, 127.0.0.1 and ::1, whatever the port. */
TEST(names_of_the_certificate)
{
    nsurlsession_t *session = session_for(NULL);
    int port = port_of(tls_h2_url("/"));
    CHECK_EQ_STR(get_text(session, local_url("https", "127.0.0.1", port, "/hello.txt")),
                 "Hello, world!\n");
    const char *url = local_url("https", "other.localhost", port, "/hello.txt");
    struct load *failed = get(session, url);
    CHECK_EQ_INT(failed->completion->error_code, NSURLSESSION_ERROR_SERVER_CERTIFICATE_UNTRUSTED);
    session_end(session);
}

TEST(cache_only)
{
    const char *url = fault_url("/echo");
    struct expected expected = {-2000, url, CURL_NONE, NULL, 0};
    check_failure(NULL, nsurlsession_request_with_url_cache_policy_timeout_interval(url, 3, 60),
                  NULL, &expected);
}

/* ---- Cancelled ----------------------------------------------------------------------------- */

static void check_cancelled(struct load *cancelled, const char *url, bool has_response)
{
    nsurlsession_task_cancel(cancelled->task);
    load_wait(cancelled);
    struct expected expected = {-999, url, CURL_NONE, NULL, 0};
    check_error(cancelled->error, &expected);
    CHECK_EQ_STR(nsurlsession_error_localized_description(cancelled->error), "cancelled");
    CHECK(cancelled->data == NULL);
    CHECK_EQ_INT(cancelled->response != NULL, has_response);
    CHECK(task_error_is(cancelled->task, cancelled->error));
    nsurlsession_task_cancel(cancelled->task);
    CHECK_EQ_INT(nsurlsession_task_state(cancelled->task), NSURLSESSION_TASK_STATE_COMPLETED);
}

TEST(cancelled)
{
    nsurlsession_t *session = session_for(NULL);
    const char *name = unique_name();
    /* Before it ran. */
    const char *url = fault_url("/echo");
    check_cancelled(load_new(session, request_for("GET", url, NULL)), url, false);
    /* Before there is an answer. */
    url = fault_url(test_format("/stall?at=accept&tag=%s", name));
    struct load *stalled = load_start(session, request_for("GET", url, NULL));
    control(test_format("/wait-arrived?tag=%s", name));
    check_cancelled(stalled, url, false);
    control(test_format("/wait-closed?tag=%s", name));
    /* Within the body. */
    url = fault_url("/stall?at=body&sends=10");
    stalled = load_start(session, request_for("GET", url, NULL));
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(stalled->task) == 10);
    check_cancelled(stalled, url, true);
    /* While it connects. */
    url = local_url("http", "127.0.0.1", atoi(control("/blackhole-port")), "/x");
    check_cancelled(load_start(session, request_for("GET", url, NULL)), url, false);
    /* While it shakes hands. */
    url = local_url("https", "127.0.0.1", atoi(control("/silent-port")), "/x");
    check_cancelled(load_start(session, request_for("GET", url, NULL)), url, false);
    session_end(session);
}

/* With all its tasks, also those that wait for a connection. */
TEST(cancelled_with_the_session)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *loads[20];
    for (int index = 0; index < 20; index++)
        loads[index] =
            load_start(session, request_for("GET", fault_url("/stall?at=accept"), NULL));
    nsurlsession_invalidate_and_cancel(session);
    for (int index = 0; index < 20; index++) {
        load_wait(loads[index]);
        CHECK_EQ_INT(loads[index]->completion->error_code, NSURLSESSION_ERROR_CANCELLED);
    }
    nsurlsession_release(session);
}

/* ---- Broken off at every byte -------------------------------------------------------------- */

static void check_cuts(const char *response, size_t head, size_t until)
{
    nsurlsession_t *session = session_for(NULL);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *delegating = recorder_session(recorder, NULL, NULL);
    for (size_t length = 0; length < until; length++) {
        const char *url =
            fault_url(test_format("/raw?bytes=%s", escaped_bytes(response, length)));
        struct load *cut = get(session, url);
        if (cut->completion->error_code != NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST)
            FAIL("cut after \"%.*s\": error %" PRId64, (int)length, response,
                 cut->completion->error_code);
        CHECK_EQ_INT(cut->completion->status, length >= head ? 200 : 0);
        struct expected expected = {-1005, url, CURL_ANY, NULL, 0};
        check_error(cut->error, &expected);

        nsurlsession_task_t *task = nsurlsession_data_task_with_url(delegating, url);
        nsurlsession_task_resume(task);
        recorder_wait(recorder, CALLBACK_COMPLETE, (unsigned)length + 1);
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, (unsigned)length + 1).value,
                     NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
        nsurlsession_release(task);
    }
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RESPONSE), until - head);
    session_end(session);
    session_end(delegating);
}

TEST(cut_at_every_byte)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nX-Field: value\r\nContent-Length: 5\r\n\r\nhello";
    check_cuts(response, (size_t)(strstr(response, "\r\n\r\n") + 4 - response), strlen(response));
}

/* RFC 9112, 8: a chunked body is incomplete until the chunk of size zero has come. */
TEST(cut_at_every_byte_of_chunks)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;x\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n";
    check_cuts(response, (size_t)(strstr(response, "\r\n\r\n") + 4 - response),
               strlen(response) - 5);
}

/* ---- What is not HTTP ---------------------------------------------------------------------- */

struct malformed_row {
    const char *name;
    const char *response;
};

static const struct malformed_row malformed_rows[] = {
    {"http_0_9", "Hello, this is HTTP/0.9.\n"},
    {"nonsense", "nonsense\r\n\r\n"},
    {"empty_line", "\r\n\r\n"},
    {"status_is_no_number", "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"status_of_one_digit", "HTTP/1.1 2 OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"status_of_two_digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"status_of_four_digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"unknown_version", "HTTP/7.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"other_protocol", "ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
    {"no_colon", "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nhi"},
    {"length_is_no_number", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi"},
    {"length_is_negative", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"},
    {"lengths_differ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nhi"},
    {"nul_in_a_field", "HTTP/1.1 200 OK\r\nX: a"},
};

/* RFC 9112: a response that cannot be understood, or whose end cannot be known, is no response. */
TEST_EACH(malformed, struct malformed_row, malformed_rows)
{
    const char *bytes = escaped(row->response);
    if (strcmp(row->name, "nul_in_a_field") == 0)
        bytes = test_format("%s%%00b%s", bytes, escaped("\r\nContent-Length: 2\r\n\r\nhi"));
    const char *url = fault_url(test_format("/raw?bytes=%s", bytes));
    struct expected expected = {-1017, url, CURL_ANY, NULL, 0};
    check_failure(NULL, request_for("GET", url, NULL), NULL, &expected);
}

/* RFC 9110, 15.2.2: nobody asked for another protocol. This is no silent success. */
TEST(unsolicited_upgrade)
{
    const char *response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nx-bytes";
    nsurlsession_t *session = session_for(NULL);
    struct load *upgraded =
        get(session, fault_url(test_format("/raw?bytes=%s", escaped(response))));
    CHECK(upgraded->error != NULL || upgraded->completion->status == 101);
    session_end(session);
}

/* Nor is an informational response without a final one. */
TEST(informational_response_alone)
{
    const char *response = "HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n";
    const char *url = fault_url(test_format("/raw?bytes=%s", escaped(response)));
    struct expected expected = {-1005, url, CURL_ANY, NULL, 0};
    check_failure(NULL, request_for("GET", url, NULL), NULL, &expected);
}

/* A chunk's size that is none: the body cannot go on. */
TEST(malformed_chunk)
{
    nsurlsession_t *session = session_for(NULL);
    static const char *const sizes[] = {"x", "-1", "", "fffffffffffffffff"};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        const char *response = test_format(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\nhello\r\n0\r\n\r\n",
            sizes[index]);
        struct load *failed =
            get(session, fault_url(test_format("/raw?bytes=%s", escaped(response))));
        CHECK(failed->error != NULL);
        CHECK_EQ_INT(failed->completion->status, 200);
        CHECK(failed->data == NULL);
        CHECK(failed->completion->error_code == NSURLSESSION_ERROR_CANNOT_PARSE_RESPONSE ||
              failed->completion->error_code == NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    }
    session_end(session);
}

/* ---- TLS that breaks off ------------------------------------------------------------------- */

/* Passes one connection on to a server, and breaks it off after so many bytes of the server's. */
struct proxy {
    int listener, port, server_port;
    size_t limit;
    bool reset;
    size_t passed;
};

static void send_all(int to, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = send(to, bytes, length, MSG_NOSIGNAL);
        if (count <= 0)
            return;
        bytes += count;
        length -= (size_t)count;
    }
}

static int connect_local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0);
    return descriptor;
}

static void *pass_on(void *context)
{
    struct proxy *proxy = context;
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(client >= 0);
    int server = connect_local(proxy->server_port);
    char buffer[16384];
    while (proxy->passed < proxy->limit) {
        struct pollfd polled[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(polled, 2, -1) < 0)
            continue;
        if (polled[0].revents) {
            ssize_t count = recv(client, buffer, sizeof buffer, 0);
            if (count <= 0)
                break;
            send_all(server, buffer, (size_t)count);
        }
        if (polled[1].revents) {
            size_t most = proxy->limit - proxy->passed;
            ssize_t count = recv(server, buffer, most < sizeof buffer ? most : sizeof buffer, 0);
            if (count <= 0)
                break;
            send_all(client, buffer, (size_t)count);
            proxy->passed += (size_t)count;
        }
    }
    if (proxy->reset) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    } else {
        /* Unread bytes would turn the end into a reset. */
        shutdown(client, SHUT_WR);
        while (recv(client, buffer, sizeof buffer, 0) > 0)
            ;
    }
    close(client);
    close(server);
    return NULL;
}

static struct load *load_through(nsurlsession_t *session, struct proxy *proxy, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(proxy->listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(proxy->listener, 1) == 0);
    CHECK(getsockname(proxy->listener, (struct sockaddr *)&address, &length) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, pass_on, proxy) == 0);
    const char *url = local_url("https", "127.0.0.1", ntohs(address.sin_port), path);
    struct load *passed = load(session, request_for("GET", url, NULL));
    /* Its connections end with the session, and the thread with the connection. */
    session_end(session);
    CHECK(pthread_join(thread, NULL) == 0);
    close(proxy->listener);
    return passed;
}

static void check_tls_cuts(const char *base, bool reset)
{
    struct proxy whole = {.server_port = port_of(env_text(base)), .limit = SIZE_MAX};
    struct load *passed = load_through(session_for(NULL), &whole, "/1k.bin");
    load_body(passed, 200);
    CHECK_EQ_INT(passed->completion->body_length, 1024);

    /* All of the last kilobyte is body. A signature may be a few bytes shorter the next time. */
    CHECK(whole.passed > 1500);
    for (size_t limit = 0; limit < whole.passed - 64; limit += 101) {
        struct proxy proxy = {
            .server_port = whole.server_port, .limit = limit, .reset = reset};
        struct load *cut = load_through(session_for(NULL), &proxy, "/1k.bin");
        CHECK_EQ_INT(proxy.passed, limit);
        CHECK(cut->error != NULL);
        CHECK(cut->data == NULL);
        int64_t code = cut->completion->error_code;
        /* Within the handshake it is the secure connection that failed. */
        if (code == NSURLSESSION_ERROR_SECURE_CONNECTION_FAILED && limit < whole.passed - 1100)
            CHECK(cut->response == NULL);
        else
            CHECK_EQ_INT(code, NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    }
}

TEST(tls_cut)
{
    check_tls_cuts("TLS_H1_URL", false);
}

TEST(tls_cut_http2)
{
    check_tls_cuts("TLS_H2_URL", false);
}

TEST(tls_reset)
{
    check_tls_cuts("TLS_H1_URL", true);
}

/* RFC 8446, 6.1: an end without close_notify may be a truncation by somebody else. */
TEST(tls_cut_of_a_body_without_length)
{
    nsurlsession_t *session = session_for(NULL);
    struct proxy proxy = {.server_port = port_of(tls_h1_url("/")), .limit = 100000};
    struct load *cut = load_through(session, &proxy, "/gzip/16m.bin");
    CHECK_EQ_INT(cut->completion->error_code, NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
}

/* ---- Timed out ----------------------------------------------------------------------------- */

static void check_timeout(struct load *expired, const char *url, const char *kind, double seconds,
                          double start)
{
    load_wait(expired);
    CHECK(monotonic_seconds() - start >= seconds);
    struct expected expected = {-1001, url, CURL_NONE, NULL, 0};
    check_error(expired->error, &expected);
    CHECK_EQ_STR(info_text(expired->error, NSURLSESSION_ERROR_TIMEOUT_KIND_KEY), kind);
}

/* Something else that takes so long: the timer of another load. */
static void wait_for_another_timer(double seconds)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *clock = load(
        session, with_timeout(request_for("GET", fault_url("/stall?at=accept"), NULL), seconds));
    CHECK_EQ_INT(clock->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    session_end(session);
}

struct timeout_row {
    const char *name;
    const char *base;
    const char *path;
    const char *log;
    size_t body;
};

static const struct timeout_row timeout_rows[] = {
    {"connecting", "http /blackhole-port", "/x", NULL, 0},
    {"shaking_hands", "https /silent-port", "/x", NULL, 0},
    {"before_the_answer", "FAULT_URL", "/stall?at=accept", NULL, 0},
    {"in_the_head", "FAULT_URL", "/stall?at=headers", NULL, 0},
    {"in_the_body", "FAULT_URL", "/stall?at=body&sends=10", RESPONSE "data 10, ", 0},
    {"at_the_body", "FAULT_URL", "/stall?at=body&chunked=1", RESPONSE, 0},
    {"sending", "http /silent-port", "/x", NULL, 8 << 20},
};

TEST_EACH(timeout, struct timeout_row, timeout_rows)
{
    const char *url = url_of_base(row->base, row->path);
    nsurlsession_request_t *request =
        request_for(row->body > 0 ? "POST" : "GET", url, NULL);
    if (row->body > 0)
        with_body(request, pattern_bytes(row->body), row->body);

    /* Long enough for what comes before the stall. */
    double seconds = stretched(0.25);
    nsurlsession_t *session = session_for(NULL);
    double start = monotonic_seconds();
    struct load *expired =
        load_start(session, with_timeout(nsurlsession_copy(request), seconds));
    check_timeout(expired, url, "request", seconds, start);
    CHECK_EQ_INT(expired->response != NULL, row->log != NULL);
    session_end(session);

    /* The same from the configuration, and by the whole load's timer. */
    struct expected expected = {-1001, url, CURL_NONE, NULL, 0};
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, seconds);
    check_delegate(configuration, request, row->log, &expected);
    nsurlsession_release(configuration);

    configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, 0.35);
    session = session_for(configuration);
    start = monotonic_seconds();
    check_timeout(load_start(session, nsurlsession_copy(request)), url, "resource", 0.35, start);
    session_end(session);
    nsurlsession_release(request);
}

/* Fractions of a second count. */
TEST(timeout_fractions)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *longer = load_start(
        session, with_timeout(request_for("GET", fault_url("/stall?at=accept"), NULL), 20.95));
    struct load *shorter = load_start(
        session, with_timeout(request_for("GET", fault_url("/stall?at=accept"), NULL), 0.15));
    load_wait(shorter);
    CHECK_EQ_INT(shorter->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    CHECK(!latch_is_open(&longer->completion->done));
    nsurlsession_task_cancel(longer->task);
    load_wait(longer);
    session_end(session);
}

/* However much has come, it is the time since then that counts. */
TEST(timeout_after_data)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *longer = load_start(
        session, with_timeout(request_for("GET", fault_url("/stall?at=accept"), NULL), 20));
    struct load *shorter = load_start(
        session,
        with_timeout(request_for("GET", fault_url("/stall?at=body&sends=10"), NULL), 0.6));
    load_wait(shorter);
    CHECK_EQ_INT(shorter->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    CHECK_EQ_INT(shorter->completion->status, 200);
    CHECK(!latch_is_open(&longer->completion->done));
    nsurlsession_task_cancel(longer->task);
    load_wait(longer);
    session_end(session);
}

/* What is set in a request takes the place of the configuration's, whichever is shorter. */
TEST(timeout_of_request_and_configuration)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 0.2);
    nsurlsession_t *session = session_for(configuration);
    struct load *patient =
        load_start(session, with_timeout(request_for("GET", held_url(), NULL), 60));
    wait_until_held(1);
    load_wait(load_start(session, request_for("GET", fault_url("/delay?ms=60000"), NULL)));
    CHECK(!latch_is_open(&patient->completion->done));
    let_held_go();
    load_body(patient, 200);
    session_end(session);
}

/* Whatever moves restarts the timer of the request, but not that of the load. */
TEST(timeout_restarted_by_data)
{
    nsurlsession_t *session = session_for(NULL);
    double start = monotonic_seconds();
    struct load *dripping = load(
        session,
        with_timeout(request_for("GET", fault_url("/drip?size=120&every=20"), NULL), 1.8));
    load_body(dripping, 200);
    CHECK_EQ_INT(dripping->completion->body_length, 120);
    CHECK(monotonic_seconds() - start > 1.8);
    session_end(session);

    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, 0.4);
    session = session_for(configuration);
    const char *url = fault_url("/drip?size=1g&every=20");
    start = monotonic_seconds();
    struct load *endless = load_start(session, with_timeout(request_for("GET", url, NULL), 30));
    check_timeout(endless, url, "resource", 0.4, start);
    CHECK(endless->response != NULL);
    session_end(session);
}

/* Informational responses are signs of life, too. */
TEST(timeout_restarted_by_informational_responses)
{
    nsurlsession_t *session = session_for(NULL);
    char *codes = test_allocate(1024);
    for (int index = 0; index < 120; index++)
        strcat(codes, index == 0 ? "102" : ",102");
    const char *url = fault_url(test_format("/informational?every=20&codes=%s", codes));
    CHECK_EQ_STR(load_text(session, with_timeout(request_for("GET", url, NULL), 1.8)), "final\n");
    session_end(session);
}

TEST(timeout_not_while_suspended)
{
    nsurlsession_t *session = session_for(NULL);
    const char *name = unique_name();
    const char *url = fault_url(test_format("/holdbody?name=%s&size=20", name));
    struct load *suspended =
        load_start(session, with_timeout(request_for("GET", url, NULL), stretched(0.3)));
    EVENTUALLY(nsurlsession_task_count_of_bytes_received(suspended->task) == 10);
    nsurlsession_task_suspend(suspended->task);
    wait_for_another_timer(stretched(0.9));
    CHECK(!latch_is_open(&suspended->completion->done));
    control(test_format("/release?name=%s", name));
    nsurlsession_task_resume(suspended->task);
    load_body(suspended, 200);

    /* And again afterwards, from the beginning. */
    struct load *stalled = load_start(
        session, with_timeout(request_for("GET", fault_url("/stall?at=accept"), NULL), 0.3));
    nsurlsession_task_suspend(stalled->task);
    wait_for_another_timer(0.6);
    CHECK(!latch_is_open(&stalled->completion->done));
    double start = monotonic_seconds();
    nsurlsession_task_resume(stalled->task);
    check_timeout(stalled, fault_url("/stall?at=accept"), "request", 0.3, start);
    session_end(session);
}

/* A task that waits for a connection has not begun. */
TEST(timeout_not_while_queued)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    nsurlsession_t *session = session_for(configuration);
    const char *name = unique_name();
    struct load *first = load_start(
        session, request_for("GET", fault_url(test_format("/hold?name=%s", name)), NULL));
    struct load *second = load_start(
        session, with_timeout(request_for("GET", fault_url("/body?size=1"), NULL), stretched(0.3)));
    wait_for_another_timer(stretched(0.9));
    CHECK(!latch_is_open(&second->completion->done));
    control(test_format("/release?name=%s", name));
    load_body(first, 200);
    load_body(second, 200);
    session_end(session);
}

/* But the load's own timer counts from the start. */
TEST(timeout_of_the_resource_while_queued)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, 0.4);
    nsurlsession_t *session = session_for(configuration);
    struct load *loads[3];
    for (int index = 0; index < 3; index++)
        loads[index] =
            load_start(session, request_for("GET", fault_url("/drip?size=1g&every=20"), NULL));
    for (int index = 0; index < 3; index++) {
        load_wait(loads[index]);
        CHECK_EQ_INT(loads[index]->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
        CHECK_EQ_STR(info_text(loads[index]->error, NSURLSESSION_ERROR_TIMEOUT_KIND_KEY),
                     "resource");
    }
    session_end(session);
}

struct held_row {
    const char *name;
    enum callback at;
    const char *path;
    const char *log;
};

static const struct held_row held_rows[] = {
    {"response", CALLBACK_RESPONSE, "/body?size=10", "create, response 200, data 10, complete nil"},
    {"response_of_a_large_body", CALLBACK_RESPONSE, "/body?size=1m",
     "create, response 200, data 1048576, complete nil"},
    {"response_before_the_body", CALLBACK_RESPONSE, "/holdbody?size=20&name=%s",
     "create, response 200, data 20, complete nil"},
    {"redirect", CALLBACK_REDIRECT, "/redirect?to=/body?size=10",
     "create, redirect 302, response 200, data 10, complete nil"},
};

/* While an answer is owed by the delegate, it is not the server that is waited for. */
TEST_EACH(timeout_not_while_asked, struct held_row, held_rows)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {row->at, 1, ACTION_ANSWER_HELD, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *name = unique_name();
    const char *path = strchr(row->path, '%')
                           ? test_format("%.*s%s", (int)strcspn(row->path, "%"), row->path, name)
                           : row->path;
    nsurlsession_request_t *request =
        with_timeout(request_for("GET", fault_url(path), NULL), stretched(0.3));
    nsurlsession_task_t *task = nsurlsession_data_task_with_request(session, request);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, row->at, 1);
    wait_for_another_timer(stretched(0.9));
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_RUNNING);
    control(test_format("/release?name=%s", name));
    recorder_answer(recorder, true);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, row->log);
    nsurlsession_release(task);
    session_end(session);
}

static const struct held_row overdue_rows[] = {
    {"response", CALLBACK_RESPONSE, "/holdbody?size=20&name=%s",
     "create, response 200, complete -1001"},
    {"redirect", CALLBACK_REDIRECT, "/redirect?to=/body?size=10",
     "create, redirect 302, complete -1001"},
};

/* The resource's timeout does not wait for answers, and one that comes after it changes nothing. */
TEST_EACH(timeout_of_the_resource_while_asked, struct held_row, overdue_rows)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, stretched(0.3));
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {row->at, 1, ACTION_ANSWER_HELD, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_release(configuration);
    const char *name = unique_name();
    const char *path = strchr(row->path, '%')
                           ? test_format("%.*s%s", (int)strcspn(row->path, "%"), row->path, name)
                           : row->path;
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url(path));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    recorder_answer(recorder, true);
    control(test_format("/release?name=%s", name));
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
}

static void wait_inside(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    (void)call;
    wait_for_another_timer(stretched(0.9));
}

/* Nor while the delegate is at work on what came: the server is held back by that. */
TEST(timeout_not_while_delivering)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_NONE, false, wait_inside});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_request_t *request =
        with_timeout(request_for("GET", fault_url("/body?size=4m"), NULL), stretched(0.3));
    nsurlsession_task_t *task = nsurlsession_data_task_with_request(session, request);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 4194304, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    session_end(session);
}

/* A connection that timed out carries nothing more. */
TEST(timeout_costs_the_connection)
{
    nsurlsession_t *session = session_for(NULL);
    const char *before = get_text(session, fault_url("/connection-id"));
    struct load *expired = load(
        session, with_timeout(request_for("GET", fault_url("/delay?ms=700&size=5"), NULL), 0.2));
    CHECK_EQ_INT(expired->completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    const char *after = get_text(session, fault_url("/connection-id"));
    CHECK(strcmp(before, after) != 0);
    session_end(session);
}
