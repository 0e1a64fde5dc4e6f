//! What the proxies are measured with: a hello server, and our router before it with one endpoint that never changes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use fission_api::{Function, FunctionReference, HTTPTrigger};
use fission_router::{BuildInfo, Options, Router, Sources};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::{Address, Endpoint, FunctionEndpoints, Index, InstanceId};
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::{Component, Refusal};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

/// More requests at once than any measurement sends, so that admission always finds room.
const REQUESTS_PER_POD: i64 = 10_000;

/// Serves hello on a unix socket, for the proxies, and on TCP, for the floor.
pub(crate) async fn backend(socket: &Path, address: SocketAddr) -> Result<()> {
    let (unix, tcp) = (UnixListener::bind(socket)?, TcpListener::bind(address).await?);
    // nginx started by root serves as another user.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    loop {
        tokio::select! {
            accepted = unix.accept() => { tokio::spawn(serve(accepted?.0)); }
            accepted = tcp.accept() => {
                let stream = accepted?.0;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream));
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let hello = |_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, world!\n"))))
    };
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello)).await;
}

/// Our router with a route `/hello` to one instance behind a socket.
pub(crate) async fn router(socket: PathBuf, address: SocketAddr) -> Result<()> {
    let mut function = Function::default();
    function.metadata.name = Some("hello".into());
    function.metadata.namespace = Some("default".into());
    function.metadata.uid = Some("hello-uid".into());
    function.metadata.generation = Some(1);
    function.spec.requests_per_pod = REQUESTS_PER_POD;
    let mut trigger = HTTPTrigger::default();
    trigger.metadata.name = Some("hello".into());
    trigger.metadata.namespace = Some("default".into());
    trigger.spec.relative_url = "/hello".into();
    trigger.spec.methods = vec!["GET".into()];
    trigger.spec.functionref = FunctionReference::named("hello");

    let index = Arc::new(Index::default());
    index.group(&function).add(Endpoint::new(InstanceId("hello".into()), Address::Unix(socket)));
    let sources = Sources::default();
    let key = ObjectKey { namespace: "default".into(), name: "hello".into() };
    sources.functions.replace_all(HashMap::from([(key.clone(), Arc::new(function))]));
    sources.triggers.replace_all(HashMap::from([(key, Arc::new(trigger))]));
    // One thread, as the others are given.
    let options = Options { threads: 1, ..Options::default() };
    let router = Router::new(options, sources, index, Arc::new(Nobody), Vec::new(), BuildInfo::default());
    tokio::spawn(router.clone().follow());
    router.serve_public(TcpListener::bind(address).await?, CancellationToken::new()).await;
    Ok(())
}

/// The one endpoint always has room, so nobody is asked.
struct Nobody;

#[async_trait]
impl Executor for Nobody {
    async fn admit(&self, _: ColdRequest) -> Result<Admission, Refusal> {
        Err(Refusal::new(503, Component::Executor, "executor_unavailable", "the endpoint of the benchmark is gone"))
    }

    fn suspect(&self, _: &Arc<FunctionEndpoints>, _: &Arc<Endpoint>) {}
}
