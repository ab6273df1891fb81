//! The library, through its public C functions. Callbacks run on this process's main thread.

mod files;

// The symbols below are the library's.
use nsurlsession as _;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use crate::options::{Options, held, release};
use crate::servers::SMALL_BODY;
use crate::usage::{Meter, Report, status};

/// What every handle of the library points to.
#[repr(C)]
struct Object {
    _private: [u8; 0],
}

type Handle = *mut Object;
type Completion = unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle, Handle);

#[repr(C)]
struct TaskDelegate {
    struct_size: usize,
    did_create_task: Option<unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle)>,
    will_perform_http_redirection:
        Option<unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle, Handle, Handle, Handle)>,
    did_complete_with_error:
        Option<unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle, Handle)>,
}

#[repr(C)]
struct DataDelegate {
    struct_size: usize,
    did_receive_response:
        Option<unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle, Handle, Handle)>,
    did_receive_data: Option<unsafe extern "C-unwind" fn(*mut c_void, Handle, Handle, Handle)>,
}

#[repr(C)]
struct Delegate {
    struct_size: usize,
    context: *mut c_void,
    release: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
    session: *const c_void,
    task: *const TaskDelegate,
    data: *const DataDelegate,
}

unsafe extern "C-unwind" {
    fn nsurlsession_release(object: *const Object);
    fn nsurlsession_queue_new() -> Handle;
    fn nsurlsession_queue_run(queue: Handle) -> bool;
    fn nsurlsession_queue_stop(queue: Handle);
    fn nsurlsession_configuration_ephemeral() -> Handle;
    fn nsurlsession_configuration_set_http_maximum_connections_per_host(
        configuration: Handle,
        count: i64,
    );
    fn nsurlsession_configuration_set_timeout_interval_for_request(
        configuration: Handle,
        seconds: f64,
    );
    fn nsurlsession_session_with_configuration_delegate_delegate_queue(
        configuration: *const Object,
        delegate: *const Delegate,
        queue: Handle,
    ) -> Handle;
    fn nsurlsession_finish_tasks_and_invalidate(session: Handle);
    fn nsurlsession_request_with_url(url: *const c_char) -> Handle;
    fn nsurlsession_request_set_timeout_interval(request: Handle, seconds: f64);
    fn nsurlsession_request_set_http_method(request: Handle, method: *const c_char);
    fn nsurlsession_request_set_http_body(request: Handle, body: *const Object);
    fn nsurlsession_data_with_bytes_no_copy_length_deallocator(
        bytes: *mut c_void,
        length: usize,
        deallocator: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize)>,
        context: *mut c_void,
    ) -> Handle;
    fn nsurlsession_data_bytes(data: *const Object) -> *const c_void;
    fn nsurlsession_data_length(data: *const Object) -> usize;
    fn nsurlsession_response_status_code(response: *const Object) -> i64;
    fn nsurlsession_error_localized_description(error: *const Object) -> *const c_char;
    fn nsurlsession_data_task_with_request(session: Handle, request: *const Object) -> Handle;
    fn nsurlsession_data_task_with_request_completion_handler(
        session: Handle,
        request: *const Object,
        handler: Option<Completion>,
        context: *mut c_void,
    ) -> Handle;
    fn nsurlsession_task_resume(task: Handle);
}

/// Requests that are held open for long must not time out.
const PATIENCE: f64 = 240.0;

pub fn run(row: &str, options: &Options) -> Result<(), String> {
    match row {
        "get" => get(options),
        "download" => download(options),
        "upload" => upload(options),
        "download-file" => files::download(options),
        "upload-file" => files::upload(options),
        "idle" => idle(options),
        "sessions" => sessions(options),
        _ => Err(format!("ours has no {row}")),
    }
}

/// The body is what the context says and the transfer succeeded.
///
/// # Safety
/// The arguments are those of a completion handler.
unsafe fn succeeded(data: Handle, response: Handle, error: Handle, body: Option<&[u8]>) -> bool {
    // SAFETY: see above; the strings and bytes are valid for the call.
    unsafe {
        if !error.is_null() {
            let text = nsurlsession_error_localized_description(error);
            if !text.is_null() {
                eprintln!("{}", CStr::from_ptr(text).to_string_lossy());
            }
            return false;
        }
        let length = nsurlsession_data_length(data);
        let right = body.is_none_or(|body| {
            length == body.len()
                && std::slice::from_raw_parts(nsurlsession_data_bytes(data).cast::<u8>(), length)
                    == body
        });
        right && nsurlsession_response_status_code(response) == 200
    }
}

/// A session on a queue that this thread runs. Like a C program, it keeps its handles to the end.
struct Setup {
    queue: Handle,
    session: Handle,
}

