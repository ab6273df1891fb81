/* Sessions: what they copy, how long they and their delegates live, how they end. */
#include "load.h"

#include <dirent.h>
#include <stdatomic.h>

#define WHOLE_LOG                                                                                  \
    "create, redirect 302, response 200, data 14, complete nil, invalid nil, release"

/* ---- Help ---------------------------------------------------------------------------------- */

/* A redirect and a body of 14 bytes: every callback of a task. */
static const char *redirected_url(void)
{
    return http_url("/redirect/302/hello.txt");
}

static void count_down(void *latch)
{
    latch_count_down(latch);
}

/* Returns when the session's queue, which the library runs, has run what is on it now. */
static void pass_queue(nsurlsession_t *session)
{
    struct latch passed = LATCH(1);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_queue_add_operation_with_block(queue, count_down, &passed, NULL);
    latch_wait(&passed);
    nsurlsession_release(queue);
}

static nsurlsession_task_t *handler_task(nsurlsession_t *session, const char *url,
                                         struct completion *completion)
{
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, url, record_completion, completion);
    CHECK(task != NULL);
    return task;
}

static int64_t error_code_of(nsurlsession_task_t *task)
{
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    int64_t code = error ? nsurlsession_error_code(error) : 0;
    nsurlsession_release(error);
    return code;
}

/* What nsurlsession_get_all_tasks_with_completion_handler told. */
struct listing {
    struct latch done;
    unsigned calls;
    size_t count;
    uint64_t identifiers[16];
    nsurlsession_queue_t *queue; /* the one that must be current */
    pthread_t thread;
};

static struct listing *listing_new(nsurlsession_t *session)
{
    struct listing *listing = test_allocate(sizeof *listing);
    latch_init(&listing->done, 1);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    listing->queue = queue;
    nsurlsession_release(queue); /* the session holds it */
    return listing;
}

static void list_tasks(void *context, nsurlsession_array_t *tasks)
{
    struct listing *listing = context;
    listing->calls++;
    listing->thread = pthread_self();
    CHECK(is_current(listing->queue));
    listing->count = nsurlsession_array_count(tasks);
    CHECK(listing->count <= sizeof listing->identifiers / sizeof listing->identifiers[0]);
    for (size_t index = 0; index < listing->count; index++) {
        nsurlsession_task_t *task = nsurlsession_array_object_at_index(tasks, index);
        listing->identifiers[index] = nsurlsession_task_identifier(task);
        nsurlsession_release(task);
    }
    latch_count_down(&listing->done);
}

static const char *listed(const struct listing *listing)
{
    const char *text = "";
    for (size_t index = 0; index < listing->count; index++)
        text = test_format("%s%s%" PRIu64, text, index ? " " : "", listing->identifiers[index]);
    return text;
}

/* The identifiers of the unfinished tasks, for a session whose queue the library runs. */
static const char *tasks_of(nsurlsession_t *session)
{
    struct listing *listing = listing_new(session);
    nsurlsession_get_all_tasks_with_completion_handler(session, list_tasks, listing);
    latch_wait(&listing->done);
    return listed(listing);
}

/* ---- The shared session -------------------------------------------------------------------- */

TEST(shared_is_one_object)
{
    nsurlsession_t *session = nsurlsession_shared_session();
    nsurlsession_t *again = nsurlsession_shared_session();
    CHECK(session != NULL);
    CHECK(session == again);
    CHECK(nsurlsession_delegate(session) == NULL);
    nsurlsession_release(again);

    nsurlsession_set_session_description(session, "shared by all");
    nsurlsession_release(session);
    session = nsurlsession_shared_session();
    CHECK(session == again);
    CHECK_EQ_STR(text_of(nsurlsession_session_description(session)), "shared by all");
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(session);
}

TEST(shared_is_immune_to_invalidation)
{
    nsurlsession_t *session = nsurlsession_shared_session();
    struct completion *held = completion_new();
    nsurlsession_task_t *task = handler_task(session, held_url(), held);
    nsurlsession_task_resume(task);
    wait_until_held(1);

    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_finish_tasks_and_invalidate(session);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    CHECK(!latch_is_open(&held->done));

    let_held_go();
    completion_wait(held);
    CHECK_EQ_INT(held->error_code, 0);
    CHECK_EQ_STR(held->body, "released\n");
    CHECK(!pthread_equal(held->thread, pthread_self()));
    nsurlsession_release(task);
    nsurlsession_release(session);
}

/* Its task goes on although nobody holds the session or the task. */
TEST(shared_finishes_a_released_task)
{
    nsurlsession_t *session = nsurlsession_shared_session();
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = handler_task(session, held_url(), completion);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
    wait_until_held(1);
    let_held_go();
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, "released\n");
}

/* ---- Making one ---------------------------------------------------------------------------- */

static void check_default_values(nsurlsession_t *session)
{
    nsurlsession_configuration_t *own = nsurlsession_configuration(session);
    nsurlsession_configuration_t *standard = nsurlsession_configuration_default();
    CHECK_BETWEEN(nsurlsession_configuration_timeout_interval_for_request(own), 60, 60);
    CHECK_BETWEEN(nsurlsession_configuration_timeout_interval_for_resource(own),
                  nsurlsession_configuration_timeout_interval_for_resource(standard),
                  nsurlsession_configuration_timeout_interval_for_resource(standard));
    CHECK_EQ_INT(nsurlsession_configuration_http_maximum_connections_per_host(own),
                 nsurlsession_configuration_http_maximum_connections_per_host(standard));
    CHECK(nsurlsession_configuration_http_additional_headers(own) == NULL);
    nsurlsession_release(standard);
    nsurlsession_release(own);
}

TEST(without_a_configuration)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    check_default_values(session);
    CHECK(nsurlsession_delegate(session) == NULL);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);

    session = nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, NULL, NULL);
    check_default_values(session);
    CHECK(nsurlsession_delegate(session) == NULL);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
}

TEST(deprecated_new)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    nsurlsession_t *session = nsurlsession_new();
    nsurlsession_t *other = nsurlsession_new();
#pragma GCC diagnostic pop
    nsurlsession_t *shared = nsurlsession_shared_session();
    CHECK(session != NULL);
    CHECK(session != other);
    CHECK(session != shared);
    check_default_values(session);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");

    /* Unlike the shared one it can end. */
    nsurlsession_finish_tasks_and_invalidate(session);
    CHECK_EQ_INT(fetch(session, http_url("/hello.txt"))->error_code, NSURLSESSION_ERROR_CANCELLED);
    nsurlsession_release(shared);
    nsurlsession_release(other);
    nsurlsession_release(session);
}

static void set_x_test(nsurlsession_configuration_t *configuration, const char *value)
{
    nsurlsession_dictionary_t *headers = nsurlsession_dictionary_new();
    nsurlsession_string_t *string = nsurlsession_string_with_utf8_string(value);
    nsurlsession_dictionary_set_object_for_key(headers, string, "X-Test");
    nsurlsession_configuration_set_http_additional_headers(configuration, headers);
    nsurlsession_release(string);
    nsurlsession_release(headers);
}

