/*
 * The process around the library: its end, forks, unloading, signals, descriptors, name lookups.
 *
 * A test that needs a process of its own runs this program again as a child: with the test's own
 * name, and with CHILD in the environment, which says what the child is to do.
 */
#include "recorder.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- Children ------------------------------------------------------------------------------ */

/* A name that no other test, and no other run of this one, uses at the fault server. */
static const char *unique(const char *name)
{
    static unsigned number;
    return test_format("process-%s-%d-%.6f-%u", name, (int)getpid(), date_now(),
                       __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
}

/* Waits for the child's end; one that hangs is killed, and fails the test. */
static int status_of(pid_t child, const char *what)
{
    double end = monotonic_seconds() + wait_limit();
    for (int status;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return status;
        CHECK(ended == 0 || errno == EINTR);
        if (monotonic_seconds() > end) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            FAIL("%s: the child did not end", what);
        }
        test_pause();
    }
}

static void check_exit(int status, int code, const char *what)
{
    if (WIFSIGNALED(status))
        FAIL("%s: the child was ended by signal %d", what, WTERMSIG(status));
    if (WEXITSTATUS(status) != code)
        FAIL("%s: the child's exit status is %d, expected %d", what, WEXITSTATUS(status), code);
}

/* Starts this program again, to run the test `name` with CHILD=mode and ROUND=round. */
static pid_t start_child(const char *name, const char *mode, int round)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    CHECK(length > 0);
    path[length] = '\0';
    char child[64], round_text[32];
    snprintf(child, sizeof child, "CHILD=%s", mode);
    snprintf(round_text, sizeof round_text, "ROUND=%d", round);
    char *environment[512];
    size_t count = 0;
    for (char **each = environ; *each && count < 509; each++)
        environment[count++] = *each;
    environment[count++] = child;
    environment[count++] = round_text;
    environment[count] = NULL;
    char *arguments[] = {path, (char *)(uintptr_t)name, NULL};
    pid_t pid;
    CHECK_EQ_INT(posix_spawn(&pid, path, NULL, NULL, arguments, environment), 0);
    return pid;
}

static void run_child(const char *name, const char *mode, int round, int code)
{
    check_exit(status_of(start_child(name, mode, round), mode), code,
               test_format("%s, round %d", mode, round));
}

/* The leak checker does not know which memory a forked child has inherited for nothing. */
static bool is_forked_child;

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return is_forked_child;
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's allocator has locks that a child may inherit locked: others run these tests. */
#define SKIP_UNDER_ASAN return
#else
#define SKIP_UNDER_ASAN (void)0
#endif

/* Forks; the child runs `body` and ends by exit, the parent waits. Checks may fail in the child. */
static void in_forked_child(void (*body)(void *context), void *context)
{
    int ends[2];
    CHECK_EQ_INT(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        is_forked_child = true;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test end before it */
        body(context);
        CHECK_EQ_INT(write(ends[1], "!", 1), 1);
        exit(0);
    }
    close(ends[1]);
    int status = status_of(child, "fork");
    char sign;
    if (read(ends[0], &sign, 1) != 1)
        FAIL("the forked child did not come to its end");
    close(ends[0]);
    /* valgrind takes what only the parent's threads point to for leaks. */
    if (!(running_under_valgrind() && WIFEXITED(status) && WEXITSTATUS(status) == 99))
        check_exit(status, 0, "fork");
}

/* ---- The end of the process ---------------------------------------------------------------- */

static void resume_and_forget(nsurlsession_t *session, const char *url)
{
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
}

static uint64_t received_by(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    uint64_t received = recorder->received;
    pthread_mutex_unlock(&recorder->mutex);
    return received;
}

/* Everything is under way; the process ends sooner or later, depending on the round. */
static void exit_with_transfers(bool tls, int round)
{
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    if (tls) {
        for (int count = 0; count < 3; count++) {
            resume_and_forget(session, tls_h2_url("/1g.bin"));
            resume_and_forget(session, tls_h1_url("/1g.bin"));
        }
        resume_and_forget(session, tls_h1_url("/slow/1m.bin"));
        resume_and_forget(other, tls_h2_url("/1g.bin"));
        resume_and_forget(other, test_format("https://127.0.0.1:%s/", control("/silent-port")));
    } else {
        for (int count = 0; count < 3; count++)
            resume_and_forget(session, fault_url("/body?size=1g"));
        resume_and_forget(session, fault_url("/drip?size=1m&every=1"));
        resume_and_forget(session, fault_url("/stall?at=headers"));
        resume_and_forget(other, fault_url("/stall?at=body&sends=100&size=200"));
        resume_and_forget(other, fault_url("/redirect-loop"));
        resume_and_forget(other, "http://a.name.that.is.looked.up.test/");
    }
    if (round % 10 != 0)
        EVENTUALLY(received_by(recorder) >= (uint64_t)(round % 50) * 40000);
    exit(42);
}

