//! A task and its load: how that begins, what it tells the task and what it is answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::delivery::Event;
use super::task::Task;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::queue::Queue;
use crate::foundation::stream::InputStream;
use crate::foundation::sync::Lock;
use crate::loading::body::BodyReader;
use crate::loading::client::{
    ANSWERED, BODY, DRAINED, LoadClient, LoadStart, NO_SLOT, REDIRECT, Redirecting,
};
use crate::loading::coding::Decoder;
use crate::loading::http;
use crate::loading::request::RequestValue;
use crate::loading::response::Response;
use crate::session::delegate::Method;

impl Task {
    /// Begins what the first `resume` is for.
    pub(super) fn start(self: &Arc<Self>) {
        if self.refused {
            let reason = "The session was invalidated before this task was made.";
            return self.fail(Failure::new(error_code::CANCELLED).detail(reason));
        }
        if !self.start_download() && !self.start_upload() {
            self.launch(Arc::clone(self.original_request()));
        }
    }

    /// Begins to load.
    pub(super) fn launch(self: &Arc<Self>, request: Arc<RequestValue>) {
        self.state.locked().current = Arc::clone(&request);
        let configuration = self.session.configuration();
        let resource_timeout = duration(configuration.timeout_for_resource);
        self.session.note_loading();
        let start = Box::new(LoadStart {
            connections: Arc::clone(self.session.connections()),
            request,
            additional_headers: Arc::clone(self.session.additional_headers()),
            idle_timeout: duration(
                self.original_request()
                    .timeout
                    .unwrap_or(configuration.timeout_for_request),
            ),
            resource_deadline: Instant::now().checked_add(resource_timeout),
            collect: self.collects(),
            wants_metrics: self.asks_for(Method::DidFinishCollectingMetrics),
            wants_informational: self.asks_for(Method::DidReceiveInformationalResponse)
                || self.may_be_resumed(),
            client: Arc::clone(self) as Arc<dyn LoadClient>,
            control: Arc::clone(&self.control),
        });
        if !http::start(start) {
            self.fail(
                Failure::new(error_code::UNKNOWN).detail("The event thread could not be started."),
            );
        }
    }

    /// Ends a load that never came to the loop.
    pub(super) fn fail(self: &Arc<Self>, failure: Failure) {
        let mut state = self.state.locked();
        if !state.machine.end() {
            return;
        }
        if let Some(download) = &self.download {
            download.settle(None);
        }
        state.outcome = Some(Err(failure.url(self.original_request().url_text())));
        let post = state.push(Event::Complete);
        drop(state);
        self.post_if(post);
    }

    /// An answer came: what waited for it may go on.
    pub(super) fn unblock(self: &Arc<Self>) {
        let mut state = self.state.locked();
        state.mailbox.unblock();
        let post = state.schedule();
        drop(state);
        self.control.set_asking(false);
        self.post_if(post);
        if self.control.slot.load(Ordering::Acquire) != NO_SLOT {
            http::signal(&self.control, ANSWERED);
        }
    }

    pub(super) fn answer_redirect(self: &Arc<Self>, request: Option<Arc<RequestValue>>) {
        self.control.answer_redirect(request);
        http::signal(&self.control, REDIRECT);
        self.unblock();
    }

    pub(super) fn answer_body_stream(self: &Arc<Self>, stream: Option<Arc<InputStream>>) {
        self.control.answer_body(stream);
        http::signal(&self.control, BODY);
        self.unblock();
    }

    /// The transfer, which was held back, may go on.
    pub(super) fn drained(&self) {
        http::signal(&self.control, DRAINED);
    }
}

/// A timeout as a duration; what is too long to count is long enough.
fn duration(seconds: f64) -> Duration {
    const LONGEST: f64 = 100.0 * 365.0 * 24.0 * 3600.0;
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))
}

