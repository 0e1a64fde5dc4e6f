//! Builds in pods: one Deployment for each environment with a builder image, made when a build needs it, gone with the
//! environment, and without a pod while nobody builds.
//!
//! A build talks to one pod by its address from its beginning to its end: the fetcher gets the source, the builder
//! builds, the fetcher stores the result. What it left there is removed whatever happens.

mod pod;
mod ready;
mod talk;
mod tend;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{Archive, Environment};
use fission_rpc::build::{BuildError, BuildLog, FarBuilder, FarJob};
use fission_rpc::fetch::{FetchRequest, SOURCE, UploadRequest};
use fission_rpc::signing;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use tokio::time::Instant;

use crate::names::{name, uid};
use crate::options::Options;
use crate::template::FETCHER_PORT;
use pod::BUILDER_PORT;
use talk::{Place, Talk};

/// Bytes of a package's name in the names of its files.
const NAME_BYTES: usize = 200;

/// What builder pods are made with, and how long they may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What all pods are made with.
    pub options: Options,
    /// When builder images are pulled.
    pub pull_policy: String,
    /// Longest time until a builder's pod is ready.
    pub ready_timeout: Duration,
}

/// Runs builds in pods. Cheap to clone.
#[derive(Clone)]
pub struct PodBuilder {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    settings: Settings,
    http: reqwest::Client,
    /// Builders in use or used a while ago, by the uid of their environment.
    uses: Mutex<HashMap<String, Use>>,
}

/// What a builder does.
struct Use {
    builds: usize,
    last: Instant,
}

impl PodBuilder {
    /// A builder that has made nothing yet.
    pub fn new(client: Client, settings: Settings) -> Result<Self, reqwest::Error> {
        let shared = Shared { client, settings, http: talk::client()?, uses: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn uses(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a builder is in use, until what is given is dropped.
    fn in_use(self: &Arc<Self>, environment: &Environment) -> InUse {
        let uid = uid(environment).to_owned();
        self.uses().entry(uid.clone()).or_insert(Use { builds: 0, last: Instant::now() }).builds += 1;
        InUse { shared: self.clone(), uid }
    }

    fn talk(&self, address: IpAddr, namespace: &str) -> Talk {
        let secret = &self.settings.options.secret;
        let place = |port, service| Place {
            address: SocketAddr::new(address, port),
            key: secret.key(service, Some(namespace)),
        };
        Talk {
            http: self.http.clone(),
            fetcher: place(FETCHER_PORT, signing::FETCHER),
            builder: place(BUILDER_PORT, signing::BUILDER),
        }
    }
}

/// One build's use of a builder.
struct InUse {
    shared: Arc<Shared>,
    uid: String,
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(used) = self.shared.uses().get_mut(&self.uid) {
            used.builds -= 1;
            used.last = Instant::now();
        }
    }
}

#[async_trait]
impl FarBuilder for PodBuilder {
    async fn build(&self, job: FarJob, log: &dyn BuildLog) -> Result<Archive, BuildError> {
        let (shared, environment) = (&self.shared, &job.environment);
        if environment.spec.builder.image.is_empty() {
            return Err(failed(format!(
                "environment {} has no builder image, so it cannot build; give it one: fission environment update \
                 --name {} --builder IMAGE",
                name(environment.as_ref()),
                name(environment.as_ref())
            )));
        }
        let _in_use = shared.in_use(environment);
        let pod = shared.ready_pod(environment, log).await?;
        let talk = shared.talk(pod.address, &pod.key.namespace);
        let built = run(&job, &talk, &shared.settings.options, log).await;
        match built {
            // The pod knows better what broke the connection.
            Err(BuildError::Interrupted { why }) => Err(shared.why_broken(&pod, why).await),
            built => built,
        }
    }
}

/// Has one pod build.
async fn run(job: &FarJob, talk: &Talk, options: &Options, log: &dyn BuildLog) -> Result<Archive, BuildError> {
    let meta = &job.package.metadata;
    let package = name(&job.package);
    let filename = format!("{}-{:06x}", &package[..package.len().min(NAME_BYTES)], rand::random::<u32>() & 0xff_ffff);
    // Whatever happens from here on, also that nobody waits any more.
    let _clean = Clean { talk: talk.clone(), filename: filename.clone() };
    let fetch = FetchRequest {
        fetch_type: SOURCE,
        package: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            resource_version: meta.resource_version.clone(),
            ..ObjectMeta::default()
        },
        storagesvcurl: options.storage_url.clone(),
        filename: filename.clone(),
        archive: Some(job.package.spec.source.clone()),
        ..FetchRequest::default()
    };
    talk.fetch(&fetch).await?;
    let artifact = talk.build(&filename, &job.command.join(" "), log).await?;
    let upload = UploadRequest {
        filename: artifact,
        storagesvcurl: options.storage_url.clone(),
        archivepackage: !job.environment.spec.keeparchive,
    };
    let stored = talk.upload(&upload).await?;
    for note in &stored.notes {
        log.append(format!("{note}\n").as_bytes());
    }
    let (url, checksum) = (stored.archive_download_url, stored.checksum);
    Ok(Archive { kind: "url".to_owned(), url, checksum, ..Archive::default() })
}

/// Removes what a build left in its pod when it is dropped.
struct Clean {
    talk: Talk,
    filename: String,
}

impl Drop for Clean {
    fn drop(&mut self) {
        // Without a runtime the process is ending; the pod's disk ends with the pod.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (talk, filename) = (self.talk.clone(), std::mem::take(&mut self.filename));
        runtime.spawn(async move { talk.clean(&filename).await });
    }
}

fn failed(why: impl Into<String>) -> BuildError {
    BuildError::Failed { why: why.into() }
}

fn interrupted(why: impl Into<String>) -> BuildError {
    BuildError::Interrupted { why: why.into() }
}

#[cfg(test)]
mod tests;
