//! The pool manager's instances as pods.
//!
//! `create` gives away a pod that is ready and nobody's, `specialize` makes it a function's, `withdraw` hides it from
//! routers, `destroy` deletes it. What is known of pods comes from one watch; what was given to whom is in
//! [`crate::pools`]. Instances outlive this process: what it needs to know of them is written on the pods.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{Environment, Function, labels};
use fission_executor::backend::{Adopted, Backend, BackendError, Created, InstanceExit, InstanceSpec, Load};
use fission_rpc::cache::{Cache, Change, ObjectKey};
use fission_rpc::endpoint::{Address, FunctionKey, InstanceId};
use fission_rpc::namespaces::Namespaces;
use fission_rpc::signed::mask;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::names::{namespace, uid};
use crate::options::Options;
use crate::pods;
use crate::pools::{Held, Pool, Pools};
use crate::services::Services;
use crate::specialize::{CONFIGURATION, PACKAGE, PROVISIONED, SERVED, set_served};
use crate::template::RUNTIME_HASH;
use crate::{deployments, names, specialize, template, tending};

/// How often a creation that waits looks for what is in its way.
const LOOK: Duration = Duration::from_secs(1);
/// How long trouble must last before it is believed: images are pulled again by themselves.
const BELIEVED_AFTER: Duration = Duration::from_secs(3);

/// Makes and ends instances as pods. Cheap to clone.
#[derive(Clone)]
pub struct KubernetesBackend {
    shared: Arc<Shared>,
}

/// What all parts of the backend use.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) http: reqwest::Client,
    pub(crate) services: Services,
    /// Identifies this process on the pods it claimed.
    pub(crate) process: String,
    pub(crate) pods: Cache<Pod>,
    pub(crate) environments: Cache<Environment>,
    pub(crate) functions: Cache<Function>,
    pools: Mutex<Pools>,
    withdrawn: Mutex<HashSet<InstanceId>>,
    pub(crate) changed: watch::Sender<u64>,
    exits: mpsc::UnboundedSender<InstanceExit>,
    exits_receiver: Mutex<Option<mpsc::UnboundedReceiver<InstanceExit>>>,
}

/// Labels that decide, which no label of a user may replace.
pub(crate) fn is_own_label(key: &str) -> bool {
    const OWN: [&str; 9] = [
        labels::EXECUTOR_TYPE,
        labels::ENVIRONMENT_NAME,
        labels::ENVIRONMENT_NAMESPACE,
        labels::ENVIRONMENT_UID,
        labels::FUNCTION_NAME,
        labels::FUNCTION_NAMESPACE,
        labels::FUNCTION_UID,
        labels::MANAGED,
        "pod-template-hash",
    ];
    OWN.contains(&key) || key.starts_with("fission.io/")
}

impl KubernetesBackend {
    /// A backend that knows no pod until [`Self::run`] runs.
    pub fn new(
        client: Client,
        options: Options,
        environments: Cache<Environment>,
        functions: Cache<Function>,
    ) -> Result<Self, reqwest::Error> {
        let (exits, receiver) = mpsc::unbounded_channel();
        // A pod gets one request; its connection is of no more use.
        let http = fission_rpc::signed::client().pool_max_idle_per_host(0).build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                services: Services::new(client.clone()),
                client,
                options,
                http,
                process: format!("{:08x}", rand::random::<u32>()),
                pods: Cache::default(),
                environments,
                functions,
                pools: Mutex::default(),
                withdrawn: Mutex::default(),
                changed: watch::Sender::new(0),
                exits,
                exits_receiver: Mutex::new(Some(receiver)),
            }),
        })
    }

    /// Follows pods, keeps the replicas of pools, and removes what belongs to nothing any more. Runs until dropped.
    pub async fn run(self, namespaces: watch::Receiver<Namespaces>) {
        let (shared, config) = (self.shared.clone(), watcher::Config::default().labels(deployments::POOLMGR));
        let watching = shared.pods.clone().run_in(shared.client.clone(), namespaces.clone(), config);
        let following = follow(&shared);
        let scaling = tending::scale(&shared);
        let providing = tending::provide_keys(&shared, namespaces.clone());
        let sweeping = tending::sweep(&shared, namespaces);
        tokio::join!(watching, following, scaling, providing, sweeping);
    }

    /// Waits until the pods are known.
    pub async fn synced(&self) {
        self.shared.pods.synced().await;
    }
}

