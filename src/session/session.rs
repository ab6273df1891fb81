//! NSURLSession: its tasks and its life cycle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_utils::CachePadded;

use super::configuration::{Configuration, ConfigurationValue};
use super::delegate::{Delegate, Method};
use crate::foundation::data::Data;
use crate::foundation::headers::HeaderFields;
use crate::foundation::object::{Class, Header, Object, begins_with_header};
use crate::foundation::process::{self, PerProcess};
use crate::foundation::queue::Queue;
use crate::foundation::sync::Lock;
use crate::loading::client::Connections;
use crate::loading::http;
use crate::loading::metrics;
use crate::loading::request::RequestValue;
use crate::loading::resumable_upload::UploadResumeData;
use crate::loading::resume::ResumeData;
use crate::task::{Origin, Task, TaskHandler, TaskKind, TaskStart, UploadStart};

/// Where a session is in its life. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Valid,
    /// No new tasks; those that are there go on.
    Invalidating,
    /// The last message was sent, or is on its way.
    Invalid,
}

struct State {
    life: Life,
    delegate: Option<Arc<dyn Delegate>>,
    description: Option<String>,
    /// Tasks that are not completed.
    tasks: HashMap<u64, Arc<Task>>,
    /// Tasks whose last callback has not returned.
    live: usize,
    next_identifier: u64,
}

impl State {
    fn take_identifier(&mut self) -> u64 {
        self.next_identifier += 1;
        self.next_identifier - 1
    }

    fn insert(&mut self, task: &Arc<Task>) {
        self.tasks.insert(task.identifier(), Arc::clone(task));
        self.live += 1;
    }
}

#[repr(C)]
pub struct Session {
    header: Header,
    number: u64,
    generation: u32,
    shared: bool,
    configuration: ConfigurationValue,
    additional_headers: Arc<HeaderFields>,
    connections: Arc<Connections>,
    /// There are connections to close.
    has_loaded: AtomicBool,
    queue: Arc<Queue>,
    /// Apart from what does not change, which the loop reads all the time.
    state: CachePadded<Mutex<State>>,
}

begins_with_header!(Session);

/// The session that all of the process shares.
pub fn shared() -> Arc<Session> {
    static SHARED: PerProcess<Arc<Session>> = PerProcess::new();
    let make = || Session::make(&Configuration::default_session(), None, None, true);
    Arc::clone(SHARED.get_or(make))
}

impl Session {
    pub fn new(
        configuration: &Configuration,
        delegate: Option<Arc<dyn Delegate>>,
        queue: Option<Arc<Queue>>,
    ) -> Arc<Session> {
        Self::make(configuration, delegate, queue, false)
    }

