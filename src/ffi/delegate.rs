//! Delegates: vtables of the caller's, copied.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use super::guard::{callback, misuse};
use super::object::{lent, lent_option};
use super::types::{
    OwnedContext, nsurlsession_body_stream_completion_t, nsurlsession_data_t, nsurlsession_error_t,
    nsurlsession_redirection_completion_t, nsurlsession_release_block_t, nsurlsession_request_t,
    nsurlsession_response_completion_t, nsurlsession_response_t, nsurlsession_t,
    nsurlsession_task_metrics_t, nsurlsession_task_t,
};
use crate::foundation::data::Data;
use crate::foundation::error::Error;
use crate::loading::metrics::TaskMetrics;
use crate::loading::request::Request;
use crate::loading::response::Response;
use crate::session::Session;
use crate::session::delegate::{Delegate, Method, Moved};
use crate::task::Task;
use crate::task::completion::{BodyStreamCompletion, RedirectionCompletion, ResponseCompletion};

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct nsurlsession_session_delegate_t {
    pub struct_size: usize,
    pub did_become_invalid_with_error: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            error: *mut nsurlsession_error_t,
        ),
    >,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct nsurlsession_task_delegate_t {
    pub struct_size: usize,
    pub did_create_task: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
        ),
    >,
    pub will_perform_http_redirection: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            response: *mut nsurlsession_response_t,
            request: *mut nsurlsession_request_t,
            completion: *mut nsurlsession_redirection_completion_t,
        ),
    >,
    pub did_complete_with_error: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            error: *mut nsurlsession_error_t,
        ),
    >,
    pub need_new_body_stream: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            completion: *mut nsurlsession_body_stream_completion_t,
        ),
    >,
    pub need_new_body_stream_from_offset: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            offset: i64,
            completion: *mut nsurlsession_body_stream_completion_t,
        ),
    >,
    pub did_send_body_data: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            bytes_sent: i64,
            total_bytes_sent: i64,
            total_bytes_expected_to_send: i64,
        ),
    >,
    pub did_receive_informational_response: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            response: *mut nsurlsession_response_t,
        ),
    >,
    pub did_finish_collecting_metrics: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            metrics: *mut nsurlsession_task_metrics_t,
        ),
    >,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct nsurlsession_data_delegate_t {
    pub struct_size: usize,
    pub did_receive_response: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            response: *mut nsurlsession_response_t,
            completion: *mut nsurlsession_response_completion_t,
        ),
    >,
    pub did_receive_data: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            data: *mut nsurlsession_data_t,
        ),
    >,
    pub did_become_download_task: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            download_task: *mut nsurlsession_task_t,
        ),
    >,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct nsurlsession_download_delegate_t {
    pub struct_size: usize,
    pub did_finish_downloading_to_url: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            location: *const c_char,
        ),
    >,
    pub did_write_data: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            bytes_written: i64,
            total_bytes_written: i64,
            total_bytes_expected_to_write: i64,
        ),
    >,
    pub did_resume_at_offset: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            session: *mut nsurlsession_t,
            task: *mut nsurlsession_task_t,
            file_offset: i64,
            expected_total_bytes: i64,
        ),
    >,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct nsurlsession_delegate_t {
    pub struct_size: usize,
    pub context: *mut c_void,
    pub release: nsurlsession_release_block_t,
    pub session: *const nsurlsession_session_delegate_t,
    pub task: *const nsurlsession_task_delegate_t,
    pub data: *const nsurlsession_data_delegate_t,
    pub download: *const nsurlsession_download_delegate_t,
}

/// A struct of the caller's that begins with its size.
///
/// # Safety
/// `repr(C)`, begins with a `usize`, and any bytes of a caller's struct, with zeros after them, are
/// a valid value of it: integers, raw pointers and optional function pointers.
pub unsafe trait Versioned {
    /// The size of the first version: what is smaller is no such struct.
    const FIRST_VERSION: usize;
}

