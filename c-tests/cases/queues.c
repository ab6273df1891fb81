/* Queues: the caller's, the main one, the library's, and those that an executor runs. */
#include "load.h"

#include <math.h>
#include <poll.h>
#include <stdatomic.h>

/* ---- Help ---------------------------------------------------------------------------------- */

static double far_date(void)
{
    return date_now() + wait_limit();
}

static nsurlsession_t *session_on(nsurlsession_queue_t *queue)
{
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(NULL, NULL, queue);
    CHECK(session != NULL);
    return session;
}

/* A resumed task whose handle nobody keeps. */
static struct completion *start_fetch(nsurlsession_t *session, const char *url)
{
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, url, record_completion, completion);
    CHECK(task != NULL);
    nsurlsession_task_resume(task);
    nsurlsession_release(task);
    return completion;
}

/*
 * Blocks that write a letter, and do one thing more. Letters in lower case are runs, in upper case
 * releases, so "aAbB" is: each context released right after its block.
 */
enum deed {
    JUST_WRITE,
    STOP,
    SUSPEND,
    UNSUSPEND,
    CANCEL_ALL,
    WAIT_FOR_ALL,
    POLL,
    RUN,
    RUN_UNTIL_LONG_AGO,
    RUN_UNTIL_FAR,
    ADD_ANOTHER,
    ADD_STOP,
    COUNT_DOWN,
    HOLD_UP,
};

struct diary {
    pthread_mutex_t mutex;
    char text[256];
    size_t length;
    nsurlsession_queue_t *queue;
    struct latch latch;          /* of COUNT_DOWN */
    struct latch inside, let_go; /* of HOLD_UP */
    long result;                 /* what POLL or RUN returned */
    pthread_t thread;            /* of the last block */
    pthread_t release_thread;
};

struct block {
    struct diary *diary;
    char letter;
    enum deed deed;
};

static struct diary *diary_new(nsurlsession_queue_t *queue)
{
    struct diary *diary = test_allocate(sizeof *diary);
    pthread_mutex_init(&diary->mutex, NULL);
    diary->queue = queue;
    latch_init(&diary->latch, 1);
    latch_init(&diary->inside, 1);
    latch_init(&diary->let_go, 1);
    diary->result = -1;
    return diary;
}

static void write_letter(struct diary *diary, char letter)
{
    pthread_mutex_lock(&diary->mutex);
    CHECK(diary->length + 1 < sizeof diary->text);
    diary->text[diary->length++] = letter;
    pthread_mutex_unlock(&diary->mutex);
}

static const char *read_diary(struct diary *diary)
{
    pthread_mutex_lock(&diary->mutex);
    const char *text = test_copy(diary->text);
    pthread_mutex_unlock(&diary->mutex);
    return text;
}

#define CHECK_DIARY(diary, expected) CHECK_EQ_STR(read_diary(diary), expected)

static void add(struct diary *diary, char letter, enum deed deed);

static void run_block(void *context)
{
    struct block *block = context;
    struct diary *diary = block->diary;
    nsurlsession_queue_t *queue = diary->queue;
    diary->thread = pthread_self();
    CHECK(is_current(queue));
    write_letter(diary, block->letter);
    switch (block->deed) {
    case JUST_WRITE: break;
    case STOP: nsurlsession_queue_stop(queue); break;
    case SUSPEND: nsurlsession_queue_set_suspended(queue, true); break;
    case UNSUSPEND: nsurlsession_queue_set_suspended(queue, false); break;
    case CANCEL_ALL: nsurlsession_queue_cancel_all_operations(queue); break;
    case WAIT_FOR_ALL:
        nsurlsession_queue_wait_until_all_operations_are_finished(queue);
        break;
    case POLL: diary->result = (long)nsurlsession_queue_poll(queue); break;
    case RUN: diary->result = nsurlsession_queue_run(queue); break;
    case RUN_UNTIL_LONG_AGO:
        diary->result = nsurlsession_queue_run_until_date(queue, 1);
        break;
    case RUN_UNTIL_FAR:
        diary->result = nsurlsession_queue_run_until_date(queue, INFINITY);
        break;
    case ADD_ANOTHER: add(diary, (char)(block->letter + 1), JUST_WRITE); break;
    case ADD_STOP: add(diary, (char)(block->letter + 1), STOP); break;
    case COUNT_DOWN: latch_count_down(&diary->latch); break;
    case HOLD_UP:
        latch_count_down(&diary->inside);
        latch_wait(&diary->let_go);
        break;
    }
}

static void release_block(void *context)
{
    struct block *block = context;
    block->diary->release_thread = pthread_self();
    write_letter(block->diary, (char)(block->letter - 'a' + 'A'));
}

static void add(struct diary *diary, char letter, enum deed deed)
{
    struct block *block = test_allocate(sizeof *block);
    *block = (struct block){diary, letter, deed};
    nsurlsession_queue_add_operation_with_block(diary->queue, run_block, block, release_block);
}

/* ---- Running a queue ----------------------------------------------------------------------- */

TEST(run_until_stopped)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', JUST_WRITE);
    add(diary, 'c', STOP);
    add(diary, 'd', JUST_WRITE);
    CHECK_DIARY(diary, "");
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "aAbBcC");
    CHECK(pthread_equal(diary->thread, pthread_self()));
    CHECK(pthread_equal(diary->release_thread, pthread_self()));

    /* What was not reached is still there. */
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aAbBcCdD");
    nsurlsession_release(queue);
}

static void *add_and_stop(void *context)
{
    struct diary *diary = context;
    latch_wait(&diary->inside);
    add(diary, 'b', JUST_WRITE);
    latch_count_down(&diary->let_go);
    add(diary, 'c', STOP);
    return NULL;
}

TEST(run_waits_for_more)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', HOLD_UP);
    test_thread(add_and_stop, diary);
    CHECK(nsurlsession_queue_run_until_date(queue, far_date()));
    CHECK_DIARY(diary, "aAbBcC");
    CHECK(pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(queue);
}

static void *stop_queue(void *context)
{
    nsurlsession_queue_stop(context);
    return NULL;
}

TEST(stop_from_another_thread)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    test_thread(stop_queue, queue);
    CHECK(nsurlsession_queue_run_until_date(queue, far_date()));
    nsurlsession_release(queue);
}

TEST(stop_is_sticky)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    nsurlsession_queue_stop(queue);
    /* The next run returns at once, and only that one. */
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "");
    add(diary, 'b', STOP);
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "aAbB");
    CHECK(!nsurlsession_queue_run_until_date(queue, date_now()));

    nsurlsession_queue_stop(queue);
    CHECK(nsurlsession_queue_run_until_date(queue, 1));
    CHECK(!nsurlsession_queue_run_until_date(queue, 1));
    nsurlsession_release(queue);
}

/* What is said about run holds for run alone. */
TEST(stop_does_not_hinder_poll)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_stop(queue);
    add(diary, 'a', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aA");
    nsurlsession_release(queue);
}

TEST(stop_does_not_hinder_wait)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_stop(queue);
    add(diary, 'a', JUST_WRITE);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aA");
    nsurlsession_release(queue);
}

