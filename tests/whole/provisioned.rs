//! Instances that are loaded before anyone asks, and environments that would share them.

use crate::world::{Platform, eventually};

const FUNCTION: &str = "/apis/fission.io/v1/namespaces/default/functions/hello";

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioned_function_is_loaded_before_anyone_asks_until_it_no_longer_wants_to_be() {
    let platform = Platform::start();
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    let code = platform.source("hello.js", "module.exports = async () => ({ status: 200, body: 'hello' });\n");
    let create = ["function", "create", "--name", "hello", "--env", "node", "--code", &code, "--idletimeout", "1"];
    // Always open: a day begins every day.
    let window = "name=always;start=TZ=Europe/Madrid 0 0 * * *;duration=25h;target=2";
    platform.ok(&[&create[..], &["--provisioned-concurrency", "1", "--provisioned-schedule", window]].concat());
    eventually("both are ready", async || {
        let status = platform.object(FUNCTION).await["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let satisfied = conditions.iter().any(|one| one["reason"] == "ProvisionedSatisfied" && one["status"] == "True");
        satisfied && status["provisionedReady"] == 2 && status["provisionedTarget"] == 2
    })
    .await;
    assert_eq!(platform.instances_of("hello").await.len(), 2);
    platform.route("hello");
    assert_eq!(platform.get("/hello").await, (200, "hello".to_owned()));

    platform.ok(&["function", "update", "--name", "hello", "--provisioned-concurrency", "0"]);
    eventually("none is kept", async || {
        let status = platform.object(FUNCTION).await["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let says_nothing = !conditions.iter().any(|one| one["type"] == "Provisioned");
        says_nothing && platform.instances_of("hello").await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_for_many_functions_runs_each_in_an_instance_of_its_own_and_says_so() {
    let platform = Platform::start();
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    let patch = r#"{"spec":{"allowedFunctionsPerContainer":"infinite"}}"#;
    platform.kubectl(&["patch", "environments.fission.io", "node", "--type", "merge", "--patch", patch]);
    for name in ["one", "two"] {
        let source = format!("module.exports = async () => ({{ status: 200, body: '{name}' }});\n");
        let code = platform.source(&format!("{name}.js"), &source);
        platform.ok(&["function", "create", "--name", name, "--env", "node", "--code", &code]);
        assert_eq!(platform.ok(&["function", "test", "--name", name]), name);
    }
    eventually("it says so", async || {
        let environment = platform.object("/apis/fission.io/v1/namespaces/default/environments/node").await;
        let conditions = environment["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "SharedInstances" && one["status"] == "False")
    })
    .await;
}
