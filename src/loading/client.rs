//! What a loader and the task that it loads for say to each other.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::body::BodyPipe;
use super::coding::Decoder;
use super::http::Spent;
use super::priority::{self, Priority};
use super::request::RequestValue;
use super::response::Response;
use crate::foundation::error::Failure;
use crate::foundation::headers::HeaderFields;
use crate::foundation::queue::{Operation, Queue};
use crate::foundation::stream::InputStream;
use crate::foundation::sync::Lock;

/// Whether a redirect is followed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirecting {
    Follow,
    /// Somebody is asked; the answer comes by `LoadControl::answer_redirect`.
    Ask,
}

/// Receives what a loader finds out. Called on the loop thread: it must neither block nor run code
/// of the program's. Methods that return a bool say whether `operation` is to be
/// posted; that must not be lost.
pub trait LoadClient: Operation {
    fn redirected(
        &self,
        response: &Arc<Response>,
        proposed: &Arc<RequestValue>,
    ) -> (Redirecting, bool);
    /// The loader goes on with this request. Hands back the one before: what it holds may be of
    /// the program's, and is not to be let go on the loop.
    fn following(&self, request: &Arc<RequestValue>) -> Arc<RequestValue>;
    /// Another request to make instead of taking this response, whose body is then not wanted.
    fn next_request(&self, response: &Arc<Response>) -> Result<Option<Arc<RequestValue>>, Failure>;
    /// The request's body is to be sent and has to be had from the program. The answer comes by
    /// `LoadControl::answer_body`. `None`: there is nobody to ask. Otherwise whether `operation` is to
    /// be posted.
    fn needs_body(&self) -> Option<bool>;
    /// An informational response (1xx) came. Called only where `LoadStart` says that they are wanted.
    #[must_use]
    fn informational(&self, response: Arc<Response>) -> bool;
    #[must_use]
    fn received_response(&self, response: Arc<Response>, decoder: Option<Decoder>) -> bool;
    /// Bytes wait in the pipe where none did.
    #[must_use]
    fn received_data(&self) -> bool;
    /// So many bytes of a collected body are here.
    fn collected(&self, total: u64);
    /// So many bytes of the request's body were taken to be sent.
    fn sent(&self, total: u64);
    /// The last call. With the body, as it came off the wire, when it was to be collected, and with
    /// what is left of the load, to be let go where the program's code may run.
    #[must_use]
    fn finished(&self, result: Result<Vec<u8>, Failure>, spent: Spent) -> bool;
    /// Who delivers all that to the program: this, or who took its place.
    fn recipient(self: Arc<Self>) -> Arc<dyn LoadClient>;
    /// Where it is delivered.
    fn queue(&self) -> &Arc<Queue>;
}

/// What a load is to do.
pub struct LoadStart {
    pub connections: Arc<Connections>,
    /// Of the first hop, and then of each that comes after a redirect.
    pub request: Arc<RequestValue>,
    /// Fields of the configuration, for every request.
    pub additional_headers: Arc<HeaderFields>,
    /// Without anything moving for so long, the load fails.
    pub idle_timeout: Duration,
    /// The load fails at this time.
    pub resource_deadline: Option<Instant>,
    /// The body is wanted whole.
    pub collect: bool,
    /// What happened when is wanted: `Spent` has it.
    pub wants_metrics: bool,
    pub wants_informational: bool,
    pub client: Arc<dyn LoadClient>,
    pub control: Arc<LoadControl>,
}

/// The connections of one session. The loop reads this for each load, and other threads count
/// references to it meanwhile: the counts are on another cache line.
#[repr(align(64))]
pub struct Connections {
    pub per_host: usize,
    /// Where the loop keeps them, once it has opened some.
    pub slot: AtomicUsize,
}

impl Connections {
    pub fn new(per_host: usize) -> Connections {
        Connections {
            per_host,
            slot: AtomicUsize::new(NO_SLOT),
        }
    }
}

pub const CANCEL: u32 = 1;
/// Suspended or no longer.
pub const SUSPENSION: u32 = 2;
/// The pipe has room again.
pub const DRAINED: u32 = 4;
/// The question about a redirect was answered.
pub const REDIRECT: u32 = 8;

/// What was asked about the response was answered.
pub const ANSWERED: u32 = 16;

/// More of the request's body can be sent.
pub const FED: u32 = 32;
/// The question for a body was answered.
pub const BODY: u32 = 64;

/// The priority was changed.
pub const PRIORITY: u32 = 128;

/// Something has no place on the loop.
pub const NO_SLOT: usize = usize::MAX;

/// What a task tells its load, from any thread.
pub struct LoadControl {
    pub pipe: Arc<BodyPipe>,
    signals: AtomicU32,
    suspended: AtomicBool,
    asking: AtomicBool,
    /// Where the load is on the loop.
    pub slot: AtomicUsize,
    redirect: Mutex<Option<Option<Arc<RequestValue>>>>,
    body: Mutex<Option<Option<Arc<InputStream>>>>,
    priority: AtomicU32,
    incremental: AtomicBool,
}

impl Default for LoadControl {
    fn default() -> Self {
        LoadControl {
            pipe: Arc::default(),
            signals: AtomicU32::new(0),
            suspended: AtomicBool::new(false),
            asking: AtomicBool::new(false),
            slot: AtomicUsize::new(NO_SLOT),
            redirect: Mutex::new(None),
            body: Mutex::new(None),
            priority: AtomicU32::new(priority::DEFAULT.to_bits()),
            incremental: AtomicBool::new(false),
        }
    }
}

impl LoadControl {
    /// Notes a signal. True when the loop does not know yet that there are any.
    pub fn raise(&self, signal: u32) -> bool {
        self.signals.fetch_or(signal, Ordering::AcqRel) == 0
    }

    /// All signals since the last call.
    pub fn take_signals(&self) -> u32 {
        self.signals.swap(0, Ordering::AcqRel)
    }

    /// How urgent the load is, as things stand.
    pub fn priority(&self) -> Priority {
        Priority {
            urgency: f32::from_bits(self.priority.load(Ordering::Relaxed)),
            incremental: self.incremental.load(Ordering::Relaxed),
        }
    }

    pub fn set_priority(&self, priority: Priority) {
        let bits = priority.urgency.to_bits();
        self.priority.store(bits, Ordering::Relaxed);
        self.incremental
            .store(priority.incremental, Ordering::Relaxed);
    }

    pub fn set_suspended(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Release);
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Notes whether somebody is being asked about the response: that takes as long as it takes.
    pub fn set_asking(&self, asking: bool) {
        self.asking.store(asking, Ordering::Release);
    }

    pub fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Acquire)
    }

    /// Leaves the answer about a redirect: the request to go on with, or none to take the
    /// redirect's own response.
    pub fn answer_redirect(&self, request: Option<Arc<RequestValue>>) {
        *self.redirect.locked() = Some(request);
    }

    /// Leaves the answer to the question for a body: a stream, or none.
    pub fn answer_body(&self, stream: Option<Arc<InputStream>>) {
        *self.body.locked() = Some(stream);
    }

    pub fn take_body(&self) -> Option<Option<Arc<InputStream>>> {
        self.body.locked().take()
    }

    pub fn take_redirect(&self) -> Option<Option<Arc<RequestValue>>> {
        self.redirect.locked().take()
    }
}
