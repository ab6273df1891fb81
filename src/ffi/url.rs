//! NSURL, as far as a C string needs help.

use std::ffi::c_char;

use url::Url;

use super::guard::guarded;
use super::string::{owned_text, text};
use super::types::nsurlsession_string_t;

/// -[NSURL path]. The path in an absolute URL, without percent-encoding: for a file: URL what
/// open(2) takes. The caller releases the string. NULL, or what is no URL with a path: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_url_path(url: *const c_char) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_url_path";
    guarded(NAME, std::ptr::null_mut(), || {
        let url = text(url, NAME).and_then(|url| Url::parse(&url).ok());
        let path = url.filter(|url| !url.cannot_be_a_base()).map(|url| {
            let decoded = percent_encoding::percent_decode_str(url.path());
            decoded.decode_utf8_lossy().into_owned()
        });
        owned_text(path)
    })
}
