//! The way to the loader from other threads.

use std::sync::Arc;

use super::loader::{Command, Loader};
use super::prepare;
use crate::engine::reactor::{self, Remote};
use crate::foundation::process::PerProcess;
use crate::loading::client::{CANCEL, Connections, LoadControl, LoadStart};

/// The loop of this process.
fn remote() -> Option<&'static Remote<Command>> {
    static LOOP: PerProcess<Remote<Command>> = PerProcess::new();
    match LOOP.get_or_try(reactor::start::<Loader>) {
        Ok(remote) => Some(remote),
        Err(error) => {
            tracing::error!(target: "loading", %error, "the event thread cannot be started");
            None
        }
    }
}

/// Begins to load. False when the loop cannot be started.
pub fn start(start: Box<LoadStart>) -> bool {
    let Some(remote) = remote() else {
        return false;
    };
    let prepared = prepare::prepare_first(&start);
    remote.send(Command::Start(start, prepared)).is_ok()
}

/// Tells a load something.
pub fn signal(control: &Arc<LoadControl>, signal: u32) {
    if control.raise(signal)
        && let Some(remote) = remote()
    {
        // A loop that is gone has no loads.
        let _ = remote.send(Command::Signal(Arc::clone(control)));
    }
}

/// Ends a load with a cancellation.
pub fn cancel(control: &Arc<LoadControl>) {
    signal(control, CANCEL);
}

/// Closes the connections of a session.
pub fn close(connections: &Arc<Connections>) {
    if let Some(remote) = remote() {
        let _ = remote.send(Command::Close(Arc::clone(connections)));
    }
}
