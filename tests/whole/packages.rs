//! Code on its way to an instance: files, folders, zips, URLs, large and small.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Platform, eventually, required};

/// The platform with the two environments the tests use.
fn start() -> Platform {
    let platform = Platform::start();
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    platform
}

fn answers(text: &str) -> String {
    format!("module.exports = async () => ({{ status: 200, body: '{text}' }});\n")
}

/// A file just over the limit of what is kept in the package itself.
fn large(text: &str) -> String {
    answers(text) + &"// filler to be larger than a package holds\n".repeat(7000)
}

fn zip(platform: &Platform, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let path = platform.data().join(name);
    let script = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n    for name, text in zip(sys.argv[2::2], sys.argv[3::2]): z.writestr(name, text)\n";
    let mut command = Command::new(required("FISSION_TEST_PYTHON", "a Python; `make test` sets it"));
    command.args(["-c", script]).arg(&path);
    files.iter().for_each(|(name, text)| _ = command.args([name, text]));
    assert!(command.status().unwrap().success());
    path
}

/// The only package whose name starts with a function's.
fn package_of(platform: &Platform, function: &str) -> Value {
    let text = platform.ok(&["package", "list", "-o", "json"]);
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let prefix = format!("{function}-");
    list.into_iter().find(|one| one["metadata"]["name"].as_str().unwrap().starts_with(&prefix)).expect("its package")
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_functions_with_their_local_modules() {
    let platform = start();
    platform.ok(&["env", "create", "--name", "python", "--image", "fission/python-env", "--poolsize", "1"]);
    platform.source("node/index.js", "const words = require('./lib/words');\nmodule.exports = async () => ({ status: 200, body: words });\nmodule.exports.other = async () => ({ status: 200, body: 'other ' + words });\n");
    platform.source("node/lib/words.js", "module.exports = 'local';\n");
    let python = platform.source("python/app/main.py", "from .words import WORDS\n\n\ndef main():\n    return WORDS\n");
    platform.source("python/app/words.py", "WORDS = 'snakes'\n");
    platform.source("python/app/__init__.py", "");
    let src = platform.data().join("src");
    let (node, python) = (src.join("node"), PathBuf::from(python).parent().unwrap().parent().unwrap().to_owned());
    let create = |name: &str, env: &str, folder: &PathBuf, entry: &[&str]| {
        let folder = folder.to_str().unwrap();
        let arguments = ["function", "create", "--name", name, "--env", env, "--deploy", folder];
        platform.ok(&[&arguments, entry].concat());
    };
    create("folder", "node", &node, &[]);
    create("other", "node", &node, &["--entrypoint", "index.other"]);
    create("snakes", "python", &python, &["--entrypoint", "app.main.main"]);
    let test = |name: &str| platform.ok(&["function", "test", "--name", name]);
    assert_eq!(test("folder"), "local");
    assert_eq!(test("other"), "other local");
    assert_eq!(test("snakes"), "snakes");
    let refused =
        platform.fails(&["function", "create", "--name", "f", "--env", "node", "--code", node.to_str().unwrap()]);
    assert!(refused.contains("folder") && refused.contains("--deployarchive"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_larger_than_a_package_goes_through_the_storage_and_survives_a_restart() {
    let mut platform = start();
    let path = platform.source("large.js", &large("large"));
    platform.ok(&["function", "create", "--name", "large", "--env", "node", "--code", &path]);
    let package = package_of(&platform, "large");
    assert_eq!(package["spec"]["deployment"]["type"], "url", "{package}");
    assert!(platform.ok(&["archive", "list"]).lines().count() == 2);
    assert_eq!(platform.ok(&["function", "test", "--name", "large"]), "large");
    platform.kill_and_restart();
    assert_eq!(platform.ok(&["function", "test", "--name", "large"]), "large");
    assert_eq!(platform.ok(&["function", "get", "--name", "large"]), large("large"), "what was given comes back");
    assert!(platform.ok(&["function", "getmeta", "--name", "large"]).contains("node"));
}

#[tokio::test(flavor = "multi_thread")]
async fn zips_are_unpacked_and_one_that_would_escape_is_refused() {
    let platform = start();
    let good = zip(
        &platform,
        "good.zip",
        &[("index.js", "module.exports = require('./a/b');"), ("a/b.js", &answers("zipped"))],
    );
    let evil = zip(&platform, "evil.zip", &[("index.js", &answers("evil")), ("../../escaped.js", "x")]);
    for (name, archive) in [("good", &good), ("evil", &evil)] {
        let archive = archive.to_str().unwrap();
        platform.ok(&["function", "create", "--name", name, "--env", "node", "--deploy", archive]);
        platform.route(name);
    }
    assert_eq!(platform.get("/good").await, (200, "zipped".into()));
    let (status, body) = platform.get("/evil").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("escaped.js"), "the entry is named: {body}");
}

/// Serves one body to everyone who asks, and gives its address.
async fn file_server(mut body: tokio::sync::watch::Receiver<String>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let body = body.borrow_and_update().clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            });
        }
    });
    format!("http://{address}/code.js")
}