/* The handler stops the queue, which is right for those who run it; here it is polled. */
TEST(a_handler_that_stops_a_polled_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_t *session = session_on(queue);
    for (int round = 0; round < 2; round++) {
        struct completion *completion = start_fetch(session, http_url("/hello.txt"));
        completion->stop_queue = queue;
        struct pollfd event = {nsurlsession_queue_fd(queue), POLLIN, 0};
        CHECK_EQ_INT(poll(&event, 1, (int)(wait_limit() * 1000)), 1);
        CHECK(nsurlsession_queue_poll(queue) > 0);
        CHECK_EQ_INT(completion->calls, 1);
        CHECK_EQ_STR(completion->body, "Hello, world!\n");
    }
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

/* A queue that the library runs has no run that could be ended. */
TEST(stop_does_not_hinder_the_library)
{
    nsurlsession_t *session = session_on(NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_queue_stop(queue);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

struct date_row {
    const char *name;
    double date;
};

static const struct date_row past_rows[] = {
    {"0", 0},     {"1", 1},           {"2001", 1e9},       {"negative", -1},
    {"nan", NAN}, {"minus_nan", -NAN}, {"minus_infinity", -INFINITY},
};

TEST_EACH(run_until_a_date_that_has_passed, struct date_row, past_rows)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    CHECK(!nsurlsession_queue_run_until_date(queue, row->date));
    nsurlsession_queue_stop(queue);
    CHECK(nsurlsession_queue_run_until_date(queue, row->date));
    nsurlsession_release(queue);
}

static const struct date_row future_rows[] = {
    {"infinity", INFINITY}, {"1e300", 1e300}, {"2100", 4102444800}, {"year_1e12", 1e19},
};

TEST_EACH(run_until_a_date_that_never_comes, struct date_row, future_rows)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', HOLD_UP);
    test_thread(add_and_stop, diary);
    CHECK(nsurlsession_queue_run_until_date(queue, row->date));
    CHECK_DIARY(diary, "aAbBcC");
    nsurlsession_release(queue);
}

TEST(poll_runs_what_is_there)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', ADD_ANOTHER);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK_DIARY(diary, "aAbB");
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aAbBcC");
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    nsurlsession_release(queue);
}

TEST(a_block_added_inside_a_block_runs_in_the_same_run)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', ADD_ANOTHER);
    add(diary, 'x', ADD_STOP);
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "aAxXbByY");
    nsurlsession_release(queue);
}

TEST(blocks_that_cannot_run_are_released)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    struct block a = {diary, 'a', JUST_WRITE}, b = {diary, 'b', JUST_WRITE};
    nsurlsession_queue_add_operation_with_block(NULL, run_block, &a, release_block);
    CHECK_DIARY(diary, "A");
    nsurlsession_queue_add_operation_with_block(queue, NULL, &b, release_block);
    CHECK_DIARY(diary, "AB");
    nsurlsession_queue_add_operation_with_block(queue, NULL, NULL, NULL);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    /* Without a release. */
    nsurlsession_queue_add_operation_with_block(queue, run_block, &a, NULL);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "ABa");
    nsurlsession_release(queue);
}

TEST(messages_to_null)
{
    CHECK(!nsurlsession_queue_run(NULL));
    CHECK(!nsurlsession_queue_run_until_date(NULL, far_date()));
    CHECK_EQ_INT(nsurlsession_queue_poll(NULL), 0);
    CHECK_EQ_INT(nsurlsession_queue_fd(NULL), -1);
    nsurlsession_queue_stop(NULL);
    CHECK(!nsurlsession_queue_suspended(NULL));
    nsurlsession_queue_set_suspended(NULL, true);
    CHECK(nsurlsession_queue_name(NULL) == NULL);
    nsurlsession_queue_set_name(NULL, "nobody");
    nsurlsession_queue_cancel_all_operations(NULL);
    nsurlsession_queue_wait_until_all_operations_are_finished(NULL);
    nsurlsession_work_run(NULL);
    nsurlsession_work_discard(NULL);
    CHECK(nsurlsession_queue_with_executor(NULL) == NULL);
}

TEST(a_queue_that_is_released_with_blocks_runs_them)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', COUNT_DOWN);
    nsurlsession_release(queue);
    latch_wait(&diary->latch);
    CHECK_CONTAINS(read_diary(diary), "aAb");
    CHECK(!pthread_equal(diary->thread, pthread_self()));
}

/* ---- Names --------------------------------------------------------------------------------- */

TEST(names)
{
    nsurlsession_t *session = session_on(NULL);
    nsurlsession_queue_t *queues[] = {
        nsurlsession_queue_new(),
        nsurlsession_queue_main(),
        nsurlsession_delegate_queue(session),
    };
    for (size_t index = 0; index < sizeof queues / sizeof queues[0]; index++) {
        CHECK(text_of(nsurlsession_queue_name(queues[index])) != NULL);
        char name[] = "Größe 1";
        nsurlsession_queue_set_name(queues[index], name);
        name[0] = 'x';
        nsurlsession_string_t *read = nsurlsession_queue_name(queues[index]);
        nsurlsession_queue_set_name(queues[index], NULL);
        CHECK_EQ_STR(text_of(nsurlsession_queue_name(queues[index])), "Größe 1");
        nsurlsession_queue_set_name(queues[index], "");
        CHECK_EQ_STR(text_of(nsurlsession_queue_name(queues[index])), "");
        CHECK_EQ_STR(text_of(read), "Größe 1");
        nsurlsession_release(queues[index]);
    }
    nsurlsession_release(session);
}

/* ---- Suspending ---------------------------------------------------------------------------- */

TEST(suspended_queue_starts_nothing)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    CHECK(!nsurlsession_queue_suspended(queue));
    add(diary, 'a', JUST_WRITE);
    nsurlsession_queue_set_suspended(queue, true);
    CHECK(nsurlsession_queue_suspended(queue));
    add(diary, 'b', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK(!nsurlsession_queue_run_until_date(queue, 1));
    CHECK_DIARY(diary, "");
    nsurlsession_queue_set_suspended(queue, true); /* does not nest */
    nsurlsession_queue_set_suspended(queue, false);
    CHECK(!nsurlsession_queue_suspended(queue));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK_DIARY(diary, "aAbB");
    nsurlsession_release(queue);
}

TEST(suspended_inside_a_block)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', SUSPEND);
    add(diary, 'b', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK_DIARY(diary, "aA");
    nsurlsession_queue_set_suspended(queue, false);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aAbB");
    nsurlsession_release(queue);
}

static void *unsuspend(void *context)
{
    nsurlsession_queue_set_suspended(context, false);
    return NULL;
}

TEST(run_goes_on_when_the_queue_does)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_set_suspended(queue, true);
    add(diary, 'a', STOP);
    test_thread(unsuspend, queue);
    CHECK(nsurlsession_queue_run_until_date(queue, far_date()));
    CHECK_DIARY(diary, "aA");
    nsurlsession_release(queue);
}

TEST(wait_goes_on_when_the_queue_does)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_set_suspended(queue, true);
    add(diary, 'a', JUST_WRITE);
    test_thread(unsuspend, queue);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aA");
    nsurlsession_release(queue);
}

TEST(suspended_library_queue_keeps_callbacks_back)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    nsurlsession_queue_set_suspended(queue, true);
    const char *url = fault_url(test_format("/body?size=100k&tag=%s", own_name()));
    nsurlsession_release(resumed_task(session, url));
    control(test_format("/wait-finished?tag=%s", own_name()));
    nsurlsession_finish_tasks_and_invalidate(session);
    CHECK_LOG(recorder, "create");

    nsurlsession_queue_set_suspended(queue, false);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 102400, complete nil, invalid nil, release");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

