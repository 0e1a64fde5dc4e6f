//! A controller before servers that only say what they were asked.

use std::sync::Mutex;

use axum::Json;
use axum::routing::any;
use fission_rpc::signed::Verifier;
use fission_rpc::signing;
use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ALICE: &str = "alice-may-use-namespace-a";
const ADMIN: &str = "admin-may-do-everything";

/// A request as a server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: String,
    headers: http::HeaderMap,
    body: usize,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    async fn take(&self, request: Request<Body>) -> (Seen, Vec<u8>) {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let seen = Seen { method: parts.method, uri: parts.uri.to_string(), headers: parts.headers, body: body.len() };
        self.0.lock().unwrap().push(seen.clone());
        (seen, body)
    }
}

struct World {
    address: std::net::SocketAddr,
    api: Log,
    storage: Log,
    internal: Log,
    logs: Log,
    end: CancellationToken,
}

async fn listening(router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A cluster in which alice may use packages, functions and logs of namespace `a`, with one function in it.
async fn cluster(State(log): State<Log>, request: Request<Body>) -> Response<Body> {
    if request.headers().get("upgrade").is_some() {
        return echoing(request);
    }
    let (seen, body) = log.take(request).await;
    let token = seen.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = |code: u16, value: Value| Response::builder().status(code).body(Body::from(value.to_string())).unwrap();
    let (alice, admin) = (token == format!("Bearer {ALICE}"), token == format!("Bearer {ADMIN}"));
    if !alice && !admin {
        return json(401, json!({ "kind": "Status", "code": 401 }));
    }
    if seen.uri.ends_with("/selfsubjectaccessreviews") {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let of = &asked["spec"]["resourceAttributes"];
        return json(201, json!({ "status": { "allowed": admin || of["namespace"] == "a" } }));
    }
    if let Some(rest) = seen.uri.strip_prefix("/apis/fission.io/v1/namespaces/") {
        let may = admin || rest.starts_with("a/");
        let code = if !may {
            403
        } else if rest == "a/functions/hello" {
            200
        } else {
            404
        };
        return json(code, json!({}));
    }
    json(200, json!({ "uri": seen.uri, "body": body.len() }))
}

/// What `kubectl port-forward` does to a connection.
fn echoing(mut request: Request<Body>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = hyper_util::rt::TokioIo::new(upgraded.await.unwrap());
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
    });
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    headers
        .iter()
        .fold(Response::builder().status(101), |it, (key, value)| it.header(*key, *value))
        .body(Body::empty())
        .unwrap()
}

/// A service of the platform: it refuses what is not signed.
async fn service(channel: &'static str, log: Log) -> String {
    let secret = secret();
    let verifier = Verifier::new(secret.keys(channel, None), 1 << 30);
    let verifier = verifier.with_tenants(move |namespace| secret.keys(channel, Some(namespace)));
    let answer = async |State(log): State<Log>, request: Request<Body>| {
        let (seen, _) = log.take(request).await;
        Json(json!([seen.uri]))
    };
    listening(verifier.protect(Router::new().fallback(any(answer)).with_state(log))).await
}

fn secret() -> InternalSecret {
    InternalSecret { current: b"test-master".to_vec(), old: None }
}

async fn world() -> World {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let [api, storage, internal, logs] = <[Log; 4]>::default();
    let config =
        kube::Config::new(listening(Router::new().fallback(cluster).with_state(api.clone())).await.parse().unwrap());
    let upstream = Upstream::cluster(&config).unwrap();
    let services = Services {
        storage: Upstream::plain(&service(signing::STORAGE, storage.clone()).await).unwrap(),
        internal: Upstream::plain(&service(signing::ROUTER_INTERNAL, internal.clone()).await).unwrap(),
        // Nothing listens there.
        router: Upstream::plain("http://127.0.0.1:1").unwrap(),
        logs: Upstream::plain(&service(signing::LOGS, logs.clone()).await).unwrap(),
    };
    let controller = Controller {
        access: Access::new(upstream.clone()),
        api: upstream,
        services,
        secret: secret(),
        namespaces: watch::Sender::new(Namespaces::these(["default", "a"])).subscribe(),
        default_namespace: "default".into(),
        max_archive_body: 1 << 20,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, end) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = Router::new().fallback(answer).with_state(Arc::new(controller));
    let open = |stream| async { Ok(stream) };
    tokio::spawn(connections::serve(listener, open, router, end.clone(), Duration::from_secs(1)));
    World { address, api, storage, internal, logs, end }
}