TEST_HEAVY(exit_with_transfers_in_flight, "400 processes")
{
    const char *mode = getenv("CHILD");
    if (mode)
        exit_with_transfers(strcmp(mode, "tls") == 0, atoi(env_text("ROUND")));
    for (int round = 0; round < 200; round++) {
        run_child("exit_with_transfers_in_flight", "plain", round, 42);
        run_child("exit_with_transfers_in_flight", "tls", round, 42);
    }
}

static void exit_here(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    (void)call;
    exit(43);
}

static void never_return(struct recorder *recorder, const struct call *call)
{
    (void)call;
    latch_count_down(recorder->user);
    for (;;)
        pause();
}

static void exit_in_handler(void *context, nsurlsession_data_t *data,
                            nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    (void)context;
    (void)data;
    (void)response;
    (void)error;
    exit(43);
}

struct ending {
    const char *name;
    const char *(*url)(const char *path_and_query);
    struct step step;
};

static const struct ending endings[] = {
    {"response", fault_url, {CALLBACK_RESPONSE, 1, ACTION_NONE, false, exit_here}},
    {"data", fault_url, {CALLBACK_DATA, 3, ACTION_NONE, false, exit_here}},
    {"complete", fault_url, {CALLBACK_COMPLETE, 1, ACTION_CANCEL, false, exit_here}},
    {"tls_response", tls_h2_url, {CALLBACK_RESPONSE, 1, ACTION_NONE, false, exit_here}},
    {"tls_data", tls_h1_url, {CALLBACK_DATA, 3, ACTION_NONE, false, exit_here}},
    {"http2_data", tls_h2_url, {CALLBACK_DATA, 3, ACTION_NONE, false, exit_here}},
};

static _Noreturn void exit_in_a_callback(const char *mode)
{
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    if (strcmp(mode, "handler") == 0) {
        nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
            session, tls_h2_url("/hello.txt"), exit_in_handler, NULL);
        resume_and_forget(session, tls_h2_url("/1g.bin"));
        nsurlsession_task_resume(task);
        for (;;)
            pause();
    }
    if (strcmp(mode, "invalid") == 0) {
        recorder_script(recorder, {CALLBACK_INVALID, 1, ACTION_NONE, false, exit_here});
        fetch(session, tls_h2_url("/hello.txt"));
        nsurlsession_finish_tasks_and_invalidate(session);
        for (;;)
            pause();
    }
    if (strcmp(mode, "queue_of_main") == 0) {
        nsurlsession_queue_t *queue = nsurlsession_queue_main();
        recorder_script(recorder, {CALLBACK_DATA, 3, ACTION_NONE, false, exit_here});
        resume_and_forget(recorder_session(recorder, NULL, queue), tls_h2_url("/1g.bin"));
        nsurlsession_queue_run(queue);
    }
    for (size_t index = 0; index < sizeof endings / sizeof endings[0]; index++)
        if (strcmp(endings[index].name, mode) == 0) {
            const struct ending *ending = &endings[index];
            recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_NONE, false, NULL},
                            ending->step);
            for (int count = 0; count < 3; count++)
                resume_and_forget(session, ending->url(ending->url == fault_url ? "/body?size=1g"
                                                                                : "/1g.bin"));
            if (ending->step.at == CALLBACK_COMPLETE)
                resume_and_forget(session, fault_url("/body?size=9"));
            for (;;)
                pause();
        }
    FAIL("unknown mode %s", mode);
}

TEST_HEAVY(exit_inside_a_callback, "a hundred processes")
{
    if (getenv("CHILD"))
        exit_in_a_callback(getenv("CHILD"));
    static const char *const modes[] = {"response", "data",    "complete",      "tls_response",
                                        "tls_data", "handler", "queue_of_main", "http2_data",
                                        "invalid"};
    for (size_t index = 0; index < sizeof modes / sizeof modes[0]; index++)
        for (int round = 0; round < 12; round++)
            run_child("exit_inside_a_callback", modes[index], round, 43);
}

static void exit_otherwise(const char *mode)
{
    static struct latch latch = LATCH(1);
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder->user = &latch;
    if (strcmp(mode, "unused") == 0)
        exit(44);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    if (strcmp(mode, "idle") == 0) {
        fetch(session, tls_h2_url("/hello.txt"));
        fetch(session, tls_h1_url("/hello.txt"));
        fetch(session, http_url("/hello.txt"));
    } else if (strcmp(mode, "resumed") == 0) {
        resume_and_forget(session, tls_h2_url("/1g.bin"));
    } else if (strcmp(mode, "invalidated") == 0) {
        fetch(session, tls_h2_url("/hello.txt"));
        resume_and_forget(session, tls_h1_url("/1g.bin"));
        nsurlsession_invalidate_and_cancel(session);
        nsurlsession_release(session);
    } else if (strcmp(mode, "callback_never_returns") == 0) {
        recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_NONE, false, never_return});
        resume_and_forget(session, tls_h2_url("/1g.bin"));
        latch_wait(&latch);
    } else {
        FAIL("unknown mode %s", mode);
    }
    exit(44);
}

