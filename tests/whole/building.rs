//! From source to a running function: builds in the sandbox, their logs, their ends, and what requests see of them.
//!
//! Most use the binary environment, whose build runs the source's own `build.sh`: what is tested is the platform's part.
//! What each language's builder does is tested with the environments, and by running what `examples/README.md` says.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::world::{Platform, eventually};

/// A platform with an environment that builds with shell scripts.
fn start() -> Platform {
    let platform = Platform::start();
    let image = ["--image", "fission/binary-env", "--builder", "fission/binary-builder", "--poolsize", "1"];
    platform.ok(&[&["env", "create", "--name", "sh"], &image[..]].concat());
    platform
}

/// Source whose build makes a function that prints what `word` was when it was built.
fn source(platform: &Platform, word: &str, before: &str) -> PathBuf {
    let script = format!(
        "#!/bin/sh\nset -e\n{before}\nprintf '#!/bin/sh\\necho %s\\n' \"$(cat word)\" >hello\nchmod +x hello\n"
    );
    platform.source("project/build.sh", &script);
    platform.source("project/word", word);
    platform.data().join("src/project")
}

fn create(platform: &Platform, source: &std::path::Path) {
    let source = source.to_str().unwrap();
    platform.ok(&["function", "create", "--name", "hello", "--env", "sh", "--src", source, "--entrypoint", "hello"]);
    platform.route("hello");
}

fn update(platform: &Platform, source: &std::path::Path) {
    platform.ok(&["function", "update", "--name", "hello", "--src", source.to_str().unwrap()]);
}

/// The only package there is.
fn package(platform: &Platform) -> Value {
    let text = platform.ok(&["package", "list", "-o", "json"]);
    serde_json::from_str::<Vec<Value>>(&text).unwrap().remove(0)
}

fn log(platform: &Platform) -> String {
    package(platform)["status"]["buildlog"].as_str().unwrap_or_default().to_owned()
}

