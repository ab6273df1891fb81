/* Progress: counts, trees, signals and their handlers, descriptions, and the change handler. */
#include "misuse.h"
#include "recorder.h"

#include <math.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

static nsurlsession_progress_t *progress_of(int64_t completed, int64_t total)
{
    nsurlsession_progress_t *progress =
        nsurlsession_progress_discrete_with_total_unit_count(total);
    nsurlsession_progress_set_completed_unit_count(progress, completed);
    return progress;
}

static double fraction(const nsurlsession_progress_t *progress)
{
    return nsurlsession_progress_fraction_completed(progress);
}

static int64_t completed(const nsurlsession_progress_t *progress)
{
    return nsurlsession_progress_completed_unit_count(progress);
}

/* Numbers that a few sums and quotients away from each other are the same. */
#define CHECK_NEAR(actual, expected) CHECK_BETWEEN(actual, (expected)-1e-12, (expected) + 1e-12)

#define add_child nsurlsession_progress_add_child_with_pending_unit_count
static const char add_child_name[] = "nsurlsession_progress_add_child_with_pending_unit_count";

/* What a handler sees. */
struct heard {
    unsigned calls;
    unsigned releases;
    pthread_t thread;
    pthread_t release_thread;
    nsurlsession_progress_t *progress; /* what `act` is done to */
    void (*act)(nsurlsession_progress_t *progress);
};

static void hear(void *context)
{
    struct heard *heard = context;
    CHECK_EQ_INT(heard->releases, 0);
    heard->calls++;
    heard->thread = pthread_self();
    if (heard->act)
        heard->act(heard->progress);
}

static void hear_too(void *context)
{
    hear(context);
}

static void let_go(void *context)
{
    struct heard *heard = context;
    heard->releases++;
    heard->release_thread = pthread_self();
}

/* ---- Counts -------------------------------------------------------------------------------- */

TEST(a_new_progress)
{
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(7);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(progress), 7);
    CHECK_EQ_INT(completed(progress), 0);
    CHECK_BETWEEN(fraction(progress), 0, 0);
    CHECK(!nsurlsession_progress_indeterminate(progress));
    CHECK(!nsurlsession_progress_finished(progress));
    CHECK(nsurlsession_progress_cancellable(progress));
    CHECK(!nsurlsession_progress_pausable(progress));
    CHECK(!nsurlsession_progress_cancelled(progress));
    CHECK(!nsurlsession_progress_paused(progress));
    CHECK(nsurlsession_progress_cancellation_handler(progress) == NULL);
    CHECK(nsurlsession_progress_pausing_handler(progress) == NULL);
    CHECK(nsurlsession_progress_resuming_handler(progress) == NULL);
    CHECK(nsurlsession_progress_kind(progress) == NULL);
    CHECK(nsurlsession_progress_file_operation_kind(progress) == NULL);
    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(progress)));
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), -1);
    nsurlsession_release(progress);
}

struct counts {
    const char *name;
    int64_t completed, total;
    double fraction;
    bool indeterminate, finished;
};

static const struct counts all_counts[] = {
    {"nothing_to_do", 0, 0, 1, false, false},
    {"not_begun", 0, 8, 0, false, false},
    {"under_way", 2, 8, 0.25, false, false},
    {"done", 8, 8, 1, false, true},
    {"more_than_all", 9, 8, 1, false, true},
    {"done_of_nothing", 5, 0, 1, false, true},
    {"total_unknown", 5, -1, 0, true, false},
    {"completed_unknown", -1, 8, 0, true, false},
    {"largest", INT64_MAX, INT64_MAX, 1, false, true},
    {"smallest", INT64_MIN, INT64_MIN, 0, true, false},
};

TEST_EACH(counts, struct counts, all_counts)
{
    nsurlsession_progress_t *progress = nsurlsession_progress_discrete_with_total_unit_count(1);
    nsurlsession_progress_set_total_unit_count(progress, row->total);
    nsurlsession_progress_set_completed_unit_count(progress, row->completed);
    CHECK_EQ_INT(nsurlsession_progress_total_unit_count(progress), row->total);
    CHECK_EQ_INT(completed(progress), row->completed);
    CHECK_BETWEEN(fraction(progress), row->fraction, row->fraction);
    CHECK_EQ_INT(nsurlsession_progress_indeterminate(progress), row->indeterminate);
    CHECK_EQ_INT(nsurlsession_progress_finished(progress), row->finished);
    nsurlsession_release(progress);
}

/* ---- Trees --------------------------------------------------------------------------------- */

TEST(children_count_for_their_units)
{
    nsurlsession_progress_t *top = progress_of(1, 10);
    nsurlsession_progress_t *one = progress_of(0, 4), *other = progress_of(0, 100);
    nsurlsession_progress_t *below = progress_of(0, 50);
    add_child(top, one, 5);
    add_child(top, other, 4);
    add_child(other, below, 60);
    CHECK_NEAR(fraction(top), 0.1);

    nsurlsession_progress_set_completed_unit_count(one, 1);
    CHECK_NEAR(fraction(top), 0.1 + 0.5 * 0.25);
    nsurlsession_progress_set_completed_unit_count(below, 25);
    CHECK_NEAR(fraction(other), 0.3);
    CHECK_NEAR(fraction(top), 0.1 + 0.5 * 0.25 + 0.4 * 0.3);
    CHECK_EQ_INT(completed(top), 1);

    nsurlsession_progress_set_total_unit_count(one, 2);
    CHECK_NEAR(fraction(top), 0.1 + 0.5 * 0.5 + 0.4 * 0.3);
    nsurlsession_progress_set_total_unit_count(one, -1);
    CHECK_NEAR(fraction(top), 0.1 + 0.4 * 0.3);
    nsurlsession_progress_set_total_unit_count(top, 20);
    CHECK_NEAR(fraction(top), 0.05 + 0.2 * 0.3);

    nsurlsession_release(top);
    nsurlsession_release(one);
    nsurlsession_release(other);
    nsurlsession_release(below);
}