TEST_HEAVY(exit_at_other_times, "many processes")
{
    if (getenv("CHILD"))
        exit_otherwise(getenv("CHILD"));
    static const char *const modes[] = {"unused", "idle", "resumed", "invalidated",
                                        "callback_never_returns"};
    for (size_t index = 0; index < sizeof modes / sizeof modes[0]; index++)
        for (int round = 0; round < 12; round++)
            run_child("exit_at_other_times", modes[index], round, 44);
}

/* A function that the program registered first runs last, and can still use the library. */
static void fetch_at_exit(void)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, http_url("/hello.txt"));
    nsurlsession_task_resume(task);
    nsurlsession_task_cancel(task);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

TEST(exit_handlers_may_call_the_library)
{
    if (getenv("CHILD")) {
        atexit(fetch_at_exit);
        nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
        fetch(session, tls_h2_url("/hello.txt"));
        nsurlsession_release(session);
        exit(45);
    }
    for (int round = 0; round < 5; round++)
        run_child("exit_handlers_may_call_the_library", "atexit", round, 45);
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* Fetches in sessions of this process's own. */
static void fetch_everything(void)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    CHECK_EQ_STR(fetch(session, tls_h2_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, tls_h1_url("/64k.bin"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 3), "create, response 200, data 65536, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

struct inherited {
    nsurlsession_t *session;
    nsurlsession_task_t *running, *suspended;
    nsurlsession_configuration_t *configuration;
    nsurlsession_request_t *request;
    unsigned misuses;
};

static void count_misuse(void *context, nsurlsession_log_level_t level, const char *target,
                         const char *message)
{
    (void)level;
    (void)message;
    struct inherited *inherited = context;
    if (strcmp(target, "ffi") == 0)
        __atomic_add_fetch(&inherited->misuses, 1, __ATOMIC_RELAXED);
}

static void never_called(void *context, nsurlsession_array_t *tasks)
{
    (void)context;
    (void)tasks;
    FAIL("called in the child of a fork");
}

static void check_task_is_dead(nsurlsession_task_t *task)
{
    CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_NONE);
    CHECK_EQ_INT(nsurlsession_task_identifier(task), 0);
    CHECK_EQ_INT(nsurlsession_task_state(task), 0);
    CHECK(nsurlsession_task_original_request(task) == NULL);
    CHECK(nsurlsession_task_current_request(task) == NULL);
    CHECK(nsurlsession_task_response(task) == NULL);
    CHECK(nsurlsession_task_error(task) == NULL);
    CHECK(nsurlsession_task_delegate(task) == NULL);
    CHECK(nsurlsession_task_description(task) == NULL);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_sent(task), 0);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), 0);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_send(task), 0);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(task), 0);
    nsurlsession_task_set_description(task, "in the child");
    struct recorder *own = recorder_new();
    nsurlsession_task_set_delegate(task, recorder_delegate(own));
    CHECK_LOG(own, "release");
    nsurlsession_task_resume(task);
    nsurlsession_task_suspend(task);
    nsurlsession_task_cancel(task);
    nsurlsession_release(task);
}

static void use_inherited(void *context)
{
    struct inherited *inherited = context;
    unsigned before = inherited->misuses;
    check_task_is_dead(inherited->running);
    check_task_is_dead(inherited->suspended);
    nsurlsession_t *session = inherited->session;
    CHECK(nsurlsession_data_task_with_url(session, http_url("/")) == NULL);
    CHECK(nsurlsession_data_task_with_request_completion_handler(
              session, inherited->request, record_completion, completion_new()) == NULL);
    CHECK(nsurlsession_delegate(session) == NULL);
    CHECK(nsurlsession_delegate_queue(session) == NULL);
    CHECK(nsurlsession_configuration(session) == NULL);
    CHECK(nsurlsession_session_description(session) == NULL);
    nsurlsession_set_session_description(session, "in the child");
    nsurlsession_get_all_tasks_with_completion_handler(session, never_called, NULL);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(session);
    CHECK(inherited->misuses >= before + 2 * 17 + 10);

    /* Values are as good as before. */
    CHECK_EQ_STR(text_of(nsurlsession_request_url(inherited->request)), http_url("/hello.txt"));
    nsurlsession_t *own = nsurlsession_session_with_configuration(inherited->configuration);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        own, inherited->request, record_completion, completion);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, "Hello, world!\n");
    nsurlsession_release(task);
    nsurlsession_release(own);
    fetch_everything();
}

