//! The rows of files: download tasks, and upload tasks from a file.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs;

use super::{Completion, Handle, Object, Setup, Transfer, nsurlsession_queue_stop};
use super::{nsurlsession_release, nsurlsession_task_resume, request, succeeded};
use crate::options::Options;
use crate::usage::{over_idle, status};

type DownloadCompletion = unsafe extern "C-unwind" fn(*mut c_void, *const c_char, Handle, Handle);

unsafe extern "C-unwind" {
    fn nsurlsession_request_set_http_method(request: Handle, method: *const c_char);
    fn nsurlsession_response_status_code(response: *const Object) -> i64;
    fn nsurlsession_url_path(url: *const c_char) -> Handle;
    fn nsurlsession_string_utf8_string(string: *const Object) -> *const c_char;
    fn nsurlsession_download_task_with_request_completion_handler(
        session: Handle,
        request: *const Object,
        handler: Option<DownloadCompletion>,
        context: *mut c_void,
    ) -> Handle;
    fn nsurlsession_upload_task_with_request_from_file_completion_handler(
        session: Handle,
        request: *const Object,
        file_url: *const c_char,
        handler: Option<Completion>,
        context: *mut c_void,
    ) -> Handle;
}

/// The transfers of a row, one after the other.
struct Files {
    transfer: Transfer,
    size: u64,
    file_url: CString,
}

/// # Safety
/// `context` is the Files of this run, which outlives the run of the queue.
unsafe fn files<'a>(context: *mut c_void) -> &'a Files {
    // SAFETY: see above.
    unsafe { &*context.cast::<Files>() }
}

impl Files {
    fn start_download(&self) {
        // SAFETY: the handles are live, and the context outlives the run of the queue.
        unsafe {
            let task = nsurlsession_download_task_with_request_completion_handler(
                self.transfer.session.get(),
                self.transfer.request,
                Some(downloaded),
                std::ptr::from_ref(self).cast_mut().cast(),
            );
            nsurlsession_task_resume(task);
            nsurlsession_release(task);
        }
    }

    fn start_upload(&self) {
        // SAFETY: as above; the string is NUL-terminated.
        unsafe {
            let task = nsurlsession_upload_task_with_request_from_file_completion_handler(
                self.transfer.session.get(),
                self.transfer.request,
                self.file_url.as_ptr(),
                Some(uploaded),
                std::ptr::from_ref(self).cast_mut().cast(),
            );
            nsurlsession_task_resume(task);
            nsurlsession_release(task);
        }
    }

    /// Counts a transfer, and starts the next one or ends the run.
    fn ended(&self, ok: bool, next: fn(&Self)) {
        if self.transfer.meter.borrow_mut().tick(ok) {
            // SAFETY: the queue is live.
            unsafe { nsurlsession_queue_stop(self.transfer.queue.get()) };
        } else {
            next(self);
        }
    }

    fn run(&self, start: fn(&Self)) -> Result<(), String> {
        let setup = Setup::new(1, std::ptr::null())?;
        self.transfer.session.set(setup.session);
        self.transfer.queue.set(setup.queue);
        let idle = status("VmRSS");
        start(self);
        setup.run();
        let count = self.transfer.meter.borrow().done;
        let mut report = self.transfer.report(self.size * count);
        report.add("over_idle_mib", over_idle(idle));
        report.print();
        // SAFETY: the request is not used again.
        unsafe { nsurlsession_release(self.transfer.request) };
        Ok(())
    }
}

unsafe extern "C-unwind" fn downloaded(
    context: *mut c_void,
    location: *const c_char,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Files of this run; the arguments are valid for the call.
    let (files, ok) = unsafe {
        let files = files(context);
        let complete = error.is_null() && length_of(location) == Some(files.size);
        (
            files,
            complete && nsurlsession_response_status_code(response) == 200,
        )
    };
    files.ended(ok, Files::start_download);
}

/// # Safety
/// `location` is the URL that a completion handler was given.
unsafe fn length_of(location: *const c_char) -> Option<u64> {
    // SAFETY: the handle is released once and the string is valid until then.
    unsafe {
        let path = nsurlsession_url_path(location);
        let text = CStr::from_ptr(nsurlsession_string_utf8_string(path));
        let length = fs::metadata(text.to_str().ok()?).ok()?.len();
        nsurlsession_release(path);
        Some(length)
    }
}

unsafe extern "C-unwind" fn uploaded(
    context: *mut c_void,
    data: Handle,
    response: Handle,
    error: Handle,
) {
    // SAFETY: the context is the Files of this run; the arguments are this handler's.
    let (files, ok) = unsafe {
        let files = files(context);
        let answer = files.transfer.answer.as_bytes();
        (files, succeeded(data, response, error, Some(answer)))
    };
    files.ended(ok, Files::start_upload);
}

pub fn download(options: &Options) -> Result<(), String> {
    let request = request(options.url("url")?)?;
    let files = Files {
        transfer: Transfer::new(request, options.number("count", 1)?, String::new()),
        size: options.number("size", 0)?,
        file_url: CString::default(),
    };
    files.run(Files::start_download)
}

pub fn upload(options: &Options) -> Result<(), String> {
    let path = options.text("file").ok_or("--file is missing")?;
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    let request = request(options.url("url")?)?;
    // SAFETY: the request is live.
    unsafe { nsurlsession_request_set_http_method(request, c"POST".as_ptr()) };
    let files = Files {
        transfer: Transfer::new(request, options.number("count", 1)?, size.to_string()),
        size,
        file_url: CString::new(format!("file://{path}")).map_err(|error| error.to_string())?,
    };
    files.run(Files::start_upload)
}
