//! NSURLSessionTask: what the program sees of it, and what a loader tells it.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::delivery::{Event, Mailbox};
use super::download::{Download, Origin};
use super::kind::{TaskHandler, TaskKind};
use super::state::{Effect, Machine, TaskState};
use super::upload::{Upload, UploadStart};
use crate::foundation::error::{Error, Failure};
use crate::foundation::error_code;
use crate::foundation::object::{Class, Header, Object, begins_with_header};
use crate::foundation::progress::{self, Progress, ProgressOwner};
use crate::foundation::queue::{Operation, Queue};
use crate::foundation::stream::InputStream;
use crate::foundation::sync::Lock;
use crate::loading::body::BodyReader;
use crate::loading::client::{
    ANSWERED, BODY, DRAINED, LoadClient, LoadControl, LoadStart, NO_SLOT, PRIORITY, REDIRECT,
    Redirecting, SUSPENSION,
};
use crate::loading::coding::Decoder;
use crate::loading::http;
use crate::loading::metrics;
use crate::loading::priority::Priority;
use crate::loading::request::RequestValue;
use crate::loading::response::Response;
use crate::session::Session;
use crate::session::delegate::{Delegate, Method};

/// What a task is made from.
pub struct TaskStart {
    pub kind: TaskKind,
    pub request: Arc<RequestValue>,
    pub handler: Option<TaskHandler>,
    /// What a download goes on from.
    pub origin: Origin,
    /// Where an upload's body comes from.
    pub upload: Option<UploadStart>,
}

/// What was not set by hand.
const UNSET: u8 = 2;

/// What changes in a task's life.
pub(super) struct State {
    pub machine: Machine,
    pub current: Arc<RequestValue>,
    pub response: Option<Arc<Response>>,
    pub error: Option<Arc<Error>>,
    pub delegate: Option<Arc<dyn Delegate>>,
    description: Option<String>,
    pub handler: Option<TaskHandler>,
    pub mailbox: Mailbox,
    /// Decodes a body that was collected.
    pub decoder: Option<Decoder>,
    /// Body bytes that are delivered with those that follow.
    pub gathered: Vec<u8>,
    /// How it ended: the body as it came, for those who want it whole.
    pub outcome: Option<Result<Vec<u8>, Failure>>,
    /// Why the task fails here, while its load is on its way to its end.
    own_failure: Option<Failure>,
    /// What is left of the transfer.
    pub spent: Option<http::Spent>,
}

impl State {
    /// The task fails here, whatever comes of its load. True: that is under way, has to be
    /// cancelled, and completes the task when it has ended. False: it has ended.
    #[must_use]
    pub fn fail_here(&mut self, failure: Failure) -> bool {
        let failure = failure.url(self.current.url_text());
        if self.machine.is_loading() {
            self.own_failure = Some(failure);
            return true;
        }
        self.outcome = Some(Err(failure));
        false
    }
}

#[repr(C)]
pub struct Task {
    header: Header,
    identifier: u64,
    kind: TaskKind,
    /// When it was made.
    pub(super) created: f64,
    this: Weak<Task>,
    pub(super) session: Arc<Session>,
    original: Arc<RequestValue>,
    /// Has a completion handler, and so no data callbacks.
    pub(super) has_handler: bool,
    /// The session was invalid already: nothing of this reaches its delegate.
    pub(super) refused: bool,
    pub(super) control: Arc<LoadControl>,
    pub(super) state: Mutex<State>,
    /// Used by whoever delivers, one at a time.
    pub(super) reader: Mutex<Option<BodyReader>>,
    /// The file of a download.
    pub(super) download: Option<Download>,
    /// The file of an upload.
    pub(super) upload: Option<Upload>,
    /// The task that this one has become.
    pub(super) successor: OnceLock<Arc<Task>>,
    /// Set by hand, or `UNSET`.
    incremental: AtomicU8,
    progress: OnceLock<Arc<Progress>>,
    sent: AtomicI64,
    /// What the delegate was told was sent.
    pub(super) told_sent: AtomicI64,
    pub(super) received: AtomicI64,
    expected_to_receive: AtomicI64,
}

begins_with_header!(Task);

