//! What went wrong, as an error of NSURLErrorDomain.

use super::exchange::Exchange;
use crate::engine::curl;
use crate::engine::easy::Easy;
use crate::engine::tls;
use crate::foundation::error::{CURL_DOMAIN, Failure, OPENSSL_DOMAIN, POSIX_DOMAIN};
use crate::foundation::error_code;
use crate::loading::curl_error;

/// A head of this length is one that libcurl refuses to read on.
const LONG_HEAD: usize = 64 * 1024;

/// A transfer that libcurl ended without an error, but also without a response: the server closed
/// the connection inside a head, or switched to another protocol unasked.
pub fn without_response() -> Failure {
    Failure::new(error_code::NETWORK_CONNECTION_LOST)
        .detail("The connection ended before the response’s head was complete.")
        .underlying(
            CURL_DOMAIN,
            i64::from(curl_sys::CURLE_GOT_NOTHING),
            curl::describe(curl_sys::CURLE_GOT_NOTHING),
        )
}

/// Names the error of a transfer that libcurl ended with `code`.
pub fn of_transfer(easy: &mut Easy<Exchange>, code: u32) -> Failure {
    if easy.panicked() {
        return Failure::new(error_code::UNKNOWN)
            .detail("The library failed inside. This is a bug of its own.");
    }
    if let Some(failure) = easy.transfer().failure.take() {
        return failure;
    }
    let text = match easy.error_text() {
        text if text.is_empty() => curl::describe(code),
        text => text,
    };
    let errno = i32::try_from(easy.info_long(curl_sys::CURLINFO_OS_ERRNO)).unwrap_or(0);
    let verified = match code {
        curl_sys::CURLE_PEER_FAILED_VERIFICATION => {
            easy.info_long(curl_sys::CURLINFO_SSL_VERIFYRESULT)
        }
        _ => 0,
    };
    let head_length = match easy.transfer() {
        exchange if exchange.responded => 0,
        exchange => exchange.head_length,
    };
    let apple = match code {
        // The scheme was looked at before; what is left is an answer that is not HTTP/1 or later.
        curl_sys::CURLE_UNSUPPORTED_PROTOCOL => error_code::CANNOT_PARSE_RESPONSE,
        curl_sys::CURLE_PEER_FAILED_VERIFICATION => {
            curl_error::from_verify_result(verified).unwrap_or_else(|| curl_error::from_curl(code))
        }
        // What came cannot be the head of a response: libcurl gave up reading it.
        _ if head_length >= LONG_HEAD => error_code::CANNOT_PARSE_RESPONSE,
        curl::ERROR_TOO_LARGE if !easy.transfer().responded => error_code::CANNOT_PARSE_RESPONSE,
        // The body could be sent again, but the request is not one for that (see `Exchange`).
        curl_sys::CURLE_SEND_FAIL_REWIND => error_code::NETWORK_CONNECTION_LOST,
        curl_sys::CURLE_COULDNT_CONNECT
        | curl_sys::CURLE_SEND_ERROR
        | curl_sys::CURLE_RECV_ERROR
        | curl_sys::CURLE_SSL_CONNECT_ERROR
            if errno != 0 =>
        {
            curl_error::from_errno(errno, code)
        }
        _ => curl_error::from_curl(code),
    };
    let mut failure =
        Failure::new(apple)
            .detail(text.clone())
            .underlying(CURL_DOMAIN, i64::from(code), text);
    if verified != 0 {
        failure = failure.underlying(OPENSSL_DOMAIN, verified, verify_text(verified));
    } else if errno != 0 {
        failure = failure.underlying(
            POSIX_DOMAIN,
            i64::from(errno),
            std::io::Error::from_raw_os_error(errno).to_string(),
        );
    }
    failure
}

fn verify_text(code: i64) -> String {
    i32::try_from(code).map_or_else(|_| format!("verification error {code}"), tls::verify_text)
}
