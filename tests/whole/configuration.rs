//! Secrets, config maps and environment variables through the CLI's flags, changed with kubectl.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::world::{Platform, eventually};

/// Says what it was given; `atLoad` is what was there before any request.
const FUNCTION: &str = "const { readFileSync } = require('node:fs');
const read = (path) => readFileSync(path, 'utf8');
const atLoad = { mode: process.env.mode, file: read('/configs/default/app/mode') };

module.exports = async () => ({
  status: 200,
  body: {
    atLoad,
    mode: process.env.mode,
    greeting: process.env.GREETING,
    password: process.env.PASSWORD,
    files: [read('/secrets/default/db/password'), read('/configs/default/app/mode')],
  },
});
";

const FLAGS: [&str; 10] = [
    "--secret",
    "db",
    "--configmap",
    "app",
    "--env-var",
    "GREETING=hello there",
    "--env-from-secret",
    "db/password:PASSWORD",
    "--env-from-configmap",
    "app",
];

fn apply_secret(platform: &Platform) {
    let text =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: db, namespace: default }\nstringData: { password: geheim }\n";
    platform.kubectl(&["apply", "-f", &platform.source("secret.yaml", text)]);
}

fn apply_config_map(platform: &Platform, mode: &str) {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: app, namespace: default }}\ndata: {{ mode: {mode} }}\n"
    );
    platform.kubectl(&["apply", "-f", &platform.source("app.yaml", &text)]);
}

fn create(platform: &Platform, name: &str, executor: &[&str]) {
    let path = platform.source("configured.js", FUNCTION);
    let create = ["function", "create", "--name", name, "--env", "node", "--code", &path];
    platform.ok(&[&create[..], &FLAGS, executor].concat());
    platform.route(name);
}

fn expected(mode: &str) -> Value {
    json!({
        "atLoad": { "mode": mode, "file": mode },
        "mode": mode,
        "greeting": "hello there",
        "password": "geheim",
        "files": ["geheim", mode],
    })
}

async fn seen(platform: &Platform, path: &str) -> Value {
    let (status, body) = platform.get(path).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("what the function was given")
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_config_maps_are_files_and_variables_and_a_changed_one_is_seen_without_a_failed_request() {
    let platform = Arc::new(Platform::start());
    apply_secret(&platform);
    apply_config_map(&platform, "one");
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    create(&platform, "pooled", &[]);
    create(&platform, "deployed", &["--executortype", "newdeploy", "--minscale", "1", "--maxscale", "2"]);
    for path in ["/pooled", "/deployed"] {
        assert_eq!(seen(&platform, path).await, expected("one"), "{path}");
    }
    // Called all the while; `seen` refuses anything but an answer.
    let changed = Arc::new(AtomicBool::new(false));
    let calls = ["/pooled", "/deployed"].map(|path| {
        let (platform, changed) = (platform.clone(), changed.clone());
        tokio::spawn(async move {
            while !changed.load(Ordering::Relaxed) {
                seen(&platform, path).await;
            }
        })
    });
    apply_config_map(&platform, "two");
    for path in ["/pooled", "/deployed"] {
        let platform = &platform;
        eventually("the change is seen", async || seen(platform, path).await == expected("two")).await;
    }
    changed.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.expect("no call failed");
    }
    let printed = platform.own_log() + &platform.ok(&["function", "logs", "--name", "pooled"]);
    assert!(!printed.contains("geheim"), "a secret is in a log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named_with_the_command_that_makes_it() {
    let platform = Platform::start();
    apply_config_map(&platform, "one");
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    create(&platform, "pooled", &[]);
    let (status, body) = platform.get("/pooled").await;
    assert_eq!(status, 500, "{body}");
    for part in ["specialization_failed", "secret default/db does not exist", "kubectl create secret generic db"] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    apply_secret(&platform);
    eventually("the secret is seen", async || platform.get("/pooled").await.0 == 200).await;
    assert_eq!(seen(&platform, "/pooled").await, expected("one"));
}
