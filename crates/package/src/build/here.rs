//! Builds on this machine: the source from the code cache, the result packed and stored.

use std::sync::Arc;

use fission_api::{Archive, Checksum, Environment, Package};
use fission_rpc::build::{Artifact, BuildJob, Builder};
use fission_rpc::code::CodeSource;

use super::log::Log;
use super::report::Report;
use super::{Order, Stop, pack, streaming};
use crate::source::PackageStore;
use crate::storage::{Archives, StorageError};

/// What builds on this machine need.
pub struct Here {
    /// Runs them.
    pub builder: Arc<dyn Builder>,
    /// Where source comes from.
    pub code: PackageStore,
    /// Where results are kept.
    pub storage: Archives,
}

impl Here {
    /// Builds, stores and unpacks the result.
    pub(super) async fn build(
        &self,
        report: &Report,
        order: &Order,
        package: Package,
        environment: Arc<Environment>,
        command: Vec<String>,
        log: &Log,
    ) -> Result<Archive, Stop> {
        let source = self.code.source(&package).await.map_err(|error| Stop::Failed(error.to_string()))?;
        let keep_archive = environment.spec.keeparchive;
        let job = BuildJob { package: order.key.to_string(), environment, command, source: source.path };
        let artifact = streaming(report, log, self.builder.build(job, log)).await??;
        let archive = streaming(report, log, self.store(artifact, log)).await??;
        // Unpacked now: what could not be loaded is not deployed, and the first request finds it ready.
        let mut wanted = package;
        wanted.spec.source = Archive::default();
        wanted.spec.deployment = archive.clone();
        wanted.metadata.resource_version = None;
        let ready = self.code.code(&wanted, keep_archive).await;
        ready.map_err(|error| Stop::Failed(format!("what was built cannot be deployed: {error}")))?;
        Ok(archive)
    }

    /// Packs what was built and puts it into the storage.
    async fn store(&self, artifact: Artifact, log: &Log) -> Result<Archive, Stop> {
        let limits = self.code.unpack_limits();
        let interrupted =
            |error: &dyn std::fmt::Display| Stop::Interrupted(format!("the result could not be stored: {error}"));
        let file = self.code.scratch().map_err(|error| interrupted(&error))?;
        let packing = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let notes = pack::pack(&artifact.path, &mut file, &limits)?;
            Ok::<_, pack::PackError>((file, notes))
        });
        let (file, notes) = match packing.await.map_err(|error| interrupted(&error))? {
            Ok(packed) => packed,
            Err(pack::PackError::Io(error)) => return Err(interrupted(&error)),
            Err(error) => return Err(Stop::Failed(error.to_string())),
        };
        notes.iter().for_each(|note| log.say(note));
        let stored = self.storage.put_file(file).await;
        let (id, sum) = stored.map_err(|error| match error {
            error @ (StorageError::TooLarge { .. } | StorageError::Refused { .. }) => Stop::Failed(error.to_string()),
            error => interrupted(&error),
        })?;
        Ok(stored_as(&id, sum))
    }
}

/// A stored archive as a package names it.
pub(crate) fn stored_as(id: &str, sum: String) -> Archive {
    let checksum = Checksum { kind: "sha256".to_owned(), sum };
    Archive { kind: "url".to_owned(), url: crate::storage::url_of(id), checksum, ..Archive::default() }
}
