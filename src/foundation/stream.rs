//! NSInputStream: bytes from memory, from a file, from a source of the caller's, or from the other
//! end of a bound pair.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use super::data::Data;
use super::dictionary::{Dictionary, Keys};
use super::error::{DESCRIPTION_KEY, Error, POSIX_DOMAIN};
use super::object::{Class, Header, Object, begins_with_header};
use super::sync::Lock;

/// `NSStreamStatus`, with Apple's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum StreamStatus {
    NotOpen = 0,
    Opening = 1,
    Open = 2,
    Reading = 3,
    Writing = 4,
    AtEnd = 5,
    Closed = 6,
    Error = 7,
}

/// What reading comes to.
pub enum Reading {
    /// So many bytes, not 0.
    Bytes(usize),
    /// Nothing for now; the stream's signal says when there may be more.
    NotNow,
    End,
    Failed(Arc<Error>),
}

/// Where a stream's bytes come from. Used by one thread at a time.
pub trait Source: Send {
    fn open(&mut self) -> Result<(), Arc<Error>>;
    /// Fills a buffer, which is not empty.
    fn read(&mut self, buffer: &mut [u8]) -> Reading;
    fn close(&mut self);
    /// Whether a read would not have to wait, as far as that can be told.
    fn is_ready(&mut self) -> bool {
        true
    }
}

/// An error of the system's.
pub fn posix_error(number: i32, what: &str) -> Arc<Error> {
    let info = Dictionary::new(Keys::Exact);
    let text = io::Error::from_raw_os_error(number).to_string();
    info.set_string(DESCRIPTION_KEY, &format!("{what}: {text}"));
    Error::new(POSIX_DOMAIN, i64::from(number), Arc::new(info))
}

pub(super) type Waker = Arc<dyn Fn() + Send + Sync>;

/// Tells whoever reads a stream that there may be something to read.
#[derive(Default)]
pub struct Signal {
    state: Mutex<Signalled>,
    changed: Condvar,
}

#[derive(Default)]
struct Signalled {
    count: u64,
    waker: Option<Waker>,
}

