//! Writes what the router decided into the status of triggers: after the fact, and only what changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fission_api::{HTTPTrigger, HTTPTriggerStatus};
use fission_rpc::cache::ObjectKey;
use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, Patch, PatchParams};
use tokio::sync::Notify;

use crate::routes::verdict::Verdict;

/// Status writes under way at once: enough for a bulk load, few enough to leave the API server to others.
const WRITES_AT_ONCE: usize = 8;
/// Pause before a write that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The two conditions of a trigger; both say the same.
const CONDITIONS: [&str; 2] = ["RouteAdmitted", "Ready"];

/// The newest verdict of each trigger that waits to be written. Bounded by the number of triggers; empty as long as nobody
/// writes, as in all routers of a cluster but one.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    waiting: Mutex<HashMap<ObjectKey, Verdict>>,
    arrived: Notify,
    writing: AtomicBool,
    begun: Notify,
}

impl Verdicts {
    /// Whether someone writes verdicts.
    pub(crate) fn are_written(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    /// Someone begins to write: every trigger is to be judged.
    pub(crate) async fn begun(&self) {
        self.begun.notified().await;
    }

    pub(crate) fn put(&self, verdicts: Vec<Verdict>) {
        if verdicts.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        waiting.extend(verdicts.into_iter().map(|verdict| (ObjectKey::of(&*verdict.trigger), verdict)));
        drop(waiting);
        self.arrived.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, Verdict>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Verdict> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    /// Back in, unless there is a newer one.
    fn put_back(&self, verdict: Verdict) {
        self.lock().entry(ObjectKey::of(&*verdict.trigger)).or_insert(verdict);
        self.arrived.notify_one();
    }

    /// Writes verdicts for as long as it is polled.
    pub(crate) async fn write(&self, client: kube::Client) {
        self.writing.store(true, Ordering::Release);
        let _until_dropped = Writing(self);
        self.begun.notify_one();
        loop {
            self.arrived.notified().await;
            let writes = futures_util::stream::iter(self.take()).map(|verdict| write_one(&client, verdict));
            let failed: Vec<Verdict> =
                writes.buffer_unordered(WRITES_AT_ONCE).filter_map(async |done| done).collect().await;
            if !failed.is_empty() {
                tokio::time::sleep(RETRY_PAUSE).await;
                failed.into_iter().for_each(|verdict| self.put_back(verdict));
            }
        }
    }
}

/// Someone writes, until this is dropped.
struct Writing<'a>(&'a Verdicts);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.store(false, Ordering::Release);
        self.0.lock().clear();
    }
}

/// Gives the verdict back if it could not be written.
async fn write_one(client: &kube::Client, verdict: Verdict) -> Option<Verdict> {
    let status = next_status(&verdict, Timestamp::now())?;
    let key = ObjectKey::of(&*verdict.trigger);
    let api: Api<HTTPTrigger> = Api::namespaced(client.clone(), &key.namespace);
    let patch = Patch::Merge(serde_json::json!({ "status": status }));
    match api.patch_status(&key.name, &PatchParams::default(), &patch).await {
        Ok(_) => None,
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => {
            tracing::warn!(trigger = %key, %error, "status could not be written; trying again");
            Some(verdict)
        }
    }
}

/// The status that says the verdict; `None` when the trigger's already does.
pub(crate) fn next_status(verdict: &Verdict, now: Timestamp) -> Option<HTTPTriggerStatus> {
    let before = verdict.trigger.status.clone().unwrap_or_default();
    let mut after = before.clone();
    after.observed_generation = verdict.trigger.metadata.generation;
    for kind in CONDITIONS {
        let status = if verdict.admitted { "True" } else { "False" };
        let old = after.conditions.iter().find(|condition| condition.type_ == kind);
        let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
        let condition = Condition {
            type_: kind.into(),
            status: status.into(),
            reason: verdict.reason.into(),
            message: verdict.message.clone(),
            observed_generation: verdict.trigger.metadata.generation,
            last_transition_time: since.unwrap_or(Time(now)),
        };
        match after.conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(place) => *place = condition,
            None => after.conditions.push(condition),
        }
    }
    (after != before).then_some(after)
}