static void suspend_queue(struct recorder *recorder, const struct call *call)
{
    (void)call;
    nsurlsession_queue_set_suspended(recorder->user, true);
}

TEST(library_queue_suspended_inside_a_callback)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_NONE, false, suspend_queue});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    recorder->user = nsurlsession_delegate_queue(session);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    recorder_wait(recorder, CALLBACK_RESPONSE, 1);
    /* Another task, so that there would be something to run. */
    const char *url = fault_url(test_format("/body?size=1&tag=%s", own_name()));
    nsurlsession_release(resumed_task(session, url));
    control(test_format("/wait-finished?tag=%s", own_name()));
    CHECK_LOG(recorder, "create, response 200, create");
    nsurlsession_queue_set_suspended(recorder->user, false);
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_STR(recorder_log(recorder, 1), "create, response 200, data 14, complete nil");
    CHECK_EQ_STR(recorder_log(recorder, 2), "create, response 200, data 1, complete nil");
    nsurlsession_release(recorder->user);
    nsurlsession_release(session);
}

/* ---- Cancelling ---------------------------------------------------------------------------- */

TEST(cancel_releases_the_contexts)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', JUST_WRITE);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK_DIARY(diary, "AB");
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    add(diary, 'c', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK_DIARY(diary, "ABcC");
    nsurlsession_release(queue);
}

TEST(cancel_inside_a_block)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', CANCEL_ALL);
    for (char letter = 'c'; letter <= 'z'; letter++)
        add(diary, letter, JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    const char *text = read_diary(diary);
    /* 'a' and 'b' ran, all 26 were released. */
    CHECK_EQ_INT(strlen(text), 2 + 26);
    CHECK(strncmp(text, "aAb", 3) == 0);
    for (char letter = 'B'; letter <= 'Z'; letter++)
        CHECK(strchr(text, letter) != NULL);
    nsurlsession_release(queue);
}

/* Released contexts may use the queue: no lock is held. */
static void add_when_released(void *context)
{
    struct block *block = context;
    add(block->diary, block->letter, JUST_WRITE);
}

TEST(a_context_that_uses_the_queue_when_it_is_released)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    struct block a = {diary, 'a', JUST_WRITE}, b = {diary, 'b', JUST_WRITE};
    nsurlsession_queue_add_operation_with_block(queue, run_block, &a, add_when_released);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aA");
    nsurlsession_queue_add_operation_with_block(queue, run_block, &b, add_when_released);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aAbbB");
    nsurlsession_release(queue);
}

static bool readable(int descriptor)
{
    struct pollfd event = {descriptor, POLLIN, 0};
    int count = poll(&event, 1, 0);
    CHECK(count >= 0);
    CHECK_EQ_INT(event.revents & ~POLLIN, 0);
    return count > 0;
}

static void wait_until_readable(int descriptor)
{
    struct pollfd event = {descriptor, POLLIN, 0};
    CHECK_EQ_INT(poll(&event, 1, (int)(wait_limit() * 1000)), 1);
    CHECK_EQ_INT(event.revents, POLLIN);
}

TEST(cancel_leaves_the_callbacks_of_sessions)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_t *session = session_on(queue);
    struct completion *completion = start_fetch(session, http_url("/hello.txt"));
    wait_until_readable(nsurlsession_queue_fd(queue));
    add(diary, 'a', JUST_WRITE);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK_DIARY(diary, "A");
    CHECK(readable(nsurlsession_queue_fd(queue)));
    CHECK(nsurlsession_queue_poll(queue) > 0);
    CHECK_EQ_INT(completion->calls, 1);
    CHECK_EQ_STR(completion->body, "Hello, world!\n");
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

TEST(cancel_on_a_library_queue)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', HOLD_UP);
    latch_wait(&diary->inside);
    add(diary, 'b', JUST_WRITE);
    nsurlsession_finish_tasks_and_invalidate(session);
    add(diary, 'c', JUST_WRITE);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK_DIARY(diary, "aBC");
    CHECK(pthread_equal(diary->release_thread, pthread_self()));
    latch_count_down(&diary->let_go);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "invalid nil, release");
    CHECK_DIARY(diary, "aBCA");
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

/* ---- Waiting ------------------------------------------------------------------------------- */

TEST(wait_runs_the_callers_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    add(diary, 'a', ADD_ANOTHER);
    add(diary, 'x', JUST_WRITE);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aAxXbB");
    CHECK(pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(queue);
}

static void *poll_once(void *context)
{
    struct diary *diary = context;
    diary->result = (long)nsurlsession_queue_poll(diary->queue);
    latch_count_down(&diary->latch);
    return NULL;
}

static void *let_go(void *context)
{
    struct diary *diary = context;
    latch_count_down(&diary->let_go);
    return NULL;
}

TEST(wait_for_another_thread_that_runs_the_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', HOLD_UP);
    test_thread(poll_once, diary);
    latch_wait(&diary->inside);
    add(diary, 'b', JUST_WRITE);
    test_thread(let_go, diary);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aAbB");
    latch_wait(&diary->latch);
    nsurlsession_release(queue);
}

TEST(wait_for_the_library)
{
    nsurlsession_t *session = session_on(NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    add(diary, 'a', HOLD_UP);
    add(diary, 'b', ADD_ANOTHER);
    test_thread(let_go, diary);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aAbBcC");
    CHECK(!pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

TEST(wait_on_the_own_queue_returns)
{
    nsurlsession_t *session = session_on(NULL);
    nsurlsession_queue_t *queues[] = {
        nsurlsession_queue_new(), nsurlsession_queue_main(), nsurlsession_delegate_queue(session)};
    for (size_t index = 0; index < 3; index++) {
        struct diary *diary = diary_new(queues[index]);
        add(diary, 'a', WAIT_FOR_ALL);
        add(diary, 'b', COUNT_DOWN);
        if (index < 2)
            CHECK_EQ_INT(nsurlsession_queue_poll(queues[index]), 2);
        latch_wait(&diary->latch);
        CHECK_CONTAINS(read_diary(diary), "aAb");
        nsurlsession_release(queues[index]);
    }
    nsurlsession_release(session);
}

/* ---- The main queue, the current queue ----------------------------------------------------- */

static void *use_main_queue(void *context)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_main();
    CHECK(queue == context);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK(!nsurlsession_queue_run(queue));
    CHECK(!nsurlsession_queue_run_until_date(queue, far_date()));
    /* A stop that comes from here is for the main thread. */
    nsurlsession_queue_stop(queue);
    CHECK(!nsurlsession_queue_run(queue));
    nsurlsession_release(queue);
    return NULL;
}

TEST(main_queue_runs_on_the_main_thread_only)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_main();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    pthread_t thread;
    CHECK_EQ_INT(pthread_create(&thread, NULL, use_main_queue, queue), 0);
    pthread_join(thread, NULL);
    CHECK_DIARY(diary, "");
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "");
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aA");
    CHECK(pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(queue);
}

static void *wait_for_main_queue(void *context)
{
    struct diary *diary = context;
    nsurlsession_queue_wait_until_all_operations_are_finished(diary->queue);
    write_letter(diary, 'w');
    nsurlsession_queue_stop(diary->queue);
    return NULL;
}

/* Another thread that waits does not run it; the main thread does. */
TEST(main_queue_is_waited_for)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_main();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    test_thread(wait_for_main_queue, diary);
    CHECK(nsurlsession_queue_run(queue));
    CHECK_DIARY(diary, "aAw");
    CHECK(pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(queue);
}

TEST(session_on_the_main_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_main();
    struct recorder *recorder = recorder_new();
    recorder->stop_queue = queue;
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    /* The queue of the process goes on without this handle. */
    nsurlsession_release(queue);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    run_queue(queue);
    nsurlsession_finish_tasks_and_invalidate(session);
    run_queue(queue);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    CHECK(recorder_on_one_thread(recorder));
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_DATA, 1).thread, pthread_self()));
    nsurlsession_release(session);
}

