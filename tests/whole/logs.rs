//! Function output is kept and found again.

use crate::world::{Platform, eventually};

const CHATTY: &str = "module.exports = async (c) => { console.log('line ' + c.request.query.n); console.error('oops ' + c.request.query.n); return { status: 200, body: 'ok' }; };";

#[tokio::test(flavor = "multi_thread")]
async fn output_is_found_by_function_and_by_request_after_a_restart() {
    let mut platform = Platform::start();
    platform.deploy("fission/node-env", "chatty", "chatty.js", CHATTY);
    for n in 1..=3 {
        let url = format!("{}/chatty?n={n}", platform.router);
        eventually("the route is served", || async {
            let sent = platform.http().get(&url).header("X-Fission-Request-ID", format!("request-{n}")).send().await;
            sent.unwrap().status() == 200
        })
        .await;
    }
    let logs = |arguments: &[&str]| platform.ok(&[&["function", "logs", "--name", "chatty"], arguments].concat());
    eventually("all lines are stored", || async { logs(&[]).matches("line ").count() >= 3 }).await;
    let one = logs(&["--request-id", "request-2"]);
    assert!(one.contains("line 2") && one.contains("oops 2"), "{one}");
    assert!(!one.contains("line 1") && !one.contains("line 3"), "{one}");

    platform.kill_and_restart();
    let kept = platform.ok(&["function", "logs", "--name", "chatty"]);
    assert!(kept.contains("line 1") && kept.contains("oops 3"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_the_output_of_an_instance() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "chatty", "chatty.js", CHATTY);
    assert_eq!(platform.get("/chatty?n=7").await.0, 200);
    let pods = platform.instances_of("chatty").await;
    let pod = pods[0]["metadata"]["name"].as_str().unwrap().to_owned();
    eventually("kubectl shows the line", || async { platform.kubectl(&["logs", &pod]).contains("line 7") }).await;
}
