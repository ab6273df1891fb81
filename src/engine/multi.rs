//! A `CURLM`: the connections of one session.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_long, c_void};
use std::os::fd::RawFd;
use std::ptr::{NonNull, null, null_mut};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use curl_sys::{CURL, CURLM, curl_socket_t};
use nix::sys::epoll::EpollFlags;

use super::curl;
use super::process;
use super::sockets::{MultiId, Sockets};
use super::turn::{note_activity, turn_time};
use crate::foundation::pool::{Pool, Work};
use crate::foundation::sync::Lock;

/// What libcurl's callbacks change; they run inside calls of ours on the loop thread.
struct Shared {
    id: MultiId,
    sockets: Rc<RefCell<Sockets>>,
    touched: Rc<Touched>,
    /// When libcurl wants to be called without an event.
    deadline: Cell<Option<Instant>>,
    deadline_moved: Cell<bool>,
}

impl Shared {
    fn call_at(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
        if !self.deadline_moved.replace(true) {
            self.touched.add(self.id);
        }
    }
}

/// Multi handles that libcurl may have work or results for, each named at least once.
#[derive(Default)]
pub struct Touched(RefCell<Vec<MultiId>>);

impl Touched {
    pub fn add(&self, id: MultiId) {
        self.0.borrow_mut().push(id);
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Moves them to an empty list, each once.
    pub fn take(&self, into: &mut Vec<MultiId>) {
        std::mem::swap(&mut *self.0.borrow_mut(), into);
        into.sort_unstable();
        into.dedup();
    }
}

pub struct Multi {
    handle: NonNull<CURLM>,
    shared: Box<Shared>,
}

/// Name look-ups at once: threads of libcurl's, which come and go as they are needed. A few names
/// that are slow to resolve must not hold up all others.
const MOST_LOOKUPS: c_long = 256;

/// So many connections are kept open at least for later requests, to whatever hosts.
const LEAST_KEPT: c_long = 64;

/// Limits that a session sets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_per_host: usize,
}

