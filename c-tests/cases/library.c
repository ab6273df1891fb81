/* Versions, features, logs, and structs of other versions. */
#include "misuse.h"
#include "recorder.h"

#include <ctype.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Versions ------------------------------------------------------------------------------ */

TEST(versions_of_header_and_library_agree)
{
    CHECK_EQ_INT(NSURLSESSION_VERSION_NUMBER, NSURLSESSION_VERSION_MAJOR << 16 |
                                                  NSURLSESSION_VERSION_MINOR << 8 |
                                                  NSURLSESSION_VERSION_PATCH);
    CHECK_EQ_INT(nsurlsession_version(), NSURLSESSION_VERSION_NUMBER);
    CHECK_EQ_STR(nsurlsession_version_string(),
                 test_format("%d.%d.%d", NSURLSESSION_VERSION_MAJOR, NSURLSESSION_VERSION_MINOR,
                             NSURLSESSION_VERSION_PATCH));
    CHECK(nsurlsession_version_string() == nsurlsession_version_string());
}

/* NAME/DIGITS.DIGITS... */
static void check_product(const char *text, const char *name)
{
    CHECK(text != NULL);
    size_t length = strlen(name);
    if (strncmp(text, name, length) != 0 || text[length] != '/')
        FAIL("\"%s\" does not begin with \"%s/\"", text, name);
    const char *number = text + length + 1;
    CHECK(isdigit((unsigned char)*number));
    number += strspn(number, "0123456789");
    CHECK(number[0] == '.' && isdigit((unsigned char)number[1]));
    CHECK(!strpbrk(text, " \t\r\n"));
}

TEST(versions_of_what_is_inside)
{
    check_product(nsurlsession_curl_version(), "libcurl");
    check_product(nsurlsession_tls_version(), "OpenSSL");
    CHECK(nsurlsession_curl_version() == nsurlsession_curl_version());
    CHECK(nsurlsession_tls_version() == nsurlsession_tls_version());
}

/* ---- Features ------------------------------------------------------------------------------ */

TEST(protocols)
{
    static const char *const supported[] = {"http", "https", "http/1.1", "h2"};
    for (size_t index = 0; index < sizeof supported / sizeof supported[0]; index++)
        if (!nsurlsession_supports_protocol(supported[index]))
            FAIL("%s is not supported", supported[index]);
    static const char *const unsupported[] = {"",    "h3",   "h2c", "ftp",    "file", "ws",
                                              "wss", "gzip", "http ", "http/9", "spdy"};
    for (size_t index = 0; index < sizeof unsupported / sizeof unsupported[0]; index++)
        if (nsurlsession_supports_protocol(unsupported[index]))
            FAIL("%s is supported", unsupported[index]);
    CHECK_NO_MISUSE(CHECK(!nsurlsession_supports_protocol(NULL)));
    CHECK_MISUSE("nsurlsession_supports_protocol",
                 CHECK(!nsurlsession_supports_protocol("http\xff")));
}

TEST(features)
{
    static const char *const supported[] = {"gzip", "deflate", "br", "zstd", "idn", "ipv6", "tls"};
    for (size_t index = 0; index < sizeof supported / sizeof supported[0]; index++)
        if (!nsurlsession_supports_feature(supported[index]))
            FAIL("%s is not supported", supported[index]);
    static const char *const unsupported[] = {"", "http", "brotli", "gzip,br", "teleport"};
    for (size_t index = 0; index < sizeof unsupported / sizeof unsupported[0]; index++)
        if (nsurlsession_supports_feature(unsupported[index]))
            FAIL("%s is supported", unsupported[index]);
    CHECK_NO_MISUSE(CHECK(!nsurlsession_supports_feature(NULL)));
    CHECK_MISUSE("nsurlsession_supports_feature", CHECK(!nsurlsession_supports_feature("br\xff")));
}

/* ---- Log handlers -------------------------------------------------------------------------- */

/* A handler's context; counts by level. */
struct log {
    pthread_mutex_t mutex;
    unsigned records, released;
    unsigned by_level[NSURLSESSION_LOG_LEVEL_TRACE + 1];
    char *target, *message; /* of the last record */
};
#define LOG {.mutex = PTHREAD_MUTEX_INITIALIZER}

