//! Routes as the edge of a cluster sees them: for each HTTPTrigger that asks for it an Ingress or an HTTPRoute that leads
//! to the router. They are in the platform's namespace, since neither may lead to a Service of another one.
//!
//! What is there is compared with what is asked for, from the start, each time triggers ask for something else, and once
//! a minute; nothing is remembered that an object does not say itself. Start reading in [`Exposure::run`], go on to
//! `wanted` (what a trigger asks for), `plan` (what is to be done) and `told` (what triggers say in their status).

mod plan;
mod told;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fission_api::HTTPTrigger;
use fission_rpc::cache::{Cache, ObjectKey};
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use crate::names::{self, name, namespace};
use plan::{Owner, Step, plan};
use told::Verdict;
use wanted::{Kind, Wanted, wanted};

/// Time between two looks when nothing is asked for anew.
const LOOK: Duration = Duration::from_secs(60);
/// Time until what did not succeed is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Changes that come together are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// How long an object outlives a trigger that exists but is not seen: the namespaces that are looked at become known one
/// by one after a start, and routes must not be interrupted by that.
const UNSEEN: Duration = Duration::from_secs(60);

/// What triggers ask for, by trigger, or why it cannot be made.
type Asked = BTreeMap<ObjectKey, Result<Wanted, Verdict>>;

/// Keeps Ingresses and HTTPRoutes. One process at a time may run it.
pub struct Exposure {
    client: Client,
    /// The platform's.
    namespace: String,
    asked: Asked,
    verdicts: HashMap<ObjectKey, Verdict>,
    /// When everything is looked at again; the past at first.
    due: Instant,
    /// Objects whose trigger is not seen, by kind and name.
    unseen: HashMap<(Kind, String), Instant>,
}

