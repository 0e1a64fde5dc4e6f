//! Says where packages stand, has source built, and lets functions follow their package.
//!
//! The status carries a hash of what the package declares. A different hash means that the content changed: source is
//! built again; functions that use a package without source are stamped with its resource version, which redeploys
//! them, and only then is the new hash written. So a crash in between repeats the work, which changes nothing, and a
//! write to the status alone never redeploys anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fission_api::{Function, Package};
use fission_rpc::cache::{Cache, Change, ObjectKey};
use futures_util::StreamExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::build::{Builds, Order, Workshop};
use crate::followers::{gone_is_fine, restamp};
use crate::status::{self, Next};

/// Wait before a package that could not be written is tried again; doubles up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest wait between tries: the API server may be away for long.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Packages handled at once, so that a bulk import shares the API server's commits.
const AT_ONCE: usize = 32;

/// Packages to look at, with the time not to look before and the tries so far.
#[derive(Default)]
struct Queue {
    due: HashMap<ObjectKey, (Instant, u32)>,
}

impl Queue {
    fn add(&mut self, key: ObjectKey) {
        self.due.insert(key, (Instant::now(), 0));
    }

    fn add_all(&mut self, packages: &Cache<Package>) {
        packages.list().iter().for_each(|package| self.add(ObjectKey::of(package.as_ref())));
    }

    fn next(&self) -> Option<Instant> {
        self.due.values().map(|(at, _)| *at).min()
    }

