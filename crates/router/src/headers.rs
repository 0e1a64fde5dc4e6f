//! Headers: what a function gets besides what the client sent, and what a client gets besides what the function sent.

use std::net::IpAddr;

use fission_api::labels::header;
use fission_rpc::signing;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::functions::Backend;
use crate::timing::Timing;

/// Longest request id taken over from a client, in bytes.
const MAX_REQUEST_ID: usize = 192;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
pub(crate) const COMPONENT: HeaderName = HeaderName::from_static(header::COMPONENT);
pub(crate) const ROUTE_MISS: HeaderName = HeaderName::from_static(header::ROUTE_MISS);
const FUNCTION_UID: HeaderName = HeaderName::from_static(header::FUNCTION_UID);
const FUNCTION_NAME: HeaderName = HeaderName::from_static(header::FUNCTION_NAME);
const FUNCTION_NAMESPACE: HeaderName = HeaderName::from_static(header::FUNCTION_NAMESPACE);
const FUNCTION_RESOURCE_VERSION: HeaderName = HeaderName::from_static(header::FUNCTION_RESOURCE_VERSION);
const FULL_URL: HeaderName = HeaderName::from_static(header::FULL_URL);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const INVOKE_MODE: HeaderName = HeaderName::from_static("x-fission-invoke-mode");
const INVOCATION_ID: HeaderName = HeaderName::from_static("x-fission-invocation-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

/// The client's request id if it is acceptable, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let acceptable = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    if let Some(given) = headers.get(REQUEST_ID).filter(acceptable) {
        return given.clone();
    }
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let made = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(made).unwrap_or(HeaderValue::from_static("none"))
}

/// The host a request is for, in the client's spelling, port included.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| headers.get(HOST)?.to_str().ok()).unwrap_or_default()
}

/// A host without its port, in lower case.
pub(crate) fn bare_host(host: &str) -> String {
    let bare = match host.strip_prefix('[') {
        Some(address) => address.split_once(']').map_or(host, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    bare.to_ascii_lowercase()
}

/// A client's address as it is put in headers, made once for a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer(HeaderValue);

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        let text = address.to_canonical().to_string();
        Self(HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown")))
    }
}

/// What one request tells its function.
pub(crate) struct Told<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) peer: &'a Peer,
    /// Path and query as received.
    pub(crate) full_url: &'a str,
    /// As received, port included.
    pub(crate) host: &'a str,
}

/// Makes a client's headers those its function gets; all but `Host`, which depends on the instance.
pub(crate) fn prepare_request(headers: &mut HeaderMap, told: &Told<'_>, keep_upgrade: bool) {
    strip_hop_by_hop(headers, keep_upgrade);
    strip_claims(headers);
    let backend = told.backend;
    headers.insert(FUNCTION_UID, backend.uid.clone());
    headers.insert(FUNCTION_NAME, backend.name.clone());
    headers.insert(FUNCTION_NAMESPACE, backend.namespace.clone());
    headers.insert(FUNCTION_RESOURCE_VERSION, backend.resource_version.clone());
    headers.insert(REQUEST_ID, told.request_id.clone());
    if let Ok(full_url) = HeaderValue::from_str(told.full_url) {
        headers.insert(FULL_URL, full_url);
    }
    append_forwarded_for(headers, told.peer);
    if !headers.contains_key(FORWARDED_HOST) && !headers.contains_key(FORWARDED) && !told.host.is_empty() {
        let quote = if told.host.starts_with('[') { "\"" } else { "" };
        if let Ok(forwarded) = HeaderValue::try_from(["host=", quote, told.host, quote, ";"].concat()) {
            headers.insert(FORWARDED, forwarded);
        }
        if let Ok(host) = HeaderValue::from_str(told.host) {
            headers.insert(FORWARDED_HOST, host);
        }
    }
}

/// Whether the client wants the call queued. A delivery of a queued call never does.
pub(crate) fn wants_queue(headers: &HeaderMap) -> bool {
    headers.get(INVOKE_MODE).is_some_and(|mode| mode == "async") && !headers.contains_key(INVOCATION_ID)
}

/// Adds a path variable. Its name is part of a header's, which has no case.
pub(crate) fn insert_variable(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = format!("{}{}", header::PARAMS_PREFIX, name.to_ascii_lowercase());
    let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else { return };
    headers.insert(name, value);
}

/// Says that there is no body where the method would have one: a server may refuse what is not said (RFC 9110, 8.6;
/// Kestrel answers 411).
pub(crate) fn say_empty<B: http_body::Body>(request: &mut Request<B>) {
    let expected = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if expected && request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

fn append_forwarded_for(headers: &mut HeaderMap, peer: &Peer) {
    let before = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let value = if before.is_empty() {
        peer.0.clone()
    } else {
        let joined = [before.join(&b", "[..]).as_slice(), b", ", peer.0.as_bytes()].concat();
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| peer.0.clone())
    };
    headers.insert(FORWARDED_FOR, value);
}

/// Takes off what only the platform may say to a function.
fn strip_claims(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().starts_with("x-fission-")) {
        return;
    }
    let claims = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with(header::PARAMS_PREFIX)
            || name.starts_with("x-fission-function-")
            || [signing::TIMESTAMP_HEADER, signing::SIGNATURE_HEADER, signing::NAMESPACE_HEADER].contains(&name)
    };
    let claimed: Vec<HeaderName> = headers.keys().filter(claims).cloned().collect();
    for name in claimed {
        headers.remove(name);
    }
}

/// Takes off headers that speak of one connection only, those named by `Connection` included.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, keep_upgrade: bool) {
    // Most messages have none of these: one look at each name is cheaper than a search for each of these names.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        if !(keep_upgrade && name == UPGRADE) {
            headers.remove(name);
        }
    }
    for name in [
        CONNECTION,
        EXPECT,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    if keep_upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    match name.as_str().len() {
        2 => *name == TE,
        6 => *name == EXPECT,
        7 => *name == TRAILER || *name == UPGRADE,
        10 => *name == CONNECTION || *name == KEEP_ALIVE,
        16 => *name == PROXY_CONNECTION,
        17 => *name == TRANSFER_ENCODING,
        18 => *name == PROXY_AUTHENTICATE,
        19 => *name == PROXY_AUTHORIZATION,
        _ => false,
    }
}

/// Puts on every response what clients may rely on.
pub(crate) fn finish_response(headers: &mut HeaderMap, request_id: HeaderValue, timing: &Timing) {
    headers.insert(REQUEST_ID, request_id);
    headers.append(SERVER_TIMING, timing.header());
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    let any_origin = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*");
    if !any_origin && !varies_by_origin(headers) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let named = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|name| ["origin", "*"].contains(&&*name.trim().to_ascii_lowercase()))
}

/// The URI a function sees: `path` must start with `/`.
pub(crate) fn function_uri(path: &str, query: Option<&str>) -> Uri {
    let target = match (path, query) {
        ("/", None) => Ok(PathAndQuery::from_static("/")),
        (path, None) => PathAndQuery::try_from(path),
        (path, Some(query)) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    // Parts of a URI that was read are a URI again.
    target.map_or_else(|_| Uri::from_static("/"), Uri::from)
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
