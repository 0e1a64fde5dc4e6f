//! Writing the Deployments of pools.

use fission_api::{Environment, labels};
use fission_rpc::cache::ObjectKey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::keys::MANAGER;
use crate::names::{self, name};
use crate::options::Options;
use crate::template::{self, AtStart, RUNTIME_HASH};

/// The label by which pool objects are found.
pub(crate) const POOLMGR: &str = "executorType=poolmgr";
/// Annotation: which of a Deployment's pods goes first when there are too many.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Where the pods of an environment are.
pub(crate) fn pod_namespace(environment: &Environment, options: &Options) -> String {
    options.function_namespace.clone().unwrap_or_else(|| names::namespace(environment).to_owned())
}

/// The Deployment of a pool. An error names the field of the environment that cannot be honoured.
pub(crate) fn pool(environment: &Environment, replicas: usize, options: &Options) -> Result<Value, String> {
    let pod = template::environment_pod(environment, None, &AtStart::Wait, options)?;
    let mut labels = template::environment_labels(environment, "poolmgr");
    let selector = json!({ "matchLabels": {
        labels::ENVIRONMENT_UID: names::uid(environment), labels::EXECUTOR_TYPE: "poolmgr", labels::MANAGED: "true",
    } });
    let own = template::as_json(&labels);
    labels.insert(labels::MANAGED.to_owned(), "true".to_owned());
    // Never in the selector: pods made from another state of the environment stay its own until they are replaced.
    labels.insert(RUNTIME_HASH.to_owned(), template::runtime_hash(environment, options));
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": names::pool(environment), "namespace": pod_namespace(environment, options),
            "labels": own, "ownerReferences": owner(environment, &pod_namespace(environment, options)),
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": selector,
            // A pool that cannot come up in another state keeps what it has.
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": "25%" } },
            "template": { "metadata": { "labels": labels, "annotations": template::annotations() }, "spec": pod },
        },
    }))
}

/// The owner of what is made for an environment; owners never cross namespaces.
pub(crate) fn owner(environment: &Environment, namespace: &str) -> Value {
    if names::namespace(environment) != namespace {
        return json!([]);
    }
    json!([{
        "apiVersion": "fission.io/v1", "kind": "Environment", "name": name(environment), "uid": names::uid(environment),
    }])
}

/// Writes a Deployment as a whole.
pub(crate) async fn apply(client: &Client, deployment: &Value) -> kube::Result<Deployment> {
    let text = |path: &str| deployment.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api: Api<Deployment> = Api::namespaced(client.clone(), &text("/metadata/namespace"));
    api.patch(&text("/metadata/name"), &PatchParams::apply(MANAGER).force(), &Patch::Apply(deployment)).await
}

/// Sets the number of replicas.
pub(crate) async fn scale(client: &Client, deployment: &ObjectKey, replicas: usize) -> kube::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &deployment.namespace);
    let patch = json!({ "spec": { "replicas": replicas } });
    api.patch(&deployment.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ())
}

/// Makes pods the first to go when their Deployment is scaled down.
pub(crate) async fn spare(client: &Client, pods: &[ObjectKey]) {
    for pod in pods {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
        let patch = json!({ "metadata": { "annotations": { DELETION_COST: "-1000" } } });
        if let Err(error) = api.patch(&pod.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            tracing::debug!(%pod, %error, "a spare pod could not be marked");
        }
    }
}

/// Deletes a Deployment and its pods; it may be gone already.
pub(crate) async fn delete(client: &Client, deployment: &ObjectKey) -> kube::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &deployment.namespace);
    gone_is_fine(api.delete(&deployment.name, &DeleteParams::background()).await)
}

/// The outcome of taking something away, or of changing what is on its way out: that it is not there is as good.
pub(crate) fn gone_is_fine<T>(outcome: kube::Result<T>) -> kube::Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// The Deployments with a label in a namespace, read anew: what is not there is deleted for.
pub(crate) async fn list(client: &Client, namespace: &str, selector: &str) -> kube::Result<Vec<Deployment>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    api.list(&ListParams::default().labels(selector)).await.map(|list| list.items)
}

/// Why a Deployment makes no pods, if it says so: a quota, a refused security context, a missing account.
pub(crate) async fn trouble(client: &Client, deployment: &ObjectKey) -> Option<String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &deployment.namespace);
    let found = api.get(&deployment.name).await.ok()?;
    let conditions = found.status?.conditions?;
    let failed = conditions
        .into_iter()
        .find(|one| one.type_.as_deref() == Some("ReplicaFailure") && one.status.as_deref() == Some("True"))?;
    let (reason, message) = (failed.reason.unwrap_or_default(), failed.message.unwrap_or_default());
    Some(format!("Deployment {deployment} makes no pods: {reason}: {message}"))
}
