//! Tasks: state machine, counters, and the delivery of callbacks in order.

pub mod completion;
mod conversion;
mod delivery;
mod download;
mod ending;
mod kind;
mod loading;
mod progress;
mod state;
#[allow(clippy::module_inception)]
mod task;
mod upload;

pub use download::{Origin, ResumeDataHandler};
pub use kind::{TaskHandler, TaskKind};
pub use state::TaskState;
pub use task::{Task, TaskStart};
pub use upload::UploadStart;
