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

/// Where the file system can tell what is in memory, all but the last part comes without waiting.
#[test]
fn what_lies_in_memory_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    let content = bytes(3 << 20);
    fs::write(&path, &content).unwrap();
    let file = Arc::new(FileBody::open(&path).unwrap());
    let mut byte = [0];
    let mut target = [std::io::IoSliceMut::new(&mut byte)];
    let flags = rustix::io::ReadWriteFlags::NOWAIT;
    let probed = rustix::io::preadv2(fs::File::open(&path).unwrap(), &mut target, 0, flags);
    let (feed, notified) = feed(Origin::File(Arc::clone(&file)), 0);
    let mut buffer = vec![0; 100_000];
    let mut all = Vec::new();
    while let Taken::Bytes(count) = feed.take(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    let unwaited = all.len() as u64;
    assert_eq!(
        unwaited,
        if probed.is_ok() {
            (3 << 20) - PIECE as u64
        } else {
            0
        }
    );
    assert!(!file.is_long_from(unwaited) || probed.is_err());
    notified.recv().unwrap();
    all.extend(drain(&feed, &notified).unwrap());
    assert!(all == content);
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
    fn open(&mut self, _: &Arc<InputStream>) -> Result<(), Arc<Error>> {
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
