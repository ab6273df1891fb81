/*
 * Delegates that are slower than their servers: the servers are held back, memory stays small.
 *
 * "Slow" is not a time here: a gate in did_receive_data lets one piece pass at a time, and the test
 * opens it when nothing moves between the server and the library any more.
 */
#include "recorder.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

/* A name that no other test, and no other run of this one, uses at the fault server. */
static const char *unique(const char *name)
{
    static unsigned number;
    return test_format("backpressure-%s-%d-%.6f-%u", name, (int)getpid(), date_now(),
                       __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
}

/* What may be on its way between a server and a delegate that does not take it. */
#define ON_THE_WAY (12 << 20)

/* Callbacks wait in it for their permits. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned entered, permits;
    bool open;
};

static struct gate *gate_new(void)
{
    struct gate *gate = test_allocate(sizeof *gate);
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->changed, NULL);
    return gate;
}

static void pass_gate(struct recorder *recorder, const struct call *call)
{
    (void)call;
    struct gate *gate = recorder->user;
    pthread_mutex_lock(&gate->mutex);
    gate->entered++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open && gate->permits == 0)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    if (!gate->open)
        gate->permits--;
    pthread_mutex_unlock(&gate->mutex);
}

/* Waits until `count` callbacks have come to the gate. */
static void gate_await(struct gate *gate, unsigned count)
{
    double end = monotonic_seconds() + wait_limit();
    pthread_mutex_lock(&gate->mutex);
    while (gate->entered < count)
        if (!condition_wait_until(&gate->changed, &gate->mutex, end) && gate->entered < count)
            FAIL("%u of %u callbacks came to the gate", gate->entered, count);
    pthread_mutex_unlock(&gate->mutex);
}

/* Lets one more pass; returns how many had come by then. */
static unsigned gate_let_one_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    unsigned entered = gate->entered;
    gate->permits++;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
    return entered;
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

static struct recorder *gated_recorder(struct gate *gate)
{
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder->merge_data = true;
    recorder->user = gate;
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, pass_gate});
    return recorder;
}

static uint64_t received_by(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    uint64_t received = recorder->received;
    pthread_mutex_unlock(&recorder->mutex);
    return received;
}

/* How many body bytes the fault server has got rid of, once that does not grow any more. */
static uint64_t settled(const char *tag, int milliseconds)
{
    const char *path = test_format("/sent?tag=%s&settle=%d", tag, milliseconds);
    return strtoull(control(path), NULL, 10);
}

static unsigned port_of(const char *url)
{
    return (unsigned)atoi(strrchr(url, ':') + 1);
}

/* What the kernel has received on the connections of this process to `port`. */
static uint64_t bytes_from(unsigned port)
{
    uint64_t sum = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int descriptor = atoi(entry->d_name);
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        if (entry->d_name[0] == '.' ||
            getpeername(descriptor, (struct sockaddr *)&address, &length) != 0)
            continue;
        unsigned peer = address.ss_family == AF_INET
                            ? ntohs(((struct sockaddr_in *)(void *)&address)->sin_port)
                        : address.ss_family == AF_INET6
                            ? ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port)
                            : 0;
        struct tcp_info info;
        length = sizeof info;
        if (peer == port && getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
            sum += info.tcpi_bytes_received;
    }
    closedir(directory);
    return sum;
}

