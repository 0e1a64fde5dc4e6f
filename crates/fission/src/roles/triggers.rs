//! `fission triggers`: what starts functions other than requests. No source of events is there yet; until then objects
//! that ask for one say so in their status.

use anyhow::Result;
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
    context.shutdown.cancelled().await;
    context.health.ending();
    context.let_go().await;
    Ok(())
}
