//! A backend with a launcher of its own and scripted function servers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fission_api::{Environment, Function};
use fission_environments::{BuildTools, Environments, Listen, Runtime};
use fission_executor::backend::{Backend, BackendError, Created, InstanceSpec, Load};
use fission_executor::configuration::Configuration;
use fission_rpc::code::Code;
use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::logs::{LogOwner, LogPipe, LogSink};
use fission_sandbox::launcher::{self, LauncherOptions};
use fission_sandbox::{Options, RuntimeSource, SandboxBackend};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Nothing here takes this long on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The stand-in for the `fission` binary, built as an example of this crate beside the tests.
pub(crate) fn host() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let host = test.parent().unwrap().parent().unwrap().join("examples/launcher_host");
    assert!(host.exists(), "{} is missing: run the tests of the whole package, which build it", host.display());
    host
}

pub(crate) fn launcher_options() -> LauncherOptions {
    LauncherOptions { program: host(), arguments: vec![launcher::ARGUMENT.into()] }
}

#[derive(Clone)]
struct Scripted {
    listen: Listen,
    program: PathBuf,
}

#[async_trait]
impl RuntimeSource for Scripted {
    async fn runtime(&self, image: &str) -> Result<Runtime, String> {
        if image == "unknown" {
            return Err("image unknown is not built in".to_owned());
        }
        Ok(Runtime {
            name: "scripted".to_owned(),
            argv: vec![self.program.display().to_string(), "__server".to_owned()],
            env: Vec::new(),
            read_only: vec![host(), self.program.clone()],
            listen: self.listen,
            system_calls: image.strip_prefix("calls:").map(str::to_owned).into_iter().collect(),
        })
    }

    async fn build_tools(&self, _image: &str) -> Result<BuildTools, String> {
        Ok(BuildTools {
            name: "scripted".to_owned(),
            argv: vec!["sh".to_owned(), "./build".to_owned()],
            env: vec![("FROM_TOOLS".to_owned(), "yes".to_owned())],
            path: Vec::new(),
            read_only: Vec::new(),
            system_calls: Vec::new(),
        })
    }
}

/// What instances printed, with whose it was when it was read.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<(LogOwner, String)>>>);

impl Lines {
    /// Waits for a line.
    pub(crate) async fn wait_for(&self, text: &str) -> LogOwner {
        until(|| self.0.lock().unwrap().iter().find(|(_, line)| line == text).map(|(owner, _)| owner.clone())).await
    }
}

impl LogSink for Lines {
    fn capture(&self, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>, stdout: LogPipe, stderr: LogPipe) {
        use std::io::{BufRead, BufReader};
        for pipe in [stdout, stderr] {
            let (lines, owner) = (self.0.clone(), owner.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(std::fs::File::from(pipe)).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push((owner(), line));
                }
            });
        }
    }
}

