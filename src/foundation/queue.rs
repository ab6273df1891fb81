//! NSOperationQueue, always serial: where callbacks run.
//!
//! One of three drives a queue: a thread of the pool, a thread of the caller's that calls `run`,
//! or an executor that the caller supplied. Whichever it is, `State::draining` lets only one thread
//! at a time take operations, so that callbacks never overlap.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::object::{Class, Header, Object, begins_with_header};
use super::pool::{Pool, Work as PoolWork};
use super::process::{self, PerProcess};
use super::sync::Lock;

/// What the library runs on a queue.
pub trait Operation: Send + Sync {
    fn run(self: Arc<Self>);
}

/// Something that runs work items where the caller wants its callbacks.
pub trait Executor: Send + Sync {
    /// Called on a thread of the library's.
    fn execute(&self, work: &Arc<Work>);
}

/// A block of the caller's. Running it or dropping it releases its context.
pub trait Block: Send {
    fn run(&mut self);
}

enum Job {
    Operation(Arc<dyn Operation>),
    Internal(Box<dyn FnOnce() + Send>),
    /// May be cancelled before it starts.
    Block(Box<dyn Block>),
}

enum Kind {
    /// Threads of the pool.
    Library,
    /// Threads that call `run`, `poll` or `run_until`.
    Caller {
        main: bool,
    },
    Executor(Box<dyn Executor>),
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// A thread is taking operations.
    draining: bool,
    /// The pool or the executor was told that there is work and has not come yet.
    scheduled: bool,
    /// Whoever was to run this queue will not run it any more; the pool does.
    abandoned: bool,
    suspended: bool,
    stop_requested: bool,
    /// How often the caller's blocks were cancelled.
    cancellations: u64,
    /// Threads inside `run` that wait for something to run.
    runners: usize,
    /// Threads that wait until nothing is left.
    waiters: usize,
    name: String,
    /// Readable while there is something to run; made when the caller asks for it.
    event: Option<EventFd>,
    event_signalled: bool,
}

impl State {
    fn is_runnable(&self) -> bool {
        !self.suspended && !self.jobs.is_empty()
    }
}

#[repr(C)]
pub struct Queue {
    header: Header,
    generation: u32,
    kind: Kind,
    state: Mutex<State>,
    runnable: Condvar,
    finished: Condvar,
    /// Set while a draining thread must look at the state before the next job.
    interrupted: AtomicBool,
}

begins_with_header!(Queue);

/// Why `run` came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    Stopped,
    DeadlineReached,
    /// This queue is not run by this thread: it is driven by others, or belongs to the main thread.
    NotHere,
}

/// What ends the running of jobs before they are all run.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Nothing.
    Done,
    /// `stop`, or a time.
    StopOr(Option<Instant>),
}

impl Until {
    fn is_stopped(&self, state: &State) -> bool {
        matches!(self, Until::StopOr(_)) && state.stop_requested
    }

    fn is_over(&self) -> bool {
        matches!(self, Until::StopOr(Some(time)) if Instant::now() >= *time)
    }
}

/// A pool thread or an executor's work item runs this many jobs before it lets others have a turn.
const JOBS_A_TURN: usize = 64;

