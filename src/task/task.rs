//! NSURLSessionTask: the object, and what the program asks of it.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::delivery::{Event, Mailbox};
use super::download::{Download, Origin};
use super::kind::{TaskHandler, TaskKind};
use super::state::{Effect, Machine, TaskState};
use super::upload::{Upload, UploadStart};
use crate::foundation::error::{Error, Failure};
use crate::foundation::object::{Class, Header, Object, begins_with_header};
use crate::foundation::progress::Progress;
use crate::foundation::queue::Operation;
use crate::foundation::sync::Lock;
use crate::loading::body::BodyReader;
use crate::loading::client::{LoadControl, PRIORITY, SUSPENSION};
use crate::loading::coding::Decoder;
use crate::loading::http;
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
    pub description: Option<String>,
    pub handler: Option<TaskHandler>,
    pub mailbox: Mailbox,
    /// Decodes a body that was collected.
    pub decoder: Option<Decoder>,
    /// Body bytes that are delivered with those that follow.
    pub gathered: Vec<u8>,
    /// How it ended: the body as it came, for those who want it whole.
    pub outcome: Option<Result<Vec<u8>, Failure>>,
    /// Why the task fails here, while its load is on its way to its end.
    pub own_failure: Option<Failure>,
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
    /// When it, or the task whose place it took, was made.
    created: f64,
    pub(super) this: Weak<Task>,
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
    pub(super) download: Option<Box<Download>>,
    /// The file of an upload.
    pub(super) upload: Option<Upload>,
    /// The task that this one has become.
    pub(super) successor: OnceLock<Arc<Task>>,
    /// Set by hand, or `UNSET`.
    incremental: AtomicU8,
    pub(super) progress: OnceLock<Arc<Progress>>,
    pub(super) sent: AtomicI64,
    /// What the delegate was told was sent.
    pub(super) told_sent: AtomicI64,
    pub(super) received: AtomicI64,
    pub(super) expected_to_receive: AtomicI64,
}

begins_with_header!(Task);

impl Task {
    pub fn new(
        identifier: u64,
        session: Arc<Session>,
        start: TaskStart,
        control: Arc<LoadControl>,
        created: f64,
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
            created,
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
            download: (kind == TaskKind::Download).then(|| Box::new(Download::new(origin))),
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

    pub fn created(&self) -> f64 {
        self.created
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
                drop(state);
                // First: the error holds what whoever asks for resume data is given.
                if let Some(download) = &self.download {
                    download.settle_unbegun();
                }
                let mut state = self.state.locked();
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
        if let Some(progress) = self.progress_if_any() {
            progress.mirror_cancelled();
        }
        effect
    }

    /// Cancels a suspended task that nobody can reach any more to resume it.
    pub fn cancel_if_unreachable(self: &Arc<Self>) {
        // A session knows its tasks and hands them out, but not one that it refused.
        let unreachable = !self.header.is_external()
            && (self.refused || !self.session.is_external())
            && self.task_state() == TaskState::Suspended
            && !self
                .progress_if_any()
                .is_some_and(|progress| progress.is_reachable());
        if unreachable {
            self.cancel();
        }
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

    /// Goes on where another task was: with what it counted and preferred.
    pub(super) fn continue_from(&self, other: &Task) {
        for (ours, theirs) in [
            (&self.sent, &other.sent),
            (&self.expected_to_receive, &other.expected_to_receive),
        ] {
            ours.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let incremental = other.incremental.load(Ordering::Relaxed);
        self.incremental.store(incremental, Ordering::Relaxed);
    }

    pub(super) fn post_if(self: &Arc<Self>, post: bool) {
        if post {
            self.session
                .queue()
                .post(Arc::clone(self) as Arc<dyn Operation>);
        }
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
