//! The way of a body from the loop to where it is delivered: bounded, merged, decoded on delivery.
//!
//! What libcurl reads is copied into chunks and waits here as it came off the wire. Whoever
//! delivers it takes a chunk at a time, and decodes it piece by piece. So neither a slow delegate
//! nor a decompression bomb makes more than a window's worth of bytes wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::coding::{CodingError, Decoder, Status};
use crate::foundation::sync::Lock;

/// A transfer is paused when more bytes than this wait, to begin with.
const FIRST_WINDOW: usize = 64 * 1024;
/// The window of a delegate that keeps up with its server grows to this.
const LARGEST_WINDOW: usize = 1024 * 1024;
/// A delegate that makes room again this soon is not what limits: its window grows.
const KEEPS_UP: Duration = Duration::from_millis(1);
/// Small pieces are merged into chunks of this size.
const MERGED: usize = 16 * 1024;
/// From this window on a delegate counts as fast, and its chunks have this size.
const FAST: usize = 4 * FIRST_WINDOW;
const FAST_CHUNK: usize = 256 * 1024;
/// The largest piece that a decoder makes at once.
const DECODED: usize = 64 * 1024;
/// Buffers that are kept to be filled again.
const SPARES: usize = 6;

#[derive(Default)]
struct Waiting {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in `chunks`, and those that are being delivered.
    held: usize,
    window: usize,
    /// Since when the sender has been held back, if it is.
    paused: Option<Instant>,
    spares: Vec<Vec<u8>>,
}

impl Waiting {
    /// An empty buffer with room for so many bytes: one that was used before, if there is one.
    /// Memory that was never touched costs far more to fill than memory that was, and most of all
    /// than memory that is still in the processor's cache: the one that came back last is taken.
    fn buffer(&mut self, length: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| spare.capacity() >= length;
        if let Some(index) = self.spares.iter().rposition(fits) {
            return self.spares.swap_remove(index);
        }
        // Fast readers get buffers of one size, so that each fits every read.
        let least = if self.window > FAST {
            FAST_CHUNK
        } else {
            MERGED
        };
        Vec::with_capacity(length.next_power_of_two().max(least))
    }

    /// Keeps a buffer to be filled again.
    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() > LARGEST_WINDOW {
            return;
        }
        if self.spares.len() == SPARES {
            // The smallest one is the least likely to fit.
            let smallest = (0..SPARES).min_by_key(|index| self.spares[*index].capacity());
            let smallest =
                smallest.filter(|index| self.spares[*index].capacity() < buffer.capacity());
            let Some(index) = smallest else { return };
            self.spares.swap_remove(index);
        }
        self.spares.push(buffer);
    }
}

/// What pushing bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Nothing waited before: somebody must be told.
    pub first: bool,
    /// Enough waits to be worth waking somebody for.
    pub pressing: bool,
}

/// Body bytes on their way from one thread to another.
pub struct BodyPipe {
    waiting: Mutex<Waiting>,
}

impl Default for BodyPipe {
    fn default() -> Self {
        BodyPipe {
            waiting: Mutex::new(Waiting {
                window: FIRST_WINDOW,
                ..Waiting::default()
            }),
        }
    }
}

impl BodyPipe {
    /// Takes bytes in, on the loop.
    pub fn push(&self, bytes: &[u8]) -> Pushed {
        let mut waiting = self.waiting.locked();
        let waiting = &mut *waiting;
        let first = waiting.chunks.is_empty();
        waiting.held += bytes.len();
        match waiting.chunks.back_mut() {
            Some(last) if last.capacity() - last.len() >= bytes.len() => {
                last.extend_from_slice(bytes)
            }
            _ => {
                let mut chunk = waiting.buffer(bytes.len());
                chunk.extend_from_slice(bytes);
                waiting.chunks.push_back(chunk);
            }
        }
        if waiting.held >= waiting.window && waiting.paused.is_none() {
            waiting.paused = Some(Instant::now());
        }
        Pushed {
            first,
            pressing: waiting.held >= waiting.window / 2,
        }
    }