thread_local! {
    static CURRENT: RefCell<Vec<Arc<Queue>>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    fn with_kind(kind: Kind, name: &str) -> Arc<Queue> {
        Arc::new(Queue {
            header: Header::new(Class::Queue),
            generation: process::generation(),
            kind,
            state: Mutex::new(State {
                name: name.to_owned(),
                ..State::default()
            }),
            runnable: Condvar::new(),
            finished: Condvar::new(),
            interrupted: AtomicBool::new(false),
        })
    }

    /// A queue that the library's own threads run.
    pub fn library(name: &str) -> Arc<Queue> {
        Self::with_kind(Kind::Library, name)
    }

    /// A queue that the caller runs.
    pub fn caller(name: &str) -> Arc<Queue> {
        Self::with_kind(Kind::Caller { main: false }, name)
    }

    /// The queue of the main thread, which the caller runs there.
    pub fn main() -> Arc<Queue> {
        static MAIN: PerProcess<Arc<Queue>> = PerProcess::new();
        Arc::clone(MAIN.get_or(|| Queue::with_kind(Kind::Caller { main: true }, "main")))
    }

    /// Whether the threads that run this queue are in this process: not after a fork.
    pub fn is_of_this_process(&self) -> bool {
        self.generation == process::generation()
    }

    /// A queue that an executor runs.
    pub fn executor(executor: Box<dyn Executor>, name: &str) -> Arc<Queue> {
        Self::with_kind(Kind::Executor(executor), name)
    }

    /// The queue whose operation this thread is running.
    pub fn current() -> Option<Arc<Queue>> {
        CURRENT.with_borrow(|queues| queues.last().cloned())
    }

    pub fn name(&self) -> String {
        self.state.locked().name.clone()
    }

    pub fn set_name(&self, name: &str) {
        self.state.locked().name = name.to_owned();
    }

    pub fn is_suspended(&self) -> bool {
        self.state.locked().suspended
    }

    pub fn set_suspended(self: &Arc<Self>, suspended: bool) {
        let mut state = self.state.locked();
        state.suspended = suspended;
        if suspended {
            self.interrupted.store(true, Ordering::Relaxed);
            Self::clear_event(&mut state);
        } else {
            self.announce(state);
        }
    }

    /// Appends an operation of the library's.
    pub fn post(self: &Arc<Self>, operation: Arc<dyn Operation>) {
        self.push(Job::Operation(operation));
    }

    /// Appends several at once: one lock and at most one wake-up.
    pub fn post_all(self: &Arc<Self>, operations: impl Iterator<Item = Arc<dyn Operation>>) {
        let mut state = self.state.locked();
        state.jobs.extend(operations.map(Job::Operation));
        self.announce(state);
    }

    /// Appends a closure of the library's.
    pub fn post_internal(self: &Arc<Self>, body: impl FnOnce() + Send + 'static) {
        self.push(Job::Internal(Box::new(body)));
    }

    /// Appends a block of the caller's.
    pub fn add_block(self: &Arc<Self>, block: Box<dyn Block>) {
        self.push(Job::Block(block));
    }

    /// Takes away the caller's blocks that have not started. Callbacks of sessions stay.
    pub fn cancel_all_operations(&self) {
        let mut state = self.state.locked();
        self.interrupted.store(true, Ordering::Relaxed);
        state.cancellations += 1;
        let (cancelled, kept) = std::mem::take(&mut state.jobs)
            .into_iter()
            .partition::<Vec<Job>, _>(|job| matches!(job, Job::Block(_)));
        state.jobs = kept.into();
        if state.jobs.is_empty() {
            Self::clear_event(&mut state);
            self.finished.notify_all();
        }
        drop(state);
        // Releasing the blocks' contexts runs the caller's code: not under the lock.
        drop(cancelled);
    }

    /// Makes the `run` that is under way return after the operation that it is running; when none
    /// is under way, the next one returns at once.
    pub fn stop(&self) {
        let mut state = self.state.locked();
        state.stop_requested = true;
        self.interrupted.store(true, Ordering::Relaxed);
        self.runnable.notify_all();
    }

    /// Runs operations on this thread until `stop` or the deadline.
    pub fn run(self: &Arc<Self>, deadline: Option<Instant>) -> RunResult {
        if !self.is_run_here() || self.is_run_by_this_thread() {
            return RunResult::NotHere;
        }
        let mut state = self.state.locked();
        loop {
            if state.stop_requested {
                state.stop_requested = false;
                return RunResult::Stopped;
            }
            if state.is_runnable() && !state.draining {
                state = self.drain(state, usize::MAX, Until::StopOr(deadline)).1;
                if deadline.is_some_and(|deadline| Instant::now() >= deadline)
                    && !state.stop_requested
                {
                    return RunResult::DeadlineReached;
                }
                continue;
            }
            let timeout =
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => return RunResult::DeadlineReached,
                    Some(timeout) => timeout,
                    // A wait that long is one without end; the loop waits again.
                    None => Duration::from_secs(3600),
                };
            state = self.wait(state, timeout);
        }
    }

    /// Runs what there is to run and returns how many operations that were.
    pub fn poll(self: &Arc<Self>) -> usize {
        if !self.is_run_here() {
            return 0;
        }
        let state = self.state.locked();
        if state.draining || !state.is_runnable() {
            return 0;
        }
        let limit = state.jobs.len();
        self.drain(state, limit, Until::Done).0
    }

    /// A descriptor that is readable while `poll` would run something.
    pub fn fd(self: &Arc<Self>) -> Option<RawFd> {
        if !matches!(self.kind, Kind::Caller { .. }) {
            return None;
        }
        let mut state = self.state.locked();
        if state.event.is_none() {
            state.event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok();
            if state.is_runnable() {
                Self::signal_event(&mut state);
            }
        }
        state.event.as_ref().map(|event| event.as_fd().as_raw_fd())
    }

    /// Waits until nothing is left to run. Comes back at once, with false, when this thread is the
    /// one that would have to run it.
    pub fn wait_until_all_operations_are_finished(self: &Arc<Self>) -> bool {
        if self.is_run_by_this_thread() {
            return false;
        }
        let runs_here = self.is_run_here();
        let mut state = self.state.locked();
        loop {
            if state.jobs.is_empty() && !state.draining {
                return true;
            }
            // Nobody else may ever run a queue of the caller's.
            if runs_here && !state.draining && state.is_runnable() {
                state = self.drain(state, usize::MAX, Until::Done).1;
                continue;
            }
            state = self.wait_for_others(state);
        }
    }

    /// Whether this call comes from inside an operation of the queue.
    fn is_run_by_this_thread(&self) -> bool {
        let is_this = |queue: &Arc<Queue>| std::ptr::eq(&**queue, self);
        CURRENT.with_borrow(|queues| queues.iter().any(is_this))
    }

    /// Whether what runs an operation of this queue should look at it again before it goes on: it
    /// may have been suspended or stopped.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn is_run_here(&self) -> bool {
        match self.kind {
            Kind::Caller { main: false } => true,
            Kind::Caller { main: true } => nix::unistd::gettid() == nix::unistd::getpid(),
            Kind::Library | Kind::Executor(_) => false,
        }
    }

    fn push(self: &Arc<Self>, job: Job) {
        let mut state = self.state.locked();
        state.jobs.push_back(job);
        self.announce(state);
    }

    /// Waits inside `run`.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        timeout: Duration,
    ) -> MutexGuard<'a, State> {
        state.runners += 1;
        let (mut state, _) = self
            .runnable
            .wait_timeout(state, timeout)
            .unwrap_or_else(PoisonError::into_inner);
        state.runners -= 1;
        state
    }

    /// Waits for the end of what others are running.
    fn wait_for_others<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.waiters += 1;
        let mut state = self
            .finished
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiters -= 1;
        state
    }

    /// Sees to it that somebody comes to run what is there.
    fn announce(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.is_runnable() || state.draining {
            return;
        }
        match &self.kind {
            Kind::Caller { .. } if !state.abandoned => {
                Self::signal_event(&mut state);
                let (runners, waiters) = (state.runners > 0, state.waiters > 0);
                drop(state);
                if runners {
                    self.runnable.notify_one();
                } else if waiters {
                    // Nobody runs it: then whoever waits for its end does.
                    self.finished.notify_all();
                }
            }
            _ => {
                if !std::mem::replace(&mut state.scheduled, true) {
                    drop(state);
                    Pool::shared().submit(Arc::clone(self) as Arc<dyn PoolWork>);
                }
            }
        }
    }

    fn signal_event(state: &mut State) {
        if let Some(event) = &state.event
            && !state.event_signalled
        {
            state.event_signalled = event.write(1).is_ok();
        }
    }

    fn clear_event(state: &mut State) {
        if let Some(event) = &state.event
            && std::mem::replace(&mut state.event_signalled, false)
        {
            let _ = event.read();
        }
    }

    /// Runs up to `limit` jobs on this thread. The caller has seen that nobody else is draining.
    fn drain<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        limit: usize,
        until: Until,
    ) -> (usize, MutexGuard<'a, State>) {
        state.draining = true;
        self.interrupted.store(false, Ordering::Relaxed);
        CURRENT.with_borrow_mut(|queues| queues.push(Arc::clone(self)));
        let mut done = 0;
        // Few jobs at a time are taken out of the lock's reach, so that cancelling finds the others.
        let mut batch: VecDeque<Job> = VecDeque::new();
        'turns: while done < limit && state.is_runnable() && !until.is_stopped(&state) {
            let count = state.jobs.len().min(limit - done).min(JOBS_A_TURN);
            let cancellations = state.cancellations;
            batch.extend(state.jobs.drain(..count));
            drop(state);
            while let Some(job) = batch.pop_front() {
                Self::run_job(job);
                done += 1;
                let late = until.is_over();
                if late || self.interrupted.load(Ordering::Relaxed) {
                    state = self.put_back(&mut batch, cancellations);
                    if late {
                        break 'turns;
                    }
                    continue 'turns;
                }
            }
            state = self.state.locked();
        }
        CURRENT.with_borrow_mut(|queues| queues.pop());
        state.draining = false;
        if state.jobs.is_empty() || state.suspended {
            Self::clear_event(&mut state);
        } else if state.abandoned && !std::mem::replace(&mut state.scheduled, true) {
            // It was given up while this thread ran it: what is left is the pool's.
            drop(state);
            Pool::shared().submit(Arc::clone(self) as Arc<dyn PoolWork>);
            state = self.state.locked();
        } else {
            Self::signal_event(&mut state);
        }
        if state.runners > 0 && state.is_runnable() {
            self.runnable.notify_one();
        }
        if state.waiters > 0 {
            self.finished.notify_all();
        }
        (done, state)
    }

    /// Gives jobs that were taken but not run back, the first one first, except blocks of the
    /// caller's when they were cancelled meanwhile.
    fn put_back<'a>(
        &'a self,
        batch: &mut VecDeque<Job>,
        cancellations: u64,
    ) -> MutexGuard<'a, State> {
        let mut cancelled = Vec::new();
        let mut state = self.state.locked();
        self.interrupted.store(false, Ordering::Relaxed);
        while let Some(job) = batch.pop_back() {
            if state.cancellations != cancellations && matches!(job, Job::Block(_)) {
                cancelled.push(job);
            } else {
                state.jobs.push_front(job);
            }
        }
        if cancelled.is_empty() {
            return state;
        }
        // Releasing the blocks' contexts runs the caller's code: not under the lock.
        drop(state);
        drop(cancelled);
        self.state.locked()
    }

    fn run_job(job: Job) {
        let run = AssertUnwindSafe(|| match job {
            Job::Operation(operation) => operation.run(),
            Job::Internal(body) => body(),
            Job::Block(mut block) => block.run(),
        });
        if catch_unwind(run).is_err() {
            tracing::error!(target: "queue", "an operation panicked; the queue goes on");
        }
    }

    /// What a pool thread or a work item does with its turn.
    fn take_turn(self: &Arc<Self>, on_pool: bool) {
        let mut state = self.state.locked();
        state.scheduled = false;
        if state.draining {
            return;
        }
        let (_, mut state) = self.drain(state, JOBS_A_TURN, Until::Done);
        if on_pool && state.is_runnable() && !state.scheduled && !state.draining {
            // This thread is free again in a moment: no other is to be started for what is left.
            state.scheduled = true;
            drop(state);
            Pool::shared().submit_patiently(Arc::clone(self) as Arc<dyn PoolWork>);
            return;
        }
        self.announce(state);
    }
}

