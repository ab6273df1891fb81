#include "load.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>
#include <unistd.h>

/* ---- Requests ------------------------------------------------------------------------------ */

nsurlsession_request_t *request_for(const char *method, const char *url, ...)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(url);
    nsurlsession_request_set_http_method(request, method);
    va_list fields;
    va_start(fields, url);
    for (const char *name; (name = va_arg(fields, const char *)) != NULL;)
        nsurlsession_request_set_value_for_http_header_field(request, va_arg(fields, const char *),
                                                             name);
    va_end(fields);
    return request;
}

nsurlsession_request_t *with_body(nsurlsession_request_t *request, const void *bytes, size_t length)
{
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(bytes, length);
    nsurlsession_request_set_http_body(request, data);
    nsurlsession_release(data);
    return request;
}

nsurlsession_request_t *with_timeout(nsurlsession_request_t *request, double seconds)
{
    nsurlsession_request_set_timeout_interval(request, seconds);
    return request;
}

const uint8_t *pattern_bytes(size_t length)
{
    uint8_t *bytes = test_allocate(length);
    for (size_t index = 0; index < length; index++)
        bytes[index] = pattern_byte(index);
    return bytes;
}

const char *pattern_sink(size_t length)
{
    uint32_t sum = 0;
    for (size_t index = 0; index < length; index++)
        sum += pattern_byte(index);
    return test_format("%zu bytes sum %" PRIu32 "\n", length, sum);
}

/* ---- Sessions ------------------------------------------------------------------------------ */

nsurlsession_configuration_t *configuration_new(void)
{
    return nsurlsession_configuration_ephemeral();
}

nsurlsession_configuration_t *with_additional(nsurlsession_configuration_t *configuration, ...)
{
    nsurlsession_dictionary_t *headers = nsurlsession_dictionary_new();
    va_list fields;
    va_start(fields, configuration);
    for (const char *name; (name = va_arg(fields, const char *)) != NULL;) {
        nsurlsession_string_t *value =
            nsurlsession_string_with_utf8_string(va_arg(fields, const char *));
        nsurlsession_dictionary_set_object_for_key(headers, value, name);
        nsurlsession_release(value);
    }
    va_end(fields);
    nsurlsession_configuration_set_http_additional_headers(configuration, headers);
    nsurlsession_release(headers);
    return configuration;
}

nsurlsession_t *session_for(nsurlsession_configuration_t *configuration)
{
    if (!configuration)
        configuration = configuration_new();
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
    nsurlsession_release(configuration);
    CHECK(session != NULL);
    return session;
}

void session_end(nsurlsession_t *session)
{
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
}

/* ---- Loads --------------------------------------------------------------------------------- */

static void handler(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                    nsurlsession_error_t *error)
{
    struct load *load = context;
    load->data = nsurlsession_retain(data);
    load->response = nsurlsession_retain(response);
    load->error = nsurlsession_retain(error);
    record_completion(load->completion, data, response, error);
}

struct load *load_new(nsurlsession_t *session, nsurlsession_request_t *request)
{
    struct load *load = test_allocate(sizeof *load);
    load->completion = completion_new();
    load->task =
        nsurlsession_data_task_with_request_completion_handler(session, request, handler, load);
    nsurlsession_release(request);
    CHECK(load->task != NULL);
    return load;
}

struct load *load_start(nsurlsession_t *session, nsurlsession_request_t *request)
{
    struct load *load = load_new(session, request);
    nsurlsession_task_resume(load->task);
    return load;
}

struct load *load(nsurlsession_t *session, nsurlsession_request_t *request)
{
    struct load *load = load_start(session, request);
    load_wait(load);
    return load;
}

bool task_error_is(nsurlsession_task_t *task, nsurlsession_error_t *error)
{
    nsurlsession_error_t *own = nsurlsession_task_error(task);
    bool same = own && error ? nsurlsession_is_equal(own, error) : !own && !error;
    nsurlsession_release(own);
    return same;
}

struct load *get(nsurlsession_t *session, const char *url)
{
    return load(session, request_for("GET", url, NULL));
}

