/*
 * libnsurlsession: NSURLSession for Linux. This is the header to include.
 *
 * Whoever knows Apple's selector knows the symbol: nsurlsession_, the class's noun, and the
 * selector in snake_case. Every handle that a function returns is the caller's to release; every
 * handle that is passed in, or received in a callback, is borrowed for the call. NULL is a valid
 * argument everywhere: a message to NULL does nothing and returns zero.
 *
 * Generated from src/ffi: change the comments there.
 */

#ifndef NSURLSESSION_H
#define NSURLSESSION_H

#include "nsurlsession_base.h"

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Handles, and the verbs that every object has -------------------------------------------- */

/**
 * -[NSObject retain]. Adds a reference to an object and returns it. Any thread may call this,
 * also for a handle that a callback lent. NULL, or what is no object: NULL.
 */
void *NSURLSESSION_NULLABLE nsurlsession_retain(const void *NSURLSESSION_NULLABLE object);

/**
 * -[NSObject release]. Gives a reference back; with the last one the object is freed. Any thread
 * may call this, inside any callback; it never waits. NULL does nothing. A handle that was only
 * lent is not released: that is logged. A task that is suspended, or was never resumed, is
 * cancelled when neither it nor its session nor its progress can be used to resume it any more.
 */
void nsurlsession_release(const void *NSURLSESSION_NULLABLE object);

/**
 * -[NSObject copy]. An independent copy of a mutable object (request, configuration, dictionary);
 * otherwise the object itself, retained. The caller releases it. NULL, or what is no object: NULL.
 */
void *NSURLSESSION_NULLABLE nsurlsession_copy(const void *NSURLSESSION_NULLABLE object);

/**
 * -[NSObject isEqual:]. Whether two objects are equal: values by what they hold; sessions, tasks
 * and queues when they are the same. NULL equals nothing.
 */
bool nsurlsession_is_equal(
    const void *NSURLSESSION_NULLABLE object, const void *NSURLSESSION_NULLABLE other);

/** -[NSObject hash]. A number that is the same for equal objects. NULL: 0. */
size_t nsurlsession_hash(const void *NSURLSESSION_NULLABLE object);

/**
 * -[NSObject description]. One line about an object for a person who is debugging; what it says
 * may change from version to version. The caller releases it. NULL: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_description(
    const void *NSURLSESSION_NULLABLE object);

/* ---- NSURLSessionConfiguration --------------------------------------------------------------- */

/**
 * +[NSURLSessionConfiguration defaultSessionConfiguration]. A new configuration at every call,
 * which the caller may change and releases. Sessions copy it when they are made.
 */
nsurlsession_configuration_t *NSURLSESSION_NULLABLE nsurlsession_configuration_default(void);

/**
 * +[NSURLSessionConfiguration ephemeralSessionConfiguration]. A new configuration for sessions
 * that keep nothing on disk. The caller releases it.
 */
nsurlsession_configuration_t *NSURLSESSION_NULLABLE nsurlsession_configuration_ephemeral(void);

/**
 * -[NSURLSessionConfiguration timeoutIntervalForRequest]. Seconds without anything moving after
 * which a task fails with NSURLSESSION_ERROR_TIMED_OUT; 60 by default. It counts from the moment
 * the task has a connection to try, not while it is suspended, its delegate holds it up or the
 * stream of its body has nothing to give, and a timeout that was set on the request takes its
 * place. NULL: 0.
 */
double nsurlsession_configuration_timeout_interval_for_request(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration);

/**
 * -[NSURLSessionConfiguration setTimeoutIntervalForRequest:]. Sets the timeout in seconds;
 * fractions count, infinity means none. Not a number, 0 or less: nothing changes, and that is
 * logged.
 */
void nsurlsession_configuration_set_timeout_interval_for_request(
    nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration, double seconds);

/**
 * -[NSURLSessionConfiguration timeoutIntervalForResource]. Seconds from the first resume that a
 * task may take in all, redirects included; then it fails with NSURLSESSION_ERROR_TIMED_OUT.
 * 604800 (7 days) by default. NULL: 0.
 */
double nsurlsession_configuration_timeout_interval_for_resource(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration);

/**
 * -[NSURLSessionConfiguration setTimeoutIntervalForResource:]. Sets the limit in seconds;
 * fractions count, infinity means none. Not a number, 0 or less: nothing changes, and that is
 * logged.
 */
void nsurlsession_configuration_set_timeout_interval_for_resource(
    nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration, double seconds);

/**
 * -[NSURLSessionConfiguration HTTPAdditionalHeaders]. The fields that are added to every request
 * of a session, redirected ones included; a copy, which the caller releases. None were set: NULL.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_configuration_http_additional_headers(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration);

/**
 * -[NSURLSessionConfiguration setHTTPAdditionalHeaders:]. Sets the fields from a dictionary of
 * strings, which is copied; NULL takes them away. A field that is set on a request wins over one
 * from here. Authorization, Cookie and Proxy-Authorization do not follow a redirect to another
 * origin. What cannot be a header field is left out, and that is logged.
 */
void nsurlsession_configuration_set_http_additional_headers(
    nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration,
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE headers);

/**
 * -[NSURLSessionConfiguration HTTPMaximumConnectionsPerHost]. How many connections a session opens
 * to one host at once; 6 by default. Further tasks wait in the order in which they were resumed,
 * without a timeout for the request running. With HTTP/2 all tasks share one. NULL: 0.
 */
int64_t nsurlsession_configuration_http_maximum_connections_per_host(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration);

/**
 * -[NSURLSessionConfiguration setHTTPMaximumConnectionsPerHost:]. Sets the limit. Less than 1:
 * nothing changes, and that is logged.
 */
void nsurlsession_configuration_set_http_maximum_connections_per_host(
    nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration, int64_t count);

/* ---- NSURLSession ---------------------------------------------------------------------------- */

/**
 * +[NSURLSession sharedSession]. The session that the whole process shares: default configuration,
 * no delegate, callbacks on a thread of the library's. Invalidating it does nothing. The caller
 * releases the handle.
 */
nsurlsession_t *NSURLSESSION_NULLABLE nsurlsession_shared_session(void);

/**
 * +[NSURLSession new]. Deprecated by Apple: as nsurlsession_session_with_configuration with the
 * default configuration.
 */
NSURLSESSION_DEPRECATED("use nsurlsession_session_with_configuration")
nsurlsession_t *NSURLSESSION_NULLABLE nsurlsession_new(void);

/**
 * +[NSURLSession sessionWithConfiguration:]. A session without delegate, whose callbacks run on a
 * thread of the library's. The configuration is copied; NULL: the default one. The caller releases
 * the session.
 */
nsurlsession_t *NSURLSESSION_NULLABLE nsurlsession_session_with_configuration(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration);

/**
 * +[NSURLSession sessionWithConfiguration:delegate:delegateQueue:]. A session that copies its
 * configuration (NULL: the default one), copies its delegate (NULL: none) and retains its queue
 * (NULL: one that a thread of the library's runs). All callbacks of the session run on that queue,
 * one after another. The delegate's context is released after did_become_invalid_with_error: that
 * comes after nsurlsession_finish_tasks_and_invalidate or nsurlsession_invalidate_and_cancel, or
 * when the caller has released the session and its tasks are done. The caller releases the
 * session.
 */
nsurlsession_t *NSURLSESSION_NULLABLE nsurlsession_session_with_configuration_delegate_delegate_queue(
    const nsurlsession_configuration_t *NSURLSESSION_NULLABLE configuration,
    const nsurlsession_delegate_t *NSURLSESSION_NULLABLE delegate,
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * -[NSURLSession delegateQueue]. The queue on which callbacks run, retained: the caller releases
 * it. Never NULL for a session.
 */
nsurlsession_queue_t *NSURLSESSION_NULLABLE nsurlsession_delegate_queue(
    const nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession delegate]. The context of the session's delegate. NULL when it has none, and once
 * the session has become invalid.
 */
void *NSURLSESSION_NULLABLE nsurlsession_delegate(
    const nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession configuration]. A copy of the session's configuration; changing it changes
 * nothing for the session. The caller releases it.
 */
nsurlsession_configuration_t *NSURLSESSION_NULLABLE nsurlsession_configuration(
    const nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession sessionDescription]. The label that was set, or NULL. The caller releases the
 * string.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_session_description(
    const nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession setSessionDescription:]. Sets a label for debugging, which is copied; NULL takes
 * it away.
 */
void nsurlsession_set_session_description(
    nsurlsession_t *NSURLSESSION_NULLABLE session, const char *NSURLSESSION_NULLABLE description);

/**
 * -[NSURLSession finishTasksAndInvalidate]. Takes no new tasks from now on and lets those that are
 * there finish; then the delegate gets did_become_invalid_with_error and is released. Returns at
 * once. Suspended tasks keep the session until they are resumed or cancelled.
 */
void nsurlsession_finish_tasks_and_invalidate(nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession invalidateAndCancel]. As nsurlsession_finish_tasks_and_invalidate, but cancels
 * all tasks: each completes with NSURLSESSION_ERROR_CANCELLED first.
 */
void nsurlsession_invalidate_and_cancel(nsurlsession_t *NSURLSESSION_NULLABLE session);

/**
 * -[NSURLSession getTasksWithCompletionHandler:]. Calls `handler` on the delegate queue with three
 * arrays of unfinished tasks, suspended ones included: data, upload and download tasks. The arrays
 * are lent for the call. Called exactly once; NULL for the session or the handler: not at all.
 */
void nsurlsession_get_tasks_with_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    nsurlsession_get_tasks_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession getAllTasksWithCompletionHandler:]. Calls `handler` on the delegate queue with an
 * array of all unfinished tasks, suspended ones included, in the order in which they were made.
 * The array is lent for the call. Called exactly once; NULL for the session or the handler: not at
 * all.
 */
