//! What a build says to its pod: the fetcher's and the builder's HTTP, signed.

use std::net::SocketAddr;
use std::time::Duration;

use fission_rpc::build::{BuildError, BuildLog};
use fission_rpc::causes;
use fission_rpc::fetch::{FetchRequest, UploadRequest, UploadResponse};
use fission_rpc::signed;
use fission_rpc::signing::Key;
use reqwest::{Client, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{failed, interrupted};

/// Tries of one request, the first included.
const TRIES: u32 = 20;
/// Pause before the second try; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence of a builder that tells what it prints; it says something every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest time for a source to be fetched, or a result to be stored.
const TRANSFER: Duration = Duration::from_secs(600);
/// Longest time of a build whatever the builder's own limit is.
const BUILD: Duration = Duration::from_secs(6 * 3600);
/// Media type of an answer that comes line by line.
const LINES: &str = "application/x-ndjson";
/// Bytes of one line of it: the log of a whole build, as JSON.
const LINE_BYTES: usize = 4 << 20;

/// The HTTP client of all builds.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    // Pods are reached directly, and a pod that is gone says nothing more.
    fission_rpc::signed::client().connect_timeout(CONNECT).tcp_keepalive(Duration::from_secs(15)).build()
}

/// One container of a pod.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) key: Key,
}

/// One pod.
#[derive(Clone)]
pub(super) struct Talk {
    pub(super) http: Client,
    pub(super) fetcher: Place,
    pub(super) builder: Place,
}

/// The last line, and the whole answer of a builder that does not tell what it prints.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(rename = "artifactFilename")]
    artifact: String,
    #[serde(rename = "buildLogs")]
    logs: String,
    /// Why there is no artifact.
    error: String,
    /// What is printed; only in lines before the last.
    log: Option<String>,
}

impl Talk {
    /// Has the fetcher get a source.
    pub(super) async fn fetch(&self, request: &FetchRequest) -> Result<(), BuildError> {
        let response = self.ask(&self.fetcher, Method::POST, "/fetch", request, TRANSFER).await?;
        good(response, "the source could not be fetched").await.map(drop)
    }

    /// Has the fetcher store a result.
    pub(super) async fn upload(&self, request: &UploadRequest) -> Result<UploadResponse, BuildError> {
        let what = "the result could not be stored";
        let response = self.ask(&self.fetcher, Method::POST, "/upload", request, TRANSFER).await?;
        good(response, what).await?.json().await.map_err(|error| interrupted(format!("{what}: {error}")))
    }

    /// Removes what a build left. What cannot be removed now goes with the pod.
    pub(super) async fn clean(&self, filename: &str) {
        let path = format!("/clean?name={filename}");
        let asked = self.ask(&self.builder, Method::DELETE, &path, &(), TRANSFER).await;
        match asked {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => tracing::warn!(filename, status = %response.status(), "what a build left was not removed"),
            Err(error) => tracing::debug!(filename, %error, "what a build left was not removed"),
        }
    }

    /// Has the builder build; gives the name of what it made.
    pub(super) async fn build(&self, source: &str, command: &str, log: &dyn BuildLog) -> Result<String, BuildError> {
        let body = serde_json::json!({ "srcPkgFilename": source, "command": command });
        let response = self.ask(&self.builder, Method::POST, "/", &body, BUILD).await?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(interrupted(format!(
                "the builder was asked, but {}",
                signed::not_accepted(response.headers())
            )));
        }
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let reply = if kind.starts_with(LINES) {
            follow(response, log).await?
        } else {
            let text = response.text().await.map_err(|error| broke(&error))?;
            let reply: Reply = serde_json::from_str(&text)
                .map_err(|_| interrupted(format!("the builder answered {status}: {}", start_of(&text))))?;
            log.append(reply.logs.as_bytes());
            reply
        };
        if !reply.artifact.is_empty() {
            return Ok(reply.artifact);
        }
        let last = || reply.logs.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("the build failed");
        let why = if reply.error.is_empty() { last() } else { &reply.error };
        Err(failed(why))
    }

    /// Asks until there is an answer that another try would not change.
    async fn ask(
        &self,
        whom: &Place,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
        timeout: Duration,
    ) -> Result<Response, BuildError> {
        let url = format!("http://{}{path}", whom.address);
        let body = if method == Method::DELETE { Vec::new() } else { serde_json::to_vec(body).unwrap_or_default() };
        // A build must not run twice.
        let is_build = path == "/";
        let (mut pause, mut attempt) = (PAUSE, 1);
        loop {
            let request = self.http.request(method.clone(), &url).timeout(timeout).header("accept", LINES);
            let request = request.header("content-type", "application/json").body(body.clone()).build();
            let mut request = request.map_err(|error| failed(format!("{url}: {error}")))?;
            // Signs what has a URL and a body in memory; this has.
            let _ = signed::sign(&whom.key, &mut request);
            let why = match self.http.execute(request).await {
                Ok(response) if is_build || !is_worth_another_try(response.status()) => return Ok(response),
                Ok(response) => {
                    let status = response.status();
                    format!("{path} answered {status}: {}", start_of(&response.text().await.unwrap_or_default()))
                }
                Err(error) if is_build && !error.is_connect() => return Err(broke(&error)),
                Err(error) => causes(&error),
            };
            if attempt == TRIES {
                return Err(interrupted(why));
            }
            tracing::debug!(why, attempt, "a builder pod did not do it; trying again");
            tokio::time::sleep(pause).await;
            (pause, attempt) = ((pause * 2).min(PAUSE_MAX), attempt + 1);
        }
    }
}

/// Reads line by line, and gives the last.
async fn follow(mut response: Response, log: &dyn BuildLog) -> Result<Reply, BuildError> {
    let mut pending = Vec::new();
    loop {
        let piece = match tokio::time::timeout(SILENCE, response.chunk()).await {
            Err(_) => return Err(interrupted(format!("the builder said nothing for {} s", SILENCE.as_secs()))),
            Ok(Err(error)) => return Err(broke(&error)),
            Ok(Ok(None)) => return Err(interrupted("the builder broke off")),
            Ok(Ok(Some(piece))) => piece,
        };
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let reply: Reply = serde_json::from_slice(&line)
                .map_err(|error| interrupted(format!("the builder cannot be understood: {error}")))?;
            match reply.log {
                Some(text) => log.append(text.as_bytes()),
                None => return Ok(reply),
            }
        }
        if pending.len() > LINE_BYTES {
            return Err(failed("the builder's answer has no end"));
        }
    }
}

fn is_worth_another_try(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// An answer that is no success is the user's to mend when it is 4xx.
async fn good(response: Response, what: &str) -> Result<Response, BuildError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status == StatusCode::UNAUTHORIZED {
        return Err(interrupted(format!("{what}: {}", signed::not_accepted(response.headers()))));
    }
    let text = response.text().await.unwrap_or_default();
    Err(failed(format!("{what}: {}", if text.trim().is_empty() { status.to_string() } else { start_of(&text) })))
}

fn broke(error: &reqwest::Error) -> BuildError {
    interrupted(format!("the connection to the builder broke: {}", causes(error)))
}

fn start_of(text: &str) -> String {
    const QUOTED: usize = 1000;
    text.trim().chars().take(QUOTED).collect()
}
