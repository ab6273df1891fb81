//! What the library keeps on disk. Knows no network.

pub mod partial_file;
mod sweep;
