//! One machine: every room in one process, put together here and nowhere else.
//!
//! The order matters and is the order of [`run`]: the API server first, because opening it locks the data folder; the
//! sockets next, because a taken port is the likeliest failure; then the rooms, each given a client or a cache; ready
//! only when every cache is synced. Shutdown is the reverse: requests end before instances, instances before the API.

use std::fs::Permissions;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fission_api::{Environment, Function, HTTPTrigger, Package};
use fission_apiserver::ApiServer;
use fission_cli::env::Variables;
use fission_cli::running::{Running, default_data_dir, process_start};
use fission_environments::Environments;
use fission_executor::{Declarations, PoolManager};
use fission_logs::LogStore;
use fission_package::build::{Builds, Here, Place};
use fission_package::pruner::Pruner;
use fission_package::source::PackageStore;
use fission_package::storage::Storage;
use fission_router::{BuildInfo, Router, Sources};
use fission_rpc::cache::Cache;
use fission_rpc::endpoint::Index;
use fission_rpc::namespaces::Namespaces;
use fission_rpc::signing::Key;
use fission_sandbox::launcher::{Launcher, LauncherOptions};
use fission_sandbox::{Feature, IsolationReport, SandboxBackend};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::api_listener::{ApiListener, certificate_hosts};
use crate::backends::{Backends, wasm};
use crate::config::Config;
use crate::credentials::{Credentials, write_secret};
use crate::memory::MachineMemory;
use crate::preparation::{Preparation, Shown};
use crate::status_page::{StatusPage, version};
use crate::{metrics_page, ports, unserved};

/// Longest a shutdown takes before it ends anyway: requests, then instances, each have their own shorter limit.
const SHUTDOWN: Duration = Duration::from_secs(90);

/// Starts the launcher of the sandbox.
pub(crate) fn start_launcher() -> Result<Launcher> {
    let options = LauncherOptions::own().context("cannot find this program's own file")?;
    fission_sandbox::launcher::start(options).context("cannot start the process that makes instances")
}

/// Runs the platform until SIGINT or SIGTERM, then drains it. A second signal ends it at once.
pub(crate) async fn run(config: Config, launcher: Launcher) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let api = open_api(&config.data)?;
    let sockets = Sockets::bind(&config).await?;
    let credentials = Arc::new(Credentials::load_or_make(&config.data, &certificate_hosts(sockets.api_address()?))?);
    let rooms = Rooms::build(&config, &api, &credentials, launcher).await?;
    for environment in &config.prepare {
        prepare(&rooms.environments, environment).await?;
    }
    let running = sockets.running(&config)?;
    let serving = rooms.serve(api.clone(), sockets, credentials.clone(), &running).await?;
    announce(&config, &credentials, &running)?;

    tokio::select! {
        () = asked_to_end(&mut interrupt, &mut terminate) => {}
        () = stdin_ends(config.until_stdin_ends) => {}
    }
    tracing::info!("ending: requests in flight are finished first; a second signal ends at once");
    tokio::select! {
        ended = tokio::time::timeout(SHUTDOWN, serving.drain()) => {
            if ended.is_err() {
                tracing::warn!("shutdown took longer than {} s; ending anyway", SHUTDOWN.as_secs());
            }
        }
        () = asked_to_end(&mut interrupt, &mut terminate) => tracing::warn!("ended at once"),
    }
    Running::remove(&config.data)?;
    api.shutdown().await;
    Ok(())
}

async fn asked_to_end(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits until whoever holds the other end of standard input closes it or is gone, where that matters.
async fn stdin_ends(matters: bool) {
    if matters {
        match std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd) {
            Ok(mut stdin) => {
                while stdin.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                return;
            }
            Err(error) => tracing::warn!(%error, "standard input is no pipe, so its end is not seen"),
        }
    }
    std::future::pending().await
}

fn open_api(data: &Path) -> Result<ApiServer> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
    // Everything below is private to its owner; the folder itself is the wall.
    let (owner, us) = (std::fs::metadata(data)?.uid(), rustix::process::geteuid().as_raw());
    if owner != us {
        bail!(
            "the data folder {} belongs to user {owner}, not to you (user {us}); choose another with --data",
            data.display()
        );
    }
    std::fs::set_permissions(data, Permissions::from_mode(0o700))
        .with_context(|| format!("cannot protect {}", data.display()))?;
    let storage = fission_apiserver::Storage::Disk(data.join("api"));
    Ok(ApiServer::open(fission_apiserver::Options::new(storage, version()))?)
}

async fn prepare(environments: &Environments, name: &str) -> Result<()> {
    let definition = environments.list().iter().find(|definition| definition.name == name);
    let image = definition.and_then(|definition| definition.images.first()).with_context(|| {
        let known: Vec<&str> = environments.list().iter().map(|definition| definition.name.as_str()).collect();
        format!("--prepare {name}: there is no such environment; known: {}", known.join(", "))
    })?;
    environments.prepare(image, &Preparation::new()).await?;
    Ok(())
}

