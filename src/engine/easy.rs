//! A `CURL`: one transfer and its options.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, CString, c_void};
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;
use std::sync::Arc;

use curl_sys::{CURL, curl_slist};

use super::curl::{self, ParsedUrl};
use super::handle::Handle;
use super::multi::Multi;
use super::template::{Prepared, Template};
use super::transfer::{State, Transfer, prerequest_callback, read_callback, seek_callback};

/// A handle with the state that its callbacks need, whichever transfer it serves. From a box; libcurl
/// holds this pointer too.
pub(super) struct Seat<T>(NonNull<State<T>>);

// SAFETY: the only owner of the state and its handle, which is in no multi handle when it is sent (see
// `Prepared`); the transfer may be sent.
unsafe impl<T: Send> Send for Seat<T> {}

impl<T: Transfer> Seat<T> {
    pub(super) fn new(handle: Handle) -> Seat<T> {
        let state = NonNull::from(Box::leak(Box::new(State {
            handle,
            key: Cell::new(usize::MAX),
            transfer: UnsafeCell::new(None),
            error: UnsafeCell::new([0; curl_sys::CURL_ERROR_SIZE]),
            panicked: Cell::new(false),
        })));
        let seat = Seat(state);
        let data = state.as_ptr().cast_const().cast::<c_void>();
        for (option, value) in [
            (
                curl_sys::CURLOPT_ERRORBUFFER,
                seat.error.get().cast_const().cast(),
            ),
            (
                curl_sys::CURLOPT_PRIVATE,
                seat.key.as_ptr().cast_const().cast(),
            ),
            (curl_sys::CURLOPT_HEADERDATA, data),
            (curl_sys::CURLOPT_WRITEDATA, data),
        ] {
            seat.handle.set_pointer(option, value);
        }
        seat
    }
}

impl<T> Deref for Seat<T> {
    type Target = State<T>;

    fn deref(&self) -> &State<T> {
        // SAFETY: the box lives as long as this, and only its cells change.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is live, in no multi handle (it leaves that first), and not used after
        // this; the state was made by `Box::leak`, and libcurl does not know it any more then.
        unsafe {
            curl_sys::curl_easy_cleanup(self.handle.0.as_ptr());
            drop(Box::from_raw(self.0.as_ptr()));
        }
    }
}

/// That a handle is in a multi handle; it leaves it when this is dropped.
struct Membership {
    multi: Rc<Multi>,
    handle: NonNull<CURL>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and in the multi handle.
        unsafe { curl_sys::curl_multi_remove_handle(self.multi.raw(), self.handle.as_ptr()) };
    }
}

/// An easy handle with its transfer.
pub struct Easy<T: Transfer> {
    // Dropped in this order: libcurl refers to what comes later.
    membership: Option<Membership>,
    seat: Seat<T>,
    url: Option<Arc<Address>>,
    headers: Option<List>,
    /// It was in a multi handle.
    used: bool,
    /// What it is a copy of, as long as it has no other options than its own and those that `reset`
    /// takes back: then another transfer may have it.
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

    fn is_empty(&self) -> bool {
        self.0.is_null()
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
        &self.seat.handle
    }
}

impl<T: Transfer> Easy<T> {
    /// A handle with the template's options. `None` without memory.
    pub fn new(template: &'static Template<T>, transfer: T) -> Option<Easy<T>> {
        Some(Self::attach(template.copy()?, template, Box::new(transfer)))
    }

    /// Gives a transfer to a handle that has none.
    pub(super) fn attach(
        seat: Seat<T>,
        template: &'static Template<T>,
        transfer: Box<T>,
    ) -> Easy<T> {
        // SAFETY: libcurl is not at work with the handle: nobody else refers to these. It does not
        // clear the error itself.
        unsafe {
            *seat.transfer.get() = Some(transfer);
            (*seat.error.get())[0] = 0;
        }
        Easy {
            membership: None,
            seat,
            url: None,
            headers: None,
            used: false,
            template: Some(template),
        }
    }