impl Setup {
    fn new(connections: u64, delegate: *const Delegate) -> Result<Self, String> {
        // SAFETY: the handles are those that the library returned.
        unsafe {
            let queue = nsurlsession_queue_new();
            let configuration = nsurlsession_configuration_ephemeral();
            let connections = i64::try_from(connections).unwrap_or(i64::MAX);
            nsurlsession_configuration_set_http_maximum_connections_per_host(
                configuration,
                connections,
            );
            nsurlsession_configuration_set_timeout_interval_for_request(configuration, PATIENCE);
            let session = nsurlsession_session_with_configuration_delegate_delegate_queue(
                configuration,
                delegate,
                queue,
            );
            nsurlsession_release(configuration);
            if session.is_null() {
                return Err("no session".to_owned());
            }
            Ok(Self { queue, session })
        }
    }

    fn run(&self) {
        // SAFETY: the queue is live.
        unsafe { nsurlsession_queue_run(self.queue) };
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // SAFETY: the handles are not used again.
        unsafe {
            nsurlsession_finish_tasks_and_invalidate(self.session);
            nsurlsession_release(self.session);
            nsurlsession_release(self.queue);
        }
    }
}

fn request(url: &str) -> Result<Handle, String> {
    let url = CString::new(url).map_err(|error| error.to_string())?;
    // SAFETY: the string is NUL-terminated.
    let request = unsafe { nsurlsession_request_with_url(url.as_ptr()) };
    if request.is_null() {
        return Err("no request".to_owned());
    }
    // SAFETY: the request is live.
    unsafe { nsurlsession_request_set_timeout_interval(request, PATIENCE) };
    Ok(request)
}

