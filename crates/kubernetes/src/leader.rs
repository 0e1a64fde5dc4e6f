//! One leader among equal processes, by a Lease.
//!
//! A Lease is no fence: a leader that was stopped for a while may still be writing when it comes back. So it gives up
//! by itself before the others may take over, counted on its own monotonic clock, and whoever was leader once ends its
//! process rather than to go on; a new process starts clean.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a lease holds that is not renewed; the others wait that long.
const HOLDS: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long has lost.
const GIVES_UP: Duration = Duration::from_secs(10);
/// Pause between two tries to get or renew.
const PAUSE: Duration = Duration::from_secs(2);

/// A lease to be held.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// How long somebody else's lease has been seen unchanged, on our own clock: others' clocks are not trusted.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Election {
    /// The lease `name` in a namespace, to be held by `identity`, which is unique to this process.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity: identity.to_owned() }
    }

    /// Waits until this process is the leader.
    pub async fn win(&self) {
        let mut seen = Seen { version: None, since: Instant::now() };
        loop {
            match self.try_take(&mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = self.name, %error, "the lease could not be read or written"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Renews the lease until it is lost, or gives it back when `done` is cancelled. True when it was given back.
    pub async fn hold(&self, done: &CancellationToken) -> bool {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = done.cancelled() => {
                    self.give_back().await;
                    return true;
                }
                () = tokio::time::sleep(PAUSE) => {}
            }
            let asked = Instant::now();
            let limit = GIVES_UP.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(limit, self.renew()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return false,
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "the lease could not be renewed");
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= GIVES_UP {
                return false;
            }
        }
    }

    async fn try_take(&self, seen: &mut Seen) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(0)) };
            return taken(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if seen.version != lease.metadata.resource_version {
            *seen = Seen { version: lease.metadata.resource_version.clone(), since: Instant::now() };
        }
        let is_free = holder.is_empty() || holder == self.identity || seen.since.elapsed() >= HOLDS;
        if !is_free {
            return Ok(false);
        }
        // The resource version in it makes that only one of several wins.
        lease.spec = Some(self.spec(spec.lease_transitions.unwrap_or_default() + 1));
        taken(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    async fn renew(&self) -> kube::Result<bool> {
        let mut lease = self.api.get(&self.name).await?;
        let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return Ok(false);
        };
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        taken(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    async fn give_back(&self) {
        let given = async {
            let mut lease = self.api.get(&self.name).await?;
            if let Some(spec) = lease.spec.as_mut()
                && spec.holder_identity.as_deref() == Some(&self.identity)
            {
                spec.holder_identity = None;
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        // It ends by itself if this does not work.
        let _ = tokio::time::timeout(PAUSE, given).await;
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Somebody else was faster: no error.
fn taken<T>(result: kube::Result<T>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
