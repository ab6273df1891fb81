#include "recorder.h"

#include <sys/stat.h>

/* ---- Owned results ------------------------------------------------------------------------- */

const char *text_of(nsurlsession_string_t *owned)
{
    const char *text = test_copy(nsurlsession_string_utf8_string(owned));
    nsurlsession_release(owned);
    return text;
}

const char *text_at(nsurlsession_dictionary_t *owned, const char *key)
{
    const char *text = text_of(nsurlsession_dictionary_object_for_key(owned, key));
    nsurlsession_release(owned);
    return text;
}

const char *text_of_data(nsurlsession_data_t *data)
{
    size_t length = nsurlsession_data_length(data);
    char *text = test_allocate(length + 1);
    if (length > 0)
        memcpy(text, nsurlsession_data_bytes(data), length);
    return text;
}

void run_queue(nsurlsession_queue_t *queue)
{
    if (!nsurlsession_queue_run_until_date(queue, date_now() + wait_limit()))
        FAIL("the queue was not stopped within %.0f s", wait_limit());
}

/* ---- Writing down -------------------------------------------------------------------------- */

/* An answer that a completion object waits for. */
struct held_answer {
    struct held_answer *next;
    enum callback kind;
    void *completion;
    nsurlsession_request_t *request; /* of a redirect */
};

static const char *line_of(const struct event *event)
{
    long long value = event->value, expected = event->expected;
    switch (event->kind) {
    case CALLBACK_CREATE: return "create";
    case CALLBACK_REDIRECT: return test_format("redirect %lld", value);
    case CALLBACK_RESPONSE: return test_format("response %lld", value);
    case CALLBACK_DATA: return test_format("data %lld", value);
    case CALLBACK_COMPLETE:
        return event->has_error ? test_format("complete %lld", value) : "complete nil";
    case CALLBACK_INVALID:
        return event->has_error ? test_format("invalid %lld", value) : "invalid nil";
    case CALLBACK_RELEASE: return "release";
    case CALLBACK_SENT: return test_format("sent %lld/%lld", value, expected);
    case CALLBACK_INFORMATIONAL: return test_format("informational %lld", value);
    case CALLBACK_NEED_STREAM:
        return value < 0 ? "need stream" : test_format("need stream from %lld", value);
    case CALLBACK_METRICS: return "metrics";
    case CALLBACK_BECAME_DOWNLOAD: return "became download";
    case CALLBACK_WRITTEN: return test_format("written %lld/%lld", value, expected);
    case CALLBACK_RESUMED: return test_format("resumed %lld/%lld", value, expected);
    case CALLBACK_DOWNLOADED: return test_format("downloaded %lld", value);
    case CALLBACK_KINDS: break;
    }
    return "?";
}

/* Without the lock: the process is about to end, whoever holds it. */
static void report(void *context)
{
    struct recorder *recorder = context;
    fprintf(stderr, "recorder %p saw %zu callbacks, %" PRIu64 " bytes:\n", context,
            recorder->event_count, recorder->received);
    size_t first = recorder->event_count > 60 ? recorder->event_count - 60 : 0;
    for (size_t index = first; index < recorder->event_count; index++) {
        const struct event *event = &recorder->events[index];
        fprintf(stderr, "  %.6f task %" PRIu64 ": %s\n", event->time, event->task, line_of(event));
    }
}

static void check_order(struct recorder *recorder, const struct event *new)
{
    if (recorder->counts[CALLBACK_RELEASE] > 0)
        FAIL("\"%s\" after the delegate's release", line_of(new));
    if (recorder->counts[CALLBACK_INVALID] > 0 && new->kind != CALLBACK_RELEASE)
        FAIL("\"%s\" after did_become_invalid_with_error", line_of(new));
    if (new->task == 0)
        return;
    for (size_t index = recorder->event_count; index-- > 0;) {
        const struct event *event = &recorder->events[index];
        if (event->task != new->task)
            continue;
        if (event->kind == CALLBACK_COMPLETE)
            FAIL("\"%s\" after \"%s\" of task %" PRIu64, line_of(new), line_of(event), new->task);
        if (new->kind == CALLBACK_DATA && event->kind != CALLBACK_RESPONSE &&
            event->kind != CALLBACK_DATA && !(recorder->without & 1u << CALLBACK_RESPONSE))
            FAIL("\"%s\" right after \"%s\" of task %" PRIu64, line_of(new), line_of(event),
                 new->task);
        return;
    }
}