/* Runs `inner` inside a block of `outer`. */
struct nested {
    nsurlsession_queue_t *outer, *inner;
    struct diary *diary;
};

static void run_inner(void *context)
{
    struct nested *nested = context;
    CHECK(is_current(nested->outer));
    CHECK_EQ_INT(nsurlsession_queue_poll(nested->inner), 2);
    CHECK(is_current(nested->outer));
    add(nested->diary, 'd', STOP);
    CHECK(nsurlsession_queue_run(nested->inner));
    CHECK(is_current(nested->outer));
    add(nested->diary, 'e', JUST_WRITE);
    nsurlsession_queue_wait_until_all_operations_are_finished(nested->inner);
    CHECK(is_current(nested->outer));
    CHECK_DIARY(nested->diary, "aAbBcCdDeE");
}

TEST(current_queue_when_queues_nest)
{
    CHECK(is_current(NULL));
    struct nested nested = {nsurlsession_queue_new(), nsurlsession_queue_new(), NULL};
    nested.diary = diary_new(nested.inner); /* its blocks check that `inner` is current */
    add(nested.diary, 'a', JUST_WRITE);
    add(nested.diary, 'b', ADD_ANOTHER);
    nsurlsession_queue_add_operation_with_block(nested.outer, run_inner, &nested, NULL);
    CHECK_EQ_INT(nsurlsession_queue_poll(nested.outer), 1);
    CHECK(is_current(NULL));
    nsurlsession_release(nested.inner);
    nsurlsession_release(nested.outer);
}

static void check_current(struct recorder *recorder, const struct call *call)
{
    (void)call;
    CHECK(is_current(recorder->user));
}

TEST(current_queue_inside_callbacks)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_REDIRECT, 0, ACTION_NONE, false, check_current},
                    {CALLBACK_RESPONSE, 0, ACTION_NONE, false, check_current},
                    {CALLBACK_DATA, 0, ACTION_NONE, false, check_current},
                    {CALLBACK_COMPLETE, 0, ACTION_NONE, false, check_current},
                    {CALLBACK_INVALID, 0, ACTION_NONE, false, check_current},
                    {CALLBACK_RELEASE, 0, ACTION_NONE, false, check_current});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    recorder->user = nsurlsession_delegate_queue(session);
    nsurlsession_release(resumed_task(session, http_url("/redirect/302/hello.txt")));
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder->event_count, 7);
    nsurlsession_release(recorder->user);
    nsurlsession_release(session);
}

/* ---- Running a queue inside its own block -------------------------------------------------- */

struct inside_row {
    const char *name;
    enum deed deed;
    bool stopped; /* before */
    long result;
};

/* Blocks do not run inside one another, so there is nothing that these could run or wait for. */
static const struct inside_row inside_rows[] = {
    {"poll", POLL, false, 0},
    {"run_until_long_ago", RUN_UNTIL_LONG_AGO, false, false},
    {"run_until_far", RUN_UNTIL_FAR, false, false},
    {"run", RUN, false, false},
};

TEST_EACH(inside_a_block_of_the_same_queue, struct inside_row, inside_rows)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', row->deed);
    add(diary, 'b', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK_EQ_INT(diary->result, row->result);
    CHECK_DIARY(diary, "aAbB");
    nsurlsession_release(queue);
}

/* ---- The descriptor ------------------------------------------------------------------------ */

TEST(descriptor_is_readable_while_there_is_work)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    int descriptor = nsurlsession_queue_fd(queue);
    CHECK(descriptor >= 0);
    CHECK_EQ_INT(nsurlsession_queue_fd(queue), descriptor);
    CHECK(!readable(descriptor));

    add(diary, 'a', JUST_WRITE);
    CHECK(readable(descriptor));
    add(diary, 'b', JUST_WRITE);
    CHECK(readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK(!readable(descriptor));

    /* A poll that leaves something. */
    add(diary, 'c', ADD_ANOTHER);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(descriptor));

    /* Taken away. */
    add(diary, 'e', JUST_WRITE);
    nsurlsession_queue_cancel_all_operations(queue);
    CHECK(!readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);

    /* Suspended. */
    add(diary, 'f', JUST_WRITE);
    nsurlsession_queue_set_suspended(queue, true);
    CHECK(!readable(descriptor));
    add(diary, 'g', JUST_WRITE);
    CHECK(!readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    nsurlsession_queue_set_suspended(queue, false);
    CHECK(readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK(!readable(descriptor));
    nsurlsession_queue_set_suspended(queue, true);
    nsurlsession_queue_set_suspended(queue, false);
    CHECK(!readable(descriptor));

    /* Suspended inside a block, and not any more inside the next. */
    add(diary, 'h', SUSPEND);
    add(diary, 'i', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(descriptor));
    nsurlsession_queue_set_suspended(queue, false);
    CHECK(readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(descriptor));

    /* Left behind by a run, and run by others than poll. */
    add(diary, 'j', STOP);
    add(diary, 'k', JUST_WRITE);
    CHECK(nsurlsession_queue_run(queue));
    CHECK(readable(descriptor));
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK(!readable(descriptor));
    CHECK_DIARY(diary, "aAbBcCdDEfFgGhHiIjJkK");

    /* Cancelled inside a block. */
    add(diary, 'l', CANCEL_ALL);
    add(diary, 'm', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(descriptor));
    CHECK(strchr(read_diary(diary), 'm') == NULL);
    CHECK(strchr(read_diary(diary), 'M') != NULL);
    nsurlsession_release(queue);
}

TEST(descriptor_asked_for_when_there_is_work_already)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    CHECK(readable(nsurlsession_queue_fd(queue)));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(nsurlsession_queue_fd(queue)));
    nsurlsession_release(queue);
}

TEST(descriptor_after_a_stop)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    int descriptor = nsurlsession_queue_fd(queue);
    nsurlsession_queue_stop(queue);
    CHECK(!readable(descriptor));
    add(diary, 'a', JUST_WRITE);
    CHECK(readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK(!readable(descriptor));
    CHECK(nsurlsession_queue_run(queue));
    nsurlsession_release(queue);
}

TEST(descriptor_in_a_loop_of_the_programs)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    int descriptor = nsurlsession_queue_fd(queue);
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_release(resumed_task(session, http_url("/1m.bin")));
    nsurlsession_finish_tasks_and_invalidate(session);
    while (recorder_count(recorder, CALLBACK_RELEASE) == 0) {
        wait_until_readable(descriptor);
        CHECK(nsurlsession_queue_poll(queue) > 0);
    }
    CHECK_LOG(recorder, "create, response 200, data 1048576, complete nil, invalid nil, release");
    CHECK(recorder->pattern_holds);
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_DATA, 1).thread, pthread_self()));
    CHECK(!readable(descriptor));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    nsurlsession_release(session);
    nsurlsession_release(queue);
}

