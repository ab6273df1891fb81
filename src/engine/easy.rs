//! A `CURL`: one transfer, with its callbacks and options.

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use curl_sys::{curl_off_t, curl_slist, curl_socket_t};

use super::curl::{self, ParsedUrl};
use super::handle::Handle;
use super::multi::Multi;
use super::sockets;
use super::template::{Prepared, Template};

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

pub(super) struct State<T> {
    transfer: UnsafeCell<T>,
    error: UnsafeCell<[c_char; curl_sys::CURL_ERROR_SIZE]>,
    panicked: Cell<bool>,
    /// For the callbacks, once there is one; whoever has the `Easy` frees it.
    handle: OnceCell<Handle>,
}

impl<T> State<T> {
    pub(super) fn new(transfer: T) -> Box<State<T>> {
        Box::new(State {
            transfer: UnsafeCell::new(transfer),
            error: UnsafeCell::new([0; curl_sys::CURL_ERROR_SIZE]),
            panicked: Cell::new(false),
            handle: OnceCell::new(),
        })
    }

    /// The handle whose callback runs.
    fn handle(&self) -> &Handle {
        self.handle.get().expect("callbacks come from a handle")
    }
}

/// An easy handle. It takes itself out of its multi handle when it is dropped.
pub struct Easy<T: Transfer> {
    handle: Handle,
    /// From a box; libcurl holds this pointer too.
    state: NonNull<State<T>>,
    url: Option<Arc<Address>>,
    headers: Option<List>,
    multi: Option<Rc<Multi>>,
    /// It was in a multi handle.
    used: bool,
    /// What it is a copy of, as long as it has no other options than its own and those that `attach`
    /// and `reset` set: then another transfer may have it.
    template: Option<&'static Template<T>>,
}

/// A URL that was parsed beforehand: libcurl would do that on the loop, for each transfer.
pub struct Address(NonNull<ParsedUrl>);

// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Address {}
// SAFETY: it is not changed any more, and libcurl only copies from what a transfer refers to.
unsafe impl Sync for Address {}

impl Address {
    /// `None` when libcurl refuses the text, and without memory.
    pub fn parse(text: &CStr) -> Option<Address> {
        // SAFETY: NULL is checked.
        let address = Address(NonNull::new(unsafe { curl::curl_url() })?);
        // SAFETY: the handle is live; the text is copied.
        let code = unsafe {
            curl::curl_url_set(
                address.0.as_ptr(),
                curl::PART_URL,
                text.as_ptr(),
                curl::URL_PATH_AS_IS,
            )
        };
        (code == 0).then_some(address)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        // SAFETY: made by curl_url; easy handles that refer to it share its ownership.
        unsafe { curl::curl_url_cleanup(self.0.as_ptr()) }
    }
}

/// Lines of text.
pub struct List(*mut curl_slist);

// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for List {}

impl List {
    /// Without line breaks.
    pub fn new(lines: impl Iterator<Item = CString>) -> List {
        let mut list: *mut curl_slist = null_mut();
        for line in lines {
            // SAFETY: appends a copy of the string; NULL (out of memory) leaves the list as it was.
            let longer = unsafe { curl_sys::curl_slist_append(list, line.as_ptr()) };
            if !longer.is_null() {
                list = longer;
            }
        }
        List(list)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: a list made by curl_slist_append, or NULL, which is ignored.
        unsafe { curl_sys::curl_slist_free_all(self.0) }
    }
}

impl<T: Transfer> Deref for Easy<T> {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl<T: Transfer> Easy<T> {
    /// A handle with the template's options. `None` without memory.
    pub fn new(template: &'static Template<T>, transfer: T) -> Option<Easy<T>> {
        let handle = template.copy()?;
        Some(Self::attach(handle, template, State::new(transfer)))
    }

    pub(super) fn attach(
        handle: Handle,
        template: &'static Template<T>,
        state: Box<State<T>>,
    ) -> Easy<T> {
        // It is new: there was no handle yet.
        let _ = state.handle.set(Handle(handle.0));
        let easy = Easy {
            handle,
            state: NonNull::from(Box::leak(state)),
            url: None,
            headers: None,
            multi: None,
            used: false,
            template: Some(template),
        };
        let data = easy.state.as_ptr().cast_const().cast::<c_void>();
        easy.set_pointer(
            curl_sys::CURLOPT_ERRORBUFFER,
            easy.state().error.get().cast_const().cast(),
        );
        easy.set_pointer(curl_sys::CURLOPT_HEADERDATA, data);
        easy.set_pointer(curl_sys::CURLOPT_WRITEDATA, data);
        easy
    }

