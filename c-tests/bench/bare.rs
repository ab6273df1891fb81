//! The judge: what a careful program over bare libcurl does, on one thread.
//!
//! `curl_multi_socket_action` on an epoll set whose changes are collected and applied once per turn
//! (libcurl takes a socket out and puts it back around every HTTP/1.1 request), large buffers, a
//! fresh easy handle per request.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use curl_sys as sys;

use crate::options::{Options, held, release};
use crate::servers::SMALL_BODY;
use crate::usage::{Meter, Report, status};

const BUFFER_SIZE: c_long = 512 << 10;
const UPLOAD_BUFFER_SIZE: c_long = 2 << 20;

macro_rules! set {
    ($easy:expr, $option:ident, $value:expr) => {
        // SAFETY: the handle is live and the value has the type that the option asks for.
        unsafe {
            let code = sys::curl_easy_setopt($easy, sys::$option, $value);
            assert_eq!(code, sys::CURLE_OK, stringify!($option));
        }
    };
}

macro_rules! set_multi {
    ($multi:expr, $option:ident, $value:expr) => {
        // SAFETY: the handle is live and the value has the type that the option asks for.
        unsafe {
            let code = sys::curl_multi_setopt($multi, sys::$option, $value);
            assert_eq!(code, sys::CURLM_OK, stringify!($option));
        }
    };
}

mod files;

pub fn run(row: &str, options: &Options) -> Result<(), String> {
    // Not by the `curl` crate, which would do it before main, also for the library: that does it with its
    // own functions for memory.
    // SAFETY: the process has one thread.
    unsafe { sys::curl_global_init(sys::CURL_GLOBAL_ALL) };
    match row {
        "get" => get(options),
        "download" => download(options),
        "upload" => upload(options),
        "download-file" => files::download(options),
        "upload-file" => files::upload(options),
        "idle" => idle(options),
        _ => Err(format!("bare has no {row}")),
    }
}

// ---- The loop -----------------------------------------------------------------------------------

/// What libcurl wants of a descriptor and what the epoll set has.
#[derive(Clone, Copy, Default)]
struct Socket {
    wanted: u32,
    registered: u32,
    dirty: bool,
}

struct Loop {
    multi: *mut sys::CURLM,
    epoll: c_int,
    sockets: RefCell<Vec<Socket>>,
    dirty: RefCell<Vec<c_int>>,
    timer: Cell<Option<Instant>>,
    stopped: Cell<bool>,
}

extern "C" fn socket_callback(
    _easy: *mut sys::CURL,
    fd: sys::curl_socket_t,
    what: c_int,
    context: *mut c_void,
    _socket: *mut c_void,
) -> c_int {
    // SAFETY: the context is the Loop, which outlives the multi handle.
    let event_loop = unsafe { &*context.cast::<Loop>() };
    let wanted = match what {
        sys::CURL_POLL_IN => libc::EPOLLIN,
        sys::CURL_POLL_OUT => libc::EPOLLOUT,
        sys::CURL_POLL_INOUT => libc::EPOLLIN | libc::EPOLLOUT,
        _ => 0,
    };
    event_loop.want(fd, wanted as u32);
    0
}

extern "C" fn timer_callback(
    _multi: *mut sys::CURLM,
    timeout: c_long,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the context is the Loop, which outlives the multi handle.
    let event_loop = unsafe { &*context.cast::<Loop>() };
    let timeout = u64::try_from(timeout).ok();
    event_loop
        .timer
        .set(timeout.map(|ms| Instant::now() + Duration::from_millis(ms)));
    0
}

extern "C" fn close_callback(context: *mut c_void, fd: sys::curl_socket_t) -> c_int {
    // SAFETY: the context is the Loop, which outlives the multi handle.
    let event_loop = unsafe { &*context.cast::<Loop>() };
    if let Some(socket) = event_loop.sockets.borrow_mut().get_mut(fd as usize) {
        // Closing it takes it out of the epoll set; the number may come back.
        socket.registered = 0;
        socket.wanted = 0;
    }
    // SAFETY: libcurl hands the descriptor over to be closed.
    unsafe { libc::close(fd) }
}

