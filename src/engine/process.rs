//! What the engine needs once a process: libcurl's initialisation, and what to do at exit and fork.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, Once};
use std::time::Duration;

use crate::foundation::process::note_fork;
use crate::foundation::sync::Lock;

static INITIALISED: Once = Once::new();
static EXITING: AtomicBool = AtomicBool::new(false);
static WAKE_FOR_EXIT: Mutex<Vec<Box<dyn Fn() + Send>>> = Mutex::new(Vec::new());
static LOOPS_RUNNING: Mutex<usize> = Mutex::new(0);
static LOOP_PARKED: Condvar = Condvar::new();

/// How long the end of the process waits for the event thread to come to rest.
const EXIT_GRACE: Duration = Duration::from_millis(100);

/// Prepares the process, at the first use of the library and never while it is being loaded.
pub fn initialise() {
    INITIALISED.call_once(|| {
        // SAFETY: called once; libcurl 7.84 and later make it thread-safe. `atexit` comes after it
        // so that our function runs before OpenSSL's, which frees what the event thread uses.
        // Both functions registered here are `extern "C"` and stay mapped (the library is linked
        // with -z nodelete).
        unsafe {
            let code = curl_sys::curl_global_init(curl_sys::CURL_GLOBAL_ALL);
            if code != 0 {
                tracing::error!(target: "engine", code, "libcurl could not be initialised");
            }
            libc::atexit(at_exit);
            libc::pthread_atfork(None, None, Some(note_fork_in_child));
        }
    });
}

unsafe extern "C" fn note_fork_in_child() {
    note_fork();
}

/// The process is ending: OpenSSL's and the C library's own exit handlers are about to free things.
extern "C" fn at_exit() {
    EXITING.store(true, Ordering::SeqCst);
    if crate::foundation::process::generation() != 0 {
        // A forked child has no event thread of its parent's; its own one is not worth waiting for.
        return;
    }
    for wake in WAKE_FOR_EXIT.locked().iter() {
        wake();
    }
    let running = LOOPS_RUNNING.locked();
    let _ = LOOP_PARKED.wait_timeout_while(running, EXIT_GRACE, |running| *running > 0);
}

/// Whether the process is ending.
pub fn is_exiting() -> bool {
    EXITING.load(Ordering::Relaxed)
}

/// Says that an event thread runs, and how to wake it when the process ends.
pub fn loop_started(wake: Box<dyn Fn() + Send>) {
    *LOOPS_RUNNING.locked() += 1;
    WAKE_FOR_EXIT.locked().push(wake);
}

/// Ends the event thread's part in a process that is ending: it touches nothing any more.
pub fn park_for_ever() -> ! {
    *LOOPS_RUNNING.locked() -= 1;
    LOOP_PARKED.notify_all();
    loop {
        std::thread::park();
    }
}