    /// Whether the window is full.
    pub fn is_full(&self) -> bool {
        self.waiting.locked().paused.is_some()
    }

    /// Takes the next chunk out; it counts as held until `put_back`.
    fn take(&self) -> Option<Vec<u8>> {
        self.waiting.locked().chunks.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.waiting.locked().chunks.is_empty()
    }

    /// A chunk of `length` bytes was delivered. True when the transfer is to go on.
    fn put_back(&self, length: usize, buffer: Option<Vec<u8>>) -> bool {
        let mut waiting = self.waiting.locked();
        waiting.held = waiting.held.saturating_sub(length);
        if let Some(buffer) = buffer {
            waiting.keep(buffer);
        }
        if waiting.held > waiting.window / 2 {
            return false;
        }
        let Some(since) = waiting.paused.take() else {
            return false;
        };
        if since.elapsed() < KEEPS_UP {
            waiting.window = (waiting.window * 2).min(LARGEST_WINDOW);
        }
        true
    }

    /// Throws away what waits. True when the transfer was held back by it.
    pub fn clear(&self) -> bool {
        let mut waiting = self.waiting.locked();
        waiting.chunks = VecDeque::new();
        waiting.spares = Vec::new();
        waiting.held = 0;
        waiting.paused.take().is_some()
    }
}

/// Takes a body out of its pipe, decoded. Used by one thread at a time.
pub struct BodyReader {
    pipe: Arc<BodyPipe>,
    decoder: Option<Decoder>,
    /// The chunk that is being decoded, and how much of it is.
    current: Option<(Vec<u8>, usize)>,
    /// The decoder may have output without more input.
    pending: bool,
    spare: Vec<u8>,
    /// Length of the chunk that is being delivered as it is.
    delivering: usize,
    /// A decoded chunk was used up, and the transfer may go on.
    resume: bool,
    /// What the next call fails with.
    failed: Option<CodingError>,
}

impl BodyReader {
    pub fn new(pipe: Arc<BodyPipe>, decoder: Option<Decoder>) -> BodyReader {
        BodyReader {
            pipe,
            decoder,
            current: None,
            pending: false,
            spare: Vec::new(),
            delivering: 0,
            resume: false,
            failed: None,
        }
    }

    /// The next piece, or `None` when nothing waits now.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, CodingError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(decoder) = &mut self.decoder else {
            let chunk = self.pipe.take();
            self.delivering = chunk.as_ref().map_or(0, Vec::len);
            return Ok(chunk);
        };
        let mut output = std::mem::take(&mut self.spare);
        output.clear();
        loop {
            if self.current.is_none() && !self.pending {
                self.current = self.pipe.take().map(|chunk| (chunk, 0));
                if self.current.is_none() {
                    break;
                }
            }
            let input = self
                .current
                .as_ref()
                .map_or(&[][..], |(chunk, used)| &chunk[*used..]);
            let limit = DECODED - output.len();
            let (consumed, status) = match decoder.decode(input, &mut output, limit) {
                Ok(done) => done,
                // What was decoded before it is good, and comes first.
                Err(error) if !output.is_empty() => {
                    self.failed = Some(error);
                    return Ok(Some(output));
                }
                Err(error) => return Err(error),
            };
            self.pending = status == Status::OutputFull;
            if let Some((chunk, used)) = &mut self.current {
                *used += consumed;
                if *used == chunk.len() {
                    let (length, chunk) = (chunk.len(), std::mem::take(chunk));
                    self.current = None;
                    self.resume |= self.pipe.put_back(length, Some(chunk));
                }
            }
            if output.len() == DECODED {
                break;
            }
        }
        if output.is_empty() {
            self.spare = output;
            return Ok(None);
        }
        Ok(Some(output))
    }

    /// A piece was delivered; `buffer` is its memory when nobody kept it. True when the transfer,
    /// which was held back, is to go on.
    pub fn delivered(&mut self, buffer: Option<Vec<u8>>) -> bool {
        if self.decoder.is_some() {
            self.spare = buffer.unwrap_or_default();
            return self.take_resume();
        }
        self.pipe
            .put_back(std::mem::take(&mut self.delivering), buffer)
    }

    /// Whether a transfer that was held back is to go on, though `next` had nothing to deliver: the
    /// decoder may take much in before something comes out.
    pub fn take_resume(&mut self) -> bool {
        std::mem::take(&mut self.resume)
    }

    /// Whether there may be something to deliver now.
    pub fn has_more(&self) -> bool {
        self.pending || self.failed.is_some() || self.current.is_some() || !self.pipe.is_empty()
    }

    /// All was delivered: whether the body's coding came to its end too.
    pub fn finish(&mut self) -> Result<(), CodingError> {
        self.decoder
            .as_mut()
            .map_or(Ok(()), |decoder| decoder.finish())
    }
}

