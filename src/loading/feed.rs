//! The way of a request's body to the loop, from a file or a stream, which may block: a thread of the
//! pool reads ahead, a bounded number of bytes. As long as a file lies in memory, the loop reads it
//! itself.

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
    /// A thread is to read ahead: the loop cannot read this without being blocked.
    ahead: bool,
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
    /// Where in a file the body begins.
    first: u64,
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
                first: offset,
                owned,
                state: Mutex::new(State {
                    size: FIRST_PIECE,
                    end: (!owned).then(|| Err(taken())),
                    ..State::default()
                }),
                notify,
                this: Weak::clone(this),
            }
        });
        shared.begin(&mut shared.state.locked(), offset);
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
        let mut count = state.take(buffer);
        if count == 0 {
            count = shared.read_cached(&mut state, buffer);
        }
        if state.ahead && !state.dry && state.pieces.len() <= PIECES / 2 {
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

    /// Begins anew at a place of the body. False when there is no such place, and for a stream: its
    /// bytes come once.
    pub fn rewind(&self, offset: u64) -> bool {
        let Some(shared) = &self.shared else {
            return false;
        };
        let offset = shared.first.saturating_add(offset);
        match &shared.origin {
            Origin::File(file) if offset <= file.length() => {}
            _ => return false,
        }
        let mut state = shared.state.locked();
        state.forget();
        state.turn += 1;
        state.end = None;
        shared.begin(&mut state, offset);
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

    /// Begins to read at a place. What is short may block the loop at once, and is read ahead.
    fn begin(&self, state: &mut State, offset: u64) {
        state.offset = offset;
        state.ahead = match &self.origin {
            Origin::File(file) => !file.is_long_from(offset),
            Origin::Stream(_) => true,
        };
        if state.ahead {
            self.read_on(state);
        }
    }

    /// Reads what does not block the loop. When nothing does not, a thread reads ahead from here on.
    fn read_cached(&self, state: &mut State, buffer: &mut [u8]) -> usize {
        let (false, false, Origin::File(file)) = (state.ahead, state.reading, &self.origin) else {
            return 0;
        };
        let count = file.read_cached(buffer, state.offset).unwrap_or(0);
        state.offset += count as u64;
        state.ahead = count == 0;
        count
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
mod tests;
