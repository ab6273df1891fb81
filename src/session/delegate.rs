//! What sessions and tasks ask of a delegate.

use std::sync::Arc;

use super::Session;
use crate::foundation::data::Data;
use crate::foundation::error::Error;
use crate::loading::request::Request;
use crate::loading::response::Response;
use crate::task::Task;
use crate::task::completion::{RedirectionCompletion, ResponseCompletion};

/// The methods that a delegate may implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    DidBecomeInvalid,
    DidCreateTask,
    WillPerformRedirection,
    DidComplete,
    DidReceiveResponse,
    DidReceiveData,
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
}