    fn make(
        configuration: &Configuration,
        delegate: Option<Arc<dyn Delegate>>,
        queue: Option<Arc<Queue>>,
        shared: bool,
    ) -> Arc<Session> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let configuration = configuration.value();
        tracing::debug!(target: "session", number, shared, "made");
        Arc::new(Session {
            header: Header::new(Class::Session),
            number,
            generation: process::generation(),
            shared,
            additional_headers: Arc::new(
                configuration.additional_headers.clone().unwrap_or_default(),
            ),
            connections: Arc::new(Connections::new(
                usize::try_from(configuration.connections_per_host)
                    .unwrap_or(1)
                    .max(1),
            )),
            configuration,
            has_loaded: AtomicBool::new(false),
            queue: queue.unwrap_or_else(|| Queue::library(&format!("session {number}"))),
            state: CachePadded::new(Mutex::new(State {
                life: Life::Valid,
                delegate,
                description: None,
                tasks: HashMap::new(),
                live: 0,
                next_identifier: 1,
            })),
        })
    }

    /// Whether the threads that work for this session are in this process: not after a fork.
    pub fn is_of_this_process(&self) -> bool {
        self.generation == process::generation()
    }

    pub fn configuration(&self) -> &ConfigurationValue {
        &self.configuration
    }

    pub fn additional_headers(&self) -> &Arc<HeaderFields> {
        &self.additional_headers
    }

    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub fn note_loading(&self) {
        // Only once: the loop reads what lies next to it.
        if !self.has_loaded.load(Ordering::Relaxed) {
            self.has_loaded.store(true, Ordering::Relaxed);
        }
    }

    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// For the delegate queue: elsewhere it might come to be the last reference.
    pub fn delegate(&self) -> Option<Arc<dyn Delegate>> {
        self.state.locked().delegate.clone()
    }

    /// What the program knows the delegate by.
    pub fn delegate_context(&self) -> Option<usize> {
        let state = self.state.locked();
        state.delegate.as_ref().map(|delegate| delegate.context())
    }

    /// Whether the delegate is to get a message.
    pub fn delegate_implements(&self, method: Method) -> bool {
        let state = self.state.locked();
        let delegate = state.delegate.as_ref();
        delegate.is_some_and(|delegate| delegate.implements(method))
    }

    pub fn session_description(&self) -> Option<String> {
        self.state.locked().description.clone()
    }

    pub fn set_session_description(&self, description: Option<String>) {
        self.state.locked().description = description;
    }

    /// Makes the task that another one becomes: with its load. Nobody knows it until it is admitted.
    pub fn make_successor(self: &Arc<Self>, task: &Task, start: TaskStart) -> Arc<Task> {
        let identifier = self.state.locked().take_identifier();
        let control = Arc::clone(task.control());
        Task::new(
            identifier,
            Arc::clone(self),
            start,
            control,
            task.created(),
            false,
        )
    }

    /// Counts a task among those that are not completed. Also while the session is being
    /// invalidated: its predecessor was one of them.
    pub fn admit(&self, task: &Arc<Task>) {
        self.state.locked().insert(task);
    }

    /// Makes a suspended upload task that goes on from resume data.
    pub fn resume_upload(
        self: &Arc<Self>,
        data: UploadResumeData,
        handler: Option<TaskHandler>,
    ) -> Arc<Task> {
        self.make_task(TaskStart {
            kind: TaskKind::Upload,
            request: Arc::new(data.request()),
            handler,
            origin: Origin::Nothing,
            upload: Some(UploadStart::Earlier(Box::new(data))),
        })
    }

    /// Makes a suspended download task that goes on from resume data.
    pub fn resume_download(
        self: &Arc<Self>,
        data: Arc<Data>,
        handler: Option<TaskHandler>,
    ) -> Arc<Task> {
        let (request, origin) = match ResumeData::decode(data.bytes()) {
            Ok(earlier) => (earlier.request(), Origin::Earlier(Box::new(earlier), data)),
            Err(why) => (RequestValue::default(), Origin::Unreadable(why)),
        };
        self.make_task(TaskStart {
            kind: TaskKind::Download,
            request: Arc::new(request),
            handler,
            origin,
            upload: None,
        })
    }

    /// Makes a suspended task. On a session that takes no new ones it fails once it is resumed.
    pub fn make_task(self: &Arc<Self>, start: TaskStart) -> Arc<Task> {
        let mut state = self.state.locked();
        let identifier = state.take_identifier();
        let refused = state.life != Life::Valid;
        let session = Arc::clone(self);
        let now = metrics::date_now();
        let task = Task::new(identifier, session, start, Arc::default(), now, refused);
        if !refused {
            state.insert(&task);
        }
        task
    }

    /// Tells the delegate of a new task, on the thread that made it, once its caller holds it.
    pub fn announce(self: &Arc<Self>, task: &Arc<Task>) {
        let delegate = if task.is_refused() {
            None
        } else {
            self.delegate()
        };
        if let Some(delegate) =
            delegate.filter(|delegate| delegate.implements(Method::DidCreateTask))
        {
            delegate.did_create_task(self, task);
        }
    }

    /// Tasks that are not completed, in the order in which they were made.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        let mut tasks: Vec<Arc<Task>> = self.state.locked().tasks.values().cloned().collect();
        tasks.sort_unstable_by_key(|task| task.identifier());
        tasks
    }

    /// A task became completed; its last callback is still to come.
    pub fn task_completes(&self, identifier: u64) {
        let task = self.state.locked().tasks.remove(&identifier);
        drop(task);
    }

    /// The last callback of a task has returned.
    pub fn task_is_over(self: &Arc<Self>) {
        let mut state = self.state.locked();
        state.live -= 1;
        if state.live > 0 {
            return;
        }
        drop(state);
        self.end_if_forsaken();
        self.become_invalid_if_done();
    }

    pub fn finish_tasks_and_invalidate(self: &Arc<Self>) {
        if self.begin_invalidation() {
            self.become_invalid_if_done();
        }
    }

    pub fn invalidate_and_cancel(self: &Arc<Self>) {
        // Also after finish_tasks_and_invalidate: then it cuts short what that one lets finish.
        if self.shared {
            return;
        }
        self.begin_invalidation();
        for task in self.tasks() {
            task.cancel_in_any_form();
        }
        self.become_invalid_if_done();
    }

    fn begin_invalidation(&self) -> bool {
        let mut state = self.state.locked();
        if self.shared || state.life != Life::Valid {
            return false;
        }
        state.life = Life::Invalidating;
        let live = state.live;
        drop(state);
        tracing::debug!(target: "session", number = self.number, live, "takes no new tasks");
        true
    }

    fn become_invalid_if_done(self: &Arc<Self>) {
        let mut state = self.state.locked();
        if state.life != Life::Invalidating || state.live > 0 {
            return;
        }
        state.life = Life::Invalid;
        let has_delegate = state.delegate.is_some();
        drop(state);
        tracing::debug!(target: "session", number = self.number, "is invalid");
        if self.has_loaded.load(Ordering::Relaxed) {
            http::close(&self.connections);
        }
        if has_delegate {
            let session = Arc::clone(self);
            self.queue
                .post_internal(move || session.send_last_message());
        }
    }

    fn send_last_message(self: &Arc<Self>) {
        let delegate = self.delegate();
        if let Some(delegate) =
            delegate.filter(|delegate| delegate.implements(Method::DidBecomeInvalid))
        {
            delegate.did_become_invalid(self, None);
        }
        // Released outside of the lock: that runs the program's code.
        let delegate = self.state.locked().delegate.take();
        drop(delegate);
    }

    /// Nobody outside can use this session any more and nothing is left to do for it: what
    /// finish_tasks_and_invalidate does.
    fn end_if_forsaken(self: &Arc<Self>) {
        if !self.header.is_external() && self.state.locked().live == 0 {
            self.finish_tasks_and_invalidate();
        }
    }

    /// Whether the program outside can still reach this session.
    pub fn is_external(&self) -> bool {
        self.shared || self.header.is_external()
    }
}

impl Object for Session {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let state = self.state.locked();
        format!(
            "<session {}{}: {}, {} tasks, {}{}>",
            self.number,
            if self.shared { ", shared" } else { "" },
            match state.life {
                Life::Valid => "valid",
                Life::Invalidating => "invalidating",
                Life::Invalid => "invalid",
            },
            state.tasks.len(),
            if state.delegate.is_some() {
                "with a delegate"
            } else {
                "without delegate"
            },
            state
                .description
                .as_ref()
                .map_or(String::new(), |text| format!(", \"{text}\"")),
        )
    }

    fn external_references_gone(self: Arc<Self>) {
        for task in self.tasks() {
            task.cancel_if_unreachable();
        }
        self.end_if_forsaken();
    }
}
