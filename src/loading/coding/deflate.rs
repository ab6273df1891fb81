//! The deflate coding, and deflate streams, which gzip holds too.

use flate2::{Decompress, FlushDecompress};

use super::{CodingError, Step};

/// "deflate" means zlib's format (RFC 1950), but some servers send the bare stream (RFC 1951).
pub(super) enum Deflate {
    /// The first byte, which alone cannot tell which it is.
    Start(Option<u8>),
    Body(Decompress),
}

impl Deflate {
    pub(super) fn new() -> Deflate {
        Deflate::Start(None)
    }

    /// The body may end before anything came.
    pub(super) fn may_end(&self) -> bool {
        matches!(self, Deflate::Start(None))
    }

    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodingError> {
        if let Deflate::Start(first) = *self {
            let mut bytes = first.into_iter().chain(input.iter().copied());
            let (Some(method), second) = (bytes.next(), bytes.next()) else {
                return Ok(Step::default());
            };
            // Compression method 8 with a window of at most 32 KiB. A bare stream that begins so
            // would be a stored block with garbage in its padding.
            let maybe_zlib = method & 0x0f == 8 && method >> 4 <= 7;
            if maybe_zlib && second.is_none() {
                *self = Deflate::Start(Some(method));
                return Ok(Step {
                    consumed: input.len(),
                    ..Step::default()
                });
            }
            let checksum = u16::from_be_bytes([method, second.unwrap_or_default()]);
            let mut inflater = Decompress::new(maybe_zlib && checksum % 31 == 0);
            if let Some(first) = first {
                let step = inflate(&mut inflater, &[first], output)?;
                debug_assert!(step.consumed == 1 && step.produced == 0 && !step.ended);
            }
            *self = Deflate::Body(inflater);
        }
        let Deflate::Body(inflater) = self else {
            return Ok(Step::default());
        };
        let mut step = inflate(inflater, input, output)?;
        if step.ended {
            step.consumed = input.len();
        }
        Ok(step)
    }
}

/// Inflates; `ended` says that the deflate stream did.
pub(super) fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, CodingError> {
    let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
    let status = inflater
        .decompress(input, output, FlushDecompress::None)
        .map_err(|_| CodingError::Corrupt("invalid deflate data"))?;
    Ok(Step {
        consumed: (inflater.total_in() - before_in) as usize,
        produced: (inflater.total_out() - before_out) as usize,
        ended: status == flate2::Status::StreamEnd,
    })
}
