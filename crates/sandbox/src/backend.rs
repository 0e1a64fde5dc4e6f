//! The backend: instances as processes made by the launcher.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{Environment, Network};
use fission_environments::{Listen, Runtime};
use fission_executor::backend::{Backend, BackendError, Created, InstanceExit, InstanceSpec, Load};
use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::logs::{LogOwner, LogSink};
use tokio::sync::{mpsc, watch};

use crate::appear::{Appearances, Appearing};
use crate::build::{BuildOptions, SandboxBuilder};
use crate::control::{Control, Spawned};
use crate::instance::{Directories, Instance, Place, SOCKET, owner_of};
use crate::isolation::{self, Feature, IsolationReport};
use crate::launcher::{self, Launcher, LauncherOptions, seccomp};
use crate::options::{Options, RuntimeSource, SandboxError};
use crate::output::Outputs;
use crate::protocol::{Ended, Limits, Spawn, Tree};
use crate::{http as wire, layout, request, resources, specialize};

/// Longest host name Linux takes, in bytes.
const MAX_HOSTNAME: usize = 64;
/// A killed process ends at once unless the kernel itself is stuck with it; then its files are left to the next start.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a full output is looked for while an instance starts.
const OUTPUT_LOOK: Duration = Duration::from_millis(20);

/// An environment that can be started.
struct Prepared {
    runtime: Runtime,
    tree: Tree,
}

/// The launcher, before and after its first use.
enum Link {
    New(Box<Launcher>),
    Up(Arc<Control>),
    Restart(LauncherOptions),
}

/// Makes instances as sandboxed processes.
pub struct SandboxBackend {
    shared: Arc<Shared>,
    exits: Mutex<Option<mpsc::UnboundedReceiver<InstanceExit>>>,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) place: Place,
    link: tokio::sync::Mutex<Option<Link>>,
    sink: Arc<dyn LogSink>,
    pub(crate) runtimes: Arc<dyn RuntimeSource>,
    prepared: Mutex<HashMap<String, Arc<Prepared>>>,
    instances: Mutex<HashMap<InstanceId, Arc<Instance>>>,
    /// `None` where the host allows no more of it; then servers are looked for now and then.
    appearances: Option<Appearances>,
    /// Those of the next instance; making directories takes a tenth of what an instance takes.
    ahead: Mutex<Option<Directories>>,
    pub(crate) next: AtomicU64,
    exits: mpsc::UnboundedSender<InstanceExit>,
}

impl SandboxBackend {
    /// Takes over a launcher and removes what a former process left behind. Must be called inside the runtime.
    pub fn new(
        options: Options,
        launcher: Launcher,
        sink: Arc<dyn LogSink>,
        runtimes: Arc<dyn RuntimeSource>,
    ) -> Result<Self, SandboxError> {
        let (place, stale) = Place::make(&options.data_dir, &options.short_dir)
            .map_err(|source| SandboxError::Directories { path: options.data_dir.clone(), source })?;
        if let Some(stale) = stale {
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(stale));
        }
        let (exits, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            options,
            place,
            link: tokio::sync::Mutex::new(Some(Link::New(Box::new(launcher)))),
            sink,
            runtimes,
            prepared: Mutex::default(),
            instances: Mutex::default(),
            appearances: Appearances::listen().ok(),
            ahead: Mutex::default(),
            next: AtomicU64::new(1),
            exits,
        };
        Ok(Self { shared: Arc::new(shared), exits: Mutex::new(Some(receiver)) })
    }

    /// Runs builds with the same launcher. Must be called inside the runtime.
    pub fn builder(&self, options: BuildOptions) -> SandboxBuilder {
        SandboxBuilder::new(self.shared.clone(), options)
    }

    /// What isolates instances here, found out by the launcher.
    pub async fn isolation(&self) -> io::Result<IsolationReport> {
        Ok(self.shared.control().await?.report().clone())
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Backend for SandboxBackend {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
        let shared = &self.shared;
        let prepared = shared.make_prepared(environment).await?;
        shared.plan(&prepared, environment, None).map(drop)
    }

    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
        self.shared.clone().create(spec).await
    }

    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError> {
        let instance = lock(&self.shared.instances).get(id).cloned();
        let instance = instance.ok_or_else(|| broken(id, "is gone"))?;
        specialize::specialize(&instance, load).await
    }

    async fn destroy(&self, id: &InstanceId, grace: Duration) {
        let instance = lock(&self.shared.instances).remove(id);
        if let Some(instance) = instance {
            self.shared.end(&instance, grace).await;
        }
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
        // Taken once; a second taker hears nothing.
        lock(&self.exits).take().unwrap_or_else(|| mpsc::unbounded_channel().1)
    }
}

