//! The headless Service of each function: its selector picks the pods that may be sent requests, Kubernetes keeps the
//! EndpointSlices, and routers watch those.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fission_api::{Function, labels};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::MANAGER;
use crate::names::{self, name, namespace, uid};
use crate::specialize::SERVED;
use crate::template::{RUNTIME_PORT, as_json, function_labels};

/// Label of Services whose EndpointSlices routers watch.
pub(crate) const MANAGED_BY: &str = "fission.io/managed-by";
/// How long a Service that was written is believed to be there.
const BELIEVED: Duration = Duration::from_secs(30);
/// Pause before a write is tried once more.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes the Services, each at most every half minute.
pub(crate) struct Services {
    client: Client,
    written: Mutex<HashMap<(String, i64), Instant>>,
}

impl Services {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, written: Mutex::default() }
    }

    /// Makes sure that a function has its Service, for its present generation.
    pub(crate) async fn ensure(&self, function: &Function, in_namespace: &str) {
        let key = (uid(function).to_owned(), function.metadata.generation.unwrap_or_default());
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.retain(|_, at| at.elapsed() < BELIEVED);
            if written.insert(key.clone(), Instant::now()).is_some() {
                return;
            }
        }
        let api: Api<Service> = Api::namespaced(self.client.clone(), in_namespace);
        let service = service(function, in_namespace);
        for attempt in 0..2 {
            let params = PatchParams::apply(MANAGER).force();
            match api.patch(&names::service(function), &params, &Patch::Apply(&service)).await {
                Ok(_) => return,
                Err(error) => {
                    let function = format!("{}/{}", namespace(function), name(function));
                    tracing::warn!(function, %error, attempt, "the function's Service could not be written");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Deletes the Services of a function that is gone.
    pub(crate) async fn delete(&self, function_uid: &str, in_namespace: &str) {
        let api: Api<Service> = Api::namespaced(self.client.clone(), in_namespace);
        let selector = format!("{}={function_uid},{MANAGED_BY}=fission", labels::FUNCTION_UID);
        let Ok(found) = api.list(&ListParams::default().labels(&selector)).await else { return };
        for service in found {
            let _ = api.delete(name(&service), &DeleteParams::default()).await;
        }
    }

    /// Deletes Services whose function `exists` does not know.
    pub(crate) async fn sweep(&self, in_namespace: &str, exists: impl Fn(&str) -> bool) -> kube::Result<()> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), in_namespace);
        let selector = format!("{MANAGED_BY}=fission,executorType=poolmgr");
        for service in api.list(&ListParams::default().labels(&selector)).await? {
            let owner = service.metadata.labels.as_ref().and_then(|all| all.get(labels::FUNCTION_UID));
            if owner.is_none_or(|owner| !exists(owner)) {
                let _ = api.delete(name(&service), &DeleteParams::default()).await;
            }
        }
        Ok(())
    }
}

fn service(function: &Function, in_namespace: &str) -> Value {
    let generation = function.metadata.generation.unwrap_or_default().to_string();
    let mut all = function_labels(function);
    all.insert(MANAGED_BY.to_owned(), "fission".to_owned());
    all.insert(labels::EXECUTOR_TYPE.to_owned(), "poolmgr".to_owned());
    // Mirrored onto the EndpointSlices, where routers read it.
    all.insert(labels::FUNCTION_GENERATION.to_owned(), generation.clone());
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": names::service(function), "namespace": in_namespace, "labels": as_json(&all) },
        "spec": {
            "clusterIP": "None",
            "selector": {
                labels::FUNCTION_UID: uid(function),
                labels::FUNCTION_GENERATION: generation,
                SERVED: "true",
            },
            "ports": [{ "name": "http-env", "port": RUNTIME_PORT, "targetPort": RUNTIME_PORT }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_not_shown_or_is_of_another_generation_is_not_picked() {
        let mut function = Function::default();
        function.metadata.name = Some("hello".into());
        function.metadata.uid = Some("u".into());
        function.metadata.generation = Some(4);
        let service = service(&function, "fission-function");
        let selector = service["spec"]["selector"].as_object().unwrap();
        assert_eq!(selector[SERVED], "true");
        assert_eq!(selector[labels::FUNCTION_GENERATION], "4");
        assert_eq!(service["metadata"]["labels"][labels::FUNCTION_GENERATION], "4", "routers read it from the slice");
    }
}
