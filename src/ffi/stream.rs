//! NSStream, NSInputStream and NSOutputStream.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use url::Url;

use super::delegate::{Versioned, copied};
use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, borrowed_any, handed_out, handed_out_option, lent};
use super::string::text;
use super::types::{
    OwnedContext, nsurlsession_data_t, nsurlsession_error_t, nsurlsession_input_stream_t,
    nsurlsession_output_stream_t, nsurlsession_release_block_t, nsurlsession_stream_status_t,
};
use crate::foundation::bound_pair::{OutputStream, bound_pair};
use crate::foundation::error::Error;
use crate::foundation::object::downcast;
use crate::foundation::stream::{InputStream, Reading, Source, StreamStatus, posix_error};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct nsurlsession_input_stream_source_t {
    pub struct_size: usize,
    pub context: *mut c_void,
    pub release: nsurlsession_release_block_t,
    pub read: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            buffer: *mut u8,
            max_length: usize,
        ) -> i64,
    >,
    pub open: Option<
        unsafe extern "C-unwind" fn(
            context: *mut c_void,
            stream: *mut nsurlsession_input_stream_t,
        ) -> bool,
    >,
    pub close: Option<unsafe extern "C-unwind" fn(context: *mut c_void)>,
}

// SAFETY: a size, pointers and optional function pointers.
unsafe impl Versioned for nsurlsession_input_stream_source_t {
    const FIRST_VERSION: usize = 4 * size_of::<usize>();
}

/// What a source returns instead of a number of bytes.
pub const NOT_NOW: i64 = -2;

/// A source of the caller's.
struct CallerSource {
    functions: nsurlsession_input_stream_source_t,
    context: OwnedContext,
}

// SAFETY: the header says that the functions and the context may be used on any thread, one at a
// time; the struct's own pointer to the context is not used.
unsafe impl Send for CallerSource {}

impl CallerSource {
    /// What the caller's function left in errno, which was 0 before.
    fn error(what: &str) -> Arc<Error> {
        let number = match Errno::last_raw() {
            0 => libc::EIO,
            number => number,
        };
        posix_error(number, what)
    }
}

impl Source for CallerSource {
    fn open(&mut self, stream: &Arc<InputStream>) -> Result<(), Arc<Error>> {
        let Some(open) = self.functions.open else {
            return Ok(());
        };
        Errno::clear();
        // SAFETY: the caller's function with the caller's context, and a handle that lives on.
        let opened = callback(|| unsafe { open(self.context.pointer(), lent(stream)) });
        opened
            .then_some(())
            .ok_or_else(|| Self::error("The source of the stream could not be opened"))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Reading {
        let Some(read) = self.functions.read else {
            return Reading::End;
        };
        Errno::clear();
        // SAFETY: the caller's function with the caller's context, and a buffer of that length.
        let count =
            callback(|| unsafe { read(self.context.pointer(), buffer.as_mut_ptr(), buffer.len()) });
        match usize::try_from(count) {
            Ok(0) => Reading::End,
            Ok(count) if count <= buffer.len() => Reading::Bytes(count),
            Ok(_) => {
                let what = "The source of the stream returned more than there was room for";
                misuse("nsurlsession_input_stream_source_t.read", what);
                Reading::Failed(posix_error(libc::EOVERFLOW, what))
            }
            Err(_) if count == NOT_NOW => Reading::NotNow,
            Err(_) => Reading::Failed(Self::error("The source of the stream failed")),
        }
    }

    fn close(&mut self) {
        if let Some(close) = self.functions.close {
            // SAFETY: the caller's function with the caller's context.
            callback(|| unsafe { close(self.context.pointer()) });
        }
    }
}

/// Either end of a pair, or a stream of another kind.
enum Stream {
    Input(Arc<InputStream>),
    Output(Arc<OutputStream>),
}

fn either(stream: *const c_void, name: &str) -> Option<Stream> {
    let object = borrowed_any(stream, name)?;
    let class = object.header().class();
    if downcast::<InputStream>(&*object).is_some() {
        return borrowed(stream.cast::<nsurlsession_input_stream_t>(), name).map(Stream::Input);
    }
    if downcast::<OutputStream>(&*object).is_some() {
        return borrowed(stream.cast::<nsurlsession_output_stream_t>(), name).map(Stream::Output);
    }
    misuse(name, &format!("the handle is a {class:?}, not a stream"));
    None
}

/// -[NSStream open]. Opens an input or output stream; a stream opens once, and what cannot be opened
/// has a status and an error that say so. A request's body must not be opened: the library does
/// that. NULL, or what is no stream: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_io_stream_open(stream: *const c_void) {
    const NAME: &str = "nsurlsession_io_stream_open";
    guarded(NAME, (), || {
        let Some(stream) = either(stream, NAME) else {
            return;
        };
        let status = match &stream {
            Stream::Input(stream) => stream.status(),
            Stream::Output(stream) => stream.status(),
        };
        match &stream {
            _ if status != StreamStatus::NotOpen => misuse(NAME, "a stream opens once"),
            Stream::Input(stream) => drop(stream.open()),
            Stream::Output(stream) => drop(stream.open()),
        }
    });
}

