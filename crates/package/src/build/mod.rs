//! One build of a package: its source to the builder, the result into the storage, then the package, its functions and
//! its status, in this order, so that a crash in between only makes the build run again.

mod here;
pub(crate) mod log;
pub(crate) mod pack;
mod report;

use std::sync::Arc;
use std::time::Duration;

use fission_api::{Archive, BuildStatus, Environment, Function, Package};
use fission_rpc::build::{BuildError, FarBuilder, FarJob, parse_command};
use fission_rpc::cache::{Cache, ObjectKey};
use tokio::sync::Semaphore;

use crate::status::{FIRST_TRY, SECOND_TRY};
use crate::{followers, status};
pub use here::Here;
pub(crate) use here::stored_as;
use log::Log;
use report::{Report, Unwritten};

/// How often the log of a running build is written into its package.
const LOG_INTERVAL: Duration = Duration::from_millis(500);
/// How long an environment is waited for that is not there: it may have been declared a moment before.
const ENVIRONMENT_LAG: Duration = Duration::from_secs(2);
/// Pause before a package whose copy here is behind is looked at again.
const CACHE_LAG: Duration = Duration::from_millis(500);
/// Pause before a write the API server did not take is tried again; nothing is lost meanwhile but time.
const API_PAUSE: Duration = Duration::from_secs(1);
/// Tries of one write before the build is given up, to be found and repeated by the next look at its package.
const API_TRIES: usize = 60;

/// Where builds run.
pub enum Place {
    /// On this machine.
    Here(Here),
    /// Elsewhere.
    Far(Arc<dyn FarBuilder>),
}

/// What builds need.
pub struct Builds {
    /// Where they run.
    pub place: Place,
    /// Whose builder and command count.
    pub environments: Cache<Environment>,
    /// Builds at once. More would only make each of them slower.
    pub at_once: usize,
}

/// What is to be built, and on which try.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Option<String>,
    pub(crate) hash: String,
    /// Whether an earlier try was broken off.
    pub(crate) again: bool,
}

/// Everything a build task uses.
pub(crate) struct Workshop {
    pub(crate) client: kube::Client,
    pub(crate) functions: Cache<Function>,
    pub(crate) builds: Builds,
    pub(crate) turns: Semaphore,
}

/// Why a try made nothing.
enum Stop {
    /// Say so and be done.
    Failed(String),
    /// Try once more.
    Interrupted(String),
    /// Nobody wants it any more.
    Outdated,
}

impl From<Unwritten> for Stop {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Outdated => Self::Outdated,
            Unwritten::Api(error) => Self::Interrupted(format!("the API server did not answer: {error}")),
        }
    }
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Failed { why } => Self::Failed(why),
            BuildError::Interrupted { why } => Self::Interrupted(why),
        }
    }
}

impl Workshop {
    /// Builds until it is decided. Dropped, it leaves nothing but a status that says the build runs.
    pub(crate) async fn run(&self, order: Order) {
        let report = Report::new(self.client.clone(), &order.key, order.uid.clone(), &order.hash);
        if report.current().await.is_ok_and(|package| status::is_decided(&package, &order.hash)) {
            // Ordered from a copy that is behind: the build has just ended. The copy gets time to hear of it.
            tokio::time::sleep(CACHE_LAG).await;
            return;
        }
        let Ok(_turn) = self.turns.acquire().await else { return };
        let log = Log::default();
        let mut again = order.again;
        if again {
            log.say("the build was interrupted when the platform ended; this is the second and last try");
        }
        let outcome = loop {
            match self.attempt(&report, &order, &log, again).await {
                Err(Stop::Interrupted(why)) if !again => {
                    log.say(format_args!("{why}; trying once more"));
                    again = true;
                }
                outcome => break outcome,
            }
        };
        let (build, message) = match outcome {
            Ok(()) => (BuildStatus::Succeeded, String::new()),
            Err(Stop::Outdated) => return,
            Err(Stop::Failed(why)) => (BuildStatus::Failed, why),
            Err(Stop::Interrupted(why)) => {
                (BuildStatus::Failed, format!("{why}, twice; fission package rebuild tries again"))
            }
        };
        if !message.is_empty() {
            log.say(&message);
        }
        tracing::info!(package = %order.key, status = ?build, %message, "build ended");
        self.decided(&report, &order, build, &log).await;
    }

