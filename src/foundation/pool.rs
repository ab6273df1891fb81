//! The library's own threads: a few, started when there is work and ended when there is none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::process::PerProcess;
use super::sync::Lock;

/// More callbacks than this do not run at once, however many sessions there are. Callbacks of one
/// session never overlap, so one session uses one thread. Callbacks that wait for callbacks of as
/// many other sessions as this wait for ever.
const MOST_THREADS: usize = 8;
/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// Files are read and written on these: what blocks there must not hold up callbacks, nor be held up
/// by callbacks that block.
const MOST_IO_THREADS: usize = 4;

/// The program's own sources of bodies are read on these: they may block for as long as they like,
/// and hold up nothing but one another.
const MOST_STREAM_THREADS: usize = 8;

/// Something to run.
pub trait Work: Send + Sync {
    fn perform(self: Arc<Self>);
}

#[derive(Default)]
struct State {
    work: VecDeque<Arc<dyn Work>>,
    threads: usize,
    idle: usize,
}

pub struct Pool {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

impl Pool {
    /// The pool of this process for queues.
    pub fn shared() -> &'static Pool {
        static POOL: PerProcess<Pool> = PerProcess::new();
        POOL.get_or(|| Pool::new("nsurl-queue", MOST_THREADS))
    }

    /// The pool of this process for what may block on a file.
    pub fn io() -> &'static Pool {
        static POOL: PerProcess<Pool> = PerProcess::new();
        POOL.get_or(|| Pool::new("nsurl-io", MOST_IO_THREADS))
    }

    /// The pool of this process for reading streams.
    pub fn streams() -> &'static Pool {
        static POOL: PerProcess<Pool> = PerProcess::new();
        POOL.get_or(|| Pool::new("nsurl-stream", MOST_STREAM_THREADS))
    }

    fn new(name: &'static str, most: usize) -> Pool {
        Pool {
            name,
            most,
            state: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Runs `work` on one of the threads, after what was submitted before.
    pub fn submit(&'static self, work: Arc<dyn Work>) {
        let mut state = self.state.locked();
        state.work.push_back(work);
        if state.idle >= state.work.len() {
            drop(state);
            self.arrived.notify_one();
        } else if state.threads < self.most {
            state.threads += 1;
            drop(state);
            if let Err(error) = spawn(self.name, move || self.serve()) {
                tracing::error!(target: "queue", %error, "cannot start a thread");
                // The work stays; the next that is submitted tries again.
                self.state.locked().threads -= 1;
            }
        }
    }

    /// Runs `work` when a thread has time for it. Starts one only if there is none.
    pub fn submit_patiently(&'static self, work: Arc<dyn Work>) {
        let mut state = self.state.locked();
        if state.threads == 0 {
            drop(state);
            return self.submit(work);
        }
        state.work.push_back(work);
        drop(state);
        self.arrived.notify_one();
    }

    fn serve(&self) {
        let mut state = self.state.locked();
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                // A panic here must not cost the pool a thread.
                if catch_unwind(AssertUnwindSafe(|| work.perform())).is_err() {
                    tracing::error!(target: "queue", "work of the library's panicked");
                }
                state = self.state.locked();
                continue;
            }
            state.idle += 1;
            let (guard, timeout) = self
                .arrived
                .wait_timeout_while(state, IDLE, |state| state.work.is_empty())
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.work.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// Starts a thread on which no signal handler of the program's can run.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let started = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body);
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started.map(drop)
}
