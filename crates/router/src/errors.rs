//! Refusals: what the router says when there is no function's answer, and to whom what can be done about it.

use std::time::Duration;

use fission_rpc::cache::ObjectKey;
use fission_rpc::refusal::{Component, Refusal};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;

use crate::body::ResponseBody;
use crate::functions::{Backend, TimeLimit};
use crate::headers::COMPONENT;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(flatten)]
    refusal: &'a Refusal,
    request_id: &'a str,
}

/// A refusal as a response.
pub(crate) fn response(refusal: &Refusal, request_id: &HeaderValue) -> Response<ResponseBody> {
    let wire = Wire { refusal, request_id: request_id.to_str().unwrap_or_default() };
    let mut body = serde_json::to_vec(&wire).unwrap_or_default();
    body.push(b'\n');
    let mut response = Response::new(ResponseBody::own(body));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(COMPONENT, HeaderValue::from_static(refusal.component.as_str()));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(""));
    *response.status_mut() = status;
    response
}

pub(crate) fn no_route(method: &Method, host: &str, path: &str) -> Refusal {
    let host = if host.is_empty() { String::new() } else { format!(" on host {host}") };
    let message = format!("no route matches {method} {path}{host}");
    Refusal::new(404, Component::Router, "no_route", message).hint(
        "`fission route list` shows the routes there are; one whose function does not exist is not in force. \
         `fission route create --url PATH --function NAME` makes one",
    )
}

pub(crate) fn no_function(path: &str, why: &str) -> Refusal {
    let message = format!("no function is called by {path}: {why}");
    Refusal::new(404, Component::Router, "no_function", message)
        .hint("`fission function list --namespace NAMESPACE` shows the functions there are")
}

pub(crate) fn wrong_method(method: &Method, path: &str, allowed: &str) -> Refusal {
    let message = format!("the routes of {path} take {allowed}, not {method}");
    Refusal::new(405, Component::Router, "method_not_allowed", message)
        .hint("`fission route update --name NAME --method METHOD` changes the methods of a route")
}

pub(crate) fn out_of_time(backend: &Backend, reason: &'static str) -> Refusal {
    let name = &backend.key;
    match (backend.time_limit, reason) {
        (TimeLimit::Stream { idle, .. }, "stream_idle") => {
            Refusal::new(504, Component::Timeout, reason, format!("function {name} was silent for {}", text(idle)))
                .limit("spec.streaming.idleTimeoutSeconds", idle.as_secs(), "set it in the function's specification")
        }
        (TimeLimit::Stream { whole, .. }, _) => {
            let whole = whole.unwrap_or_default();
            let message = format!("function {name} sent nothing in the {} a call may take", text(whole));
            Refusal::new(504, Component::Timeout, reason, message).limit(
                "spec.streaming.maxDurationSeconds",
                whole.as_secs(),
                "set it in the function's specification",
            )
        }
        (TimeLimit::Whole(whole), _) => {
            let message = format!("function {name} did not answer within {}", text(whole));
            function_timeout_limit(Refusal::new(504, Component::Timeout, reason, message), &name.name, whole)
        }
    }
}

pub(crate) fn no_instance_in_time(backend: &Backend) -> Refusal {
    let (name, timeout) = (&backend.key, backend.admit_timeout);
    let message = format!("no instance of function {name} was free within {}", text(timeout));
    function_timeout_limit(Refusal::new(504, Component::Timeout, "function_timeout", message), &name.name, timeout)
        .hint(
            "`fission function list-pods --name NAME` shows its instances; spec.concurrency limits how many there are",
        )
}

fn function_timeout_limit(refusal: Refusal, name: &str, timeout: Duration) -> Refusal {
    let change = format!("fission function update --name {name} --fntimeout SECONDS");
    refusal.limit("spec.functionTimeout", format!("{}s", timeout.as_secs()), change)
}

/// Asked for a queue there is none of: answering at once instead would surprise whoever relies on its retries.
pub(crate) fn no_queue(function: &ObjectKey) -> Refusal {
    let message = format!("asynchronous calls of function {function} cannot be queued: this platform has no queue");
    Refusal::new(501, Component::Router, "async_unavailable", message)
        .hint("call it without X-Fission-Invoke-Mode, or take invocationMode off the route")
}

/// No connection to any instance that was tried.
pub(crate) fn unreachable(function: &ObjectKey, error: &std::io::Error) -> Refusal {
    let gone = matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound);
    let reason = if gone { "connection_refused" } else { "dial_error" };
    let message = format!("no instance of function {function} takes connections: {error}");
    Refusal::new(500, Component::Function, reason, message).hint(logs_hint(&function.name))
}

/// An instance was reached, and then something went wrong.
pub(crate) fn function_error(function: &ObjectKey, what: &str) -> Refusal {
    let message = format!("function {function} {what}");
    Refusal::new(500, Component::Function, "function_error", message).hint(logs_hint(&function.name))
}

/// Its instance ended in the middle of the call.
pub(crate) fn ended(function: &ObjectKey, how: &str) -> Refusal {
    let refusal = function_error(function, &format!("did not answer, its instance ended: {how}"));
    match how.rsplit_once("memory limit of ") {
        Some((_, limit)) => refusal.limit(
            "spec.resources.limits.memory",
            limit,
            "fission environment update --name ENVIRONMENT --maxmemory MIB",
        ),
        None => refusal,
    }
}

fn logs_hint(name: &str) -> String {
    format!("`fission function logs --name {name}` shows what the function printed")
}

fn text(duration: Duration) -> String {
    if duration.subsec_millis() == 0 { format!("{} s", duration.as_secs()) } else { format!("{duration:?}") }
}

/// Why no response came, in words that follow the name of the function.
pub(crate) fn explain(error: &hyper::Error) -> &'static str {
    if error.is_parse() {
        "answered with something that is not HTTP"
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "closed the connection without answering; it may have crashed or been ended"
    } else if error.is_user() || error.is_body_write_aborted() {
        "did not get the whole request: its sender stopped in the middle"
    } else {
        "broke the connection before it answered; it may have crashed or been ended"
    }
}