TEST(configuration_is_copied_at_creation)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    set_x_test(configuration, "before");
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 41);
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 3);
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);

    set_x_test(configuration, "after");
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 42);
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 4);
    nsurlsession_t *second = nsurlsession_session_with_configuration(configuration);
    nsurlsession_release(configuration);

    CHECK_CONTAINS(fetch(session, http_url("/echo"))->body, "x-test before\n");
    CHECK_CONTAINS(fetch(second, http_url("/echo"))->body, "x-test after\n");
    configuration = nsurlsession_configuration(session);
    CHECK_BETWEEN(nsurlsession_configuration_timeout_interval_for_request(configuration), 41, 41);
    CHECK_EQ_INT(nsurlsession_configuration_http_maximum_connections_per_host(configuration), 3);
    CHECK_EQ_STR(text_at(nsurlsession_configuration_http_additional_headers(configuration),
                         "x-test"), "before");
    nsurlsession_release(configuration);
    nsurlsession_release(second);
    nsurlsession_release(session);
}

TEST(configuration_is_copied_on_read)
{
    nsurlsession_configuration_t *given = nsurlsession_configuration_ephemeral();
    set_x_test(given, "given");
    nsurlsession_t *session = nsurlsession_session_with_configuration(given);
    nsurlsession_configuration_t *read = nsurlsession_configuration(session);
    CHECK(read != given);
    set_x_test(read, "changed");
    nsurlsession_configuration_set_timeout_interval_for_request(read, 0.001);

    CHECK_CONTAINS(fetch(session, http_url("/echo"))->body, "x-test given\n");
    nsurlsession_configuration_t *again = nsurlsession_configuration(session);
    CHECK(again != read);
    CHECK_EQ_STR(text_at(nsurlsession_configuration_http_additional_headers(again), "X-Test"),
                 "given");
    CHECK_BETWEEN(nsurlsession_configuration_timeout_interval_for_request(again), 60, 60);
    CHECK_EQ_STR(text_at(nsurlsession_configuration_http_additional_headers(read), "X-Test"),
                 "changed");
    nsurlsession_release(again);
    nsurlsession_release(read);
    nsurlsession_release(given);
    nsurlsession_release(session);
}

TEST(description)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    CHECK(nsurlsession_session_description(session) == NULL);
    char text[] = "Grüße";
    nsurlsession_set_session_description(session, text);
    text[0] = 'g';
    nsurlsession_string_t *read = nsurlsession_session_description(session);
    nsurlsession_set_session_description(session, "");
    CHECK_EQ_STR(nsurlsession_string_utf8_string(read), "Grüße");
    nsurlsession_release(read);
    CHECK_EQ_STR(text_of(nsurlsession_session_description(session)), "");
    nsurlsession_set_session_description(session, NULL);
    CHECK(nsurlsession_session_description(session) == NULL);

    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_set_session_description(session, "invalid");
    CHECK_EQ_STR(text_of(nsurlsession_session_description(session)), "invalid");
    nsurlsession_release(session);
}

TEST(a_copy_is_the_same_session)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    nsurlsession_t *copy = nsurlsession_copy(session);
    CHECK(copy == session);
    CHECK(nsurlsession_is_equal(session, copy));
    CHECK(!nsurlsession_is_equal(session, other));
    nsurlsession_release(other);
    nsurlsession_release(session);
    /* The copy is a reference of its own: the session still works. */
    CHECK_EQ_STR(fetch(copy, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(copy);
}

TEST(delegate_queue_is_never_null)
{
    nsurlsession_queue_t *own = nsurlsession_queue_new();
    nsurlsession_t *sessions[] = {
        nsurlsession_session_with_configuration(NULL),
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, NULL, NULL),
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, NULL, own),
        nsurlsession_shared_session(),
    };
    for (size_t index = 0; index < sizeof sessions / sizeof sessions[0]; index++) {
        nsurlsession_queue_t *before = nsurlsession_delegate_queue(sessions[index]);
        CHECK(before != NULL);
        CHECK_EQ_INT(before == own, index == 2);
        nsurlsession_invalidate_and_cancel(sessions[index]);
        nsurlsession_queue_t *after = nsurlsession_delegate_queue(sessions[index]);
        CHECK(after == before);
        nsurlsession_release(after);
        nsurlsession_release(before);
    }

    /* Each session without a queue has one of its own. */
    nsurlsession_queue_t *first = nsurlsession_delegate_queue(sessions[0]);
    nsurlsession_queue_t *second = nsurlsession_delegate_queue(sessions[1]);
    CHECK(first != second);
    nsurlsession_release(first);
    nsurlsession_release(second);
    for (size_t index = 0; index < sizeof sessions / sizeof sessions[0]; index++)
        nsurlsession_release(sessions[index]);
    nsurlsession_release(own);
}

static void never_completes(void *context, nsurlsession_data_t *data,
                            nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    (void)context, (void)data, (void)response, (void)error;
    FAIL("the handler of a task that was never made was called");
}

static void never_lists(void *context, nsurlsession_array_t *tasks)
{
    (void)context, (void)tasks;
    FAIL("the tasks of no session were listed");
}

static void never_lists_kinds(void *context, nsurlsession_array_t *data_tasks,
                              nsurlsession_array_t *upload_tasks,
                              nsurlsession_array_t *download_tasks)
{
    (void)context, (void)data_tasks, (void)upload_tasks, (void)download_tasks;
    FAIL("the tasks of no session were listed");
}

TEST(messages_to_null)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(http_url("/"));
    CHECK(nsurlsession_delegate_queue(NULL) == NULL);
    CHECK(nsurlsession_delegate(NULL) == NULL);
    CHECK(nsurlsession_configuration(NULL) == NULL);
    CHECK(nsurlsession_session_description(NULL) == NULL);
    nsurlsession_set_session_description(NULL, "nobody");
    nsurlsession_finish_tasks_and_invalidate(NULL);
    nsurlsession_invalidate_and_cancel(NULL);
    nsurlsession_get_all_tasks_with_completion_handler(NULL, never_lists, NULL);
    nsurlsession_get_tasks_with_completion_handler(NULL, never_lists_kinds, NULL);
    CHECK(nsurlsession_data_task_with_request(NULL, request) == NULL);
    CHECK(nsurlsession_data_task_with_url(NULL, http_url("/")) == NULL);
    CHECK(nsurlsession_data_task_with_request_completion_handler(NULL, request, never_completes,
                                                                 NULL) == NULL);
    CHECK(nsurlsession_data_task_with_url_completion_handler(NULL, http_url("/"), never_completes,
                                                             NULL) == NULL);

    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_get_all_tasks_with_completion_handler(session, NULL, NULL);
    nsurlsession_get_tasks_with_completion_handler(session, NULL, NULL);
    pass_queue(session);
    nsurlsession_release(session);
    nsurlsession_release(request);
}

/* ---- Delegates ----------------------------------------------------------------------------- */

static void check_delegate(struct recorder *recorder, const struct call *call)
{
    /* Within the last message the delegate is still there. */
    CHECK(nsurlsession_delegate(call->session) == recorder);
}

TEST(delegate_getter)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_CREATE, 1, ACTION_NONE, false, check_delegate},
                    {CALLBACK_COMPLETE, 1, ACTION_NONE, false, check_delegate},
                    {CALLBACK_INVALID, 1, ACTION_NONE, false, check_delegate});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    CHECK(nsurlsession_delegate(session) == recorder);
    nsurlsession_task_t *task = resumed_task(session, http_url("/hello.txt"));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK(nsurlsession_delegate(session) == recorder);

    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    pass_queue(session);
    CHECK(nsurlsession_delegate(session) == NULL);
    CHECK(nsurlsession_task_delegate(task) == NULL);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