    /// Writes the end down, however long the API server is away.
    async fn decided(&self, report: &Report, order: &Order, build: BuildStatus, log: &Log) {
        let text = log.text().1;
        for _ in 0..API_TRIES {
            match report.stands(build, &last_lines(&text), &text).await {
                Ok(package) => {
                    followers::tell(&self.client, &self.functions, &order.key, &package).await;
                    return;
                }
                Err(Unwritten::Outdated) => return,
                Err(Unwritten::Api(error)) => {
                    tracing::warn!(package = %order.key, %error, "the end of a build could not be written; trying again");
                    tokio::time::sleep(API_PAUSE).await;
                }
            }
        }
    }

    async fn attempt(&self, report: &Report, order: &Order, log: &Log, again: bool) -> Result<(), Stop> {
        let package = report.current().await?;
        let environment = self.environment(order, &package).await?;
        let own =
            if package.spec.buildcmd.is_empty() { &environment.spec.builder.command } else { &package.spec.buildcmd };
        let command = parse_command(own).map_err(Stop::Failed)?;
        log.say(format_args!("building with {}: {}", package.spec.environment.name, command.join(" ")));
        report.stands(BuildStatus::Running, if again { SECOND_TRY } else { FIRST_TRY }, &log.text().1).await?;
        let archive = match &self.builds.place {
            Place::Here(here) => here.build(report, order, package, environment, command, log).await?,
            Place::Far(builder) => {
                let job = FarJob { package, environment, command };
                streaming(report, log, builder.build(job, log)).await??
            }
        };
        self.commit(report, order, archive, log).await
    }

    async fn environment(&self, order: &Order, package: &Package) -> Result<Arc<Environment>, Stop> {
        let reference = &package.spec.environment;
        if !reference.namespace.is_empty() && reference.namespace != order.key.namespace {
            return Err(Stop::Failed(format!(
                "the environment of a package is in its own namespace, {}, not in {}",
                order.key.namespace, reference.namespace
            )));
        }
        let key = ObjectKey { namespace: order.key.namespace.clone(), name: reference.name.clone() };
        let mut changes = self.builds.environments.subscribe();
        let found = async {
            loop {
                if let Some(environment) = self.builds.environments.get(&key) {
                    return environment;
                }
                if changes.next().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(ENVIRONMENT_LAG, found).await.map_err(|_| {
            Stop::Failed(format!(
                "there is no environment {key} to build with; create it, then: fission package rebuild --name {}",
                order.key.name
            ))
        })
    }

    async fn commit(&self, report: &Report, order: &Order, archive: Archive, log: &Log) -> Result<(), Stop> {
        let deployed = report.deploy(&archive).await?;
        let version = deployed.metadata.resource_version.as_deref().unwrap_or_default();
        followers::restamp(&self.client, &self.functions, &order.key, version).await.map_err(Unwritten::Api)?;
        log.say("built");
        Ok(())
    }
}

/// Does something and writes the log of it meanwhile.
async fn streaming<T>(report: &Report, log: &Log, doing: impl Future<Output = T>) -> Result<T, Stop> {
    let mut written = log.text().0;
    let mut interval = tokio::time::interval(LOG_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(doing);
    loop {
        tokio::select! {
            biased;
            done = &mut doing => return Ok(done),
            _ = interval.tick() => {}
        }
        let (version, text) = log.text();
        if version == written {
            continue;
        }
        // The build goes on while its log is written, and its log is not worth breaking it off for.
        let writing = report.log(&text);
        tokio::pin!(writing);
        let wrote = tokio::select! {
            biased;
            done = &mut doing => return Ok(done),
            wrote = &mut writing => wrote,
        };
        match wrote {
            Ok(_) => written = version,
            Err(Unwritten::Outdated) => return Err(Stop::Outdated),
            Err(Unwritten::Api(error)) => tracing::warn!(%error, "the log of a build could not be written"),
        }
    }
}

/// The end of a log, for a condition.
pub(crate) fn last_lines(log: &str) -> String {
    const LINES: usize = 10;
    const CHARS: usize = 2000;
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join("\n");
    text.chars().skip(text.chars().count().saturating_sub(CHARS)).collect()
}
