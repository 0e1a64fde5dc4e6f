//! What instances printed.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which of an instance's two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whose output a line is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogOwner {
    /// Namespace of the function or environment.
    pub namespace: String,
    /// Function, empty for a generic instance.
    pub function: String,
    /// Instance id.
    pub instance: String,
    /// Environment name.
    pub environment: String,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Grows by one with each stored line; 0 before it is stored.
    #[serde(default)]
    pub id: i64,
    /// When it was read.
    pub time: Timestamp,
    /// Whose it is.
    #[serde(flatten)]
    pub owner: LogOwner,
    /// Which output.
    pub stream: Stream,
    /// The request being served, when the environment said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The text without its line end.
    pub text: String,
}

/// Which lines to give. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogQuery {
    /// Namespace; empty matches all.
    pub namespace: String,
    /// Function name.
    pub function: Option<String>,
    /// Instance id.
    pub instance: Option<String>,
    /// Environment name.
    pub environment: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Only lines with a larger id.
    pub after: Option<i64>,
    /// At most this many, the newest; absent means 10,000.
    pub limit: Option<usize>,
}

/// Why logs could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("function logs could not be {action}: {why}")]
pub struct LogError {
    /// `read` or `kept`.
    pub action: &'static str,
    /// What failed.
    pub why: String,
}

/// Reads what instances printed.
#[async_trait]
pub trait LogReader: Send + Sync + 'static {
    /// The newest matching lines, oldest first.
    async fn query(&self, query: LogQuery) -> Result<Vec<LogLine>, LogError>;
    /// The matching lines there are, then new ones as they come; ends only when dropped.
    fn follow(&self, query: LogQuery) -> BoxStream<'static, Result<LogLine, LogError>>;
}

/// Takes what instances print. Never blocks an instance for long: when the store cannot keep up, lines are dropped and
/// the number dropped is itself logged.
pub trait LogSink: Send + Sync + 'static {
    /// Takes over both outputs of an instance. `owner` is asked for each line, because an instance gets its function
    /// only when it is specialized. A line that starts with `\x1e<request id>\x1e` belongs to that request.
    fn capture(&self, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>, stdout: LogPipe, stderr: LogPipe);
}

/// The reading end of a pipe an instance writes to.
pub type LogPipe = std::os::fd::OwnedFd;