static void check_on_queue(struct recorder *recorder, const struct call *call)
{
    (void)call;
    CHECK(is_current(recorder->user));
}

TEST(release_comes_after_invalid_and_on_the_queue)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_INVALID, 1, ACTION_NONE, false, check_on_queue},
                    {CALLBACK_RELEASE, 1, ACTION_NONE, false, check_on_queue});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    recorder->user = nsurlsession_delegate_queue(session);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "invalid nil, release");
    CHECK(recorder_on_one_thread(recorder));
    nsurlsession_release(recorder->user);
    nsurlsession_release(session);
}

TEST(release_comes_when_the_callers_queue_runs)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_INVALID, 1, ACTION_NONE, false, check_on_queue},
                    {CALLBACK_RELEASE, 1, ACTION_NONE, false, check_on_queue});
    recorder->user = queue;
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    CHECK_LOG(recorder, "");
    CHECK(nsurlsession_queue_poll(queue) > 0);
    CHECK_LOG(recorder, "invalid nil, release");
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_RELEASE, 1).thread, pthread_self()));
    nsurlsession_release(queue);
}

/* A delegate of which only the release is of interest. */
struct owner {
    nsurlsession_t *session;
    nsurlsession_queue_t *queue;
    struct latch reading, released, done;
    bool on_queue;
};

static void owner_released(void *context)
{
    struct owner *owner = context;
    owner->on_queue = is_current(owner->queue);
    latch_count_down(&owner->released);
}

static void *read_delegate(void *context)
{
    struct owner *owner = context;
    do {
        nsurlsession_delegate(owner->session);
        latch_count_down(&owner->reading);
    } while (!latch_is_open(&owner->released));
    latch_count_down(&owner->done);
    return NULL;
}

/* A thread that reads the delegate meanwhile must not come to be the one that releases it. */
TEST(release_stays_on_the_queue_while_others_read_the_delegate)
{
    for (int round = running_under_valgrind() ? 20 : 300; round > 0; round--) {
        struct owner owner = {.reading = LATCH(1), .released = LATCH(1), .done = LATCH(1)};
        nsurlsession_delegate_t delegate = {
            .struct_size = sizeof delegate, .context = &owner, .release = owner_released};
        owner.session =
            nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, &delegate, NULL);
        owner.queue = nsurlsession_delegate_queue(owner.session);
        test_thread(read_delegate, &owner);
        latch_wait(&owner.reading);
        nsurlsession_finish_tasks_and_invalidate(owner.session);
        latch_wait(&owner.released);
        latch_wait(&owner.done);
        CHECK(owner.on_queue);
        nsurlsession_release(owner.queue);
        nsurlsession_release(owner.session);
    }
}

static nsurlsession_t *session_with_tables_on_the_stack(struct recorder *recorder)
{
    const nsurlsession_delegate_t *made = recorder_delegate(recorder);
    nsurlsession_session_delegate_t session_table = *made->session;
    nsurlsession_task_delegate_t task_table = *made->task;
    nsurlsession_data_delegate_t data_table = *made->data;
    nsurlsession_delegate_t delegate = *made;
    delegate.session = &session_table;
    delegate.task = &task_table;
    delegate.data = &data_table;
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, &delegate, NULL);
    memset(&session_table, 0xa5, sizeof session_table);
    memset(&task_table, 0xa5, sizeof task_table);
    memset(&data_table, 0xa5, sizeof data_table);
    memset(&delegate, 0xa5, sizeof delegate);
    return session;
}

TEST(tables_on_the_stack)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = session_with_tables_on_the_stack(recorder);
    CHECK(nsurlsession_delegate(session) == recorder);
    nsurlsession_release(resumed_task(session, redirected_url()));
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, WHOLE_LOG);
    nsurlsession_release(session);
}

/* How much of each struct a program knows; 0: all of it. */
struct sizes {
    const char *name;
    size_t delegate, session, task, data;
    const char *log;
};

#define UP_TO(type, member) offsetof(nsurlsession_##type##_t, member)

static const struct sizes sizes[] = {
    {"all", 0, 0, 0, 0, WHOLE_LOG},
    {"context_and_release", UP_TO(delegate, session), 0, 0, 0, "release"},
    {"session_table", UP_TO(delegate, task), 0, 0, 0, "invalid nil, release"},
    {"task_table", UP_TO(delegate, data), 0, 0, 0,
     "create, redirect 302, complete nil, invalid nil, release"},
    {"task_up_to_create", 0, 0, UP_TO(task_delegate, will_perform_http_redirection), 0,
     "create, response 200, data 14, invalid nil, release"},
    {"task_up_to_redirect", 0, 0, UP_TO(task_delegate, did_complete_with_error), 0,
     "create, redirect 302, response 200, data 14, invalid nil, release"},
    {"data_up_to_response", 0, 0, 0, UP_TO(data_delegate, did_receive_data),
     "create, redirect 302, response 200, complete nil, invalid nil, release"},
    /* Less than any version had: as if the table were not there. */
    {"tables_without_methods", 0, sizeof(size_t), sizeof(size_t), sizeof(size_t), "release"},
    {"tables_of_size_1", 0, 1, 1, 1, "release"},
    /* Of a later version of the header: unknown members at the end. */
    {"later", sizeof(nsurlsession_delegate_t) + 64, sizeof(nsurlsession_session_delegate_t) + 64,
     sizeof(nsurlsession_task_delegate_t) + 8, sizeof(nsurlsession_data_delegate_t) + 4096,
     WHOLE_LOG},
};

/*
 * A table in a block that ends where the table says that it ends, so that the tools see when more
 * is read; what a later version would have there is garbage.
 */
static void *resized(const void *table, size_t known, size_t size)
{
    if (size == 0)
        size = known;
    size_t allocated = size < sizeof size ? sizeof size : size;
    uint8_t *copy = malloc(allocated);
    if (!copy)
        abort();
    memset(copy, 0xa5, allocated);
    memcpy(copy, table, size < known ? size : known);
    memcpy(copy, &size, sizeof size);
    return copy;
}

TEST_EACH(struct_size, struct sizes, sizes)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_delegate_t parts = *recorder_delegate(recorder);
    void *session_table = resized(parts.session, sizeof *parts.session, row->session);
    void *task_table = resized(parts.task, sizeof *parts.task, row->task);
    void *data_table = resized(parts.data, sizeof *parts.data, row->data);
    parts.session = session_table;
    parts.task = task_table;
    parts.data = data_table;
    void *delegate = resized(&parts, sizeof parts, row->delegate);

    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, delegate, NULL);
    free(delegate);
    free(data_table);
    free(task_table);
    free(session_table);
    CHECK(nsurlsession_delegate(session) == recorder);

    nsurlsession_task_t *task = resumed_task(session, redirected_url());
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, row->log);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    CHECK_EQ_INT(error_code_of(task), 0);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST(a_delegate_without_a_size_is_none)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_delegate_t delegate = *recorder_delegate(recorder);
    delegate.struct_size = 0;
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, &delegate, NULL);
    CHECK(session != NULL);
    CHECK(nsurlsession_delegate(session) == NULL);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(session);
}

/* ---- finishTasksAndInvalidate -------------------------------------------------------------- */

