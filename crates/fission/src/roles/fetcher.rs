//! Runs beside the environment in each pod: fetches the code and has the environment load it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use fission_kubernetes::fetcher::{Fetcher, Places};
use fission_kubernetes::wire::SpecializeRequest;
use fission_package::fetch_service::FetchService;
use fission_package::source::PackageStore;
use fission_package::storage::RemoteStorage;
use fission_rpc::signed::Verifier;
use fission_rpc::signing::Key;

use super::context::{serve, until_told_to_end};
use crate::config::cluster::SidecarSettings;

/// Where it listens.
const PORT: u16 = 8000;
/// Largest request: an archive of 256 KiB as text, a function, and the same of a package.
const MAX_BODY: usize = 4 << 20;
/// The directory shared with a builder, which only builder pods have.
const PACKAGES: &str = "/packages";
/// Where Kubernetes reads why a container ended.
const LAST_WORDS: &str = "/dev/termination-log";
/// Flag: what to load at the start.
const SPECIALIZE: &str = "--specialize";

/// The role.
pub(super) async fn run() -> Result<()> {
    let (settings, shutdown) = (SidecarSettings::read()?, until_told_to_end()?);
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let at_start = match arguments.as_slice() {
        [] => None,
        [flag, request] if flag == SPECIALIZE => {
            Some(serde_json::from_str::<SpecializeRequest>(request).context("--specialize is no request")?)
        }
        other => anyhow::bail!("{other:?}: the fetcher takes {SPECIALIZE} REQUEST or nothing"),
    };
    let client = kube::Client::try_default().await.context("the cluster's API cannot be talked to")?;
    // A folder no other container of the pod sees: what is cached there is trusted.
    let cache = tempfile::Builder::new().prefix("fission-").tempdir().context("/tmp cannot be written to")?;
    let key = settings.storage_key.as_deref().map(Key::from_bytes);
    let storage = RemoteStorage::new(&settings.storage_url, key, Some(settings.namespace.clone()))
        .with_context(|| format!("FISSION_STORAGE_URL={}", settings.storage_url))?;
    let mut options = fission_package::source::Options::new(cache.path());
    options.images.insecure_registries = settings.insecure_registries;
    let code = PackageStore::new(options, storage.clone()).context("the folder of fetched code cannot be used")?;
    code.read_pull_secrets_with(client.clone());
    let packages = Path::new(PACKAGES);
    let is_beside_builder = packages.is_dir();
    let beside_builder = match is_beside_builder {
        true => FetchService::new(client.clone(), storage, packages)
            .with_context(|| format!("{PACKAGES} cannot be used"))?
            .http(),
        false => Router::new(),
    };
    let fetcher = Fetcher::new(client, Arc::new(code), Places::default()).context("no HTTP client can be made")?;

    let mut router = fetcher.http().merge(beside_builder);
    if !settings.fetcher_keys.is_empty() {
        let keys = settings.fetcher_keys.iter().map(|key| Key::from_bytes(key)).collect();
        router = Verifier::new(keys, MAX_BODY).protect(router);
    }
    let router = router.merge(fetcher.events());
    match at_start {
        None => {
            if !is_beside_builder {
                tokio::spawn(async move { fetcher.environment_listens().await });
            }
            serve(router, PORT, shutdown).await
        }
        Some(request) => {
            let serving = tokio::spawn(serve(router, PORT, shutdown));
            if let Err(failure) = fetcher.specialize(&request).await {
                // The executor reads it from the container's state and tells who called the function.
                let _ = std::fs::write(LAST_WORDS, &failure.message);
                anyhow::bail!("the function was not loaded: {}", failure.message);
            }
            serving.await?
        }
    }
}