impl Loop {
    /// `connections`: how many may be open at once, to one host too.
    fn new(connections: u64) -> Box<Self> {
        // SAFETY: plain calls.
        let (multi, epoll) = unsafe {
            (
                sys::curl_multi_init(),
                libc::epoll_create1(libc::EPOLL_CLOEXEC),
            )
        };
        let event_loop = Box::new(Self {
            multi,
            epoll,
            sockets: RefCell::default(),
            dirty: RefCell::default(),
            timer: Cell::new(None),
            stopped: Cell::new(false),
        });
        let context: *const Self = &raw const *event_loop;
        set_multi!(
            multi,
            CURLMOPT_SOCKETFUNCTION,
            socket_callback as sys::curl_socket_callback
        );
        set_multi!(multi, CURLMOPT_SOCKETDATA, context);
        set_multi!(
            multi,
            CURLMOPT_TIMERFUNCTION,
            timer_callback as sys::curl_multi_timer_callback
        );
        set_multi!(multi, CURLMOPT_TIMERDATA, context);
        set_multi!(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections as c_long);
        set_multi!(multi, CURLMOPT_MAXCONNECTS, 2 * connections as c_long);
        event_loop
    }

    fn want(&self, fd: c_int, wanted: u32) {
        let mut sockets = self.sockets.borrow_mut();
        let index = fd as usize;
        if index >= sockets.len() {
            sockets.resize(index + 1, Socket::default());
        }
        let socket = &mut sockets[index];
        socket.wanted = wanted;
        if !socket.dirty && socket.wanted != socket.registered {
            socket.dirty = true;
            self.dirty.borrow_mut().push(fd);
        }
    }

    /// Brings the epoll set up to date.
    fn flush(&self) {
        let mut sockets = self.sockets.borrow_mut();
        for fd in self.dirty.borrow_mut().drain(..) {
            let socket = &mut sockets[fd as usize];
            socket.dirty = false;
            if socket.wanted == socket.registered {
                continue;
            }
            let operation = match (socket.registered, socket.wanted) {
                (0, _) => libc::EPOLL_CTL_ADD,
                (_, 0) => libc::EPOLL_CTL_DEL,
                _ => libc::EPOLL_CTL_MOD,
            };
            let mut event = libc::epoll_event {
                events: socket.wanted,
                u64: fd as u64,
            };
            // SAFETY: the descriptor is open, or the call fails and changes nothing.
            unsafe { libc::epoll_ctl(self.epoll, operation, fd, &mut event) };
            socket.registered = socket.wanted;
        }
    }

    fn add(&self, easy: *mut sys::CURL) {
        // SAFETY: both handles are live.
        unsafe { sys::curl_multi_add_handle(self.multi, easy) };
    }

    fn act(&self, fd: sys::curl_socket_t, mask: c_int) {
        let mut running = 0;
        // SAFETY: the handle is live.
        unsafe { sys::curl_multi_socket_action(self.multi, fd, mask, &mut running) };
    }

    fn run_timer(&self) -> bool {
        match self.timer.get() {
            Some(at) if at <= Instant::now() => {
                self.timer.set(None);
                self.act(sys::CURL_SOCKET_TIMEOUT, 0);
                true
            }
            _ => false,
        }
    }

    /// Hands over the transfers that have ended, removed from the multi handle.
    fn finished(&self, done: &mut impl FnMut(&Self, *mut sys::CURL, bool)) {
        let mut left = 0;
        loop {
            // SAFETY: the message is valid until the next call on the multi handle.
            let (easy, code) = unsafe {
                let message = sys::curl_multi_info_read(self.multi, &mut left);
                let Some(message) = message.as_ref() else {
                    return;
                };
                let ended = (message.easy_handle, message.data as usize as sys::CURLcode);
                sys::curl_multi_remove_handle(self.multi, ended.0);
                ended
            };
            done(self, easy, code == sys::CURLE_OK);
        }
    }

    /// Runs until `stopped` is set, or the time is over.
    fn run(&self, until: Option<Instant>, mut done: impl FnMut(&Self, *mut sys::CURL, bool)) {
        // SAFETY: epoll_event is plain data.
        let mut events: [libc::epoll_event; 256] = unsafe { std::mem::zeroed() };
        self.stopped.set(false);
        loop {
            // Handles that were added start in the timer's turn; what ends in it is seen before
            // waiting.
            while self.run_timer() {
                self.finished(&mut done);
            }
            if self.stopped.get() {
                return;
            }
            let now = Instant::now();
            if until.is_some_and(|until| until <= now) {
                return;
            }
            let deadline = [self.timer.get(), until].into_iter().flatten().min();
            let timeout = deadline.map_or(-1, |deadline| {
                let left = deadline.saturating_duration_since(now).as_micros();
                c_int::try_from(left.div_ceil(1000)).unwrap_or(c_int::MAX)
            });
            self.flush();
            // SAFETY: the array has room for as many events as are asked for.
            let count = unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), 256, timeout) };
            for event in &events[..usize::try_from(count).unwrap_or(0)] {
                let (bits, fd) = ({ event.events } as c_int, { event.u64 } as c_int);
                let mut mask = 0;
                if bits & libc::EPOLLIN != 0 {
                    mask |= sys::CURL_CSELECT_IN;
                }
                if bits & libc::EPOLLOUT != 0 {
                    mask |= sys::CURL_CSELECT_OUT;
                }
                if bits & (libc::EPOLLERR | libc::EPOLLHUP) != 0 {
                    mask |= sys::CURL_CSELECT_ERR;
                }
                self.act(fd, mask);
            }
            self.finished(&mut done);
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: no transfer is left, and the callbacks' context lives until this returns.
        unsafe {
            sys::curl_multi_cleanup(self.multi);
            libc::close(self.epoll);
        }
    }
}