/// What an instance is started with, apart from its own directories.
struct Plan {
    variables: Vec<(String, String)>,
    limits: Limits,
    network: Network,
}

impl Shared {
    pub(crate) async fn control(&self) -> io::Result<Arc<Control>> {
        let mut link = self.link.lock().await;
        let launcher = match link.take() {
            Some(Link::Up(control)) if !control.gone() => {
                *link = Some(Link::Up(control.clone()));
                return Ok(control);
            }
            Some(Link::New(launcher)) => *launcher,
            Some(Link::Up(control)) => {
                tracing::error!("the launcher process ended, and all instances with it; starting another");
                *link = Some(Link::Restart(control.options().clone()));
                launcher::start(control.options().clone())?
            }
            Some(Link::Restart(options)) => {
                *link = Some(Link::Restart(options.clone()));
                launcher::start(options)?
            }
            None => return Err(io::Error::other("the launcher process could not be started")),
        };
        *link = Some(Link::Restart(launcher.options.clone()));
        let control = Control::connect(launcher).await?;
        *link = Some(Link::Up(control.clone()));
        Ok(control)
    }

    async fn make_prepared(&self, environment: &Environment) -> Result<Arc<Prepared>, BackendError> {
        let image = &environment.spec.runtime.image;
        let runtime = self.runtimes.runtime(image).await.map_err(|why| unsupported(environment, why))?;
        let tree = layout::of_environment(&self.place.mount_point, &runtime.read_only);
        let prepared = Arc::new(Prepared { runtime, tree });
        lock(&self.prepared).insert(image.clone(), prepared.clone());
        Ok(prepared)
    }

    fn plan(
        &self,
        prepared: &Prepared,
        environment: &Environment,
        function: Option<&fission_api::Function>,
    ) -> Result<Plan, BackendError> {
        let refuse = |why: String| unsupported(environment, why);
        let variables = request::variables(&prepared.runtime.env, environment, function).map_err(refuse)?;
        seccomp::check_also(&prepared.runtime.system_calls)
            .map_err(|why| refuse(format!("its environment.toml is wrong: {why}")))?;
        let declared = request::resources(environment, function);
        let limits = resources::limits(declared, &self.options.limits).map_err(refuse)?;
        let network = function.map_or(Ok(Network::Host), |function| Network::of(&function.metadata));
        let network = network.map_err(|error| refuse(error.to_string()))?;
        Ok(Plan { variables, limits, network })
    }

