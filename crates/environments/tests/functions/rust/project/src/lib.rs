//! What the project's functions share.

/// Words.
pub const WORDS: &str = "words";
