/* Requests, responses and configurations. */
#include "misuse.h"
#include "recorder.h"

#include <math.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

#define URL "http://example.com/a"

static void set(nsurlsession_dictionary_t *dictionary, const char *key, void *owned)
{
    nsurlsession_dictionary_set_object_for_key(dictionary, owned, key);
    nsurlsession_release(owned);
}

static void set_text(nsurlsession_dictionary_t *dictionary, const char *key, const char *text)
{
    set(dictionary, key, nsurlsession_string_with_utf8_string(text));
}

/* A dictionary of one string. */
static nsurlsession_dictionary_t *field(const char *name, const char *value)
{
    nsurlsession_dictionary_t *fields = nsurlsession_dictionary_new();
    set_text(fields, name, value);
    return fields;
}

static const char *url_of(const nsurlsession_request_t *request)
{
    return text_of(nsurlsession_request_url(request));
}

static const char *method_of(const nsurlsession_request_t *request)
{
    return text_of(nsurlsession_request_http_method(request));
}

static const char *value_of(const nsurlsession_request_t *request, const char *name)
{
    return text_of(nsurlsession_request_value_for_http_header_field(request, name));
}

/* The fields as "Name: value" with "; " between them; releases the dictionary. */
static const char *lines_of(nsurlsession_dictionary_t *owned)
{
    const char *lines = "";
    for (size_t index = 0; index < nsurlsession_dictionary_count(owned); index++) {
        const char *name = nsurlsession_dictionary_key_at_index(owned, index);
        const char *value = text_of(nsurlsession_dictionary_object_for_key(owned, name));
        lines = test_format("%s%s%s: %s", lines, index > 0 ? "; " : "", name, value);
    }
    nsurlsession_release(owned);
    return lines;
}

static const char *fields_of(const nsurlsession_request_t *request)
{
    return lines_of(nsurlsession_request_all_http_header_fields(request));
}

/* ---- Requests: URL ------------------------------------------------------------------------- */

TEST(request_has_apples_defaults)
{
    nsurlsession_request_t *request;
    CHECK_NO_MISUSE(request = nsurlsession_request_new());
    CHECK(nsurlsession_request_url(request) == NULL);
    CHECK_EQ_STR(method_of(request), "GET");
    CHECK(nsurlsession_request_timeout_interval(request) == 60);
    nsurlsession_dictionary_t *fields = nsurlsession_request_all_http_header_fields(request);
    CHECK(fields != NULL);
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 0);
    CHECK(nsurlsession_request_http_body(request) == NULL);
    nsurlsession_release(fields);

    nsurlsession_request_t *without_url = nsurlsession_request_with_url(NULL);
    CHECK(nsurlsession_request_url(without_url) == NULL);
    CHECK(nsurlsession_is_equal(request, without_url));
    nsurlsession_release(without_url);
    nsurlsession_release(request);
}

struct url {
    const char *name, *given, *read;
};

static const struct url urls[] = {
    {"plain", "http://example.com/a?b#c", "http://example.com/a?b#c"},
    {"no_path", "http://example.com", "http://example.com/"},
    {"upper_case", "HTTP://EXAMPLE.COM/Path", "http://example.com/Path"},
    {"default_port", "https://example.com:443/", "https://example.com/"},
    {"other_port", "https://example.com:80/", "https://example.com:80/"},
    {"dots", "http://example.com/a/./b/../c", "http://example.com/a/c"},
    {"encoded_dots", "http://example.com/a/%2e%2E/c", "http://example.com/c"},
    {"above_the_root", "http://example.com/../../c", "http://example.com/c"},
    {"backslashes", "http:\\\\example.com\\a", "http://example.com/a"},
    {"spaces", "  http://example.com/a b ", "http://example.com/a%20b"},
    {"line_breaks", "http://example.com/\r\nX-Evil: 1", "http://example.com/X-Evil:%201"},
    {"path_in_utf8", "http://example.com/\xc3\xbc?\xc3\x9f", "http://example.com/%C3%BC?%C3%9F"},
    {"idn", "http://b\xc3\xbc" "cher.example/", "http://xn--bcher-kva.example/"},
    {"idn_upper_case", "http://B\xc3\x9c" "CHER.example/", "http://xn--bcher-kva.example/"},
    {"idn_full_stop", "http://b\xc3\xbc" "cher\xe3\x80\x82" "example/",
     "http://xn--bcher-kva.example/"},
    {"idn_emoji", "http://\xf0\x9f\x8c\x8d.example/", "http://xn--tg8h.example/"},
    {"host_encoded", "http://ex%61mple.com/", "http://example.com/"},
    {"ipv6", "http://[::0:1]:80/", "http://[::1]/"},
    {"ipv4_hexadecimal", "http://0x7f.1/", "http://127.0.0.1/"},
    {"user", "http://user:pass@example.com/", "http://user:pass@example.com/"},
    {"other_scheme", "MAILTO:a@b", "mailto:a@b"},
    /* Malformed ones are kept as they are. */
    {"malformed_host", "http://[::1", "http://[::1"},
    {"malformed_port", "http://example.com:99999/", "http://example.com:99999/"},
    {"malformed_space", "http://exa mple.com/", "http://exa mple.com/"},
    {"malformed_idn", "http://xn--a/", "http://xn--a/"},
    {"relative", "/path/only", "/path/only"},
    {"no_host", "http://", "http://"},
    {"no_url", "not a URL", "not a URL"},
    {"empty", "", ""},
};

TEST_EACH(request_reads_urls, struct url, urls)
{
    char *given = test_copy(row->given);
    nsurlsession_request_t *request = nsurlsession_request_with_url(given);
    nsurlsession_request_t *with_policy =
        nsurlsession_request_with_url_cache_policy_timeout_interval(given, 0, 60);
    nsurlsession_request_t *set_later = nsurlsession_request_new();
    nsurlsession_request_set_url(set_later, given);
    memset(given, 'x', strlen(given));
    CHECK_EQ_STR(url_of(request), row->read);
    CHECK_EQ_STR(url_of(with_policy), row->read);
    CHECK_EQ_STR(url_of(set_later), row->read);
    CHECK(nsurlsession_is_equal(request, set_later));
    CHECK(nsurlsession_hash(request) == nsurlsession_hash(set_later));
    nsurlsession_release(request);
    nsurlsession_release(with_policy);
    nsurlsession_release(set_later);
}

TEST(request_keeps_what_is_readable_of_a_url)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url("http://a\xff/b");
    CHECK_EQ_STR(url_of(request), "http://a\xef\xbf\xbd/b"); /* the replacement character */
    nsurlsession_release(request);
}

TEST(request_url_can_be_changed_and_taken_away)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_string_t *before = nsurlsession_request_url(request);
    nsurlsession_request_set_url(request, "http://example.com/b");
    CHECK_EQ_STR(url_of(request), "http://example.com/b");
    CHECK_EQ_STR(text_of(before), URL);
    nsurlsession_request_set_url(request, NULL);
    CHECK(nsurlsession_request_url(request) == NULL);
    nsurlsession_release(request);
}

/* ---- Requests: timeout and cache policy ----------------------------------------------------- */

