//! NSProgress: how far something has come, alone or in a tree.
//!
//! A parent holds its children; a child knows its parent weakly. Locks are taken from the parent
//! down, and none is held while code of the program's runs.

mod pace;
mod text;

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use self::pace::Pace;
use super::object::{Class, Header, Object, begins_with_header};
use super::queue::{Operation, Queue};
use super::sync::Lock;

pub const KIND_FILE: &str = "NSProgressKindFile";
pub const DOWNLOADING: &str = "NSProgressFileOperationKindDownloading";
pub const UPLOADING: &str = "NSProgressFileOperationKindUploading";
pub const RECEIVING: &str = "NSProgressFileOperationKindReceiving";

/// What a task's progress acts on.
pub trait ProgressOwner: Send + Sync {
    fn cancel_by_progress(self: Arc<Self>);
    fn pause_by_progress(self: Arc<Self>);
    fn resume_by_progress(self: Arc<Self>);
}

/// A handler of the caller's. Dropping it releases its context.
pub trait Handler: Send + Sync {
    fn call(&self);
    /// What the program knows the handler by.
    fn function(&self) -> usize;
}

/// Watches a progress on a queue. Dropping it releases its context.
pub trait Observer: Send + Sync {
    fn changed(&self, progress: &Arc<Progress>);
}

/// What handlers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Cancelling = 0,
    Pausing = 1,
    Resuming = 2,
}

/// Texts that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Kind = 0,
    FileOperation = 1,
    Description = 2,
    AdditionalDescription = 3,
}

struct Child {
    progress: Arc<Progress>,
    units: i64,
}

struct Watching {
    observer: Arc<dyn Observer>,
    queue: Arc<Queue>,
    /// It is on its way to the queue.
    pending: bool,
}

struct State {
    total: i64,
    completed: i64,
    /// Ended well, whatever the counts say.
    succeeded: bool,
    cancelled: bool,
    paused: bool,
    cancellable: bool,
    pausable: bool,
    labels: [Option<String>; 4],
    remaining: Option<f64>,
    throughput: Option<i64>,
    handlers: [Option<Arc<dyn Handler>>; 3],
    watching: Option<Watching>,
    children: Vec<Child>,
    parent: Option<Weak<Progress>>,
    pace: Pace,
}

impl State {
    fn is_indeterminate(&self) -> bool {
        !self.succeeded
            && (self.total < 0 || self.completed < 0 || self.total == 0 && self.completed == 0)
    }

    fn is_finished(&self) -> bool {
        self.succeeded || self.completed > 0 && self.total >= 0 && self.completed >= self.total
    }

    fn fraction(&self) -> f64 {
        if self.is_finished() {
            return 1.0;
        }
        if self.is_indeterminate() {
            return 0.0;
        }
        let of_children: f64 = self
            .children
            .iter()
            .map(|child| child.progress.fraction_completed() * child.units as f64)
            .sum();
        ((self.completed as f64 + of_children) / self.total as f64).clamp(0.0, 1.0)
    }
}

#[repr(C)]
pub struct Progress {
    header: Header,
    this: Weak<Progress>,
    owner: Option<Weak<dyn ProgressOwner>>,
    state: Mutex<State>,
}

begins_with_header!(Progress);

/// Why a child cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    HasParent,
    WouldContainItself,
}

impl Progress {
    fn make(
        total: i64,
        owner: Option<Weak<dyn ProgressOwner>>,
        operation: Option<&str>,
    ) -> Arc<Self> {
        let for_task = owner.is_some();
        Arc::new_cyclic(|this| Progress {
            header: Header::new(Class::Progress),
            this: Weak::clone(this),
            owner,
            state: Mutex::new(State {
                total,
                completed: 0,
                succeeded: false,
                cancelled: false,
                paused: false,
                cancellable: true,
                pausable: for_task,
                labels: [
                    for_task.then(|| KIND_FILE.to_owned()),
                    operation.map(str::to_owned),
                    None,
                    None,
                ],
                remaining: None,
                throughput: None,
                handlers: [None, None, None],
                watching: None,
                children: Vec::new(),
                parent: None,
                pace: Pace::default(),
            }),
        })
    }

