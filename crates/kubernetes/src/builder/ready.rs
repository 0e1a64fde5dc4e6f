//! A builder's pod: made when there is none, waited for, and asked what went wrong.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fission_api::Environment;
use fission_rpc::build::{BuildError, BuildLog};
use fission_rpc::cache::ObjectKey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::Value;
use tokio::time::Instant;

use super::pod::{BUILDER, SPEC_HASH};
use super::{Shared, failed, interrupted, pod};
use crate::keys::{self, MANAGER};
use crate::names::{self, name};
use crate::{deployments, pods};

/// Pause between two looks at a pod that is not ready.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two looks at what a builder consists of.
const ENSURE: Duration = Duration::from_secs(10);
/// How long the same thing must keep a pod from starting before that is believed to last.
const LASTS: Duration = Duration::from_secs(60);
/// How long the cluster is given to say how a pod ended.
const END_IS_KNOWN: Duration = Duration::from_secs(2);

/// A pod that can build.
pub(super) struct Ready {
    pub(super) key: ObjectKey,
    pub(super) address: IpAddr,
}

/// What is seen of a builder that is not ready.
struct Seen {
    why: String,
    since: Instant,
}

impl Shared {
    /// A pod of the environment's builder as it is declared now.
    pub(super) async fn ready_pod(
        &self,
        environment: &Arc<Environment>,
        log: &dyn BuildLog,
    ) -> Result<Ready, BuildError> {
        let wanted = pod::deployment(environment, &self.settings)
            .map_err(|why| failed(format!("the builder of environment {}: {why}", name(environment.as_ref()))))?;
        let hash = wanted["metadata"]["annotations"][SPEC_HASH].as_str().unwrap_or_default().to_owned();
        let namespace = pod::pod_namespace(environment, &self.settings.options);
        let start = Instant::now();
        let (mut ensured, mut seen): (Option<Instant>, Option<Seen>) = (None, None);
        loop {
            let (ready, pod) = self.look(environment, &namespace, &hash).await.map_err(|error| asked(&error))?;
            if let Some(ready) = ready {
                return Ok(ready);
            }
            // Again and again: an idle builder may have been sent to rest at this very moment.
            if ensured.is_none_or(|at| at.elapsed() >= ENSURE) {
                if ensured.replace(Instant::now()).is_none() {
                    log.append(b"waiting for the builder's pod\n");
                }
                let made = self.ensure(environment, &namespace, &wanted, &hash).await;
                made.map_err(|error| unwritten(&error, &namespace))?;
            }
            let why = match &pod {
                Some(pod) => pods::stuck(pod),
                None => self.why_no_pod(environment, &namespace).await,
            };
            match (why, &seen) {
                (None, _) => {}
                (Some(why), Some(before)) if kind_of(&before.why) == kind_of(&why) => {
                    let is_placed =
                        pod.as_ref().is_none_or(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()));
                    // A node may be made for it, which takes minutes.
                    if is_placed && before.since.elapsed() >= LASTS {
                        return Err(failed(format!("the builder does not start: {why}")));
                    }
                }
                (Some(why), _) => {
                    log.append(format!("{why}\n").as_bytes());
                    seen = Some(Seen { why, since: Instant::now() });
                }
            }
            if start.elapsed() >= self.settings.ready_timeout {
                let seconds = self.settings.ready_timeout.as_secs();
                let why = seen.map_or_else(|| "nothing says why".to_owned(), |seen| seen.why);
                return Err(failed(format!("the builder was not ready within {seconds} s (POD_READY_TIMEOUT): {why}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes what a builder consists of, where that is not there.
    async fn ensure(&self, environment: &Environment, namespace: &str, wanted: &Value, hash: &str) -> kube::Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        if let Some(found) = api.get_opt(&names::builder(environment)).await? {
            let annotations = found.metadata.annotations.unwrap_or_default();
            let replicas = found.spec.replicas.unwrap_or(1);
            if replicas > 0 && annotations.get(SPEC_HASH).is_some_and(|known| known == hash) {
                return Ok(());
            }
        }
        keys::provide(&self.client, &self.settings.options.secret, namespace).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let service = pod::service(environment, &self.settings.options);
        let params = PatchParams::apply(MANAGER).force();
        services.patch(&names::builder(environment), &params, &Patch::Apply(&service)).await?;
        deployments::apply(&self.client, wanted).await.map(drop)
    }

    /// A ready pod that was made from `hash`, else the newest of them that is not.
    async fn look(
        &self,
        environment: &Environment,
        namespace: &str,
        hash: &str,
    ) -> kube::Result<(Option<Ready>, Option<Pod>)> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let all = api.list(&ListParams::default().labels(&pod::selector(environment))).await?;
        let current = |pod: &Pod| pods::annotation(pod, SPEC_HASH) == hash && !pods::is_ending(pod);
        let mut pods: Vec<Pod> = all.items.into_iter().filter(current).collect();
        let ready = pods.iter().find(|pod| pods::is_ready(pod)).and_then(|pod| {
            let key = ObjectKey { namespace: namespace.to_owned(), name: name(pod).to_owned() };
            pods::address(pod).map(|address| Ready { key, address: address.ip() })
        });
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
        Ok((ready, pods.pop()))
    }

    /// What keeps the cluster from making a pod at all: a quota, a policy, a missing account.
    async fn why_no_pod(&self, environment: &Environment, namespace: &str) -> Option<String> {
        let deployment = ObjectKey { namespace: namespace.to_owned(), name: names::builder(environment) };
        deployments::trouble(&self.client, &deployment).await
    }

    /// Why a build broke off, as far as its pod knows.
    pub(super) async fn why_broken(&self, pod: &Ready, why: String) -> BuildError {
        tokio::time::sleep(END_IS_KNOWN).await;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.key.namespace);
        let found = match api.get_opt(&pod.key.name).await {
            Ok(Some(found)) => found,
            Ok(None) => return interrupted(format!("{why}; pod {} is gone", pod.key)),
            Err(_) => return interrupted(why),
        };
        if was_out_of_memory(&found) {
            return failed(
                "the build was killed: over the memory limit of its container (the environment's \
                 builder.container.resources)",
            );
        }
        if pods::is_ready(&found) { interrupted(why) } else { interrupted(format!("{why}; {}", pods::ended(&found))) }
    }
}

/// Whether the builder's container was killed for its memory.
fn was_out_of_memory(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().filter(|status| status.name == BUILDER).any(|status| {
        [&status.state, &status.last_state]
            .into_iter()
            .flatten()
            .any(|state| state.terminated.as_ref().is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled")))
    })
}

/// What stays the same when a cluster says the same thing again with other numbers.
fn kind_of(why: &str) -> &str {
    // `ErrImagePull` and `ImagePullBackOff` take turns.
    if why.contains("ImagePull") { "ImagePull" } else { why }
}

fn asked(error: &kube::Error) -> BuildError {
    interrupted(format!("the cluster's API did not answer: {error}"))
}

fn unwritten(error: &kube::Error, namespace: &str) -> BuildError {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 409 | 429) => {
            failed(format!("the builder could not be made in namespace {namespace}: {}", status.message))
        }
        error => asked(error),
    }
}
