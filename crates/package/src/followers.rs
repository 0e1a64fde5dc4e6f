//! The functions of a package: they follow its content, and say whether it can be used.

use std::collections::HashSet;

use fission_api::{BuildStatus, Function, Package, labels};
use fission_rpc::cache::{Cache, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::status::set;

/// Times a condition is written again because someone else wrote at the same moment.
const CONFLICT_ATTEMPTS: usize = 8;

/// Gives all functions of a package its resource version, unless they asked to keep their code.
pub(crate) async fn restamp(
    client: &kube::Client,
    functions: &Cache<Function>,
    package: &ObjectKey,
    resource_version: &str,
) -> Result<(), kube::Error> {
    let stale = |function: &Function| {
        let annotations = function.metadata.annotations.as_ref();
        let opted_out =
            annotations.and_then(|all| all.get(labels::DISABLE_PACKAGE_AUTO_FOLLOW)).is_some_and(|it| it == "true");
        !opted_out && function.spec.package.package_ref.resourceversion != resource_version
    };
    for key in users(functions, package) {
        let Some(function) = functions.get(&key).filter(|function| stale(function)) else { continue };
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

/// The functions that use a package.
fn users(functions: &Cache<Function>, package: &ObjectKey) -> HashSet<ObjectKey> {
    let uses = |function: &Function| {
        let reference = &function.spec.package.package_ref;
        function.metadata.namespace.as_deref() == Some(package.namespace.as_str())
            && (reference.namespace.is_empty() || reference.namespace == package.namespace)
            && reference.name == package.name
    };
    let all = functions.list();
    all.iter().filter(|function| uses(function)).map(|function| ObjectKey::of(function.as_ref())).collect()
}

/// Says in the status of a package's functions how its build ended.
pub(crate) async fn tell(client: &kube::Client, functions: &Cache<Function>, key: &ObjectKey, package: &Package) {
    let status = package.status.as_ref();
    let failed = status.is_some_and(|status| status.build_status == BuildStatus::Failed);
    // A build that failed leaves the code of the one before in use.
    let outdated = failed && !package.spec.deployment.is_empty();
    let (value, reason) = if failed { ("False", "PackageBuildFailed") } else { ("True", "PackageReady") };
    let message = match (failed, status) {
        (true, Some(status)) => {
            format!("package {} could not be built: {}", key.name, crate::build::last_lines(&status.build_log))
        }
        _ => format!("package {} is ready", key.name),
    };
    let mut kinds = vec!["PackageReady"];
    if !outdated {
        kinds.push("Ready");
    }
    for function in users(functions, key) {
        let told = write(client, &function, &kinds, value, reason, &message).await;
        if let Err(error) = told {
            tracing::warn!(function = %function, %error, "a function could not be told how the build of its package ended");
        }
    }
}

async fn write(
    client: &kube::Client,
    key: &ObjectKey,
    kinds: &[&str],
    value: &str,
    reason: &str,
    message: &str,
) -> Result<(), kube::Error> {
    let api = Api::<Function>::namespaced(client.clone(), &key.namespace);
    for attempt in 1.. {
        let Some(mut function) = api.get_opt(&key.name).await? else { return Ok(()) };
        let generation = function.metadata.generation;
        let status = function.status.get_or_insert_default();
        let before = status.conditions.clone();
        for kind in kinds {
            let condition = Condition {
                type_: (*kind).to_owned(),
                status: value.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                observed_generation: generation,
                last_transition_time: Time(Timestamp::now()),
            };
            set(&mut status.conditions, condition);
        }
        if status.conditions == before {
            return Ok(());
        }
        match api.replace_status(&key.name, &PostParams::default(), &function).await {
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < CONFLICT_ATTEMPTS => {}
            result => return gone_is_fine(result),
        }
    }
    Ok(())
}

/// An object deleted meanwhile needs nothing more.
pub(crate) fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result.map(drop),
    }
}
