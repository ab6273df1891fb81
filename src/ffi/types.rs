//! Types that the hand-written part of the header declares.

use std::ffi::{c_char, c_void};

use crate::foundation::{
    array, bound_pair, data, date_interval, dictionary, error, progress, queue, stream, string,
};
use crate::loading::{metrics, request, response};
use crate::session::configuration;
use crate::task::completion;
use crate::{session, task};

/// A C type that stands for an object.
pub trait Handle {
    type Object: super::object::Exported;
}

macro_rules! handles {
    ($($name:ident => $object:ty;)*) => {$(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }

        impl Handle for $name {
            type Object = $object;
        }
    )*};
}

handles! {
    nsurlsession_t => session::Session;
    nsurlsession_task_t => task::Task;
    nsurlsession_configuration_t => configuration::Configuration;
    nsurlsession_request_t => request::Request;
    nsurlsession_response_t => response::Response;
    nsurlsession_error_t => error::Error;
    nsurlsession_queue_t => queue::Queue;
    nsurlsession_data_t => data::Data;
    nsurlsession_string_t => string::Text;
    nsurlsession_array_t => array::Array;
    nsurlsession_dictionary_t => dictionary::Dictionary;
    nsurlsession_work_t => queue::Work;
    nsurlsession_response_completion_t => completion::ResponseCompletion;
    nsurlsession_redirection_completion_t => completion::RedirectionCompletion;
    nsurlsession_body_stream_completion_t => completion::BodyStreamCompletion;
    nsurlsession_input_stream_t => stream::InputStream;
    nsurlsession_output_stream_t => bound_pair::OutputStream;
    nsurlsession_progress_t => progress::Progress;
    nsurlsession_task_metrics_t => metrics::TaskMetrics;
    nsurlsession_transaction_metrics_t => metrics::TransactionMetrics;
    nsurlsession_date_interval_t => date_interval::DateInterval;
}

pub type nsurlsession_task_state_t = i32;
pub type nsurlsession_task_kind_t = i32;
pub type nsurlsession_response_disposition_t = i32;
pub type nsurlsession_log_level_t = i32;
pub type nsurlsession_stream_status_t = i32;
pub type nsurlsession_task_metrics_resource_fetch_type_t = i32;
pub type nsurlsession_task_metrics_domain_resolution_protocol_t = i32;

pub type nsurlsession_release_block_t = Option<unsafe extern "C-unwind" fn(context: *mut c_void)>;
pub type nsurlsession_operation_block_t = Option<unsafe extern "C-unwind" fn(context: *mut c_void)>;
pub type nsurlsession_data_deallocator_t =
    Option<unsafe extern "C-unwind" fn(context: *mut c_void, bytes: *mut c_void, length: usize)>;
pub type nsurlsession_data_task_completion_handler_t = Option<
    unsafe extern "C-unwind" fn(
        context: *mut c_void,
        data: *mut nsurlsession_data_t,
        response: *mut nsurlsession_response_t,
        error: *mut nsurlsession_error_t,
    ),
>;
pub type nsurlsession_download_task_completion_handler_t = Option<
    unsafe extern "C-unwind" fn(
        context: *mut c_void,
        location: *const c_char,
        response: *mut nsurlsession_response_t,
        error: *mut nsurlsession_error_t,
    ),
>;
pub type nsurlsession_resume_data_handler_t = Option<
    unsafe extern "C-unwind" fn(context: *mut c_void, resume_data: *mut nsurlsession_data_t),
>;
pub type nsurlsession_get_tasks_completion_handler_t = Option<
    unsafe extern "C-unwind" fn(
        context: *mut c_void,
        data_tasks: *mut nsurlsession_array_t,
        upload_tasks: *mut nsurlsession_array_t,
        download_tasks: *mut nsurlsession_array_t,
    ),
>;
pub type nsurlsession_get_all_tasks_completion_handler_t =
    Option<unsafe extern "C-unwind" fn(context: *mut c_void, tasks: *mut nsurlsession_array_t)>;
pub type nsurlsession_progress_handler_t =
    Option<unsafe extern "C-unwind" fn(context: *mut c_void)>;
pub type nsurlsession_progress_change_handler_t = Option<
    unsafe extern "C-unwind" fn(context: *mut c_void, progress: *mut nsurlsession_progress_t),
>;
pub type nsurlsession_log_handler_t = Option<
    unsafe extern "C-unwind" fn(
        context: *mut c_void,
        level: nsurlsession_log_level_t,
        target: *const c_char,
        message: *const c_char,
    ),
>;

/// A pointer of the caller's that callbacks get, on whichever thread they run.
#[derive(Clone, Copy)]
pub struct Context(pub *mut c_void);

// SAFETY: the header says that a context may be used on any thread; the library only passes it on.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// A context that is released once, when this is dropped.
pub struct OwnedContext {
    pub context: Context,
    pub release: nsurlsession_release_block_t,
}

impl OwnedContext {
    pub fn new(context: *mut c_void, release: nsurlsession_release_block_t) -> OwnedContext {
        OwnedContext {
            context: Context(context),
            release,
        }
    }

    pub fn pointer(&self) -> *mut c_void {
        self.context.0
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the caller's function with the caller's context, called once.
            super::guard::callback(|| unsafe { release(self.context.0) });
        }
    }
}
