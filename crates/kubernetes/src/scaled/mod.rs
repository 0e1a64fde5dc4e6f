//! Functions that Kubernetes scales: executor types `newdeploy` and `container`. Each is a Deployment, a Service and an
//! autoscaler; what is left to do here is to write them, to bring the first pod when someone asks, and to take the last
//! ones away when nobody has for a while.

mod objects;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{ExecutorType, Function, labels};
use fission_executor::Declarations;
use fission_executor::configuration::{Source, needed};
use fission_executor::http::Scaled;
use fission_rpc::cache::{Cache, Change, ObjectKey};
use fission_rpc::demand::{Activity, DemandAnswer, DemandReport, EndpointAddress};
use fission_rpc::namespaces::Namespaces;
use fission_rpc::refusal::{Component, Refusal};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::keys::MANAGER;
use crate::names::{name, namespace, uid};
use crate::options::Options;
use crate::services::MANAGED_BY;
use crate::template::FETCHER;
use crate::{deployments, pods, slices};
use objects::{Objects, Parts, word};

/// Longest time a router waits for an answer before it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often idle functions are looked for.
const TICK: Duration = Duration::from_secs(5);
/// How long trouble must last before it is believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(4);
/// Which EndpointSlices are these functions'.
const SELECTOR: &str = "executorType in (newdeploy, container)";

/// Looks after the functions that Kubernetes scales. Cheap to clone.
#[derive(Clone)]
pub struct ScaledFunctions {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    options: Options,
    declared: Declarations,
    slices: Cache<EndpointSlice>,
    state: Mutex<HashMap<String, State>>,
}

/// What is known of one function, by its uid.
struct State {
    /// What was last written: generation, and what it was given.
    written: Option<(i64, String)>,
    /// Whether it was scaled up since it last had no pods.
    awake: bool,
    used: Instant,
    /// When someone began to wait for a pod, if someone does.
    asked: Option<Instant>,
}