static void write_down(void *context, nsurlsession_log_level_t level, const char *target,
                       const char *message)
{
    struct log *log = context;
    CHECK_BETWEEN(level, NSURLSESSION_LOG_LEVEL_ERROR, NSURLSESSION_LOG_LEVEL_TRACE);
    pthread_mutex_lock(&log->mutex);
    if (log->released > 0)
        FAIL("a record came after the handler's release: %s", message);
    log->records++;
    log->by_level[level]++;
    log->target = test_copy(target);
    log->message = test_copy(message);
    pthread_mutex_unlock(&log->mutex);
}

static void release_log(void *context)
{
    struct log *log = context;
    pthread_mutex_lock(&log->mutex);
    log->released++;
    pthread_mutex_unlock(&log->mutex);
}

/* Something that the area "ffi" logs as an error. */
static void misuse_a_handle(void)
{
    nsurlsession_string_t *text = nsurlsession_string_with_utf8_string("text");
    CHECK_EQ_INT(nsurlsession_data_length((const void *)text), 0);
    nsurlsession_release(text);
}

TEST(log_levels_have_their_numbers)
{
    CHECK_EQ_INT(NSURLSESSION_LOG_LEVEL_ERROR, 1);
    CHECK_EQ_INT(NSURLSESSION_LOG_LEVEL_WARN, 2);
    CHECK_EQ_INT(NSURLSESSION_LOG_LEVEL_INFO, 3);
    CHECK_EQ_INT(NSURLSESSION_LOG_LEVEL_DEBUG, 4);
    CHECK_EQ_INT(NSURLSESSION_LOG_LEVEL_TRACE, 5);
}

TEST(log_handler_gets_misuse)
{
    static struct log log = LOG;
    unsetenv("NSURLSESSION_LOG");
    nsurlsession_set_log_handler(write_down, &log, release_log);
    CHECK_EQ_INT(log.records, 0);
    misuse_a_handle();
    CHECK_EQ_INT(log.records, 1);
    CHECK_EQ_INT(log.by_level[NSURLSESSION_LOG_LEVEL_ERROR], 1);
    CHECK_EQ_STR(log.target, "ffi");
    CHECK_CONTAINS(log.message, "nsurlsession_data_length: ");
    misuse_a_handle();
    CHECK_EQ_INT(log.records, 2);
    CHECK_EQ_INT(log.released, 0);
}

TEST(log_handler_is_released_once_when_it_is_replaced)
{
    static struct log first = LOG, second = LOG, third = LOG;
    unsetenv("NSURLSESSION_LOG");
    nsurlsession_set_log_handler(write_down, &first, release_log);
    misuse_a_handle();
    nsurlsession_set_log_handler(write_down, &second, release_log);
    CHECK_EQ_INT(first.released, 1);
    CHECK_EQ_INT(second.released, 0);
    misuse_a_handle();
    CHECK_EQ_INT(first.records, 1);
    CHECK_EQ_INT(second.records, 1);

    /* The same function with the same context is another handler. */
    nsurlsession_set_log_handler(write_down, &third, NULL);
    CHECK_EQ_INT(second.released, 1);
    nsurlsession_set_log_handler(write_down, &third, release_log);
    CHECK_EQ_INT(third.released, 0);
    misuse_a_handle();
    CHECK_EQ_INT(third.records, 1);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
    CHECK_EQ_INT(first.released, 1);
    CHECK_EQ_INT(second.released, 1);
    CHECK_EQ_INT(third.released, 1);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
    CHECK_EQ_INT(third.released, 1);
}

/* A context without a handler is released, too. */
TEST(log_context_without_a_handler)
{
    static struct log log = LOG;
    nsurlsession_set_log_handler(NULL, &log, release_log);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
    CHECK_EQ_INT(log.released, 1);
    CHECK_EQ_INT(log.records, 0);
}

/* A handler's release may set another handler. */
static struct log set_in_release = LOG;

static void set_another(void *context)
{
    (*(unsigned *)context)++;
    nsurlsession_set_log_handler(write_down, &set_in_release, NULL);
}

TEST(log_handlers_release_may_set_another)
{
    static unsigned released;
    unsetenv("NSURLSESSION_LOG");
    nsurlsession_set_log_handler(write_down, &released, set_another);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
    CHECK_EQ_INT(released, 1);
    misuse_a_handle();
    CHECK_EQ_INT(set_in_release.records, 1);
}

static void *misuse_often(void *context)
{
    (void)context;
    for (int round = 0; round < 200; round++)
        misuse_a_handle();
    return NULL;
}

