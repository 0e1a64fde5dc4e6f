//! `fission function test`: one request through the router's internal listener, without a route.

use std::time::{Duration, Instant};

use clap::Args;
use fission_api::{Function, labels::header};
use fission_rpc::logs::LogLine;
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::logs;
use crate::doors::{self, Door};
use crate::duration::GoDuration;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::{self, root_of};
use crate::session::{Session, query_value};

/// Bytes of a refusal that are read; the platform's own are far smaller.
pub(super) const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// Log lines shown after a failed call.
const LINES_AFTER_FAILURE: usize = 20;
/// How long the lines of a failed call are waited for; they are stored a moment after its answer.
const LINES_WITHIN: Duration = Duration::from_millis(600);
/// Time between two looks for them.
const LINES_PAUSE: Duration = Duration::from_millis(50);

/// Call a function without a route
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function test --name hello
  fission fn test --name hello --method POST --body '{\"a\":1}' -H 'Content-Type: application/json'
  fission fn test --name hello --subpath /items/1 -q page=2 --timeout 5s")]
pub(crate) struct TestArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// HTTP method
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// Header, as 'Name: value'; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// Body of the request
    #[arg(long, short, default_value = "", hide_default_value = true)]
    pub(crate) body: String,
    /// Query parameter, as k=v; may be repeated
    #[arg(long, short, value_name = "K=V")]
    pub(crate) query: Vec<String>,
    /// How long to wait; the function's own timeout when that is shorter; 0 waits for ever
    #[arg(long, short, default_value = "60s")]
    pub(crate) timeout: GoDuration,
    /// Path given to the function
    #[arg(long, value_name = "PATH")]
    pub(crate) subpath: Option<String>,
    /// Only hand the request over; the answer is an invocation id
    #[arg(long)]
    pub(crate) r#async: bool,
    /// Where logs are read from after a failure
    #[arg(long, value_name = "STORE", hide = true, default_value = "kubernetes")]
    pub(crate) dbtype: String,
}

pub(crate) async fn run(args: TestArgs, s: &mut Session) -> Outcome {
    let function: Function = noun::get(s, &args.name).await?;
    let timeout = args
        .timeout
        .positive()
        .map(|given| given.min(Duration::from_secs(function.spec.timeout_seconds().unsigned_abs())));
    let door = doors::internal(s).await?;
    let request = request(&args, &door, &s.namespace)?;
    let doing = format!("cannot call function '{}'", args.name);
    let call = call(&args, &door, request, s);
    let (parts, refusal) = match timeout {
        Some(limit) => tokio::time::timeout(limit, call).await.map_err(|_| {
            Failure::new(format_args!("{doing}: no answer within {limit:?}"))
                .hint("--timeout is how long this command waits, --fntimeout of the function how long the router does")
        })??,
        None => call.await?,
    };
    if args.r#async && parts.status == 202 {
        let id = parts.headers.get("x-fission-invocation-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        s.io.say("Accepted (202)")?;
        return s.io.say(format_args!("invocationId: {id}"));
    }
    match parts.status.as_u16() {
        ..=399 => Ok(()),
        401 if refused_by(&parts).is_none() && !parts.headers.contains_key(header::REQUEST_ID) => {
            Err(door.refused(Failure::new(format_args!("{doing}: the router answered {}", parts.status))))
        }
        _ => failed(&args, s, &parts, &refusal).await,
    }
}

/// Sends the request and passes the function's answer on as it comes. What the platform itself answered is kept.
async fn call(args: &TestArgs, door: &Door, request: Request<Body>, s: &mut Session) -> Outcome<(Parts, Vec<u8>)> {
    let unreachable = |error: &dyn std::error::Error| {
        let (name, shown) = (&args.name, &door.shown);
        let failure =
            Failure::new(format_args!("cannot call function '{name}': the router at {shown}: {}", root_of(error)))
                .hint("see whether the platform runs with: fission check");
        door.unreached(failure)
    };
    let answer = door.client.send(request).await.map_err(|error| unreachable(&error))?;
    let (parts, mut body) = answer.into_parts();
    if let Some(id) = parts.headers.get(header::REQUEST_ID).and_then(|id| id.to_str().ok()) {
        s.io.complain(format_args!("Request ID: {id}"));
    }
    // The router always names the request; an API server that knows no functions does not.
    let elsewhere = parts.status == 404 && !parts.headers.contains_key(header::REQUEST_ID);
    let keep = refused_by(&parts).is_some() || (args.r#async && parts.status == 202) || elsewhere;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreachable(&*Box::<dyn std::error::Error>::from(error)))?;
        match frame.data_ref() {
            Some(data) if keep && kept.len() < MAX_REFUSAL_BYTES => kept.extend_from_slice(data),
            Some(data) if !keep => s.io.write_bytes(data)?,
            _ => {}
        }
    }
    if elsewhere && refused_by(&parts).is_none() {
        if serde_json::from_slice::<Value>(&kept).is_ok_and(|answer| answer["kind"] == "Status") {
            let failure = Failure::new(format_args!(
                "cannot call function '{}': {} does not serve functions",
                args.name, door.shown
            ));
            return Err(door.unreached(failure));
        }
        s.io.write_bytes(&kept)?;
    }
    Ok((parts, kept))
}

