//! Takes requests to functions. Any number of routers run beside each other and know nothing of one another; one of them
//! writes what they all decided into the status of routes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fission_api::{Function, HTTPTrigger};
use fission_kubernetes::slices::SliceIndex;
use fission_router::{BuildInfo, RemoteExecutor, Router, Sources};
use fission_rpc::cache::Cache;
use fission_rpc::endpoint::Index;
use fission_rpc::signing;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::{Context, listen};
use crate::status_page::version;

/// Where triggers are served.
const PUBLIC_PORT: u16 = 8888;
/// Where functions are served by name.
const INTERNAL_PORT: u16 = 8889;

/// How long clients are asked to go elsewhere before idle connections are closed: as long as busy ones need to hear it.
const LEAVING: Duration = Duration::from_secs(3);

/// The role.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("router").await?;
    let functions = Cache::<Function>::trimmed(|function| function.status = None);
    // Nothing of a route hangs on these; its status is compared before it is written.
    let triggers = Cache::<HTTPTrigger>::trimmed(|trigger| {
        trigger.metadata.labels = None;
        trigger.metadata.annotations = None;
    });
    context.watch(&functions);
    context.watch(&triggers);
    let sockets = (listen(PUBLIC_PORT).await?, listen(INTERNAL_PORT).await?);

    let (router, executor, slices) = {
        let index = Arc::new(Index::default());
        let secret = context.secret(false).await?;
        let url = format!("http://executor.{}", context.settings.install_namespace);
        let executor = RemoteExecutor::new(url, secret.key(signing::EXECUTOR, None), index.clone());
        let executor = Arc::new(executor.context("no HTTP client can be made")?);
        let options = fission_router::Options {
            drain_timeout: context.settings.graceful_shutdown,
            ..fission_router::Options::default()
        };
        let sources = Sources { functions: functions.clone(), triggers: triggers.clone() };
        let keys = secret.keys(signing::ROUTER_INTERNAL, None);
        let build = BuildInfo { version: version().to_owned(), ..BuildInfo::default() };
        let router = Router::new(options, sources, index.clone(), executor.clone(), keys, build);
        (router, executor, SliceIndex::new(index, functions.clone()))
    };
    let mut registry = Registry::default();
    router.metrics(&mut registry);
    context.serve_health(registry).await?;

    let listed = slices.synced();
    context.background.spawn(slices.run(context.client.clone(), context.pod_namespaces()));
    context.background.spawn(executor.report_activity());
    context.background.spawn(router.clone().follow());
    context.background.spawn(report_conditions(&context, router.clone()));
    tokio::select! {
        _ = async { tokio::join!(functions.synced(), triggers.synced(), listed) } => {}
        () = context.shutdown.cancelled() => return Ok(()),
    }
    serve(context, router, sockets).await
}

/// Serves until told to end; then goes on for the time it takes others to hear of it, and drains.
async fn serve(context: Context, router: Arc<Router>, (public, internal): (TcpListener, TcpListener)) -> Result<()> {
    let routing = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(router.clone().serve_public(public, routing.clone()));
    serving.spawn(router.clone().serve_internal(internal, routing.clone()));
    context.health.ready();
    context.shutdown.cancelled().await;
    context.health.ending();
    router.leave();
    tokio::time::sleep(context.settings.shutdown_delay.max(LEAVING)).await;
    routing.cancel();
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// One router writes the status of routes; when it is gone another one does.
fn report_conditions(context: &Context, router: Arc<Router>) -> impl Future<Output = ()> + Send + use<> {
    let election = context.election("fission-router-status");
    let (client, shutdown) = (context.client.clone(), context.shutdown.clone());
    async move {
        while !shutdown.is_cancelled() {
            election.win().await;
            tokio::select! {
                _ = election.hold(&shutdown) => {}
                () = router.clone().report_conditions(client.clone()) => {}
            }
        }
    }
}
