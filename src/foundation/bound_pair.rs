//! Two streams, of which one reads what is written to the other. No more than a buffer's worth waits
//! between them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::error::Error;
use super::object::{Class, Header, Object, begins_with_header};
use super::stream::{InputStream, Reading, Signal, Source, StreamStatus, posix_error};
use super::sync::Lock;

struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    writer: StreamStatus,
    /// Nobody reads any more.
    reader_gone: bool,
}

impl Pipe {
    /// Whether what is written would have to wait for a reader.
    fn is_full(&self) -> bool {
        !self.reader_gone && self.bytes.len() >= self.capacity
    }
}

struct Shared {
    pipe: Mutex<Pipe>,
    room: Condvar,
    signal: Arc<Signal>,
}

/// The end that is written to.
#[repr(C)]
pub struct OutputStream {
    header: Header,
    shared: Arc<Shared>,
}

begins_with_header!(OutputStream);

/// Makes a pair.
pub fn bound_pair(capacity: usize) -> (Arc<InputStream>, Arc<OutputStream>) {
    let signal = Arc::<Signal>::default();
    let shared = Arc::new(Shared {
        pipe: Mutex::new(Pipe {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            writer: StreamStatus::NotOpen,
            reader_gone: false,
        }),
        room: Condvar::new(),
        signal: Arc::clone(&signal),
    });
    let source = Box::new(FromPair(Arc::clone(&shared)));
    let output = OutputStream {
        header: Header::new(Class::OutputStream),
        shared,
    };
    (InputStream::new(source, signal, None), Arc::new(output))
}

impl OutputStream {
    pub fn status(&self) -> StreamStatus {
        let pipe = self.shared.pipe.locked();
        match pipe.writer {
            StreamStatus::Open if pipe.reader_gone => StreamStatus::Error,
            status => status,
        }
    }

    pub fn error(&self) -> Option<Arc<Error>> {
        let gone = self.status() == StreamStatus::Error;
        gone.then(|| posix_error(libc::EPIPE, "Nobody reads what is written to this stream"))
    }

    /// Opens the stream; a stream opens once.
    pub fn open(&self) -> bool {
        let mut pipe = self.shared.pipe.locked();
        let opens = pipe.writer == StreamStatus::NotOpen;
        if opens {
            pipe.writer = StreamStatus::Open;
        }
        opens
    }

    /// What was written can still be read; after that the reading end is at its end.
    pub fn close(&self) {
        let mut pipe = self.shared.pipe.locked();
        let before = std::mem::replace(&mut pipe.writer, StreamStatus::Closed);
        drop(pipe);
        if before != StreamStatus::Closed {
            self.shared.room.notify_all();
            self.shared.signal.signal();
        }
    }

    /// Whether a write would not have to wait: there is room, or nobody reads any more, which a write
    /// says.
    pub fn has_space_available(&self) -> bool {
        let pipe = self.shared.pipe.locked();
        pipe.writer == StreamStatus::Open && !pipe.is_full()
    }

    /// Writes as much as there is room for; waits while there is none. `None` when that is no use.
    pub fn write(&self, bytes: &[u8]) -> Option<usize> {
        let pipe = self.shared.pipe.locked();
        let waits = |pipe: &mut Pipe| {
            pipe.writer == StreamStatus::Open && pipe.is_full() && !bytes.is_empty()
        };
        let waited = self.shared.room.wait_while(pipe, waits);
        let mut pipe = waited.unwrap_or_else(PoisonError::into_inner);
        if pipe.writer != StreamStatus::Open || pipe.reader_gone {
            return None;
        }
        let was_empty = pipe.bytes.is_empty();
        let count = bytes.len().min(pipe.capacity - pipe.bytes.len());
        pipe.bytes.extend(&bytes[..count]);
        drop(pipe);
        // Who found nothing is told; who found something comes back by itself.
        if was_empty && count > 0 {
            self.shared.signal.signal();
        }
        Some(count)
    }
}

impl Object for OutputStream {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let waiting = self.shared.pipe.locked().bytes.len();
        format!(
            "<output stream: {:?}, {waiting} bytes not yet read>",
            self.status()
        )
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.close();
    }
}

struct FromPair(Arc<Shared>);

impl Source for FromPair {
    fn open(&mut self, _: &Arc<InputStream>) -> Result<(), Arc<Error>> {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Reading {
        let mut pipe = self.0.pipe.locked();
        if pipe.bytes.is_empty() {
            return match pipe.writer {
                StreamStatus::Closed => Reading::End,
                _ => Reading::NotNow,
            };
        }
        let was_full = pipe.is_full();
        let count = pipe.bytes.len().min(buffer.len());
        let (front, back) = pipe.bytes.as_slices();
        let split = front.len().min(count);
        buffer[..split].copy_from_slice(&front[..split]);
        buffer[split..count].copy_from_slice(&back[..count - split]);
        pipe.bytes.drain(..count);
        drop(pipe);
        if was_full {
            self.0.room.notify_all();
        }
        Reading::Bytes(count)
    }

    fn is_ready(&self) -> bool {
        let pipe = self.0.pipe.locked();
        !pipe.bytes.is_empty() || pipe.writer == StreamStatus::Closed
    }
}

impl Drop for FromPair {
    fn drop(&mut self) {
        let mut pipe = self.0.pipe.locked();
        pipe.reader_gone = true;
        // Nobody will read what waits.
        pipe.bytes = VecDeque::new();
        drop(pipe);
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_through_a_small_buffer() {
        let (input, output) = bound_pair(7);
        let sent: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        assert!(output.open() && input.open());
        let writer = std::thread::spawn(move || {
            let mut left = &sent[..];
            while !left.is_empty() {
                let count = output.write(left).unwrap();
                left = &left[count..];
            }
            output.close();
        });
        let mut received = Vec::new();
        let mut buffer = [0; 1000];
        while let Reading::Bytes(count) = input.read(&mut buffer) {
            assert!(count <= 7);
            received.extend_from_slice(&buffer[..count]);
        }
        writer.join().unwrap();
        assert_eq!(received, expected);
        assert_eq!(input.status(), StreamStatus::AtEnd);
    }

    #[test]
    fn writing_ends_when_nobody_reads() {
        let (input, output) = bound_pair(4);
        assert_eq!(output.write(b"a"), None, "it is not open");
        output.open();
        assert_eq!(output.write(b"abcdef"), Some(4));
        assert!(!output.has_space_available());
        let writer = std::thread::spawn(move || {
            let result = output.write(b"x");
            (result, output.error().map(|error| error.code()))
        });
        drop(input);
        assert_eq!(writer.join().unwrap(), (None, Some(i64::from(libc::EPIPE))));
    }
}