pub(crate) struct World {
    pub(crate) data: tempfile::TempDir,
    pub(crate) backend: SandboxBackend,
    pub(crate) lines: Lines,
    pub(crate) launcher: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, Listen::Unix, host())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options), listen: Listen, program: PathBuf) -> Self {
        Self::of(change, Arc::new(Scripted { listen, program }))
    }

    /// Instances of the environments users have.
    pub(crate) fn of_built_in_environments(cache: &Path) -> Self {
        let options = fission_environments::Options::new(cache.to_owned(), "/usr/local/bin:/usr/bin:/bin", host());
        Self::of(|_| {}, Arc::new(Environments::new(options).unwrap()))
    }

    fn of(change: impl FnOnce(&mut Options), runtimes: Arc<dyn RuntimeSource>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut options = Options::new(data.path().join("data"));
        change(&mut options);
        let launcher = launcher::start(launcher_options()).unwrap();
        let (lines, pid) = (Lines::default(), launcher.pid());
        let backend = SandboxBackend::new(options, launcher, Arc::new(lines.clone()), runtimes).unwrap();
        Self { data, backend, lines, launcher: pid }
    }

    pub(crate) async fn create(&self, id: &str, spec: Value) -> Result<Created, BackendError> {
        let spec = InstanceSpec { id: InstanceId(id.into()), environment: Arc::new(environment(spec)), function: None };
        self.backend.create(spec).await
    }

    /// An instance of an environment that declares nothing.
    pub(crate) async fn instance(&self, id: &str) -> Created {
        self.create(id, json!({})).await.unwrap()
    }

    /// Loads code, given as the content of its only file.
    pub(crate) async fn load(
        &self,
        id: &str,
        code: &str,
        version: i64,
        timeout: Duration,
    ) -> Result<Address, BackendError> {
        let path = self.data.path().join(format!("code-of-{id}"));
        std::fs::write(&path, code).unwrap();
        self.load_from(id, &path, version, timeout).await
    }

    pub(crate) async fn load_from(
        &self,
        id: &str,
        path: &Path,
        version: i64,
        timeout: Duration,
    ) -> Result<Address, BackendError> {
        self.load_with(id, path, version, timeout, Configuration::default()).await
    }

    pub(crate) async fn load_with(
        &self,
        id: &str,
        path: &Path,
        version: i64,
        timeout: Duration,
        configuration: Configuration,
    ) -> Result<Address, BackendError> {
        let load = Load {
            function: Arc::new(function()),
            package: Arc::default(),
            code: Code { path: path.to_owned(), digest: String::new() },
            configuration,
            filename: if version < 2 { "user" } else { "deployarchive" }.to_owned(),
            environment_version: version,
            timeout,
        };
        self.backend.specialize(&InstanceId(id.into()), load).await
    }

    pub(crate) async fn destroy(&self, id: &str, grace: Duration) {
        self.backend.destroy(&InstanceId(id.into()), grace).await;
    }

    /// The host directories of instances there are now.
    pub(crate) fn directories(&self) -> usize {
        std::fs::read_dir(self.data.path().join("data/run/instances")).unwrap().count()
    }
}

/// An environment; `spec` is merged over a plain one.
pub(crate) fn environment(spec: Value) -> Environment {
    let mut object = json!({"apiVersion": "fission.io/v1", "kind": "Environment",
        "metadata": {"name": "env", "namespace": "ns"}, "spec": {"version": 3, "runtime": {"image": "x"}}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// An environment whose server is told by a variable how to behave.
pub(crate) fn scripted(script: &str) -> Value {
    json!({"runtime": {"image": "x", "container": {"env": [{"name": "SCRIPT", "value": script}]}}})
}

pub(crate) fn function() -> Function {
    let object = json!({"apiVersion": "fission.io/v1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "ns"}, "spec": {}});
    serde_json::from_value(object).unwrap()
}

/// Tells the scripted server to do something: (whether it could, what it said). An error when it ended over it.
pub(crate) async fn tell(address: &Address, command: &str) -> std::io::Result<(bool, String)> {
    let request = format!(
        "POST /do HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{command}",
        command.len()
    )
    .into_bytes();
    let mut answer = String::new();
    match address {
        Address::Unix(path) => {
            let mut stream = tokio::net::UnixStream::connect(path).await?;
            stream.write_all(&request).await?;
            stream.read_to_string(&mut answer).await?;
        }
        Address::Tcp(address) => {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.write_all(&request).await?;
            stream.read_to_string(&mut answer).await?;
        }
        Address::Local(_) => return Err(std::io::ErrorKind::Unsupported.into()),
    }
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.contains(" 200 "), body.to_owned()))
}

/// What the scripted server said to a command it could carry out.
pub(crate) async fn said(address: &Address, command: &str) -> String {
    let (done, text) = tell(address, command).await.unwrap();
    assert!(done, "{command}: {text}");
    text
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there and is not just waiting to be collected.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['Z', 'X']));
        state == Some(false)
    })
}

/// The processes a process has started that are there now.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().map(|child| child.parse().unwrap()).collect()
}