/* Every record goes to one handler, and none to one that was released. */
TEST(log_handler_is_replaced_while_others_log)
{
    static struct log logs[50];
    unsetenv("NSURLSESSION_LOG");
    for (size_t index = 0; index < 50; index++)
        pthread_mutex_init(&logs[index].mutex, NULL);
    nsurlsession_set_log_handler(write_down, &logs[0], release_log);
    pthread_t threads[3];
    for (size_t index = 0; index < 3; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, misuse_often, NULL), 0);
    for (size_t index = 1; index < 50; index++)
        nsurlsession_set_log_handler(write_down, &logs[index], release_log);
    for (size_t index = 0; index < 3; index++)
        CHECK_EQ_INT(pthread_join(threads[index], NULL), 0);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
    unsigned records = 0;
    for (size_t index = 0; index < 50; index++) {
        CHECK_EQ_INT(logs[index].released, 1);
        records += logs[index].records;
    }
    CHECK_EQ_INT(records, 600);
}

/* ---- NSURLSESSION_LOG ---------------------------------------------------------------------- */

/* Runs this test again in a process of its own: there, child() says what it is to do. */
#define CHILD "LIBRARY_TEST_CHILD"

static const char *child(void)
{
    return getenv(CHILD);
}

extern char **environ;

/* What the child prints, standard output and standard error together; it must succeed. */
static const char *run_child(const char *test, const char *what, const char *log)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    CHECK(length > 0);
    program[length] = '\0';
    int ends[2];
    CHECK_EQ_INT(pipe(ends), 0);

    setenv(CHILD, what, 1);
    if (log)
        setenv("NSURLSESSION_LOG", log, 1);
    else
        unsetenv("NSURLSESSION_LOG");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    char *arguments[] = {program, test_copy(test), NULL};
    pid_t process;
    CHECK_EQ_INT(posix_spawn(&process, program, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    unsetenv(CHILD);

    char *output = test_allocate(64 * 1024);
    for (size_t used = 0;;) {
        ssize_t count = read(ends[0], output + used, 64 * 1024 - 1 - used);
        if (count <= 0)
            break;
        used += (size_t)count;
    }
    close(ends[0]);
    int status;
    CHECK_EQ_INT(waitpid(process, &status, 0), process);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("the child failed (status %d):\n%s", status, output);
    return output;
}

static void discard(void *context, nsurlsession_work_t *work)
{
    (void)context;
    nsurlsession_work_discard(work);
}

static void count_down(void *context)
{
    latch_count_down(context);
}

/* Something that the area "queue" logs as a warning: an executor discards its work. */
static void warn(void)
{
    struct latch done = LATCH(1);
    nsurlsession_executor_t executor = {.struct_size = sizeof executor, .execute = discard};
    nsurlsession_queue_t *queue = nsurlsession_queue_with_executor(&executor);
    nsurlsession_queue_add_operation_with_block(queue, count_down, &done, NULL);
    latch_wait(&done);
    nsurlsession_release(queue);
}

/* Something that the area "session" logs for debugging. */
static void debug(void)
{
    nsurlsession_release(nsurlsession_session_with_configuration(NULL));
}

static void print(void *context, nsurlsession_log_level_t level, const char *target,
                  const char *message)
{
    static const char *const names[] = {"?", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
    printf("%s %s %s: %s\n", (char *)context, names[level], target, message);
}

/* One record each of ffi (error), queue (warn) and session (debug). */
static void log_one_of_each(void)
{
    static char context[] = "handler";
    if (strcmp(child(), "handler") == 0)
        nsurlsession_set_log_handler(print, context, NULL);
    if (strcmp(child(), "no handler any more") == 0) {
        nsurlsession_set_log_handler(print, context, NULL);
        nsurlsession_set_log_handler(NULL, NULL, NULL);
    }
    misuse_a_handle();
    warn();
    debug();
}

/* NULL for `log`: not set. `error`, `warning`, `debugging`: whether those records are to be there. */
struct filter {
    const char *name, *child, *log;
    bool error, warning, debugging;
};

static const struct filter filters[] = {
    {"unset", "stderr", NULL, true, false, false},
    {"off", "stderr", "off", false, false, false},
    {"error", "stderr", "error", true, false, false},
    {"warn", "stderr", "warn", true, true, false},
    {"info", "stderr", "info", true, true, false},
    {"debug", "stderr", "debug", true, true, true},
    {"trace", "stderr", "trace", true, true, true},
    {"upper_case", "stderr", "DEBUG", true, true, true},
    {"one_area", "stderr", "session=debug", false, false, true},
    {"one_area_without_level", "stderr", "queue", false, true, false},
    {"two_areas", "stderr", "session=debug,queue=warn", false, true, true},
    {"level_and_area", "stderr", "warn,session=debug", true, true, true},
    {"level_and_area_off", "stderr", "debug,queue=off", true, false, true},
    {"area_below_its_level", "stderr", "error,session=info", true, false, false},
    {"no_area_of_ours", "stderr", "elsewhere=trace", false, false, false},
    {"handler", "handler", NULL, true, true, false},
    {"handler_off", "handler", "off", false, false, false},
    {"handler_error", "handler", "error", true, false, false},
    {"handler_debug", "handler", "debug", true, true, true},
    {"handler_area", "handler", "session=debug", false, false, true},
    {"handler_taken_away", "no handler any more", NULL, true, false, false},
};

static void check_logged(const char *output, bool expected, const char *line)
{
    if ((strstr(output, line) != NULL) != expected)
        FAIL("expected %s\"%s\" in:\n%s", expected ? "" : "no ", line, output);
}

TEST_EACH(log_filter, struct filter, filters)
{
    if (child()) {
        log_one_of_each();
        return;
    }
    const char *output = run_child(test_format("log_filter.%s", row->name), row->child, row->log);
    const char *who = strcmp(row->child, "handler") == 0 ? "handler" : "nsurlsession";
    const char *other = strcmp(row->child, "handler") == 0 ? "nsurlsession " : "handler";
    check_logged(output, row->error,
                 test_format("%s ERROR ffi: nsurlsession_data_length: ", who));
    check_logged(output, row->error, "ERROR");
    check_logged(output, row->warning, test_format("%s WARN queue: ", who));
    check_logged(output, row->debugging, test_format("%s DEBUG session: ", who));
    check_logged(output, false, test_format("\n%s", other));
    if (strncmp(output, other, strlen(other)) == 0)
        FAIL("unexpected:\n%s", output);
    if (!row->error && !row->warning && !row->debugging)
        CHECK_EQ_STR(output, "");
}

/* What the environment asks for is shown from the first moment, whoever logs first. */
TEST(log_starts_with_the_first_record)
{
    if (child()) {
        debug();
        return;
    }
    check_logged(run_child("log_starts_with_the_first_record", "stderr", "debug"), true,
                 "nsurlsession DEBUG session: ");
    check_logged(run_child("log_starts_with_the_first_record", "stderr", NULL), false, "session");
}

/* A filter that makes no sense is told, and errors are shown. */
TEST(log_filter_that_is_not_understood)
{
    if (child()) {
        log_one_of_each();
        return;
    }
    const char *output =
        run_child("log_filter_that_is_not_understood", "stderr", "ffi=deafening");
    CHECK_CONTAINS(output, "NSURLSESSION_LOG");
    check_logged(output, true, "nsurlsession ERROR ffi: ");
    check_logged(output, false, "WARN");
}

/* ---- Structs of other versions: delegates ---------------------------------------------------- */

#define URL "http://127.0.0.1:1/"
#define BAD_URL "http://[::1"

#define SESSION nsurlsession_session_with_configuration_delegate_delegate_queue
static const char session_name[] =
    "nsurlsession_session_with_configuration_delegate_delegate_queue";

/* Counts what a delegate hears; tests call it on the main thread alone, by a queue of theirs. */
struct heard {
    unsigned created, completed, responded, received, invalid, released;
    nsurlsession_queue_t *queue;
};

static void did_become_invalid(void *context, nsurlsession_t *session, nsurlsession_error_t *error)
{
    (void)session, (void)error;
    ((struct heard *)context)->invalid++;
}

static void did_create(void *context, nsurlsession_t *session, nsurlsession_task_t *task)
{
    (void)session, (void)task;
    ((struct heard *)context)->created++;
}

static void did_complete(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                         nsurlsession_error_t *error)
{
    (void)session, (void)task, (void)error;
    ((struct heard *)context)->completed++;
}

static void did_respond(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                        nsurlsession_response_t *response,
                        nsurlsession_response_completion_t *completion)
{
    (void)session, (void)task, (void)response;
    ((struct heard *)context)->responded++;
    nsurlsession_response_completion_call(completion, NSURLSESSION_RESPONSE_ALLOW);
}

static void did_receive(void *context, nsurlsession_t *session, nsurlsession_task_t *task,
                        nsurlsession_data_t *data)
{
    (void)session, (void)task, (void)data;
    ((struct heard *)context)->received++;
}

static void did_release(void *context)
{
    struct heard *heard = context;
    heard->released++;
    nsurlsession_queue_stop(heard->queue);
}

/* A delegate with every method, in memory that is garbage beyond what it says of itself. */
struct whole_delegate {
    nsurlsession_delegate_t delegate;
    unsigned char beyond_delegate[64];
    nsurlsession_session_delegate_t session;
    unsigned char beyond_session[64];
    nsurlsession_task_delegate_t task;
    unsigned char beyond_task[64];
    nsurlsession_data_delegate_t data;
    unsigned char beyond_data[64];
};

static void set_up(struct whole_delegate *whole, struct heard *heard)
{
    memset(whole, 0xa5, sizeof *whole);
    whole->session = (nsurlsession_session_delegate_t){
        .struct_size = sizeof whole->session, .did_become_invalid_with_error = did_become_invalid};
    whole->task = (nsurlsession_task_delegate_t){.struct_size = sizeof whole->task,
                                                 .did_create_task = did_create,
                                                 .did_complete_with_error = did_complete};
    whole->data = (nsurlsession_data_delegate_t){.struct_size = sizeof whole->data,
                                                 .did_receive_response = did_respond,
                                                 .did_receive_data = did_receive};
    whole->delegate = (nsurlsession_delegate_t){.struct_size = sizeof whole->delegate,
                                                .context = heard,
                                                .release = did_release,
                                                .session = &whole->session,
                                                .task = &whole->task,
                                                .data = &whole->data};
    heard->queue = nsurlsession_queue_new();
}

/* Loads a URL in a session with the delegate, until the delegate is released. */
static void load(struct whole_delegate *whole, struct heard *heard, const char *url)
{
    nsurlsession_t *session = SESSION(NULL, &whole->delegate, heard->queue);
    /* They are copied. */
    memset(whole, 0xa5, sizeof *whole);
    CHECK(nsurlsession_delegate(session) == heard);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    nsurlsession_task_resume(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    run_queue(heard->queue);
    CHECK_EQ_INT(heard->released, 1);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(heard->queue);
}

TEST(a_whole_delegate_hears_everything)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    CHECK_NO_MISUSE(load(&whole, &heard, fault_url("/body?size=10")));
    CHECK_EQ_INT(heard.created, 1);
    CHECK_EQ_INT(heard.responded, 1);
    CHECK_BETWEEN(heard.received, 1, 10);
    CHECK_EQ_INT(heard.completed, 1);
    CHECK_EQ_INT(heard.invalid, 1);
}

/* Of a program that knows more methods than the library: those are not called. */
TEST(larger_delegates_are_understood)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    whole.delegate.struct_size += 64;
    whole.session.struct_size += 64;
    whole.task.struct_size += 64;
    whole.data.struct_size += 64;
    CHECK_NO_MISUSE(load(&whole, &heard, fault_url("/body?size=10")));
    CHECK_EQ_INT(heard.created, 1);
    CHECK_EQ_INT(heard.responded, 1);
    CHECK_BETWEEN(heard.received, 1, 10);
    CHECK_EQ_INT(heard.completed, 1);
    CHECK_EQ_INT(heard.invalid, 1);
}

/* Of a program that knows fewer: what lies behind them is not read. */
TEST(smaller_vtables_are_understood)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    whole.task.struct_size = offsetof(nsurlsession_task_delegate_t, will_perform_http_redirection);
    memset(&whole.task.will_perform_http_redirection, 0xa5,
           sizeof whole.task - whole.task.struct_size);
    whole.data.struct_size = offsetof(nsurlsession_data_delegate_t, did_receive_data);
    memset(&whole.data.did_receive_data, 0xa5, sizeof whole.data.did_receive_data);
    CHECK_NO_MISUSE(load(&whole, &heard, fault_url("/redirect?to=/body?size=10")));
    CHECK_EQ_INT(heard.created, 1);
    CHECK_EQ_INT(heard.responded, 1);
    CHECK_EQ_INT(heard.received, 0);
    CHECK_EQ_INT(heard.completed, 0);
    CHECK_EQ_INT(heard.invalid, 1);
}