impl PoolWork for Queue {
    fn perform(self: Arc<Self>) {
        if let Kind::Executor(executor) = &self.kind
            && !self.state.locked().abandoned
        {
            let work = Arc::new(Work {
                header: Header::new(Class::Work),
                queue: Arc::clone(&self),
                taken: AtomicU8::new(0),
            });
            executor.execute(&work);
            return;
        }
        self.take_turn(true);
    }
}

impl Object for Queue {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let state = self.state.locked();
        let driver = match &self.kind {
            Kind::Library => "run by the library",
            Kind::Caller { main: false } if state.abandoned => {
                "run by the library, the caller has released it"
            }
            Kind::Caller { main: false } => "run by the caller",
            Kind::Caller { main: true } => "run by the caller on the main thread",
            Kind::Executor(_) if state.abandoned => "run by the library, its executor is gone",
            Kind::Executor(_) => "run by an executor",
        };
        format!(
            "<queue: \"{}\", {driver}, {} waiting{}{}>",
            state.name,
            state.jobs.len(),
            if state.draining { ", running" } else { "" },
            if state.suspended { ", suspended" } else { "" },
        )
    }

    fn external_references_gone(self: Arc<Self>) {
        if !matches!(self.kind, Kind::Caller { main: false }) {
            return;
        }
        // Nobody can run it any more, but completion handlers are still to be called.
        let mut state = self.state.locked();
        state.abandoned = true;
        self.announce(state);
    }
}

