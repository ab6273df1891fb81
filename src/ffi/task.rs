//! NSURLSessionTask, and the answers that its delegate owes.

use std::ffi::{c_char, c_void};

use super::delegate::{CDelegate, nsurlsession_delegate_t};
use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out_option};
use super::string::{owned_text, text};
use super::types::{
    nsurlsession_body_stream_completion_t, nsurlsession_error_t, nsurlsession_input_stream_t,
    nsurlsession_progress_t, nsurlsession_redirection_completion_t, nsurlsession_request_t,
    nsurlsession_response_completion_t, nsurlsession_response_disposition_t,
    nsurlsession_response_t, nsurlsession_string_t, nsurlsession_task_kind_t,
    nsurlsession_task_state_t, nsurlsession_task_t,
};
use crate::loading::request::Request;
use crate::task::Task;
use crate::task::completion::Disposition;
use std::sync::Arc;

fn read<R>(
    task: *const nsurlsession_task_t,
    name: &str,
    absent: R,
    read: impl FnOnce(&Arc<Task>) -> R,
) -> R {
    match borrowed(task, name) {
        Some(task) => guarded(name, absent, || read(&task)),
        None => absent,
    }
}

/// Which of Apple's task classes this is. NULL: NSURLSESSION_TASK_KIND_NONE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_kind(
    task: *const nsurlsession_task_t,
) -> nsurlsession_task_kind_t {
    read(task, "nsurlsession_task_kind", 0, |task| task.kind() as i32)
}

/// -[NSURLSessionTask taskIdentifier]. A number that no other task of the same session has; the
/// first is 1. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_identifier(task: *const nsurlsession_task_t) -> u64 {
    read(task, "nsurlsession_task_identifier", 0, |task| {
        task.identifier()
    })
}

/// -[NSURLSessionTask originalRequest]. A copy of the request that the task was made with. The
/// caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_original_request(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_request_t {
    let request = read(task, "nsurlsession_task_original_request", None, |task| {
        Some(Request::new(Arc::clone(task.original_request())))
    });
    handed_out_option(request)
}

/// -[NSURLSessionTask currentRequest]. A copy of the request that is being served: another one than
/// the original after a redirect. The caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_current_request(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_request_t {
    let request = read(task, "nsurlsession_task_current_request", None, |task| {
        Some(Request::new(task.current_request()))
    });
    handed_out_option(request)
}

/// -[NSURLSessionTask response]. The response, once its headers have come, else NULL. The caller
/// releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_response(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_response_t {
    handed_out_option(read(task, "nsurlsession_task_response", None, |task| {
        task.response()
    }))
}

/// -[NSURLSessionTask delegate]. The context of the task's own delegate, or NULL: when none was
/// set, and once the task is completed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_delegate(
    task: *const nsurlsession_task_t,
) -> *mut c_void {
    read(
        task,
        "nsurlsession_task_delegate",
        std::ptr::null_mut(),
        |task| {
            let context = task.delegate_context();
            context.map_or(std::ptr::null_mut(), std::ptr::with_exposed_provenance_mut)
        },
    )
}

/// -[NSURLSessionTask setDelegate:]. Sets a delegate of the task's own, which is copied: methods
/// that it implements are not called on the session's delegate. Its context is released when the
/// task is completed, after its last callback. NULL takes it away. Once the task was resumed this
/// does nothing but release the context, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_set_delegate(
    task: *mut nsurlsession_task_t,
    delegate: *const nsurlsession_delegate_t,
) {
    const NAME: &str = "nsurlsession_task_set_delegate";
    guarded(NAME, (), || {
        // Taken over first: whatever happens, its context is released.
        let delegate = CDelegate::from_c(delegate, NAME);
        if let Some(task) = borrowed(task, NAME)
            && task.set_delegate(delegate).is_err()
        {
            misuse(NAME, "the task was resumed already");
        }
    });
}

/// -[NSURLSessionTask countOfBytesSent]. How many bytes of the request's body were sent; from 0
/// again when it is sent again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_count_of_bytes_sent(
    task: *const nsurlsession_task_t,
) -> i64 {
    read(task, "nsurlsession_task_count_of_bytes_sent", 0, |task| {
        task.count_of_bytes_sent()
    })
}

