//! Tasks: state machine, counters, and the delivery of callbacks in order.

pub mod completion;
mod delivery;
mod ending;
mod kind;
mod state;
#[allow(clippy::module_inception)]
mod task;

pub use kind::{TaskHandler, TaskKind};
pub use state::TaskState;
pub use task::{Task, TaskStart};