fn start(session: Handle, request: Handle, handler: Completion, context: *const c_void) {
    // SAFETY: the handles are live, and the context outlives the run of the queue.
    unsafe {
        let task = nsurlsession_data_task_with_request_completion_handler(
            session,
            request,
            Some(handler),
            context.cast_mut(),
        );
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
}

// ---- Small GETs ---------------------------------------------------------------------------------

struct Gets {
    session: Handle,
    queue: Handle,
    request: Handle,
    total: u64,
    started: Cell<u64>,
    meter: RefCell<Meter>,
}

unsafe extern "C-unwind" fn got(
    context: *mut c_void,
    data: Handle,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Gets, which outlives the run of the queue.
    let gets = unsafe { &*context.cast::<Gets>() };
    if gets.started.get() < gets.total {
        gets.started.set(gets.started.get() + 1);
        start(gets.session, gets.request, got, context);
    }
    // SAFETY: the arguments are this handler's.
    let ok = unsafe { succeeded(data, response, error, Some(&SMALL_BODY)) };
    if gets.meter.borrow_mut().tick(ok) {
        // SAFETY: the queue is live.
        unsafe { nsurlsession_queue_stop(gets.queue) };
    }
}

fn get(options: &Options) -> Result<(), String> {
    let inflight = options.number("inflight", 1)?;
    let total = options.number("count", 1000)?;
    let mark = options.number("mark", 0)?;
    let idle = options.number("held", 0)?;
    let meter = Meter::new(
        total,
        options.number("skip", inflight)?,
        (mark > 0).then_some(mark),
    );
    let setup = Setup::new(inflight.max(idle), ptr::null())?;
    let request = request(options.url("url")?)?;
    let hold = (idle > 0)
        .then(|| Hold::start(&setup, options.url("hold-url")?, idle))
        .transpose()?;
    let gets = Gets {
        session: setup.session,
        queue: setup.queue,
        request,
        total,
        started: Cell::new(inflight.min(total)),
        meter: RefCell::new(meter),
    };
    for _ in 0..gets.started.get() {
        start(setup.session, request, got, (&raw const gets).cast());
    }
    setup.run();
    if let Some(hold) = hold {
        gets.meter.borrow_mut().errors += hold.end(&setup);
    }
    gets.meter.borrow().report().print();
    // SAFETY: the request is not used again.
    unsafe { nsurlsession_release(request) };
    Ok(())
}

// ---- Held requests ------------------------------------------------------------------------------

/// Requests that the server holds. Boxed: the tasks have its address.
struct Hold {
    url: String,
    queue: Handle,
    left: Cell<u64>,
    errors: Cell<u64>,
}

unsafe extern "C-unwind" fn let_go(
    context: *mut c_void,
    data: Handle,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Hold, which outlives the run of the queue.
    let hold = unsafe { &*context.cast::<Hold>() };
    // SAFETY: the arguments are this handler's.
    let ok = unsafe { succeeded(data, response, error, None) };
    hold.errors.set(hold.errors.get() + u64::from(!ok));
    hold.left.set(hold.left.get() - 1);
    if hold.left.get() == 0 {
        // SAFETY: the queue is live.
        unsafe { nsurlsession_queue_stop(hold.queue) };
    }
}

impl Hold {
    /// Starts requests that the server does not answer yet, and waits until it has them.
    fn start(setup: &Setup, url: &str, count: u64) -> Result<Box<Self>, String> {
        let hold = Box::new(Self {
            url: url.to_owned(),
            queue: setup.queue,
            left: Cell::new(count),
            errors: Cell::new(0),
        });
        let request = request(url)?;
        for _ in 0..count {
            start(setup.session, request, let_go, (&raw const *hold).cast());
        }
        // SAFETY: the tasks have copies.
        unsafe { nsurlsession_release(request) };
        let deadline = Instant::now() + Duration::from_secs(60);
        while held(url) < count {
            if Instant::now() > deadline {
                return Err(format!(
                    "{} of {count} requests reach the server",
                    held(url)
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(hold)
    }

    /// Lets them be answered; how many failed.
    fn end(&self, setup: &Setup) -> u64 {
        release(&self.url);
        setup.run();
        self.errors.get()
    }
}

fn idle(options: &Options) -> Result<(), String> {
    let url = options.url("hold-url")?;
    let tasks = options.number("tasks", 10)?;
    let setup = Setup::new(tasks, ptr::null())?;
    // What the first request of all brings in is not part of a task.
    let mut errors = Hold::start(&setup, url, 1)?.end(&setup);
    let before = status("VmRSS");
    let hold = Hold::start(&setup, url, tasks)?;
    let after = status("VmRSS");
    let threads = status("Threads");
    errors += hold.end(&setup);
    let mut report = Report::default();
    report.add("kib_task", (after - before) / tasks as f64);
    report.add("rss_kib", after);
    report.add("threads", threads);
    report.add("errors", errors as f64);
    report.print();
    Ok(())
}

// ---- Many sessions ------------------------------------------------------------------------------

/// One GET in each of many sessions, one after another; all sessions stay. `--queue own`: each has
/// the queue that the library makes for it; otherwise all share the one that this thread runs.
fn sessions(options: &Options) -> Result<(), String> {
    let count = options.number("sessions", 1)?;
    let own = options.text("queue") == Some("own");
    let request = request(options.url("url")?)?;
    // SAFETY: the handles are those that the library returned; contexts outlive the queue's run.
    unsafe {
        let queue = nsurlsession_queue_new();
        let configuration = nsurlsession_configuration_ephemeral();
        let mut sessions = Vec::new();
        let mut first_rss = 0.0;
        let mut meter = Meter::new(count, 0, None);
        for _ in 0..count {
            let session = nsurlsession_session_with_configuration_delegate_delegate_queue(
                configuration,
                ptr::null(),
                if own { ptr::null_mut() } else { queue },
            );
            let get = OneGet {
                queue,
                ok: Cell::new(false),
            };
            start(session, request, got_one, (&raw const get).cast());
            nsurlsession_queue_run(queue);
            sessions.push(session);
            if sessions.len() == 1 {
                first_rss = status("VmRSS");
            }
            meter.sample_threads();
            meter.tick(get.ok.get());
        }
        let mut report = meter.report();
        if count > 1 {
            let grown = status("VmRSS") - first_rss;
            report.add("kib_session", grown / (count - 1) as f64);
        }
        report.print();
        for session in sessions {
            nsurlsession_finish_tasks_and_invalidate(session);
            nsurlsession_release(session);
        }
        nsurlsession_release(configuration);
        nsurlsession_release(request);
        nsurlsession_release(queue);
    }
    Ok(())
}

struct OneGet {
    queue: Handle,
    ok: Cell<bool>,
}

unsafe extern "C-unwind" fn got_one(
    context: *mut c_void,
    data: Handle,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the OneGet, whose owner waits for the stop; the arguments are this
    // handler's.
    unsafe {
        let get = &*context.cast::<OneGet>();
        get.ok
            .set(succeeded(data, response, error, Some(&SMALL_BODY)));
        nsurlsession_queue_stop(get.queue);
    }
}

// ---- Large bodies -------------------------------------------------------------------------------

struct Transfer {
    session: Cell<Handle>,
    queue: Cell<Handle>,
    request: Handle,
    received: Cell<u64>,
    /// The answer that an upload expects.
    answer: String,
    meter: RefCell<Meter>,
}

impl Transfer {
    fn new(request: Handle, count: u64, answer: String) -> Self {
        Self {
            session: Cell::new(ptr::null_mut()),
            queue: Cell::new(ptr::null_mut()),
            request,
            received: Cell::new(0),
            answer,
            meter: RefCell::new(Meter::new(count, 0, None)),
        }
    }

    /// Runs the transfers, one after the other.
    fn run(&self, setup: &Setup, start: fn(&Self)) {
        self.session.set(setup.session);
        self.queue.set(setup.queue);
        start(self);
        setup.run();
    }

    fn ended(&self, ok: bool, next: fn(&Self)) {
        if self.meter.borrow_mut().tick(ok) {
            // SAFETY: the queue is live.
            unsafe { nsurlsession_queue_stop(self.queue.get()) };
        } else {
            next(self);
        }
    }

    fn report(&self, bytes: u64) -> Report {
        let mut report = self.meter.borrow().report();
        report.add_bytes(bytes);
        report
    }
}

fn start_download(transfer: &Transfer) {
    // SAFETY: the handles are live.
    unsafe {
        let task = nsurlsession_data_task_with_request(transfer.session.get(), transfer.request);
        nsurlsession_task_resume(task);
        nsurlsession_release(task);
    }
}

unsafe extern "C-unwind" fn did_receive_data(
    context: *mut c_void,
    _: Handle,
    _: Handle,
    data: Handle,
) {
    // SAFETY: the context is the Transfer, which outlives the run of the queue.
    unsafe {
        let transfer = &*context.cast::<Transfer>();
        let length = nsurlsession_data_length(data) as u64;
        transfer.received.set(transfer.received.get() + length);
    }
}

unsafe extern "C-unwind" fn did_complete(
    context: *mut c_void,
    _: Handle,
    _: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Transfer, which outlives the run of the queue.
    let transfer = unsafe { &*context.cast::<Transfer>() };
    transfer.ended(error.is_null(), start_download);
}

fn download(options: &Options) -> Result<(), String> {
    let request = request(options.url("url")?)?;
    let transfer = Transfer::new(request, options.number("count", 1)?, String::new());
    let task = TaskDelegate {
        struct_size: size_of::<TaskDelegate>(),
        did_create_task: None,
        will_perform_http_redirection: None,
        did_complete_with_error: Some(did_complete),
    };
    let data = DataDelegate {
        struct_size: size_of::<DataDelegate>(),
        did_receive_response: None,
        did_receive_data: Some(did_receive_data),
    };
    let delegate = Delegate {
        struct_size: size_of::<Delegate>(),
        context: (&raw const transfer).cast_mut().cast(),
        release: None,
        session: ptr::null(),
        task: &raw const task,
        data: &raw const data,
    };
    let setup = Setup::new(1, &raw const delegate)?;
    transfer.run(&setup, start_download);
    transfer.report(transfer.received.get()).print();
    // SAFETY: the request is not used again.
    unsafe { nsurlsession_release(request) };
    Ok(())
}

/// The bytes belong to this process for as long as it lives.
unsafe extern "C-unwind" fn keep(_: *mut c_void, _: *mut c_void, _: usize) {}

fn start_upload(transfer: &Transfer) {
    let context = ptr::from_ref(transfer).cast();
    start(transfer.session.get(), transfer.request, uploaded, context);
}

unsafe extern "C-unwind" fn uploaded(
    context: *mut c_void,
    data: Handle,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Transfer, which outlives the run of the queue.
    let transfer = unsafe { &*context.cast::<Transfer>() };
    // SAFETY: the arguments are this handler's.
    let ok = unsafe { succeeded(data, response, error, Some(transfer.answer.as_bytes())) };
    transfer.ended(ok, start_upload);
}

fn upload(options: &Options) -> Result<(), String> {
    let size = options.number("size", 512 << 20)?;
    let count = options.number("count", 1)?;
    // For as long as the process lives: the library may let go of the body on a thread of its own.
    let bytes = vec![0x5au8; size as usize].leak();
    let request = request(options.url("url")?)?;
    // SAFETY: the handles are live, and so are the bytes.
    unsafe {
        let body = nsurlsession_data_with_bytes_no_copy_length_deallocator(
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            Some(keep),
            ptr::null_mut(),
        );
        nsurlsession_request_set_http_method(request, c"POST".as_ptr());
        nsurlsession_request_set_http_body(request, body);
        nsurlsession_release(body);
    }
    let setup = Setup::new(1, ptr::null())?;
    let transfer = Transfer::new(request, count, size.to_string());
    transfer.run(&setup, start_upload);
    let mut report = transfer.report(size * count);
    report.add("over_mib", status("VmHWM") / 1024.0 - (size >> 20) as f64);
    report.print();
    // SAFETY: the request is not used again.
    unsafe { nsurlsession_release(request) };
    Ok(())
}