// SAFETY: a size and optional function pointers.
unsafe impl Versioned for nsurlsession_session_delegate_t {
    const FIRST_VERSION: usize = 2 * size_of::<usize>();
}
// SAFETY: a size and optional function pointers.
unsafe impl Versioned for nsurlsession_task_delegate_t {
    const FIRST_VERSION: usize = 2 * size_of::<usize>();
}
// SAFETY: a size and optional function pointers.
unsafe impl Versioned for nsurlsession_data_delegate_t {
    const FIRST_VERSION: usize = 2 * size_of::<usize>();
}
// SAFETY: a size and optional function pointers.
unsafe impl Versioned for nsurlsession_download_delegate_t {
    const FIRST_VERSION: usize = 2 * size_of::<usize>();
}
// SAFETY: a size, pointers and optional function pointers.
unsafe impl Versioned for nsurlsession_delegate_t {
    const FIRST_VERSION: usize = 3 * size_of::<usize>();
}

/// Copies a struct of the caller's: as much of it as both sides know; the rest is zero, which
/// means absent. `None` for NULL, and for a size that cannot be, which is logged.
pub fn copied<T: Versioned>(pointer: *const T, function: &str) -> Option<T> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the header's contract: the struct is valid for as many bytes as it says itself, and
    // at least for that number. What is copied is a valid `T` by its own contract.
    unsafe {
        let size = pointer.cast::<usize>().read_unaligned();
        if size < T::FIRST_VERSION {
            misuse(function, "a struct's struct_size is not set");
            return None;
        }
        let mut copy = std::mem::MaybeUninit::<T>::zeroed();
        // Whole members only: all are of the size of a pointer.
        let known = size.min(size_of::<T>()) / size_of::<usize>() * size_of::<usize>();
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), known);
        Some(copy.assume_init())
    }
}

/// A delegate of the caller's.
pub struct CDelegate {
    session: nsurlsession_session_delegate_t,
    task: nsurlsession_task_delegate_t,
    data: nsurlsession_data_delegate_t,
    download: nsurlsession_download_delegate_t,
    /// Dropped last: then the context is released.
    context: OwnedContext,
}

impl CDelegate {
    /// Copies a delegate. `None` for NULL, and when its size cannot be.
    pub fn from_c(
        delegate: *const nsurlsession_delegate_t,
        function: &str,
    ) -> Option<Arc<dyn Delegate>> {
        let delegate = copied(delegate, function)?;
        Some(Arc::new(CDelegate {
            session: copied(delegate.session, function).unwrap_or_default(),
            task: copied(delegate.task, function).unwrap_or_default(),
            data: copied(delegate.data, function).unwrap_or_default(),
            download: copied(delegate.download, function).unwrap_or_default(),
            context: OwnedContext::new(delegate.context, delegate.release),
        }))
    }

    fn pointer(&self) -> *mut c_void {
        self.context.pointer()
    }
}

impl Delegate for CDelegate {
    fn implements(&self, method: Method) -> bool {
        match method {
            Method::DidBecomeInvalid => self.session.did_become_invalid_with_error.is_some(),
            Method::DidCreateTask => self.task.did_create_task.is_some(),
            Method::WillPerformRedirection => self.task.will_perform_http_redirection.is_some(),
            Method::DidComplete => self.task.did_complete_with_error.is_some(),
            Method::DidReceiveResponse => self.data.did_receive_response.is_some(),
            Method::DidReceiveData => self.data.did_receive_data.is_some(),
            Method::NeedNewBodyStream => self.task.need_new_body_stream.is_some(),
            Method::NeedNewBodyStreamFromOffset => {
                self.task.need_new_body_stream_from_offset.is_some()
            }
            Method::DidSendBodyData => self.task.did_send_body_data.is_some(),
            Method::DidReceiveInformationalResponse => {
                self.task.did_receive_informational_response.is_some()
            }
            Method::DidFinishCollectingMetrics => self.task.did_finish_collecting_metrics.is_some(),
            Method::DidBecomeDownloadTask => self.data.did_become_download_task.is_some(),
            Method::DidFinishDownloading => self.download.did_finish_downloading_to_url.is_some(),
            Method::DidWriteData => self.download.did_write_data.is_some(),
            Method::DidResumeAtOffset => self.download.did_resume_at_offset.is_some(),
        }
    }

    fn context(&self) -> usize {
        self.pointer().expose_provenance()
    }