TEST(fork_with_a_session_at_work)
{
    SKIP_UNDER_ASAN;
    const char *name = unique("fork");
    struct inherited inherited = {.misuses = 0};
    nsurlsession_set_log_handler(count_misuse, &inherited, NULL);
    struct recorder *recorder = recorder_new();
    inherited.session = recorder_session(recorder, NULL, NULL);
    inherited.configuration = nsurlsession_configuration_ephemeral();
    inherited.request = nsurlsession_request_with_url(http_url("/hello.txt"));
    fetch(inherited.session, tls_h2_url("/hello.txt"));
    inherited.running = nsurlsession_data_task_with_url(
        inherited.session, fault_url(test_format("/hold?name=%s", name)));
    inherited.suspended =
        nsurlsession_data_task_with_url(inherited.session, fault_url("/body?size=9"));
    nsurlsession_task_resume(inherited.running);
    control(test_format("/waiting?name=%s", name));

    in_forked_child(use_inherited, &inherited);
    in_forked_child(use_inherited, &inherited);

    /* Here nothing has changed. */
    CHECK_EQ_INT(inherited.misuses, 0);
    CHECK_EQ_INT(nsurlsession_task_state(inherited.running), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK_EQ_INT(nsurlsession_task_state(inherited.suspended), NSURLSESSION_TASK_STATE_SUSPENDED);
    CHECK(nsurlsession_task_description(inherited.running) == NULL);
    CHECK_EQ_STR(fetch(inherited.session, tls_h2_url("/hello.txt"))->body, "Hello, world!\n");
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_task_resume(inherited.suspended);
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    nsurlsession_finish_tasks_and_invalidate(inherited.session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, response 200, data 9, complete nil");
    CHECK_EQ_STR(recorder_log(recorder, 3), "create, response 200, data 9, complete nil");
    nsurlsession_release(inherited.running);
    nsurlsession_release(inherited.suspended);
    nsurlsession_release(inherited.session);
    nsurlsession_release(inherited.configuration);
    nsurlsession_release(inherited.request);
    nsurlsession_set_log_handler(NULL, NULL, NULL);
}

static void fetch_in_child(void *context)
{
    (void)context;
    fetch_everything();
}

static void fork_again(void *context)
{
    fetch_everything();
    in_forked_child(fetch_in_child, context);
    fetch_everything();
}

TEST(fork_in_a_forked_child)
{
    SKIP_UNDER_ASAN;
    fetch_everything();
    in_forked_child(fork_again, NULL);
    fetch_everything();
}

TEST(fork_before_the_first_use)
{
    SKIP_UNDER_ASAN;
    in_forked_child(fetch_in_child, NULL);
    fetch_everything();
}

static void fetch_shared(void *context)
{
    (void)context;
    nsurlsession_t *session = nsurlsession_shared_session();
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(session);
}

/* The shared session is that of the process which asks for it. */
TEST(fork_and_the_shared_session)
{
    SKIP_UNDER_ASAN;
    fetch_shared(NULL);
    in_forked_child(fetch_shared, NULL);
    fetch_shared(NULL);
}

static void fork_here(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    (void)call;
    in_forked_child(fetch_in_child, NULL);
}

TEST(fork_inside_a_callback)
{
    SKIP_UNDER_ASAN;
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_NONE, false, fork_here});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, tls_h2_url("/1m.bin"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 1048576, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* Threads that make the library take all its locks; they use nothing of the test support. */
struct load {
    const char *url;
    bool over;
    unsigned under_way;
};

static void count_result(void *context, nsurlsession_data_t *data,
                         nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct load *load = context;
    __atomic_sub_fetch(&load->under_way, 1, __ATOMIC_RELAXED);
    (void)data;
    (void)response;
    (void)error;
}

static void *work_hard(void *context)
{
    struct load *load = context;
    while (!__atomic_load_n(&load->over, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&load->under_way, __ATOMIC_RELAXED) > 30) {
            sched_yield();
            continue;
        }
        nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
        for (int count = 0; count < 3; count++) {
            __atomic_add_fetch(&load->under_way, 1, __ATOMIC_RELAXED);
            nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
                session, load->url, count_result, load);
            nsurlsession_task_resume(task);
            nsurlsession_release(nsurlsession_description(task));
            if (count == 1)
                nsurlsession_task_cancel(task);
            nsurlsession_release(task);
        }
        nsurlsession_t *shared = nsurlsession_shared_session();
        nsurlsession_release(shared);
        nsurlsession_release(session);
    }
    return NULL;
}

static void fetch_one(void *context)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    CHECK_EQ_STR(fetch(session, context)->body, "Hello, world!\n");
    nsurlsession_release(session);
}

/* Forks while other threads make the library work; each child fetches the same URL. */
static void fork_under_load(const char *url, int rounds)
{
    struct load load = {.url = url, .under_way = 0};
    pthread_t threads[3];
    /* Not the very first use: what is initialised once is initialised. */
    fetch_everything();
    for (int index = 0; index < 3; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, work_hard, &load), 0);
    for (int round = 0; round < rounds; round++)
        in_forked_child(fetch_one, (void *)(uintptr_t)load.url);
    __atomic_store_n(&load.over, true, __ATOMIC_RELAXED);
    for (int index = 0; index < 3; index++)
        pthread_join(threads[index], NULL);
    EVENTUALLY(__atomic_load_n(&load.under_way, __ATOMIC_RELAXED) == 0);
    fetch_everything();
}