/// -[NSURLSessionTask countOfBytesReceived]. How many bytes of the response's body were received,
/// after content decoding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_count_of_bytes_received(
    task: *const nsurlsession_task_t,
) -> i64 {
    read(
        task,
        "nsurlsession_task_count_of_bytes_received",
        0,
        |task| task.count_of_bytes_received(),
    )
}

/// -[NSURLSessionTask countOfBytesExpectedToSend]. The length of the request's body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_count_of_bytes_expected_to_send(
    task: *const nsurlsession_task_t,
) -> i64 {
    read(
        task,
        "nsurlsession_task_count_of_bytes_expected_to_send",
        0,
        |task| task.count_of_bytes_expected_to_send(),
    )
}

/// -[NSURLSessionTask countOfBytesExpectedToReceive]. The length of the response's body, or
/// NSURLSESSION_TRANSFER_SIZE_UNKNOWN. 0 before there is a response.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_count_of_bytes_expected_to_receive(
    task: *const nsurlsession_task_t,
) -> i64 {
    read(
        task,
        "nsurlsession_task_count_of_bytes_expected_to_receive",
        0,
        |task| task.count_of_bytes_expected_to_receive(),
    )
}

/// -[NSURLSessionTask taskDescription]. The label that was set, or NULL. The caller releases the
/// string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_description(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_string_t {
    owned_text(read(task, "nsurlsession_task_description", None, |task| {
        task.task_description()
    }))
}

/// -[NSURLSessionTask setTaskDescription:]. Sets a label for debugging, which is copied; NULL takes
/// it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_set_description(
    task: *mut nsurlsession_task_t,
    description: *const c_char,
) {
    const NAME: &str = "nsurlsession_task_set_description";
    read(task, NAME, (), |task| {
        task.set_task_description(text(description, NAME))
    });
}

/// -[NSURLSessionTask cancel]. Ends the task: it completes with NSURLSESSION_ERROR_CANCELLED, and
/// no other callback comes before that but one that is running. Any thread may call this, inside
/// any callback. Does nothing when the task is completed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_cancel(task: *mut nsurlsession_task_t) {
    read(task, "nsurlsession_task_cancel", (), |task| {
        task.cancel();
    });
}

/// -[NSURLSessionTask suspend]. Stops the task for the time being: nothing is read or sent, no
/// timeout runs, and no callback is called but one that is running. Calls nest: as many calls of
/// nsurlsession_task_resume are needed to go on, at the same byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_suspend(task: *mut nsurlsession_task_t) {
    read(task, "nsurlsession_task_suspend", (), |task| task.suspend());
}

/// -[NSURLSessionTask resume]. Starts a new task, or lets one go on that was suspended. Does
/// nothing when it is running, cancelled or completed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_resume(task: *mut nsurlsession_task_t) {
    read(task, "nsurlsession_task_resume", (), Task::resume);
}

/// -[NSURLSessionTask state]. An nsurlsession_task_state_t. NULL:
/// NSURLSESSION_TASK_STATE_RUNNING, which is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_state(
    task: *const nsurlsession_task_t,
) -> nsurlsession_task_state_t {
    read(task, "nsurlsession_task_state", 0, |task| {
        task.task_state() as nsurlsession_task_state_t
    })
}

/// -[NSURLSessionTask progress]. How far the task has come, in bytes sent and received; the same
/// object for as long as the task lives. Cancelling, pausing and resuming it does that to the task.
/// The caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_progress(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_progress_t {
    handed_out_option(read(task, "nsurlsession_task_progress", None, |task| {
        Some(Arc::clone(task.progress()))
    }))
}

/// -[NSURLSessionTask priority]. How urgent the task is, from 0 to 1;
/// NSURLSESSION_TASK_PRIORITY_DEFAULT when that was not set. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_priority(task: *const nsurlsession_task_t) -> f32 {
    read(task, "nsurlsession_task_priority", 0.0, |task| {
        task.priority()
    })
}

/// -[NSURLSessionTask setPriority:]. Of the tasks that wait for a connection to a host, the most
/// urgent starts first. Servers are told by the Priority field of RFC 9218, when the task is
/// resumed, and by the weight of its stream on HTTP/2, at any time. Values below 0 count as 0,
/// values above 1 as 1; what is no number is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_set_priority(
    task: *mut nsurlsession_task_t,
    priority: f32,
) {
    const NAME: &str = "nsurlsession_task_set_priority";
    read(task, NAME, (), |task| {
        if priority.is_nan() {
            return misuse(NAME, "this is no number");
        }
        task.set_priority(priority.clamp(0.0, 1.0));
    });
}

