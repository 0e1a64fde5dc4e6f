//! The cluster of this run, and what a test does to it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Longest wait for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Where pods of functions are.
pub(crate) const PODS: &str = "fission-function";
/// Where the platform is.
pub(crate) const PLATFORM: &str = "fission";

/// Tests share the cluster; who breaks something for all has it alone.
static SHARED: OnceLock<RwLock<()>> = OnceLock::new();

fn shared() -> &'static RwLock<()> {
    SHARED.get_or_init(RwLock::default)
}

/// A test's hold of the cluster, whether it shares it or has it alone.
enum Hold {
    Shared(#[allow(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// The cluster as one test sees it: its names begin with `prefix`, and its objects go when it ends.
pub(crate) struct Cluster {
    /// Beginning of the test's names.
    pub(crate) prefix: String,
    /// Files of the test.
    pub(crate) folder: TempDir,
    /// `http://host:port` of the router.
    pub(crate) router: String,
    controller: String,
    http: reqwest::Client,
    _hold: Hold,
}

#[allow(clippy::disallowed_methods, reason = "what the script that starts the tests says")]
fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/cluster/run"))
}

#[allow(clippy::disallowed_methods, reason = "what the script that starts the tests says")]
pub(crate) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says that something was not tried, past the test runner, which keeps what tests that pass print.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}");
}

impl Cluster {
    /// The cluster, beside other tests.
    pub(crate) async fn shared(prefix: &str) -> Arc<Self> {
        let hold = Hold::Shared(shared().read().await);
        Self::new(prefix, hold)
    }

    /// The cluster, with no other test.
    pub(crate) async fn alone(prefix: &str) -> Arc<Self> {
        let hold = Hold::Alone(shared().write().await);
        Self::new(prefix, hold)
    }

    fn new(prefix: &str, hold: Hold) -> Arc<Self> {
        let node = required("FISSION_TEST_NODE");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Arc::new(Self {
            prefix: prefix.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            router: format!("http://{node}:31314"),
            controller: format!("http://{node}:31313"),
            http,
            _hold: hold,
        })
    }

    /// A name of the test's own.
    pub(crate) fn name(&self, word: &str) -> String {
        format!("{}-{word}", self.prefix)
    }

