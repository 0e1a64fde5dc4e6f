//! The body of an HTTP response on its way into a file.

use aws_lc_rs::digest::{Context, SHA256};
use reqwest::Response;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use crate::source::hex;

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// Why a file is not complete.
#[derive(Debug)]
pub(crate) enum NotReceived {
    /// It has more bytes than it may.
    TooLarge,
    /// It broke off on its way.
    Broken(reqwest::Error),
    /// It could not be written.
    Unwritten(std::io::Error),
}

impl From<std::io::Error> for NotReceived {
    fn from(error: std::io::Error) -> Self {
        Self::Unwritten(error)
    }
}

/// Replaces what is in `file` by the body, of at most `max` bytes; returns its digest.
pub(crate) async fn to_file(
    mut response: Response,
    file: &mut tokio::fs::File,
    max: u64,
) -> Result<String, NotReceived> {
    file.set_len(0).await?;
    file.rewind().await?;
    if response.content_length().is_some_and(|length| length > max) {
        return Err(NotReceived::TooLarge);
    }
    let (mut digest, mut size) = (Context::new(&SHA256), 0u64);
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
    while let Some(piece) = response.chunk().await.map_err(NotReceived::Broken)? {
        size += piece.len() as u64;
        if size > max {
            return Err(NotReceived::TooLarge);
        }
        digest.update(&piece);
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(hex(digest.finish().as_ref()))
}

/// Why a request failed; reqwest's own text only says that it was sent in vain.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), fission_rpc::causes)
}
