/* The progress of tasks: what it mirrors, and what is done to a task through it. */
#include "load.h"
#include "misuse.h"

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

TEST(a_task_sets_what_belongs_to_it)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url("/echo"));
    nsurlsession_progress_t *progress = nsurlsession_task_progress(task);
    CHECK_MISUSE("nsurlsession_progress_set_cancellable",
                 nsurlsession_progress_set_cancellable(progress, false));
    CHECK_MISUSE("nsurlsession_progress_set_pausable",
                 nsurlsession_progress_set_pausable(progress, false));
    CHECK_MISUSE("nsurlsession_progress_set_kind", nsurlsession_progress_set_kind(progress, NULL));
    CHECK_MISUSE("nsurlsession_progress_set_file_operation_kind",
                 nsurlsession_progress_set_file_operation_kind(progress, NULL));
    CHECK_MISUSE("nsurlsession_progress_set_localized_description",
                 nsurlsession_progress_set_localized_description(progress, "text"));
    CHECK_MISUSE("nsurlsession_progress_set_localized_additional_description",
                 nsurlsession_progress_set_localized_additional_description(progress, "text"));
    CHECK_MISUSE("nsurlsession_progress_set_estimated_time_remaining",
                 nsurlsession_progress_set_estimated_time_remaining(progress, 1));
    CHECK_MISUSE("nsurlsession_progress_set_throughput",
                 nsurlsession_progress_set_throughput(progress, 1));
    CHECK(nsurlsession_progress_cancellable(progress));
    CHECK(nsurlsession_progress_pausable(progress));
    CHECK_EQ_STR(text_of(nsurlsession_progress_kind(progress)), NSURLSESSION_PROGRESS_KIND_FILE);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_description(progress)), "Receiving…");
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), -1);

    nsurlsession_progress_t *child = nsurlsession_progress_discrete_with_total_unit_count(1);
    CHECK_MISUSE("nsurlsession_progress_add_child_with_pending_unit_count",
                 nsurlsession_progress_add_child_with_pending_unit_count(progress, child, 1));
    nsurlsession_release(child);
    nsurlsession_release(progress);
    nsurlsession_release(task);
    session_end(session);
}

TEST(resuming_the_progress_starts_the_task)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_new(session, request_for("GET", fault_url("/body?size=500"), NULL));
    nsurlsession_progress_t *progress = nsurlsession_task_progress(load->task);
    nsurlsession_progress_resume(progress);
    load_wait(load);
    CHECK(nsurlsession_progress_finished(progress));
    CHECK_EQ_INT(nsurlsession_progress_completed_unit_count(progress), 500);
    nsurlsession_release(progress);
    session_end(session);
}

TEST(a_progress_that_is_asked_for_when_all_is_over)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_start(session, request_for("GET", fault_url("/body?size=500"), NULL));
    load_wait(load);
    nsurlsession_progress_t *progress = nsurlsession_task_progress(load->task);
    CHECK(nsurlsession_progress_finished(progress));
    CHECK_BETWEEN(nsurlsession_progress_fraction_completed(progress), 1, 1);
    nsurlsession_release(progress);
    CHECK(nsurlsession_task_progress(NULL) == NULL);
    session_end(session);
}

TEST(the_progress_of_a_task_is_paused_and_cancelled_with_it)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_start(session, request_for("GET", held_url(), NULL));
    wait_until_held(1);
    nsurlsession_progress_t *progress = nsurlsession_task_progress(load->task);
    CHECK(!nsurlsession_progress_paused(progress));
    nsurlsession_task_suspend(load->task);
    CHECK(nsurlsession_progress_paused(progress));
    nsurlsession_task_resume(load->task);
    CHECK(!nsurlsession_progress_paused(progress));
    /* Suspensions are counted: the second one is left. */
    nsurlsession_task_suspend(load->task);
    nsurlsession_task_suspend(load->task);
    nsurlsession_progress_resume(progress);
    CHECK(nsurlsession_progress_paused(progress));
    CHECK_EQ_INT(nsurlsession_task_state(load->task), NSURLSESSION_TASK_STATE_SUSPENDED);
    nsurlsession_progress_resume(progress);
    CHECK(!nsurlsession_progress_paused(progress));
    CHECK_EQ_INT(nsurlsession_task_state(load->task), NSURLSESSION_TASK_STATE_RUNNING);
    CHECK(!nsurlsession_progress_cancelled(progress));
    nsurlsession_task_cancel(load->task);
    CHECK(nsurlsession_progress_cancelled(progress));
    load_wait(load);
    CHECK(!nsurlsession_progress_finished(progress));
    nsurlsession_release(progress);
    session_end(session);
}