    /// A progress without a parent.
    pub fn discrete(total: i64) -> Arc<Progress> {
        Self::make(total, None, None)
    }

    /// The progress of a task.
    pub fn for_task(owner: Weak<dyn ProgressOwner>, operation: &str) -> Arc<Progress> {
        Self::make(0, Some(owner), Some(operation))
    }

    /// A task has come so far. Runs no code of the program's.
    pub fn update(&self, completed: i64, total: i64) {
        let mut state = self.state.locked();
        if state.completed == completed && state.total == total {
            return;
        }
        (state.completed, state.total) = (completed, total);
        state.pace.note(completed, Instant::now());
        drop(state);
        self.changed();
    }

    /// A task has come to its end.
    pub fn finish(&self, successfully: bool) {
        let mut state = self.state.locked();
        state.succeeded = successfully;
        if successfully {
            state.total = state.completed;
        }
        drop(state);
        self.changed();
    }

    pub fn total_unit_count(&self) -> i64 {
        self.state.locked().total
    }

    pub fn completed_unit_count(&self) -> i64 {
        self.state.locked().completed
    }

    pub fn set_total_unit_count(&self, total: i64) {
        self.state.locked().total = total;
        self.changed();
    }

    pub fn set_completed_unit_count(&self, completed: i64) {
        let mut state = self.state.locked();
        state.completed = completed;
        state.pace.note(completed, Instant::now());
        drop(state);
        self.changed();
    }

    pub fn fraction_completed(&self) -> f64 {
        self.state.locked().fraction()
    }

    pub fn is_indeterminate(&self) -> bool {
        self.state.locked().is_indeterminate()
    }

    pub fn is_finished(&self) -> bool {
        self.state.locked().is_finished()
    }

    pub fn is_cancellable(&self) -> bool {
        self.state.locked().cancellable
    }

    pub fn set_cancellable(&self, cancellable: bool) {
        self.state.locked().cancellable = cancellable;
        self.changed();
    }

    pub fn is_pausable(&self) -> bool {
        self.state.locked().pausable
    }

    pub fn set_pausable(&self, pausable: bool) {
        self.state.locked().pausable = pausable;
        self.changed();
    }

    pub fn is_cancelled(&self) -> bool {
        self.state.locked().cancelled
    }

    pub fn is_paused(&self) -> bool {
        self.state.locked().paused
    }

    pub fn label(&self, label: Label) -> Option<String> {
        let state = self.state.locked();
        let given = state.labels[label as usize].clone();
        match label {
            Label::Kind | Label::FileOperation => given,
            Label::Description => given.or_else(|| Some(text::description(&state))),
            Label::AdditionalDescription => given.or_else(|| Some(text::additional(&state))),
        }
    }

    pub fn set_label(&self, label: Label, text: Option<String>) {
        self.state.locked().labels[label as usize] = text;
        self.changed();
    }

    /// Bytes, or units, a second: what was set, or what was measured of late.
    pub fn throughput(&self) -> Option<i64> {
        let state = self.state.locked();
        state.throughput.or_else(|| state.pace.throughput())
    }

    pub fn set_throughput(&self, throughput: Option<i64>) {
        self.state.locked().throughput = throughput;
        self.changed();
    }

    /// Seconds until the end: what was set, or what the throughput makes likely.
    pub fn estimated_time_remaining(&self) -> Option<f64> {
        let state = self.state.locked();
        state.remaining.or_else(|| text::remaining(&state))
    }

    pub fn set_estimated_time_remaining(&self, seconds: Option<f64>) {
        self.state.locked().remaining = seconds;
        self.changed();
    }