TEST(finish_lets_running_tasks_finish)
{
    struct recorder *recorder = recorder_new();
    recorder->without = 1u << CALLBACK_CREATE;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *tasks[] = {
        resumed_task(session, held_url()),
        resumed_task(session, held_url()),
        handler_task(session, held_url(), completion),
    };
    nsurlsession_task_resume(tasks[2]);
    wait_until_held(3);

    nsurlsession_finish_tasks_and_invalidate(session);
    pass_queue(session);
    CHECK_LOG(recorder, "");
    for (size_t index = 0; index < 3; index++)
        CHECK_EQ_INT(nsurlsession_task_state(tasks[index]), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK(nsurlsession_delegate(session) == recorder);

    let_held_go();
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    /* The handler came before the session's last message, which is the last of all. */
    CHECK_EQ_INT(completion->calls, 1);
    CHECK_EQ_STR(completion->body, "released\n");
    CHECK_EQ_STR(recorder_log(recorder, 1), "response 200, data 9, complete nil");
    CHECK_EQ_STR(recorder_log(recorder, 2), "response 200, data 9, complete nil");
    CHECK_EQ_INT(recorder->event_count, 2 * 3 + 2);
    for (size_t index = 0; index < 3; index++)
        nsurlsession_release(tasks[index]);
    nsurlsession_release(session);
}

TEST(finish_again_is_harmless)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = resumed_task(session, held_url());
    wait_until_held(1);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_finish_tasks_and_invalidate(session);
    let_held_go();
    recorder_wait(recorder, CALLBACK_RELEASE, 1);

    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_invalidate_and_cancel(session);
    pass_queue(session);
    CHECK_LOG(recorder, "create, response 200, data 9, complete nil, invalid nil, release");
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST(finish_without_tasks)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "invalid nil, release");
    CHECK(!pthread_equal(recorder_event(recorder, CALLBACK_INVALID, 1).thread, pthread_self()));
    nsurlsession_release(session);
}

struct suspended_row {
    const char *name;
    bool midway; /* suspended after the response, not from the start */
    bool resume; /* or cancel */
    const char *log;
};

static const struct suspended_row suspended_rows[] = {
    {"new_and_resumed", false, true,
     "create, response 200, data 14, complete nil, invalid nil, release"},
    {"new_and_cancelled", false, false, "create, complete -999, invalid nil, release"},
    {"midway_and_resumed", true, true,
     "create, response 200, data 14, complete nil, invalid nil, release"},
    {"midway_and_cancelled", true, false,
     "create, response 200, complete -999, invalid nil, release"},
};

TEST_EACH(finish_waits_for_a_suspended_task, struct suspended_row, suspended_rows)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, row->midway ? ACTION_SUSPEND : ACTION_NONE,
                               false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    if (row->midway) {
        nsurlsession_task_resume(task);
        recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    }
    nsurlsession_finish_tasks_and_invalidate(session);
    pass_queue(session);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK_EQ_STR(tasks_of(session), "1");
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 0);

    if (row->resume)
        nsurlsession_task_resume(task);
    else
        nsurlsession_task_cancel(task);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, row->log);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

/* ---- invalidateAndCancel ------------------------------------------------------------------- */

static void check_handlers_were_called(struct recorder *recorder, const struct call *call)
{
    (void)call;
    struct completion **completions = recorder->user;
    for (size_t index = 0; completions[index]; index++)
        CHECK_EQ_INT(completions[index]->calls, 1);
}

TEST(invalidate_completes_every_task_first)
{
    struct recorder *recorder = recorder_new();
    struct completion *completions[] = {completion_new(), completion_new(), NULL};
    recorder->user = completions;
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_HELD, false, NULL},
                    {CALLBACK_DATA, 1, ACTION_SUSPEND, false, NULL},
                    {CALLBACK_INVALID, 1, ACTION_NONE, false, check_handlers_were_called});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *tasks[6];
    /* 1 waits for the delegate's answer. */
    tasks[0] = resumed_task(session, http_url("/hello.txt"));
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    /* 2 was suspended in the middle of its body. */
    tasks[1] = resumed_task(
        session, fault_url(test_format("/holdbody?name=%s-body&size=1000", own_name())));
    recorder_wait(recorder, CALLBACK_DATA, 1);
    /* 3 and 4 wait for the server, 5 and 6 were never resumed. */
    tasks[2] = resumed_task(session, held_url());
    tasks[3] = handler_task(session, held_url(), completions[0]);
    nsurlsession_task_resume(tasks[3]);
    wait_until_held(2);
    tasks[4] = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    tasks[5] = handler_task(session, http_url("/hello.txt"), completions[1]);

    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, complete -999");
    CHECK_CONTAINS(recorder_log(recorder, 2), "create, response 200, data ");
    CHECK_CONTAINS(recorder_log(recorder, 2), ", complete -999");
    CHECK_EQ_STR(recorder_log(recorder, 3), "create, complete -999");
    CHECK_EQ_STR(recorder_log(recorder, 4), "create");
    CHECK_EQ_STR(recorder_log(recorder, 5), "create, complete -999");
    CHECK_EQ_STR(recorder_log(recorder, 6), "create");
    CHECK_EQ_INT(completions[0]->error_code, NSURLSESSION_ERROR_CANCELLED);
    CHECK_EQ_INT(completions[1]->error_code, NSURLSESSION_ERROR_CANCELLED);
    for (size_t index = 0; index < 6; index++) {
        CHECK_EQ_INT(nsurlsession_task_state(tasks[index]), NSURLSESSION_TASK_STATE_COMPLETED);
        CHECK_EQ_INT(error_code_of(tasks[index]), NSURLSESSION_ERROR_CANCELLED);
        nsurlsession_release(tasks[index]);
    }
    /* An answer that comes now is ignored. */
    recorder_answer(recorder, true);
    pass_queue(session);
    nsurlsession_release(session);
    let_held_go();
}

TEST(invalidate_cuts_short_what_finish_waits_for)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = resumed_task(session, held_url());
    wait_until_held(1);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, complete -999, invalid nil, release");
    nsurlsession_release(task);
    nsurlsession_release(session);
    let_held_go();
}

/* Threads make tasks while the session ends: every handler is called once, whichever was first. */
struct crowd {
    nsurlsession_t *session;
    const char *url;
    struct latch handled;
    atomic_uint calls, refused;
};

enum { CROWD_THREADS = 4, CROWD_TASKS = 25 };

static void crowd_handler(void *context, nsurlsession_data_t *data,
                          nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct crowd *crowd = context;
    CHECK_EQ_INT(data != NULL, error == NULL);
    CHECK(response != NULL || error != NULL);
    if (error) {
        CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_CANCELLED);
        atomic_fetch_add(&crowd->refused, 1);
    }
    atomic_fetch_add(&crowd->calls, 1);
    latch_count_down(&crowd->handled);
}

static void *crowd_thread(void *context)
{
    struct crowd *crowd = context;
    for (int index = 0; index < CROWD_TASKS; index++) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
            crowd->session, crowd->url, crowd_handler, crowd);
        CHECK(task != NULL);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
    return NULL;
}

TEST(invalidation_while_threads_make_tasks)
{
    struct recorder *recorder = recorder_new();
    struct crowd crowd = {
        .session = recorder_session(recorder, NULL, NULL),
        .url = http_url("/hello.txt"),
        .handled = LATCH(CROWD_THREADS * CROWD_TASKS),
    };
    for (int index = 0; index < CROWD_THREADS; index++)
        test_thread(crowd_thread, &crowd);
    fetch(crowd.session, crowd.url);
    nsurlsession_invalidate_and_cancel(crowd.session);
    latch_wait(&crowd.handled);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    pass_queue(crowd.session);
    CHECK_EQ_INT(atomic_load(&crowd.calls), CROWD_THREADS * CROWD_TASKS);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);
    CHECK_EQ_STR(tasks_of(crowd.session), "");
    nsurlsession_release(crowd.session);
}

