//! What the engine needs once a process: libcurl's initialisation, and what to do at exit and fork.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::foundation::log;
use crate::foundation::process::{PerProcess, note_fork};
use crate::foundation::sync::Lock;

static INITIALISED: AtomicBool = AtomicBool::new(false);
static WATCHED: AtomicBool = AtomicBool::new(false);
static EXITING: AtomicBool = AtomicBool::new(false);

/// What uses OpenSSL in this process: loops that run, and connections that are being closed.
#[derive(Default)]
struct Users {
    count: Mutex<usize>,
    fewer: Condvar,
    /// Wakes the loops, so that they come to rest.
    wake: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

static USERS: PerProcess<Users> = PerProcess::new();

/// How long the end of the process waits for those users.
const EXIT_GRACE: Duration = Duration::from_millis(100);

/// Held while something is done once for the process, and by `fork`: a child must not inherit
/// what another thread has half done, for nobody will finish it there.
struct OnceLock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is made to be used by many threads, and only through its functions.
unsafe impl Sync for OnceLock {}

static ONCE: OnceLock = OnceLock(UnsafeCell::new(
    libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
));

unsafe extern "C" fn before_fork() {
    // SAFETY: a mutex that was initialised statically; unlocked by one of the two below.
    unsafe { libc::pthread_mutex_lock(ONCE.0.get()) };
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: locked by `before_fork` on this thread.
    unsafe { libc::pthread_mutex_unlock(ONCE.0.get()) };
}

unsafe extern "C" fn after_fork_in_child() {
    // SAFETY: the child has one thread, which locked the mutex under another thread's number: it
    // is made anew.
    unsafe { *ONCE.0.get() = libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP };
    note_fork();
}

/// Does something once for the process.
fn once(done: &AtomicBool, body: impl FnOnce()) {
    if done.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: a mutex that was initialised statically, unlocked below on the same thread; the
    // bodies do not unwind past it.
    unsafe { libc::pthread_mutex_lock(ONCE.0.get()) };
    if !done.load(Ordering::Acquire) {
        body();
        done.store(true, Ordering::Release);
    }
    // SAFETY: locked above.
    unsafe { libc::pthread_mutex_unlock(ONCE.0.get()) };
}

/// Prepares for forks and for log records. Comes before the first thread is started.
pub fn prepare() {
    once(&WATCHED, || {
        // SAFETY: the functions are `extern "C"`, do what may be done around a fork, and stay
        // mapped (the library is linked with -z nodelete).
        unsafe {
            libc::pthread_atfork(
                Some(before_fork),
                Some(after_fork_in_parent),
                Some(after_fork_in_child),
            )
        };
        log::start();
    });
}

/// Prepares the process, at the first use of the network and never while the library is loaded.
pub fn initialise() {
    prepare();
    once(&INITIALISED, || {
        // SAFETY: called once; libcurl 7.84 and later make it thread-safe. `atexit` comes after it
        // so that our function runs before OpenSSL's, which frees what the event thread uses; it
        // is `extern "C"` and stays mapped.
        unsafe {
            let code = curl_sys::curl_global_init(curl_sys::CURL_GLOBAL_ALL);
            if code != 0 {
                tracing::error!(target: "engine", code, "libcurl could not be initialised");
            }
            libc::atexit(at_exit);
        }
    });
}

/// The process is ending: OpenSSL's and the C library's own exit handlers are about to free things.
extern "C" fn at_exit() {
    EXITING.store(true, Ordering::SeqCst);
    let users = USERS.get_or(Users::default);
    for wake in users.wake.locked().iter() {
        wake();
    }
    let count = users.count.locked();
    let _ = users
        .fewer
        .wait_timeout_while(count, EXIT_GRACE, |count| *count > 0);
}

/// Whether the process is ending.
pub fn is_exiting() -> bool {
    EXITING.load(Ordering::Relaxed)
}

/// Stands for one user of OpenSSL: the end of the process waits for it, for a while.
pub struct User(());

impl User {
    /// `None` when the process is ending already: then nothing of OpenSSL may be touched.
    pub fn begin() -> Option<User> {
        let users = USERS.get_or(Users::default);
        let mut count = users.count.locked();
        if is_exiting() {
            return None;
        }
        *count += 1;
        Some(User(()))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let users = USERS.get_or(Users::default);
        *users.count.locked() -= 1;
        users.fewer.notify_all();
    }
}

/// Says how to wake a loop when the process ends.
pub fn wake_at_exit(wake: Box<dyn Fn() + Send>) {
    USERS.get_or(Users::default).wake.locked().push(wake);
}

/// Ends the event thread's part in a process that is ending: it touches nothing any more.
pub fn park_for_ever(user: Option<User>) -> ! {
    drop(user);
    loop {
        std::thread::park();
    }
}
