//! NSDictionary and NSMutableDictionary.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::object::{borrowed, element, handed_out, handed_out_any};
use super::string::text;
use super::types::nsurlsession_dictionary_t;
use crate::foundation::dictionary::{Dictionary, Keys};

/// -[NSMutableDictionary init]. An empty dictionary, which the caller releases. Keys are strings in
/// the order in which they were set, compared byte by byte; dictionaries of header fields that the
/// library hands out compare them without regard to case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_dictionary_new() -> *mut nsurlsession_dictionary_t {
    guarded("nsurlsession_dictionary_new", std::ptr::null_mut(), || {
        handed_out(Arc::new(Dictionary::new(Keys::Exact)))
    })
}

/// -[NSMutableDictionary setObject:forKey:]. Sets the object of a key, which is copied; the object
/// is retained; of a dictionary a copy is stored, which cannot be changed any more. NULL for any of
/// the three, a key that is not UTF-8, a dictionary that came out of a collection, or collections
/// nested more than 64 deep: nothing happens, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_dictionary_set_object_for_key(
    dictionary: *mut nsurlsession_dictionary_t,
    object: *const c_void,
    key: *const c_char,
) {
    const NAME: &str = "nsurlsession_dictionary_set_object_for_key";
    guarded(NAME, (), || {
        let (dictionary, object, key) = (
            borrowed(dictionary, NAME),
            element(object, NAME),
            text(key, NAME),
        );
        if let (Some(dictionary), Some(object), Some(key)) = (dictionary, object, key) {
            if dictionary.is_frozen() {
                return misuse(
                    NAME,
                    "the dictionary is in a collection: change a copy of it",
                );
            }
            dictionary.set(&key, object);
        }
    });
}

/// -[NSDictionary count]. How many keys there are. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_dictionary_count(
    dictionary: *const nsurlsession_dictionary_t,
) -> usize {
    const NAME: &str = "nsurlsession_dictionary_count";
    guarded(NAME, 0, || {
        borrowed(dictionary, NAME).map_or(0, |dictionary| dictionary.len())
    })
}

/// -[NSDictionary objectForKey:]. The object of a key, retained: the caller releases it. No such
/// key: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_dictionary_object_for_key(
    dictionary: *const nsurlsession_dictionary_t,
    key: *const c_char,
) -> *mut c_void {
    const NAME: &str = "nsurlsession_dictionary_object_for_key";
    guarded(NAME, std::ptr::null_mut(), || {
        let object =
            borrowed(dictionary, NAME).and_then(|dictionary| dictionary.get(&text(key, NAME)?));
        object.map_or(std::ptr::null_mut(), handed_out_any)
    })
}

/// The key at an index, in the order in which keys were set. It lives as long as the dictionary.
/// An index beyond the end: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_dictionary_key_at_index(
    dictionary: *const nsurlsession_dictionary_t,
    index: usize,
) -> *const c_char {
    const NAME: &str = "nsurlsession_dictionary_key_at_index";
    guarded(NAME, std::ptr::null(), || {
        borrowed(dictionary, NAME)
            .and_then(|dictionary| dictionary.key_at(index, CStr::as_ptr))
            .unwrap_or(std::ptr::null())
    })
}
