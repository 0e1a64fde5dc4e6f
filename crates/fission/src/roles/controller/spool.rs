//! Bodies that must be known whole before they are passed on, because a signature covers them: small ones are held, large
//! ones wait in a file.

use std::io::{Seek, Write};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use tempfile::{SpooledData, SpooledTempFile};
use tokio_util::io::ReaderStream;

/// Bytes held before a file is begun.
const HELD: usize = 256 * 1024;
/// Bytes read from the file at a time.
const PIECE: usize = 64 * 1024;

/// A whole body.
pub(super) struct Spooled {
    pub(super) size: u64,
    pub(super) digest: Digest,
    data: SpooledData,
}

/// Reads a body to its end, at most `most` bytes.
pub(super) async fn spool(body: Body, most: u64) -> Result<Spooled, (StatusCode, String)> {
    let no_room = |error: std::io::Error| {
        (StatusCode::INSUFFICIENT_STORAGE, format!("the request's body cannot be kept until it is complete: {error}"))
    };
    let (mut file, mut digest, mut size) = (SpooledTempFile::new(HELD), Context::new(&SHA256), 0);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| (StatusCode::BAD_REQUEST, format!("the request broke off: {error}")))?;
        size += piece.len() as u64;
        if size > most {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the request's body has more than {most} bytes")));
        }
        digest.update(&piece);
        file.write_all(&piece).map_err(no_room)?;
    }
    file.rewind().map_err(no_room)?;
    Ok(Spooled { size, digest: digest.finish(), data: file.into_inner() })
}

impl Spooled {
    /// The body again.
    pub(super) fn into_body(self) -> Body {
        match self.data {
            SpooledData::InMemory(held) => Body::from(Bytes::from(held.into_inner())),
            SpooledData::OnDisk(file) => {
                Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE))
            }
        }
    }
}