/// -[NSStream close]. Closes an input or output stream for good; a thread that waits to read or to
/// write returns with -1. Of a bound pair, the reading end comes to its end when the other is closed
/// and all is read; the writing end fails with EPIPE when the other is closed. The last release of a
/// stream closes it too. Any thread may call this, also inside a function of the stream's own
/// source, which is closed when that returns. NULL, or what is no stream: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_io_stream_close(stream: *const c_void) {
    const NAME: &str = "nsurlsession_io_stream_close";
    guarded(NAME, (), || match either(stream, NAME) {
        Some(Stream::Input(stream)) => stream.close(),
        Some(Stream::Output(stream)) => stream.close(),
        None => {}
    });
}

/// -[NSStream streamStatus]. Where an input or output stream is in its life. NULL, or what is no
/// stream: NSURLSESSION_STREAM_STATUS_NOT_OPEN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_io_stream_stream_status(
    stream: *const c_void,
) -> nsurlsession_stream_status_t {
    const NAME: &str = "nsurlsession_io_stream_stream_status";
    guarded(NAME, 0, || match either(stream, NAME) {
        Some(Stream::Input(stream)) => stream.status() as i32,
        Some(Stream::Output(stream)) => stream.status() as i32,
        None => 0,
    })
}

/// -[NSStream streamError]. Why an input or output stream failed, or NULL. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_io_stream_stream_error(
    stream: *const c_void,
) -> *mut nsurlsession_error_t {
    const NAME: &str = "nsurlsession_io_stream_stream_error";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(match either(stream, NAME) {
            Some(Stream::Input(stream)) => stream.error(),
            Some(Stream::Output(stream)) => stream.error(),
            None => None,
        })
    })
}

/// +[NSStream getBoundStreamsWithBufferSize:inputStream:outputStream:]. Makes two streams: what is
/// written to `*output_stream` is read from `*input_stream`. At most `buffer_size` bytes wait
/// between them (0 counts as 1): whoever writes more waits. The caller releases both. NULL for
/// either pointer: nothing is made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
    buffer_size: usize,
    input_stream: *mut *mut nsurlsession_input_stream_t,
    output_stream: *mut *mut nsurlsession_output_stream_t,
) {
    const NAME: &str =
        "nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream";
    guarded(NAME, (), || {
        if input_stream.is_null() || output_stream.is_null() {
            return misuse(NAME, "there is no place for the streams");
        }
        let (input, output) = bound_pair(buffer_size);
        // SAFETY: the header's contract: both point to where a handle can be put.
        unsafe {
            input_stream.write(handed_out(input));
            output_stream.write(handed_out(output));
        }
    });
}

/// +[NSInputStream inputStreamWithData:]. A stream of these bytes. The caller releases it. NULL:
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_with_data(
    data: *const nsurlsession_data_t,
) -> *mut nsurlsession_input_stream_t {
    const NAME: &str = "nsurlsession_input_stream_with_data";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(borrowed(data, NAME).map(InputStream::with_data))
    })
}

/// +[NSInputStream inputStreamWithFileAtPath:]. A stream of a file's bytes; the file is opened with
/// the stream. The caller releases it. NULL, or what is not UTF-8: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_with_file_at_path(
    path: *const c_char,
) -> *mut nsurlsession_input_stream_t {
    const NAME: &str = "nsurlsession_input_stream_with_file_at_path";
    guarded(NAME, std::ptr::null_mut(), || {
        let path = text(path, NAME).map(PathBuf::from);
        handed_out_option(path.map(InputStream::with_file))
    })
}

/// +[NSInputStream inputStreamWithURL:]. As nsurlsession_input_stream_with_file_at_path, for a file:
/// URL. NULL for another URL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_with_url(
    url: *const c_char,
) -> *mut nsurlsession_input_stream_t {
    const NAME: &str = "nsurlsession_input_stream_with_url";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(file_path(url, NAME).map(InputStream::with_file))
    })
}

/// The path in a file: URL.
pub(super) fn file_path(url: *const c_char, name: &str) -> Option<PathBuf> {
    let given = text(url, name)?;
    let path = Url::parse(&given).ok().filter(|url| url.scheme() == "file");
    let path = path.and_then(|url| url.to_file_path().ok());
    if path.is_none() {
        misuse(name, "this is no file: URL");
    }
    path
}

