/*
 * What a task prefers: who starts first, whether its body comes in pieces, what servers are told.
 */
#include "load.h"

#include <sched.h>

static const char *priority_field(float priority, int incremental)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_new(session, request_for("GET", fault_url("/echo"), NULL));
    nsurlsession_task_set_priority(load->task, priority);
    if (incremental >= 0)
        nsurlsession_task_set_prefers_incremental_delivery(load->task, incremental != 0);
    nsurlsession_task_resume(load->task);
    load_wait(load);
    const char *field = echoed(load_body(load, 200), "Priority");
    session_end(session);
    return field;
}

TEST(servers_are_told)
{
    CHECK(priority_field(NSURLSESSION_TASK_PRIORITY_DEFAULT, -1) == NULL);
    CHECK(priority_field(NSURLSESSION_TASK_PRIORITY_DEFAULT, 0) == NULL);
    CHECK_EQ_STR(priority_field(NSURLSESSION_TASK_PRIORITY_DEFAULT, 1), "i");
    CHECK_EQ_STR(priority_field(1, -1), "u=0");
    CHECK_EQ_STR(priority_field(0, -1), "u=7");
    CHECK_EQ_STR(priority_field(NSURLSESSION_TASK_PRIORITY_LOW, 1), "u=5, i");
}

TEST(a_field_of_the_programs_own_stays)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load =
        load_new(session, request_for("GET", fault_url("/echo"), "Priority", "u=2", NULL));
    nsurlsession_task_set_priority(load->task, 1);
    nsurlsession_task_resume(load->task);
    load_wait(load);
    CHECK_EQ_STR(echoed(load_body(load, 200), "Priority"), "u=2");
    session_end(session);
}

TEST(values)
{
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url("/echo"));
    CHECK(nsurlsession_task_priority(task) == NSURLSESSION_TASK_PRIORITY_DEFAULT);
    nsurlsession_task_set_priority(task, 7);
    CHECK(nsurlsession_task_priority(task) == 1);
    nsurlsession_task_set_priority(task, -1);
    CHECK(nsurlsession_task_priority(task) == 0);
    nsurlsession_task_set_priority(task, NSURLSESSION_TASK_PRIORITY_HIGH);
    nsurlsession_task_set_priority(task, __builtin_nanf(""));
    CHECK(nsurlsession_task_priority(task) == NSURLSESSION_TASK_PRIORITY_HIGH);
    CHECK(nsurlsession_task_priority(NULL) == 0);
    nsurlsession_task_set_priority(NULL, 1);

    CHECK(nsurlsession_task_prefers_incremental_delivery(task));
    nsurlsession_task_set_prefers_incremental_delivery(task, false);
    CHECK(!nsurlsession_task_prefers_incremental_delivery(task));
    nsurlsession_task_t *download =
        nsurlsession_download_task_with_url(session, fault_url("/echo"));
    CHECK(!nsurlsession_task_prefers_incremental_delivery(download));
    CHECK(!nsurlsession_task_prefers_incremental_delivery(NULL));
    nsurlsession_task_set_prefers_incremental_delivery(NULL, true);
    nsurlsession_release(task);
    nsurlsession_release(download);
    session_end(session);
}

/* One connection: while the first request is held, others wait, and start by their priority. */
TEST(the_most_urgent_starts_first)
{
    nsurlsession_configuration_t *configuration = configuration_new();
    nsurlsession_configuration_set_http_maximum_connections_per_host(configuration, 1);
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, configuration, NULL);
    nsurlsession_release(configuration);
    nsurlsession_task_t *tasks[5];
    const float priorities[] = {0.5f, 0.1f, 0.5f, 0.9f, 0.5f};
    for (unsigned index = 0; index < 5; index++) {
        tasks[index] = nsurlsession_data_task_with_url(
            session, index == 0 ? held_url() : fault_url("/body?size=0"));
        if (index != 4)
            nsurlsession_task_set_priority(tasks[index], priorities[index]);
        nsurlsession_task_resume(tasks[index]);
    }
    wait_until_held(1);
    /* Changed while it waits. */
    nsurlsession_task_set_priority(tasks[4], 1);
    let_held_go();
    recorder_wait(recorder, CALLBACK_COMPLETE, 5);
    const uint64_t order[] = {1, 5, 4, 3, 2};
    for (unsigned index = 0; index < 5; index++) {
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, index + 1).task, order[index]);
        nsurlsession_release(tasks[index]);
    }
    session_end(session);
}