TEST(request_timeout)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    const double good[] = {5, 0.001, 1e300, INFINITY, 60};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        CHECK_NO_MISUSE(nsurlsession_request_set_timeout_interval(request, good[index]));
        CHECK(nsurlsession_request_timeout_interval(request) == good[index]);
        nsurlsession_request_t *made =
            nsurlsession_request_with_url_cache_policy_timeout_interval(URL, 0, good[index]);
        CHECK(nsurlsession_request_timeout_interval(made) == good[index]);
        nsurlsession_release(made);
    }

    nsurlsession_request_set_timeout_interval(request, 7);
    const double bad[] = {0, -0.0, -1, -INFINITY, NAN};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        CHECK_MISUSE("nsurlsession_request_set_timeout_interval",
                     nsurlsession_request_set_timeout_interval(request, bad[index]));
        CHECK(nsurlsession_request_timeout_interval(request) == 7);
        nsurlsession_request_t *made;
        CHECK_MISUSE("nsurlsession_request_with_url_cache_policy_timeout_interval",
                     made = nsurlsession_request_with_url_cache_policy_timeout_interval(
                         URL, 0, bad[index]));
        CHECK_EQ_STR(url_of(made), URL);
        CHECK(nsurlsession_request_timeout_interval(made) == 60);
        nsurlsession_release(made);
    }
    nsurlsession_release(request);
}

TEST(request_cache_policies_are_different)
{
    nsurlsession_request_t *requests[6];
    for (int32_t policy = 0; policy < 6; policy++)
        CHECK_NO_MISUSE(requests[policy] =
                            nsurlsession_request_with_url_cache_policy_timeout_interval(
                                URL, policy, 10));
    for (int one = 0; one < 6; one++)
        for (int other = 0; other < 6; other++)
            CHECK_EQ_INT(nsurlsession_is_equal(requests[one], requests[other]), one == other);

    const int32_t unknown[] = {-1, 6, INT32_MAX, INT32_MIN};
    for (size_t index = 0; index < sizeof unknown / sizeof unknown[0]; index++) {
        nsurlsession_request_t *request;
        CHECK_MISUSE("nsurlsession_request_with_url_cache_policy_timeout_interval",
                     request = nsurlsession_request_with_url_cache_policy_timeout_interval(
                         URL, unknown[index], 10));
        CHECK(nsurlsession_is_equal(request, requests[0]));
        nsurlsession_release(request);
    }
    for (int policy = 0; policy < 6; policy++)
        nsurlsession_release(requests[policy]);
}

/* What a task for the echo of the fault server gets with a policy. */
static struct completion *echo_with_policy(int32_t policy)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_request_t *request = nsurlsession_request_with_url_cache_policy_timeout_interval(
        fault_url("/echo"), policy, 60);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        session, request, record_completion, completion);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(request);
    nsurlsession_release(task);
    nsurlsession_release(session);
    return completion;
}

TEST(request_cache_policies_do_what_they_say)
{
    CHECK_EQ_INT(echo_with_policy(3)->error_code, NSURLSESSION_ERROR_CANNOT_LOAD_FROM_NETWORK);
    for (int32_t policy = 0; policy < 6; policy++) {
        if (policy == 3)
            continue;
        struct completion *completion = echo_with_policy(policy);
        CHECK_EQ_INT(completion->status, 200);
        /* 1 and 4 tell intermediaries not to answer from their caches. */
        bool reloads = strcasestr(completion->body, "\r\ncache-control: no-cache\r\n") != NULL;
        if (policy != 5)
            CHECK_EQ_INT(reloads, policy == 1 || policy == 4);
    }
}

/* ---- Requests: method ---------------------------------------------------------------------- */

TEST(request_method)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    const char *good[] = {"POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "M-SEARCH",
                          "x!#$%&'*+-.^_`|~9", "GET"};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        CHECK_NO_MISUSE(nsurlsession_request_set_http_method(request, good[index]));
        CHECK_EQ_STR(method_of(request), good[index]);
    }
    nsurlsession_request_set_http_method(request, "POST");
    CHECK_NO_MISUSE(nsurlsession_request_set_http_method(request, NULL));
    CHECK_EQ_STR(method_of(request), "GET");
    nsurlsession_release(request);
}

struct text {
    const char *name, *text;
};

static const struct text no_tokens[] = {
    {"empty", ""},
    {"space", "A B"},
    {"space_before", " A"},
    {"space_after", "A "},
    {"tab", "A\tB"},
    {"line_break", "A\r\nX-Evil: 1"},
    {"line_feed", "A\nB"},
    {"carriage_return", "A\rB"},
    {"colon", "A:"},
    {"comma", "A,B"},
    {"slash", "A/B"},
    {"quote", "\"A\""},
    {"bracket", "A[1]"},
    {"control", "A\x01"},
    {"delete", "A\x7f"},
    {"umlaut", "\xc3\x84"},
    {"invalid_utf8", "A\xff"},
};

TEST_EACH(request_refuses_methods, struct text, no_tokens)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_http_method(request, "POST");
    CHECK_MISUSE("nsurlsession_request_set_http_method",
                 nsurlsession_request_set_http_method(request, row->text));
    CHECK_EQ_STR(method_of(request), "POST");
    nsurlsession_release(request);
}

/* ---- Requests: header fields --------------------------------------------------------------- */

TEST(request_sets_header_fields)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(request, "text/plain", "Content-Type");
    nsurlsession_request_set_value_for_http_header_field(request, "1", "X-One");
    CHECK_EQ_STR(value_of(request, "Content-Type"), "text/plain");
    CHECK_EQ_STR(value_of(request, "CONTENT-type"), "text/plain");
    CHECK(value_of(request, "X-Two") == NULL);
    CHECK(nsurlsession_request_value_for_http_header_field(request, NULL) == NULL);
    CHECK_EQ_STR(fields_of(request), "Content-Type: text/plain; X-One: 1");

    /* In place of one with the same name, with the last spelling. */
    nsurlsession_request_set_value_for_http_header_field(request, "text/html", "content-TYPE");
    CHECK_EQ_STR(fields_of(request), "content-TYPE: text/html; X-One: 1");
    nsurlsession_request_set_value_for_http_header_field(request, "", "X-One");
    CHECK_EQ_STR(value_of(request, "X-One"), "");
    nsurlsession_request_set_value_for_http_header_field(request, NULL, "content-type");
    CHECK_EQ_STR(fields_of(request), "X-One: ");
    CHECK_NO_MISUSE(nsurlsession_request_set_value_for_http_header_field(request, NULL, "absent");
                    nsurlsession_request_set_value_for_http_header_field(request, "1", NULL));
    CHECK_EQ_STR(fields_of(request), "X-One: ");
    nsurlsession_release(request);
}

TEST(request_adds_to_header_fields)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_add_value_for_http_header_field(request, "a", "X-One");
    CHECK_EQ_STR(value_of(request, "X-One"), "a");
    nsurlsession_request_add_value_for_http_header_field(request, "b", "x-one");
    nsurlsession_request_add_value_for_http_header_field(request, "c", "X-ONE");
    CHECK_EQ_STR(value_of(request, "X-One"), "a,b,c");
    CHECK_NO_MISUSE(nsurlsession_request_add_value_for_http_header_field(request, NULL, "X-One");
                    nsurlsession_request_add_value_for_http_header_field(request, "d", NULL));
    CHECK_EQ_STR(value_of(request, "X-One"), "a,b,c");
    CHECK_EQ_INT(nsurlsession_is_equal(request, request), true);
    nsurlsession_release(request);
}

