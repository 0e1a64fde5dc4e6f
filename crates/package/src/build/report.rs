//! Writes how a build stands into the status of its package, as long as the package is still the one that is built.

use fission_api::{Archive, BuildStatus, Package};
use fission_rpc::cache::ObjectKey;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::status;

/// Times a write is repeated because someone else wrote at the same moment.
const CONFLICT_ATTEMPTS: usize = 8;

/// One package while one content of it is built.
pub(super) struct Report {
    api: Api<Package>,
    name: String,
    uid: Option<String>,
    hash: String,
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The package is gone or has another content by now; nobody wants the build.
    Outdated,
    /// The API server did not take it.
    Api(kube::Error),
}

impl From<kube::Error> for Unwritten {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

impl Report {
    pub(super) fn new(client: kube::Client, key: &ObjectKey, uid: Option<String>, hash: &str) -> Self {
        let api = Api::namespaced(client, &key.namespace);
        Self { api, name: key.name.clone(), uid, hash: hash.to_owned() }
    }

    /// The package as it is now.
    pub(super) async fn current(&self) -> Result<Package, Unwritten> {
        let package = self.api.get_opt(&self.name).await?.ok_or(Unwritten::Outdated)?;
        let same = package.metadata.uid == self.uid
            && package.metadata.deletion_timestamp.is_none()
            && status::content_hash(&package.spec) == self.hash;
        if same { Ok(package) } else { Err(Unwritten::Outdated) }
    }

    /// Says where the build stands. `message`: of its conditions, where it is not good.
    pub(super) async fn stands(&self, build: BuildStatus, message: &str, log: &str) -> Result<Package, Unwritten> {
        self.write(true, |package| {
            let status = status::with_build(package, &self.hash, build, message, log);
            let mut wanted = json!(status);
            // An empty log is left out of the object, and what is left out of a merge patch stays as it was.
            wanted["buildlog"] = json!(log);
            json!({ "status": wanted })
        })
        .await
    }

    /// Gives the log so far.
    pub(super) async fn log(&self, log: &str) -> Result<Package, Unwritten> {
        self.write(true, |_| json!({ "status": { "buildlog": log } })).await
    }

    /// Makes an archive what the package deploys.
    pub(super) async fn deploy(&self, archive: &Archive) -> Result<Package, Unwritten> {
        self.write(false, |_| {
            let mut deployment = json!(archive);
            // A merge patch keeps what it does not name, and a package has one payload.
            for field in ["literal", "oci"] {
                deployment[field] = Value::Null;
            }
            json!({ "spec": { "deployment": deployment } })
        })
        .await
    }

    async fn write(&self, status: bool, patch: impl Fn(&Package) -> Value) -> Result<Package, Unwritten> {
        for attempt in 1.. {
            let current = self.current().await?;
            let mut patch = patch(&current);
            patch["metadata"] = json!({ "resourceVersion": current.metadata.resource_version });
            let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
            let written = match status {
                true => self.api.patch_status(&self.name, &params, &patch).await,
                false => self.api.patch(&self.name, &params, &patch).await,
            };
            match written {
                Ok(package) => return Ok(package),
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(Unwritten::Outdated),
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < CONFLICT_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Outdated)
    }
}