TEST(finished_children_become_completed_units)
{
    nsurlsession_progress_t *top = progress_of(0, 10), *middle = progress_of(0, 2);
    nsurlsession_progress_t *one = progress_of(0, 3), *other = progress_of(0, 3);
    add_child(top, middle, 10);
    add_child(middle, one, 1);
    add_child(middle, other, 1);
    nsurlsession_progress_set_completed_unit_count(one, 3);
    CHECK_EQ_INT(completed(middle), 1);
    CHECK_EQ_INT(completed(top), 0);
    CHECK_NEAR(fraction(top), 0.5);

    /* It was counted: what becomes of it now changes nothing. */
    nsurlsession_progress_set_completed_unit_count(one, 0);
    nsurlsession_progress_set_completed_unit_count(one, 3);
    CHECK_EQ_INT(completed(middle), 1);
    CHECK_NEAR(fraction(middle), 0.5);

    CHECK(!nsurlsession_progress_finished(top));
    nsurlsession_progress_set_total_unit_count(other, 2);
    nsurlsession_progress_set_completed_unit_count(other, 2);
    CHECK_EQ_INT(completed(middle), 2);
    CHECK(nsurlsession_progress_finished(middle));
    CHECK_EQ_INT(completed(top), 10);
    CHECK(nsurlsession_progress_finished(top));
    CHECK_BETWEEN(fraction(top), 1, 1);

    nsurlsession_release(top);
    nsurlsession_release(middle);
    nsurlsession_release(one);
    nsurlsession_release(other);
}

