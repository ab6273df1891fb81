//! NSData.

use std::ffi::c_void;

use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out};
use super::types::{Context, nsurlsession_data_deallocator_t, nsurlsession_data_t};
use crate::foundation::data::{Bytes, Data};

/// Memory of the caller's that was handed over.
struct Adopted {
    bytes: *const u8,
    length: usize,
    deallocator: nsurlsession_data_deallocator_t,
    context: Context,
}

// SAFETY: the memory belongs to this object alone now and is only read; the header says that the
// deallocator may be called on any thread.
unsafe impl Send for Adopted {}
// SAFETY: as above.
unsafe impl Sync for Adopted {}

impl Bytes for Adopted {
    fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the caller handed over that many bytes until the deallocator is called.
        unsafe { std::slice::from_raw_parts(self.bytes, self.length) }
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if let Some(deallocator) = self.deallocator {
            // SAFETY: the caller's function with the caller's pointers, called once.
            callback(|| unsafe {
                deallocator(self.context.0, self.bytes.cast_mut().cast(), self.length)
            });
        }
    }
}

/// Whether there can be so many bytes at that place.
fn is_possible(bytes: *const c_void, length: usize, function: &str) -> bool {
    let possible = length == 0 || (!bytes.is_null() && isize::try_from(length).is_ok());
    if !possible {
        misuse(function, "there cannot be that many bytes there");
    }
    possible
}

/// +[NSData dataWithBytes:length:]. A data object with a copy of `length` bytes, which the caller
/// releases. An impossible length, NULL with a length, or no memory: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_with_bytes_length(
    bytes: *const c_void,
    length: usize,
) -> *mut nsurlsession_data_t {
    const NAME: &str = "nsurlsession_data_with_bytes_length";
    guarded(NAME, std::ptr::null_mut(), || {
        let mut copy = Vec::new();
        if !is_possible(bytes, length, NAME) {
            return std::ptr::null_mut();
        }
        if copy.try_reserve_exact(length).is_err() {
            misuse(NAME, "there is no memory for that many bytes");
            return std::ptr::null_mut();
        }
        if length > 0 {
            // SAFETY: the header's contract: valid for that length.
            copy.extend_from_slice(unsafe {
                std::slice::from_raw_parts(bytes.cast::<u8>(), length)
            });
        }
        handed_out(Data::new(copy))
    })
}

/// -[NSData initWithBytesNoCopy:length:deallocator:]. A data object that takes `length` bytes over
/// without copying them; they must not change any more. When the object is freed, on whichever
/// thread that is, `deallocator` gets `context`, `bytes` and `length`, once; NULL: the bytes are
/// never freed. The caller releases the object. On failure (an impossible length, NULL with a
/// length) the result is NULL, the deallocator is not called and the bytes stay the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_with_bytes_no_copy_length_deallocator(
    bytes: *mut c_void,
    length: usize,
    deallocator: nsurlsession_data_deallocator_t,
    context: *mut c_void,
) -> *mut nsurlsession_data_t {
    const NAME: &str = "nsurlsession_data_with_bytes_no_copy_length_deallocator";
    guarded(NAME, std::ptr::null_mut(), || {
        if !is_possible(bytes, length, NAME) {
            return std::ptr::null_mut();
        }
        handed_out(Data::adopting(Box::new(Adopted {
            bytes: bytes.cast_const().cast(),
            length,
            deallocator,
            context: Context(context),
        })))
    })
}

/// -[NSData bytes]. The bytes, which live as long as the data object. NULL, or no bytes: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_bytes(
    data: *const nsurlsession_data_t,
) -> *const c_void {
    const NAME: &str = "nsurlsession_data_bytes";
    guarded(NAME, std::ptr::null(), || match borrowed(data, NAME) {
        Some(data) if !data.bytes().is_empty() => data.bytes().as_ptr().cast(),
        _ => std::ptr::null(),
    })
}

/// -[NSData length]. How many bytes there are. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_length(data: *const nsurlsession_data_t) -> usize {
    const NAME: &str = "nsurlsession_data_length";
    guarded(NAME, 0, || {
        borrowed(data, NAME).map_or(0, |data| data.bytes().len())
    })
}