/// A stream whose bytes come from a source of the caller's, a body that is made while it is sent for
/// instance. The struct is copied. The source is used by one thread at a time, on threads of the
/// library's when the stream is a request's body; it may block there, but a source that returns
/// NSURLSESSION_STREAM_READ_NOT_NOW and signals later blocks nothing. The context is released
/// exactly once, when the stream is closed or freed. The caller releases the stream. NULL, or a
/// source without `read`: NULL, and the context is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_with_source(
    source: *const nsurlsession_input_stream_source_t,
) -> *mut nsurlsession_input_stream_t {
    const NAME: &str = "nsurlsession_input_stream_with_source";
    guarded(NAME, std::ptr::null_mut(), || {
        let Some(functions) = copied(source, NAME) else {
            return std::ptr::null_mut();
        };
        let context = OwnedContext::new(functions.context, functions.release);
        if functions.read.is_none() {
            misuse(NAME, "the source has no read");
            return std::ptr::null_mut();
        }
        let source = CallerSource { functions, context };
        handed_out(InputStream::new(Box::new(source), Arc::default(), None))
    })
}

/// Says that a source that returned NSURLSESSION_STREAM_READ_NOT_NOW has bytes now, or has come to
/// its end. Any thread may call this, at any time. NULL: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_signal(
    stream: *mut nsurlsession_input_stream_t,
) {
    const NAME: &str = "nsurlsession_input_stream_signal";
    guarded(NAME, (), || {
        if let Some(stream) = borrowed(stream, NAME) {
            stream.signal();
        }
    });
}

/// -[NSInputStream read:maxLength:]. Reads up to `max_length` bytes into `buffer` and returns how
/// many; 0 at the end; -1 when the stream is not open, was closed meanwhile or failed. Waits while
/// there are none. NULL for the stream or the buffer: -1. A `max_length` of 0: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_read_max_length(
    stream: *mut nsurlsession_input_stream_t,
    buffer: *mut u8,
    max_length: usize,
) -> i64 {
    const NAME: &str = "nsurlsession_input_stream_read_max_length";
    guarded(NAME, -1, || {
        let Some(stream) = borrowed(stream, NAME) else {
            return -1;
        };
        if max_length == 0 {
            return 0;
        }
        if buffer.is_null() || max_length > isize::MAX as usize {
            misuse(NAME, "there cannot be such a buffer");
            return -1;
        }
        // SAFETY: the header's contract: valid for that many bytes. They are only written.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, max_length) };
        match stream.read(buffer) {
            Reading::Bytes(count) => i64::try_from(count).unwrap_or(i64::MAX),
            Reading::End | Reading::NotNow => 0,
            Reading::Failed(_) => -1,
        }
    })
}

/// -[NSInputStream hasBytesAvailable]. Whether a read would not have to wait, as far as that can be
/// told: there are bytes, or the end, which was not read yet. False for a stream that is not open
/// or being read by another thread. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_input_stream_has_bytes_available(
    stream: *const nsurlsession_input_stream_t,
) -> bool {
    const NAME: &str = "nsurlsession_input_stream_has_bytes_available";
    guarded(NAME, false, || {
        borrowed(stream, NAME).is_some_and(|stream| stream.has_bytes_available())
    })
}

/// -[NSOutputStream write:maxLength:]. Writes up to `max_length` of the bytes and returns how many;
/// -1 when the stream is not open, or nobody reads any more. Waits while there is no room. NULL for
/// the stream or the bytes: -1. A `max_length` of 0: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_output_stream_write_max_length(
    stream: *mut nsurlsession_output_stream_t,
    bytes: *const u8,
    max_length: usize,
) -> i64 {
    const NAME: &str = "nsurlsession_output_stream_write_max_length";
    guarded(NAME, -1, || {
        let Some(stream) = borrowed(stream, NAME) else {
            return -1;
        };
        if max_length == 0 {
            return 0;
        }
        if bytes.is_null() || max_length > isize::MAX as usize {
            misuse(NAME, "there cannot be such bytes");
            return -1;
        }
        // SAFETY: the header's contract: valid for that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, max_length) };
        let count = stream.write(bytes);
        count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX))
    })
}

/// -[NSOutputStream hasSpaceAvailable]. Whether a write would not have to wait: there is room, or
/// nobody reads any more, which a write says. False for a stream that is not open. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_output_stream_has_space_available(
    stream: *const nsurlsession_output_stream_t,
) -> bool {
    const NAME: &str = "nsurlsession_output_stream_has_space_available";
    guarded(NAME, false, || {
        borrowed(stream, NAME).is_some_and(|stream| stream.has_space_available())
    })
}
