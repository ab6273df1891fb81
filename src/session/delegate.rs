//! What sessions and tasks ask of a delegate.

use std::ffi::CStr;
use std::sync::Arc;

use super::Session;
use crate::foundation::data::Data;
use crate::foundation::error::Error;
use crate::loading::metrics::TaskMetrics;
use crate::loading::request::Request;
use crate::loading::response::Response;
use crate::task::Task;
use crate::task::completion::{BodyStreamCompletion, RedirectionCompletion, ResponseCompletion};

/// The methods that a delegate may implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    DidBecomeInvalid,
    DidCreateTask,
    WillPerformRedirection,
    DidComplete,
    DidReceiveResponse,
    DidReceiveData,
    NeedNewBodyStream,
    NeedNewBodyStreamFromOffset,
    DidSendBodyData,
    DidReceiveInformationalResponse,
    DidFinishCollectingMetrics,
    DidBecomeDownloadTask,
    DidFinishDownloading,
    DidWriteData,
    DidResumeAtOffset,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes since the last report.
    pub more: i64,
    pub total: i64,
    /// All there will be, or -1.
    pub expected: i64,
}

/// A delegate. Only methods that it implements are called. It is released when the last reference
/// is dropped.
pub trait Delegate: Send + Sync {
    fn implements(&self, method: Method) -> bool;

    /// What the program knows the delegate by.
    fn context(&self) -> usize;

    fn did_become_invalid(&self, session: &Arc<Session>, error: Option<&Arc<Error>>);

    fn did_create_task(&self, session: &Arc<Session>, task: &Arc<Task>);

    fn will_perform_redirection(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
        request: &Arc<Request>,
        completion: &Arc<RedirectionCompletion>,
    );

    fn did_complete(&self, session: &Arc<Session>, task: &Arc<Task>, error: Option<&Arc<Error>>);

    fn did_receive_response(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
        completion: &Arc<ResponseCompletion>,
    );

    fn did_receive_data(&self, session: &Arc<Session>, task: &Arc<Task>, data: &Arc<Data>);

    fn need_new_body_stream(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        completion: &Arc<BodyStreamCompletion>,
    );

    fn need_new_body_stream_from_offset(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        offset: i64,
        completion: &Arc<BodyStreamCompletion>,
    );

    fn did_send_body_data(&self, session: &Arc<Session>, task: &Arc<Task>, progress: Moved);

    fn did_receive_informational_response(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        response: &Arc<Response>,
    );

    fn did_finish_collecting_metrics(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        metrics: &Arc<TaskMetrics>,
    );

    fn did_become_download_task(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        download: &Arc<Task>,
    );

    fn did_finish_downloading(&self, session: &Arc<Session>, task: &Arc<Task>, location: &CStr);

    fn did_write_data(&self, session: &Arc<Session>, task: &Arc<Task>, progress: Moved);

    fn did_resume_at_offset(
        &self,
        session: &Arc<Session>,
        task: &Arc<Task>,
        offset: i64,
        expected_total: i64,
    );
}