TEST(a_total_that_sinks_finishes)
{
    nsurlsession_progress_t *top = progress_of(0, 2), *child = progress_of(3, 5);
    add_child(top, child, 1);
    nsurlsession_progress_set_total_unit_count(child, 3);
    CHECK(nsurlsession_progress_finished(child));
    CHECK_EQ_INT(completed(top), 1);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

TEST(a_child_that_has_finished_before)
{
    nsurlsession_progress_t *top = progress_of(0, 4), *child = progress_of(3, 3);
    add_child(top, child, 3);
    CHECK_EQ_INT(completed(top), 3);
    CHECK_NEAR(fraction(top), 0.75);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

TEST(a_child_that_has_not_said_how_much)
{
    nsurlsession_progress_t *top = progress_of(0, 0), *child = progress_of(0, 0);
    CHECK_BETWEEN(fraction(child), 1, 1);
    add_child(top, child, 1);
    /* There is work, but no telling how much. */
    CHECK(nsurlsession_progress_indeterminate(top));
    CHECK_BETWEEN(fraction(top), 0, 0);
    nsurlsession_progress_set_total_unit_count(top, 2);
    CHECK(!nsurlsession_progress_indeterminate(top));
    CHECK_BETWEEN(fraction(top), 0, 0);
    nsurlsession_progress_set_total_unit_count(child, 4);
    nsurlsession_progress_set_completed_unit_count(child, 3);
    CHECK_NEAR(fraction(top), 0.375);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

TEST(units_are_added_up_to_the_largest_count)
{
    nsurlsession_progress_t *top = progress_of(INT64_MAX - 1, INT64_MAX);
    nsurlsession_progress_t *child = progress_of(0, 1);
    add_child(top, child, INT64_MAX);
    nsurlsession_progress_set_completed_unit_count(child, 1);
    CHECK_EQ_INT(completed(top), INT64_MAX);
    CHECK_BETWEEN(fraction(top), 1, 1);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

TEST(a_child_for_no_units)
{
    nsurlsession_progress_t *top = progress_of(1, 2), *child = progress_of(0, 1);
    CHECK_NO_MISUSE(add_child(top, child, 0));
    nsurlsession_progress_set_completed_unit_count(child, 1);
    CHECK_EQ_INT(completed(top), 1);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

TEST(what_is_no_tree_is_refused)
{
    nsurlsession_progress_t *top = progress_of(0, 2), *middle = progress_of(0, 2);
    nsurlsession_progress_t *child = progress_of(1, 2), *other = progress_of(0, 2);
    CHECK_MISUSE(add_child_name, add_child(top, top, 1));
    CHECK_MISUSE(add_child_name, add_child(top, middle, -1));
    CHECK_MISUSE(add_child_name, add_child(top, middle, INT64_MIN));
    CHECK_NO_MISUSE(add_child(top, middle, 1); add_child(middle, child, 1));
    CHECK_MISUSE(add_child_name, add_child(top, child, 1));
    CHECK_MISUSE(add_child_name, add_child(middle, child, 1));
    CHECK_MISUSE(add_child_name, add_child(other, child, 1));
    CHECK_MISUSE(add_child_name, add_child(child, top, 1));
    CHECK_MISUSE(add_child_name, add_child(middle, top, 1));
    CHECK_NO_MISUSE(add_child(NULL, other, 1); add_child(top, NULL, 1); add_child(NULL, NULL, 1));
    CHECK_NEAR(fraction(top), 0.125);
    CHECK_NEAR(fraction(other), 0);
    /* Also one that was counted already has its parent. */
    nsurlsession_progress_set_completed_unit_count(child, 2);
    CHECK_MISUSE(add_child_name, add_child(other, child, 1));
    CHECK_EQ_INT(completed(other), 0);
    nsurlsession_release(top);
    nsurlsession_release(middle);
    nsurlsession_release(child);
    nsurlsession_release(other);
}

TEST(the_child_of_a_parent_that_is_gone)
{
    nsurlsession_progress_t *top = progress_of(0, 2), *child = progress_of(1, 2);
    nsurlsession_progress_t *other = progress_of(0, 2);
    add_child(top, child, 1);
    nsurlsession_release(top);
    nsurlsession_progress_set_completed_unit_count(child, 0);
    CHECK_NO_MISUSE(add_child(other, child, 1));
    nsurlsession_progress_set_completed_unit_count(child, 2);
    CHECK_EQ_INT(completed(other), 1);
    nsurlsession_release(child);
    nsurlsession_release(other);
}

TEST(trees_are_64_levels_deep)
{
    enum { LEVELS = 64 };
    /* Two chains; the first one's end takes the second one's beginning. */
    nsurlsession_progress_t *chain[LEVELS];
    for (unsigned level = 0; level < LEVELS; level++)
        chain[level] = progress_of(0, 1);
    for (unsigned level = 1; level < LEVELS; level++)
        if (level != 30)
            CHECK_NO_MISUSE(add_child(chain[level - 1], chain[level], 1));
    nsurlsession_progress_t *more = progress_of(0, 1);
    CHECK_NO_MISUSE(add_child(chain[LEVELS - 1], more, 1));
    CHECK_MISUSE(add_child_name, add_child(chain[29], chain[30], 1));
    nsurlsession_progress_set_completed_unit_count(more, 1);
    CHECK(nsurlsession_progress_finished(chain[30]));
    CHECK_NO_MISUSE(add_child(chain[29], chain[30], 1));
    CHECK(nsurlsession_progress_finished(chain[0]));
    for (unsigned level = 0; level < LEVELS; level++)
        nsurlsession_release(chain[level]);
    nsurlsession_release(more);
}

TEST(a_parent_retains_its_children_until_they_finish)
{
    struct heard unfinished = {0}, finished = {0};
    nsurlsession_progress_t *top = progress_of(0, 2);
    nsurlsession_progress_t *one = progress_of(0, 1), *other = progress_of(0, 1);
    nsurlsession_progress_set_cancellation_handler(one, hear, &unfinished, let_go);
    nsurlsession_progress_set_cancellation_handler(other, hear, &finished, let_go);
    add_child(top, one, 1);
    add_child(top, other, 1);
    nsurlsession_release(one);
    nsurlsession_progress_set_completed_unit_count(other, 1);
    CHECK_EQ_INT(finished.releases, 0);
    nsurlsession_release(other);
    CHECK_EQ_INT(finished.releases, 1);
    CHECK_EQ_INT(unfinished.releases, 0);
    nsurlsession_progress_cancel(top);
    CHECK_EQ_INT(unfinished.calls, 1);
    CHECK_EQ_INT(finished.calls, 0);
    nsurlsession_release(top);
    CHECK_EQ_INT(unfinished.releases, 1);
}

/* ---- Cancelling, pausing, resuming --------------------------------------------------------- */

typedef void (*set_handler_t)(nsurlsession_progress_t *progress,
                              nsurlsession_progress_handler_t handler, void *context,
                              nsurlsession_release_block_t release);

struct signal {
    const char *name;
    void (*send)(nsurlsession_progress_t *progress);
    set_handler_t set_handler;
    nsurlsession_progress_handler_t (*handler)(const nsurlsession_progress_t *progress);
    bool (*is)(const nsurlsession_progress_t *progress);
    bool state;       /* what `is` says afterwards */
    bool must_pause;  /* nothing happens unless it is paused */
    bool at_once;     /* a handler that is set too late is called when it is set */
};

static const struct signal signals[] = {
    {"cancel", nsurlsession_progress_cancel, nsurlsession_progress_set_cancellation_handler,
     nsurlsession_progress_cancellation_handler, nsurlsession_progress_cancelled, true, false,
     true},
    {"pause", nsurlsession_progress_pause, nsurlsession_progress_set_pausing_handler,
     nsurlsession_progress_pausing_handler, nsurlsession_progress_paused, true, false, true},
    {"resume", nsurlsession_progress_resume, nsurlsession_progress_set_resuming_handler,
     nsurlsession_progress_resuming_handler, nsurlsession_progress_paused, false, true, false},
};

TEST_EACH(a_signal_reaches_what_is_below, struct signal, signals)
{
    struct heard heard[3] = {{0}, {0}, {0}}, above = {0};
    nsurlsession_progress_t *root = progress_of(0, 1), *chain[3];
    for (unsigned level = 0; level < 3; level++) {
        chain[level] = progress_of(0, 1);
        row->set_handler(chain[level], hear, &heard[level], let_go);
    }
    row->set_handler(root, hear, &above, let_go);
    add_child(root, chain[0], 1);
    add_child(chain[0], chain[1], 1);
    add_child(chain[1], chain[2], 1);
    if (row->must_pause)
        nsurlsession_progress_pause(root);

    /* The middle, and below it; then the rest, once each. */
    row->send(chain[1]);
    CHECK_EQ_INT(above.calls, 0);
    CHECK_EQ_INT(heard[0].calls, 0);
    CHECK_EQ_INT(heard[1].calls, 1);
    CHECK_EQ_INT(heard[2].calls, 1);
    CHECK(pthread_equal(heard[2].thread, pthread_self()));
    CHECK_EQ_INT(row->is(chain[0]), !row->state);
    CHECK_EQ_INT(row->is(chain[1]), row->state);
    CHECK_EQ_INT(row->is(chain[2]), row->state);
    row->send(root);
    row->send(root);
    CHECK_EQ_INT(above.calls, 1);
    for (unsigned level = 0; level < 3; level++) {
        CHECK_EQ_INT(heard[level].calls, 1);
        CHECK_EQ_INT(row->is(chain[level]), row->state);
        nsurlsession_release(chain[level]);
    }
    CHECK_EQ_INT(heard[0].releases + heard[1].releases + heard[2].releases + above.releases, 0);
    nsurlsession_release(root);
    for (unsigned level = 0; level < 3; level++)
        CHECK_EQ_INT(heard[level].releases, 1);
    CHECK_EQ_INT(above.releases, 1);
}

TEST_EACH(handlers_are_replaced_and_released_once, struct signal, signals)
{
    struct heard first = {0}, second = {0}, third = {0};
    nsurlsession_progress_t *progress = progress_of(0, 1);
    row->set_handler(progress, hear, &first, let_go);
    CHECK(row->handler(progress) == hear);
    row->set_handler(progress, hear_too, &second, let_go);
    CHECK(row->handler(progress) == hear_too);
    CHECK_EQ_INT(first.releases, 1);
    row->set_handler(progress, NULL, &third, let_go);
    CHECK(row->handler(progress) == NULL);
    CHECK_EQ_INT(second.releases, 1);
    CHECK_EQ_INT(third.releases, 1);
    nsurlsession_progress_pause(progress);
    row->send(progress);
    CHECK_EQ_INT(first.calls + second.calls + third.calls, 0);

    /* Without a release, and with one that comes with the last reference. */
    row->set_handler(progress, NULL, NULL, NULL);
    struct heard fourth = {0};
    row->set_handler(progress, hear, &fourth, let_go);
    nsurlsession_release(progress);
    CHECK_EQ_INT(fourth.calls, row->at_once);
    CHECK_EQ_INT(fourth.releases, 1);
    CHECK_EQ_INT(first.releases + second.releases + third.releases, 3);
}

TEST(other_handlers_stay)
{
    struct heard cancel = {0}, pause = {0}, resume = {0};
    nsurlsession_progress_t *progress = progress_of(0, 1);
    nsurlsession_progress_set_cancellation_handler(progress, hear, &cancel, let_go);
    nsurlsession_progress_set_pausing_handler(progress, hear, &pause, let_go);
    nsurlsession_progress_set_resuming_handler(progress, hear, &resume, let_go);
    nsurlsession_progress_resume(progress);
    CHECK_EQ_INT(resume.calls, 0);
    for (unsigned round = 1; round <= 2; round++) {
        nsurlsession_progress_pause(progress);
        CHECK_EQ_INT(pause.calls, round);
        CHECK_EQ_INT(resume.calls, round - 1);
        nsurlsession_progress_resume(progress);
        CHECK_EQ_INT(resume.calls, round);
    }
    CHECK_EQ_INT(cancel.calls, 0);
    nsurlsession_progress_cancel(progress);
    CHECK_EQ_INT(cancel.calls, 1);
    CHECK_EQ_INT(pause.calls, 2);
    nsurlsession_release(progress);
    CHECK_EQ_INT(cancel.releases + pause.releases + resume.releases, 3);
}

TEST(a_handler_that_comes_too_late_is_called_at_once)
{
    nsurlsession_progress_t *progress = progress_of(0, 1);
    struct heard cancel = {0}, pause = {0}, resume = {0};
    nsurlsession_progress_cancel(progress);
    nsurlsession_progress_pause(progress);
    nsurlsession_progress_set_cancellation_handler(progress, hear, &cancel, let_go);
    nsurlsession_progress_set_pausing_handler(progress, hear, &pause, let_go);
    nsurlsession_progress_set_resuming_handler(progress, hear, &resume, let_go);
    CHECK_EQ_INT(cancel.calls, 1);
    CHECK_EQ_INT(pause.calls, 1);
    CHECK_EQ_INT(resume.calls, 0);
    CHECK(pthread_equal(cancel.thread, pthread_self()));
    nsurlsession_progress_cancel(progress);
    CHECK_EQ_INT(cancel.calls, 1);
    nsurlsession_release(progress);
}

TEST(a_child_that_comes_too_late)
{
    struct heard cancel = {0}, pause = {0};
    nsurlsession_progress_t *top = progress_of(0, 1), *child = progress_of(0, 1);
    nsurlsession_progress_set_cancellation_handler(child, hear, &cancel, let_go);
    nsurlsession_progress_set_pausing_handler(child, hear, &pause, let_go);
    nsurlsession_progress_cancel(top);
    nsurlsession_progress_pause(top);
    add_child(top, child, 1);
    CHECK(nsurlsession_progress_cancelled(child));
    CHECK(nsurlsession_progress_paused(child));
    CHECK_EQ_INT(cancel.calls, 1);
    CHECK_EQ_INT(pause.calls, 1);
    nsurlsession_release(top);
    nsurlsession_release(child);
}

static void take_handler_away(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_cancellation_handler(progress, NULL, NULL, NULL);
    nsurlsession_progress_cancel(progress);
    nsurlsession_progress_pause(progress);
    CHECK(nsurlsession_progress_cancelled(progress));
    nsurlsession_progress_set_completed_unit_count(progress, 1);
    nsurlsession_release(progress);
}

/* The handler cancels again, replaces itself, finishes the work and gives up the last reference. */
TEST(handlers_may_do_anything)
{
    struct heard heard = {.act = take_handler_away};
    nsurlsession_progress_t *top = progress_of(0, 1);
    heard.progress = progress_of(0, 1);
    nsurlsession_progress_set_cancellation_handler(heard.progress, hear, &heard, let_go);
    add_child(top, heard.progress, 1);
    nsurlsession_progress_cancel(top);
    CHECK_EQ_INT(heard.calls, 1);
    CHECK_EQ_INT(heard.releases, 1);
    CHECK(nsurlsession_progress_finished(top));
    nsurlsession_release(top);
}

TEST(cancellable_and_pausable)
{
    nsurlsession_progress_t *progress = progress_of(0, 1);
    nsurlsession_progress_set_cancellable(progress, false);
    nsurlsession_progress_set_pausable(progress, true);
    CHECK(!nsurlsession_progress_cancellable(progress));
    CHECK(nsurlsession_progress_pausable(progress));
    nsurlsession_progress_set_cancellable(progress, true);
    nsurlsession_progress_set_pausable(progress, false);
    CHECK(nsurlsession_progress_cancellable(progress));
    CHECK(!nsurlsession_progress_pausable(progress));
    nsurlsession_release(progress);
}

/* ---- What a person is shown ---------------------------------------------------------------- */

struct text {
    const char *name;
    void (*set)(nsurlsession_progress_t *progress, const char *text);
    nsurlsession_string_t *(*get)(const nsurlsession_progress_t *progress);
    const char *set_name;
    const char *otherwise;
};

static const struct text texts[] = {
    {"kind", nsurlsession_progress_set_kind, nsurlsession_progress_kind,
     "nsurlsession_progress_set_kind", NULL},
    {"file_operation_kind", nsurlsession_progress_set_file_operation_kind,
     nsurlsession_progress_file_operation_kind, "nsurlsession_progress_set_file_operation_kind",
     NULL},
    {"description", nsurlsession_progress_set_localized_description,
     nsurlsession_progress_localized_description,
     "nsurlsession_progress_set_localized_description", "30% completed"},
    {"additional_description", nsurlsession_progress_set_localized_additional_description,
     nsurlsession_progress_localized_additional_description,
     "nsurlsession_progress_set_localized_additional_description", "3 of 10"},
};

TEST_EACH(texts_are_copied, struct text, texts)
{
    nsurlsession_progress_t *progress = progress_of(3, 10);
    char text[] = "grün";
    CHECK_EQ_STR(text_of(row->get(progress)), row->otherwise);
    row->set(progress, text);
    text[0] = 'x';
    nsurlsession_string_t *before = row->get(progress);
    CHECK_MISUSE(row->set_name, row->set(progress, "\xff"));
    CHECK_EQ_STR(text_of(row->get(progress)), "grün");
    CHECK_NO_MISUSE(row->set(progress, ""));
    CHECK_EQ_STR(text_of(row->get(progress)), "");
    CHECK_NO_MISUSE(row->set(progress, NULL));
    CHECK_EQ_STR(text_of(row->get(progress)), row->otherwise);
    CHECK_EQ_STR(text_of(before), "grün");
    nsurlsession_release(progress);
}

TEST(rates_and_times)
{
    nsurlsession_progress_t *progress = progress_of(0, 1);
    nsurlsession_progress_set_throughput(progress, 1234);
    nsurlsession_progress_set_estimated_time_remaining(progress, 5.5);
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), 1234);
    CHECK_BETWEEN(nsurlsession_progress_estimated_time_remaining(progress), 5.5, 5.5);
    nsurlsession_progress_set_throughput(progress, INT64_MIN);
    nsurlsession_progress_set_estimated_time_remaining(progress, NAN);
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), -1);
    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(progress)));
    nsurlsession_progress_set_throughput(progress, 0);
    nsurlsession_progress_set_estimated_time_remaining(progress, 0);
    CHECK_EQ_INT(nsurlsession_progress_throughput(progress), 0);
    CHECK_BETWEEN(nsurlsession_progress_estimated_time_remaining(progress), 0, 0);
    nsurlsession_progress_set_estimated_time_remaining(progress, -1);
    CHECK(isnan(nsurlsession_progress_estimated_time_remaining(progress)));
    nsurlsession_release(progress);
}

