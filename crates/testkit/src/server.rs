//! What a serving scripted instance answers: `/echo` gives the body back, `/slow/<ms>` waits, `/status/<code>` answers
//! with that status; everything else is greeted. The instance's id is in `x-instance`.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fission_rpc::endpoint::InstanceId;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};

type Body = BoxBody<Bytes, hyper::Error>;

/// Serves until aborted.
pub(crate) fn start(path: &Path, id: InstanceId) -> std::io::Result<JoinHandle<()>> {
    let listener = UnixListener::bind(path)?;
    Ok(tokio::spawn(async move {
        // Aborting this task drops the set, which ends the connections: a crash is a crash.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let id = id.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let id = id.clone();
                    async move { Ok::<_, Infallible>(answer(&id, request).await) }
                });
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    }))
}

async fn answer(id: &InstanceId, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut response = match path.trim_start_matches('/').split_once('/') {
        Some(("slow", ms)) => {
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap_or_default())).await;
            greeting()
        }
        Some(("status", code)) => {
            let mut response = greeting();
            *response.status_mut() = code.parse().unwrap_or(StatusCode::OK);
            response
        }
        _ if path == "/echo" => Response::new(request.into_body().boxed()),
        _ => greeting(),
    };
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-instance", id);
    }
    response
}

fn greeting() -> Response<Body> {
    Response::new(Full::new(Bytes::from_static(b"Hello, world!\n")).map_err(|never| match never {}).boxed())
}