TEST(request_header_values)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    const char *kept[] = {"a b", "a\tb", "\"quoted\"", "gr\xc3\xbc\xc3\x9f" "e", "a:b;c,d=e", "%0d"};
    for (size_t index = 0; index < sizeof kept / sizeof kept[0]; index++) {
        CHECK_NO_MISUSE(
            nsurlsession_request_set_value_for_http_header_field(request, kept[index], "X-One"));
        CHECK_EQ_STR(value_of(request, "X-One"), kept[index]);
    }
    nsurlsession_request_set_value_for_http_header_field(request, " \tvalue\t ", "X-One");
    CHECK_EQ_STR(value_of(request, "X-One"), "value");
    nsurlsession_release(request);
}

TEST_EACH(request_refuses_header_names, struct text, no_tokens)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(request, "1", "A");
    CHECK_MISUSE("nsurlsession_request_set_value_for_http_header_field",
                 nsurlsession_request_set_value_for_http_header_field(request, "2", row->text));
    CHECK_MISUSE("nsurlsession_request_add_value_for_http_header_field",
                 nsurlsession_request_add_value_for_http_header_field(request, "2", row->text));
    CHECK_EQ_STR(fields_of(request), "A: 1");
    nsurlsession_release(request);
}

static const struct text no_values[] = {
    {"line_break", "1\r\nX-Evil: 1"},
    {"line_feed", "1\nX-Evil: 1"},
    {"carriage_return", "1\rX-Evil: 1"},
    {"folded", "1\r\n 2"},
    {"line_break_at_the_end", "1\r\n"},
    {"line_feed_first", "\n1"},
    {"invalid_utf8", "1\xff"},
};

TEST_EACH(request_refuses_header_values, struct text, no_values)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(request, "before", "X-One");
    CHECK_MISUSE("nsurlsession_request_set_value_for_http_header_field",
                 nsurlsession_request_set_value_for_http_header_field(request, row->text, "X-One"));
    CHECK_MISUSE("nsurlsession_request_set_value_for_http_header_field",
                 nsurlsession_request_set_value_for_http_header_field(request, row->text, "X-Two"));
    CHECK_MISUSE("nsurlsession_request_add_value_for_http_header_field",
                 nsurlsession_request_add_value_for_http_header_field(request, row->text, "X-One"));
    CHECK_MISUSE("nsurlsession_request_add_value_for_http_header_field",
                 nsurlsession_request_add_value_for_http_header_field(request, row->text, "X-Two"));
    CHECK_EQ_STR(fields_of(request), "X-One: before");
    nsurlsession_release(request);
}

TEST(request_refuses_to_look_up_invalid_utf8)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    CHECK_MISUSE("nsurlsession_request_value_for_http_header_field",
                 CHECK(!nsurlsession_request_value_for_http_header_field(request, "A\xff")));
    nsurlsession_release(request);
}

TEST(request_replaces_all_header_fields)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(request, "0", "X-Zero");
    nsurlsession_dictionary_t *fields = field("X-Two", "2");
    set_text(fields, "X-One", "1");
    nsurlsession_request_set_all_http_header_fields(request, fields);
    set_text(fields, "X-One", "changed later");
    CHECK_EQ_STR(fields_of(request), "X-Two: 2; X-One: 1");

    /* What comes out is a copy. */
    nsurlsession_dictionary_t *all = nsurlsession_request_all_http_header_fields(request);
    set_text(all, "X-Two", "changed");
    CHECK_EQ_STR(lines_of(all), "X-Two: changed; X-One: 1");
    CHECK_EQ_STR(value_of(request, "X-Two"), "2");

    /* What is no dictionary changes nothing. */
    nsurlsession_data_t *other = nsurlsession_data_with_bytes_length("x", 1);
    CHECK_MISUSE("nsurlsession_request_set_all_http_header_fields",
                 nsurlsession_request_set_all_http_header_fields(request, (const void *)other));
    CHECK_EQ_STR(fields_of(request), "X-Two: 2; X-One: 1");
    nsurlsession_release(other);

    CHECK_NO_MISUSE(nsurlsession_request_set_all_http_header_fields(request, NULL));
    CHECK_EQ_STR(fields_of(request), "");
    nsurlsession_release(fields);
    nsurlsession_release(request);
}

TEST(request_leaves_out_what_is_no_header_field)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_dictionary_t *fields = field("X-One", "1");
    set(fields, "X-Data", nsurlsession_data_with_bytes_length("x", 1));
    set_text(fields, "X-Evil", "1\r\nX-More: 2");
    set_text(fields, "X Name", "1");
    set_text(fields, "X-Two", "2");
    CHECK_MISUSE("nsurlsession_request_set_all_http_header_fields",
                 nsurlsession_request_set_all_http_header_fields(request, fields));
    CHECK_EQ_STR(fields_of(request), "X-One: 1; X-Two: 2");
    nsurlsession_release(fields);
    nsurlsession_release(request);
}

/* ---- Requests: body ------------------------------------------------------------------------ */

static void count(void *context, void *bytes, size_t length)
{
    (void)bytes, (void)length;
    (*(unsigned *)context)++;
}

TEST(request_retains_its_body)
{
    unsigned freed = 0;
    char bytes[] = "body";
    nsurlsession_data_t *body =
        nsurlsession_data_with_bytes_no_copy_length_deallocator(bytes, 4, count, &freed);
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_data_t *inside = nsurlsession_request_http_body(request);
    CHECK(inside == body);
    CHECK(nsurlsession_data_bytes(inside) == bytes);
    nsurlsession_release(inside);
    nsurlsession_release(body);
    CHECK_EQ_STR(method_of(request), "GET");

    /* What is no data changes nothing. */
    nsurlsession_string_t *other = nsurlsession_string_with_utf8_string("other");
    CHECK_MISUSE("nsurlsession_request_set_http_body",
                 nsurlsession_request_set_http_body(request, (const void *)other));
    nsurlsession_release(other);

    nsurlsession_request_t *copy = nsurlsession_copy(request);
    CHECK_NO_MISUSE(nsurlsession_request_set_http_body(request, NULL));
    CHECK(nsurlsession_request_http_body(request) == NULL);
    CHECK_EQ_INT(freed, 0); /* the copy has it */
    inside = nsurlsession_request_http_body(copy);
    CHECK_EQ_STR(text_of_data(inside), "body");
    nsurlsession_release(inside);
    nsurlsession_release(copy);
    CHECK_EQ_INT(freed, 1);
    nsurlsession_release(request);
}

/* ---- Requests: copies and equality --------------------------------------------------------- */

/* A request with everything set. */
static nsurlsession_request_t *full_request(void)
{
    nsurlsession_request_t *request =
        nsurlsession_request_with_url_cache_policy_timeout_interval(URL, 1, 5);
    nsurlsession_data_t *body = nsurlsession_data_with_bytes_length("body", 4);
    nsurlsession_request_set_http_method(request, "POST");
    nsurlsession_request_set_value_for_http_header_field(request, "1", "X-One");
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_release(body);
    return request;
}

