//! Writing answers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};

use super::format::Format;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::storage::Object;
use crate::table;
use crate::verbs::{Outcome, Page};

/// The body of an answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// Warnings sent with one answer at most; more would not fit the headers.
const MAX_WARNINGS: usize = 20;

/// A complete answer of bytes.
pub(crate) fn bytes(code: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(bytes.into()).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// An answer that goes on.
pub(crate) fn stream(
    content_type: &'static str,
    stream: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<ResponseBody> {
    let body = StreamBody::new(stream.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A tree.
pub(crate) fn value(code: StatusCode, value: &Value, yaml: bool) -> Response<ResponseBody> {
    match yaml.then(|| serde_saphyr::to_string(value)) {
        Some(Ok(text)) => bytes(code, "application/yaml", text),
        _ => bytes(code, "application/json", value.to_string()),
    }
}

/// An error.
pub(crate) fn error(error: &ApiError, yaml: bool) -> Response<ResponseBody> {
    value(error.code, &error.to_json(), yaml)
}

/// One object.
pub(crate) fn object(
    code: StatusCode,
    outcome: &Outcome,
    resource: &Resource,
    format: Format,
) -> Response<ResponseBody> {
    match (format, outcome) {
        (Format::Json, Outcome::Stored(object)) => bytes(code, "application/json", object.bytes.clone()),
        (format, outcome) => {
            let tree = match outcome {
                Outcome::Stored(object) => object.value(),
                Outcome::Dry(tree) => tree.clone(),
            };
            match format {
                Format::Json => value(code, &tree, false),
                Format::Yaml => value(code, &tree, true),
                Format::Table(include) => value(code, &table::of(resource, &[tree], include, true), false),
                Format::Metadata => value(code, &table::metadata_only(&tree), false),
            }
        }
    }
}

/// A list.
pub(crate) fn list(page: &Page, resource: &Resource, format: Format) -> Response<ResponseBody> {
    let mut metadata = json!({ "resourceVersion": page.rv.to_string() });
    if let Some(next) = &page.next {
        metadata["continue"] = next.as_str().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let trees = || page.items.iter().map(|object| object.value()).collect::<Vec<_>>();
    let mut response = match format {
        Format::Json => bytes(StatusCode::OK, "application/json", list_bytes(&page.items, resource, &metadata)),
        Format::Yaml => {
            let list = json!({
                "kind": resource.list_kind(), "apiVersion": resource.api_version, "metadata": metadata, "items": trees(),
            });
            value(StatusCode::OK, &list, true)
        }
        Format::Table(include) => {
            let mut table = table::of(resource, &trees(), include, true);
            table["metadata"] = metadata;
            value(StatusCode::OK, &table, false)
        }
        Format::Metadata => {
            let items: Vec<Value> = trees().iter().map(table::metadata_only).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
            });
            value(StatusCode::OK, &list, false)
        }
    };
    let warnings: Vec<String> =
        page.damaged.iter().map(|what| format!("damaged on disk and left out of this list: {what}")).collect();
    warn(&mut response, &warnings);
    response
}

fn list_bytes(items: &[Arc<Object>], resource: &Resource, metadata: &Value) -> Bytes {
    let size: usize = items.iter().map(|object| object.bytes.len() + 1).sum();
    let mut out = BytesMut::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        resource.list_kind(),
        resource.api_version
    );
    out.put_slice(head.as_bytes());
    for (at, object) in items.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(&object.bytes);
    }
    out.put_slice(b"]}");
    out.freeze()
}

/// Adds `Warning` headers, which clients show to people.
pub(crate) fn warn(response: &mut Response<ResponseBody>, warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        let plain: String = warning
            .chars()
            .map(|c| {
                if c == '"' || c == '\\' {
                    format!("\\{c}")
                } else if c.is_ascii_graphic() || c == ' ' {
                    c.to_string()
                } else {
                    "?".to_owned()
                }
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{plain}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
