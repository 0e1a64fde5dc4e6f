//! A router with everything around it played by the test.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use fission_api::{Function, FunctionReference, FunctionSpec, HTTPTrigger, HTTPTriggerSpec};
use fission_router::{BuildInfo, Options, Router, Sources};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::{Address, Endpoint, FunctionEndpoints, Index, InstanceId};
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::Refusal;
use fission_rpc::signing;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) fn whole(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Does what the test says when no endpoint has room; without being told anything, lets requests wait for a slot.
#[derive(Default)]
pub(crate) struct FakeExecutor {
    pub(crate) asked: AtomicUsize,
    pub(crate) suspected: Mutex<Vec<InstanceId>>,
    pub(crate) refuse: Mutex<Option<Refusal>>,
}

#[async_trait]
impl Executor for FakeExecutor {
    async fn admit(&self, request: ColdRequest) -> Result<Admission, Refusal> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(refusal) = self.refuse.lock().unwrap().clone() {
            return Err(refusal);
        }
        let started = Instant::now();
        let lease = request.endpoints.enqueue().await.unwrap()?;
        Ok(Admission { lease, wait: started.elapsed(), specialize: Duration::ZERO })
    }

    fn suspect(&self, group: &Arc<FunctionEndpoints>, endpoint: &Arc<Endpoint>) {
        group.remove(&endpoint.id);
        self.suspected.lock().unwrap().push(endpoint.id.clone());
    }
}

pub(crate) struct World {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) sources: Sources,
    pub(crate) executor: Arc<FakeExecutor>,
    pub(crate) router: Arc<Router>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    index: Arc<Index>,
    folder: tempfile::TempDir,
    created: AtomicUsize,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), Vec::new()).await
    }

    pub(crate) async fn with(options: Options, keys: Vec<signing::Key>) -> Self {
        let world = Self::unsynced(options, keys).await;
        world.sources.functions.replace_all(HashMap::new());
        world.sources.triggers.replace_all(HashMap::new());
        until("the router is ready", || world.router.is_ready()).await;
        world
    }

    pub(crate) async fn unsynced(options: Options, keys: Vec<signing::Key>) -> Self {
        let (sources, index, executor) = (Sources::default(), Arc::<Index>::default(), Arc::<FakeExecutor>::default());
        let build = BuildInfo { commit: "abc".into(), date: "2026".into(), version: "1.2.3".into() };
        let router = Router::new(options, sources.clone(), index.clone(), executor.clone(), keys, build);
        let bind = async || TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (public, internal) = (bind().await, bind().await);
        let (public_address, internal_address) = (public.local_addr().unwrap(), internal.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(router.clone().follow());
        let serving = tokio::spawn(router.clone().serve_public(public, shutdown.clone()));
        tokio::spawn(router.clone().serve_internal(internal, shutdown.clone()));
        let folder = tempfile::tempdir().unwrap();
        let (public, internal) = (public_address, internal_address);
        let created = AtomicUsize::new(0);
        Self { public, internal, sources, executor, router, shutdown, serving, index, folder, created }
    }

    /// Declares a function and a route to it, and waits until the route is in force.
    pub(crate) async fn route(&self, name: &str, url: &str, spec: FunctionSpec) -> Arc<Function> {
        let function = self.function("default", name, spec);
        self.trigger(name, HTTPTriggerSpec { relative_url: url.into(), methods: all_methods(), ..to(name) });
        self.settle().await;
        function
    }

    pub(crate) fn function(&self, namespace: &str, name: &str, spec: FunctionSpec) -> Arc<Function> {
        let mut function = Function::new(name, spec);
        function.metadata.namespace = Some(namespace.into());
        function.metadata.uid = Some(format!("uid-{namespace}-{name}"));
        function.metadata.generation = Some(1);
        function.metadata.resource_version = Some("7".into());
        self.sources.functions.apply(function.clone());
        Arc::new(function)
    }

    pub(crate) fn trigger(&self, name: &str, spec: HTTPTriggerSpec) {
        let mut trigger = HTTPTrigger::new(name, spec);
        trigger.metadata.namespace = Some("default".into());
        trigger.metadata.generation = Some(1);
        let age = self.created.fetch_add(1, Ordering::SeqCst);
        let created = jiff::Timestamp::from_second(1_700_000_000 + i64::try_from(age).unwrap()).unwrap();
        trigger.metadata.creation_timestamp = Some(Time(created));
        self.sources.triggers.apply(trigger);
    }

    /// Waits until every change made so far is in force.
    pub(crate) async fn settle(&self) {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("mark-{}", MARKS.fetch_add(1, Ordering::SeqCst));
        self.function("marks", &mark, FunctionSpec::default());
        // Asked with a method it does not take, so that it is never called.
        let spec = HTTPTriggerSpec { relative_url: format!("/{mark}"), methods: vec!["PUT".into()], ..to(&mark) };
        let mut trigger = HTTPTrigger::new(&mark, spec);
        trigger.metadata.namespace = Some("marks".into());
        self.sources.triggers.apply(trigger);
        let path = format!("/{mark}");
        until_async("changes are in force", async || get(self.public, &path).await.status == 405).await;
        self.sources.triggers.delete(&ObjectKey { namespace: "marks".into(), name: mark });
    }

    pub(crate) fn group(&self, function: &Function) -> Arc<FunctionEndpoints> {
        self.index.group(function)
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds an instance that answers with `answer`.
    pub(crate) fn instance<F, R>(&self, function: &Function, id: &str, answer: F) -> Arc<Endpoint>
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        self.raw_instance(function, id, move |stream| {
            let answer = answer.clone();
            async move {
                let service = hyper::service::service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let io = TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await;
            }
        })
    }

    /// Adds an instance that does with each connection what `act` says.
    pub(crate) fn raw_instance<F, R>(&self, function: &Function, id: &str, act: F) -> Arc<Endpoint>
    where
        F: Fn(UnixStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let path = self.socket(id);
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(act(stream));
            }
        });
        self.endpoint(function, id, path)
    }

    pub(crate) fn endpoint(&self, function: &Function, id: &str, path: PathBuf) -> Arc<Endpoint> {
        let endpoint = Endpoint::new(InstanceId(id.into()), Address::Unix(path));
        self.group(function).add(endpoint.clone());
        endpoint
    }

    /// A function at `/name` that says hello, with one instance.
    pub(crate) async fn hello(&self, name: &str) -> (Arc<Function>, Arc<Endpoint>) {
        let function = self.route(name, &format!("/{name}"), FunctionSpec::default()).await;
        let endpoint = self.instance(&function, name, |_| async { Response::new(whole("hello")) });
        (function, endpoint)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn to(function: &str) -> HTTPTriggerSpec {
    HTTPTriggerSpec {
        functionref: FunctionReference::named(function),
        methods: vec!["GET".into()],
        ..Default::default()
    }
}

pub(crate) fn all_methods() -> Vec<String> {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(String::from).to_vec()
}

/// A response read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<AnyBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

pub(crate) fn request(method: Method, path: &str) -> Request<AnyBody> {
    Request::builder().method(method).uri(path).header("host", "router.test").body(whole("")).unwrap()
}

pub(crate) async fn ask(address: SocketAddr, request: Request<AnyBody>) -> Answer {
    let response = connect(address).await.send_request(request).await.unwrap();
    read(response).await
}

pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, request(Method::GET, path)).await
}

/// Waits until something is so; fails after ten seconds.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    until_async(what, async || so()).await;
}

pub(crate) async fn until_async(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so().await {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
