//! The C interface: types, pointers, and nothing else. One file a class of Apple's.
//!
//! The contract of every function is the header's: a handle is NULL or one that the library gave
//! and the caller still holds, a string is NULL or NUL-terminated, a pointer with a length is valid
//! for that length, and a callback's context may be used on any thread. What can be checked of it
//! is checked (`object::borrowed`, `string::text`), so the bodies here need no `unsafe` of their own.
//!
//! The comments of these functions are the header's: they are written for C.

#![allow(clippy::missing_safety_doc)]
#![allow(non_camel_case_types)]

pub mod array;
pub mod configuration;
pub mod data;
pub mod date_interval;
pub mod delegate;
pub mod dictionary;
pub mod download_task;
pub mod error;
mod guard;
pub mod layout;
pub mod library;
pub mod metrics;
pub mod object;
pub mod progress;
pub mod queue;
pub mod request;
pub mod response;
pub mod session;
pub mod stream;
pub mod string;
pub mod task;
pub mod types;
pub mod upload_task;
pub mod url;
