//! NSProgress: how far a piece of work has come; alone, in a tree, or as the mirror of a task.
//!
//! A parent holds its children, a child knows its parent weakly. Changes are told upwards one object
//! at a time; what a fraction is made of is gathered downwards when somebody asks for it. No two
//! objects are locked at once, so that a tree may be used from any number of threads.

mod counts;
mod meter;
mod observer;
mod text;
mod tree;

use std::any::Any;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::log;
use super::object::{Class, Header, Object, begins_with_header};
use super::queue::Queue;
use super::sync::Lock;
use counts::{Counts, End};
use meter::Meter;
use observer::Observer;
use text::Facts;
use tree::{Child, Parent};

pub use observer::ChangeHandler;

pub const KIND_FILE: &str = "NSProgressKindFile";
pub const DOWNLOADING: &str = "NSProgressFileOperationKindDownloading";
pub const UPLOADING: &str = "NSProgressFileOperationKindUploading";
pub const RECEIVING: &str = "NSProgressFileOperationKindReceiving";

/// What a progress is the mirror of, and what is done to it through the mirror. Called on the thread
/// that does it, with nothing locked.
pub trait ProgressOwner: Send + Sync {
    fn cancel_by_progress(self: Arc<Self>);
    fn pause_by_progress(self: Arc<Self>);
    fn resume_by_progress(self: Arc<Self>);
    /// The program let go of the mirror.
    fn progress_released(self: Arc<Self>);
}

/// A block of the caller's that hears of a signal. Dropping it releases its context.
pub trait Handler: Any + Send + Sync {
    fn call(&self);
}

/// What is done to a progress and to all that are below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Cancel,
    Pause,
    Resume,
}

struct State {
    counts: Counts,
    cancelled: bool,
    paused: bool,
    cancellable: bool,
    pausable: bool,
    kind: Option<String>,
    file_operation_kind: Option<String>,
    description: Option<String>,
    additional_description: Option<String>,
    /// What was set; what is measured is in the meter.
    time_remaining: Option<f64>,
    throughput: Option<i64>,
    meter: Meter,
    children: Vec<Child>,
    parent: Option<Parent>,
    /// By the number of their signals.
    handlers: [Option<Arc<dyn Handler>>; 3],
    observer: Option<Observer>,
}

impl State {
    fn new(counts: Counts) -> State {
        State {
            counts,
            cancelled: false,
            paused: false,
            cancellable: true,
            pausable: false,
            kind: None,
            file_operation_kind: None,
            description: None,
            additional_description: None,
            time_remaining: None,
            throughput: None,
            meter: Meter::default(),
            children: Vec::new(),
            parent: None,
            handlers: [None, None, None],
            observer: None,
        }
    }

    /// Sees to it that the change handler is called: later, on its queue.
    fn announce(&self) {
        if let Some(observer) = &self.observer {
            observer.announce();
        }
    }

    fn is_indeterminate(&self) -> bool {
        self.counts.is_indeterminate(!self.children.is_empty())
    }

    fn throughput(&self, now: Instant) -> Option<i64> {
        self.throughput
            .or_else(|| self.rate(now).map(|rate| rate as i64))
    }

    fn time_remaining(&self, now: Instant) -> Option<f64> {
        let measured = || {
            let rate = self.rate(now).filter(|rate| *rate > 0.0)?;
            let left = self.counts.total.checked_sub(self.counts.completed)?;
            (!self.is_indeterminate() && left >= 0).then(|| left as f64 / rate)
        };
        self.time_remaining.or_else(measured)
    }

    /// Units a second, as far as they can be measured now.
    fn rate(&self, now: Instant) -> Option<f64> {
        if self.counts.end != End::Open || self.paused {
            return None;
        }
        self.meter.rate(now)
    }

    /// Notes whether the work is paused; false if nothing changes.
    fn set_paused(&mut self, paused: bool) -> bool {
        if self.paused == paused {
            return false;
        }
        self.paused = paused;
        // A pause is no slow transfer.
        self.meter.restart();
        true
    }
}

#[repr(C)]
pub struct Progress {
    header: Header,
    /// Of a mirror: whose.
    owner: Option<Mutex<Weak<dyn ProgressOwner>>>,
    state: Mutex<State>,
}

begins_with_header!(Progress);

impl Progress {
    fn with(owner: Option<Weak<dyn ProgressOwner>>, state: State) -> Arc<Progress> {
        Arc::new(Progress {
            header: Header::new(Class::Progress),
            owner: owner.map(Mutex::new),
            state: Mutex::new(state),
        })
    }

    /// A progress that stands alone, until it is made a child.
    pub fn discrete(total: i64) -> Arc<Progress> {
        Self::with(None, State::new(Counts::new(total, End::ByCounts)))
    }

    /// The mirror of a task, whose counts are of bytes and unknown so far.
    pub fn for_task(owner: Weak<dyn ProgressOwner>, file_operation_kind: &str) -> Arc<Progress> {
        let state = State {
            pausable: true,
            kind: Some(KIND_FILE.to_owned()),
            file_operation_kind: Some(file_operation_kind.to_owned()),
            meter: Meter::measuring(),
            ..State::new(Counts::new(-1, End::Open))
        };
        Self::with(Some(owner), state)
    }

