//! The master secret of internal requests, kept in a Secret of the platform's namespace.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use fission_kubernetes::options::InternalSecret;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::config::cluster::ClusterSettings;

/// Bytes of a secret that is made here.
const BYTES: usize = 32;
/// Pause between two looks for a secret somebody else makes.
const PAUSE: Duration = Duration::from_secs(1);

/// The master secret: from the settings, else from the Secret. Where there is none it is made, or waited for.
pub(super) async fn read(
    settings: &ClusterSettings,
    client: &Client,
    make: bool,
    shutdown: &CancellationToken,
) -> Result<InternalSecret> {
    if let Some(current) = &settings.secret {
        let old = settings.old_secret.as_ref().map(|old| old.clone().into_bytes());
        return Ok(InternalSecret { current: current.clone().into_bytes(), old });
    }
    let (name, namespace) = (&settings.secret_name, &settings.install_namespace);
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut told = false;
    loop {
        match api.get_opt(name).await {
            Ok(Some(found)) => return of(&found).with_context(|| format!("Secret {namespace}/{name}")),
            Ok(None) if make => create(&api, name).await?,
            Ok(None) if !told => {
                told = true;
                tracing::info!(secret = %name, namespace = %namespace, "waiting for the secret, which the executor makes");
            }
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                bail!("Secret {namespace}/{name} cannot be read: {}", status.message)
            }
            Err(error) => tracing::warn!(%error, "the cluster's API does not answer; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.cancelled() => bail!("told to end while waiting for Secret {namespace}/{name}"),
        }
    }
}

fn of(secret: &Secret) -> Result<InternalSecret> {
    let key = |name: &str| secret.data.as_ref().and_then(|data| data.get(name)).map(|ByteString(bytes)| bytes.clone());
    let Some(current) = key("secret") else { bail!("has no key \"secret\"") };
    if current.trim_ascii().is_empty() {
        bail!("key \"secret\" is empty: requests between components would be open to everyone");
    }
    Ok(InternalSecret { current, old: key("oldSecret").filter(|old| !old.is_empty()) })
}

async fn create(api: &Api<Secret>, name: &str) -> Result<()> {
    // As text, so that it can be pasted into a variable.
    let secret = base64::prelude::BASE64_STANDARD.encode(rand::random::<[u8; BYTES]>());
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let data = Some([("secret".to_owned(), ByteString(secret.into_bytes()))].into());
    match api.create(&PostParams::default(), &Secret { metadata, data, ..Secret::default() }).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("Secret {name} cannot be made")),
    }
}
