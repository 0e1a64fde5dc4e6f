//! `Package`: source or deployable code, and the state of its build.

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::function::EnvironmentReference;
use crate::wire::{is_default, null_default};

/// What a user declares of a package.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "Package",
    doc = "Source or deployable code, and the state of its build.",
    plural = "packages",
    shortname = "pkg",
    namespaced,
    status = "PackageStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["environment"]))]
pub struct PackageSpec {
    /// Whose builder builds it and whose instances run it.
    #[serde(default, deserialize_with = "null_default")]
    pub environment: EnvironmentReference,
    /// Input of the builder.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub source: Archive,
    /// What instances are given.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub deployment: Archive,
    /// Overrides the environment's build command.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub buildcmd: String,
}

/// Code, inline or by reference. Which payload is set decides, not `type`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Archive {
    /// Informational: empty, `literal`, `url` or `oci`.
    #[serde(rename = "type", default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "literal", "url", "oci"]))]
    pub kind: String,
    /// The bytes themselves, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "byte"))]
    pub literal: Option<ByteString>,
    /// Where to download it from.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Checked after download.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub checksum: Checksum,
    /// An image that holds the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciArchive>,
}

/// An image that holds code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciArchive {
    /// The image, optionally pinned with `@sha256:...`.
    #[schemars(length(min = 1))]
    pub image: String,
    /// Pins the image; not together with a digest in `image`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: String,
    /// Directory inside the image; the root when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// Secrets to pull the image with.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<PullSecret>,
}

/// A pull secret by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullSecret {
    /// The secret, in the package's namespace.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
}

/// Digest of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checksum {
    /// Empty or `sha256`.
    #[serde(rename = "type", default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Lower-case hex digest.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub sum: String,
}

/// Where the build of a package stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildStatus {
    /// Not looked at yet.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// Waiting for a builder.
    Pending,
    /// Being built.
    Running,
    /// Built.
    Succeeded,
    /// Not built; the log says why.
    Failed,
    /// Nothing to build.
    None,
}

/// What the platform says of a package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageStatus {
    /// Where the build stands.
    #[serde(rename = "buildstatus", default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub build_status: BuildStatus,
    /// Output of the builder.
    #[serde(rename = "buildlog", default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub build_log: String,
    /// Digest of what the build depends on.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
    /// When the build status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_timestamp: Option<Time>,
    /// `BuildSucceeded` and `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl Archive {
    /// Whether no payload is set.
    pub fn is_empty(&self) -> bool {
        self.literal.as_ref().is_none_or(|bytes| bytes.0.is_empty()) && self.url.is_empty() && self.oci.is_none()
    }
}