// ---- Transfers ----------------------------------------------------------------------------------

/// What a client keeps of an answer.
struct Transfer {
    body: Vec<u8>,
    headers: Vec<u8>,
    held: bool,
}

extern "C" fn collect_body(
    data: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the Transfer; the bytes are valid for the call.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size * count);
        (*context.cast::<Transfer>()).body.extend_from_slice(bytes);
    }
    size * count
}

extern "C" fn collect_header(
    data: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the Transfer; the bytes are valid for the call.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size * count);
        (*context.cast::<Transfer>())
            .headers
            .extend_from_slice(bytes);
    }
    size * count
}

extern "C" fn count_body(
    _data: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the counter.
    unsafe { *context.cast::<u64>() += (size * count) as u64 };
    size * count
}

/// What every kind of request has in common.
fn easy(event_loop: &Loop, url: &CString, ca: Option<&CString>) -> *mut sys::CURL {
    // SAFETY: a plain call.
    let easy = unsafe { sys::curl_easy_init() };
    set!(easy, CURLOPT_URL, url.as_ptr());
    set!(easy, CURLOPT_NOSIGNAL, 1 as c_long);
    set!(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
    // The same request on the wire as the library's: writing these fields is work that both do.
    set!(easy, CURLOPT_USERAGENT, c"libnsurlsession/0.1.0".as_ptr());
    set!(
        easy,
        CURLOPT_ACCEPT_ENCODING,
        c"gzip, deflate, br, zstd".as_ptr()
    );
    set!(easy, CURLOPT_HTTP_CONTENT_DECODING, 0 as c_long);
    set!(
        easy,
        CURLOPT_CLOSESOCKETFUNCTION,
        close_callback as extern "C" fn(*mut c_void, c_int) -> c_int
    );
    set!(easy, CURLOPT_CLOSESOCKETDATA, ptr::from_ref(event_loop));
    if let Some(ca) = ca {
        set!(easy, CURLOPT_CAINFO, ca.as_ptr());
        set!(
            easy,
            CURLOPT_HTTP_VERSION,
            sys::CURL_HTTP_VERSION_2TLS as c_long
        );
        // Or each request in flight opens a connection of its own. On plain HTTP all would wait
        // for the first answer.
        set!(easy, CURLOPT_PIPEWAIT, 1 as c_long);
    } else {
        set!(
            easy,
            CURLOPT_HTTP_VERSION,
            sys::CURL_HTTP_VERSION_1_1 as c_long
        );
    }
    easy
}

fn status_code(easy: *mut sys::CURL) -> c_long {
    let mut code: c_long = 0;
    // SAFETY: the option writes a long.
    unsafe { sys::curl_easy_getinfo(easy, sys::CURLINFO_RESPONSE_CODE, &mut code as *mut c_long) };
    code
}

/// Starts a GET whose answer is collected.
fn start_get(event_loop: &Loop, url: &CString, ca: Option<&CString>, held: bool) {
    let transfer = Box::into_raw(Box::new(Transfer {
        body: Vec::new(),
        headers: Vec::new(),
        held,
    }));
    let easy = easy(event_loop, url, ca);
    set!(
        easy,
        CURLOPT_WRITEFUNCTION,
        collect_body as sys::curl_write_callback
    );
    set!(easy, CURLOPT_WRITEDATA, transfer);
    set!(
        easy,
        CURLOPT_HEADERFUNCTION,
        collect_header as sys::curl_write_callback
    );
    set!(easy, CURLOPT_HEADERDATA, transfer);
    set!(easy, CURLOPT_PRIVATE, transfer);
    event_loop.add(easy);
}

/// Takes the answer of a GET that has ended, and the status.
fn end_get(easy: *mut sys::CURL) -> (Box<Transfer>, c_long) {
    let status = status_code(easy);
    let mut transfer: *mut Transfer = ptr::null_mut();
    // SAFETY: start_get set the pointer, and nothing else frees it.
    unsafe {
        sys::curl_easy_getinfo(
            easy,
            sys::CURLINFO_PRIVATE,
            &mut transfer as *mut *mut Transfer,
        );
        sys::curl_easy_cleanup(easy);
        (Box::from_raw(transfer), status)
    }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|error| error.to_string())
}