/* ---- A task on an invalid session ---------------------------------------------------------- */

enum last_act { RESUME_IT, CANCEL_IT, RELEASE_IT };

struct refused_row {
    const char *name;
    bool still_finishing; /* an older task keeps the session from its end */
    enum last_act act;
};

static const struct refused_row refused_rows[] = {
    {"invalid_resume", false, RESUME_IT},
    {"invalid_cancel", false, CANCEL_IT},
    {"invalid_release", false, RELEASE_IT},
    {"finishing_resume", true, RESUME_IT},
    {"finishing_cancel", true, CANCEL_IT},
    {"finishing_release", true, RELEASE_IT},
};

static void act_on(nsurlsession_task_t *task, enum last_act act)
{
    if (act == RESUME_IT)
        nsurlsession_task_resume(task);
    else if (act == CANCEL_IT)
        nsurlsession_task_cancel(task);
}

/* A session with a delegate that takes no new tasks; perhaps with an old one, suspended. */
static nsurlsession_t *ended_session(struct recorder *recorder, const struct refused_row *row,
                                     nsurlsession_task_t **old)
{
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    *old = row->still_finishing ? nsurlsession_data_task_with_url(session, http_url("/")) : NULL;
    nsurlsession_finish_tasks_and_invalidate(session);
    if (!row->still_finishing)
        recorder_wait(recorder, CALLBACK_RELEASE, 1);
    return session;
}

static void end_session(nsurlsession_t *session, nsurlsession_task_t *old,
                        struct recorder *recorder)
{
    pass_queue(session);
    CHECK_LOG(recorder, old ? "create" : "invalid nil, release");
    nsurlsession_task_cancel(old);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(old);
    nsurlsession_release(session);
}

TEST_EACH(handler_task_on_an_invalid_session, struct refused_row, refused_rows)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_task_t *old;
    nsurlsession_t *session = ended_session(recorder, row, &old);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = handler_task(session, http_url("/hello.txt"), completion);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK_EQ_STR(tasks_of(session), old ? "1" : "");

    act_on(task, row->act);
    nsurlsession_release(task);
    end_session(session, old, recorder);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_CANCELLED);
    CHECK_EQ_STR(completion->error_domain, NSURLSESSION_ERROR_DOMAIN);
    CHECK_EQ_INT(completion->status, 0);
    CHECK(!pthread_equal(completion->thread, pthread_self()));
}

TEST_EACH(delegate_task_on_an_invalid_session, struct refused_row, refused_rows)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_task_t *old;
    nsurlsession_t *session = ended_session(recorder, row, &old);
    struct recorder *own = recorder_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    CHECK(task != NULL);
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    CHECK(nsurlsession_task_delegate(task) == own);

    act_on(task, row->act);
    if (row->act != RELEASE_IT) {
        EVENTUALLY(nsurlsession_task_state(task) == NSURLSESSION_TASK_STATE_COMPLETED);
        CHECK_EQ_INT(error_code_of(task), NSURLSESSION_ERROR_CANCELLED);
        recorder_wait(own, CALLBACK_RELEASE, 1);
        CHECK_LOG(own, "complete -999, release");
        CHECK(nsurlsession_task_delegate(task) == NULL);
        nsurlsession_release(task);
        end_session(session, old, recorder);
        return;
    }
    nsurlsession_release(task);
    end_session(session, old, recorder);
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder_count(own, CALLBACK_RELEASE), 1);
}

/* ---- A session that its user has released -------------------------------------------------- */

TEST(released_session_finishes_its_tasks)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *first = resumed_task(session, held_url());
    nsurlsession_task_t *second = resumed_task(session, held_url());
    wait_until_held(2);
    nsurlsession_release(first);
    nsurlsession_release(session);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 0);
    CHECK_EQ_INT(nsurlsession_task_state(second), NSURLSESSION_TASK_STATE_RUNNING);

    let_held_go();
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 9, complete nil");
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, response 200, data 9, complete nil");
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);
    CHECK_EQ_INT(error_code_of(second), 0);
    nsurlsession_release(second);
}

TEST(released_session_without_tasks_ends)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_release(recorder_session(recorder, NULL, NULL));
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "invalid nil, release");
}

TEST(released_session_ends_after_its_last_task)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = resumed_task(session, http_url("/hello.txt"));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    pass_queue(session);
    /* A handle of a task that is over does not keep the session. */
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_COMPLETED);
    nsurlsession_release(task);
}

struct unreachable_row {
    const char *name;
    bool task_first;
};

static const struct unreachable_row unreachable_rows[] = {
    {"task_released_first", true},
    {"session_released_first", false},
};

/* Nobody can resume them any more: they are cancelled, and the session ends. */
TEST_EACH(released_session_cancels_tasks_out_of_reach, struct unreachable_row, unreachable_rows)
{
    struct recorder *recorder = recorder_new();
    struct completion *completion = completion_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *plain = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    nsurlsession_task_t *with_handler = handler_task(session, http_url("/hello.txt"), completion);
    if (!row->task_first)
        nsurlsession_release(session);
    nsurlsession_release(plain);
    nsurlsession_release(with_handler);
    if (row->task_first)
        nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, create, complete -999, invalid nil, release");
    CHECK_EQ_INT(completion->calls, 1);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_CANCELLED);
}

/* The same for one that was resumed, suspended and let go of. */
TEST(a_suspended_task_out_of_reach_is_cancelled)
{
    struct completion *completion = completion_new();
    nsurlsession_t *session = session_for(NULL);
    const char *url = fault_url("/stall?at=accept");
    nsurlsession_task_t *task = handler_task(session, url, completion);
    nsurlsession_task_resume(task);
    nsurlsession_task_suspend(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_CANCELLED);
}

/* A progress can resume its task, and so can a parent of it. */
TEST(a_progress_in_hand_keeps_its_task)
{
    struct completion *completion = completion_new();
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = handler_task(session, http_url("/hello.txt"), completion);
    nsurlsession_progress_t *progress = nsurlsession_task_progress(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_progress_resume(progress);
    completion_wait(completion);
    CHECK_EQ_INT(completion->status, 200);
    nsurlsession_release(progress);

    completion = completion_new();
    session = session_for(NULL);
    task = handler_task(session, http_url("/hello.txt"), completion);
    progress = nsurlsession_task_progress(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(progress);
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_CANCELLED);
}

/* Within reach of the session, a task out of the user's hands is kept: it can be listed. */
TEST(a_released_new_task_stays_in_its_session)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_release(nsurlsession_data_task_with_url(session, http_url("/hello.txt")));
    CHECK_EQ_STR(tasks_of(session), "1");
    CHECK_LOG(recorder, "create");
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, complete -999, invalid nil, release");
}

TEST(a_new_task_in_hand_keeps_a_released_session)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    nsurlsession_release(session);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    nsurlsession_release(task);
}

static void start_another(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    nsurlsession_release(resumed_task(call->session, redirected_url()));
}

struct another_row {
    const char *name;
    enum callback at;
};

static const struct another_row another_rows[] = {
    {"redirect", CALLBACK_REDIRECT},
    {"response", CALLBACK_RESPONSE},
    {"data", CALLBACK_DATA},
    {"complete", CALLBACK_COMPLETE},
};

