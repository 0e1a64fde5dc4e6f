//! Says where packages stand, and lets functions follow their package.
//!
//! The status carries a hash of what the package declares. A different hash means that the content changed: functions
//! that use the package are stamped with its resource version, which redeploys them, and only then is the new hash
//! written. So a crash in between repeats the stamping, which changes nothing, and a write to the status alone never
//! redeploys anything.

mod status;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fission_api::{Function, Package, labels};
use fission_rpc::cache::{Cache, Change, ObjectKey};
use futures_util::StreamExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

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

/// Keeps packages and the functions that use them up to date until dropped. Returns only when `packages` is gone.
///
/// `packages` and `functions` must be kept in sync by someone else; nothing is done before both are.
pub async fn run(client: kube::Client, packages: Cache<Package>, functions: Cache<Function>) {
    let mut changes = packages.subscribe();
    packages.synced().await;
    functions.synced().await;
    let mut queue = Queue::default();
    queue.add_all(&packages);
    loop {
        let next = queue.next();
        let wake = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            change = changes.next() => match change {
                Some(Change::Applied(package)) => queue.add(ObjectKey::of(package.as_ref())),
                Some(Change::Deleted(package)) => drop(queue.due.remove(&ObjectKey::of(package.as_ref()))),
                Some(Change::Reread) => queue.add_all(&packages),
                None => return,
            },
            () = wake => {
                let due = queue.take_due();
                let results = futures_util::stream::iter(due)
                    .map(|(key, tries)| {
                        let (client, packages, functions) = (&client, &packages, &functions);
                        async move {
                            let result = reconcile(client, packages, functions, &key).await;
                            (key, tries, result)
                        }
                    })
                    .buffer_unordered(AT_ONCE)
                    .collect::<Vec<_>>()
                    .await;
                for (key, tries, result) in results {
                    if let Err(error) = result {
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

/// Brings one package up to date; does nothing if it is.
async fn reconcile(
    client: &kube::Client,
    packages: &Cache<Package>,
    functions: &Cache<Function>,
    key: &ObjectKey,
) -> Result<(), kube::Error> {
    let Some(package) = packages.get(key) else { return Ok(()) };
    if package.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let hash = status::content_hash(&package.spec);
    let known = package.status.as_ref().map(|status| status.content_hash.as_str()).unwrap_or_default();
    if !known.is_empty() && known != hash {
        restamp(client, functions, key, package.metadata.resource_version.as_deref().unwrap_or_default()).await?;
    }
    let Some(wanted) = status::wanted(&package, &hash) else { return Ok(()) };
    let log = wanted.build_log.clone();
    let mut wanted = json!(wanted);
    // An empty log is left out of the object, and what is left out of a merge patch stays as it was.
    wanted["buildlog"] = json!(log);
    let api = Api::<Package>::namespaced(client.clone(), &key.namespace);
    // The version makes a status meant for older content fail instead of hiding newer content.
    let patch = json!({ "metadata": { "resourceVersion": package.metadata.resource_version }, "status": wanted });
    gone_is_fine(api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)
}

/// Gives all functions of a package its resource version, unless they asked to keep their code.
async fn restamp(
    client: &kube::Client,
    functions: &Cache<Function>,
    package: &ObjectKey,
    resource_version: &str,
) -> Result<(), kube::Error> {
    let followers: HashSet<ObjectKey> = functions
        .list()
        .iter()
        .filter(|function| follows(function, package, resource_version))
        .map(|function| ObjectKey::of(function.as_ref()))
        .collect();
    for key in followers {
        let Some(function) = functions.get(&key) else { continue };
        let api = Api::<Function>::namespaced(client.clone(), &key.namespace);
        let patch = json!({
            "metadata": { "resourceVersion": function.metadata.resource_version },
            "spec": { "package": { "packageref": { "resourceversion": resource_version } } },
        });
        gone_is_fine(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        tracing::info!(function = %key, package = %package, "function follows its changed package");
    }
    Ok(())
}

fn follows(function: &Arc<Function>, package: &ObjectKey, resource_version: &str) -> bool {
    let annotations = function.metadata.annotations.as_ref();
    let opted_out =
        annotations.and_then(|all| all.get(labels::DISABLE_PACKAGE_AUTO_FOLLOW)).is_some_and(|it| it == "true");
    let reference = &function.spec.package.package_ref;
    let same_namespace = function.metadata.namespace.as_deref() == Some(package.namespace.as_str())
        && (reference.namespace.is_empty() || reference.namespace == package.namespace);
    !opted_out && same_namespace && reference.name == package.name && reference.resourceversion != resource_version
}

/// An object deleted meanwhile needs nothing more.
fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result.map(drop),
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
