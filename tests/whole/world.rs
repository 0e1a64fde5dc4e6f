//! One real platform per test: the binary under test, a data folder of its own, free ports, and the commands a person
//! would type.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest a test waits for something that must happen. Far above what it takes: only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How a platform is started, where that is not the usual way.
#[derive(Clone, Default)]
pub(crate) struct Start {
    /// More arguments to `fission up`.
    pub(crate) arguments: Vec<String>,
    /// A program and its arguments that end by becoming the platform, such as `setpriv ...`.
    pub(crate) through: Vec<String>,
    /// Environment variables set for it.
    pub(crate) variables: Vec<(String, String)>,
    /// The binary, when it is a copy.
    pub(crate) binary: Option<PathBuf>,
    /// Its folder is a file system of its own in a mount namespace of its own, of this many MiB.
    pub(crate) disk_mib: Option<u32>,
}

/// The user and group nobody.
const NOBODY: u32 = 65534;

impl Start {
    /// The same binary and, of what is prepared, these environments in a place where another user may read them, and the
    /// words that make it that user's.
    pub(crate) fn as_nobody(folder: &Path, environments: &[&str]) -> Self {
        let (binary, cache) = (folder.join("fission"), folder.join("environments"));
        fs::copy(env!("CARGO_BIN_EXE_fission"), &binary).unwrap();
        fs::create_dir(&cache).unwrap();
        for entry in fs::read_dir(environment_cache()).into_iter().flatten().flatten() {
            let wanted = |name: &&str| entry.file_name().to_string_lossy().starts_with(&format!("{name}-"));
            if environments.iter().any(wanted) {
                let copied = Command::new("cp").arg("-r").arg(entry.path()).arg(&cache).status().unwrap();
                assert!(copied.success());
            }
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let owned = Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(folder).status().unwrap();
        assert!(owned.success());
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let words = ["setpriv", &format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"];
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        Self {
            through: words.map(str::to_owned).to_vec(),
            variables: vec![("HOME".into(), text(folder)), ("FISSION_ENVIRONMENT_CACHE".into(), text(&cache))],
            binary: Some(binary),
            ..Self::default()
        }
    }
}

/// A platform that is running, or was.
pub(crate) struct Platform {
    dir: TempDir,
    child: Child,
    start: Start,
    data: PathBuf,
    /// `http://127.0.0.1:port` of the API.
    pub(crate) api: String,
    /// `http://127.0.0.1:port` of the router.
    pub(crate) router: String,
    client: reqwest::Client,
}

impl Platform {
    /// Starts one with default settings.
    pub(crate) fn start() -> Self {
        Self::start_as(Start::default())
    }

    /// Starts one in another way.
    pub(crate) fn start_as(start: Start) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder for the platform"), start)
    }

    /// Starts one in another way, in a folder that was made ready for it.
    pub(crate) fn start_in(dir: TempDir, start: Start) -> Self {
        let (child, status) = launch(dir.path(), &start, "127.0.0.1:0", "127.0.0.1:0");
        let address = |field: &str| url(status[field].as_str().expect("an address in status.json"));
        let (api, router) = (address("api"), address("router"));
        let data = seen_from_here(dir.path(), &start, &child);
        Self { dir, child, start, data, api, router, client: reqwest::Client::new() }
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
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
        let (child, _) = launch(self.dir.path(), &self.start, &bare(&self.api), &bare(&self.router));
        self.data = seen_from_here(self.dir.path(), &self.start, &child);
        self.child = child;
    }

    /// Asks it to end, as Ctrl-C does, and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        signal(self.child.id(), "-INT");
        self.ended()
    }

    /// Waits for it to end, however it was asked to, and gives its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the platform can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the platform did not end\n{}", self.own_log());
            pause();
        }
    }

    /// Runs a CLI command against it, as the article does: by `FISSION_URL`.
    pub(crate) fn fission(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
        self.prepare(&mut command).args(arguments);
        command.output().expect("the CLI runs")
    }

    /// Runs a CLI command in a folder. Must succeed; gives what it printed.
    pub(crate) fn ok_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
        self.prepare(&mut command).current_dir(folder).args(arguments);
        printed(command.output().expect("the CLI runs"), arguments)
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

    /// Writes a file where it takes no room on the platform's disk and gives its path.
    pub(crate) fn source_elsewhere(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("the file can be written");
        path.to_str().expect("utf-8").to_owned()
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
        fs::read_to_string(self.dir.path().join("platform.log")).unwrap_or_default()
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
#[allow(clippy::disallowed_methods)] // a setting of the tests, not of the product
pub(crate) fn required(name: &str, what: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: {what}"))
}

/// Sends a signal.
pub(crate) fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
    assert!(sent.success(), "process {pid} could not be signalled");
}

/// What a command printed that must have succeeded.
pub(crate) fn printed(output: Output, arguments: &[&str]) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} failed\nstdout: {stdout}\nstderr: {stderr}", arguments.join(" "));
    stdout.into_owned()
}

/// The platform's folder, also when it is mounted where only the platform sees it.
fn seen_from_here(dir: &Path, start: &Start, platform: &Child) -> PathBuf {
    if start.disk_mib.is_none() {
        return dir.to_owned();
    }
    let mut path = format!("/proc/{}/root", platform.id());
    path.push_str(dir.to_str().expect("utf-8"));
    path.into()
}

/// The words before the binary that make its surroundings.
fn through(dir: &Path, start: &Start) -> Vec<String> {
    let Some(mib) = start.disk_mib else { return start.through.clone() };
    let namespaces = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let mount = format!("mount -t tmpfs -o size={mib}m,mode=700 none \"$0\" && exec \"$@\"");
    ["unshare", namespaces, "sh", "-c", &mount, dir.to_str().expect("utf-8")].map(str::to_owned).to_vec()
}

fn launch(dir: &Path, start: &Start, api: &str, router: &str) -> (Child, Value) {
    let log = fs::File::options().create(true).append(true).open(dir.join("platform.log")).expect("a log file");
    let binary = start.binary.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_fission")));
    let mut words = through(dir, start).into_iter().map(std::ffi::OsString::from).chain([binary.into()]);
    let mut command = Command::new(words.next().expect("at least the binary"));
    command
        .args(words)
        .args(["up", "--data"])
        .arg(dir)
        .args(["--listen-api", api, "--listen-router", router])
        .args(&start.arguments)
        .env("FISSION_ENVIRONMENT_CACHE", environment_cache())
        .env_remove("KUBECONFIG")
        .envs(start.variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log);
    let mut child = command.spawn().expect("the platform starts");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = fs::read(seen_from_here(dir, start, &child).join("status.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok());
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
pub(crate) fn environment_cache() -> PathBuf {
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
