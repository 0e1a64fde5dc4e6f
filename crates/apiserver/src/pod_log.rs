//! `pods/log`: what an instance printed.

use bytes::Bytes;
use fission_rpc::logs::{LogError, LogLine, LogQuery};
use futures_util::{Stream, StreamExt, stream};
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};

use crate::http::path::Target;
use crate::http::query::Query;
use crate::http::respond::{self, ResponseBody};
use crate::pods::Pods;
use crate::status::ApiError;

/// Lines given when the client does not say how many; what a log store keeps in reach anyway.
const DEFAULT_LINES: usize = 10_000;

struct Shape {
    timestamps: bool,
    bytes_left: Option<usize>,
}

/// Answers a request for a pod's output.
pub(crate) async fn answer(pods: &Pods, target: &Target, query: &Query) -> Result<Response<ResponseBody>, ApiError> {
    let log = read(target, query)?;
    let shape = Shape {
        timestamps: query.flag("timestamps")?,
        bytes_left: query.number("limitBytes")?.and_then(|limit| usize::try_from(limit).ok()),
    };
    if query.flag("follow")? {
        let lines = pods.logs.follow(log);
        return Ok(respond::stream("text/plain", written(lines, shape)));
    }
    let lines = pods.logs.query(log).await.map_err(|error| ApiError::internal(error.to_string()))?;
    let chunks: Vec<Bytes> = written(stream::iter(lines.into_iter().map(Ok::<_, LogError>)), shape).collect().await;
    Ok(respond::bytes(StatusCode::OK, "text/plain", chunks.concat()))
}

fn read(target: &Target, query: &Query) -> Result<LogQuery, ApiError> {
    let since = match (query.get("sinceTime"), query.number("sinceSeconds")?) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("only one of sinceTime and sinceSeconds may be given")),
        (Some(time), None) => Some(time.parse::<Timestamp>().map_err(|error| {
            ApiError::bad_request(format!("sinceTime must be a time like 2026-01-31T12:00:00Z: {error}"))
        })?),
        (None, Some(seconds)) => {
            let ago = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            Some(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH))
        }
        (None, None) => None,
    };
    let lines = query.number("tailLines")?.and_then(|lines| usize::try_from(lines).ok());
    Ok(LogQuery {
        namespace: target.namespace().to_owned(),
        instance: target.name.clone(),
        since,
        limit: Some(lines.unwrap_or(DEFAULT_LINES)),
        ..LogQuery::default()
    })
}

fn written(
    lines: impl Stream<Item = Result<LogLine, LogError>> + Send,
    shape: Shape,
) -> impl Stream<Item = Bytes> + Send {
    lines
        .scan(shape, |shape, line| {
            let text = match line {
                Ok(line) if shape.timestamps => format!("{} {}\n", line.time, line.text),
                Ok(line) => format!("{}\n", line.text),
                Err(error) => format!("{error}\n"),
            };
            let mut bytes = Bytes::from(text);
            if let Some(left) = &mut shape.bytes_left {
                if *left == 0 {
                    return std::future::ready(None);
                }
                bytes.truncate(*left);
                *left -= bytes.len();
            }
            std::future::ready(Some(bytes))
        })
        .filter(|bytes| std::future::ready(!bytes.is_empty()))
}