TEST_MEASURE(fork_while_all_locks_are_in_use, "the sanitizer's own locks do not survive a fork")
{
    fork_under_load(http_url("/hello.txt"), 500);
}

/* Connections are opened and closed with TLS all the time; the children use TLS at once, too. */
TEST_MEASURE(fork_while_tls_is_in_use, "the sanitizer's own locks do not survive a fork")
{
    fork_under_load(tls_h2_url("/hello.txt"), 200);
}

/* Another thread is in the middle of what is initialised once, and of starting the loop. */
TEST_MEASURE(fork_during_the_first_use, "the sanitizer's own locks do not survive a fork")
{
    if (getenv("CHILD")) {
        struct load load = {.url = http_url("/hello.txt"), .under_way = 0};
        pthread_t thread;
        CHECK_EQ_INT(pthread_create(&thread, NULL, work_hard, &load), 0);
        for (volatile int spin = atoi(env_text("ROUND")) * 2000; spin > 0; spin = spin - 1)
            ;
        in_forked_child(fetch_one, (void *)(uintptr_t)load.url);
        __atomic_store_n(&load.over, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        exit(47);
    }
    for (int round = 0; round < 200; round++)
        run_child("fork_during_the_first_use", "forks", round, 47);
}

/* ---- Unloading ----------------------------------------------------------------------------- */

/* Where this source file lies. */
static const char *source_directory(void)
{
    return dirname(test_copy(__FILE__));
}

static void run_program(const char *const *arguments, int code)
{
    pid_t pid;
    CHECK_EQ_INT(posix_spawnp(&pid, arguments[0], NULL, NULL, (char **)(uintptr_t)arguments,
                              environ), 0);
    check_exit(status_of(pid, arguments[0]), code, arguments[0]);
}

static const char *build_unload(void)
{
    const char *program = test_format("%s/unload", env_text("TMPDIR"));
    const char *include = test_format("-I%s/../../include", source_directory());
    const char *source = test_format("%s/../support/programs/unload.c", source_directory());
    const char *arguments[] = {"cc",  "-std=c11", "-D_GNU_SOURCE", "-Wall",    "-Wextra", "-g",
                               "-o",  program,    include,         source,     "-pthread", "-ldl",
                               NULL};
    run_program(arguments, 0);
    return program;
}

static const char *library_path(void)
{
    Dl_info info;
    CHECK(dladdr((void *)(uintptr_t)nsurlsession_version, &info) != 0);
    return test_copy(info.dli_fname);
}

TEST_HEAVY(unloaded_with_transfers_in_flight, "it runs a program of its own")
{
    const char *program = build_unload(), *library = library_path();
    const char *held = fault_url(test_format("/hold?name=%s", unique("unload")));
    const char *plain[] = {program, library, held, "in-flight", "20", NULL};
    run_program(plain, 0);
    const char *body[] = {program, library, fault_url("/body?size=1g"), "in-flight", "20", NULL};
    run_program(body, 0);
    const char *tls[] = {program, library, tls_h2_url("/slow/16m.bin"), "in-flight", "20", NULL};
    run_program(tls, 0);
}

TEST_HEAVY(unloaded_after_transfers, "it runs a program of its own")
{
    const char *program = build_unload(), *library = library_path();
    const char *plain[] = {program, library, http_url("/hello.txt"), "after", "20", NULL};
    run_program(plain, 0);
    const char *tls[] = {program, library, tls_h2_url("/hello.txt"), "after", "20", NULL};
    run_program(tls, 0);
}

/* ---- Signals ------------------------------------------------------------------------------- */

static nsurlsession_task_t *upload(nsurlsession_t *session, const char *url, size_t length,
                                   struct completion *completion)
{
    static char bytes[8 << 20];
    CHECK(length <= sizeof bytes);
    nsurlsession_request_t *request = nsurlsession_request_with_url(url);
    nsurlsession_data_t *body =
        nsurlsession_data_with_bytes_no_copy_length_deallocator(bytes, length, NULL, NULL);
    nsurlsession_request_set_http_method(request, "POST");
    nsurlsession_request_set_http_body(request, body);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        session, request, record_completion, completion);
    nsurlsession_task_resume(task);
    nsurlsession_release(body);
    nsurlsession_release(request);
    return task;
}

static void check_same_signals(const sigset_t *left, const sigset_t *right)
{
    for (int number = 1; number <= 64; number++)
        CHECK_EQ_INT(sigismember(left, number), sigismember(right, number));
}

