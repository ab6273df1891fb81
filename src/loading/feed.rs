//! The way of a request's body to the loop, from a file or a stream, which may block: a thread of the
//! pool reads ahead, a bounded number of bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use super::file_body::FileBody;
use crate::foundation::error::{Failure, POSIX_DOMAIN};
use crate::foundation::error_code;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::stream::{InputStream, Reading};
use crate::foundation::sync::Lock;

/// Bytes are read in pieces of this size.
const PIECE: usize = 512 * 1024;
/// So many pieces wait at most.
const PIECES: usize = 4;

/// Where the bytes come from.
#[derive(Clone)]
pub enum Origin {
    File(Arc<FileBody>),
    Stream(Arc<InputStream>),
}

/// What taking bytes comes to.
#[derive(Debug)]
pub enum Taken {
    Bytes(usize),
    /// Nothing is there now; the feed's notifier is called when there is.
    Wait,
    End,
    Failed(Failure),
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// How much of the first piece was taken.
    taken: usize,
    spares: Vec<Vec<u8>>,
    /// Where a file is read next.
    offset: u64,
    /// Grows when reading begins anew: what was read for an earlier beginning is thrown away.
    turn: u64,
    end: Option<Result<(), Failure>>,
    /// A thread is reading, or about to.
    reading: bool,
    /// The stream has nothing now; it will say when it has.
    dry: bool,
    /// How often it said so.
    signals: u64,
    /// Somebody was told to wait.
    awaited: bool,
    gone: bool,
}

type Notifier = Box<dyn Fn() + Send + Sync>;

struct Shared {
    origin: Origin,
    state: Mutex<State>,
    /// Held while something is read, by one thread at a time.
    source: Mutex<bool>,
    notify: Notifier,
    this: Weak<Shared>,
}

/// Bytes on their way from a file or a stream.
pub struct Feed(Arc<Shared>);

impl Feed {
    /// Begins to read from `offset` on, where the origin is a file. `notify` is called on other
    /// threads and must not block.
    pub fn new(origin: Origin, offset: u64, notify: Notifier) -> Feed {
        let feed = Feed(Arc::new_cyclic(|this| Shared {
            origin,
            state: Mutex::new(State {
                offset,
                ..State::default()
            }),
            source: Mutex::new(false),
            notify,
            this: Weak::clone(this),
        }));
        if let Origin::Stream(stream) = &feed.0.origin {
            let this = Weak::clone(&feed.0.this);
            stream.set_waker(Some(Arc::new(move || {
                if let Some(shared) = this.upgrade() {
                    shared.refill();
                }
            })));
        }
        feed.0.read_on(&mut feed.0.state.locked());
        feed
    }

    /// Moves bytes into a buffer. Never blocks.
    pub fn take(&self, buffer: &mut [u8]) -> Taken {
        let mut state = self.0.state.locked();
        let state = &mut *state;
        let mut count = 0;
        while count < buffer.len() {
            let taken = state.taken;
            let Some(piece) = state.pieces.front() else {
                break;
            };
            let more = (piece.len() - taken).min(buffer.len() - count);
            buffer[count..count + more].copy_from_slice(&piece[taken..taken + more]);
            count += more;
            state.taken += more;
            if state.taken == piece.len() {
                state.taken = 0;
                let spare = state.pieces.pop_front();
                state.spares.extend(spare);
            }
        }
        if state.end.is_none() && !state.dry {
            self.0.read_on(state);
        }
        if count > 0 {
            return Taken::Bytes(count);
        }
        match &state.end {
            Some(Ok(())) => Taken::End,
            Some(Err(failure)) => Taken::Failed(failure.clone()),
            None => {
                state.awaited = true;
                Taken::Wait
            }
        }
    }

