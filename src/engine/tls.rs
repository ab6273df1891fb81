//! What the TLS library says.

use openssl::x509::X509VerifyResult;

/// OpenSSL's sentence for the result of verifying a certificate.
pub fn verify_text(code: i32) -> String {
    // SAFETY: any number is allowed: OpenSSL has a text for unknown ones.
    unsafe { X509VerifyResult::from_raw(code) }
        .error_string()
        .to_owned()
}
