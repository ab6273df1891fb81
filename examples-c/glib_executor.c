/*
 * glib_executor URL...: loads URLs at the same time inside a program whose main loop is GLib's.
 *
 * An executor hands the work items of a delegate queue to the place where callbacks are to run.
 * This one wraps each item in an idle source of a GMainContext, so every callback runs on the
 * thread that runs the main loop. Copy `struct glib_executor` and its four functions; the rest is
 * a program that uses them. Ctrl-C cancels the transfers and ends the program in order.
 */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <glib-unix.h>
#include <glib.h>

#include <nsurlsession/nsurlsession.h>

/* ---- The executor ------------------------------------------------------------------------- */

struct glib_executor {
    GMainContext *context;
    GMutex mutex;    /* for the two members below */
    GSource *source; /* the item that waits for its turn, or NULL: there is never a second one */
    bool closed;     /* the main loop has ended: nothing would run */
};

struct glib_work {
    struct glib_executor *executor;
    nsurlsession_work_t *work;
};

/* On the main loop's thread: the item's turn has come. */
static gboolean glib_executor_dispatch(gpointer user_data)
{
    struct glib_work *item = user_data;
    struct glib_executor *executor = item->executor;

    /* Before the item runs: the next one may be handed over while it does. */
    g_mutex_lock(&executor->mutex);
    g_clear_pointer(&executor->source, g_source_unref);
    g_mutex_unlock(&executor->mutex);

    nsurlsession_work_run(item->work);
    return G_SOURCE_REMOVE;
}

/* The source is gone. The release discards an item that was not run. */
static void glib_work_free(gpointer user_data)
{
    struct glib_work *item = user_data;

    nsurlsession_release(item->work);
    g_free(item);
}

/*
 * On a thread of the library's. Not g_main_context_invoke_full: between two turns of the main loop
 * that can run the item here, on the wrong thread.
 */
static void glib_executor_execute(void *context, nsurlsession_work_t *work)
{
    struct glib_executor *executor = context;

    g_mutex_lock(&executor->mutex);
    bool closed = executor->closed;
    if (!closed) {
        struct glib_work *item = g_new(struct glib_work, 1);
        item->executor = executor;
        item->work = nsurlsession_retain(work);

        executor->source = g_idle_source_new();
        g_source_set_priority(executor->source, G_PRIORITY_DEFAULT);
        g_source_set_callback(executor->source, glib_executor_dispatch, item, glib_work_free);
        g_source_attach(executor->source, executor->context);
    }
    g_mutex_unlock(&executor->mutex);

    if (closed)
        nsurlsession_work_discard(work);
}

/* Once the main loop has ended. Items that wait, and later ones, run on the library's own thread. */
static void glib_executor_close(struct glib_executor *executor)
{
    g_mutex_lock(&executor->mutex);
    executor->closed = true;
    GSource *source = g_steal_pointer(&executor->source);
    g_mutex_unlock(&executor->mutex);

    if (source) {
        g_source_destroy(source);
        g_source_unref(source);
    }
}

/* The queue is freed, and uses the executor no more. */
static void glib_executor_release(void *context)
{
    struct glib_executor *executor = context;

    g_mutex_clear(&executor->mutex);
    g_main_context_unref(executor->context);
    g_free(executor);
}

/* ---- A program that uses it --------------------------------------------------------------- */

struct app {
    GMainLoop *loop;
    nsurlsession_t *session;
    int exit_code;
};

/* The context of a transfer: the handler is called exactly once, so it is freed there. */
struct transfer {
    struct app *app;
    char *url;
};

static void done(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                 nsurlsession_error_t *error)
{
    struct transfer *transfer = context;

    if (error) {
        fprintf(stderr, "%s: %s\n", transfer->url, nsurlsession_error_localized_description(error));
        transfer->app->exit_code = 1;
    } else {
        printf("%s: %" PRId64 ", %zu bytes\n", transfer->url,
               nsurlsession_response_status_code(response), nsurlsession_data_length(data));
    }
    g_free(transfer->url);
    g_free(transfer);
}

/* The session's last message: every `done` has been called. */
static void did_become_invalid_with_error(void *context, nsurlsession_t *session,
                                          nsurlsession_error_t *error)
{
    struct app *app = context;
    (void)session;
    (void)error;

    g_main_loop_quit(app->loop);
}

static gboolean interrupted(gpointer user_data)
{
    struct app *app = user_data;

    nsurlsession_invalidate_and_cancel(app->session);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: glib_executor URL...\n");
        return 2;
    }

    struct app app = { .loop = g_main_loop_new(NULL, FALSE) };

    struct glib_executor *glib = g_new0(struct glib_executor, 1);
    glib->context = g_main_context_ref(g_main_loop_get_context(app.loop));
    g_mutex_init(&glib->mutex);
    nsurlsession_executor_t executor = {
        .struct_size = sizeof executor,
        .context = glib,
        .release = glib_executor_release,
        .execute = glib_executor_execute,
    };
    nsurlsession_queue_t *queue = nsurlsession_queue_with_executor(&executor);

    nsurlsession_session_delegate_t session_methods = {
        .struct_size = sizeof session_methods,
        .did_become_invalid_with_error = did_become_invalid_with_error,
    };
    nsurlsession_delegate_t delegate = {
        .struct_size = sizeof delegate,
        .context = &app,
        .session = &session_methods,
    };
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    app.session = nsurlsession_session_with_configuration_delegate_delegate_queue(
        configuration, &delegate, queue);

    for (int i = 1; i < argc; i++) {
        struct transfer *transfer = g_new(struct transfer, 1);
        transfer->app = &app;
        transfer->url = g_strdup(argv[i]);
        nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
            app.session, argv[i], done, transfer);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
    nsurlsession_finish_tasks_and_invalidate(app.session); /* after the tasks above */

    guint interrupt = g_unix_signal_add(SIGINT, interrupted, &app);
    g_main_loop_run(app.loop); /* the callbacks run in here, on this thread */
    g_source_remove(interrupt);

    glib_executor_close(glib);
    nsurlsession_release(app.session);
    nsurlsession_release(configuration);
    nsurlsession_release(queue);
    g_main_loop_unref(app.loop);
    return app.exit_code;
}
