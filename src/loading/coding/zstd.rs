//! The zstd coding.

use zstd::stream::raw::{DParameter, Decoder as ZstdContext, InBuffer, Operation, OutBuffer};

use super::{CodingError, Step};

/// 2 to this power is the largest window that a zstd frame may ask for: the 8 MiB that RFC 9659
/// allows on the web.
const ZSTD_WINDOW_LOG: u32 = 23;

/// RFC 8878: frames, one after the other.
pub(super) struct Zstd {
    context: Option<ZstdContext<'static>>,
    /// Frames that are complete.
    frames: bool,
    /// Inside a frame; else looking for one.
    inside: bool,
    /// The first bytes of what may be a frame.
    magic: Vec<u8>,
}

impl Zstd {
    pub(super) fn new() -> Zstd {
        Zstd {
            context: None,
            frames: false,
            inside: false,
            magic: Vec::new(),
        }
    }

    pub(super) fn may_end(&self) -> bool {
        !self.inside && self.magic.is_empty()
    }

    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodingError> {
        let mut step = Step::default();
        while !self.inside {
            let Some(&byte) = input.get(step.consumed) else {
                return Ok(step);
            };
            step.consumed += 1;
            self.magic.push(byte);
            if !begins_frame(&self.magic) {
                if !self.frames {
                    return Err(CodingError::Corrupt("not zstd data"));
                }
                return Ok(Step {
                    consumed: input.len(),
                    produced: 0,
                    ended: true,
                });
            }
            if self.magic.len() == 4 {
                let magic = std::mem::take(&mut self.magic);
                let (consumed, _) = self.decompress(&magic, output)?;
                debug_assert_eq!(consumed, magic.len());
                self.inside = true;
            }
        }
        let rest = input.get(step.consumed..).unwrap_or_default();
        let (consumed, produced) = self.decompress(rest, output)?;
        step.consumed += consumed;
        step.produced = produced;
        Ok(step)
    }

    /// Returns how much was consumed and produced.
    fn decompress(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), CodingError> {
        let invalid = |_| CodingError::Corrupt("invalid zstd data");
        let context = match &mut self.context {
            Some(context) => context,
            none => {
                let mut context = ZstdContext::new().map_err(invalid)?;
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(invalid)?;
                none.insert(context)
            }
        };
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(output);
        let hint = context.run(&mut source, &mut target).map_err(invalid)?;
        if hint == 0 {
            self.inside = false;
            self.frames = true;
        }
        Ok((source.pos(), target.pos()))
    }
}

/// Whether bytes, four at most, begin a zstd frame or a skippable one.
fn begins_frame(bytes: &[u8]) -> bool {
    let skippable = |(index, &byte): (usize, &u8)| match index {
        0 => byte & 0xf0 == 0x50,
        _ => [0x2a, 0x4d, 0x18].get(index - 1) == Some(&byte),
    };
    [0x28, 0xb5, 0x2f, 0xfd].starts_with(bytes) || bytes.iter().enumerate().all(skippable)
}