impl Task {
    pub fn new(
        identifier: u64,
        session: Arc<Session>,
        start: TaskStart,
        control: Arc<LoadControl>,
        refused: bool,
    ) -> Arc<Task> {
        let TaskStart {
            kind,
            request,
            handler,
            origin,
            upload,
        } = start;
        Arc::new_cyclic(|this| Task {
            header: Header::new(Class::Task),
            identifier,
            kind,
            created: metrics::date_now(),
            this: Weak::clone(this),
            session,
            has_handler: handler.is_some(),
            refused,
            control,
            state: Mutex::new(State {
                machine: Machine::new(),
                current: Arc::clone(&request),
                response: None,
                error: None,
                delegate: None,
                description: None,
                handler,
                mailbox: Mailbox::new(),
                decoder: None,
                gathered: Vec::new(),
                outcome: None,
                own_failure: None,
                spent: None,
            }),
            original: request,
            reader: Mutex::new(None),
            download: (kind == TaskKind::Download).then(|| Download::new(origin)),
            upload: upload.map(Upload::new),
            successor: OnceLock::new(),
            incremental: AtomicU8::new(UNSET),
            progress: OnceLock::new(),
            sent: AtomicI64::new(0),
            told_sent: AtomicI64::new(0),
            received: AtomicI64::new(0),
            expected_to_receive: AtomicI64::new(0),
        })
    }

    pub fn identifier(&self) -> u64 {
        self.identifier
    }

    pub fn control(&self) -> &Arc<LoadControl> {
        &self.control
    }

    pub fn kind(&self) -> TaskKind {
        self.kind
    }