TEST(descriptor_goes_with_the_queue)
{
    int before = open_descriptor_count();
    for (int round = 0; round < 10; round++) {
        nsurlsession_queue_t *queue = nsurlsession_queue_new();
        CHECK(nsurlsession_queue_fd(queue) >= 0);
        nsurlsession_release(queue);
    }
    CHECK_EQ_INT(open_descriptor_count(), before);
}

/* ---- Several threads and one queue --------------------------------------------------------- */

struct runners {
    nsurlsession_queue_t *queue;
    atomic_int inside, returned;
    int next; /* only one block at a time touches it */
    struct latch done;
};

struct numbered {
    struct runners *runners;
    int number;
};

static void run_numbered(void *context)
{
    struct numbered *numbered = context;
    struct runners *runners = numbered->runners;
    CHECK_EQ_INT(atomic_fetch_add(&runners->inside, 1), 0);
    CHECK_EQ_INT(numbered->number, runners->next++);
    atomic_fetch_sub(&runners->inside, 1);
    latch_count_down(&runners->done);
}

static void *run_until_stopped(void *context)
{
    struct runners *runners = context;
    CHECK(nsurlsession_queue_run(runners->queue));
    atomic_fetch_add(&runners->returned, 1);
    return NULL;
}

enum { NUMBERS = 2000, RUNNERS = 3 };

static void stop_runners(struct runners *runners)
{
    for (int index = 1; index <= RUNNERS; index++) {
        nsurlsession_queue_stop(runners->queue);
        EVENTUALLY(atomic_load(&runners->returned) >= index);
    }
}

TEST(threads_that_run_one_queue_take_turns)
{
    static struct numbered numbered[NUMBERS];
    struct runners runners = {.queue = nsurlsession_queue_new(), .done = LATCH(NUMBERS)};
    for (int index = 0; index < RUNNERS; index++)
        test_thread(run_until_stopped, &runners);
    for (int number = 0; number < NUMBERS; number++) {
        numbered[number] = (struct numbered){&runners, number};
        nsurlsession_queue_add_operation_with_block(runners.queue, run_numbered, &numbered[number],
                                                    NULL);
    }
    latch_wait(&runners.done);
    stop_runners(&runners);
    nsurlsession_release(runners.queue);
}

TEST(callbacks_on_a_queue_that_threads_share)
{
    struct runners runners = {.queue = nsurlsession_queue_new()};
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    nsurlsession_t *session = recorder_session(recorder, NULL, runners.queue);
    for (int index = 0; index < RUNNERS; index++)
        test_thread(run_until_stopped, &runners);
    for (int index = 0; index < 4; index++)
        nsurlsession_release(resumed_task(session, fault_url("/body?size=300k")));
    nsurlsession_finish_tasks_and_invalidate(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_EQ_INT(recorder->received, 4 * 300 * 1024);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), 4);
    stop_runners(&runners);
    nsurlsession_release(session);
    nsurlsession_release(runners.queue);
}

/* While a block runs, nothing else of its queue does, and another thread's poll says so. */
TEST(poll_while_another_thread_runs_the_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    add(diary, 'a', HOLD_UP);
    test_thread(poll_once, diary);
    latch_wait(&diary->inside);
    add(diary, 'b', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK(!nsurlsession_queue_run_until_date(queue, 1));
    CHECK_DIARY(diary, "a");
    latch_count_down(&diary->let_go);
    latch_wait(&diary->latch);
    CHECK_EQ_INT(diary->result, 1);
    CHECK(readable(nsurlsession_queue_fd(queue)));
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_DIARY(diary, "aAbB");
    nsurlsession_release(queue);
}

TEST(two_sessions_on_one_queue)
{
    nsurlsession_t *first = session_on(NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(first);
    /* One recorder for both delegates: it checks that callbacks do not overlap. */
    struct recorder *recorder = recorder_new();
    recorder->without = 1u << CALLBACK_INVALID | 1u << CALLBACK_RELEASE;
    recorder->discard_body = true;
    nsurlsession_t *sessions[2];
    nsurlsession_task_t *tasks[2];
    for (int index = 0; index < 2; index++) {
        sessions[index] = recorder_session(recorder, NULL, queue);
        nsurlsession_queue_t *same = nsurlsession_delegate_queue(sessions[index]);
        CHECK(same == queue);
        nsurlsession_release(same);
        /* The recorder tells tasks apart by their numbers: the second session's is to be 2. */
        if (index == 1)
            start_fetch(sessions[index], http_url("/hello.txt"));
        tasks[index] = nsurlsession_data_task_with_url(sessions[index],
                                                       fault_url("/body?size=500k"));
    }
    for (int index = 0; index < 2; index++)
        nsurlsession_task_resume(tasks[index]);
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    CHECK_EQ_INT(recorder->received, 2 * 500 * 1024);
    for (int index = 0; index < 2; index++) {
        nsurlsession_release(tasks[index]);
        nsurlsession_finish_tasks_and_invalidate(sessions[index]);
        nsurlsession_release(sessions[index]);
    }
    nsurlsession_release(queue);
    nsurlsession_release(first);
}

/* ---- The library's queue ------------------------------------------------------------------- */

/* No callback but "create" was on this thread. */
static void check_never_here(struct recorder *recorder)
{
    for (size_t index = 0; index < recorder->event_count; index++)
        if (recorder->events[index].kind != CALLBACK_CREATE)
            CHECK(!pthread_equal(recorder->events[index].thread, pthread_self()));
}

/* Per task: how many bytes came. Each byte must be the next one of the pattern. */
enum { MOST_TASKS = 16 };

static void check_bytes(struct recorder *recorder, const struct call *call)
{
    uint64_t *received = recorder->user;
    uint64_t identifier = nsurlsession_task_identifier(call->task);
    CHECK(identifier < MOST_TASKS);
    const uint8_t *bytes = nsurlsession_data_bytes(call->data);
    size_t length = nsurlsession_data_length(call->data);
    for (size_t index = 0; index < length; index++)
        if (bytes[index] != pattern_byte(received[identifier] + index))
            FAIL("task %" PRIu64 ": byte %" PRIu64 " is wrong", identifier,
                 received[identifier] + index);
    received[identifier] += length;
}

enum { TASKS = 6, TASK_SIZE = 400 * 1024 };

/*
 * Several tasks at the same time in one session, which is then finished. The recorder checks that
 * callbacks do not overlap, check_bytes that each task's come in their order.
 */
static struct recorder *load_side_by_side(nsurlsession_queue_t *queue)
{
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    uint64_t *received = test_allocate(MOST_TASKS * sizeof *received);
    recorder->user = received;
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, check_bytes});
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    for (int index = 0; index < TASKS; index++)
        nsurlsession_release(
            resumed_task(session, fault_url(test_format("/body?size=%d", TASK_SIZE))));
    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);

    for (uint64_t identifier = 1; identifier <= TASKS; identifier++) {
        CHECK_EQ_INT(received[identifier], TASK_SIZE);
        CHECK_CONTAINS(recorder_log(recorder, identifier), "create, response 200, data ");
        CHECK_CONTAINS(recorder_log(recorder, identifier), ", complete nil");
    }
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RESPONSE), TASKS);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_COMPLETE), TASKS);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_INVALID), 1);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RELEASE), 1);
    return recorder;
}