    /// The mirror is another task's from now on, which took the first one's place.
    pub fn pass_to(&self, next: Weak<dyn ProgressOwner>, file_operation_kind: &str) {
        if let Some(owner) = &self.owner {
            *owner.locked() = next;
        }
        self.state.locked().file_operation_kind = Some(file_operation_kind.to_owned());
    }

    fn owner(&self) -> Option<Arc<dyn ProgressOwner>> {
        self.owner.as_ref()?.locked().upgrade()
    }

    /// Whether the program can do something to this, by itself or by a parent.
    pub fn is_reachable(&self) -> bool {
        self.header.is_external() || {
            let state = self.state.locked();
            let parent = state.parent.as_ref();
            parent.is_some_and(|parent| parent.strong_count() > 0)
        }
    }

    /// Whether this is the mirror of a task, which sets what there is to set.
    pub fn is_mirror(&self) -> bool {
        self.owner.is_some()
    }

    /*
     * What the owner of a mirror says. All of it may be said on the loop's thread: it takes short
     * locks, calls nobody and, but for the place in a queue, allocates nothing.
     */

    /// How far the work has come; a negative total is unknown. Ignored once the work has ended.
    pub fn update(self: &Arc<Self>, completed: i64, total: i64, now: Instant) {
        self.change(|state| {
            if state.counts.end != End::Open {
                return false;
            }
            state.meter.note(completed, now);
            let changed = (state.counts.completed, state.counts.total) != (completed, total);
            state.counts.completed = completed;
            state.counts.total = total;
            changed
        });
    }

    /// The work is that far at once, which says nothing of its rate.
    pub fn leap(self: &Arc<Self>, completed: i64, total: i64, now: Instant) {
        self.state.locked().meter.restart();
        self.update(completed, total, now);
    }

    /// The work has ended. After success the fraction is 1, and a parent counts it as done.
    pub fn finish(self: &Arc<Self>, success: bool) {
        self.change(|state| state.counts.end_with(success));
    }

    /// The task may have been suspended or resumed, by whomever: `is_paused` tells, and is asked
    /// under the lock, so that what is noted last is so. The owner is not told, nor are handlers.
    pub fn mirror_paused(self: &Arc<Self>, is_paused: impl FnOnce() -> bool) {
        self.change(|state| state.set_paused(is_paused()));
    }

    /// The task was cancelled, by whomever. The owner is not told, nor are handlers.
    pub fn mirror_cancelled(self: &Arc<Self>) {
        self.change(|state| !std::mem::replace(&mut state.cancelled, true));
    }

    /*
     * Counts.
     */

    pub fn total(&self) -> i64 {
        self.state.locked().counts.total
    }

    pub fn set_total(self: &Arc<Self>, total: i64) {
        self.change(|state| std::mem::replace(&mut state.counts.total, total) != total);
    }

    pub fn completed(&self) -> i64 {
        self.state.locked().counts.completed
    }

    pub fn set_completed(self: &Arc<Self>, completed: i64) {
        self.change(|state| std::mem::replace(&mut state.counts.completed, completed) != completed);
    }

    pub fn is_indeterminate(&self) -> bool {
        self.state.locked().is_indeterminate()
    }

    pub fn is_finished(&self) -> bool {
        self.state.locked().counts.is_finished()
    }

    /*
     * Signals.
     */

    pub fn is_cancelled(&self) -> bool {
        self.state.locked().cancelled
    }

    pub fn is_paused(&self) -> bool {
        self.state.locked().paused
    }

    /// Cancels, pauses or resumes this and what is below it. Each that thereby changes calls its
    /// handler, on this thread.
    pub fn send(self: &Arc<Self>, signal: Signal) {
        let (changed, handler, children) = {
            let mut state = self.state.locked();
            let changed = match signal {
                Signal::Cancel => !std::mem::replace(&mut state.cancelled, true),
                Signal::Pause => state.set_paused(true),
                Signal::Resume => state.set_paused(false),
            };
            let handler = state.handlers[signal as usize].clone();
            if changed {
                state.announce();
            }
            (changed, handler, tree::objects(&state.children))
        };
        if let Some(owner) = self.owner() {
            match signal {
                Signal::Cancel if changed => owner.cancel_by_progress(),
                Signal::Pause if changed => owner.pause_by_progress(),
                // A task begins suspended without having been paused.
                Signal::Resume => owner.resume_by_progress(),
                Signal::Cancel | Signal::Pause => {}
            }
        }
        if changed && let Some(handler) = handler {
            handler.call();
        }
        for child in children {
            child.send(signal);
        }
    }

    /// Replaces the handler of a signal. One for what has happened already is called at once.
    pub fn set_handler(&self, signal: Signal, handler: Option<Arc<dyn Handler>>) {
        let (before, is_due) = {
            let mut state = self.state.locked();
            let is_due = match signal {
                Signal::Cancel => state.cancelled,
                Signal::Pause => state.paused,
                Signal::Resume => false,
            };
            let place = &mut state.handlers[signal as usize];
            (std::mem::replace(place, handler.clone()), is_due)
        };
        // Releasing its context runs the caller's code: not under the lock.
        drop(before);
        if is_due && let Some(handler) = handler {
            handler.call();
        }
    }

