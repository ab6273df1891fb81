//! NSURLResponse and NSHTTPURLResponse.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option};
use super::request::{header_fields, url};
use super::string::{lent_text, text};
use super::types::{nsurlsession_dictionary_t, nsurlsession_response_t};
use crate::foundation::object::{Object, downcast};
use crate::foundation::status;
use crate::foundation::string::Text;
use crate::loading::response::{Head, ReceivedFields, Response};

/// -[NSURLResponse initWithURL:MIMEType:expectedContentLength:textEncodingName:]. A response that
/// is not HTTP. The length is NSURLSESSION_RESPONSE_UNKNOWN_LENGTH when it is not known; type and
/// encoding may be NULL. The caller releases it. Without a URL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name(
    url: *const c_char,
    mime_type: *const c_char,
    expected_content_length: i64,
    text_encoding_name: *const c_char,
) -> *mut nsurlsession_response_t {
    const NAME: &str =
        "nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name";
    guarded(NAME, std::ptr::null_mut(), || {
        let Some(url) = self::url(url) else {
            misuse(NAME, "a response needs a URL");
            return std::ptr::null_mut();
        };
        let (kind, encoding) = (text(mime_type, NAME), text(text_encoding_name, NAME));
        let length = expected_content_length.max(-1);
        handed_out(Response::plain(
            url.text(),
            kind.as_deref(),
            length,
            encoding.as_deref(),
        ))
    })
}

/// -[NSHTTPURLResponse initWithURL:statusCode:HTTPVersion:headerFields:]. An HTTP response made by
/// hand. The version (NULL: "HTTP/1.1") is only shown; fields are strings, or NULL for none. The
/// caller releases it. Without a URL, or with a status outside of 100 to 999: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_with_url_status_code_http_version_header_fields(
    url: *const c_char,
    status_code: i64,
    http_version: *const c_char,
    header_fields: *const nsurlsession_dictionary_t,
) -> *mut nsurlsession_response_t {
    const NAME: &str = "nsurlsession_response_with_url_status_code_http_version_header_fields";
    guarded(NAME, std::ptr::null_mut(), || {
        let Some(url) = self::url(url).filter(|_| (100..1000).contains(&status_code)) else {
            misuse(NAME, "a response needs a URL and a status from 100 to 999");
            return std::ptr::null_mut();
        };
        let fields = self::header_fields(header_fields, NAME).unwrap_or_default();
        let head = Head {
            status: status_code,
            http_version: text(http_version, NAME).map_or("HTTP/1.1".into(), Into::into),
            fields: ReceivedFields::from(&fields),
        };
        handed_out(Response::http(url.text(), head))
    })
}

fn lent(
    response: *const nsurlsession_response_t,
    name: &str,
    read: impl FnOnce(&Response) -> Option<&CStr>,
) -> *const c_char {
    guarded(name, std::ptr::null(), || {
        lent_text(borrowed(response, name).as_deref().and_then(read))
    })
}

/// -[NSURLResponse URL]. The URL that the response came from, after redirects. It lives as long as
/// the response, as do all strings of a response. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_url(
    response: *const nsurlsession_response_t,
) -> *const c_char {
    lent(response, "nsurlsession_response_url", |response| {
        Some(response.url())
    })
}

/// -[NSURLResponse MIMEType]. The media type, lower case and without parameters; guessed from the
/// URL's extension when the server sent none. Not known: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_mime_type(
    response: *const nsurlsession_response_t,
) -> *const c_char {
    lent(
        response,
        "nsurlsession_response_mime_type",
        Response::mime_type,
    )
}

/// -[NSURLResponse expectedContentLength]. How many bytes the body has, or
/// NSURLSESSION_RESPONSE_UNKNOWN_LENGTH: also when the content is coded (gzip and the like), since
/// the length on the wire is not that of the body. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_expected_content_length(
    response: *const nsurlsession_response_t,
) -> i64 {
    const NAME: &str = "nsurlsession_response_expected_content_length";
    guarded(NAME, 0, || {
        borrowed(response, NAME).map_or(0, |response| response.expected_length())
    })
}

/// -[NSURLResponse textEncodingName]. The charset as the server sent it, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_text_encoding_name(
    response: *const nsurlsession_response_t,
) -> *const c_char {
    lent(
        response,
        "nsurlsession_response_text_encoding_name",
        Response::text_encoding_name,
    )
}

/// -[NSURLResponse suggestedFilename]. A name for a file with the body: from Content-Disposition,
/// else from the URL's path, else from its host. It has no path separators and never leads
/// anywhere else. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_suggested_filename(
    response: *const nsurlsession_response_t,
) -> *const c_char {
    lent(
        response,
        "nsurlsession_response_suggested_filename",
        |response| Some(response.suggested_filename()),
    )
}

/// -[NSHTTPURLResponse statusCode]. The HTTP status. A response that is not HTTP, or NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_status_code(
    response: *const nsurlsession_response_t,
) -> i64 {
    const NAME: &str = "nsurlsession_response_status_code";
    guarded(NAME, 0, || {
        borrowed(response, NAME).map_or(0, |response| response.status())
    })
}

/// -[NSHTTPURLResponse allHeaderFields]. All header fields in the order in which they came; keys
/// are compared without regard to case, repeated fields are joined with a comma. The caller
/// releases the dictionary. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_all_header_fields(
    response: *const nsurlsession_response_t,
) -> *mut nsurlsession_dictionary_t {
    const NAME: &str = "nsurlsession_response_all_header_fields";
    guarded(NAME, std::ptr::null_mut(), || {
        // A copy: a dictionary can be changed, a response cannot.
        let copy = borrowed(response, NAME).and_then(|response| response.dictionary().copied());
        copy.map_or(std::ptr::null_mut(), |copy| {
            super::object::handed_out_any(copy).cast()
        })
    })
}

/// -[NSHTTPURLResponse valueForHTTPHeaderField:]. The value of a header field, whatever the case of
/// its name. It lives as long as the response. No such field: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_value_for_http_header_field(
    response: *const nsurlsession_response_t,
    field: *const c_char,
) -> *const c_char {
    const NAME: &str = "nsurlsession_response_value_for_http_header_field";
    guarded(NAME, std::ptr::null(), || {
        let value: Option<Arc<dyn Object>> =
            borrowed(response, NAME).and_then(|response| response.value(&text(field, NAME)?));
        // The response's own dictionary, which never changes, keeps the text alive.
        value
            .as_deref()
            .and_then(downcast::<Text>)
            .map_or(std::ptr::null(), |text| text.c_str().as_ptr())
    })
}

/// The trailer fields: header fields that the server sent after the body. They are there when the
/// body is complete: in did_finish_downloading_to_url, did_finish_collecting_metrics,
/// did_complete_with_error and the completion handler, and after those. Keys are compared without
/// regard to case, repeated fields are joined with a comma. The caller releases the dictionary. None
/// sent, or none come yet, or NULL: NULL. An addition to Apple's interface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_trailers(
    response: *const nsurlsession_response_t,
) -> *mut nsurlsession_dictionary_t {
    const NAME: &str = "nsurlsession_response_trailers";
    guarded(NAME, std::ptr::null_mut(), || {
        let trailers = borrowed(response, NAME).and_then(|response| response.trailers());
        handed_out_option(trailers.map(Arc::new))
    })
}

/// +[NSHTTPURLResponse localizedStringForStatusCode:]. A word or two for a status, such as "not
/// found" for 404; never NULL. The string is static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_response_localized_string_for_status_code(
    status_code: i64,
) -> *const c_char {
    status::localized_string(status_code).as_ptr()
}
