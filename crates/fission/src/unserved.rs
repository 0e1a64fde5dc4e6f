//! Kinds that are stored but that no component acts on yet say so in their status, so that nobody waits in vain.

use fission_rpc::namespaces::Namespaces;
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;

/// Where a platform is at home: what users can do instead differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// One machine.
    Machine,
    /// A cluster.
    Cluster,
}

/// A kind nobody acts on.
struct Unserved {
    kind: &'static str,
    plural: &'static str,
    /// What can be done instead on one machine, and in a cluster.
    instead: [&'static str; 2],
}

const UNSERVED: &[Unserved] = &[
    Unserved {
        kind: "TimeTrigger",
        plural: "timetriggers",
        instead: ["call the function from the machine's own cron", "let a CronJob call the function's route"],
    },
    Unserved {
        kind: "KubernetesWatchTrigger",
        plural: "kuberneteswatchtriggers",
        instead: ["watch with `kubectl get --watch`", "watch with `kubectl get --watch`, in a pod of your own"],
    },
    both("MessageQueueTrigger", "messagequeuetriggers", "let a consumer of your own call the function's route"),
    both("CanaryConfig", "canaryconfigs", "set the weights of the route by hand"),
    both("FunctionAlias", "functionaliases", "point the route at the function itself"),
    both("Workflow", "workflows", "call the functions one after another from a function"),
    both("WorkflowRun", "workflowruns", "call the functions one after another from a function"),
    Unserved {
        kind: FISSION_TENANT,
        plural: "fissiontenants",
        instead: [
            "one machine has one tenant",
            "name the namespace in the ConfigMap fission-namespaces of the platform's own namespace, or, where labels \
             decide, give it the label fission.io/enabled=true",
        ],
    },
];

/// The one that is in no namespace.
const FISSION_TENANT: &str = "FissionTenant";

const fn both(kind: &'static str, plural: &'static str, instead: &'static str) -> Unserved {
    Unserved { kind, plural, instead: [instead, instead] }
}

/// Watches those kinds and writes `Ready=False` with the reason, once per object. Runs until dropped.
pub(crate) async fn report(client: Client, home: Home, namespaces: watch::Receiver<Namespaces>) {
    let reports = UNSERVED.iter().map(|unserved| {
        let report = Report::new(client.clone(), home, unserved);
        let namespaces = namespaces.clone();
        async move {
            match unserved.kind {
                FISSION_TENANT => report.tenants().await,
                _ => report.within(namespaces).await,
            }
        }
    });
    futures_util::future::join_all(reports).await;
}

/// Reports about one kind.
struct Report {
    client: Client,
    resource: ApiResource,
    message: String,
}

impl Report {
    fn new(client: Client, home: Home, unserved: &Unserved) -> Self {
        let kind = GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, unserved.kind);
        let [on_a_machine, in_a_cluster] = unserved.instead;
        let instead = if home == Home::Machine { on_a_machine } else { in_a_cluster };
        Self {
            client,
            resource: ApiResource::from_gvk_with_plural(&kind, unserved.plural),
            message: format!("no component of this platform acts on a {} yet; until then, {instead}", unserved.kind),
        }
    }

    /// Reports in namespaces, which may change.
    async fn within(&self, mut namespaces: watch::Receiver<Namespaces>) {
        loop {
            let now = namespaces.borrow_and_update().clone();
            let apis: Vec<Api<DynamicObject>> = match now.names() {
                None => vec![Api::all_with(self.client.clone(), &self.resource)],
                Some(names) => names.iter().map(|name| self.in_namespace(name)).collect(),
            };
            let watches = futures_util::future::join_all(apis.into_iter().map(|api| self.watch(api)));
            let changed = async {
                if namespaces.changed().await.is_err() {
                    // Nobody changes them any more; what is watched goes on.
                    std::future::pending::<()>().await;
                }
            };
            let watches = async {
                watches.await;
                std::future::pending::<()>().await;
            };
            // Watches begin again from the start then, which costs a list and writes nothing twice.
            tokio::select! {
                () = watches => {}
                () = changed => {}
            }
        }
    }

    /// Reports about what is in no namespace. In a cluster that is the business of administrators, who may not have let
    /// this platform see it.
    async fn tenants(&self) {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.resource);
        match api.list(&ListParams::default().limit(1)).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::info!(kind = FISSION_TENANT, "is not reported on: {}", status.message);
            }
            _ => self.watch(api).await,
        }
    }

    fn in_namespace(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource)
    }

    async fn watch(&self, api: Api<DynamicObject>) {
        let objects = watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
            .filter(|event| std::future::ready(event.as_ref().is_ok_and(|object| object.data.get("status").is_none())));
        pin_mut!(objects);
        while let Ok(Some(object)) = objects.try_next().await {
            if let Err(error) = self.say(&object).await {
                let kind = &self.resource.kind;
                tracing::warn!(kind, object = object.name_any(), %error, "its status could not be written");
            }
        }
    }

    async fn say(&self, object: &DynamicObject) -> kube::Result<()> {
        let status = json!({ "status": { "conditions": [{
            "type": "Ready", "status": "False", "reason": "NotServed", "message": self.message,
            "lastTransitionTime": Time(k8s_openapi::jiff::Timestamp::now()),
            "observedGeneration": object.metadata.generation,
        }]}});
        let api = match object.namespace() {
            Some(namespace) => self.in_namespace(&namespace),
            None => Api::all_with(self.client.clone(), &self.resource),
        };
        match api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await {
            Ok(_) => Ok(()),
            // Deleted meanwhile: nothing left to say.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "unserved_tests.rs"]
mod tests;