    fn did_become_invalid(&self, session: &Arc<Session>, error: Option<&Arc<Error>>) {
        if let Some(method) = self.session.did_become_invalid_with_error {
            // SAFETY: the caller's function with the caller's context and handles that live on.
            callback(|| unsafe { method(self.pointer(), lent(session), lent_option(error)) });
        }
    }

    fn did_create_task(&self, session: &Arc<Session>, task: &Arc<Task>) {
        if let Some(method) = self.task.did_create_task {
            // SAFETY: as above.
            callback(|| unsafe { method(self.pointer(), lent(session), lent(task)) });
        }
    }

    fn will_perform_redirection(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
        request: &Arc<Request>,
        completion: &Arc<RedirectionCompletion>,
    ) {
        if let Some(method) = self.task.will_perform_http_redirection {
            let (response, request) = (lent(response), lent(request));
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    response,
                    request,
                    lent(completion),
                );
            });
        }
    }

    fn did_complete(&self, session: &Arc<Session>, task: &Arc<Task>, error: Option<&Arc<Error>>) {
        if let Some(method) = self.task.did_complete_with_error {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    lent_option(error),
                )
            });
        }
    }

    fn did_receive_response(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
        completion: &Arc<ResponseCompletion>,
    ) {
        if let Some(method) = self.data.did_receive_response {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    lent(response),
                    lent(completion),
                )
            });
        }
    }

    fn did_receive_data(&self, session: &Arc<Session>, task: &Arc<Task>, data: &Arc<Data>) {
        if let Some(method) = self.data.did_receive_data {
            // SAFETY: as above.
            callback(|| unsafe { method(self.pointer(), lent(session), lent(task), lent(data)) });
        }
    }

    fn need_new_body_stream(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        completion: &Arc<BodyStreamCompletion>,
    ) {
        if let Some(method) = self.task.need_new_body_stream {
            // SAFETY: as above.
            callback(|| unsafe {
                method(self.pointer(), lent(session), lent(task), lent(completion))
            });
        }
    }

    fn need_new_body_stream_from_offset(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        offset: i64,
        completion: &Arc<BodyStreamCompletion>,
    ) {
        if let Some(method) = self.task.need_new_body_stream_from_offset {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    offset,
                    lent(completion),
                )
            });
        }
    }

    fn did_send_body_data(&self, session: &Arc<Session>, task: &Arc<Task>, progress: Moved) {
        if let Some(method) = self.task.did_send_body_data {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    progress.more,
                    progress.total,
                    progress.expected,
                )
            });
        }
    }

    fn did_receive_informational_response(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
    ) {
        if let Some(method) = self.task.did_receive_informational_response {
            // SAFETY: as above.
            callback(|| unsafe {
                method(self.pointer(), lent(session), lent(task), lent(response))
            });
        }
    }

    fn did_finish_collecting_metrics(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        metrics: &Arc<TaskMetrics>,
    ) {
        if let Some(method) = self.task.did_finish_collecting_metrics {
            // SAFETY: as above.
            callback(|| unsafe {
                method(self.pointer(), lent(session), lent(task), lent(metrics))
            });
        }
    }

    fn did_become_download_task(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        download: &Arc<Task>,
    ) {
        if let Some(method) = self.data.did_become_download_task {
            // SAFETY: as above.
            callback(|| unsafe {
                method(self.pointer(), lent(session), lent(task), lent(download))
            });
        }
    }

    fn did_finish_downloading(&self, session: &Arc<Session>, task: &Arc<Task>, location: &CStr) {
        if let Some(method) = self.download.did_finish_downloading_to_url {
            // SAFETY: as above.
            callback(|| unsafe {
                method(self.pointer(), lent(session), lent(task), location.as_ptr())
            });
        }
    }

    fn did_write_data(&self, session: &Arc<Session>, task: &Arc<Task>, progress: Moved) {
        if let Some(method) = self.download.did_write_data {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    progress.more,
                    progress.total,
                    progress.expected,
                )
            });
        }
    }

    fn did_resume_at_offset(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        offset: i64,
        expected_total: i64,
    ) {
        if let Some(method) = self.download.did_resume_at_offset {
            // SAFETY: as above.
            callback(|| unsafe {
                method(
                    self.pointer(),
                    lent(session),
                    lent(task),
                    offset,
                    expected_total,
                )
            });
        }
    }
}
