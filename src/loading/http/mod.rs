//! HTTP and HTTPS, over libcurl.

mod exchange;
mod failure;
mod head;
mod hosts;
mod loader;
mod options;
mod remote;

pub use exchange::coding_failure;

pub use remote::{cancel, close, signal, start};

/// What is left of a transfer that ended.
pub type Spent = crate::engine::easy::Idle<exchange::Exchange>;
