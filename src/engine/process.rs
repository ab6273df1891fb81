//! What the engine needs once a process: libcurl's initialisation, and what to do at exit and fork.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, Once};
use std::time::Duration;

use crate::foundation::process::{PerProcess, note_fork};
use crate::foundation::sync::Lock;

static INITIALISED: Once = Once::new();
static WATCHED: Once = Once::new();
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

/// Sees to it that a forked child is known to be one. Comes before the first thread is started.
pub fn watch_forks() {
    WATCHED.call_once(|| {
        // SAFETY: the function is `extern "C"`, does what a forked child may do, and stays mapped
        // (the library is linked with -z nodelete).
        unsafe { libc::pthread_atfork(None, None, Some(note_fork_in_child)) };
    });
}

/// Prepares the process, at the first use of the network and never while the library is loaded.
pub fn initialise() {
    watch_forks();
    INITIALISED.call_once(|| {
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

unsafe extern "C" fn note_fork_in_child() {
    note_fork();
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
