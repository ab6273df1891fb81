//! The turn of the loop that is under way on this thread: when it began, and whether anything moves.

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    /// When the turn of the loop on this thread began; set by the reactor.
    static TURN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Grows with everything that a transfer of this thread receives or sends.
    static TRANSFERRED: Cell<u64> = const { Cell::new(0) };
    /// Grows with that, and with whatever else shows that libcurl gets on.
    static ACTIVITY: Cell<u64> = const { Cell::new(0) };
}

/// The time, as exact as the loop's turns: reading the clock for each line of a head costs more
/// than looking at the line.
pub fn turn_time() -> Instant {
    TURN.get().unwrap_or_else(Instant::now)
}

/// Notes when a turn begins.
pub fn set_turn_time(now: Instant) {
    TURN.set(Some(now));
}

/// Notes that a transfer received or sent something.
pub fn note_transfer() {
    TRANSFERRED.set(TRANSFERRED.get() + 1);
    note_activity();
}

/// A number that grows whenever a transfer of this thread receives or sends something.
pub fn transferred() -> u64 {
    TRANSFERRED.get()
}

/// Notes that something moved.
pub fn note_activity() {
    ACTIVITY.set(ACTIVITY.get() + 1);
}

/// A number that grows with everything that moves on this thread.
pub fn activity() -> u64 {
    ACTIVITY.get()
}
