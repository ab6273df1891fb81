//! NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics.

use std::ffi::{CStr, c_char};
use std::net::SocketAddr;
use std::sync::Arc;

use super::guard::guarded;
use super::object::{borrowed, handed_out, handed_out_option};
use super::string::lent_text;
use super::types::{
    nsurlsession_array_t, nsurlsession_date_interval_t, nsurlsession_request_t,
    nsurlsession_response_t, nsurlsession_task_metrics_domain_resolution_protocol_t,
    nsurlsession_task_metrics_resource_fetch_type_t, nsurlsession_task_metrics_t,
    nsurlsession_transaction_metrics_t,
};
use crate::loading::metrics::{Dates, Tls, Transaction, TransactionMetrics};

/// -[NSURLSessionTaskMetrics transactionMetrics]. An nsurlsession_transaction_metrics_t for each
/// request that was made for the task, with its response, in the order of time: redirects that were
/// followed, and the continuation of a download that had to begin anew, each have their own. A task
/// that ended before it could begin has one, of which nothing but the request is known. The caller
/// releases the array. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_metrics_transaction_metrics(
    metrics: *const nsurlsession_task_metrics_t,
) -> *mut nsurlsession_array_t {
    const NAME: &str = "nsurlsession_task_metrics_transaction_metrics";
    guarded(NAME, std::ptr::null_mut(), || {
        let metrics = borrowed(metrics, NAME);
        handed_out_option(metrics.map(|metrics| Arc::clone(metrics.transactions())))
    })
}

/// -[NSURLSessionTaskMetrics taskInterval]. From the creation of the task, not from its first
/// resumption, until just before it turned completed. The caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_metrics_task_interval(
    metrics: *const nsurlsession_task_metrics_t,
) -> *mut nsurlsession_date_interval_t {
    const NAME: &str = "nsurlsession_task_metrics_task_interval";
    guarded(NAME, std::ptr::null_mut(), || {
        let metrics = borrowed(metrics, NAME);
        handed_out_option(metrics.map(|metrics| Arc::clone(metrics.interval())))
    })
}

/// -[NSURLSessionTaskMetrics redirectCount]. How many redirects were followed. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_task_metrics_redirect_count(
    metrics: *const nsurlsession_task_metrics_t,
) -> usize {
    const NAME: &str = "nsurlsession_task_metrics_redirect_count";
    guarded(NAME, 0, || {
        borrowed(metrics, NAME).map_or(0, |metrics| metrics.redirects())
    })
}

fn read<R: Copy>(
    metrics: *const nsurlsession_transaction_metrics_t,
    name: &str,
    nothing: R,
    read: impl FnOnce(&TransactionMetrics) -> R,
) -> R {
    guarded(name, nothing, || {
        borrowed(metrics, name).map_or(nothing, |metrics| read(&metrics))
    })
}

/// -[NSURLSessionTaskTransactionMetrics request]. A copy of the request. The caller releases it.
/// NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_request(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> *mut nsurlsession_request_t {
    const NAME: &str = "nsurlsession_transaction_metrics_request";
    read(metrics, NAME, std::ptr::null_mut(), |metrics| {
        handed_out(metrics.request())
    })
}

/// -[NSURLSessionTaskTransactionMetrics response]. The response, which the caller releases. None had
/// come when it ended, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_response(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> *mut nsurlsession_response_t {
    const NAME: &str = "nsurlsession_transaction_metrics_response";
    read(metrics, NAME, std::ptr::null_mut(), |metrics| {
        handed_out_option(metrics.facts().response.clone())
    })
}

fn date(
    metrics: *const nsurlsession_transaction_metrics_t,
    name: &str,
    date: impl FnOnce(&Dates) -> f64,
) -> f64 {
    read(metrics, name, f64::NAN, |metrics| {
        date(&metrics.facts().dates)
    })
}