/// A turn of a queue's, to be run once by an executor.
#[repr(C)]
pub struct Work {
    header: Header,
    queue: Arc<Queue>,
    /// Whether it was run or discarded.
    taken: AtomicU8,
}

begins_with_header!(Work);

impl Work {
    /// Runs operations of the queue on this thread. False when that was done already.
    pub fn run(&self) -> bool {
        if self.taken.swap(1, Ordering::AcqRel) != 0 {
            return false;
        }
        self.queue.take_turn(false);
        true
    }

    /// Says that the executor will not run this, nor anything later. False when it was done already.
    pub fn discard(&self) -> bool {
        if self.taken.swap(1, Ordering::AcqRel) != 0 {
            return false;
        }
        tracing::warn!(target: "queue", "an executor discarded its work: a thread of the library takes over");
        let mut state = self.queue.state.locked();
        state.abandoned = true;
        state.scheduled = false;
        self.queue.announce(state);
        true
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.discard();
    }
}

impl Object for Work {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let taken = if self.taken.load(Ordering::Relaxed) == 0 {
            "waiting"
        } else {
            "done"
        };
        format!("<work: {taken}, of {}>", self.queue.description())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    struct Say(Sender<&'static str>, &'static str);

    impl Block for Say {
        fn run(&mut self) {
            self.0.send(self.1).unwrap();
        }
    }

