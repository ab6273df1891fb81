//! NSError.

use std::ffi::c_char;
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option};
use super::string::{lent_text, text};
use super::types::{nsurlsession_array_t, nsurlsession_dictionary_t, nsurlsession_error_t};
use crate::foundation::array::Array;
use crate::foundation::dictionary::{Dictionary, Keys};
use crate::foundation::error::Error;
use crate::foundation::object::{Object, downcast};

/// The dictionary as it is now; later changes do not reach the copy.
fn snapshot(dictionary: &Dictionary) -> Arc<Dictionary> {
    let copy = Dictionary::new(Keys::Exact);
    for (key, object) in dictionary.entries() {
        copy.set(&key, object);
    }
    Arc::new(copy)
}

/// +[NSError errorWithDomain:code:userInfo:]. An error object with copies of `domain` and
/// `user_info` (NULL: empty). The caller releases it. A domain that is NULL or not UTF-8: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_with_domain_code_user_info(
    domain: *const c_char,
    code: i64,
    user_info: *const nsurlsession_dictionary_t,
) -> *mut nsurlsession_error_t {
    const NAME: &str = "nsurlsession_error_with_domain_code_user_info";
    guarded(NAME, std::ptr::null_mut(), || {
        let Some(domain) = text(domain, NAME) else {
            misuse(NAME, "an error needs a domain");
            return std::ptr::null_mut();
        };
        let user_info = borrowed(user_info, NAME).map_or_else(
            || Arc::new(Dictionary::new(Keys::Exact)),
            |user_info| snapshot(&user_info),
        );
        handed_out(Error::new(&domain, code, user_info))
    })
}

/// -[NSError domain]. The domain, which lives as long as the error: NSURLSESSION_ERROR_DOMAIN for
/// errors of tasks. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_domain(
    error: *const nsurlsession_error_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_error_domain";
    guarded(NAME, std::ptr::null(), || {
        lent_text(borrowed(error, NAME).as_ref().map(|error| error.domain()))
    })
}

/// -[NSError code]. The code in its domain: an nsurlsession_error_code_t for errors of tasks.
/// NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_code(error: *const nsurlsession_error_t) -> i64 {
    const NAME: &str = "nsurlsession_error_code";
    guarded(NAME, 0, || {
        borrowed(error, NAME).map_or(0, |error| error.code())
    })
}

/// -[NSError userInfo]. What else is known, under the keys NSURLSESSION_..._KEY; a copy, which the
/// caller releases. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_user_info(
    error: *const nsurlsession_error_t,
) -> *mut nsurlsession_dictionary_t {
    const NAME: &str = "nsurlsession_error_user_info";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(borrowed(error, NAME).map(|error| snapshot(error.user_info())))
    })
}

/// -[NSError localizedDescription]. What went wrong, for a person; never NULL for an error. It
/// lives as long as the error. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_localized_description(
    error: *const nsurlsession_error_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_error_localized_description";
    guarded(NAME, std::ptr::null(), || {
        lent_text(
            borrowed(error, NAME)
                .as_ref()
                .map(|error| error.localized_description()),
        )
    })
}

/// -[NSError localizedFailureReason]. Why, as exactly as it is known, or NULL. It lives as long as
/// the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_localized_failure_reason(
    error: *const nsurlsession_error_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_error_localized_failure_reason";
    guarded(NAME, std::ptr::null(), || {
        lent_text(
            borrowed(error, NAME)
                .as_ref()
                .and_then(|error| error.failure_reason()),
        )
    })
}

/// -[NSError localizedRecoverySuggestion]. What the person can do about it, or NULL. It lives as
/// long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_localized_recovery_suggestion(
    error: *const nsurlsession_error_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_error_localized_recovery_suggestion";
    guarded(NAME, std::ptr::null(), || {
        lent_text(
            borrowed(error, NAME)
                .as_ref()
                .and_then(|error| error.recovery_suggestion()),
        )
    })
}

/// -[NSError underlyingErrors]. The errors of the layers below, the nearest first (domains
/// NSURLSESSION_CURL_ERROR_DOMAIN, NSURLSESSION_OPENSSL_ERROR_DOMAIN,
/// NSURLSESSION_POSIX_ERROR_DOMAIN); empty if there are none. The caller releases the array. NULL:
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_error_underlying_errors(
    error: *const nsurlsession_error_t,
) -> *mut nsurlsession_array_t {
    const NAME: &str = "nsurlsession_error_underlying_errors";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(borrowed(error, NAME).map(|error| {
            let mut errors: Vec<Arc<dyn Object>> = Vec::new();
            let mut next = error.underlying();
            while let Some(object) = next {
                next = downcast::<Error>(&*object).and_then(Error::underlying);
                errors.push(object);
            }
            Array::new(errors)
        }))
    })
}