static void change_url(nsurlsession_request_t *request)
{
    nsurlsession_request_set_url(request, "http://example.com/b");
}

static void change_url_to_none(nsurlsession_request_t *request)
{
    nsurlsession_request_set_url(request, NULL);
}

static void change_timeout(nsurlsession_request_t *request)
{
    nsurlsession_request_set_timeout_interval(request, 6);
}

static void change_method(nsurlsession_request_t *request)
{
    nsurlsession_request_set_http_method(request, "PUT");
}

static void change_field(nsurlsession_request_t *request)
{
    nsurlsession_request_set_value_for_http_header_field(request, "2", "X-One");
}

static void change_add_field(nsurlsession_request_t *request)
{
    nsurlsession_request_add_value_for_http_header_field(request, "2", "X-Two");
}

static void change_all_fields(nsurlsession_request_t *request)
{
    nsurlsession_request_set_all_http_header_fields(request, NULL);
}

static void change_body(nsurlsession_request_t *request)
{
    nsurlsession_data_t *body = nsurlsession_data_with_bytes_length("Body", 4);
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_release(body);
}

static void change_body_to_none(nsurlsession_request_t *request)
{
    nsurlsession_request_set_http_body(request, NULL);
}

struct change {
    const char *name;
    void (*change)(nsurlsession_request_t *request);
};

static const struct change changes[] = {
    {"url", change_url},
    {"url_to_none", change_url_to_none},
    {"timeout", change_timeout},
    {"method", change_method},
    {"field", change_field},
    {"add_field", change_add_field},
    {"all_fields", change_all_fields},
    {"body", change_body},
    {"body_to_none", change_body_to_none},
};

/* A change makes a request unequal to what it was, and reaches neither its copy nor its original. */
TEST_EACH(request_copies_are_independent, struct change, changes)
{
    nsurlsession_request_t *request = full_request(), *same = full_request();
    CHECK(nsurlsession_is_equal(request, same));
    CHECK(nsurlsession_hash(request) == nsurlsession_hash(same));
    nsurlsession_request_t *copy = nsurlsession_copy(request);
    CHECK(copy != request);
    CHECK(nsurlsession_is_equal(copy, request));

    row->change(request);
    CHECK(!nsurlsession_is_equal(request, same));
    CHECK(!nsurlsession_is_equal(same, request));
    CHECK(nsurlsession_is_equal(copy, same));

    nsurlsession_request_t *copy_of_the_copy = nsurlsession_copy(copy);
    row->change(copy_of_the_copy);
    CHECK(nsurlsession_is_equal(copy_of_the_copy, request));
    CHECK(nsurlsession_hash(copy_of_the_copy) == nsurlsession_hash(request));
    CHECK(nsurlsession_is_equal(copy, same));

    nsurlsession_release(request);
    CHECK_EQ_STR(url_of(copy), URL);
    CHECK_EQ_STR(method_of(copy), "POST");
    CHECK_EQ_STR(fields_of(copy), "X-One: 1");
    CHECK(nsurlsession_request_timeout_interval(copy) == 5);
    nsurlsession_data_t *body = nsurlsession_request_http_body(copy);
    CHECK_EQ_STR(text_of_data(body), "body");
    nsurlsession_release(body);
    nsurlsession_release(copy);
    nsurlsession_release(copy_of_the_copy);
    nsurlsession_release(same);
}

TEST(request_equality_ignores_the_order_and_case_of_fields)
{
    nsurlsession_request_t *one = nsurlsession_request_with_url(URL);
    nsurlsession_request_t *other = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(one, "1", "A");
    nsurlsession_request_set_value_for_http_header_field(one, "2", "B");
    nsurlsession_request_set_value_for_http_header_field(other, "2", "b");
    nsurlsession_request_set_value_for_http_header_field(other, "1", "a");
    CHECK(nsurlsession_is_equal(one, other));
    CHECK(nsurlsession_hash(one) == nsurlsession_hash(other));
    nsurlsession_request_set_http_method(one, "GET");
    CHECK(nsurlsession_is_equal(one, other));
    nsurlsession_request_set_value_for_http_header_field(other, "x", "a");
    CHECK(!nsurlsession_is_equal(one, other));
    nsurlsession_release(one);
    nsurlsession_release(other);
}

TEST(request_description)
{
    nsurlsession_request_t *request = full_request();
    const char *description = text_of(nsurlsession_description(request));
    CHECK_CONTAINS(description, "POST " URL);
    CHECK_CONTAINS(description, "X-One: 1");
    nsurlsession_release(request);
}

/* A task takes the request as it was; what it gives back is a copy. */
TEST(request_is_copied_by_tasks)
{
    nsurlsession_request_t *request = full_request(), *same = full_request();
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request(session, request);
    change_method(request);
    nsurlsession_request_t *original = nsurlsession_task_original_request(task);
    CHECK(nsurlsession_is_equal(original, same));
    change_url(original);
    nsurlsession_release(original);
    original = nsurlsession_task_original_request(task);
    CHECK(nsurlsession_is_equal(original, same));
    nsurlsession_release(original);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(request);
    nsurlsession_release(same);
}

/* ---- Responses that are not HTTP ----------------------------------------------------------- */

#define PLAIN nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name
#define HTTP nsurlsession_response_with_url_status_code_http_version_header_fields
static const char plain_name[] =
    "nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name";
static const char http_name[] =
    "nsurlsession_response_with_url_status_code_http_version_header_fields";

TEST(plain_response_holds_what_it_is_given)
{
    char type[] = "text/html", encoding[] = "utf-8";
    nsurlsession_response_t *response = PLAIN("FILE:///a/../page.html", type, 12, encoding);
    memset(type, 'x', sizeof type - 1);
    memset(encoding, 'x', sizeof encoding - 1);
    CHECK_EQ_STR(nsurlsession_response_url(response), "file:///page.html");
    CHECK_EQ_STR(nsurlsession_response_mime_type(response), "text/html");
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response), 12);
    CHECK_EQ_STR(nsurlsession_response_text_encoding_name(response), "utf-8");
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "page.html");
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 0);
    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(response);
    CHECK(fields != NULL);
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 0);
    nsurlsession_release(fields);
    CHECK(nsurlsession_response_value_for_http_header_field(response, "Content-Type") == NULL);
    CHECK_CONTAINS(text_of(nsurlsession_description(response)), "text/html");
    nsurlsession_release(response);
}

TEST(plain_response_without_anything)
{
    nsurlsession_response_t *response;
    CHECK_NO_MISUSE(response = PLAIN("x:y", NULL, NSURLSESSION_RESPONSE_UNKNOWN_LENGTH, NULL));
    CHECK(nsurlsession_response_mime_type(response) == NULL);
    CHECK(nsurlsession_response_text_encoding_name(response) == NULL);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response),
                 NSURLSESSION_RESPONSE_UNKNOWN_LENGTH);
    nsurlsession_release(response);
}

TEST(plain_response_lengths)
{
    const int64_t lengths[] = {0, 1, INT64_MAX, -1, -2, INT64_MIN};
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        nsurlsession_response_t *response = PLAIN("file:///a", NULL, lengths[index], NULL);
        CHECK_EQ_INT(nsurlsession_response_expected_content_length(response),
                     lengths[index] < 0 ? -1 : lengths[index]);
        nsurlsession_release(response);
    }
}