static void append_event(struct recorder *recorder, const struct event *new)
{
    struct event *last =
        recorder->event_count > 0 ? &recorder->events[recorder->event_count - 1] : NULL;
    if (recorder->merge_data && new->kind == CALLBACK_DATA && last && last->kind == CALLBACK_DATA &&
        last->task == new->task) {
        last->value += new->value;
        last->time = new->time;
        return;
    }
    if ((new->kind == CALLBACK_SENT || new->kind == CALLBACK_WRITTEN) && last &&
        last->kind == new->kind && last->task == new->task) {
        *last = *new;
        return;
    }
    if (recorder->event_count == recorder->event_capacity) {
        recorder->event_capacity = recorder->event_capacity ? recorder->event_capacity * 2 : 32;
        recorder->events =
            realloc(recorder->events, recorder->event_capacity * sizeof *recorder->events);
        if (!recorder->events)
            abort();
    }
    recorder->events[recorder->event_count++] = *new;
}

static void append_body(struct recorder *recorder, const uint8_t *bytes, size_t length)
{
    for (size_t index = 0; index < length; index++) {
        recorder->digest = (recorder->digest ^ bytes[index]) * UINT64_C(0x100000001b3);
        if (bytes[index] != pattern_byte(recorder->received + index))
            recorder->pattern_holds = false;
    }
    recorder->received += length;
    if (recorder->discard_body)
        return;
    if (recorder->body_length + length > recorder->body_capacity) {
        recorder->body_capacity = (recorder->body_length + length) * 2;
        recorder->body = realloc(recorder->body, recorder->body_capacity);
        if (!recorder->body)
            abort();
    }
    memcpy(recorder->body + recorder->body_length, bytes, length);
    recorder->body_length += length;
}

static void append_file(struct recorder *recorder, const char *location)
{
    FILE *file = fopen(text_of(nsurlsession_url_path(location)), "rb");
    if (!file)
        FAIL("the downloaded file %s cannot be opened", location);
    static uint8_t bytes[1 << 16];
    for (size_t length; (length = fread(bytes, 1, sizeof bytes, file)) > 0;)
        append_body(recorder, bytes, length);
    fclose(file);
}

static int64_t size_of_file(const char *location)
{
    struct stat status;
    if (stat(text_of(nsurlsession_url_path(location)), &status) != 0)
        FAIL("there is no file %s", location);
    return status.st_size;
}

/* ---- Doing what the script says ------------------------------------------------------------ */

static void answer(enum callback kind, void *completion, nsurlsession_request_t *request,
                   bool allow)
{
    if (kind == CALLBACK_RESPONSE)
        nsurlsession_response_completion_call(completion, allow ? NSURLSESSION_RESPONSE_ALLOW
                                                                : NSURLSESSION_RESPONSE_CANCEL);
    else
        nsurlsession_redirection_completion_call(completion, allow ? request : NULL);
}

static struct held_answer *hold(const struct call *call)
{
    struct held_answer *held = test_allocate(sizeof *held);
    held->kind = call->kind;
    held->completion = nsurlsession_retain(call->completion);
    held->request = nsurlsession_retain(call->request);
    return held;
}

static void let_go(struct held_answer *held)
{
    nsurlsession_release(held->completion);
    nsurlsession_release(held->request);
}

static void *answer_later(void *context)
{
    struct held_answer *held = context;
    answer(held->kind, held->completion, held->request, true);
    let_go(held);
    return NULL;
}

static void *drop_later(void *context)
{
    let_go(context);
    return NULL;
}

/* A thread's work outside the callback; holds references of its own. */
struct errand {
    struct recorder *recorder;
    struct step step;
    struct call call;
    bool after_return; /* wait until the callback has returned */
};

static void act(struct recorder *recorder, const struct step *step, const struct call *call);

