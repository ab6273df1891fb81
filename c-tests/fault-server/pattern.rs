//! The bytes of generated bodies.
//!
//! Any byte can be computed from its index alone, so that bodies of many GiB are streamed without
//! memory, a client can check them at any offset, and ranges could be served the same way.

use std::sync::OnceLock;

/// The most bytes `piece` hands out at once.
pub const PIECE: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub enum Pattern {
    /// Byte i is `(i * 31 + seed) mod 251`: easy to check in C, and its prime period shows any
    /// piece that was lost, repeated or moved by a power of two. Compresses to nearly nothing.
    Seeded(u64),
    /// Compresses best of all: the decompression bomb.
    Zeros,
    /// Does not compress. Byte i is the byte i mod 8 (lowest first) of `mix(seed + i / 8)`.
    Noise(u64),
}

const PERIOD: u64 = 251;
/// 31 * 81 = 1 (mod 251): a seed of S is the same as starting 81 * S bytes later.
const INVERSE: u64 = 81;

impl Pattern {
    /// The bytes from `offset` on, at least one and at most `most` of them.
    pub fn piece<'a>(&self, offset: u64, most: u64, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let length = usize::try_from(most).map_or(PIECE, |most| most.min(PIECE));
        match *self {
            Self::Seeded(seed) => {
                let start = (offset % PERIOD + (seed % PERIOD) * INVERSE) % PERIOD;
                &seeded()[start as usize..][..length]
            }
            Self::Zeros => {
                static ZEROS: [u8; PIECE] = [0; PIECE];
                &ZEROS[..length]
            }
            Self::Noise(seed) => {
                scratch.clear();
                let mut index = offset;
                while scratch.len() < length {
                    let word = mix(seed.wrapping_add(index / 8)).to_le_bytes();
                    let from = (index % 8) as usize;
                    let count = (8 - from).min(length - scratch.len());
                    scratch.extend_from_slice(&word[from..from + count]);
                    index += count as u64;
                }
                scratch
            }
        }
    }
}

fn seeded() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let indices = 0..PIECE as u64 + PERIOD;
        indices.map(|i| (i * 31 % PERIOD) as u8).collect()
    })
}

/// The finalizer of SplitMix64.
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
