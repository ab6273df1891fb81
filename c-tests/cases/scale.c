/* Many at once, and many one after another. */
#include "recorder.h"

#include <sys/resource.h>
#include <unistd.h>

static void raise_descriptor_limit(unsigned least)
{
    struct rlimit limit;
    CHECK_EQ_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < least)
        FAIL("%u descriptors are needed, the system allows %ju", least,
             (uintmax_t)limit.rlim_max);
}

static void end_session(nsurlsession_t *session)
{
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    nsurlsession_release(queue);
}

/* ---- Ten thousand at once ------------------------------------------------------------------ */

struct tally {
    struct latch done;
    unsigned called, released, failed;
    int64_t error;
};

static void count_answer(void *context, nsurlsession_data_t *data,
                         nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct tally *tally = context;
    tally->called++;
    if (error) {
        tally->failed++;
        tally->error = nsurlsession_error_code(error);
    } else if (nsurlsession_response_status_code(response) == 200 &&
               nsurlsession_data_length(data) == 9 &&
               memcmp(nsurlsession_data_bytes(data), "released\n", 9) == 0) {
        tally->released++;
    }
    latch_count_down(&tally->done);
}

static void hold_ten_thousand(void)
{
    enum { TASKS = 10000 };
    raise_descriptor_limit(TASKS + 100);
    const char *name = test_format("scale-%d-%.6f", (int)getpid(), date_now());
    const char *url = fault_url(test_format("/hold?name=%s", name));
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_ephemeral();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, TASKS);
    nsurlsession_configuration_set_timeout_interval_for_request(configuration, 600);
    nsurlsession_t *session = nsurlsession_session_with_configuration(configuration);
    nsurlsession_release(configuration);
    struct tally *tally = test_allocate(sizeof *tally);
    latch_init(&tally->done, TASKS);
    int threads = thread_count();
    long before = rss_kib();
    double start = monotonic_seconds();

    nsurlsession_task_t **tasks = test_allocate(TASKS * sizeof *tasks);
    for (int index = 0; index < TASKS; index++) {
        tasks[index] = nsurlsession_data_task_with_url_completion_handler(session, url,
                                                                          count_answer, tally);
        nsurlsession_task_resume(tasks[index]);
    }
    /* In steps: each has the time limit of a control request. */
    for (int count = 500; count <= TASKS; count += 500)
        CHECK(atoi(control(test_format("/waiting?name=%s&n=%d", name, count))) >= count);
    double all = monotonic_seconds();
    printf("%d in flight after %.2f s: %ld KiB, %d threads more, %d descriptors\n", TASKS,
           all - start, rss_kib() - before, thread_count() - threads, open_descriptor_count());
    CHECK_BETWEEN(thread_count() - threads, 1, 3);
    CHECK_EQ_INT(tally->called, 0);

    control(test_format("/release?name=%s", name));
    latch_wait(&tally->done);
    printf("all complete after %.2f s more, %d threads more\n", monotonic_seconds() - all,
           thread_count() - threads);
    /* The loop and the pool; the pool's threads end when there is nothing to do. */
    CHECK_BETWEEN(thread_count() - threads, 1, 9);
    for (int index = 0; index < TASKS; index++) {
        CHECK_EQ_INT(nsurlsession_task_state(tasks[index]), NSURLSESSION_TASK_STATE_COMPLETED);
        nsurlsession_release(tasks[index]);
    }
    end_session(session);
    CHECK_EQ_INT(tally->called, TASKS);
    if (tally->failed > 0)
        FAIL("%u tasks failed, the last one with %" PRId64, tally->failed, tally->error);
    CHECK_EQ_INT(tally->released, TASKS);
    EVENTUALLY(open_descriptor_count() < 100);
    EVENTUALLY(thread_count() - threads <= 3);
}

TEST_HEAVY(ten_thousand_tasks_at_once, "valgrind would take minutes")
{
    hold_ten_thousand();
}

TEST_MEASURE(ten_thousand_tasks_at_once_as_they_are, "nothing else uses the descriptors")
{
    hold_ten_thousand();
}

/* ---- A hundred thousand, one after another ------------------------------------------------- */

struct stream {
    nsurlsession_t *session;
    const char *url;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned started, finished, limit;
};

static void start_next(struct stream *stream);

static void go_on(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                  nsurlsession_error_t *error)
{
    struct stream *stream = context;
    if (error)
        FAIL("request %u failed: %s", stream->finished,
             nsurlsession_error_localized_description(error));
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 200);
    CHECK_EQ_INT(nsurlsession_data_length(data), 14);
    start_next(stream);
    pthread_mutex_lock(&stream->mutex);
    stream->finished++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->mutex);
}

static void start_next(struct stream *stream)
{
    pthread_mutex_lock(&stream->mutex);
    bool more = stream->started < stream->limit;
    stream->started += more;
    pthread_mutex_unlock(&stream->mutex);
    if (!more)
        return;
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        stream->session, stream->url, go_on, stream);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
}