struct description {
    const char *name;
    const char *kind, *operation;
    int64_t completed, total, throughput;
    double time_remaining;
    const char *description, *details;
};

#define FILE_KIND NSURLSESSION_PROGRESS_KIND_FILE
#define DOWNLOADING NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_DOWNLOADING
#define UPLOADING NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_UPLOADING
#define RECEIVING NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_RECEIVING

static const struct description descriptions[] = {
    {"units", NULL, NULL, 3, 10, -1, NAN, "30% completed", "3 of 10"},
    {"all_units", NULL, NULL, 10, 10, -1, NAN, "100% completed", "10 of 10"},
    {"unknown", NULL, NULL, 0, -1, -1, NAN, "Loading…", ""},
    {"units_and_time", NULL, NULL, 3, 10, 5, 61, "30% completed",
     "3 of 10 — 2 minutes remaining"},
    {"operation_without_file", NULL, DOWNLOADING, 3, 10, -1, NAN, "30% completed", "3 of 10"},
    {"file", FILE_KIND, NULL, 123000, 789100000, -1, NAN, "Loading…", "123 KB of 789.1 MB"},
    {"downloading", FILE_KIND, DOWNLOADING, 1610000000, 3220000000, 2000, 120, "Downloading…",
     "1.61 GB of 3.22 GB (2 KB/sec) — 2 minutes remaining"},
    {"uploading", FILE_KIND, UPLOADING, 0, 1, -1, 1, "Uploading…",
     "Zero KB of 1 byte — 1 second remaining"},
    {"receiving", FILE_KIND, RECEIVING, 999, -1, 1, NAN, "Receiving…", "999 bytes (1 byte/sec)"},
};

