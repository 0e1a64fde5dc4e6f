//! A server of an environment as a real process on a unix socket, and a client for it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fission_environments::{Environments, LogProgress, Options, Runtime};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// A server that takes longer than this to come up or to end is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A language and how the functions of `tests/functions` are written in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) image: &'static str,
    extension: &'static str,
}

pub(crate) const NODEJS: Language = Language { name: "nodejs", image: "fission/node-env", extension: "js" };
pub(crate) const PYTHON: Language = Language { name: "python", image: "fission/python-env", extension: "py" };
pub(crate) const BINARY: Language = Language { name: "binary", image: "fission/binary-env", extension: "sh" };
pub(crate) const GO: Language = Language { name: "go", image: "fission/go-env", extension: "go" };
pub(crate) const FASTAPI: Language =
    Language { name: "python-fastapi", image: "fission/python-fastapi-env", extension: "py" };
pub(crate) const DOTNET: Language = Language { name: "dotnet", image: "fission/dotnet20-env", extension: "cs" };
pub(crate) const PHP: Language = Language { name: "php", image: "fission/php-env", extension: "php" };
pub(crate) const RUBY: Language = Language { name: "ruby", image: "fission/ruby-env", extension: "rb" };
pub(crate) const PERL: Language = Language { name: "perl", image: "fission/perl-env", extension: "pl" };
pub(crate) const JVM: Language = Language { name: "jvm", image: "fission/jvm-env", extension: "java" };
pub(crate) const RUST: Language = Language { name: "rust", image: "fission/rust-env", extension: "rs" };
/// Has no server: its components are driven through the whole platform.
pub(crate) const WASM: Language = Language { name: "wasm", image: "fission/wasm-env", extension: "js" };

/// The table every behaviour all environments share is driven through.
pub(crate) const LANGUAGES: [Language; 11] = [NODEJS, PYTHON, FASTAPI, GO, PHP, DOTNET, RUBY, PERL, JVM, RUST, BINARY];

impl Language {
    /// A function every language has, by its name without extension.
    pub(crate) fn function(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}.{}", self.extension))
    }

    /// A file or folder only this language has.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions").join(self.name).join(name)
    }
}

/// The catalog as a `fission` binary would open it. Prepared folders are kept between runs, outside the tree.
pub(crate) fn catalog() -> Environments {
    let cache = std::env::var_os("FISSION_TEST_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache/fission-test")
    });
    Environments::new(Options::new(
        cache.join("environments"),
        std::env::var_os("PATH").unwrap_or_default(),
        env!("CARGO_BIN_EXE_fission-env-server"),
    ))
    .unwrap()
}