    async fn create(self: Arc<Self>, spec: InstanceSpec) -> Result<Created, BackendError> {
        let environment = &spec.environment;
        let image = &environment.spec.runtime.image;
        let known = lock(&self.prepared).get(image).cloned();
        let prepared = match known {
            Some(prepared) => prepared,
            None => self.make_prepared(environment).await?,
        };
        let plan = self.plan(&prepared, environment, spec.function.as_deref())?;
        let control = self.control().await.map_err(|error| broken(&spec.id, error))?;
        isolation::may_have_network(&plan.network, control.report(), prepared.runtime.listen)
            .map_err(|why| unsupported(environment, why))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (ended, watch_end) = watch::channel(None);
        let instance = self
            .lay_out(&spec, number, &prepared.runtime, control.report(), watch_end)
            .map_err(|error| broken(&spec.id, format_args!("could not have its directories: {error}")))?;
        let instance = Arc::new(instance);
        let guard = Unfinished { shared: Arc::downgrade(&self), instance: Some(instance.clone()) };
        let (outputs, writers) = Outputs::make().map_err(|error| broken(&spec.id, error))?;
        let (network, limits) = (plan.network.clone(), plan.limits);
        let appearing = match &instance.first_address {
            Address::Unix(_) => self.appearances.as_ref().and_then(|all| all.watch(&instance.directories.socket).ok()),
            Address::Tcp(_) | Address::Local(_) => None,
        };
        let request = self.spawn_request(&prepared, plan, &instance, control.report());
        let spawned = match control.spawn(request, writers, ended).await {
            Ok(spawned) => spawned,
            Err(why) => {
                // What it needs may have been removed since; the next one looks again.
                lock(&self.prepared).remove(image);
                return Err(broken(&spec.id, format_args!("could not be started: {why}")));
            }
        };
        let missing = isolation::missing_of(&spawned.isolation, control.report(), &network, &limits);
        if let Some(why) = isolation::refusal(&self.options.require, &missing) {
            return Err(unsupported(environment, format!("an instance of it {why}")));
        }
        self.until_ready(&instance, outputs, appearing.as_ref()).await?;
        if let Address::Unix(path) = &instance.address {
            let taken = instance.directories.take_socket(instance.user, path);
            taken.map_err(|error| broken(&spec.id, format_args!("cannot be reached: {error}")))?;
        }
        guard.finished();
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.make_ahead(number));
        let missing = missing.into_iter().map(|(feature, why)| format!("{}: {why}", feature.word())).collect();
        Ok(self.admit(instance, spawned, missing))
    }

    /// Makes the directories of an instance and knows where it will listen.
    fn lay_out(
        &self,
        spec: &InstanceSpec,
        number: u64,
        runtime: &Runtime,
        report: &IsolationReport,
        ended: watch::Receiver<Option<Ended>>,
    ) -> io::Result<Instance> {
        let directories = Directories::below(&self.place.instances.join(number.to_string()));
        let user = report.privileged.then(|| owner_of(number));
        let private = report.has(Feature::PrivateFiles);
        let ahead = lock(&self.ahead).take().filter(|_| private);
        if ahead.is_none_or(|ahead| directories.make_of(&ahead, user).is_err()) {
            directories.make(user, !private)?;
        }
        let (first_address, address) = match runtime.listen {
            Listen::Unix => (Address::Unix(self.place.first_socket(number)), Address::Unix(self.place.socket(number))),
            Listen::Tcp => {
                let address = Address::Tcp(free_port()?);
                (address.clone(), address)
            }
        };
        let owner = LogOwner {
            namespace: spec.environment.metadata.namespace.clone().unwrap_or_default(),
            function: String::new(),
            instance: spec.id.to_string(),
            environment: spec.environment.metadata.name.clone().unwrap_or_default(),
        };
        Ok(Instance {
            id: spec.id.clone(),
            number,
            userfunc: if private { PathBuf::from(layout::USERFUNC) } else { directories.userfunc.clone() },
            directories,
            first_address,
            address,
            user,
            private,
            ours: runtime.listen == Listen::Unix,
            owner: Arc::new(RwLock::new(owner)),
            ended,
        })
    }

    /// Makes the directories of the next instance, if none are made. `after`: a number no others are made after.
    fn make_ahead(&self, after: u64) {
        if lock(&self.ahead).is_some() {
            return;
        }
        let directories = Directories::below(&self.place.ahead.join(after.to_string()));
        // What cannot be made now is made when it is needed, and fails there.
        if directories.make(None, false).is_ok()
            && let Some(another) = lock(&self.ahead).replace(directories)
        {
            let _ = another.remove();
        }
    }

    fn spawn_request(&self, prepared: &Prepared, plan: Plan, instance: &Instance, report: &IsolationReport) -> Spawn {
        let mut env = plan.variables;
        if !instance.private {
            // The host's is everyone's, and with Landlock it may not be written.
            let scratch = instance.directories.scratch.display().to_string();
            let usual =
                |(name, value): &&mut (String, String)| matches!(&name[..], "HOME" | "TMPDIR") && value == "/tmp";
            env.iter_mut().filter(usual).for_each(|(_, value)| value.clone_from(&scratch));
        }
        match &instance.first_address {
            Address::Unix(_) if instance.private => {
                env.push(("FISSION_SOCKET".to_owned(), format!("{}/{SOCKET}", layout::RUN)));
            }
            Address::Unix(path) => env.push(("FISSION_SOCKET".to_owned(), path.display().to_string())),
            Address::Tcp(address) => env.push(("RUNTIME_PORT".to_owned(), address.port().to_string())),
            // Not of this backend's.
            Address::Local(_) => {}
        }
        let (owner, directories) = (owner_of(instance.number), &instance.directories);
        let inside = layout::inside_id(report.has(Feature::User), report.privileged, owner);
        let mut hostname = instance.id.to_string();
        hostname.truncate(hostname.floor_char_boundary(MAX_HOSTNAME));
        let Options { tmp_bytes, shm_bytes, .. } = self.options;
        Spawn {
            id: instance.number,
            argv: prepared.runtime.argv.clone(),
            env,
            cwd: if instance.private { PathBuf::from("/tmp") } else { directories.scratch.clone() },
            hostname,
            tree: layout::of_instance(&prepared.tree, directories, inside, (tmp_bytes, shm_bytes), instance.private),
            owner,
            limits: plan.limits,
            network: plan.network,
            also: prepared.runtime.system_calls.clone(),
            background: false,
            only_try: false,
        }
    }

    /// Waits until the server answers, and gives its outputs to the log store however that goes.
    async fn until_ready(
        &self,
        instance: &Instance,
        outputs: Outputs,
        appearing: Option<&Appearing>,
    ) -> Result<(), BackendError> {
        let mut outputs = Some(outputs);
        let owner = || instance.owner.clone();
        let why = {
            let ready = wire::until_ready(&instance.first_address, appearing);
            let too_late = tokio::time::sleep(self.options.ready_timeout);
            let mut look = tokio::time::interval(OUTPUT_LOOK);
            tokio::pin!(ready, too_late);
            loop {
                tokio::select! {
                    () = &mut ready => break None,
                    how = instance.ended() => break Some(format!("ended before it was ready: it was {how}")),
                    () = &mut too_late => {
                        let seconds = self.options.ready_timeout.as_secs();
                        break Some(format!("did not answer within {seconds} s after its start"));
                    }
                    _ = look.tick() => {
                        if let Some(full) = outputs.take_if(|outputs| outputs.nearly_full()) {
                            full.hand_over(&*self.sink, owner());
                        }
                    }
                }
            }
        };
        let last_lines = match (&why, &outputs) {
            (Some(_), Some(outputs)) => outputs.last_lines(),
            _ => String::new(),
        };
        if let Some(outputs) = outputs {
            outputs.hand_over(&*self.sink, owner());
        }
        why.map_or(Ok(()), |why| Err(broken(&instance.id, format_args!("{why}{last_lines}"))))
    }

    /// From here on the instance is known, and its end is news.
    fn admit(self: &Arc<Self>, instance: Arc<Instance>, spawned: Spawned, missing: Vec<String>) -> Created {
        for note in &spawned.notes {
            tracing::warn!(instance = %instance.id, "{note}");
        }
        let created = Created {
            address: instance.address.clone(),
            pid: Some(spawned.pid),
            isolation: spawned.isolation.iter().map(|feature| feature.word().to_owned()).collect(),
            missing,
        };
        lock(&self.instances).insert(instance.id.clone(), instance.clone());
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            let how = instance.ended().await;
            let Some(shared) = shared.upgrade() else { return };
            // Whoever takes it out of the map decides whether it ended by itself.
            let by_itself = lock(&shared.instances).remove(&instance.id).is_some();
            if by_itself {
                let _ = shared.exits.send(InstanceExit { id: instance.id.clone(), why: how.to_string() });
                remove_files(&instance.directories).await;
            }
        });
        created
    }

    /// Ends an instance and removes its files.
    async fn end(&self, instance: &Instance, grace: Duration) {
        let control = match &*self.link.lock().await {
            Some(Link::Up(control)) => Some(control.clone()),
            _ => None,
        };
        if let Some(control) = control {
            if !grace.is_zero() {
                control.ask(instance.number).await;
                let _ = tokio::time::timeout(grace, instance.ended()).await;
            }
            if instance.ended.borrow().is_none() {
                control.kill(instance.number).await;
            }
            if tokio::time::timeout(KILL_TIMEOUT, instance.ended()).await.is_err() {
                tracing::error!(instance = %instance.id, "does not end although it was killed");
                return;
            }
        }
        remove_files(&instance.directories).await;
    }
}

/// Ends an instance whose making was given up.
struct Unfinished {
    shared: Weak<Shared>,
    instance: Option<Arc<Instance>>,
}

impl Unfinished {
    fn finished(mut self) {
        self.instance = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        // Without a runtime the process is ending, and the launcher ends the instance.
        if let (Some(shared), Ok(runtime)) = (self.shared.upgrade(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { shared.end(&instance, Duration::ZERO).await });
        }
    }
}

async fn remove_files(directories: &Directories) {
    let directories = directories.clone();
    let top = directories.top.clone();
    let removed = tokio::task::spawn_blocking(move || directories.remove()).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(directory = %top.display(), %error, "an instance's files could not be removed; the next start does");
    }
}

/// A port no one listens on at this moment.
fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn unsupported(environment: &Environment, why: String) -> BackendError {
    BackendError::Unsupported { environment: request::name_of(environment), why }
}

pub(crate) fn broken(id: &InstanceId, why: impl std::fmt::Display) -> BackendError {
    BackendError::Broken { instance: id.clone(), why: why.to_string() }
}
