//! A transfer, as libcurl's callbacks see it.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use curl_sys::{curl_off_t, curl_socket_t};

use super::curl;
use super::handle::Handle;
use super::sockets;
use super::turn::note_transfer;

/// What a write callback says about the body so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// These bytes were taken; nothing more is to be read for now.
    Pause,
    /// The transfer is to fail.
    Abort,
}

/// What a read callback gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// That many bytes were put into the buffer; 0 at the end.
    Bytes(usize),
    /// Nothing for now: asked again once sending is no longer paused.
    Pause,
    /// The transfer is to fail.
    Abort,
}

/// Receives what libcurl reads and gives what it sends. Called on the loop thread, while libcurl
/// is working: it must not call libcurl, other than to ask the handle for what it knows.
pub trait Transfer: 'static {
    /// The request is about to be sent, once more if the connection was lost before an answer came.
    /// False when that must not happen. Asked only after `ask_before_sending`.
    fn starts(&mut self, handle: &Handle) -> bool;
    /// A line of a response's head, with its line break.
    fn header(&mut self, line: &[u8], handle: &Handle) -> Flow;
    /// A piece of the body. Never called with an empty one.
    fn body(&mut self, bytes: &[u8]) -> Flow;
    /// Fills `buffer` with the next bytes of the request's body.
    fn read(&mut self, buffer: &mut [u8]) -> Supply;
    /// The body is to be sent again from `offset`. False when that must not happen.
    fn rewind(&mut self, offset: u64) -> bool;
}

/// What libcurl's callbacks find behind their pointer.
pub(super) struct State<T> {
    pub(super) handle: Handle,
    /// What `Multi::take_finished` calls the transfer; libcurl has a pointer to this.
    pub(super) key: Cell<usize>,
    /// None while the handle waits for one.
    pub(super) transfer: UnsafeCell<Option<Box<T>>>,
    pub(super) error: UnsafeCell<[c_char; curl_sys::CURL_ERROR_SIZE]>,
    pub(super) panicked: Cell<bool>,
}

/// Runs a callback of a transfer. A panic in it must not cross libcurl: the transfer fails.
fn enter<T: Transfer, R>(
    data: *mut c_void,
    failed: R,
    body: impl FnOnce(&State<T>, &mut T) -> R,
) -> R {
    note_transfer();
    // SAFETY: `data` is the `State` that was set with the callback and outlives the handle. While
    // libcurl is working nobody else refers to the transfer (see `Easy::transfer`).
    let (state, transfer) = unsafe {
        let state = &*data.cast_const().cast::<State<T>>();
        (state, &mut *state.transfer.get())
    };
    let Some(transfer) = transfer.as_deref_mut().filter(|_| !state.panicked.get()) else {
        return failed;
    };
    catch_unwind(AssertUnwindSafe(|| body(state, transfer))).unwrap_or_else(|_| {
        state.panicked.set(true);
        failed
    })
}

/// The bytes that libcurl hands to a callback.
///
/// # Safety
/// `pointer` is valid for `size * count` bytes while the result is used.
unsafe fn handed<'a>(pointer: *mut c_char, size: usize, count: usize) -> &'a [u8] {
    let length = size * count;
    if length == 0 {
        return &[];
    }
    // SAFETY: by this function's own contract.
    unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) }
}

/// The callbacks that all handles of a kind have.
pub(super) fn set_callbacks<T: Transfer>(handle: &Handle) {
    let callbacks = [
        (
            curl_sys::CURLOPT_HEADERFUNCTION,
            header_callback::<T> as *const c_void,
        ),
        (
            curl_sys::CURLOPT_WRITEFUNCTION,
            write_callback::<T> as *const c_void,
        ),
        (
            curl_sys::CURLOPT_OPENSOCKETFUNCTION,
            open_socket as *const c_void,
        ),
        (
            curl_sys::CURLOPT_CLOSESOCKETFUNCTION,
            close_socket as *const c_void,
        ),
    ];
    for (option, function) in callbacks {
        handle.set_pointer(option, function);
    }
}

extern "C" fn header_callback<T: Transfer>(
    pointer: *mut c_char,
    size: usize,
    count: usize,
    data: *mut c_void,
) -> usize {
    // SAFETY: libcurl's contract for this callback.
    let line = unsafe { handed(pointer, size, count) };
    take::<T>(data, line, |transfer, line, handle| {
        transfer.header(line, handle)
    })
}

