//! The way to the loader from other threads.

use std::sync::{Arc, Mutex};

use super::loader::{self, Command, Loader};
use crate::engine::reactor::{self, Remote};
use crate::foundation::process;
use crate::foundation::sync::Lock;
use crate::loading::client::{CANCEL, Connections, LoadControl, LoadStart};

/// The loop of this process; a forked child gets its own.
fn remote() -> Option<&'static Remote<Command>> {
    static LOOPS: Mutex<Vec<(u32, &'static Remote<Command>)>> = Mutex::new(Vec::new());
    thread_local! {
        /// Spares the lock; a thread belongs to one generation for ever, but for the one that forks.
        static KNOWN: std::cell::Cell<Option<(u32, &'static Remote<Command>)>> = const { std::cell::Cell::new(None) };
    }
    let generation = process::generation();
    if let Some((known, remote)) = KNOWN.get()
        && known == generation
    {
        return Some(remote);
    }
    let mut loops = LOOPS.locked();
    let remote = match loops.iter().find(|(other, _)| *other == generation) {
        Some((_, remote)) => *remote,
        None => match reactor::start::<Loader>() {
            Ok(remote) => {
                let remote: &'static Remote<Command> = Box::leak(Box::new(remote));
                loops.push((generation, remote));
                remote
            }
            Err(error) => {
                tracing::error!(target: "loading", %error, "the event thread cannot be started");
                return None;
            }
        },
    };
    KNOWN.set(Some((generation, remote)));
    Some(remote)
}

/// Begins to load. When the loop cannot be started the load comes back.
pub fn start(start: Box<LoadStart>) -> Result<(), Box<LoadStart>> {
    match remote() {
        Some(remote) => {
            let prepared = loader::prepare(&start, &start.request, false);
            remote.send(Command::Start(start, prepared));
            Ok(())
        }
        None => Err(start),
    }
}

/// Tells a load something.
pub fn signal(control: &Arc<LoadControl>, signal: u32) {
    if control.raise(signal)
        && let Some(remote) = remote()
    {
        remote.send(Command::Signal(Arc::clone(control)));
    }
}

/// Ends a load with a cancellation.
pub fn cancel(control: &Arc<LoadControl>) {
    signal(control, CANCEL);
}

/// Closes the connections of a session.
pub fn close(connections: &Arc<Connections>) {
    if let Some(remote) = remote() {
        remote.send(Command::Close(Arc::clone(connections)));
    }
}