void nsurlsession_get_all_tasks_with_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    nsurlsession_get_all_tasks_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession dataTaskWithRequest:]. A suspended data task that reports to the delegate; resume
 * it to start it. The request is copied. On a session that was invalidated the task fails with
 * NSURLSESSION_ERROR_CANCELLED when it is resumed; without a usable URL it fails with
 * NSURLSESSION_ERROR_BAD_URL or NSURLSESSION_ERROR_UNSUPPORTED_URL. The caller releases the task;
 * it goes on without that reference once it was resumed. NULL for the session: NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_data_task_with_request(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSURLSession dataTaskWithURL:]. As nsurlsession_data_task_with_request, with a GET request for
 * a URL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_data_task_with_url(
    nsurlsession_t *NSURLSESSION_NULLABLE session, const char *NSURLSESSION_NULLABLE url);

/**
 * -[NSURLSession dataTaskWithRequest:completionHandler:]. As nsurlsession_data_task_with_request,
 * but the body is collected and `handler` called with it, exactly once, on the delegate queue,
 * also when the task is cancelled. The delegate's methods for response, data and completion are
 * not called for this task; will_perform_http_redirection is. NULL for the handler: as without
 * one. NULL for the session: NULL, and the handler is not called.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_data_task_with_request_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    nsurlsession_data_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession dataTaskWithURL:completionHandler:]. As
 * nsurlsession_data_task_with_request_completion_handler, with a GET request for a URL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_data_task_with_url_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session, const char *NSURLSESSION_NULLABLE url,
    nsurlsession_data_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/* ---- NSURLSessionTask, and the answers that its delegate owes -------------------------------- */

/** Which of Apple's task classes this is. NULL: NSURLSESSION_TASK_KIND_NONE. */
nsurlsession_task_kind_t nsurlsession_task_kind(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask taskIdentifier]. A number that no other task of the same session has; the
 * first is 1. NULL: 0.
 */
uint64_t nsurlsession_task_identifier(const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask originalRequest]. A copy of the request that the task was made with. The
 * caller releases it. NULL: NULL.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_task_original_request(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask currentRequest]. A copy of the request that is being served: another one than
 * the original after a redirect. The caller releases it. NULL: NULL.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_task_current_request(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask response]. The response, once its headers have come, else NULL. The caller
 * releases it.
 */
nsurlsession_response_t *NSURLSESSION_NULLABLE nsurlsession_task_response(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask delegate]. The context of the task's own delegate, or NULL: when none was
 * set, and once the task is completed.
 */
void *NSURLSESSION_NULLABLE nsurlsession_task_delegate(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask setDelegate:]. Sets a delegate of the task's own, which is copied: methods
 * that it implements are not called on the session's delegate. Its context is released when the
 * task is completed, after its last callback. NULL takes it away. Once the task was resumed this
 * does nothing but release the context, and that is logged.
 */
void nsurlsession_task_set_delegate(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task,
    const nsurlsession_delegate_t *NSURLSESSION_NULLABLE delegate);

/**
 * -[NSURLSessionTask countOfBytesSent]. How many bytes of the request's body were sent; from 0
 * again when it is sent again.
 */
int64_t nsurlsession_task_count_of_bytes_sent(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask countOfBytesReceived]. How many bytes of the response's body were received,
 * after content decoding.
 */