TEST_EACH(descriptions, struct description, descriptions)
{
    nsurlsession_progress_t *progress = progress_of(row->completed, row->total);
    nsurlsession_progress_set_kind(progress, row->kind);
    nsurlsession_progress_set_file_operation_kind(progress, row->operation);
    nsurlsession_progress_set_throughput(progress, row->throughput);
    nsurlsession_progress_set_estimated_time_remaining(progress, row->time_remaining);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_description(progress)),
                 row->description);
    CHECK_EQ_STR(text_of(nsurlsession_progress_localized_additional_description(progress)),
                 row->details);
    nsurlsession_release(progress);
}

TEST(names_of_constants)
{
    CHECK_EQ_STR(FILE_KIND, "NSProgressKindFile");
    CHECK_EQ_STR(DOWNLOADING, "NSProgressFileOperationKindDownloading");
    CHECK_EQ_STR(UPLOADING, "NSProgressFileOperationKindUploading");
    CHECK_EQ_STR(RECEIVING, "NSProgressFileOperationKindReceiving");
}

/* ---- The change handler -------------------------------------------------------------------- */

struct watch {
    unsigned calls;
    unsigned releases;
    int64_t completed; /* at the last call */
    nsurlsession_progress_t *progress;
    nsurlsession_queue_t *queue; /* where it must run; NULL: not on this thread */
    pthread_t creator;
    struct latch called, released;
    void (*act)(nsurlsession_progress_t *progress);
};

