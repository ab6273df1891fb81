//! Values, errors, queues and logs: what everything above stands on.

pub mod array;
pub mod bound_pair;
pub mod data;
pub mod date_interval;
pub mod dictionary;
pub mod error;
pub mod error_code;
pub mod headers;
pub mod log;
pub mod media;
pub mod object;
pub mod pool;
pub mod process;
pub mod progress;
pub mod queue;
pub mod status;
pub mod stream;
pub mod string;
pub mod sync;