/// Decodes a whole body at once, for those who want it whole, as long as they do.
pub fn decode_whole(
    mut decoder: Decoder,
    mut input: &[u8],
    is_wanted: impl Fn() -> bool,
) -> Result<Vec<u8>, CodingError> {
    let mut output = Vec::new();
    while is_wanted() {
        let (consumed, status) = decoder.decode(input, &mut output, DECODED)?;
        input = &input[consumed..];
        match status {
            Status::OutputFull => {}
            Status::NeedInput | Status::Finished if input.is_empty() => break,
            Status::NeedInput | Status::Finished => {}
        }
    }
    decoder.finish()?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_merged() {
        let pipe = BodyPipe::default();
        assert_eq!(
            pipe.push(b"ab"),
            Pushed {
                first: true,
                pressing: false
            }
        );
        assert_eq!(
            pipe.push(b"cd"),
            Pushed {
                first: false,
                pressing: false
            }
        );
        let mut reader = BodyReader::new(Arc::new(pipe), None);
        let piece = reader.next().unwrap().unwrap();
        assert_eq!(piece, b"abcd");
        assert!(!reader.delivered(Some(piece)));
        assert!(!reader.has_more());
    }

    #[test]
    fn a_full_window_holds_the_sender_back_until_half_is_delivered() {
        let pipe = Arc::new(BodyPipe::default());
        let mut reader = BodyReader::new(Arc::clone(&pipe), None);
        let piece = vec![0; FIRST_WINDOW / 2];
        pipe.push(&piece);
        assert!(!pipe.is_full());
        pipe.push(&piece);
        let chunk = reader.next().unwrap().unwrap();
        assert!(pipe.is_full());
        assert!(reader.delivered(Some(chunk)));
        assert!(!pipe.is_full());
        assert!(!pipe.clear());
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn a_bomb_is_decoded_piece_by_piece() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let size = 8 << 20;
        encoder.write_all(&vec![0; size]).unwrap();
        let encoded = encoder.finish().unwrap();
        let pipe = Arc::new(BodyPipe::default());
        pipe.push(&encoded);
        let decoder = Decoder::for_content_encoding("gzip").unwrap();
        let mut reader = BodyReader::new(pipe, decoder);
        let mut total = 0;
        while let Some(piece) = reader.next().unwrap() {
            assert!(piece.len() <= DECODED);
            total += piece.len();
            reader.delivered(Some(piece));
        }
        assert_eq!(total, size);
        reader.finish().unwrap();
        let decoder = Decoder::for_content_encoding("gzip").unwrap().unwrap();
        assert_eq!(
            decode_whole(decoder, &encoded, || true).unwrap().len(),
            size
        );
        let decoder = Decoder::for_content_encoding("gzip").unwrap().unwrap();
        assert_eq!(
            decode_whole(decoder, &encoded[..encoded.len() / 2], || true),
            Err(CodingError::Truncated)
        );
    }
}
