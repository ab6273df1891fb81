/*
 * The metrics of tasks: what the delegate gets before the completion, and that it holds together.
 */
#include "load.h"

#include <math.h>

struct seen {
    nsurlsession_task_metrics_t *metrics;
};

static void keep_metrics(struct recorder *recorder, const struct call *call)
{
    ((struct seen *)recorder->user)->metrics = nsurlsession_retain(call->metrics);
}

/* Of a delegate that wants metrics and keeps them in `seen`. */
static struct recorder *metrics_recorder(struct seen *seen)
{
    static const struct step keep = {CALLBACK_METRICS, 1, ACTION_NONE, false, keep_metrics};
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_METRICS;
    recorder->user = seen;
    recorder_set_steps(recorder, &keep, 1);
    return recorder;
}

/* The metrics of a data task, whose callbacks are to be those of `log`. */
static nsurlsession_task_metrics_t *metrics_of(nsurlsession_t **session, const char *url,
                                               const char *log)
{
    struct seen *seen = test_allocate(sizeof *seen);
    struct recorder *recorder = metrics_recorder(seen);
    recorder->merge_data = true;
    *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(*session, url);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, log);
    nsurlsession_release(task);
    CHECK(seen->metrics != NULL);
    return seen->metrics;
}

static nsurlsession_transaction_metrics_t *exchange(nsurlsession_task_metrics_t *metrics,
                                                    size_t index)
{
    nsurlsession_array_t *all = nsurlsession_task_metrics_transaction_metrics(metrics);
    nsurlsession_transaction_metrics_t *one = nsurlsession_array_object_at_index(all, index);
    nsurlsession_release(all);
    CHECK(one != NULL);
    return one;
}

static size_t exchanges(nsurlsession_task_metrics_t *metrics)
{
    nsurlsession_array_t *all = nsurlsession_task_metrics_transaction_metrics(metrics);
    size_t count = nsurlsession_array_count(all);
    nsurlsession_release(all);
    return count;
}

#define DATE(exchange, name) nsurlsession_transaction_metrics_##name##_date(exchange)

TEST(a_new_connection_with_tls)
{
    double before = date_now();
    nsurlsession_t *session;
    nsurlsession_task_metrics_t *metrics = metrics_of(
        &session, tls_h2_url("/1k.bin"), "create, response 200, data 1024, metrics, complete nil");
    CHECK_EQ_INT(exchanges(metrics), 1);
    CHECK_EQ_INT(nsurlsession_task_metrics_redirect_count(metrics), 0);
    nsurlsession_date_interval_t *interval = nsurlsession_task_metrics_task_interval(metrics);
    CHECK_BETWEEN(nsurlsession_date_interval_start_date(interval), before, date_now());
    CHECK_BETWEEN(nsurlsession_date_interval_end_date(interval), before, date_now());
    CHECK(nsurlsession_date_interval_duration(interval) > 0);
    nsurlsession_transaction_metrics_t *one = exchange(metrics, 0);
    double dates[] = {
        DATE(one, fetch_start),        DATE(one, domain_lookup_start),
        DATE(one, domain_lookup_end),  DATE(one, connect_start),
        DATE(one, secure_connection_start), DATE(one, secure_connection_end),
        DATE(one, connect_end),        DATE(one, request_start),
        DATE(one, request_end),        DATE(one, response_start),
        DATE(one, response_end),
    };
    for (size_t index = 1; index < sizeof dates / sizeof dates[0]; index++)
        if (!(dates[index] >= dates[index - 1]))
            FAIL("date %zu is %f after %f", index, dates[index], dates[index - 1]);
    CHECK(dates[0] >= nsurlsession_date_interval_start_date(interval));
    CHECK(dates[10] <= nsurlsession_date_interval_end_date(interval));
    CHECK_EQ_STR(nsurlsession_transaction_metrics_network_protocol_name(one), "h2");
    CHECK(!nsurlsession_transaction_metrics_reused_connection(one));
    CHECK(!nsurlsession_transaction_metrics_proxy_connection(one));
    CHECK_EQ_INT(nsurlsession_transaction_metrics_resource_fetch_type(one),
                 NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_NETWORK_LOAD);
    int version = nsurlsession_transaction_metrics_negotiated_tls_protocol_version(one);
    CHECK(version == 0x0303 || version == 0x0304);
    CHECK(nsurlsession_transaction_metrics_negotiated_tls_cipher_suite(one) > 0);
    CHECK(nsurlsession_transaction_metrics_remote_address(one) != NULL);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_remote_port(one), port_of(tls_h2_url("")));
    CHECK(nsurlsession_transaction_metrics_local_address(one) != NULL);
    CHECK(nsurlsession_transaction_metrics_local_port(one) > 0);
    CHECK(nsurlsession_transaction_metrics_count_of_request_header_bytes_sent(one) > 0);
    CHECK(nsurlsession_transaction_metrics_count_of_response_header_bytes_received(one) > 0);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_count_of_response_body_bytes_received(one), 1024);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding(one),
                 1024);
    CHECK(!nsurlsession_transaction_metrics_cellular(one));
    CHECK(!nsurlsession_transaction_metrics_expensive(one));
    CHECK(!nsurlsession_transaction_metrics_constrained(one));
    CHECK(!nsurlsession_transaction_metrics_multipath(one));
    CHECK_EQ_INT(nsurlsession_transaction_metrics_domain_resolution_protocol(one),
                 NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_UNKNOWN);
    nsurlsession_request_t *request = nsurlsession_transaction_metrics_request(one);
    CHECK_EQ_STR(text_of(nsurlsession_request_url(request)), tls_h2_url("/1k.bin"));
    nsurlsession_response_t *response = nsurlsession_transaction_metrics_response(one);
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 200);
    nsurlsession_release(response);
    nsurlsession_release(request);
    nsurlsession_release(one);
    nsurlsession_release(interval);
    nsurlsession_release(metrics);
    session_end(session);
}

