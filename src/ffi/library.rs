//! The library itself: versions, features, logs.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use once_cell::sync::Lazy;
use tracing::Level;

use super::guard::{callback, guarded};
use super::string::text;
use super::types::{
    OwnedContext, nsurlsession_log_handler_t, nsurlsession_log_level_t,
    nsurlsession_release_block_t,
};
use crate::engine::curl::{Capabilities, FEATURE_HTTP2, FEATURE_IPV6, FEATURE_TLS};
use crate::foundation::log;
use crate::foundation::string::c_string;

static CAPABILITIES: Lazy<Capabilities> = Lazy::new(Capabilities::query);
static CURL_VERSION: Lazy<CString> =
    Lazy::new(|| c_string(&format!("libcurl/{}", CAPABILITIES.version)));
static TLS_VERSION: Lazy<CString> =
    Lazy::new(|| c_string(CAPABILITIES.tls.as_deref().unwrap_or_default()));

/// A number of the package's version.
const fn number(text: &str) -> u32 {
    let (bytes, mut value, mut index) = (text.as_bytes(), 0, 0);
    while index < bytes.len() {
        value = value * 10 + (bytes[index] - b'0') as u32;
        index += 1;
    }
    value
}

/// The version of the library in use, as NSURLSESSION_VERSION_NUMBER is that of the header:
/// 0x00MMmmpp.
#[unsafe(no_mangle)]
pub extern "C" fn nsurlsession_version() -> u32 {
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// The version of the library in use as text, such as "0.1.0". The string is static.
#[unsafe(no_mangle)]
pub extern "C" fn nsurlsession_version_string() -> *const c_char {
    const { concat!(env!("CARGO_PKG_VERSION"), "\0") }
        .as_ptr()
        .cast()
}

/// The version of libcurl in use, such as "libcurl/8.22.0". The string is static.
#[unsafe(no_mangle)]
pub extern "C" fn nsurlsession_curl_version() -> *const c_char {
    guarded("nsurlsession_curl_version", std::ptr::null(), || {
        CURL_VERSION.as_ptr()
    })
}

/// The TLS library in use and its version, such as "OpenSSL/3.6.3"; empty when there is none. The
/// string is static.
#[unsafe(no_mangle)]
pub extern "C" fn nsurlsession_tls_version() -> *const c_char {
    guarded("nsurlsession_tls_version", std::ptr::null(), || {
        TLS_VERSION.as_ptr()
    })
}

/// Whether tasks can use a URL scheme ("http", "https") or an application protocol by its ALPN name
/// ("http/1.1", "h2"). Anything else, "h3" included, or NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_supports_protocol(protocol: *const c_char) -> bool {
    const NAME: &str = "nsurlsession_supports_protocol";
    guarded(NAME, false, || match text(protocol, NAME).as_deref() {
        Some(scheme @ ("http" | "https")) => CAPABILITIES.speaks(scheme),
        Some("http/1.1") => CAPABILITIES.speaks("http"),
        Some("h2") => CAPABILITIES.has(FEATURE_HTTP2),
        _ => false,
    })
}

/// Whether this build has a feature: a content coding ("gzip", "deflate", "br", "zstd"), "idn"
/// (international host names), "ipv6", "tls". Anything else, or NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_supports_feature(feature: *const c_char) -> bool {
    const NAME: &str = "nsurlsession_supports_feature";
    guarded(NAME, false, || match text(feature, NAME).as_deref() {
        Some("gzip" | "deflate" | "br" | "zstd" | "idn") => true,
        Some("ipv6") => CAPABILITIES.has(FEATURE_IPV6),
        Some("tls") => CAPABILITIES.has(FEATURE_TLS),
        _ => false,
    })
}

/// A log handler of the caller's.
struct CHandler {
    handler: unsafe extern "C-unwind" fn(
        *mut c_void,
        nsurlsession_log_level_t,
        *const c_char,
        *const c_char,
    ),
    context: OwnedContext,
}

impl log::Handler for CHandler {
    fn log(&self, level: Level, target: &str, message: &str) {
        let level = match level {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        let (target, message) = (c_string(target), c_string(message));
        // SAFETY: the caller's function with the caller's context, and strings that live on.
        callback(|| unsafe {
            (self.handler)(
                self.context.pointer(),
                level,
                target.as_ptr(),
                message.as_ptr(),
            )
        });
    }
}

/// Sends log records to `handler` instead of standard error; NULL: to standard error again. The
/// environment variable NSURLSESSION_LOG says what is logged, in the way of RUST_LOG: a level (off,
/// error, warn, info, debug, trace), or levels by area, such as "warn,loading=debug" (areas:
/// engine, ffi, loading, queue, security, session, storage, task). Without it errors are logged, and
/// with a handler everything up to info. `release`, if it is not NULL, gets the context once the
/// handler was replaced. The handler may be called on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_set_log_handler(
    handler: nsurlsession_log_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    guarded("nsurlsession_set_log_handler", (), || {
        let context = OwnedContext::new(context, release);
        let handler =
            handler.map(|handler| Arc::new(CHandler { handler, context }) as Arc<dyn log::Handler>);
        drop(log::set_handler(handler));
    });
}