/// -[NSURLSessionTaskTransactionMetrics fetchStartDate]. When the request was to be made, in
/// seconds since 1970: the task was resumed, or the redirect before was decided on. It may have to
/// wait for a connection after that. All dates of a transaction are in seconds since 1970, and not
/// a number for what did not happen; of what began and failed there is no end, and no date of what
/// would have followed. NULL: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_fetch_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_fetch_start_date";
    date(metrics, NAME, |dates| dates.fetch_start)
}

/// -[NSURLSessionTaskTransactionMetrics domainLookupStartDate]. When the host's name began to be
/// looked up. On a kept connection, and for an address instead of a name: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_domain_lookup_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_domain_lookup_start_date";
    date(metrics, NAME, |dates| dates.domain_lookup_start)
}

/// -[NSURLSessionTaskTransactionMetrics domainLookupEndDate]. When the host's name had been looked
/// up; soon after the start for one that was looked up a short while before. Otherwise as the
/// start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_domain_lookup_end_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_domain_lookup_end_date";
    date(metrics, NAME, |dates| dates.domain_lookup_end)
}

/// -[NSURLSessionTaskTransactionMetrics connectStartDate]. When the connection began to be made. On
/// a kept connection: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_connect_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_connect_start_date";
    date(metrics, NAME, |dates| dates.connect_start)
}

/// -[NSURLSessionTaskTransactionMetrics secureConnectionStartDate]. When TLS began on the new
/// connection. Without TLS and on a kept connection: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_secure_connection_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_secure_connection_start_date";
    date(metrics, NAME, |dates| dates.secure_connection_start)
}

/// -[NSURLSessionTaskTransactionMetrics secureConnectionEndDate]. When TLS was agreed on. Without
/// TLS and on a kept connection: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_secure_connection_end_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_secure_connection_end_date";
    date(metrics, NAME, |dates| dates.secure_connection_end)
}

/// -[NSURLSessionTaskTransactionMetrics connectEndDate]. When the new connection was ready, TLS
/// included. On a kept connection: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_connect_end_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_connect_end_date";
    date(metrics, NAME, |dates| dates.connect_end)
}

/// -[NSURLSessionTaskTransactionMetrics requestStartDate]. Just before the first byte of the
/// request was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_request_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_request_start_date";
    date(metrics, NAME, |dates| dates.request_start)
}

/// -[NSURLSessionTaskTransactionMetrics requestEndDate]. Just after the last byte of the request
/// was sent. Of a body that was not sent to its end because the server answered before, that may be
/// missing though there is a response.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_request_end_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_request_end_date";
    date(metrics, NAME, |dates| dates.request_end)
}

/// -[NSURLSessionTaskTransactionMetrics responseStartDate]. When the first bytes of the response
/// came; informational responses (1xx) do not count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_response_start_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_response_start_date";
    date(metrics, NAME, |dates| dates.response_start)
}

/// -[NSURLSessionTaskTransactionMetrics responseEndDate]. When the last byte of the response came.
/// A redirect is followed without waiting for the rest of its body: then that is not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_response_end_date(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> f64 {
    const NAME: &str = "nsurlsession_transaction_metrics_response_end_date";
    date(metrics, NAME, |dates| dates.response_end)
}

fn lent(
    metrics: *const nsurlsession_transaction_metrics_t,
    name: &str,
    text: impl FnOnce(&TransactionMetrics) -> Option<&CStr>,
) -> *const c_char {
    read(metrics, name, std::ptr::null(), |metrics| {
        lent_text(text(metrics))
    })
}

/// -[NSURLSessionTaskTransactionMetrics networkProtocolName]. The protocol by its ALPN name:
/// "http/1.1", "h2", "h3", or "http/1.0". The string lives as long as the metrics, as do all
/// strings of theirs. No request was sent, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_network_protocol_name(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_transaction_metrics_network_protocol_name";
    lent(metrics, NAME, |metrics| metrics.facts().protocol)
}

fn fact<R: Copy>(
    metrics: *const nsurlsession_transaction_metrics_t,
    name: &str,
    nothing: R,
    fact: impl FnOnce(&Transaction) -> R,
) -> R {
    read(metrics, name, nothing, |metrics| fact(metrics.facts()))
}

