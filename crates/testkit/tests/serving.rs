//! A scripted instance that serves, as the router meets it.

use std::sync::Arc;

use bytes::Bytes;
use fission_executor::backend::{Backend, InstanceSpec};
use fission_rpc::endpoint::{Address, InstanceId};
use fission_testkit::{ScriptedBackend, fixtures};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

async fn get(address: &Address, path: &str, body: &'static str) -> Option<(StatusCode, String)> {
    let Address::Unix(socket) = address else { return None };
    let stream = UnixStream::connect(socket).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::builder().uri(path).body(Full::new(Bytes::from_static(body.as_bytes()))).ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn it_answers_until_it_crashes() {
    let backend = ScriptedBackend::serving().unwrap();
    let id = InstanceId("poolmgr-nodejs-abc".into());
    let environment = Arc::new(fixtures::environment("nodejs", 0));
    let created = backend.create(InstanceSpec { id: id.clone(), environment, function: None }).await.unwrap();
    assert_eq!(get(&created.address, "/", "").await, Some((StatusCode::OK, "Hello, world!\n".into())));
    assert_eq!(get(&created.address, "/echo", "what").await, Some((StatusCode::OK, "what".into())));
    assert_eq!(get(&created.address, "/status/418", "").await.unwrap().0, StatusCode::IM_A_TEAPOT);
    let mut exits = backend.exits();
    assert!(backend.crash(&id, "killed by signal 9"));
    assert_eq!(exits.recv().await.unwrap().why, "killed by signal 9");
    fission_testkit::eventually("the connection is refused", || {
        let Address::Unix(socket) = &created.address else { return false };
        std::os::unix::net::UnixStream::connect(socket).is_err()
    })
    .await;
}