impl Shared {
    pub(crate) fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn withdrawn(&self) -> MutexGuard<'_, HashSet<InstanceId>> {
        self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an instance was hidden from routers.
    pub(crate) fn is_withdrawn(&self, id: &InstanceId) -> bool {
        self.withdrawn().contains(id)
    }

    /// An instance is not what it was taken for, and is told to have ended. Its pod is left to whose it is.
    pub(crate) fn lost(&self, id: &InstanceId, why: String) {
        if self.pools().take(id).is_some() {
            let _ = self.exits.send(InstanceExit { id: id.clone(), why });
        }
    }

    /// Hides a number on a pod.
    pub(crate) fn mask(&self, pod: &str) -> u64 {
        mask(&self.options.secret.current, pod)
    }

    fn wake(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    /// Writes the Deployment of an environment, if it is not written as it should be.
    async fn pool(&self, environment: &Arc<Environment>) -> Result<(), BackendError> {
        let (uid, hash) = (uid(environment.as_ref()), template::runtime_hash(environment, &self.options));
        let replicas = {
            let mut pools = self.pools();
            match pools.pools.get_mut(uid) {
                Some(pool) if pool.hash == hash => {
                    pool.environment = environment.clone();
                    return Ok(());
                }
                _ => pools.needed(uid),
            }
        };
        let replicas = replicas.max(usize::try_from(environment.spec.pool_size()).unwrap_or_default());
        let key = format!("{}/{}", namespace(environment.as_ref()), names::name(environment.as_ref()));
        let unsupported = |why| BackendError::Unsupported { environment: key.clone(), why };
        let deployment = deployments::pool(environment, replicas, &self.options).map_err(unsupported)?;
        deployments::apply(&self.client, &deployment).await.map_err(|error| BackendError::Broken {
            instance: InstanceId("generic".into()),
            why: format!("was not made: the Deployment of environment {key} could not be written: {error}"),
        })?;
        let namespace = deployments::pod_namespace(environment, &self.options);
        let mut pools = self.pools();
        let waiting = pools.pools.get(uid).map(|pool| pool.waiting).unwrap_or_default();
        let deployment = ObjectKey { namespace, name: names::pool(environment) };
        let environment = environment.clone();
        let pool = Pool { environment, deployment, hash, replicas, waiting, too_many_since: None };
        pools.pools.insert(uid.to_owned(), pool);
        Ok(())
    }

    /// Gives away a pod that is ready and nobody's, the oldest first.
    fn reserve(&self, id: &InstanceId, environment: &Arc<Environment>, hash: &str) -> Option<Created> {
        let uid = uid(environment.as_ref());
        let mut ready: Vec<_> = self
            .pods
            .list()
            .into_iter()
            .filter(|pod| pods::label(pod, labels::ENVIRONMENT_UID) == uid && pods::label(pod, RUNTIME_HASH) == hash)
            .filter(|pod| pods::is_generic(pod) && pods::is_ready(pod))
            .collect();
        ready.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
        let mut pools = self.pools();
        let free = ready.into_iter().find(|pod| !pools.is_given(&ObjectKey::of(pod.as_ref())))?;
        let address = pods::address(&free)?;
        let held = Held {
            pod: ObjectKey::of(free.as_ref()),
            address,
            environment: environment.clone(),
            hash: hash.to_owned(),
            claimed: false,
            restarts: pods::restarts(&free),
        };
        pools.give(id, held).then(|| created(address))
    }

    /// What is in the way of a pool's pods, if something is.
    async fn trouble(&self, environment_uid: &str) -> Option<String> {
        let pods = self.pods.list();
        let stuck = pods
            .iter()
            .filter(|pod| pods::label(pod, labels::ENVIRONMENT_UID) == environment_uid && pods::is_generic(pod))
            .find_map(|pod| pods::stuck(pod));
        if stuck.is_some() {
            return stuck;
        }
        let deployment = self.pools().pools.get(environment_uid)?.deployment.clone();
        deployments::trouble(&self.client, &deployment).await
    }

    async fn delete_pod(&self, pod: &ObjectKey, grace: Duration) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let grace = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
        let deleted = api.delete(&pod.name, &DeleteParams::default().grace_period(grace)).await;
        if let Err(error) = deployments::gone_is_fine(deleted) {
            tracing::warn!(%pod, %error, "a pod could not be deleted; the next sweep tries again");
        }
    }
}