TEST(a_weight_over_http_2)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *load = load_new(session, request_for("GET", tls_h2_url("/echo"), NULL));
    nsurlsession_task_set_priority(load->task, 1);
    nsurlsession_task_resume(load->task);
    nsurlsession_task_set_priority(load->task, 0);
    load_wait(load);
    CHECK_EQ_STR(line_value(load_body(load, 200), "protocol"), "HTTP/2.0");
    session_end(session);
}

/* ---- Incremental delivery --------------------------------------------------------------------- */

static nsurlsession_t *load_gathered(struct recorder *recorder, const char *url)
{
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    nsurlsession_task_set_prefers_incremental_delivery(task, false);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    return session;
}

#define DRIP "/drip?size=100&chunk=10&every=10"

TEST(a_body_that_drips_comes_in_one_piece)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = load_gathered(recorder, fault_url(DRIP));
    CHECK_LOG(recorder, "create, response 200, data 100, complete nil");
    CHECK(recorder->pattern_holds);
    session_end(session);
}

TEST(a_decoded_body_comes_in_one_piece)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session =
        load_gathered(recorder, fault_url("/encoded?coding=gzip&size=300000"));
    CHECK_LOG(recorder, "create, response 200, data 300000, complete nil");
    CHECK(recorder->pattern_holds);
    session_end(session);
}

TEST(a_long_body_comes_in_large_pieces)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = load_gathered(recorder, http_url("/16m.bin"));
    CHECK_EQ_INT(recorder->received, 16 << 20);
    CHECK(recorder->pattern_holds);
    unsigned pieces = recorder_count(recorder, CALLBACK_DATA);
    CHECK(pieces > 1 && pieces <= 17);
    for (unsigned piece = 1; piece < pieces; piece++)
        CHECK(recorder_event(recorder, CALLBACK_DATA, piece).value >= 1 << 20);
    session_end(session);
}

TEST(what_came_before_a_failure_is_delivered)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = load_gathered(recorder, fault_url("/cut?after=10&size=20"));
    CHECK_LOG(recorder, "create, response 200, data 10, complete -1005");
    session_end(session);

    recorder = recorder_new();
    recorder->merge_data = true;
    recorder->discard_body = true;
    session = load_gathered(recorder,
                            fault_url("/encoded?coding=gzip&noise=1&size=100000&corrupt=1&corrupt_at=50000"));
    CHECK(recorder->received > 0);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                 NSURLSESSION_ERROR_CANNOT_DECODE_RAW_DATA);
    session_end(session);
}

TEST(cancelling_in_the_only_piece_cancels)
{
    struct recorder *recorder = recorder_new();
    recorder_script(recorder, {CALLBACK_DATA, 1, ACTION_CANCEL, false, NULL});
    nsurlsession_t *session = load_gathered(recorder, fault_url(DRIP));
    CHECK_LOG(recorder, "create, response 200, data 100, complete -999");
    session_end(session);
}

/* With what follows it. */
TEST(what_was_gathered_comes_when_pieces_are_wanted_again)
{
    const char *name = unique_name();
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/holdbody?name=%s&size=100", name)));
    nsurlsession_task_set_prefers_incremental_delivery(task, false);
    nsurlsession_task_resume(task);
    while (nsurlsession_task_count_of_bytes_received(task) == 0)
        sched_yield();
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 0);
    nsurlsession_task_set_prefers_incremental_delivery(task, true);
    control(test_format("/release?name=%s", name));
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, response 200, data 100, complete nil");
    CHECK(recorder->pattern_holds);
    nsurlsession_release(task);
    session_end(session);
}
