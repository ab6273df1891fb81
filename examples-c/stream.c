/*
 * stream URL: loads a URL with a delegate and prints each piece of the body when it arrives.
 *
 * The delegate is a set of vtables, one for each protocol that it adopts. The library copies them,
 * so they can live on the stack; a member that is left out is an optional method that the delegate
 * does not implement.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <nsurlsession/nsurlsession.h>

/* What the delegate's methods share. They all run on the delegate queue, one at a time: no lock. */
struct stream {
    nsurlsession_queue_t *queue;
    double start;
    unsigned pieces;
    size_t bytes;
    int exit_code;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The headers are here. Nothing else of this task comes before the answer. */
static void did_receive_response(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                                 nsurlsession_response_t *response,
                                 nsurlsession_response_completion_t *completion)
{
    struct stream *stream = context;
    const char *type = nsurlsession_response_mime_type(response);
    (void)session;
    (void)task;

    printf("response %" PRId64 ", %s, after %.2f s\n", nsurlsession_response_status_code(response),
           type ? type : "unknown type", now() - stream->start);
    nsurlsession_response_completion_call(completion, NSURLSESSION_RESPONSE_ALLOW);
}

/* The next piece of the body. Retain `data` to keep it: that copies nothing. */
static void did_receive_data(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                             nsurlsession_data_t *data)
{
    struct stream *stream = context;
    (void)session;
    (void)task;

    stream->pieces++;
    stream->bytes += nsurlsession_data_length(data);
    printf("piece %u: %zu bytes after %.2f s\n", stream->pieces, nsurlsession_data_length(data),
           now() - stream->start);
    fflush(stdout);
}

/* The task's last message, exactly once. */
static void did_complete_with_error(void *context, nsurlsession_t *session,
                                    nsurlsession_task_t *task, nsurlsession_error_t *error)
{
    struct stream *stream = context;
    (void)task;

    if (error) {
        fprintf(stderr, "stream: %s\n", nsurlsession_error_localized_description(error));
        stream->exit_code = 1;
    } else {
        printf("complete: %zu bytes in %u pieces after %.2f s\n", stream->bytes, stream->pieces,
               now() - stream->start);
    }
    nsurlsession_finish_tasks_and_invalidate(session);
}

/* The session's last message: nothing uses the context after it. */
static void did_become_invalid_with_error(void *context, nsurlsession_t *session,
                                          nsurlsession_error_t *error)
{
    struct stream *stream = context;
    (void)session;
    (void)error;

    nsurlsession_queue_stop(stream->queue);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: stream URL\n");
        return 2;
    }

    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct stream stream = { .queue = queue, .start = now() };

    nsurlsession_session_delegate_t session_methods = {
        .struct_size = sizeof session_methods,
        .did_become_invalid_with_error = did_become_invalid_with_error,
    };
    nsurlsession_task_delegate_t task_methods = {
        .struct_size = sizeof task_methods,
        .did_complete_with_error = did_complete_with_error,
    };
    nsurlsession_data_delegate_t data_methods = {
        .struct_size = sizeof data_methods,
        .did_receive_response = did_receive_response,
        .did_receive_data = did_receive_data,
    };
    nsurlsession_delegate_t delegate = {
        .struct_size = sizeof delegate,
        .context = &stream, /* on the stack, so there is no .release */
        .session = &session_methods,
        .task = &task_methods,
        .data = &data_methods,
    };

    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    nsurlsession_t *session = nsurlsession_session_with_configuration_delegate_delegate_queue(
        configuration, &delegate, queue);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, argv[1]);

    nsurlsession_task_resume(task);
    nsurlsession_queue_run(queue); /* the delegate's methods run in here, on this thread */

    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
    nsurlsession_release(queue);
    return stream.exit_code;
}
