//! Parents and children.

use std::sync::{Arc, Mutex, Weak};

use super::{Progress, Signal, State};
use crate::foundation::process::PerProcess;
use crate::foundation::sync::Lock;

/// Telling a change, cancelling and freeing go through a tree level by level.
const MOST_LEVELS: usize = 64;

/// Held while a child is added, so that two threads cannot make a circle together. Taken before the
/// lock of any progress.
static GROWTH: PerProcess<Mutex<()>> = PerProcess::new();

/// One below, and the units of the parent's that it stands for.
pub struct Child {
    progress: Arc<Progress>,
    pending: i64,
}

pub type Parent = Weak<Progress>;

pub fn objects(children: &[Child]) -> Vec<Arc<Progress>> {
    children
        .iter()
        .map(|child| Arc::clone(&child.progress))
        .collect()
}

impl State {
    /// A child has finished: its units are completed ones now. Only once for each child.
    fn credit(&mut self, child: &Arc<Progress>) -> bool {
        let is_it = |each: &Child| Arc::ptr_eq(&each.progress, child);
        let Some(index) = self.children.iter().position(is_it) else {
            return false;
        };
        let pending = self.children.swap_remove(index).pending;
        self.counts.completed = self.counts.completed.saturating_add(pending);
        true
    }

    /// Applies a change, and returns whether it was one and whether it finished the work.
    fn apply(&mut self, change: impl FnOnce(&mut State) -> bool) -> (bool, bool) {
        let was_finished = self.counts.is_finished();
        let changed = change(self);
        if changed {
            self.announce();
        }
        (changed, !was_finished && self.counts.is_finished())
    }
}

impl Progress {
    /// Applies a change, which says whether it was one, and tells those above. Calls nobody.
    pub(super) fn change(self: &Arc<Self>, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.state.locked();
        let (mut changed, mut finished) = state.apply(change);
        let mut parent = state.parent.clone();
        drop(state);
        let mut child = Arc::clone(self);
        while changed && let Some(above) = parent.as_ref().and_then(Weak::upgrade) {
            let mut state = above.state.locked();
            (changed, finished) =
                state.apply(|state| if finished { state.credit(&child) } else { true });
            parent = state.parent.clone();
            drop(state);
            child = above;
        }
    }

    /// How much is done, children included.
    pub fn fraction(&self) -> f64 {
        let (counts, children) = {
            let state = self.state.locked();
            let part = |child: &Child| (Arc::clone(&child.progress), child.pending);
            let children: Vec<_> = state.children.iter().map(part).collect();
            (state.counts, children)
        };
        let done = children
            .iter()
            .map(|(child, pending)| child.contribution() * *pending as f64)
            .sum();
        counts.fraction(!children.is_empty(), done)
    }

    /// What a parent counts. One whose counts were not set is about to begin, not done.
    fn contribution(&self) -> f64 {
        let is_untouched = self.state.locked().counts.is_untouched();
        if is_untouched { 0.0 } else { self.fraction() }
    }

    /// Makes `child` stand for so many units of this. Says why not.
    pub fn add_child(
        self: &Arc<Self>,
        child: &Arc<Progress>,
        pending: i64,
    ) -> Result<(), &'static str> {
        if pending < 0 {
            return Err("a child cannot stand for fewer than no units");
        }
        if self.is_mirror() {
            return Err("the progress of a task has no children");
        }
        // What was looked at on the way is let go after the lock: that may run the caller's code.
        let mut seen = Vec::new();
        let growth = GROWTH.get_or(Mutex::default).locked();
        let parent = child.state.locked().parent.clone();
        if parent.is_some_and(|parent| parent.strong_count() > 0) {
            return Err("the child has a parent already");
        }
        let mut above = Some(Arc::clone(self));
        let mut levels = 0;
        while let Some(each) = above {
            if Arc::ptr_eq(&each, child) {
                seen.push(each);
                return Err("a progress cannot be below itself");
            }
            levels += 1;
            let parent = each.state.locked().parent.clone();
            above = parent.as_ref().and_then(Weak::upgrade);
            seen.push(each);
        }
        if levels + child.levels(&mut seen) > MOST_LEVELS {
            return Err("the tree would be too deep");
        }
        let (cancelled, paused) = {
            let mut state = self.state.locked();
            let progress = Arc::clone(child);
            state.children.push(Child { progress, pending });
            (state.cancelled, state.paused)
        };
        let finished = {
            let mut state = child.state.locked();
            state.parent = Some(Arc::downgrade(self));
            state.counts.is_finished()
        };
        drop(growth);
        drop(seen);

        self.change(|state| if finished { state.credit(child) } else { true });
        if cancelled {
            child.send(Signal::Cancel);
        }
        if paused {
            child.send(Signal::Pause);
        }
        Ok(())
    }

    /// Levels of the tree from here downwards.
    fn levels(&self, seen: &mut Vec<Arc<Progress>>) -> usize {
        let children = objects(&self.state.locked().children);
        let below = children.iter().map(|child| child.levels(seen)).max();
        seen.extend(children);
        1 + below.unwrap_or(0)
    }
}
