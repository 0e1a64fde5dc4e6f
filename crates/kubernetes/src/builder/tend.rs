//! Builders that nobody needs: of environments that are gone or build no more, and those without a build for a while.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fission_api::{Environment, labels};
use fission_rpc::cache::{Cache, ObjectKey};
use fission_rpc::namespaces::Namespaces;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::pod::OWNER;
use super::{PodBuilder, Shared, Use};
use crate::deployments;
use crate::names::uid;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// How long a builder keeps its pod after a build.
const IDLE: Duration = Duration::from_secs(30 * 60);

impl PodBuilder {
    /// Deletes what is not needed and sends idle pods away, until dropped. `environments` must be kept in sync by someone
    /// else; `namespaces` are those it knows.
    pub async fn tend(self, environments: Cache<Environment>, namespaces: watch::Receiver<Namespaces>) {
        environments.synced().await;
        loop {
            let now = namespaces.borrow().clone();
            if let Err(error) = self.shared.tend(&environments, &now).await {
                tracing::warn!(%error, "builders nobody needs could not be looked for; trying again");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What is to be done about a builder.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// Its pod may go.
    Rest,
    /// All of it may go.
    Delete,
}

impl Shared {
    async fn tend(&self, environments: &Cache<Environment>, namespaces: &Namespaces) -> kube::Result<()> {
        // Listed after the builders, an environment made meanwhile would look as if it were gone.
        let mut found = Vec::new();
        for api in self.deployments(namespaces) {
            found.extend(api.list(&ListParams::default().labels(&format!("{}={}", OWNER.0, OWNER.1))).await?.items);
        }
        let known: HashMap<String, bool> = environments
            .list()
            .iter()
            .map(|environment| (uid(environment.as_ref()).to_owned(), !environment.spec.builder.image.is_empty()))
            .collect();
        for deployment in found {
            let owner = deployment.labels().get(labels::ENVIRONMENT_UID).cloned().unwrap_or_default();
            let key = ObjectKey { namespace: deployment.namespace().unwrap_or_default(), name: deployment.name_any() };
            let replicas = deployment.spec.replicas.unwrap_or(1);
            let done = match self.fate(&owner, known.get(&owner).copied()) {
                Fate::Rest if replicas > 0 => deployments::scale(&self.client, &key, 0).await,
                Fate::Keep | Fate::Rest => Ok(()),
                Fate::Delete => self.delete(&key).await,
            };
            if let Err(error) = done {
                tracing::warn!(builder = %key, %error, "a builder nobody needs could not be removed; trying again");
            }
        }
        Ok(())
    }

    fn deployments(&self, namespaces: &Namespaces) -> Vec<Api<Deployment>> {
        let one = |namespace: &str| Api::namespaced(self.client.clone(), namespace);
        match (&self.settings.options.builder_namespace, namespaces.names()) {
            (Some(namespace), _) => vec![one(namespace)],
            (None, Some(names)) => names.iter().collect::<BTreeSet<_>>().into_iter().map(|name| one(name)).collect(),
            (None, None) => vec![Api::all(self.client.clone())],
        }
    }

    /// `builds`: whether its environment, if there is one, has a builder.
    fn fate(&self, environment_uid: &str, builds: Option<bool>) -> Fate {
        let mut uses = self.uses();
        // One that an earlier process made is idle from now on.
        let used = uses.entry(environment_uid.to_owned()).or_insert(Use { builds: 0, last: Instant::now() });
        if used.builds > 0 {
            return Fate::Keep;
        }
        if builds != Some(true) {
            uses.remove(environment_uid);
            return Fate::Delete;
        }
        if used.last.elapsed() >= IDLE { Fate::Rest } else { Fate::Keep }
    }

    async fn delete(&self, key: &ObjectKey) -> kube::Result<()> {
        tracing::info!(builder = %key, "its environment is gone or builds no more; deleted");
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        deployments::gone_is_fine(services.delete(&key.name, &DeleteParams::background()).await)?;
        deployments::delete(&self.client, key).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::builder::pod::tests::{environment, settings};

    fn shared() -> Arc<Shared> {
        let nothing = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("nobody is here"))
        });
        let client = kube::Client::new(nothing, "default");
        PodBuilder::new(client, settings()).unwrap().shared
    }

    #[tokio::test(start_paused = true)]
    async fn a_builder_rests_after_a_while_and_goes_with_its_environment() {
        let (shared, environment) = (shared(), environment(serde_json::json!({ "image": "b" })));
        let own = uid(&environment).to_owned();
        let building = shared.in_use(&environment);
        tokio::time::advance(IDLE * 2).await;
        assert_eq!(shared.fate(&own, Some(true)), Fate::Keep, "it builds");
        assert_eq!(shared.fate(&own, None), Fate::Keep, "a build is not broken off");
        drop(building);
        assert_eq!(shared.fate(&own, Some(true)), Fate::Keep, "the next build may come soon");
        tokio::time::advance(IDLE).await;
        assert_eq!(shared.fate(&own, Some(true)), Fate::Rest);
        assert_eq!(shared.fate(&own, Some(false)), Fate::Delete, "it has no builder any more");
        assert_eq!(shared.fate(&own, None), Fate::Delete);
    }
}
