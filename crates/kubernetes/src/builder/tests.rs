//! A build's way through a pod whose two services are played here.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use fission_api::Package;
use fission_rpc::signed::Verifier;
use fission_rpc::signing::Key;
use serde_json::{Value, json};

use super::*;

const KEY: &[u8] = b"key";

#[derive(Default)]
struct Printed(Mutex<String>);

impl BuildLog for Printed {
    fn append(&self, bytes: &[u8]) {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
    }
}

/// What was asked of a pod, one line each.
type Asked = Arc<Mutex<Vec<String>>>;

async fn serve(router: Router) -> Place {
    let router = Verifier::new(vec![Key::from_bytes(KEY)], 1 << 20).protect(router);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Place { address, key: Key::from_bytes(KEY) }
}

/// A pod whose builder answers this.
async fn pod(asked: &Asked, build: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Talk {
    let note = |asked: &Asked, what: &str, body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let name = body["filename"].as_str().or(body["srcPkgFilename"].as_str()).unwrap_or_default().to_owned();
        let rest = ["command", "archivepackage"].map(|key| body[key].to_string()).join(" ");
        asked.lock().unwrap().push(format!("{what} {name} {rest}"));
    };
    let (fetched, uploaded, built, cleaned) = (asked.clone(), asked.clone(), asked.clone(), asked.clone());
    let busy = Arc::new(AtomicUsize::new(0));
    let fetcher = Router::new()
        .route(
            "/fetch",
            post(move |body: Bytes| async move {
                // A pod that has just become ready may not be.
                if busy.fetch_add(1, Ordering::SeqCst) == 0 {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                note(&fetched, "fetch", &body);
                StatusCode::OK
            }),
        )
        .route(
            "/upload",
            post(move |body: Bytes| async move {
                note(&uploaded, "upload", &body);
                json!({ "archiveDownloadUrl": "http://storagesvc.fission/v1/archive?id=x",
                "checksum": { "type": "sha256", "sum": "00" }, "notes": ["left out a"] })
                .to_string()
            }),
        );
    let builder = Router::new()
        .route(
            "/",
            post(move |body: Bytes| async move {
                note(&built, "build", &body);
                build()
            }),
        )
        .route(
            "/clean",
            delete(move |request: Request| async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                cleaned.lock().unwrap().push(format!("clean {query}"));
            }),
        );
    Talk { http: talk::client().unwrap(), fetcher: serve(fetcher).await, builder: serve(builder).await }
}

fn job() -> FarJob {
    let mut package = Package::new("code", Default::default());
    package.metadata.namespace = Some("team".into());
    let environment = Arc::new(super::pod::tests::environment(json!({ "image": "b" })));
    FarJob { package, environment, command: vec!["./build.sh".into(), "--fast".into()] }
}

fn lines(lines: &[Value]) -> Response {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    ([("content-type", "application/x-ndjson")], text).into_response()
}

/// Builds, and waits until the pod was cleaned.
async fn build(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (Result<Archive, BuildError>, String, Vec<String>) {
    let (asked, log) = (Asked::default(), Printed::default());
    let talk = pod(&asked, answer).await;
    let built = run(&job(), &talk, &crate::template::tests::options(), &log).await;
    while !asked.lock().unwrap().iter().any(|one| one.starts_with("clean")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = asked.lock().unwrap().clone();
    (built, log.0.into_inner().unwrap(), asked)
}

#[tokio::test]
async fn a_build_is_fetched_built_stored_and_cleaned_in_this_order() {
    let (built, log, asked) = build(|| {
        lines(&[
            json!({ "log": "one\n" }),
            json!({ "log": "" }),
            json!({ "artifactFilename": "made", "buildLogs": "one\n" }),
        ])
    })
    .await;
    let archive = built.unwrap();
    assert_eq!((archive.kind.as_str(), archive.checksum.sum.as_str()), ("url", "00"));
    assert_eq!(log, "one\nleft out a\n");
    let name = asked[0].split(' ').nth(1).unwrap().to_owned();
    assert!(name.starts_with("code-") && name.len() == "code-".len() + 6, "{name}");
    let expected = [
        format!("fetch {name} null null"),
        format!("build {name} \"./build.sh --fast\" null"),
        "upload made null true".to_owned(),
        format!("clean name={name}"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_builder_of_fissions_own_gives_its_log_at_the_end() {
    let answer = json!({ "artifactFilename": "made", "buildLogs": "all of it\n" }).to_string();
    let (built, log, _) = build(move || answer.clone().into_response()).await;
    assert!(built.is_ok() && log.starts_with("all of it\n"), "{built:?} {log}");
}

#[tokio::test]
async fn a_build_that_fails_is_the_sources_fault_and_one_that_breaks_off_is_not() {
    let failing = json!({ "artifactFilename": "", "buildLogs": "text\nthe build command exited with code 3\n" });
    let why = "the build command exited with code 3";
    let told = failing.clone();
    let (built, ..) = build(move || (StatusCode::INTERNAL_SERVER_ERROR, told.to_string()).into_response()).await;
    assert_eq!(built, Err(BuildError::Failed { why: why.into() }));
    let (built, log, asked) =
        build(move || lines(&[json!({ "log": "a" }), json!({ "artifactFilename": "", "error": why })])).await;
    assert_eq!((built, log.as_str()), (Err(BuildError::Failed { why: why.into() }), "a"));
    assert!(!asked.iter().any(|one| one.starts_with("upload")));
    let (built, ..) = build(|| lines(&[json!({ "log": "a" })])).await;
    assert!(matches!(built, Err(BuildError::Interrupted { .. })), "{built:?}");
    let (built, ..) = build(|| (StatusCode::BAD_GATEWAY, "proxy").into_response()).await;
    assert!(matches!(built, Err(BuildError::Interrupted { .. })), "{built:?}");
}