static void watch_call(void *context, nsurlsession_progress_t *progress)
{
    struct watch *watch = context;
    CHECK_EQ_INT(watch->releases, 0);
    CHECK(progress == watch->progress);
    nsurlsession_queue_t *current = nsurlsession_queue_current();
    CHECK(watch->queue ? current == watch->queue : current != NULL);
    CHECK(watch->queue || !pthread_equal(pthread_self(), watch->creator));
    nsurlsession_release(current);
    watch->calls++;
    watch->completed = completed(progress);
    if (watch->act)
        watch->act(progress);
    latch_count_down(&watch->called);
}

static void watch_release(void *context)
{
    struct watch *watch = context;
    watch->releases++;
    latch_count_down(&watch->released);
}

static struct watch *watch_on(nsurlsession_progress_t *progress, nsurlsession_queue_t *queue)
{
    struct watch *watch = test_allocate(sizeof *watch);
    watch->progress = progress;
    watch->queue = queue;
    watch->creator = pthread_self();
    latch_init(&watch->called, 1);
    latch_init(&watch->released, 1);
    nsurlsession_progress_set_change_handler(progress, queue, watch_call, watch, watch_release);
    return watch;
}

TEST(changes_are_merged_on_the_queue)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = progress_of(0, 100);
    struct watch *watch = watch_on(progress, queue);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    for (int64_t count = 1; count <= 40; count++)
        nsurlsession_progress_set_completed_unit_count(progress, count);
    CHECK_EQ_INT(watch->calls, 0);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(watch->calls, 1);
    CHECK_EQ_INT(watch->completed, 40);
    /* What stays as it was is no change. */
    nsurlsession_progress_set_completed_unit_count(progress, 40);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    nsurlsession_progress_set_completed_unit_count(progress, 41);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(watch->calls, 2);
    CHECK_EQ_INT(watch->completed, 41);
    CHECK_EQ_INT(watch->releases, 0);
    nsurlsession_release(progress);
    CHECK_EQ_INT(watch->releases, 1);
    nsurlsession_release(queue);
}

static void change_total(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_total_unit_count(progress, 11);
}

static void change_completed(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_completed_unit_count(progress, 1);
}

static void change_cancellable(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_cancellable(progress, false);
}

static void change_pausable(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_pausable(progress, true);
}

static void change_kind(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_kind(progress, "kind");
}

static void change_operation(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_file_operation_kind(progress, "kind");
}

static void change_description(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_localized_description(progress, "text");
}

static void change_details(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_localized_additional_description(progress, "text");
}

static void change_time(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_estimated_time_remaining(progress, 1);
}

static void change_throughput(nsurlsession_progress_t *progress)
{
    nsurlsession_progress_set_throughput(progress, 1);
}

struct change {
    const char *name;
    void (*make)(nsurlsession_progress_t *progress);
};

static const struct change changes[] = {
    {"total", change_total},
    {"completed", change_completed},
    {"cancellable", change_cancellable},
    {"pausable", change_pausable},
    {"kind", change_kind},
    {"file_operation_kind", change_operation},
    {"description", change_description},
    {"additional_description", change_details},
    {"time", change_time},
    {"throughput", change_throughput},
    {"cancel", nsurlsession_progress_cancel},
    {"pause", nsurlsession_progress_pause},
};

