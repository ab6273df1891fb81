//! The answers that delegate methods owe: one-shot, from any thread, at any later time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Task;
use crate::foundation::object::{Class, Header, Object, begins_with_header};
use crate::foundation::stream::InputStream;
use crate::loading::request::RequestValue;

/// `NSURLSessionResponseDisposition`, but for streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Cancel,
    Allow,
    BecomeDownload,
}

/// Owed by `did_receive_response`.
#[repr(C)]
pub struct ResponseCompletion {
    header: Header,
    task: Arc<Task>,
    answered: AtomicBool,
}

begins_with_header!(ResponseCompletion);

impl ResponseCompletion {
    pub fn new(task: Arc<Task>) -> Arc<ResponseCompletion> {
        Arc::new(ResponseCompletion {
            header: Header::new(Class::ResponseCompletion),
            task,
            answered: AtomicBool::new(false),
        })
    }

    pub fn is_of_this_process(&self) -> bool {
        self.task.is_of_this_process()
    }

    /// Gives the answer. False when one was given before.
    pub fn call(&self, disposition: Disposition) -> bool {
        if self.answered.swap(true, Ordering::AcqRel) {
            return false;
        }
        match disposition {
            Disposition::Allow => self.task.unblock(),
            Disposition::BecomeDownload => self.task.become_download(),
            Disposition::Cancel => {
                self.task.cancel();
            }
        }
        true
    }
}

impl Drop for ResponseCompletion {
    fn drop(&mut self) {
        if self.call(Disposition::Cancel) {
            tracing::warn!(target: "task", task = self.task.identifier(), "did_receive_response was not answered: cancelled");
        }
    }
}

impl Object for ResponseCompletion {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        format!(
            "<response completion: {}, of {}>",
            answered(&self.answered),
            self.task.description()
        )
    }
}

/// Owed by `will_perform_http_redirection`.
#[repr(C)]
pub struct RedirectionCompletion {
    header: Header,
    task: Arc<Task>,
    answered: AtomicBool,
}

begins_with_header!(RedirectionCompletion);

impl RedirectionCompletion {
    pub fn new(task: Arc<Task>) -> Arc<RedirectionCompletion> {
        Arc::new(RedirectionCompletion {
            header: Header::new(Class::RedirectionCompletion),
            task,
            answered: AtomicBool::new(false),
        })
    }

    pub fn is_of_this_process(&self) -> bool {
        self.task.is_of_this_process()
    }

    /// Goes on with a request, or with the redirect's own response. False when an answer was given
    /// before.
    pub fn call(&self, request: Option<Arc<RequestValue>>) -> bool {
        if self.answered.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.task.answer_redirect(request);
        true
    }
}

impl Drop for RedirectionCompletion {
    fn drop(&mut self) {
        if !self.answered.swap(true, Ordering::AcqRel) {
            tracing::warn!(target: "task", task = self.task.identifier(), "will_perform_http_redirection was not answered: cancelled");
            self.task.cancel();
        }
    }
}

impl Object for RedirectionCompletion {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        format!(
            "<redirection completion: {}, of {}>",
            answered(&self.answered),
            self.task.description()
        )
    }
}

/// Owed by `need_new_body_stream` and `need_new_body_stream_from_offset`.
#[repr(C)]
pub struct BodyStreamCompletion {
    header: Header,
    task: Arc<Task>,
    answered: AtomicBool,
}

begins_with_header!(BodyStreamCompletion);

impl BodyStreamCompletion {
    pub fn new(task: Arc<Task>) -> Arc<BodyStreamCompletion> {
        Arc::new(BodyStreamCompletion {
            header: Header::new(Class::BodyStreamCompletion),
            task,
            answered: AtomicBool::new(false),
        })
    }

    pub fn is_of_this_process(&self) -> bool {
        self.task.is_of_this_process()
    }

    /// Goes on with a stream, or fails for want of one. False when an answer was given before.
    pub fn call(&self, stream: Option<Arc<InputStream>>) -> bool {
        if self.answered.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.task.answer_body_stream(stream);
        true
    }
}

impl Drop for BodyStreamCompletion {
    fn drop(&mut self) {
        if !self.answered.swap(true, Ordering::AcqRel) {
            tracing::warn!(target: "task", task = self.task.identifier(), "need_new_body_stream was not answered: cancelled");
            self.task.cancel();
        }
    }
}

impl Object for BodyStreamCompletion {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        format!(
            "<body stream completion: {}, of {}>",
            answered(&self.answered),
            self.task.description()
        )
    }
}

fn answered(answered: &AtomicBool) -> &'static str {
    if answered.load(Ordering::Relaxed) {
        "answered"
    } else {
        "waiting for an answer"
    }
}
