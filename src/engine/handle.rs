//! A `CURL`'s options, and what it knows about its transfer.

use std::ffi::{CStr, c_char, c_long, c_void};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::ptr::{NonNull, null_mut};

use curl_sys::{CURL, CURLINFO, CURLoption, curl_off_t, curl_socket_t};

use super::curl;
use super::tls::{self, Negotiated};

/// `CURLINFO_TYPEMASK`, and the types
const INFO_TYPE: CURLINFO = 0x00f0_0000;
const INFO_OFFSET: CURLINFO = 0x0060_0000;
const INFO_LONG: CURLINFO = 0x0020_0000;
const INFO_STRING: CURLINFO = 0x0010_0000;

/// A `CURL`, whose options can be set.
pub struct Handle(pub(super) NonNull<CURL>);

impl Handle {
    pub(super) fn set_pointer(&self, option: CURLoption, value: *const c_void) {
        // SAFETY: options that take a pointer or function pointer; what they point to lives in
        // `state`, in this handle's list, or is static.
        unsafe { curl::curl_easy_setopt(self.0.as_ptr(), option, value) };
    }

    pub fn set_long(&self, option: CURLoption, value: c_long) {
        debug_assert!(option < 10_000);
        // SAFETY: options below 10000 take a long.
        unsafe { curl::curl_easy_setopt(self.0.as_ptr(), option, value) };
    }

    pub fn set_offset(&self, option: CURLoption, value: i64) {
        debug_assert!((30_000..40_000).contains(&option));
        // SAFETY: options from 30000 on take a curl_off_t.
        unsafe { curl::curl_easy_setopt(self.0.as_ptr(), option, value as curl_off_t) };
    }

    /// Sets an option that takes a string, which libcurl copies. False when it was refused.
    pub fn set_string(&self, option: CURLoption, value: &CStr) -> bool {
        debug_assert!((10_000..20_000).contains(&option));
        // SAFETY: such an option takes a NUL-terminated string and copies it.
        unsafe {
            curl::curl_easy_setopt(self.0.as_ptr(), option, value.as_ptr()) == curl_sys::CURLE_OK
        }
    }

    /// Takes a string option back.
    pub fn unset_string(&self, option: CURLoption) {
        debug_assert!((10_000..20_000).contains(&option));
        self.set_pointer(option, std::ptr::null());
    }

    pub fn info_long(&self, info: CURLINFO) -> i64 {
        debug_assert_eq!(info & INFO_TYPE, INFO_LONG);
        let mut value: c_long = 0;
        // SAFETY: an info of this type is a long.
        unsafe { curl::curl_easy_getinfo(self.0.as_ptr(), info, &mut value) };
        value
    }

    pub fn info_offset(&self, info: CURLINFO) -> i64 {
        debug_assert_eq!(info & INFO_TYPE, INFO_OFFSET);
        let mut value: curl_off_t = 0;
        // SAFETY: an info of this type is a curl_off_t.
        unsafe { curl::curl_easy_getinfo(self.0.as_ptr(), info, &mut value) };
        value
    }

    /// An address of the connection, such as `CURLINFO_PRIMARY_IP`.
    pub fn info_address(&self, info: CURLINFO) -> Option<IpAddr> {
        debug_assert_eq!(info & INFO_TYPE, INFO_STRING);
        let mut text: *const c_char = std::ptr::null();
        // SAFETY: an info of this type is a NUL-terminated string in the handle, or NULL; it is read
        // before anything else is done with the handle.
        let text = unsafe {
            curl::curl_easy_getinfo(self.0.as_ptr(), info, &mut text);
            (!text.is_null()).then(|| CStr::from_ptr(text))?
        };
        text.to_str().ok()?.parse().ok()
    }

    /// Which connection the transfer uses, or used last, by libcurl's numbers for a multi handle.
    pub fn connection(&self) -> i64 {
        self.info_offset(curl::INFO_CONN_ID)
    }

    /// The socket of the connection that a transfer uses, or used last, while that is open.
    pub fn socket(&self) -> Option<RawFd> {
        let mut socket: curl_socket_t = curl_sys::CURL_SOCKET_BAD;
        // SAFETY: this info is a socket, written to where one fits.
        unsafe { curl::curl_easy_getinfo(self.0.as_ptr(), curl::INFO_ACTIVESOCKET, &mut socket) };
        (socket != curl_sys::CURL_SOCKET_BAD).then_some(socket)
    }

    /// OpenSSL's session of the transfer's connection, NULL without one. `None` when the TLS library
    /// is another.
    fn tls_session(&self) -> Option<*const c_void> {
        let mut session: *mut curl::TlsSession = null_mut();
        // SAFETY: this info is a pointer to a structure in the handle; the session in it is that of
        // a connection that is open, or NULL, and belongs to this thread.
        let session = unsafe {
            let info = curl::INFO_TLS_SSL_PTR;
            curl::curl_easy_getinfo(self.0.as_ptr(), info, &mut session);
            session.as_ref()?
        };
        (session.backend == curl::TLS_BACKEND_OPENSSL).then_some(session.internals.cast_const())
    }

    /// Whether OpenSSL holds bytes that it has taken off the transfer's socket.
    pub fn has_buffered_input(&self) -> bool {
        match self.tls_session() {
            // SAFETY: a live session, see there.
            Some(session) => !session.is_null() && unsafe { curl::SSL_has_pending(session) } != 0,
            // It is not known: looking does no harm.
            None => true,
        }
    }

    /// What was agreed on with the server, while the transfer has a connection with TLS.
    pub fn tls(&self) -> Option<Negotiated> {
        let session = self.tls_session().filter(|session| !session.is_null())?;
        // SAFETY: a live session, see there.
        Some(unsafe { tls::negotiated(session) })
    }
}

// SAFETY: libcurl lets a handle be used by any thread, one at a time. Those that go to another are a
// template's, behind a lock, and unused ones: they are in no multi handle and share nothing with
// others. A template's spares share something, and are reached on the loop alone.
unsafe impl Send for Handle {}