static void *run_errand(void *context)
{
    struct errand *errand = context;
    if (errand->after_return)
        recorder_wait(errand->recorder, errand->call.kind, errand->call.nth);
    act(errand->recorder, &errand->step, &errand->call);
    nsurlsession_release(errand->call.task);
    nsurlsession_release(errand->call.session);
    return NULL;
}

static void send_errand(struct recorder *recorder, const struct step *step, const struct call *call,
                        enum action action, bool after_return)
{
    struct errand *errand = test_allocate(sizeof *errand);
    errand->recorder = recorder;
    errand->step = *step;
    errand->step.action = action;
    errand->call = *call;
    errand->after_return = after_return;
    nsurlsession_retain(call->task);
    nsurlsession_retain(call->session);
    test_thread(run_errand, errand);
}

/* Takes the reference under the lock, so that it is dropped once. */
static void drop_reference(struct recorder *recorder, void *slot)
{
    void *object;
    pthread_mutex_lock(&recorder->mutex);
    memcpy(&object, slot, sizeof object);
    memset(slot, 0, sizeof object);
    pthread_mutex_unlock(&recorder->mutex);
    nsurlsession_release(object);
}

static void act(struct recorder *recorder, const struct step *step, const struct call *call)
{
    switch (step->action) {
    case ACTION_CANCEL: nsurlsession_task_cancel(call->task); break;
    case ACTION_SUSPEND: nsurlsession_task_suspend(call->task); break;
    case ACTION_RESUME: nsurlsession_task_resume(call->task); break;
    case ACTION_SUSPEND_RESUME_LATER:
        nsurlsession_task_suspend(call->task);
        send_errand(recorder, step, call, ACTION_RESUME, true);
        break;
    case ACTION_INVALIDATE_AND_CANCEL: nsurlsession_invalidate_and_cancel(call->session); break;
    case ACTION_FINISH_TASKS_AND_INVALIDATE:
        nsurlsession_finish_tasks_and_invalidate(call->session);
        break;
    case ACTION_RELEASE_TASK: drop_reference(recorder, &recorder->task); break;
    case ACTION_RELEASE_SESSION: drop_reference(recorder, &recorder->session); break;
    default: break;
    }
}

static void give_answer(struct recorder *recorder, enum action action, const struct call *call)
{
    switch (action) {
    case ACTION_ANSWER_CANCEL: answer(call->kind, call->completion, call->request, false); break;
    case ACTION_ANSWER_TWICE:
        answer(call->kind, call->completion, call->request, true);
        answer(call->kind, call->completion, call->request, false);
        break;
    case ACTION_ANSWER_LATER: test_thread(answer_later, hold(call)); break;
    case ACTION_ANSWER_HELD: {
        struct held_answer *held = hold(call);
        pthread_mutex_lock(&recorder->mutex);
        held->next = recorder->held;
        recorder->held = held;
        pthread_mutex_unlock(&recorder->mutex);
        break;
    }
    case ACTION_NEVER_ANSWER: break;
    case ACTION_ANSWER_BECOME_DOWNLOAD:
        nsurlsession_response_completion_call(call->completion,
                                              NSURLSESSION_RESPONSE_BECOME_DOWNLOAD);
        break;
    case ACTION_RELEASE_ANSWER_LATER: test_thread(drop_later, hold(call)); break;
    default: answer(call->kind, call->completion, call->request, true); break;
    }
}

/* did_create_task runs on the thread that creates the task, perhaps beside another callback. */
static bool is_serial(enum callback kind)
{
    return kind != CALLBACK_CREATE;
}

