//! A generic pod becomes a function's: its fetcher loads the code, then its labels say whose it is.
//!
//! Who a pod belongs to is decided by its fetcher, which loads one function and refuses every other. So the router that
//! waits is answered as soon as the function is loaded, without the API server; the labels follow at once, by a
//! compare-and-swap on `managed`, and with them the other routers. That the Deployment makes another pod, which takes the
//! node's processors for a second, thus begins behind the request and not beside it.
//!
//! If this process ends in between, a generic pod is left that has a function. The next executor has it load another,
//! is told so by the fetcher, and ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fission_api::labels;
use fission_executor::backend::{BackendError, Load};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::InstanceId;
use fission_rpc::{signed, signing};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::backend::Shared;
use crate::names::{name, namespace, uid};
use crate::pods;
use crate::pools::Held;
use crate::wire::{FetchRequest, LoadRequest, SpecializeRequest};

/// Label: routers may send requests to the pod.
pub(crate) const SERVED: &str = "fission.io/served";
/// Label: the pod is kept although nobody calls it.
pub(crate) const PROVISIONED: &str = "fission.io/provisioned";
/// Annotation: which process made the pod what it is.
const EXECUTOR: &str = "executorInstanceId";
/// Annotation: where it listens.
const HOST: &str = "svcHost";
/// Annotation: resource version of the function.
const VERSION: &str = "functionResourceVersion";
/// Annotation: uid and generation of the package.
pub(crate) const PACKAGE: &str = "fission.io/package-version";
/// Annotation: what it was configured with, hidden from who may not see the values.
pub(crate) const CONFIGURATION: &str = "fission.io/configuration";
/// Header of a fetcher's answer: who failed.
const COMPONENT: &str = "x-fission-component";
/// Tries to reach a fetcher. It is there, as the pod is ready; its node's network may need a moment.
const TRIES: u32 = 20;
/// First pause between them; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// First pause before labels are tried again to be written; it doubles up to [`PUBLISH_PAUSE_MAX`].
const PUBLISH_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const PUBLISH_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Loads a function into a pod.
pub(crate) async fn specialize(shared: &Arc<Shared>, id: &InstanceId, load: &Load) -> Result<SocketAddr, BackendError> {
    let broken = |why: &str| BackendError::Broken { instance: id.clone(), why: why.to_owned() };
    let held = shared.pools().claim(id).ok_or_else(|| broken("is gone"))?;
    let late = |_| BackendError::TimedOut { instance: id.clone(), seconds: load.timeout.as_secs() };
    tokio::time::timeout(load.timeout, fetch_and_load(shared, id, &held, load)).await.map_err(late)??;
    let address = held.address;
    let (shared, id, load) = (shared.clone(), id.clone(), load.clone());
    tokio::spawn(async move { publish(&shared, &id, &held, &load).await });
    Ok(address)
}

/// Why a pod could not be claimed.
enum Unclaimed {
    /// It is another's, or there is no such pod.
    Lost(String),
    /// It may work the next time.
    Again(String),
}

/// Makes the pod the function's, and shows it to routers.
async fn claim(shared: &Shared, held: &Held, load: &Load) -> Result<(), Unclaimed> {
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &held.pod.namespace);
    let function = &load.function;
    let label = |key: &str, value: &str| json!({ "op": "add", "path": path("labels", key), "value": value });
    let note = |key: &str, value: &str| json!({ "op": "add", "path": path("annotations", key), "value": value });
    let (package_uid, generation) = (uid(load.package.as_ref()), load.package.metadata.generation.unwrap_or_default());
    let hidden = load.configuration.fingerprint() ^ shared.mask(&held.pod.name);
    let mut patch = vec![
        json!({ "op": "test", "path": path("labels", labels::MANAGED), "value": "true" }),
        label(labels::MANAGED, "false"),
        label(labels::FUNCTION_NAME, name(function.as_ref())),
        label(labels::FUNCTION_NAMESPACE, namespace(function.as_ref())),
        label(labels::FUNCTION_UID, uid(function.as_ref())),
        label(labels::FUNCTION_GENERATION, &function.metadata.generation.unwrap_or_default().to_string()),
        label(SERVED, "true"),
        note(EXECUTOR, &shared.process),
        note(HOST, &held.address.to_string()),
        note(VERSION, function.metadata.resource_version.as_deref().unwrap_or_default()),
        note(PACKAGE, &format!("{package_uid}/{generation}")),
        note(CONFIGURATION, &format!("{hidden:016x}")),
    ];
    for (key, value) in function.metadata.labels.iter().flatten() {
        if !crate::backend::is_own_label(key) {
            patch.push(label(key, value));
        }
    }
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(patch)).map_err(|error| Unclaimed::Lost(error.to_string()))?;
    let patched = api.patch(&held.pod.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
    let pod = patched.map_err(|error| match error {
        // 422: `managed` is not what was tested for.
        kube::Error::Api(status) if matches!(status.code, 404 | 422) => Unclaimed::Lost(status.message.clone()),
        error => Unclaimed::Again(error.to_string()),
    })?;
    // A patch that was taken and did nothing has been seen.
    if pods::label(&pod, labels::MANAGED) == "false"
        && pods::label(&pod, labels::FUNCTION_UID) == uid(function.as_ref())
        && pods::annotation(&pod, EXECUTOR) == shared.process
    {
        return Ok(());
    }
    Err(Unclaimed::Again("the API server took the change and did not make it".to_owned()))
}

