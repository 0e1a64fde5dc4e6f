//! Functions that do what no function should: the client learns whose fault it was, and the next request is fine.

use std::time::Duration;

use crate::world::{Platform, eventually, signal};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_http_is_the_functions_error() {
    let platform = Platform::start();
    let source = "module.exports = async (c) => { if (c.request.query.bad) { c.request.socket.end('garbage, not HTTP\\r\\n\\r\\n'); return new Promise(() => {}); } return { status: 200, body: 'ok' }; };";
    platform.deploy("fission/node-env", "babble", "babble.js", source);
    assert_eq!(platform.get("/babble").await, (200, "ok".into()));
    let (status, body) = platform.get("/babble?bad=1").await;
    assert!((500..=502).contains(&status), "{status} {body}");
    assert!(body.contains("function_error") && body.contains("babble"), "{body}");
    assert_eq!(platform.get("/babble").await, (200, "ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_timeout_goes_to_no_one() {
    let platform = Platform::start();
    let source = "let n = 0; module.exports = async () => { const mine = ++n; if (mine === 2) await new Promise((r) => setTimeout(r, 1500)); return { status: 200, body: 'answer ' + mine }; };";
    let path = platform.source("late.js", source);
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    let create = ["function", "create", "--name", "late", "--env", "node", "--code", &path, "--fntimeout", "1"];
    platform.ok(&[&create[..], &["--concurrency", "1"]].concat());
    platform.route("late");
    assert_eq!(platform.get("/late").await, (200, "answer 1".into()));
    let (status, body) = platform.get("/late").await;
    assert_eq!(status, 504, "{body}");
    assert!(body.contains("functionTimeout"), "{body}");
    // Longer than the late answer needs: it must not be taken for the answer to another request.
    for _ in 0..20 {
        let (status, body) = platform.get("/late").await;
        assert!(status == 200 && body != "answer 2", "{status} {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_killed_in_the_middle_of_a_request_is_reported_and_replaced() {
    let platform = Platform::start();
    let source = "module.exports = async (c) => { if (c.request.query.wait) { console.log('it is here'); await new Promise((r) => setTimeout(r, 30000)); } return { status: 200, body: 'ok' }; };";
    platform.deploy("fission/node-env", "victim", "victim.js", source);
    assert_eq!(platform.get("/victim").await, (200, "ok".into()));
    let pods = platform.instances_of("victim").await;
    let pid = pods[0]["metadata"]["annotations"]["fission.io/pid"].as_str().expect("its pid").parse().unwrap();
    let waiting = tokio::spawn(platform.http().get(format!("{}/victim?wait=1", platform.router)).send());
    eventually("the request is in the function", || async {
        platform.ok(&["function", "logs", "--name", "victim"]).contains("it is here")
    })
    .await;
    signal(pid, "-KILL");
    let response = waiting.await.unwrap().unwrap();
    let (status, body) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("function_error"), "{body}");
    assert_eq!(platform.get("/victim").await, (200, "ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn python_errors_reach_the_user() {
    let platform = Platform::start();
    platform.deploy("fission/python-env", "syntax", "syntax.py", "def main(:\n    return 1\n");
    let (status, body) = platform.get("/syntax").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("SyntaxError") && body.contains("specialization_failed"), "{body}");
    let throws = "from flask import request\n\n\ndef main():\n    return 'fine' if request.args.get('ok') else 1 / 0\n";
    platform.deploy("fission/python-env", "throws", "throws.py", throws);
    assert_eq!(platform.get("/throws").await.0, 500);
    assert_eq!(platform.get("/throws?ok=1").await, (200, "fine".into()));
    eventually("the trace is in its log", || async {
        platform.ok(&["function", "logs", "--name", "throws"]).contains("ZeroDivisionError")
    })
    .await;
}