static void handle(struct recorder *recorder, struct call *call, int64_t value)
{
    struct event event = {
        .kind = call->kind,
        .task = call->task ? nsurlsession_task_identifier(call->task) : 0,
        .thread = pthread_self(),
        .time = monotonic_seconds(),
        .value = value,
        .expected = call->expected,
        .has_error = call->error != NULL,
    };

    pthread_mutex_lock(&recorder->mutex);
    if (is_serial(call->kind) && recorder->inside++ > 0)
        FAIL("\"%s\" while another callback was running", line_of(&event));
    check_order(recorder, &event);
    append_event(recorder, &event);
    if (call->data)
        append_body(recorder, nsurlsession_data_bytes(call->data),
                    nsurlsession_data_length(call->data));
    if (call->location)
        append_file(recorder, call->location);
    call->nth = ++recorder->counts[call->kind];
    pthread_mutex_unlock(&recorder->mutex);
    if (call->data && nsurlsession_data_length(call->data) == 0)
        FAIL("did_receive_data with no bytes");
    if (call->location && recorder->keep_as &&
        rename(text_of(nsurlsession_url_path(call->location)), recorder->keep_as) != 0)
        FAIL("%s cannot be moved to %s", call->location, recorder->keep_as);

    enum action answer_action = ACTION_NONE;
    for (size_t index = 0; index < recorder->step_count; index++) {
        const struct step *step = &recorder->steps[index];
        if (step->at != call->kind || (step->nth != 0 && step->nth != call->nth))
            continue;
        if (step->action >= ACTION_ANSWER_CANCEL) {
            if (!call->completion)
                FAIL("the script answers \"%s\", which asks for nothing", line_of(&event));
            answer_action = step->action;
        } else if (step->elsewhere) {
            send_errand(recorder, step, call, step->action, false);
        } else {
            act(recorder, step, call);
        }
        if (step->hook)
            step->hook(recorder, call);
    }
    if (call->kind == CALLBACK_NEED_STREAM) {
        nsurlsession_input_stream_t *stream =
            recorder->stream_for ? recorder->stream_for(recorder, call) : NULL;
        nsurlsession_body_stream_completion_call(call->completion, stream);
        nsurlsession_release(stream);
    } else if (call->completion)
        give_answer(recorder, answer_action, call);

    if (call->kind == CALLBACK_COMPLETE || call->kind == CALLBACK_INVALID)
        nsurlsession_queue_stop(recorder->stop_queue);
    pthread_mutex_lock(&recorder->mutex);
    if (is_serial(call->kind))
        recorder->inside--;
    recorder->returned[call->kind]++;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->mutex);
}

/* ---- The vtables --------------------------------------------------------------------------- */

static void did_create_task(void *context, nsurlsession_t *session, nsurlsession_task_t *task)
{
    struct call call = {.kind = CALLBACK_CREATE, .session = session, .task = task};
    handle(context, &call, 0);
}

static void will_perform_http_redirection(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task,
                                          nsurlsession_response_t *response,
                                          nsurlsession_request_t *request,
                                          nsurlsession_redirection_completion_t *completion)
{
    struct call call = {
        .kind = CALLBACK_REDIRECT,
        .session = session,
        .task = task,
        .response = response,
        .request = request,
        .completion = completion,
    };
    handle(context, &call, nsurlsession_response_status_code(response));
}

static void did_complete_with_error(void *context, nsurlsession_t *session,
                                    nsurlsession_task_t *task, nsurlsession_error_t *error)
{
    struct call call = {
        .kind = CALLBACK_COMPLETE, .session = session, .task = task, .error = error};
    handle(context, &call, error ? nsurlsession_error_code(error) : 0);
}

static void did_receive_response(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                                 nsurlsession_response_t *response,
                                 nsurlsession_response_completion_t *completion)
{
    struct call call = {
        .kind = CALLBACK_RESPONSE,
        .session = session,
        .task = task,
        .response = response,
        .completion = completion,
    };
    handle(context, &call, nsurlsession_response_status_code(response));
}

static void did_receive_data(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                             nsurlsession_data_t *data)
{
    struct call call = {.kind = CALLBACK_DATA, .session = session, .task = task, .data = data};
    handle(context, &call, (int64_t)nsurlsession_data_length(data));
}

static void did_become_invalid_with_error(void *context, nsurlsession_t *session,
                                          nsurlsession_error_t *error)
{
    struct call call = {.kind = CALLBACK_INVALID, .session = session, .error = error};
    handle(context, &call, error ? nsurlsession_error_code(error) : 0);
}