TEST_EACH(released_session_takes_tasks_in_its_callbacks, struct another_row, another_rows)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {row->at, 1, ACTION_NONE, false, start_another},
                    {row->at, 2, ACTION_NONE, false, start_another});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = resumed_task(session, redirected_url());
    nsurlsession_release(task);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    for (uint64_t identifier = 1; identifier <= 3; identifier++)
        CHECK_EQ_STR(recorder_log(recorder, identifier),
                     "create, redirect 302, response 200, data 14, complete nil");
    CHECK_EQ_INT(recorder->event_count, 3 * 5 + 2);
}

static void start_with_handler(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_t *task = handler_task(call->session, http_url("/hello.txt"), recorder->user);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
}

TEST(a_task_made_in_the_last_message_is_refused)
{
    struct recorder *recorder = recorder_new();
    recorder->user = completion_new();
    recorder_script(recorder, {CALLBACK_INVALID, 1, ACTION_NONE, false, start_with_handler},
                    {CALLBACK_INVALID, 1, ACTION_NONE, false, start_another});
    nsurlsession_release(recorder_session(recorder, NULL, NULL));
    struct completion *completion = recorder->user;
    completion_wait(completion);
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_CANCELLED);
    CHECK_LOG(recorder, "invalid nil, release");
}

static void keep_session(struct recorder *recorder, const struct call *call)
{
    recorder->session = nsurlsession_retain(call->session);
}

/* A callback can take a reference and make the session the user's again. */
TEST(a_session_retained_in_a_callback_goes_on)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_COMPLETE, 1, ACTION_NONE, false, keep_session});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    pass_queue(recorder->session);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 0);
    CHECK_EQ_STR(fetch(recorder->session, http_url("/hello.txt"))->body, "Hello, world!\n");

    nsurlsession_release(recorder->session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);
}

/* ---- References dropped, and sessions ended, inside every callback ------------------------- */

struct callback_row {
    const char *name;
    enum callback at;
    bool callers_queue;
};

static const struct callback_row callback_rows[] = {
    {"create", CALLBACK_CREATE, false},
    {"redirect", CALLBACK_REDIRECT, false},
    {"response", CALLBACK_RESPONSE, false},
    {"data", CALLBACK_DATA, false},
    {"complete", CALLBACK_COMPLETE, false},
    {"invalid", CALLBACK_INVALID, false},
    {"release", CALLBACK_RELEASE, false},
    {"create_on_own_queue", CALLBACK_CREATE, true},
    {"redirect_on_own_queue", CALLBACK_REDIRECT, true},
    {"response_on_own_queue", CALLBACK_RESPONSE, true},
    {"data_on_own_queue", CALLBACK_DATA, true},
    {"complete_on_own_queue", CALLBACK_COMPLETE, true},
    {"invalid_on_own_queue", CALLBACK_INVALID, true},
    {"release_on_own_queue", CALLBACK_RELEASE, true},
};

static bool is_of_session(enum callback kind)
{
    return kind == CALLBACK_INVALID || kind == CALLBACK_RELEASE;
}

/* Lets callbacks run until the delegate is released; `queue` was suspended so far. */
static void run_to_the_end(struct recorder *recorder, nsurlsession_queue_t *queue,
                           bool callers_queue)
{
    nsurlsession_queue_set_suspended(queue, false);
    while (callers_queue && recorder_count(recorder, CALLBACK_RELEASE) == 0)
        run_queue(queue);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

TEST_EACH(last_references_dropped_in, struct callback_row, callback_rows)
{
    nsurlsession_queue_t *own = row->callers_queue ? nsurlsession_queue_new() : NULL;
    struct recorder *recorder = recorder_new();
    recorder->stop_queue = own;
    recorder_script(recorder, {row->at, 1, ACTION_RELEASE_TASK, false, NULL},
                    {row->at, 1, ACTION_RELEASE_SESSION, false, NULL},
                    {CALLBACK_COMPLETE, is_of_session(row->at) ? 1 : 99,
                     ACTION_FINISH_TASKS_AND_INVALIDATE, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, own);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    /* No callback before this thread is done with its handles. */
    nsurlsession_queue_set_suspended(queue, true);
    recorder->session = session;
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, redirected_url());
    nsurlsession_task_resume(task);
    if (row->at == CALLBACK_CREATE)
        nsurlsession_release(task);
    else
        recorder->task = task;
    run_to_the_end(recorder, queue, row->callers_queue);
    CHECK_LOG(recorder, WHOLE_LOG);
    CHECK(recorder->session == NULL);
    CHECK(recorder->task == NULL);
    nsurlsession_release(queue);
    nsurlsession_release(own);
}

static void finish_now(struct recorder *recorder, const struct call *call)
{
    (void)call;
    nsurlsession_finish_tasks_and_invalidate(recorder->session);
}

static void invalidate_now(struct recorder *recorder, const struct call *call)
{
    (void)call;
    nsurlsession_invalidate_and_cancel(recorder->session);
}

static const char *end_a_session_in(const struct callback_row *row,
                                    void (*end)(struct recorder *, const struct call *))
{
    nsurlsession_queue_t *own = row->callers_queue ? nsurlsession_queue_new() : NULL;
    struct recorder *recorder = recorder_new();
    recorder->stop_queue = own;
    recorder_script(recorder, {row->at, 1, ACTION_NONE, false, end},
                    {CALLBACK_COMPLETE, is_of_session(row->at) ? 1 : 99, ACTION_NONE, false,
                     finish_now});
    nsurlsession_t *session = recorder_session(recorder, NULL, own);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_queue_set_suspended(queue, true);
    recorder->session = session;
    nsurlsession_task_t *task = resumed_task(session, redirected_url());
    run_to_the_end(recorder, queue, row->callers_queue);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(queue);
    nsurlsession_release(own);
    return recorder_log(recorder, 0);
}

TEST_EACH(finish_in, struct callback_row, callback_rows)
{
    CHECK_EQ_STR(end_a_session_in(row, finish_now), WHOLE_LOG);
}

TEST_EACH(invalidate_in, struct callback_row, callback_rows)
{
    static const char *const logs[CALLBACK_KINDS] = {
        [CALLBACK_CREATE] = "create, complete -999, invalid nil, release",
        [CALLBACK_REDIRECT] = "create, redirect 302, complete -999, invalid nil, release",
        [CALLBACK_RESPONSE] =
            "create, redirect 302, response 200, complete -999, invalid nil, release",
        [CALLBACK_DATA] =
            "create, redirect 302, response 200, data 14, complete -999, invalid nil, release",
        [CALLBACK_COMPLETE] = WHOLE_LOG,
        [CALLBACK_INVALID] = WHOLE_LOG,
        [CALLBACK_RELEASE] = WHOLE_LOG,
    };
    CHECK_EQ_STR(end_a_session_in(row, invalidate_now), logs[row->at]);
}

/* ---- Listing tasks ------------------------------------------------------------------------- */

TEST(all_tasks_in_the_order_of_their_making)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    CHECK_EQ_STR(tasks_of(session), "");
    nsurlsession_task_t *tasks[12];
    for (size_t index = 0; index < 12; index++)
        tasks[index] = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    CHECK_EQ_STR(tasks_of(session), "1 2 3 4 5 6 7 8 9 10 11 12");

    /* Completed ones are absent, with and without an error; suspended ones are not. */
    nsurlsession_task_resume(tasks[4]);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_task_cancel(tasks[0]);
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    CHECK_EQ_STR(tasks_of(session), "2 3 4 6 7 8 9 10 11 12");

    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(tasks_of(session), "");
    for (size_t index = 0; index < 12; index++)
        nsurlsession_release(tasks[index]);
    nsurlsession_release(session);
}

