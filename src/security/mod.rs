//! Whom to trust.

pub mod roots;
