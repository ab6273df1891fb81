//! What surrounds every call: no panic leaves the library, and misuse is told in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::foundation::log;

/// Runs a function's body; a panic in it is logged and `failed` returned.
pub fn guarded<R>(function: &str, failed: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        misuse(function, "failed inside: this is a bug of the library's");
        failed
    })
}

/// Tells the log that a call did nothing, and why.
pub fn misuse(function: &str, what: &str) {
    log::start();
    tracing::error!(target: "ffi", "{function}: {what}");
}

/// Runs a callback of the caller's. A C++ exception that comes out of it ends the program with a
/// message instead of running wild through frames that do not expect it.
pub fn callback<R>(call: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result,
        Err(_) => {
            eprintln!("nsurlsession: a callback threw an exception or panicked; the program ends");
            std::process::abort();
        }
    }
}