TEST_EACH(a_change_is_told_once, struct change, changes)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = progress_of(0, 10);
    struct watch *watch = watch_on(progress, queue);
    row->make(progress);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(watch->calls, 1);
    row->make(progress);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    nsurlsession_release(progress);
    nsurlsession_release(queue);
}

TEST(changes_below_are_told_above)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *top = progress_of(0, 2), *middle = progress_of(0, 2);
    nsurlsession_progress_t *child = progress_of(0, 2);
    struct watch *watch = watch_on(top, queue);
    add_child(top, middle, 2);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    add_child(middle, child, 2);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    nsurlsession_progress_set_completed_unit_count(child, 1);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    nsurlsession_progress_set_completed_unit_count(child, 2);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 1);
    CHECK_EQ_INT(watch->calls, 4);
    CHECK_EQ_INT(watch->completed, 2);
    nsurlsession_release(top);
    nsurlsession_release(middle);
    nsurlsession_release(child);
    nsurlsession_release(queue);
}

TEST(changes_on_the_librarys_own_queue)
{
    nsurlsession_progress_t *progress = progress_of(0, 10);
    struct watch *watch = watch_on(progress, NULL);
    nsurlsession_progress_set_completed_unit_count(progress, 4);
    latch_wait(&watch->called);
    CHECK_EQ_INT(watch->completed, 4);
    nsurlsession_release(progress);
    latch_wait(&watch->released);
    CHECK_EQ_INT(watch->releases, 1);
}

TEST(change_handlers_are_replaced_and_released_once)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new(), *other = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = progress_of(0, 10);
    struct watch *first = watch_on(progress, queue);
    nsurlsession_progress_set_completed_unit_count(progress, 1);
    struct watch *second = watch_on(progress, other);
    CHECK_EQ_INT(first->releases, 1);
    /* It was told of a change, but is not there any more. */
    nsurlsession_queue_poll(queue);
    CHECK_EQ_INT(first->calls, 0);
    nsurlsession_progress_set_completed_unit_count(progress, 2);
    CHECK_EQ_INT(nsurlsession_queue_poll(queue), 0);
    CHECK_EQ_INT(nsurlsession_queue_poll(other), 1);
    CHECK_EQ_INT(second->calls, 1);

    struct watch *third = watch_on(NULL, other);
    CHECK_EQ_INT(third->releases, 1);
    nsurlsession_progress_set_change_handler(progress, other, NULL, third, watch_release);
    CHECK_EQ_INT(third->releases, 2);
    CHECK_EQ_INT(second->releases, 1);
    nsurlsession_progress_set_completed_unit_count(progress, 3);
    CHECK_EQ_INT(nsurlsession_queue_poll(other), 0);
    nsurlsession_release(progress);
    nsurlsession_release(queue);
    nsurlsession_release(other);
    CHECK_EQ_INT(first->releases + second->releases, 2);
}

TEST(a_progress_that_goes_while_a_call_waits)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = progress_of(0, 10);
    struct watch *watch = watch_on(progress, queue);
    nsurlsession_progress_set_completed_unit_count(progress, 1);
    nsurlsession_release(progress);
    CHECK_EQ_INT(watch->releases, 1);
    nsurlsession_queue_poll(queue);
    CHECK_EQ_INT(watch->calls, 0);
    nsurlsession_release(queue);
}

static void change_once_and_stop_watching(nsurlsession_progress_t *progress)
{
    if (completed(progress) < 3) {
        nsurlsession_progress_set_completed_unit_count(progress, completed(progress) + 1);
        return;
    }
    nsurlsession_progress_set_change_handler(progress, NULL, NULL, NULL, NULL);
    nsurlsession_release(progress);
}

/* It changes the progress, which is another change; then takes itself away, with the progress. */
TEST(change_handlers_may_do_anything)
{
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_progress_t *progress = progress_of(0, 10);
    struct watch *watch = watch_on(progress, queue);
    watch->act = change_once_and_stop_watching;
    nsurlsession_progress_set_completed_unit_count(progress, 1);
    while (nsurlsession_queue_poll(queue) > 0)
        continue;
    CHECK_EQ_INT(watch->calls, 3);
    CHECK_EQ_INT(watch->completed, 3);
    CHECK_EQ_INT(watch->releases, 1);
    nsurlsession_release(queue);
}

TEST(a_queue_that_is_none_is_refused)
{
    nsurlsession_progress_t *progress = progress_of(0, 10);
    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    struct watch *watch = watch_on(progress, queue), *other = test_allocate(sizeof *other);
    latch_init(&other->released, 1);
    CHECK_MISUSE("nsurlsession_progress_set_change_handler",
                 nsurlsession_progress_set_change_handler(progress, (void *)progress, watch_call,
                                                          other, watch_release));
    CHECK_EQ_INT(other->releases, 1);
    CHECK_EQ_INT(watch->releases, 0);
    nsurlsession_progress_set_completed_unit_count(progress, 1);
    nsurlsession_queue_poll(queue);
    CHECK_EQ_INT(watch->calls, 1);
    nsurlsession_release(progress);
    nsurlsession_release(queue);
}

/* ---- Many threads -------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 200 };

/* What the threads of a test share. */
struct crowd {
    nsurlsession_progress_t *top;
    struct latch done;
    unsigned handler_calls; /* atomic, like the next */
    unsigned releases;
    unsigned changes;
};

static void crowd_handler(void *context)
{
    struct crowd *crowd = context;
    __atomic_fetch_add(&crowd->handler_calls, 1, __ATOMIC_RELAXED);
}