int64_t nsurlsession_task_count_of_bytes_received(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/** -[NSURLSessionTask countOfBytesExpectedToSend]. The length of the request's body. */
int64_t nsurlsession_task_count_of_bytes_expected_to_send(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask countOfBytesExpectedToReceive]. The length of the response's body, or
 * NSURLSESSION_TRANSFER_SIZE_UNKNOWN. 0 before there is a response.
 */
int64_t nsurlsession_task_count_of_bytes_expected_to_receive(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask taskDescription]. The label that was set, or NULL. The caller releases the
 * string.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_task_description(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask setTaskDescription:]. Sets a label for debugging, which is copied; NULL takes
 * it away.
 */
void nsurlsession_task_set_description(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task, const char *NSURLSESSION_NULLABLE description);

/**
 * -[NSURLSessionTask cancel]. Ends the task: it completes with NSURLSESSION_ERROR_CANCELLED, and
 * no other callback comes before that but one that is running. Any thread may call this, inside
 * any callback. Does nothing when the task is completed.
 */
void nsurlsession_task_cancel(nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask suspend]. Stops the task for the time being: nothing is read or sent, no
 * timeout runs, and no callback is called but one that is running. Calls nest: as many calls of
 * nsurlsession_task_resume are needed to go on, at the same byte.
 */
void nsurlsession_task_suspend(nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask resume]. Starts a new task, or lets one go on that was suspended. Does
 * nothing when it is running, cancelled or completed.
 */
void nsurlsession_task_resume(nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask state]. An nsurlsession_task_state_t. NULL:
 * NSURLSESSION_TASK_STATE_RUNNING, which is 0.
 */
nsurlsession_task_state_t nsurlsession_task_state(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask progress]. How far the task has come, in bytes sent and received; the same
 * object for as long as the task lives. Cancelling, pausing and resuming it does that to the task.
 * The caller releases it. NULL: NULL.
 */
nsurlsession_progress_t *NSURLSESSION_NULLABLE nsurlsession_task_progress(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask priority]. How urgent the task is, from 0 to 1;
 * NSURLSESSION_TASK_PRIORITY_DEFAULT when that was not set. NULL: 0.
 */
float nsurlsession_task_priority(const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask setPriority:]. Of the tasks that wait for a connection to a host, the most
 * urgent starts first. Servers are told by the Priority field of RFC 9218, when the task is
 * resumed, and by the weight of its stream on HTTP/2, at any time. Values below 0 count as 0,
 * values above 1 as 1; what is no number is ignored.
 */
void nsurlsession_task_set_priority(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task, float priority);

/**
 * -[NSURLSessionTask prefersIncrementalDelivery]. Whether pieces of the body are of use as they
 * come. Unless it was set: true for tasks that report to a delegate, false for tasks with a
 * completion handler and for downloads. NULL: false.
 */
bool nsurlsession_task_prefers_incremental_delivery(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * -[NSURLSessionTask setPrefersIncrementalDelivery:]. True: the delegate gets what has come as
 * soon as it can take it. False: a body of less than 1 MiB comes in one piece when all of it is
 * there, a longer one in pieces of about that size.
 *
 * Servers are told too, by the Priority field of RFC 9218, when this was set to true before the
 * task was resumed: they then share their bandwidth between such responses instead of sending one
 * after the other.
 */
void nsurlsession_task_set_prefers_incremental_delivery(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task, bool prefers);

/**
 * -[NSURLSessionTask error]. What the task failed with; NULL while it is not completed, and when
 * it succeeded. The caller releases it.
 */
nsurlsession_error_t *NSURLSESSION_NULLABLE nsurlsession_task_error(
    const nsurlsession_task_t *NSURLSESSION_NULLABLE task);

/**
 * Answers did_receive_response, from any thread. Only the first call counts; later ones are
 * logged. NSURLSESSION_RESPONSE_ALLOW goes on, NSURLSESSION_RESPONSE_BECOME_DOWNLOAD goes on as a
 * download task, NSURLSESSION_RESPONSE_CANCEL cancels the task, as do, in this version, all other
 * values.
 */
void nsurlsession_response_completion_call(
    nsurlsession_response_completion_t *NSURLSESSION_NULLABLE completion,
    nsurlsession_response_disposition_t disposition);

/**
 * Answers will_perform_http_redirection, from any thread. Only the first call counts; later ones
 * are logged. `request` is sent next; it is copied. NULL: the redirect is not followed, and its
 * own response and body are the task's result.
 */
void nsurlsession_redirection_completion_call(
    nsurlsession_redirection_completion_t *NSURLSESSION_NULLABLE completion,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * Answers need_new_body_stream and need_new_body_stream_from_offset, from any thread. Only the
 * first call counts; later ones are logged. The task retains `stream`, which must not have been
 * opened. NULL: the task fails with NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
 */
void nsurlsession_body_stream_completion_call(
    nsurlsession_body_stream_completion_t *NSURLSESSION_NULLABLE completion,
    nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream);

/* ---- NSURLSessionUploadTask, and the methods of NSURLSession that make one ------------------- */

/**
 * -[NSURLSession uploadTaskWithRequest:fromFile:]. A suspended upload task that reports to the
 * delegate as a data task does, and by did_send_body_data. Its body is the file that `file_url`
 * names, a file: URL or an absolute path, instead of the request's own. The file is opened when the
 * task is resumed and read as it is sent, never as a whole. The task fails with
 * NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST, NSURLSESSION_ERROR_FILE_IS_DIRECTORY or
 * NSURLSESSION_ERROR_NO_PERMISSIONS_TO_READ_FILE when it cannot be opened, and with
 * NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED when it is changed meanwhile. The method of the
 * request must be one that has a body: GET fails with
 * NSURLSESSION_ERROR_DATA_LENGTH_EXCEEDS_MAXIMUM. The request is copied. The caller releases the
 * task. NULL for the session: NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_request_from_file(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const char *NSURLSESSION_NULLABLE file_url);

/**
 * -[NSURLSession uploadTaskWithRequest:fromData:]. As
 * nsurlsession_upload_task_with_request_from_file, with a body from memory, which is retained and
 * not copied. NULL for the data: an empty body.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_request_from_data(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE data);

/**
 * -[NSURLSession uploadTaskWithStreamedRequest:]. As
 * nsurlsession_upload_task_with_request_from_file, with a body from the stream that the delegate's
 * need_new_body_stream gives each time the body is to be sent. It is sent in chunks, or with the
 * Content-Length that the request has. Without that method the task fails with
 * NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_streamed_request(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSURLSession uploadTaskWithRequest:fromFile:completionHandler:]. As
 * nsurlsession_upload_task_with_request_from_file, but the answer's body is collected and `handler`
 * called with it, exactly once, on the delegate queue, also when the task is cancelled. The
 * delegate's methods for response, data and completion are not called. NULL for the handler: as
 * without one. NULL for the session: NULL, and the handler is not called.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_request_from_file_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const char *NSURLSESSION_NULLABLE file_url,
    nsurlsession_data_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession uploadTaskWithRequest:fromData:completionHandler:]. As
 * nsurlsession_upload_task_with_request_from_file_completion_handler, with a body from memory.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_request_from_data_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE data,
    nsurlsession_data_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession uploadTaskWithResumeData:]. A suspended upload task that goes on where an earlier
 * one was, also one of another process: the server is asked how much has arrived and gets the rest,
 * by the IETF's draft of resumable uploads as Apple's systems speak it. The file must be as it was;
 * of a body from a stream, the delegate's need_new_body_stream_from_offset gives the rest. The task
 * fails with NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE when the server cannot go on. The caller
 * releases the task. NULL for the session, and data that are no resume data of an upload: NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_resume_data(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE resume_data);

/**
 * -[NSURLSession uploadTaskWithResumeData:completionHandler:]. As
 * nsurlsession_upload_task_with_resume_data, with a completion handler, which is not called when
 * the result is NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_upload_task_with_resume_data_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE resume_data,
    nsurlsession_data_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSessionUploadTask cancelByProducingResumeData:]. Cancels the task and calls `handler`
 * exactly once, on a thread of the library's, with what a later task can go on from; with NULL when
 * that cannot be: the server did not say that it can resume this upload, or has answered it; or the
 * body is neither a file nor a stream of the delegate's. The task completes with
 * NSURLSESSION_ERROR_CANCELLED, which has the same data in its user info. NULL for the task: the
 * handler is not called.
 */
void nsurlsession_upload_task_cancel_by_producing_resume_data(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task,
    nsurlsession_resume_data_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/* ---- NSURLSessionDownloadTask, and the methods of NSURLSession that make one ----------------- */

/**
 * -[NSURLSession downloadTaskWithRequest:]. A suspended download task that reports to the delegate;
 * resume it to start it. The body goes to a file in the directory that TMPDIR names, or /tmp:
 * did_finish_downloading_to_url has it. The request is copied. What is said of
 * nsurlsession_data_task_with_request about invalidated sessions and URLs holds here too. The
 * caller releases the task. NULL for the session: NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_request(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSURLSession downloadTaskWithURL:]. As nsurlsession_download_task_with_request, with a GET
 * request for a URL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_url(
    nsurlsession_t *NSURLSESSION_NULLABLE session, const char *NSURLSESSION_NULLABLE url);

/**
 * -[NSURLSession downloadTaskWithResumeData:]. A suspended download task that goes on where an
 * earlier one was, also one of another process. The server is asked for the rest, on condition
 * that the resource is the same: did_resume_at_offset tells that it is. When it has changed, or
 * when the file with the first part is missing or was altered, the download starts from the
 * beginning. Resume data that cannot be read make the task fail with
 * NSURLSESSION_ERROR_CANNOT_OPEN_FILE once it is resumed. The data are copied. The caller releases
 * the task. NULL for the session: NULL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_resume_data(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE resume_data);

/**
 * -[NSURLSession downloadTaskWithRequest:completionHandler:]. As
 * nsurlsession_download_task_with_request, but `handler` is called with the file, exactly once, on
 * the delegate queue, also when the task is cancelled; the methods of the delegate for progress,
 * file and completion are not. NULL for the handler: as without one. NULL for the session: NULL,
 * and the handler is not called.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_request_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    nsurlsession_download_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession downloadTaskWithURL:completionHandler:]. As
 * nsurlsession_download_task_with_request_completion_handler, with a GET request for a URL.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_url_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session, const char *NSURLSESSION_NULLABLE url,
    nsurlsession_download_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSession downloadTaskWithResumeData:completionHandler:]. As
 * nsurlsession_download_task_with_resume_data, with a completion handler.
 */
nsurlsession_task_t *NSURLSESSION_NULLABLE nsurlsession_download_task_with_resume_data_completion_handler(
    nsurlsession_t *NSURLSESSION_NULLABLE session,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE resume_data,
    nsurlsession_download_task_completion_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * -[NSURLSessionDownloadTask cancelByProducingResumeData:]. Cancels the task and calls `handler`
 * exactly once, on a thread of the library's, with what a later task can go on from. With NULL
 * when that cannot be: the request was no GET or asked for a range of its own; the response had
 * neither a strong ETag nor a Last-Modified date before its Date, had a content coding, or said
 * "Accept-Ranges: none"; or the task was completed or cancelled. The task completes with
 * NSURLSESSION_ERROR_CANCELLED, which has the same data in its user info. The first part of the
 * file stays in the temporary directory until a task goes on with it, or for a week. NULL for the
 * task: the handler is not called. NULL for the handler: the data are in the error alone.
 */
void nsurlsession_download_task_cancel_by_producing_resume_data(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task,
    nsurlsession_resume_data_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/**
 * Takes resume data without cancelling the task, for programs that want to survive their own end:
 * calls `handler` exactly once, on a thread of the library's, with what a later task can go on
 * from if this one does not finish, or with NULL as
 * nsurlsession_download_task_cancel_by_producing_resume_data does, and before the response has
 * come. Save the data before taking them again: from the second time on, the file stays in the
 * temporary directory when the process dies. NULL for the task or the handler: nothing is called.
 */
void nsurlsession_download_task_get_resume_data_with_completion_handler(
    nsurlsession_task_t *NSURLSESSION_NULLABLE task,
    nsurlsession_resume_data_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context);

/* ---- NSURLRequest and NSMutableURLRequest ---------------------------------------------------- */

/**
 * -[NSMutableURLRequest init]. A request without URL and with all defaults, to be filled in. The
 * caller releases it.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_request_new(void);

/**
 * +[NSURLRequest requestWithURL:]. A GET request for an absolute URL, read by the rules of the URL
 * standard (an international host is encoded, paths are normalised). A URL that is malformed is
 * kept as it is: a task with it fails with NSURLSESSION_ERROR_BAD_URL. NULL: no URL. The caller
 * releases the request.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_request_with_url(
    const char *NSURLSESSION_NULLABLE url);

/**
 * +[NSURLRequest requestWithURL:cachePolicy:timeoutInterval:]. As nsurlsession_request_with_url,
 * with a cache policy and a timeout in seconds (see nsurlsession_request_set_timeout_interval).
 * The policies have Apple's numbers: 0 the protocol's, 1 and 4 reload (intermediaries are told not
 * to answer from their caches), 2 cache else load, 3 cache only, 5 revalidate. This version has no
 * cache: 3 fails with NSURLSESSION_ERROR_CANNOT_LOAD_FROM_NETWORK, 2 loads. Other numbers mean 0.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_request_with_url_cache_policy_timeout_interval(
    const char *NSURLSESSION_NULLABLE url, int32_t cache_policy, double timeout_interval);

/**
 * -[NSURLRequest URL]. The absolute URL, or what was given if that is not one. The caller releases
 * the string. None set, or NULL: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_request_url(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/** -[NSMutableURLRequest setURL:]. Copies the URL; NULL takes it away. */
void nsurlsession_request_set_url(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request, const char *NSURLSESSION_NULLABLE url);

/**
 * -[NSURLRequest timeoutInterval]. Seconds without anything moving after which a task fails with
 * NSURLSESSION_ERROR_TIMED_OUT: 60 if it was not set, and then the configuration's timeout counts.
 * NULL: 0.
 */
double nsurlsession_request_timeout_interval(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setTimeoutInterval:]. Sets the timeout in seconds; fractions count,
 * infinity means none. What was set here takes the place of the configuration's timeout. Not a
 * number, 0 or less: nothing changes, and that is logged.
 */
void nsurlsession_request_set_timeout_interval(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request, double seconds);

/**
 * -[NSURLRequest HTTPMethod]. The method; "GET" if none was set. The caller releases the string.
 * NULL: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_request_http_method(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setHTTPMethod:]. Sets any method that is a token, with its case; NULL
 * means GET. Anything else: nothing changes, and that is logged.
 */
void nsurlsession_request_set_http_method(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const char *NSURLSESSION_NULLABLE method);

/**
 * -[NSURLRequest allHTTPHeaderFields]. The fields that were set, as a dictionary whose keys are
 * compared without regard to case; a copy, which the caller releases. NULL: NULL.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_request_all_http_header_fields(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setAllHTTPHeaderFields:]. Replaces all fields by those of a dictionary of
 * strings; NULL takes all away. A field that would not be one field on the wire (its name is no
 * token, or there is a line break in its value) is left out, and that is logged.
 */
void nsurlsession_request_set_all_http_header_fields(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE fields);

/**
 * -[NSURLRequest valueForHTTPHeaderField:]. The value of a field, whatever the case of its name.
 * The caller releases the string. No such field: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_request_value_for_http_header_field(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const char *NSURLSESSION_NULLABLE field);

/**
 * -[NSMutableURLRequest setValue:forHTTPHeaderField:]. Sets a field, in place of one with the same
 * name; NULL for the value takes it away. A name that is no token or a value with a line break in
 * it is refused, and that is logged. Fields that the library makes itself (Connection,
 * Content-Length, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade) are not sent.
 */
void nsurlsession_request_set_value_for_http_header_field(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request, const char *NSURLSESSION_NULLABLE value,
    const char *NSURLSESSION_NULLABLE field);

/**
 * -[NSMutableURLRequest addValue:forHTTPHeaderField:]. Adds a value to a field: after a comma when
 * there is one with the same name. Refuses what
 * nsurlsession_request_set_value_for_http_header_field refuses. NULL for the value: nothing
 * happens.
 */
void nsurlsession_request_add_value_for_http_header_field(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request, const char *NSURLSESSION_NULLABLE value,
    const char *NSURLSESSION_NULLABLE field);

/**
 * -[NSURLRequest HTTPBody]. The body, retained: the caller releases it. None, or a stream: NULL.
 */
nsurlsession_data_t *NSURLSESSION_NULLABLE nsurlsession_request_http_body(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setHTTPBody:]. Sets the body, which is retained and not copied, instead of
 * a body stream; its length is sent as Content-Length. A POST without Content-Type gets
 * application/x-www-form-urlencoded. NULL takes the body away.
 */
void nsurlsession_request_set_http_body(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE body);

/**
 * -[NSURLRequest HTTPBodyStream]. The body's stream, retained: the caller releases it. None: NULL.
 */
nsurlsession_input_stream_t *NSURLSESSION_NULLABLE nsurlsession_request_http_body_stream(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setHTTPBodyStream:]. Sets a stream that the body is read from, instead of a
 * body; it is retained and must not have been opened. Copies of the request share it. The body is
 * sent in chunks, or with the Content-Length that the request has. A stream is read once: when the
 * body must be sent again, the delegate's need_new_body_stream is asked for another one. NULL takes
 * the stream away.
 */
void nsurlsession_request_set_http_body_stream(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream);

/* ---- NSURLResponse and NSHTTPURLResponse ----------------------------------------------------- */

/**
 * -[NSURLResponse initWithURL:MIMEType:expectedContentLength:textEncodingName:]. A response that
 * is not HTTP. The length is NSURLSESSION_RESPONSE_UNKNOWN_LENGTH when it is not known; type and
 * encoding may be NULL. The caller releases it. Without a URL: NULL.
 */
nsurlsession_response_t *NSURLSESSION_NULLABLE nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name(
    const char *NSURLSESSION_NULLABLE url, const char *NSURLSESSION_NULLABLE mime_type,
    int64_t expected_content_length, const char *NSURLSESSION_NULLABLE text_encoding_name);

/**
 * -[NSHTTPURLResponse initWithURL:statusCode:HTTPVersion:headerFields:]. An HTTP response made by
 * hand. The version (NULL: "HTTP/1.1") is only shown; fields are strings, or NULL for none. The
 * caller releases it. Without a URL, or with a status outside of 100 to 999: NULL.
 */
nsurlsession_response_t *NSURLSESSION_NULLABLE nsurlsession_response_with_url_status_code_http_version_header_fields(
    const char *NSURLSESSION_NULLABLE url, int64_t status_code,
    const char *NSURLSESSION_NULLABLE http_version,
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE header_fields);

/**
 * -[NSURLResponse URL]. The URL that the response came from, after redirects. It lives as long as
 * the response, as do all strings of a response. NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_response_url(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * -[NSURLResponse MIMEType]. The media type, lower case and without parameters; guessed from the
 * URL's extension when the server sent none. Not known: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_response_mime_type(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * -[NSURLResponse expectedContentLength]. How many bytes the body has, or
 * NSURLSESSION_RESPONSE_UNKNOWN_LENGTH: also when the content is coded (gzip and the like), since
 * the length on the wire is not that of the body. NULL: 0.
 */
int64_t nsurlsession_response_expected_content_length(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/** -[NSURLResponse textEncodingName]. The charset as the server sent it, or NULL. */
const char *NSURLSESSION_NULLABLE nsurlsession_response_text_encoding_name(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * -[NSURLResponse suggestedFilename]. A name for a file with the body: from Content-Disposition,
 * else from the URL's path, else from its host. It has no path separators and never leads
 * anywhere else. NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_response_suggested_filename(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/** -[NSHTTPURLResponse statusCode]. The HTTP status. A response that is not HTTP, or NULL: 0. */
int64_t nsurlsession_response_status_code(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * -[NSHTTPURLResponse allHeaderFields]. All header fields in the order in which they came; keys
 * are compared without regard to case, repeated fields are joined with a comma. The caller
 * releases the dictionary. NULL: NULL.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_response_all_header_fields(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * -[NSHTTPURLResponse valueForHTTPHeaderField:]. The value of a header field, whatever the case of
 * its name. It lives as long as the response. No such field: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_response_value_for_http_header_field(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response,
    const char *NSURLSESSION_NULLABLE field);

/**
 * The trailer fields: header fields that the server sent after the body. They are there when the
 * body is complete: in did_finish_downloading_to_url, did_finish_collecting_metrics,
 * did_complete_with_error and the completion handler, and after those. Keys are compared without
 * regard to case, repeated fields are joined with a comma. The caller releases the dictionary. None
 * sent, or none come yet, or NULL: NULL. An addition to Apple's interface.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_response_trailers(
    const nsurlsession_response_t *NSURLSESSION_NULLABLE response);

/**
 * +[NSHTTPURLResponse localizedStringForStatusCode:]. A word or two for a status, such as "not
 * found" for 404; never NULL. The string is static.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_response_localized_string_for_status_code(
    int64_t status_code);

/* ---- NSProgress ------------------------------------------------------------------------------ */

/**
 * +[NSProgress discreteProgressWithTotalUnitCount:]. A progress that stands alone: it does not
 * become a child of another one until it is added. A negative count: it is not known yet. The
 * caller releases it.
 */
nsurlsession_progress_t *NSURLSESSION_NULLABLE nsurlsession_progress_discrete_with_total_unit_count(
    int64_t total_unit_count);

/**
 * -[NSProgress addChild:withPendingUnitCount:]. Makes `child`, such as the progress of a task,
 * stand for so many units of `progress`: its fraction counts for them, and when it has finished
 * they are added to the completed units and the child is let go. Until then the parent retains the
 * child. A parent that is cancelled or paused cancels or pauses it. A child has one parent only
 * and no circle is made; a task's progress has no children; trees are at most 64 levels deep; a
 * count is not negative: what is refused is logged and nothing changes. NULL for either: nothing.
 */
void nsurlsession_progress_add_child_with_pending_unit_count(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    nsurlsession_progress_t *NSURLSESSION_NULLABLE child, int64_t pending_unit_count);

/**
 * -[NSProgress totalUnitCount]. How many units there are in all: bytes for a task. Negative: not
 * known. NULL: 0.
 */
int64_t nsurlsession_progress_total_unit_count(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setTotalUnitCount:]. Says how many units there are in all; negative: not known.
 * What is set on a task's progress lasts until bytes move.
 */
void nsurlsession_progress_set_total_unit_count(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, int64_t total_unit_count);

/**
 * -[NSProgress completedUnitCount]. How many units are done, those of finished children included:
 * bytes for a task. NULL: 0.
 */
int64_t nsurlsession_progress_completed_unit_count(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setCompletedUnitCount:]. Says how many units are done. What is set on a task's
 * progress lasts until bytes move.
 */
void nsurlsession_progress_set_completed_unit_count(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, int64_t completed_unit_count);

/**
 * -[NSProgress fractionCompleted]. How much is done, children included, from 0.0 to 1.0. 0.0 while
 * it is indeterminate, 1.0 when both counts are zero: there is nothing to do. A task that
 * succeeded ends at 1.0. NULL: 0.0.
 */
double nsurlsession_progress_fraction_completed(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress isIndeterminate]. Whether there is no telling how much is left: a count is
 * negative, or both are zero although there are children. NULL: false.
 */
bool nsurlsession_progress_indeterminate(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress isFinished]. Whether all is done: some units are, and no fewer than there are in
 * all. A task's progress is finished when the task has succeeded. NULL: false.
 */
bool nsurlsession_progress_finished(const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress isCancellable]. Whether a user interface should offer to cancel; true unless it was
 * set. nsurlsession_progress_cancel works anyway. NULL: false.
 */
bool nsurlsession_progress_cancellable(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setCancellable:]. Says whether a user interface should offer to cancel. A task sets
 * that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_cancellable(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, bool cancellable);

/**
 * -[NSProgress isPausable]. Whether a user interface should offer to pause; false unless it was
 * set, true for tasks. nsurlsession_progress_pause works anyway. NULL: false.
 */
bool nsurlsession_progress_pausable(const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setPausable:]. Says whether a user interface should offer to pause. A task sets
 * that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_pausable(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, bool pausable);

/** -[NSProgress isCancelled]. Whether it was cancelled, itself or by a parent. NULL: false. */
bool nsurlsession_progress_cancelled(const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/** -[NSProgress isPaused]. Whether it is paused, by itself or by a parent. NULL: false. */
bool nsurlsession_progress_paused(const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress cancel]. Marks the progress as cancelled for good, cancels the task that it belongs
 * to, and calls its cancellation handler on this thread; then the same for its children. What is
 * cancelled already hears nothing. NULL: nothing.
 */
void nsurlsession_progress_cancel(nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress pause]. Marks the progress as paused, suspends the task that it belongs to, and
 * calls its pausing handler on this thread; then the same for its children. What is paused already
 * hears nothing. NULL: nothing.
 */
void nsurlsession_progress_pause(nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress resume]. Marks the progress as not paused any more, resumes the task that it
 * belongs to, also one that was never resumed, and calls its resuming handler on this thread; then
 * the same for its children. Handlers of what is not paused are not called. NULL: nothing.
 */
void nsurlsession_progress_resume(nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress cancellationHandler]. The function that was set; its context is not handed out.
 * None, or NULL: NULL.
 */
nsurlsession_progress_handler_t NSURLSESSION_NULLABLE nsurlsession_progress_cancellation_handler(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setCancellationHandler:]. Has `handler(context)` called when the progress is
 * cancelled, on the thread that cancels it; at once if it is cancelled already. A task's progress
 * cancels the task as well. NULL: none. `release`, if it is not NULL, gets the context once: when
 * another handler is set, when the progress is freed, or when nothing was set. A handler that is
 * running is not released before it returns.
 */
void nsurlsession_progress_set_cancellation_handler(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    nsurlsession_progress_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

/**
 * -[NSProgress pausingHandler]. The function that was set; its context is not handed out. None, or
 * NULL: NULL.
 */
nsurlsession_progress_handler_t NSURLSESSION_NULLABLE nsurlsession_progress_pausing_handler(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setPausingHandler:]. Has `handler(context)` called when the progress is paused, on
 * the thread that pauses it; at once if it is paused already. Otherwise as
 * nsurlsession_progress_set_cancellation_handler.
 */
void nsurlsession_progress_set_pausing_handler(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    nsurlsession_progress_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

/**
 * -[NSProgress resumingHandler]. The function that was set; its context is not handed out. None,
 * or NULL: NULL.
 */
nsurlsession_progress_handler_t NSURLSESSION_NULLABLE nsurlsession_progress_resuming_handler(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setResumingHandler:]. Has `handler(context)` called when the progress was paused
 * and is resumed, on the thread that resumes it. Otherwise as
 * nsurlsession_progress_set_cancellation_handler.
 */
void nsurlsession_progress_set_resuming_handler(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    nsurlsession_progress_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

/**
 * Has `handler(context, progress)` called on `queue` (NULL: one of the library's own) after
 * anything of the progress has changed, its fraction by a child included: in place of key-value
 * observing. Changes that come while a call is waiting to run are told by that call, so a slow
 * handler gets fewer calls and always one after the last change. The throughput and the time
 * remaining of a task also change as time passes: that is not told. There is one handler; NULL:
 * none. `release`, if it is not NULL, gets the context once: when another handler is set, when the
 * progress is freed, or when nothing was set. A handler that is running is not released before it
 * returns.
 */
void nsurlsession_progress_set_change_handler(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue,
    nsurlsession_progress_change_handler_t NSURLSESSION_NULLABLE handler,
    void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

/**
 * -[NSProgress kind]. What sort of work it is: NSURLSESSION_PROGRESS_KIND_FILE for tasks, another
 * string, or NULL. The caller releases the string.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_progress_kind(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setKind:]. Says what sort of work it is; the string is copied, NULL is none. Units
 * of the kind NSURLSESSION_PROGRESS_KIND_FILE are bytes. A task sets that of its own progress:
 * refused there, and logged.
 */
void nsurlsession_progress_set_kind(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    const char *NSURLSESSION_NULLABLE kind);

/**
 * -[NSProgress fileOperationKind]. What is done with a file: one of
 * NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_..., another string, or NULL. The caller releases the
 * string.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_progress_file_operation_kind(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setFileOperationKind:]. Says what is done with a file; the string is copied, NULL
 * is none. A task sets that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_file_operation_kind(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    const char *NSURLSESSION_NULLABLE kind);

/**
 * -[NSProgress localizedDescription]. What goes on, for a person, in English: what was set, or
 * else such as "30% completed", "Downloading…", "Loading…". The caller releases the string. NULL:
 * NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_progress_localized_description(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setLocalizedDescription:]. Sets the description, which is copied; NULL: the library
 * makes it. A task sets that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_localized_description(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    const char *NSURLSESSION_NULLABLE description);

/**
 * -[NSProgress localizedAdditionalDescription]. Details for a person, in English: what was set, or
 * else such as "3 of 10" or, for files, "1.61 GB of 3.22 GB (2 KB/sec) — 2 minutes remaining", as
 * far as it is known; perhaps empty. The caller releases the string. NULL: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_progress_localized_additional_description(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setLocalizedAdditionalDescription:]. Sets the details, which are copied; NULL: the
 * library makes them. A task sets those of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_localized_additional_description(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress,
    const char *NSURLSESSION_NULLABLE description);

/**
 * -[NSProgress estimatedTimeRemaining]. Seconds until it will be done: what was set; for a task
 * what is left over by the throughput. Not known, or NULL: not a number.
 */
double nsurlsession_progress_estimated_time_remaining(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setEstimatedTimeRemaining:]. Says how many seconds are left; negative, or not a
 * number: not known. A task sets that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_estimated_time_remaining(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, double seconds);

/**
 * -[NSProgress throughput]. Bytes a second: what was set; for a task the rate of the last two
 * seconds. Not known, such as before anything has moved and while it is paused, or NULL: -1.
 */
int64_t nsurlsession_progress_throughput(
    const nsurlsession_progress_t *NSURLSESSION_NULLABLE progress);

/**
 * -[NSProgress setThroughput:]. Says how many bytes a second there are; negative: not known. A
 * task sets that of its own progress: refused there, and logged.
 */
void nsurlsession_progress_set_throughput(
    nsurlsession_progress_t *NSURLSESSION_NULLABLE progress, int64_t bytes_per_second);

/* ---- NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics -------------------------- */

/**
 * -[NSURLSessionTaskMetrics transactionMetrics]. An nsurlsession_transaction_metrics_t for each
 * request that was made for the task, with its response, in the order of time: redirects that were
 * followed, and the continuation of a download that had to begin anew, each have their own. A task
 * that ended before it could begin has one, of which nothing but the request is known. The caller
 * releases the array. NULL: NULL.
 */
nsurlsession_array_t *NSURLSESSION_NULLABLE nsurlsession_task_metrics_transaction_metrics(
    const nsurlsession_task_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskMetrics taskInterval]. From the creation of the task, not from its first
 * resumption, until just before it turned completed. The caller releases it. NULL: NULL.
 */
nsurlsession_date_interval_t *NSURLSESSION_NULLABLE nsurlsession_task_metrics_task_interval(
    const nsurlsession_task_metrics_t *NSURLSESSION_NULLABLE metrics);

/** -[NSURLSessionTaskMetrics redirectCount]. How many redirects were followed. NULL: 0. */
size_t nsurlsession_task_metrics_redirect_count(
    const nsurlsession_task_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics request]. A copy of the request. The caller releases it.
 * NULL: NULL.
 */
nsurlsession_request_t *NSURLSESSION_NULLABLE nsurlsession_transaction_metrics_request(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics response]. The response, which the caller releases. None had
 * come when it ended, or NULL: NULL.
 */
nsurlsession_response_t *NSURLSESSION_NULLABLE nsurlsession_transaction_metrics_response(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics fetchStartDate]. When the request was to be made, in
 * seconds since 1970: the task was resumed, or the redirect before was decided on. It may have to
 * wait for a connection after that. All dates of a transaction are in seconds since 1970, and not
 * a number for what did not happen; of what began and failed there is no end, and no date of what
 * would have followed. NULL: not a number.
 */
double nsurlsession_transaction_metrics_fetch_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics domainLookupStartDate]. When the host's name began to be
 * looked up. On a kept connection, and for an address instead of a name: not a number.
 */
double nsurlsession_transaction_metrics_domain_lookup_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics domainLookupEndDate]. When the host's name had been looked
 * up; soon after the start for one that was looked up a short while before. Otherwise as the
 * start.
 */
double nsurlsession_transaction_metrics_domain_lookup_end_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics connectStartDate]. When the connection began to be made. On
 * a kept connection: not a number.
 */
double nsurlsession_transaction_metrics_connect_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics secureConnectionStartDate]. When TLS began on the new
 * connection. Without TLS and on a kept connection: not a number.
 */
double nsurlsession_transaction_metrics_secure_connection_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics secureConnectionEndDate]. When TLS was agreed on. Without
 * TLS and on a kept connection: not a number.
 */
double nsurlsession_transaction_metrics_secure_connection_end_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics connectEndDate]. When the new connection was ready, TLS
 * included. On a kept connection: not a number.
 */
double nsurlsession_transaction_metrics_connect_end_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics requestStartDate]. Just before the first byte of the
 * request was sent.
 */
double nsurlsession_transaction_metrics_request_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics requestEndDate]. Just after the last byte of the request
 * was sent. Of a body that was not sent to its end because the server answered before, that may be
 * missing though there is a response.
 */
double nsurlsession_transaction_metrics_request_end_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics responseStartDate]. When the first bytes of the response
 * came; informational responses (1xx) do not count.
 */
double nsurlsession_transaction_metrics_response_start_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics responseEndDate]. When the last byte of the response came.
 * A redirect is followed without waiting for the rest of its body: then that is not a number.
 */
double nsurlsession_transaction_metrics_response_end_date(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics networkProtocolName]. The protocol by its ALPN name:
 * "http/1.1", "h2", "h3", or "http/1.0". The string lives as long as the metrics, as do all
 * strings of theirs. No request was sent, or NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_transaction_metrics_network_protocol_name(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isProxyConnection]. Whether the connection led to a proxy.
 * NULL: false.
 */
bool nsurlsession_transaction_metrics_proxy_connection(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isReusedConnection]. Whether the request was sent on a
 * connection that was there already. NULL: false.
 */
bool nsurlsession_transaction_metrics_reused_connection(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics resourceFetchType]. Where the response came from, or was to
 * come from. It is not known of a transaction that never began: the task was cancelled while it
 * waited, or the request cannot be made. NULL: unknown.
 */
nsurlsession_task_metrics_resource_fetch_type_t nsurlsession_transaction_metrics_resource_fetch_type(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfRequestHeaderBytesSent]. Bytes of the request's head
 * that were sent. For HTTP/2 and later it is the length that the head has in HTTP/1: how far it
 * was compressed is not known. NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_request_header_bytes_sent(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfRequestBodyBytesSent]. Bytes of the request's body
 * that were sent, with what encloses the pieces of a body of unknown length in HTTP/1; the frames
 * of HTTP/2 do not count. NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_request_body_bytes_sent(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfRequestBodyBytesBeforeEncoding]. The length of the
 * request's body as it was given. Nothing of the request was sent, or NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_request_body_bytes_before_encoding(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfResponseHeaderBytesReceived]. Bytes of the
 * response's head that came, and of informational responses (1xx) before it. For HTTP/2 and later
 * it is the length that the head has in HTTP/1: how far it was compressed is not known. NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_response_header_bytes_received(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfResponseBodyBytesReceived]. Bytes of the response's
 * body that came, before decoding (gzip and the like). What encloses chunks and frames does not
 * count. NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_response_body_bytes_received(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics countOfResponseBodyBytesAfterDecoding]. Bytes of the
 * response's body that the delegate or the completion handler was given. None of a redirect that
 * was followed. NULL: 0.
 */
int64_t nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics localAddress]. This side's address, such as "192.0.2.1" or
 * "2001:db8::1". No connection was made, or NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_transaction_metrics_local_address(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics localPort]. This side's port. Where Apple's is nil, and for
 * NULL: 0.
 */
int32_t nsurlsession_transaction_metrics_local_port(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics remoteAddress]. The server's address, or the proxy's. No
 * connection was made, or NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_transaction_metrics_remote_address(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics remotePort]. The server's port, or the proxy's. Where
 * Apple's is nil, and for NULL: 0.
 */
int32_t nsurlsession_transaction_metrics_remote_port(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics negotiatedTLSProtocolVersion]. The number of TLS's version:
 * 0x0303 for TLS 1.2, 0x0304 for TLS 1.3. Without TLS, where Apple's is nil, and for NULL: 0.
 */
int32_t nsurlsession_transaction_metrics_negotiated_tls_protocol_version(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics negotiatedTLSCipherSuite]. IANA's number of the cipher
 * suite, such as 0x1301 for TLS_AES_128_GCM_SHA256. Without TLS, where Apple's is nil, and for
 * NULL: 0.
 */
int32_t nsurlsession_transaction_metrics_negotiated_tls_cipher_suite(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isCellular]. Whether the connection went over a mobile
 * network. That is not known on Linux, where a modem is a network interface as any other: false.
 */
bool nsurlsession_transaction_metrics_cellular(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isExpensive]. Whether the connection went over a network
 * whose use costs by the byte. That is not known on Linux without asking NetworkManager, which
 * this version does not: false.
 */
bool nsurlsession_transaction_metrics_expensive(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isConstrained]. Whether the connection went over a network
 * in Low Data Mode. Linux has no such mode: false.
 */
bool nsurlsession_transaction_metrics_constrained(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics isMultipath]. Whether the connection used several ways at
 * once (Multipath TCP). This version makes ordinary TCP connections: false.
 */
bool nsurlsession_transaction_metrics_multipath(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/**
 * -[NSURLSessionTaskTransactionMetrics domainResolutionProtocol]. How the host's name was looked
 * up. The system's resolver does it, and does not tell whether it asked a server, read /etc/hosts,
 * or knew the answer: unknown.
 */
nsurlsession_task_metrics_domain_resolution_protocol_t nsurlsession_transaction_metrics_domain_resolution_protocol(
    const nsurlsession_transaction_metrics_t *NSURLSESSION_NULLABLE metrics);

/* ---- NSStream, NSInputStream and NSOutputStream ---------------------------------------------- */

/**
 * -[NSStream open]. Opens an input or output stream; a stream opens once, and what cannot be opened
 * has a status and an error that say so. A request's body must not be opened: the library does
 * that. NULL, or what is no stream: nothing.
 */
void nsurlsession_io_stream_open(const void *NSURLSESSION_NULLABLE stream);

/**
 * -[NSStream close]. Closes an input or output stream for good; a thread that waits to read or to
 * write returns with -1. Of a bound pair, the reading end comes to its end when the other is closed
 * and all is read; the writing end fails with EPIPE when the other is closed. The last release of a
 * stream closes it too. Any thread may call this, also inside a function of the stream's own
 * source, which is closed when that returns. NULL, or what is no stream: nothing.
 */
void nsurlsession_io_stream_close(const void *NSURLSESSION_NULLABLE stream);

/**
 * -[NSStream streamStatus]. Where an input or output stream is in its life. NULL, or what is no
 * stream: NSURLSESSION_STREAM_STATUS_NOT_OPEN.
 */
nsurlsession_stream_status_t nsurlsession_io_stream_stream_status(
    const void *NSURLSESSION_NULLABLE stream);

/**
 * -[NSStream streamError]. Why an input or output stream failed, or NULL. The caller releases it.
 */
nsurlsession_error_t *NSURLSESSION_NULLABLE nsurlsession_io_stream_stream_error(
    const void *NSURLSESSION_NULLABLE stream);

/**
 * +[NSStream getBoundStreamsWithBufferSize:inputStream:outputStream:]. Makes two streams: what is
 * written to `*output_stream` is read from `*input_stream`. At most `buffer_size` bytes wait
 * between them (0 counts as 1): whoever writes more waits. The caller releases both. NULL for
 * either pointer: nothing is made.
 */
void nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
    size_t buffer_size,
    nsurlsession_input_stream_t *NSURLSESSION_NULLABLE *NSURLSESSION_NULLABLE input_stream,
    nsurlsession_output_stream_t *NSURLSESSION_NULLABLE *NSURLSESSION_NULLABLE output_stream);

/**
 * +[NSInputStream inputStreamWithData:]. A stream of these bytes. The caller releases it. NULL:
 * NULL.
 */
nsurlsession_input_stream_t *NSURLSESSION_NULLABLE nsurlsession_input_stream_with_data(
    const nsurlsession_data_t *NSURLSESSION_NULLABLE data);

/**
 * +[NSInputStream inputStreamWithFileAtPath:]. A stream of a file's bytes; the file is opened with
 * the stream. The caller releases it. NULL, or what is not UTF-8: NULL.
 */
nsurlsession_input_stream_t *NSURLSESSION_NULLABLE nsurlsession_input_stream_with_file_at_path(
    const char *NSURLSESSION_NULLABLE path);

/**
 * +[NSInputStream inputStreamWithURL:]. As nsurlsession_input_stream_with_file_at_path, for a file:
 * URL. NULL for another URL.
 */
nsurlsession_input_stream_t *NSURLSESSION_NULLABLE nsurlsession_input_stream_with_url(
    const char *NSURLSESSION_NULLABLE url);

/**
 * A stream whose bytes come from a source of the caller's, a body that is made while it is sent for
 * instance. The struct is copied. The source is used by one thread at a time, on threads of the
 * library's when the stream is a request's body; it may block there, but a source that returns
 * NSURLSESSION_STREAM_READ_NOT_NOW and signals later blocks nothing. The context is released
 * exactly once, when the stream is closed or freed. The caller releases the stream. NULL, or a
 * source without `read`: NULL, and the context is released.
 */
nsurlsession_input_stream_t *NSURLSESSION_NULLABLE nsurlsession_input_stream_with_source(
    const nsurlsession_input_stream_source_t *NSURLSESSION_NULLABLE source);

/**
 * Says that a source that returned NSURLSESSION_STREAM_READ_NOT_NOW has bytes now, or has come to
 * its end. Any thread may call this, at any time. NULL: nothing.
 */
void nsurlsession_input_stream_signal(nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream);

/**
 * -[NSInputStream read:maxLength:]. Reads up to `max_length` bytes into `buffer` and returns how
 * many; 0 at the end; -1 when the stream is not open, was closed meanwhile or failed. Waits while
 * there are none. NULL for the stream or the buffer: -1. A `max_length` of 0: 0.
 */
int64_t nsurlsession_input_stream_read_max_length(
    nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream,
    uint8_t *NSURLSESSION_NULLABLE buffer, size_t max_length);

/**
 * -[NSInputStream hasBytesAvailable]. Whether a read would not have to wait, as far as that can be
 * told: there are bytes, or the end, which was not read yet. False for a stream that is not open
 * or being read by another thread. NULL: false.
 */
bool nsurlsession_input_stream_has_bytes_available(
    const nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream);

/**
 * -[NSOutputStream write:maxLength:]. Writes up to `max_length` of the bytes and returns how many;
 * -1 when the stream is not open, or nobody reads any more. Waits while there is no room. NULL for
 * the stream or the bytes: -1. A `max_length` of 0: 0.
 */
int64_t nsurlsession_output_stream_write_max_length(
    nsurlsession_output_stream_t *NSURLSESSION_NULLABLE stream,
    const uint8_t *NSURLSESSION_NULLABLE bytes, size_t max_length);

/**
 * -[NSOutputStream hasSpaceAvailable]. Whether a write would not have to wait: there is room, or
 * nobody reads any more, which a write says. False for a stream that is not open. NULL: false.
 */
bool nsurlsession_output_stream_has_space_available(
    const nsurlsession_output_stream_t *NSURLSESSION_NULLABLE stream);

/* ---- NSDateInterval -------------------------------------------------------------------------- */

/**
 * -[NSDateInterval startDate]. When the interval begins, in seconds since 1970. NULL: not a number.
 */
double nsurlsession_date_interval_start_date(
    const nsurlsession_date_interval_t *NSURLSESSION_NULLABLE interval);

/**
 * -[NSDateInterval endDate]. When the interval ends, in seconds since 1970: its start and its
 * duration together. NULL: not a number.
 */
double nsurlsession_date_interval_end_date(
    const nsurlsession_date_interval_t *NSURLSESSION_NULLABLE interval);

/** -[NSDateInterval duration]. How long the interval is, in seconds; never negative. NULL: 0. */
double nsurlsession_date_interval_duration(
    const nsurlsession_date_interval_t *NSURLSESSION_NULLABLE interval);

/* ---- NSURL, as far as a C string needs help -------------------------------------------------- */

/**
 * -[NSURL path]. The path in an absolute URL, without percent-encoding: for a file: URL what
 * open(2) takes. The caller releases the string. NULL, or what is no URL with a path: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_url_path(
    const char *NSURLSESSION_NULLABLE url);

/* ---- NSError --------------------------------------------------------------------------------- */

/**
 * +[NSError errorWithDomain:code:userInfo:]. An error object with copies of `domain` and
 * `user_info` (NULL: empty). The caller releases it. A domain that is NULL or not UTF-8: NULL.
 */
nsurlsession_error_t *NSURLSESSION_NULLABLE nsurlsession_error_with_domain_code_user_info(
    const char *NSURLSESSION_NULLABLE domain, int64_t code,
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE user_info);

/**
 * -[NSError domain]. The domain, which lives as long as the error: NSURLSESSION_ERROR_DOMAIN for
 * errors of tasks. NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_error_domain(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError code]. The code in its domain: an nsurlsession_error_code_t for errors of tasks.
 * NULL: 0.
 */
int64_t nsurlsession_error_code(const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError userInfo]. What else is known, under the keys NSURLSESSION_..._KEY; a copy, which the
 * caller releases. NULL: NULL.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_error_user_info(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError localizedDescription]. What went wrong, for a person; never NULL for an error. It
 * lives as long as the error. NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_error_localized_description(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError localizedFailureReason]. Why, as exactly as it is known, or NULL. It lives as long as
 * the error.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_error_localized_failure_reason(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError localizedRecoverySuggestion]. What the person can do about it, or NULL. It lives as
 * long as the error.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_error_localized_recovery_suggestion(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/**
 * -[NSError underlyingErrors]. The errors of the layers below, the nearest first (domains
 * NSURLSESSION_CURL_ERROR_DOMAIN, NSURLSESSION_OPENSSL_ERROR_DOMAIN,
 * NSURLSESSION_POSIX_ERROR_DOMAIN); empty if there are none. The caller releases the array. NULL:
 * NULL.
 */
nsurlsession_array_t *NSURLSESSION_NULLABLE nsurlsession_error_underlying_errors(
    const nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/* ---- NSOperationQueue, and executors --------------------------------------------------------- */

/**
 * -[NSOperationQueue init]. A queue that the caller runs: callbacks of sessions that have it as
 * their delegate queue run inside nsurlsession_queue_run, _run_until_date or _poll, on the thread
 * that calls them. Queues are serial. When the caller releases its last reference while sessions
 * still need the queue, a thread of the library's runs what is left. The caller releases it.
 */
nsurlsession_queue_t *NSURLSESSION_NULLABLE nsurlsession_queue_new(void);

/**
 * +[NSOperationQueue mainQueue]. The queue of the main thread, which runs it by
 * nsurlsession_queue_run and the like; other threads cannot. The caller releases the handle.
 */
nsurlsession_queue_t *NSURLSESSION_NULLABLE nsurlsession_queue_main(void);

/**
 * +[NSOperationQueue currentQueue]. The queue whose operation this thread is running, retained:
 * the caller releases it. None: NULL.
 */
nsurlsession_queue_t *NSURLSESSION_NULLABLE nsurlsession_queue_current(void);

/**
 * A queue that runs on threads of the caller's, by an executor, which is copied (see
 * nsurlsession_executor_t). Its callbacks never overlap and keep their order, however many threads
 * the executor has. The caller releases the queue. NULL, or an executor without `execute`: NULL,
 * and its context is released.
 */
nsurlsession_queue_t *NSURLSESSION_NULLABLE nsurlsession_queue_with_executor(
    const nsurlsession_executor_t *NSURLSESSION_NULLABLE executor);

/**
 * Runs operations and callbacks on this thread, waiting for more, until nsurlsession_queue_stop.
 * True when it was stopped; false at once for NULL and for a queue that this thread cannot run.
 */
bool nsurlsession_queue_run(nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * As nsurlsession_queue_run, but no longer than until `date`, in seconds since 1970. True when it
 * was stopped, false when the date came. Not a number counts as a date that has passed.
 */
bool nsurlsession_queue_run_until_date(
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue, double date);

/**
 * Runs on this thread what there is to run now, without waiting. Returns how many operations and
 * batches of callbacks that were; 0 for NULL and for a queue that this thread cannot run.
 */
size_t nsurlsession_queue_poll(nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * A descriptor that is readable while nsurlsession_queue_poll would run something: for poll(),
 * epoll or any main loop. It belongs to the queue: watch it, but neither read nor close it. -1 for
 * NULL, and for a queue that the caller does not run.
 */
int nsurlsession_queue_fd(nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * Makes nsurlsession_queue_run return once the operation that it is running is done. Any thread
 * may call this, also inside a callback. When the queue is not being run, its next run returns at
 * once.
 */
void nsurlsession_queue_stop(nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/** -[NSOperationQueue isSuspended]. Whether the queue starts nothing for now. NULL: false. */
bool nsurlsession_queue_suspended(const nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * -[NSOperationQueue setSuspended:]. While a queue is suspended nothing new starts on it; what is
 * running finishes. Callbacks pile up and servers are held back.
 */
void nsurlsession_queue_set_suspended(
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue, bool suspended);

/** -[NSOperationQueue name]. The queue's label. The caller releases the string. NULL: NULL. */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_queue_name(
    const nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/** -[NSOperationQueue setName:]. Sets the label, which is copied. NULL: nothing changes. */
void nsurlsession_queue_set_name(
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue, const char *NSURLSESSION_NULLABLE name);

/**
 * -[NSOperationQueue addOperationWithBlock:]. Appends `block(context)` to the queue, among the
 * callbacks of sessions. `release`, if it is not NULL, gets the context once, after the block was
 * run or cancelled, or when the call fails. NULL for the queue or the block: nothing runs.
 */
void nsurlsession_queue_add_operation_with_block(
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue,
    nsurlsession_operation_block_t NSURLSESSION_NULLABLE block, void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

/**
 * -[NSOperationQueue cancelAllOperations]. Takes away the blocks that were added and have not
 * started; their contexts are released. Callbacks of sessions stay.
 */
void nsurlsession_queue_cancel_all_operations(nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * -[NSOperationQueue waitUntilAllOperationsAreFinished]. Waits until nothing is left on the queue.
 * A queue that the caller runs is run by this call, unless another thread is running it. Called
 * inside an operation of the same queue it returns at once, and that is logged.
 */
void nsurlsession_queue_wait_until_all_operations_are_finished(
    nsurlsession_queue_t *NSURLSESSION_NULLABLE queue);

/**
 * Runs a work item on this thread: some callbacks of its queue. A work item runs once; later
 * calls, and one after nsurlsession_work_discard, do nothing and are logged.
 */
void nsurlsession_work_run(nsurlsession_work_t *NSURLSESSION_NULLABLE work);

/**
 * Says that this work item and all later ones will not be run: the executor is shutting down. A
 * thread of the library's runs the queue from now on, so that every completion handler is called.
 * Releasing the last reference to an item that was not run does the same.
 */
void nsurlsession_work_discard(nsurlsession_work_t *NSURLSESSION_NULLABLE work);

/* ---- NSData ---------------------------------------------------------------------------------- */

/**
 * +[NSData dataWithBytes:length:]. A data object with a copy of `length` bytes, which the caller
 * releases. An impossible length, NULL with a length, or no memory: NULL.
 */
nsurlsession_data_t *NSURLSESSION_NULLABLE nsurlsession_data_with_bytes_length(
    const void *NSURLSESSION_NULLABLE bytes, size_t length);

/**
 * -[NSData initWithBytesNoCopy:length:deallocator:]. A data object that takes `length` bytes over
 * without copying them; they must not change any more. When the object is freed, on whichever
 * thread that is, `deallocator` gets `context`, `bytes` and `length`, once; NULL: the bytes are
 * never freed. The caller releases the object. On failure (an impossible length, NULL with a
 * length) the result is NULL, the deallocator is not called and the bytes stay the caller's.
 */
nsurlsession_data_t *NSURLSESSION_NULLABLE nsurlsession_data_with_bytes_no_copy_length_deallocator(
    void *NSURLSESSION_NULLABLE bytes, size_t length,
    nsurlsession_data_deallocator_t NSURLSESSION_NULLABLE deallocator,
    void *NSURLSESSION_NULLABLE context);

/** -[NSData bytes]. The bytes, which live as long as the data object. NULL, or no bytes: NULL. */
const void *NSURLSESSION_NULLABLE nsurlsession_data_bytes(
    const nsurlsession_data_t *NSURLSESSION_NULLABLE data);

/** -[NSData length]. How many bytes there are. NULL: 0. */
size_t nsurlsession_data_length(const nsurlsession_data_t *NSURLSESSION_NULLABLE data);

/* ---- NSString, and strings that come in ------------------------------------------------------ */

/**
 * +[NSString stringWithUTF8String:]. A string object with a copy of `utf8`, which the caller
 * releases. NULL, or what is not valid UTF-8: NULL.
 */
nsurlsession_string_t *NSURLSESSION_NULLABLE nsurlsession_string_with_utf8_string(
    const char *NSURLSESSION_NULLABLE utf8);

/**
 * -[NSString UTF8String]. The text, NUL-terminated, which lives as long as the string object.
 * NULL: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_string_utf8_string(
    const nsurlsession_string_t *NSURLSESSION_NULLABLE string);

/* ---- NSArray --------------------------------------------------------------------------------- */

/**
 * +[NSArray arrayWithObjects:count:]. An array of `count` objects, each of which it retains; of
 * dictionaries it stores copies, which cannot be changed any more. The caller releases it. NULL
 * where objects should be, or collections nested more than 64 deep: NULL.
 */
nsurlsession_array_t *NSURLSESSION_NULLABLE nsurlsession_array_with_objects_count(
    const void *NSURLSESSION_NULLABLE const *NSURLSESSION_NULLABLE objects, size_t count);

/** -[NSArray count]. How many objects there are. NULL: 0. */
size_t nsurlsession_array_count(const nsurlsession_array_t *NSURLSESSION_NULLABLE array);

/**
 * -[NSArray objectAtIndex:]. The object at an index, retained: the caller releases it. An index
 * beyond the end: NULL.
 */
void *NSURLSESSION_NULLABLE nsurlsession_array_object_at_index(
    const nsurlsession_array_t *NSURLSESSION_NULLABLE array, size_t index);

/* ---- NSDictionary and NSMutableDictionary ---------------------------------------------------- */

/**
 * -[NSMutableDictionary init]. An empty dictionary, which the caller releases. Keys are strings in
 * the order in which they were set, compared byte by byte; dictionaries of header fields that the
 * library hands out compare them without regard to case.
 */
nsurlsession_dictionary_t *NSURLSESSION_NULLABLE nsurlsession_dictionary_new(void);

/**
 * -[NSMutableDictionary setObject:forKey:]. Sets the object of a key, which is copied; the object
 * is retained; of a dictionary a copy is stored, which cannot be changed any more. NULL for any of
 * the three, a key that is not UTF-8, a dictionary that came out of a collection, or collections
 * nested more than 64 deep: nothing happens, and that is logged.
 */
void nsurlsession_dictionary_set_object_for_key(
    nsurlsession_dictionary_t *NSURLSESSION_NULLABLE dictionary,
    const void *NSURLSESSION_NULLABLE object, const char *NSURLSESSION_NULLABLE key);

/** -[NSDictionary count]. How many keys there are. NULL: 0. */
size_t nsurlsession_dictionary_count(
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE dictionary);

/**
 * -[NSDictionary objectForKey:]. The object of a key, retained: the caller releases it. No such
 * key: NULL.
 */
void *NSURLSESSION_NULLABLE nsurlsession_dictionary_object_for_key(
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE dictionary,
    const char *NSURLSESSION_NULLABLE key);

/**
 * The key at an index, in the order in which keys were set. It lives as long as the dictionary.
 * An index beyond the end: NULL.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_dictionary_key_at_index(
    const nsurlsession_dictionary_t *NSURLSESSION_NULLABLE dictionary, size_t index);

/* ---- The library itself: versions, features, logs -------------------------------------------- */

/**
 * The version of the library in use, as NSURLSESSION_VERSION_NUMBER is that of the header:
 * 0x00MMmmpp.
 */
uint32_t nsurlsession_version(void);

/** The version of the library in use as text, such as "0.1.0". The string is static. */
const char *NSURLSESSION_NULLABLE nsurlsession_version_string(void);

/** The version of libcurl in use, such as "libcurl/8.22.0". The string is static. */
const char *NSURLSESSION_NULLABLE nsurlsession_curl_version(void);

/**
 * The TLS library in use and its version, such as "OpenSSL/3.6.3"; empty when there is none. The
 * string is static.
 */
const char *NSURLSESSION_NULLABLE nsurlsession_tls_version(void);

/**
 * Whether tasks can use a URL scheme ("http", "https") or an application protocol by its ALPN name
 * ("http/1.1", "h2"). Anything else, "h3" included, or NULL: false.
 */
bool nsurlsession_supports_protocol(const char *NSURLSESSION_NULLABLE protocol);

/**
 * Whether this build has a feature: a content coding ("gzip", "deflate", "br", "zstd"), "idn"
 * (international host names), "ipv6", "tls". Anything else, or NULL: false.
 */
bool nsurlsession_supports_feature(const char *NSURLSESSION_NULLABLE feature);

/**
 * Sends log records to `handler` instead of standard error; NULL: to standard error again. The
 * environment variable NSURLSESSION_LOG says what is logged, in the way of RUST_LOG: a level (off,
 * error, warn, info, debug, trace), or levels by area, such as "warn,loading=debug" (areas:
 * engine, ffi, loading, queue, security, session, storage, task). Without it errors are logged, and
 * with a handler everything up to info. `release`, if it is not NULL, gets the context once the
 * handler was replaced. The handler may be called on any thread.
 */
void nsurlsession_set_log_handler(
    nsurlsession_log_handler_t NSURLSESSION_NULLABLE handler, void *NSURLSESSION_NULLABLE context,
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release);

#ifdef __cplusplus
}
#endif

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif  /* NSURLSESSION_H */
