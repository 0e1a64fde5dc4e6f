//! The builder service: what builder images run, and what runs the builds of one environment in its pod.
//!
//! `POST /` builds what lies in the shared directory, `DELETE /clean` removes it, as Fission's builder does; asked for
//! `application/x-ndjson`, it also says what the build prints while it runs. The build belongs to its request: when the
//! client goes away, it ends.
//!
//! Builds run as the same user as this service, in the same container. What they are kept from is only the way out of
//! the directory through names in a request, and waiting for ever.

mod run;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use fission_rpc::build::{BuildLog, parse_command};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::build::log::Log;
use crate::shared_dir::SharedDir;
use run::Job;

/// Media type of an answer that is told line by line.
const LINES: &str = "application/x-ndjson";
/// Random characters at the end of an artifact's name.
const SUFFIX: usize = 6;
/// Pieces of output that wait for a slow client; more are left out of what it is told, not of the log.
const PIECES_BEHIND: usize = 256;
/// Longest silence of an answer that is told line by line.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the service is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where sources are put and artifacts are made.
    pub shared_dir: PathBuf,
    /// Longest time of one build.
    pub timeout: Duration,
    /// Variables of this process that are not for builds.
    pub hidden: Vec<String>,
    /// Version of this program.
    pub version: String,
}

/// The builder service. Cheap to clone.
#[derive(Clone)]
pub struct BuildService {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    dir: SharedDir,
    /// What was made from a source, to be removed with it.
    made: Mutex<HashMap<String, Vec<String>>>,
}

/// Body of a request to build.
#[derive(Debug, Deserialize)]
struct BuildRequest {
    #[serde(rename = "srcPkgFilename")]
    source: String,
    #[serde(default)]
    command: String,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

/// Every answer.
#[derive(Debug, Serialize)]
struct Reply {
    #[serde(rename = "artifactFilename")]
    artifact: String,
    #[serde(rename = "buildLogs")]
    logs: String,
    /// Why there is no artifact, where it is the last of several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A request that was not served.
type Refused = (StatusCode, String);

impl BuildService {
    /// The service of a directory, which must be there.
    pub fn new(options: Options) -> std::io::Result<Self> {
        let dir = SharedDir::open(&options.shared_dir)?;
        Ok(Self { inner: Arc::new(Inner { options, dir, made: Mutex::default() }) })
    }

    /// Everything it serves, to everybody: put a [`fission_rpc::signed::Verifier`] before it.
    pub fn http(&self) -> Router {
        let no = || async { reply(StatusCode::METHOD_NOT_ALLOWED, "", "this method is not served here") };
        let version = self.inner.options.version.clone();
        let version = move || async move {
            Json(serde_json::json!({ "GitCommit": "", "BuildDate": "", "Version": version })).into_response()
        };
        Router::new()
            .route("/", post(build).fallback(no))
            .route("/clean", delete(clean).fallback(no))
            .route("/version", get(version))
            .route("/healthz", get(|| async { StatusCode::OK }))
            .with_state(self.clone())
    }

    /// Checks a request and says what to run.
    fn job(&self, body: &[u8]) -> Result<Job, Refused> {
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        let request: BuildRequest =
            serde_json::from_slice(body).map_err(|error| bad(format!("the request cannot be read: {error}")))?;
        let source = self.inner.dir.path(&request.source).map_err(bad)?;
        let argv = match request.command.trim() {
            // Where an image keeps its build script beside its root; today's have it on the search path.
            "" if Path::new("/build").exists() => vec!["/build".to_owned()],
            command => parse_command(command).map_err(bad)?,
        };
        let is_folder = self.inner.dir.is_folder(&request.source).map_err(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the source {:?} cannot be read: {error}", request.source))
        })?;
        let suffix = Uuid::new_v4().simple().to_string();
        let artifact = format!("{}-{}", request.source, &suffix[..SUFFIX]);
        let mut made = self.inner.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(request.source).or_default().push(artifact.clone());
        drop(made);
        let deploy = self.inner.dir.place().join(&artifact);
        Ok(Job { argv, source, is_folder, deploy, artifact })
    }