/* mime_type: lower case and without parameters. */
TEST(plain_response_type_is_normalised)
{
    nsurlsession_response_t *response = PLAIN("file:///a", "Text/HTML; x=y", 1, NULL);
    CHECK_EQ_STR(nsurlsession_response_mime_type(response), "text/html");
    nsurlsession_release(response);
}

TEST(plain_response_refuses)
{
    CHECK_MISUSE(plain_name, CHECK(!PLAIN(NULL, "text/html", 1, "utf-8")));
    nsurlsession_response_t *response;
    CHECK_MISUSE(plain_name, response = PLAIN("file:///a", "\xff", 1, "\xff"));
    CHECK(nsurlsession_response_mime_type(response) == NULL);
    CHECK(nsurlsession_response_text_encoding_name(response) == NULL);
    nsurlsession_release(response);
}

/* ---- Responses of HTTP --------------------------------------------------------------------- */

/* A response with one field; NULL for the name: none. */
static nsurlsession_response_t *response_with(const char *url, const char *name, const char *value)
{
    nsurlsession_dictionary_t *fields = name ? field(name, value) : NULL;
    nsurlsession_response_t *response = HTTP(url, 200, NULL, fields);
    nsurlsession_release(fields);
    return response;
}

TEST(http_response_holds_what_it_is_given)
{
    nsurlsession_dictionary_t *fields = field("Content-Type", "text/HTML; charset=UTF-8");
    set_text(fields, "Content-Length", "12");
    set_text(fields, "X-One", "1");
    nsurlsession_response_t *response = HTTP("HTTP://EXAMPLE.com/a/../b", 404, "HTTP/2", fields);
    set_text(fields, "X-One", "changed later");
    nsurlsession_release(fields);
    CHECK_EQ_STR(nsurlsession_response_url(response), "http://example.com/b");
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 404);
    CHECK_EQ_STR(nsurlsession_response_mime_type(response), "text/html");
    CHECK_EQ_STR(nsurlsession_response_text_encoding_name(response), "UTF-8");
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response), 12);
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "b.html");
    CHECK_EQ_STR(lines_of(nsurlsession_response_all_header_fields(response)),
                 "Content-Type: text/HTML; charset=UTF-8; Content-Length: 12; X-One: 1");
    const char *description = text_of(nsurlsession_description(response));
    CHECK_CONTAINS(description, "HTTP/2 404");
    CHECK_CONTAINS(description, "X-One");
    nsurlsession_release(response);
}

TEST(http_response_without_fields)
{
    nsurlsession_response_t *response;
    CHECK_NO_MISUSE(response = HTTP("http://example.com/", 200, NULL, NULL));
    CHECK_CONTAINS(text_of(nsurlsession_description(response)), "HTTP/1.1 200");
    CHECK(nsurlsession_response_mime_type(response) == NULL);
    CHECK(nsurlsession_response_text_encoding_name(response) == NULL);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response), -1);
    CHECK_EQ_STR(lines_of(nsurlsession_response_all_header_fields(response)), "");
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "example.com");
    nsurlsession_release(response);
}

TEST(http_response_statuses)
{
    const int64_t good[] = {100, 200, 204, 304, 404, 599, 999};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        nsurlsession_response_t *response;
        CHECK_NO_MISUSE(response = HTTP(URL, good[index], NULL, NULL));
        CHECK_EQ_INT(nsurlsession_response_status_code(response), good[index]);
        nsurlsession_release(response);
    }
    const int64_t bad[] = {99, 1000, 0, -200, INT64_MIN, INT64_MAX, (int64_t)1 << 32 | 200};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++)
        CHECK_MISUSE(http_name, CHECK(!HTTP(URL, bad[index], NULL, NULL)));
    CHECK_MISUSE(http_name, CHECK(!HTTP(NULL, 200, NULL, NULL)));
}

TEST(http_response_leaves_out_what_is_no_field)
{
    nsurlsession_dictionary_t *fields = field("X-Evil", "1\r\nX-More: 2");
    set_text(fields, "X: Y", "1");
    set(fields, "X-Data", nsurlsession_data_with_bytes_length("x", 1));
    set_text(fields, "X-One", "1");
    nsurlsession_response_t *response;
    CHECK_MISUSE(http_name, response = HTTP(URL, 200, NULL, fields));
    CHECK_EQ_STR(lines_of(nsurlsession_response_all_header_fields(response)), "X-One: 1");
    nsurlsession_release(response);
    nsurlsession_release(fields);

    nsurlsession_data_t *other = nsurlsession_data_with_bytes_length("x", 1);
    CHECK_MISUSE(http_name, nsurlsession_release(HTTP(URL, 200, NULL, (const void *)other)));
    nsurlsession_release(other);
    CHECK_MISUSE(http_name, nsurlsession_release(HTTP(URL, 200, "HTTP/\xff", NULL)));
}

TEST(http_response_looks_up_fields)
{
    nsurlsession_response_t *response = response_with(URL, "content-disposition", " inline ");
    const char *value =
        nsurlsession_response_value_for_http_header_field(response, "Content-Disposition");
    CHECK_EQ_STR(value, "inline");
    CHECK(nsurlsession_response_value_for_http_header_field(response, "CONTENT-disposition") ==
          value);
    CHECK(nsurlsession_response_value_for_http_header_field(response, "X-Absent") == NULL);
    CHECK(nsurlsession_response_value_for_http_header_field(response, NULL) == NULL);
    CHECK_MISUSE("nsurlsession_response_value_for_http_header_field",
                 CHECK(!nsurlsession_response_value_for_http_header_field(response, "A\xff")));

    /* The dictionary is a copy that ignores case; changing it changes no response. */
    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(response);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(fields, 0), "Content-Disposition");
    CHECK_EQ_STR(text_of(nsurlsession_dictionary_object_for_key(fields, "CONTENT-DISPOSITION")),
                 "inline");
    set_text(fields, "Content-Disposition", "attachment");
    nsurlsession_release(fields);
    CHECK(nsurlsession_response_value_for_http_header_field(response, "content-disposition") ==
          value);
    CHECK_EQ_STR(value, "inline");
    nsurlsession_release(response);
}

TEST(response_strings_stay_where_they_are)
{
    nsurlsession_response_t *response = response_with(URL, "Content-Type", "text/x; charset=y");
    const char *(*const getters[])(const nsurlsession_response_t *) = {
        nsurlsession_response_url,
        nsurlsession_response_mime_type,
        nsurlsession_response_text_encoding_name,
        nsurlsession_response_suggested_filename,
    };
    for (size_t index = 0; index < sizeof getters / sizeof getters[0]; index++) {
        CHECK(getters[index](response) != NULL);
        CHECK(getters[index](response) == getters[index](response));
    }
    nsurlsession_release(response);
}

struct content_type {
    const char *name, *url, *value, *type, *charset;
};