    /// `kubectl` with the test's cluster.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        run(Command::new("kubectl").args(arguments).current_dir(self.folder.path()), None)
    }

    /// What `kubectl` prints; it must succeed.
    pub(crate) fn kubectl_ok(&self, arguments: &[&str]) -> String {
        text(&self.kubectl(arguments), &format!("kubectl {arguments:?}"))
    }

    /// `kubectl apply` of a text.
    pub(crate) fn apply(&self, yaml: &str) -> Output {
        run(Command::new("kubectl").args(["apply", "-f", "-"]), Some(yaml))
    }

    /// JSON of what `kubectl get` finds.
    pub(crate) fn get_json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(arguments);
        serde_json::from_str(&self.kubectl_ok(&all)).unwrap()
    }

    /// The command line, through the kubeconfig.
    pub(crate) fn fission(&self, arguments: &[&str]) -> Output {
        self.fission_of(PLATFORM, arguments)
    }

    /// The command line, for the platform that is in this namespace.
    pub(crate) fn fission_of(&self, platform: &str, arguments: &[&str]) -> Output {
        run(self.command(arguments).env("FISSION_NAMESPACE", platform), None)
    }

    /// What another program prints; it must succeed.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> String {
        let output = run(Command::new(program).args(arguments).current_dir(self.folder.path()), None);
        text(&output, &format!("{program} {arguments:?}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// What the command line prints; it must succeed.
    pub(crate) fn fission_ok(&self, arguments: &[&str]) -> String {
        text(&self.fission(arguments), &format!("fission {arguments:?}"))
    }

    /// A shell with the article's two variables and nothing of a kubeconfig.
    pub(crate) fn article(&self, commands: &str, token: &str) -> Output {
        let bin = Path::new(env!("CARGO_BIN_EXE_fission")).parent().unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", commands])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{}", bin.display(), required("PATH")))
            .env("HOME", self.folder.path())
            .env("FISSION_URL", &self.controller)
            .env("FISSION_TOKEN", token)
            .env("FISSION_ROUTER", self.router.trim_start_matches("http://"));
        run(&mut shell, None)
    }

    /// Writes a file of the test.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// An environment of the test's own with a pool of this size, ready.
    pub(crate) fn environment(&self, image: &str, pool: usize) -> String {
        let name = self.name("env");
        self.fission_ok(&[
            "env",
            "create",
            "--name",
            &name,
            "--image",
            image,
            "--poolsize",
            &pool.to_string(),
            "--graceperiod",
            "4",
        ]);
        name
    }

    /// A function and a route to it at `/<prefix>-<word>`; more flags for `function create`.
    pub(crate) fn function(&self, word: &str, env: &str, file: &str, content: &str, flags: &[&str]) -> String {
        let name = self.name(word);
        self.write(file, content);
        let mut all = vec!["function", "create", "--name", &name, "--env", env, "--code", file];
        all.extend(flags);
        self.fission_ok(&all);
        self.route(&name);
        name
    }

    /// A route to a function, at its name.
    pub(crate) fn route(&self, function: &str) {
        let url = format!("/{function}");
        self.fission_ok(&[
            "route",
            "create",
            "--name",
            function,
            "--method",
            "GET",
            "--url",
            &url,
            "--function",
            function,
        ]);
    }

    /// A request to the router.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        match self.http.get(format!("{}{path}", self.router)).send().await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        }
    }

    /// A request until its answer is as expected; gives what it last was.
    pub(crate) async fn until(&self, path: &str, expected: impl Fn(&(u16, String)) -> bool) -> (u16, String) {
        let started = Instant::now();
        loop {
            let answer = self.get(path).await;
            if expected(&answer) {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "{path} still answers {answer:?}\n{}", self.state());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a request is answered with this text.
    pub(crate) async fn answers(&self, path: &str, body: &str) {
        self.until(path, |(status, text)| (*status, text.trim()) == (200, body)).await;
    }

    /// Waits until something is so.
    pub(crate) async fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "not seen: {what}\n{}", self.state());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Names of the pods that serve a function.
    pub(crate) fn pods(&self, function: &str) -> Vec<String> {
        let selector = format!("functionName={function}");
        let found = self.get_json(&["pods", "-n", PODS, "-l", &selector]);
        let items = found["items"].as_array().cloned().unwrap_or_default();
        let living = items.iter().filter(|pod| pod["metadata"].get("deletionTimestamp").is_none());
        living.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The same, once there is one: its labels come a moment after its first answer.
    pub(crate) async fn serving(&self, function: &str) -> Vec<String> {
        self.eventually("a pod is the function's", || !self.pods(function).is_empty()).await;
        self.pods(function)
    }

    /// Starts requests that go on until it is dropped or ended.
    pub(crate) fn load(self: &Arc<Self>, path: &str, at_once: usize) -> Load {
        let (sender, receiver) = tokio::sync::watch::channel(false);
        let tasks = (0..at_once).map(|_| {
            let (cluster, path, ended) = (self.clone(), path.to_owned(), receiver.clone());
            tokio::spawn(async move {
                let (mut good, mut bad) = (0, Vec::new());
                while !*ended.borrow() {
                    match cluster.get(&path).await {
                        (200, _) => good += 1,
                        other => bad.push(other),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                (good, bad)
            })
        });
        Load { tasks: tasks.collect(), end: sender }
    }

    /// A node-level fault, where the cluster is the tests' own.
    pub(crate) fn fault(&self, arguments: &[&str]) -> Option<Output> {
        let script = optional("FISSION_TEST_FAULT")?;
        Some(run(Command::new(script).args(arguments), None))
    }

    /// What there is, for a failure's text.
    pub(crate) fn state(&self) -> String {
        let pods = self.kubectl(&["get", "pods", "-A", "-o", "wide"]);
        let executor = self.kubectl(&["logs", "-n", PLATFORM, "deploy/executor", "--tail=20"]);
        let router = self.kubectl(&["logs", "-n", PLATFORM, "deploy/router", "--tail=10"]);
        let all = [pods, executor, router];
        let cut = |line: &str| line.chars().take(300).collect::<String>();
        let lines = |one: &Output| String::from_utf8_lossy(&one.stdout).lines().map(cut).collect::<Vec<_>>().join("\n");
        all.iter().map(lines).collect::<Vec<_>>().join("\n---\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for kind in ["httptriggers", "functions", "packages", "environments", "secrets", "configmaps"] {
            let found = self.kubectl(&["get", kind, "-n", "default", "-o", "name"]);
            let names = String::from_utf8_lossy(&found.stdout).into_owned();
            let own =
                |line: &&str| line.split('/').nth(1).is_some_and(|name| name.starts_with(&format!("{}-", self.prefix)));
            let mine: Vec<&str> = names.lines().filter(own).collect();
            if !mine.is_empty() {
                let mut arguments = vec!["delete", "-n", "default", "--ignore-not-found", "--wait=false"];
                arguments.extend(mine);
                self.kubectl(&arguments);
            }
        }
    }
}

/// How many requests were answered, and how the others ended.
type Answered = (usize, Vec<(u16, String)>);

/// Requests under way.
pub(crate) struct Load {
    tasks: Vec<tokio::task::JoinHandle<Answered>>,
    end: tokio::sync::watch::Sender<bool>,
}

impl Load {
    /// Ends them. Every one must have been answered 200, and there must have been some.
    pub(crate) async fn all_were_answered(self) {
        self.end.send_replace(true);
        let (mut good, mut bad) = (0, Vec::new());
        for task in self.tasks {
            let (answered, failed) = task.await.unwrap();
            good += answered;
            bad.extend(failed);
        }
        assert!(bad.is_empty(), "{} of {} requests failed: {:?}", bad.len(), good + bad.len(), bad.first());
        assert!(good > 0, "no request was made");
    }
}

fn run(command: &mut Command, input: Option<&str>) -> Output {
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

/// Standard output of what must have succeeded.
pub(crate) fn text(output: &Output, what: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} failed:\n{out}\n{err}");
    out.into_owned()
}

/// Both outputs, of what may have failed.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A function that answers this text.
pub(crate) fn node(text: &str) -> String {
    format!("module.exports = async () => ({{ status: 200, body: {text:?} }});\n")
}