/// The component that answered instead of the function.
pub(super) fn refused_by(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::COMPONENT)?.to_str().ok()
}

/// What a component of the platform said in the function's place: what happened, which limit decided; and what to do.
pub(super) fn refusal(component: &str, status: StatusCode, body: &[u8]) -> (Failure, Option<String>) {
    let refusal: Value =
        serde_json::from_slice(body).unwrap_or_else(|_| json!({ "message": String::from_utf8_lossy(body).trim() }));
    let said = refusal["message"].as_str().filter(|said| !said.is_empty()).unwrap_or("no reason is given");
    let mut failure = Failure::new(format_args!("{component} ({}): {said}", status.as_u16()));
    let limit = &refusal["limit"];
    if let (Some(name), Some(value)) = (limit["name"].as_str(), limit["value"].as_str()) {
        let change = limit["change"].as_str().unwrap_or_default();
        failure = failure.hint(format_args!("the limit is {name} = {value}; to change it: {change}"));
    }
    (failure, refusal["hint"].as_str().map(str::to_owned))
}

/// After the function's own failure its last lines may tell why.
async fn failed(args: &TestArgs, s: &mut Session, parts: &Parts, answer: &[u8]) -> Outcome {
    if let Some(component) = refused_by(parts) {
        let (failure, hint) = refusal(component, parts.status, answer);
        return Err(match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
    }
    let lines = last_lines(args, parts, s).await.unwrap_or_default();
    if !lines.is_empty() {
        s.io.complain("\nThe last lines the function printed:");
    }
    for line in lines {
        s.io.complain(line.text);
    }
    Err(Failure::new(format_args!("function '{}' answered {}", args.name, parts.status)))
}

/// What the function printed while it failed; if that was nothing, what it printed last.
async fn last_lines(args: &TestArgs, parts: &Parts, s: &mut Session) -> Outcome<Vec<LogLine>> {
    let id = parts.headers.get(header::REQUEST_ID).and_then(|id| id.to_str().ok());
    let deadline = Instant::now() + LINES_WITHIN;
    while let Some(id) = id {
        let lines = logs::newest(&args.name, Some(id), LINES_AFTER_FAILURE, s).await?;
        if !lines.is_empty() {
            return Ok(lines);
        }
        if Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(LINES_PAUSE).await;
    }
    logs::newest(&args.name, None, LINES_AFTER_FAILURE, s).await
}

fn request(args: &TestArgs, door: &Door, namespace: &str) -> Outcome<Request<Body>> {
    let uri = path_and_query(args, namespace)?;
    let method = Method::from_bytes(args.method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Failure::new(format_args!("--method {:?} is not an HTTP method", args.method)))?;
    let body = args.body.clone().into_bytes();
    let request = Request::builder().method(method).uri(&uri).body(Body::from(body.clone()));
    let mut request = request.doing("cannot make the request")?;
    if args.r#async {
        request.headers_mut().insert("x-fission-invoke-mode", HeaderValue::from_static("async"));
    }
    door.sign(&mut request, &body)?;
    add_headers(&args.header, &mut request)?;
    Ok(request)
}

/// Adds headers given as `Name: value`.
pub(super) fn add_headers(headers: &[String], request: &mut Request<Body>) -> Outcome {
    for header in headers {
        let wrong = || Failure::new(format_args!("--header {header:?} is not of the form 'Name: value'"));
        let (name, value) = header.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        request.headers_mut().append(name, value);
    }
    Ok(())
}

/// The namespace `default` has no segment of its own.
fn path_and_query(args: &TestArgs, namespace: &str) -> Outcome<String> {
    let mut uri = match namespace {
        "default" => format!("/fission-function/{}", args.name),
        namespace => format!("/fission-function/{namespace}/{}", args.name),
    };
    if let Some(subpath) = args.subpath.as_deref().filter(|subpath| !subpath.is_empty()) {
        uri.push_str(if subpath.starts_with('/') { "" } else { "/" });
        uri.push_str(subpath);
    }
    for (index, (key, value)) in crate::flags::key_values("--query", &args.query)?.into_iter().enumerate() {
        let mark = if index == 0 && !uri.contains('?') { '?' } else { '&' };
        uri.push_str(&format!("{mark}{}={}", query_value(&key), query_value(&value)));
    }
    crate::session::request_target(&uri)?;
    Ok(uri)
}