impl World {
    async fn ask(&self, method: Method, path: &str, token: &str, body: Vec<u8>) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("http://{}{path}", self.address)).body(body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        self.ask(Method::GET, path, token, Vec::new()).await
    }
}

#[tokio::test]
async fn the_api_is_asked_with_the_token_of_the_caller_and_no_other() {
    let world = world().await;
    let (code, answer) = world.get("/apis/fission.io/v1/functions?watch=true&limit=5", ALICE).await;
    assert_eq!(
        (code, answer.as_str()),
        (200, r#"{"body":0,"uri":"/apis/fission.io/v1/functions?watch=true&limit=5"}"#)
    );
    let (code, _) = world.get("/apis/fission.io/v1/functions", "nobody").await;
    assert_eq!(code, 401);
    let tokens: Vec<String> =
        world.api.all().iter().map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned()).collect();
    assert_eq!(tokens, [format!("Bearer {ALICE}"), "Bearer nobody".to_owned()]);
}

#[tokio::test]
async fn without_a_token_the_answer_says_how_to_get_one() {
    let world = world().await;
    for path in ["/apis/fission.io/v1/functions", "/v1/archive", "/fission-function/hello", "/_version"] {
        let (code, answer) = world.get(path, "").await;
        let status: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (code, status["kind"].as_str(), status["code"].as_u64()),
            (401, Some("Status"), Some(401)),
            "{path}"
        );
        assert!(status["message"].as_str().unwrap().contains("kubectl create token"), "{answer}");
    }
    assert!(world.api.all().is_empty());
}

#[tokio::test]
async fn what_the_command_line_does_not_need_is_not_passed_on() {
    let world = world().await;
    let (code, answer) = world.get("/api/v1/nodes", ADMIN).await;
    assert_eq!(code, 403);
    assert!(answer.contains("/api/v1/nodes") && answer.contains("\"Status\""), "{answer}");
    assert!(world.api.all().is_empty());
}

