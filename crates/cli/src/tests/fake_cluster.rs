//! A cluster in this process: the real API server behind a socket, with pods that answer through port-forwards.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fission_apiserver::ApiServer;
use fission_rpc::signing;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::world::World;

/// The secret of this platform.
pub(super) const SECRET: &str = "a secret of the cluster";

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What a test may set, and what was asked.
#[derive(Default)]
pub(super) struct State {
    /// Pods, as the API shows them.
    pub(super) pods: Vec<Value>,
    /// Paths this user may not ask, by their beginning, with the refusal.
    pub(super) forbidden: Vec<(&'static str, &'static str)>,
    /// Archives by id.
    pub(super) archives: Vec<Vec<u8>>,
    /// Log of every pod.
    pub(super) log: String,
    /// Requests that reached a pod.
    pub(super) reached: Vec<String>,
    /// Targets of requests for logs.
    pub(super) logs_asked: Vec<String>,
    /// Whether the API server also serves archives, as behind the controller.
    pub(super) fronted: bool,
}

/// The cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) state: Arc<Mutex<State>>,
    api: ApiServer,
}

/// A pod of the platform.
pub(super) fn server_pod(name: &str, namespace: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "spec": { "containers": [{ "name": "main", "image": "fission:1.2.3", "env": [
            { "name": "FISSION_INTERNAL_AUTH_SECRET",
              "valueFrom": { "secretKeyRef": { "name": "fission-internal-auth", "key": "secret" } } },
        ] }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

impl Cluster {
    /// Starts it and makes a world's commands find it by a kubeconfig.
    pub(super) async fn of(world: &mut World) -> Self {
        let state = State {
            pods: vec![
                server_pod("router-1", "fission", json!({ "svc": "router", "application": "fission-router" })),
                server_pod("storagesvc-1", "fission", json!({ "svc": "storagesvc", "application": "fission-storage" })),
                server_pod("executor-1", "fission", json!({ "svc": "executor" })),
            ],
            ..State::default()
        };
        let cluster = Self { state: Arc::new(Mutex::new(state)), api: world.server() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = cluster.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let cluster = serving.clone();
                let service = service_fn(move |request| {
                    let cluster = cluster.clone();
                    async move { Ok::<_, Infallible>(cluster.answer(request).await) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
            }
        });
        world.file(
            "kubeconfig",
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: \
                 http://{address}\nusers:\n- name: u\n  user: {{}}\ncontexts:\n- name: c\n  context:\n    cluster: \
                 c\n    user: u\n"
            ),
        );
        let path = |name: &str| world.path().join(name).to_string_lossy().into_owned();
        let vars = [("KUBECONFIG", path("kubeconfig")), ("FISSION_DATA", path("none"))];
        world.vars = vars.into_iter().collect();
        world.finds_server = true;
        cluster
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(super) fn reached(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().reached)
    }

    /// Makes the secret readable by whoever may read secrets.
    pub(super) async fn store_secret(&self) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "fission" } });
        self.post("/api/v1/namespaces", &namespace).await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "fission-internal-auth" },
            "stringData": { "secret": SECRET },
        });
        self.post("/api/v1/namespaces/fission/secrets", &secret).await;
    }

    pub(super) async fn post(&self, path: &str, object: &Value) {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let answer = self.api.handle(request.body(Full::new(Bytes::from(object.to_string()))).unwrap()).await;
        assert!(answer.status().is_success() || answer.status() == 409, "{path}: {}", answer.status());
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let target = request.uri().path_and_query().unwrap().to_string();
        let forbidden = self.state.lock().unwrap().forbidden.clone();
        if let Some((_, why)) = forbidden.iter().find(|(start, _)| path.starts_with(start)) {
            return status(403, "Forbidden", why);
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts[..] {
            ["api", "v1", "pods"] => self.pods(None, &target),
            ["api", "v1", "namespaces", namespace, "pods"] => self.pods(Some(namespace), &target),
            ["api", "v1", "namespaces", _, "services"] => full(
                200,
                json!({ "kind": "List", "items": [
                { "metadata": { "name": "router" }, "spec": { "selector": { "svc": "router" },
                  "ports": [{ "port": 80, "targetPort": 7777 }] } },
            ] }),
            ),
            ["api", "v1", "namespaces", _, "pods", _, "log"] => {
                let mut state = self.state.lock().unwrap();
                state.logs_asked.push(target);
                text(200, state.log.clone())
            }
            ["api", "v1", "namespaces", _, "pods", pod, "portforward"] => {
                let port = target.split("ports=").nth(1).and_then(|port| port.parse().ok()).unwrap();
                self.forward(&mut request, pod.to_owned(), port)
            }
            ["v1", "archive"] if self.state.lock().unwrap().fronted => {
                self.service("front", request.map(BodyExt::boxed)).await
            }
            _ => {
                let (parts, body) = self.api.handle(request).await.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                Response::from_parts(parts, Full::new(bytes).boxed())
            }
        }
    }

    fn pods(&self, namespace: Option<&str>, target: &str) -> Answer {
        let selector = target.split("labelSelector=").nth(1).unwrap_or_default().split('&').next().unwrap_or_default();
        let selector = selector.replace("%3D", "=").replace("%2C", ",").replace("%28", "(").replace("%29", ")");
        let selector = selector.replace('+', " ").replace("%20", " ");
        let state = self.state.lock().unwrap();
        let items: Vec<&Value> = state
            .pods
            .iter()
            .filter(|pod| namespace.is_none_or(|namespace| pod["metadata"]["namespace"] == namespace))
            .filter(|pod| selects(&selector, &pod["metadata"]["labels"]))
            .collect();
        full(200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }))
    }

    /// The API server's side of a port-forward: frames of two channels, data and error, each begun by the port.
    fn forward(&self, request: &mut Request<Incoming>, pod: String, port: u16) -> Answer {
        let key = request.headers()[header::SEC_WEBSOCKET_KEY].as_bytes();
        let accept = derive_accept_key(key);
        let upgrade = hyper::upgrade::on(request);
        let cluster = self.clone();
        tokio::spawn(async move {
            let stream = TokioIo::new(upgrade.await.unwrap());
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            for channel in [0, 1] {
                let [low, high] = port.to_le_bytes();
                socket.send(Message::binary(vec![channel, low, high])).await.unwrap();
            }
            let (near, far) = tokio::io::duplex(1 << 20);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (cluster, place) = (cluster.clone(), format!("{pod}:{port}"));
                    async move { Ok::<_, Infallible>(cluster.service(&place, request.map(BodyExt::boxed)).await) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(far), service).await;
            });
            let (mut read, mut write) = tokio::io::split(near);
            let mut chunk = vec![0; 1 << 16];
            loop {
                tokio::select! {
                    message = socket.next() => match message {
                        Some(Ok(Message::Binary(bytes))) if bytes.len() > 1 => write.write_all(&bytes[1..]).await.unwrap(),
                        Some(Ok(_)) => {}
                        _ => break,
                    },
                    size = read.read(&mut chunk) => match size {
                        Ok(size) if size > 0 => {
                            let frame: Vec<u8> = std::iter::once(0).chain(chunk[..size].iter().copied()).collect();
                            if socket.send(Message::binary(frame)).await.is_err() {
                                break;
                            }
                        }
                        _ => {
                            let _ = socket.close(None).await;
                            break;
                        }
                    },
                }
            }
        });
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let answer = answer.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket");
        let answer = answer.header(header::SEC_WEBSOCKET_ACCEPT, accept);
        let answer = answer.header(header::SEC_WEBSOCKET_PROTOCOL, "v4.channel.k8s.io");
        answer.body(Full::default().boxed()).unwrap()
    }

    /// What listens in the pods: a router, its internal listener, and the storage service.
    async fn service(&self, place: &str, request: Request<BoxBody<Bytes, hyper::Error>>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let target = parts.uri.path_and_query().unwrap().to_string();
        self.state.lock().unwrap().reached.push(format!("{place} {} {target}", parts.method));
        let channel = match place {
            "router-1:8889" => signing::ROUTER_INTERNAL,
            "storagesvc-1:8000" => signing::STORAGE,
            "router-1:7777" if target == "/_version" => return full(200, json!({ "Build": { "Version": "1.2.3" } })),
            "router-1:7777" => return text(200, "ok".to_owned()),
            _ => "",
        };
        if !channel.is_empty() {
            let value = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let keys = [signing::Key::derive(SECRET.as_bytes(), channel, None)];
            let (timestamp, signature) = (value(signing::TIMESTAMP_HEADER), value(signing::SIGNATURE_HEADER));
            let now = jiff::Timestamp::now().as_second();
            if signing::verify(&keys, parts.method.as_str(), &target, &body, timestamp, signature, now).is_err() {
                return text(401, String::new());
            }
        }
        if channel == signing::ROUTER_INTERNAL {
            return text(200, format!("called {target} with {}", String::from_utf8_lossy(&body)));
        }
        self.storage(&parts.method, &target, &body)
    }

    fn storage(&self, method: &http::Method, target: &str, body: &[u8]) -> Answer {
        let archives = &mut self.state.lock().unwrap().archives;
        let id = target.split("id=").nth(1).and_then(|id| id.parse::<usize>().ok());
        match (method.as_str(), id) {
            ("POST", _) => {
                let start = body.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
                let end = body.windows(4).rposition(|bytes| bytes == b"\r\n--").unwrap();
                archives.push(body[start..end].to_vec());
                full(200, json!({ "id": (archives.len() - 1).to_string() }))
            }
            ("GET", Some(id)) => match archives.get(id) {
                Some(bytes) => Response::new(Full::new(Bytes::from(bytes.clone())).boxed()),
                None => text(404, "not found".to_owned()),
            },
            ("GET", None) => full(200, (0..archives.len()).map(|id| json!(id.to_string())).collect()),
            _ => text(405, String::new()),
        }
    }
}

fn selects(selector: &str, labels: &Value) -> bool {
    if let Some((key, set)) = selector.split_once(" in (") {
        return labels[key].as_str().is_some_and(|value| set.trim_end_matches(')').split(',').any(|one| one == value));
    }
    selector.split(',').filter(|term| !term.is_empty()).all(|term| match term.split_once('=') {
        Some((key, value)) => labels[key] == value,
        None => labels[term].is_string(),
    })
}

fn full(code: u16, value: Value) -> Answer {
    text(code, value.to_string())
}

fn text(code: u16, text: String) -> Answer {
    Response::builder().status(code).body(Full::new(Bytes::from(text)).boxed()).unwrap()
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    full(
        code,
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code,
        }),
    )
}
