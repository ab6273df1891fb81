/*
 * NSProgress, alone, in trees, and as the mirror of a task.
 */
#include "load.h"
#include "misuse.h"

#include <math.h>

static const char *text_at_label(nsurlsession_string_t *text)
{
    return text ? text_of(text) : NULL;
}

TEST(counts)
{
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(8);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(progress), 8);
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress), 0);
    CHECK(!nsurlsession_progress_indeterminate(progress));
    nsurlsession_progress_set_completed_unit_count(progress, 2);
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress), 2);
    CHECK(nsurlsession_progress_fraction_completed(progress) == 0.25);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_description(progress)), "25% completed");
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_additional_description(progress)), "2 of 8");
    nsurlsession_progress_set_total_unit_count(progress, 4);
    CHECK(nsurlsession_progress_fraction_completed(progress) == 0.5);
    nsurlsession_progress_set_total_unit_count(progress, -1);
    CHECK(nsurlsession_progress_indeterminate(progress));
    CHECK(nsurlsession_progress_fraction_completed(progress) == 0);
    nsurlsession_progress_set_total_unit_count(progress, 4);
    CHECK(!nsurlsession_progress_finished(progress));
    nsurlsession_progress_set_completed_unit_count(progress, 4);
    CHECK(nsurlsession_progress_finished(progress));
    CHECK(nsurlsession_progress_fraction_completed(progress) == 1);
    nsurlsession_release(progress);
}

TEST(what_can_be_set)
{
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(10);
    CHECK(nsurlsession_progress_cancellable(progress) && !nsurlsession_progress_pausable(progress));
    nsurlsession_progress_set_cancellable(progress, false);
    nsurlsession_progress_set_pausable(progress, true);
    CHECK(!nsurlsession_progress_cancellable(progress) && nsurlsession_progress_pausable(progress));
    CHECK(text_at_label(nsurlsession_progress_kind(progress)) == NULL);
    CHECK(text_at_label(nsurlsession_progress_file_operation_kind(progress)) == NULL);
    nsurlsession_progress_set_kind(progress, NSURLSESSION_PROGRESS_KIND_FILE);
    nsurlsession_progress_set_file_operation_kind(
        progress, NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_UPLOADING);
    CHECK_EQ_STR(text_of(nsurlsession_progress_kind(progress)), NSURLSESSION_PROGRESS_KIND_FILE);
    CHECK_EQ_STR(text_of(nsurlsession_progress_file_operation_kind(progress)),
                 NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_UPLOADING);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_description(progress)), "Uploading…");
    nsurlsession_progress_set_localized_description(progress, "Sending");
    nsurlsession_progress_set_localized_additional_description(progress, "slowly");
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_description(progress)), "Sending");
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_additional_description(progress)), "slowly");
    nsurlsession_progress_set_localized_additional_description(progress, NULL);

    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(progress)));
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), -1);
    nsurlsession_progress_set_throughput(progress, 2);
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), 2);
    CHECK(nsurlsession_progress_estimated_time_remaining(progress) == 5);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_additional_description(progress)),
                 "0 bytes of 10 bytes (2 bytes/sec) — About 5 seconds remaining");
    nsurlsession_progress_set_estimated_time_remaining(progress, 90);
    CHECK(nsurlsession_progress_estimated_time_remaining(progress) == 90);
    nsurlsession_progress_set_estimated_time_remaining(progress, NAN);
    nsurlsession_progress_set_throughput(progress, -1);
    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(progress)));
    nsurlsession_release(progress);
}

/* ---- Handlers -------------------------------------------------------------------------------- */

struct counter {
    unsigned calls, releases;
};

static void count_call(void *context)
{
    ((struct counter *)context)->calls++;
}

static void count_release(void *context)
{
    ((struct counter *)context)->releases++;
}