    /// Takes back what `attach`, `set_url` and `set_headers` set.
    fn reset(&self) {
        for option in [
            curl_sys::CURLOPT_ERRORBUFFER,
            curl_sys::CURLOPT_HEADERDATA,
            curl_sys::CURLOPT_WRITEDATA,
            curl_sys::CURLOPT_HTTPHEADER,
            curl::OPTION_CURLU,
        ] {
            self.set_pointer(option, std::ptr::null());
        }
    }

    /// Options of its own are set on it: no other transfer may have it.
    pub fn spoil(&mut self) {
        self.template = None;
    }

    fn state(&self) -> &State<T> {
        // SAFETY: the box lives as long as this handle, and only its cells change.
        unsafe { self.state.as_ref() }
    }

    /// Makes the handle ask before it sends the request, each time.
    pub fn ask_before_sending(&self) {
        let data = self.state.as_ptr().cast_const();
        self.set_pointer(
            curl::OPTION_PREREQFUNCTION,
            prerequest_callback::<T> as *const c_void,
        );
        self.set_pointer(curl::OPTION_PREREQDATA, data.cast());
    }

    /// Makes the handle ask for a request body.
    pub fn enable_reading(&self) {
        let data = self.state.as_ptr().cast_const();
        self.set_pointer(
            curl_sys::CURLOPT_READFUNCTION,
            read_callback::<T> as *const c_void,
        );
        self.set_pointer(curl_sys::CURLOPT_READDATA, data.cast());
        self.set_pointer(
            curl::OPTION_SEEKFUNCTION,
            seek_callback::<T> as *const c_void,
        );
        self.set_pointer(curl_sys::CURLOPT_SEEKDATA, data.cast());
    }

    /// Sets the URL.
    pub fn set_url(&mut self, url: Arc<Address>) {
        let pointer = url.0.as_ptr().cast_const();
        self.set_pointer(curl::OPTION_CURLU, pointer.cast());
        self.url = Some(url);
    }

    /// Sets the request's header lines.
    pub fn set_headers(&mut self, list: List) {
        self.set_pointer(curl_sys::CURLOPT_HTTPHEADER, list.0.cast_const().cast());
        self.headers = Some(list);
    }

    /// libcurl's own words about what went wrong.
    pub fn error_text(&self) -> String {
        // SAFETY: the buffer is NUL-terminated and not written to while libcurl is not working.
        unsafe {
            CStr::from_ptr(self.state().error.get().cast_const().cast())
                .to_string_lossy()
                .into_owned()
        }
    }

    /// Whether a callback of this transfer panicked.
    pub fn panicked(&self) -> bool {
        self.state().panicked.get()
    }

    pub fn transfer(&mut self) -> &mut T {
        // SAFETY: callbacks run only inside calls to libcurl, and those that can call back take
        // this handle, or the loop, by `&mut`: no other reference exists now.
        unsafe { &mut *self.state().transfer.get() }
    }

    /// Starts the transfer. False when libcurl refuses. `key` comes back from
    /// `Multi::take_finished`.
    pub fn add_to(&mut self, multi: &Rc<Multi>, key: usize) -> bool {
        self.set_pointer(curl_sys::CURLOPT_PRIVATE, std::ptr::without_provenance(key));
        self.used = true;
        // SAFETY: both handles are live and belong to this thread.
        let code = unsafe { curl_sys::curl_multi_add_handle(multi.raw(), self.handle.0.as_ptr()) };
        if code == curl_sys::CURLM_OK {
            self.multi = Some(Rc::clone(multi));
            return true;
        }
        tracing::error!(target: "engine", code, "curl_multi_add_handle failed");
        false
    }

    /// Sets what is paused. What libcurl held back may arrive before this returns.
    pub fn pause(&mut self, receiving: bool, sending: bool) {
        let mut mask = 0;
        if receiving {
            mask |= curl::PAUSE_RECV;
        }
        if sending {
            mask |= curl::PAUSE_SEND;
        }
        // SAFETY: the handle is live; callbacks that run now find no reference to the transfer.
        // Without a connection this is an error, which the caller's own note of the pause covers.
        unsafe { curl_sys::curl_easy_pause(self.handle.0.as_ptr(), mask) };
    }
}

impl<T: Transfer> Easy<T> {
    /// Lets the handle go to another thread. `None` if it was used already.
    pub fn prepared(self) -> Option<Prepared<T>> {
        (!self.used).then(|| Prepared::with_handle(self))
    }

