//! An upload task's body: where it comes from, and what the delegate hears of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::completion::BodyStreamCompletion;
use super::delivery::Event;
use super::task::Task;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::sync::Lock;
use crate::loading::file_body::FileBody;
use crate::loading::request::{RequestBody, RequestValue};
use crate::session::delegate::{Method, Moved};

/// The file that is the body.
pub struct Upload {
    path: PathBuf,
    /// Its length when the task was made; what counts is that when it is opened.
    length: i64,
}

impl Upload {
    pub fn new(path: PathBuf) -> Upload {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        Upload {
            path,
            length: i64::try_from(length).unwrap_or(i64::MAX),
        }
    }

    pub fn length(&self) -> i64 {
        self.length
    }
}

struct Opening(Arc<Task>);

impl Work for Opening {
    fn perform(self: Arc<Self>) {
        self.0.open_body();
    }
}

impl Task {
    /// Begins to upload a file. False when the body is no file.
    pub(super) fn start_upload(self: &Arc<Self>) -> bool {
        let opens = self.upload.is_some();
        if opens {
            Pool::io().submit(Arc::new(Opening(Arc::clone(self))));
        }
        opens
    }

    /// Opens the file, which may block, and begins to load.
    fn open_body(self: &Arc<Self>) {
        let Some(upload) = &self.upload else { return };
        let file = match FileBody::open(&upload.path) {
            Ok(file) => file,
            Err(failure) => return self.fail(failure),
        };
        let mut request = RequestValue::clone(self.original_request());
        request.body = Some(RequestBody::File(Arc::new(file)));
        self.launch(Arc::new(request));
    }

    pub(super) fn deliver_sent(self: &Arc<Self>) {
        let total = self.count_of_bytes_sent();
        let more = total - self.told_sent.swap(total, Ordering::Relaxed);
        if more <= 0 {
            return;
        }
        if let Some(delegate) = self.delegate_for(Method::DidSendBodyData) {
            let expected = self.count_of_bytes_expected_to_send();
            let moved = Moved {
                more,
                total,
                expected,
            };
            delegate.did_send_body_data(&self.session, self, moved);
        }
    }

    /// Whether there is somebody to be asked for a body; the question then waits to be asked.
    pub(super) fn ask_for_body(&self) -> Option<bool> {
        self.asks_for(Method::NeedNewBodyStream)
            .then(|| self.state.locked().push(Event::NeedBody))
    }

    pub(super) fn deliver_need_of_body(self: &Arc<Self>) {
        let Some(delegate) = self.delegate_for(Method::NeedNewBodyStream) else {
            return self.answer_body_stream(None);
        };
        self.block();
        let completion = BodyStreamCompletion::new(Arc::clone(self));
        delegate.need_new_body_stream(&self.session, self, &completion);
    }
}