fn created(address: std::net::SocketAddr) -> Created {
    Created { address: Address::Tcp(address), pid: None, isolation: vec!["pod".to_owned()], missing: Vec::new() }
}

/// One creation that waits for a pod.
struct Waiting<'a>(&'a Shared, String);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, environment_uid: &str) -> Self {
        if let Some(pool) = shared.pools().pools.get_mut(environment_uid) {
            pool.waiting += 1;
        }
        shared.wake();
        Self(shared, environment_uid.to_owned())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0.pools().pools.get_mut(&self.1) {
            pool.waiting = pool.waiting.saturating_sub(1);
        }
    }
}

#[async_trait]
impl Backend for KubernetesBackend {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
        self.shared.pool(&Arc::new(environment.clone())).await
    }

    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
        let (shared, environment) = (&self.shared, &spec.environment);
        if let Some(Err(why)) = spec.function.as_deref().map(template::may_have_network) {
            let environment = format!("{}/{}", namespace(environment.as_ref()), names::name(environment.as_ref()));
            return Err(BackendError::Unsupported { environment, why });
        }
        shared.pool(environment).await?;
        let (uid, hash) = (uid(environment.as_ref()), template::runtime_hash(environment, &shared.options));
        let mut changes = shared.changed.subscribe();
        if let Some(created) = shared.reserve(&spec.id, environment, &hash) {
            return Ok(created);
        }
        let _waiting = Waiting::new(shared, uid);
        let started = Instant::now();
        loop {
            if let Some(created) = shared.reserve(&spec.id, environment, &hash) {
                return Ok(created);
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK) => {
                    if started.elapsed() >= BELIEVED_AFTER && let Some(why) = shared.trouble(uid).await {
                        return Err(BackendError::Broken { instance: spec.id, why: format!("is not there: {why}") });
                    }
                }
            }
        }
    }

    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError> {
        specialize::specialize(&self.shared, id, &load).await.map(Address::Tcp)
    }

    async fn destroy(&self, id: &InstanceId, grace: Duration) {
        let Some(held) = self.shared.pools().take(id) else { return };
        self.shared.withdrawn().remove(id);
        self.shared.wake();
        // One that was never claimed is still its Deployment's, which takes it away when there are too many.
        if held.claimed {
            self.shared.delete_pod(&held.pod, grace).await;
        }
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
        let taken = self.shared.exits_receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn outlives(&self) -> bool {
        true
    }

    async fn adopt(&self) -> Vec<Adopted> {
        let shared = &self.shared;
        shared.pods.synced().await;
        let mut adopted = Vec::new();
        for pod in shared.pods.list() {
            if pods::label(&pod, labels::MANAGED) != "false" || pods::is_ending(&pod) {
                continue;
            }
            match adopt(shared, &pod) {
                Some(one) => adopted.push(one),
                // Left between two steps of its specialization, or of an environment that is gone.
                None => shared.delete_pod(&ObjectKey::of(pod.as_ref()), Duration::from_secs(1)).await,
            }
        }
        adopted
    }

    async fn withdraw(&self, id: &InstanceId) {
        let Some(held) = self.shared.pools().of(id).cloned() else { return };
        self.shared.withdrawn().insert(id.clone());
        if let Err(error) = deployments::gone_is_fine(set_served(&self.shared, &held.pod, false).await) {
            tracing::warn!(pod = %held.pod, %error, "a pod could not be hidden from routers");
        }
    }

    async fn provisioned(&self, id: &InstanceId, provisioned: bool) {
        let Some(held) = self.shared.pools().of(id).cloned() else { return };
        let labelled = specialize::set_label(&self.shared, &held.pod, PROVISIONED, provisioned).await;
        if let Err(error) = deployments::gone_is_fine(labelled) {
            // The next executor takes it for one that is not kept, and keeps it again.
            tracing::warn!(pod = %held.pod, %error, "a pod could not be labelled as provisioned");
        }
    }

    async fn forget(&self, environment: &Environment) {
        let pool = self.shared.pools().pools.remove(uid(environment));
        let namespace = deployments::pod_namespace(environment, &self.shared.options);
        let key = pool.map(|pool| pool.deployment).unwrap_or(ObjectKey { namespace, name: names::pool(environment) });
        if let Err(error) = deployments::delete(&self.shared.client, &key).await {
            tracing::warn!(deployment = %key, %error, "a pool could not be deleted; the next sweep tries again");
        }
    }

    fn name_of(&self, id: &InstanceId) -> Arc<str> {
        self.shared.pools().of(id).map(|held| held.pod.name.as_str().into()).unwrap_or_else(|| id.0.clone())
    }
}