static const struct content_type content_types[] = {
    {"plain", URL, "text/html", "text/html", NULL},
    {"upper_case", URL, "Text/HTML; Charset=UTF-8", "text/html", "UTF-8"},
    {"quoted", URL, "text/html;charset=\"utf-8\"", "text/html", "utf-8"},
    {"other_parameters", URL, "text/html; q=1; charset=a; charset=b", "text/html", "a"},
    {"charset_in_a_value", URL, "text/html; title=\"; charset=a\"", "text/html", NULL},
    {"empty_charset", URL, "text/html; charset=", "text/html", NULL},
    {"twice", URL, "text/html, text/plain", "text/html", NULL},
    {"malformed", URL, "html", NULL, NULL},
    {"malformed_with_charset", URL, "; charset=a", NULL, "a"},
    {"guessed", "http://h/a.json", NULL, "application/json", NULL},
    {"guessed_upper_case", "http://h/A.PNG?x.html", NULL, "image/png", NULL},
    {"sent_wins", "http://h/a.json", "text/plain", "text/plain", NULL},
    {"guessed_when_malformed", "http://h/a.json", "json", "application/json", NULL},
    {"nothing_known", "http://h/a.unheard-of", NULL, NULL, NULL},
    {"malformed_url", "http://[::1/a.json", NULL, NULL, NULL},
};

TEST_EACH(response_content_type, struct content_type, content_types)
{
    nsurlsession_response_t *response =
        response_with(row->url, row->value ? "Content-Type" : NULL, row->value);
    CHECK_EQ_STR(nsurlsession_response_mime_type(response), row->type);
    CHECK_EQ_STR(nsurlsession_response_text_encoding_name(response), row->charset);
    nsurlsession_release(response);
}

struct length {
    const char *name, *value, *field, *field_value;
    int64_t length;
};

static const struct length lengths[] = {
    {"zero", "0", NULL, NULL, 0},
    {"more_than_4_gigabytes", "5000000000", NULL, NULL, 5000000000},
    {"largest", "9223372036854775807", NULL, NULL, INT64_MAX},
    {"too_large", "9223372036854775808", NULL, NULL, -1},
    {"leading_zeros", "0012", NULL, NULL, 12},
    {"negative", "-5", NULL, NULL, -1},
    {"plus", "+5", NULL, NULL, -1},
    {"fraction", "5.0", NULL, NULL, -1},
    {"hexadecimal", "0x10", NULL, NULL, -1},
    {"text", "five", NULL, NULL, -1},
    {"empty", "", NULL, NULL, -1},
    {"coded", "5", "Content-Encoding", "gzip", -1},
    {"identity", "5", "Content-Encoding", "Identity", 5},
    {"chunked", "5", "Transfer-Encoding", "chunked", -1},
};

TEST_EACH(response_expected_content_length, struct length, lengths)
{
    nsurlsession_dictionary_t *fields = field("content-length", row->value);
    if (row->field)
        set_text(fields, row->field, row->field_value);
    nsurlsession_response_t *response = HTTP(URL, 200, NULL, fields);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(response), row->length);
    nsurlsession_release(fields);
    nsurlsession_release(response);
}

/* ---- Suggested file names ------------------------------------------------------------------ */

struct filename {
    const char *name, *url, *disposition, *filename;
};

static const struct filename filenames[] = {
    {"plain", URL, "attachment; filename=a.txt", "a.txt"},
    {"quoted", URL, "attachment; filename=\"a b;c.txt\"", "a b;c.txt"},
    {"extended", URL, "attachment; filename=b.txt; filename*=UTF-8''%e2%82%ac.txt",
     "\xe2\x82\xac.txt"},
    {"latin_1", URL, "attachment; filename*=iso-8859-1'en'%A3.txt", "\xc2\xa3.txt"},
    {"path", "http://h/x/y.zip?z=a.txt", NULL, "y.zip"},
    {"path_decoded", "http://h/a%20b.zip", NULL, "a b.zip"},
    {"path_with_slash", "http://h/x.zip/", NULL, "x.zip"},
    {"host", "http://host.example/", NULL, "host.example"},
    {"host_ipv6", "http://[::1]/", NULL, "::1"},
    {"unknown", "x:y", NULL, "Unknown"},
    {"malformed_url", "http://[::1", NULL, "Unknown"},
    /* Nothing that a server sends leads out of the folder, or hides a file. */
    {"up", URL, "attachment; filename=\"../../etc/passwd\"", "passwd"},
    {"up_extended", URL, "attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd",
     "passwd"},
    {"up_windows", "http://h/y.zip", "attachment; filename=\"..\\\\..\\\\boot.ini\"", "boot.ini"},
    {"absolute", URL, "attachment; filename=/etc/passwd", "passwd"},
    {"only_dots", "http://h/y.zip", "attachment; filename=\"..\"", "y.zip"},
    {"one_dot", "http://h/y.zip", "attachment; filename=\".\"", "y.zip"},
    {"only_slashes", "http://h/y.zip", "attachment; filename=\"///\"", "y.zip"},
    {"ends_with_slash", "http://h/y.zip", "attachment; filename=\"a/\"", "y.zip"},
    {"empty", "http://h/y.zip", "attachment; filename=\"\"", "y.zip"},
    {"spaces", "http://h/y.zip", "attachment; filename=\"  \"", "y.zip"},
    {"hidden", URL, "attachment; filename=.bashrc", "bashrc"},
    {"hidden_behind_a_space", URL, "attachment; filename=\" .bashrc\"", "bashrc"},
    {"nul", "http://h/y.zip", "attachment; filename*=UTF-8''a%00b.txt", "ab.txt"},
    {"line_break", "http://h/y.zip", "attachment; filename*=UTF-8''a%0d%0ab.txt", "ab.txt"},
    {"turned_round", "http://h/y.zip", "attachment; filename*=UTF-8''a%e2%80%aetxt.exe",
     "atxt.exe"},
    {"path_up", "http://h/a/..%2f..%2fetc%2fpasswd", NULL, "_.._etc_passwd"},
    {"path_dots", "http://h/..%5c", NULL, "_"},
    {"path_hidden", "http://h/.profile", NULL, "profile"},
    {"path_nul", "http://h/a%00/b%00.txt", NULL, "b.txt"},
};

TEST_EACH(response_suggested_filename, struct filename, filenames)
{
    nsurlsession_response_t *response =
        response_with(row->url, row->disposition ? "Content-Disposition" : NULL, row->disposition);
    const char *name = nsurlsession_response_suggested_filename(response);
    CHECK_EQ_STR(name, row->filename);
    nsurlsession_release(response);
}

TEST(response_suggested_filename_gets_the_types_extension)
{
    nsurlsession_response_t *response = response_with("http://h/image", "Content-Type", "image/png");
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "image.png");
    nsurlsession_release(response);
    response = PLAIN("http://h/", "application/pdf", 1, NULL);
    CHECK_EQ_STR(nsurlsession_response_suggested_filename(response), "h.pdf");
    nsurlsession_release(response);
}

TEST(response_suggested_filename_fits_into_a_folder)
{
    char disposition[2048] = "attachment; filename=\"";
    size_t start = strlen(disposition);
    for (size_t index = 0; index < 500; index++)
        memcpy(disposition + start + 2 * index, "\xc3\xa9", 3);
    memcpy(disposition + start + 1000, ".tar", 5);
    nsurlsession_response_t *response = response_with(URL, "Content-Disposition", disposition);
    const char *name = nsurlsession_response_suggested_filename(response);
    CHECK_BETWEEN(strlen(name), 200, 255);
    CHECK_EQ_STR(name + strlen(name) - 6, "\xc3\xa9.tar"); /* no character was cut in two */
    nsurlsession_release(response);
}

