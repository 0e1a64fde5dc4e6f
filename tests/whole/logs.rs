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

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_followed_as_they_come_and_found_by_age() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "chatty", "chatty.js", CHATTY);
    assert_eq!(platform.get("/chatty?n=old").await.0, 200);
    let shown = platform.data().join("followed");
    let mut follow = std::process::Command::new(env!("CARGO_BIN_EXE_fission"));
    platform.prepare(&mut follow).args(["function", "logs", "--name", "chatty", "-f"]);
    let mut follow = follow.stdout(std::fs::File::create(&shown).unwrap()).spawn().unwrap();
    let has = |text: &'static str| {
        let shown = &shown;
        async move { std::fs::read_to_string(shown).unwrap().contains(text) }
    };
    eventually("what was there is shown first", || has("line old")).await;
    assert_eq!(platform.get("/chatty?n=new").await.0, 200);
    eventually("the new line is shown", || has("line new")).await;
    follow.kill().unwrap();
    follow.wait().unwrap();

    let recent = platform.ok(&["function", "logs", "--name", "chatty", "--since", "1h"]);
    assert!(recent.contains("line old"), "{recent}");
    let later = jiff::Timestamp::now().to_string();
    assert!(!platform.ok(&["function", "logs", "--name", "chatty", "--since", &later]).contains("line"));
}
