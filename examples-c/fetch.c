/*
 * fetch URL: loads a URL and prints the status of the response, its header fields and the size of
 * its body.
 *
 * The shortest complete program: one session, one data task, one completion handler. Everything
 * that a function returned as a handle is released here; what the handler receives is borrowed.
 */
#include <inttypes.h>
#include <stdio.h>

#include <nsurlsession/nsurlsession.h>

struct fetch {
    nsurlsession_queue_t *queue;
    int exit_code;
};

static void print_response(const nsurlsession_response_t *response)
{
    int64_t status = nsurlsession_response_status_code(response);
    printf("%" PRId64 " %s\n", status, nsurlsession_response_localized_string_for_status_code(status));

    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(response);
    for (size_t i = 0; i < nsurlsession_dictionary_count(fields); i++) {
        const char *name = nsurlsession_dictionary_key_at_index(fields, i);
        nsurlsession_string_t *value = nsurlsession_dictionary_object_for_key(fields, name);
        printf("%s: %s\n", name, nsurlsession_string_utf8_string(value));
        nsurlsession_release(value);
    }
    nsurlsession_release(fields);
}

static void print_error(const nsurlsession_error_t *error)
{
    const char *reason = nsurlsession_error_localized_failure_reason(error);
    const char *suggestion = nsurlsession_error_localized_recovery_suggestion(error);

    fprintf(stderr, "fetch: %s\n", nsurlsession_error_localized_description(error));
    if (reason)
        fprintf(stderr, "  reason: %s\n", reason);
    if (suggestion)
        fprintf(stderr, "  what to do: %s\n", suggestion);
}

/* Called exactly once. A status such as 404 is a response, not an error. */
static void done(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                 nsurlsession_error_t *error)
{
    struct fetch *fetch = context;

    if (error) {
        print_error(error);
        fetch->exit_code = 1;
    } else {
        print_response(response);
        printf("\n%zu bytes of body\n", nsurlsession_data_length(data));
    }
    nsurlsession_queue_stop(fetch->queue);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: fetch URL\n");
        return 2;
    }

    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(configuration, NULL, queue);
    struct fetch fetch = { .queue = queue, .exit_code = 0 };
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url_completion_handler(session, argv[1], done, &fetch);

    nsurlsession_task_resume(task);
    nsurlsession_queue_run(queue); /* `done` runs in here, on this thread */

    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
    nsurlsession_release(queue);
    return fetch.exit_code;
}
