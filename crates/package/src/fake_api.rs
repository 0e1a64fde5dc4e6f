//! Just enough of an API server for the tests here: objects in memory that can be listed and merge-patched.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use fission_api::{Function, Package};
use fission_rpc::cache::{Cache, ObjectKey};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    pub(crate) packages: Cache<Package>,
    pub(crate) functions: Cache<Function>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Method and path of every write that was accepted.
    writes: Vec<String>,
    /// Answers with which the next requests fail.
    failures: Vec<StatusCode>,
}

impl FakeApi {
    pub(crate) fn synced() -> Self {
        let api = Self::default();
        api.packages.replace_all(Default::default());
        api.functions.replace_all(Default::default());
        api
    }

    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn put_package(&self, mut package: Package) {
        package.metadata.resource_version = Some(self.next_version());
        self.packages.apply(package);
    }

    pub(crate) fn put_function(&self, mut function: Function) {
        function.metadata.resource_version = Some(self.next_version());
        self.functions.apply(function);
    }

    pub(crate) fn fail_next(&self, failures: &[StatusCode]) {
        self.state.lock().unwrap().failures = failures.to_vec();
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    fn next_version(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.version.to_string()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<bytes::Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let failure = self.state.lock().unwrap().failures.pop();
        if let Some(status) = failure {
            return answer(status, &failed(status.as_u16()));
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let named = path.strip_prefix("/apis/fission.io/v1/namespaces/");
        let parts: Vec<&str> = named.unwrap_or_default().split('/').collect();
        if method == Method::GET && parts.len() < 3 {
            let items: Vec<_> = self.packages.list().iter().map(|package| json!(package.as_ref())).collect();
            return answer(StatusCode::OK, &json!({ "kind": "PackageList", "metadata": {}, "items": items }));
        }
        let key = ObjectKey { namespace: parts[0].into(), name: parts[2].into() };
        let current = match parts[1] {
            "packages" => self.packages.get(&key).map(|object| json!(object.as_ref())),
            _ => self.functions.get(&key).map(|object| json!(object.as_ref())),
        };
        let Some(mut object) = current else { return answer(StatusCode::NOT_FOUND, &failed(404)) };
        if method == Method::GET {
            return answer(StatusCode::OK, &object);
        }
        let patch: Value = serde_json::from_slice(&body).unwrap();
        if patch["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return answer(StatusCode::CONFLICT, &failed(409));
        }
        merge(&mut object, &patch);
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        match parts[1] {
            "packages" => self.packages.apply(serde_json::from_value(object.clone()).unwrap()),
            _ => self.functions.apply(serde_json::from_value(object.clone()).unwrap()),
        }
        self.state.lock().unwrap().writes.push(parts[1..].join("/"));
        answer(StatusCode::OK, &object)
    }
}

fn failed(code: u16) -> Value {
    json!({ "kind": "Status", "status": "Failure", "code": code, "reason": "Test", "message": "test" })
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<bytes::Bytes>> {
    let body = Full::new(body.to_string().into());
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        merge(&mut target[key], value);
    }
}