/* Half a method is none. */
TEST(sizes_that_cut_a_member_in_two)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    whole.task.struct_size =
        offsetof(nsurlsession_task_delegate_t, will_perform_http_redirection) + 4;
    memset(&whole.task.will_perform_http_redirection, 0xa5,
           sizeof whole.task.will_perform_http_redirection);
    CHECK_NO_MISUSE(load(&whole, &heard, fault_url("/redirect?to=/body?size=10")));
    CHECK_EQ_INT(heard.created, 1);
    CHECK_EQ_INT(heard.responded, 1);
    CHECK_EQ_INT(heard.completed, 0);
}

TEST(smaller_delegates_are_understood)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    whole.delegate.struct_size = offsetof(nsurlsession_delegate_t, session);
    memset(&whole.delegate.session, 0xa5, sizeof whole.delegate - whole.delegate.struct_size);
    CHECK_NO_MISUSE(load(&whole, &heard, BAD_URL));
    CHECK_EQ_INT(heard.created, 0);
    CHECK_EQ_INT(heard.completed, 0);
    CHECK_EQ_INT(heard.invalid, 0);
}

struct size {
    const char *name;
    size_t size;
};

static const struct size impossible_sizes[] = {
    {"zero", 0},
    {"one", 1},
    {"only_the_size", sizeof(size_t)},
    {"half_a_member", sizeof(size_t) + 4},
};

