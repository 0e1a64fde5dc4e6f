//! What the pods of functions print, read through the API server as it is printed and handed to whoever keeps it.
//!
//! A container's log is followed from where the keeper left it, so neither a container that starts again, nor a
//! connection that is cut, nor another process that takes over makes a line come twice. Followers are bounded: with more
//! pods than that, those that are silent give their place to those that wait.

mod lines;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::labels;
use fission_rpc::cache::{Cache, Change, ObjectKey};
use fission_rpc::logs::LogOwner;
use fission_rpc::namespaces::Namespaces;
use futures_util::AsyncBufReadExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::names::{name, namespace, uid};
use crate::pods::{label, restarts};
use crate::template::FETCHER;
use lines::{Place, Splitter};

pub use lines::Printed;

/// Logs followed at once; each is a connection to the API server and its buffers, 100 KiB or so.
const FOLLOWERS: usize = 256;
/// How long a log must be silent before it gives its place to one that waits.
const SILENT: Duration = Duration::from_secs(5);
/// Pause before a log that ended, or could not be opened, is opened again; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the log of a pod that is gone is still read.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// Keeps what was printed.
#[async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// The time of the newest line kept of an instance that was made at `made`, and how many lines have that time.
    async fn last(&self, owner: &LogOwner, made: Timestamp) -> Option<(Timestamp, usize)>;
    /// Keeps lines, and waits while there is no room for them.
    async fn keep(&self, owner: &LogOwner, lines: Vec<Printed>);
}

/// Follows the environments of all functions' pods in namespaces, which may change. Runs until dropped.
pub async fn follow(client: Client, namespaces: watch::Receiver<Namespaces>, keeper: Arc<dyn Keeper>) {
    let pods: Cache<Pod> = Cache::default();
    let types = format!("{} in (poolmgr,newdeploy,container),{}", labels::EXECUTOR_TYPE, labels::FUNCTION_NAME);
    let mut changes = pods.subscribe();
    let watching = pods.clone().run_in(client.clone(), namespaces, watcher::Config::default().labels(&types));
    let mut followers = Followers { client, pods: pods.clone(), keeper, places: Arc::default(), all: HashMap::new() };
    let following = async {
        while let Some(change) = changes.next().await {
            match change {
                Change::Applied(pod) => followers.add(&pod),
                Change::Deleted(pod) => followers.gone(|known| known == uid(pod.as_ref())),
                Change::Reread => {
                    let there = pods.list();
                    let there: HashSet<&str> = there.iter().map(|pod| uid(pod.as_ref())).collect();
                    followers.gone(|known| !there.contains(known));
                    pods.list().iter().for_each(|pod| followers.add(pod));
                }
            }
        }
    };
    tokio::join!(watching, following);
}

/// Places for followers, and how many wait for one.
struct Places {
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Places {
    fn default() -> Self {
        Self { free: Semaphore::new(FOLLOWERS), waiting: AtomicUsize::new(0) }
    }
}

/// One follower per pod.
struct Followers {
    client: Client,
    pods: Cache<Pod>,
    keeper: Arc<dyn Keeper>,
    places: Arc<Places>,
    all: HashMap<String, Following>,
}

struct Following {
    gone: CancellationToken,
    /// Told when something about the pod has changed, such as that a container runs again.
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.all.values().for_each(|following| following.task.abort());
    }
}

impl Followers {
    fn add(&mut self, pod: &Pod) {
        self.all.retain(|_, following| !(following.gone.is_cancelled() && following.task.is_finished()));
        if let Some(following) = self.all.get(uid(pod)) {
            return following.changed.notify_one();
        }
        let Some(source) = Source::of(pod) else { return };
        let (gone, changed) = (CancellationToken::new(), Arc::new(Notify::new()));
        let follower = Follower {
            api: Api::namespaced(self.client.clone(), namespace(pod)),
            pods: self.pods.clone(),
            key: ObjectKey::of(pod),
            keeper: self.keeper.clone(),
            places: self.places.clone(),
            gone: gone.clone(),
            changed: changed.clone(),
            source,
        };
        self.all.insert(uid(pod).to_owned(), Following { gone, changed, task: tokio::spawn(follower.run()) });
    }

    /// Lets followers of pods that are gone come to their end.
    fn gone(&self, is_gone: impl Fn(&str) -> bool) {
        self.all.iter().filter(|(known, _)| is_gone(known)).for_each(|(_, following)| following.gone.cancel());
    }
}