/// -[NSURLSessionTask prefersIncrementalDelivery]. Whether pieces of the body are of use as they
/// come. Unless it was set: true for tasks that report to a delegate, false for tasks with a
/// completion handler and for downloads. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_prefers_incremental_delivery(
    task: *const nsurlsession_task_t,
) -> bool {
    read(
        task,
        "nsurlsession_task_prefers_incremental_delivery",
        false,
        |task| task.prefers_incremental_delivery(),
    )
}

/// -[NSURLSessionTask setPrefersIncrementalDelivery:]. True: the delegate gets what has come as
/// soon as it can take it. False: a body of less than 1 MiB comes in one piece when all of it is
/// there, a longer one in pieces of about that size.
///
/// Servers are told too, by the Priority field of RFC 9218, when this was set to true before the
/// task was resumed: they then share their bandwidth between such responses instead of sending one
/// after the other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_set_prefers_incremental_delivery(
    task: *mut nsurlsession_task_t,
    prefers: bool,
) {
    read(
        task,
        "nsurlsession_task_set_prefers_incremental_delivery",
        (),
        |task| task.set_prefers_incremental_delivery(prefers),
    );
}

/// -[NSURLSessionTask error]. What the task failed with; NULL while it is not completed, and when
/// it succeeded. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_error(
    task: *const nsurlsession_task_t,
) -> *mut nsurlsession_error_t {
    handed_out_option(read(task, "nsurlsession_task_error", None, |task| {
        task.error()
    }))
}

/// Answers did_receive_response, from any thread. Only the first call counts; later ones are
/// logged. NSURLSESSION_RESPONSE_ALLOW goes on, NSURLSESSION_RESPONSE_BECOME_DOWNLOAD goes on as a
/// download task, NSURLSESSION_RESPONSE_CANCEL cancels the task, as do, in this version, all other
/// values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_completion_call(
    completion: *mut nsurlsession_response_completion_t,
    disposition: nsurlsession_response_disposition_t,
) {
    const NAME: &str = "nsurlsession_response_completion_call";
    guarded(NAME, (), || {
        let Some(completion) = borrowed(completion, NAME) else {
            return;
        };
        let disposition = match disposition {
            0 => Disposition::Cancel,
            1 => Disposition::Allow,
            2 => Disposition::BecomeDownload,
            other => {
                misuse(
                    NAME,
                    &format!(
                        "disposition {other} is not known in this version: the task is cancelled"
                    ),
                );
                Disposition::Cancel
            }
        };
        if !completion.call(disposition) {
            misuse(NAME, "was answered already: ignored");
        }
    });
}

/// Answers will_perform_http_redirection, from any thread. Only the first call counts; later ones
/// are logged. `request` is sent next; it is copied. NULL: the redirect is not followed, and its
/// own response and body are the task's result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_redirection_completion_call(
    completion: *mut nsurlsession_redirection_completion_t,
    request: *const nsurlsession_request_t,
) {
    const NAME: &str = "nsurlsession_redirection_completion_call";
    guarded(NAME, (), || {
        let Some(completion) = borrowed(completion, NAME) else {
            return;
        };
        if !completion.call(borrowed(request, NAME).map(|request| request.value())) {
            misuse(NAME, "was answered already: ignored");
        }
    });
}

/// Answers need_new_body_stream and need_new_body_stream_from_offset, from any thread. Only the
/// first call counts; later ones are logged. The task retains `stream`, which must not have been
/// opened. NULL: the task fails with NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_body_stream_completion_call(
    completion: *mut nsurlsession_body_stream_completion_t,
    stream: *mut nsurlsession_input_stream_t,
) {
    const NAME: &str = "nsurlsession_body_stream_completion_call";
    guarded(NAME, (), || {
        let Some(completion) = borrowed(completion, NAME) else {
            return;
        };
        if !completion.call(borrowed(stream, NAME)) {
            misuse(NAME, "was answered already: ignored");
        }
    });
}