TEST(handlers)
{
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(1);
    struct counter cancelled = {0}, paused = {0}, resumed = {0}, late = {0};
    CHECK(nsurlsession_progress_cancellation_handler(progress) == NULL);
    nsurlsession_progress_set_cancellation_handler(progress, count_call, &cancelled, count_release);
    nsurlsession_progress_set_pausing_handler(progress, count_call, &paused, count_release);
    nsurlsession_progress_set_resuming_handler(progress, count_call, &resumed, count_release);
    CHECK(nsurlsession_progress_cancellation_handler(progress) == count_call);
    CHECK(nsurlsession_progress_pausing_handler(progress) == count_call);
    CHECK(nsurlsession_progress_resuming_handler(progress) == count_call);
    nsurlsession_progress_resume(progress);
    CHECK_EQ_INT(resumed.calls, 0);
    nsurlsession_progress_pause(progress);
    nsurlsession_progress_pause(progress);
    CHECK(nsurlsession_progress_paused(progress));
    CHECK_EQ_INT(paused.calls, 1);
    nsurlsession_progress_resume(progress);
    CHECK(!nsurlsession_progress_paused(progress));
    CHECK_EQ_INT(resumed.calls, 1);
    nsurlsession_progress_cancel(progress);
    nsurlsession_progress_cancel(progress);
    CHECK(nsurlsession_progress_cancelled(progress));
    CHECK_EQ_INT(cancelled.calls, 1);
    /* Too late: called at once, and the one before is released. */
    nsurlsession_progress_set_cancellation_handler(progress, count_call, &late, count_release);
    CHECK_EQ_INT(late.calls, 1);
    CHECK_EQ_INT(cancelled.releases, 1);
    nsurlsession_release(progress);
    CHECK_EQ_INT(late.releases, 1);
    CHECK_EQ_INT(paused.releases, 1);
    CHECK_EQ_INT(resumed.releases, 1);
    struct counter lost = {0};
    nsurlsession_progress_set_pausing_handler(NULL, count_call, &lost, count_release);
    CHECK_EQ_INT(lost.releases, 1);
}

/* ---- Trees ----------------------------------------------------------------------------------- */

TEST(children)
{
    nsurlsession_progress_t *root = nsurlsession_progress_discrete_with_total_unit_count(10);
    nsurlsession_progress_t *child = nsurlsession_progress_discrete_with_total_unit_count(4);
    struct counter cancelled = {0};
    nsurlsession_progress_set_cancellation_handler(child, count_call, &cancelled, count_release);
    nsurlsession_progress_add_child_with_pending_unit_count(root, child, 5);
    nsurlsession_progress_set_completed_unit_count(child, 2);
    CHECK(nsurlsession_progress_fraction_completed(root) == 0.25);
    const char *name = "nsurlsession_progress_add_child_with_pending_unit_count";
    CHECK_MISUSE(name, nsurlsession_progress_add_child_with_pending_unit_count(root, child, 5));
    CHECK_MISUSE(name, nsurlsession_progress_add_child_with_pending_unit_count(child, root, 5));
    CHECK_MISUSE(name, nsurlsession_progress_add_child_with_pending_unit_count(root, root, 5));
    nsurlsession_progress_pause(root);
    CHECK(nsurlsession_progress_paused(child));
    nsurlsession_progress_resume(root);
    CHECK(!nsurlsession_progress_paused(child));
    nsurlsession_progress_cancel(root);
    CHECK(nsurlsession_progress_cancelled(child));
    CHECK_EQ_INT(cancelled.calls, 1);
    nsurlsession_progress_set_completed_unit_count(child, 4);
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(root), 5);
    nsurlsession_release(root);
    nsurlsession_release(child);
    CHECK_EQ_INT(cancelled.releases, 1);
}

/* ---- Observers ------------------------------------------------------------------------------- */

struct observed {
    unsigned calls, releases;
    int64_t completed;
    pthread_t thread;
};

static void observe(void *context, nsurlsession_progress_t *progress)
{
    struct observed *observed = context;
    observed->calls++;
    observed->completed = nsurlsession_progress_completed_unit_count(progress);
    observed->thread = pthread_self();
}

static void release_observed(void *context)
{
    ((struct observed *)context)->releases++;
}

TEST(changes_that_wait_are_told_once)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(10);
    struct observed observed = {0};
    nsurlsession_progress_set_change_handler(progress, queue, observe, &observed, release_observed);
    for (int64_t count = 1; count <= 5; count++)
        nsurlsession_progress_set_completed_unit_count(progress, count);
    CHECK_EQ_INT(observed.calls, 0);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(observed.calls, 1);
    CHECK_EQ_INT(observed.completed, 5);
    CHECK(pthread_equal(observed.thread, pthread_self()));
    nsurlsession_progress_set_completed_unit_count(progress, 6);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(observed.completed, 6);
    nsurlsession_progress_set_change_handler(progress, NULL, NULL, NULL, NULL);
    CHECK_EQ_INT(observed.releases, 1);
    nsurlsession_release(progress);
    nsurlsession_release(queue);
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

