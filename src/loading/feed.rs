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

/// Bytes are read in pieces of this size, once it is known that there are as many.
const PIECE: usize = 512 * 1024;
/// How large the first piece may be.
const FIRST_PIECE: usize = 64 * 1024;
/// So many pieces wait at most.
const PIECES: usize = 4;
/// What is no longer than this is put to the piece before it, if there is room.
const SMALL: usize = 64 * 1024;

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

struct Piece {
    buffer: Vec<u8>,
    length: usize,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Piece>,
    /// How much of the first piece was taken.
    taken: usize,
    spares: Vec<Vec<u8>>,
    /// How large the next piece may be.
    size: usize,
    /// Where a file is read next.
    offset: u64,
    /// Grows when reading begins anew: what was read for an earlier beginning is thrown away.
    turn: u64,
    end: Option<Result<(), Failure>>,
    /// A thread is reading, or about to: only one at a time.
    reading: bool,
    /// The stream was opened by this feed.
    opened: bool,
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
    /// The stream is this feed's alone.
    owned: bool,
    state: Mutex<State>,
    notify: Notifier,
    this: Weak<Shared>,
}

/// Bytes on their way from a file or a stream.
pub struct Feed {
    /// Taken when the feed goes.
    shared: Option<Arc<Shared>>,
}

impl Feed {
    /// Begins to read: a file from `offset` on. A stream is opened, and closed in the end. `notify` is
    /// called on other threads, once for each `Taken::Wait`, and must not block.
    pub fn new(origin: Origin, offset: u64, notify: Notifier) -> Feed {
        let shared = Arc::new_cyclic(|this: &Weak<Shared>| {
            let owned = match &origin {
                Origin::File(_) => true,
                Origin::Stream(stream) => {
                    let this = Weak::clone(this);
                    stream.set_waker(Arc::new(move || {
                        if let Some(shared) = this.upgrade() {
                            shared.refill();
                        }
                    }))
                }
            };
            let taken = || {
                let failure = Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED);
                failure.detail("The stream of the body was used for another request already.")
            };
            Shared {
                origin,
                owned,
                state: Mutex::new(State {
                    offset,
                    size: FIRST_PIECE,
                    end: (!owned).then(|| Err(taken())),
                    ..State::default()
                }),
                notify,
                this: Weak::clone(this),
            }
        });
        shared.read_on(&mut shared.state.locked());
        Feed {
            shared: Some(shared),
        }
    }

    /// Moves bytes into a buffer. Never blocks.
    pub fn take(&self, buffer: &mut [u8]) -> Taken {
        let Some(shared) = &self.shared else {
            return Taken::End;
        };
        let mut state = shared.state.locked();
        let count = state.take(buffer);
        if !state.dry && state.pieces.len() <= PIECES / 2 {
            shared.read_on(&mut state);
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

    /// Begins anew at a place of the file. False when there is no such place, and for a stream: its
    /// bytes come once.
    pub fn rewind(&self, offset: u64) -> bool {
        let Some(shared) = &self.shared else {
            return false;
        };
        match &shared.origin {
            Origin::File(file) if offset <= file.length() => {}
            _ => return false,
        }
        let mut state = shared.state.locked();
        state.forget();
        state.offset = offset;
        state.turn += 1;
        state.end = None;
        shared.read_on(&mut state);
        true
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        let mut state = shared.state.locked();
        state.gone = true;
        state.awaited = false;
        let reads = std::mem::replace(&mut state.reading, true);
        drop(state);
        // The stream may be the program's, and this the last reference: not on this thread.
        let pool = shared.pool();
        if reads {
            pool.submit_patiently(Arc::new(Farewell { _shared: shared }));
        } else {
            pool.submit_patiently(shared);
        }
    }
}

/// Lets go of what a thread may still be reading for.
struct Farewell {
    _shared: Arc<Shared>,
}

impl Work for Farewell {
    fn perform(self: Arc<Self>) {}
}

impl State {
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buffer.len() {
            let Some(piece) = self.pieces.front() else {
                break;
            };
            let waiting = &piece.buffer[self.taken..piece.length];
            let more = waiting.len().min(buffer.len() - count);
            buffer[count..count + more].copy_from_slice(&waiting[..more]);
            count += more;
            self.taken += more;
            if self.taken == piece.length {
                self.taken = 0;
                let spare = self.pieces.pop_front().map(|piece| piece.buffer);
                self.spares.extend(spare);
            }
        }
        count
    }

    /// Appends what was read.
    fn push(&mut self, buffer: Vec<u8>, length: usize) {
        self.offset += length as u64;
        if length == self.size {
            self.size = (self.size * 2).min(PIECE);
        }
        if length <= SMALL
            && let Some(last) = self.pieces.back_mut()
            && let Some(room) = last.buffer[last.length..].get_mut(..length)
        {
            room.copy_from_slice(&buffer[..length]);
            last.length += length;
            self.spares.push(buffer);
            return;
        }
        self.pieces.push_back(Piece { buffer, length });
    }

    /// Throws away what waits.
    fn forget(&mut self) {
        self.taken = 0;
        let pieces = self.pieces.drain(..).map(|piece| piece.buffer);
        self.spares.extend(pieces);
    }
}