impl Multi {
    pub fn new(
        id: MultiId,
        sockets: Rc<RefCell<Sockets>>,
        touched: Rc<Touched>,
        limits: Limits,
    ) -> Option<Multi> {
        // SAFETY: libcurl is initialised before the loop starts; NULL is checked.
        let handle = NonNull::new(unsafe { curl_sys::curl_multi_init() })?;
        let shared = Box::new(Shared {
            id,
            sockets,
            touched,
            deadline: Cell::new(None),
            deadline_moved: Cell::new(false),
        });
        let data: *const Shared = &*shared;
        let per_host = c_long::try_from(limits.connections_per_host).unwrap_or(c_long::MAX);
        // SAFETY: the callbacks have the types that libcurl calls them with, and `data` points
        // into a box that outlives the handle (`Drop` takes the callbacks away first).
        unsafe {
            let raw = handle.as_ptr();
            curl_sys::curl_multi_setopt(
                raw,
                curl_sys::CURLMOPT_SOCKETFUNCTION,
                socket_callback as *const c_void,
            );
            curl_sys::curl_multi_setopt(raw, curl_sys::CURLMOPT_SOCKETDATA, data);
            curl_sys::curl_multi_setopt(
                raw,
                curl_sys::CURLMOPT_TIMERFUNCTION,
                timer_callback as *const c_void,
            );
            curl_sys::curl_multi_setopt(raw, curl_sys::CURLMOPT_TIMERDATA, data);
            curl_sys::curl_multi_setopt(raw, curl::MULTI_OPTION_PIPELINING, curl::PIPE_MULTIPLEX);
            curl_sys::curl_multi_setopt(raw, curl_sys::CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
            // By default it depends on how many transfers there happen to be, and connections of
            // which there are more are closed.
            let kept = per_host.saturating_mul(2).max(LEAST_KEPT);
            curl_sys::curl_multi_setopt(raw, curl_sys::CURLMOPT_MAXCONNECTS, kept);
            // Older versions do not know these; there each transfer's own option serves, and a
            // thread for each look-up.
            let yes: c_long = 1;
            curl_sys::curl_multi_setopt(raw, curl::MULTI_OPTION_QUICK_EXIT, yes);
            let threads = curl::MULTI_OPTION_RESOLVE_THREADS_MAX;
            curl_sys::curl_multi_setopt(raw, threads, MOST_LOOKUPS);
        }
        Some(Multi { handle, shared })
    }

    pub fn raw(&self) -> *mut CURLM {
        self.handle.as_ptr()
    }

    /// The deadline, if it moved since the last call.
    pub fn take_moved_deadline(&self) -> Option<Option<Instant>> {
        self.shared
            .deadline_moved
            .take()
            .then(|| self.shared.deadline.get())
    }

    /// Lets libcurl look at one socket.
    pub fn socket_action(&self, fd: RawFd, flags: EpollFlags) {
        let mut mask = 0;
        if flags.contains(EpollFlags::EPOLLIN) || flags.contains(EpollFlags::EPOLLHUP) {
            mask |= curl_sys::CURL_CSELECT_IN;
        }
        if flags.contains(EpollFlags::EPOLLOUT) {
            mask |= curl_sys::CURL_CSELECT_OUT;
        }
        if flags.contains(EpollFlags::EPOLLERR) {
            mask |= curl_sys::CURL_CSELECT_ERR;
        }
        self.action(fd, mask);
    }

    /// Asks for a call without an event in this turn.
    pub fn nudge(&self) {
        self.shared.call_at(Some(turn_time()));
    }

    /// Lets libcurl do what its deadline was for.
    pub fn timeout_action(&self) {
        // Cleared first: libcurl sets a new deadline while it works.
        self.shared.deadline.set(None);
        self.action(curl_sys::CURL_SOCKET_TIMEOUT, 0);
    }

    fn action(&self, fd: curl_socket_t, mask: c_int) {
        let mut running: c_int = 0;
        let id = self.shared.id;
        self.shared.sockets.borrow_mut().shared.hold(id);
        // SAFETY: the handle is live and used by this thread alone.
        let code =
            unsafe { curl_sys::curl_multi_socket_action(self.raw(), fd, mask, &mut running) };
        self.shared.sockets.borrow_mut().shared.release(id);
        self.shared.touched.add(id);
        if code != curl_sys::CURLM_OK {
            tracing::warn!(target: "engine", code, "curl_multi_socket_action failed");
        }
    }

    /// Hands over each transfer that ended since the last call: its key and libcurl's result.
    pub fn take_finished(&self, mut finished: impl FnMut(usize, u32)) {
        let mut left: c_int = 0;
        loop {
            // SAFETY: the message is valid until the next call for this handle; what is needed is
            // copied out of it before that. A message of this kind names a live easy handle, whose
            // private pointer was set to where its key is.
            unsafe {
                let message = curl_sys::curl_multi_info_read(self.raw(), &mut left);
                let Some(message) = message.as_ref() else {
                    return;
                };
                if message.msg != curl_sys::CURLMSG_DONE {
                    continue;
                }
                let mut key: *const Cell<usize> = null();
                curl::curl_easy_getinfo(message.easy_handle, curl_sys::CURLINFO_PRIVATE, &mut key);
                finished((*key).get(), message.data as usize as u32);
            }
        }
    }
}

/// A multi handle that left the loop. Closing its connections may take long (TLS shutdown, resolver
/// threads that are waited for), so that is not done on the loop.
struct Condemned(NonNull<CURLM>);

// SAFETY: the only reference to the handle, with no easy handle in it and no callbacks; libcurl
// lets a handle be used by any thread as long as it is one at a time.
unsafe impl Send for Condemned {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl Sync for Condemned {}

impl Work for Condemned {
    fn perform(self: Arc<Self>) {
        // The process is ending: the kernel closes the connections. What is left of them stays
        // known, as what a process holds when it ends.
        static LEFT: Mutex<Vec<Arc<Condemned>>> = Mutex::new(Vec::new());
        let Some(turn) = process::Turn::begin() else {
            LEFT.locked().push(self);
            return;
        };
        // SAFETY: this is the last use of the handle, see above.
        let code = unsafe { curl_sys::curl_multi_cleanup(self.0.as_ptr()) };
        process::leave_openssl(&turn);
        // A log handler may fork.
        drop(turn);
        if code != curl_sys::CURLM_OK {
            tracing::warn!(target: "engine", code, "curl_multi_cleanup failed");
        }
    }
}

impl Drop for Multi {
    fn drop(&mut self) {
        // SAFETY: the handle is live; without callbacks nothing points to `shared` any more.
        unsafe {
            curl_sys::curl_multi_setopt(
                self.raw(),
                curl_sys::CURLMOPT_SOCKETFUNCTION,
                null_mut::<c_void>(),
            );
            curl_sys::curl_multi_setopt(
                self.raw(),
                curl_sys::CURLMOPT_TIMERFUNCTION,
                null_mut::<c_void>(),
            );
        }
        self.shared.sockets.borrow_mut().forget(self.shared.id);
        Pool::shared().submit_patiently(Arc::new(Condemned(self.handle)));
    }
}

extern "C" fn socket_callback(
    _easy: *mut CURL,
    fd: curl_socket_t,
    what: c_int,
    data: *mut c_void,
    _socket_data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is the `Shared` that was set with this callback; it is only read.
    let shared = unsafe { &*data.cast::<Shared>() };
    let wanted = match what {
        curl_sys::CURL_POLL_IN => EpollFlags::EPOLLIN,
        curl_sys::CURL_POLL_OUT => EpollFlags::EPOLLOUT,
        curl_sys::CURL_POLL_INOUT => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        _ => EpollFlags::empty(),
    };
    shared.sockets.borrow_mut().want(shared.id, fd, wanted);
    0
}

extern "C" fn timer_callback(_multi: *mut CURLM, milliseconds: c_long, data: *mut c_void) -> c_int {
    // SAFETY: as above.
    let shared = unsafe { &*data.cast::<Shared>() };
    // Counted from the turn's beginning: "at once" is then in the past, and is found to be due.
    let deadline = u64::try_from(milliseconds)
        .ok()
        .map(|ms| turn_time() + Duration::from_millis(ms));
    // Any call to libcurl may bring this, also one that takes a transfer away.
    shared.call_at(deadline);
    note_activity();
    0
}