    /// Begins anew at a place of the file. False for a stream: its bytes come once.
    pub fn rewind(&self, offset: u64) -> bool {
        if matches!(self.0.origin, Origin::Stream(_)) {
            return false;
        }
        let mut state = self.0.state.locked();
        let pieces = std::mem::take(&mut state.pieces);
        state.spares.extend(pieces);
        state.taken = 0;
        state.offset = offset;
        state.turn += 1;
        state.end = None;
        self.0.read_on(&mut state);
        true
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.state.locked().gone = true;
        if let Origin::Stream(stream) = &self.0.origin {
            stream.set_waker(None);
        }
        // The stream may be the caller's, and this the last reference: not here.
        Pool::io().submit_patiently(Arc::clone(&self.0) as Arc<dyn Work>);
    }
}

impl Shared {
    /// Has a thread read, unless enough waits.
    fn read_on(&self, state: &mut State) {
        if state.reading || state.pieces.len() >= PIECES {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            state.reading = true;
            state.dry = false;
            Pool::io().submit(this);
        }
    }

    /// The stream may have more.
    fn refill(&self) {
        let mut state = self.state.locked();
        state.signals += 1;
        state.dry = false;
        if state.end.is_none() && !state.gone {
            self.read_on(&mut state);
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64, opened: &mut bool) -> Result<usize, Stop> {
        match &self.origin {
            Origin::File(file) => match file.read_at(buffer, offset) {
                Ok(0) => Err(Stop::End(Ok(()))),
                Ok(count) => Ok(count),
                Err(failure) => Err(Stop::End(Err(failure))),
            },
            Origin::Stream(stream) => {
                if !std::mem::replace(opened, true) && !stream.open() {
                    return Err(Stop::End(Err(stream_failure(stream))));
                }
                match stream.try_read(buffer) {
                    Reading::Bytes(count) => Ok(count.min(buffer.len())),
                    Reading::NotNow => Err(Stop::Dry),
                    Reading::End => Err(Stop::End(Ok(()))),
                    Reading::Failed(_) => Err(Stop::End(Err(stream_failure(stream)))),
                }
            }
        }
    }
}

/// Why reading stops.
enum Stop {
    Dry,
    End(Result<(), Failure>),
}

fn stream_failure(stream: &InputStream) -> Failure {
    let failure = Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED);
    match stream.error() {
        Some(error) => {
            let text = error.localized_description().to_string_lossy().into_owned();
            failure
                .detail(format!("The body cannot be read: {text}"))
                .underlying(POSIX_DOMAIN, error.code(), text)
        }
        None => failure.detail("The stream of the body was opened or closed before it was read."),
    }
}

impl Work for Shared {
    fn perform(self: Arc<Self>) {
        let mut opened = self.source.locked();
        loop {
            let mut state = self.state.locked();
            if state.gone || state.end.is_some() || state.pieces.len() >= PIECES {
                state.reading = false;
                if state.gone
                    && let Origin::Stream(stream) = &self.origin
                {
                    drop(state);
                    stream.close();
                }
                return;
            }
            let (turn, offset, signals) = (state.turn, state.offset, state.signals);
            let mut buffer = state.spares.pop().unwrap_or_default();
            drop(state);
            buffer.resize(PIECE, 0);
            let read = self.read(&mut buffer, offset, &mut opened);
            let mut state = self.state.locked();
            if state.turn != turn {
                state.spares.push(buffer);
                continue;
            }
            let awaited = match read {
                Ok(count) => {
                    buffer.truncate(count);
                    state.offset += count as u64;
                    state.pieces.push_back(buffer);
                    std::mem::take(&mut state.awaited)
                }
                Err(Stop::Dry) => {
                    state.spares.push(buffer);
                    if state.signals != signals {
                        // It was filled since it was found dry.
                        continue;
                    }
                    state.dry = true;
                    state.reading = false;
                    return;
                }
                Err(Stop::End(end)) => {
                    state.end = Some(end);
                    std::mem::take(&mut state.awaited)
                }
            };
            drop(state);
            if awaited {
                (self.notify)();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::bound_pair::bound_pair;
    use crate::foundation::data::Data;
    use std::fs;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, channel};

    fn feed(origin: Origin, offset: u64) -> (Feed, Receiver<()>) {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let notify = move || {
            let _ = sender.locked().send(());
        };
        (Feed::new(origin, offset, Box::new(notify)), receiver)
    }

    /// Takes all there is, waiting as it is told to.
    fn drain(feed: &Feed, notified: &Receiver<()>) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 100_000];
        loop {
            match feed.take(&mut buffer) {
                Taken::Bytes(count) => all.extend_from_slice(&buffer[..count]),
                Taken::Wait => notified.recv().unwrap(),
                Taken::End => return Ok(all),
                Taken::Failed(failure) => return Err(failure),
            }
        }
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_file_comes_whole_again_and_from_the_middle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        for length in [0, 1, PIECE, PIECE * PIECES * 2 + 5] {
            let content = bytes(length);
            fs::write(&path, &content).unwrap();
            let file = Arc::new(FileBody::open(&path).unwrap());
            let (feed, notified) = feed(Origin::File(Arc::clone(&file)), 0);
            assert!(drain(&feed, &notified).unwrap() == content);
            for offset in [0, length / 3, length] {
                assert!(feed.rewind(offset as u64));
                assert!(drain(&feed, &notified).unwrap() == content[offset..]);
            }
        }
    }

