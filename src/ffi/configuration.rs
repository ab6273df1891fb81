//! NSURLSessionConfiguration.

use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option};
use super::request::header_fields;
use super::types::{nsurlsession_configuration_t, nsurlsession_dictionary_t};
use crate::session::configuration::{Configuration, ConfigurationValue, is_timeout};

fn read<R>(
    configuration: *const nsurlsession_configuration_t,
    name: &str,
    absent: R,
    read: impl FnOnce(ConfigurationValue) -> R,
) -> R {
    match borrowed(configuration, name) {
        Some(configuration) => read(configuration.value()),
        None => absent,
    }
}

fn change(
    configuration: *mut nsurlsession_configuration_t,
    name: &str,
    change: impl FnOnce(&mut ConfigurationValue),
) {
    if let Some(configuration) = borrowed(configuration, name) {
        configuration.change(change);
    }
}

/// +[NSURLSessionConfiguration defaultSessionConfiguration]. A new configuration at every call,
/// which the caller may change and releases. Sessions copy it when they are made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_default() -> *mut nsurlsession_configuration_t {
    guarded(
        "nsurlsession_configuration_default",
        std::ptr::null_mut(),
        || handed_out(Configuration::default_session()),
    )
}

/// +[NSURLSessionConfiguration ephemeralSessionConfiguration]. A new configuration for sessions
/// that keep nothing on disk. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_ephemeral() -> *mut nsurlsession_configuration_t
{
    guarded(
        "nsurlsession_configuration_ephemeral",
        std::ptr::null_mut(),
        || handed_out(Configuration::ephemeral()),
    )
}

/// -[NSURLSessionConfiguration timeoutIntervalForRequest]. Seconds without anything moving after
/// which a task fails with NSURLSESSION_ERROR_TIMED_OUT; 60 by default. It counts from the moment
/// the task has a connection to try, not while it is suspended, its delegate holds it up or the
/// stream of its body has nothing to give, and a timeout that was set on the request takes its
/// place. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_timeout_interval_for_request(
    configuration: *const nsurlsession_configuration_t,
) -> f64 {
    const NAME: &str = "nsurlsession_configuration_timeout_interval_for_request";
    guarded(NAME, 0.0, || {
        read(configuration, NAME, 0.0, |value| value.timeout_for_request)
    })
}

/// -[NSURLSessionConfiguration setTimeoutIntervalForRequest:]. Sets the timeout in seconds;
/// fractions count, infinity means none. Not a number, 0 or less: nothing changes, and that is
/// logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_set_timeout_interval_for_request(
    configuration: *mut nsurlsession_configuration_t,
    seconds: f64,
) {
    const NAME: &str = "nsurlsession_configuration_set_timeout_interval_for_request";
    guarded(NAME, (), || match is_timeout(seconds) {
        true => change(configuration, NAME, |value| {
            value.timeout_for_request = seconds
        }),
        false => misuse(NAME, "a timeout is a number of seconds greater than 0"),
    });
}

/// -[NSURLSessionConfiguration timeoutIntervalForResource]. Seconds from the first resume that a
/// task may take in all, redirects included; then it fails with NSURLSESSION_ERROR_TIMED_OUT.
/// 604800 (7 days) by default. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_timeout_interval_for_resource(
    configuration: *const nsurlsession_configuration_t,
) -> f64 {
    const NAME: &str = "nsurlsession_configuration_timeout_interval_for_resource";
    guarded(NAME, 0.0, || {
        read(configuration, NAME, 0.0, |value| value.timeout_for_resource)
    })
}

/// -[NSURLSessionConfiguration setTimeoutIntervalForResource:]. Sets the limit in seconds;
/// fractions count, infinity means none. Not a number, 0 or less: nothing changes, and that is
/// logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_set_timeout_interval_for_resource(
    configuration: *mut nsurlsession_configuration_t,
    seconds: f64,
) {
    const NAME: &str = "nsurlsession_configuration_set_timeout_interval_for_resource";
    guarded(NAME, (), || match is_timeout(seconds) {
        true => change(configuration, NAME, |value| {
            value.timeout_for_resource = seconds
        }),
        false => misuse(NAME, "a timeout is a number of seconds greater than 0"),
    });
}

/// -[NSURLSessionConfiguration HTTPAdditionalHeaders]. The fields that are added to every request
/// of a session, redirected ones included; a copy, which the caller releases. None were set: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_http_additional_headers(
    configuration: *const nsurlsession_configuration_t,
) -> *mut nsurlsession_dictionary_t {
    const NAME: &str = "nsurlsession_configuration_http_additional_headers";
    guarded(NAME, std::ptr::null_mut(), || {
        let fields = read(configuration, NAME, None, |value| value.additional_headers);
        handed_out_option(fields.map(|fields| fields.dictionary()))
    })
}

/// -[NSURLSessionConfiguration setHTTPAdditionalHeaders:]. Sets the fields from a dictionary of
/// strings, which is copied; NULL takes them away. A field that is set on a request wins over one
/// from here. Authorization, Cookie and Proxy-Authorization do not follow a redirect to another
/// origin. What cannot be a header field is left out, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_set_http_additional_headers(
    configuration: *mut nsurlsession_configuration_t,
    headers: *const nsurlsession_dictionary_t,
) {
    const NAME: &str = "nsurlsession_configuration_set_http_additional_headers";
    guarded(NAME, (), || {
        let fields = header_fields(headers, NAME);
        if fields.is_some() || headers.is_null() {
            change(configuration, NAME, |value| {
                value.additional_headers = fields
            });
        }
    });
}

/// -[NSURLSessionConfiguration HTTPMaximumConnectionsPerHost]. How many connections a session opens
/// to one host at once; 6 by default. Further tasks wait in the order in which they were resumed,
/// without a timeout for the request running. With HTTP/2 all tasks share one. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_http_maximum_connections_per_host(
    configuration: *const nsurlsession_configuration_t,
) -> i64 {
    const NAME: &str = "nsurlsession_configuration_http_maximum_connections_per_host";
    guarded(NAME, 0, || {
        read(configuration, NAME, 0, |value| value.connections_per_host)
    })
}

/// -[NSURLSessionConfiguration setHTTPMaximumConnectionsPerHost:]. Sets the limit. Less than 1:
/// nothing changes, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration_set_http_maximum_connections_per_host(
    configuration: *mut nsurlsession_configuration_t,
    count: i64,
) {
    const NAME: &str = "nsurlsession_configuration_set_http_maximum_connections_per_host";
    guarded(NAME, (), || match count >= 1 {
        true => change(configuration, NAME, |value| {
            value.connections_per_host = count
        }),
        false => misuse(NAME, "a session needs at least one connection to a host"),
    });
}
