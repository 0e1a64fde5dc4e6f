//! Makes and ends the pods of functions. One process at a time does; the others wait to take over.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use fission_api::Package;
use fission_executor::{Declarations, PoolManager};
use fission_kubernetes::backend::KubernetesBackend;
use fission_kubernetes::scaled::ScaledFunctions;
use fission_rpc::code::{Code, CodeError, CodeSource};
use fission_rpc::endpoint::Index;
use fission_rpc::signed::Verifier;
use fission_rpc::signing;
use prometheus_client::registry::Registry;

use super::context::{Context, serve};

/// Where routers ask; the Service is on port 80.
const PORT: u16 = 8888;
/// Largest question of a router: a function, and what it has in flight.
const MAX_BODY: usize = 8 << 20;
/// Most instances of all functions together. A cluster limits them by its quotas and nodes, and says so.
const MAX_INSTANCES: usize = 20_000;
/// Pods being made or loaded at once: the work is the nodes', so more than on one machine.
const SPECIALIZATIONS: usize = 128;

/// The role.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("executor").await?;
    let declared = Declarations::default();
    context.watch(&declared.functions);
    context.watch(&declared.environments);
    context.watch(&declared.packages);
    context.watch(&declared.secrets);
    context.watch(&declared.config_maps);
    let secret = context.secret(true).await?;
    let pod_options = context.pod_options(secret.clone()).await?;
    let backend = KubernetesBackend::new(
        context.client.clone(),
        pod_options.clone(),
        declared.environments.clone(),
        declared.functions.clone(),
    );
    let backend = backend.context("no HTTP client can be made")?;
    let scaled = ScaledFunctions::new(context.client.clone(), pod_options, declared.clone());
    let options = fission_executor::Options {
        reap_interval: context.settings.reap_interval,
        create_timeout: context.settings.pod_ready_timeout,
        max_instances: MAX_INSTANCES,
        specializations: SPECIALIZATIONS,
        scaled_elsewhere: true,
        provisioned: context.settings.provisioned.enabled,
        provisioned_per_function: context.settings.provisioned.per_function,
        ..fission_executor::Options::default()
    };
    let index = Arc::new(Index::default());
    let pools = PoolManager::new(options, Arc::new(backend.clone()), declared.clone(), index, Arc::new(CodeInPods));
    let mut registry = Registry::default();
    pools.register_metrics(&mut registry);
    context.serve_health(registry).await?;
    tokio::select! {
        () = known(&declared) => {}
        () = context.shutdown.cancelled() => return Ok(()),
    }

    context.lead("fission-executor").await?;
    context.background.spawn(backend.clone().run(context.pod_namespaces()));
    context.background.spawn(scaled.clone().run(context.pod_namespaces()));
    backend.synced().await;
    pools.adopt().await;
    let running = tokio::spawn(pools.clone().run(context.shutdown.clone()));
    context.background.spawn(pools.clone().report_conditions(context.client.clone()));
    context.health.ready();
    let verifier = Verifier::new(secret.keys(signing::EXECUTOR, None), MAX_BODY);
    let asked = fission_executor::http::http(pools, Arc::new(scaled));
    serve(verifier.protect(asked).merge(context.health.http()), PORT, context.shutdown.clone()).await?;
    running.await?;
    context.let_go().await;
    Ok(())
}

async fn known(declared: &Declarations) {
    tokio::join!(
        declared.functions.synced(),
        declared.environments.synced(),
        declared.packages.synced(),
        declared.secrets.synced(),
        declared.config_maps.synced(),
    );
}

/// Pods fetch their code themselves.
struct CodeInPods;

#[async_trait]
impl CodeSource for CodeInPods {
    async fn code(&self, _: &Package, _: bool) -> Result<Code, CodeError> {
        Ok(Code { path: std::path::PathBuf::new(), digest: String::new() })
    }
}
