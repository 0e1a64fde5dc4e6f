//! Kinds that are stored but that no component acts on yet say so in their status, so that nobody waits in vain.

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// The kinds, and what a user can do instead.
pub(crate) const UNSERVED: &[(&str, &str, &str)] = &[
    ("TimeTrigger", "timetriggers", "call the function from the machine's own cron"),
    ("KubernetesWatchTrigger", "kuberneteswatchtriggers", "watch with `kubectl get --watch`"),
    ("MessageQueueTrigger", "messagequeuetriggers", "let a consumer of your own call the function's route"),
    ("CanaryConfig", "canaryconfigs", "set the weights of the route by hand"),
    ("FunctionAlias", "functionaliases", "point the route at the function itself"),
    ("Workflow", "workflows", "call the functions one after another from a function"),
    ("WorkflowRun", "workflowruns", "call the functions one after another from a function"),
    ("FissionTenant", "fissiontenants", "one machine has one tenant"),
];

/// Watches those kinds and writes `Ready=False` with the reason, once per object. Runs until dropped.
pub(crate) async fn report(client: Client) {
    let watches = UNSERVED.iter().map(|(kind, plural, instead)| watch(client.clone(), kind, plural, instead));
    futures_util::future::join_all(watches).await;
}

async fn watch(client: Client, kind: &str, plural: &str, instead: &str) {
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, kind),
        plural,
    );
    let objects = watcher(Api::<DynamicObject>::all_with(client.clone(), &resource), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .filter(|event| std::future::ready(event.as_ref().is_ok_and(|object| object.data.get("status").is_none())));
    pin_mut!(objects);
    while let Ok(Some(object)) = objects.try_next().await {
        if let Err(error) = say(&client, &resource, &object, instead).await {
            tracing::warn!(kind, object = object.name_any(), %error, "its status could not be written");
        }
    }
}

async fn say(client: &Client, resource: &ApiResource, object: &DynamicObject, instead: &str) -> kube::Result<()> {
    let message = format!("no component of this platform acts on a {} yet; until then, {instead}", resource.kind);
    let status = json!({ "status": { "conditions": [{
        "type": "Ready", "status": "False", "reason": "NotServed", "message": message,
        "lastTransitionTime": Time(k8s_openapi::jiff::Timestamp::now()),
        "observedGeneration": object.metadata.generation,
    }]}});
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    match api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile: nothing left to say.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
