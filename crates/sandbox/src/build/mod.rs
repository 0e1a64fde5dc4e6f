//! Builds: a command in a sandbox like that of an instance, with a writable copy of the source, a cache that stays, and
//! the network.
//!
//! | Path inside | What | On the host |
//! |---|---|---|
//! | `/packages/source` | `SRC_PKG`, a copy | below `run/instances/<number>/work`, removed with the build |
//! | `/packages/deploy` | `DEPLOY_PKG`, made by the command | the same |
//! | `/packages/tmp` | `TMPDIR` | the same |
//! | `/cache` | `HOME`, kept between builds of one environment | `cache/builds/<uid of the environment>` |

mod files;
mod output;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{Environment, Network};
use fission_environments::BuildTools;
use fission_rpc::build::{Artifact, BuildError, BuildJob, BuildLog, Builder};
use tokio::sync::watch;

use crate::backend::{Shared, lock};
use crate::control::Control;
use crate::instance::{build_owner_of, ended_of};
use crate::isolation::{self, Feature};
use crate::output::Outputs;
use crate::protocol::{Ended, Limits, Spawn};
use crate::{code, layout, request, resources};
use fission_api::quantity::display_bytes;

/// Signal a process gets that writes a larger file than it may (`SIGXFSZ`).
const FILE_TOO_LARGE: i32 = 25;
/// Caches not used for this long are removed.
const CACHE_UNUSED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Limits of builds.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Longest time of one build. 10 min: the install of a large application over a slow network.
    pub timeout: Duration,
    /// Limits of all processes of one build together. 2 GiB of memory: compilers take more than functions do.
    pub limits: Limits,
    /// Bytes one build may have on disk: source, result, temporary files and its cache. 8 GiB.
    pub disk_bytes: u64,
    /// Bytes of the cache of one environment; a larger one is emptied after the build. 4 GiB.
    pub cache_bytes: u64,
}

impl Default for BuildOptions {
    fn default() -> Self {
        let disk_bytes = 8 << 30;
        let limits =
            Limits { memory: 2 << 30, pids: 1024, cpu_millis: None, open_files: 16_384, file_bytes: Some(disk_bytes) };
        Self { timeout: Duration::from_secs(600), limits, disk_bytes, cache_bytes: 4 << 30 }
    }
}

/// Runs builds with the launcher of a [`crate::SandboxBackend`].
pub struct SandboxBuilder {
    shared: Arc<Shared>,
    options: BuildOptions,
    caches: PathBuf,
    /// Builds that use a cache now: one in use is not emptied.
    users: Arc<Mutex<HashMap<PathBuf, usize>>>,
}

impl SandboxBuilder {
    pub(crate) fn new(shared: Arc<Shared>, options: BuildOptions) -> Self {
        let caches = shared.options.data_dir.join("cache/builds");
        let unused = caches.clone();
        tokio::task::spawn_blocking(move || files::remove_unused(&unused, CACHE_UNUSED_FOR));
        Self { shared, options, caches, users: Arc::default() }
    }
}

#[async_trait]
impl Builder for SandboxBuilder {
    async fn build(&self, job: BuildJob, log: &dyn BuildLog) -> Result<Artifact, BuildError> {
        let environment = &job.environment;
        let declared = &environment.spec.builder.image;
        let image = if declared.is_empty() { &environment.spec.runtime.image } else { declared };
        let tools = self.shared.runtimes.build_tools(image).await.map_err(failed)?;
        let control = self.shared.control().await.map_err(interrupted)?;
        let place = self.place(&job, &control).await?;
        let spawn = self.spawn_request(&job, &tools, &place, &control)?;
        let running = self.start(&control, spawn, place).await?;
        running.until_built(&self.options, log).await
    }
}

/// Where a build works, on the host and as it sees it.
struct Place {
    number: u64,
    /// Removed when this is dropped.
    top: files::Temporary,
    work: PathBuf,
    cache: Used,
    inside_work: PathBuf,
    inside_cache: PathBuf,
    owner: u32,
    source_is_folder: bool,
}