static void did_send_body_data(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                               int64_t bytes_sent, int64_t total_bytes_sent,
                               int64_t total_bytes_expected_to_send)
{
    struct call call = {.kind = CALLBACK_SENT,
                        .session = session,
                        .task = task,
                        .more = bytes_sent,
                        .expected = total_bytes_expected_to_send};
    handle(context, &call, total_bytes_sent);
}

static void did_receive_informational_response(void *context, nsurlsession_t *session,
                                               nsurlsession_task_t *task,
                                               nsurlsession_response_t *response)
{
    struct call call = {.kind = CALLBACK_INFORMATIONAL,
                        .session = session,
                        .task = task,
                        .response = response};
    handle(context, &call, nsurlsession_response_status_code(response));
}

static void need_new_body_stream(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                                 nsurlsession_body_stream_completion_t *completion)
{
    struct call call = {.kind = CALLBACK_NEED_STREAM,
                        .session = session,
                        .task = task,
                        .completion = completion};
    handle(context, &call, -1);
}

static void need_new_body_stream_from_offset(void *context, nsurlsession_t *session,
                                             nsurlsession_task_t *task, int64_t offset,
                                             nsurlsession_body_stream_completion_t *completion)
{
    struct call call = {.kind = CALLBACK_NEED_STREAM,
                        .session = session,
                        .task = task,
                        .more = offset,
                        .completion = completion};
    handle(context, &call, offset);
}

static void did_finish_collecting_metrics(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task,
                                          nsurlsession_task_metrics_t *metrics)
{
    struct call call = {
        .kind = CALLBACK_METRICS, .session = session, .task = task, .metrics = metrics};
    handle(context, &call, 0);
}

static void did_become_download_task(void *context, nsurlsession_t *session,
                                     nsurlsession_task_t *task, nsurlsession_task_t *download_task)
{
    struct call call = {.kind = CALLBACK_BECAME_DOWNLOAD,
                        .session = session,
                        .task = task,
                        .download_task = download_task};
    handle(context, &call, 0);
}

static void did_write_data(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                           int64_t bytes_written, int64_t total_bytes_written,
                           int64_t total_bytes_expected_to_write)
{
    struct call call = {.kind = CALLBACK_WRITTEN,
                        .session = session,
                        .task = task,
                        .more = bytes_written,
                        .expected = total_bytes_expected_to_write};
    handle(context, &call, total_bytes_written);
}

static void did_resume_at_offset(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                                 int64_t file_offset, int64_t expected_total_bytes)
{
    struct call call = {.kind = CALLBACK_RESUMED,
                        .session = session,
                        .task = task,
                        .expected = expected_total_bytes};
    handle(context, &call, file_offset);
}

static void did_finish_downloading_to_url(void *context, nsurlsession_t *session,
                                          nsurlsession_task_t *task, const char *location)
{
    struct call call = {
        .kind = CALLBACK_DOWNLOADED, .session = session, .task = task, .location = location};
    handle(context, &call, size_of_file(location));
}

static void release(void *context)
{
    struct call call = {.kind = CALLBACK_RELEASE};
    handle(context, &call, 0);
}

struct recorder *recorder_new(void)
{
    struct recorder *recorder = test_allocate(sizeof *recorder);
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_cond_init(&recorder->changed, NULL);
    recorder->digest = UINT64_C(0xcbf29ce484222325);
    recorder->pattern_holds = true;
    test_on_failure(report, recorder);
    return recorder;
}

void recorder_set_steps(struct recorder *recorder, const struct step *steps, size_t count)
{
    struct step *copy = test_allocate(count * sizeof *copy);
    memcpy(copy, steps, count * sizeof *copy);
    recorder->steps = copy;
    recorder->step_count = count;
}

