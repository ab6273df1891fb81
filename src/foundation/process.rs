//! Which process this is: after a fork, the child has none of its parent's threads.

use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Grows by one in every forked child. What was made in an earlier generation belonged to threads
/// that do not exist here.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Called in a forked child, where only async-signal-safe work is allowed.
pub extern "C" fn note_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
