//! NSURLSessionUploadTask, and the methods of NSURLSession that make one.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;

use super::download_task::{of_kind, resume_data_handler};
use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out};
use super::session::{task_handler, value_of};
use super::stream::file_path;
use super::types::{
    nsurlsession_data_t, nsurlsession_data_task_completion_handler_t, nsurlsession_request_t,
    nsurlsession_resume_data_handler_t, nsurlsession_t, nsurlsession_task_t,
};
use crate::foundation::data::Data;
use crate::loading::request::{RequestBody, RequestValue};
use crate::loading::resumable_upload::UploadResumeData;
use crate::task::{Origin, TaskHandler, TaskKind, TaskStart, UploadStart};

/// Makes an upload task; `body` takes the place of the request's own.
fn make(
    session: *mut nsurlsession_t,
    name: &str,
    request: *const nsurlsession_request_t,
    body: impl FnOnce() -> (Option<RequestBody>, UploadStart),
    handler: Option<TaskHandler>,
) -> *mut nsurlsession_task_t {
    guarded(name, std::ptr::null_mut(), || {
        let Some(session) = borrowed(session, name) else {
            return std::ptr::null_mut();
        };
        let request = value_of(request, name).unwrap_or_default();
        let mut request = RequestValue::clone(&request);
        let (body, upload) = body();
        request.body = body;
        let task = session.make_task(TaskStart {
            kind: TaskKind::Upload,
            request: Arc::new(request),
            handler,
            origin: Origin::Nothing,
            upload: Some(upload),
        });
        let handle = handed_out(Arc::clone(&task));
        session.announce(&task);
        handle
    })
}

/// The bytes of the caller's; none are an empty body.
fn bytes(data: *const nsurlsession_data_t, name: &str) -> (Option<RequestBody>, UploadStart) {
    let data = borrowed(data, name).unwrap_or_else(|| Data::new(Vec::new()));
    (Some(RequestBody::Data(data)), UploadStart::Given)
}

/// The file that a file: URL or an absolute path names. What names none is found missing later.
fn file(url: *const c_char, name: &str) -> (Option<RequestBody>, UploadStart) {
    let path = match super::string::text(url, name) {
        Some(path) if path.starts_with('/') => Some(PathBuf::from(path)),
        _ => file_path(url, name),
    };
    if path.is_none() {
        misuse(name, "there is no file: the task will fail");
    }
    (None, UploadStart::File(path.unwrap_or_default()))
}

/// -[NSURLSession uploadTaskWithRequest:fromFile:]. A suspended upload task that reports to the
/// delegate as a data task does, and by did_send_body_data. Its body is the file that `file_url`
/// names, a file: URL or an absolute path, instead of the request's own. The file is opened when the
/// task is resumed and read as it is sent, never as a whole. The task fails with
/// NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST, NSURLSESSION_ERROR_FILE_IS_DIRECTORY or
/// NSURLSESSION_ERROR_NO_PERMISSIONS_TO_READ_FILE when it cannot be opened, and with
/// NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED when it is changed meanwhile. The method of the
/// request must be one that has a body: GET fails with
/// NSURLSESSION_ERROR_DATA_LENGTH_EXCEEDS_MAXIMUM. The request is copied. The caller releases the
/// task. NULL for the session: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_request_from_file(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    file_url: *const c_char,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_request_from_file";
    make(session, NAME, request, || file(file_url, NAME), None)
}

/// -[NSURLSession uploadTaskWithRequest:fromData:]. As
/// nsurlsession_upload_task_with_request_from_file, with a body from memory, which is retained and
/// not copied. NULL for the data: an empty body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_request_from_data(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    data: *const nsurlsession_data_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_request_from_data";
    make(session, NAME, request, || bytes(data, NAME), None)
}

/// -[NSURLSession uploadTaskWithStreamedRequest:]. As
/// nsurlsession_upload_task_with_request_from_file, with a body from the stream that the delegate's
/// need_new_body_stream gives each time the body is to be sent. It is sent in chunks, or with the
/// Content-Length that the request has. Without that method the task fails with
/// NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_streamed_request(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_streamed_request";
    let asked = || (Some(RequestBody::Asked), UploadStart::Asked);
    make(session, NAME, request, asked, None)
}

