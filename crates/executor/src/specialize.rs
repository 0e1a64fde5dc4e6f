//! A cold start: an instance and the code, brought together, become an endpoint of the function.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use fission_api::{BuildStatus, Environment, Function, Network, Package};
use fission_rpc::cache::{Cache, ObjectKey};
use fission_rpc::code::{Code, CodeError};
use fission_rpc::endpoint::{Address, Endpoint};
use fission_rpc::refusal::Refusal;
use kube::Resource;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::backend::{BackendError, Load};
use crate::configuration::{self, Configuration, Lookup, Problem, Source};
use crate::group::{Group, Pending, Stage};
use crate::instance::{Instance, Loaded};
use crate::policy::Policy;
use crate::{metrics, refusals, updates};

/// Added to the time a load may take before a backend that does not answer is given up.
const LOAD_MARGIN: Duration = Duration::from_secs(5);
/// Pause before code that could not be reached is asked for again; grows with each attempt.
const FETCH_PAUSE: Duration = Duration::from_millis(100);

/// How long something a function refers to is waited for if it is not there: longer than watches of two kinds are apart.
const WATCH_LAG: Duration = Duration::from_millis(300);

/// How often a build that is waited for is looked at to see whether anyone still does.
const WANTED_LOOK: Duration = Duration::from_secs(1);

/// Why one attempt brought no endpoint.
enum Failure {
    /// Another attempt would end the same way.
    Final(Refusal, Remember),
    /// Another attempt may work, after a pause.
    Again(Refusal, Duration),
    /// Nobody wants it any more.
    Unwanted,
}

/// Whether the same refusal is to be expected for a while.
type Remember = bool;

/// Brings one instance into a group, or refuses those who wait for it.
pub(crate) async fn bring(policy: &Arc<Policy>, group: &Arc<Group>, pending: Pending) {
    if group.wanted() {
        let is_eager = group.is_eager();
        let outcome = attempts(policy, group).await;
        if is_eager && !matches!(outcome, Err(Failure::Unwanted)) {
            let outcome = if outcome.is_ok() { metrics::SUCCESS } else { metrics::FAILURE };
            policy.metrics.eager.get_or_create_owned(&metrics::with_outcome(&group.function, outcome)).inc();
        }
        match outcome {
            Ok(()) if is_eager => 0,
            Ok(()) => policy.metrics.cold_starts.get_or_create_owned(&metrics::labels(&group.function)).inc(),
            Err(Failure::Unwanted) => 0,
            Err(Failure::Final(refusal, remember)) => refuse(policy, group, &refusal, remember),
            Err(Failure::Again(refusal, _)) => refuse(policy, group, &refusal, false),
        };
    }
    drop(pending);
    policy.scale(group);
    policy.settle(group);
}

fn refuse(policy: &Policy, group: &Group, refusal: &Refusal, remember: Remember) -> u64 {
    tracing::warn!(function = %ObjectKey::of(group.function.as_ref()), %refusal, "a function could not be loaded");
    group.refuse(refusal, remember);
    policy.metrics.cold_start_errors.get_or_create_owned(&metrics::labels(&group.function)).inc()
}