impl SandboxBuilder {
    async fn place(&self, job: &BuildJob, control: &Control) -> Result<Place, BuildError> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let report = control.report();
        let top = self.shared.place.instances.join(number.to_string());
        let uid = job.environment.metadata.uid.clone().unwrap_or_default();
        let owner = build_owner_of(&uid);
        // An object's uid is made by its API server, which on a cluster is not ours.
        let cache = self.caches.join(if code::is_plain_name(&uid) { uid.as_str() } else { "other" });
        let (work, source) = (top.join("work"), job.source.clone());
        let user = report.privileged.then_some(owner);
        let (users, most, into) = (self.users.clone(), self.options.cache_bytes, work.clone());
        let laid = tokio::task::spawn_blocking(move || {
            // Both before anything is made: what is made is removed again, also when this fails half-way.
            let (top, cache) = (files::Temporary(top), Used::new(&users, cache, most));
            let source_is_folder = files::lay_out(&top.0, &into, &source, &cache.path, user)?;
            Ok((top, cache, source_is_folder))
        });
        let (top, cache, source_is_folder) = laid
            .await
            .unwrap_or_else(|error| Err(std::io::Error::from(error)))
            .map_err(|error| interrupted(format_args!("the build could not have its files: {error}")))?;
        let private = report.has(Feature::PrivateFiles);
        Ok(Place {
            number,
            top,
            inside_work: if private { PathBuf::from(layout::PACKAGES) } else { work.clone() },
            inside_cache: if private { PathBuf::from(layout::CACHE) } else { cache.path.clone() },
            work,
            cache,
            owner,
            source_is_folder,
        })
    }

    fn spawn_request(
        &self,
        job: &BuildJob,
        tools: &BuildTools,
        place: &Place,
        control: &Control,
    ) -> Result<Spawn, BuildError> {
        let report = control.report();
        let source = place.inside_work.join(files::SOURCE);
        let mut argv = job.command.clone();
        if argv.first().is_some_and(|word| matches!(word.as_str(), "build" | "/build" | "/usr/local/bin/build")) {
            argv.splice(..1, tools.argv.iter().cloned());
        }
        let inside = layout::inside_id(report.has(Feature::User), report.privileged, place.owner);
        let shared = layout::of_environment(&self.shared.place.mount_point, &layout::for_builds(&tools.read_only));
        let (tmp, shm) = (self.shared.options.tmp_bytes, self.shared.options.shm_bytes);
        Ok(Spawn {
            id: place.number,
            argv,
            env: variables(&job.environment, tools, place).map_err(failed)?,
            cwd: if place.source_is_folder { source } else { place.inside_work.clone() },
            hostname: "build".to_owned(),
            tree: layout::of_build(&shared, &place.work, &place.cache.path, inside, tmp, shm),
            owner: place.owner,
            limits: self.limits(&job.environment).map_err(failed)?,
            network: Network::Host,
            also: tools.system_calls.clone(),
            background: true,
            only_try: false,
        })
    }

    fn limits(&self, environment: &Environment) -> Result<Limits, String> {
        match request::builder_resources(environment)? {
            Some(declared) => resources::limits(&declared, &self.options.limits),
            None => Ok(self.options.limits),
        }
    }

    async fn start(&self, control: &Arc<Control>, spawn: Spawn, place: Place) -> Result<Running, BuildError> {
        let (outputs, writers) = Outputs::make().map_err(interrupted)?;
        let (tell, ended) = watch::channel(None);
        let command = spawn.argv.join(" ");
        // From here on its end is waited for whatever happens: the process may run although nobody hears of it.
        let running = Running {
            number: place.number,
            control: Arc::downgrade(control),
            ended,
            place: Some(place),
            outputs: Some(outputs),
        };
        let limits = spawn.limits;
        match control.spawn(spawn, writers, tell).await {
            Ok(spawned) => {
                let missing = isolation::missing_of(&spawned.isolation, control.report(), &Network::Host, &limits);
                let refusal = isolation::refusal(&self.shared.options.require, &missing);
                refusal.map_or(Ok(running), |why| Err(failed(format_args!("the build {why}"))))
            }
            Err(why) => Err(failed(format_args!("the build command `{command}` could not be started: {why}"))),
        }
    }
}

/// The environment variables of a build: ours, the language's, the Environment object's; a later one wins.
fn variables(environment: &Environment, tools: &BuildTools, place: &Place) -> Result<Vec<(String, String)>, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let inside = |name: &str| text(&place.inside_work.join(name));
    let folders: Vec<String> = tools.path.iter().map(|folder| text(folder)).collect();
    let mut ours: Vec<(String, String)> = vec![
        ("PATH".to_owned(), [&folders[..], &[request::SEARCH_PATH.to_owned()]].concat().join(":")),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("HOME".to_owned(), text(&place.inside_cache)),
        ("TMPDIR".to_owned(), inside(files::SCRATCH)),
        ("SRC_PKG".to_owned(), inside(files::SOURCE)),
        ("DEPLOY_PKG".to_owned(), inside(files::RESULT)),
    ];
    ours.extend(tools.env.iter().cloned());
    request::builder_variables(ours, environment)
}