/// What is written on a pod that serves a function.
fn adopt(shared: &Shared, pod: &Pod) -> Option<Adopted> {
    let environment_uid = pods::label(pod, labels::ENVIRONMENT_UID);
    let environment = shared.environments.list().into_iter().find(|one| uid(one.as_ref()) == environment_uid)?;
    if pods::label(pod, SERVED) != "true" || !pods::is_ready(pod) {
        return None;
    }
    let address = pods::address(pod)?;
    let (package, generation) = pods::annotation(pod, PACKAGE).rsplit_once('/')?;
    let hidden = u64::from_str_radix(pods::annotation(pod, CONFIGURATION), 16).ok()?;
    let key = ObjectKey::of(pod);
    let hash = pods::label(pod, RUNTIME_HASH).to_owned();
    let is_current = hash == template::runtime_hash(&environment, &shared.options);
    let id = InstanceId(key.name.as_str().into());
    let function = FunctionKey {
        uid: pods::label(pod, labels::FUNCTION_UID).to_owned(),
        generation: pods::label(pod, labels::FUNCTION_GENERATION).parse().ok()?,
    };
    let configuration = hidden ^ shared.mask(&key.name);
    let held = Held { pod: key, address, environment, hash, claimed: true, restarts: pods::restarts(pod) };
    shared.pools().give(&id, held).then(|| Adopted {
        id,
        function,
        environment_uid: environment_uid.to_owned(),
        is_current,
        package: (package.to_owned(), generation.parse().unwrap_or_default()),
        configuration,
        is_provisioned: pods::label(pod, PROVISIONED) == "true",
        created: created(address),
    })
}

/// Tells of pods that ended by themselves, and wakes who waits for one.
async fn follow(shared: &Arc<Shared>) {
    let mut changes = shared.pods.subscribe();
    while let Some(change) = changes.next().await {
        match change {
            Change::Applied(pod) => look_at(shared, &ObjectKey::of(pod.as_ref()), Some(&pod)),
            Change::Deleted(pod) => look_at(shared, &ObjectKey::of(pod.as_ref()), None),
            Change::Reread => {
                let given = shared.pools().given();
                for key in given {
                    look_at(shared, &key, shared.pods.get(&key).as_deref());
                }
            }
        }
        shared.wake();
    }
}

fn look_at(shared: &Arc<Shared>, key: &ObjectKey, pod: Option<&Pod>) {
    let Some((id, claimed, restarts)) =
        shared.pools().given_as(key).map(|(id, held)| (id.clone(), held.claimed, held.restarts))
    else {
        return;
    };
    let why = match pod {
        None => format!("pod {} was deleted", key.name),
        Some(pod) if pods::is_ending(pod) || pods::restarts(pod) > restarts => pods::ended(pod),
        Some(_) => return,
    };
    shared.pools().take(&id);
    // The pod lives on with a container that knows no function; or is on its way out already.
    if claimed && pod.is_some() {
        let (shared, key) = (shared.clone(), key.clone());
        tokio::spawn(async move { shared.delete_pod(&key, Duration::from_secs(1)).await });
    }
    let _ = shared.exits.send(InstanceExit { id, why });
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