const nsurlsession_delegate_t *recorder_delegate(struct recorder *recorder)
{
    struct vtables {
        nsurlsession_delegate_t delegate;
        nsurlsession_session_delegate_t session;
        nsurlsession_task_delegate_t task;
        nsurlsession_data_delegate_t data;
        nsurlsession_download_delegate_t download;
    } *vtables = test_allocate(sizeof *vtables);

    vtables->session.struct_size = sizeof vtables->session;
    vtables->task.struct_size = sizeof vtables->task;
    vtables->data.struct_size = sizeof vtables->data;
    vtables->download.struct_size = sizeof vtables->download;
    vtables->delegate = (nsurlsession_delegate_t){
        .struct_size = sizeof vtables->delegate,
        .context = recorder,
        .session = &vtables->session,
        .task = &vtables->task,
        .data = &vtables->data,
        .download = &vtables->download,
    };

#define IMPLEMENT(kind, table, method)                                                             \
    if (!(recorder->without & 1u << (kind)))                                                       \
    vtables->table.method = method
    IMPLEMENT(CALLBACK_INVALID, session, did_become_invalid_with_error);
    IMPLEMENT(CALLBACK_CREATE, task, did_create_task);
    IMPLEMENT(CALLBACK_REDIRECT, task, will_perform_http_redirection);
    IMPLEMENT(CALLBACK_COMPLETE, task, did_complete_with_error);
    IMPLEMENT(CALLBACK_RESPONSE, data, did_receive_response);
    IMPLEMENT(CALLBACK_DATA, data, did_receive_data);
    IMPLEMENT(CALLBACK_RELEASE, delegate, release);
#undef IMPLEMENT
#define IMPLEMENT(kind, table, method)                                                             \
    if (recorder->with & 1u << (kind))                                                             \
    vtables->table.method = method
    IMPLEMENT(CALLBACK_SENT, task, did_send_body_data);
    IMPLEMENT(CALLBACK_INFORMATIONAL, task, did_receive_informational_response);
    IMPLEMENT(CALLBACK_NEED_STREAM, task, need_new_body_stream);
    IMPLEMENT(CALLBACK_NEED_STREAM, task, need_new_body_stream_from_offset);
    IMPLEMENT(CALLBACK_METRICS, task, did_finish_collecting_metrics);
    IMPLEMENT(CALLBACK_BECAME_DOWNLOAD, data, did_become_download_task);
    IMPLEMENT(CALLBACK_WRITTEN, download, did_write_data);
    IMPLEMENT(CALLBACK_RESUMED, download, did_resume_at_offset);
    IMPLEMENT(CALLBACK_DOWNLOADED, download, did_finish_downloading_to_url);
#undef IMPLEMENT
    return &vtables->delegate;
}

nsurlsession_t *recorder_session(struct recorder *recorder,
                                 const nsurlsession_configuration_t *configuration,
                                 nsurlsession_queue_t *queue)
{
    nsurlsession_configuration_t *own =
        configuration ? NULL : nsurlsession_configuration_ephemeral();
    nsurlsession_t *session = nsurlsession_session_with_configuration_delegate_delegate_queue(
        configuration ? configuration : own, recorder_delegate(recorder), queue);
    nsurlsession_release(own);
    CHECK(session != NULL);
    return session;
}

/* ---- Reading ------------------------------------------------------------------------------- */

void recorder_wait_at(const char *file, int line, struct recorder *recorder, enum callback kind,
                      unsigned nth)
{
    double end = monotonic_seconds() + wait_limit();
    pthread_mutex_lock(&recorder->mutex);
    while (recorder->returned[kind] < nth)
        if (!condition_wait_until(&recorder->changed, &recorder->mutex, end) &&
            recorder->returned[kind] < nth)
            test_fail(file, line, "recorder_wait: %u of %u \"%s\" callbacks after %.0f s",
                      recorder->returned[kind], nth, line_of(&(struct event){.kind = kind}),
                      wait_limit());
    pthread_mutex_unlock(&recorder->mutex);
}

unsigned recorder_count(struct recorder *recorder, enum callback kind)
{
    pthread_mutex_lock(&recorder->mutex);
    unsigned count = recorder->counts[kind];
    pthread_mutex_unlock(&recorder->mutex);
    return count;
}

static struct held_answer *take_held(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    struct held_answer *held = recorder->held;
    if (held)
        recorder->held = held->next;
    pthread_mutex_unlock(&recorder->mutex);
    return held;
}

