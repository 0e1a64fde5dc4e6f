//! Keeps archives, for everybody who can prove who they are, and deletes those no package refers to.

use anyhow::{Context as _, Result};
use fission_package::pruner::Pruner;
use fission_package::storage::{self, Storage};
use fission_rpc::signed::Verifier;
use fission_rpc::signing::STORAGE;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::context::{Context, serve};

/// Where it listens; its Service is on port 80.
const PORT: u16 = 8000;

/// The role.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("storage").await?;
    let settings = context.settings.clone();
    let (path, max_archive_bytes) = (&settings.storage_path, settings.max_archive_bytes);
    let storage = Storage::open(path, storage::Options { max_archive_bytes })
        .with_context(|| format!("STORAGE_PATH={}", path.display()))?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Kept(storage.clone())));
    context.serve_health(registry).await?;

    let secret = context.secret(false).await?;
    let max_body = usize::try_from(max_archive_bytes.saturating_add(storage::FORM_OVERHEAD_BYTES))?;
    let verifier = Verifier::new(secret.keys(STORAGE, None), max_body);
    let verifier = verifier.with_tenants(move |namespace| secret.keys(STORAGE, Some(namespace)));
    // Where one namespace has the pods of all others, its key says nothing about whose an archive is.
    let shared = settings.function_namespace.into_iter().chain(settings.builder_namespace).collect();
    let router = verifier.protect(storage::http_of_tenants(storage.clone(), shared));

    let pruner = Pruner::new(context.client.clone(), storage, Default::default());
    context.background.spawn(pruner.within(context.namespaces.clone()).run());
    context.health.ready();
    serve(router, PORT, context.shutdown.clone()).await
}

/// What is kept, counted when somebody asks.
#[derive(Debug)]
struct Kept(Storage);

impl Collector for Kept {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let usage = self.0.usage();
        for (name, help, value) in [
            ("fission_archives", "Archives that are kept", usage.archives),
            ("fission_archive_memory_bytes", "Bytes of the archives that are kept", usage.bytes),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
