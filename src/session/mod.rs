//! Sessions: configuration, delegate, life cycle.

pub mod configuration;
pub mod delegate;
#[allow(clippy::module_inception)]
mod session;

pub use session::{Session, shared};
