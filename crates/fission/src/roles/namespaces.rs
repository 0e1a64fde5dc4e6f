//! The namespaces a platform looks at, which may change while it runs.

use fission_rpc::namespaces::Namespaces;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::cluster::{ClusterSettings, Tenancy};

/// The ConfigMap of the platform's namespace that lists them; key `namespaces`, with commas between them.
const CONFIG_MAP: &str = "fission-namespaces";
/// The label of namespaces that are looked at where labels decide.
const LABEL: &str = "fission.io/enabled=true";

/// The namespaces now and from now on.
pub(super) fn follow(
    settings: &ClusterSettings,
    client: Client,
    background: &mut JoinSet<()>,
) -> watch::Receiver<Namespaces> {
    let (sender, receiver) = watch::channel(settings.namespaces());
    let fixed = settings.namespaces.clone();
    match settings.tenancy {
        Tenancy::Cluster => {}
        Tenancy::Static => {
            let api = Api::namespaced(client, &settings.install_namespace);
            background.spawn(listed(api, fixed, sender));
        }
        Tenancy::Dynamic => {
            background.spawn(labelled(Api::all(client), fixed, sender));
        }
    }
    receiver
}

/// Those of the ConfigMap; without it those of the settings.
async fn listed(api: Api<ConfigMap>, fixed: BTreeSet<String>, tell: watch::Sender<Namespaces>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={CONFIG_MAP}"));
    let events = watcher(api, config).default_backoff();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let now = match event {
            Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                let text = map.data.as_ref().and_then(|data| data.get("namespaces")).cloned().unwrap_or_default();
                text.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }
            Ok(watcher::Event::Delete(_)) => fixed.clone(),
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "ConfigMap {CONFIG_MAP} cannot be watched; the settings count");
                continue;
            }
        };
        set(&tell, now);
    }
}

/// Those with the label, and those of the settings.
async fn labelled(api: Api<Namespace>, fixed: BTreeSet<String>, tell: watch::Sender<Namespaces>) {
    let events = watcher(api, watcher::Config::default().labels(LABEL)).default_backoff();
    pin_mut!(events);
    let (mut now, mut listing) = (fixed.clone(), BTreeSet::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listing = fixed.clone(),
            Ok(watcher::Event::InitApply(one)) => _ = listing.insert(one.name_any()),
            Ok(watcher::Event::InitDone) => now = listing.clone(),
            Ok(watcher::Event::Apply(one)) => _ = now.insert(one.name_any()),
            Ok(watcher::Event::Delete(one)) => _ = now.remove(&one.name_any()),
            Err(error) => {
                tracing::warn!(%error, "namespaces cannot be watched; trying again");
                continue;
            }
        }
        if listing.is_empty() || !now.is_empty() {
            set(&tell, now.clone());
        }
    }
}

fn set(tell: &watch::Sender<Namespaces>, now: BTreeSet<String>) {
    let now = Namespaces::These(now);
    tell.send_if_modified(|before| {
        let differs = *before != now;
        if differs {
            tracing::info!(namespaces = ?now, "the namespaces are now others");
            *before = now;
        }
        differs
    });
}