    pub fn handler(&self, signal: Signal) -> Option<Arc<dyn Handler>> {
        self.state.locked().handlers[signal as usize].clone()
    }

    /// Replaces what is told of changes, each time on `queue`.
    pub fn set_change_handler(
        self: &Arc<Self>,
        queue: Option<Arc<Queue>>,
        handler: Option<Arc<dyn ChangeHandler>>,
    ) {
        let observer = handler.map(|handler| {
            let queue = queue.unwrap_or_else(|| Queue::library("progress"));
            Observer::new(queue, Arc::downgrade(self), handler)
        });
        let before = std::mem::replace(&mut self.state.locked().observer, observer);
        // Releasing its context runs the caller's code: not under the lock.
        drop(before);
    }

    /*
     * What else a person is shown.
     */

    pub fn is_cancellable(&self) -> bool {
        self.state.locked().cancellable
    }

    pub fn set_cancellable(self: &Arc<Self>, cancellable: bool) {
        self.change(|state| std::mem::replace(&mut state.cancellable, cancellable) != cancellable);
    }

    pub fn is_pausable(&self) -> bool {
        self.state.locked().pausable
    }

    pub fn set_pausable(self: &Arc<Self>, pausable: bool) {
        self.change(|state| std::mem::replace(&mut state.pausable, pausable) != pausable);
    }

    pub fn kind(&self) -> Option<String> {
        self.state.locked().kind.clone()
    }

    pub fn set_kind(self: &Arc<Self>, kind: Option<String>) {
        self.change(|state| replaced(&mut state.kind, kind));
    }

    pub fn file_operation_kind(&self) -> Option<String> {
        self.state.locked().file_operation_kind.clone()
    }

    pub fn set_file_operation_kind(self: &Arc<Self>, kind: Option<String>) {
        self.change(|state| replaced(&mut state.file_operation_kind, kind));
    }

    pub fn throughput(&self, now: Instant) -> Option<i64> {
        self.state.locked().throughput(now)
    }

    /// What is negative is not known.
    pub fn set_throughput(self: &Arc<Self>, throughput: i64) {
        let throughput = Some(throughput).filter(|throughput| *throughput >= 0);
        self.change(|state| replaced(&mut state.throughput, throughput));
    }

    pub fn time_remaining(&self, now: Instant) -> Option<f64> {
        self.state.locked().time_remaining(now)
    }

    /// What is negative, or not a number, is not known.
    pub fn set_time_remaining(self: &Arc<Self>, seconds: f64) {
        let seconds = Some(seconds).filter(|seconds| *seconds >= 0.0);
        self.change(|state| replaced(&mut state.time_remaining, seconds));
    }

    pub fn localized_description(&self) -> String {
        let set = self.state.locked().description.clone();
        set.unwrap_or_else(|| self.facts().description())
    }

    pub fn set_localized_description(self: &Arc<Self>, text: Option<String>) {
        self.change(|state| replaced(&mut state.description, text));
    }

    pub fn localized_additional_description(&self) -> String {
        let set = self.state.locked().additional_description.clone();
        set.unwrap_or_else(|| self.facts().additional_description())
    }

    pub fn set_localized_additional_description(self: &Arc<Self>, text: Option<String>) {
        self.change(|state| replaced(&mut state.additional_description, text));
    }

    fn facts(&self) -> Facts {
        let fraction = self.fraction();
        let now = Instant::now();
        let state = self.state.locked();
        Facts {
            is_file: state.kind.as_deref() == Some(KIND_FILE),
            operation: state.file_operation_kind.clone(),
            completed: state.counts.completed,
            total: state.counts.total,
            fraction: (!state.is_indeterminate()).then_some(fraction),
            throughput: state.throughput(now),
            time_remaining: state.time_remaining(now),
        }
    }
}

/// Sets a value and says whether it is another one than before.
fn replaced<T: PartialEq>(place: &mut Option<T>, value: Option<T>) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}

impl Object for Progress {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let fraction = self.fraction();
        let state = self.state.locked();
        format!(
            "<progress: {} of {}, fraction {fraction:.3}{}{}{}>",
            state.counts.completed,
            state.counts.total,
            if state.counts.is_finished() {
                ", finished"
            } else {
                ""
            },
            if state.paused { ", paused" } else { "" },
            if state.cancelled { ", cancelled" } else { "" },
        )
    }

    fn external_references_gone(self: Arc<Self>) {
        if let Some(owner) = self.owner() {
            owner.progress_released();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self
            .state
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let handlers = std::mem::take(&mut state.handlers);
        let observer = state.observer.take();
        let has_any = observer.is_some() || handlers.iter().any(Option::is_some);
        // Releasing their contexts runs the caller's code.
        if has_any && log::is_deferred_on_this_thread() {
            Queue::library("progress").post_internal(move || drop((handlers, observer)));
        }
    }
}

#[cfg(test)]
mod tests;
