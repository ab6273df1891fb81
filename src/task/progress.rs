//! A task's progress object, and what the task tells it.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::kind::TaskKind;
use super::state::TaskState;
use super::task::Task;
use crate::foundation::progress::{self, Progress, ProgressOwner};

impl Task {
    /// The task's progress, made when somebody asks for it first. That of a task that became another
    /// goes on with that one.
    pub fn progress(&self) -> &Arc<Progress> {
        if let Some(next) = self.successor.get() {
            return next.progress();
        }
        let progress = self.progress.get_or_init(|| {
            let operation = match self.kind() {
                TaskKind::Data => progress::RECEIVING,
                TaskKind::Upload => progress::UPLOADING,
                TaskKind::Download => progress::DOWNLOADING,
            };
            let owner: Weak<dyn ProgressOwner> = Weak::<Task>::clone(&self.this);
            let progress = Progress::for_task(owner, operation);
            let (completed, total) = self.progress_counts();
            progress.update(completed, total, Instant::now());
            progress
        });
        // Afterwards: a task that completed meanwhile did not find it.
        match self.task_state() {
            TaskState::Completed => progress.finish(self.error().is_none()),
            TaskState::Canceling => progress.mirror_cancelled(),
            TaskState::Running | TaskState::Suspended => {}
        }
        progress
    }

    pub(super) fn progress_if_any(&self) -> Option<&Arc<Progress>> {
        let own = || self.progress.get();
        self.successor.get().is_none().then(own).flatten()
    }

    /// Takes over the progress of the task whose place this one takes.
    pub(super) fn adopt_progress(&self, progress: Arc<Progress>) {
        progress.pass_to(Weak::<Task>::clone(&self.this), progress::DOWNLOADING);
        // It is new: nobody has asked for its progress.
        let _ = self.progress.set(progress);
    }

    /// Tells the progress, if there is one, whether the task is suspended.
    pub(super) fn note_suspension(&self) {
        if let Some(progress) = self.progress_if_any() {
            progress.mirror_paused(|| self.task_state() == TaskState::Suspended);
        }
    }

    /// Tells the progress, if there is one, how far the task has come.
    pub(super) fn note_progress(&self) {
        if let Some(progress) = self.progress_if_any() {
            let (completed, total) = self.progress_counts();
            progress.update(completed, total, Instant::now());
        }
    }

    /// The same, when it has come that far without having been on the way.
    pub(super) fn note_leap(&self) {
        if let Some(progress) = self.progress_if_any() {
            let (completed, total) = self.progress_counts();
            progress.leap(completed, total, Instant::now());
        }
    }

    /// What was sent and received, and how much there is to be sent and received.
    fn progress_counts(&self) -> (i64, i64) {
        let (received, expected) = match &self.download {
            Some(download) => download.counts(),
            None => (
                self.count_of_bytes_received(),
                self.count_of_bytes_expected_to_receive(),
            ),
        };
        let to_send = self.count_of_bytes_expected_to_send();
        let known = to_send >= 0 && expected >= 0;
        let total = if known {
            to_send.saturating_add(expected)
        } else {
            -1
        };
        (self.count_of_bytes_sent().saturating_add(received), total)
    }
}

impl ProgressOwner for Task {
    fn cancel_by_progress(self: Arc<Self>) {
        self.cancel();
    }

    fn pause_by_progress(self: Arc<Self>) {
        self.suspend();
    }

    fn resume_by_progress(self: Arc<Self>) {
        self.resume();
    }

    fn progress_released(self: Arc<Self>) {
        self.cancel_if_unreachable();
    }
}
