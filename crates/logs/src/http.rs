//! `GET /fission/v1/logs`: function logs as lines of JSON.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use fission_rpc::logs::{LogError, LogLine, LogQuery, LogReader};
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::store::{LogStore, MAX_LIMIT};

/// Function logs as a router. It lets everybody in: mount it where callers have been checked.
pub fn http(store: LogStore) -> Router {
    Router::new().route("/fission/v1/logs", get(logs)).with_state(store)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Asked {
    namespace: String,
    function: Option<String>,
    instance: Option<String>,
    environment: Option<String>,
    request_id: Option<String>,
    since: Option<String>,
    after: Option<i64>,
    limit: Option<usize>,
    follow: bool,
}

async fn logs(State(store): State<LogStore>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return bad(error.body_text()),
    };
    let follow = asked.follow;
    let query = match query(asked, Timestamp::now()) {
        Ok(query) => query,
        Err(why) => return bad(why),
    };
    let body = if follow {
        Body::from_stream(store.follow(query).map(|line| line.and_then(|line| json(&line))))
    } else {
        match store.query(query).await {
            Ok(lines) => Body::from_stream(stream::iter(lines).map(|line| json(&line))),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn query(asked: Asked, now: Timestamp) -> Result<LogQuery, String> {
    if let Some(limit) = asked.limit.filter(|limit| *limit > MAX_LIMIT) {
        return Err(format!("limit {limit} is more than {MAX_LIMIT}, the most lines of one query"));
    }
    let since = asked.since.filter(|since| !since.is_empty()).map(|since| time(&since, now)).transpose()?;
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    Ok(LogQuery {
        namespace: asked.namespace,
        function: named(asked.function),
        instance: named(asked.instance),
        environment: named(asked.environment),
        request_id: named(asked.request_id),
        since,
        after: asked.after,
        limit: asked.limit,
    })
}

/// A time, or a duration before now: `2026-01-02T03:04:05Z`, `5m`, `1h30m`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let duration = text.parse::<SignedDuration>().ok().filter(|duration| !duration.is_negative());
    let duration = duration
        .ok_or_else(|| format!("since {text:?} is neither a time like 2026-01-02T03:04:05Z nor a duration like 5m"))?;
    Ok(now.checked_sub(duration).unwrap_or(Timestamp::MIN))
}

fn json(line: &LogLine) -> Result<Bytes, LogError> {
    let mut text = serde_json::to_vec(line).map_err(|error| LogError { action: "read", why: error.to_string() })?;
    text.push(b'\n');
    Ok(text.into())
}

fn bad(why: String) -> Response {
    (StatusCode::BAD_REQUEST, why).into_response()
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
