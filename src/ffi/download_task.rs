//! NSURLSessionDownloadTask, and the methods of NSURLSession that make one.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out, lent_option};
use super::session::{make, value_of, value_with_url};
use super::types::{
    Context, nsurlsession_data_t, nsurlsession_download_task_completion_handler_t,
    nsurlsession_request_t, nsurlsession_resume_data_handler_t, nsurlsession_t,
    nsurlsession_task_t,
};
use crate::foundation::data::Data;
use crate::task::{ResumeDataHandler, Task, TaskHandler, TaskKind};

/// A completion handler of the caller's.
fn task_handler(
    handler: nsurlsession_download_task_completion_handler_t,
    context: *mut c_void,
) -> Option<TaskHandler> {
    let handler = handler?;
    let context = Context(context);
    Some(TaskHandler::Download(Box::new(
        move |location, response, error| {
            let context = context;
            let location = location.map_or(std::ptr::null(), |location| location.as_ptr());
            let (response, error) = (lent_option(response), lent_option(error));
            // SAFETY: the caller's function with the caller's context, called once, and a string
            // and handles that live during the call.
            callback(|| unsafe { handler(context.0, location, response, error) });
        },
    )))
}

/// A receiver of resume data of the caller's.
pub(super) fn resume_data_handler(
    handler: nsurlsession_resume_data_handler_t,
    context: *mut c_void,
) -> ResumeDataHandler {
    let context = Context(context);
    Box::new(move |data: Option<&Arc<Data>>| {
        let context = context;
        let Some(handler) = handler else { return };
        let data = lent_option(data);
        // SAFETY: the caller's function with the caller's context, called once, and a handle that
        // lives during the call.
        callback(|| unsafe { handler(context.0, data) });
    })
}

/// A task that goes on with what resume data describe.
fn resume(
    session: *mut nsurlsession_t,
    name: &str,
    data: *const nsurlsession_data_t,
    handler: Option<TaskHandler>,
) -> *mut nsurlsession_task_t {
    guarded(name, std::ptr::null_mut(), || {
        let Some(session) = borrowed(session, name) else {
            return std::ptr::null_mut();
        };
        let data = borrowed(data, name).unwrap_or_else(|| {
            misuse(name, "there is no resume data: the task will fail");
            Data::new(Vec::new())
        });
        let task = session.resume_download(data, handler);
        let handle = handed_out(Arc::clone(&task));
        session.announce(&task);
        handle
    })
}

/// The task, if it is one of this kind.
pub(super) fn of_kind(
    task: *const nsurlsession_task_t,
    kind: TaskKind,
    name: &str,
) -> Option<Arc<Task>> {
    let task = borrowed(task, name)?;
    if task.kind() == kind {
        return Some(task);
    }
    misuse(name, &format!("the task is a {} task", task.kind().name()));
    None
}

/// -[NSURLSession downloadTaskWithRequest:]. A suspended download task that reports to the delegate;
/// resume it to start it. The body goes to a file in the directory that TMPDIR names, or /tmp:
/// did_finish_downloading_to_url has it. The request is copied. What is said of
/// nsurlsession_data_task_with_request about invalidated sessions and URLs holds here too. The
/// caller releases the task. NULL for the session: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_request(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_request";
    let request = || value_of(request, NAME);
    make(session, NAME, TaskKind::Download, request, None)
}

/// -[NSURLSession downloadTaskWithURL:]. As nsurlsession_download_task_with_request, with a GET
/// request for a URL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_url(
    session: *mut nsurlsession_t,
    url: *const c_char,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_url";
    make(
        session,
        NAME,
        TaskKind::Download,
        || value_with_url(url),
        None,
    )
}

