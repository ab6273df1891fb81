//! The rows of files: a body written to a file as it comes, and one read from a file as it goes.

use std::ffi::{c_char, c_void};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};

use curl_sys as sys;

use super::{Loop, c_string, easy, no_expect, set_upload, status_code};
use crate::options::Options;
use crate::usage::{Meter, over_idle, status};

extern "C" fn write_body(
    data: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the file; the bytes are valid for the call.
    let (file, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size * count);
        (&mut *context.cast::<File>(), bytes)
    };
    match file.write_all(bytes) {
        Ok(()) => bytes.len(),
        Err(_) => 0,
    }
}

extern "C" fn read_body(
    target: *mut c_char,
    size: usize,
    count: usize,
    context: *mut c_void,
) -> usize {
    // SAFETY: the context is the file; libcurl's buffer has room for so many bytes and is
    // initialised.
    let (file, room) = unsafe {
        let room = std::slice::from_raw_parts_mut(target.cast::<u8>(), size * count);
        (&mut *context.cast::<File>(), room)
    };
    file.read(room).unwrap_or(sys::CURL_READFUNC_ABORT)
}

pub fn download(options: &Options) -> Result<(), String> {
    let url = c_string(options.url("url")?)?;
    let size = options.number("size", 0)?;
    let path = std::env::temp_dir().join(format!("bench-download-{}", std::process::id()));
    let file = || File::create(&path).map_err(|error| error.to_string());
    let mut body = file()?;
    let event_loop = Loop::new(1);
    let count = options.number("count", 1)?;
    let start = |event_loop: &Loop, body: *mut File| {
        let easy = easy(event_loop, &url, None);
        set!(
            easy,
            CURLOPT_WRITEFUNCTION,
            write_body as sys::curl_write_callback
        );
        set!(easy, CURLOPT_WRITEDATA, body);
        event_loop.add(easy);
    };
    let body = &raw mut body;
    let idle = status("VmRSS");
    let mut meter = Meter::new(count, 0, None);
    let mut failed = None;
    start(&event_loop, body);
    event_loop.run(None, |event_loop, easy, ok| {
        let ok = ok && status_code(easy) == 200;
        // SAFETY: the handle is removed from the multi handle and not used again.
        unsafe { sys::curl_easy_cleanup(easy) };
        let complete = fs::metadata(&path).is_ok_and(|file| file.len() == size);
        // What the other side's completion handler does: the file goes when it has been seen.
        let _ = fs::remove_file(&path);
        if meter.tick(ok && complete) {
            event_loop.stopped.set(true);
            return;
        }
        match file() {
            // SAFETY: no transfer is using the file.
            Ok(next) => unsafe { *body = next },
            Err(error) => failed = Some(error),
        }
        start(event_loop, body);
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let mut report = meter.report();
    report.add_bytes(size * count);
    report.add("over_idle_mib", over_idle(idle));
    report.print();
    Ok(())
}

pub fn upload(options: &Options) -> Result<(), String> {
    let url = c_string(options.url("url")?)?;
    let path = options.text("file").ok_or("--file is missing")?;
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let count = options.number("count", 1)?;
    let event_loop = Loop::new(1);
    let headers = no_expect();
    let mut received = 0u64;
    let (file, received) = (&raw mut file, &raw mut received);
    let start = |event_loop: &Loop| {
        let easy = easy(event_loop, &url, None);
        set_upload(easy, size, headers);
        set!(
            easy,
            CURLOPT_READFUNCTION,
            read_body as sys::curl_read_callback
        );
        set!(easy, CURLOPT_READDATA, file);
        set!(
            easy,
            CURLOPT_WRITEFUNCTION,
            super::count_body as sys::curl_write_callback
        );
        set!(easy, CURLOPT_WRITEDATA, received);
        event_loop.add(easy);
    };
    let idle = status("VmRSS");
    let mut meter = Meter::new(count, 0, None);
    start(&event_loop);
    event_loop.run(None, |event_loop, easy, ok| {
        let ok = ok && status_code(easy) == 200;
        // SAFETY: the easy handle is removed from the multi handle and not used again; no transfer
        // is using the file or the counter.
        let complete = unsafe {
            sys::curl_easy_cleanup(easy);
            let answered = std::mem::take(&mut *received) == size.to_string().len() as u64;
            answered && (&mut *file).seek(SeekFrom::Start(0)).is_ok()
        };
        if meter.tick(ok && complete) {
            event_loop.stopped.set(true);
        } else {
            start(event_loop);
        }
    });
    // SAFETY: nothing uses the list any more.
    unsafe { sys::curl_slist_free_all(headers) };
    let mut report = meter.report();
    report.add_bytes(size * count);
    report.add("over_idle_mib", over_idle(idle));
    report.print();
    Ok(())
}
