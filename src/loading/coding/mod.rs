//! HTTP content codings: decodes a body piece by piece, in bounded memory.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

use std::ffi::CStr;
use std::fmt;

use brotli::Brotli;
use deflate::Deflate;
use gzip::Gzip;
use zstd::Zstd;

/// What this module decodes, as a value for Accept-Encoding.
pub const ACCEPT_ENCODING: &CStr = c"gzip, deflate, br, zstd";

/// The most codings that a body may have: more is an attack, not a use.
const MAX_CODINGS: usize = 4;

/// How much one stage makes at a time, and the size of the buffer between two stages.
const STAGE_BUFFER: usize = 16 * 1024;

/// How many bytes may go between the stages of a chain in one call. A short bomb inside another
/// can expand to terabytes that come to nothing in the end, and the caller has other work.
const MAX_WORK: usize = 1024 * 1024;

/// What goes between the stages of a chain is what makes the output, compressed once more, and not
/// much more than that. So much of it more is a bomb that is to cost time alone.
const MAX_WASTE: u64 = 64 * 1024 * 1024;

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodingError {
    /// A coding that is not known.
    Unknown(String),
    /// The bytes are not what the coding allows.
    Corrupt(&'static str),
    /// The body ended before its coding did.
    Truncated,
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodingError::Unknown(name) => write!(f, "unknown content coding “{name}”"),
            CodingError::Corrupt(what) => write!(f, "damaged content coding: {what}"),
            CodingError::Truncated => f.write_str("the body ended before its content coding did"),
        }
    }
}

impl std::error::Error for CodingError {}

/// How a call of [`Decoder::decode`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input is consumed and all that it held is in the output.
    NeedInput,
    /// There may be more output: call again with what is left of the input, be it nothing.
    /// Usually the limit is reached; a chain of codings may also stop short of it, so that the
    /// time a call takes is bounded.
    OutputFull,
    /// The coding has come to its end. All input is consumed, and whatever follows is ignored.
    Finished,
}

/// Undoes the codings of a Content-Encoding field.
pub struct Decoder {
    /// In the order in which the body goes through them: the reverse of the field's.
    stages: Vec<Stage>,
    /// `between[i]` is what stage `i` made and stage `i + 1` has not consumed.
    between: Vec<Buffer>,
    /// How much went between the stages beyond what came out.
    waste: u64,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.stages.iter().map(|stage| stage.codec.name()))
            .finish()
    }
}

impl Decoder {
    /// A decoder for a Content-Encoding field, `None` when there is nothing to decode.
    pub fn for_content_encoding(value: &str) -> Result<Option<Decoder>, CodingError> {
        let mut codecs = Vec::new();
        for name in value.split(',').map(str::trim) {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            // Some servers say "none" for identity.
            if name.is_empty() || is("identity") || is("none") {
                continue;
            }
            codecs.push(match () {
                () if is("gzip") || is("x-gzip") => Codec::Gzip(Gzip::new()),
                () if is("deflate") => Codec::Deflate(Deflate::new()),
                () if is("br") => Codec::Brotli(Brotli::new()),
                () if is("zstd") => Codec::Zstd(Zstd::new()),
                () => return Err(CodingError::Unknown(name.to_owned())),
            });
            if codecs.len() > MAX_CODINGS {
                return Err(CodingError::Corrupt("too many codings"));
            }
        }
        if codecs.is_empty() {
            return Ok(None);
        }
        let stages: Vec<_> = codecs.into_iter().rev().map(Stage::new).collect();
        let between = stages.iter().skip(1).map(|_| Buffer::default()).collect();
        Ok(Some(Decoder {
            stages,
            between,
            waste: 0,
        }))
    }

