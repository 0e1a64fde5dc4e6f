//! Which image a package names.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use fission_api::OciArchive;
use oci_client::Reference;

use super::super::{Failure, hex};

/// An image as a package names it.
#[derive(Clone, Debug)]
pub(in crate::source) struct Image {
    pub(super) reference: Reference,
    /// The folder of it that is taken; the root when empty.
    pub(super) folder: PathBuf,
    /// Names of the secrets it is pulled with.
    pub(super) secrets: Vec<String>,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

impl Image {
    pub(in crate::source) fn of(archive: &OciArchive) -> Result<Self, Failure> {
        let text = match archive.digest.as_str() {
            "" => archive.image.clone(),
            digest => format!("{}@{digest}", archive.image),
        };
        let reference = text.parse::<Reference>().map_err(|error| {
            Failure::Unusable(format!("its image {text:?} is no name of one ({error}); write registry/name:tag"))
        })?;
        let mut folder = PathBuf::new();
        for part in Path::new(&archive.sub_path).components() {
            match part {
                Component::Normal(part) => folder.push(part),
                Component::CurDir => {}
                _ => {
                    let why = format!("its subPath {:?} is no path inside an image", archive.sub_path);
                    return Err(Failure::Unusable(why));
                }
            }
        }
        let names = archive.image_pull_secrets.iter().map(|secret| secret.name.clone());
        Ok(Self { reference, folder, secrets: names.filter(|name| !name.is_empty()).collect() })
    }

    /// `host` or `host:port` of its registry.
    pub(super) fn registry(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// The digest it is pinned to.
    pub(in crate::source) fn pinned(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// Names what is taken of the image with this digest, in the cache: other folders of an image are other code, and no
    /// archive has this sha256.
    pub(in crate::source) fn key(&self, image_digest: &str) -> String {
        let what = format!("image {image_digest}\n{}", self.folder.display());
        hex(digest(&SHA256, what.as_bytes()).as_ref())
    }
}