/// -[NSURLSession downloadTaskWithResumeData:]. A suspended download task that goes on where an
/// earlier one was, also one of another process. The server is asked for the rest, on condition
/// that the resource is the same: did_resume_at_offset tells that it is. When it has changed, or
/// when the file with the first part is missing or was altered, the download starts from the
/// beginning. Resume data that cannot be read make the task fail with
/// NSURLSESSION_ERROR_CANNOT_OPEN_FILE once it is resumed. The data are copied. The caller releases
/// the task. NULL for the session: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_resume_data(
    session: *mut nsurlsession_t,
    resume_data: *const nsurlsession_data_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_resume_data";
    resume(session, NAME, resume_data, None)
}

/// -[NSURLSession downloadTaskWithRequest:completionHandler:]. As
/// nsurlsession_download_task_with_request, but `handler` is called with the file, exactly once, on
/// the delegate queue, also when the task is cancelled; the methods of the delegate for progress,
/// file and completion are not. NULL for the handler: as without one. NULL for the session: NULL,
/// and the handler is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_request_completion_handler(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    handler: nsurlsession_download_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_request_completion_handler";
    let request = || value_of(request, NAME);
    let handler = task_handler(handler, context);
    make(session, NAME, TaskKind::Download, request, handler)
}

/// -[NSURLSession downloadTaskWithURL:completionHandler:]. As
/// nsurlsession_download_task_with_request_completion_handler, with a GET request for a URL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_url_completion_handler(
    session: *mut nsurlsession_t,
    url: *const c_char,
    handler: nsurlsession_download_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_url_completion_handler";
    let handler = task_handler(handler, context);
    make(
        session,
        NAME,
        TaskKind::Download,
        || value_with_url(url),
        handler,
    )
}

/// -[NSURLSession downloadTaskWithResumeData:completionHandler:]. As
/// nsurlsession_download_task_with_resume_data, with a completion handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_with_resume_data_completion_handler(
    session: *mut nsurlsession_t,
    resume_data: *const nsurlsession_data_t,
    handler: nsurlsession_download_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_download_task_with_resume_data_completion_handler";
    let handler = task_handler(handler, context);
    resume(session, NAME, resume_data, handler)
}

/// -[NSURLSessionDownloadTask cancelByProducingResumeData:]. Cancels the task and calls `handler`
/// exactly once, on a thread of the library's, with what a later task can go on from. With NULL
/// when that cannot be: the request was no GET or asked for a range of its own; the response had
/// neither a strong ETag nor a Last-Modified date before its Date, had a content coding, or said
/// "Accept-Ranges: none"; or the task was completed or cancelled. The task completes with
/// NSURLSESSION_ERROR_CANCELLED, which has the same data in its user info. The first part of the
/// file stays in the temporary directory until a task goes on with it, or for a week. NULL for the
/// task: the handler is not called. NULL for the handler: the data are in the error alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_cancel_by_producing_resume_data(
    task: *mut nsurlsession_task_t,
    handler: nsurlsession_resume_data_handler_t,
    context: *mut c_void,
) {
    const NAME: &str = "nsurlsession_download_task_cancel_by_producing_resume_data";
    guarded(NAME, (), || {
        if let Some(task) = of_kind(task, TaskKind::Download, NAME) {
            task.cancel_by_producing_resume_data(resume_data_handler(handler, context));
        }
    });
}

/// Takes resume data without cancelling the task, for programs that want to survive their own end:
/// calls `handler` exactly once, on a thread of the library's, with what a later task can go on
/// from if this one does not finish, or with NULL as
/// nsurlsession_download_task_cancel_by_producing_resume_data does, and before the response has
/// come. Save the data before taking them again: from the second time on, the file stays in the
/// temporary directory when the process dies. NULL for the task or the handler: nothing is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_download_task_get_resume_data_with_completion_handler(
    task: *mut nsurlsession_task_t,
    handler: nsurlsession_resume_data_handler_t,
    context: *mut c_void,
) {
    const NAME: &str = "nsurlsession_download_task_get_resume_data_with_completion_handler";
    guarded(NAME, (), || {
        if handler.is_some()
            && let Some(task) = of_kind(task, TaskKind::Download, NAME)
        {
            task.take_resume_data(resume_data_handler(handler, context));
        }
    });
}