void recorder_answer(struct recorder *recorder, bool allow)
{
    for (struct held_answer *held; (held = take_held(recorder)) != NULL;) {
        answer(held->kind, held->completion, held->request, allow);
        let_go(held);
    }
}

void recorder_drop_answers(struct recorder *recorder)
{
    for (struct held_answer *held; (held = take_held(recorder)) != NULL;)
        let_go(held);
}

const char *recorder_log(struct recorder *recorder, uint64_t task)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    pthread_mutex_lock(&recorder->mutex);
    const char *separator = "";
    for (size_t index = 0; index < recorder->event_count; index++) {
        const struct event *event = &recorder->events[index];
        if (task != 0 && event->task != task)
            continue;
        fprintf(stream, "%s%s", separator, line_of(event));
        separator = ", ";
    }
    pthread_mutex_unlock(&recorder->mutex);
    fclose(stream);
    char *kept = test_copy(text);
    free(text);
    return kept;
}

struct event recorder_event(struct recorder *recorder, enum callback kind, unsigned nth)
{
    struct event found = {0};
    unsigned seen = 0;
    pthread_mutex_lock(&recorder->mutex);
    for (size_t index = 0; index < recorder->event_count && seen < nth; index++)
        if (recorder->events[index].kind == kind && ++seen == nth)
            found = recorder->events[index];
    pthread_mutex_unlock(&recorder->mutex);
    if (nth == 0 || seen < nth)
        FAIL("no %u. \"%s\" was recorded", nth, line_of(&(struct event){.kind = kind}));
    return found;
}

bool recorder_on_one_thread(struct recorder *recorder)
{
    bool same = true;
    const struct event *first = NULL;
    pthread_mutex_lock(&recorder->mutex);
    for (size_t index = 0; index < recorder->event_count; index++) {
        const struct event *event = &recorder->events[index];
        if (!is_serial(event->kind))
            continue;
        if (first && !pthread_equal(first->thread, event->thread))
            same = false;
        first = event;
    }
    pthread_mutex_unlock(&recorder->mutex);
    return same;
}

const char *recorder_text(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    char *text = test_allocate(recorder->body_length + 1);
    if (recorder->body_length > 0)
        memcpy(text, recorder->body, recorder->body_length);
    pthread_mutex_unlock(&recorder->mutex);
    return text;
}

/* ---- The completion handler ---------------------------------------------------------------- */

static void report_completion(void *context)
{
    struct completion *completion = context;
    fprintf(stderr, "completion %p: %u calls, status %" PRId64 ", %zu bytes, error %s %" PRId64
            " %s\n", context, completion->calls, completion->status, completion->body_length,
            completion->error_domain ? completion->error_domain : "none", completion->error_code,
            completion->error_description ? completion->error_description : "");
}

struct completion *completion_new(void)
{
    struct completion *completion = test_allocate(sizeof *completion);
    latch_init(&completion->done, 1);
    test_on_failure(report_completion, completion);
    return completion;
}

void record_completion(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                       nsurlsession_error_t *error)
{
    struct completion *completion = context;
    if (++completion->calls > 1)
        FAIL("a completion handler was called again");
    completion->thread = pthread_self();
    if (response) {
        completion->status = nsurlsession_response_status_code(response);
        completion->url = test_copy(nsurlsession_response_url(response));
    }
    if (data) {
        completion->body_length = nsurlsession_data_length(data);
        completion->body = text_of_data(data);
    }
    if (error) {
        completion->error_code = nsurlsession_error_code(error);
        completion->error_domain = test_copy(nsurlsession_error_domain(error));
        completion->error_description =
            test_copy(nsurlsession_error_localized_description(error));
        CHECK(data == NULL);
        CHECK(completion->error_code != 0);
        CHECK(completion->error_description && completion->error_description[0]);
    } else {
        CHECK(data != NULL);
        CHECK(response != NULL);
    }
    nsurlsession_queue_t *stop = completion->stop_queue;
    latch_count_down(&completion->done);
    nsurlsession_queue_stop(stop);
}

struct completion *fetch(nsurlsession_t *session, const char *url)
{
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, url, record_completion, completion);
    CHECK(task != NULL);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    nsurlsession_release(task);
    return completion;
}
