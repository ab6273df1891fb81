//! Compressed bodies, made piece by piece: a bomb of several GiB costs no memory here.

use std::io::{self, Write};

use crate::exchange::{Failure, bad};
use crate::pattern::Pattern;

/// One compression: takes bytes, gives those that are ready.
trait Stage {
    fn push(&mut self, input: &[u8]) -> io::Result<Vec<u8>>;
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;
}

/// All four libraries write into a `Vec` that is emptied after every call.
macro_rules! stage {
    ($encoder:ty, $finish:expr) => {
        impl Stage for $encoder {
            fn push(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
                self.write_all(input)?;
                Ok(std::mem::take(self.get_mut()))
            }

            fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
                $finish(*self)
            }
        }
    };
}

stage!(flate2::write::GzEncoder<Vec<u8>>, |e: Self| e.finish());
stage!(flate2::write::ZlibEncoder<Vec<u8>>, |e: Self| e.finish());
stage!(flate2::write::DeflateEncoder<Vec<u8>>, |e: Self| e.finish());
stage!(brotli::CompressorWriter<Vec<u8>>, |e: Self| Ok(
    e.into_inner()
));
stage!(zstd::stream::write::Encoder<'static, Vec<u8>>, |e: Self| {
    e.finish()
});

/// What `coding` may name.
const CODINGS: &[&str] = &["gzip", "x-gzip", "deflate", "raw-deflate", "br", "zstd"];

fn stage(coding: &str) -> io::Result<Option<Box<dyn Stage>>> {
    let out = Vec::new();
    let level = flate2::Compression::default();
    Ok(Some(match coding {
        "gzip" | "x-gzip" => Box::new(flate2::write::GzEncoder::new(out, level)),
        "deflate" => Box::new(flate2::write::ZlibEncoder::new(out, level)),
        "raw-deflate" => Box::new(flate2::write::DeflateEncoder::new(out, level)),
        "br" => Box::new(brotli::CompressorWriter::new(out, 64 * 1024, 5, 22)),
        "zstd" => {
            let mut encoder = zstd::stream::write::Encoder::new(out, 3)?;
            encoder.include_checksum(true)?;
            Box::new(encoder)
        }
        _ => return Ok(None),
    }))
}

/// A compressed body as it was asked for. It can be started any number of times and always gives
/// the same bytes.
pub struct Encoded {
    codings: Vec<String>,
    pattern: Pattern,
    size: u64,
    truncate: usize,
    corrupt_at: Option<u64>,
}

impl Encoded {
    pub fn new(codings: &str, pattern: Pattern, size: u64) -> Result<Self, Failure> {
        let codings: Vec<String> = names(codings).map(str::to_owned).collect();
        if codings.is_empty() {
            return Err(bad("coding: empty"));
        }
        Ok(Self {
            codings,
            pattern,
            size,
            truncate: 0,
            corrupt_at: None,
        })
    }

    /// What `Content-Encoding` says.
    pub fn header(codings: &str) -> String {
        let names = names(codings).map(|name| match name {
            "raw-deflate" => "deflate",
            other => other,
        });
        names.collect::<Vec<_>>().join(", ")
    }

    pub fn truncated(mut self, bytes: usize) -> Self {
        self.truncate = bytes;
        self
    }

    pub fn corrupted(mut self, from: Option<u64>) -> Self {
        self.corrupt_at = from;
        self
    }

    pub fn start(&self) -> io::Result<Encoding<'_>> {
        let mut stages = Vec::new();
        for coding in &self.codings {
            // Others are announced, but not applied.
            if CODINGS.contains(&coding.as_str()) {
                stages.extend(stage(coding)?);
            }
        }
        Ok(Encoding {
            encoded: self,
            stages,
            read: 0,
            written: 0,
            held: Vec::new(),
            scratch: Vec::new(),
            finished: false,
        })
    }
}

fn names(codings: &str) -> impl Iterator<Item = &str> {
    let names = codings.split(',').map(str::trim);
    names.filter(|name| !name.is_empty())
}

/// A compressed body being made.
pub struct Encoding<'a> {
    encoded: &'a Encoded,
    stages: Vec<Box<dyn Stage>>,
    read: u64,
    written: u64,
    /// The last bytes made so far, which are not sent if these turn out to be the last of all.
    held: Vec<u8>,
    scratch: Vec<u8>,
    finished: bool,
}

impl Encoding<'_> {
    /// Replaces `out` by the next bytes, perhaps none. False: that was all.
    pub fn next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        out.clear();
        if self.finished {
            return Ok(false);
        }
        if self.read < self.encoded.size {
            let left = self.encoded.size - self.read;
            let piece = self
                .encoded
                .pattern
                .piece(self.read, left, &mut self.scratch);
            self.read += piece.len() as u64;
            *out = piece.to_vec();
            for stage in &mut self.stages {
                *out = stage.push(out)?;
            }
        } else {
            self.finished = true;
            // Whatever one stage gives at its end still goes through the following ones.
            for mut stage in std::mem::take(&mut self.stages) {
                let mut made = stage.push(out)?;
                made.extend(stage.finish()?);
                *out = made;
            }
        }
        self.spoil(out);
        Ok(true)
    }

    fn spoil(&mut self, out: &mut Vec<u8>) {
        for byte in out.iter_mut() {
            if self.encoded.corrupt_at.is_some_and(|at| self.written >= at) {
                *byte = !*byte;
            }
            self.written += 1;
        }
        if self.encoded.truncate > 0 {
            self.held.append(out);
            let ready = self.held.len().saturating_sub(self.encoded.truncate);
            out.extend(self.held.drain(..ready));
        }
    }
}