/// How a language's server is started; fails with what the host lacks.
pub(crate) async fn runtime(language: Language) -> Runtime {
    match catalog().prepare(language.image, &LogProgress).await {
        Ok(runtime) => runtime,
        Err(error) => panic!("the tests of {} cannot run on this machine: {error}", language.name),
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
    folder: TempDir,
    pub(crate) language: Language,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Server {
    /// A generic one.
    pub(crate) async fn start(language: Language) -> Self {
        Self::start_with(language, &[]).await
    }

    /// A generic one with environment variables set.
    pub(crate) async fn start_with(language: Language, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stdout = std::fs::File::create(folder.path().join("stdout")).unwrap();
        Self::start_in(folder, language, env, stdout.into()).await
    }

    async fn start_in(folder: TempDir, language: Language, env: &[(&str, &str)], stdout: Stdio) -> Self {
        let runtime = runtime(language).await;
        let socket = folder.path().join("socket");
        let stderr = std::fs::File::create(folder.path().join("stderr")).unwrap();
        let child = Command::new(&runtime.argv[0])
            .args(&runtime.argv[1..])
            .envs(runtime.env)
            .envs(env.iter().copied())
            .env("FISSION_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let server = Self { child, socket, folder, language };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&server.socket).await.is_err() {
            assert!(Instant::now() < deadline, "{} did not come up: {}", language.name, server.log("stderr"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    /// One with a function.
    pub(crate) async fn with(language: Language, code: &Path, entry: &str) -> Self {
        let server = Self::start(language).await;
        let answer = server.specialize(code, entry).await;
        assert!(answer.status.is_success(), "{} {}: {}", language.name, code.display(), answer.text());
        server
    }

    /// Version 2 of the protocol, with fields no server knows.
    pub(crate) async fn specialize(&self, code: &Path, entry: &str) -> Answer {
        self.specialize_with(code, entry, serde_json::Value::Null).await
    }

    /// The same with environment variables of the function's own.
    pub(crate) async fn specialize_with(&self, code: &Path, entry: &str, env: serde_json::Value) -> Answer {
        let load = serde_json::json!({
            "filepath": code,
            "functionName": entry,
            "url": "",
            "FunctionMetadata": { "name": "hello", "namespace": "default" },
            "envVersion": 3,
            "env": env,
            "aFieldOfTheFuture": [1, 2, 3],
        });
        self.send(request("POST", "/v2/specialize").header("content-type", "application/json"), load.to_string()).await
    }

    /// GET on a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path), "").await
    }

    /// One request on a connection of its own, read to its end.
    pub(crate) async fn send(&self, head: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let response = self.open(head, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|e| panic!("{}: {e}", self.language.name)).to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// One request whose answer is yet to be read.
    pub(crate) async fn open(&self, head: http::request::Builder, body: impl Into<Bytes>) -> http::Response<Incoming> {
        let stream = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = head.body(Full::new(body.into())).unwrap();
        // As clients should (RFC 9110, 8.6); the HTTP server of .NET before 5 refuses such a request with 411.
        if request.body().is_end_stream() && matches!(*request.method(), Method::POST | Method::PUT) {
            request.headers_mut().insert(http::header::CONTENT_LENGTH, 0.into());
        }
        sender
            .send_request(request)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}; {}", self.language.name, self.log("stderr")))
    }

    /// A bare connection.
    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// Sends these bytes on a bare connection and gives all that comes until the server closes it.
    pub(crate) async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// What it printed so far: `stdout` or `stderr`.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// A place for files of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks it to end, without waiting.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end and gives its exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end", self.language.name))
            .unwrap()
            .code()
    }
}

/// The start of a request.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "function")
}

/// Reads from a connection until it has seen a text.
pub(crate) async fn read_until(stream: &mut UnixStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut seen)).await;
        assert!(read.is_ok_and(|count| count.unwrap() > 0), "no {text:?} in {:?}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Polls until something is true.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The program behind a server that is killed ends with it, and with the program a connection it has served.
pub(crate) async fn program_ends_with_its_container(language: Language) {
    let mut server = Server::with(language, &language.function("empty"), "").await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    read_until(&mut connection, "\r\n\r\n").await;
    server.kill().await;
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest))
        .await
        .expect("it stays open")
        .expect("it is closed, not reset");
}

/// What a program printed before it exits is kept although it was on its way to a log that took no more.
pub(crate) async fn last_words_are_kept_while_the_log_is_full(language: Language) {
    let folder = tempfile::tempdir().unwrap();
    let go_on = folder.path().join("exit");
    let (log, theirs) = std::io::pipe().unwrap();
    let room = rustix::pipe::fcntl_setpipe_size(&theirs, 4096).unwrap();
    let env = [("WAIT_FOR", go_on.to_str().unwrap())];
    let mut server = Server::start_in(folder, language, &env, theirs.into()).await;
    assert!(server.specialize(&language.function("exits"), "").await.status.is_success());
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    eventually("a full log", || rustix::io::ioctl_fionread(&log).unwrap() == room as u64).await;
    std::fs::write(go_on, "").unwrap();
    // The program has ended when its connection has; its container waits for the log.
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the program does not exit");
    let read = tokio::task::spawn_blocking(move || std::io::read_to_string(log).unwrap());
    assert_eq!(server.exit_code().await, Some(3));
    let log = read.await.unwrap();
    assert!(log.ends_with(&format!("last words{}\n", " and more".repeat(1000))), "{log}");
}

/// A line that is printed in parts, while no request is served, is passed on as one when it ends.
pub(crate) async fn a_line_printed_in_parts_is_one(language: Language) {
    let server = Server::with(language, &language.function("parts"), "").await;
    assert!(server.get("/").await.status.is_success());
    eventually("the line", || server.log("stdout") == "one two\n").await;
}
