//! Bytes from a URL: code given by address, and archives of packages.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::StreamExt;
use reqwest::Client;

use crate::failure::{Doing, Failure, Outcome};

/// Longest wait for a connection, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest archive read from a URL, in bytes; what instances accept is less.
const MAX_BYTES: u64 = 1 << 30;

/// Whether an input is an address and not a file.
pub(crate) fn is_url(input: &str) -> bool {
    input.starts_with("http://") || input.starts_with("https://")
}

/// Lower-case hex sha256 of what is at a URL.
pub(crate) async fn checksum(url: &str) -> Outcome<String> {
    let mut context = Context::new(&SHA256);
    each_chunk(url, |chunk| {
        context.update(chunk);
        Ok(())
    })
    .await?;
    Ok(super::payload::hex(context.finish().as_ref()))
}

/// Gives each piece of what is at a URL, in order.
pub(crate) async fn each_chunk(url: &str, mut take: impl FnMut(&[u8]) -> Outcome) -> Outcome {
    let doing = || format!("cannot download {url}");
    let mut builder = Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE);
    if url.starts_with("http://") {
        // No certificates to load, which would take longer than the request.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().doing(doing())?;
    let response = client.get(url).send().await.map_err(|error| failed(url, &error))?;
    if !response.status().is_success() {
        return Err(Failure::new(format_args!("{}: the server answered {}", doing(), response.status())));
    }
    let mut total = 0;
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(url, &error))?;
        total += chunk.len() as u64;
        if total > MAX_BYTES {
            return Err(Failure::new(format_args!("{}: it is larger than {MAX_BYTES} bytes", doing())));
        }
        take(&chunk)?;
    }
    Ok(())
}

fn failed(url: &str, error: &reqwest::Error) -> Failure {
    Failure::new(format_args!("cannot download {url}: {}", crate::noun::root_of(error)))
}