fn ca(options: &Options) -> Result<Option<CString>, String> {
    let https = options.url("url")?.starts_with("https:");
    let ca = options.text("ca").filter(|_| https);
    ca.map(c_string).transpose()
}

// ---- The rows -----------------------------------------------------------------------------------

fn get(options: &Options) -> Result<(), String> {
    let url = c_string(options.url("url")?)?;
    let ca = ca(options)?;
    let inflight = options.number("inflight", 1)?;
    let total = options.number("count", 1000)?;
    let mark = options.number("mark", 0)?;
    let idle = options.number("held", 0)?;
    let mut meter = Meter::new(
        total,
        options.number("skip", inflight)?,
        (mark > 0).then_some(mark),
    );

    let event_loop = Loop::new(inflight.max(idle));
    let mut idle_left = idle;
    let mut idle_failed = 0;
    if idle > 0 {
        hold(&event_loop, options.url("hold-url")?, idle)?;
    }
    let mut started = inflight.min(total);
    for _ in 0..started {
        start_get(&event_loop, &url, ca.as_ref(), false);
    }
    event_loop.run(None, |event_loop, easy, ok| {
        let (transfer, status) = end_get(easy);
        if transfer.held {
            idle_left -= 1;
            idle_failed += 1;
            return;
        }
        if started < total {
            started += 1;
            start_get(event_loop, &url, ca.as_ref(), false);
        }
        let ok = ok && status == 200 && transfer.body == SMALL_BODY && !transfer.headers.is_empty();
        if meter.tick(ok) {
            event_loop.stopped.set(true);
        }
    });
    meter.errors += idle_failed;
    if idle > 0 {
        meter.errors += let_go(&event_loop, options.url("hold-url")?, idle_left);
    }
    meter.report().print();
    Ok(())
}

/// Starts requests that the server does not answer yet, and waits until it has them.
fn hold(event_loop: &Loop, url: &str, count: u64) -> Result<(), String> {
    let hold_url = c_string(url)?;
    for _ in 0..count {
        start_get(event_loop, &hold_url, None, true);
    }
    while held(url) < count {
        let until = Instant::now() + Duration::from_millis(20);
        let mut failed = false;
        event_loop.run(Some(until), |event_loop, easy, _| {
            end_get(easy);
            failed = true;
            event_loop.stopped.set(true);
        });
        if failed {
            return Err("a request that was to be held has ended".to_owned());
        }
    }
    Ok(())
}

/// Lets the held requests be answered; how many failed.
fn let_go(event_loop: &Loop, url: &str, count: u64) -> u64 {
    release(url);
    let (mut left, mut errors) = (count, 0);
    if count == 0 {
        return 0;
    }
    event_loop.run(None, |event_loop, easy, ok| {
        let (_, status) = end_get(easy);
        errors += u64::from(!ok || status != 200);
        left -= 1;
        if left == 0 {
            event_loop.stopped.set(true);
        }
    });
    errors
}

fn idle(options: &Options) -> Result<(), String> {
    let url = options.url("hold-url")?;
    let tasks = options.number("tasks", 10)?;
    let event_loop = Loop::new(tasks);
    // What the first request of all brings in is not part of a task.
    hold(&event_loop, url, 1)?;
    let mut errors = let_go(&event_loop, url, 1);
    let before = status("VmRSS");
    hold(&event_loop, url, tasks)?;
    let after = status("VmRSS");
    let threads = status("Threads");
    errors += let_go(&event_loop, url, tasks);
    let mut report = Report::default();
    report.add("kib_task", (after - before) / tasks as f64);
    report.add("rss_kib", after);
    report.add("threads", threads);
    report.add("errors", errors as f64);
    report.print();
    Ok(())
}