/// -[NSURLSessionTaskTransactionMetrics isProxyConnection]. Whether the connection led to a proxy.
/// NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_proxy_connection(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_proxy_connection";
    fact(metrics, NAME, false, |facts| facts.proxy)
}

/// -[NSURLSessionTaskTransactionMetrics isReusedConnection]. Whether the request was sent on a
/// connection that was there already. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_reused_connection(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_reused_connection";
    fact(metrics, NAME, false, |facts| facts.reused)
}

/// -[NSURLSessionTaskTransactionMetrics resourceFetchType]. Where the response came from, or was to
/// come from. It is not known of a transaction that never began: the task was cancelled while it
/// waited, or the request cannot be made. NULL: unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_resource_fetch_type(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> nsurlsession_task_metrics_resource_fetch_type_t {
    const NAME: &str = "nsurlsession_transaction_metrics_resource_fetch_type";
    fact(metrics, NAME, 0, |facts| facts.fetch_type as i32)
}

/// -[NSURLSessionTaskTransactionMetrics countOfRequestHeaderBytesSent]. Bytes of the request's head
/// that were sent. For HTTP/2 and later it is the length that the head has in HTTP/1: how far it
/// was compressed is not known. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_request_header_bytes_sent(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str = "nsurlsession_transaction_metrics_count_of_request_header_bytes_sent";
    fact(metrics, NAME, 0, |facts| facts.counts.request_header)
}

/// -[NSURLSessionTaskTransactionMetrics countOfRequestBodyBytesSent]. Bytes of the request's body
/// that were sent, with what encloses the pieces of a body of unknown length in HTTP/1; the frames
/// of HTTP/2 do not count. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_request_body_bytes_sent(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str = "nsurlsession_transaction_metrics_count_of_request_body_bytes_sent";
    fact(metrics, NAME, 0, |facts| facts.counts.request_body)
}

/// -[NSURLSessionTaskTransactionMetrics countOfRequestBodyBytesBeforeEncoding]. The length of the
/// request's body as it was given. Nothing of the request was sent, or NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_request_body_bytes_before_encoding(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str =
        "nsurlsession_transaction_metrics_count_of_request_body_bytes_before_encoding";
    fact(metrics, NAME, 0, |facts| {
        facts.counts.request_body_before_encoding
    })
}

/// -[NSURLSessionTaskTransactionMetrics countOfResponseHeaderBytesReceived]. Bytes of the
/// response's head that came, and of informational responses (1xx) before it. For HTTP/2 and later
/// it is the length that the head has in HTTP/1: how far it was compressed is not known. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_response_header_bytes_received(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str = "nsurlsession_transaction_metrics_count_of_response_header_bytes_received";
    fact(metrics, NAME, 0, |facts| facts.counts.response_header)
}

/// -[NSURLSessionTaskTransactionMetrics countOfResponseBodyBytesReceived]. Bytes of the response's
/// body that came, before decoding (gzip and the like). What encloses chunks and frames does not
/// count. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_response_body_bytes_received(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str = "nsurlsession_transaction_metrics_count_of_response_body_bytes_received";
    fact(metrics, NAME, 0, |facts| facts.counts.response_body)
}

/// -[NSURLSessionTaskTransactionMetrics countOfResponseBodyBytesAfterDecoding]. Bytes of the
/// response's body that the delegate or the completion handler was given. None of a redirect that
/// was followed. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i64 {
    const NAME: &str =
        "nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding";
    read(metrics, NAME, 0, TransactionMetrics::delivered)
}

/// -[NSURLSessionTaskTransactionMetrics localAddress]. This side's address, such as "192.0.2.1" or
/// "2001:db8::1". No connection was made, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_local_address(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_transaction_metrics_local_address";
    lent(metrics, NAME, TransactionMetrics::local_address)
}