/* Nothing of it is used, not even the release: who knows what that would be. */
TEST_EACH(delegate_with_an_impossible_size, struct size, impossible_sizes)
{
    struct whole_delegate whole;
    struct heard heard = {0};
    set_up(&whole, &heard);
    whole.delegate.struct_size = row->size;
    nsurlsession_t *session;
    CHECK_MISUSE(session_name, session = SESSION(NULL, &whole.delegate, NULL));
    CHECK(session != NULL);
    CHECK(nsurlsession_delegate(session) == NULL);

    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, BAD_URL);
    CHECK_MISUSE("nsurlsession_task_set_delegate",
                 nsurlsession_task_set_delegate(task, &whole.delegate));
    CHECK(nsurlsession_task_delegate(task) == NULL);
    CHECK_EQ_INT(heard.created, 0);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(heard.queue);
}

/* A vtable with an impossible size is as good as none; the other ones are used. */
TEST_EACH(vtable_with_an_impossible_size, struct size, impossible_sizes)
{
    for (int which = 0; which < 3; which++) {
        struct whole_delegate whole;
        struct heard heard = {0};
        set_up(&whole, &heard);
        *(which == 0   ? &whole.session.struct_size
          : which == 1 ? &whole.task.struct_size
                       : &whole.data.struct_size) = row->size;
        CHECK_MISUSE(session_name, load(&whole, &heard, fault_url("/body?size=10")));
        CHECK_EQ_INT(heard.invalid, which != 0);
        CHECK_EQ_INT(heard.created, which != 1);
        CHECK_EQ_INT(heard.completed, which != 1);
        CHECK_EQ_INT(heard.responded, which != 2);
        CHECK_EQ_INT(heard.received > 0, which != 2);
    }
}

