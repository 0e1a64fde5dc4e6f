//! The commands of the article, typed as they stand there.

use std::process::Command;

use crate::world::{Platform, required};

const HELLO: &str =
    "module.exports = async function(context) {\n  return { status: 200, body: \"Hello, world!\\n\" };\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_four_commands_answer_hello_world() {
    let platform = Platform::start();
    std::fs::write(platform.data().join("hello.js"), HELLO).unwrap();
    let commands = "
        set -e
        fission env create --name nodejs --image fission/node-env
        fission function create --name hello --env nodejs --code hello.js
        fission route create --method GET --url /hello --function hello
        curl --silent --show-error --fail --retry 20 --retry-all-errors --retry-delay 0 http://$FISSION_ROUTER/hello";
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_fission")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), required("PATH", "where programs are"));
    let mut shell = Command::new("sh");
    let output = platform.prepare(&mut shell).env("PATH", path).args(["-c", commands]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}\n{}", String::from_utf8_lossy(&output.stderr), platform.own_log());
    assert!(printed.contains("environment 'nodejs' created"), "{printed}");
    assert!(printed.contains("function 'hello' created"), "{printed}");
    assert!(printed.ends_with("Hello, world!\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_routes_survive_kill_9_and_a_restart() {
    let mut platform = Platform::start();
    platform.deploy("fission/node-env", "hello", "hello.js", HELLO);
    assert_eq!(platform.get("/hello").await, (200, "Hello, world!\n".into()));
    platform.kill_and_restart();
    assert_eq!(platform.get("/hello").await, (200, "Hello, world!\n".into()));
}
