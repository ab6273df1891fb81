//! NSURLRequest and NSMutableURLRequest.

use std::ffi::c_char;
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option};
use super::string::{bytes, owned_text, text};
use super::types::{
    nsurlsession_data_t, nsurlsession_dictionary_t, nsurlsession_input_stream_t,
    nsurlsession_request_t, nsurlsession_string_t,
};
use crate::foundation::headers::{HeaderFields, Refused};
use crate::loading::request::{CachePolicy, Request, RequestBody, RequestUrl, RequestValue};
use crate::session::configuration::is_timeout;

/// A URL of the caller's. Bytes that are not UTF-8 are no URL, but are shown in errors.
pub fn url(pointer: *const c_char) -> Option<RequestUrl> {
    bytes(pointer).map(|bytes| match std::str::from_utf8(bytes) {
        Ok(text) => RequestUrl::new(text),
        Err(_) => RequestUrl::malformed(String::from_utf8_lossy(bytes).into_owned()),
    })
}

fn value_with_url(pointer: *const c_char) -> RequestValue {
    url(pointer).map_or_else(RequestValue::default, RequestValue::with_url)
}

fn change<R>(
    request: *mut nsurlsession_request_t,
    name: &str,
    change: impl FnOnce(&mut RequestValue) -> R,
) -> Option<R> {
    borrowed(request, name).map(|request| request.change(change))
}

fn set_timeout(value: &mut RequestValue, seconds: f64, function: &str) {
    if is_timeout(seconds) {
        value.timeout = Some(seconds);
    } else {
        misuse(function, "a timeout is a number of seconds greater than 0");
    }
}

fn tell_refused(refused: Result<(), Refused>, function: &str) {
    if refused == Err(Refused) {
        misuse(
            function,
            "the name is no token, or the value has a line break in it: refused",
        );
    }
}

/// -[NSMutableURLRequest init]. A request without URL and with all defaults, to be filled in. The
/// caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_new() -> *mut nsurlsession_request_t {
    guarded("nsurlsession_request_new", std::ptr::null_mut(), || {
        handed_out(Request::new(Arc::new(RequestValue::default())))
    })
}

/// +[NSURLRequest requestWithURL:]. A GET request for an absolute URL, read by the rules of the URL
/// standard (an international host is encoded, paths are normalised). A URL that is malformed is
/// kept as it is: a task with it fails with NSURLSESSION_ERROR_BAD_URL. NULL: no URL. The caller
/// releases the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_with_url(
    url: *const c_char,
) -> *mut nsurlsession_request_t {
    guarded(
        "nsurlsession_request_with_url",
        std::ptr::null_mut(),
        || handed_out(Request::new(Arc::new(value_with_url(url)))),
    )
}

/// +[NSURLRequest requestWithURL:cachePolicy:timeoutInterval:]. As nsurlsession_request_with_url,
/// with a cache policy and a timeout in seconds (see nsurlsession_request_set_timeout_interval).
/// The policies have Apple's numbers: 0 the protocol's, 1 and 4 reload (intermediaries are told not
/// to answer from their caches), 2 cache else load, 3 cache only, 5 revalidate. This version has no
/// cache: 3 fails with NSURLSESSION_ERROR_CANNOT_LOAD_FROM_NETWORK, 2 loads. Other numbers mean 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_with_url_cache_policy_timeout_interval(
    url: *const c_char,
    cache_policy: i32,
    timeout_interval: f64,
) -> *mut nsurlsession_request_t {
    const NAME: &str = "nsurlsession_request_with_url_cache_policy_timeout_interval";
    guarded(NAME, std::ptr::null_mut(), || {
        let mut value = value_with_url(url);
        value.cache_policy = CachePolicy::from_number(cache_policy).unwrap_or_else(|| {
            misuse(NAME, "there is no such cache policy");
            CachePolicy::default()
        });
        set_timeout(&mut value, timeout_interval, NAME);
        handed_out(Request::new(Arc::new(value)))
    })
}

/// -[NSURLRequest URL]. The absolute URL, or what was given if that is not one. The caller releases
/// the string. None set, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_url(
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_request_url";
    guarded(NAME, std::ptr::null_mut(), || {
        let value = borrowed(request, NAME).map(|request| request.value());
        owned_text(
            value
                .as_ref()
                .and_then(|value| Some(value.url.as_ref()?.text())),
        )
    })
}

