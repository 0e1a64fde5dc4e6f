//! Code on its way to an instance.

use std::path::PathBuf;

use async_trait::async_trait;
use fission_api::Package;

/// Code of a package, unpacked on this machine. Content-addressed and never written again; many instances share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// A file, or a directory when the archive was a zip that was unpacked.
    pub path: PathBuf,
    /// Lower-case hex sha256 of the archive.
    pub digest: String,
}

/// Why code could not be had. The text is for the user.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The package cannot be deployed as it is: not built, empty, damaged, checksum wrong, unsafe archive.
    #[error("package {package} cannot be loaded: {why}")]
    Unusable {
        /// `namespace/name`.
        package: String,
        /// What is wrong with it.
        why: String,
    },
    /// The place it is kept could not be read; trying again may help.
    #[error("package {package} could not be fetched: {why}")]
    Unreachable {
        /// `namespace/name`.
        package: String,
        /// What failed.
        why: String,
    },
}

/// Gives the code of packages.
#[async_trait]
pub trait CodeSource: Send + Sync + 'static {
    /// The deployable code of a package, fetched, checked and unpacked. `keep_archive` leaves a zip as one file.
    /// Calls for the same content coalesce.
    async fn code(&self, package: &Package, keep_archive: bool) -> Result<Code, CodeError>;
}
