//! The event thread: epoll, timers and libcurl's multi interface. Knows transfers, not sessions.
//!
//! Everything that touches libcurl lives on one thread. Other threads reach it by commands.

pub mod curl;
pub mod easy;
pub mod handle;
mod memory;
pub mod multi;
pub mod process;
pub mod reactor;
pub mod shared_connections;
pub mod sockets;
pub mod template;
pub mod timers;
pub mod tls;
pub mod transfer;
pub mod turn;