impl Exposure {
    /// Keeps them in the platform's namespace, where the Service `router` is.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            asked: Asked::new(),
            verdicts: HashMap::new(),
            due: Instant::now(),
            unseen: HashMap::new(),
        }
    }

    /// Follows triggers until dropped. `triggers` must be kept in sync by someone else.
    pub async fn run(mut self, triggers: Cache<HTTPTrigger>) {
        triggers.synced().await;
        loop {
            let mut changes = triggers.subscribe();
            self.look(&triggers.list()).await;
            let _ = tokio::time::timeout_at(self.due, changes.next()).await;
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Makes objects what triggers ask for, where that changed or it is time, and tells triggers.
    async fn look(&mut self, triggers: &[Arc<HTTPTrigger>]) {
        let asked: Asked =
            triggers.iter().filter_map(|one| Some((ObjectKey::of(one.as_ref()), wanted(one)?))).collect();
        if asked != self.asked || Instant::now() >= self.due {
            // What is said of one that asks for something else now is found out anew.
            self.verdicts
                .retain(|trigger, _| asked.get(trigger).is_some_and(|now| self.asked.get(trigger) == Some(now)));
            self.asked = asked;
            let is_done = self.sync(triggers).await;
            self.due = Instant::now() + if is_done { LOOK } else { AGAIN };
        }
        for trigger in triggers {
            let key = ObjectKey::of(trigger.as_ref());
            let verdict = self.verdicts.get(&key);
            if verdict.is_none() && self.asked.contains_key(&key) {
                // Nothing is known yet; what was said before still holds.
                continue;
            }
            if let Err(error) = told::tell(&self.client, trigger, verdict).await {
                tracing::warn!(trigger = %key, %error, "its status could not be written; trying again");
                self.due = self.due.min(Instant::now() + AGAIN);
            }
        }
    }

    /// True when all that could be done is done.
    async fn sync(&mut self, triggers: &[Arc<HTTPTrigger>]) -> bool {
        let (mut is_done, mut steps) = (true, Vec::new());
        let asked = std::mem::take(&mut self.asked);
        for (trigger, asked) in &asked {
            if let Err(verdict) = asked {
                self.verdicts.insert(trigger.clone(), verdict.clone());
            }
        }
        for kind in Kind::ALL {
            let wanted: Vec<&Wanted> = asked.values().flatten().filter(|wanted| wanted.kind == kind).collect();
            match self.api(kind).list(&ListParams::default()).await {
                Ok(there) => {
                    let planned = plan(kind, &self.namespace, &wanted, &there.items);
                    steps.extend(planned.into_iter().map(|step| (kind, step)));
                }
                Err(error) => is_done &= self.unlisted(kind, &wanted, &error),
            }
        }
        self.asked = asked;
        // A route that changes its kind is never without one.
        steps.sort_by_key(|(_, step)| matches!(step, Step::Delete { .. }));
        let mut unseen = HashMap::new();
        for (kind, step) in steps {
            is_done &= match step {
                Step::Delete { owner, object } => {
                    let id = (kind, object.name_any());
                    let since = self.unseen.get(&id).copied().unwrap_or_else(Instant::now);
                    match since.elapsed() >= UNSEEN || self.is_over(&owner, triggers).await {
                        true => self.delete(kind, &object).await,
                        false => {
                            unseen.insert(id, since);
                            true
                        }
                    }
                }
                step => self.write(kind, step).await,
            };
        }
        self.unseen = unseen;
        is_done
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    /// What is there could not be read. True when trying again soon is of no use.
    fn unlisted(&mut self, kind: Kind, wanted: &[&Wanted], error: &kube::Error) -> bool {
        let doing = format!("no {} can be made in namespace {}", kind.word(), self.namespace);
        let Some(verdict) = Verdict::of_error(kind, &doing, error) else {
            tracing::warn!(kind = kind.word(), %error, "what is there could not be read; trying again");
            return false;
        };
        if !wanted.is_empty() {
            tracing::warn!(routes = wanted.len(), "{}", verdict.message);
        }
        self.verdicts.extend(wanted.iter().map(|wanted| (wanted.trigger.clone(), verdict.clone())));
        true
    }

    /// Does what is to be done for a trigger; false when it must be tried again soon.
    async fn write(&mut self, kind: Kind, step: Step) -> bool {
        let api = self.api(kind);
        let was_there = matches!(step, Step::Replace { .. });
        let (trigger, name, written) = match step {
            Step::Keep { trigger, name } => (trigger, name, Ok(None)),
            Step::Create { trigger, object } => {
                let written = api.create(&PostParams::default(), &object).await;
                (trigger, object.name_any(), written.map(|_| Some("made")))
            }
            Step::Replace { trigger, object } => {
                let written = api.replace(&object.name_any(), &PostParams::default(), &object).await;
                (trigger, object.name_any(), written.map(|_| Some("corrected")))
            }
            Step::Wait { trigger, verdict } => {
                self.verdicts.insert(trigger, verdict);
                return false;
            }
            // Not written, but deleted.
            Step::Delete { .. } => return true,
        };
        let word = kind.word();
        match written {
            Ok(what) => {
                if let Some(what) = what {
                    tracing::info!(%trigger, kind = word, name, "{what}");
                }
                self.verdicts.insert(trigger, Verdict::exposed(kind, &self.namespace, &name));
                true
            }
            // Deleted or changed since it was read.
            Err(kube::Error::Api(status)) if was_there && matches!(status.code, 404 | 409) => false,
            Err(error) => {
                tracing::warn!(%trigger, kind = word, name, %error, "it could not be written");
                let doing = format!("{word} {}/{name} cannot be written", self.namespace);
                match Verdict::of_error(kind, &doing, &error) {
                    Some(verdict) => {
                        self.verdicts.insert(trigger, verdict);
                        true
                    }
                    None => false,
                }
            }
        }
    }

    /// Whether a trigger surely asks for nothing of the kind: it is seen and does not, or it does not exist.
    async fn is_over(&self, owner: &Owner, triggers: &[Arc<HTTPTrigger>]) -> bool {
        let (place, label) = owner;
        let is_it = |one: &Arc<HTTPTrigger>| {
            namespace(one.as_ref()) == place && names::label_value(name(one.as_ref())) == *label
        };
        if triggers.iter().any(is_it) {
            return true;
        }
        if names::is_cut(label) {
            return false;
        }
        let api: Api<HTTPTrigger> = Api::namespaced(self.client.clone(), place);
        matches!(api.get_metadata_opt(label).await, Ok(None))
    }

    async fn delete(&self, kind: Kind, object: &DynamicObject) -> bool {
        // Somebody may have made another of the same name meanwhile.
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let name = object.name_any();
        match self.api(kind).delete(&name, &params).await {
            Ok(_) => {
                tracing::info!(kind = kind.word(), name, "no trigger asks for it any more; deleted");
                true
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => true,
            Err(error) => {
                tracing::warn!(kind = kind.word(), name, %error, "no trigger asks for it, but it is still there");
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "exposure_tests.rs"]
mod tests;
