//! The servers of a platform in a cluster: which pods there are of each, and what they run.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::findings::Findings;
use crate::cluster::{self, DEFAULT_INSTALLATION, Search};
use crate::failure::Outcome;
use crate::session::Session;

/// Label that names a server.
const LABEL: &str = "svc";
/// Servers without which nothing runs.
const NEEDED: [&str; 3] = ["router", "executor", "storagesvc"];

/// The pods of every server of one installation, by name of the server.
#[derive(Debug)]
pub(crate) struct Components {
    /// Namespace of the installation.
    pub(crate) namespace: String,
    pods: BTreeMap<String, Vec<DynamicObject>>,
}

impl Components {
    /// Lists them. The installation is the one the user named, else the one that is there.
    pub(crate) async fn read(s: &mut Session) -> Outcome<Self> {
        let client = s.client().await?;
        let (installation, own) = s.search().await;
        let search = Search { installation: installation.as_deref(), own: &own };
        let selector = format!("{LABEL} in ({})", NEEDED.join(","));
        let (needed, _) = cluster::listed(&client, &selector, search).await?;
        let mut namespaces: Vec<String> = needed.iter().filter_map(ResourceExt::namespace).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let namespace = installation.clone().or_else(|| namespaces.into_iter().next());
        let namespace = namespace.unwrap_or_else(|| DEFAULT_INSTALLATION.to_owned());
        let here = Search { installation: Some(&namespace), own: &own };
        let (all, _) = cluster::listed(&client, LABEL, here).await?;
        let mut pods: BTreeMap<String, Vec<DynamicObject>> = BTreeMap::new();
        for pod in all {
            let name = pod.labels().get(LABEL).cloned().unwrap_or_default();
            pods.entry(name).or_default().push(pod);
        }
        Ok(Self { namespace, pods })
    }

    /// What each server runs, for `fission version`.
    pub(crate) fn images(&self) -> Value {
        let images = self.pods.iter().map(|(name, pods)| {
            let mut images: Vec<&str> = pods.iter().filter_map(image).collect();
            images.sort_unstable();
            images.dedup();
            (name.clone(), json!(images.join(", ")))
        });
        Value::Object(images.collect())
    }

    /// A line a server.
    pub(super) fn check(&self, found: &mut Findings) {
        for name in NEEDED.iter().filter(|name| !self.pods.contains_key(**name)) {
            found.bad(
                format!("{name}: no pod labelled {LABEL}={name} in namespace {}", self.namespace),
                "name the namespace Fission is installed in with FISSION_NAMESPACE, or install it",
            );
        }
        for (name, pods) in &self.pods {
            let ready = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
            let text = format!("{name}: {ready} of {} ready", pods.len());
            let failing = pods.iter().find(|pod| !cluster::is_ready(pod));
            match failing {
                None => found.add(true, text),
                Some(pod) => {
                    let text = format!("{text}; {} is {}", pod.name_any(), cluster::state(pod));
                    let hint = format!("see why: kubectl -n {} describe pod {}", self.namespace, pod.name_any());
                    // One that serves is enough; another may be on its way, as in a rollout.
                    if ready > 0 { found.limit(text, hint) } else { found.bad(text, hint) }
                }
            }
        }
    }
}

fn image(pod: &DynamicObject) -> Option<&str> {
    pod.data["spec"]["containers"].as_array()?.first()?["image"].as_str()
}
