//! A function's life: cold, warm, updated, reaped, crashed, deleted.

use std::time::Duration;

use crate::world::{Platform, eventually, signal};

fn answers(text: &str) -> String {
    format!("module.exports = async () => ({{ status: 200, body: '{text}' }});\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaped_function_cold_starts_again() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "brief", "brief.js", &answers("here"));
    platform.ok(&["function", "update", "--name", "brief", "--idletimeout", "1"]);
    assert_eq!(platform.get("/brief").await, (200, "here".into()));
    eventually("the idle instance is removed", || async { platform.instances_of("brief").await.is_empty() }).await;
    assert_eq!(platform.get("/brief").await, (200, "here".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_served_without_dropping_a_request() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "turn", "turn.js", &answers("old"));
    assert_eq!(platform.get("/turn").await, (200, "old".into()));
    let source = platform.source("new.js", &answers("new"));
    let url = format!("{}/turn", platform.router);
    let client = platform.http().clone();
    let load = tokio::spawn(async move {
        let mut bodies = Vec::new();
        while bodies.last().map(String::as_str) != Some("new") && bodies.len() < 20_000 {
            let response = client.get(&url).send().await.expect("an answer");
            let status = response.status();
            let body = response.text().await.expect("a body");
            assert_eq!(status, 200, "{body}");
            bodies.push(body);
        }
        bodies
    });
    platform.ok(&["function", "update", "--name", "turn", "--code", &source]);
    let bodies = load.await.unwrap();
    assert!(bodies.iter().all(|body| body == "old" || body == "new"));
    assert_eq!(bodies.last().unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_is_replaced() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "mortal", "mortal.js", &answers("alive"));
    assert_eq!(platform.get("/mortal").await, (200, "alive".into()));
    let pods = platform.instances_of("mortal").await;
    let pid = pods[0]["metadata"]["annotations"]["fission.io/pid"].as_str().expect("its pid").parse().unwrap();
    signal(pid, "-KILL");
    eventually("the dead instance is gone", || async {
        let name = &pods[0]["metadata"]["name"];
        platform.instances_of("mortal").await.iter().all(|pod| pod["metadata"]["name"] != *name)
    })
    .await;
    assert_eq!(platform.get("/mortal").await, (200, "alive".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_function_stops_answering_and_leaves_no_instance() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "gone", "gone.js", &answers("x"));
    assert_eq!(platform.get("/gone").await.0, 200);
    platform.ok(&["function", "delete", "--name", "gone"]);
    eventually("its instances end", || async { platform.instances_of("gone").await.is_empty() }).await;
    let answer = platform.http().get(format!("{}/gone", platform.router)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_the_platform_started_survives_kill_9() {
    let mut platform = Platform::start();
    platform.deploy("fission/node-env", "stay", "stay.js", &answers("x"));
    assert_eq!(platform.get("/stay").await.0, 200);
    let pods = platform.instances_of("stay").await;
    let pid = pods[0]["metadata"]["annotations"]["fission.io/pid"].as_str().expect("its pid").to_owned();
    let process = std::path::PathBuf::from("/proc").join(pid);
    assert!(process.exists());
    platform.kill();
    eventually("the instance ends with the platform", || async { !process.exists() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_a_running_request_finish() {
    let mut platform = Platform::start();
    let slow = "module.exports = async () => { await new Promise((r) => setTimeout(r, 1500)); return { status: 200, body: 'done' }; };";
    platform.deploy("fission/node-env", "slow", "slow.js", slow);
    assert_eq!(platform.get("/slow").await, (200, "done".into()));
    let request = tokio::spawn(platform.http().get(format!("{}/slow", platform.router)).send());
    tokio::time::sleep(Duration::from_millis(300)).await; // the request is in the function by now
    assert_eq!(platform.stop(), Some(0));
    let response = request.await.unwrap().expect("the request is answered");
    assert_eq!(response.text().await.unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_and_binary_functions_answer() {
    let platform = Platform::start();
    platform.deploy("fission/python-env", "snake", "snake.py", "def main():\n    return 'from python'\n");
    platform.deploy("fission/binary-env", "shell", "shell.sh", "#!/bin/sh\necho \"from $REQUEST_METHOD\"\n");
    assert_eq!(platform.get("/snake").await, (200, "from python".into()));
    assert_eq!(platform.get("/shell").await, (200, "from GET\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newdeploy_function_keeps_its_minimum_ready() {
    let platform = Platform::start();
    let source = platform.source("kept.js", &answers("kept"));
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    let create = ["function", "create", "--name", "kept", "--env", "node", "--code", &source];
    platform.ok(&[&create[..], &["--executortype", "newdeploy", "--minscale", "2", "--maxscale", "3"]].concat());
    eventually("two instances are ready", || async { platform.instances_of("kept").await.len() == 2 }).await;
    platform.route("kept");
    assert_eq!(platform.get("/kept").await, (200, "kept".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_launcher_is_survived() {
    let platform = Platform::start();
    platform.deploy("fission/node-env", "again", "again.js", &answers("again"));
    assert_eq!(platform.get("/again").await, (200, "again".into()));
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", platform.pid())).unwrap();
    let launcher: u32 = children.split_whitespace().next().expect("the launcher").parse().unwrap();
    let pods = platform.instances_of("again").await;
    let pid = pods[0]["metadata"]["annotations"]["fission.io/pid"].as_str().expect("its pid").to_owned();
    signal(launcher, "-KILL");
    eventually("its instances end with it", || async { !std::path::Path::new("/proc").join(&pid).exists() }).await;
    // Requests in between may be refused, but not for long.
    eventually("the function answers again", || async { platform.get("/again").await.0 == 200 }).await;
    let now = platform.instances_of("again").await;
    assert_ne!(now[0]["metadata"]["name"], pods[0]["metadata"]["name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_environment_replaces_its_instances() {
    let platform = Platform::start();
    let source = "module.exports = async () => ({ status: 200, body: String(process.env.GREETING) });";
    platform.deploy("fission/node-env", "greet", "greet.js", source);
    assert_eq!(platform.get("/greet").await, (200, "undefined".into()));
    for greeting in ["hi", "ho"] {
        platform.ok(&["env", "update", "--name", "node-env", "--runtime-env", &format!("GREETING={greeting}")]);
        eventually("the new environment answers", || async { platform.get("/greet").await == (200, greeting.into()) })
            .await;
    }
}
