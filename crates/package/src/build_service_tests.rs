//! Builds with real scripts, and what a request may not do.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// Through `sh`: a file that was just written cannot be started while another test's process is being forked, which
/// holds it open for a moment.
const COMMAND: &str = "sh build.sh";

struct World {
    dir: tempfile::TempDir,
    service: BuildService,
}

fn world() -> World {
    world_with(Duration::from_secs(30))
}

fn world_with(timeout: Duration) -> World {
    let dir = tempfile::tempdir().unwrap();
    let hidden = vec!["CARGO_PKG_NAME".to_owned()];
    let options = Options { shared_dir: dir.path().to_owned(), timeout, hidden, version: "1".into() };
    World { service: BuildService::new(options).unwrap(), dir }
}

impl World {
    /// A source folder with a script `build.sh`.
    fn source(&self, name: &str, script: &str) {
        let folder = self.dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("build.sh"), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(folder.join("build.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn call(&self, method: Method, uri: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(uri).body(Body::from(body.to_owned())).unwrap();
        let response = self.service.http().oneshot(request).await.unwrap();
        let (status, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn build(&self, name: &str) -> (u16, Value) {
        let body = json!({ "srcPkgFilename": name, "command": COMMAND }).to_string();
        self.call(Method::POST, "/", &body).await
    }

    fn left(&self) -> usize {
        std::fs::read_dir(self.dir.path()).unwrap().count()
    }
}

#[tokio::test]
async fn a_source_is_built_and_everything_of_it_is_cleaned() {
    let world = world();
    world.source(
        "src-abc",
        "echo in $PWD of $SRC_PKG${CARGO_PKG_NAME}; umask 077; mkdir $DEPLOY_PKG; echo made >$DEPLOY_PKG/made; chmod 500 $DEPLOY_PKG",
    );
    let (status, answer) = world.build("src-abc").await;
    let artifact = answer["artifactFilename"].as_str().unwrap();
    let place = world.dir.path().canonicalize().unwrap().join("src-abc").display().to_string();
    assert_eq!((status, answer["buildLogs"].as_str().unwrap()), (200, &*format!("in {place} of {place}\n")));
    assert!(artifact.starts_with("src-abc-") && artifact.len() == "src-abc-".len() + SUFFIX, "{artifact}");
    let made = world.dir.path().join(artifact).join("made");
    assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o644, "the fetcher is another user");
    assert_eq!(world.call(Method::DELETE, "/clean?name=src-abc", "").await.0, 200);
    assert_eq!(world.left(), 0);
    assert_eq!(world.call(Method::DELETE, "/clean?name=src-abc", "").await.0, 200, "what is gone is clean");
}

#[tokio::test]
async fn any_amount_of_output_on_both_pipes_and_any_line_stops_no_build() {
    let world = world();
    let script = "head -c 400000 /dev/zero | tr '\\0' e >&2; head -c 400000 /dev/zero | tr '\\0' o; : >$DEPLOY_PKG";
    world.source("s", script);
    let (status, answer) = world.build("s").await;
    let log = answer["buildLogs"].as_str().unwrap();
    assert!(status == 200 && log.len() < 300_000 && log.contains("bytes are left out here"), "{status} {}", log.len());
}

#[tokio::test]
async fn a_build_that_fails_says_how_and_keeps_its_log() {
    let world = world();
    for (name, script, why) in [
        ("a", "echo text; exit 3", "exited with code 3"),
        ("b", "echo text; no-such-program", "a program it needs is not there"),
        ("c", "echo text", "DEPLOY_PKG"),
        ("d", "echo text; kill -9 $$", "memory limit"),
    ] {
        world.source(name, script);
        let (status, answer) = world.build(name).await;
        let log = answer["buildLogs"].as_str().unwrap();
        assert!(status == 500 && log.contains("text\n") && log.contains(why), "{status} {log}");
        assert_eq!(answer["artifactFilename"], "");
    }
    let body = json!({ "srcPkgFilename": "a", "command": "./missing.sh" }).to_string();
    let (status, answer) = world.call(Method::POST, "/", &body).await;
    assert!(status == 500 && answer["buildLogs"].as_str().unwrap().contains("No such file"), "{answer}");
}

#[tokio::test]
async fn a_build_takes_no_longer_than_it_may_and_leaves_no_process() {
    let world = world_with(Duration::from_millis(300));
    world.source("s", "echo $$ >$SRC_PKG/pid; sleep 60 & sleep 61; touch $DEPLOY_PKG");
    let (status, answer) = world.build("s").await;
    assert!(status == 500 && answer["buildLogs"].as_str().unwrap().contains("BUILD_TIMEOUT"), "{answer}");
    gone(&world.dir.path().join("s/pid")).await;
}

/// Waits until no process of the group whose number is in a file is left.
async fn gone(pid: &std::path::Path) {
    let group: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let group = rustix::process::Pid::from_raw(group).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while rustix::process::test_kill_process_group(group).is_ok() {
        assert!(Instant::now() < deadline, "a process is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_build_ends_when_its_client_goes_away() {
    for accept in ["application/json", LINES] {
        let world = world();
        world.source("s", "echo $$ >$SRC_PKG/pid; sleep 60; touch $DEPLOY_PKG");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = world.service.http();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let body = json!({ "srcPkgFilename": "s", "command": COMMAND }).to_string();
        let request = reqwest::Client::new().post(&url).header("accept", accept).body(body);
        let asking = tokio::spawn(async move { request.send().await?.bytes().await });
        let pid = world.dir.path().join("s/pid");
        while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        asking.abort();
        gone(&pid).await;
    }
}

#[tokio::test]
async fn what_a_build_prints_is_told_while_it_runs_to_who_asks_for_lines() {
    let world = world();
    let script = "echo first; while ! test -e $SRC_PKG/go; do sleep 0.01; done; echo second; touch $DEPLOY_PKG";
    world.source("s", script);
    let body = json!({ "srcPkgFilename": "s", "command": COMMAND }).to_string();
    let request = Request::post("/").header("accept", LINES).body(Body::from(body)).unwrap();
    let response = world.service.http().oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let mut lines = Vec::new();
    while let Some(frame) = body.frame().await {
        let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        if lines.iter().any(|line| line["log"] == "first\n") {
            std::fs::write(world.dir.path().join("s/go"), "").unwrap();
        }
    }
    let last = lines.pop().unwrap();
    assert_eq!((last["error"].clone(), last["buildLogs"].clone()), (Value::Null, json!("first\nsecond\n")));
    assert!(last["artifactFilename"].as_str().unwrap().starts_with("s-"));
    let told: String = lines.iter().map(|line| line["log"].as_str().unwrap()).collect();
    assert_eq!(told, "first\nsecond\n");
}

#[tokio::test]
async fn requests_that_lead_out_of_the_directory_or_to_a_shell_are_refused() {
    let world = world();
    world.source("s", "touch $DEPLOY_PKG");
    std::os::unix::fs::symlink("/", world.dir.path().join("link")).unwrap();
    for (body, status) in [
        ("no json".to_owned(), 400),
        (json!({ "srcPkgFilename": "../etc", "command": "x" }).to_string(), 400),
        (json!({ "srcPkgFilename": "/etc", "command": "x" }).to_string(), 400),
        (json!({ "srcPkgFilename": "s/..", "command": "x" }).to_string(), 400),
        (json!({ "srcPkgFilename": "", "command": "x" }).to_string(), 400),
        (json!({ "srcPkgFilename": "s", "command": "a; b" }).to_string(), 400),
        (json!({ "srcPkgFilename": "s", "command": "a $(b)" }).to_string(), 400),
        (json!({ "srcPkgFilename": "link", "command": "x" }).to_string(), 500),
        (json!({ "srcPkgFilename": "gone", "command": "x" }).to_string(), 500),
    ] {
        let (got, answer) = world.call(Method::POST, "/", &body).await;
        assert!(got == status && answer["artifactFilename"] == "", "{body}: {got} {answer}");
    }
    for (method, uri) in [(Method::GET, "/"), (Method::POST, "/clean?name=s")] {
        let (got, answer) = world.call(method, uri, "").await;
        assert!(got == 405 && answer["buildLogs"].is_string(), "{uri}: {got} {answer}");
    }
    assert_eq!(world.call(Method::DELETE, "/clean?name=../x", "").await.0, 400);
    assert_eq!(
        world.call(Method::GET, "/version", "").await,
        (200, json!({ "GitCommit": "", "BuildDate": "", "Version": "1" }))
    );
    assert_eq!(world.call(Method::GET, "/healthz", "").await.0, 200);
    assert!(world.dir.path().join("s").exists());
}