TEST(a_redirect_has_two_exchanges_and_uses_its_connection_again)
{
    nsurlsession_t *session;
    nsurlsession_task_metrics_t *metrics =
        metrics_of(&session, fault_url("/redirect?code=302&to=/encoded%3Fcoding%3Dgzip%26size%3D5000"),
                   "create, redirect 302, response 200, data 5000, metrics, complete nil");
    CHECK_EQ_INT(exchanges(metrics), 2);
    CHECK_EQ_INT(nsurlsession_task_metrics_redirect_count(metrics), 1);
    nsurlsession_transaction_metrics_t *first = exchange(metrics, 0), *second = exchange(metrics, 1);
    nsurlsession_response_t *response = nsurlsession_transaction_metrics_response(first);
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 302);
    nsurlsession_release(response);
    CHECK(!nsurlsession_transaction_metrics_reused_connection(first));
    CHECK(nsurlsession_transaction_metrics_reused_connection(second));
    CHECK(isnan(DATE(second, connect_start)) && isnan(DATE(second, connect_end)));
    CHECK(isnan(DATE(second, domain_lookup_start)) && isnan(DATE(second, domain_lookup_end)));
    CHECK(isnan(DATE(first, secure_connection_start)));
    CHECK(DATE(second, request_start) >= DATE(first, response_start));
    CHECK_EQ_STR(nsurlsession_transaction_metrics_network_protocol_name(second), "http/1.1");
    CHECK_EQ_STR(nsurlsession_transaction_metrics_remote_address(second), "127.0.0.1");
    int64_t wire = nsurlsession_transaction_metrics_count_of_response_body_bytes_received(second);
    CHECK_BETWEEN(wire, 1, 4999);
    CHECK_EQ_INT(
        nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding(second), 5000);
    nsurlsession_release(first);
    nsurlsession_release(second);
    nsurlsession_release(metrics);
    session_end(session);
}

TEST(a_connection_that_is_refused)
{
    nsurlsession_t *session;
    int port = atoi(control("/closed-port"));
    nsurlsession_task_metrics_t *metrics =
        metrics_of(&session, local_url("http", "127.0.0.1", port, "/"),
                   "create, metrics, complete -1004");
    nsurlsession_transaction_metrics_t *one = exchange(metrics, 0);
    CHECK(!isnan(DATE(one, fetch_start)) && !isnan(DATE(one, connect_start)));
    CHECK(isnan(DATE(one, connect_end)) && isnan(DATE(one, request_start)));
    CHECK(isnan(DATE(one, response_start)) && isnan(DATE(one, response_end)));
    CHECK(nsurlsession_transaction_metrics_response(one) == NULL);
    nsurlsession_release(one);
    nsurlsession_release(metrics);
    session_end(session);
}

