//! A pod's sidecar, with an environment that notes what it is told.

use std::sync::Mutex;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use fission_rpc::code::Code;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

struct Files(PathBuf);

#[async_trait]
impl CodeSource for Files {
    async fn code(&self, package: &Package, _: bool) -> Result<Code, CodeError> {
        assert!(package.spec.deployment.literal.is_some(), "the archive came with the request");
        Ok(Code { path: self.0.clone(), digest: String::new() })
    }
}

struct World {
    dir: tempfile::TempDir,
    fetcher: Fetcher,
    told: Arc<Mutex<Vec<Value>>>,
}

/// A sidecar whose environment answers with this status and text.
async fn world(status: u16, text: &'static str) -> World {
    let dir = tempfile::tempdir().unwrap();
    for name in ["userfunc", "secrets", "configs"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("code"), "module.exports = 1").unwrap();
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = told.clone();
    let answer = move |Json(body): Json<Value>| {
        noted.lock().unwrap().push(body);
        async move { (StatusCode::from_u16(status).unwrap(), text) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v2/specialize", post(answer))).await });
    let places = Places {
        userfunc: dir.path().join("userfunc"),
        secrets: dir.path().join("secrets"),
        configs: dir.path().join("configs"),
        environment,
    };
    let nobody = tower::service_fn(|_: Request<kube::client::Body>| async {
        Err::<http::Response<Body>, _>(std::io::Error::other("no API server is needed"))
    });
    let code = Arc::new(Files(dir.path().join("code")));
    World { fetcher: Fetcher::new(Client::new(nobody, "default"), code, places).unwrap(), dir, told }
}

fn request(filename: &str) -> Value {
    json!({
        "FetchReq": { "fetchType": 1, "package": { "name": "p", "namespace": "default" }, "filename": filename,
            "archive": { "type": "literal", "literal": "eA==" } },
        "LoadReq": { "filepath": format!("/userfunc/{filename}"), "functionName": "a.b", "url": "",
            "FunctionMetadata": { "name": "hello" }, "envVersion": 3 },
    })
}

async fn post_to(fetcher: &Fetcher, body: &Value) -> (u16, Option<String>, String) {
    let request = Request::post("/specialize").header("content-type", "application/json");
    let response = fetcher.http().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let component = response.headers().get(COMPONENT).map(|who| who.to_str().unwrap().to_owned());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, component, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn is_ready(fetcher: &Fetcher) -> bool {
    let request = Request::get("/readiness-healthz").body(Body::empty()).unwrap();
    fetcher.http().oneshot(request).await.unwrap().status().is_success()
}

#[tokio::test]
async fn code_is_put_in_its_place_and_the_environment_told_where_it_is() {
    let world = world(202, "").await;
    assert!(!is_ready(&world.fetcher).await);
    assert_eq!(post_to(&world.fetcher, &request("deployarchive")).await.0, 200);
    let code = std::fs::read_to_string(world.dir.path().join("userfunc/deployarchive")).unwrap();
    assert_eq!(code, "module.exports = 1");
    let told = world.told.lock().unwrap()[0].clone();
    assert_eq!((&told["filepath"], &told["functionName"]), (&json!("/userfunc/deployarchive"), &json!("a.b")));
    assert_eq!(told["FunctionMetadata"]["name"], "hello");
    assert!(is_ready(&world.fetcher).await);
}

#[tokio::test]
async fn what_an_environment_refuses_is_relayed_with_its_status_and_whose_it_is() {
    let world = world(500, "SyntaxError: line 1").await;
    let answer = post_to(&world.fetcher, &request("deployarchive")).await;
    assert_eq!(answer, (500, Some("function".into()), "SyntaxError: line 1".into()));
    assert!(!is_ready(&world.fetcher).await, "a pod that has not loaded its function gets no requests");
}

#[tokio::test]
async fn a_name_outside_of_the_shared_directory_is_refused() {
    let world = world(200, "").await;
    let (status, component, text) = post_to(&world.fetcher, &request("../code")).await;
    assert_eq!((status, component.as_deref()), (400, Some("fetcher")), "{text}");
    assert!(world.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_pod_loads_one_function_and_whoever_asks_for_another_is_refused() {
    let world = world(202, "").await;
    let of = |uid: &str| {
        let mut request = request("deployarchive");
        request["LoadReq"]["FunctionMetadata"] = json!({ "name": "hello", "uid": uid, "generation": 1 });
        request
    };
    assert_eq!(post_to(&world.fetcher, &of("one")).await.0, 200);
    assert_eq!(post_to(&world.fetcher, &of("one")).await.0, 200, "who asks twice has it");
    let (status, component, text) = post_to(&world.fetcher, &of("other")).await;
    assert_eq!((status, component.as_deref()), (409, Some("fetcher")), "{text}");
    assert_eq!(world.told.lock().unwrap().len(), 1, "the environment is told once");
}

#[tokio::test]
async fn a_generic_pod_is_ready_when_its_environment_listens_and_not_before() {
    let world = world(200, "").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = listener.local_addr().unwrap().to_string();
    drop(listener);
    let inner = &world.fetcher.inner;
    let places = Places { environment: environment.clone(), ..inner.places.clone() };
    let fetcher = Fetcher::new(inner.client.clone(), inner.code.clone(), places).unwrap();
    let waiting = tokio::spawn({
        let fetcher = fetcher.clone();
        async move { fetcher.environment_listens().await }
    });
    tokio::task::yield_now().await;
    assert!(!is_ready(&fetcher).await);
    let _listening = tokio::net::TcpListener::bind(environment).await.unwrap();
    waiting.await.unwrap();
    assert!(is_ready(&fetcher).await);
}