TEST(library_queue_is_serial_and_never_the_callers_thread)
{
    check_never_here(load_side_by_side(NULL));
}

TEST(others_cannot_run_the_librarys_queue)
{
    nsurlsession_t *session = session_on(NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct diary *diary = diary_new(queue);
    CHECK_EQ_INT(nsurlsession_queue_fd(queue), -1);
    add(diary, 'a', HOLD_UP);
    latch_wait(&diary->inside);
    add(diary, 'b', COUNT_DOWN);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK(!nsurlsession_queue_run(queue));
    CHECK(!nsurlsession_queue_run_until_date(queue, far_date()));
    CHECK_DIARY(diary, "a");
    latch_count_down(&diary->let_go);
    latch_wait(&diary->latch);
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

struct meeting {
    struct latch arrived[2], met;
};

struct guest {
    struct meeting *meeting;
    int number;
};

static void meet(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                 nsurlsession_error_t *error)
{
    struct guest *guest = context;
    (void)data, (void)response;
    CHECK(error == NULL);
    latch_count_down(&guest->meeting->arrived[guest->number]);
    latch_wait(&guest->meeting->arrived[1 - guest->number]);
    latch_count_down(&guest->meeting->met);
}

/* A callback that takes its time holds up its own session alone. */
TEST(sessions_have_their_callbacks_side_by_side)
{
    struct meeting meeting = {{LATCH(1), LATCH(1)}, LATCH(2)};
    struct guest guests[] = {{&meeting, 0}, {&meeting, 1}};
    nsurlsession_t *sessions[2];
    for (int index = 0; index < 2; index++) {
        sessions[index] = session_on(NULL);
        nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
            sessions[index], http_url("/hello.txt"), meet, &guests[index]);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
    latch_wait(&meeting.met);
    nsurlsession_release(sessions[0]);
    nsurlsession_release(sessions[1]);
}

TEST(blocks_among_callbacks_keep_their_order)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_queue_t *queue = nsurlsession_delegate_queue(session);
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_set_suspended(queue, true);
    add(diary, 'a', JUST_WRITE);
    nsurlsession_finish_tasks_and_invalidate(session);
    add(diary, 'b', HOLD_UP);
    add(diary, 'c', COUNT_DOWN);
    nsurlsession_queue_set_suspended(queue, false);
    latch_wait(&diary->inside);
    CHECK_LOG(recorder, "invalid nil, release");
    CHECK_DIARY(diary, "aAb");
    latch_count_down(&diary->let_go);
    latch_wait(&diary->latch);
    CHECK_CONTAINS(read_diary(diary), "aAbBc");
    nsurlsession_release(queue);
    nsurlsession_release(session);
}

/* ---- Executors ----------------------------------------------------------------------------- */

/* What an executor does with the work that it gets. */
enum custom {
    RUN_INSIDE,      /* in `execute` itself */
    RUN_ON_WORKER,   /* on one of its threads, at random */
    DISCARD_INSIDE,
    DISCARD_ON_WORKER,
    RELEASE_ON_WORKER, /* without having run it */
    FORGET,            /* not even retained */
    STORE,             /* retained in `stored` for the test */
};

struct item {
    struct item *next;
    nsurlsession_work_t *work;
    enum custom custom;
};

struct office {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned workers;
    pthread_t threads[4];
    struct item *items[4];
    bool closing;
    enum custom custom;
    unsigned seed;
    unsigned handed_over; /* calls of `execute` */
    unsigned waiting;     /* handed over, and neither run nor discarded nor released */
    nsurlsession_work_t *stored;
    struct latch stored_one;
    struct latch released;
    unsigned releases;
};

static struct office *office_new(unsigned workers, enum custom custom)
{
    struct office *office = test_allocate(sizeof *office);
    pthread_mutex_init(&office->mutex, NULL);
    pthread_cond_init(&office->changed, NULL);
    office->workers = workers;
    office->custom = custom;
    office->seed = 1;
    latch_init(&office->stored_one, 1);
    latch_init(&office->released, 1);
    return office;
}

/* The item is about to be dealt with: from now on there may be another. */
static void take_item(struct office *office)
{
    pthread_mutex_lock(&office->mutex);
    office->waiting--;
    pthread_mutex_unlock(&office->mutex);
}

static void deal_with(struct office *office, nsurlsession_work_t *work, enum custom custom)
{
    take_item(office);
    if (custom == RUN_INSIDE || custom == RUN_ON_WORKER)
        nsurlsession_work_run(work);
    else if (custom == DISCARD_INSIDE || custom == DISCARD_ON_WORKER)
        nsurlsession_work_discard(work);
}

static void execute(void *context, nsurlsession_work_t *work)
{
    struct office *office = context;
    pthread_mutex_lock(&office->mutex);
    CHECK_EQ_INT(office->releases, 0);
    office->handed_over++;
    if (++office->waiting > 1)
        FAIL("a second work item while one is waiting");
    enum custom custom = office->custom;
    if (custom == RUN_ON_WORKER || custom == DISCARD_ON_WORKER || custom == RELEASE_ON_WORKER) {
        struct item *item = test_allocate(sizeof *item);
        item->work = nsurlsession_retain(work);
        item->custom = custom;
        unsigned chosen = (unsigned)rand_r(&office->seed) % office->workers;
        struct item **end = &office->items[chosen];
        while (*end)
            end = &(*end)->next;
        *end = item;
        pthread_cond_broadcast(&office->changed);
    } else if (custom == STORE) {
        CHECK(office->stored == NULL);
        office->stored = nsurlsession_retain(work);
        latch_count_down(&office->stored_one);
    }
    pthread_mutex_unlock(&office->mutex);
    if (custom == RUN_INSIDE || custom == DISCARD_INSIDE || custom == FORGET)
        deal_with(office, work, custom);
}

struct worker {
    struct office *office;
    unsigned number;
};

static void *work_for(void *context)
{
    struct worker *worker = context;
    struct office *office = worker->office;
    struct item **first = &office->items[worker->number];
    pthread_mutex_lock(&office->mutex);
    for (;;) {
        struct item *item = *first;
        if (!item) {
            if (office->closing)
                break;
            pthread_cond_wait(&office->changed, &office->mutex);
            continue;
        }
        *first = item->next;
        pthread_mutex_unlock(&office->mutex);
        deal_with(office, item->work, item->custom);
        nsurlsession_release(item->work);
        pthread_mutex_lock(&office->mutex);
    }
    pthread_mutex_unlock(&office->mutex);
    return NULL;
}

static void office_released(void *context)
{
    struct office *office = context;
    pthread_mutex_lock(&office->mutex);
    office->releases++;
    office->closing = true;
    pthread_cond_broadcast(&office->changed);
    pthread_mutex_unlock(&office->mutex);
    latch_count_down(&office->released);
}

static nsurlsession_queue_t *office_queue(struct office *office)
{
    for (unsigned number = 0; number < office->workers; number++) {
        struct worker *worker = test_allocate(sizeof *worker);
        *worker = (struct worker){office, number};
        office->threads[number] = test_thread(work_for, worker);
    }
    nsurlsession_executor_t executor = {
        .struct_size = sizeof executor,
        .context = office,
        .release = office_released,
        .execute = execute,
    };
    nsurlsession_queue_t *queue = nsurlsession_queue_with_executor(&executor);
    memset(&executor, 0xa5, sizeof executor);
    CHECK(queue != NULL);
    return queue;
}

static unsigned handed_over(struct office *office)
{
    pthread_mutex_lock(&office->mutex);
    unsigned count = office->handed_over;
    pthread_mutex_unlock(&office->mutex);
    return count;
}

static void set_custom(struct office *office, enum custom custom)
{
    pthread_mutex_lock(&office->mutex);
    office->custom = custom;
    pthread_mutex_unlock(&office->mutex);
}

static bool is_worker(const struct office *office, pthread_t thread)
{
    for (unsigned number = 0; number < office->workers; number++)
        if (pthread_equal(office->threads[number], thread))
            return true;
    return false;
}

/* Releases the queue; the executor's context follows, once. */
static void close_office(struct office *office, nsurlsession_queue_t *queue)
{
    CHECK(!latch_is_open(&office->released));
    nsurlsession_release(queue);
    latch_wait(&office->released);
    pthread_mutex_lock(&office->mutex);
    CHECK_EQ_INT(office->releases, 1);
    CHECK_EQ_INT(office->waiting, 0);
    pthread_mutex_unlock(&office->mutex);
}

struct executor_row {
    const char *name;
    unsigned workers;
    enum custom custom;
};

static const struct executor_row running_rows[] = {
    {"inside_execute", 0, RUN_INSIDE},
    {"one_thread", 1, RUN_ON_WORKER},
    {"four_threads_at_random", 4, RUN_ON_WORKER},
};

TEST_EACH(executor_runs_callbacks, struct executor_row, running_rows)
{
    struct office *office = office_new(row->workers, row->custom);
    nsurlsession_queue_t *queue = office_queue(office);
    struct recorder *recorder = load_side_by_side(queue);
    check_never_here(recorder);
    for (size_t index = 0; row->workers > 0 && index < recorder->event_count; index++)
        if (recorder->events[index].kind != CALLBACK_CREATE)
            CHECK(is_worker(office, recorder->events[index].thread));
    CHECK(handed_over(office) > 0);
    close_office(office, queue);
}

TEST_EACH(executor_runs_blocks, struct executor_row, running_rows)
{
    struct office *office = office_new(row->workers, row->custom);
    nsurlsession_queue_t *queue = office_queue(office);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', ADD_ANOTHER);
    add(diary, 'c', WAIT_FOR_ALL);
    add(diary, 'd', POLL);
    add(diary, 'e', RUN);
    add(diary, 'f', HOLD_UP);
    latch_wait(&diary->inside);
    add(diary, 'g', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK(!nsurlsession_queue_run(queue));
    CHECK(!nsurlsession_queue_run_until_date(queue, far_date()));
    CHECK_EQ_INT(nsurlsession_queue_fd(queue), -1);
    latch_count_down(&diary->let_go);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);

    /* 'b' is what the first block added, somewhere after it. */
    const char *text = read_diary(diary);
    CHECK_CONTAINS(text, "bB");
    CHECK_EQ_INT(strlen(text), 2 * 7);
    size_t place = 0;
    for (const char *next = "aAcCdDeEfFgG"; *next; next++) {
        const char *found = strchr(text + place, *next);
        CHECK(found != NULL);
        place = (size_t)(found - text);
    }
    CHECK_EQ_INT(diary->result, 0);
    close_office(office, queue);
}

/* One after another, so that each is a work item of its own, on whichever thread. */
TEST_EACH(executor_gets_an_item_each_time, struct executor_row, running_rows)
{
    struct office *office = office_new(row->workers, row->custom);
    nsurlsession_queue_t *queue = office_queue(office);
    unsigned blocks_of[4] = {0};
    for (unsigned count = 1; count <= 40; count++) {
        struct diary *diary = diary_new(queue);
        add(diary, 'a', JUST_WRITE);
        nsurlsession_queue_wait_until_all_operations_are_finished(queue);
        CHECK_DIARY(diary, "aA");
        CHECK_EQ_INT(handed_over(office), count);
        CHECK(!pthread_equal(diary->thread, pthread_self()));
        for (unsigned number = 0; number < office->workers; number++)
            blocks_of[number] += (bool)pthread_equal(diary->thread, office->threads[number]);
    }
    unsigned total = 0;
    for (unsigned number = 0; number < office->workers; number++) {
        CHECK(blocks_of[number] > 0);
        total += blocks_of[number];
    }
    CHECK_EQ_INT(total, office->workers > 0 ? 40 : 0);
    close_office(office, queue);
}

TEST(many_blocks_on_a_pool_keep_their_order)
{
    static struct numbered numbered[NUMBERS];
    struct office *office = office_new(4, RUN_ON_WORKER);
    struct runners runners = {.queue = office_queue(office), .done = LATCH(NUMBERS)};
    for (int number = 0; number < NUMBERS; number++) {
        numbered[number] = (struct numbered){&runners, number};
        nsurlsession_queue_add_operation_with_block(runners.queue, run_numbered, &numbered[number],
                                                    NULL);
    }
    latch_wait(&runners.done);
    close_office(office, runners.queue);
}

/* There is no run that a stop could end. */
TEST_EACH(stop_does_not_hinder_an_executor, struct executor_row, running_rows)
{
    struct office *office = office_new(row->workers, row->custom);
    nsurlsession_queue_t *queue = office_queue(office);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', STOP);
    add(diary, 'b', COUNT_DOWN);
    latch_wait(&diary->latch);
    CHECK_CONTAINS(read_diary(diary), "aAb");
    close_office(office, queue);
}

static const struct executor_row refusing_rows[] = {
    {"discarded_inside_execute", 0, DISCARD_INSIDE},
    {"discarded_on_its_thread", 2, DISCARD_ON_WORKER},
    {"released_on_its_thread", 2, RELEASE_ON_WORKER},
    {"never_retained", 0, FORGET},
};

/* The library takes over, and the executor gets no more work. */
TEST_EACH(work_that_an_executor_refuses, struct executor_row, refusing_rows)
{
    struct office *office = office_new(row->workers, row->custom);
    nsurlsession_queue_t *queue = office_queue(office);
    struct recorder *recorder = load_side_by_side(queue);
    check_never_here(recorder);
    for (size_t index = 0; index < recorder->event_count; index++)
        CHECK(!is_worker(office, recorder->events[index].thread));
    CHECK_EQ_INT(handed_over(office), 1);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aA");
    CHECK(!is_worker(office, diary->thread));
    CHECK_EQ_INT(handed_over(office), 1);
    close_office(office, queue);
}

/* An executor that worked for a while and then shuts down. */
TEST_EACH(executor_that_shuts_down, struct executor_row, refusing_rows)
{
    struct office *office = office_new(row->workers, RUN_INSIDE);
    nsurlsession_queue_t *queue = office_queue(office);
    nsurlsession_t *session = session_on(queue);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    struct completion *held = start_fetch(session, held_url());
    wait_until_held(1);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    unsigned before = handed_over(office);
    CHECK(before > 0);

    set_custom(office, row->custom);
    let_held_go();
    completion_wait(held);
    CHECK_EQ_STR(held->body, "released\n");
    CHECK(!is_worker(office, held->thread));
    CHECK_EQ_INT(handed_over(office), before + 1);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    CHECK_EQ_INT(handed_over(office), before + 1);
    nsurlsession_release(session);
    close_office(office, queue);
}

TEST(work_runs_once)
{
    struct office *office = office_new(0, STORE);
    nsurlsession_queue_t *queue = office_queue(office);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    add(diary, 'b', JUST_WRITE);
    latch_wait(&office->stored_one);
    CHECK_EQ_INT(handed_over(office), 1);
    CHECK_DIARY(diary, "");
    nsurlsession_work_t *work = office->stored;
    office->stored = NULL;
    set_custom(office, RUN_INSIDE);
    take_item(office);
    nsurlsession_work_run(work);
    CHECK_DIARY(diary, "aAbB");
    CHECK(pthread_equal(diary->thread, pthread_self()));

    /* Again, and too late to be discarded: the executor keeps the queue. */
    nsurlsession_work_run(work);
    nsurlsession_work_discard(work);
    nsurlsession_release(work);
    unsigned before = handed_over(office);
    add(diary, 'c', JUST_WRITE);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aAbBcC");
    CHECK_EQ_INT(handed_over(office), before + 1);
    close_office(office, queue);
}

/* A work item whose queue has nothing left, or may not start anything, runs nothing. */
TEST(work_for_a_queue_that_came_to_rest)
{
    struct office *office = office_new(0, STORE);
    nsurlsession_queue_t *queue = office_queue(office);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    latch_wait(&office->stored_one);
    nsurlsession_queue_set_suspended(queue, true);
    add(diary, 'b', JUST_WRITE);
    nsurlsession_work_t *work = office->stored;
    office->stored = NULL;
    set_custom(office, RUN_INSIDE);
    take_item(office);
    nsurlsession_work_run(work);
    CHECK_DIARY(diary, "");
    CHECK_EQ_INT(handed_over(office), 1);
    nsurlsession_release(work);
    nsurlsession_queue_set_suspended(queue, false);
    nsurlsession_queue_wait_until_all_operations_are_finished(queue);
    CHECK_DIARY(diary, "aAbB");
    CHECK_EQ_INT(handed_over(office), 2);
    close_office(office, queue);
}

/* The last reference to the queue is the work item's. */
TEST(work_outlives_its_queue)
{
    struct office *office = office_new(0, STORE);
    nsurlsession_queue_t *queue = office_queue(office);
    struct diary *diary = diary_new(queue);
    add(diary, 'a', JUST_WRITE);
    latch_wait(&office->stored_one);
    nsurlsession_retain(queue); /* for the diary's blocks, which look at it */
    nsurlsession_release(queue);
    take_item(office);
    nsurlsession_work_run(office->stored);
    CHECK_DIARY(diary, "aA");
    nsurlsession_release(queue);
    CHECK(pthread_equal(diary->thread, pthread_self()));
    nsurlsession_release(office->stored);
    latch_wait(&office->released);
    CHECK_EQ_INT(office->releases, 1);
}

TEST(executor_is_released_after_its_sessions)
{
    struct office *office = office_new(1, RUN_ON_WORKER);
    nsurlsession_queue_t *queue = office_queue(office);
    nsurlsession_t *session = session_on(queue);
    nsurlsession_release(queue);
    struct completion *completion = start_fetch(session, held_url());
    wait_until_held(1);
    nsurlsession_release(session);
    CHECK(!latch_is_open(&office->released));
    let_held_go();
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, "released\n");
    CHECK(is_worker(office, completion->thread));
    latch_wait(&office->released);
    CHECK_EQ_INT(office->releases, 1);
}

