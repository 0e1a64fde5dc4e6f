//! What triggers are told in their status: the condition `Exposed`. The others are the router's and are left to it.

use fission_api::HTTPTrigger;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::wanted::Kind;
use crate::names::{name, namespace};

/// The condition.
pub(super) const EXPOSED: &str = "Exposed";
/// The account that writes these objects, as administrators know it.
const ACCOUNT: &str = "fission-triggers";
/// Times a status is read again because the router wrote it meanwhile.
const TRIES: usize = 4;

/// What is said of one trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) is_exposed: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn exposed(kind: Kind, place: &str, name: &str) -> Self {
        let message = format!("{} {place}/{name} leads to the router", kind.word());
        Self { is_exposed: true, reason: "Exposed", message }
    }

    pub(super) fn not(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_exposed: false, reason, message: message.into() }
    }

    /// The trigger asks for something that is not possible.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::not("InvalidIngressConfig", message)
    }

    /// What the API server's error means for a trigger; `None` for one that may be over in a moment.
    pub(super) fn of_error(kind: Kind, doing: &str, error: &kube::Error) -> Option<Self> {
        let kube::Error::Api(status) = error else { return None };
        let (word, said) = (kind.word(), status.message.trim());
        let resource = kind.resource();
        match status.code {
            404 if kind == Kind::HttpRoute => Some(Self::not(
                "GatewayApiMissing",
                format!(
                    "{doing}: this cluster does not know the kind HTTPRoute of {}; install the Gateway API \
                     (https://gateway-api.sigs.k8s.io), after which this is made by itself, or set \
                     spec.routeConfig.provider to ingress",
                    resource.api_version
                ),
            )),
            // Kubernetes names the account only where it is the rights that are missing.
            403 if said.contains(" cannot ") => Some(Self::not(
                "NotAllowed",
                format!(
                    "{doing}: {said}; let the ServiceAccount {ACCOUNT} of the platform's namespace get, list, create, update \
                     and delete {}.{}, as the chart does (for HTTPRoutes with triggers.httpRoutes=true)",
                    resource.plural, resource.group
                ),
            )),
            400 | 403 | 422 => Some(Self::not(
                "Refused",
                format!(
                    "{doing}: {said}; change the trigger's routeConfig or ingressconfig so that the {word} is accepted"
                ),
            )),
            _ => None,
        }
    }
}

/// The conditions of a trigger with what is said of it; `None` when it says so already.
pub(super) fn next_conditions(
    trigger: &HTTPTrigger,
    verdict: Option<&Verdict>,
    now: Timestamp,
) -> Option<Vec<Condition>> {
    let before = trigger.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let old = before.iter().find(|condition| condition.type_ == EXPOSED);
    let Some(verdict) = verdict else {
        let others = before.iter().filter(|condition| condition.type_ != EXPOSED).cloned();
        return old.map(|_| others.collect());
    };
    let status = if verdict.is_exposed { "True" } else { "False" };
    let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
    let condition = Condition {
        type_: EXPOSED.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message.clone(),
        observed_generation: trigger.metadata.generation,
        last_transition_time: since.unwrap_or(Time(now)),
    };
    if old == Some(&condition) {
        return None;
    }
    let mut after = before.to_vec();
    match after.iter_mut().find(|condition| condition.type_ == EXPOSED) {
        Some(place) => *place = condition,
        None => after.push(condition),
    }
    Some(after)
}

/// Writes what is said of a trigger, if it does not say so. A list is always written as a whole, so it is written only
/// onto what was read: what the router said meanwhile is never undone.
pub(super) async fn tell(client: &Client, trigger: &HTTPTrigger, verdict: Option<&Verdict>) -> kube::Result<()> {
    let api: Api<HTTPTrigger> = Api::namespaced(client.clone(), namespace(trigger));
    let mut read = None;
    for _ in 0..TRIES {
        let trigger = read.as_ref().unwrap_or(trigger);
        let Some(conditions) = next_conditions(trigger, verdict, Timestamp::now()) else { return Ok(()) };
        let version = &trigger.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": { "conditions": conditions } });
        match api.patch_status(name(trigger), &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(()),
            // Deleted meanwhile: nobody is left to be told.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        read = api.get_opt(name(trigger)).await?;
        if read.is_none() {
            return Ok(());
        }
    }
    // It is written all the time; the next change or look tells it.
    Ok(())
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