async fn status_is(platform: &Platform, wanted: &str) {
    eventually(wanted, || async { package(platform)["status"]["buildstatus"] == wanted }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_becomes_a_function_and_the_first_request_waits_for_its_build() {
    let platform = start();
    create(&platform, &source(&platform, "built", "echo compiling; sleep 1"));
    assert_eq!(platform.get("/hello").await, (200, "built\n".into()));
    status_is(&platform, "succeeded").await;
    assert!(log(&platform).contains("compiling"), "{}", log(&platform));
    let deployment = &package(&platform)["spec"]["deployment"];
    assert_eq!(deployment["checksum"]["type"], "sha256", "{deployment}");
    let name = package(&platform)["metadata"]["name"].as_str().unwrap().to_owned();
    for (verb, file) in [("getsrc", "source.zip"), ("getdeploy", "made.zip")] {
        platform.ok(&["package", verb, "--name", &name, "--output", file]);
        assert!(fs::read(platform.data().join(file)).unwrap().starts_with(b"PK"), "{verb}");
    }
    let function: Value =
        serde_json::from_str(&platform.ok(&["function", "getmeta", "--name", "hello", "-o", "json"])).unwrap();
    let conditions = function["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "PackageReady" && one["status"] == "True"), "{function}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_source_is_the_answer_of_the_first_call_and_in_the_log() {
    let platform = start();
    create(&platform, &source(&platform, "word", "echo 'main.c:3: syntax error' >&2; exit 1"));
    let (status, body) = platform.get("/hello").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("main.c:3: syntax error") && body.contains("exited with code 1"), "{body}");
    assert!(log(&platform).contains("main.c:3: syntax error"));

    let name = package(&platform)["metadata"]["name"].as_str().unwrap().to_owned();
    source(&platform, "word", "true");
    platform.ok(&["package", "rebuild", "--name", &name]);
    status_is(&platform, "failed").await;
    update(&platform, &platform.data().join("src/project"));
    status_is(&platform, "succeeded").await;
    assert_eq!(platform.get("/hello").await, (200, "word\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_source_rolls_over_without_a_dropped_request_and_a_failed_build_changes_nothing() {
    let platform = Arc::new(start());
    create(&platform, &source(&platform, "one", "sleep 0.3"));
    assert_eq!(platform.get("/hello").await, (200, "one\n".into()));

    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (platform, over) = (platform.clone(), over.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let (status, body) = platform.get("/hello").await;
                    assert_eq!(status, 200, "{body}");
                    if seen.last() != Some(&body) {
                        seen.push(body);
                    }
                }
                seen
            })
        })
        .collect();
    update(&platform, &source(&platform, "two", "sleep 0.3"));
    eventually("the new code answers", || async { platform.get("/hello").await.1 == "two\n" }).await;
    update(&platform, &source(&platform, "three", "exit 1"));
    status_is(&platform, "failed").await;
    assert_eq!(platform.get("/hello").await, (200, "two\n".into()), "what worked stays");
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), ["one\n", "two\n"], "nobody saw old code after new code");
    }
    let list = platform.ok(&["package", "list", "--status", "failed"]);
    assert!(list.contains("hello-"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_killed_while_it_builds_builds_again_and_leaves_nothing_behind() {
    let mut platform = start();
    // The first build leaves a mark in the cache that stays, and hangs; the second finds it.
    let once = "if [ -e $HOME/mark ]; then echo second; else touch $HOME/mark; echo first; sleep 1000; fi";
    create(&platform, &source(&platform, "word", once));
    eventually("the build runs", || async { log(&platform).contains("first") }).await;
    platform.kill_and_restart();
    assert_eq!(platform.get("/hello").await, (200, "word\n".into()));
    status_is(&platform, "succeeded").await;
    let text = log(&platform);
    assert!(text.contains("interrupted") && text.contains("second"), "{text}");
    let run = platform.data().join("run/instances");
    eventually("no files of the builds are left", || async {
        fs::read_dir(&run).unwrap().all(|entry| !entry.unwrap().path().join("work").exists())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_limited_and_told_which_limit_it_met() {
    let arguments = ["--build-timeout", "3", "--build-disk", "16"].map(str::to_owned).to_vec();
    let platform = Platform::start_as(crate::world::Start { arguments, ..Default::default() });
    platform.ok(&["env", "create", "--name", "sh", "--image", "fission/binary-env", "--poolsize", "1"]);
    create(&platform, &source(&platform, "word", "sleep 1000"));
    let (_, body) = platform.get("/hello").await;
    assert!(body.contains("longer than 3 s") && body.contains("--build-timeout"), "{body}");
    update(
        &platform,
        &source(&platform, "word", "for n in 1 2 3 4; do head -c 8000000 /dev/zero >$n; done; sleep 1000"),
    );
    status_is(&platform, "running").await;
    status_is(&platform, "failed").await;
    assert!(log(&platform).contains("--build-disk"), "{}", log(&platform));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_package_ends_its_build() {
    let platform = start();
    create(&platform, &source(&platform, "word", "echo started; sleep 1000"));
    eventually("the build runs", || async { log(&platform).contains("started") }).await;
    let name = package(&platform)["metadata"]["name"].as_str().unwrap().to_owned();
    platform.ok(&["package", "delete", "--name", &name, "--force"]);
    let run = platform.data().join("run/instances");
    eventually("its files are gone", || async {
        fs::read_dir(&run).unwrap().all(|entry| !entry.unwrap().path().join("work").exists())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spec_archives_with_patterns_are_built_and_waited_for() {
    let platform = start();
    source(&platform, "from files", "echo building from files");
    let folder = platform.data().join("src");
    fs::write(folder.join("project/notes.md"), "not code").unwrap();
    let run = |arguments: &[&str]| platform.ok_in(&folder, arguments);
    run(&["spec", "init", "--name", "built"]);
    let image = ["--image", "fission/binary-env", "--builder", "fission/binary-builder", "--poolsize", "1"];
    run(&[&["env", "create", "--spec", "--name", "filed"], &image[..]].concat());
    let create = ["function", "create", "--spec", "--name", "filed", "--env", "filed", "--entrypoint", "hello"];
    run(&[&create[..], &["--src", "project/*.sh", "--src", "project/word", "--buildcmd", "build"]].concat());
    let applied = run(&["spec", "apply", "--wait"]);
    assert!(applied.contains("Build SUCCEEDED"), "{applied}");
    assert_eq!(platform.ok(&["function", "test", "--name", "filed"]), "from files\n");
    fs::write(folder.join("project/word"), "changed").unwrap();
    run(&["spec", "apply", "--wait"]);
    eventually("the new source answers", || async {
        platform.ok(&["function", "test", "--name", "filed"]) == "changed\n"
    })
    .await;
    assert_eq!(run(&["spec", "apply"]).trim(), "Everything up to date.");
}
