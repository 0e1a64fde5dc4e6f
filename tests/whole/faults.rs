//! Bad input and bad luck: each is refused or survived, and says what happened.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{Platform, eventually};

/// Deploys a function and gives the status and text of its first answer.
async fn first_answer(platform: &Platform, name: &str, source: &str) -> (u16, String) {
    platform.deploy("fission/node-env", name, &format!("{name}.js"), source);
    platform.get(&format!("/{name}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_reaches_the_user() {
    let platform = Platform::start();
    let (status, body) = first_answer(&platform, "bad", "module.exports = async () => { return { status: 200, ").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("SyntaxError"), "{body}");
    assert!(body.contains("specialization_failed"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_throws_answers_500_and_lives_on() {
    let platform = Platform::start();
    let source = "let n = 0; module.exports = async () => { if (n++ === 0) throw new Error('boom'); return { status: 200, body: 'ok' }; };";
    assert_eq!(first_answer(&platform, "moody", source).await.0, 500);
    assert_eq!(platform.get("/moody").await, (200, "ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_exits_is_reported_and_replaced() {
    let platform = Platform::start();
    let source = "module.exports = async (c) => { if (c.request.query.die) process.exit(3); return { status: 200, body: 'ok' }; };";
    assert_eq!(first_answer(&platform, "frail", source).await, (200, "ok".into()));
    let (status, body) = platform.get("/frail?die=1").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("function_error"), "{body}");
    assert_eq!(platform.get("/frail").await, (200, "ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_hangs_is_cut_at_its_timeout() {
    let platform = Platform::start();
    let path = platform.source("hang.js", "module.exports = () => new Promise(() => {});");
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    platform.ok(&["function", "create", "--name", "hang", "--env", "node", "--code", &path, "--fntimeout", "1"]);
    platform.route("hang");
    let (status, body) = platform.get("/hang").await;
    assert_eq!(status, 504, "{body}");
    assert!(body.contains("functionTimeout"), "the refusal names the limit: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_first_requests_share_five_instances() {
    let platform = Platform::start();
    let path = platform.source("few.js", "module.exports = async () => { await new Promise((r) => setTimeout(r, 20)); return { status: 200, body: 'ok' }; };");
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "2"]);
    platform.ok(&["function", "create", "--name", "few", "--env", "node", "--code", &path, "--concurrency", "5"]);
    platform.route("few");
    // The route must be there first: a 404 is not what is tested.
    eventually("the route is served", || async {
        let probe = platform.http().request(reqwest::Method::PUT, format!("{}/few", platform.router)).send().await;
        probe.unwrap().status() == 405
    })
    .await;
    let requests: Vec<_> =
        (0..300).map(|_| tokio::spawn(platform.http().get(format!("{}/few", platform.router)).send())).collect();
    let watcher = async {
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(platform.instances_of("few").await.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let most = watcher.await;
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    assert!((1..=5).contains(&most), "{most} instances");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_without_end_kills_the_instance_and_not_the_platform() {
    let platform = Platform::start();
    let source = "const kept = []; module.exports = async (c) => { while (c.request.query.eat) kept.push(Buffer.alloc(16 << 20, 1)); return { status: 200, body: 'ok' }; };";
    assert_eq!(first_answer(&platform, "hungry", source).await, (200, "ok".into()));
    let pods = platform.instances_of("hungry").await;
    let pid = pods[0]["metadata"]["annotations"]["fission.io/pid"].as_str().expect("its pid");
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000", "on a host that runs out of memory the instance is the first to be ended");
    let (status, body) = platform.get("/hungry?eat=1").await;
    assert_eq!(status, 500, "{body}");
    assert_eq!(platform.get("/hungry").await, (200, "ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_without_end_are_contained() {
    let platform = Platform::start();
    platform.deploy(
        "fission/binary-env",
        "bomb",
        "bomb.sh",
        "#!/bin/sh\nfor i in $(seq 2000); do sleep 60 & done 2>/dev/null\necho survived\n",
    );
    platform.deploy("fission/binary-env", "calm", "calm.sh", "#!/bin/sh\necho calm\n");
    let bomb =
        tokio::spawn(platform.http().get(format!("{}/bomb", platform.router)).timeout(Duration::from_secs(20)).send());
    assert_eq!(platform.get("/calm").await, (200, "calm\n".into()));
    drop(bomb.await);
    assert_eq!(platform.get("/calm").await, (200, "calm\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_loris_is_cut_while_others_are_served() {
    let platform = Platform::start();
    let address = platform.router.trim_start_matches("http://").to_owned();
    let loris = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let start = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        start.elapsed()
    });
    let health = platform.http().get(format!("{}/router-healthz", platform.router)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(loris.await.unwrap() < Duration::from_secs(55), "the connection is closed by the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_megabyte_header_is_refused() {
    let platform = Platform::start();
    let address = platform.router.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: ").unwrap();
        let piece = vec![b'a'; 1 << 20];
        // The server may answer and close before all is sent.
        for _ in 0..10 {
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = stream.write_all(b"\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let health = platform.http().get(format!("{}/router-healthz", platform.router)).send().await.unwrap();
    assert_eq!(health.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_platform_on_the_same_folder_is_refused() {
    let platform = Platform::start();
    let mut second = Command::new(env!("CARGO_BIN_EXE_fission"));
    second.args(["up", "--data"]).arg(platform.data()).args([
        "--listen-api",
        "127.0.0.1:0",
        "--listen-router",
        "127.0.0.1:0",
    ]);
    let output = second.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&platform.pid().to_string()), "it names the process that holds the folder: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let platform = Platform::start();
    let taken = platform.router.trim_start_matches("http://");
    let folder = tempfile::tempdir().unwrap();
    let mut second = Command::new(env!("CARGO_BIN_EXE_fission"));
    second.args(["up", "--data"]).arg(folder.path()).args(["--listen-api", "127.0.0.1:0", "--listen-router", taken]);
    let output = second.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(taken) && said.contains("--listen-router"), "{said}");
    assert!(said.contains(&platform.pid().to_string()), "it says who has it: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_nobody_knows_is_explained() {
    let platform = Platform::start();
    let path = platform.source("x.js", "module.exports = async () => ({ status: 200, body: '' });");
    platform.ok(&["env", "create", "--name", "odd", "--image", "example.org/odd-env"]);
    platform.ok(&["function", "create", "--name", "odd", "--env", "odd", "--code", &path]);
    platform.route("odd");
    let (status, body) = platform.get("/odd").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("example.org/odd-env") && body.contains("fission/node-env"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_say_what_is_wrong() {
    let platform = Platform::start();
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "0"]);
    let missing = platform.fails(&["function", "create", "--name", "f", "--env", "node", "--code", "no-such-file.js"]);
    assert!(missing.contains("no-such-file.js"), "{missing}");
    let unknown = platform.fails(&["function", "create", "--name", "f", "--env", "nobody", "--code", "x.js"]);
    assert!(unknown.contains("nobody"), "{unknown}");
    let long = "a".repeat(64);
    let path = platform.source("y.js", "module.exports = 1;");
    let named = platform.fails(&["function", "create", "--name", &long, "--env", "node", "--code", &path]);
    assert!(named.contains("63"), "the limit is named: {named}");
    let flag = platform.fails(&["function", "create", "--nmae", "f"]);
    assert!(flag.contains("--name"), "a near flag is suggested: {flag}");
    let empty = platform.source("empty.js", "");
    let said = platform.fails(&["function", "create", "--name", "f", "--env", "node", "--code", &empty]);
    assert!(said.contains("empty.js is empty"), "{said}");
    let zip = platform.source("broken.zip", "PK\u{3}\u{4}this is no zip");
    platform.ok(&["function", "create", "--name", "z", "--env", "node", "--deploy", &zip]);
    platform.route("z");
    let (status, body) = platform.get("/z").await;
    assert_eq!(status, 500, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_instance() {
    let platform = Platform::start();
    let path = platform.source("one.js", "module.exports = async (c) => { if (c.request.query.slow) await new Promise((r) => setTimeout(r, 30000)); return { status: 200, body: 'ok' }; };");
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    platform.ok(&["function", "create", "--name", "one", "--env", "node", "--code", &path, "--concurrency", "1"]);
    platform.route("one");
    assert_eq!(platform.get("/one").await.0, 200);
    let url = format!("{}/one?slow=1", platform.router);
    let gone = platform.http().get(url).timeout(Duration::from_millis(300)).send().await;
    assert!(gone.is_err());
    // With one instance and one request each, this answers only if the abandoned request gave its slot back.
    let url = format!("{}/one", platform.router);
    let next = platform.http().get(url).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert_eq!(next.status(), 200);
}