/* Has `limit` requests in all made, a few at a time, and waits for their end. */
static void run_until(struct stream *stream, unsigned limit)
{
    pthread_mutex_lock(&stream->mutex);
    stream->limit = limit;
    pthread_mutex_unlock(&stream->mutex);
    for (int index = 0; index < 16; index++)
        start_next(stream);
    pthread_mutex_lock(&stream->mutex);
    for (unsigned before = 0; stream->finished < limit; before = stream->finished) {
        double end = monotonic_seconds() + wait_limit();
        while (stream->finished < limit && stream->finished < before + 1000)
            if (!condition_wait_until(&stream->changed, &stream->mutex, end) &&
                stream->finished < before + 1000)
                FAIL("%u of %u requests", stream->finished, limit);
    }
    pthread_mutex_unlock(&stream->mutex);
}

static void make_a_hundred_thousand(const char *url)
{
    struct stream *stream = test_allocate(sizeof *stream);
    pthread_mutex_init(&stream->mutex, NULL);
    pthread_cond_init(&stream->changed, NULL);
    stream->url = url;
    stream->session = nsurlsession_session_with_configuration(NULL);
    double start = monotonic_seconds();
    run_until(stream, 1000);
    long first = rss_kib();
    run_until(stream, 100000);
    printf("RSS %ld KiB after 1,000 requests, %ld KiB after 100,000; %.1f s\n", first, rss_kib(),
           monotonic_seconds() - start);
    CHECK_BETWEEN(rss_kib() - first, -1024 * 1024, 1024);
    end_session(stream->session);
}

TEST_MEASURE(memory_of_a_hundred_thousand_requests, "memory")
{
    make_a_hundred_thousand(http_url("/hello.txt"));
}

TEST_MEASURE(memory_of_a_hundred_thousand_requests_with_http2, "memory")
{
    make_a_hundred_thousand(tls_h2_url("/hello.txt"));
}

/* The same with sessions: each leaves nothing behind. */
TEST_MEASURE(memory_of_a_thousand_sessions, "memory")
{
    long first = 0;
    int descriptors = 0;
    for (int round = 1; round <= 1000; round++) {
        nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
        nsurlsession_task_t *tasks[2];
        struct tally tally = {.error = 0};
        latch_init(&tally.done, 2);
        for (int index = 0; index < 2; index++) {
            tasks[index] = nsurlsession_data_task_with_url_completion_handler(
                session, index ? "https://127.0.0.1:1/" : "http://127.0.0.1:1/", count_answer,
                &tally);
            nsurlsession_task_resume(tasks[index]);
        }
        latch_wait(&tally.done);
        for (int index = 0; index < 2; index++)
            nsurlsession_release(tasks[index]);
        end_session(session);
        if (round == 100) {
            first = rss_kib();
            descriptors = open_descriptor_count();
        }
    }
    printf("RSS %ld KiB after 100 sessions, %ld KiB after 1,000\n", first, rss_kib());
    CHECK_BETWEEN(rss_kib() - first, -1024 * 1024, 1024);
    EVENTUALLY(open_descriptor_count() <= descriptors + 2);
}

/* ---- Many small sessions ------------------------------------------------------------------- */

struct crowd {
    unsigned under_way, answered, cancelled, failed;
};

static void count_end(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                      nsurlsession_error_t *error)
{
    struct crowd *crowd = context;
    (void)response;
    if (error)
        __atomic_add_fetch(nsurlsession_error_code(error) == NSURLSESSION_ERROR_CANCELLED
                               ? &crowd->cancelled
                               : &crowd->failed,
                           1, __ATOMIC_RELAXED);
    else if (nsurlsession_data_length(data) == 14)
        __atomic_add_fetch(&crowd->answered, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&crowd->under_way, 1, __ATOMIC_RELAXED);
}

enum { CROWD_THREADS = 3, CROWD_SESSIONS = 700, MOST_UNDER_WAY = 40 };

static void *make_sessions(void *context)
{
    struct crowd *crowd = context;
    const char *url = tls_h2_url("/hello.txt");
    for (int count = 0; count < CROWD_SESSIONS; count++) {
        EVENTUALLY(__atomic_load_n(&crowd->under_way, __ATOMIC_RELAXED) < MOST_UNDER_WAY);
        nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
        for (int index = 0; index < 3; index++) {
            __atomic_add_fetch(&crowd->under_way, 1, __ATOMIC_RELAXED);
            nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
                session, url, count_end, crowd);
            nsurlsession_task_resume(task);
            if (index == 1)
                nsurlsession_task_cancel(task);
            nsurlsession_release(task);
        }
        nsurlsession_release(session);
    }
    return NULL;
}

/* Three tasks wait for one connection that is being made, one of them is cancelled, and the
 * answers to the others may lie in one packet: whatever the moment, each of them ends. */
TEST_MEASURE(tasks_that_share_a_connection_all_end, "the moments must be those of a fast program")
{
    struct crowd crowd = {0, 0, 0, 0};
    pthread_t threads[CROWD_THREADS];
    for (int index = 0; index < CROWD_THREADS; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, make_sessions, &crowd), 0);
    for (int index = 0; index < CROWD_THREADS; index++)
        pthread_join(threads[index], NULL);
    EVENTUALLY(__atomic_load_n(&crowd.under_way, __ATOMIC_RELAXED) == 0);
    CHECK_EQ_INT(crowd.failed, 0);
    CHECK(crowd.answered >= CROWD_THREADS * CROWD_SESSIONS * 2);
    CHECK_EQ_INT(crowd.answered + crowd.cancelled, CROWD_THREADS * CROWD_SESSIONS * 3);
}