static void list_in_callback(struct recorder *recorder, const struct call *call)
{
    nsurlsession_get_all_tasks_with_completion_handler(call->session, list_tasks, recorder->user);
    /* On the queue, but not inside this call. */
    CHECK_EQ_INT(((struct listing *)recorder->user)->calls, 0);
}

TEST(a_task_is_absent_in_its_last_callback)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_COMPLETE, 1, ACTION_NONE, false, list_in_callback});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct listing *listing = listing_new(session);
    recorder->user = listing;
    nsurlsession_task_t *waiting = nsurlsession_data_task_with_url(session, http_url("/"));
    nsurlsession_task_t *task = resumed_task(session, http_url("/hello.txt"));
    latch_wait(&listing->done);
    CHECK_EQ_STR(listed(listing), "1");
    nsurlsession_release(task);
    nsurlsession_release(waiting);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(listing->calls, 1);
}

TEST(tasks_are_listed_when_the_callers_queue_runs)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, NULL, queue);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/"));
    struct listing *listing = listing_new(session);
    nsurlsession_get_all_tasks_with_completion_handler(session, list_tasks, listing);
    CHECK_EQ_INT(listing->calls, 0);
    CHECK(nsurlsession_queue_poll(queue) > 0);
    CHECK_EQ_INT(listing->calls, 1);
    CHECK_EQ_STR(listed(listing), "1");
    CHECK(pthread_equal(listing->thread, pthread_self()));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK_EQ_INT(listing->calls, 1);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

/* The handler outlives the user's reference to the session. */
TEST(tasks_of_a_released_session_are_listed)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct listing *listing = listing_new(session);
    nsurlsession_queue_set_suspended(queue, true);
    nsurlsession_get_all_tasks_with_completion_handler(session, list_tasks, listing);
    nsurlsession_release(session);
    nsurlsession_queue_set_suspended(queue, false);
    latch_wait(&listing->done);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(listing->calls, 1);
    CHECK_EQ_STR(listed(listing), "");
    CHECK_LOG(recorder, "invalid nil, release");
    nsurlsession_release(queue);
}

struct kinds {
    struct latch done;
    unsigned calls;
    size_t data, upload, download;
    nsurlsession_task_t *first; /* retained */
    nsurlsession_queue_t *queue;
};

static void list_kinds(void *context, nsurlsession_array_t *data_tasks,
                       nsurlsession_array_t *upload_tasks, nsurlsession_array_t *download_tasks)
{
    struct kinds *kinds = context;
    kinds->calls++;
    CHECK(is_current(kinds->queue));
    kinds->data = nsurlsession_array_count(data_tasks);
    kinds->upload = nsurlsession_array_count(upload_tasks);
    kinds->download = nsurlsession_array_count(download_tasks);
    kinds->first = nsurlsession_array_object_at_index(data_tasks, 0);
    latch_count_down(&kinds->done);
}

TEST(tasks_by_kind)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct kinds kinds = {.done = LATCH(1), .queue = queue};
    nsurlsession_task_t *first = nsurlsession_data_task_with_url(session, http_url("/"));
    nsurlsession_task_t *second =
        handler_task(session, http_url("/hello.txt"), completion_new());
    nsurlsession_get_tasks_with_completion_handler(session, list_kinds, &kinds);
    latch_wait(&kinds.done);
    pass_queue(session);
    CHECK_EQ_INT(kinds.calls, 1);
    CHECK_EQ_INT(kinds.data, 2);
    CHECK_EQ_INT(kinds.upload, 0);
    CHECK_EQ_INT(kinds.download, 0);
    CHECK(kinds.first == first);
    CHECK_EQ_INT(nsurlsession_task_kind(first), NSURLSESSION_TASK_KIND_DATA);
    nsurlsession_release(kinds.first);
    nsurlsession_release(first);
    nsurlsession_release(second);
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

/* ---- Making tasks -------------------------------------------------------------------------- */

static void *make_task(void *context)
{
    struct recorder *recorder = context;
    recorder->task = nsurlsession_data_task_with_url(recorder->session, http_url("/hello.txt"));
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_CREATE), 2);
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_CREATE, 2).thread, pthread_self()));
    return NULL;
}

static void check_inside_no_queue(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    CHECK(is_current(NULL));
    CHECK_EQ_INT(nsurlsession_task_state(call->task), NSURLSESSION_TASK_STATE_SUSPENDED);
}

TEST(did_create_task_comes_on_the_creating_thread)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_CREATE, 1, ACTION_NONE, false, check_inside_no_queue},
                    {CALLBACK_CREATE, 2, ACTION_NONE, false, check_inside_no_queue},
                    {CALLBACK_COMPLETE, 1, ACTION_NONE, false, start_another});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_CREATE), 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_CREATE, 1).task, 1);
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_CREATE, 1).thread, pthread_self()));

    recorder->session = session;
    pthread_t thread;
    CHECK_EQ_INT(pthread_create(&thread, NULL, make_task, recorder), 0);
    pthread_join(thread, NULL);

    /* Inside a callback: on the thread that runs it. */
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_CREATE), 3);
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_CREATE, 3).thread,
                        recorder_event(recorder, CALLBACK_COMPLETE, 1).thread));
    nsurlsession_task_cancel(recorder->task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(recorder->task);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

static void set_up_task(struct recorder *recorder, const struct call *call)
{
    nsurlsession_task_set_description(call->task, "made");
    nsurlsession_task_set_delegate(call->task, recorder_delegate(recorder->user));
    nsurlsession_task_resume(call->task);
}

TEST(did_create_task_sets_a_task_up)
{
    struct recorder *recorder = recorder_new();
    struct recorder *own = recorder_new();
    recorder->user = own;
    recorder_script(recorder, {CALLBACK_CREATE, 1, ACTION_NONE, false, set_up_task});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    CHECK_EQ_STR(text_of(nsurlsession_task_description(task)), "made");
    recorder_wait(own, CALLBACK_RELEASE, 1);
    CHECK_LOG(own, "response 200, data 14, complete nil, release");
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, invalid nil, release");
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST(did_create_task_comes_for_handler_tasks)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    CHECK_EQ_STR(fetch(session, redirected_url())->body, "Hello, world!\n");
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, redirect 302, invalid nil, release");
}

TEST(identifiers_count_from_1_in_each_session)
{
    nsurlsession_t *sessions[] = {
        nsurlsession_session_with_configuration(NULL),
        nsurlsession_session_with_configuration(NULL),
    };
    nsurlsession_task_t *tasks[2][4];
    for (size_t number = 0; number < 4; number++)
        for (size_t session = 0; session < 2; session++)
            tasks[session][number] =
                nsurlsession_data_task_with_url(sessions[session], http_url("/"));
    for (size_t number = 0; number < 4; number++)
        for (size_t session = 0; session < 2; session++) {
            CHECK_EQ_INT(nsurlsession_task_identifier(tasks[session][number]), number + 1);
            nsurlsession_release(tasks[session][number]);
        }
    /* Of a task that is gone, and of one that was refused, the number is not used again. */
    nsurlsession_invalidate_and_cancel(sessions[0]);
    for (size_t number = 5; number < 7; number++) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url(sessions[0], http_url("/"));
        CHECK_EQ_INT(nsurlsession_task_identifier(task), number);
        nsurlsession_task_cancel(task);
        nsurlsession_release(task);
    }
    CHECK_EQ_INT(nsurlsession_task_identifier(NULL), 0);
    nsurlsession_release(sessions[0]);
    nsurlsession_release(sessions[1]);
}