fn download(options: &Options) -> Result<(), String> {
    let url = c_string(options.url("url")?)?;
    let ca = ca(options)?;
    let event_loop = Loop::new(1);
    let mut received = 0u64;
    let mut meter = Meter::new(options.number("count", 1)?, 0, None);
    // One after the other.
    let start = |event_loop: &Loop, received: *mut u64| {
        let easy = easy(event_loop, &url, ca.as_ref());
        set!(
            easy,
            CURLOPT_WRITEFUNCTION,
            count_body as sys::curl_write_callback
        );
        set!(easy, CURLOPT_WRITEDATA, received);
        event_loop.add(easy);
    };
    let counter = &raw mut received;
    start(&event_loop, counter);
    event_loop.run(None, |event_loop, easy, ok| {
        let ok = ok && status_code(easy) == 200;
        // SAFETY: the handle is removed from the multi handle and not used again.
        unsafe { sys::curl_easy_cleanup(easy) };
        if meter.tick(ok) {
            event_loop.stopped.set(true);
        } else {
            start(event_loop, counter);
        }
    });
    let mut report = meter.report();
    report.add_bytes(received);
    report.print();
    Ok(())
}

/// The body and how much of it is sent.
struct Body<'a> {
    bytes: &'a [u8],
    sent: usize,
}

extern "C" fn read_body(
    target: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the Body; the target has room for size * count bytes.
    unsafe {
        let body = &mut *context.cast::<Body<'_>>();
        let rest = &body.bytes[body.sent..];
        let length = rest.len().min(size * count);
        ptr::copy_nonoverlapping(rest.as_ptr(), target.cast(), length);
        body.sent += length;
        length
    }
}

/// The header lines of an upload, to be freed after the transfers. Without them libcurl waits for a
/// 100 that few servers send.
fn no_expect() -> *mut sys::curl_slist {
    // SAFETY: a plain call.
    unsafe { sys::curl_slist_append(ptr::null_mut(), c"Expect:".as_ptr()) }
}

/// The options of an upload of `size` bytes.
fn set_upload(easy: *mut sys::CURL, size: u64, headers: *mut sys::curl_slist) {
    set!(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_SIZE);
    set!(easy, CURLOPT_POST, 1 as c_long);
    set!(easy, CURLOPT_POSTFIELDSIZE_LARGE, size as sys::curl_off_t);
    set!(easy, CURLOPT_HTTPHEADER, headers);
}

fn upload(options: &Options) -> Result<(), String> {
    let url = c_string(options.url("url")?)?;
    let size = options.number("size", 512 << 20)?;
    let count = options.number("count", 1)?;
    let fields = options.text("method") == Some("fields");
    let event_loop = Loop::new(1);
    let bytes = vec![0x5a; size as usize];
    let mut body = Body {
        bytes: &bytes,
        sent: 0,
    };
    let mut answer = Transfer {
        body: Vec::new(),
        headers: Vec::new(),
        held: false,
    };
    let headers = no_expect();
    let (body, answer) = (&raw mut body, &raw mut answer);
    // One after the other.
    let start = |event_loop: &Loop| {
        let easy = easy(event_loop, &url, None);
        set_upload(easy, size, headers);
        if fields {
            set!(easy, CURLOPT_POSTFIELDS, bytes.as_ptr());
        } else {
            set!(
                easy,
                CURLOPT_READFUNCTION,
                read_body as sys::curl_read_callback
            );
            set!(easy, CURLOPT_READDATA, body);
        }
        set!(
            easy,
            CURLOPT_WRITEFUNCTION,
            collect_body as sys::curl_write_callback
        );
        set!(easy, CURLOPT_WRITEDATA, answer);
        event_loop.add(easy);
    };
    let mut meter = Meter::new(count, 0, None);
    start(&event_loop);
    event_loop.run(None, |event_loop, easy, ok| {
        let ok = ok && status_code(easy) == 200;
        // SAFETY: the easy handle is removed from the multi handle and not used again; what the
        // pointers point to is live and no transfer is using it.
        let right = unsafe {
            sys::curl_easy_cleanup(easy);
            (*body).sent = 0;
            std::mem::take(&mut (*answer).body) == size.to_string().as_bytes()
        };
        if meter.tick(ok && right) {
            event_loop.stopped.set(true);
        } else {
            start(event_loop);
        }
    });
    // SAFETY: nothing uses the list any more.
    unsafe { sys::curl_slist_free_all(headers) };
    let mut report = meter.report();
    report.add_bytes(size * count);
    report.add("over_mib", status("VmHWM") / 1024.0 - (size >> 20) as f64);
    report.print();
    Ok(())
}
