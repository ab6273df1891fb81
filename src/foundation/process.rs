//! Which process this is: after a fork, the child has none of its parent's threads.

use std::sync::atomic::{AtomicU32, Ordering};

use once_cell::sync::OnceCell;

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

/// Something that there is one of in each process: a forked child makes its own, and leaves alone
/// what it inherited. Reading takes no lock, which a thread of the parent's may hold for ever.
pub struct PerProcess<T> {
    value: OnceCell<T>,
    /// That of a forked child.
    child: OnceCell<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess {
            value: OnceCell::new(),
            child: OnceCell::new(),
        }
    }

    fn cell(&self) -> &OnceCell<T> {
        let mut this = self;
        for _ in 0..generation() {
            this = this.child.get_or_init(|| Box::new(PerProcess::new()));
        }
        &this.value
    }

    /// The value of this process, made at its first use. An error is not remembered.
    pub fn get_or_try<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.cell().get_or_try_init(make)
    }

    pub fn get_or(&self, make: impl FnOnce() -> T) -> &T {
        self.cell().get_or_init(make)
    }
}