/// Refuses to run where something is missing that is required.
fn refuse_weaker(report: &IsolationReport, required: &[Feature]) -> Result<()> {
    let missing = required.iter().filter_map(|feature| Some((feature.word(), report.missing(*feature)?)));
    let missing: Vec<String> = missing.map(|(word, why)| format!("  {word}: {why}")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this machine cannot isolate functions as --require-isolation asks. Missing:\n{}\nGive the platform what it \
         needs for that, name only the parts you need (--require-isolation=seccomp,...), or start it without the flag",
        missing.join("\n")
    )
}

/// The sockets, bound before anything is started that would have to be undone.
struct Sockets {
    api: TcpListener,
    router: TcpListener,
    internal: TcpListener,
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self> {
        Ok(Self {
            api: ports::bind(config.api, "--listen-api").await?,
            router: ports::bind(config.router, "--listen-router").await?,
            // Loopback always: whoever can reach it can call any function by name if it has the secret.
            internal: ports::bind(([127, 0, 0, 1], 0).into(), "--listen-router").await?,
        })
    }

    fn api_address(&self) -> Result<std::net::SocketAddr> {
        Ok(self.api.local_addr()?)
    }

    fn running(&self, config: &Config) -> Result<Running> {
        let url = |listener: &TcpListener| anyhow::Ok(format!("http://{}", listener.local_addr()?));
        Ok(Running {
            api: url(&self.api)?,
            router: url(&self.router)?,
            internal: url(&self.internal)?,
            pid: std::process::id(),
            process_start: process_start(std::process::id()),
            started: jiff::Timestamp::now(),
            version: version().to_owned(),
            data_dir: config.data.clone(),
        })
    }
}

/// The rooms, built and not yet running.
struct Rooms {
    client: Client,
    builds: Builds,
    functions: Cache<Function>,
    environments_declared: Cache<Environment>,
    packages: Cache<Package>,
    secrets: Cache<Secret>,
    config_maps: Cache<ConfigMap>,
    triggers: Cache<HTTPTrigger>,
    environments: Arc<Environments>,
    isolation: IsolationReport,
    logs: LogStore,
    storage: Storage,
    code: PackageStore,
    executor: Arc<PoolManager>,
    router: Arc<Router>,
}

/// What the pool manager may use of this machine.
fn executor_options(config: &Config) -> fission_executor::Options {
    let memory = MachineMemory::find();
    fission_executor::Options {
        max_instances: config.max_instances,
        memory_reserve: config.memory_reserve.unwrap_or_else(|| memory.default_reserve()),
        memory: Arc::new(memory),
        provisioned: config.provisioned.enabled,
        provisioned_per_function: config.provisioned.per_function,
        ..Default::default()
    }
}

impl Rooms {
    async fn build(config: &Config, api: &ApiServer, credentials: &Credentials, launcher: Launcher) -> Result<Self> {
        let data = &config.data;
        let environments = Arc::new(Environments::new(fission_environments::Options {
            cache_dir: config.environment_cache.clone(),
            search_path: config.search_path.clone(),
            fission: std::env::current_exe().context("cannot find this program's own file")?,
            folders: config.environment_folders.clone(),
            variables: config.variables.clone(),
        })?);
        let logs = LogStore::open(data.join("logs"), fission_logs::Options::default())?;
        let storage = Storage::open(data.join("archives"), fission_package::storage::Options::default())?;
        let code_cache = data.join("cache/packages");
        let mut fetching = fission_package::source::Options::new(&code_cache);
        fetching.images.insecure_registries = config.insecure_registries.clone();
        let code = PackageStore::new(fetching, storage.clone())
            .with_context(|| format!("cannot use {}", code_cache.display()))?;
        code.read_pull_secrets_with(api.client("default"));
        let mut sandbox = fission_sandbox::Options::new(data.clone());
        sandbox.limits.memory = config.memory_bytes;
        sandbox.require.clone_from(&config.require_isolation);
        let runtimes = Arc::new(Shown(environments.clone()));
        let backend = SandboxBackend::new(sandbox, launcher, Arc::new(logs.clone()), runtimes)?;
        let builder = Arc::new(backend.builder(config.build.clone()));
        let isolation = backend.isolation().await.context("cannot find out what isolates functions here")?;
        refuse_weaker(&isolation, &config.require_isolation)?;
        let backend = Backends::new(environments.clone(), Arc::new(backend), wasm(data, &logs)?);

        let index = Arc::new(Index::default());
        let declarations = Declarations::default();
        let (functions, packages) = (declarations.functions.clone(), declarations.packages.clone());
        let environments_declared = declarations.environments.clone();
        let (secrets, config_maps) = (declarations.secrets.clone(), declarations.config_maps.clone());
        let options = executor_options(config);
        let executor =
            PoolManager::new(options, Arc::new(backend), declarations, index.clone(), Arc::new(code.clone()));
        let triggers: Cache<HTTPTrigger> = Cache::default();
        let sources = Sources { functions: functions.clone(), triggers: triggers.clone() };
        let key = Key::derive(credentials.internal_secret.as_bytes(), "router-internal", None);
        let build = BuildInfo { version: version().to_owned(), ..BuildInfo::default() };
        let router =
            Router::new(fission_router::Options::default(), sources, index, executor.clone(), vec![key], build);
        api.set_pods(executor.clone(), Arc::new(logs.clone()));
        let client = api.client("default");
        let here = Here { builder, code: code.clone(), storage: storage.clone().into() };
        let builds =
            Builds { place: Place::Here(here), environments: environments_declared.clone(), at_once: config.builds };
        Ok(Self {
            client,
            builds,
            functions,
            environments_declared,
            packages,
            secrets,
            config_maps,
            triggers,
            environments,
            isolation,
            logs,
            storage,
            code,
            executor,
            router,
        })
    }

