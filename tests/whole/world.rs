//! One real platform per test: the binary under test, a data folder of its own, free ports, and the commands a person
//! would type.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest a test waits for something that must happen. Far above what it takes: only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A platform that is running, or was.
pub(crate) struct Platform {
    dir: TempDir,
    child: Child,
    arguments: Vec<String>,
    /// `http://127.0.0.1:port` of the API.
    pub(crate) api: String,
    /// `http://127.0.0.1:port` of the router.
    pub(crate) router: String,
    client: reqwest::Client,
}

impl Platform {
    /// Starts one with default settings.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments to `fission up`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the platform");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (child, status) = launch(dir.path(), &arguments, "127.0.0.1:0", "127.0.0.1:0");
        let address = |field: &str| url(status[field].as_str().expect("an address in status.json"));
        let (api, router) = (address("api"), address("router"));
        Self { dir, child, arguments, api, router, client: reqwest::Client::new() }
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        self.dir.path()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does and starts it again on the same folder and ports.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the platform can be killed");
        self.child.wait().expect("the platform ends");
    }

    /// Starts it again on the same folder and ports.
    pub(crate) fn restart(&mut self) {
        let _ = fs::remove_file(self.data().join("status.json"));
        let bare = |url: &str| url.trim_start_matches("http://").to_owned();
        let (child, _) = launch(self.dir.path(), &self.arguments, &bare(&self.api), &bare(&self.router));
        self.child = child;
    }

    /// Asks it to end, as Ctrl-C does, and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        signal(self.child.id(), "-INT");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the platform can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the platform did not end after SIGINT\n{}", self.own_log());
            pause();
        }
    }

    /// Runs a CLI command against it, as the article does: by `FISSION_URL`.
    pub(crate) fn fission(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
        self.prepare(&mut command).args(arguments);
        command.output().expect("the CLI runs")
    }

    /// Runs a CLI command that must succeed and gives what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.fission(arguments);
        assert!(
            output.status.success(),
            "fission {} failed\nstdout: {}\nstderr: {}\nplatform: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.own_log(),
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a CLI command that must fail and gives what it said on stderr.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.fission(arguments);
        assert!(
            !output.status.success(),
            "fission {} succeeded: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stderr).expect("text")
    }

    /// Gives a command the surroundings of a user of this platform.
    pub(crate) fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.data())
            .env("FISSION_DATA", self.data())
            .env("FISSION_URL", &self.api)
            .env("FISSION_ROUTER", self.router.trim_start_matches("http://"))
            .env("HOME", self.data())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
    }

    /// Runs kubectl against it. Must succeed; gives what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_output(arguments);
        assert!(
            output.status.success(),
            "kubectl {} failed\nstdout: {}\nstderr: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs kubectl against it.
    pub(crate) fn kubectl_output(&self, arguments: &[&str]) -> Output {
        let kubectl = required("KUBECTL", "the kubectl to test with; `make test` sets it");
        let mut command = Command::new(kubectl);
        self.prepare(&mut command).env("KUBECONFIG", self.kubeconfig()).args(arguments);
        command.output().expect("kubectl runs")
    }

    /// The kubeconfig it wrote.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data().join("kubeconfig")
    }

    /// The API's bearer token.
    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.data().join("token")).expect("the token").trim().to_owned()
    }

    /// Writes a file into the data folder's `src` and gives its path.
    pub(crate) fn source(&self, name: &str, content: &str) -> String {
        let path = self.data().join("src").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, content).expect("the file can be written");
        path.to_str().expect("utf-8").to_owned()
    }

    /// Environment, function and route of one source file; the route is `/<name>`.
    pub(crate) fn deploy(&self, image: &str, name: &str, file: &str, source: &str) {
        let path = self.source(file, source);
        let env = image.trim_start_matches("fission/");
        if !self.fission(&["env", "get", "--name", env]).status.success() {
            self.ok(&["env", "create", "--name", env, "--image", image, "--poolsize", "1"]);
        }
        self.ok(&["function", "create", "--name", name, "--env", env, "--code", &path]);
        self.route(name);
    }

    /// A GET and POST route `/<name>` to a function.
    pub(crate) fn route(&self, name: &str) {
        let url = format!("/{name}");
        self.ok(&[
            "route",
            "create",
            "--name",
            name,
            "--method",
            "GET",
            "--method",
            "POST",
            "--url",
            &url,
            "--function",
            name,
        ]);
    }

    /// A request to the router, retried while the route is not there yet.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.request(reqwest::Method::GET, path, "").await;
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// A request with a body to the router, retried while the route is not there yet (a write returns before the
    /// router has seen it).
    pub(crate) async fn request(&self, method: reqwest::Method, path: &str, body: &str) -> reqwest::Response {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let url = format!("{}{path}", self.router);
            let sent = self.client.request(method.clone(), url).body(body.to_owned()).send().await;
            let response = sent.unwrap_or_else(|error| panic!("{path}: {error:?}\n{}", self.own_log()));
            if response.status() != 404 || Instant::now() > deadline {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The HTTP client, for what the above do not cover.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.client
    }

    /// A JSON object of the API.
    pub(crate) async fn object(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.api)).bearer_auth(self.token()).send().await;
        response.expect("the API answers").json().await.expect("JSON")
    }

    /// Pods that belong to a function.
    pub(crate) async fn instances_of(&self, function: &str) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/default/pods?labelSelector=functionName%3D{function}");
        let running = |pod: &Value| pod["status"]["phase"] == "Running";
        let list = self.object(&path).await;
        list["items"].as_array().cloned().unwrap_or_default().into_iter().filter(running).collect()
    }

    /// What the platform itself printed.
    pub(crate) fn own_log(&self) -> String {
        fs::read_to_string(self.data().join("platform.log")).unwrap_or_default()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the platform printed:\n{}", self.own_log());
        }
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "this did not come true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An environment variable the tests need.
pub(crate) fn required(name: &str, what: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: {what}"))
}

/// Sends a signal.
pub(crate) fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
    assert!(sent.success(), "process {pid} could not be signalled");
}

fn launch(dir: &Path, arguments: &[String], api: &str, router: &str) -> (Child, Value) {
    let log = fs::File::options().create(true).append(true).open(dir.join("platform.log")).expect("a log file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
    command
        .args(["up", "--data"])
        .arg(dir)
        .args(["--listen-api", api, "--listen-router", router])
        .args(arguments)
        .env("FISSION_ENVIRONMENT_CACHE", environment_cache())
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log);
    let mut child = command.spawn().expect("the platform starts");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status =
            fs::read(dir.join("status.json")).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        if let Some(status) = status.filter(|status| status["pid"] == child.id()) {
            return (child, status);
        }
        let printed = || fs::read_to_string(dir.join("platform.log")).unwrap_or_default();
        if let Some(ended) = child.try_wait().expect("the platform can be waited for") {
            panic!("the platform ended at once ({ended}):\n{}", printed());
        }
        assert!(Instant::now() < deadline, "the platform is not ready:\n{}", printed());
        pause();
    }
}

/// Prepared environments are shared by all test platforms of this machine.
fn environment_cache() -> PathBuf {
    let cache = std::env::var_os("FISSION_TEST_CACHE").map_or_else(std::env::temp_dir, PathBuf::from);
    cache.join("fission-test-environments")
}

fn url(address: &str) -> String {
    if address.starts_with("http://") { address.to_owned() } else { format!("http://{address}") }
}

#[allow(clippy::disallowed_methods)] // polls another process; nothing to await
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