    /// Builds. The error is for the user.
    async fn run(&self, job: &Job, log: &dyn BuildLog) -> Result<(), String> {
        let options = &self.inner.options;
        let outcome = run::run(job, options.timeout, &options.hidden, log).await;
        if let Err(why) = &outcome {
            tracing::info!(why, source = %job.source.display(), "the build failed");
        }
        outcome
    }
}

async fn build(State(service): State<BuildService>, headers: HeaderMap, body: Bytes) -> Response {
    let job = match service.job(&body) {
        Ok(job) => job,
        Err((status, why)) => return reply(status, "", &why),
    };
    tracing::info!(source = %job.source.display(), command = job.argv.join(" "), "building");
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains(LINES) {
        return told_line_by_line(service, job);
    }
    let log = Log::default();
    match service.run(&job, &log).await {
        Ok(()) => reply(StatusCode::OK, &job.artifact, &log.text().1),
        Err(why) => {
            log.say(&why);
            reply(StatusCode::INTERNAL_SERVER_ERROR, "", &log.text().1)
        }
    }
}

async fn clean(State(service): State<BuildService>, Query(named): Query<Named>) -> Response {
    let inner = &service.inner;
    if let Err(why) = inner.dir.path(&named.name) {
        return reply(StatusCode::BAD_REQUEST, "", &why);
    }
    let made = inner.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&named.name).unwrap_or_default();
    for name in std::iter::once(&named.name).chain(&made) {
        if let Err(error) = inner.dir.remove(name).await {
            return reply(StatusCode::INTERNAL_SERVER_ERROR, "", &format!("{name} was not removed: {error}"));
        }
    }
    reply(StatusCode::OK, "", "")
}

fn reply(status: StatusCode, artifact: &str, logs: &str) -> Response {
    (status, Json(Reply { artifact: artifact.to_owned(), logs: logs.to_owned(), error: None })).into_response()
}

/// Answers at once, says what the build prints while it runs, and at the end what the whole answer would have been.
fn told_line_by_line(service: BuildService, job: Job) -> Response {
    let (tell, told) = mpsc::channel(PIECES_BEHIND);
    let task = tokio::spawn(async move {
        let live = Live { log: Log::default(), tell: tell.clone() };
        let building = service.run(&job, &live);
        tokio::pin!(building);
        let mut heart = tokio::time::interval(HEARTBEAT);
        let outcome = loop {
            tokio::select! {
                ended = &mut building => break ended,
                _ = heart.tick() => live.tell(String::new()),
            }
        };
        let artifact = if outcome.is_ok() { job.artifact.clone() } else { String::new() };
        let error = outcome.err();
        if let Some(why) = &error {
            live.log.say(why);
        }
        let reply = Reply { artifact, logs: live.log.text().1, error };
        // Whoever is not there any more needs no answer.
        let _ = tell.send(line(&reply)).await;
    });
    let lines = Lines { told, task: task.abort_handle() };
    ([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response()
}

fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// A log that is also told to a client.
struct Live {
    log: Log,
    tell: mpsc::Sender<Bytes>,
}

impl Live {
    fn tell(&self, text: String) {
        // A client that does not read must not stop the build; it gets the whole log at the end.
        let _ = self.tell.try_send(line(&serde_json::json!({ "log": text })));
    }
}

impl BuildLog for Live {
    fn append(&self, bytes: &[u8]) {
        self.log.append(bytes);
        self.tell(String::from_utf8_lossy(bytes).into_owned());
    }
}

/// The lines of an answer. Dropped before its end, it ends the build.
struct Lines {
    told: mpsc::Receiver<Bytes>,
    task: AbortHandle,
}

impl Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.told.poll_recv(context).map(|line| line.map(Ok))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
#[path = "build_service_tests.rs"]
mod tests;
