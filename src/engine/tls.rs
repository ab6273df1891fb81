//! What the TLS library says.

use std::ffi::{c_uint, c_void};

use openssl::x509::X509VerifyResult;

use super::curl;

/// What the two sides of a TLS connection agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The version's number on the wire: 0x0304 for TLS 1.3.
    pub version: u16,
    /// IANA's number of the cipher suite, 0 without one.
    pub cipher: u16,
    /// The connection speaks HTTP/2.
    pub http2: bool,
}

/// Reads a session of OpenSSL's.
///
/// # Safety
/// `session` is an `SSL *` that is live and belongs to this thread.
pub unsafe fn negotiated(session: *const c_void) -> Negotiated {
    let mut name: *const u8 = std::ptr::null();
    let mut length: c_uint = 0;
    // SAFETY: by this function's own contract; the cipher and the name belong to the session, and
    // NULL is checked.
    unsafe {
        let cipher = curl::SSL_get_current_cipher(session);
        curl::SSL_get0_alpn_selected(session, &mut name, &mut length);
        Negotiated {
            version: u16::try_from(curl::SSL_version(session)).unwrap_or(0),
            cipher: if cipher.is_null() {
                0
            } else {
                curl::SSL_CIPHER_get_protocol_id(cipher)
            },
            http2: !name.is_null() && std::slice::from_raw_parts(name, length as usize) == b"h2",
        }
    }
}

/// OpenSSL's sentence for the result of verifying a certificate.
pub fn verify_text(code: i32) -> String {
    // SAFETY: any number is allowed: OpenSSL has a text for unknown ones.
    unsafe { X509VerifyResult::from_raw(code) }
        .error_string()
        .to_owned()
}