    pub fn handler(&self, occasion: Occasion) -> Option<usize> {
        let handler = self.state.locked().handlers[occasion as usize].clone();
        handler.map(|handler| handler.function())
    }

    /// Sets what is called on an occasion; at once, when that is over.
    pub fn set_handler(&self, occasion: Occasion, handler: Option<Arc<dyn Handler>>) {
        let mut state = self.state.locked();
        let before = std::mem::replace(&mut state.handlers[occasion as usize], handler.clone());
        let is_over = match occasion {
            Occasion::Cancelling => state.cancelled,
            Occasion::Pausing => state.paused,
            Occasion::Resuming => false,
        };
        drop(state);
        drop(before);
        if is_over && let Some(handler) = handler {
            handler.call();
        }
    }

    pub fn cancel(&self) {
        self.act(Occasion::Cancelling);
    }

    pub fn pause(&self) {
        self.act(Occasion::Pausing);
    }

    pub fn resume(&self) {
        self.act(Occasion::Resuming);
    }

    /// Does something to this progress, to what it stands for and to its children.
    fn act(&self, occasion: Occasion) {
        let mut state = self.state.locked();
        match occasion {
            Occasion::Cancelling if state.cancelled => return,
            Occasion::Cancelling => state.cancelled = true,
            Occasion::Pausing if state.paused || state.cancelled => return,
            Occasion::Pausing => state.paused = true,
            Occasion::Resuming if !state.paused || state.cancelled => return,
            Occasion::Resuming => state.paused = false,
        }
        let handler = state.handlers[occasion as usize].clone();
        let children: Vec<_> = state
            .children
            .iter()
            .map(|child| Arc::clone(&child.progress))
            .collect();
        drop(state);
        if let Some(owner) = self.owner.as_ref().and_then(Weak::upgrade) {
            match occasion {
                Occasion::Cancelling => owner.cancel_by_progress(),
                Occasion::Pausing => owner.pause_by_progress(),
                Occasion::Resuming => owner.resume_by_progress(),
            }
        }
        if let Some(handler) = handler {
            handler.call();
        }
        for child in children {
            child.act(occasion);
        }
        self.changed();
    }

    /// Lets a child's progress count for so many of this one's units.
    pub fn add_child(self: &Arc<Self>, child: &Arc<Progress>, units: i64) -> Result<(), Refusal> {
        let mut ancestor = Some(Arc::clone(self));
        while let Some(progress) = ancestor {
            if Arc::ptr_eq(&progress, child) {
                return Err(Refusal::WouldContainItself);
            }
            ancestor = progress.parent();
        }
        let mut state = child.state.locked();
        if state.parent.is_some() {
            return Err(Refusal::HasParent);
        }
        state.parent = Some(Arc::downgrade(self));
        drop(state);
        let mut state = self.state.locked();
        state.children.push(Child {
            progress: Arc::clone(child),
            units,
        });
        let (cancelled, paused) = (state.cancelled, state.paused);
        drop(state);
        if paused {
            child.pause();
        }
        if cancelled {
            child.cancel();
        }
        child.changed();
        Ok(())
    }

    fn parent(&self) -> Option<Arc<Progress>> {
        self.state.locked().parent.as_ref().and_then(Weak::upgrade)
    }

    /// A child that has finished is as much as its units.
    fn child_changed(&self, child: &Progress) {
        let finished = child.is_finished();
        let mut state = self.state.locked();
        let place = state
            .children
            .iter()
            .position(|other| std::ptr::eq(&*other.progress, child));
        let gone = place
            .filter(|_| finished)
            .map(|place| state.children.remove(place));
        if let Some(gone) = &gone {
            state.completed = state.completed.saturating_add(gone.units);
        }
        drop(state);
        drop(gone);
        self.changed();
    }