    /// Takes back what `set_url` and `set_headers` set.
    fn reset(&self) {
        if self.url.is_some() {
            self.set_pointer(curl::OPTION_CURLU, std::ptr::null());
        }
        if self.headers.is_some() {
            self.set_pointer(curl_sys::CURLOPT_HTTPHEADER, std::ptr::null());
        }
    }

    /// Options of its own are set on it: no other transfer may have it.
    pub fn spoil(&mut self) {
        self.template = None;
    }

    /// Makes the handle ask before it sends the request, each time.
    pub fn ask_before_sending(&self) {
        let data = self.seat.0.as_ptr().cast_const();
        self.set_pointer(
            curl::OPTION_PREREQFUNCTION,
            prerequest_callback::<T> as *const c_void,
        );
        self.set_pointer(curl::OPTION_PREREQDATA, data.cast());
    }

    /// Makes the handle ask for a request body.
    pub fn enable_reading(&self) {
        let data = self.seat.0.as_ptr().cast_const();
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
        if list.is_empty() && self.headers.is_none() {
            return;
        }
        self.set_pointer(curl_sys::CURLOPT_HTTPHEADER, list.0.cast_const().cast());
        self.headers = Some(list);
    }

    /// libcurl's own words about what went wrong.
    pub fn error_text(&self) -> String {
        // SAFETY: the buffer is NUL-terminated and not written to while libcurl is not working.
        unsafe {
            CStr::from_ptr(self.seat.error.get().cast_const().cast())
                .to_string_lossy()
                .into_owned()
        }
    }

    /// Whether a callback of this transfer panicked.
    pub fn panicked(&self) -> bool {
        self.seat.panicked.get()
    }

    pub fn transfer(&mut self) -> &mut T {
        // SAFETY: callbacks run only inside calls to libcurl, and those that can call back take
        // this handle, or the loop, by `&mut`: no other reference exists now.
        let transfer = unsafe { &mut *self.seat.transfer.get() };
        transfer.as_deref_mut().expect("it has one until it ends")
    }

    /// Starts the transfer. False when libcurl refuses. `key` comes back from
    /// `Multi::take_finished`.
    pub fn add_to(&mut self, multi: &Rc<Multi>, key: usize) -> bool {
        self.seat.key.set(key);
        self.used = true;
        // SAFETY: both handles are live and belong to this thread.
        let code = unsafe { curl_sys::curl_multi_add_handle(multi.raw(), self.0.as_ptr()) };
        if code == curl_sys::CURLM_OK {
            self.membership = Some(Membership {
                multi: Rc::clone(multi),
                handle: self.0,
            });
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
        unsafe { curl_sys::curl_easy_pause(self.0.as_ptr(), mask) };
    }

    /// Makes libcurl run a transfer that is reading, whether or not an event says so, when it is called
    /// next. `sending`: whether sending is paused.
    pub fn look(&mut self, sending: bool) {
        // It does so also where nothing changes.
        self.pause(false, sending);
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
        self.membership = None;
        let template = self.template.filter(|_| well && self.used);
        if template.is_some() {
            self.reset();
        }
        let Easy {
            seat, url, headers, ..
        } = self;
        // SAFETY: libcurl is not at work with the handle: nobody else refers to this.
        let transfer = unsafe { (*seat.transfer.get()).take() };
        match template {
            Some(template) => template.keep(seat),
            None => drop(seat),
        }
        Ended {
            transfer: transfer.expect("it has one until it ends"),
            _leftovers: (headers, url),
        }
    }
}

/// The transfer of a handle that is done with it, and what else was made for it.
pub struct Ended<T> {
    transfer: Box<T>,
    _leftovers: (Option<List>, Option<Arc<Address>>),
}

impl<T> Ended<T> {
    pub fn transfer(&mut self) -> &mut T {
        &mut self.transfer
    }
}
