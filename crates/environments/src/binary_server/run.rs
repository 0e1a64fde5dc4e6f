//! One request: starts the program, feeds it the body, sends what it prints.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use super::program::Program;
use crate::serving::{self, Body, log_line, text, write_line};

/// Output that ends within this time of its first byte is sent as a whole, with its length, and an exit code other than
/// 0 still becomes a 500. Longer output is sent as it comes.
const WHOLE_WITHIN: Duration = Duration::from_millis(10);

/// Bytes read from a program at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of output held back while waiting for its end.
const WHOLE_BYTES: usize = 256 << 10;

/// Bytes of a line on standard error; a longer one is cut.
const LINE_BYTES: usize = 64 << 10;

/// Header whose value marks the lines a request logs.
const REQUEST_ID: &str = "x-fission-request-id";

/// Between these the log capture finds the id of the request a line belongs to.
const SEPARATOR: u8 = 0x1e;

/// A running program. Dropping it before it ended kills it and what it started: its client is gone.
struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.ended = true;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let (false, Some(pid)) = (self.ended, pid) {
            // It has not been waited for, so the number still means this program; an error means it just ended.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Serves one request.
pub(super) async fn run(program: &Program, request: Request<Incoming>) -> Response<Body> {
    let mut command = program.command();
    set_variables(&mut command, &request);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
            return text(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the headers do not fit into a program's variables",
            );
        }
        Err(error) => return failed(&format!("the program could not be started: {error}")),
    };
    let (parts, body) = request.into_parts();
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(log(stderr, prefix(&parts.headers)));
    }
    if let Some(stdin) = child.stdin.take() {
        tokio::spawn(feed(body, stdin));
    }
    let Some(stdout) = child.stdout.take() else { return failed("the program has no output") };
    respond(Running { child, ended: false }, stdout, parts.method == Method::HEAD).await
}

/// What a program is told about the request. Names of headers keep their dashes, as Fission has them, and come once
/// more with underscores, which a shell can read.
fn set_variables(command: &mut Command, request: &Request<Incoming>) {
    command.env_remove("FISSION_SOCKET").env_remove("RUNTIME_PORT");
    command.env("REQUEST_METHOD", request.method().as_str());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    command.env("REQUEST_URI", target);
    if let Some(length) = request.body().size_hint().exact() {
        command.env("CONTENT_LENGTH", length.to_string());
    }
    for name in request.headers().keys() {
        // `Proxy` would become HTTP_PROXY, which many programs take as where to send their own requests.
        if name == "proxy" {
            continue;
        }
        let Some(value) = request.headers().get(name) else { continue };
        let variable = format!("HTTP_{}", name.as_str().to_ascii_uppercase());
        let value = OsStr::from_bytes(value.as_bytes());
        command.env(variable.replace('-', "_"), value).env(variable, value);
    }
}

/// Waits for output, or for the end without any.
async fn respond(mut running: Running, mut stdout: ChildStdout, discard: bool) -> Response<Body> {
    let mut output = BytesMut::new();
    match read_start(&mut stdout, &mut output, discard).await {
        Ok(false) => {}
        Ok(true) => {
            return match running.end().await {
                Ok(status) if status.success() => whole(output.freeze()),
                Ok(status) => failed(&format!("the program ended with {status}")),
                Err(error) => failed(&format!("the program was lost: {error}")),
            };
        }
        Err(error) => return failed(&format!("the program's output could not be read: {error}")),
    }
    let kind = content_type(&output);
    let rest = stream::try_unfold((running, stdout), |(mut running, mut stdout)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        if stdout.read_buf(&mut chunk).await? > 0 {
            return Ok(Some((Frame::data(chunk.freeze()), (running, stdout))));
        }
        match running.end().await? {
            status if status.success() => Ok(None),
            // The status line is long gone; a broken connection tells the client that this is not all.
            status => Err(io::Error::other(format!("the program ended with {status}"))),
        }
    });
    let first = stream::once(std::future::ready(Ok(Frame::data(output.freeze()))));
    let body = StreamBody::new(first.chain(rest)).map_err(|error: io::Error| error.into());
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// Reads into `output` and returns whether that is all there is.
async fn read_start(stdout: &mut ChildStdout, output: &mut BytesMut, discard: bool) -> io::Result<bool> {
    output.reserve(CHUNK_BYTES);
    if stdout.read_buf(output).await? == 0 {
        return Ok(true);
    }
    let until = Instant::now() + WHOLE_WITHIN;
    while discard || output.len() < WHOLE_BYTES {
        if discard {
            output.clear();
        }
        output.reserve(CHUNK_BYTES);
        let read = stdout.read_buf(output);
        let count = if discard {
            read.await?
        } else {
            match tokio::time::timeout_at(until, read).await {
                Ok(count) => count?,
                Err(_) => return Ok(false),
            }
        };
        if count == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn whole(output: Bytes) -> Response<Body> {
    let kind = content_type(&output);
    let mut response = Response::new(serving::whole(output));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn failed(why: &str) -> Response<Body> {
    log_line(why);
    text(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// A guess from the first bytes, as programs have no other way to say it.
fn content_type(output: &[u8]) -> &'static str {
    let start = &output[..output.len().min(512)];
    let lower = start.trim_ascii_start().to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        return "text/html; charset=utf-8";
    }
    let is_text = match std::str::from_utf8(start) {
        Ok(text) => !text.contains('\0'),
        // A character cut in two by the limit above is still text.
        Err(error) => error.error_len().is_none() && !start.contains(&0),
    };
    if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" }
}

/// Gives the program the request's body. A program that does not want it, or all of it, is in its right.
async fn feed(mut body: Incoming, mut stdin: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && stdin.write_all(&data).await.is_err()
        {
            return;
        }
    }
}

fn prefix(headers: &HeaderMap) -> Vec<u8> {
    match headers.get(REQUEST_ID) {
        Some(id) => [&[SEPARATOR], id.as_bytes(), &[SEPARATOR]].concat(),
        None => Vec::new(),
    }
}

/// Passes on standard error, line by line, each with the request's id.
async fn log(mut stderr: ChildStderr, prefix: Vec<u8>) {
    let mut waiting = BytesMut::new();
    while let Ok(1..) = stderr.read_buf(&mut waiting).await {
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            write_line(&prefix, &waiting.split_to(end + 1)[..end]);
        }
        if waiting.len() > LINE_BYTES {
            write_line(&prefix, &waiting.split());
        }
    }
    if !waiting.is_empty() {
        write_line(&prefix, &waiting);
    }
}