/// A place in an object's metadata as JSON patch names it.
fn path(map: &str, key: &str) -> String {
    format!("/metadata/{map}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What the fetcher is told.
pub(crate) fn request(load: &Load, keep_archive: bool, storage_url: &str) -> SpecializeRequest {
    let function = &load.function;
    let spec = &function.spec;
    let is_configured = spec.secrets.iter().flatten().next().is_some()
        || spec.configmaps.iter().flatten().next().is_some()
        || spec.env.iter().flatten().next().is_some()
        || spec.env_from.iter().flatten().next().is_some();
    SpecializeRequest {
        fetch: FetchRequest {
            fetch_type: 1,
            package: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                name: load.package.metadata.name.clone(),
                namespace: load.package.metadata.namespace.clone(),
                resource_version: load.package.metadata.resource_version.clone(),
                uid: load.package.metadata.uid.clone(),
                ..Default::default()
            },
            storagesvcurl: storage_url.to_owned(),
            filename: load.filename.clone(),
            keeparchive: keep_archive,
            archive: Some(load.package.spec.deployment.clone()),
            ..FetchRequest::default()
        },
        load: LoadRequest {
            filepath: format!("/userfunc/{}", load.filename),
            function_name: spec.package.function_name.clone(),
            url: String::new(),
            metadata: Some(function.metadata.clone()),
            env_version: load.environment_version,
        },
        function: is_configured.then(|| Box::new(function.as_ref().clone())),
    }
}

async fn fetch_and_load(shared: &Shared, id: &InstanceId, held: &Held, load: &Load) -> Result<(), BackendError> {
    let broken = |why: String| BackendError::Broken { instance: id.clone(), why };
    let body = request(load, held.environment.spec.keeparchive, &shared.options.storage_url);
    let body = serde_json::to_vec(&body).map_err(|error| broken(error.to_string()))?;
    let url = format!("http://{}/specialize", pods::fetcher_address(held.address));
    let key = shared.options.secret.key(signing::FETCHER, Some(&held.pod.namespace));
    let mut pause = PAUSE;
    for attempt in 1.. {
        let request = shared.http.post(&url).header("content-type", "application/json").body(body.clone()).build();
        let mut request = request.map_err(|error| broken(error.to_string()))?;
        let _ = signed::sign(&key, &mut request);
        let why = match shared.http.execute(request).await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) if response.status() == http::StatusCode::UNAUTHORIZED => {
                return Err(broken(format!("was told to load, but {}", signed::not_accepted(response.headers()))));
            }
            Ok(response) => {
                let (status, is_functions) =
                    (response.status(), response.headers().get(COMPONENT).is_some_and(|who| who == "function"));
                let message = response.text().await.unwrap_or_default().trim().to_owned();
                if status == http::StatusCode::CONFLICT && !is_functions {
                    return Err(broken(format!("has a function already: {message}")));
                }
                if is_functions || status.is_client_error() {
                    return Err(BackendError::Refused { status: status.as_u16(), message });
                }
                format!("its fetcher answered {status}: {message}")
            }
            // It may have been told already, and an environment is told once only.
            Err(error) if !error.is_connect() => {
                return Err(broken(format!("broke the connection while it loaded the function: {error}")));
            }
            Err(error) => format!("its fetcher was not reached: {error}"),
        };
        if attempt >= TRIES {
            return Err(broken(why));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ok(())
}

/// Lets everybody see whose the pod is: the router that asked has its address already. Tries for as long as the instance
/// is wanted, so that the function goes on being served while the API server is away.
async fn publish(shared: &Arc<Shared>, id: &InstanceId, held: &Held, load: &Load) {
    let mut pause = PUBLISH_PAUSE;
    let is_wanted = || shared.pools().of(id).is_some_and(|held| held.claimed) && !shared.is_withdrawn(id);
    while is_wanted() {
        match claim(shared, held, load).await {
            Ok(()) => break,
            Err(Unclaimed::Lost(why)) => {
                shared.lost(id, format!("pod {} is no longer ours: {why}", held.pod.name));
                return;
            }
            Err(Unclaimed::Again(why)) => {
                tracing::warn!(pod = %held.pod, why, "a pod that serves could not be labelled; trying again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PUBLISH_PAUSE_MAX);
    }
    if !is_wanted() {
        // Withdrawn meanwhile: of the two writes the other may have come first.
        let _ = set_served(shared, &held.pod, false).await;
        return;
    }
    shared.services.ensure(&load.function, &held.pod.namespace).await;
}

/// Sets or takes the label that lets routers send requests to a pod.
pub(crate) async fn set_served(shared: &Shared, pod: &ObjectKey, served: bool) -> kube::Result<()> {
    set_label(shared, pod, SERVED, served).await
}

/// Sets a label to `true`, or takes it.
pub(crate) async fn set_label(shared: &Shared, pod: &ObjectKey, label: &str, set: bool) -> kube::Result<()> {
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &pod.namespace);
    let value = if set { json!("true") } else { Value::Null };
    let patch = json!({ "metadata": { "labels": { label: value } } });
    api.patch_metadata(&pod.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ())
}