impl ScaledFunctions {
    /// Knows no function until [`Self::run`] runs.
    pub fn new(client: Client, options: Options, declared: Declarations) -> Self {
        let shared = Shared { client, options, declared, slices: Cache::default(), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Follows declarations and ends what is idle, until dropped.
    pub async fn run(self, namespaces: watch::Receiver<Namespaces>) {
        let shared = &self.shared;
        let config = watcher::Config::default().labels(SELECTOR);
        let watching = shared.slices.clone().run_in(shared.client.clone(), namespaces, config);
        tokio::join!(watching, shared.follow(), shared.reap());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted of a function; new ones count as used now, also after a restart.
    fn with<T>(&self, uid: &str, what: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let new = || State { written: None, awake: true, used: Instant::now(), asked: None };
        what(state.entry(uid.to_owned()).or_insert_with(new))
    }

    fn functions(&self) -> Vec<Arc<Function>> {
        let all = self.declared.functions.list().into_iter();
        all.filter(|one| matches!(one.spec.executor_type(), ExecutorType::Newdeploy | ExecutorType::Container))
            .collect()
    }

    async fn follow(&self) {
        let declared = &self.declared;
        let (mut functions, mut packages) = (declared.functions.subscribe(), declared.packages.subscribe());
        let (mut secrets, mut maps) = (declared.secrets.subscribe(), declared.config_maps.subscribe());
        let mut environments = declared.environments.subscribe();
        declared.functions.synced().await;
        self.look_at_all().await;
        loop {
            tokio::select! {
                change = functions.next() => match change {
                    Some(Change::Applied(function)) => self.look_at(&function).await,
                    Some(Change::Deleted(function)) => self.delete(&function).await,
                    Some(Change::Reread) => self.look_at_all().await,
                    None => return,
                },
                _ = packages.next() => self.look_at_written().await,
                _ = environments.next() => self.look_at_written().await,
                _ = secrets.next() => self.look_at_written().await,
                _ = maps.next() => self.look_at_written().await,
            }
        }
    }

    async fn look_at_all(&self) {
        for function in self.functions() {
            self.look_at(&function).await;
        }
    }

    /// Something a function refers to may have changed: those that exist are written again where it did.
    async fn look_at_written(&self) {
        for function in self.functions() {
            if self.with(uid(function.as_ref()), |state| state.written.is_some()) {
                self.look_at(&function).await;
            }
        }
    }

    /// Writes a function's objects when they must be there or are there in another state.
    async fn look_at(&self, function: &Function) {
        if !matches!(function.spec.executor_type(), ExecutorType::Newdeploy | ExecutorType::Container) {
            return;
        }
        let least = function.spec.invoke_strategy.execution_strategy.min_scale;
        let is_written = self.with(uid(function), |state| state.written.is_some());
        if (least > 0 || is_written)
            && let Err(why) = self.write(function).await
        {
            tracing::warn!(function = %ObjectKey::of(function), why, "its objects could not be written");
        }
    }

    /// Writes the objects unless they are as they should be.
    async fn write(&self, function: &Function) -> Result<Option<Objects>, String> {
        let key = |name: &str| ObjectKey { namespace: namespace(function).to_owned(), name: name.to_owned() };
        let environment = self.declared.environments.get(&key(&function.spec.environment.name));
        let package = self.declared.packages.get(&key(&function.spec.package.package_ref.name));
        let given = self.given(function, environment.as_deref().map(|one| one.metadata.generation.unwrap_or_default()));
        let now = (function.metadata.generation.unwrap_or_default(), given.clone());
        if self.with(uid(function), |state| state.written.as_ref() == Some(&now)) {
            return Ok(None);
        }
        let parts = Parts { environment: environment.as_deref(), package: package.as_deref(), given };
        let objects = objects::objects(function, &parts, &self.options)?;
        let refused =
            |error: kube::Error| format!("{}/{} could not be written: {error}", objects.namespace, objects.name);
        deployments::apply(&self.client, &objects.deployment).await.map_err(refused)?;
        self.apply::<Service>(&objects.service).await.map_err(refused)?;
        self.apply::<HorizontalPodAutoscaler>(&objects.autoscaler).await.map_err(refused)?;
        let least = usize::try_from(function.spec.invoke_strategy.execution_strategy.min_scale).unwrap_or_default();
        if least > 1 {
            self.at_least(&objects, least).await.map_err(refused)?;
        }
        self.with(uid(function), |state| state.written = Some(now));
        Ok(Some(objects))
    }

    /// What a function is given beside itself: another text when any of it is another.
    fn given(&self, function: &Function, environment: Option<i64>) -> String {
        let key = |name: &str| ObjectKey { namespace: namespace(function).to_owned(), name: name.to_owned() };
        let version = |meta: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>| {
            meta.and_then(|meta| meta.resource_version.clone()).unwrap_or_default()
        };
        let package = self.declared.packages.get(&key(&function.spec.package.package_ref.name));
        let package = package.map(|one| (one.metadata.uid.clone(), one.metadata.generation));
        let mut text = format!("{environment:?} {package:?}");
        for source in needed(function) {
            let version = match &source {
                Source::Secret(name) => {
                    version(self.declared.secrets.get(&key(name)).as_deref().map(|one| &one.metadata))
                }
                Source::ConfigMap(name) => {
                    version(self.declared.config_maps.get(&key(name)).as_deref().map(|one| &one.metadata))
                }
            };
            text = format!("{text} {source:?}={version}");
        }
        crate::names::short_hash(text.as_bytes(), 8)
    }

    async fn apply<K>(&self, object: &Value) -> kube::Result<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let api: Api<K> = Api::namespaced(self.client.clone(), &text("/metadata/namespace"));
        api.patch(&text("/metadata/name"), &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await
    }

    async fn at_least(&self, objects: &Objects, least: usize) -> kube::Result<()> {
        let key = ObjectKey { namespace: objects.namespace.clone(), name: objects.name.clone() };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &key.namespace);
        let now = api.get(&key.name).await?.spec.replicas.unwrap_or(1);
        if usize::try_from(now).unwrap_or_default() < least {
            deployments::scale(&self.client, &key, least).await?;
        }
        Ok(())
    }

    fn key(&self, function: &Function) -> ObjectKey {
        let place = self.options.function_namespace.clone();
        ObjectKey {
            namespace: place.unwrap_or_else(|| namespace(function).to_owned()),
            name: crate::names::scaled(word(function), function),
        }
    }

    /// Makes that there is at least one pod.
    async fn wake(&self, function: &Function) -> Result<(), String> {
        self.write(function).await?;
        let awake = self.with(uid(function), |state| std::mem::replace(&mut state.awake, true));
        let key = self.key(function);
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &key.namespace);
        if awake && !self.endpoints(function).is_empty() {
            return Ok(());
        }
        let told = |error: kube::Error| format!("Deployment {key} could not be scaled: {error}");
        let replicas = match api.get(&key.name).await {
            Ok(found) => found.spec.replicas.unwrap_or(1),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                // Somebody deleted it.
                self.with(uid(function), |state| state.written = None);
                self.write(function).await?;
                1
            }
            Err(error) => return Err(told(error)),
        };
        if replicas == 0 {
            let least = function.spec.invoke_strategy.execution_strategy.min_scale.max(1);
            let least = usize::try_from(least).unwrap_or(1);
            deployments::scale(&self.client, &key, least).await.map_err(told)?;
        }
        Ok(())
    }

    fn endpoints(&self, function: &Function) -> Vec<EndpointAddress> {
        let is_its = |slice: &Arc<EndpointSlice>| {
            slice.metadata.labels.as_ref().and_then(|all| all.get(labels::FUNCTION_UID)).map(String::as_str)
                == Some(uid(function))
        };
        let slices = self.slices.list().into_iter().filter(is_its);
        let ready = slices.flat_map(|slice| slices::ready(&slice));
        ready.map(|(name, address)| EndpointAddress { name, address }).collect()
    }

