//! NSInputStream: bytes from memory, from a file, from a source of the caller's, or from the other
//! end of a bound pair.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

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

/// Where a stream's bytes come from. Used by one thread at a time, and never under a lock: it may
/// be the program's code. Dropped once it was closed.
pub trait Source: Send {
    /// Called once, before anything else.
    fn open(&mut self, stream: &Arc<InputStream>) -> Result<(), Arc<Error>>;
    /// Fills a buffer, which is not empty.
    fn read(&mut self, buffer: &mut [u8]) -> Reading;
    /// Called once, after `open` succeeded.
    fn close(&mut self) {}
    /// Whether a read would not have to wait, as far as that can be told. Called under a lock.
    fn is_ready(&self) -> bool {
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

pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

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

/// Where the source is.
enum Place {
    Here(Box<dyn Source>),
    /// A thread uses it, and puts it back.
    With(ThreadId),
    Gone,
}

struct State {
    status: StreamStatus,
    error: Option<Arc<Error>>,
    source: Place,
    /// The source was opened, and not closed yet.
    opened: bool,
    /// Another thread found the source in use, and waits for a signal.
    contended: bool,
    /// The source had nothing when the signal had this number.
    dry: Option<u64>,
}

#[repr(C)]
pub struct InputStream {
    header: Header,
    /// How many bytes there are, where that is known.
    length: Option<u64>,
    state: Mutex<State>,
    signal: Arc<Signal>,
}

begins_with_header!(InputStream);

/// What an attempt to read comes to.
enum Attempt {
    Done(Reading),
    /// Nothing until the signal has another number than this.
    Wait(u64),
}

impl InputStream {
    pub fn new(source: Box<dyn Source>, signal: Arc<Signal>, length: Option<u64>) -> Arc<Self> {
        Arc::new(InputStream {
            header: Header::new(Class::InputStream),
            length,
            state: Mutex::new(State {
                status: StreamStatus::NotOpen,
                error: None,
                source: Place::Here(source),
                opened: false,
                contended: false,
                dry: None,
            }),
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

    /// Lets `waker` be called, on whatever thread and under no lock, when there may be something to
    /// read. False when there is such a one already: a stream has one reader in the library.
    pub fn set_waker(&self, waker: Waker) -> bool {
        let mut state = self.signal.state.locked();
        let free = state.waker.is_none();
        if free {
            state.waker = Some(waker);
        }
        free
    }

    /// Opens the stream; a stream opens once. False when it cannot be opened.
    pub fn open(self: &Arc<Self>) -> bool {
        let mut state = self.state.locked();
        if state.status != StreamStatus::NotOpen {
            return false;
        }
        let Some(mut source) = Self::borrow_source(&mut state) else {
            return false;
        };
        state.status = StreamStatus::Opening;
        drop(state);
        let opened = source.open(self);
        let mut state = self.state.locked();
        state.opened = opened.is_ok();
        if state.status == StreamStatus::Opening {
            match opened {
                Ok(()) => state.status = StreamStatus::Open,
                Err(error) => {
                    state.status = StreamStatus::Error;
                    state.error = Some(error);
                }
            }
        }
        let is_open = state.status == StreamStatus::Open;
        self.put_back(state, source);
        is_open
    }

    /// Closes the stream for good. A source that is in use is closed when it is no more.
    pub fn close(&self) {
        let mut state = self.state.locked();
        state.status = StreamStatus::Closed;
        self.dispose(state);
        // Whoever waits to read waits for nothing now.
        self.signal.signal();
    }

    /// Reads without waiting for a producer.
    pub fn try_read(&self, buffer: &mut [u8]) -> Reading {
        match self.attempt(buffer) {
            Attempt::Done(reading) => reading,
            Attempt::Wait(_) => Reading::NotNow,
        }
    }

    /// Reads, and waits until there is something.
    pub fn read(&self, buffer: &mut [u8]) -> Reading {
        loop {
            match self.attempt(buffer) {
                Attempt::Done(reading) => return reading,
                Attempt::Wait(seen) => self.signal.wait(seen),
            }
        }
    }

    /// Whether a read would not have to wait: there are bytes, or the end, which was not read yet.
    pub fn has_bytes_available(&self) -> bool {
        let state = self.state.locked();
        let is_dry = state.dry.is_some_and(|seen| seen == self.signal.count());
        match &state.source {
            Place::Here(source) if state.status == StreamStatus::Open => {
                !is_dry && source.is_ready()
            }
            _ => false,
        }
    }

    fn attempt(&self, buffer: &mut [u8]) -> Attempt {
        let refused = |what| Attempt::Done(Reading::Failed(posix_error(libc::EBADF, what)));
        let mut state = self.state.locked();
        match (state.status, &state.error) {
            (StreamStatus::AtEnd, _) => return Attempt::Done(Reading::End),
            (StreamStatus::Error, Some(error)) => {
                return Attempt::Done(Reading::Failed(Arc::clone(error)));
            }
            (StreamStatus::Open | StreamStatus::Opening | StreamStatus::Reading, _) => {}
            _ => return refused("The stream is not open"),
        }
        if buffer.is_empty() {
            return Attempt::Done(Reading::NotNow);
        }
        let seen = self.signal.count();
        let Some(mut source) = Self::borrow_source(&mut state) else {
            if matches!(state.source, Place::With(thread) if thread == thread::current().id()) {
                return refused("The stream is read by its own source");
            }
            state.contended = true;
            return Attempt::Wait(seen);
        };
        state.status = StreamStatus::Reading;
        drop(state);
        let reading = source.read(buffer);
        let mut state = self.state.locked();
        state.dry = matches!(reading, Reading::NotNow).then_some(seen);
        let closed = state.status == StreamStatus::Closed;
        if !closed {
            state.status = match &reading {
                Reading::Bytes(_) | Reading::NotNow => StreamStatus::Open,
                Reading::End => StreamStatus::AtEnd,
                Reading::Failed(error) => {
                    state.error = Some(Arc::clone(error));
                    StreamStatus::Error
                }
            };
        }
        self.put_back(state, source);
        match reading {
            _ if closed => refused("The stream was closed"),
            Reading::NotNow => Attempt::Wait(seen),
            reading => Attempt::Done(reading),
        }
    }

    /// Takes the source to use it on this thread, without the lock.
    fn borrow_source(state: &mut State) -> Option<Box<dyn Source>> {
        if !matches!(state.source, Place::Here(_)) {
            return None;
        }
        match std::mem::replace(&mut state.source, Place::With(thread::current().id())) {
            Place::Here(source) => Some(source),
            Place::With(_) | Place::Gone => None,
        }
    }

    fn put_back(&self, mut state: MutexGuard<'_, State>, source: Box<dyn Source>) {
        state.source = Place::Here(source);
        let contended = std::mem::take(&mut state.contended);
        if state.status == StreamStatus::Closed {
            self.dispose(state);
        } else {
            drop(state);
        }
        if contended {
            self.signal.signal();
        }
    }

    /// Closes the source and lets go of it, unless a thread uses it.
    fn dispose(&self, mut state: MutexGuard<'_, State>) {
        if !matches!(state.source, Place::Here(_)) {
            return;
        }
        let source = std::mem::replace(&mut state.source, Place::Gone);
        let opened = std::mem::take(&mut state.opened);
        drop(state);
        if let (Place::Here(mut source), true) = (source, opened) {
            source.close();
        }
    }
}

impl Drop for InputStream {
    fn drop(&mut self) {
        self.dispose(self.state.locked());
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
    fn open(&mut self, _: &Arc<InputStream>) -> Result<(), Arc<Error>> {
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
}

struct FromFile {
    path: PathBuf,
    file: Option<File>,
}

impl FromFile {
    fn error(&self, error: &io::Error) -> Arc<Error> {
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        posix_error(number, &format!("“{}” cannot be read", self.path.display()))
    }
}

impl Source for FromFile {
    fn open(&mut self, _: &Arc<InputStream>) -> Result<(), Arc<Error>> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path);
        let file = opened.map_err(|error| self.error(&error))?;
        let metadata = file.metadata().map_err(|error| self.error(&error))?;
        if metadata.is_dir() {
            return Err(self.error(&io::Error::from_raw_os_error(libc::EISDIR)));
        }
        if !metadata.is_file() {
            // Reading a pipe or a device could wait for ever, or not wait where it should.
            let what = format!("“{}” is no regular file", self.path.display());
            return Err(posix_error(libc::EINVAL, &what));
        }
        self.file = Some(file);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Reading {
        let Some(file) = &mut self.file else {
            return Reading::End;
        };
        loop {
            return match file.read(buffer) {
                Ok(0) => Reading::End,
                Ok(count) => Reading::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Reading::Failed(self.error(&error)),
            };
        }
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
