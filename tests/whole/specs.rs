//! Declarations kept as files: made by the commands, applied, changed, watched, taken away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Platform, eventually};

/// A project with one function and its spec directory.
fn project(platform: &Platform) -> PathBuf {
    let folder = platform.data().join("project");
    fs::create_dir(&folder).unwrap();
    write(&folder, "hello.js", &answers("one"));
    let run = |arguments: &[&str]| platform.ok_in(&folder, arguments);
    run(&["spec", "init", "--name", "demo"]);
    run(&["env", "create", "--spec", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    run(&["function", "create", "--spec", "--name", "hello", "--env", "node", "--code", "hello.js"]);
    run(&["route", "create", "--spec", "--name", "hello", "--url", "/hello", "--function", "hello"]);
    folder
}

fn answers(text: &str) -> String {
    format!("module.exports = async () => ({{ status: 200, body: '{text}' }});\n")
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_are_made_applied_changed_and_destroyed() {
    let platform = Platform::start();
    let folder = project(&platform);
    let run = |arguments: &[&str]| platform.ok_in(&folder, arguments);
    // Nothing is sent before it is asked for.
    assert_eq!(platform.ok(&["function", "list", "-o", "name"]), "");

    let valid = run(&["spec", "validate"]);
    assert!(valid.contains("Validation Successful") && valid.contains("1 HTTPTrigger"), "{valid}");
    let dry = run(&["spec", "apply", "--dry-run"]);
    assert!(dry.contains("1 function would be created: hello"), "{dry}");
    assert_eq!(platform.ok(&["function", "list", "-o", "name"]), "");

    let applied = run(&["spec", "apply"]);
    assert!(applied.contains("1 function created: hello"), "{applied}");
    assert_eq!(platform.get("/hello").await, (200, "one".into()));
    assert_eq!(run(&["spec", "apply"]).trim(), "Everything up to date.");

    // Other code, and nothing else, changes the package and redeploys the function.
    for round in ["two", "three", "four"] {
        write(&folder, "hello.js", &answers(round));
        let changed = run(&["spec", "apply"]);
        assert!(changed.contains("1 package updated: hello"), "{changed}");
        eventually("the new code answers", || async { platform.get("/hello").await.1 == round }).await;
    }
    assert_eq!(run(&["spec", "apply"]).trim(), "Everything up to date.");

    let listed = run(&["spec", "list"]);
    assert!(listed.contains("Functions:") && listed.contains("HTTP Triggers:"), "{listed}");

    fs::remove_file(folder.join("specs/route-hello.yaml")).unwrap();
    assert_eq!(run(&["spec", "apply"]).trim(), "Everything up to date.", "deleting is opt-in");
    assert!(run(&["spec", "apply", "--delete"]).contains("1 HTTPTrigger deleted: hello"));
    eventually("the route is gone", || async {
        platform.http().get(format!("{}/hello", platform.router)).send().await.unwrap().status() == 404
    })
    .await;

    let destroyed = run(&["spec", "destroy"]);
    assert!(destroyed.contains("Deleted Function default/hello"), "{destroyed}");
    for kind in ["function", "env", "package", "route"] {
        assert_eq!(platform.ok(&[kind, "list", "-o", "name"]), "", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_file_is_what_the_next_request_runs() {
    let platform = Platform::start();
    let folder = project(&platform);
    let said = platform.data().join("watch.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
    platform.prepare(&mut command).current_dir(&folder).args(["spec", "apply", "--watch"]);
    let mut watch = command.stdout(fs::File::create(&said).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    let log = || fs::read_to_string(&said).unwrap();
    eventually("it watches", || async { log().contains("Watching files for changes...") }).await;
    assert_eq!(platform.get("/hello").await, (200, "one".into()));
    write(&folder, "hello.js", &answers("saved"));
    eventually("the saved file answers", || async { platform.get("/hello").await.1 == "saved" }).await;
    // A mistake is told and the watching goes on.
    write(&folder, "specs/broken.yaml", "apiVersion: fission.io/v1\nkind: Function\nspec: [\n");
    eventually("it has seen the mistake", || async { log().matches("Watching").count() >= 3 }).await;
    fs::remove_file(folder.join("specs/broken.yaml")).unwrap();
    write(&folder, "hello.js", &answers("mended"));
    eventually("the mended file answers", || async { platform.get("/hello").await.1 == "mended" }).await;
    // Reading the files must not look like a change: told to apply once, it applies once.
    let rounds = log().matches("Watching").count();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(log().matches("Watching").count() <= rounds + 1, "it feeds itself:\n{}", log());
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_take_what_their_globs_name() {
    let platform = Platform::start();
    let folder = project(&platform);
    write(
        &folder,
        "src/index.js",
        "const fs = require('fs');\nconst words = require('./lib/words');\nmodule.exports = async () => ({ status: 200, body: words + ' ' + fs.existsSync(__dirname + '/notes.txt') });\n",
    );
    write(&folder, "src/lib/words.js", "module.exports = 'from the archive';\n");
    write(&folder, "src/notes.txt", "not for the function");
    write(
        &folder,
        "specs/function-globs.yaml",
        "kind: ArchiveUploadSpec\nname: globs\nrootdir: src\ninclude: [\"**/*.js\"]\n---\n\
         apiVersion: fission.io/v1\nkind: Package\nmetadata: { name: globs }\nspec:\n  environment: { name: node, namespace: default }\n  deployment: { type: url, url: \"archive://globs\" }\n---\n\
         apiVersion: fission.io/v1\nkind: Function\nmetadata: { name: globs }\nspec:\n  InvokeStrategy: { StrategyType: execution, ExecutionStrategy: { ExecutorType: poolmgr } }\n  environment: { name: node, namespace: default }\n  package: { packageref: { name: globs, namespace: default } }\n",
    );
    platform.ok_in(&folder, &["spec", "apply"]);
    platform.route("globs");
    assert_eq!(platform.get("/globs").await, (200, "from the archive false".into()));
    assert_eq!(platform.ok_in(&folder, &["spec", "apply"]).trim(), "Everything up to date.");
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_with_mistakes_change_nothing_and_name_the_place() {
    let platform = Platform::start();
    let folder = project(&platform);
    write(
        &folder,
        "specs/wrong.yaml",
        "apiVersion: fission.io/v1\nkind: Function\nmetadata: { name: lost }\nspec:\n  InvokeStrategy: { StrategyType: execution, ExecutionStrategy: { ExecutorType: poolmgr } }\n  environment: { name: node, namespace: default }\n  package: { packageref: { name: nowhere, namespace: default } }\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
    let output = platform.prepare(&mut command).current_dir(&folder).args(["spec", "apply"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wrong.yaml") && said.contains("nowhere"), "{said}");
    assert_eq!(platform.ok(&["function", "list", "-o", "name"]), "");
}
