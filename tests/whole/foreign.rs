//! Environments that are not ours: a folder of the operator's with a server that follows Fission's contract on a TCP
//! port, in a language of its own, and knows nothing of this platform.

use std::fs;

use crate::world::{Platform, Start};

/// All there is to it: what it needs, how it starts, how it builds.
const TOML: &str = r#"
summary = "Upper case, by a server of someone else"
images = ["shout-env"]
files = ["server.py", "build"]

[[requires]]
tool = "python"
programs = ["python3"]
minimum = "3.8"
probe = ["-c", "import json, os, sys; print(json.dumps({'version': sys.version.split()[0], 'executable': os.path.realpath(sys.executable), 'folders': [sys.base_prefix]}))"]
install = "Install Python."

[start]
argv = ["{python}", "-S", "{home}/server.py"]
listen = "tcp"

[build]
images = ["shout-builder"]
argv = ["sh", "{home}/build"]
"#;

/// The contract and nothing more: port 8888 unless RUNTIME_PORT, both specialize requests, unknown fields ignored.
const SERVER: &str = r#"
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

code = None

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def serve(self):
        global code
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/healthz":
            return self.answer(200, b"")
        if self.path in ("/specialize", "/v2/specialize"):
            path = json.loads(body)["filepath"] if body else "/userfunc/user"
            try:
                code = open(path).read()
            except OSError as error:
                return self.answer(500, str(error).encode())
            return self.answer(200, b"")
        if code is None:
            return self.answer(500, b"Generic container: no requests supported")
        self.answer(200, (code.strip().upper() + " " + self.path + " " + body.decode()).encode())

    do_GET = do_POST = serve

    def log_message(self, *arguments):
        print("served", self.path, flush=True)

ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("RUNTIME_PORT", "8888"))), Handler).serve_forever()
"#;

fn start() -> Platform {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("environments/shout");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("environment.toml"), TOML).unwrap();
    fs::write(folder.join("server.py"), SERVER).unwrap();
    fs::write(folder.join("build"), "cat \"$SRC_PKG\"/* >\"$DEPLOY_PKG\"\n").unwrap();
    let arguments = vec!["--environments".to_owned(), dir.path().join("environments").display().to_string()];
    Platform::start_in(dir, Start { arguments, ..Start::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_someone_else_on_a_tcp_port_runs_functions_and_builds() {
    let platform = start();
    platform.deploy("fission/shout-env", "quiet", "quiet.txt", "hello there");
    let answer = platform.request(reqwest::Method::POST, "/quiet?x=1", "body").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "HELLO THERE /?x=1 body");

    platform.source("parts/a", "one ");
    platform.source("parts/b", "two");
    let parts = platform.data().join("src/parts");
    platform.ok(&["function", "create", "--name", "built", "--env", "shout-env", "--src", parts.to_str().unwrap()]);
    platform.route("built");
    assert_eq!(platform.get("/built").await, (200, "ONE TWO / ".into()));
    let logs = platform.ok(&["function", "logs", "--name", "quiet"]);
    assert!(logs.contains("served /?x=1"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_no_environment_is_refused_at_the_start() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fission"))
        .args([
            "up",
            "--ephemeral",
            "--listen-api",
            "127.0.0.1:0",
            "--listen-router",
            "127.0.0.1:0",
            "--environments",
            "/nowhere",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("/nowhere"), "{said}");
}