extern "C" fn write_callback<T: Transfer>(
    pointer: *mut c_char,
    size: usize,
    count: usize,
    data: *mut c_void,
) -> usize {
    // SAFETY: libcurl's contract for this callback.
    let bytes = unsafe { handed(pointer, size, count) };
    if bytes.is_empty() {
        return 0;
    }
    take::<T>(data, bytes, |transfer, bytes, _| transfer.body(bytes))
}

/// Gives bytes to a transfer and does what it says.
fn take<T: Transfer>(
    data: *mut c_void,
    bytes: &[u8],
    give: impl FnOnce(&mut T, &[u8], &Handle) -> Flow,
) -> usize {
    // Anything but the length given makes libcurl fail the transfer.
    const FAILED: usize = usize::MAX;
    enter::<T, usize>(data, FAILED, |state, transfer| {
        match give(transfer, bytes, &state.handle) {
            Flow::Continue => bytes.len(),
            Flow::Pause => {
                // The bytes are taken and the reading stops here. Returning CURL_WRITEFUNC_PAUSE would
                // make libcurl keep a copy of them.
                // SAFETY: one of the few calls that libcurl allows in a callback; pausing calls nothing.
                unsafe { curl_sys::curl_easy_pause(state.handle.0.as_ptr(), curl::PAUSE_RECV) };
                bytes.len()
            }
            Flow::Abort => FAILED,
        }
    })
}

pub(super) extern "C" fn read_callback<T: Transfer>(
    pointer: *mut c_char,
    size: usize,
    count: usize,
    data: *mut c_void,
) -> usize {
    let length = size * count;
    if length == 0 {
        return 0;
    }
    // SAFETY: libcurl's contract for this callback: a buffer of that size to be filled. It was
    // initialised by libcurl or its bytes are only written here.
    let buffer = unsafe { std::slice::from_raw_parts_mut(pointer.cast::<u8>(), length) };
    enter::<T, usize>(data, curl::READ_ABORT, |_, transfer| {
        match transfer.read(buffer) {
            Supply::Bytes(count) => count.min(length),
            Supply::Pause => curl::READ_PAUSE,
            Supply::Abort => curl::READ_ABORT,
        }
    })
}

pub(super) extern "C" fn prerequest_callback<T: Transfer>(
    data: *mut c_void,
    _remote: *mut c_char,
    _local: *mut c_char,
    _remote_port: c_int,
    _local_port: c_int,
) -> c_int {
    enter::<T, c_int>(data, curl::PREREQ_ABORT, |state, transfer| {
        if transfer.starts(&state.handle) {
            0
        } else {
            curl::PREREQ_ABORT
        }
    })
}

pub(super) extern "C" fn seek_callback<T: Transfer>(
    data: *mut c_void,
    offset: curl_off_t,
    origin: c_int,
) -> c_int {
    let Ok(offset) = u64::try_from(offset) else {
        return curl_sys::CURL_SEEKFUNC_FAIL;
    };
    if origin != libc::SEEK_SET {
        return curl_sys::CURL_SEEKFUNC_CANTSEEK;
    }
    enter::<T, c_int>(
        data,
        curl_sys::CURL_SEEKFUNC_FAIL,
        |_, transfer| match transfer.rewind(offset) {
            true => curl_sys::CURL_SEEKFUNC_OK,
            false => curl_sys::CURL_SEEKFUNC_FAIL,
        },
    )
}

extern "C" fn open_socket(
    _data: *mut c_void,
    _purpose: curl_sys::curlsocktype,
    address: *mut curl_sys::curl_sockaddr,
) -> curl_socket_t {
    // SAFETY: libcurl hands over a valid address; only its numbers are used.
    let fd = unsafe {
        let address = &*address;
        libc::socket(
            address.family,
            address.socktype | libc::SOCK_CLOEXEC,
            address.protocol,
        )
    };
    if fd >= 0
        && let Some(sockets) = sockets::here()
    {
        sockets.borrow_mut().opened(fd);
    }
    fd
}

extern "C" fn close_socket(_data: *mut c_void, fd: curl_socket_t) -> c_int {
    if let Some(sockets) = sockets::here() {
        sockets.borrow_mut().closed(fd);
    }
    // SAFETY: libcurl gives up the descriptor, which `open_socket` made.
    unsafe { libc::close(fd) }
}
