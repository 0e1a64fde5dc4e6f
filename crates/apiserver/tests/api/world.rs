//! A server in memory and the objects the tests use.

use std::time::Duration;

use bytes::Bytes;
use fission_api::{Environment, Function};
use fission_apiserver::{ApiServer, Options, Storage};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Longest any test waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server that forgets, and a client of it.
pub(crate) fn world() -> (ApiServer, Client) {
    let server = ApiServer::open(Options::new(Storage::Memory, "test")).expect("a server in memory opens");
    let client = server.client("default");
    (server, client)
}

/// Functions in the default namespace.
pub(crate) fn functions(client: &Client) -> Api<Function> {
    Api::default_namespaced(client.clone())
}

/// A valid function.
pub(crate) fn function(name: &str) -> Function {
    serde_json::from_value(function_json(name)).expect("the fixture is a function")
}

/// The same as JSON.
pub(crate) fn function_json(name: &str) -> Value {
    json!({
        "apiVersion": "fission.io/v1", "kind": "Function", "metadata": { "name": name },
        "spec": {
            "environment": { "name": "nodejs", "namespace": "" },
            "package": { "packageref": { "name": "p", "namespace": "" } },
            "InvokeStrategy": { "ExecutionStrategy": { "ExecutorType": "poolmgr" }, "StrategyType": "execution" },
        },
    })
}

/// A valid environment.
pub(crate) fn environment(name: &str) -> Environment {
    serde_json::from_value(json!({
        "apiVersion": "fission.io/v1", "kind": "Environment", "metadata": { "name": name },
        "spec": { "version": 2, "runtime": { "image": "fission/node-env" } },
    }))
    .expect("the fixture is an environment")
}

/// A request as any HTTP client sends it, and its answer.
pub(crate) async fn ask(server: &ApiServer, method: Method, path: &str, kind: &str, body: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("the request is well-formed");
    let response = server.handle(request).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("memory does not fail").to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
}

/// Reads a path.
pub(crate) async fn get(server: &ApiServer, path: &str) -> (u16, Value) {
    ask(server, Method::GET, path, "application/json", "").await
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{what} did not happen in {DEADLINE:?}"));
}
