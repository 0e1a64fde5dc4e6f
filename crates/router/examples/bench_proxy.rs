//! A router in front of one fixed instance, for load generators: a function at `/hello` on a unix socket.
//!
//! `cargo run --release -p fission-router --example bench_proxy -- [router|backend]`
//!
//! `backend` serves the same function alone, on the unix socket and on a TCP port, for other proxies to be put in
//! front of. Prints one line with addresses and the process id, and stays until it is ended.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fission_api::{Function, FunctionReference, FunctionSpec, HTTPTrigger, HTTPTriggerSpec};
use fission_router::{BuildInfo, Options, Router, Sources};
use fission_rpc::endpoint::{Address, Endpoint, FunctionEndpoints, Index, InstanceId};
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::{Component, Refusal};
use http::Response;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

/// Answers every request that finds no room with a refusal; the benchmark leaves enough room.
struct NoMore;

#[async_trait]
impl Executor for NoMore {
    async fn admit(&self, _: ColdRequest) -> Result<Admission, Refusal> {
        Err(Refusal::new(429, Component::Executor, "capacity_exceeded", "the benchmark's only instance is full"))
    }

    fn suspect(&self, _: &Arc<FunctionEndpoints>, endpoint: &Arc<Endpoint>) {
        println!("{} is suspected", endpoint.address);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_else(|| "both".into());
    let socket = arguments.next().unwrap_or_else(|| format!("/tmp/fission-bench-{}.sock", std::process::id()));
    let socket = Path::new(&socket);
    if mode != "router" {
        let _ = std::fs::remove_file(socket);
        tokio::spawn(backend_unix(UnixListener::bind(socket)?));
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("backend unix:{} tcp:{} pid:{}", socket.display(), tcp.local_addr()?, std::process::id());
        tokio::spawn(backend_tcp(tcp));
    }
    if mode != "backend" {
        router(socket).await?;
    }
    std::future::pending().await
}

async fn router(socket: &Path) -> std::io::Result<()> {
    let (sources, index) = (Sources::default(), Arc::<Index>::default());
    let spec = FunctionSpec { requests_per_pod: 100_000, ..FunctionSpec::default() };
    let mut function = Function::new("hello", spec);
    function.metadata.namespace = Some("default".into());
    function.metadata.uid = Some("hello".into());
    index.group(&function).add(Endpoint::new(InstanceId("hello".into()), Address::Unix(socket.to_owned())));
    let spec = HTTPTriggerSpec {
        relative_url: "/hello".into(),
        methods: vec!["GET".into(), "POST".into()],
        functionref: FunctionReference::named("hello"),
        ..HTTPTriggerSpec::default()
    };
    let mut trigger = HTTPTrigger::new("hello", spec);
    trigger.metadata.namespace = Some("default".into());
    sources.functions.replace_all(HashMap::new());
    sources.functions.apply(function);
    sources.triggers.replace_all(HashMap::new());
    sources.triggers.apply(trigger);
    let options = Options { threads: 0, ..Options::default() };
    let router = Router::new(options, sources, index, Arc::new(NoMore), Vec::new(), BuildInfo::default());
    tokio::spawn(router.clone().follow());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("router http://{}/hello pid:{}", listener.local_addr()?, std::process::id());
    router.serve_public(listener, CancellationToken::new()).await;
    Ok(())
}

async fn backend_unix(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(hello(TokioIo::new(stream)));
    }
}

async fn backend_tcp(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(hello(TokioIo::new(stream)));
    }
}

async fn hello<I>(io: I)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, world!\n"))))
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}