/// A build command that runs. Dropped, it ends and its files go.
struct Running {
    number: u64,
    control: Weak<Control>,
    ended: watch::Receiver<Option<Ended>>,
    place: Option<Place>,
    outputs: Option<Outputs>,
}

impl Running {
    async fn until_built(mut self, options: &BuildOptions, log: &dyn BuildLog) -> Result<Artifact, BuildError> {
        let (Some(outputs), Some(place)) = (self.outputs.take(), self.place.as_ref()) else {
            return Err(interrupted("the build was taken apart before it ran"));
        };
        let files = [place.work.clone(), place.cache.path.clone()];
        let mut ended = self.ended.clone();
        let pumped = output::pump(outputs, log, async { ended_of(&mut ended).await });
        let seconds = options.timeout.as_secs();
        let how = tokio::select! {
            how = pumped => how.map_err(interrupted)?,
            () = tokio::time::sleep(options.timeout) => {
                return Err(failed(format_args!(
                    "the build was ended: it took longer than {seconds} s, the limit of one build (fission up --build-timeout)"
                )));
            }
            bytes = files::over_limit(&files, options.disk_bytes) => {
                let (used, most) = (display_bytes(bytes), display_bytes(options.disk_bytes));
                return Err(failed(format_args!(
                    "the build was ended: it had {used} on disk, over its limit of {most} (fission up --build-disk)"
                )));
            }
        };
        judge(&how)?;
        let place = self.place.take().ok_or_else(|| interrupted("the build's files are gone"))?;
        let path = place.work.join(files::RESULT);
        if std::fs::symlink_metadata(&path).is_err() {
            return Err(failed(
                "the build command ended well but made nothing: it must put its result where DEPLOY_PKG says",
            ));
        }
        Ok(Artifact { path, files: Box::new((place.top, place.cache)) })
    }
}

/// What the end of a build command means.
fn judge(how: &Ended) -> Result<(), BuildError> {
    match how {
        Ended::Code(0) => Ok(()),
        Ended::Code(127) => Err(failed("the build command exited with code 127: a program it needs is not there")),
        // How a shell says that a program it ran got the signal.
        Ended::Code(code) if *code == 128 + FILE_TOO_LARGE => judge(&Ended::Signal(FILE_TOO_LARGE)),
        Ended::Code(code) => Err(failed(format_args!("the build command exited with code {code}"))),
        Ended::OverMemory(limit) => Err(failed(format_args!(
            "the build was killed: over its memory limit of {} (fission up --build-memory, or the environment's \
             builder.container.resources)",
            display_bytes(*limit)
        ))),
        Ended::Signal(FILE_TOO_LARGE) => {
            Err(failed("the build was killed: it wrote a file larger than its disk limit (fission up --build-disk)"))
        }
        Ended::Signal(_) | Ended::LauncherGone => Err(interrupted(format_args!("the build was {how}"))),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (place, mut ended) = (self.place.take(), self.ended.clone());
        if ended.borrow().is_some() {
            return;
        }
        // Without a runtime the process is ending, and the launcher ends the build.
        let (Some(control), Ok(runtime)) = (self.control.upgrade(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let number = self.number;
        runtime.spawn(async move {
            control.kill(number).await;
            ended_of(&mut ended).await;
            drop(place);
        });
    }
}

/// A cache in use; emptied afterwards when it is too large and nobody else uses it.
struct Used {
    path: PathBuf,
    most: u64,
    users: Arc<Mutex<HashMap<PathBuf, usize>>>,
}

impl Used {
    fn new(users: &Arc<Mutex<HashMap<PathBuf, usize>>>, path: PathBuf, most: u64) -> Self {
        *lock(users).entry(path.clone()).or_default() += 1;
        Self { path, most, users: users.clone() }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let (path, users, most) = (self.path.clone(), self.users.clone(), self.most);
        files::in_background(move || {
            let too_large = files::size(&path) > most;
            let mut users = lock(&users);
            let left = users.get_mut(&path).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                users.remove(&path);
                if too_large {
                    // Under the lock: a build that starts now waits for its cache to be gone.
                    files::remove(&path);
                }
            }
        });
    }
}

fn failed(why: impl std::fmt::Display) -> BuildError {
    BuildError::Failed { why: why.to_string() }
}

fn interrupted(why: impl std::fmt::Display) -> BuildError {
    BuildError::Interrupted { why: why.to_string() }
}