/* ---- Responses of a server ----------------------------------------------------------------- */

static void keep_response(void *context, nsurlsession_data_t *data,
                          nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct {
        struct latch done;
        nsurlsession_response_t *response;
    } *kept = context;
    (void)data;
    CHECK(error == NULL);
    kept->response = nsurlsession_retain(response);
    latch_count_down(&kept->done);
}

/* The response outlives the task and the session that it came from. */
TEST(response_joins_repeated_fields)
{
    struct {
        struct latch done;
        nsurlsession_response_t *response;
    } kept = {.done = LATCH(1)};
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    const char *url = fault_url("/status?code=203&header=X-One:a&header=x-two:x&header=x-ONE:b"
                                "&header=Set-Cookie:c=1&header=Set-Cookie:d=2&body=hello");
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url_completion_handler(session, url, keep_response, &kept);
    nsurlsession_task_resume(task);
    latch_wait(&kept.done);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(task);
    nsurlsession_release(session);

    CHECK_EQ_STR(nsurlsession_response_url(kept.response), url);
    CHECK_EQ_INT(nsurlsession_response_status_code(kept.response), 203);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(kept.response), 5);
    CHECK_EQ_STR(nsurlsession_response_value_for_http_header_field(kept.response, "x-one"), "a, b");
    CHECK_EQ_STR(nsurlsession_response_value_for_http_header_field(kept.response, "X-Two"), "x");
    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(kept.response);
    CHECK_EQ_STR(text_of(nsurlsession_dictionary_object_for_key(fields, "set-cookie")), "c=1, d=2");
    CHECK_EQ_STR(text_of(nsurlsession_dictionary_object_for_key(fields, "X-ONE")), "a, b");
    nsurlsession_release(fields);
    CHECK_CONTAINS(text_of(nsurlsession_description(kept.response)), "HTTP/1.1 203");
    nsurlsession_release(kept.response);
}

/* ---- Responses: equality and words --------------------------------------------------------- */

TEST(response_is_equal_by_value)
{
    nsurlsession_response_t *response = response_with(URL, "X-One", "1");
    nsurlsession_response_t *same = response_with(URL, "x-one", "1");
    CHECK(nsurlsession_is_equal(response, same));
    CHECK(nsurlsession_hash(response) == nsurlsession_hash(same));
    CHECK(nsurlsession_copy(response) == response);
    nsurlsession_release(response);
    nsurlsession_response_t *others[] = {
        response_with(URL, "X-One", "2"),
        response_with(URL, "X-Two", "1"),
        response_with("http://example.com/b", "X-One", "1"),
        HTTP(URL, 201, NULL, NULL),
        PLAIN(URL, NULL, -1, NULL),
        PLAIN(URL, "text/html", -1, NULL),
        PLAIN(URL, NULL, 1, NULL),
        PLAIN(URL, NULL, -1, "utf-8"),
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    for (size_t one = 0; one < OTHERS; one++) {
        CHECK(!nsurlsession_is_equal(response, others[one]));
        for (size_t other = 0; other < OTHERS; other++)
            CHECK_EQ_INT(nsurlsession_is_equal(others[one], others[other]), one == other);
    }
    for (size_t index = 0; index < OTHERS; index++)
        nsurlsession_release(others[index]);
    nsurlsession_release(response);
    nsurlsession_release(same);
}

TEST(status_codes_have_words)
{
    const struct {
        int64_t code;
        const char *words;
    } known[] = {
        {100, "continue"},      {200, "no error"},  {204, "no content"},
        {301, "moved permanently"}, {304, "not modified"}, {404, "not found"},
        {410, "no longer exists"},  {418, "client error"}, {500, "internal server error"},
        {599, "server error"},
    };
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        const char *words =
            nsurlsession_response_localized_string_for_status_code(known[index].code);
        CHECK_EQ_STR(words, known[index].words);
        CHECK(words == nsurlsession_response_localized_string_for_status_code(known[index].code));
    }
    const int64_t unknown[] = {0, -1, 1000, INT64_MIN, INT64_MAX};
    for (size_t index = 0; index < sizeof unknown / sizeof unknown[0]; index++) {
        const char *words = nsurlsession_response_localized_string_for_status_code(unknown[index]);
        CHECK(words != NULL && *words != '\0');
    }
}

/* ---- Configurations ------------------------------------------------------------------------ */

static void check_defaults(const nsurlsession_configuration_t *configuration)
{
    CHECK(nsurlsession_configuration_timeout_interval_for_request(configuration) == 60);
    CHECK(nsurlsession_configuration_timeout_interval_for_resource(configuration) == 604800);
    CHECK(nsurlsession_configuration_http_additional_headers(configuration) == NULL);
    CHECK_EQ_INT(nsurlsession_configuration_http_maximum_connections_per_host(configuration), 6);
}

TEST(configurations_have_apples_defaults)
{
    nsurlsession_configuration_t *usual = nsurlsession_configuration_default();
    nsurlsession_configuration_t *ephemeral = nsurlsession_configuration_ephemeral();
    check_defaults(usual);
    check_defaults(ephemeral);
    CHECK_CONTAINS(text_of(nsurlsession_description(usual)), "default");
    CHECK_CONTAINS(text_of(nsurlsession_description(ephemeral)), "ephemeral");
    CHECK(!nsurlsession_is_equal(usual, ephemeral));
    CHECK(!nsurlsession_is_equal(ephemeral, usual));

    /* A new one at every call. */
    nsurlsession_configuration_t *another = nsurlsession_configuration_default();
    CHECK(another != usual);
    CHECK(nsurlsession_is_equal(another, usual));
    nsurlsession_configuration_set_timeout_interval_for_request(another, 5);
    check_defaults(usual);
    nsurlsession_release(another);
    another = nsurlsession_configuration_default();
    check_defaults(another);
    nsurlsession_release(another);
    nsurlsession_release(usual);
    nsurlsession_release(ephemeral);
}

struct timeout {
    const char *name, *setter;
    double (*get)(const nsurlsession_configuration_t *configuration);
    void (*set)(nsurlsession_configuration_t *configuration, double seconds);
};

static const struct timeout timeouts[] = {
    {"request", "nsurlsession_configuration_set_timeout_interval_for_request",
     nsurlsession_configuration_timeout_interval_for_request,
     nsurlsession_configuration_set_timeout_interval_for_request},
    {"resource", "nsurlsession_configuration_set_timeout_interval_for_resource",
     nsurlsession_configuration_timeout_interval_for_resource,
     nsurlsession_configuration_set_timeout_interval_for_resource},
};

TEST_EACH(configuration_timeout, struct timeout, timeouts)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    const double good[] = {5, 0.001, 1e300, INFINITY, 7};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        CHECK_NO_MISUSE(row->set(configuration, good[index]));
        CHECK(row->get(configuration) == good[index]);
    }
    const double bad[] = {0, -0.0, -1, -INFINITY, NAN};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        CHECK_MISUSE(row->setter, row->set(configuration, bad[index]));
        CHECK(row->get(configuration) == 7);
    }
    /* The other one stays as it was. */
    for (size_t index = 0; index < 2; index++)
        if (&timeouts[index] != row)
            CHECK_BETWEEN(timeouts[index].get(configuration), 60, 604800);
    nsurlsession_release(configuration);
}