/// -[NSMutableURLRequest setURL:]. Copies the URL; NULL takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_url(
    request: *mut nsurlsession_request_t,
    url: *const c_char,
) {
    const NAME: &str = "nsurlsession_request_set_url";
    guarded(NAME, (), || {
        change(request, NAME, |value| value.url = self::url(url));
    });
}

/// -[NSURLRequest timeoutInterval]. Seconds without anything moving after which a task fails with
/// NSURLSESSION_ERROR_TIMED_OUT: 60 if it was not set, and then the configuration's timeout counts.
/// NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_timeout_interval(
    request: *const nsurlsession_request_t,
) -> f64 {
    const NAME: &str = "nsurlsession_request_timeout_interval";
    guarded(NAME, 0.0, || {
        borrowed(request, NAME).map_or(0.0, |request| request.value().timeout.unwrap_or(60.0))
    })
}

/// -[NSMutableURLRequest setTimeoutInterval:]. Sets the timeout in seconds; fractions count,
/// infinity means none. What was set here takes the place of the configuration's timeout. Not a
/// number, 0 or less: nothing changes, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_timeout_interval(
    request: *mut nsurlsession_request_t,
    seconds: f64,
) {
    const NAME: &str = "nsurlsession_request_set_timeout_interval";
    guarded(NAME, (), || {
        change(request, NAME, |value| set_timeout(value, seconds, NAME));
    });
}

/// -[NSURLRequest HTTPMethod]. The method; "GET" if none was set. The caller releases the string.
/// NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_http_method(
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_request_http_method";
    guarded(NAME, std::ptr::null_mut(), || {
        let value = borrowed(request, NAME).map(|request| request.value());
        owned_text(value.as_ref().map(|value| value.method()))
    })
}

/// -[NSMutableURLRequest setHTTPMethod:]. Sets any method that is a token, with its case; NULL
/// means GET. Anything else: nothing changes, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_http_method(
    request: *mut nsurlsession_request_t,
    method: *const c_char,
) {
    const NAME: &str = "nsurlsession_request_set_http_method";
    guarded(NAME, (), || {
        let text = text(method, NAME);
        if text.is_none() && !method.is_null() {
            return;
        }
        if let Some(Err(_)) = change(request, NAME, |value| value.set_method(text.as_deref())) {
            misuse(NAME, "a method is a token: refused");
        }
    });
}

/// -[NSURLRequest allHTTPHeaderFields]. The fields that were set, as a dictionary whose keys are
/// compared without regard to case; a copy, which the caller releases. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_all_http_header_fields(
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_dictionary_t {
    const NAME: &str = "nsurlsession_request_all_http_header_fields";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(
            borrowed(request, NAME).map(|request| request.value().headers.dictionary()),
        )
    })
}

/// -[NSMutableURLRequest setAllHTTPHeaderFields:]. Replaces all fields by those of a dictionary of
/// strings; NULL takes all away. A field that would not be one field on the wire (its name is no
/// token, or there is a line break in its value) is left out, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_all_http_header_fields(
    request: *mut nsurlsession_request_t,
    fields: *const nsurlsession_dictionary_t,
) {
    const NAME: &str = "nsurlsession_request_set_all_http_header_fields";
    guarded(NAME, (), || {
        let fields = if fields.is_null() {
            Some(HeaderFields::default())
        } else {
            header_fields(fields, NAME)
        };
        if let Some(fields) = fields {
            change(request, NAME, |value| value.headers = fields);
        }
    });
}

/// The header fields in a dictionary of the caller's.
pub fn header_fields(
    fields: *const nsurlsession_dictionary_t,
    function: &str,
) -> Option<HeaderFields> {
    let (fields, refused) = HeaderFields::from_dictionary(&*borrowed(fields, function)?);
    if !refused.is_empty() {
        misuse(
            function,
            &format!("left out what cannot be header fields: {refused:?}"),
        );
    }
    Some(fields)
}

/// -[NSURLRequest valueForHTTPHeaderField:]. The value of a field, whatever the case of its name.
/// The caller releases the string. No such field: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_value_for_http_header_field(
    request: *const nsurlsession_request_t,
    field: *const c_char,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_request_value_for_http_header_field";
    guarded(NAME, std::ptr::null_mut(), || {
        let value = borrowed(request, NAME).map(|request| request.value());
        let field = text(field, NAME);
        owned_text(
            value
                .as_ref()
                .and_then(|value| value.headers.get(field.as_deref()?)),
        )
    })
}

