//! Downloads over HTTP, from places nobody vouches for.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fission_api::{canonical_address, is_metadata_address};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, StatusCode, Url};

use super::Failure;
use crate::receive::{self, NotReceived, causes};

/// Limits of a download.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Bytes of one download.
    pub bytes: u64,
    /// Time for a download, retries included.
    pub total: Duration,
    /// Time to connect, and longest silence of the server.
    pub idle: Duration,
    /// Redirects followed.
    pub redirects: usize,
    /// Tries when the server cannot be reached or answers 5xx.
    pub attempts: u32,
    /// Downloads at the same time.
    pub parallel: usize,
}

impl Default for FetchLimits {
    /// As large as a stored archive may be, and shorter than a specialization may take (120 s), so that the reason
    /// reaches the user.
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            total: Duration::from_secs(100),
            idle: Duration::from_secs(20),
            redirects: 5,
            attempts: 3,
            parallel: 8,
        }
    }
}

/// Wait before the second try; doubles with each.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A client that follows the limits. Made at the first download: most servers never need it.
#[derive(Debug)]
pub(super) struct Downloader {
    limits: FetchLimits,
    client: OnceLock<Client>,
    slots: tokio::sync::Semaphore,
}

impl Downloader {
    pub(super) fn new(limits: FetchLimits) -> Self {
        Self { limits, client: OnceLock::new(), slots: tokio::sync::Semaphore::new(limits.parallel) }
    }

    /// Writes what `url` gives to `file`; returns its digest.
    pub(super) async fn fetch(&self, url: &Url, file: std::fs::File) -> Result<String, Failure> {
        check(url).map_err(Failure::Unusable)?;
        let limit = self.limits.total;
        let all = async {
            let _slot = self.slots.acquire().await.map_err(|error| Failure::Unreachable(error.to_string()))?;
            self.try_often(url, file).await
        };
        let late = |_| Failure::Unreachable(format!("{url} was not downloaded within {} s", limit.as_secs()));
        tokio::time::timeout(limit, all).await.map_err(late)?
    }

    async fn try_often(&self, url: &Url, file: std::fs::File) -> Result<String, Failure> {
        let mut file = tokio::fs::File::from_std(file);
        let mut attempt = 1;
        loop {
            match self.try_once(url, &mut file).await {
                Err(Failure::Unreachable(why)) if attempt < self.limits.attempts => {
                    tracing::info!(%url, attempt, why, "download failed; trying again");
                    tokio::time::sleep(RETRY_AFTER * 2u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_once(&self, url: &Url, file: &mut tokio::fs::File) -> Result<String, Failure> {
        let request = self.client()?.get(url.clone());
        let response = request.send().await.map_err(|error| unreachable_because(url, &error))?;
        match response.status() {
            status if status.is_success() => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Unreachable(format!("{url} answered {status}")));
            }
            status => return Err(Failure::Unusable(format!("{url} answered {status}"))),
        }
        let max = self.limits.bytes;
        receive::to_file(response, file, max).await.map_err(|error| match error {
            NotReceived::TooLarge => {
                Failure::Unusable(format!("{url} has more than {max} bytes, the limit of a download"))
            }
            NotReceived::Broken(error) => unreachable_because(url, &error),
            NotReceived::Unwritten(error) => Failure::Unreachable(format!("the download was not written: {error}")),
        })
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let redirects = self.limits.redirects;
        let client = Client::builder()
            .connect_timeout(self.limits.idle)
            .read_timeout(self.limits.idle)
            .redirect(Policy::custom(move |attempt| redirect(attempt, redirects)))
            // A proxy would resolve names itself, past the guard.
            .no_proxy()
            .dns_resolver(Arc::new(GuardedNames))
            .build()
            .map_err(|error| Failure::Unreachable(format!("no HTTP client could be made: {error}")))?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn redirect(attempt: Attempt<'_>, most: usize) -> reqwest::redirect::Action {
    if attempt.previous().len() > most {
        return attempt.error(format!("more than {most} redirects"));
    }
    match check(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

/// Whether a URL may be asked at all. Names are checked again when they are resolved.
fn check(url: &Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{url} is not an http or https URL"));
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) if is_forbidden(address) => Err(format!("{url} is refused: {FORBIDDEN}")),
        _ => Ok(()),
    }
}

/// Whether a host may be asked by a client that resolves names itself. A name that leads nowhere may: its client says so.
pub(super) async fn check_host(host: &str) -> Result<(), String> {
    let refuse = |address: IpAddr| is_forbidden(address).then(|| format!("{host} is refused: {FORBIDDEN}"));
    let found: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(_) => Vec::new(),
        },
    };
    found.into_iter().find_map(refuse).map_or(Ok(()), Err)
}

const FORBIDDEN: &str = "its address belongs to the machine's own network or cloud metadata service";

/// Addresses a package must never be fetched from: they give credentials of the machine to whoever asks from it.
fn is_forbidden(address: IpAddr) -> bool {
    let address = canonical_address(address);
    is_metadata_address(address) || address.is_unspecified() || address.is_multicast()
}

/// The system's resolver without forbidden addresses, so that no name leads where no address may.
struct GuardedNames;

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| !is_forbidden(address.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("{}: {FORBIDDEN}", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn unreachable_because(url: &Url, error: &reqwest::Error) -> Failure {
    let why = format!("{url}: {}", causes(error));
    if error.is_redirect() { Failure::Unusable(why) } else { Failure::Unreachable(why) }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
