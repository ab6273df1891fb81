//! Apple's `NSURLSession` and its family for Linux, as a C library over libcurl.
//!
//! The folders are layers; none knows those above it. From the top: `ffi` (C types, one file a
//! class), `session` and `task` (life cycles, delegate order), `loading` (one loader a scheme),
//! `storage` (files), `security`, `engine` (the event thread: epoll, timers, libcurl), `foundation` (values, errors,
//! queues, logs).

mod engine;
pub mod ffi;
mod foundation;
mod loading;
mod security;
mod session;
mod storage;
mod task;