TEST(configuration_additional_headers)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    nsurlsession_dictionary_t *fields = field("X-One", "1");
    nsurlsession_configuration_set_http_additional_headers(configuration, fields);
    set_text(fields, "X-One", "changed later");
    CHECK_EQ_STR(lines_of(nsurlsession_configuration_http_additional_headers(configuration)),
                 "X-One: 1");
    CHECK_CONTAINS(text_of(nsurlsession_description(configuration)), "X-One");

    /* What comes out is a copy that ignores case. */
    nsurlsession_dictionary_t *copy =
        nsurlsession_configuration_http_additional_headers(configuration);
    CHECK_EQ_STR(text_of(nsurlsession_dictionary_object_for_key(copy, "x-ONE")), "1");
    set_text(copy, "X-One", "changed");
    nsurlsession_release(copy);
    CHECK_EQ_STR(text_at(nsurlsession_configuration_http_additional_headers(configuration),
                         "X-One"), "1");

    /* What is no dictionary changes nothing, what is no field is left out. */
    const char *name = "nsurlsession_configuration_set_http_additional_headers";
    nsurlsession_data_t *other = nsurlsession_data_with_bytes_length("x", 1);
    CHECK_MISUSE(name, nsurlsession_configuration_set_http_additional_headers(
                           configuration, (const void *)other));
    CHECK_EQ_STR(lines_of(nsurlsession_configuration_http_additional_headers(configuration)),
                 "X-One: 1");
    nsurlsession_release(other);
    set_text(fields, "X-Evil", "1\r\nX-More: 2");
    set_text(fields, "X Name", "1");
    set(fields, "X-Data", nsurlsession_data_with_bytes_length("x", 1));
    CHECK_MISUSE(name,
                 nsurlsession_configuration_set_http_additional_headers(configuration, fields));
    CHECK_EQ_STR(lines_of(nsurlsession_configuration_http_additional_headers(configuration)),
                 "X-One: changed later");

    CHECK_NO_MISUSE(nsurlsession_configuration_set_http_additional_headers(configuration, NULL));
    CHECK(nsurlsession_configuration_http_additional_headers(configuration) == NULL);
    nsurlsession_release(fields);
    nsurlsession_release(configuration);
}

TEST(configuration_connections_per_host)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    const int64_t good[] = {1, 100, INT64_MAX, 3};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        CHECK_NO_MISUSE(nsurlsession_configuration_set_http_maximum_connections_per_host(
            configuration, good[index]));
        CHECK_EQ_INT(nsurlsession_configuration_http_maximum_connections_per_host(configuration),
                     good[index]);
    }
    const int64_t bad[] = {0, -1, INT64_MIN};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        CHECK_MISUSE("nsurlsession_configuration_set_http_maximum_connections_per_host",
                     nsurlsession_configuration_set_http_maximum_connections_per_host(
                         configuration, bad[index]));
        CHECK_EQ_INT(nsurlsession_configuration_http_maximum_connections_per_host(configuration),
                     3);
    }
    nsurlsession_release(configuration);
}

static void set_request_timeout(nsurlsession_configuration_t *configuration)
{
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 7);
}

static void set_resource_timeout(nsurlsession_configuration_t *configuration)
{
    nsurlsession_configuration_set_timeout_interval_for_resource(configuration, 7);
}

static void set_headers(nsurlsession_configuration_t *configuration)
{
    nsurlsession_dictionary_t *fields = field("X-One", "1");
    nsurlsession_configuration_set_http_additional_headers(configuration, fields);
    nsurlsession_release(fields);
}

static void set_connections(nsurlsession_configuration_t *configuration)
{
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 2);
}

struct setting {
    const char *name;
    void (*change)(nsurlsession_configuration_t *configuration);
};

static const struct setting settings[] = {
    {"request_timeout", set_request_timeout},
    {"resource_timeout", set_resource_timeout},
    {"headers", set_headers},
    {"connections", set_connections},
};

/* A change reaches neither a copy, nor a session, nor the configuration that a session gives back. */
TEST_EACH(configuration_copies_are_independent, struct setting, settings)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_t *untouched = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_t *copy = nsurlsession_copy(configuration);
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
    CHECK(copy != configuration);
    CHECK(nsurlsession_is_equal(copy, configuration));
    CHECK(nsurlsession_hash(copy) == nsurlsession_hash(configuration));

    row->change(configuration);
    CHECK(!nsurlsession_is_equal(configuration, untouched));
    CHECK(!nsurlsession_is_equal(untouched, configuration));
    CHECK(nsurlsession_is_equal(copy, untouched));
    nsurlsession_configuration_t *of_session = nsurlsession_configuration(session);
    CHECK(nsurlsession_is_equal(of_session, untouched));
    row->change(of_session);
    CHECK(nsurlsession_is_equal(of_session, configuration));
    CHECK(nsurlsession_hash(of_session) == nsurlsession_hash(configuration));
    nsurlsession_release(of_session);
    of_session = nsurlsession_configuration(session);
    CHECK(nsurlsession_is_equal(of_session, untouched));
    nsurlsession_release(of_session);

    nsurlsession_release(configuration);
    row->change(copy);
    CHECK(!nsurlsession_is_equal(copy, untouched));
    CHECK_CONTAINS(text_of(nsurlsession_description(copy)), "ephemeral");
    nsurlsession_release(copy);
    nsurlsession_release(untouched);
    nsurlsession_release(session);
}

/* Without a configuration, or with what is none, a session has the default one. */
TEST(configuration_of_a_session_without_one)
{
    nsurlsession_configuration_t *usual = nsurlsession_configuration_default();
    nsurlsession_data_t *other = nsurlsession_data_with_bytes_length("x", 1);
    nsurlsession_t *sessions[2];
    CHECK_NO_MISUSE(sessions[0] = nsurlsession_session_with_configuration(NULL));
    CHECK_MISUSE("nsurlsession_session_with_configuration",
                 sessions[1] = nsurlsession_session_with_configuration((const void *)other));
    for (size_t index = 0; index < 2; index++) {
        nsurlsession_configuration_t *configuration = nsurlsession_configuration(sessions[index]);
        CHECK(nsurlsession_is_equal(configuration, usual));
        nsurlsession_release(configuration);
        nsurlsession_release(sessions[index]);
    }
    nsurlsession_release(other);
    nsurlsession_release(usual);
}

/* What a session's tasks do with it, as the server sees it. */
TEST(configuration_headers_are_sent)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    set_headers(configuration);
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
    CHECK_CONTAINS(fetch(session, fault_url("/echo"))->body, "\r\nX-One: 1\r\n");
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
}

TEST(configuration_timeout_ends_tasks)
{
    for (size_t index = 0; index < 2; index++) {
        nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
        timeouts[index].set(configuration, 0.2);
        nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
        CHECK_EQ_INT(fetch(session, fault_url("/stall?at=headers"))->error_code,
                     NSURLSESSION_ERROR_TIMED_OUT);
        nsurlsession_invalidate_and_cancel(session);
        nsurlsession_release(session);
        nsurlsession_release(configuration);
    }
}