/* ---- Structs of other versions: executors ---------------------------------------------------- */

static void count_release(void *context)
{
    (*(unsigned *)context)++;
}

static void run_here(void *context, nsurlsession_work_t *work)
{
    (void)context;
    nsurlsession_work_run(work);
}

static const char executor_name[] = "nsurlsession_queue_with_executor";

TEST_EACH(executor_with_an_impossible_size, struct size, impossible_sizes)
{
    unsigned released = 0;
    nsurlsession_executor_t executor = {
        .struct_size = row->size, .context = &released, .release = count_release,
        .execute = run_here};
    CHECK_MISUSE(executor_name, CHECK(!nsurlsession_queue_with_executor(&executor)));
}

TEST(executor_without_execute)
{
    unsigned released = 0;
    nsurlsession_executor_t executor = {
        .struct_size = sizeof executor, .context = &released, .release = count_release};
    CHECK_MISUSE(executor_name, CHECK(!nsurlsession_queue_with_executor(&executor)));
    CHECK_EQ_INT(released, 1);
    CHECK(nsurlsession_queue_with_executor(NULL) == NULL);
}

TEST(larger_executors_are_understood)
{
    struct {
        nsurlsession_executor_t executor;
        unsigned char beyond[64];
    } larger;
    struct latch done = LATCH(1);
    memset(&larger, 0xa5, sizeof larger);
    larger.executor = (nsurlsession_executor_t){.struct_size = sizeof larger, .execute = run_here};
    nsurlsession_queue_t *queue = nsurlsession_queue_with_executor(&larger.executor);
    CHECK(queue != NULL);
    memset(&larger, 0xa5, sizeof larger);
    nsurlsession_queue_add_operation_with_block(queue, count_down, &done, NULL);
    latch_wait(&done);
    nsurlsession_release(queue);
}
