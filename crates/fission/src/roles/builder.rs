//! Has the source of packages built, in pods of their environments. One process at a time does; the others wait to take
//! over.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use fission_api::{Environment, Function, Package};
use fission_kubernetes::builder::{PodBuilder, Settings};
use fission_package::build::{Builds, Place};
use fission_rpc::cache::Cache;
use prometheus_client::registry::Registry;

use super::context::Context;

/// Builds at once. They run on the cluster's nodes; this process only listens to them.
const BUILDS: usize = 16;

/// The role.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("builder").await?;
    context.serve_health(Registry::default()).await?;
    let (packages, functions) = (Cache::<Package>::default(), Cache::<Function>::default());
    let environments = Cache::<Environment>::default();
    context.watch(&packages);
    context.watch(&functions);
    context.watch(&environments);
    let secret = context.secret(false).await?;
    let settings = Settings {
        options: context.pod_options(secret).await?,
        pull_policy: context.settings.builder_pull_policy.clone(),
        ready_timeout: context.settings.pod_ready_timeout,
    };
    let builder = PodBuilder::new(context.client.clone(), settings).context("no HTTP client can be made")?;
    // One that waits to take over is as ready as it can be: a new version must not wait for the old one to go first.
    context.health.ready();
    context.lead("fission-buildermgr").await?;
    context.background.spawn(builder.clone().tend(environments.clone(), context.namespaces.clone()));
    let builds = Builds { place: Place::Far(Arc::new(builder)), environments, at_once: BUILDS };
    let building = fission_package::controller::run(context.client.clone(), packages, functions, builds);
    tokio::select! {
        () = building => anyhow::bail!("nothing tells of packages any more"),
        // A build that runs is repeated by whoever takes over.
        () = context.shutdown.cancelled() => {}
    }
    context.let_go().await;
    Ok(())
}