TEST(a_download_mirrors_itself)
{
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_DOWNLOADED;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    const char *name = unique_name();
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(
        session, fault_url(test_format("/holdbody?name=%s&size=10000", name)));
    nsurlsession_progress_t *progress = nsurlsession_task_progress(task);
    nsurlsession_progress_t *again = nsurlsession_task_progress(task);
    CHECK(progress == again);
    nsurlsession_release(again);
    CHECK(nsurlsession_progress_indeterminate(progress));
    CHECK(nsurlsession_progress_pausable(progress) && nsurlsession_progress_cancellable(progress));
    CHECK_EQ_STR(text_of(nsurlsession_progress_kind(progress)), NSURLSESSION_PROGRESS_KIND_FILE);
    CHECK_EQ_STR(text_of(nsurlsession_progress_file_operation_kind(progress)),
                 NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_DOWNLOADING);
    nsurlsession_task_resume(task);
    EVENTUALLY(nsurlsession_progress_completed_unit_count(progress) == 5000);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(progress), 10000);
    CHECK(nsurlsession_progress_fraction_completed(progress) == 0.5);
    nsurlsession_progress_pause(progress);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_progress_resume(progress);
    CHECK_EQ_INT(nsurlsession_task_state(task), NSURLSESSION_TASK_STATE_RUNNING);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK(nsurlsession_progress_finished(progress));
    CHECK(nsurlsession_progress_fraction_completed(progress) == 1);
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress), 10000);
    nsurlsession_release(progress);
    nsurlsession_release(task);
    session_end(session);
}

TEST(sent_and_received_bytes_are_added_up)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_new(
        session, with_body(request_for("POST", fault_url("/echo"), NULL), pattern_bytes(3000), 3000));
    nsurlsession_progress_t *progress = nsurlsession_task_progress(load->task);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(progress), 3000);
    nsurlsession_task_resume(load->task);
    load_wait(load);
    EVENTUALLY(nsurlsession_progress_finished(progress));
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress),
                 3000 + (int64_t)load->completion->body_length);
    nsurlsession_release(progress);
    session_end(session);
}

TEST(cancelling_the_progress_cancels_the_task)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_start(session, request_for("GET", held_url(), NULL));
    wait_until_held(1);
    nsurlsession_progress_t *progress = nsurlsession_task_progress(load->task);
    nsurlsession_progress_cancel(progress);
    load_wait(load);
    CHECK_EQ_INT(nsurlsession_error_code(load->error), NSURLSESSION_ERROR_CANCELLED);
    CHECK(!nsurlsession_progress_finished(progress));
    nsurlsession_release(progress);
    session_end(session);
}

TEST(a_task_below_a_progress_of_the_programs)
{
    nsurlsession_progress_t *root = nsurlsession_progress_discrete_with_total_unit_count(2);
    nsurlsession_t *session = session_for(NULL);
    struct load *first = load_new(session, request_for("GET", fault_url("/body?size=500"), NULL));
    struct load *second = load_new(session, request_for("GET", fault_url("/body?size=0"), NULL));
    struct load *loads[] = {first, second};
    for (unsigned index = 0; index < 2; index++) {
        nsurlsession_progress_t *child = nsurlsession_task_progress(loads[index]->task);
        nsurlsession_progress_add_child_with_pending_unit_count(root, child, 1);
        nsurlsession_release(child);
        nsurlsession_task_resume(loads[index]->task);
    }
    load_wait(first);
    load_wait(second);
    EVENTUALLY(nsurlsession_progress_finished(root));
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(root), 2);
    nsurlsession_release(root);
    session_end(session);
}

TEST(nothing_for_null)
{
    CHECK(nsurlsession_task_progress(NULL) == NULL);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(NULL), 0);
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(NULL), 0);
    CHECK(nsurlsession_progress_fraction_completed(NULL) == 0);
    CHECK(!nsurlsession_progress_indeterminate(NULL) && !nsurlsession_progress_finished(NULL));
    CHECK(!nsurlsession_progress_cancelled(NULL) && !nsurlsession_progress_paused(NULL));
    CHECK(nsurlsession_progress_localized_description(NULL) == NULL);
    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(NULL)));
    CHECK_EQ_INT(nsurlsession_progress_throughput(NULL), -1);
    nsurlsession_progress_cancel(NULL);
    nsurlsession_progress_pause(NULL);
    nsurlsession_progress_resume(NULL);
    nsurlsession_progress_set_total_unit_count(NULL, 1);
    nsurlsession_progress_add_child_with_pending_unit_count(NULL, NULL, 1);
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    CHECK_MISUSE("nsurlsession_progress_total_unit_count",
                 CHECK_EQ_INT(nsurlsession_progress_total_unit_count((nsurlsession_progress_t *)(void *)queue), 0));
    nsurlsession_release(queue);
}