async fn attempts(policy: &Arc<Policy>, group: &Arc<Group>) -> Result<(), Failure> {
    let mut code = None;
    let mut attempt = 1;
    loop {
        match try_once(policy, group, &mut code, attempt).await {
            Err(Failure::Again(refusal, pause)) if attempt < policy.options.attempts => {
                tracing::info!(function = %ObjectKey::of(group.function.as_ref()), attempt, %refusal, "trying again");
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

async fn try_once(
    policy: &Arc<Policy>,
    group: &Arc<Group>,
    code: &mut Option<Code>,
    attempt: u32,
) -> Result<(), Failure> {
    let environment = environment_of(policy, group).await?;
    let package = package_of(policy, group).await?;
    let configuration = configuration_of(policy, group).await?;
    let failed = |error: BackendError| failure(group, &environment, &error, attempt);

    group.stage(Stage::Instance);
    let fetch = async {
        match code.take() {
            Some(code) => Ok(code),
            None => fetch(policy, &package, environment.spec.keeparchive, attempt).await,
        }
    };
    let take = async { instance(policy, group, &environment).await.map_err(failed) };
    let (fetched, taken) = tokio::try_join!(fetch, take)?;
    group.stage(Stage::Turn);
    let Ok(_turn) = policy.turns.acquire().await else { return Err(Failure::Unwanted) };
    // Those who wanted it may be gone by now; dropped, it goes back to where it came from.
    let Some(instance) = taken.filter(|_| group.wanted()).and_then(Taken::keep) else { return Err(Failure::Unwanted) };

    group.stage(Stage::Load);
    let began = Instant::now();
    let version = configuration.fingerprint();
    let parts = (package.clone(), fetched.clone(), configuration);
    let loaded = load(policy, group, &instance, &environment, parts).await;
    *code = Some(fetched);
    let address = match loaded {
        Ok(address) => address,
        Err(error) => {
            policy.destroy(instance);
            return Err(failed(error));
        }
    };
    let endpoint = Endpoint::new(instance.id.clone(), address);
    let loaded = Loaded {
        group: Arc::downgrade(group),
        endpoint,
        package: version_of(&package),
        configuration: version,
        began,
        ended: Instant::now(),
    };
    if serve(policy, group, &instance, loaded) {
        return Ok(());
    }
    let why = "ended while it was being loaded".to_owned();
    Err(failed(BackendError::Broken { instance: instance.id.clone(), why }))
}

fn failure(group: &Group, environment: &Environment, error: &BackendError, attempt: u32) -> Failure {
    let refusal = refusals::backend(&group.function, environment, error, attempt);
    match error {
        BackendError::Broken { .. } => Failure::Again(refusal, Duration::ZERO),
        BackendError::Refused { .. } => Failure::Final(refusal, true),
        BackendError::Unsupported { .. } | BackendError::TimedOut { .. } => Failure::Final(refusal, false),
    }
}

async fn environment_of(policy: &Policy, group: &Group) -> Result<Arc<Environment>, Failure> {
    let function = &group.function;
    let key = beside(function, &function.spec.environment.name);
    let found = declared(&policy.declared.environments, &key).await;
    found.ok_or_else(|| Failure::Final(refusals::no_environment(function, &key), false))
}

/// The function's package. Source that is being built is waited for as long as someone waits for the function.
async fn package_of(policy: &Policy, group: &Group) -> Result<Arc<Package>, Failure> {
    let function = &group.function;
    let key = beside(function, &function.spec.package.package_ref.name);
    let mut changes = policy.declared.packages.subscribe();
    loop {
        let found = declared(&policy.declared.packages, &key).await;
        let package = found.ok_or_else(|| Failure::Final(refusals::no_package(function, &key), false))?;
        let Some(refusal) = refusals::not_deployable(function, &package) else { return Ok(package) };
        if !is_being_built(&package) {
            return Err(Failure::Final(refusal, false));
        }
        if !group.wanted() {
            return Err(Failure::Unwanted);
        }
        group.stage(Stage::Build);
        tokio::select! {
            _ = changes.next() => {}
            () = tokio::time::sleep(WANTED_LOOK) => {}
            () = policy.stopping.cancelled() => return Err(Failure::Unwanted),
        }
    }
}

fn is_being_built(package: &Package) -> bool {
    let status = package.status.as_ref().map(|status| status.build_status).unwrap_or_default();
    // Unset: nobody has looked at it yet.
    let under_way = matches!(status, BuildStatus::Pending | BuildStatus::Running | BuildStatus::Unset);
    under_way && !package.spec.source.is_empty()
}

/// The function's files and variables. An object it cannot do without is waited for if it is not there.
async fn configuration_of(policy: &Policy, group: &Group) -> Result<Configuration, Failure> {
    let function = &group.function;
    for source in configuration::required(function) {
        let there = match &source {
            Source::Secret(name) => declared(&policy.declared.secrets, &beside(function, name)).await.is_some(),
            Source::ConfigMap(name) => declared(&policy.declared.config_maps, &beside(function, name)).await.is_some(),
        };
        if !there {
            break;
        }
    }
    resolve(policy, function).map_err(|problem| Failure::Final(refusals::not_configurable(function, &problem), false))
}

/// The function's files and variables as declared now.
pub(crate) fn resolve(policy: &Policy, function: &Function) -> Result<Configuration, Problem> {
    let declared = &policy.declared;
    let secret = |name: &str| declared.secrets.get(&beside(function, name));
    let config_map = |name: &str| declared.config_maps.get(&beside(function, name));
    configuration::resolve(function, &Lookup { secret: &secret, config_map: &config_map })
}

/// The key of what a function refers to by name; references never cross namespaces.
fn beside(function: &Function, name: &str) -> ObjectKey {
    ObjectKey { namespace: function.metadata.namespace.clone().unwrap_or_default(), name: name.to_owned() }
}

/// An object by key. Kinds are watched apart, so what was declared before the function may be seen a moment after it.
async fn declared<K>(cache: &Cache<K>, key: &ObjectKey) -> Option<Arc<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    if key.name.is_empty() {
        return None;
    }
    if let Some(object) = cache.get(key) {
        return Some(object);
    }
    let mut changes = cache.subscribe();
    let appears = async {
        loop {
            if let Some(object) = cache.get(key) {
                return Some(object);
            }
            changes.next().await?;
        }
    };
    tokio::time::timeout(WATCH_LAG, appears).await.ok().flatten()
}

async fn fetch(policy: &Policy, package: &Package, keep_archive: bool, attempt: u32) -> Result<Code, Failure> {
    match policy.code.code(package, keep_archive).await {
        Ok(code) => Ok(code),
        Err(error @ CodeError::Unusable { .. }) => Err(Failure::Final(refusals::no_code(&error), false)),
        Err(error @ CodeError::Unreachable { .. }) => {
            Err(Failure::Again(refusals::no_code(&error), FETCH_PAUSE.saturating_mul(attempt)))
        }
    }
}

/// An instance that goes back to where it came from unless it is kept.
enum Taken {
    Generic(crate::pool::Generic),
    Own(OwnInstance),
}

/// An instance made for one function; it is ended if it is not kept.
struct OwnInstance(Arc<Policy>, Option<Arc<Instance>>);

impl Drop for OwnInstance {
    fn drop(&mut self) {
        if let Some(instance) = self.1.take() {
            self.0.destroy(instance);
        }
    }
}

impl Taken {
    fn keep(self) -> Option<Arc<Instance>> {
        match self {
            Taken::Generic(generic) => generic.claim(),
            Taken::Own(mut own) => own.1.take(),
        }
    }
}

/// A generic instance, or one of the function's own. None when there is no room and nobody wants it any more.
async fn instance(
    policy: &Arc<Policy>,
    group: &Group,
    environment: &Arc<Environment>,
) -> Result<Option<Taken>, BackendError> {
    let pool = policy.pool(environment);
    // One that cannot be read is the backend's to refuse, which sees the function only of an instance of its own.
    let own_network = Network::of(&group.function.metadata).map_or(true, |network| network.needs_own_instance());
    if group.plan.pooled && !own_network {
        return Ok(Some(Taken::Generic(pool.take().await?)));
    }
    let made = pool.make(Some(group.function.clone()), || group.wanted()).await?;
    Ok(made.map(|instance| Taken::Own(OwnInstance(policy.clone(), Some(instance)))))
}

async fn load(
    policy: &Policy,
    group: &Group,
    instance: &Instance,
    environment: &Environment,
    (package, code, configuration): (Arc<Package>, Code, Configuration),
) -> Result<Address, BackendError> {
    if !instance.specializing(group.function.clone()) {
        let why = "ended before it was loaded".to_owned();
        return Err(BackendError::Broken { instance: instance.id.clone(), why });
    }
    policy.register.changed();
    let environment_version = environment.spec.version;
    let timeout = Duration::from_secs(group.function.spec.specialization_timeout_seconds().unsigned_abs());
    let load = Load {
        function: group.function.clone(),
        package,
        code,
        configuration,
        filename: if environment_version == 1 { "user" } else { "deployarchive" }.to_owned(),
        environment_version,
        timeout,
    };
    tokio::time::timeout(timeout + LOAD_MARGIN, policy.backend.specialize(&instance.id, load))
        .await
        .unwrap_or_else(|_| Err(BackendError::TimedOut { instance: instance.id.clone(), seconds: timeout.as_secs() }))
}

/// Puts a loaded instance into service. False if it has ended meanwhile.
pub(crate) fn serve(policy: &Arc<Policy>, group: &Arc<Group>, instance: &Arc<Instance>, loaded: Loaded) -> bool {
    let endpoint = loaded.endpoint.clone();
    if !instance.specialized(loaded) {
        return false;
    }
    let first = group.add(instance.clone(), endpoint.clone());
    policy.register.changed();
    policy.tasks.spawn(attend(policy.clone(), group.clone(), instance.clone(), endpoint));
    if let Some(pool) = policy.pool_of(instance) {
        pool.proven();
    }
    if first {
        policy.conditions.function_available(&group.function, &instance.missing());
    }
    updates::catch_up(policy, group);
    true
}

/// Uid and generation: what changes when the content of a package does.
pub(crate) fn version_of(package: &Package) -> crate::instance::PackageVersion {
    (package.metadata.uid.clone().unwrap_or_default(), package.metadata.generation.unwrap_or_default())
}

/// Waits until an instance's endpoint is closed, by whomever, and its last request is done; then ends it.
async fn attend(policy: Arc<Policy>, group: Arc<Group>, instance: Arc<Instance>, endpoint: Arc<Endpoint>) {
    let limit = Duration::from_secs(group.function.spec.timeout_seconds().unsigned_abs());
    let overdue = async {
        instance.closing.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        () = endpoint.drained() => {}
        () = overdue => {
            tracing::warn!(instance = %instance.id, limit_s = limit.as_secs(), "ended with requests in flight");
        }
        () = policy.ending.cancelled() => {}
    }
    instance.draining();
    group.close(&instance.id);
    if policy.backend.outlives() {
        policy.backend.withdraw(&instance.id).await;
        group.released(&policy.backend.name_of(&instance.id), &instance, limit).await;
    }
    policy.end(&instance).await;
    group.forget(&instance.id);
    policy
        .metrics
        .running
        .get_or_create_owned(&metrics::labels(&group.function))
        .observe(instance.born.elapsed().as_secs_f64());
    policy.scale(&group);
}
