//! What is said to the fetcher, which runs beside an environment or a builder in every pod: as Fission's fetcher
//! understands it, with additions of ours, which it ignores.

use fission_api::{Archive, Checksum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// [`FetchRequest::fetch_type`] of a package's source.
pub const SOURCE: u8 = 0;
/// [`FetchRequest::fetch_type`] of what a package deploys.
pub const DEPLOYMENT: u8 = 1;
/// [`FetchRequest::fetch_type`] of a URL.
pub const URL: u8 = 2;

/// Body of `/fetch`: what to fetch into the shared directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FetchRequest {
    /// [`SOURCE`], [`DEPLOYMENT`] or [`URL`].
    pub fetch_type: u8,
    /// Name, namespace and resource version of the package.
    pub package: ObjectMeta,
    /// Where to fetch from, for [`URL`].
    pub url: String,
    /// The storage service. The fetcher asks the one it was started with, whatever this says: its key is for no other.
    pub storagesvcurl: String,
    /// The name it gets in the shared directory.
    pub filename: String,
    /// Whether a zip stays one file.
    pub keeparchive: bool,
    /// An addition: the archive itself, so that the package need not be read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

/// Body of `/upload`: what to store from the shared directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadRequest {
    /// Its name there.
    pub filename: String,
    /// The storage service; see [`FetchRequest::storagesvcurl`].
    pub storagesvcurl: String,
    /// Whether a folder becomes a zip archive.
    pub archivepackage: bool,
}

/// Answer to an [`UploadRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UploadResponse {
    /// Where it is kept.
    pub archive_download_url: String,
    /// The digest of it.
    pub checksum: Checksum,
    /// An addition: what was left out of it, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
