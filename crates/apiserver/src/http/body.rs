//! Reading a request's body: bounded, JSON or YAML.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::Value;

use super::MAX_BODY_BYTES;
use crate::status::ApiError;

/// Deepest nesting a body may have: enough for every schema, too little to exhaust a stack.
const MAX_DEPTH: usize = 100;

/// Reads a whole body.
pub(crate) async fn read<B: Body>(body: B) -> Result<Bytes, ApiError> {
    let mut body = std::pin::pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body of the request ended early"))?;
        if let Ok(mut data) = frame.into_data() {
            use bytes::Buf as _;
            if read.len() + data.remaining() > MAX_BODY_BYTES {
                return Err(too_large());
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                read.extend_from_slice(chunk);
                let taken = chunk.len();
                data.advance(taken);
            }
        }
    }
    Ok(read.freeze())
}

/// 413, naming the limit.
pub(crate) fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        format!(
            "the request is larger than {MAX_BODY_BYTES} bytes, the most this server takes; keep large code in an archive"
        ),
    )
}

/// The content type without its parameters, in lower case; JSON when absent.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let plain = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if plain.is_empty() { "application/json".to_owned() } else { plain }
}

/// Parses an object in JSON or YAML.
pub(crate) fn parse(bytes: &[u8], content_type: &str) -> Result<Value, ApiError> {
    let value = match content_type {
        "application/json"
        | "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => serde_json::from_slice(bytes)
            .map_err(|error| ApiError::bad_request(format!("the body of the request is not valid JSON: {error}")))?,
        "application/yaml" | "application/x-yaml" | "text/yaml" | "application/apply-patch+yaml" => yaml(bytes)?,
        "application/vnd.kubernetes.protobuf" => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "the body of the request is protobuf, which this server does not take - accepted media types include: \
                 application/json, application/yaml (with kubectl: `kubectl create ... --dry-run=client -o yaml | kubectl apply -f -`)",
            ));
        }
        other => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format ({other}) - accepted media types include: \
                     application/json, application/yaml"
                ),
            ));
        }
    };
    if depth(&value) > MAX_DEPTH {
        return Err(ApiError::bad_request(format!("the body of the request is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(value)
}

fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    // Every JSON text is meant to be YAML, and server-side apply is mostly sent as JSON.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // As YAML 1.2 has it, only true and false are booleans: an object may be called `y` or `no`.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_slice_with_options(bytes, options)
        .map_err(|error| ApiError::bad_request(format!("the body of the request is not valid YAML: {error}")))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
