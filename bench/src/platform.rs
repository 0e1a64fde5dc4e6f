//! A platform under measurement, and the objects it is given.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::Place;
use crate::process::Process;

/// A running `fission up` with a folder of its own.
pub(crate) struct Platform {
    pub(crate) folder: TempDir,
    pub(crate) process: Process,
    pub(crate) api: String,
    pub(crate) router: SocketAddr,
    pub(crate) binary: PathBuf,
    /// From the start of the process until it said it is ready.
    pub(crate) ready_after: Duration,
    token: String,
    client: reqwest::Client,
}

impl Platform {
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        Self::start_in(binary, tempfile::tempdir()?).await
    }

    pub(crate) async fn start_in(binary: &Path, folder: TempDir) -> Result<Self> {
        let start = Instant::now();
        let mut command = Command::new(binary);
        command
            .args(["up", "--listen-api", "127.0.0.1:0", "--listen-router", "127.0.0.1:0", "--data"])
            .arg(folder.path());
        command.env("FISSION_ENVIRONMENT_CACHE", cache());
        command.stderr(std::fs::File::create(folder.path().join("platform.log"))?);
        let process = Process::start(&mut command)?;
        let status = loop {
            let text = std::fs::read(folder.path().join("status.json")).unwrap_or_default();
            match serde_json::from_slice::<Value>(&text) {
                Ok(status) if status["pid"] == process.pid() => break status,
                _ if start.elapsed() > Duration::from_secs(30) => bail!("the platform is not ready after 30 s"),
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let ready_after = start.elapsed();
        let field = |name: &str| status[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        let router = field("router")?.trim_start_matches("http://").parse()?;
        let api = field("api")?;
        let api = if api.starts_with("http") { api } else { format!("http://{api}") };
        let token = std::fs::read_to_string(folder.path().join("token"))?.trim().to_owned();
        let client = reqwest::Client::new();
        Ok(Self { folder, process, api, router, binary: binary.to_owned(), ready_after, token, client })
    }

    /// Ends it and starts it again on the same folder.
    pub(crate) async fn again(self) -> Result<Self> {
        let Self { folder, process, binary, .. } = self;
        drop(process);
        std::fs::remove_file(folder.path().join("status.json"))?;
        Self::start_in(&binary, folder).await
    }

    /// Creates an object; the path is below the API's root.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.api);
        let response = self.client.post(url).bearer_auth(&self.token).json(object).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.api);
        Ok(self.client.get(url).bearer_auth(&self.token).send().await?.error_for_status()?.json().await?)
    }

    pub(crate) async fn environment(&self, name: &str, image: &str, poolsize: usize) -> Result<()> {
        let spec = json!({ "version": 3, "poolsize": poolsize, "runtime": { "image": image } });
        self.create(&fission_path("environments"), &object("Environment", name, &spec)).await?;
        self.pool_is_full(name, poolsize).await
    }

    /// Waits until an environment's pool has its size again.
    pub(crate) async fn pool_is_full(&self, environment: &str, poolsize: usize) -> Result<()> {
        let start = Instant::now();
        let query =
            format!("/api/v1/namespaces/default/pods?labelSelector=environmentName%3D{environment}%2Cmanaged%3Dtrue");
        loop {
            let pods = self.read(&query).await?;
            let warm = |pod: &&Value| pod["status"]["phase"] == "Running";
            if pods["items"].as_array().map_or(0, |items| items.iter().filter(warm).count()) >= poolsize {
                return Ok(());
            }
            ensure!(start.elapsed() < Duration::from_secs(300), "the pool of {environment} does not fill");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where its router listens.
    pub(crate) fn place(&self) -> Place {
        Place::Tcp(self.router)
    }

    /// A package whose source the platform builds.
    pub(crate) async fn source_package(&self, name: &str, environment: &str, source: &[u8]) -> Result<()> {
        let environment = json!({ "namespace": "default", "name": environment });
        let spec = json!({ "environment": environment, "source": Deployment::literal(source).0 });
        self.create(&fission_path("packages"), &object("Package", name, &spec)).await.map(drop)
    }

    /// Package, function and route `/<name>` of code.
    pub(crate) async fn function(
        &self,
        name: &str,
        environment: &str,
        code: &Deployment,
        requests_per_pod: usize,
    ) -> Result<()> {
        self.annotated(name, environment, code, requests_per_pod, &[]).await
    }

    /// The same, with annotations of the function.
    pub(crate) async fn annotated(
        &self,
        name: &str,
        environment: &str,
        code: &Deployment,
        requests_per_pod: usize,
        annotations: &[(&str, &str)],
    ) -> Result<()> {
        let environment = json!({ "namespace": "default", "name": environment });
        let deployment = &code.0;
        let package = object("Package", name, &json!({ "environment": environment, "deployment": deployment }));
        let package = self.create(&fission_path("packages"), &package).await?;
        let stamp = &package["metadata"]["resourceVersion"];
        let spec = json!({
            "environment": environment, "resources": {}, "requestsPerPod": requests_per_pod, "idletimeout": if requests_per_pod == 1 { 1 } else { 120 },
            "package": { "packageref": { "namespace": "default", "name": name, "resourceversion": stamp } },
            "InvokeStrategy": { "StrategyType": "execution", "ExecutionStrategy": { "ExecutorType": "poolmgr", "MinScale": 0, "MaxScale": 0, "TargetCPUPercent": 0, "SpecializationTimeout": 120 } },
        });
        let mut function = object("Function", name, &spec);
        function["metadata"]["annotations"] =
            annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.create(&fission_path("functions"), &function).await?;
        let route = json!({
            "relativeurl": format!("/{name}"), "methods": ["GET"], "host": "", "method": "", "createingress": false,
            "functionref": { "type": "name", "name": name, "functionweights": null },
            "ingressconfig": { "annotations": null, "path": "", "host": "", "tls": "" },
        });
        self.create(&fission_path("httptriggers"), &object("HTTPTrigger", name, &route)).await?;
        Ok(())
    }
}

/// What a package deploys.
pub(crate) struct Deployment(pub(crate) Value);

impl Deployment {
    /// Code kept in the package itself.
    pub(crate) fn literal(code: &[u8]) -> Self {
        Self(json!({ "type": "literal", "literal": BASE64.encode(code) }))
    }
}

/// Where prepared environments are kept between runs.
pub(crate) fn cache() -> PathBuf {
    std::env::temp_dir().join("fission-bench-environments")
}

/// Collection path of a kind in the default namespace.
pub(crate) fn fission_path(plural: &str) -> String {
    format!("/apis/fission.io/v1/namespaces/default/{plural}")
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "fission.io/v1", "kind": kind, "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}