    /// Starts everything and returns when requests can be served.
    async fn serve(
        self,
        api: ApiServer,
        sockets: Sockets,
        credentials: Arc<Credentials>,
        running: &Running,
    ) -> Result<Serving> {
        let api_address = sockets.api_address()?;
        self.code.add_own_host(api_address.to_string());
        self.code.add_own_host(format!("localhost:{}", api_address.port()));
        let (routing, executing, answering) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let mut background = JoinSet::new();
        background.spawn(self.functions.clone().run(Api::all(self.client.clone())));
        background.spawn(self.environments_declared.clone().run(Api::all(self.client.clone())));
        background.spawn(self.packages.clone().run(Api::all(self.client.clone())));
        background.spawn(self.secrets.clone().run(Api::all(self.client.clone())));
        background.spawn(self.config_maps.clone().run(Api::all(self.client.clone())));
        background.spawn(self.triggers.clone().run(Api::all(self.client.clone())));
        background.spawn(fission_package::controller::run(
            self.client.clone(),
            self.packages.clone(),
            self.functions.clone(),
            self.builds,
        ));
        background.spawn(Pruner::new(self.client.clone(), self.storage.clone(), Default::default()).run());
        let everywhere = tokio::sync::watch::Sender::new(Namespaces::All).subscribe();
        background.spawn(unserved::report(self.client.clone(), unserved::Home::Machine, everywhere));
        background.spawn(self.router.clone().report_conditions(self.client.clone()));
        background.spawn(self.executor.clone().report_conditions(self.client.clone()));
        background.spawn(self.router.clone().follow());

        let mut registry = Registry::default();
        self.router.metrics(&mut registry);
        self.executor.register_metrics(&mut registry);
        let page = StatusPage {
            running: running.clone(),
            isolation: self.isolation,
            environments: self.environments,
            instances: self.executor.clone(),
            storage: self.storage.clone(),
            damaged: api.damaged(),
        };
        let beside = fission_package::storage::http(self.storage)
            .merge(fission_logs::http(self.logs.clone()))
            .merge(page.http())
            .merge(metrics_page::http(registry));

        let executor = tokio::spawn(self.executor.run(executing.clone()));
        let listener = ApiListener { api, beside, credentials };
        let api = tokio::spawn(listener.serve(sockets.api, answering.clone()));
        let synced = async {
            tokio::join!(
                self.functions.synced(),
                self.environments_declared.synced(),
                self.packages.synced(),
                self.secrets.synced(),
                self.config_maps.synced(),
                self.triggers.synced()
            )
        };
        synced.await;
        let mut routers = JoinSet::new();
        routers.spawn(self.router.clone().serve_public(sockets.router, routing.clone()));
        routers.spawn(self.router.serve_internal(sockets.internal, routing.clone()));
        Ok(Serving { routing, executing, answering, routers, executor, api, logs: self.logs, _background: background })
    }
}

/// The running platform.
struct Serving {
    routing: CancellationToken,
    executing: CancellationToken,
    answering: CancellationToken,
    routers: JoinSet<()>,
    executor: JoinHandle<()>,
    api: JoinHandle<Result<()>>,
    logs: LogStore,
    /// Ends by being dropped: nothing in it must be finished.
    _background: JoinSet<()>,
}

impl Serving {
    /// Ends requests, then instances and their output, then the API.
    async fn drain(mut self) {
        self.routing.cancel();
        while self.routers.join_next().await.is_some() {}
        self.executing.cancel();
        let _ = self.executor.await;
        self.logs.flush().await;
        self.answering.cancel();
        let _ = self.api.await;
    }
}

/// Writes what clients need and says so in one line that can be pasted.
#[allow(clippy::print_stdout)] // the line is for the person who started the platform
fn announce(config: &Config, credentials: &Credentials, running: &Running) -> Result<()> {
    let kubeconfig = config.data.join("kubeconfig");
    write_secret(&kubeconfig, &credentials.kubeconfig(running.api.trim_start_matches("http://")))?;
    running.write(&config.data)?;
    println!("{}", running.exports(&default_data_dir(&Variables::of_process())));
    tracing::info!(
        "ready; data is in {}{}",
        config.data.display(),
        if config.temporary.is_some() { " until the end" } else { "" }
    );
    Ok(())
}
