//! NSArray.

use std::ffi::c_void;

use super::guard::{guarded, misuse};
use super::object::{borrowed, element, handed_out, handed_out_any};
use super::types::nsurlsession_array_t;
use crate::foundation::array::Array;

/// +[NSArray arrayWithObjects:count:]. An array of `count` objects, each of which it retains; of
/// dictionaries it stores copies, which cannot be changed any more. The caller releases it. NULL
/// where objects should be, or collections nested more than 64 deep: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_array_with_objects_count(
    objects: *const *const c_void,
    count: usize,
) -> *mut nsurlsession_array_t {
    const NAME: &str = "nsurlsession_array_with_objects_count";
    guarded(NAME, std::ptr::null_mut(), || {
        let pointers: &[*const c_void] = match count {
            0 => &[],
            _ if objects.is_null() || count > isize::MAX as usize / size_of::<*const c_void>() => {
                misuse(NAME, "there cannot be that many objects there");
                return std::ptr::null_mut();
            }
            // SAFETY: the header's contract: valid for that many pointers.
            _ => unsafe { std::slice::from_raw_parts(objects, count) },
        };
        let objects: Option<Vec<_>> = pointers
            .iter()
            .map(|object| element(*object, NAME))
            .collect();
        objects.map_or(std::ptr::null_mut(), |objects| {
            handed_out(Array::new(objects))
        })
    })
}

/// -[NSArray count]. How many objects there are. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_array_count(array: *const nsurlsession_array_t) -> usize {
    const NAME: &str = "nsurlsession_array_count";
    guarded(NAME, 0, || {
        borrowed(array, NAME).map_or(0, |array| array.objects().len())
    })
}

/// -[NSArray objectAtIndex:]. The object at an index, retained: the caller releases it. An index
/// beyond the end: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_array_object_at_index(
    array: *const nsurlsession_array_t,
    index: usize,
) -> *mut c_void {
    const NAME: &str = "nsurlsession_array_object_at_index";
    guarded(NAME, std::ptr::null_mut(), || {
        let object = borrowed(array, NAME).and_then(|array| array.objects().get(index).cloned());
        object.map_or(std::ptr::null_mut(), handed_out_any)
    })
}