TEST(broken_connections_send_no_signals)
{
    struct sigaction before, after;
    sigset_t mask_before, mask_after, pending;
    /* As in a program that has never heard of SIGPIPE. */
    signal(SIGPIPE, SIG_DFL);
    sigaction(SIGPIPE, NULL, &before);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    const char *reset_port = control("/reset-port");
    const char *urls[] = {
        fault_url("/early?code=413&reset=1"),
        fault_url("/early?code=413"),
        fault_url("/stall?at=accept&read=0"),
        test_format("http://127.0.0.1:%s/", reset_port),
        test_format("https://127.0.0.1:%s/", reset_port),
        test_format("https://127.0.0.1:%s/", control("/tls-garbage")),
    };
    for (int round = 0; round < 3; round++)
        for (size_t index = 0; index < sizeof urls / sizeof urls[0]; index++) {
            struct completion *completion = completion_new();
            nsurlsession_task_t *task = upload(session, urls[index], 8 << 20, completion);
            if (index == 2) {
                EVENTUALLY(nsurlsession_task_count_of_bytes_sent(task) > 0);
                nsurlsession_task_cancel(task);
            }
            completion_wait(completion);
            nsurlsession_release(task);
        }
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(session);
    sigaction(SIGPIPE, NULL, &after);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    CHECK(after.sa_handler == SIG_DFL);
    CHECK_EQ_INT(after.sa_flags, before.sa_flags);
    check_same_signals(&mask_after, &mask_before);
    CHECK_EQ_INT(sigpending(&pending), 0);
    CHECK(!sigismember(&pending, SIGPIPE));
}

/* ---- What belongs to the program ----------------------------------------------------------- */

struct belongings {
    struct sigaction actions[65];
    sigset_t mask;
    const char *environment;
    const char *locale;
    const char *directory;
    mode_t umask;
    struct rlimit descriptors;
};

static struct belongings *look_around(void)
{
    struct belongings *belongings = test_allocate(sizeof *belongings);
    for (int number = 1; number <= 64; number++)
        sigaction(number, NULL, &belongings->actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &belongings->mask);
    belongings->environment = "";
    for (char **each = environ; *each; each++)
        belongings->environment = test_format("%s%s\n", belongings->environment, *each);
    belongings->locale = test_copy(setlocale(LC_ALL, NULL));
    char *directory = getcwd(NULL, 0);
    belongings->directory = test_copy(directory);
    free(directory);
    belongings->umask = umask(0);
    umask(belongings->umask);
    getrlimit(RLIMIT_NOFILE, &belongings->descriptors);
    return belongings;
}

static void use_everything(void)
{
    fetch_everything();
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    fetch(session, http_url("/gzip/hello.txt"));
    fetch(session, "http://127.0.0.1:1/");
    fetch(session, env_url("TLS_SELF_SIGNED_URL", "/"));
    fetch(session, "http://name.test/");
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_queue_fd(queue);
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

TEST(the_program_keeps_its_settings)
{
    umask(0137);
    struct belongings *before = look_around();
    use_everything();
    struct belongings *after = look_around();
    for (int number = 1; number <= 64; number++) {
        struct sigaction *left = &before->actions[number], *right = &after->actions[number];
        if (left->sa_handler != right->sa_handler || left->sa_flags != right->sa_flags)
            FAIL("the action of signal %d was changed", number);
    }
    check_same_signals(&after->mask, &before->mask);
    CHECK_EQ_STR(after->environment, before->environment);
    CHECK_EQ_STR(after->locale, before->locale);
    CHECK_EQ_STR(after->directory, before->directory);
    CHECK_EQ_INT(after->umask, before->umask);
    CHECK_EQ_INT(after->descriptors.rlim_cur, before->descriptors.rlim_cur);
}

enum { MOST_DESCRIPTORS = 4096 };

/* Marks the open descriptors. */
static bool *open_descriptors(void)
{
    bool *open = test_allocate(MOST_DESCRIPTORS);
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int descriptor = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && descriptor < MOST_DESCRIPTORS &&
            descriptor != dirfd(directory))
            open[descriptor] = true;
    }
    closedir(directory);
    return open;
}

static void check_descriptors(const bool *before, int least)
{
    const bool *now = open_descriptors();
    int count = 0;
    for (int descriptor = 0; descriptor < MOST_DESCRIPTORS; descriptor++) {
        if (before[descriptor] || !now[descriptor])
            continue;
        int flags = fcntl(descriptor, F_GETFD);
        if (flags < 0 && errno == EBADF)
            continue; /* closed meanwhile, or valgrind's own */
        count++;
        if (!(flags & FD_CLOEXEC)) {
            char target[256] = "";
            (void)!readlink(test_format("/proc/self/fd/%d", descriptor), target, 255);
            FAIL("descriptor %d (%s) would outlive exec", descriptor, target);
        }
    }
    if (count < least)
        FAIL("only %d descriptors are new", count);
}

