//! The internal listener: functions by name, for the platform's own components. Requests are signed when keys are set.

use fission_rpc::refusal::Refusal;
use fission_rpc::signing;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::body::{RequestBody, ResponseBody};
use crate::call::{self, Caller, Outgoing};
use crate::router::Router;
use crate::routes::route::Chosen;
use crate::timing::Timing;
use crate::{cors, errors, headers};

/// Start of every path served here.
const FUNCTIONS: &str = "/fission-function/";
/// Namespace of functions named without one.
const DEFAULT_NAMESPACE: &str = "default";

/// Answers one internal request.
pub(crate) async fn answer(
    router: &Router,
    caller: &Caller<'_>,
    request: Request<Incoming>,
    timing: &mut Timing,
) -> Response<ResponseBody> {
    if cors::preflight_method(request.method(), request.headers()).is_some() {
        let mut response = Response::new(ResponseBody::own("cross-origin requests not permitted\n"));
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return response;
    }
    let path = request.uri().path();
    if path == "/healthz" {
        return errors::empty(StatusCode::OK);
    }
    let request = match verify(router, request).await {
        Ok(request) => request,
        Err(status) => return errors::empty(status),
    };
    let path = request.uri().path();
    let named = path.strip_prefix(FUNCTIONS).map(|rest| find(router, rest));
    let (chosen, rest) = match named {
        Some(Ok(found)) => found,
        Some(Err(why)) => {
            let mut response = errors::response(&errors::no_function(path, why), &caller.request_id);
            response.headers_mut().insert(headers::ROUTE_MISS, HeaderValue::from_static("1"));
            return response;
        }
        None => {
            let refusal: Refusal = errors::no_function(path, "functions are below /fission-function/");
            return errors::response(&refusal, &caller.request_id);
        }
    };
    timing.route = timing.start.elapsed();
    let seen_uri = headers::function_uri(if rest.is_empty() { "/" } else { rest }, request.uri().query());
    let outgoing = Outgoing { chosen: &chosen, seen_uri, variables: Vec::new(), queued: false };
    let mut response = call::call(router, caller, outgoing, request, timing).await;
    cors::remove_all(response.headers_mut());
    response
}

/// The function named by `[namespace/]name[/rest]`, and the rest. A function that exists under the longer name wins.
fn find<'a>(router: &Router, named: &'a str) -> Result<(Chosen, &'a str), &'static str> {
    let (first, after_first) = split(named);
    let (second, after_second) = split(after_first.strip_prefix('/').unwrap_or_default());
    let table = router.table.load();
    let lookup = |namespace: &str, name: &str| {
        let backend = table.function(namespace, name)?;
        Some(Chosen { stats: backend.internal_stats.clone(), backend })
    };
    if !second.is_empty()
        && let Some(chosen) = lookup(first, second)
    {
        return Ok((chosen, after_second));
    }
    if let Some(chosen) = lookup(DEFAULT_NAMESPACE, first) {
        return Ok((chosen, after_first));
    }
    if first.contains(':') || second.contains(':') {
        return Err("nothing resolves aliases and versions on this platform");
    }
    Err("there is no such function")
}

/// The first segment, and what follows it with its `/`.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// Checks the signature, for which the body is read whole. Without keys nothing is checked and bodies stream.
async fn verify(router: &Router, request: Request<Incoming>) -> Result<Request<RequestBody>, StatusCode> {
    if router.internal_keys.is_empty() {
        return Ok(request.map(RequestBody::Streamed));
    }
    let (parts, body) = request.into_parts();
    let timestamp = text(&parts.headers, signing::TIMESTAMP_HEADER);
    let signature = text(&parts.headers, signing::SIGNATURE_HEADER);
    // Before the body, so that strangers cannot make us read much.
    signing::check_fresh(timestamp, signature, now()).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let limit = router.options.max_internal_body;
    let body = match Limited::new(body, limit).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    };
    let uri = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    signing::verify(
        &router.internal_keys,
        parts.method.as_str(),
        uri,
        &body,
        timestamp.unwrap_or_default(),
        signature.unwrap_or_default(),
        now(),
    )
    .map_err(|_| StatusCode::UNAUTHORIZED)?;
    let body = RequestBody::Whole(Some(body).filter(|body| !body.is_empty()));
    Ok(Request::from_parts(parts, body))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn now() -> i64 {
    Timestamp::now().as_second()
}
