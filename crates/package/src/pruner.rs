//! Deletes stored archives that no package refers to.
//!
//! Deleting code that is still needed is worse than keeping too much, so a pass does nothing if it cannot be sure what
//! is needed, and an archive goes only when two passes in a row found it unused: a client may upload long before it
//! writes the package.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use fission_api::Package;
use fission_rpc::namespaces::Namespaces;
use jiff::Timestamp;
use kube::api::{Api, ListParams};
use tokio::sync::watch;

use crate::source::archive_id;
use crate::storage::{self, Storage, StorageError};

/// When archives are pruned.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Time between passes.
    pub interval: Duration,
    /// Archives younger than this are never looked at.
    pub min_age: Duration,
}

impl Default for Options {
    /// Fission's numbers: a pass an hour, a minute of grace.
    fn default() -> Self {
        Self { interval: Duration::from_secs(3600), min_age: Duration::from_secs(60) }
    }
}

/// Why a pass deleted nothing.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The packages could not be listed.
    #[error("no archive was pruned: the packages could not be listed: {source}")]
    Packages {
        /// Why.
        #[from]
        source: Box<kube::Error>,
    },
    /// The archives could not be listed.
    #[error("no archive was pruned: {source}")]
    Archives {
        /// Why.
        #[from]
        source: StorageError,
    },
    /// A package has a URL that cannot be understood.
    #[error("no archive was pruned: package {package} has the URL {url:?}, which cannot be read: {why}")]
    Url {
        /// `namespace/name`.
        package: String,
        /// Its URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Prunes again and again.
pub struct Pruner {
    client: kube::Client,
    storage: Storage,
    options: Options,
    namespaces: Option<watch::Receiver<Namespaces>>,
    /// Namespaces with packages, now or before: one that is not looked at any more may still have its packages.
    seen: BTreeSet<String>,
    /// Unused archives of the last pass.
    suspects: HashSet<String>,
}

impl Pruner {
    /// A pruner that has not looked yet.
    pub fn new(client: kube::Client, storage: Storage, options: Options) -> Self {
        Self { client, storage, options, namespaces: None, seen: BTreeSet::new(), suspects: HashSet::new() }
    }

    /// Says where packages are; without it they are everywhere.
    pub fn within(self, namespaces: watch::Receiver<Namespaces>) -> Self {
        Self { namespaces: Some(namespaces), ..self }
    }

    /// Makes a pass every interval until dropped.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(self.options.interval).await;
            match self.pass().await {
                Ok(deleted) if deleted.is_empty() => {}
                Ok(deleted) => tracing::info!(archives = deleted.len(), "deleted archives no package refers to"),
                Err(error) => tracing::warn!(%error, "pruning put off to the next pass"),
            }
        }
    }

    /// One pass; returns the ids deleted. An archive that could not be deleted is tried again by the next pass.
    pub async fn pass(&mut self) -> Result<Vec<String>, PruneError> {
        // Archives first: whatever is stored after this is not looked at.
        let stored = self.storage.list().await?;
        let used = self.used().await?;
        let now = Timestamp::now();
        let old = |modified: Timestamp| now.duration_since(modified).unsigned_abs() >= self.options.min_age;
        let unused: HashSet<String> = stored
            .into_iter()
            .filter(|archive| archive.modified <= now && old(archive.modified) && !used.contains(&archive.id))
            .filter(|archive| self.looks_at_owner_of(&archive.id))
            .map(|archive| archive.id)
            .collect();
        let mut deleted = Vec::new();
        for id in unused.intersection(&self.suspects) {
            match self.storage.delete(id).await {
                Ok(()) => deleted.push(id.clone()),
                Err(error) => tracing::warn!(id, %error, "an unused archive could not be deleted"),
            }
        }
        self.suspects = unused;
        Ok(deleted)
    }

    /// Whether the packages an archive can belong to are among those that were listed.
    fn looks_at_owner_of(&self, id: &str) -> bool {
        let everywhere = self.seen.is_empty();
        storage::owner(id).is_none_or(|namespace| everywhere || self.seen.contains(namespace))
    }

    /// The ids packages refer to. Asks the API server and no cache: a cache may be behind.
    async fn used(&mut self) -> Result<HashSet<String>, PruneError> {
        let now = self.namespaces.as_ref().and_then(|now| now.borrow().names().cloned());
        let mut used = HashSet::new();
        match now {
            None => self.used_in(Api::all(self.client.clone()), &mut used).await?,
            Some(now) => {
                self.seen.extend(now);
                for namespace in &self.seen {
                    self.used_in(Api::namespaced(self.client.clone(), namespace), &mut used).await?;
                }
            }
        }
        Ok(used)
    }

    async fn used_in(&self, api: Api<Package>, used: &mut HashSet<String>) -> Result<(), PruneError> {
        const PAGE: u32 = 500;
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(Box::new)?;
            for package in &page.items {
                for archive in [&package.spec.source, &package.spec.deployment] {
                    if !archive.url.is_empty() {
                        used.extend(archive_id(&archive.url).map_err(|why| unreadable(package, &archive.url, why))?);
                    }
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
                None => return Ok(()),
            }
        }
    }
}

fn unreadable(package: &Package, url: &str, why: String) -> PruneError {
    let package = fission_rpc::cache::ObjectKey::of(package).to_string();
    PruneError::Url { package, url: url.to_owned(), why }
}

#[cfg(test)]
#[path = "pruner_tests.rs"]
mod tests;