TEST(descriptors_do_not_outlive_exec)
{
    const char *name = unique("descriptors");
    const bool *before = open_descriptors();
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    CHECK(nsurlsession_queue_fd(queue) >= 0);
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    check_descriptors(before, 1);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, fault_url(test_format("/hold?name=%s", name)), record_completion, completion);
    nsurlsession_task_resume(task);
    control(test_format("/waiting?name=%s", name));
    fetch(session, tls_h2_url("/hello.txt"));
    fetch(session, tls_h1_url("/hello.txt"));
    fetch(session, "http://name.test/");
    check_descriptors(before, 6); /* queue, loop's two, three connections */
    control(test_format("/release?name=%s", name));
    completion_wait(completion);
    check_descriptors(before, 3);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

/* Whether all signals are blocked that can be: the last two are the C library's own. */
static bool blocks_all(const sigset_t *mask)
{
    for (int number = 1; number <= 64; number++)
        if (number != SIGKILL && number != SIGSTOP && (number < 32 || number > 33) &&
            sigismember(mask, number) != 1)
            return false;
    return true;
}

static void check_signal_mask(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    (void)call;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK(blocks_all(&mask));
}

/* Asks the kernel about all threads but this one. */
static int check_other_threads(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)gettid())
            continue;
        FILE *file = fopen(test_format("/proc/self/task/%s/status", entry->d_name), "re");
        if (!file)
            continue; /* it has ended */
        char line[256], name[64] = "";
        uint64_t blocked = 0;
        while (fgets(line, sizeof line, file)) {
            (void)sscanf(line, "Name: %63s", name);
            (void)sscanf(line, "SigBlk: %" SCNx64, &blocked);
        }
        fclose(file);
        const uint64_t all = ~(UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1) |
                               UINT64_C(3) << 31);
        if ((blocked & all) != all)
            FAIL("the thread %s blocks only %016" PRIx64, name, blocked);
        count++;
    }
    closedir(directory);
    return count;
}

TEST(threads_of_the_library_get_no_signals)
{
    const char *name = unique("signals");
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 0, ACTION_NONE, false, check_signal_mask},
                    {CALLBACK_DATA, 0, ACTION_NONE, false, check_signal_mask},
                    {CALLBACK_COMPLETE, 0, ACTION_NONE, false, check_signal_mask},
                    {CALLBACK_INVALID, 0, ACTION_NONE, false, check_signal_mask});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    resume_and_forget(session, fault_url(test_format("/holdbody?name=%s&size=100", name)));
    resume_and_forget(session, tls_h2_url("/64k.bin"));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    /* valgrind keeps the masks to itself. */
    if (!running_under_valgrind())
        CHECK(check_other_threads() >= 2);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* ---- Slow name lookups --------------------------------------------------------------------- */

/* Lookups of names that begin with "stuck" wait here; the library calls this program's function. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned entered, left;
    bool open;
} resolver = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false};

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    typedef int (*function)(const char *, const char *, const struct addrinfo *,
                            struct addrinfo **);
    function real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *end = node ? strstr(node, ".test") : NULL;
    if (!end || end[5] != '\0')
        return real(node, service, hints, result);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!blocks_all(&mask))
        FAIL("names are looked up on a thread that does not block signals");
    if (strncmp(node, "stuck", 5) == 0) {
        pthread_mutex_lock(&resolver.mutex);
        resolver.entered++;
        pthread_cond_broadcast(&resolver.changed);
        while (!resolver.open)
            pthread_cond_wait(&resolver.changed, &resolver.mutex);
        resolver.left++;
        pthread_cond_broadcast(&resolver.changed);
        pthread_mutex_unlock(&resolver.mutex);
    } else if (strncmp(node, "quick", 5) != 0) {
        return EAI_NONAME;
    }
    return real("127.0.0.1", service, hints, result);
}

static void await_lookups(unsigned count)
{
    double end = monotonic_seconds() + wait_limit();
    pthread_mutex_lock(&resolver.mutex);
    while (resolver.entered < count)
        if (!condition_wait_until(&resolver.changed, &resolver.mutex, end) &&
            resolver.entered < count)
            FAIL("%u of %u lookups have begun", resolver.entered, count);
    pthread_mutex_unlock(&resolver.mutex);
}

static void check_nothing_was_looked_up(void)
{
    pthread_mutex_lock(&resolver.mutex);
    CHECK(!resolver.open);
    CHECK_EQ_INT(resolver.left, 0);
    pthread_mutex_unlock(&resolver.mutex);
}

/* Lets all lookups end, and waits until their threads are gone. */
static void end_lookups(int threads)
{
    pthread_mutex_lock(&resolver.mutex);
    resolver.open = true;
    pthread_cond_broadcast(&resolver.changed);
    pthread_mutex_unlock(&resolver.mutex);
    EVENTUALLY(resolver.left == resolver.entered);
    EVENTUALLY(thread_count() <= threads);
}

/* The URL of something on nginx, by a name that is looked up. */
static const char *named_url(const char *host, const char *path)
{
    return test_format("http://%s.test%s%s", host, strrchr(http_url(""), ':'), path);
}