    /// What keeps a function's pods from being ready, if something does.
    async fn trouble(&self, function: &Function) -> Option<Refusal> {
        let key = self.key(function);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let selector = format!("{}={}", labels::FUNCTION_UID, uid(function));
        let all = api.list(&ListParams::default().labels(&selector)).await.ok()?.items;
        let named = ObjectKey::of(function);
        let logs = format!("fission function logs --name {}", named.name);
        if let Some(message) = all.iter().find_map(refused_by_environment) {
            let message = format!("function {named} could not be loaded: {message}");
            return Some(Refusal::new(500, Component::Executor, "specialization_failed", message).hint(logs));
        }
        let stuck = all.iter().find_map(pods::stuck);
        let why = match stuck {
            Some(why) => why,
            None => deployments::trouble(&self.client, &key).await?,
        };
        let message = format!("function {named} has no pod: {why}");
        Some(Refusal::new(500, Component::Executor, "specialization_failed", message).hint(logs))
    }

    async fn delete(&self, function: &Function) {
        self.state().remove(uid(function));
        let place = self.key(function).namespace;
        let selector = format!("{}={},{MANAGED_BY}=fission", labels::FUNCTION_UID, uid(function));
        self.delete_all::<Deployment>(&place, &selector).await;
        self.delete_all::<Service>(&place, &selector).await;
        self.delete_all::<HorizontalPodAutoscaler>(&place, &selector).await;
    }

    async fn delete_all<K>(&self, place: &str, selector: &str)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), place);
        let Ok(found) = api.list(&ListParams::default().labels(selector)).await else { return };
        for one in found {
            // Its owner may have taken it along.
            let deleted = deployments::gone_is_fine(api.delete(name(&one), &DeleteParams::background()).await);
            if let Err(error) = deleted {
                tracing::warn!(object = name(&one), %error, "an object of a deleted function is still there");
            }
        }
    }

    /// Takes the pods of functions away that nobody has used for long, down to their minimum.
    async fn reap(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for function in self.functions() {
                self.reap_one(&function).await;
            }
        }
    }

    async fn reap_one(&self, function: &Function) {
        let least = function.spec.invoke_strategy.execution_strategy.min_scale.max(0);
        let idle = Duration::from_secs(function.spec.idle_timeout_seconds().unsigned_abs());
        let is_due = self.with(uid(function), |state| {
            state.written.is_some() && state.awake && state.asked.is_none() && state.used.elapsed() >= idle
        });
        if !is_due || least > 0 {
            // Above its minimum the autoscaler decides.
            return;
        }
        match deployments::scale(&self.client, &self.key(function), 0).await {
            Ok(()) => self.with(uid(function), |state| state.awake = false),
            Err(error) => tracing::warn!(function = %ObjectKey::of(function), %error, "it could not be scaled to zero"),
        }
    }
}

/// What the environment said to a fetcher that could not have its function loaded.
fn refused_by_environment(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let fetcher = statuses.iter().find(|status| status.name == FETCHER)?;
    let of = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref()?.terminated.as_ref()?.message.clone().filter(|message| !message.trim().is_empty())
    };
    of(&fetcher.state).or_else(|| of(&fetcher.last_state)).map(|message| message.trim().to_owned())
}

#[async_trait]
impl Scaled for ScaledFunctions {
    async fn demand(&self, report: DemandReport) -> DemandAnswer {
        let (shared, function) = (&self.shared, &report.function);
        let known: HashSet<&str> = report.endpoints.iter().map(|used| used.name.as_str()).collect();
        let asked = shared.with(uid(function), |state| {
            state.used = Instant::now();
            *state.asked.get_or_insert_with(Instant::now)
        });
        let refuse = |refusal: Refusal| {
            shared.with(uid(function), |state| state.asked = None);
            DemandAnswer { refusal: Some(refusal.into()), ..DemandAnswer::default() }
        };
        if let Err(why) = shared.wake(function).await {
            let message = format!("function {} cannot run: {why}", ObjectKey::of(function));
            return refuse(Refusal::new(500, Component::Executor, "specialization_failed", message));
        }
        let mut changes = shared.slices.subscribe();
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            let endpoints = shared.endpoints(function);
            let is_new = endpoints.iter().any(|endpoint| !known.contains(endpoint.name.as_str()));
            if is_new {
                shared.with(uid(function), |state| state.asked = None);
            }
            if is_new || Instant::now() >= until {
                let waiting_for = format!("a pod of Deployment {} to be ready", shared.key(function));
                if !is_new
                    && asked.elapsed() >= BELIEVED_AFTER
                    && let Some(refusal) = shared.trouble(function).await
                {
                    return refuse(refusal);
                }
                return DemandAnswer { endpoints, waiting_for, ..DemandAnswer::default() };
            }
            let _ = tokio::time::timeout_at(until, changes.next()).await;
        }
    }

    fn address(&self, function: &Function) -> String {
        let ObjectKey { namespace, name } = self.shared.key(function);
        // With a dot at its end, so that no search path of a pod is tried first.
        format!("{name}.{namespace}.svc.{}.:80", self.shared.options.cluster_domain)
    }

    fn activity(&self, activity: &Activity) {
        let mut state = self.shared.state();
        for function in &activity.functions {
            if let Some(state) = state.get_mut(&function.uid) {
                // Only functions in use are told of.
                state.used = Instant::now();
                if function.waiting == 0 {
                    state.asked = None;
                }
            }
        }
    }
}
