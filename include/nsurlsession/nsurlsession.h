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
 * lent is not released: that is logged.
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
 * the task has a connection to try, not while it is suspended or its delegate holds it up, and a
 * timeout that was set on the request takes its place. NULL: 0.
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
 * Answers need_new_body_stream and need_new_body_stream_from_offset, from any thread. Only the first
 * call counts; later ones are logged. The task retains `stream`, which must not have been opened.
 * NULL: the task fails with NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
 */
void nsurlsession_body_stream_completion_call(
    nsurlsession_body_stream_completion_t *NSURLSESSION_NULLABLE completion,
    nsurlsession_input_stream_t *NSURLSESSION_NULLABLE stream);

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
 * when that cannot be: the response was not that of a GET, had neither a strong ETag nor a
 * Last-Modified date, or had a content coding; or the task was completed. The task completes with
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

/** -[NSURLRequest HTTPBody]. The body, retained: the caller releases it. None: NULL. */
nsurlsession_data_t *NSURLSESSION_NULLABLE nsurlsession_request_http_body(
    const nsurlsession_request_t *NSURLSESSION_NULLABLE request);

/**
 * -[NSMutableURLRequest setHTTPBody:]. Sets the body, which is retained and not copied; its length
 * is sent as Content-Length. A POST without Content-Type gets application/x-www-form-urlencoded.
 * NULL takes the body away.
 */
void nsurlsession_request_set_http_body(
    nsurlsession_request_t *NSURLSESSION_NULLABLE request,
    const nsurlsession_data_t *NSURLSESSION_NULLABLE body);

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

/* ---- NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics -------------------------- */

/**
 * -[NSURLSessionTaskMetrics transactionMetrics]. An nsurlsession_transaction_metrics_t for each
 * request that was made for the task, with its response, in the order of time: redirects that were
 * followed, and the continuation of a download that had to begin anew, each have their own. Empty
 * for a task that was cancelled before it was resumed. The caller releases the array. NULL: NULL.
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
 * -[NSURL path]. The path in an absolute URL, without percent-encoding: for a file: URL what open(2)
 * takes. The caller releases the string. NULL, or what is no URL with a path: NULL.
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
 * engine, ffi, loading, queue, security, session, task). Without it errors are logged, and with a
 * handler everything up to info. `release`, if it is not NULL, gets the context once the handler
 * was replaced. The handler may be called on any thread.
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