/// -[NSMutableURLRequest setValue:forHTTPHeaderField:]. Sets a field, in place of one with the same
/// name; NULL for the value takes it away. A name that is no token or a value with a line break in
/// it is refused, and that is logged. Fields that the library makes itself (Connection,
/// Content-Length, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade) are not sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_value_for_http_header_field(
    request: *mut nsurlsession_request_t,
    value: *const c_char,
    field: *const c_char,
) {
    const NAME: &str = "nsurlsession_request_set_value_for_http_header_field";
    guarded(NAME, (), || {
        let Some(field) = text(field, NAME) else {
            return;
        };
        if value.is_null() {
            change(request, NAME, |request| request.headers.remove(&field));
        } else if let Some(value) = text(value, NAME) {
            tell_refused(
                change(request, NAME, |request| request.headers.set(&field, &value))
                    .unwrap_or(Ok(())),
                NAME,
            );
        }
    });
}

/// -[NSMutableURLRequest addValue:forHTTPHeaderField:]. Adds a value to a field: after a comma when
/// there is one with the same name. Refuses what
/// nsurlsession_request_set_value_for_http_header_field refuses. NULL for the value: nothing
/// happens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_add_value_for_http_header_field(
    request: *mut nsurlsession_request_t,
    value: *const c_char,
    field: *const c_char,
) {
    const NAME: &str = "nsurlsession_request_add_value_for_http_header_field";
    guarded(NAME, (), || {
        if let (Some(value), Some(field)) = (text(value, NAME), text(field, NAME)) {
            tell_refused(
                change(request, NAME, |request| request.headers.add(&field, &value))
                    .unwrap_or(Ok(())),
                NAME,
            );
        }
    });
}

/// -[NSURLRequest HTTPBody]. The body, retained: the caller releases it. None, or a stream: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_http_body(
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_data_t {
    const NAME: &str = "nsurlsession_request_http_body";
    guarded(NAME, std::ptr::null_mut(), || {
        let body = borrowed(request, NAME).and_then(|request| request.value().body.clone());
        handed_out_option(match body {
            Some(RequestBody::Data(data)) => Some(data),
            _ => None,
        })
    })
}

/// Sets the body; `None` takes it away.
fn set_body(request: *mut nsurlsession_request_t, name: &str, body: Option<RequestBody>) {
    // The body before may run the program's code as it goes: after the change.
    drop(change(request, name, |value| {
        std::mem::replace(&mut value.body, body)
    }));
}

/// -[NSMutableURLRequest setHTTPBody:]. Sets the body, which is retained and not copied, instead of
/// a body stream; its length is sent as Content-Length. A POST without Content-Type gets
/// application/x-www-form-urlencoded. NULL takes the body away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_http_body(
    request: *mut nsurlsession_request_t,
    body: *const nsurlsession_data_t,
) {
    const NAME: &str = "nsurlsession_request_set_http_body";
    guarded(NAME, (), || {
        let data = borrowed(body, NAME);
        if data.is_some() || body.is_null() {
            set_body(request, NAME, data.map(RequestBody::Data));
        }
    });
}

/// -[NSURLRequest HTTPBodyStream]. The body's stream, retained: the caller releases it. None: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_http_body_stream(
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_input_stream_t {
    const NAME: &str = "nsurlsession_request_http_body_stream";
    guarded(NAME, std::ptr::null_mut(), || {
        let body = borrowed(request, NAME).and_then(|request| request.value().body.clone());
        handed_out_option(match body {
            Some(RequestBody::Stream(stream)) => Some(stream),
            _ => None,
        })
    })
}

/// -[NSMutableURLRequest setHTTPBodyStream:]. Sets a stream that the body is read from, instead of a
/// body; it is retained and must not have been opened. Copies of the request share it. The body is
/// sent in chunks, or with the Content-Length that the request has. A stream is read once: when the
/// body must be sent again, the delegate's need_new_body_stream is asked for another one. NULL takes
/// the stream away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_request_set_http_body_stream(
    request: *mut nsurlsession_request_t,
    stream: *mut nsurlsession_input_stream_t,
) {
    const NAME: &str = "nsurlsession_request_set_http_body_stream";
    guarded(NAME, (), || {
        let body = borrowed(stream, NAME);
        if body.is_some() || stream.is_null() {
            set_body(request, NAME, body.map(RequestBody::Stream));
        }
    });
}