TEST(executors_that_cannot_be)
{
    struct office *office = office_new(0, RUN_INSIDE);
    nsurlsession_executor_t executor = {
        .struct_size = sizeof executor, .context = office, .release = office_released};
    CHECK(nsurlsession_queue_with_executor(&executor) == NULL);
    CHECK_EQ_INT(office->releases, 1);
    executor.release = NULL;
    CHECK(nsurlsession_queue_with_executor(&executor) == NULL);
    executor.execute = execute;
    executor.struct_size = 0;
    CHECK(nsurlsession_queue_with_executor(&executor) == NULL);
    executor.struct_size = offsetof(nsurlsession_executor_t, execute);
    CHECK(nsurlsession_queue_with_executor(&executor) == NULL);
    CHECK_EQ_INT(office->releases, 1);
}

/* ---- A queue that its user has released ---------------------------------------------------- */

TEST(released_queue_is_run_by_the_library)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    nsurlsession_release(queue);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    check_never_here(recorder);
}

/* First the caller runs it; then it is released with callbacks waiting. */
TEST(queue_released_in_the_middle)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_HELD, false, NULL});
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    int descriptor = nsurlsession_queue_fd(queue);
    while (recorder_count(recorder, CALLBACK_RESPONSE) == 0) {
        wait_until_readable(descriptor);
        nsurlsession_queue_poll(queue);
    }
    CHECK(pthread_equal(recorder_event(recorder, CALLBACK_RESPONSE, 1).thread, pthread_self()));
    recorder_answer(recorder, true);
    CHECK_LOG(recorder, "create, response 200");
    nsurlsession_release(queue);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    CHECK(!pthread_equal(recorder_event(recorder, CALLBACK_COMPLETE, 1).thread, pthread_self()));
}

