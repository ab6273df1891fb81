//! How libcurl gets its memory: from the C library, by the way that is cheapest there.
//!
//! A small request makes libcurl call `calloc` and `realloc` some twenty times. glibc before 2.41 gives
//! those nothing from its cache of the thread, but takes a lock for each, though what they return to it
//! comes to lie in that cache. `malloc` does take from it.
//!
//! All of it stays memory of `malloc`'s, so that tools that watch that see it, and a libcurl that others
//! use too may be given these functions.

use std::ffi::{c_char, c_void};
use std::{hint, ptr};

/// Larger pieces are not kept in glibc's cache, and the C library may know that their pages are zero,
/// or move them without copying.
const LARGEST_CACHED: usize = 1024;

extern "C" fn allocate(size: usize) -> *mut c_void {
    // SAFETY: a plain call.
    unsafe { libc::malloc(size) }
}

extern "C" fn release(memory: *mut c_void) {
    // SAFETY: libcurl hands back what it got from here, or NULL.
    unsafe { libc::free(memory) }
}

extern "C" fn duplicate(text: *const c_char) -> *mut c_char {
    // SAFETY: libcurl's contract for this function: a string that ends with NUL.
    unsafe { libc::strdup(text) }
}

extern "C" fn allocate_zeroed(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(total) if total <= LARGEST_CACHED => {
            // Hidden from the compiler, which makes a call of `calloc` out of the two.
            let memory = hint::black_box(allocate(total));
            if !memory.is_null() {
                // SAFETY: so many bytes were just allocated.
                unsafe { ptr::write_bytes(memory.cast::<u8>(), 0, total) };
            }
            memory
        }
        // SAFETY: a plain call.
        Some(_) => unsafe { libc::calloc(count, size) },
        None => ptr::null_mut(),
    }
}

extern "C" fn reallocate(memory: *mut c_void, size: usize) -> *mut c_void {
    if memory.is_null() || size == 0 || size > LARGEST_CACHED {
        // SAFETY: libcurl hands back what it got from here, or NULL.
        return unsafe { libc::realloc(memory, size) };
    }
    // SAFETY: the memory came from here, and is as large as the C library says.
    unsafe {
        let room = libc::malloc_usable_size(memory);
        if room > LARGEST_CACHED {
            // It shrinks: what it no longer needs is given back.
            return libc::realloc(memory, size);
        }
        if room >= size {
            return memory;
        }
        // What grew once is likely to grow again: it gets room for that.
        let other = libc::malloc(size.saturating_mul(2).min(LARGEST_CACHED));
        if !other.is_null() {
            ptr::copy_nonoverlapping(memory.cast::<u8>(), other.cast::<u8>(), room);
            libc::free(memory);
        }
        other
    }
}

/// `curl_global_init` with these functions.
pub fn initialise_libcurl() -> curl_sys::CURLcode {
    // SAFETY: libcurl 7.84 and later make it thread-safe; the functions do what malloc, free, realloc,
    // strdup and calloc do, from any thread, and stay mapped.
    unsafe {
        curl_sys::curl_global_init_mem(
            curl_sys::CURL_GLOBAL_ALL,
            allocate,
            release,
            reallocate,
            duplicate,
            allocate_zeroed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libcurl_has_is_kept_when_it_grows() {
        let memory = reallocate(ptr::null_mut(), 1).cast::<u8>();
        // SAFETY: each size is what was last asked for.
        unsafe {
            memory.write(7);
            let mut memory = memory;
            for size in [
                2,
                40,
                41,
                500,
                LARGEST_CACHED,
                LARGEST_CACHED + 1,
                100_000,
                30,
            ] {
                memory = reallocate(memory.cast(), size).cast();
                assert_eq!(memory.read(), 7, "{size}");
                memory.add(size - 1).write(9);
            }
            assert!(libc::malloc_usable_size(memory.cast()) < 100_000);
            release(memory.cast());
        }
    }

    #[test]
    fn zeroed_memory_is_zero_though_it_was_used_before() {
        for (count, size) in [(1, 24), (3, 40), (2, LARGEST_CACHED)] {
            let total = count * size;
            // SAFETY: so many bytes are allocated.
            unsafe {
                let used = allocate(total).cast::<u8>();
                used.write_bytes(0xff, total);
                release(used.cast());
                let memory = allocate_zeroed(count, size).cast::<u8>();
                let bytes = std::slice::from_raw_parts(memory, total);
                assert!(bytes.iter().all(|byte| *byte == 0));
                release(memory.cast());
            }
        }
        assert!(allocate_zeroed(usize::MAX, 2).is_null());
    }
}
