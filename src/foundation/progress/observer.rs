//! Tells the program, on its queue, that a progress has changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::Progress;
use crate::foundation::queue::{Operation, Queue};
use crate::foundation::sync::Lock;

/// A block of the caller's that is told of changes. Dropping it releases its context.
pub trait ChangeHandler: Send + Sync {
    fn changed(&self, progress: &Arc<Progress>);
}

/// The place of a handler; without it, what is on the queue already calls nobody.
pub struct Observer {
    queue: Arc<Queue>,
    call: Arc<Call>,
}

/// What lies on the queue, which does not hold the queue in turn.
struct Call {
    progress: Weak<Progress>,
    /// It lies on the queue: changes until it runs are reported by it.
    pending: AtomicBool,
    handler: Mutex<Option<Arc<dyn ChangeHandler>>>,
}

impl Observer {
    pub fn new(
        queue: Arc<Queue>,
        progress: Weak<Progress>,
        handler: Arc<dyn ChangeHandler>,
    ) -> Observer {
        Observer {
            queue,
            call: Arc::new(Call {
                progress,
                pending: AtomicBool::new(false),
                handler: Mutex::new(Some(handler)),
            }),
        }
    }

    /// Has the handler called once more, unless it is going to be anyway. Calls nobody itself.
    pub fn announce(&self) {
        if !self.call.pending.swap(true, Ordering::AcqRel) {
            self.queue
                .post(Arc::clone(&self.call) as Arc<dyn Operation>);
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // One that is being called lives until it returns.
        let handler = self.call.handler.locked().take();
        drop(handler);
    }
}

impl Operation for Call {
    fn run(self: Arc<Self>) {
        // First: what changes from now on is another change.
        self.pending.swap(false, Ordering::AcqRel);
        let handler = self.handler.locked().clone();
        if let (Some(handler), Some(progress)) = (handler, self.progress.upgrade()) {
            handler.changed(&progress);
        }
    }
}
