//! HTTP and HTTPS, over libcurl.

mod exchange;
mod failure;
mod head;
mod hosts;
mod loader;
mod measure;
mod options;
mod prepare;
mod remote;

pub use exchange::coding_failure;

pub use remote::{cancel, close, signal, start};

use std::sync::Arc;

use super::client::LoadStart;
use super::metrics::Transaction;
use super::request::RequestValue;
use crate::engine::easy::Ended;
use crate::engine::template::Prepared;

/// What is left of a load that ended. It may hold the last reference to something of the program's
/// (a body with a deallocator, a queue with an executor), so it is not let go on the loop.
pub struct Spent {
    start: Box<LoadStart>,
    _answer: Option<Arc<RequestValue>>,
    exchange: Option<Ended<exchange::Exchange>>,
    _prepared: Option<Prepared<exchange::Exchange>>,
    transactions: Vec<Transaction>,
}

impl Spent {
    /// The transactions of the load in the order in which they began, if it was to note them; for
    /// the first who asks.
    pub fn take_transactions(&mut self) -> Vec<Transaction> {
        std::mem::take(&mut self.transactions)
    }
}
