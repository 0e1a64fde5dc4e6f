//! The command line as a person and as a script use it.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{Platform, printed};

/// Runs the CLI with some variables set and others not.
fn fission(platform: &Platform, set: &[(&str, &str)], unset: &[&str], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
    platform.prepare(&mut command).args(arguments);
    unset.iter().for_each(|name| _ = command.env_remove(name));
    set.iter().for_each(|(name, value)| _ = command.env(name, value));
    command.output().unwrap()
}

/// A platform with one function that has answered.
async fn with_a_function() -> Platform {
    let platform = Platform::start();
    let source = "module.exports = async (c) => { if (c.request.query.fail) { console.log('this call failed'); return { status: 418, body: 'teapot' }; } return { status: 200, body: 'fine' }; };";
    platform.deploy("fission/node-env", "hello", "hello.js", source);
    assert_eq!(platform.get("/hello").await, (200, "fine".into()));
    platform
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_speaks_json_yaml_names_and_wide() {
    let platform = with_a_function().await;
    for (noun, name) in [("function", "hello"), ("env", "node-env"), ("route", "hello"), ("package", "hello-")] {
        let list = |format: &str| platform.ok(&[noun, "list", "-o", format]);
        let json = || serde_json::from_str::<Vec<Value>>(&list("json")).expect("a bare array");
        let yaml = || serde_saphyr::from_str::<Vec<Value>>(&list("yaml")).expect("the same as YAML");
        // A status may be written in between: then both are asked again.
        let unchanged = |_| {
            let (before, yaml) = (json(), yaml());
            (before == json()).then_some((before, yaml))
        };
        let (json, yaml) = (0..10).find_map(unchanged).expect("a list that stays as it is");
        assert!(json[0]["metadata"]["name"].as_str().unwrap().starts_with(name), "{noun}");
        assert_eq!(json, yaml, "{noun}");
        assert!(list("name").lines().all(|line| line.contains('/')), "{noun}");
        let (table, wide) = (platform.ok(&[noun, "list"]), list("wide"));
        let columns = |text: &str| text.lines().next().unwrap().split_whitespace().count();
        assert!(columns(&wide) > columns(&table), "{noun}: {wide}");
    }
    let wrong = platform.fails(&["function", "list", "-o", "xml"]);
    assert!(wrong.contains("xml") && wrong.contains("json"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_function_are_listed() {
    let platform = with_a_function().await;
    for verb in ["pods", "list-pods", "pod", "po"] {
        let table = platform.ok(&["function", verb, "--name", "hello"]);
        assert!(table.contains("Running") && table.contains("poolmgr"), "{verb}: {table}");
    }
    let json: Vec<Value> =
        serde_json::from_str(&platform.ok(&["function", "pods", "--name", "hello", "-o", "json"])).unwrap();
    assert_eq!(json.len(), 1);
    let described = platform.ok(&["function", "describe", "--name", "hello"]);
    assert!(described.contains("Environment: node-env") && described.contains("Running"), "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn function_test_prints_the_body_and_fails_with_the_function() {
    let platform = with_a_function().await;
    assert_eq!(platform.ok(&["function", "test", "--name", "hello"]), "fine");
    let output = platform.fission(&["function", "test", "--name", "hello", "-q", "fail=1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("teapot") && said.contains("418") && said.contains("this call failed"), "{said}");
    // Without a route, with a body, a header and a path.
    let echo = platform.source(
        "echo.js",
        "module.exports = async (c) => ({ status: 200, body: [c.request.method, c.request.path, c.request.get('x-who'), c.request.body].join(' ') });",
    );
    platform.ok(&["function", "create", "--name", "echo", "--env", "node-env", "--code", &echo]);
    let words =
        ["--method", "POST", "-b", "text", "-H", "X-Who: me", "-H", "Content-Type: text/plain", "--subpath", "/a/b"];
    let answer = platform.ok(&[&["function", "test", "--name", "echo"][..], &words].concat());
    assert_eq!(answer, "POST /a/b me text");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_found_by_flag_then_variable_then_kubeconfig_then_what_runs() {
    let platform = Platform::start();
    let other = Platform::start();
    let kubeconfig = other.kubeconfig();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let check = |set: &[(&str, &str)], unset: &[&str], arguments: &[&str]| {
        let arguments = [arguments, &["check"]].concat();
        printed(fission(&platform, set, unset, &arguments), &arguments)
    };
    let port = |of: &Platform| of.api.rsplit(':').next().unwrap().to_owned();
    let first = |text: String| text.lines().find(|line| line.contains("server")).unwrap().to_owned();
    let has =
        |line: String, of: &Platform, why: &str| assert!(line.contains(&port(of)) && line.contains(why), "{line}");
    let both = [("KUBECONFIG", kubeconfig)];
    has(first(check(&both, &[], &["--server", &other.api])), &other, "--server");
    has(first(check(&both, &[], &["--kubeconfig", kubeconfig])), &other, "--kubeconfig");
    has(first(check(&both, &[], &[])), &platform, "FISSION_URL");
    has(first(check(&both, &["FISSION_URL"], &[])), &other, "KUBECONFIG");
    has(first(check(&[], &["FISSION_URL"], &[])), &platform, "running");

    let nobody = fission(&platform, &[("FISSION_DATA", "/nonexistent")], &["FISSION_URL"], &["function", "list"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said.contains("fission up"), "it says how to start one: {said}");
    let silent = fission(&platform, &[("FISSION_URL", "http://127.0.0.1:1")], &[], &["function", "list"]);
    let said = String::from_utf8_lossy(&silent.stderr).into_owned();
    assert!(said.contains("http://127.0.0.1:1") && said.contains("fission check"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_status_and_version_tell_what_runs() {
    let mut platform = Platform::start();
    let check = platform.ok(&["check"]);
    assert!(check.contains("isolation") && check.contains("node-env") && !check.contains('×'), "{check}");
    let status = platform.ok(&["status"]);
    assert!(status.contains(&platform.pid().to_string()) && status.contains(&platform.api), "{status}");
    let version: Value = serde_saphyr::from_str(&platform.ok(&["version"])).unwrap();
    let of = |side: &str| version[side]["fission/core"]["Version"].as_str().unwrap_or_default().to_owned();
    assert_eq!(of("client"), env!("CARGO_PKG_VERSION"));
    assert_eq!(of("server"), of("client"));
    platform.kill();
    let ended = platform.fission(&["status"]);
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("fission up"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn down_ends_the_platform_and_says_when_there_is_none() {
    let mut platform = with_a_function().await;
    platform.ok(&["down"]);
    assert_eq!(platform.ended(), Some(0));
    let said = platform.fission(&["down"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("no platform") || text.contains("ended") || text.contains("not run"), "{text}");
    platform.restart();
    assert_eq!(platform.get("/hello").await, (200, "fine".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_completion_script_is_shell() {
    let platform = Platform::start();
    let script = platform.data().join("completion.sh");
    fs::write(&script, platform.ok(&["completion", "bash"])).unwrap();
    let question = "source \"$0\"; COMP_WORDS=(fission func); COMP_CWORD=1; _fission fission func fission; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", question]).arg(&script).output().unwrap();
    assert!(printed(output, &["bash"]).contains("function"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_support_dump_holds_objects_and_no_secret() {
    let platform = with_a_function().await;
    let secret = platform.source(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: quiet }\ndata: { key: c2VjcmV0LXdvcmQ= }\n",
    );
    platform.kubectl(&["apply", "-f", &secret]);
    platform.ok(&["support", "dump", "--nozip", "-o", "dump"]);
    let mut files = Vec::new();
    let mut folders = vec![platform.data().join("dump")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    assert!(texts.iter().any(|text| text.contains("hello")), "{files:?}");
    let token = platform.token();
    for (file, text) in files.iter().zip(&texts) {
        assert!(!text.contains("c2VjcmV0LXdvcmQ") && !text.contains(&token), "{} has a secret", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_prints_what_would_be_sent_and_a_server_takes_it() {
    let platform = Platform::start();
    let code = platform.source("hello.js", "module.exports = async () => ({ status: 200, body: 'dry' });\n");
    let env = platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--dry"]);
    let route = platform.ok(&["route", "create", "--name", "r", "--url", "/r", "--function", "f", "--dry"]);
    let function = platform.ok(&["function", "create", "--name", "f", "--env", "node", "--code", &code, "--dry"]);
    assert!(function.contains("kind: Package") && function.contains("kind: Function"), "{function}");
    assert_eq!(platform.ok(&["env", "list", "-o", "name"]), "");
    let file = platform.source("objects.yaml", &format!("{env}---\n{route}"));
    let applied = platform.kubectl(&["apply", "-f", &file]);
    assert!(applied.contains("node created") && applied.contains("r created"), "{applied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistyped_commands_get_a_suggestion() {
    let platform = Platform::start();
    for (typed, meant) in [("functoin list", "function"), ("function creat", "create"), ("route lits", "list")] {
        let said = platform.fails(&typed.split(' ').collect::<Vec<_>>());
        assert!(said.contains(meant), "{typed}: {said}");
    }
    let missing = platform.fails(&["function", "get", "--name", "nobody"]);
    assert!(missing.contains("nobody") && missing.contains("create"), "{missing}");
}