impl Shared {
    /// Where this is read. What blocks in a stream must not hold up files.
    fn pool(&self) -> &'static Pool {
        match &self.origin {
            Origin::File(_) => Pool::io(),
            Origin::Stream(_) => Pool::streams(),
        }
    }

    /// Has a thread read, unless enough waits or nothing more comes.
    fn read_on(&self, state: &mut State) {
        if state.reading || state.end.is_some() || state.pieces.len() >= PIECES {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            state.reading = true;
            state.dry = false;
            self.pool().submit(this);
        }
    }

    /// The stream may have more.
    fn refill(&self) {
        let mut state = self.state.locked();
        state.signals += 1;
        state.dry = false;
        self.read_on(&mut state);
    }

    fn read(&self, buffer: &mut [u8], offset: u64, opened: bool) -> Result<usize, Stop> {
        match &self.origin {
            Origin::File(file) => match file.read_at(buffer, offset) {
                Ok(0) => Err(Stop::End(Ok(()))),
                Ok(count) => Ok(count),
                Err(failure) => Err(Stop::End(Err(failure))),
            },
            Origin::Stream(stream) => {
                if !opened && !stream.open() {
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

    /// Nobody takes anything any more.
    fn leave(&self) {
        if let (Origin::Stream(stream), true) = (&self.origin, self.owned) {
            stream.close();
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
        None => failure.detail("The stream of the body was opened or closed by somebody else."),
    }
}

impl Work for Shared {
    fn perform(self: Arc<Self>) {
        loop {
            let mut state = self.state.locked();
            if state.gone {
                // It is left as being read: nobody else comes.
                drop(state);
                return self.leave();
            }
            if state.end.is_some() || state.pieces.len() >= PIECES {
                state.reading = false;
                return;
            }
            let (turn, offset, signals) = (state.turn, state.offset, state.signals);
            let opened = std::mem::replace(&mut state.opened, true);
            let size = state.size;
            let mut buffer = state.spares.pop().unwrap_or_default();
            drop(state);
            buffer.resize(size, 0);
            let read = self.read(&mut buffer, offset, opened);
            let mut state = self.state.locked();
            if state.turn != turn {
                state.spares.push(buffer);
                continue;
            }
            match read {
                Ok(count) => state.push(buffer, count),
                Err(Stop::Dry) => {
                    state.spares.push(buffer);
                    if state.signals == signals && !state.gone {
                        state.dry = true;
                        state.reading = false;
                        return;
                    }
                    // It was filled since it was found dry.
                    continue;
                }
                Err(Stop::End(end)) => state.end = Some(end),
            }
            let awaited = std::mem::take(&mut state.awaited);
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
    use crate::foundation::error::Error;
    use crate::foundation::stream::Source;
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};
    use std::time::{Duration, SystemTime};

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
                Taken::End => break,
                Taken::Failed(failure) => return Err(failure),
            }
        }
        assert!(notified.try_recv().is_err(), "once for each wait");
        Ok(all)
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
    fn a_file_can_be_begun_anew_at_any_moment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        let content = bytes(PIECE * PIECES * 2);
        fs::write(&path, &content).unwrap();
        let file = Arc::new(FileBody::open(&path).unwrap());
        let (feed, notified) = feed(Origin::File(file), 0);
        let mut buffer = vec![0; 10_000];
        let mut place = 0;
        let mut again = 0;
        while again < 200 {
            match feed.take(&mut buffer) {
                Taken::Bytes(count) => {
                    assert!(buffer[..count] == content[place..place + count]);
                    place = again * 7919 % content.len();
                    again += 1;
                    assert!(feed.rewind(place as u64));
                }
                Taken::Wait => notified.recv().unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert!(drain(&feed, &notified).unwrap() == content[place..]);
        assert!(!feed.rewind(content.len() as u64 + 1));
    }

    #[test]
    fn a_file_that_is_changed_fails() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 4] = [
            ("shrank from 6291456 to 5 bytes", |path| {
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_len(5).unwrap();
            }),
            ("grew from 6291456 to 6291457 bytes", |path| {
                let mut file = fs::File::options().append(true).open(path).unwrap();
                file.write_all(b"x").unwrap();
            }),
            ("was written to", |path| {
                let mut file = fs::File::options().write(true).open(path).unwrap();
                file.write_all(b"x").unwrap();
                // The clock of files stands still for some milliseconds.
                file.set_modified(SystemTime::now() + Duration::from_secs(1))
                    .unwrap();
            }),
            ("was replaced by another file", |path| {
                let other = path.with_extension("other");
                fs::copy(path, &other).unwrap();
                fs::rename(&other, path).unwrap();
            }),
        ];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        for (what, change) in changes {
            fs::write(&path, vec![7; 6 << 20]).unwrap();
            let file = Arc::new(FileBody::open(&path).unwrap());
            let (feed, notified) = feed(Origin::File(file), 0);
            let mut first = [0; 10];
            while let Taken::Wait = feed.take(&mut first) {
                notified.recv().unwrap();
            }
            change(&path);
            let failure = drain(&feed, &notified).unwrap_err();
            assert_eq!(failure.code(), error_code::REQUEST_BODY_STREAM_EXHAUSTED);
            let reason = failure.build();
            let reason = reason.failure_reason().unwrap().to_str().unwrap();
            assert!(reason.contains(what), "{reason}");
            // It does not become right again.
            assert!(feed.rewind(0));
            assert!(drain(&feed, &notified).is_err());
        }
    }

    #[test]
    fn a_file_whose_name_is_gone_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        fs::write(&path, bytes(3 << 20)).unwrap();
        let file = Arc::new(FileBody::open(&path).unwrap());
        fs::remove_file(&path).unwrap();
        let (feed, notified) = feed(Origin::File(file), 0);
        assert!(drain(&feed, &notified).unwrap() == bytes(3 << 20));
    }

    #[test]
    fn what_is_no_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let code = |path: &Path| FileBody::open(path).unwrap_err().code();
        assert_eq!(
            code(&directory.path().join("none")),
            error_code::FILE_DOES_NOT_EXIST
        );
        assert_eq!(code(directory.path()), error_code::FILE_IS_DIRECTORY);
        assert_eq!(code(Path::new("/dev/null")), error_code::CANNOT_OPEN_FILE);
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
    fn a_stream_has_one_feed() {
        let (input, output) = bound_pair(4);
        output.open();
        let (first, notified) = feed(Origin::Stream(Arc::clone(&input)), 0);
        let (second, none) = feed(Origin::Stream(Arc::clone(&input)), 0);
        let failure = drain(&second, &none).unwrap_err();
        assert_eq!(failure.code(), error_code::REQUEST_BODY_STREAM_EXHAUSTED);
        drop(second);
        assert_eq!(output.write(b"abcd"), Some(4));
        drop(output);
        assert!(drain(&first, &notified).unwrap() == b"abcd");
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

    /// Does what a test says, one read after the other, and tells what is done with it and where.
    struct Scripted {
        steps: Receiver<Reading>,
        told: Sender<(&'static str, ThreadId)>,
    }

    impl Scripted {
        fn tell(&self, what: &'static str) {
            let _ = self.told.send((what, thread::current().id()));
        }
    }

    impl Source for Scripted {
        fn open(&mut self) -> Result<(), Arc<Error>> {
            self.tell("open");
            Ok(())
        }

        fn read(&mut self, buffer: &mut [u8]) -> Reading {
            self.tell("read");
            let step = self.steps.recv().unwrap_or(Reading::End);
            if let Reading::Bytes(count) = step {
                buffer[..count].fill(7);
            }
            step
        }

        fn close(&mut self) {
            self.tell("close");
        }
    }

    impl Drop for Scripted {
        fn drop(&mut self) {
            self.tell("drop");
        }
    }

    type Script = (
        Arc<InputStream>,
        Sender<Reading>,
        Receiver<(&'static str, ThreadId)>,
    );

    fn scripted() -> Script {
        let (step, steps) = channel();
        let (told, telling) = channel();
        let source = Box::new(Scripted { steps, told });
        let stream = InputStream::new(source, Arc::default(), None);
        (stream, step, telling)
    }

    #[test]
    fn a_source_that_has_nothing_is_left_alone_until_it_signals() {
        let (stream, step, told) = scripted();
        let (feed, notified) = feed(Origin::Stream(Arc::clone(&stream)), 0);
        let mut buffer = [0; 10];
        assert!(matches!(feed.take(&mut buffer), Taken::Wait));
        assert_eq!(told.recv().unwrap().0, "open");
        for _ in 0..3 {
            assert_eq!(told.recv().unwrap().0, "read");
            step.send(Reading::NotNow).unwrap();
            // Only a signal makes it read again; one that comes while it reads counts too.
            stream.signal();
        }
        assert_eq!(told.recv().unwrap().0, "read");
        step.send(Reading::Bytes(3)).unwrap();
        notified.recv().unwrap();
        assert!(matches!(feed.take(&mut buffer), Taken::Bytes(3)));
        assert_eq!(told.recv().unwrap().0, "read");
        assert!(matches!(feed.take(&mut buffer), Taken::Wait));
        assert!(matches!(feed.take(&mut buffer), Taken::Wait));
        step.send(Reading::End).unwrap();
        notified.recv().unwrap();
        assert!(matches!(feed.take(&mut buffer), Taken::End));
        drop(feed);
        assert_eq!(told.recv().unwrap().0, "close");
        assert!(notified.try_recv().is_err());
    }

    #[test]
    fn a_feed_that_goes_waits_for_nobody_and_drops_nothing_itself() {
        let (stream, step, told) = scripted();
        let (feed, _notified) = feed(Origin::Stream(stream), 0);
        assert_eq!(told.recv().unwrap().0, "open");
        assert_eq!(told.recv().unwrap().0, "read");
        // The source blocks now.
        drop(feed);
        step.send(Reading::Bytes(1)).unwrap();
        for expected in ["close", "drop"] {
            let (what, thread) = told.recv().unwrap();
            assert_eq!(what, expected);
            assert_ne!(thread, thread::current().id());
        }
    }

    #[test]
    fn what_is_read_ahead_is_bounded_and_small_pieces_are_merged() {
        for piece in [SMALL, 1000] {
            let (stream, step, _told) = scripted();
            for _ in 0..(PIECE * PIECES * 2) / piece {
                step.send(Reading::Bytes(piece)).unwrap();
            }
            drop(step);
            let (feed, notified) = feed(Origin::Stream(stream), 0);
            let shared = feed.shared.as_ref().unwrap();
            let full = loop {
                let state = shared.state.locked();
                if !state.reading {
                    break state;
                }
                drop(state);
                thread::yield_now();
            };
            let held = |state: &State| {
                let pieces = state.pieces.iter().map(|piece| piece.buffer.len());
                let spares = state.spares.iter().map(Vec::len);
                pieces.chain(spares).sum::<usize>()
            };
            assert_eq!(full.pieces.len(), PIECES);
            assert!(held(&full) <= 3 << 20);
            if piece < FIRST_PIECE {
                assert!(full.pieces[0].length > FIRST_PIECE - piece);
            }
            drop(full);
            let all = drain(&feed, &notified).unwrap();
            assert_eq!(all.len(), (PIECE * PIECES * 2) / piece * piece);
            assert!(held(&shared.state.locked()) <= 3 << 20);
        }
    }
}
