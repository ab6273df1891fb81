//! NSString, and strings that come in.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::object::{borrowed, handed_out_option};
use super::types::nsurlsession_string_t;
use crate::foundation::string::Text;

/// A string of the caller's. `None` for NULL, and for bytes that are not UTF-8, which is logged.
pub(super) fn text(pointer: *const c_char, function: &str) -> Option<String> {
    match bytes(pointer).map(std::str::from_utf8)? {
        Ok(text) => Some(text.to_owned()),
        Err(_) => {
            misuse(function, "a string is not valid UTF-8");
            None
        }
    }
}

/// The bytes of a string of the caller's; `None` for NULL.
pub(super) fn bytes<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the header's contract: NULL or NUL-terminated, and valid during the call.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// A string that the object which holds it keeps alive.
pub fn lent_text(text: Option<&CStr>) -> *const c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}

/// A string object for the caller.
pub fn owned_text(text: Option<impl AsRef<str>>) -> *mut nsurlsession_string_t {
    handed_out_option(text.map(|text| Text::new(text.as_ref())))
}

/// +[NSString stringWithUTF8String:]. A string object with a copy of `utf8`, which the caller
/// releases. NULL, or what is not valid UTF-8: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_string_with_utf8_string(
    utf8: *const c_char,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_string_with_utf8_string";
    guarded(NAME, std::ptr::null_mut(), || owned_text(text(utf8, NAME)))
}

/// -[NSString UTF8String]. The text, NUL-terminated, which lives as long as the string object.
/// NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_string_utf8_string(
    string: *const nsurlsession_string_t,
) -> *const c_char {
    const NAME: &str = "nsurlsession_string_utf8_string";
    guarded(NAME, std::ptr::null(), || {
        borrowed(string, NAME).map_or(std::ptr::null(), |string: Arc<Text>| {
            string.c_str().as_ptr()
        })
    })
}
