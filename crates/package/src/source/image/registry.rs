//! A registry, asked for one image with one package's credentials.
//!
//! What it answers is a stranger's. Its words are not passed on, only what they mean: a registry may be a name for
//! something else that has something to tell.

use std::fs::File;
use std::io;

use fission_rpc::causes;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::super::{Failure, download, local};
use super::credentials::Credentials;
use super::{Image, ImageOptions, host_of};

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// See the module.
pub(super) struct Registry<'a> {
    options: &'a ImageOptions,
    image: &'a Image,
    credentials: Credentials,
    /// Made for one pull: it keeps the credentials it was first shown for all that follows.
    client: Client,
}

/// What an image consists of.
pub(super) struct Manifest {
    /// The digest it was asked for by, or would have been.
    pub(super) digest: String,
    layers: Vec<OciDescriptor>,
}

impl<'a> Registry<'a> {
    pub(super) async fn open(
        options: &'a ImageOptions,
        image: &'a Image,
        credentials: Credentials,
    ) -> Result<Self, Failure> {
        let registry = image.registry();
        let plain = options.is_plain(registry);
        if !plain {
            download::check_host(host_of(registry)).await.map_err(Failure::Unusable)?;
        }
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(options.idle),
            read_timeout: Some(options.idle),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config)
            .map_err(|error| Failure::Unreachable(format!("no HTTP client could be made: {}", causes(&error))))?;
        Ok(Self { options, image, credentials, client })
    }

    /// The image's manifest: of the image it is pinned to, if it is.
    pub(super) async fn manifest(&self) -> Result<Manifest, Failure> {
        let asked = self.client.pull_image_manifest_and_list_digest(&self.image.reference, &self.credentials.auth);
        let (manifest, digest, index) = asked.await.map_err(|error| self.failure(&error))?;
        let refuse = |why: String| Err(Failure::Unusable(format!("its image {} {why}", self.image)));
        let (count, most) = (manifest.layers.len(), self.options.layers);
        if count > most {
            return refuse(format!("has {count} layers, over the limit layers = {most}"));
        }
        let mut bytes = 0u64;
        for layer in &manifest.layers {
            if !layer.media_type.contains(".tar") {
                return refuse(format!("has a layer of the type {:?}, which holds no files", layer.media_type));
            }
            // It would be got from wherever the manifest says.
            if layer.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
                return refuse("has a layer that is kept outside the registry".to_owned());
            }
            bytes = bytes.saturating_add(u64::try_from(layer.size).unwrap_or(u64::MAX));
        }
        let most = self.options.packed_bytes;
        if bytes > most {
            return refuse(format!("has {bytes} bytes, over the limit packed_bytes = {most}"));
        }
        Ok(Manifest { digest: index.unwrap_or(digest), layers: manifest.layers })
    }

    /// The layers in files, the lowest first; each has the digest the manifest says.
    pub(super) async fn layers(
        &self,
        manifest: &Manifest,
        scratch: impl Fn() -> io::Result<File>,
    ) -> Result<Vec<File>, Failure> {
        let files: Vec<(&OciDescriptor, File)> = manifest
            .layers
            .iter()
            .map(|layer| Ok((layer, scratch().map_err(|error| local("written", &error))?)))
            .collect::<Result<_, Failure>>()?;
        let pulls: Vec<_> = files.into_iter().map(|(layer, file)| self.layer(layer, file)).collect();
        stream::iter(pulls).buffered(self.options.parallel_layers).try_collect().await
    }

    async fn layer(&self, layer: &OciDescriptor, file: File) -> Result<File, Failure> {
        let asked = self.client.pull_blob_stream(&self.image.reference, layer).await;
        let mut pieces = asked.map_err(|error| self.failure(&error))?.stream;
        let unwritten = |error: io::Error| local("written", &error);
        let mut file = BufWriter::with_capacity(WRITE_BYTES, tokio::fs::File::from_std(file));
        let mut size = 0u64;
        while let Some(piece) = pieces.try_next().await.map_err(|error| self.broken_off(&error))? {
            size += piece.len() as u64;
            // The manifest's sizes are what the limit was asked about.
            if i128::from(size) > i128::from(layer.size) {
                let why = format!("its image {} has a layer larger than its manifest says", self.image);
                return Err(Failure::Unusable(why));
            }
            file.write_all(&piece).await.map_err(unwritten)?;
        }
        file.flush().await.map_err(unwritten)?;
        Ok(file.into_inner().into_std().await)
    }

    fn broken_off(&self, error: &io::Error) -> Failure {
        if error.get_ref().is_some_and(|inner| inner.is::<DigestError>()) {
            return self.wrong_digest("a layer of it");
        }
        Failure::Unreachable(format!("a layer of its image {} broke off: {}", self.image, causes(error)))
    }

    fn wrong_digest(&self, what: &str) -> Failure {
        let registry = self.image.registry();
        let why = format!(
            "its image {} is refused: {what} that {registry} gives has not the digest that was asked for",
            self.image
        );
        Failure::Unusable(why)
    }

    /// What an error means for the package.
    fn failure(&self, error: &OciDistributionError) -> Failure {
        let (image, registry) = (self.image, self.image.registry());
        let refused = || {
            let why = format!("{registry} does not give its image {image} {}", self.credentials.told);
            Failure::Unusable(why)
        };
        let missing = || Failure::Unusable(format!("its image {image} is not in the registry {registry}"));
        let busy = |what: &str| Failure::Unreachable(format!("{registry} {what} when asked for its image {image}"));
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                refused()
            }
            OciDistributionError::ServerError { code: 401 | 403, .. } => refused(),
            OciDistributionError::ServerError { code: 404, .. } => missing(),
            OciDistributionError::ServerError { code, .. } => busy(&format!("answered {code}")),
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|one| &one.code) {
                    Some(OciErrorCode::Denied | OciErrorCode::Unauthorized) => refused(),
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                        | OciErrorCode::BlobUnknown
                        | OciErrorCode::ManifestBlobUnknown,
                    ) => missing(),
                    _ => busy("answered with an error"),
                }
            }
            OciDistributionError::RequestError(error) => Failure::Unreachable(format!(
                "its image {image} could not be pulled: {}",
                crate::receive::causes(error)
            )),
            OciDistributionError::DigestError(_) => self.wrong_digest("what"),
            OciDistributionError::ImageManifestNotFoundError(_) => Failure::Unusable(format!(
                "its image {image} has nothing for {}/{}; build it for this platform",
                std::env::consts::OS,
                std::env::consts::ARCH
            )),
            OciDistributionError::UnsupportedMediaTypeError(_)
            | OciDistributionError::UnsupportedSchemaVersionError(_)
            | OciDistributionError::ManifestParsingError(_)
            | OciDistributionError::VersionedParsingError(_) => {
                Failure::Unusable(format!("{registry} has no image manifest at {image}"))
            }
            // Which of the others it is is for whoever runs the platform.
            other => {
                tracing::warn!(%image, error = %other, "an image could not be pulled");
                busy("gave no answer that makes sense")
            }
        }
    }
}
