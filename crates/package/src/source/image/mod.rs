//! Code in OCI images: pulled from a registry, checked by digest, flattened into one folder.
//!
//! * `reference`: which image a package names, and where it is kept in the cache.
//! * `credentials`: what a registry is shown, from the pull secrets a package names.
//! * `registry`: manifest and layers, over the network.
//! * `flatten`: layers into a folder; `entry`: one entry of a layer.
//!
//! Nothing is written below a name that is used before the manifest had the digest that was asked for; nothing of one
//! package's credentials is kept for the next.

mod credentials;
mod entry;
mod flatten;
mod reference;
mod registry;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Failure;
use crate::archive::UnpackLimits;
pub(super) use reference::Image;

/// Where images come from, and their limits.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// Registries that are asked over plain HTTP, as `host` or `host:port`. Those on this machine's loopback always are;
    /// all others are asked over HTTPS.
    pub insecure_registries: Vec<String>,
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of all layers together, as they are stored in the registry.
    pub packed_bytes: u64,
    /// Bytes of all layers together once they are decompressed, what is not taken included.
    pub read_bytes: u64,
    /// Time for one pull. Longer than a request waits: the pull goes on, and the next request finds it done.
    pub total: Duration,
    /// Time to connect, and longest silence of the registry.
    pub idle: Duration,
    /// Pulls at the same time.
    pub parallel: usize,
    /// Layers of one image pulled at the same time.
    pub parallel_layers: usize,
}

impl Default for ImageOptions {
    /// As many layers as an image can have; as large as what is taken of one may be (2 GiB, [`UnpackLimits`]).
    fn default() -> Self {
        Self {
            insecure_registries: Vec::new(),
            layers: 127,
            packed_bytes: 2 << 30,
            read_bytes: 8 << 30,
            total: Duration::from_secs(300),
            idle: Duration::from_secs(20),
            parallel: 4,
            parallel_layers: 3,
        }
    }
}

/// Pulls images.
pub(super) struct Images {
    options: ImageOptions,
    /// Reads pull secrets.
    client: OnceLock<kube::Client>,
    slots: Semaphore,
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").field("options", &self.options).finish_non_exhaustive()
    }
}

/// An image that was pulled.
pub(super) struct Pulled {
    /// Its digest: that of the index where it is one for several platforms.
    pub(super) digest: String,
    /// Its layers, the lowest first.
    pub(super) layers: Vec<File>,
}

impl Images {
    pub(super) fn new(options: ImageOptions) -> Self {
        Self { slots: Semaphore::new(options.parallel), options, client: OnceLock::new() }
    }

    /// Reads pull secrets through this client. The first one counts.
    pub(super) fn read_secrets_with(&self, client: kube::Client) {
        // A second one reads the same secrets.
        let _ = self.client.set(client);
    }

    /// The digest and layers of an image. `has`: whether the image with this digest need not be pulled; it then has no
    /// layers. `scratch` gives files for layers.
    pub(super) async fn pull(
        &self,
        image: &Image,
        namespace: &str,
        has: impl Fn(&str) -> bool,
        scratch: impl Fn() -> io::Result<File>,
    ) -> Result<Pulled, Failure> {
        let limit = self.options.total;
        let all = async {
            let _slot = self.slots.acquire().await.map_err(|error| Failure::Unreachable(error.to_string()))?;
            let credentials = credentials::find(self.client.get(), namespace, image).await?;
            let registry = registry::Registry::open(&self.options, image, credentials).await?;
            let manifest = registry.manifest().await?;
            let layers = match has(&manifest.digest) {
                true => Vec::new(),
                false => registry.layers(&manifest, scratch).await?,
            };
            Ok(Pulled { digest: manifest.digest, layers })
        };
        let late = |_| Failure::Unreachable(format!("its image {image} was not pulled within {} s", limit.as_secs()));
        tokio::time::timeout(limit, all).await.map_err(late)?
    }

    /// Writes what an image holds into an empty folder. Blocking.
    pub(super) fn flatten(
        &self,
        image: &Image,
        layers: Vec<File>,
        folder: &Path,
        limits: &UnpackLimits,
    ) -> Result<(), Failure> {
        flatten::flatten(image, layers, folder, limits, self.options.read_bytes)
    }
}

impl ImageOptions {
    /// Whether a registry, given as `host` or `host:port`, is asked over plain HTTP.
    fn is_plain(&self, registry: &str) -> bool {
        let host = host_of(registry);
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        here || self.insecure_registries.iter().any(|allowed| allowed == registry || allowed == host)
    }
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(registry: &str) -> &str {
    if let Some((host, _)) = registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    registry.split_once(':').map_or(registry, |(host, _)| host)
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