    /// The session took no new tasks any more when this one was made.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    pub fn is_of_this_process(&self) -> bool {
        self.session.is_of_this_process()
    }

    pub fn original_request(&self) -> &Arc<RequestValue> {
        &self.original
    }

    pub fn current_request(&self) -> Arc<RequestValue> {
        Arc::clone(&self.state.locked().current)
    }

    pub fn response(&self) -> Option<Arc<Response>> {
        self.state.locked().response.clone()
    }

    pub fn error(&self) -> Option<Arc<Error>> {
        self.state.locked().error.clone()
    }

    pub fn task_state(&self) -> TaskState {
        self.state.locked().machine.state()
    }

    /// What the program knows the task's own delegate by.
    pub fn delegate_context(&self) -> Option<usize> {
        let state = self.state.locked();
        state.delegate.as_ref().map(|delegate| delegate.context())
    }

    /// Sets the task's own delegate; handed back when it is too late for that.
    pub fn set_delegate(
        &self,
        delegate: Option<Arc<dyn Delegate>>,
    ) -> Result<(), Option<Arc<dyn Delegate>>> {
        let mut state = self.state.locked();
        if state.machine.was_started() {
            return Err(delegate);
        }
        let before = std::mem::replace(&mut state.delegate, delegate);
        drop(state);
        // Released outside of the lock: that runs the program's code.
        drop(before);
        Ok(())
    }

    pub fn task_description(&self) -> Option<String> {
        self.state.locked().description.clone()
    }

    pub fn set_task_description(&self, description: Option<String>) {
        self.state.locked().description = description;
    }

    pub fn priority(&self) -> f32 {
        self.control.priority().urgency
    }

    pub fn set_priority(&self, urgency: f32) {
        let before = self.control.priority();
        self.control.set_priority(Priority { urgency, ..before });
        if self.state.locked().machine.was_started() {
            http::signal(&self.control, PRIORITY);
        }
    }

    /// The task's progress, made when somebody asks for it first.
    pub fn progress(&self) -> &Arc<Progress> {
        let progress = self.progress.get_or_init(|| {
            let operation = match self.kind {
                TaskKind::Data => progress::RECEIVING,
                TaskKind::Upload => progress::UPLOADING,
                TaskKind::Download => progress::DOWNLOADING,
            };
            let owner: Weak<dyn ProgressOwner> = Weak::<Task>::clone(&self.this);
            let progress = Progress::for_task(owner, operation);
            let (completed, total) = self.progress_counts();
            progress.update(completed, total, Instant::now());
            progress
        });
        // Afterwards: a task that completed meanwhile did not find it.
        match self.task_state() {
            TaskState::Completed => progress.finish(self.error().is_none()),
            TaskState::Canceling => progress.mirror_cancelled(),
            TaskState::Running | TaskState::Suspended => {}
        }
        progress
    }

    pub(super) fn progress_if_any(&self) -> Option<&Arc<Progress>> {
        self.progress.get()
    }

    /// Tells the progress, if there is one, whether the task is suspended.
    fn note_suspension(&self) {
        if let Some(progress) = self.progress.get() {
            progress.mirror_paused(|| self.task_state() == TaskState::Suspended);
        }
    }

    /// Tells the progress, if there is one, how far the task has come.
    pub(super) fn note_progress(&self) {
        if let Some(progress) = self.progress.get() {
            let (completed, total) = self.progress_counts();
            progress.update(completed, total, Instant::now());
        }
    }

    /// What was sent and received, and how much there is to be sent and received.
    fn progress_counts(&self) -> (i64, i64) {
        let (received, expected) = match &self.download {
            Some(download) => download.counts(),
            None => (
                self.count_of_bytes_received(),
                self.count_of_bytes_expected_to_receive(),
            ),
        };
        let to_send = self.count_of_bytes_expected_to_send();
        let known = to_send >= 0 && expected >= 0;
        let total = if known {
            to_send.saturating_add(expected)
        } else {
            -1
        };
        (self.count_of_bytes_sent().saturating_add(received), total)
    }

    /// Whether pieces of the body are of use as they come. They are to a delegate.
    pub fn prefers_incremental_delivery(&self) -> bool {
        match self.incremental.load(Ordering::Relaxed) {
            UNSET => !self.has_handler && self.kind != TaskKind::Download,
            set => set == 1,
        }
    }

    pub fn set_prefers_incremental_delivery(&self, incremental: bool) {
        self.incremental
            .store(u8::from(incremental), Ordering::Relaxed);
        let before = self.control.priority();
        self.control.set_priority(Priority {
            incremental,
            ..before
        });
    }

    /// Whether the body is wanted whole.
    pub(super) fn collects(&self) -> bool {
        self.has_handler && self.kind != TaskKind::Download
    }

    /// So much of the body has been received in all.
    pub(super) fn note_received(&self, total: usize) {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.received.store(total, Ordering::Relaxed);
    }

    pub fn count_of_bytes_sent(&self) -> i64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn count_of_bytes_received(&self) -> i64 {
        self.received.load(Ordering::Relaxed)
    }

    pub fn count_of_bytes_expected_to_send(&self) -> i64 {
        let unopened = self.upload.as_ref().and_then(Upload::length);
        match unopened {
            Some(length) if !self.state.locked().machine.was_started() => length,
            _ => self.current_request().body_length(),
        }
    }

    pub fn count_of_bytes_expected_to_receive(&self) -> i64 {
        self.expected_to_receive.load(Ordering::Relaxed)
    }

    pub fn resume(self: &Arc<Self>) {
        let mut state = self.state.locked();
        match state.machine.resume() {
            Effect::Start => {
                drop(state);
                self.start();
            }
            Effect::Continue => {
                let post = state.schedule();
                // Under the lock, as in `suspend`: the last call decides.
                self.control.set_suspended(false);
                drop(state);
                http::signal(&self.control, SUSPENSION);
                self.post_if(post);
            }
            _ => drop(state),
        }
        self.note_suspension();
    }

    pub fn suspend(&self) {
        let mut state = self.state.locked();
        if state.machine.suspend() == Effect::Hold {
            self.control.set_suspended(true);
            let started = state.machine.was_started();
            drop(state);
            if started {
                http::signal(&self.control, SUSPENSION);
            }
        } else {
            drop(state);
        }
        self.note_suspension();
    }

    /// Cancels the task; what that made necessary.
    pub fn cancel(self: &Arc<Self>) -> Effect {
        let mut state = self.state.locked();
        let effect = state.machine.cancel();
        match effect {
            Effect::CancelLoad => {
                drop(state);
                http::cancel(&self.control);
            }
            Effect::End => {
                let post = state.push(Event::Complete);
                drop(state);
                self.post_if(post);
            }
            Effect::Continue => {
                let post = state.schedule();
                drop(state);
                self.post_if(post);
            }
            _ => return effect,
        }
        if let Some(progress) = self.progress.get() {
            progress.mirror_cancelled();
        }
        effect
    }

    /// Cancels a task that was never resumed and that nobody can reach any more.
    pub fn cancel_if_unreachable(self: &Arc<Self>) {
        // A session knows its tasks and hands them out, but not one that it refused.
        let unreachable = !self.header.is_external()
            && (self.refused || !self.session.is_external())
            && !self.state.locked().machine.was_started();
        if unreachable {
            self.cancel();
        }
    }

    fn start(self: &Arc<Self>) {
        if self.refused {
            let reason = "The session was invalidated before this task was made.";
            return self.fail(Failure::new(error_code::CANCELLED).detail(reason));
        }
        if !self.start_download() && !self.start_upload() {
            self.launch(Arc::clone(&self.original));
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
                self.original
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
        state.outcome = Some(Err(failure.url(self.original.url_text())));
        let post = state.push(Event::Complete);
        drop(state);
        self.post_if(post);
    }

    /// The delegate that is to get a message: the task's own if it implements it, else the
    /// session's. For the delegate queue: elsewhere it might come to be the last reference.
    pub(super) fn delegate_for(&self, method: Method) -> Option<Arc<dyn Delegate>> {
        let own = self.state.locked().delegate.clone();
        own.filter(|delegate| delegate.implements(method))
            .or_else(|| {
                let of_session = if self.refused {
                    None
                } else {
                    self.session.delegate()
                };
                of_session.filter(|delegate| delegate.implements(method))
            })
    }

    /// Whether some delegate is to get a message.
    pub(super) fn asks_for(&self, method: Method) -> bool {
        let state = self.state.locked();
        let own = state.delegate.as_ref();
        own.is_some_and(|delegate| delegate.implements(method)) || {
            drop(state);
            !self.refused && self.session.delegate_implements(method)
        }
    }

    /// Adds an event if some delegate asks for the message. It stands for all of its kind that wait.
    pub(super) fn push_if_asked(self: &Arc<Self>, method: Method, event: impl FnOnce() -> Event) {
        if !self.has_handler && self.asks_for(method) {
            let post = self.state.locked().push_merged(event());
            self.post_if(post);
        }
    }

    /// Everything is done but the last messages.
    pub(super) fn push_complete(self: &Arc<Self>) {
        let post = self.state.locked().push(Event::Complete);
        self.post_if(post);
    }

    /// The load was successful, and the task was not cancelled.
    pub(super) fn succeeded(&self) -> bool {
        let state = self.state.locked();
        !state.machine.is_cancelled() && matches!(state.outcome, Some(Ok(_)))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state.locked().machine.is_cancelled()
    }

    /// Goes on counting where another task was.
    pub(super) fn adopt_counters(&self, other: &Task) {
        for (ours, theirs) in [
            (&self.sent, &other.sent),
            (&self.expected_to_receive, &other.expected_to_receive),
        ] {
            ours.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
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

    fn post_if(self: &Arc<Self>, post: bool) {
        if post {
            self.session
                .queue()
                .post(Arc::clone(self) as Arc<dyn Operation>);
        }
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

    fn operation(self: Arc<Self>) -> (Arc<Queue>, Arc<dyn Operation>) {
        let queue = Arc::clone(self.session.queue());
        match self.successor.get() {
            Some(next) => (queue, Arc::clone(next) as Arc<dyn Operation>),
            None => (queue, self),
        }
    }
}

impl ProgressOwner for Task {
    fn cancel_by_progress(self: Arc<Self>) {
        self.cancel();
    }

    fn pause_by_progress(self: Arc<Self>) {
        self.suspend();
    }

    fn resume_by_progress(self: Arc<Self>) {
        self.resume();
    }
}

impl Object for Task {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let state = self.state.locked();
        let mut text = format!(
            "<{} task {}: {:?}, {} {}",
            self.kind.name(),
            self.identifier,
            state.machine.state(),
            state.current.method(),
            state.current.url_text(),
        );
        if let Some(response) = &state.response {
            text.push_str(&format!(", status {}", response.status()));
        }
        text.push_str(&format!(
            ", sent {} of {}, received {} of {}",
            self.count_of_bytes_sent(),
            state.current.body_length(),
            self.count_of_bytes_received(),
            self.count_of_bytes_expected_to_receive(),
        ));
        if let Some(error) = &state.error {
            text.push_str(&format!(", {}", error.description()));
        }
        if let Some(description) = &state.description {
            text.push_str(&format!(", \"{description}\""));
        }
        text.push('>');
        text
    }

    fn external_references_gone(self: Arc<Self>) {
        self.cancel_if_unreachable();
    }
}
