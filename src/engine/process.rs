//! What the engine needs once a process: libcurl's initialisation, and what to do at exit and fork.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::memory;
use crate::foundation::log;
use crate::foundation::process::note_fork;

/// Whoever works in libcurl or OpenSSL shares this lock for as long. `fork` takes it whole, so that
/// a child inherits nothing half done: nobody would finish it there. So does the end of the process,
/// once it let nobody begin any more, because exit handlers free what those libraries use.
struct Gate {
    lock: UnsafeCell<libc::pthread_rwlock_t>,
    /// A fork is under way that took the lock.
    forking: AtomicBool,
    /// The process is ending.
    closing: AtomicBool,
}

// SAFETY: the lock is made to be used by many threads, and only through its functions.
unsafe impl Sync for Gate {}

static GATE: Gate = Gate {
    lock: UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER),
    forking: AtomicBool::new(false),
    closing: AtomicBool::new(false),
};

/// How long the end of the process waits for work that is being done.
const EXIT_GRACE: Duration = Duration::from_millis(100);

/// A while in which this thread may use libcurl and OpenSSL. It is short: a fork waits for its end.
pub struct Turn(PhantomData<*const ()>);

impl Turn {
    /// Waits while the process forks. `None` when it is ending. A thread may have several turns at
    /// once: the lock prefers those who share it to those who want it whole.
    pub fn begin() -> Option<Turn> {
        // SAFETY: a lock that was initialised statically; unlocked when the turn is dropped, on
        // this thread, which the value does not leave.
        unsafe { libc::pthread_rwlock_rdlock(GATE.lock.get()) };
        let turn = Turn(PhantomData);
        (!GATE.closing.load(Ordering::SeqCst)).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // SAFETY: locked by `begin` on this thread.
        unsafe { libc::pthread_rwlock_unlock(GATE.lock.get()) };
    }
}

unsafe extern "C" fn before_fork() {
    // SAFETY: a lock that was initialised statically; unlocked by one of the two below. When this
    // function was registered twice, the second call fails.
    let taken = unsafe { libc::pthread_rwlock_wrlock(GATE.lock.get()) } == 0;
    if taken {
        GATE.forking.store(true, Ordering::Relaxed);
    }
}

unsafe extern "C" fn after_fork_in_parent() {
    if GATE.forking.swap(false, Ordering::Relaxed) {
        // SAFETY: locked by `before_fork` on this thread.
        unsafe { libc::pthread_rwlock_unlock(GATE.lock.get()) };
    }
}

unsafe extern "C" fn after_fork_in_child() {
    if GATE.forking.swap(false, Ordering::Relaxed) {
        // SAFETY: the child has one thread, which locked this under another thread's number: it is
        // made anew.
        unsafe { *GATE.lock.get() = libc::PTHREAD_RWLOCK_INITIALIZER };
    }
    note_fork();
}

unsafe extern "C" {
    fn pthread_rwlock_timedwrlock(
        lock: *mut libc::pthread_rwlock_t,
        end: *const libc::timespec,
    ) -> c_int;
    /// Frees what OpenSSL keeps for this thread. Left to the thread's end, that would happen
    /// outside any turn.
    fn OPENSSL_thread_stop();
}

/// Leaves nothing of OpenSSL's behind on this thread.
pub fn leave_openssl(_turn: &Turn) {
    // SAFETY: may be called at any time; OpenSSL makes anew what it needs.
    unsafe { OPENSSL_thread_stop() };
}

/// Prepares for forks and for log records. Comes before the first thread is started.
pub fn prepare() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.load(Ordering::Acquire) {
        return;
    }
    // Threads that come here at once each do this, which does no harm. Were one to wait for the
    // other, a child that is forked meanwhile would wait for ever.
    // SAFETY: the functions are `extern "C"`, do what may be done around a fork, and stay mapped
    // (the library is linked with -z nodelete).
    unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork_in_parent),
            Some(after_fork_in_child),
        )
    };
    let _turn = Turn::begin();
    log::start();
    WATCHED.store(true, Ordering::Release);
}

/// Prepares the process, at the first use of the network and never while the library is loaded.
pub fn initialise() {
    static INITIALISED: Once = Once::new();
    if INITIALISED.is_completed() {
        return;
    }
    prepare();
    let Some(turn) = Turn::begin() else {
        return;
    };
    let mut code = 0;
    INITIALISED.call_once(|| {
        code = memory::initialise_libcurl();
        // SAFETY: comes after that, so that our function runs before OpenSSL's, which frees what the
        // event thread uses; it is `extern "C"` and stays mapped.
        unsafe { libc::atexit(at_exit) };
        leave_openssl(&turn);
    });
    // A log handler may fork.
    drop(turn);
    if code != 0 {
        tracing::error!(target: "engine", code, "libcurl could not be initialised");
    }
}

/// The process is ending: OpenSSL's and the C library's own exit handlers are about to free things.
extern "C" fn at_exit() {
    GATE.closing.store(true, Ordering::SeqCst);
    let end = SystemTime::now() + EXIT_GRACE;
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = libc::timespec {
        tv_sec: libc::time_t::try_from(end.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(end.subsec_nanos()),
    };
    // SAFETY: a lock that was initialised statically.
    unsafe {
        if pthread_rwlock_timedwrlock(GATE.lock.get(), &end) == 0 {
            libc::pthread_rwlock_unlock(GATE.lock.get());
        }
    }
}

/// Ends the event thread's part in a process that is ending: it touches nothing any more.
pub fn park_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