impl Signal {
    pub fn signal(&self) {
        let mut state = self.state.locked();
        state.count += 1;
        let waker = state.waker.clone();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker();
        }
    }

    fn count(&self) -> u64 {
        self.state.locked().count
    }

    /// Waits for a signal after the one with that number.
    fn wait(&self, seen: u64) {
        let state = self.state.locked();
        let waiting = self.changed.wait_while(state, |state| state.count == seen);
        drop(waiting.unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

struct State {
    status: StreamStatus,
    error: Option<Arc<Error>>,
}

#[repr(C)]
pub struct InputStream {
    header: Header,
    /// How many bytes there are, where that is known.
    length: Option<u64>,
    state: Mutex<State>,
    source: Mutex<Box<dyn Source>>,
    signal: Arc<Signal>,
}

begins_with_header!(InputStream);

impl InputStream {
    pub fn new(source: Box<dyn Source>, signal: Arc<Signal>, length: Option<u64>) -> Arc<Self> {
        Arc::new(InputStream {
            header: Header::new(Class::InputStream),
            length,
            state: Mutex::new(State {
                status: StreamStatus::NotOpen,
                error: None,
            }),
            source: Mutex::new(source),
            signal,
        })
    }

    pub fn with_data(data: Arc<Data>) -> Arc<Self> {
        let length = data.bytes().len() as u64;
        let source = FromData { data, read: 0 };
        Self::new(Box::new(source), Arc::default(), Some(length))
    }

    pub fn with_file(path: PathBuf) -> Arc<Self> {
        let source = FromFile { path, file: None };
        Self::new(Box::new(source), Arc::default(), None)
    }

    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub fn status(&self) -> StreamStatus {
        self.state.locked().status
    }

    pub fn error(&self) -> Option<Arc<Error>> {
        self.state.locked().error.clone()
    }

    /// Says that there may be something to read where there was nothing.
    pub fn signal(&self) {
        self.signal.signal();
    }

    /// What is called, on whatever thread, when there may be something to read.
    pub fn set_waker(&self, waker: Option<Waker>) {
        self.signal.state.locked().waker = waker;
    }

    /// Opens the stream; a stream opens once. False when it cannot be opened.
    pub fn open(&self) -> bool {
        let mut state = self.state.locked();
        if state.status != StreamStatus::NotOpen {
            return false;
        }
        state.status = StreamStatus::Opening;
        drop(state);
        let opened = self.source.locked().open();
        let mut state = self.state.locked();
        if state.status != StreamStatus::Opening {
            return false;
        }
        match opened {
            Ok(()) => state.status = StreamStatus::Open,
            Err(error) => {
                state.status = StreamStatus::Error;
                state.error = Some(error);
            }
        }
        state.status == StreamStatus::Open
    }

    pub fn close(&self) {
        self.state.locked().status = StreamStatus::Closed;
        self.source.locked().close();
        // Whoever waits to read waits for nothing now.
        self.signal.signal();
    }

    /// Reads without waiting.
    pub fn try_read(&self, buffer: &mut [u8]) -> Reading {
        match self.status() {
            StreamStatus::Open => {}
            StreamStatus::AtEnd => return Reading::End,
            _ => {
                let error = self.error();
                let error =
                    error.unwrap_or_else(|| posix_error(libc::EBADF, "The stream is not open"));
                return Reading::Failed(error);
            }
        }
        if buffer.is_empty() {
            return Reading::NotNow;
        }
        let reading = self.source.locked().read(buffer);
        let mut state = self.state.locked();
        if state.status == StreamStatus::Open {
            match &reading {
                Reading::End => state.status = StreamStatus::AtEnd,
                Reading::Failed(error) => {
                    state.status = StreamStatus::Error;
                    state.error = Some(Arc::clone(error));
                }
                Reading::Bytes(_) | Reading::NotNow => {}
            }
        }
        reading
    }

    /// Reads, and waits until there is something.
    pub fn read(&self, buffer: &mut [u8]) -> Reading {
        loop {
            let seen = self.signal.count();
            match self.try_read(buffer) {
                Reading::NotNow if !buffer.is_empty() => self.signal.wait(seen),
                reading => return reading,
            }
        }
    }

    pub fn has_bytes_available(&self) -> bool {
        self.status() == StreamStatus::Open && self.source.locked().is_ready()
    }
}

impl Object for InputStream {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let length = self.length.map_or("unknown length".to_owned(), |length| {
            format!("{length} bytes")
        });
        format!("<input stream: {:?}, {length}>", self.status())
    }
}

struct FromData {
    data: Arc<Data>,
    read: usize,
}

impl Source for FromData {
    fn open(&mut self) -> Result<(), Arc<Error>> {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Reading {
        let left = &self.data.bytes()[self.read..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.read += count;
        if count == 0 {
            Reading::End
        } else {
            Reading::Bytes(count)
        }
    }

    fn close(&mut self) {
        self.read = self.data.bytes().len();
    }

    fn is_ready(&mut self) -> bool {
        self.read < self.data.bytes().len()
    }
}

struct FromFile {
    path: PathBuf,
    file: Option<File>,
}

impl FromFile {
    fn error(&self, error: &io::Error) -> Arc<Error> {
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        posix_error(number, &self.path.display().to_string())
    }
}

impl Source for FromFile {
    fn open(&mut self) -> Result<(), Arc<Error>> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path);
        let file = opened.map_err(|error| self.error(&error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(self.error(&io::Error::from_raw_os_error(libc::EISDIR)));
        }
        self.file = Some(file);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Reading {
        let Some(file) = &mut self.file else {
            return Reading::End;
        };
        match file.read(buffer) {
            Ok(0) => Reading::End,
            Ok(count) => Reading::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read(buffer),
            Err(error) => Reading::Failed(self.error(&error)),
        }
    }

    fn close(&mut self) {
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_opens_once_and_ends() {
        let stream = InputStream::with_data(Data::new(b"abc".to_vec()));
        let mut buffer = [0; 2];
        assert!(matches!(stream.try_read(&mut buffer), Reading::Failed(_)));
        assert!(stream.open() && !stream.open());
        assert!(matches!(stream.read(&mut buffer), Reading::Bytes(2)));
        assert!(matches!(stream.read(&mut buffer), Reading::Bytes(1)));
        assert!(matches!(stream.read(&mut buffer), Reading::End));
        assert_eq!(stream.status(), StreamStatus::AtEnd);
        stream.close();
        assert_eq!(stream.status(), StreamStatus::Closed);
        assert!(!stream.open());
    }

    #[test]
    fn files_that_are_none() {
        let stream = InputStream::with_file(PathBuf::from("/nonexistent/file"));
        assert!(!stream.open());
        assert_eq!(stream.error().unwrap().code(), i64::from(libc::ENOENT));
        let stream = InputStream::with_file(std::env::temp_dir());
        assert!(!stream.open());
        assert_eq!(stream.error().unwrap().code(), i64::from(libc::EISDIR));
    }
}
