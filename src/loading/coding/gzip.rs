//! The gzip coding.

use flate2::{Crc, Decompress};

use super::deflate::inflate;
use super::{CodingError, Step};

/// RFC 1952: members of a header, a deflate stream and a trailer, one after the other.
pub(super) struct Gzip {
    state: GzipState,
    /// Members that are complete.
    members: bool,
    flags: u8,
    header_crc: Crc,
    inflater: Option<Decompress>,
    body_crc: Crc,
}

/// Where in a member; the numbers count bytes.
#[derive(Clone, Copy)]
enum GzipState {
    Fixed(usize),
    ExtraLength(Option<u8>),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(Option<u8>),
    Body,
    Trailer(usize, [u8; 8]),
}

impl Gzip {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    const HAS_CRC: u8 = 2;
    const HAS_EXTRA: u8 = 4;
    const HAS_NAME: u8 = 8;
    const HAS_COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;

    pub(super) fn new() -> Gzip {
        Gzip {
            state: GzipState::Fixed(0),
            members: false,
            flags: 0,
            header_crc: Crc::new(),
            inflater: None,
            body_crc: Crc::new(),
        }
    }

    /// Between two members the body may end; in a part of a magic number it may not, as that is
    /// more likely half a member than something else.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.state, GzipState::Fixed(0))
    }

    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodingError> {
        let mut step = Step::default();
        while !step.ended && step.produced < output.len() {
            if let GzipState::Body = self.state {
                let inflater = self.inflater.get_or_insert_with(|| Decompress::new(false));
                let space = output.get_mut(step.produced..).unwrap_or_default();
                let part = inflate(
                    inflater,
                    input.get(step.consumed..).unwrap_or_default(),
                    space,
                )?;
                self.body_crc
                    .update(space.get(..part.produced).unwrap_or_default());
                step.consumed += part.consumed;
                step.produced += part.produced;
                if part.ended {
                    self.state = GzipState::Trailer(0, [0; 8]);
                } else if !part.progress() {
                    break;
                }
            } else {
                let Some(&byte) = input.get(step.consumed) else {
                    break;
                };
                step.consumed += 1;
                step.ended = self.frame(byte)?;
            }
        }
        if step.ended {
            step.consumed = input.len();
        }
        Ok(step)
    }

    /// Takes a byte of a header or trailer; `true` when it belongs to no member any more.
    fn frame(&mut self, byte: u8) -> Result<bool, CodingError> {
        if !matches!(self.state, GzipState::HeaderCrc(_) | GzipState::Trailer(..)) {
            self.header_crc.update(&[byte]);
        }
        match self.state {
            GzipState::Fixed(index) => {
                match Self::MAGIC.get(index) {
                    Some(&expected) if byte == expected => {}
                    // What follows the last member is padding or garbage, of no interest.
                    Some(_) if self.members => return Ok(true),
                    Some(_) => return Err(CodingError::Corrupt("not gzip data")),
                    // The other bytes are flags, time, extra flags and operating system.
                    None if index == 3 => self.flags = byte,
                    None => {}
                }
                if self.flags & Self::RESERVED != 0 {
                    return Err(CodingError::Corrupt("unknown gzip flags"));
                }
                match index {
                    9 => self.next_field(0),
                    _ => self.state = GzipState::Fixed(index + 1),
                }
            }
            GzipState::ExtraLength(None) => self.state = GzipState::ExtraLength(Some(byte)),
            GzipState::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.next_field(Self::HAS_EXTRA),
                length => self.state = GzipState::Extra(length),
            },
            GzipState::Extra(1) => self.next_field(Self::HAS_EXTRA),
            GzipState::Extra(left) => self.state = GzipState::Extra(left - 1),
            GzipState::Name if byte == 0 => self.next_field(Self::HAS_NAME),
            GzipState::Comment if byte == 0 => self.next_field(Self::HAS_COMMENT),
            GzipState::Name | GzipState::Comment => {}
            GzipState::HeaderCrc(None) => self.state = GzipState::HeaderCrc(Some(byte)),
            GzipState::HeaderCrc(Some(low)) => {
                if u32::from(u16::from_le_bytes([low, byte])) != self.header_crc.sum() & 0xffff {
                    return Err(CodingError::Corrupt("wrong gzip header checksum"));
                }
                self.state = GzipState::Body;
            }
            GzipState::Trailer(index, mut bytes) => {
                if let Some(place) = bytes.get_mut(index) {
                    *place = byte;
                }
                if index < 7 {
                    self.state = GzipState::Trailer(index + 1, bytes);
                } else {
                    self.check_trailer(u64::from_le_bytes(bytes))?;
                }
            }
            // Not a byte of a frame.
            GzipState::Body => {}
        }
        Ok(false)
    }

    /// Goes to the first field that the header has after the one with this flag (0: the fixed part).
    fn next_field(&mut self, done: u8) {
        let has = |flag: u8| flag > done && self.flags & flag != 0;
        self.state = if has(Self::HAS_EXTRA) {
            GzipState::ExtraLength(None)
        } else if has(Self::HAS_NAME) {
            GzipState::Name
        } else if has(Self::HAS_COMMENT) {
            GzipState::Comment
        } else if self.flags & Self::HAS_CRC != 0 {
            GzipState::HeaderCrc(None)
        } else {
            GzipState::Body
        };
    }

    /// Compares a trailer, CRC-32 and length, with what was decoded, and makes ready for the next
    /// member.
    fn check_trailer(&mut self, trailer: u64) -> Result<(), CodingError> {
        let length = self.inflater.as_ref().map_or(0, Decompress::total_out);
        if trailer != length << 32 | u64::from(self.body_crc.sum()) {
            return Err(CodingError::Corrupt("wrong gzip checksum or length"));
        }
        self.members = true;
        self.flags = 0;
        self.header_crc.reset();
        self.body_crc.reset();
        if let Some(inflater) = &mut self.inflater {
            inflater.reset(false);
        }
        self.state = GzipState::Fixed(0);
        Ok(())
    }
}
