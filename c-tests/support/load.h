/*
 * Requests with everything that can be set, and loads: a request, a completion handler and all that
 * came of it.
 */
#ifndef LOAD_H
#define LOAD_H

#include "recorder.h"

/* ---- Requests ------------------------------------------------------------------------------ */

/* request_for("GET", url, "Name", "value", ..., NULL). The caller releases it, or load does. */
nsurlsession_request_t *request_for(const char *method, const char *url, ...)
    __attribute__((sentinel));
/* Sets the body to a copy of the bytes; returns the request. */
nsurlsession_request_t *with_body(nsurlsession_request_t *request, const void *bytes,
                                  size_t length);
/* Sets the timeout; returns the request. */
nsurlsession_request_t *with_timeout(nsurlsession_request_t *request, double seconds);
/* `length` bytes of the pattern of pattern_byte. */
const uint8_t *pattern_bytes(size_t length);
/* What the fault server's /sink says about them. */
const char *pattern_sink(size_t length);

/* ---- Sessions ------------------------------------------------------------------------------ */

/* An ephemeral configuration. The caller releases it, or session_for does. */
nsurlsession_configuration_t *configuration_new(void);
/* Sets the additional headers: (configuration, "Name", "value", ..., NULL). Returns it. */
nsurlsession_configuration_t *with_additional(nsurlsession_configuration_t *configuration, ...)
    __attribute__((sentinel));
/* A session without a delegate. Releases the configuration; NULL: configuration_new. */
nsurlsession_t *session_for(nsurlsession_configuration_t *configuration);
/* Invalidates and releases a session. */
void session_end(nsurlsession_t *session);

/* ---- Loads --------------------------------------------------------------------------------- */

/* The objects live until the process ends. */
struct load {
    struct completion *completion;
    nsurlsession_task_t *task;
    nsurlsession_data_t *data;         /* NULL: none was given */
    nsurlsession_response_t *response; /* NULL: none was given */
    nsurlsession_error_t *error;       /* NULL: none was given */
};

/* Makes a task with a completion handler, without resuming it. Releases the request. */
struct load *load_new(nsurlsession_t *session, nsurlsession_request_t *request);
/* The same and resumes it. */
struct load *load_start(nsurlsession_t *session, nsurlsession_request_t *request);
/* The same and waits for the handler. */
struct load *load(nsurlsession_t *session, nsurlsession_request_t *request);
/* Waits for the handler. */
#define load_wait(load) completion_wait((load)->completion)
/* The load succeeded with this status. Returns the body as text. */
#define load_body(load, status) load_body_at(__FILE__, __LINE__, load, status)
const char *load_body_at(const char *file, int line, struct load *load, int64_t status);
/* A header field of the response, or NULL. */
const char *load_field(const struct load *load, const char *name);
/* Whether the task's own error is the one that was delivered: NULL for NULL. */
bool task_error_is(nsurlsession_task_t *task, nsurlsession_error_t *error);
/* load, load_body with status 200. */
#define load_text(session, request) load_body(load(session, request), 200)
/* Both with a GET of a URL. */
struct load *get(nsurlsession_t *session, const char *url);
#define get_text(session, url) load_body(get(session, url), 200)

/* ---- Echoes -------------------------------------------------------------------------------- */

/* The first line of a text, such as the request line in the fault server's /echo. */
const char *first_line(const char *text);
/* How many lines of the head in a fault server's /echo have this field name, whatever its case. */
unsigned echoed_count(const char *echo, const char *name);
/* The value of the only such line; NULL if there is none; the test fails if there are several. */
const char *echoed(const char *echo, const char *name);
/* What follows the head. */
const char *echoed_body(const char *echo);
/* The rest of the line that begins with `name` and a space in the answer of nginx's /echo. */
const char *line_value(const char *text, const char *name);

/* ---- Answers that the fault server holds back ---------------------------------------------- */

/* This test's name there. */
const char *own_name(void);
/* A URL whose answer waits for let_held_go; the same for all calls in one test. */
const char *held_url(void);
/* Waits until so many requests for it have arrived, all in all. */
void wait_until_held(unsigned count);
void let_held_go(void);

/* ---- Tasks and queues ---------------------------------------------------------------------- */

/* A task that is resumed. */
nsurlsession_task_t *resumed_task(nsurlsession_t *session, const char *url);
/* Whether this is the queue whose callback is running on this thread. */
bool is_current(nsurlsession_queue_t *queue);

/* ---- Names and URLs ------------------------------------------------------------------------ */

/* A name that no other test and no other run of this one uses, for the servers to know it by. */
const char *unique_name(void);
/* The host and port of a URL, the port alone, "http://HOST:PORT" of another port. */
const char *authority_of(const char *url);
int port_of(const char *url);
const char *local_url(const char *scheme, const char *host, int port, const char *path_and_query);
/* Percent-encodes all bytes but letters and digits: for parameters of the fault server. */
const char *escaped(const char *text);
const char *escaped_bytes(const void *bytes, size_t length);

#endif