#[tokio::test(flavor = "multi_thread")]
async fn code_from_a_url_is_checked_against_its_checksum() {
    let platform = start();
    let (body, served) = tokio::sync::watch::channel(answers("downloaded"));
    let url = file_server(served).await;
    platform.ok(&["function", "create", "--name", "url", "--env", "node", "--code", &url]);
    let package = package_of(&platform, "url");
    let sum = package["spec"]["deployment"]["checksum"]["sum"].as_str().expect("its checksum").to_owned();
    assert_eq!(platform.ok(&["function", "test", "--name", "url"]), "downloaded");

    // The address serves something else than what is declared.
    body.send(answers("exchanged")).unwrap();
    let declared = sum.chars().rev().collect::<String>();
    let create = ["function", "create", "--name", "stale", "--env", "node", "--code", &url];
    platform.ok(&[&create[..], &["--deploychecksum", &declared]].concat());
    platform.route("stale");
    let (status, text) = platform.get("/stale").await;
    assert_eq!(status, 500, "{text}");
    assert!(text.contains(&declared) && text.contains("its sha256 is"), "both sums are told: {text}");

    let gone =
        platform.fails(&["function", "create", "--name", "gone", "--env", "node", "--code", "http://127.0.0.1:1/x.js"]);
    assert!(gone.contains("http://127.0.0.1:1/x.js"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_package_redeploys_the_functions_that_use_it() {
    let platform = start();
    let path = platform.source("v.js", &answers("v0"));
    platform.ok(&["package", "create", "--name", "shared", "--env", "node", "--code", &path]);
    for name in ["a", "b"] {
        platform.ok(&["function", "create", "--name", name, "--env", "node", "--pkg", "shared"]);
        platform.route(name);
    }
    assert_eq!(platform.get("/a").await, (200, "v0".into()));
    let refused = platform.fails(&["package", "update", "--name", "shared", "--code", &path]);
    assert!(refused.contains("a, b") && refused.contains("--force"), "{refused}");
    for round in ["v1", "v2", "v3", "v4"] {
        platform.source("v.js", &answers(round));
        platform.ok(&["package", "update", "--name", "shared", "--code", &path, "--force"]);
        for name in ["/a", "/b"] {
            eventually("the new code answers", || async { platform.get(name).await == (200, round.into()) }).await;
        }
    }
    let info = platform.ok(&["package", "info", "--name", "shared"]);
    assert!(info.contains("node") && info.contains("none"), "{info}");
    assert_eq!(platform.ok(&["package", "getdeploy", "--name", "shared"]), answers("v4"));
    let used = platform.fails(&["package", "delete", "--name", "shared"]);
    assert!(used.contains('a') && used.contains("--force"), "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_stored_listed_fetched_and_deleted() {
    let platform = start();
    let text = "anything at all\n".repeat(100_000);
    let path = platform.source("things.bin", &text);
    let said = platform.ok(&["archive", "upload", "--name", &path]);
    let id = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(platform.ok(&["archive", "list"]).lines().collect::<Vec<_>>(), ["ARCHIVES", &id]);
    let back = platform.data().join("back.bin");
    platform.ok(&["archive", "download", "--id", &id, "-o", back.to_str().unwrap()]);
    assert!(fs::read_to_string(back).unwrap() == text, "the same bytes come back");
    assert!(platform.ok(&["archive", "get-url", "--id", &id]).contains("/v1/archive?id="));
    platform.ok(&["archive", "delete", "--id", &id]);
    assert_eq!(platform.ok(&["archive", "list"]).trim(), "ARCHIVES");
    let gone = platform.fails(&["archive", "download", "--id", &id, "-o", "x"]);
    assert!(gone.contains(&id), "{gone}");
}