/// -[NSURLSession uploadTaskWithRequest:fromFile:completionHandler:]. As
/// nsurlsession_upload_task_with_request_from_file, but the answer's body is collected and `handler`
/// called with it, exactly once, on the delegate queue, also when the task is cancelled. The
/// delegate's methods for response, data and completion are not called. NULL for the handler: as
/// without one. NULL for the session: NULL, and the handler is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_request_from_file_completion_handler(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    file_url: *const c_char,
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_request_from_file_completion_handler";
    let handler = task_handler(handler, context);
    make(session, NAME, request, || file(file_url, NAME), handler)
}

/// -[NSURLSession uploadTaskWithRequest:fromData:completionHandler:]. As
/// nsurlsession_upload_task_with_request_from_file_completion_handler, with a body from memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_request_from_data_completion_handler(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    data: *const nsurlsession_data_t,
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_request_from_data_completion_handler";
    let handler = task_handler(handler, context);
    make(session, NAME, request, || bytes(data, NAME), handler)
}

/// A task that goes on with what resume data describe.
fn resume(
    session: *mut nsurlsession_t,
    name: &str,
    data: *const nsurlsession_data_t,
    handler: Option<TaskHandler>,
) -> *mut nsurlsession_task_t {
    guarded(name, std::ptr::null_mut(), || {
        let (Some(session), Some(data)) = (borrowed(session, name), borrowed(data, name)) else {
            return std::ptr::null_mut();
        };
        let data = match UploadResumeData::decode(data.bytes()) {
            Ok(data) => data,
            Err(why) => {
                misuse(name, why.reason());
                return std::ptr::null_mut();
            }
        };
        let task = session.resume_upload(data, handler);
        let handle = handed_out(Arc::clone(&task));
        session.announce(&task);
        handle
    })
}

/// -[NSURLSession uploadTaskWithResumeData:]. A suspended upload task that goes on where an earlier
/// one was, also one of another process: the server is asked how much has arrived and gets the rest,
/// by the IETF's draft of resumable uploads as Apple's systems speak it. The file must be as it was;
/// of a body from a stream, the delegate's need_new_body_stream_from_offset gives the rest. The task
/// fails with NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE when the server cannot go on. The caller
/// releases the task. NULL for the session, and data that are no resume data of an upload: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_resume_data(
    session: *mut nsurlsession_t,
    resume_data: *const nsurlsession_data_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_resume_data";
    resume(session, NAME, resume_data, None)
}

/// -[NSURLSession uploadTaskWithResumeData:completionHandler:]. As
/// nsurlsession_upload_task_with_resume_data, with a completion handler, which is not called when
/// the result is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_with_resume_data_completion_handler(
    session: *mut nsurlsession_t,
    resume_data: *const nsurlsession_data_t,
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_upload_task_with_resume_data_completion_handler";
    let handler = task_handler(handler, context);
    resume(session, NAME, resume_data, handler)
}

/// -[NSURLSessionUploadTask cancelByProducingResumeData:]. Cancels the task and calls `handler`
/// exactly once, on a thread of the library's, with what a later task can go on from; with NULL when
/// that cannot be: the server did not say that it can resume this upload, or has answered it; or the
/// body is neither a file nor a stream of the delegate's. The task completes with
/// NSURLSESSION_ERROR_CANCELLED, which has the same data in its user info. NULL for the task: the
/// handler is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_upload_task_cancel_by_producing_resume_data(
    task: *mut nsurlsession_task_t,
    handler: nsurlsession_resume_data_handler_t,
    context: *mut c_void,
) {
    const NAME: &str = "nsurlsession_upload_task_cancel_by_producing_resume_data";
    guarded(NAME, (), || {
        if let Some(task) = of_kind(task, TaskKind::Upload, NAME) {
            task.cancel_upload_by_producing_resume_data(resume_data_handler(handler, context));
        }
    });
}
