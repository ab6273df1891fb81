//! HTTP and HTTPS, over libcurl.

mod exchange;
mod failure;
mod head;
mod hosts;
mod loader;
mod options;
mod prepare;
mod remote;

pub use exchange::coding_failure;

pub use remote::{cancel, close, signal, start};

use std::sync::Arc;

use super::client::LoadStart;
use super::request::RequestValue;
use crate::engine::easy::{Ended, Prepared};

/// What is left of a load that ended. It may hold the last reference to something of the program's
/// (a body with a deallocator, a queue with an executor), so it is not let go on the loop.
pub struct Spent {
    _start: Box<LoadStart>,
    _request: Option<Arc<RequestValue>>,
    _answer: Option<Arc<RequestValue>>,
    _exchange: Option<Ended<exchange::Exchange>>,
    _prepared: Option<Prepared<exchange::Exchange>>,
}