impl LoadClient for Task {
    fn redirected(
        &self,
        response: &Arc<Response>,
        proposed: &Arc<RequestValue>,
    ) -> (Redirecting, bool) {
        if !self.asks_for(Method::WillPerformRedirection) {
            return (Redirecting::Follow, false);
        }
        let event = Event::Redirect(Arc::clone(response), Arc::clone(proposed));
        (Redirecting::Ask, self.state.locked().push(event))
    }

    fn following(&self, request: &Arc<RequestValue>) -> Arc<RequestValue> {
        self.sent.store(0, Ordering::Relaxed);
        self.told_sent.store(0, Ordering::Relaxed);
        std::mem::replace(&mut self.state.locked().current, Arc::clone(request))
    }

    fn next_request(&self, response: &Arc<Response>) -> Result<Option<Arc<RequestValue>>, Failure> {
        if let Some(upload) = &self.upload {
            return self.find_place_in_upload(upload, response);
        }
        Ok(self.judge_download(response))
    }

    fn informational(&self, response: Arc<Response>) -> bool {
        self.note_resumption(&response);
        if !self.asks_for(Method::DidReceiveInformationalResponse) {
            return false;
        }
        self.state.locked().push(Event::Informational(response))
    }

    fn received_response(&self, response: Arc<Response>, decoder: Option<Decoder>) -> bool {
        self.expected_to_receive
            .store(response.expected_length(), Ordering::Relaxed);
        self.note_progress();
        if self.collects() {
            let mut state = self.state.locked();
            state.decoder = decoder;
            state.response = Some(response);
            return false;
        }
        if let Some(download) = &self.download {
            download.accept(&response);
        }
        *self.reader.locked() = Some(BodyReader::new(Arc::clone(&self.control.pipe), decoder));
        let asks = self.download.is_none() && self.asks_for(Method::DidReceiveResponse);
        let mut state = self.state.locked();
        state.response = Some(Arc::clone(&response));
        self.control.set_asking(asks);
        asks && state.push(Event::Response(response))
    }

    fn received_data(&self) -> bool {
        let mut state = self.state.locked();
        let task = match self.successor.get() {
            None if self.download.is_none() => return state.push(Event::Data),
            None => self,
            Some(next) => next,
        };
        drop(state);
        if let Some(task) = task.this.upgrade() {
            task.download_received_data();
        }
        false
    }

    fn collected(&self, total: u64) {
        self.received
            .store(i64::try_from(total).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.note_progress();
    }

    fn sent(&self, total: u64) {
        if let Some(next) = self.successor.get() {
            return next.sent(total);
        }
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        if total < self.sent.swap(total, Ordering::Relaxed) {
            // It is being sent again.
            self.told_sent.store(0, Ordering::Relaxed);
        }
        self.note_progress();
        if self.asks_for(Method::DidSendBodyData)
            && let Some(task) = self.this.upgrade()
        {
            let post = task.state.locked().push_merged(Event::Sent);
            task.post_if(post);
        }
    }

    fn needs_body(&self) -> Option<bool> {
        self.ask_for_body()
    }

    fn finished(&self, result: Result<Vec<u8>, Failure>, spent: http::Spent) -> bool {
        let mut state = self.state.locked();
        if let Some(next) = self.successor.get() {
            drop(state);
            return next.finished(result, spent);
        }
        state.machine.end();
        if matches!(&result, Err(failure) if failure.code() == error_code::TIMED_OUT) {
            state.forgo_answer();
        }
        state.spent = Some(spent);
        let own_failure = state.own_failure.take();
        let is_open = self.download.is_some() && own_failure.is_none();
        state.outcome = Some(own_failure.map_or(result, Err));
        if !is_open {
            return state.push(Event::Complete);
        }
        drop(state);
        if let Some(task) = self.this.upgrade() {
            task.download_ended();
        }
        false
    }

    fn queue(&self) -> &Arc<Queue> {
        self.session.queue()
    }

    fn recipient(self: Arc<Self>) -> Arc<dyn LoadClient> {
        match self.successor.get() {
            Some(next) => Arc::clone(next) as Arc<dyn LoadClient>,
            None => self,
        }
    }
}