    /// Frees the handle, or keeps it for another transfer if it served this one well, and gives back
    /// the transfer.
    pub fn end(mut self, well: bool) -> Ended<T> {
        self.leave_multi();
        let kept = match self.template.filter(|_| well && self.used) {
            Some(template) => {
                self.reset();
                template.keep(Handle(self.handle.0))
            }
            None => false,
        };
        if !kept {
            self.free();
        }
        let leftovers = (self.headers.take(), self.url.take());
        // SAFETY: made by `Box::leak`; libcurl does not know it any more, and `drop` is not run.
        let state = unsafe { Box::from_raw(self.state.as_ptr()) };
        std::mem::forget(self);
        Ended {
            state,
            _leftovers: leftovers,
        }
    }

    fn leave_multi(&mut self) {
        if let Some(multi) = self.multi.take() {
            // SAFETY: the handle is live and in `multi`.
            unsafe {
                curl_sys::curl_multi_remove_handle(multi.raw(), self.handle.0.as_ptr());
            }
        }
    }

    /// Frees libcurl's part.
    fn free(&mut self) {
        self.leave_multi();
        // SAFETY: the handle is live, in no multi handle, and not used after this.
        unsafe { curl_sys::curl_easy_cleanup(self.handle.0.as_ptr()) }
    }
}

/// The transfer of a handle that was freed, where it lay, and what else was made with it.
pub struct Ended<T> {
    state: Box<State<T>>,
    _leftovers: (Option<List>, Option<Arc<Address>>),
}

// SAFETY: the pointer to the handle in it is not used any more, the list and the URL are not shared,
// and the transfer may be sent.
unsafe impl<T: Send> Send for Ended<T> {}

impl<T> Ended<T> {
    pub fn transfer(&mut self) -> &mut T {
        self.state.transfer.get_mut()
    }
}

impl<T: Transfer> Drop for Easy<T> {
    fn drop(&mut self) {
        self.free();
        // SAFETY: made by `Box::leak`; libcurl does not know it any more.
        unsafe { drop(Box::from_raw(self.state.as_ptr())) };
    }
}

thread_local! {
    /// When the turn of the loop on this thread began; set by the reactor.
    static TURN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Grows with everything that a transfer of this thread receives or sends.
    static ACTIVITY: Cell<u64> = const { Cell::new(0) };
}

/// The time, as exact as the loop's turns: reading the clock for each line of a head costs more
/// than looking at the line.
pub fn turn_time() -> Instant {
    TURN.get().unwrap_or_else(Instant::now)
}

/// Notes when a turn begins.
pub fn set_turn_time(now: Instant) {
    TURN.set(Some(now));
}

/// Notes that something moved.
pub fn note_activity() {
    ACTIVITY.set(ACTIVITY.get() + 1);
}

/// A number that grows with everything that transfers of this thread receive or send.
pub fn activity() -> u64 {
    ACTIVITY.get()
}

/// Runs a callback of a transfer. A panic in it must not cross libcurl: the transfer fails.
fn enter<T: Transfer, R>(
    data: *mut c_void,
    failed: R,
    body: impl FnOnce(&State<T>, &mut T) -> R,
) -> R {
    note_activity();
    // SAFETY: `data` is the `State` that was set with the callback and outlives the handle. While
    // libcurl is working nobody else refers to the transfer (see `Easy::transfer`).
    let (state, transfer) = unsafe {
        let state = &*data.cast_const().cast::<State<T>>();
        (state, &mut *state.transfer.get())
    };
    if state.panicked.get() {
        return failed;
    }
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
        match give(transfer, bytes, state.handle()) {
            Flow::Continue => bytes.len(),
            Flow::Pause => {
                // The bytes are taken and the reading stops here. Returning CURL_WRITEFUNC_PAUSE would
                // make libcurl keep a copy of them.
                // SAFETY: one of the few calls that libcurl allows in a callback; pausing calls nothing.
                unsafe { curl_sys::curl_easy_pause(state.handle().0.as_ptr(), curl::PAUSE_RECV) };
                bytes.len()
            }
            Flow::Abort => FAILED,
        }
    })
}

extern "C" fn read_callback<T: Transfer>(
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

extern "C" fn prerequest_callback<T: Transfer>(
    data: *mut c_void,
    _remote: *mut c_char,
    _local: *mut c_char,
    _remote_port: c_int,
    _local_port: c_int,
) -> c_int {
    enter::<T, c_int>(data, curl::PREREQ_ABORT, |state, transfer| {
        if transfer.starts(state.handle()) {
            0
        } else {
            curl::PREREQ_ABORT
        }
    })
}

extern "C" fn seek_callback<T: Transfer>(
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
