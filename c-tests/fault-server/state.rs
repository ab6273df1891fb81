//! What the server remembers between requests. One thread runs everything, so cells suffice.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::resumable::Upload;
use tokio::sync::Notify;

pub struct State {
    pub verbose: bool,
    pub accepted: Cell<u64>,
    pub open: Cell<u64>,
    pub max_open: Cell<u64>,
    pub requests: Cell<u64>,
    /// Never reset, so that a connection's number stays unique.
    last_connection: Cell<u64>,
    latches: RefCell<HashMap<String, Rc<Latch>>>,
    tags: RefCell<HashMap<String, Rc<Tag>>>,
    pub attempts: RefCell<HashMap<String, Attempts>>,
    /// Resumable uploads, by name.
    pub uploads: RefCell<HashMap<String, Upload>>,
    /// What `/range` was asked for, by name.
    pub ranges: RefCell<HashMap<String, Vec<String>>>,
    /// Sockets that have to stay open as long as the server runs.
    pub kept: RefCell<Vec<Box<dyn Any>>>,
}

impl State {
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            accepted: Cell::default(),
            open: Cell::default(),
            max_open: Cell::default(),
            requests: Cell::default(),
            last_connection: Cell::default(),
            latches: RefCell::default(),
            tags: RefCell::default(),
            attempts: RefCell::default(),
            uploads: RefCell::default(),
            ranges: RefCell::default(),
            kept: RefCell::default(),
        }
    }

    pub fn latch(&self, name: &str) -> Rc<Latch> {
        let mut latches = self.latches.borrow_mut();
        latches.entry(name.to_owned()).or_default().clone()
    }

    pub fn tag(&self, name: &str) -> Rc<Tag> {
        let mut tags = self.tags.borrow_mut();
        tags.entry(name.to_owned()).or_default().clone()
    }
}

pub fn add(cell: &Cell<u64>, amount: u64) {
    cell.set(cell.get() + amount);
}

/// Counts a connection for as long as it lives.
pub struct Counted {
    state: Rc<State>,
    pub id: u64,
}

impl Counted {
    pub fn new(state: Rc<State>) -> Self {
        add(&state.accepted, 1);
        add(&state.open, 1);
        add(&state.last_connection, 1);
        state
            .max_open
            .set(state.max_open.get().max(state.open.get()));
        let id = state.last_connection.get();
        Self { state, id }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.state.open.set(self.state.open.get() - 1);
    }
}

/// Waits until the condition holds; whoever changes what it looks at must notify. The `Notified`
/// is made before the condition is tested, so no change between the two is missed.
async fn until(changed: &Notify, condition: impl Fn() -> bool) {
    loop {
        let notified = changed.notified();
        if condition() {
            return;
        }
        notified.await;
    }
}

/// Where `/hold` waits for `/release`.
#[derive(Default)]
pub struct Latch {
    open: Cell<bool>,
    permits: Cell<u64>,
    waiting: Cell<u64>,
    // Two signals: thousands of held requests need not wake whenever one more arrives.
    released: Notify,
    arrived: Notify,
}

impl Latch {
    pub async fn pass(&self) {
        let _arrival = Arrival::new(self);
        until(&self.released, || {
            if self.open.get() {
                return true;
            }
            let permits = self.permits.get();
            self.permits.set(permits.saturating_sub(1));
            permits > 0
        })
        .await;
    }

    pub fn release(&self, count: Option<u64>) {
        match count {
            Some(count) => add(&self.permits, count),
            None => self.open.set(true),
        }
        self.released.notify_waiters();
    }

    pub async fn wait_for(&self, count: u64) -> u64 {
        until(&self.arrived, || self.waiting.get() >= count).await;
        self.waiting.get()
    }
}

/// Also takes back the count of a request whose client went away while it was held.
struct Arrival<'a>(&'a Latch);

impl<'a> Arrival<'a> {
    fn new(latch: &'a Latch) -> Self {
        add(&latch.waiting, 1);
        latch.arrived.notify_waiters();
        Self(latch)
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// What happened to the requests with one tag.
#[derive(Default)]
pub struct Tag {
    pub arrived: Counter,
    pub closed: Counter,
    pub finished: Counter,
    pub sent: Counter,
    pub received: Counter,
}

#[derive(Default)]
pub struct Counter {
    value: Cell<u64>,
    changed: Notify,
}

impl Counter {
    pub fn get(&self) -> u64 {
        self.value.get()
    }

    pub fn add(&self, amount: u64) {
        add(&self.value, amount);
        self.changed.notify_waiters();
    }

    pub async fn at_least(&self, amount: u64) {
        until(&self.changed, || self.get() >= amount).await;
    }
}

/// What `/reuse-reset` has seen under one name.
#[derive(Default)]
pub struct Attempts {
    pub requests: u64,
    pub dropped: u64,
}
