//! What of libcurl's interface `curl-sys` does not declare, and safe questions to the library.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};

use curl_sys::{CURL, CURLINFO, CURLMoption, CURLoption};

/// `CURLOPT_STREAM_WEIGHT`
pub const OPTION_STREAM_WEIGHT: CURLoption = 239;
pub const OPTION_CURLU: CURLoption = 10_000 + 282;
pub const OPTION_QUICK_EXIT: CURLoption = 322;
pub const OPTION_SEEKFUNCTION: CURLoption = 20_000 + 167;
pub const OPTION_PREREQFUNCTION: CURLoption = 20_000 + 312;
pub const OPTION_PREREQDATA: CURLoption = 10_000 + 313;
/// `CURL_PREREQFUNC_ABORT`
pub const PREREQ_ABORT: c_int = 1;
pub const MULTI_OPTION_PIPELINING: CURLMoption = 3;
pub const MULTI_OPTION_RESOLVE_THREADS_MAX: CURLMoption = 20;
pub const MULTI_OPTION_QUICK_EXIT: CURLMoption = 21;
/// `CURLPIPE_MULTIPLEX`
pub const PIPE_MULTIPLEX: c_long = 2;
/// Bytes of the request's body that were sent.
pub const INFO_SIZE_UPLOAD: CURLINFO = 0x0060_0000 + 7;
/// `CURLINFO_ACTIVESOCKET`
pub const INFO_ACTIVESOCKET: CURLINFO = 0x0050_0000 + 44;
/// `CURLINFO_CONN_ID`: which connection a transfer uses, or used last. Since libcurl 8.2.
pub const INFO_CONN_ID: CURLINFO = 0x0060_0000 + 64;
/// Microseconds from a transfer's beginning until it had a connection, or began to make one. This and
/// the following grow when a request is sent once more, which begins after `INFO_REDIRECT_TIME`.
pub const INFO_QUEUE_TIME: CURLINFO = 0x0060_0000 + 65;
pub const INFO_NAMELOOKUP_TIME: CURLINFO = 0x0060_0000 + 51;
pub const INFO_CONNECT_TIME: CURLINFO = 0x0060_0000 + 52;
pub const INFO_APPCONNECT_TIME: CURLINFO = 0x0060_0000 + 56;
pub const INFO_POSTTRANSFER_TIME: CURLINFO = 0x0060_0000 + 67;
pub const INFO_STARTTRANSFER_TIME: CURLINFO = 0x0060_0000 + 54;
pub const INFO_REDIRECT_TIME: CURLINFO = 0x0060_0000 + 55;
pub const INFO_USED_PROXY: CURLINFO = 0x0020_0000 + 66;
/// `CURLE_TOO_LARGE`
pub const ERROR_TOO_LARGE: u32 = 100;
/// `CURLPAUSE_RECV`
pub const PAUSE_RECV: c_int = 1;
/// `CURLPAUSE_SEND`
pub const PAUSE_SEND: c_int = 4;
/// `CURL_READFUNC_PAUSE`
pub const READ_PAUSE: usize = 0x1000_0001;
/// `CURL_READFUNC_ABORT`
pub const READ_ABORT: usize = 0x1000_0000;

/// `CURLU`: a URL that libcurl has parsed.
#[repr(C)]
pub struct ParsedUrl {
    _private: [u8; 0],
}

/// `struct curl_tlssessioninfo`
#[repr(C)]
pub struct TlsSession {
    pub backend: c_int,
    /// An `SSL *` of OpenSSL's.
    pub internals: *mut c_void,
}

/// `CURLSSLBACKEND_OPENSSL`
pub const TLS_BACKEND_OPENSSL: c_int = 1;
/// `CURLINFO_TLS_SSL_PTR`
pub const INFO_TLS_SSL_PTR: CURLINFO = 0x0040_0000 + 45;

/// `CURLUPART_URL`
pub const PART_URL: c_int = 0;
/// `CURLU_PATH_AS_IS`
pub const URL_PATH_AS_IS: c_uint = 1 << 4;

unsafe extern "C" {
    /// OpenSSL's: whether bytes were read from the transport that nobody has read.
    pub fn SSL_has_pending(session: *const c_void) -> c_int;
    pub fn SSL_version(session: *const c_void) -> c_int;
    /// NULL before there is one.
    pub fn SSL_get_current_cipher(session: *const c_void) -> *const c_void;
    pub fn SSL_CIPHER_get_protocol_id(cipher: *const c_void) -> u16;
    /// The name is not NUL-terminated, and NULL where none was agreed on.
    pub fn SSL_get0_alpn_selected(
        session: *const c_void,
        name: *mut *const u8,
        length: *mut c_uint,
    );
    pub fn curl_url() -> *mut ParsedUrl;
    pub fn curl_url_set(
        handle: *mut ParsedUrl,
        part: c_int,
        text: *const c_char,
        flags: c_uint,
    ) -> c_int;
    pub fn curl_url_cleanup(handle: *mut ParsedUrl);
    pub fn curl_easy_setopt(curl: *mut CURL, option: CURLoption, ...) -> u32;
    pub fn curl_easy_getinfo(curl: *mut CURL, info: CURLINFO, ...) -> u32;
}

/// What the libcurl in use can do.
pub struct Capabilities {
    pub version: String,
    pub tls: Option<String>,
    features: c_int,
    protocols: Vec<String>,
}

/// `CURL_VERSION_IPV6`
pub const FEATURE_IPV6: c_int = 1 << 0;
/// `CURL_VERSION_SSL`
pub const FEATURE_TLS: c_int = 1 << 2;
/// `CURL_VERSION_HTTP2`
pub const FEATURE_HTTP2: c_int = 1 << 16;

impl Capabilities {
    pub fn query() -> Capabilities {
        // SAFETY: the function needs no initialisation and returns a pointer to static data, or
        // NULL never; its strings are NUL-terminated and its list of protocols ends with NULL.
        unsafe {
            let info = &*curl_sys::curl_version_info(curl_sys::CURLVERSION_NOW);
            let text = |pointer: *const c_char| {
                (!pointer.is_null()).then(|| CStr::from_ptr(pointer).to_string_lossy().into_owned())
            };
            let mut protocols = Vec::new();
            let mut protocol = info.protocols;
            while !(*protocol).is_null() {
                protocols.extend(text(*protocol));
                protocol = protocol.add(1);
            }
            Capabilities {
                version: text(info.version).unwrap_or_default(),
                tls: text(info.ssl_version),
                features: info.features,
                protocols,
            }
        }
    }

    pub fn has(&self, feature: c_int) -> bool {
        self.features & feature != 0
    }

    pub fn speaks(&self, scheme: &str) -> bool {
        self.protocols.iter().any(|protocol| protocol == scheme)
    }
}

/// libcurl's sentence for a result.
pub fn describe(code: u32) -> String {
    // SAFETY: returns a static NUL-terminated string for every number.
    unsafe {
        CStr::from_ptr(curl_sys::curl_easy_strerror(code))
            .to_string_lossy()
            .into_owned()
    }
}