#[tokio::test]
async fn a_connection_that_becomes_something_else_stays_one() {
    let world = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "GET /api/v1/namespaces/a/pods/p/portforward?ports=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nAuthorization: Bearer {ALICE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
    assert!(answer.starts_with("http/1.1 101") && answer.contains("upgrade: websocket"), "{answer}");
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

#[tokio::test]
async fn archives_are_for_those_who_may_use_packages_and_are_signed_as_their_namespaces() {
    let world = world().await;
    let (code, answer) = world.get("/v1/archive?id=x&namespace=b", ALICE).await;
    assert_eq!(code, 403);
    assert!(answer.contains("packages.fission.io") && answer.contains("\\\"b\\\""), "{answer}");
    assert!(world.storage.all().is_empty());

    let large = vec![7; 600_000];
    let (code, answer) = world.ask(Method::POST, "/v1/archive?namespace=a", ALICE, large).await;
    assert_eq!((code, answer.as_str()), (200, r#"["/v1/archive?namespace=a"]"#));
    let seen = world.storage.all().remove(0);
    assert_eq!((seen.method, seen.body), (Method::POST, 600_000));
    assert!(!seen.headers.contains_key("authorization"), "the token is the cluster's business only");
    assert_eq!(seen.headers[signing::NAMESPACE_HEADER], "a");

    let (code, _) = world.ask(Method::POST, "/v1/archive?namespace=a", ALICE, vec![7; (1 << 20) + 1]).await;
    assert_eq!(code, 413);
}

#[tokio::test]
async fn who_names_no_namespace_is_taken_for_one_where_it_may() {
    let world = world().await;
    for (method, path, token, tenant) in [
        (Method::GET, "/v1/archive", ALICE, Some("a")),
        (Method::DELETE, "/v1/archive?id=x", ALICE, Some("a")),
        (Method::POST, "/v1/archive", ALICE, Some("a")),
        (Method::GET, "/v1/archive", ADMIN, None),
        (Method::GET, "/v1/archive?namespace=b", ADMIN, None),
        (Method::POST, "/v1/archive?namespace=b", ADMIN, Some("b")),
        (Method::POST, "/v1/archive", ADMIN, None),
        (Method::GET, "/v1/archive?id=fission-functions%2F_tenant_%2Fb%2F1", ADMIN, Some("b")),
    ] {
        let (code, answer) = world.ask(method.clone(), path, token, Vec::new()).await;
        assert_eq!(code, 200, "{answer}");
        let seen = world.storage.all().pop().unwrap();
        let signed_as = seen.headers.get(signing::NAMESPACE_HEADER).map(|value| value.to_str().unwrap());
        assert_eq!(signed_as, tenant, "{method} {path} {token}");
    }
    let (code, _) = world.get("/v1/archive?id=fission-functions%2F_tenant_%2Fb%2F1", ALICE).await;
    assert_eq!(code, 403, "the id names another's namespace");
    let (code, _) = world.get("/v1/archive", "nobody").await;
    assert_eq!(code, 401);
}

#[tokio::test]
async fn functions_are_called_by_those_who_may_see_them_and_under_one_reading_of_the_path() {
    let world = world().await;
    for (token, path, code, called) in [
        (ALICE, "/fission-function/a/hello/sub?x=1", 200, Some("/fission-function/a/hello/sub?x=1")),
        (ALICE, "/fission-function/a/other", 403, None),
        (ALICE, "/fission-function/b/hello", 403, None),
        (ALICE, "/fission-function/hello", 403, None),
        (ADMIN, "/fission-function/hello/sub%2Fx", 200, Some("/fission-function/default/hello/sub%2Fx")),
        (ADMIN, "/fission-function/b/hello", 200, Some("/fission-function/default/b/hello")),
        (ADMIN, "/fission-function/..%2Fx", 404, None),
        ("nobody", "/fission-function/hello", 401, None),
    ] {
        let before = world.internal.all().len();
        let (answered, said) = world.get(path, token).await;
        assert_eq!(answered, code, "{path}: {said}");
        let seen = world.internal.all();
        assert_eq!(seen.get(before).map(|seen| seen.uri.as_str()), called, "{path}");
    }
}

#[tokio::test]
async fn logs_are_for_those_who_may_read_pods_logs() {
    let world = world().await;
    let (code, _) = world.get("/fission/v1/logs?namespace=a&function=hello", ALICE).await;
    assert_eq!((code, world.logs.all().len()), (200, 1));
    let (code, answer) = world.get("/fission/v1/logs?function=hello", ALICE).await;
    assert_eq!(code, 403);
    assert!(answer.contains("pods/log in all namespaces"), "{answer}");
}

#[tokio::test]
async fn the_cluster_is_asked_once_for_several_requests() {
    let world = world().await;
    for _ in 0..5 {
        world.get("/fission/v1/logs?namespace=a", ALICE).await;
    }
    assert_eq!(world.api.all().len(), 1);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let world = world().await;
    let (code, answer) = world.get("/_version", ALICE).await;
    assert_eq!(code, 502);
    assert!(answer.contains("the router of the platform: 127.0.0.1:1"), "{answer}");
    world.end.cancel();
}