    /// Tells those who watch this, and those above.
    fn changed(&self) {
        let mut state = self.state.locked();
        let queue = match &mut state.watching {
            Some(watching) if !watching.pending => {
                watching.pending = true;
                Some(Arc::clone(&watching.queue))
            }
            _ => None,
        };
        drop(state);
        if let (Some(queue), Some(this)) = (queue, self.this.upgrade()) {
            queue.post(this);
        }
        if let Some(parent) = self.parent() {
            parent.child_changed(self);
        }
    }

    /// Sets who is told of changes, and where.
    pub fn watch(&self, watching: Option<(Arc<dyn Observer>, Arc<Queue>)>) {
        let watching = watching.map(|(observer, queue)| Watching {
            observer,
            queue,
            pending: false,
        });
        let before = std::mem::replace(&mut self.state.locked().watching, watching);
        drop(before);
    }
}

impl Operation for Progress {
    fn run(self: Arc<Self>) {
        let mut state = self.state.locked();
        let observer = state.watching.as_mut().map(|watching| {
            watching.pending = false;
            Arc::clone(&watching.observer)
        });
        drop(state);
        if let Some(observer) = observer {
            observer.changed(&self);
        }
    }
}

impl Object for Progress {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let state = self.state.locked();
        format!(
            "<progress: {} of {}, {:.0} %{}{}, {} children>",
            state.completed,
            state.total,
            state.fraction() * 100.0,
            if state.cancelled { ", cancelled" } else { "" },
            if state.paused { ", paused" } else { "" },
            state.children.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_fractions() {
        for (completed, total, fraction, indeterminate, finished) in [
            (0, 0, 0.0, true, false),
            (0, 10, 0.0, false, false),
            (5, 10, 0.5, false, false),
            (10, 10, 1.0, false, true),
            (12, 10, 1.0, false, true),
            (3, 0, 1.0, false, true),
            (3, -1, 0.0, true, false),
            (-1, 10, 0.0, true, false),
        ] {
            let progress = Progress::discrete(total);
            progress.set_completed_unit_count(completed);
            let seen = (
                progress.fraction_completed(),
                progress.is_indeterminate(),
                progress.is_finished(),
            );
            assert_eq!(
                seen,
                (fraction, indeterminate, finished),
                "{completed}/{total}"
            );
        }
    }

    #[test]
    fn children_count_for_their_units() {
        let root = Progress::discrete(10);
        let (a, b) = (Progress::discrete(100), Progress::discrete(4));
        root.add_child(&a, 6).unwrap();
        root.add_child(&b, 3).unwrap();
        a.set_completed_unit_count(50);
        assert!((root.fraction_completed() - 0.3).abs() < 1e-9);
        b.set_completed_unit_count(4);
        assert_eq!(root.completed_unit_count(), 3);
        assert!((root.fraction_completed() - 0.6).abs() < 1e-9);
        a.set_completed_unit_count(100);
        root.set_completed_unit_count(10);
        assert!(root.is_finished());
        assert_eq!(root.add_child(&a, 1), Err(Refusal::HasParent));
        assert_eq!(a.add_child(&root, 1), Err(Refusal::WouldContainItself));
        assert_eq!(root.add_child(&root, 1), Err(Refusal::WouldContainItself));
    }

    #[test]
    fn a_task_that_succeeds_is_at_its_end() {
        let owner: Weak<Dead> = Weak::new();
        let progress = Progress::for_task(owner, DOWNLOADING);
        progress.update(0, -1);
        assert!(progress.is_indeterminate());
        progress.finish(true);
        assert_eq!(
            (progress.fraction_completed(), progress.is_finished()),
            (1.0, true)
        );
    }

    struct Dead;

    impl ProgressOwner for Dead {
        fn cancel_by_progress(self: Arc<Self>) {}
        fn pause_by_progress(self: Arc<Self>) {}
        fn resume_by_progress(self: Arc<Self>) {}
    }
}
