//! A data task becomes a download task: its load, and what came of it so far, change hands.

use std::sync::Arc;

use super::delivery::Event;
use super::download::Origin;
use super::kind::TaskKind;
use super::state::Machine;
use super::task::{Task, TaskStart};
use crate::foundation::sync::Lock;
use crate::session::delegate::Method;

impl Task {
    /// The answer to did_receive_response was to go on as a download.
    pub(super) fn become_download(self: &Arc<Self>) {
        self.state.locked().push_first(Event::BecomeDownload);
        self.unblock();
    }

    pub(super) fn deliver_conversion(self: &Arc<Self>) {
        // When it was cancelled in between, or its time was up, there is no download.
        let Some(download) = self.hand_over_load() else {
            return;
        };
        if let Some(delegate) = download.delegate_for(Method::DidBecomeDownloadTask) {
            delegate.did_become_download_task(&self.session, self, &download);
        }
        self.session.task_completes(self.identifier());
        self.session.task_is_over();
    }

    /// Lets a download take this task's place. What the loop tells this one from now on is for the
    /// other, which nobody sees before it is as far as this one was.
    fn hand_over_load(self: &Arc<Self>) -> Option<Arc<Task>> {
        let next = self.session.make_successor(
            self,
            TaskStart {
                kind: TaskKind::Download,
                request: Arc::clone(self.original_request()),
                handler: None,
                origin: Origin::Nothing,
                upload: None,
            },
        );
        let progress = Arc::clone(self.progress());
        let mut state = self.state.locked();
        if state.machine.is_cancelled() || state.machine.is_over() {
            return None;
        }
        if let (Some(download), Some(response)) = (&next.download, &state.response) {
            download.accept(response);
        }
        next.continue_from(self);
        next.adopt_progress(progress);
        let mut theirs = next.state.locked();
        theirs.machine = std::mem::replace(&mut state.machine, Machine::completed());
        theirs.current = Arc::clone(&state.current);
        theirs.response = state.response.clone();
        theirs.delegate = state.delegate.take();
        theirs.description = state.description.clone();
        theirs.outcome = state.outcome.take();
        theirs.spent = state.spent.take();
        let ended = theirs.outcome.is_some();
        state.clear_mailbox();
        *next.reader.locked() = self.reader.locked().take();
        drop(theirs);
        // Nobody else hands over: there is one answer.
        let _ = self.successor.set(Arc::clone(&next));
        self.session.admit(&next);
        drop(state);
        next.download_received_data();
        if ended {
            next.download_ended();
        }
        Some(next)
    }

    /// Cancels the task, or what it has become.
    pub fn cancel_in_any_form(self: &Arc<Self>) {
        self.cancel();
        if let Some(next) = self.successor.get() {
            next.cancel();
        }
    }
}
