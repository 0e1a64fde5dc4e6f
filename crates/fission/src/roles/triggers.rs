//! `fission triggers`: what starts functions other than requests, and what leads requests from the edge of the cluster to
//! the router. No source of events is there yet; until then objects that ask for one say so in their status.

use anyhow::Result;
use fission_api::HTTPTrigger;
use fission_kubernetes::exposure::Exposure;
use fission_rpc::cache::Cache;
use prometheus_client::registry::Registry;

use super::context::Context;
use crate::unserved::{self, Home};

/// The lease of the process that does it.
const LEASE: &str = "fission-triggers";

/// Runs until told to end.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("triggers").await?;
    context.serve_health(Registry::default()).await?;
    // One that waits is as ready as it can be: it takes over when the other ends.
    context.health.ready();
    if let Err(error) = context.lead(LEASE).await {
        return if context.shutdown.is_cancelled() { Ok(()) } else { Err(error) };
    }
    let (client, namespaces) = (context.client.clone(), context.namespaces.clone());
    context.background.spawn(unserved::report(client, Home::Cluster, namespaces));
    let triggers = Cache::<HTTPTrigger>::default();
    context.watch(&triggers);
    let exposure = Exposure::new(context.client.clone(), &context.settings.install_namespace);
    // It writes no more once another may lead.
    tokio::select! {
        () = exposure.run(triggers) => anyhow::bail!("nothing tells of routes any more"),
        () = context.shutdown.cancelled() => context.health.ending(),
    }
    context.let_go().await;
    Ok(())
}
