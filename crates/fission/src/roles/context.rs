//! What every role that talks to the cluster is given, and how it ends.

use std::time::Duration;

use anyhow::{Context as _, Result};
use fission_kubernetes::leader::Election;
use fission_kubernetes::options::{InternalSecret, Options};
use fission_rpc::cache::Cache;
use fission_rpc::namespaces::Namespaces;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Client, Resource};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::{namespaces, secret};
use crate::config::cluster::ClusterSettings;

/// A role's surroundings.
pub(crate) struct Context {
    pub(crate) settings: ClusterSettings,
    pub(crate) client: Client,
    /// Where users' objects are.
    pub(crate) namespaces: watch::Receiver<Namespaces>,
    /// Says when the role can serve.
    pub(crate) health: Health,
    /// Cancelled when the process is told to end.
    pub(crate) shutdown: CancellationToken,
    /// What runs beside; ends when this is dropped.
    pub(crate) background: JoinSet<()>,
    /// Holds the lease of a leader; cancelled, it gives it back.
    lease: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Context {
    /// Connects to the cluster. `/healthz` is served from here on, `/readyz` says no until [`Health::ready`].
    pub(crate) async fn start(role: &'static str) -> Result<Self> {
        let settings = ClusterSettings::read()?;
        let config = kube::Config::infer().await.context("this is no cluster, and there is no kubeconfig")?;
        let client = Client::try_from(config).context("the cluster's API cannot be talked to")?;
        let shutdown = until_told_to_end()?;
        let mut background = JoinSet::new();
        let namespaces = namespaces::follow(&settings, client.clone(), &mut background);
        let health = Health::default();
        tracing::info!(role, namespaces = ?settings.namespaces(), "looks for objects here");
        Ok(Self { settings, client, namespaces, health, shutdown, background, lease: None })
    }

    /// Serves `/metrics`, `/healthz` and `/readyz`.
    pub(crate) async fn serve_health(&mut self, registry: Registry) -> Result<()> {
        let serving = self.health.clone().serve(self.settings.health, registry).await?;
        self.background.spawn(serving);
        Ok(())
    }

    /// Keeps a copy of a kind of users' objects.
    pub(crate) fn watch<K>(&mut self, cache: &Cache<K>)
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
        K::DynamicType: Default,
    {
        let (cache, client, namespaces) = (cache.clone(), self.client.clone(), self.namespaces.clone());
        self.background.spawn(cache.run_in(client, namespaces, watcher::Config::default()));
    }

    /// The namespaces of functions' pods.
    pub(crate) fn pod_namespaces(&self) -> watch::Receiver<Namespaces> {
        match &self.settings.function_namespace {
            Some(one) => watch::Sender::new(Namespaces::these([one])).subscribe(),
            None => self.namespaces.clone(),
        }
    }

    /// The master secret of internal requests; made by the executor where there is none, waited for by others.
    pub(crate) async fn secret(&self, make: bool) -> Result<InternalSecret> {
        secret::read(&self.settings, &self.client, make, &self.shutdown).await
    }

    /// What pods are made with.
    pub(crate) async fn pod_options(&self, secret: InternalSecret) -> Result<Options> {
        let version = self.client.apiserver_version().await.context("the cluster does not say its version")?;
        let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap_or_default();
        let patch = |name: &str| -> Result<Option<serde_json::Value>> {
            let path = self.settings.config_path.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => serde_saphyr::from_str(&text).map(Some).with_context(|| format!("cannot read {name}")),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
        };
        let settings = &self.settings;
        Ok(Options {
            install_namespace: settings.install_namespace.clone(),
            function_namespace: settings.function_namespace.clone(),
            builder_namespace: settings.builder_namespace.clone(),
            fetcher_image: settings.fetcher_image.clone(),
            fetcher_pull_policy: settings.fetcher_pull_policy.clone(),
            runtime_pull_policy: settings.runtime_pull_policy.clone(),
            fetcher_resources: settings.fetcher_resources.clone(),
            insecure_registries: settings.insecure_registries.clone(),
            storage_url: format!("http://storagesvc.{}", settings.install_namespace),
            runtime_pod_patch: patch("runtime-podspec-patch.yaml")?,
            builder_pod_patch: patch("builder-podspec-patch.yaml")?,
            cluster_domain: settings.cluster_domain.clone(),
            has_sleep_action: minor >= 30,
            secret,
        })
    }

    /// Waits until told to end, and then for as long as others need to hear that this process takes no more.
    pub(crate) async fn left(&self, linger: Duration) {
        self.shutdown.cancelled().await;
        self.health.ending();
        tokio::time::sleep(linger).await;
    }

    /// Waits to be the only one of its kind. From then on the process ends when it no longer is.
    pub(crate) async fn lead(&mut self, lease: &str) -> Result<()> {
        let election = self.election(lease);
        tokio::select! {
            () = election.win() => {}
            () = self.shutdown.cancelled() => anyhow::bail!("told to end before it was the leader"),
        }
        tracing::info!(lease, "is the leader");
        let (done, lease) = (CancellationToken::new(), lease.to_owned());
        let until = done.clone();
        let holding = tokio::spawn(async move {
            if !election.hold(&until).await {
                tracing::error!(lease, "is no longer the leader; ending at once");
                std::process::exit(1);
            }
        });
        self.lease = Some((done, holding));
        Ok(())
    }

    /// Gives the lease back, so that the next leader need not wait for it to run out. Until then there is no next leader:
    /// to be called when the work is done.
    pub(crate) async fn let_go(&mut self) {
        if let Some((done, holding)) = self.lease.take() {
            done.cancel();
            // It limits itself, and ends in no other way.
            let _ = holding.await;
        }
    }

    /// A lease of the platform's namespace, to be held by this process.
    pub(crate) fn election(&self, lease: &str) -> Election {
        let settings = &self.settings;
        // A pod's name comes back when a StatefulSet or a person makes it again; the process must not.
        let identity = format!("{}_{:08x}", settings.identity, rand::random::<u32>());
        Election::new(self.client.clone(), &settings.install_namespace, lease, &identity)
    }
}

/// Cancelled by SIGTERM or SIGINT.
pub(crate) fn until_told_to_end() -> Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end");
        told.cancel();
    });
    Ok(token)
}

/// A socket on all addresses, of both families where the node has them.
pub(crate) async fn listen(port: u16) -> Result<tokio::net::TcpListener> {
    match tokio::net::TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        // A node without IPv6.
        Err(_) => tokio::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port))
            .await
            .with_context(|| format!("cannot listen on port {port}")),
    }
}

/// Serves a router of HTTP paths until `shutdown`, then lets requests in flight end.
pub(crate) async fn serve(router: axum::Router, port: u16, shutdown: CancellationToken) -> Result<()> {
    axum::serve(listen(port).await?, router).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    Ok(())
}