/* The task ends in the middle of the load, for a reason that only who decodes finds. */
static void check_ends_while_loading(nsurlsession_task_metrics_t *metrics)
{
    CHECK_EQ_INT(exchanges(metrics), 1);
    nsurlsession_transaction_metrics_t *one = exchange(metrics, 0);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_resource_fetch_type(one),
                 NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_NETWORK_LOAD);
    CHECK(DATE(one, response_start) >= DATE(one, request_start));
    CHECK(nsurlsession_transaction_metrics_count_of_response_body_bytes_received(one) > 0);
    nsurlsession_response_t *response = nsurlsession_transaction_metrics_response(one);
    CHECK_EQ_INT(nsurlsession_response_status_code(response), 200);
    nsurlsession_release(response);
    nsurlsession_release(one);
    nsurlsession_release(metrics);
}

#define CORRUPT "/encoded?coding=gzip&noise=1&size=16m&corrupt=1"

TEST(a_body_that_cannot_be_decoded)
{
    nsurlsession_t *session;
    check_ends_while_loading(metrics_of(&session, fault_url(CORRUPT),
                                        "create, response 200, metrics, complete -1015"));
    session_end(session);
}

TEST(a_download_that_cannot_be_decoded)
{
    struct seen seen = {NULL};
    struct recorder *recorder = metrics_recorder(&seen);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(session, fault_url(CORRUPT));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, metrics, complete -3006");
    check_ends_while_loading(seen.metrics);
    nsurlsession_release(task);
    session_end(session);
}

/* The download has the metrics of all that the data task had begun. */
TEST(a_data_task_that_became_a_download)
{
    struct seen seen = {NULL};
    struct recorder *recorder = metrics_recorder(&seen);
    recorder->with |= 1u << CALLBACK_BECAME_DOWNLOAD;
    recorder_script(recorder, {CALLBACK_RESPONSE, 1, ACTION_ANSWER_BECOME_DOWNLOAD, false, NULL},
                    {CALLBACK_METRICS, 1, ACTION_NONE, false, keep_metrics});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url("/body?size=5"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_EQ_INT(exchanges(seen.metrics), 1);
    nsurlsession_transaction_metrics_t *one = exchange(seen.metrics, 0);
    nsurlsession_date_interval_t *interval =
        nsurlsession_task_metrics_task_interval(seen.metrics);
    CHECK(nsurlsession_date_interval_start_date(interval) <= DATE(one, fetch_start));
    CHECK(nsurlsession_date_interval_end_date(interval) >= DATE(one, response_end));
    nsurlsession_release(interval);
    nsurlsession_release(one);
    nsurlsession_release(seen.metrics);
    nsurlsession_release(task);
    session_end(session);
}

TEST(a_task_that_never_began)
{
    struct seen seen = {NULL};
    struct recorder *recorder = metrics_recorder(&seen);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, fault_url("/echo"));
    nsurlsession_task_cancel(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, metrics, complete -999");
    nsurlsession_transaction_metrics_t *one = exchange(seen.metrics, 0);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_resource_fetch_type(one),
                 NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_UNKNOWN);
    CHECK(isnan(DATE(one, request_start)));
    nsurlsession_release(one);
    nsurlsession_release(seen.metrics);
    nsurlsession_release(task);
    session_end(session);
}

struct handled {
    struct latch done;
    struct recorder *recorder;
};

static void after_metrics(void *context, nsurlsession_data_t *data,
                          nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    struct handled *handled = context;
    (void)data, (void)response, (void)error;
    CHECK_EQ_INT(recorder_count(handled->recorder, CALLBACK_METRICS), 1);
    latch_count_down(&handled->done);
}

TEST(with_a_completion_handler_metrics_come_before_it)
{
    struct seen seen = {NULL};
    struct recorder *recorder = metrics_recorder(&seen);
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct handled handled = {LATCH(1), recorder};
    nsurlsession_request_t *request =
        with_body(request_for("POST", fault_url("/sink"), NULL), pattern_bytes(2000), 2000);
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        session, request, after_metrics, &handled);
    nsurlsession_release(request);
    nsurlsession_task_resume(task);
    latch_wait(&handled.done);
    nsurlsession_transaction_metrics_t *one = exchange(seen.metrics, 0);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_count_of_request_body_bytes_sent(one), 2000);
    CHECK_EQ_INT(nsurlsession_transaction_metrics_count_of_request_body_bytes_before_encoding(one),
                 2000);
    nsurlsession_release(one);
    nsurlsession_release(seen.metrics);
    nsurlsession_release(task);
    session_end(session);
}

TEST(informational_responses_come_before_the_final_one)
{
    struct recorder *recorder = recorder_new();
    recorder->with = 1u << CALLBACK_INFORMATIONAL;
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url("/informational?codes=102,103&header=Link:%20%3Ca%3E"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, informational 102, informational 103, response 200, data 6, "
                        "complete nil");
    nsurlsession_release(task);
    session_end(session);
}