enum { MAKERS = 4, MADE = 50 };

struct maker {
    nsurlsession_t *session;
    atomic_uint *seen;
    struct latch *done;
};

static void *make_many(void *context)
{
    struct maker *maker = context;
    const char *url = http_url("/");
    for (int index = 0; index < MADE; index++) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url(maker->session, url);
        uint64_t identifier = nsurlsession_task_identifier(task);
        CHECK(identifier >= 1);
        CHECK(identifier <= MAKERS * MADE);
        atomic_fetch_add(&maker->seen[identifier], 1);
        nsurlsession_release(task);
    }
    latch_count_down(maker->done);
    return NULL;
}

TEST(identifiers_are_unique_among_threads)
{
    atomic_uint seen[MAKERS * MADE + 1] = {0};
    struct latch done = LATCH(MAKERS);
    struct maker maker = {nsurlsession_session_with_configuration(NULL), seen, &done};
    for (int index = 0; index < MAKERS; index++)
        test_thread(make_many, &maker);
    latch_wait(&done);
    for (size_t identifier = 1; identifier <= MAKERS * MADE; identifier++)
        CHECK_EQ_INT(atomic_load(&seen[identifier]), 1);
    nsurlsession_release(maker.session);
}

/* ---- Many of them -------------------------------------------------------------------------- */

/* Threads of this process whose name begins with `prefix`. */
static int threads_called(const char *prefix)
{
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!file)
            continue;
        if (fgets(name, sizeof name, file))
            count += strncmp(name, prefix, strlen(prefix)) == 0;
        fclose(file);
    }
    closedir(directory);
    return count;
}

/* The main thread, one loop and at most eight for callbacks. */
static void check_threads(void)
{
    CHECK_BETWEEN(thread_count(), 1, 10);
    /* A thread that the loop starts has the loop's name until it sets its own. */
    EVENTUALLY(threads_called("nsurl-loop") == 1);
}

enum { BATCH = 16 };

/* One of a batch of sessions that are used at the same time. */
struct user {
    unsigned completed, invalid, released, handled;
    bool failed;
    int way; /* in which of the four ways the session ends */
    struct latch *over;
};

static void user_completed(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                           nsurlsession_error_t *error)
{
    (void)task;
    struct user *user = context;
    user->completed++;
    user->failed |= error != NULL;
    if (user->way == 2)
        nsurlsession_finish_tasks_and_invalidate(session);
    if (user->way == 3 && user->handled)
        nsurlsession_invalidate_and_cancel(session);
}

static void user_handled(void *context, nsurlsession_data_t *data,
                         nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct user *user = context;
    user->handled++;
    user->failed |= error || !data || nsurlsession_response_status_code(response) != 200;
}

static void user_invalid(void *context, nsurlsession_t *session, nsurlsession_error_t *error)
{
    (void)session;
    struct user *user = context;
    user->invalid++;
    user->failed |= error != NULL;
}

static void user_released(void *context)
{
    struct user *user = context;
    user->released++;
    latch_count_down(user->over);
}

static const nsurlsession_session_delegate_t user_session_table = {
    .struct_size = sizeof user_session_table, .did_become_invalid_with_error = user_invalid};
static const nsurlsession_task_delegate_t user_task_table = {
    .struct_size = sizeof user_task_table, .did_complete_with_error = user_completed};

static void use_session(struct user *user, const char *url, bool two_tasks)
{
    nsurlsession_delegate_t delegate = {
        .struct_size = sizeof delegate,
        .context = user,
        .release = user_released,
        .session = &user_session_table,
        .task = &user_task_table,
    };
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, &delegate, NULL);
    if (two_tasks) {
        nsurlsession_task_t *task =
            nsurlsession_data_task_with_url_completion_handler(session, url, user_handled, user);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
    nsurlsession_release(resumed_task(session, url));
    if (user->way == 0)
        nsurlsession_finish_tasks_and_invalidate(session);
    /* way 1: released without a word. */
    nsurlsession_release(session);
}

/* Makes, uses and ends `count` sessions, a batch at a time. */
static void churn(unsigned count)
{
    const char *urls[] = {http_url("/hello.txt"), fault_url("/body?size=100&close=1")};
    for (unsigned done = 0; done < count; done += BATCH) {
        struct user users[BATCH] = {0};
        struct latch over = LATCH(BATCH);
        for (int index = 0; index < BATCH; index++) {
            users[index].way = index % 4;
            users[index].over = &over;
            use_session(&users[index], urls[index / 4 % 2], index % 4 != 3 && index % 3 == 0);
        }
        latch_wait(&over);
        for (int index = 0; index < BATCH; index++) {
            CHECK(!users[index].failed);
            CHECK_EQ_INT(users[index].completed, 1);
            CHECK_EQ_INT(users[index].invalid, 1);
            CHECK_EQ_INT(users[index].released, 1);
            /* Way 2 ends the session in a callback: the other task may have been before it. */
            CHECK_EQ_INT(users[index].handled, index % 4 != 3 && index % 3 == 0);
        }
        check_threads();
    }
}

TEST(sessions_come_and_go)
{
    int before = open_descriptor_count();
    churn(4 * BATCH);
    EVENTUALLY(open_descriptor_count() <= before + 8);
}

TEST_HEAVY(ten_thousand_sessions_come_and_go, "10,000 sessions with a connection each")
{
    churn(10 * BATCH);
    int before = open_descriptor_count();
    churn(10000);
    EVENTUALLY(open_descriptor_count() <= before);
}

TEST_MEASURE(ten_thousand_sessions_leave_no_memory_behind, "resident memory")
{
    churn(2000);
    long before = rss_kib();
    churn(10000);
    CHECK_BETWEEN(rss_kib() - before, -1e9, 2048);
}

enum { ALIVE = 1000 };

TEST_HEAVY(a_thousand_sessions_at_once, "1,000 connections and sessions")
{
    static struct user users[ALIVE];
    static nsurlsession_t *sessions[ALIVE];
    struct latch over = LATCH(ALIVE);
    const char *url = held_url();
    for (size_t index = 0; index < ALIVE; index++) {
        users[index] = (struct user){.way = 1, .over = &over};
        nsurlsession_delegate_t delegate = {
            .struct_size = sizeof delegate,
            .context = &users[index],
            .release = user_released,
            .session = &user_session_table,
            .task = &user_task_table,
        };
        sessions[index] =
            nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, &delegate, NULL);
        nsurlsession_release(resumed_task(sessions[index], url));
    }
    wait_until_held(ALIVE);
    check_threads();
    let_held_go();
    for (size_t index = 0; index < ALIVE; index++) {
        nsurlsession_finish_tasks_and_invalidate(sessions[index]);
        check_threads();
    }
    latch_wait(&over);
    check_threads();
    for (size_t index = 0; index < ALIVE; index++) {
        CHECK(!users[index].failed);
        CHECK_EQ_INT(users[index].completed, 1);
        CHECK_EQ_INT(users[index].invalid, 1);
        CHECK_EQ_INT(users[index].released, 1);
        nsurlsession_release(sessions[index]);
    }
}