/// The log of one container.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    pod: String,
    container: String,
    owner: LogOwner,
    made: Timestamp,
}

impl Source {
    /// The function's own container: it is called like the environment, and never `fetcher`.
    fn of(pod: &Pod) -> Option<Self> {
        let (function, environment) = (label(pod, labels::FUNCTION_NAME), label(pod, labels::ENVIRONMENT_NAME));
        let containers = &pod.spec.as_ref()?.containers;
        let own = containers.iter().find(|container| container.name == environment);
        let own = own.or_else(|| containers.iter().find(|container| container.name != FETCHER))?;
        let declared = label(pod, labels::FUNCTION_NAMESPACE);
        let owner = LogOwner {
            namespace: if declared.is_empty() { namespace(pod) } else { declared }.to_owned(),
            function: function.to_owned(),
            instance: name(pod).to_owned(),
            environment: environment.to_owned(),
        };
        let made = pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let source = Self { pod: name(pod).to_owned(), container: own.name.clone(), owner, made };
        (!function.is_empty()).then_some(source)
    }
}

/// Why reading a log ended.
enum Ended {
    /// It came to its end, or the connection did.
    Log,
    /// Another one waited for the place.
    GaveWay,
}

struct Follower {
    api: Api<Pod>,
    pods: Cache<Pod>,
    key: ObjectKey,
    keeper: Arc<dyn Keeper>,
    places: Arc<Places>,
    gone: CancellationToken,
    changed: Arc<Notify>,
    source: Source,
}

impl Follower {
    async fn run(self) {
        let last = self.keeper.last(&self.source.owner, self.source.made).await;
        let (mut place, mut pause, mut restarted) = (Place::after(last), PAUSE, 0);
        loop {
            self.places.waiting.fetch_add(1, Ordering::AcqRel);
            let turn = self.places.free.acquire().await;
            self.places.waiting.fetch_sub(1, Ordering::AcqRel);
            let is_gone = self.gone.is_cancelled();
            let before = place.read;
            let restarts = self.pods.get(&self.key).map_or(restarted, |pod| restarts(&pod));
            // What the container printed last before it began again, where nobody could read it then.
            if restarts > restarted && matches!(self.read(&mut place, true).await, Ok(_) | Err(kube::Error::Api(_))) {
                restarted = restarts;
            }
            let read = self.read(&mut place, false).await;
            drop(turn);
            // What was printed last has been read by now.
            if is_gone {
                return;
            }
            match read {
                Ok(Ended::GaveWay) => continue,
                Ok(Ended::Log) => {}
                Err(error) => {
                    let (pod, container) = (&self.source.pod, &self.source.container);
                    tracing::debug!(pod, container, %error, "its log cannot be read; trying again");
                }
            }
            pause = if place.read > before { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => pause = PAUSE,
                () = self.gone.cancelled() => {}
            }
        }
    }

    /// Reads on from a place until there is no more, of the container there is or of the one before it.
    async fn read(&self, place: &mut Place, previous: bool) -> kube::Result<Ended> {
        let params = LogParams {
            container: Some(self.source.container.clone()),
            follow: !previous,
            previous,
            timestamps: true,
            since_time: place.time(),
            ..LogParams::default()
        };
        let mut log = std::pin::pin!(self.api.log_stream(&self.source.pod, &params).await?);
        place.reopened();
        let mut lines = Splitter::default();
        let end = async {
            self.gone.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::pin!(end);
        loop {
            let more = tokio::select! {
                more = tokio::time::timeout(SILENT, log.fill_buf()) => more,
                () = end.as_mut() => return Ok(Ended::Log),
            };
            let bytes = match more {
                Ok(Ok(bytes)) => bytes,
                // Cut off: it is taken up again where it was left.
                Ok(Err(_)) => return Ok(Ended::Log),
                Err(_) if self.places.waiting.load(Ordering::Acquire) > 0 => return Ok(Ended::GaveWay),
                Err(_) => continue,
            };
            if bytes.is_empty() {
                // Without a line end it is what was printed when the container ended.
                self.keep(place.fresh(lines.rest())).await;
                return Ok(Ended::Log);
            }
            let (complete, length) = (lines.push(bytes), bytes.len());
            log.as_mut().consume_unpin(length);
            self.keep(place.fresh(complete)).await;
        }
    }

    async fn keep(&self, lines: Vec<Printed>) {
        if !lines.is_empty() {
            self.keeper.keep(&self.source.owner, lines).await;
        }
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