/* The same, once it has not grown for 100 looks. */
static uint64_t bytes_settled(unsigned port)
{
    uint64_t bytes = bytes_from(port);
    for (int looks = 0; looks < 100; looks++) {
        test_pause();
        uint64_t now = bytes_from(port);
        if (now != bytes)
            looks = 0;
        bytes = now;
    }
    return bytes;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    CHECK_EQ_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- One task ------------------------------------------------------------------------------ */

/*
 * Takes `pieces` pieces of a 1 GiB body one by one. `limit` is what the process may use of memory
 * in KiB; 0: whatever it likes.
 */
static void take_slowly(const char *what, unsigned pieces, long limit)
{
    const char *tag = unique(what);
    struct gate *gate = gate_new();
    struct recorder *recorder = gated_recorder(gate);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=1g&tag=%s", tag)));
    nsurlsession_task_resume(task);
    uint64_t largest = 0;
    long memory = 0;
    for (unsigned piece = 1; piece <= pieces; piece++) {
        gate_await(gate, piece);
        uint64_t sent = settled(tag, 50), received = received_by(recorder);
        CHECK(sent - received < ON_THE_WAY);
        largest = sent - received > largest ? sent - received : largest;
        memory = rss_kib() > memory ? rss_kib() : memory;
        gate_let_one_pass(gate);
    }
    printf("%u pieces of %" PRIu64 " bytes: at most %" PRIu64 " bytes on the way, RSS %ld KiB\n",
           pieces, received_by(recorder) / pieces, largest, memory);
    if (limit > 0)
        CHECK_BETWEEN(memory, 0, limit);
    nsurlsession_task_cancel(task);
    gate_open(gate);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value, -999);
    CHECK(recorder->pattern_holds);
    CHECK(strtoull(control(test_format("/sent?tag=%s", tag)), NULL, 10) < 64 << 20);
    control(test_format("/wait-closed?tag=%s", tag));
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

TEST_HEAVY(a_slow_delegate_holds_its_server_back, "it waits for the server to come to rest")
{
    take_slowly("back", 40, 0);
}

TEST_MEASURE(memory_of_a_slow_delegate, "memory")
{
    take_slowly("memory", 100, 24 * 1024);
}

TEST_MEASURE(memory_of_a_slow_delegate_with_http2, "memory")
{
    struct gate *gate = gate_new();
    struct recorder *recorder = gated_recorder(gate);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, tls_h2_url("/1g.bin"));
    unsigned port = port_of(tls_h2_url(""));
    nsurlsession_task_resume(task);
    uint64_t largest = 0;
    for (unsigned piece = 1; piece <= 100; piece++) {
        gate_await(gate, piece);
        uint64_t arrived = bytes_settled(port), received = received_by(recorder);
        largest = arrived - received > largest ? arrived - received : largest;
        gate_let_one_pass(gate);
    }
    printf("100 pieces of %" PRIu64 " bytes: at most %" PRIu64 " bytes wait, RSS %ld KiB\n",
           received_by(recorder) / 100, largest, rss_kib());
    CHECK(largest < 32 << 20);
    CHECK_BETWEEN(peak_rss_kib(), 0, 40 * 1024);
    nsurlsession_task_cancel(task);
    gate_open(gate);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

static void drain(const char *url, uint64_t length, long limit)
{
    struct gate *gate = gate_new();
    struct recorder *recorder = gated_recorder(gate);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    gate_open(gate);
    nsurlsession_task_resume(task);
    for (uint64_t before = 0; recorder_count(recorder, CALLBACK_COMPLETE) == 0;) {
        /* The wait limit is for each 16 MiB. */
        EVENTUALLY(recorder_count(recorder, CALLBACK_COMPLETE) > 0 ||
                   received_by(recorder) - before > 16 << 20);
        before = received_by(recorder);
    }
    CHECK_LOG(recorder,
              test_format("create, response 200, data %" PRIu64 ", complete nil", length));
    printf("%" PRIu64 " bytes in %u pieces: RSS %ld KiB at most\n", length,
           recorder_count(recorder, CALLBACK_DATA), peak_rss_kib());
    CHECK_BETWEEN(peak_rss_kib(), 0, limit);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

TEST_MEASURE(memory_of_a_delegate_that_keeps_up, "memory")
{
    drain(http_url("/1g.bin"), UINT64_C(1) << 30, 24 * 1024);
}

TEST_MEASURE(memory_of_a_delegate_that_keeps_up_with_http2, "memory")
{
    drain(tls_h2_url("/1g.bin"), UINT64_C(1) << 30, 40 * 1024);
}

/* ---- Decompression bombs ------------------------------------------------------------------- */

/* 256 MiB of zeros; all that comes over the wire fits into the window at once. */
static void defuse(const char *coding)
{
    const uint64_t length = 256 << 20;
    struct gate *gate = gate_new();
    struct recorder *recorder = gated_recorder(gate);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/encoded?coding=%s&size=256m&zeros=1&chunked=1", coding)));
    nsurlsession_task_resume(task);
    unsigned port = port_of(fault_url(""));
    for (unsigned piece = 1; piece <= 20; piece++) {
        gate_await(gate, piece);
        bytes_settled(port);
        gate_let_one_pass(gate);
    }
    uint64_t slowly = received_by(recorder);
    CHECK(slowly <= 21 * (1 << 20));
    gate_open(gate);
    for (uint64_t before = 0; recorder_count(recorder, CALLBACK_COMPLETE) == 0;) {
        EVENTUALLY(recorder_count(recorder, CALLBACK_COMPLETE) > 0 ||
                   received_by(recorder) - before > 16 << 20);
        before = received_by(recorder);
    }
    CHECK_LOG(recorder,
              test_format("create, response 200, data %" PRIu64 ", complete nil", length));
    printf("%s: %u pieces, RSS %ld KiB at most\n", coding, recorder_count(recorder, CALLBACK_DATA),
           peak_rss_kib());
    CHECK_BETWEEN(peak_rss_kib(), 0, 24 * 1024);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

TEST_MEASURE(memory_of_a_gzip_bomb, "memory") { defuse("gzip"); }
TEST_MEASURE(memory_of_a_brotli_bomb, "memory") { defuse("br"); }
TEST_MEASURE(memory_of_a_zstd_bomb, "memory") { defuse("zstd"); }
TEST_MEASURE(memory_of_a_bomb_within_a_bomb, "memory") { defuse("gzip,gzip"); }

/* ---- Pieces merge -------------------------------------------------------------------------- */

TEST(small_pieces_merge_for_a_slow_delegate)
{
    enum { SIZE = 300 };
    const char *tag = unique("drip");
    struct gate *gate = gate_new();
    struct recorder *recorder = gated_recorder(gate);
    recorder->merge_data = false;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/drip?size=%d&every=1&tag=%s", SIZE, tag)));
    nsurlsession_task_resume(task);
    /* The first piece is held until the server has sent the last one. */
    gate_await(gate, 1);
    CHECK(received_by(recorder) < SIZE);
    control(test_format("/wait-finished?tag=%s", tag));
    EVENTUALLY(bytes_from(port_of(fault_url(""))) > SIZE);
    bytes_settled(port_of(fault_url("")));
    gate_open(gate);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(received_by(recorder), SIZE);
    CHECK(recorder->pattern_holds);
    /* The last bytes may have come into the library after the gate was opened. */
    CHECK_BETWEEN(recorder_count(recorder, CALLBACK_DATA), 2, 3);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* ---- Queues that nobody runs --------------------------------------------------------------- */

TEST_HEAVY(a_queue_that_is_not_run_holds_the_server_back, "24 MiB are compared byte by byte")
{
    enum { LENGTH = 24 << 20 };
    const char *tag = unique("queue");
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder->stop_queue = queue;
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=%d&tag=%s", LENGTH, tag)));
    nsurlsession_task_resume(task);
    control(test_format("/sent?tag=%s&n=1", tag));
    CHECK(settled(tag, 250) < ON_THE_WAY);
    CHECK_LOG(recorder, "create");
    run_queue(queue);
    CHECK_EQ_INT(recorder->received, LENGTH);
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    nsurlsession_finish_tasks_and_invalidate(session);
    run_queue(queue);
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

TEST_HEAVY(a_suspended_queue_holds_the_server_back, "24 MiB are compared byte by byte")
{
    enum { LENGTH = 24 << 20 };
    const char *tag = unique("suspended");
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_queue_set_suspended(queue, true);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/body?size=%d&tag=%s", LENGTH, tag)));
    nsurlsession_task_resume(task);
    control(test_format("/sent?tag=%s&n=1", tag));
    CHECK(settled(tag, 250) < ON_THE_WAY);
    CHECK_LOG(recorder, "create");
    nsurlsession_queue_set_suspended(queue, false);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(recorder->received, LENGTH);
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    nsurlsession_release(queue);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    nsurlsession_release(session);
}

/* ---- A thousand tasks ---------------------------------------------------------------------- */

static void take_a_thousand_slowly(int session_count)
{
    enum { TASKS = 1000 };
    raise_descriptor_limit();
    const char *tag = unique("thousand");
    const char *url = fault_url(test_format("/body?size=1g&tag=%s", tag));
    struct gate *gate = gate_new();
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, TASKS);
    struct recorder *recorders[10];
    nsurlsession_t *sessions[10];
    for (int index = 0; index < session_count; index++) {
        recorders[index] = gated_recorder(gate);
        sessions[index] = recorder_session(recorders[index], configuration, NULL);
    }
    for (int index = 0; index < TASKS; index++) {
        nsurlsession_task_t *task =
            nsurlsession_data_task_with_url(sessions[index % session_count], url);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
    control(test_format("/wait-arrived?tag=%s&n=%d", tag, TASKS));
    gate_await(gate, 1);
    uint64_t sent = settled(tag, 500);
    long memory = rss_kib();
    /* Each of them is in its turn somewhere; whatever passes, as much follows. */
    for (int piece = 0; piece < 300; piece++)
        gate_await(gate, gate_let_one_pass(gate) + 1);
    uint64_t later = settled(tag, 500);
    printf("%d tasks in %d sessions: the server sent %" PRIu64 " MiB, then %" PRIu64
           " MiB, RSS %ld KiB, then %ld KiB, %ld KiB at most, %d threads\n",
           TASKS, session_count, sent >> 20, later >> 20, memory, rss_kib(), peak_rss_kib(),
           thread_count());
    CHECK_BETWEEN(peak_rss_kib(), 0, 300 * 1024);
    CHECK(later < (uint64_t)TASKS * ON_THE_WAY);

    for (int index = 0; index < session_count; index++)
        nsurlsession_invalidate_and_cancel(sessions[index]);
    gate_open(gate);
    for (int index = 0; index < session_count; index++) {
        recorder_wait(recorders[index], CALLBACK_RELEASE, 1);
        CHECK_EQ_INT(recorder_count(recorders[index], CALLBACK_COMPLETE), TASKS / session_count);
        nsurlsession_release(sessions[index]);
    }
    nsurlsession_release(configuration);
}

TEST_MEASURE(memory_of_a_thousand_slow_tasks, "memory") { take_a_thousand_slowly(1); }

TEST_MEASURE(memory_of_a_thousand_slow_tasks_in_ten_sessions, "memory")
{
    take_a_thousand_slowly(10);
}