const char *load_body_at(const char *file, int line, struct load *load, int64_t status)
{
    latch_wait_at(file, line, "load", &load->completion->done);
    if (load->error)
        test_fail(file, line, "%s",
                  text_of(nsurlsession_description(load->error)));
    test_check_int(file, line, "the status", load->completion->status, status);
    return load->completion->body;
}

const char *load_field(const struct load *load, const char *name)
{
    return nsurlsession_response_value_for_http_header_field(load->response, name);
}

/* ---- Echoes -------------------------------------------------------------------------------- */

const char *first_line(const char *text)
{
    return test_format("%.*s", (int)strcspn(text, "\r\n"), text);
}

/* The value of the nth (from 0) line with this name in the head of an echo. */
static const char *nth_value(const char *echo, const char *name, unsigned nth)
{
    const char *end = strstr(echo, "\r\n\r\n");
    if (!end)
        FAIL("no echo of a request: %.200s", echo);
    size_t length = strlen(name);
    for (const char *line = strstr(echo, "\r\n"); line < end; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':' && nth-- == 0) {
            const char *value = line + length + 1;
            value += strspn(value, " ");
            return test_format("%.*s", (int)strcspn(value, "\r\n"), value);
        }
    }
    return NULL;
}

unsigned echoed_count(const char *echo, const char *name)
{
    unsigned count = 0;
    while (nth_value(echo, name, count))
        count++;
    return count;
}

const char *echoed(const char *echo, const char *name)
{
    if (echoed_count(echo, name) > 1)
        FAIL("several lines of %s in:\n%s", name, echo);
    return nth_value(echo, name, 0);
}

const char *echoed_body(const char *echo)
{
    const char *end = strstr(echo, "\r\n\r\n");
    if (!end)
        FAIL("no echo of a request: %.200s", echo);
    return end + 4;
}

const char *line_value(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return first_line(line + length + 1);
    }
    FAIL("no line \"%s\" in:\n%s", name, text);
}

/* ---- Names and URLs ------------------------------------------------------------------------ */

const char *unique_name(void)
{
    static unsigned count;
    return test_format("n%d-%.0f-%u", (int)getpid(), monotonic_seconds() * 1e6, ++count);
}

const char *authority_of(const char *url)
{
    const char *start = strstr(url, "://");
    CHECK(start != NULL);
    start += 3;
    return test_format("%.*s", (int)strcspn(start, "/?#"), start);
}

int port_of(const char *url)
{
    const char *authority = authority_of(url);
    const char *port = strrchr(authority, ':');
    CHECK(port != NULL);
    return atoi(port + 1);
}

const char *local_url(const char *scheme, const char *host, int port, const char *path_and_query)
{
    return test_format("%s://%s:%d%s", scheme, host, port, path_and_query);
}

const char *escaped_bytes(const void *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *byte = bytes;
    char *text = test_allocate(length * 3 + 1), *to = text;
    for (size_t index = 0; index < length; index++) {
        if (isalnum(byte[index])) {
            *to++ = (char)byte[index];
            continue;
        }
        *to++ = '%';
        *to++ = digits[byte[index] >> 4];
        *to++ = digits[byte[index] & 15];
    }
    return text;
}

const char *escaped(const char *text)
{
    return escaped_bytes(text, strlen(text));
}

const char *own_name(void)
{
    static const char *name;
    if (!name)
        name = unique_name();
    return name;
}

const char *held_url(void)
{
    return fault_url(test_format("/hold?name=%s", own_name()));
}

void wait_until_held(unsigned count)
{
    control(test_format("/waiting?name=%s&n=%u", own_name(), count));
}

void let_held_go(void)
{
    control(test_format("/release?name=%s", own_name()));
}

nsurlsession_task_t *resumed_task(nsurlsession_t *session, const char *url)
{
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    CHECK(task != NULL);
    nsurlsession_task_resume(task);
    return task;
}

bool is_current(nsurlsession_queue_t *queue)
{
    nsurlsession_queue_t *current = nsurlsession_queue_current();
    bool same = current == queue;
    nsurlsession_release(current);
    return same;
}