/* A stop for which there was no run any more. */
TEST(queue_released_with_a_stop_left)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_queue_stop(queue);
    nsurlsession_release(queue);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
}

static void leave(struct recorder *recorder, const struct call *call)
{
    nsurlsession_finish_tasks_and_invalidate(call->session);
    nsurlsession_queue_stop(recorder->user);
    nsurlsession_release(recorder->user);
}

/* Inside its last callback the caller ends the run and lets the queue go. */
TEST(queue_released_inside_a_callback)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct recorder *recorder = recorder_new();
    recorder->user = queue;
    recorder_script(recorder, {CALLBACK_COMPLETE, 1, ACTION_NONE, false, leave});
    nsurlsession_t *session = recorder_session(recorder, NULL, queue);
    nsurlsession_release(resumed_task(session, http_url("/hello.txt")));
    CHECK(nsurlsession_queue_run_until_date(queue, far_date()));
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, response 200, data 14, complete nil, invalid nil, release");
    nsurlsession_release(session);
}

static void release_queue_of(void *context)
{
    struct diary *diary = context;
    nsurlsession_release(diary->queue);
}

/* While it is being run, a release changes nothing: what is left runs here. */
TEST(queue_released_inside_a_block)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct diary *diary = diary_new(queue);
    nsurlsession_queue_add_operation_with_block(queue, release_queue_of, diary, NULL);
    add(diary, 'a', JUST_WRITE);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 2);
    CHECK_DIARY(diary, "aA");
    CHECK(pthread_equal(diary->thread, pthread_self()));
}

/* The session gives the handle back. */
TEST(released_queue_from_its_session)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_t *session = session_on(queue);
    nsurlsession_release(queue);
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_queue_t *again = nsurlsession_delegate_queue(session);
    CHECK(again == queue);
    struct diary *diary = diary_new(again);
    add(diary, 'a', COUNT_DOWN);
    latch_wait(&diary->latch);
    nsurlsession_queue_wait_until_all_operations_are_finished(again);
    CHECK_DIARY(diary, "aA");
    CHECK_EQ_STR(fetch(session, http_url("/hello.txt"))->body, "Hello, world!\n");
    nsurlsession_release(again);
    nsurlsession_release(session);
}