/// -[NSURLSessionTaskTransactionMetrics localPort]. This side's port. Where Apple's is nil, and for
/// NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_local_port(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i32 {
    const NAME: &str = "nsurlsession_transaction_metrics_local_port";
    fact(metrics, NAME, 0, |facts| port(facts.local))
}

/// -[NSURLSessionTaskTransactionMetrics remoteAddress]. The server's address, or the proxy's. No
/// connection was made, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_remote_address(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_transaction_metrics_remote_address";
    lent(metrics, NAME, TransactionMetrics::remote_address)
}

/// -[NSURLSessionTaskTransactionMetrics remotePort]. The server's port, or the proxy's. Where
/// Apple's is nil, and for NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_remote_port(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i32 {
    const NAME: &str = "nsurlsession_transaction_metrics_remote_port";
    fact(metrics, NAME, 0, |facts| port(facts.remote))
}

/// -[NSURLSessionTaskTransactionMetrics negotiatedTLSProtocolVersion]. The number of TLS's version:
/// 0x0303 for TLS 1.2, 0x0304 for TLS 1.3. Without TLS, where Apple's is nil, and for NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_negotiated_tls_protocol_version(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i32 {
    const NAME: &str = "nsurlsession_transaction_metrics_negotiated_tls_protocol_version";
    fact(metrics, NAME, 0, |facts| {
        number(facts.tls, |tls| tls.version)
    })
}

/// -[NSURLSessionTaskTransactionMetrics negotiatedTLSCipherSuite]. IANA's number of the cipher
/// suite, such as 0x1301 for TLS_AES_128_GCM_SHA256. Without TLS, where Apple's is nil, and for
/// NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_negotiated_tls_cipher_suite(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> i32 {
    const NAME: &str = "nsurlsession_transaction_metrics_negotiated_tls_cipher_suite";
    fact(metrics, NAME, 0, |facts| {
        number(facts.tls, |tls| tls.cipher)
    })
}

fn port(address: Option<SocketAddr>) -> i32 {
    address.map_or(0, |address| i32::from(address.port()))
}

fn number(tls: Option<Tls>, number: impl FnOnce(Tls) -> u16) -> i32 {
    tls.map_or(0, |tls| i32::from(number(tls)))
}

/// What Linux does not tell of a connection.
fn untold(metrics: *const nsurlsession_transaction_metrics_t, name: &str) -> bool {
    fact(metrics, name, false, |_| false)
}

/// -[NSURLSessionTaskTransactionMetrics isCellular]. Whether the connection went over a mobile
/// network. That is not known on Linux, where a modem is a network interface as any other: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_cellular(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_cellular";
    untold(metrics, NAME)
}

/// -[NSURLSessionTaskTransactionMetrics isExpensive]. Whether the connection went over a network
/// whose use costs by the byte. That is not known on Linux without asking NetworkManager, which
/// this version does not: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_expensive(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_expensive";
    untold(metrics, NAME)
}

/// -[NSURLSessionTaskTransactionMetrics isConstrained]. Whether the connection went over a network
/// in Low Data Mode. Linux has no such mode: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_constrained(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_constrained";
    untold(metrics, NAME)
}

/// -[NSURLSessionTaskTransactionMetrics isMultipath]. Whether the connection used several ways at
/// once (Multipath TCP). This version makes ordinary TCP connections: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_multipath(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> bool {
    const NAME: &str = "nsurlsession_transaction_metrics_multipath";
    untold(metrics, NAME)
}

/// -[NSURLSessionTaskTransactionMetrics domainResolutionProtocol]. How the host's name was looked
/// up. The system's resolver does it, and does not tell whether it asked a server, read /etc/hosts,
/// or knew the answer: unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_transaction_metrics_domain_resolution_protocol(
    metrics: *const nsurlsession_transaction_metrics_t,
) -> nsurlsession_task_metrics_domain_resolution_protocol_t {
    const NAME: &str = "nsurlsession_transaction_metrics_domain_resolution_protocol";
    fact(metrics, NAME, 0, |_| 0)
}
