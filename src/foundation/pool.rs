//! The library's own threads: a few, started when there is work and ended when there is none.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use once_cell::sync::Lazy;

use super::process;
use super::sync::Lock;

/// More callbacks than this do not run at once, however many sessions there are. Callbacks of one
/// session never overlap, so one session uses one thread.
const MOST_THREADS: usize = 8;
/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(5);

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

#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
}

static POOLS: Lazy<Mutex<Vec<(u32, &'static Pool)>>> = Lazy::new(Mutex::default);

impl Pool {
    /// The pool of this process. A forked child gets its own: its parent's threads are not there.
    pub fn shared() -> &'static Pool {
        let generation = process::generation();
        let mut pools = POOLS.locked();
        match pools.iter().find(|(other, _)| *other == generation) {
            Some((_, pool)) => pool,
            None => {
                let pool: &'static Pool = Box::leak(Box::default());
                pools.push((generation, pool));
                pool
            }
        }
    }

    /// Runs `work` on one of the threads, after what was submitted before.
    pub fn submit(&'static self, work: Arc<dyn Work>) {
        let mut state = self.state.locked();
        state.work.push_back(work);
        if state.idle >= state.work.len() {
            drop(state);
            self.arrived.notify_one();
        } else if state.threads < MOST_THREADS {
            state.threads += 1;
            drop(state);
            if let Err(error) = spawn("nsurl-queue", move || self.serve()) {
                tracing::error!(target: "queue", %error, "cannot start a thread");
                self.state.locked().threads -= 1;
            }
        }
    }

    fn serve(&self) {
        let mut state = self.state.locked();
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                work.perform();
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
