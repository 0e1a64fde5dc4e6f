//! A backend with a data folder of its own, and the fixture loaded into instances of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fission_api::{Environment, Function, Package};
use fission_executor::backend::{Backend, BackendError, InstanceSpec, Load};
use fission_executor::configuration::Configuration;
use fission_rpc::code::Code;
use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::local::{Local, LocalBody};
use fission_rpc::logs::{LogOwner, LogPipe, LogSink};
use fission_rpc::refusal::Refusal;
use fission_wasm::{Options, WasmBackend};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

/// Nothing here takes this long on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The component, and the name of its content.
fn fixture() -> Code {
    Code { path: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture.wasm"), digest: "fixture".to_owned() }
}

/// A data folder in which the fixture is compiled: that takes seconds in an unoptimised compiler, and once is enough.
static COMPILED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let data = tempfile::tempdir().unwrap();
    let options = Options::new(data.path().to_owned());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let world = World::at(options, tempfile::tempdir().unwrap());
            world.load(json!({})).await.unwrap();
        });
    })
    .join()
    .unwrap();
    data
});

/// Lines that instances printed, with whose they are.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<(LogOwner, String)>>>);

impl Lines {
    /// Waits for a line that has this text in it.
    pub(crate) async fn wait_for(&self, text: &str) -> (LogOwner, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.0.lock().unwrap().iter().find(|(_, line)| line.contains(text)).cloned();
            if let Some(found) = found {
                return found;
            }
            assert!(Instant::now() < deadline, "no line has {text:?} in it: {:?}", self.0.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.lock().unwrap().iter().any(|(_, line)| line.contains(text))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
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
    pub(crate) backend: Arc<WasmBackend>,
    pub(crate) lines: Lines,
    next: Mutex<u32>,
}

/// A loaded instance.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) service: Local,
}

impl World {
    /// With the fixture compiled already.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().unwrap();
        copy(&COMPILED.path().join("cache"), &data.path().join("cache"));
        let mut options = Options::new(data.path().to_owned());
        change(&mut options);
        Self::at(options, data)
    }

    pub(crate) fn at(options: Options, data: tempfile::TempDir) -> Self {
        let lines = Lines::default();
        let backend = Arc::new(WasmBackend::new(options, Arc::new(lines.clone())).unwrap());
        Self { data, backend, lines, next: Mutex::default() }
    }

    /// The fixture in an instance of its own; `change` is merged into the function.
    pub(crate) async fn load(&self, change: Value) -> Result<Instance, BackendError> {
        self.load_with(change, |_| {}).await
    }

    pub(crate) async fn load_with(
        &self,
        change: Value,
        edit: impl FnOnce(&mut Load),
    ) -> Result<Instance, BackendError> {
        let mut function = json!({
            "apiVersion": "fission.io/v1", "kind": "Function",
            "metadata": { "name": "f", "namespace": "default", "uid": "u" },
            "spec": { "environment": {}, "package": {} },
        });
        merge(&mut function, change);
        let mut load = Load {
            function: Arc::new(serde_json::from_value::<Function>(function).unwrap()),
            package: Arc::new(Package::new("p", Default::default())),
            code: fixture(),
            configuration: Configuration::default(),
            filename: "deployarchive".to_owned(),
            environment_version: 3,
            timeout: PATIENCE,
        };
        edit(&mut load);
        let id = self.create().await;
        let address = self.backend.specialize(&id, load).await?;
        let Address::Local(service) = address else { panic!("{address}") };
        Ok(Instance { id, service })
    }

    /// A generic instance.
    pub(crate) async fn create(&self) -> InstanceId {
        let number = {
            let mut next = self.next.lock().unwrap();
            *next += 1;
            *next
        };
        let id = InstanceId(format!("instance-{number}").into());
        let spec = json!({ "version": 3, "runtime": {
            "image": "fission/wasm-env", "container": { "env": [{ "name": "OF_ENVIRONMENT", "value": "yes" }] },
        } });
        let environment = Environment::new("wasm", serde_json::from_value(spec).unwrap());
        let spec = InstanceSpec { id: id.clone(), environment: Arc::new(environment), function: None };
        self.backend.create(spec).await.unwrap();
        id
    }

    /// Files below a folder of the data folder.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.data.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

impl Instance {
    pub(crate) async fn send(&self, request: Request<LocalBody>) -> Result<Response<LocalBody>, Refusal> {
        self.service.0.call(request).await
    }

    /// The status and text of a response; it must be whole.
    pub(crate) async fn ask(&self, request: Request<LocalBody>) -> Result<(u16, String), Refusal> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).expect("text")))
    }

    /// The text of the response to a GET.
    pub(crate) async fn get(&self, target: &str) -> String {
        self.ask(request("GET", target, "")).await.map(|(_, text)| text).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    /// Why there is no response to a GET.
    pub(crate) async fn refusal(&self, target: &str) -> Refusal {
        match self.ask(request("GET", target, "")).await {
            Ok(answer) => panic!("{target} answered {answer:?}"),
            Err(refusal) => refusal,
        }
    }
}

/// A request as the router sends it.
pub(crate) fn request(method: &str, target: &str, body: &'static str) -> Request<LocalBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder().method(method).uri(target).header("host", "localhost");
    request.header("x-fission-request-id", "the-id").header("x-test", "tested").body(body).unwrap()
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}