static void check_others_go_on(nsurlsession_t *session)
{
    CHECK_EQ_STR(fetch(session, named_url("quick", "/hello.txt"))->body, "Hello, world!\n");
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    CHECK_EQ_STR(fetch(other, named_url("quicker", "/hello.txt"))->body, "Hello, world!\n");
    CHECK_EQ_STR(fetch(other, tls_h2_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(other);
}

/* Enough for the program's own thread, the loop and the pool. */
enum { USUAL_THREADS = 10 };

TEST(a_slow_name_lookup_ends_well)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    resume_and_forget(session, named_url("stuck", "/hello.txt"));
    await_lookups(1);
    check_others_go_on(session);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create");
    check_nothing_was_looked_up();
    end_lookups(USUAL_THREADS);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 14, complete nil");
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

TEST(a_slow_name_lookup_can_be_cancelled)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, named_url("stuck", "/hello.txt"));
    nsurlsession_task_resume(task);
    await_lookups(1);
    nsurlsession_task_cancel(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, complete -999");
    check_nothing_was_looked_up();
    check_others_go_on(session);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
    check_nothing_was_looked_up();
    end_lookups(USUAL_THREADS);
}

TEST(a_slow_name_lookup_times_out)
{
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 0.2);
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
    struct completion *completion = fetch(session, named_url("stuck", "/hello.txt"));
    CHECK_EQ_INT(completion->error_code, NSURLSESSION_ERROR_TIMED_OUT);
    check_nothing_was_looked_up();
    nsurlsession_release(session);
    nsurlsession_release(configuration);
    end_lookups(USUAL_THREADS);
}

TEST(a_session_with_slow_name_lookups_can_be_invalidated)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    for (unsigned count = 1; count <= 5; count++)
        resume_and_forget(session, named_url(test_format("stuck%u", count), "/hello.txt"));
    await_lookups(5);
    check_others_go_on(session);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 5);
    check_nothing_was_looked_up();
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    check_others_go_on(other);
    nsurlsession_release(other);
    end_lookups(USUAL_THREADS);
}

/* However many sessions wait for lookups to end: none of them occupies what others need. */
TEST(many_sessions_with_slow_name_lookups)
{
    enum { SESSIONS = 20 };
    struct recorder *recorders[SESSIONS];
    for (int index = 0; index < SESSIONS; index++) {
        recorders[index] = recorder_new();
        nsurlsession_t *session = recorder_session(recorders[index], NULL, NULL);
        resume_and_forget(session, named_url("stuck", "/hello.txt"));
        recorders[index]->session = session;
    }
    await_lookups(SESSIONS);
    for (int index = 0; index < SESSIONS; index++) {
        nsurlsession_invalidate_and_cancel(recorders[index]->session);
        nsurlsession_release(recorders[index]->session);
    }
    for (int index = 0; index < SESSIONS; index++)
        recorder_wait(recorders[index], CALLBACK_RELEASE, 1);
    nsurlsession_t *other = nsurlsession_session_with_configuration(NULL);
    for (int round = 0; round < 5; round++)
        check_others_go_on(other);
    check_nothing_was_looked_up();
    nsurlsession_release(other);
    end_lookups(USUAL_THREADS);
}

/* Nor do many of one session, whether they are still wanted or not. */
TEST(many_slow_name_lookups_in_one_session)
{
    enum { TASKS = 30 };
    nsurlsession_task_t *tasks[TASKS];
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    for (int index = 0; index < TASKS; index++) {
        const char *host = test_format("stuck%d", index);
        tasks[index] = nsurlsession_data_task_with_url(session, named_url(host, "/hello.txt"));
        nsurlsession_task_resume(tasks[index]);
    }
    await_lookups(1);
    check_others_go_on(session);
    for (int index = 0; index < TASKS; index++) {
        nsurlsession_task_cancel(tasks[index]);
        nsurlsession_release(tasks[index]);
    }
    recorder_wait(recorder, CALLBACK_COMPLETE, TASKS);
    check_others_go_on(session);
    check_nothing_was_looked_up();
    nsurlsession_invalidate_and_cancel(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
    end_lookups(USUAL_THREADS);
}

TEST(exit_during_slow_name_lookups)
{
    if (getenv("CHILD")) {
        nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
        resume_and_forget(session, named_url("stuck", "/hello.txt"));
        resume_and_forget(session, named_url("stuck2", "/hello.txt"));
        await_lookups(2);
        if (strcmp(getenv("CHILD"), "invalidated") == 0) {
            nsurlsession_invalidate_and_cancel(session);
            nsurlsession_release(session);
        }
        exit(46);
    }
    for (int round = 0; round < 5; round++) {
        run_child("exit_during_slow_name_lookups", "running", round, 46);
        run_child("exit_during_slow_name_lookups", "invalidated", round, 46);
    }
}