    /// Waits until a package is due.
    async fn wait(&self) {
        match self.next() {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn take_due(&mut self) -> Vec<(ObjectKey, u32)> {
        let now = Instant::now();
        self.due.extract_if(|_, (at, _)| *at <= now).map(|(key, (_, tries))| (key, tries)).collect()
    }

    fn retry(&mut self, key: ObjectKey, tries: u32) {
        let wait = FIRST_RETRY.saturating_mul(2u32.saturating_pow(tries)).min(LONGEST_RETRY);
        // A change seen meanwhile is looked at without waiting.
        self.due.entry(key).or_insert((Instant::now() + wait, tries.saturating_add(1)));
    }
}

/// The builds under way. All end when this is dropped.
struct Running {
    workshop: Arc<Workshop>,
    tasks: JoinSet<(ObjectKey, u64)>,
    builds: HashMap<ObjectKey, Build>,
    next: u64,
}

struct Build {
    number: u64,
    hash: String,
    uid: Option<String>,
    task: AbortHandle,
}

impl Running {
    /// Whether this very content is being built.
    fn has(&self, key: &ObjectKey, uid: &Option<String>, hash: &str) -> bool {
        self.builds.get(key).is_some_and(|build| build.hash == hash && build.uid == *uid)
    }

    /// Ends the build of a package, if there is one: its content is not the newest, or it is gone.
    fn cancel(&mut self, key: &ObjectKey) {
        if let Some(build) = self.builds.remove(key) {
            build.task.abort();
        }
    }

    fn start(&mut self, order: Order) {
        self.cancel(&order.key);
        self.next += 1;
        let (number, key, workshop) = (self.next, order.key.clone(), self.workshop.clone());
        let (hash, uid) = (order.hash.clone(), order.uid.clone());
        let done = (key.clone(), number);
        let task = self.tasks.spawn(async move {
            workshop.run(order).await;
            done
        });
        self.builds.insert(key, Build { number, hash, uid, task });
    }

    /// Waits for a build to end by itself, and says whose.
    async fn ended(&mut self) -> ObjectKey {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((key, number))) if self.builds.get(&key).is_some_and(|build| build.number == number) => {
                    self.builds.remove(&key);
                    return key;
                }
                // One that was ended, or replaced by a newer one.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Keeps packages and the functions that use them up to date until dropped. Returns only when `packages` is gone.
///
/// `packages`, `functions` and the environments of `builds` must be kept in sync by someone else; nothing is done before
/// they are.
pub async fn run(client: kube::Client, packages: Cache<Package>, functions: Cache<Function>, builds: Builds) {
    let mut changes = packages.subscribe();
    packages.synced().await;
    functions.synced().await;
    builds.environments.synced().await;
    let turns = Semaphore::new(builds.at_once.clamp(1, Semaphore::MAX_PERMITS));
    let workshop = Arc::new(Workshop { client: client.clone(), functions: functions.clone(), builds, turns });
    let mut running = Running { workshop, tasks: JoinSet::new(), builds: HashMap::new(), next: 0 };
    let mut queue = Queue::default();
    queue.add_all(&packages);
    loop {
        tokio::select! {
            biased;
            change = changes.next() => match change {
                Some(Change::Applied(package)) => queue.add(ObjectKey::of(package.as_ref())),
                Some(Change::Deleted(package)) => {
                    let key = ObjectKey::of(package.as_ref());
                    queue.due.remove(&key);
                    running.cancel(&key);
                }
                Some(Change::Reread) => queue.add_all(&packages),
                None => return,
            },
            key = running.ended() => queue.add(key),
            () = queue.wait() => {
                let due = queue.take_due();
                for (key, tries, result) in reconcile_all(&client, &packages, &functions, &running, due).await {
                    match result {
                        Ok(Some(order)) => running.start(order),
                        Ok(None) => {}
                        Err(error) => {
                            // Somebody wrote at the same time; their change is on its way here.
                            let conflict = matches!(&error, kube::Error::Api(status) if status.code == 409);
                            if !conflict {
                                tracing::warn!(package = %key, %error, tries, "package not brought up to date; will retry");
                            }
                            queue.retry(key, tries);
                        }
                    }
                }
            }
        }
    }
}

type Reconciled = (ObjectKey, u32, Result<Option<Order>, kube::Error>);

async fn reconcile_all(
    client: &kube::Client,
    packages: &Cache<Package>,
    functions: &Cache<Function>,
    running: &Running,
    due: Vec<(ObjectKey, u32)>,
) -> Vec<Reconciled> {
    futures_util::stream::iter(due)
        .map(|(key, tries)| async move {
            let result = reconcile(client, packages, functions, running, &key).await;
            (key, tries, result)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Brings one package up to date; does nothing if it is. Gives the build it needs.
async fn reconcile(
    client: &kube::Client,
    packages: &Cache<Package>,
    functions: &Cache<Function>,
    running: &Running,
    key: &ObjectKey,
) -> Result<Option<Order>, kube::Error> {
    let Some(package) = packages.get(key) else { return Ok(None) };
    let uid = package.metadata.uid.clone();
    let hash = status::content_hash(&package.spec);
    if package.metadata.deletion_timestamp.is_some() || running.has(key, &uid, &hash) {
        return Ok(None);
    }
    match status::next(&package, &hash) {
        Next::Nothing => Ok(None),
        Next::Write(wanted) => {
            let known = package.status.as_ref().map(|status| status.content_hash.as_str()).unwrap_or_default();
            if !known.is_empty() && known != hash {
                restamp(client, functions, key, package.metadata.resource_version.as_deref().unwrap_or_default())
                    .await?;
            }
            write(client, key, &package, &wanted).await?;
            Ok(None)
        }
        Next::Build { pending, again } => {
            if let Some(pending) = pending.filter(|_| !again) {
                write(client, key, &package, &pending).await?;
            }
            Ok(Some(Order { key: key.clone(), uid, hash, again }))
        }
    }
}

async fn write(
    client: &kube::Client,
    key: &ObjectKey,
    package: &Package,
    wanted: &fission_api::PackageStatus,
) -> Result<(), kube::Error> {
    let mut status = json!(wanted);
    // An empty log is left out of the object, and what is left out of a merge patch stays as it was.
    status["buildlog"] = json!(wanted.build_log);
    let api = Api::<Package>::namespaced(client.clone(), &key.namespace);
    // The version makes a status meant for older content fail instead of hiding newer content.
    let patch = json!({ "metadata": { "resourceVersion": package.metadata.resource_version }, "status": status });
    gone_is_fine(api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