    struct Inline;

    impl Executor for Inline {
        fn execute(&self, work: &Arc<Work>) {
            assert!(work.run());
            assert!(!work.run());
        }
    }

    struct Never;

    impl Executor for Never {
        fn execute(&self, _work: &Arc<Work>) {}
    }

    #[test]
    fn operations_run_in_order_on_every_kind() {
        for queue in [
            Queue::library("library"),
            Queue::executor(Box::new(Inline), "inline"),
            Queue::executor(Box::new(Never), "never"),
        ] {
            let (sender, receiver) = channel();
            for word in ["a", "b", "c"] {
                queue.add_block(Box::new(Say(sender.clone(), word)));
            }
            for word in ["a", "b", "c"] {
                assert_eq!(receiver.recv().unwrap(), word, "{}", queue.description());
            }
            assert!(queue.wait_until_all_operations_are_finished());
        }
    }

    #[test]
    fn stop_is_not_lost_when_nobody_runs() {
        let queue = Queue::caller("q");
        queue.stop();
        assert_eq!(queue.run(None), RunResult::Stopped);
        assert_eq!(queue.run(Some(Instant::now())), RunResult::DeadlineReached);
    }

    #[test]
    fn stop_is_for_run_alone() {
        let queue = Queue::caller("q");
        let (sender, receiver) = channel();
        queue.add_block(Box::new(Say(sender.clone(), "a")));
        queue.stop();
        assert_eq!(queue.poll(), 1);
        queue.add_block(Box::new(Say(sender, "b")));
        assert!(queue.wait_until_all_operations_are_finished());
        assert_eq!(receiver.iter().take(2).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.run(None), RunResult::Stopped);
    }

    #[test]
    fn a_queue_that_is_given_up_while_it_runs_is_run_to_its_end() {
        let queue = Queue::caller("q");
        let (sender, receiver) = channel();
        let (inner, say) = (Arc::clone(&queue), sender.clone());
        queue.post_internal(move || {
            inner.stop();
            Arc::clone(&inner).external_references_gone();
            inner.add_block(Box::new(Say(say, "later")));
        });
        assert_eq!(queue.run(None), RunResult::Stopped);
        assert_eq!(receiver.recv().unwrap(), "later");
    }

    #[test]
    fn poll_runs_what_is_there_and_cancel_takes_blocks_away() {
        let queue = Queue::caller("q");
        let (sender, receiver) = channel();
        queue.add_block(Box::new(Say(sender.clone(), "a")));
        queue.cancel_all_operations();
        assert_eq!(queue.poll(), 0);
        queue.add_block(Box::new(Say(sender.clone(), "b")));
        let (inner, say) = (Arc::clone(&queue), sender.clone());
        queue.post_internal(move || {
            assert!(Arc::ptr_eq(&Queue::current().unwrap(), &inner));
            assert!(!inner.wait_until_all_operations_are_finished());
            inner.add_block(Box::new(Say(say, "later")));
            inner.cancel_all_operations();
        });
        queue.add_block(Box::new(Say(sender, "cancelled")));
        assert_eq!(queue.poll(), 2);
        assert_eq!(queue.poll(), 0, "{}", queue.description());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["b"]);
        assert!(Queue::current().is_none());
    }

    #[test]
    fn nothing_starts_while_suspended() {
        let queue = Queue::caller("q");
        let (sender, receiver) = channel();
        queue.set_suspended(true);
        queue.add_block(Box::new(Say(sender, "a")));
        assert_eq!(queue.poll(), 0);
        assert!(receiver.try_recv().is_err());
        queue.set_suspended(false);
        assert_eq!(queue.poll(), 1);
        assert_eq!(receiver.recv().unwrap(), "a");
    }
}
