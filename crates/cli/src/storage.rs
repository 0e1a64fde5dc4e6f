//! The storage service as commands use it, wherever [`crate::doors`] finds it.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};
use kube::client::Body;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use crate::doors::{self, ARCHIVES as PATH, Door};
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::root_of;
use crate::session::{Session, query_value};

/// The host packages name; every home of the platform knows it as its own storage service.
const CANONICAL_BASE: &str = "http://storagesvc.fission";
/// Separates the parts of an upload; long enough not to occur by chance.
const BOUNDARY: &str = "fission-archive-5f1c8d0e9a7b4c3d2e6f";

/// The address a package keeps for an archive.
pub(crate) fn url_of(id: &str) -> String {
    format!("{CANONICAL_BASE}{PATH}?id={}", query_value(id))
}

/// The id in an address made by [`url_of`], whatever its host.
pub(crate) fn id_in(url: &str) -> Option<String> {
    let (base, query) = url.split_once('?')?;
    let host = base.split_once("://")?.1.split(['/', ':']).next()?;
    if !base.ends_with(PATH) || host.split('.').next() != Some("storagesvc") {
        return None;
    }
    query.split('&').find_map(|pair| pair.strip_prefix("id=")).map(decoded)
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        out.push(escaped.unwrap_or(bytes[index]));
        index += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Uploads a file and gives its id.
pub(crate) async fn upload(s: &mut Session, path: &Path, size: u64) -> Outcome<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\r', '\n'], "_");
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"uploadfile\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let door = doors::storage(s).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .header("x-file-size", size)
        .header(header::CONTENT_LENGTH, head.len() as u64 + size + tail.len() as u64);
    let doing = format!("cannot upload {}", path.display());
    let answer = match &door.streams_to {
        Some((base, token)) => {
            let bar = progress(s, size);
            let file = tokio::fs::File::open(path).await.doing(&doing)?;
            let counted = bar.clone();
            let body = ReaderStream::new(file).inspect_ok(move |chunk| counted.inc(chunk.len() as u64));
            let ends = |text: String| stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
            let body = StreamBody::new(ends(head).chain(body).chain(ends(tail)).map_ok(Frame::data));
            let mut request = request.uri(format!("{base}{PATH}"));
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let client = HttpClient::builder(TokioExecutor::new()).build_http();
            let sent = client.request(request.body(BodyExt::boxed_unsync(body)).doing(&doing)?).await;
            bar.finish_and_clear();
            let answer = sent.map_err(|error| Failure::new(format_args!("{doing}: {}", root_of(&error))))?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.doing(&doing)?.to_bytes();
            Response::from_parts(parts, body)
        }
        None => {
            let mut body = head.into_bytes();
            body.extend(tokio::fs::read(path).await.doing(&doing)?);
            body.extend(tail.into_bytes());
            send(&door, request, body, &doing).await?
        }
    };
    let answer = accepted(&door, answer, &doing)?;
    let id = serde_json::from_slice::<Value>(&answer).ok().and_then(|answer| answer["id"].as_str().map(str::to_owned));
    id.ok_or_else(|| Failure::new(format_args!("{doing}: the storage service answered without an id")))
}

/// The ids of all archives.
pub(crate) async fn list(s: &mut Session) -> Outcome<Vec<String>> {
    let doing = "cannot list archives";
    let door = doors::storage(s).await?;
    let answer = send(&door, Request::builder().uri(PATH), Vec::new(), doing).await?;
    serde_json::from_slice(&accepted(&door, answer, doing)?).doing(doing)
}

/// The bytes of an archive.
pub(crate) async fn download(s: &mut Session, id: &str) -> Outcome<Bytes> {
    let doing = format!("cannot download archive {id}");
    let request = Request::builder().uri(format!("{PATH}?id={}", query_value(id)));
    let door = doors::storage(s).await?;
    let answer = send(&door, request, Vec::new(), &doing).await?;
    accepted(&door, answer, &doing)
}

/// Deletes an archive.
pub(crate) async fn delete(s: &mut Session, id: &str) -> Outcome {
    let doing = format!("cannot delete archive {id}");
    let request = Request::builder().method(Method::DELETE).uri(format!("{PATH}?id={}", query_value(id)));
    let door = doors::storage(s).await?;
    let answer = send(&door, request, Vec::new(), &doing).await?;
    accepted(&door, answer, &doing).map(|_| ())
}

async fn send(door: &Door, request: http::request::Builder, body: Vec<u8>, doing: &str) -> Outcome<Response<Bytes>> {
    let mut request = request.body(Body::from(Vec::new())).doing(doing)?;
    door.sign(&mut request, &body)?;
    *request.body_mut() = Body::from(body);
    let unreachable =
        |error: &dyn std::error::Error| door.unreached(Failure::new(format_args!("{doing}: {}", root_of(error))));
    let answer = door.client.send(request).await.map_err(|error| unreachable(&error))?;
    let (parts, body) = answer.into_parts();
    let body = body.collect_bytes().await.map_err(|error| unreachable(&error))?;
    Ok(Response::from_parts(parts, body))
}

fn accepted(door: &Door, answer: Response<Bytes>, doing: &str) -> Outcome<Bytes> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let said = String::from_utf8_lossy(answer.body()).trim().to_owned();
    let said = if said.is_empty() { status.to_string() } else { format!("{said} ({status})") };
    let failure = Failure::new(format_args!("{doing}: {said}"));
    Err(match status.as_u16() {
        401 | 403 => door.refused(failure),
        404 if doing.starts_with("cannot upload") || doing.starts_with("cannot list") => {
            failure.hint("this server has no storage service; set FISSION_STORAGESVC_URL to where it is")
        }
        404 => failure.hint("see which archives there are with: fission archive list"),
        _ => failure,
    })
}

/// A progress bar, on a terminal only.
fn progress(s: &Session, size: u64) -> ProgressBar {
    if !s.io.err_is_terminal {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("uploading {bar:30} {bytes}/{total_bytes} {bytes_per_sec}");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_put_into_an_address() {
        for id in ["5f1c", "/fission/fission-functions/a b", "ü&id=x"] {
            assert_eq!(id_in(&url_of(id)).as_deref(), Some(id));
        }
        assert_eq!(id_in("http://example.org/v1/archive?id=1"), None);
        assert_eq!(id_in("http://storagesvc.fission/other?id=1"), None);
    }
}
