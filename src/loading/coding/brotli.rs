//! The br coding.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{CodingError, Step};

type BrotliContext = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// RFC 7932. Its windows are of 16 MiB at most; the "large window" extension is refused.
pub(super) struct Brotli(Option<Box<BrotliContext>>);

impl Brotli {
    pub(super) fn new() -> Brotli {
        Brotli(None)
    }

    /// The body may end before anything came.
    pub(super) fn may_end(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodingError> {
        let alloc = StandardAlloc::default;
        let context = self
            .0
            .get_or_insert_with(|| Box::new(BrotliContext::new_strict(alloc(), alloc(), alloc())));
        let (mut available_in, mut consumed) = (input.len(), 0);
        let (mut available_out, mut produced, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut consumed,
            input,
            &mut available_out,
            &mut produced,
            output,
            &mut total,
            context,
        );
        match result {
            BrotliResult::ResultFailure => Err(CodingError::Corrupt("invalid brotli data")),
            BrotliResult::ResultSuccess => Ok(Step {
                consumed: input.len(),
                produced,
                ended: true,
            }),
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(Step {
                consumed,
                produced,
                ended: false,
            }),
        }
    }
}
