//! Unpacking of zip archives nobody trusts.

mod entry;
mod unpack;

use std::path::PathBuf;

pub use unpack::unpack;

/// What an archive may hold. Every refusal names the field that decided.
#[derive(Clone, Copy, Debug)]
pub struct UnpackLimits {
    /// Files and directories in one archive.
    pub entries: usize,
    /// Bytes of all files together, unpacked.
    pub total_bytes: u64,
    /// Bytes of one file, unpacked.
    pub file_bytes: u64,
    /// Unpacked bytes per packed byte; only asked once [`UnpackLimits::RATIO_FREE_BYTES`] are unpacked.
    pub ratio: u64,
    /// Bytes in the path of an entry.
    pub path_bytes: usize,
    /// Directories above an entry, itself included.
    pub depth: usize,
}

impl UnpackLimits {
    /// Bytes any archive may unpack to, however well it is compressed: generated sources and fixtures compress by
    /// more than the ratio, and this much cannot hurt.
    pub const RATIO_FREE_BYTES: u64 = 32 << 20;
}

impl Default for UnpackLimits {
    /// `node_modules` of a large application has some 50,000 files; 2 GiB is what Fission allows an unpacked image.
    fn default() -> Self {
        Self { entries: 100_000, total_bytes: 2 << 30, file_bytes: 1 << 30, ratio: 200, path_bytes: 1024, depth: 64 }
    }
}

/// Why an archive was not unpacked. The folder may then hold some of its files; the caller removes it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not a zip archive, is damaged, or uses a feature nothing here reads.
    #[error("the zip archive cannot be read: {why}")]
    Unreadable {
        /// What is wrong.
        why: String,
    },
    /// An entry could do harm.
    #[error("the zip archive is refused because of its entry {entry:?}: {why}")]
    Unsafe {
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It holds more than it may.
    #[error("the zip archive is refused: {what}, over the limit {limit} = {value}")]
    OverLimit {
        /// What there is too much of.
        what: String,
        /// The field of [`UnpackLimits`] that decided.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// A file could not be written here.
    #[error("{} could not be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether content that starts with these bytes is a zip archive.
pub fn is_zip(start: &[u8]) -> bool {
    const LOCAL_FILE: &[u8] = b"PK\x03\x04";
    const EMPTY_ARCHIVE: &[u8] = b"PK\x05\x06";
    start.starts_with(LOCAL_FILE) || start.starts_with(EMPTY_ARCHIVE)
}

/// Whether a file is a zip archive.
pub(crate) fn starts_as_zip(file: &std::fs::File) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 4];
    let read = file.read_at(&mut start, 0)?;
    Ok(is_zip(&start[..read]))
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