    #[test]
    fn a_file_that_is_changed_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        type Change = fn(&std::path::Path);
        let changes: [Change; 3] = [
            |path| {
                fs::File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(5)
                    .unwrap()
            },
            |path| {
                fs::File::options()
                    .append(true)
                    .open(path)
                    .unwrap()
                    .write_all(b"x")
                    .unwrap()
            },
            |path| fs::write(path, bytes(10_000)).unwrap(),
        ];
        for change in changes {
            fs::write(&path, vec![7; PIECE * PIECES * 3]).unwrap();
            let file = Arc::new(FileBody::open(&path).unwrap());
            let (feed, notified) = feed(Origin::File(file), 0);
            let mut first = [0; 10];
            while let Taken::Wait = feed.take(&mut first) {
                notified.recv().unwrap();
            }
            change(&path);
            let failure = drain(&feed, &notified).unwrap_err();
            assert_eq!(failure.code(), error_code::REQUEST_BODY_STREAM_EXHAUSTED);
        }
    }

    #[test]
    fn what_is_no_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let code = |path: &std::path::Path| FileBody::open(path).unwrap_err().code();
        assert_eq!(
            code(&directory.path().join("none")),
            error_code::FILE_DOES_NOT_EXIST
        );
        assert_eq!(code(directory.path()), error_code::FILE_IS_DIRECTORY);
        assert_eq!(
            code(std::path::Path::new("/dev/null")),
            error_code::CANNOT_OPEN_FILE
        );
    }

    #[test]
    fn streams_come_once() {
        let stream = InputStream::with_data(Data::new(bytes(3_000_000)));
        let (feed, notified) = feed(Origin::Stream(stream), 0);
        assert!(drain(&feed, &notified).unwrap() == bytes(3_000_000));
        assert!(!feed.rewind(0));
    }

    #[test]
    fn a_slow_producer_is_waited_for() {
        let (input, output) = bound_pair(1000);
        output.open();
        let (feed, notified) = feed(Origin::Stream(input), 0);
        let writer = std::thread::spawn(move || {
            let content = bytes(50_000);
            let mut left = &content[..];
            while !left.is_empty() {
                left = &left[output.write(left).unwrap()..];
            }
        });
        assert!(drain(&feed, &notified).unwrap() == bytes(50_000));
        writer.join().unwrap();
    }

    #[test]
    fn a_stream_that_was_opened_fails() {
        let stream = InputStream::with_data(Data::new(bytes(10)));
        stream.open();
        let (feed, notified) = feed(Origin::Stream(stream), 0);
        assert!(drain(&feed, &notified).is_err());
    }

    #[test]
    fn a_feed_that_goes_closes_its_stream() {
        let (input, output) = bound_pair(4);
        output.open();
        let (feed, _notified) = feed(Origin::Stream(Arc::clone(&input)), 0);
        output.write(b"abcd");
        drop(feed);
        // Fails once the stream is closed, and would wait for ever otherwise.
        while output.write(b"x").is_some() {}
    }
}
