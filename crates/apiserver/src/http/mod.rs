//! Requests in, answers out: which path is which verb.

pub(crate) mod body;
pub(crate) mod format;
pub(crate) mod path;
pub(crate) mod query;
mod resource;
pub(crate) mod respond;
mod review;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};

use self::respond::ResponseBody;
use crate::status::ApiError;
use crate::{Inner, discovery, openapi};

/// Largest body of a request, in bytes: what Kubernetes takes, and far above the largest inline package.
pub(crate) const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// The outside of a request.
pub(crate) struct Head {
    method: Method,
    path: String,
    query: query::Query,
    headers: HeaderMap,
}

/// Answers one request.
pub(crate) async fn answer<B: Body>(server: &Arc<Inner>, request: Request<B>) -> Response<ResponseBody> {
    let (parts, body) = request.into_parts();
    let bodiless = parts.method == Method::HEAD;
    let head = Head {
        method: if bodiless { Method::GET } else { parts.method },
        path: parts.uri.path().to_owned(),
        query: query::Query::of(&parts.uri),
        headers: parts.headers,
    };
    let response = match route(server, &head, body).await {
        Ok(response) => response,
        Err(error) => respond::error(&error, format::errors_as_yaml(&head.headers)),
    };
    if bodiless { response.map(|_| Empty::new().boxed_unsync()) } else { response }
}

async fn route<B: Body>(server: &Arc<Inner>, head: &Head, body: B) -> Result<Response<ResponseBody>, ApiError> {
    if head.method == Method::OPTIONS {
        let mut response = respond::bytes(StatusCode::NO_CONTENT, "text/plain", "");
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers_mut().insert(header::ALLOW, methods);
        return Ok(response);
    }
    if let Some(review) = review::kind(&head.path) {
        if head.method != Method::POST {
            return Err(wrong_method("reviews are created, with POST"));
        }
        let bytes = body::read(body).await?;
        let review = review::answer(review, body::parse(&bytes, &body::content_type(&head.headers))?)?;
        return Ok(respond::value(StatusCode::CREATED, &review, false));
    }
    if let Some(target) = path::parse(&head.path) {
        return resource::answer(server, head, target, body).await;
    }
    let response = fixed(server, head).ok_or_else(ApiError::no_such_path)??;
    if head.method != Method::GET {
        return Err(wrong_method("this path can only be read"));
    }
    Ok(response)
}

fn wrong_method(why: &str) -> ApiError {
    let message = format!("the server does not allow this method on the requested resource: {why}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

/// Paths that are not objects. `None` when nothing is there.
fn fixed(server: &Inner, head: &Head) -> Option<Result<Response<ResponseBody>, ApiError>> {
    let parts: Vec<&str> = head.path.split('/').filter(|part| !part.is_empty()).collect();
    let ok = |value: Value| Some(Ok(respond::value(StatusCode::OK, &value, false)));
    match parts.as_slice() {
        [] => ok(index()),
        ["version"] => ok(discovery::version(&server.version)),
        ["healthz" | "livez" | "readyz", ..] => Some(health(server)),
        [root @ ("api" | "apis")] => Some(Ok(match format::wants_aggregated(&head.headers) {
            Some(version) => aggregated(*root == "api", version),
            None if *root == "api" => respond::value(StatusCode::OK, &discovery::core_versions(), false),
            None => respond::value(StatusCode::OK, &discovery::groups(), false),
        })),
        ["api", version] => ok(discovery::resources("", version)?),
        ["apis", group] => ok(discovery::one_group(group)?),
        ["apis", group, version] => ok(discovery::resources(group, version)?),
        ["openapi", "v2"] => Some(openapi_v2(&head.headers)),
        ["openapi", "v3"] => ok(openapi::v3_index()),
        ["openapi", "v3", rest @ ..] => ok(openapi::v3(&rest.join("/"))?),
        _ => None,
    }
}

fn index() -> Value {
    let groups = crate::registry::groups().into_iter().map(|(group, version)| match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    });
    let rest = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
    let mut paths: Vec<String> = groups.chain(rest.map(str::to_owned)).collect();
    paths.sort();
    json!({ "paths": paths })
}

fn health(server: &Inner) -> Result<Response<ResponseBody>, ApiError> {
    if server.store.feed().borrow().is_none() {
        let why = "the server is shutting down";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why));
    }
    Ok(respond::bytes(StatusCode::OK, "text/plain; charset=utf-8", "ok"))
}

fn aggregated(core: bool, version: &'static str) -> Response<ResponseBody> {
    let mut response = respond::value(StatusCode::OK, &discovery::aggregated(core, version), false);
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The version 2 document is also asked for as protobuf, which is not spoken here.
fn openapi_v2(headers: &HeaderMap) -> Result<Response<ResponseBody>, ApiError> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accepted.is_empty() || accepted.contains("json") || accepted.contains("*/*") {
        return Ok(respond::value(StatusCode::OK, &openapi::v2(), false));
    }
    Err(format::not_acceptable())
}