static void crowd_release(void *context)
{
    struct crowd *crowd = context;
    __atomic_fetch_add(&crowd->releases, 1, __ATOMIC_RELAXED);
}

static void crowd_change(void *context, nsurlsession_progress_t *progress)
{
    struct crowd *crowd = context;
    CHECK_BETWEEN(fraction(progress), 0, 1);
    __atomic_fetch_add(&crowd->changes, 1, __ATOMIC_RELAXED);
}

/* Adds children with a child of their own, and finishes each. */
static void *add_and_finish(void *context)
{
    struct crowd *crowd = context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        nsurlsession_progress_t *child = progress_of(0, 2), *below = progress_of(0, 3);
        nsurlsession_progress_set_cancellation_handler(child, crowd_handler, crowd, crowd_release);
        add_child(crowd->top, child, 1);
        add_child(child, below, 1);
        double before = fraction(crowd->top);
        nsurlsession_progress_set_completed_unit_count(below, 3);
        /* The others only add to it. */
        CHECK(fraction(crowd->top) > before);
        nsurlsession_progress_set_completed_unit_count(child, 2);
        CHECK(nsurlsession_progress_finished(child));
        nsurlsession_release(below);
        nsurlsession_release(child);
    }
    latch_count_down(&crowd->done);
    return NULL;
}

TEST(children_of_many_threads)
{
    struct crowd crowd = {.top = progress_of(0, THREADS * ROUNDS), .done = LATCH(THREADS)};
    nsurlsession_progress_set_change_handler(crowd.top, NULL, crowd_change, &crowd, crowd_release);
    for (unsigned thread = 0; thread < THREADS; thread++)
        test_thread(add_and_finish, &crowd);
    latch_wait(&crowd.done);
    CHECK_EQ_INT(completed(crowd.top), THREADS * ROUNDS);
    CHECK(nsurlsession_progress_finished(crowd.top));
    EVENTUALLY(__atomic_load_n(&crowd.changes, __ATOMIC_RELAXED) > 0);
    nsurlsession_release(crowd.top);
    EVENTUALLY(__atomic_load_n(&crowd.releases, __ATOMIC_RELAXED) == THREADS * ROUNDS + 1);
    CHECK_EQ_INT(crowd.handler_calls, 0);
}

/* Sets handlers, pauses, resumes, reads, and replaces the change handler, all on one tree. */
static void *do_everything(void *context)
{
    struct crowd *crowd = context;
    nsurlsession_progress_t *top = crowd->top;
    for (unsigned round = 0; round < ROUNDS; round++) {
        nsurlsession_progress_t *child = progress_of(0, 2);
        nsurlsession_progress_set_pausing_handler(top, crowd_handler, crowd, crowd_release);
        nsurlsession_progress_set_resuming_handler(child, crowd_handler, crowd, crowd_release);
        nsurlsession_progress_set_cancellation_handler(child, crowd_handler, crowd, crowd_release);
        nsurlsession_progress_set_change_handler(top, NULL, crowd_change, crowd, crowd_release);
        add_child(top, child, 1);
        nsurlsession_progress_pause(top);
        nsurlsession_progress_set_completed_unit_count(child, 1);
        nsurlsession_progress_set_localized_description(top, "text");
        CHECK(text_of(nsurlsession_progress_localized_additional_description(top)) != NULL);
        CHECK(text_of(nsurlsession_description(top)) != NULL);
        nsurlsession_progress_resume(top);
        nsurlsession_release(child);
    }
    latch_count_down(&crowd->done);
    return NULL;
}

TEST(everything_on_many_threads)
{
    struct crowd crowd = {.top = progress_of(0, 10 * THREADS * ROUNDS), .done = LATCH(THREADS)};
    for (unsigned thread = 0; thread < THREADS; thread++)
        test_thread(do_everything, &crowd);
    latch_wait(&crowd.done);
    /* Each child stays half done, and each is cancelled once. */
    CHECK_NEAR(fraction(crowd.top), 0.05);
    unsigned before = __atomic_load_n(&crowd.handler_calls, __ATOMIC_RELAXED);
    nsurlsession_progress_cancel(crowd.top);
    CHECK_EQ_INT(crowd.handler_calls - before, THREADS * ROUNDS);
    nsurlsession_release(crowd.top);
    EVENTUALLY(__atomic_load_n(&crowd.releases, __ATOMIC_RELAXED) == 4 * THREADS * ROUNDS);
}

/* Two threads try to put each of two progresses below the other. */
struct pair {
    nsurlsession_progress_t *one, *other;
    pthread_barrier_t start;
};

static void *add_one_to_other(void *context)
{
    struct pair *pair = context;
    pthread_barrier_wait(&pair->start);
    add_child(pair->other, pair->one, 1);
    return NULL;
}

TEST(no_circle_is_made_by_two_threads)
{
    misuse_catch();
    for (unsigned round = 0; round < 50; round++) {
        struct pair pair = {.one = progress_of(0, 1), .other = progress_of(0, 1)};
        pthread_barrier_init(&pair.start, NULL, 2);
        pthread_t thread;
        CHECK_EQ_INT(pthread_create(&thread, NULL, add_one_to_other, &pair), 0);
        pthread_barrier_wait(&pair.start);
        add_child(pair.one, pair.other, 1);
        pthread_join(thread, NULL);
        CHECK_EQ_INT(misuse_count(), round + 1);
        pthread_barrier_destroy(&pair.start);
        nsurlsession_release(pair.one);
        nsurlsession_release(pair.other);
    }
}
