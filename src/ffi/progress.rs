//! NSProgress.