    /// Consumes from `input` and appends at most `limit` bytes to `output`. Returns how many bytes
    /// of the input were consumed, and why it stopped.
    ///
    /// After an error the decoder is of no further use; what is in the output is still good.
    pub fn decode(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(usize, Status), CodingError> {
        let mut consumed = 0;
        let mut left = limit;
        let mut work = 0;
        let last = self.stages.len() - 1;
        loop {
            let mut progress = false;
            // From the last stage to the first, so that buffers are empty when they are filled.
            for (index, stage) in self.stages.iter_mut().enumerate().rev() {
                let (before, after) = self.between.split_at_mut(index);
                let source = before.last_mut();
                let pending: &[u8] = match &source {
                    Some(buffer) => buffer.pending(),
                    None => input.get(consumed..).unwrap_or_default(),
                };
                let step = if stage.idle(pending) {
                    Step::default()
                } else if index == last {
                    let room = left.min(STAGE_BUFFER);
                    let start = output.len();
                    output.resize(start + room, 0);
                    let step = stage.run(pending, output.get_mut(start..).unwrap_or_default());
                    let made = step.as_ref().map_or(0, |step| step.produced);
                    output.truncate(start + made);
                    left -= made;
                    // Each stage but the last may have passed on as much.
                    let earned = made.saturating_mul(MAX_CODINGS) as u64;
                    self.waste = self.waste.saturating_sub(earned);
                    step?
                } else {
                    // Of a stage behind one that is finished nothing is wanted but its verdict.
                    let step = match after.first_mut() {
                        Some(buffer) if buffer.pending().is_empty() => {
                            buffer.fill(|space| stage.run(pending, space))?
                        }
                        _ => Step::default(),
                    };
                    work += step.produced;
                    self.waste += step.produced as u64;
                    step
                };
                match source {
                    Some(buffer) => buffer.consume(step.consumed),
                    None => consumed += step.consumed,
                }
                progress |= step.progress();
            }
            if self.stages.iter().all(|stage| stage.finished) {
                return Ok((input.len(), Status::Finished));
            }
            if self.waste > MAX_WASTE {
                return Err(CodingError::Corrupt("its codings expand to nothing"));
            }
            if left == 0 && !self.stages[last].finished || work > MAX_WORK {
                return Ok((consumed, Status::OutputFull));
            }
            if !progress {
                // No codec leaves input alone while it has room, but a caller must not spin on it.
                return match consumed == input.len() {
                    true => Ok((consumed, Status::NeedInput)),
                    false => Err(CodingError::Corrupt("decoder is stuck")),
                };
            }
        }
    }

    /// Says at the end of the body whether the codings have come to theirs. To be called when the
    /// last [`Decoder::decode`] did not say [`Status::OutputFull`]. A body without a byte is fine.
    pub fn finish(&self) -> Result<(), CodingError> {
        if self
            .stages
            .iter()
            .all(|stage| stage.finished || stage.codec.may_end())
        {
            Ok(())
        } else {
            Err(CodingError::Truncated)
        }
    }
}

/// Bytes on their way from one stage to the next.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Replaces the content, all of which has been consumed.
    fn fill(
        &mut self,
        make: impl FnOnce(&mut [u8]) -> Result<Step, CodingError>,
    ) -> Result<Step, CodingError> {
        self.start = 0;
        self.bytes.resize(STAGE_BUFFER, 0);
        let step = make(&mut self.bytes);
        self.bytes
            .truncate(step.as_ref().map_or(0, |step| step.produced));
        step
    }
}

/// What came of running a codec once.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    consumed: usize,
    produced: usize,
    /// The end was reached by this step.
    ended: bool,
}

impl Step {
    fn progress(self) -> bool {
        self.consumed > 0 || self.produced > 0 || self.ended
    }
}

/// A codec in its place in the chain.
struct Stage {
    codec: Codec,
    finished: bool,
    /// The last run filled its output, so there may be more without more input.
    pending: bool,
}

impl Stage {
    fn new(codec: Codec) -> Stage {
        Stage {
            codec,
            finished: false,
            pending: false,
        }
    }

    /// Whether a run would do nothing, whatever the room.
    fn idle(&self, input: &[u8]) -> bool {
        input.is_empty() && (self.finished || !self.pending)
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodingError> {
        if self.finished {
            return Ok(Step {
                consumed: input.len(),
                ..Step::default()
            });
        }
        if output.is_empty() || self.idle(input) {
            return Ok(Step::default());
        }
        let step = match &mut self.codec {
            Codec::Gzip(codec) => codec.run(input, output),
            Codec::Deflate(codec) => codec.run(input, output),
            Codec::Brotli(codec) => codec.run(input, output),
            Codec::Zstd(codec) => codec.run(input, output),
        }?;
        self.pending = step.produced == output.len();
        self.finished = step.ended;
        Ok(step)
    }
}

enum Codec {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Brotli),
    Zstd(Zstd),
}

impl Codec {
    fn name(&self) -> &'static str {
        match self {
            Codec::Gzip(_) => "gzip",
            Codec::Deflate(_) => "deflate",
            Codec::Brotli(_) => "br",
            Codec::Zstd(_) => "zstd",
        }
    }

    /// Whether the body may end here.
    fn may_end(&self) -> bool {
        match self {
            Codec::Gzip(codec) => codec.may_end(),
            Codec::Deflate(codec) => codec.may_end(),
            Codec::Brotli(codec) => codec.may_end(),
            Codec::Zstd(codec) => codec.may_end(),
        }
    }
}

#[cfg(test)]
mod tests;
