//! How a router learns of endpoints: it watches the EndpointSlices of functions' Services and keeps the index by them.
//!
//! An endpoint the executor told of directly is there before any slice lists it. So what no slice lists is taken away only
//! if one has listed it before, or if none does for a while. And what a slice goes on listing is tried again after it was
//! suspected: Kubernetes may know better, and may have no reason to say so again.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fission_api::{Function, labels};
use fission_rpc::cache::{Cache, Change, ObjectKey};
use fission_rpc::endpoint::{Address, Endpoint, FunctionEndpoints, FunctionKey, Index, InstanceId};
use fission_rpc::namespaces::Namespaces;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
use kube::Client;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::names::uid;
use crate::services::MANAGED_BY;

/// How long an endpoint may be known from the executor alone.
const UNLISTED: Duration = Duration::from_secs(30);
/// How often it is looked for such, and for endpoints to be tried again: how long one is left alone that was suspected.
const LOOK: Duration = Duration::from_secs(2);

/// The labels of a slice that are read here.
const READ_LABELS: [&str; 4] =
    [labels::FUNCTION_NAME, labels::FUNCTION_NAMESPACE, labels::FUNCTION_UID, labels::FUNCTION_GENERATION];

/// A listed endpoint: the name of its pod, and where it listens.
type Listed = (String, SocketAddr);

/// Keeps an index by the EndpointSlices of functions.
pub struct SliceIndex {
    index: Arc<Index>,
    functions: Cache<Function>,
    slices: Cache<EndpointSlice>,
    /// Slices of each function, by its uid.
    of_function: HashMap<String, HashSet<ObjectKey>>,
    /// Endpoints that were listed once.
    listed: HashSet<(FunctionKey, String)>,
    /// Endpoints that never were, and since when that is known.
    unlisted: HashMap<(FunctionKey, String), Instant>,
}

impl SliceIndex {
    /// Keeps `index` for these functions.
    pub fn new(index: Arc<Index>, functions: Cache<Function>) -> Self {
        Self {
            index,
            functions,
            slices: Cache::trimmed(trim),
            of_function: HashMap::new(),
            listed: HashSet::new(),
            unlisted: HashMap::new(),
        }
    }

    /// What tells whether the first listing is in.
    pub fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let slices = self.slices.clone();
        async move { slices.synced().await }
    }

    /// Follows slices and functions until dropped.
    pub async fn run(self, client: Client, namespaces: watch::Receiver<Namespaces>) {
        let config = watcher::Config::default().labels(&format!("{MANAGED_BY}=fission"));
        let watching = self.slices.clone().run_in(client, namespaces, config);
        tokio::join!(watching, self.follow());
    }

    async fn follow(mut self) {
        let (mut slices, mut functions) = (self.slices.subscribe(), self.functions.subscribe());
        self.functions.synced().await;
        self.reread();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = slices.next() => match change {
                    Some(Change::Applied(slice)) => self.slice(&slice, true),
                    Some(Change::Deleted(slice)) => self.slice(&slice, false),
                    Some(Change::Reread) => self.reread(),
                    None => return,
                },
                change = functions.next() => match change {
                    Some(Change::Applied(function)) => self.function(&function),
                    Some(Change::Deleted(function)) => self.gone(&function),
                    Some(Change::Reread) => self.reread(),
                    None => return,
                },
                _ = ticks.tick() => self.tick(),
            }
        }
    }

    fn reread(&mut self) {
        self.of_function.clear();
        for slice in self.slices.list() {
            self.of_function.entry(owner(&slice)).or_default().insert(ObjectKey::of(slice.as_ref()));
        }
        let functions = self.functions.list();
        self.forget_all_but(&functions.iter().map(|function| FunctionKey::of(function)).collect());
        for function in functions {
            self.sync(&function);
        }
    }

    fn slice(&mut self, slice: &EndpointSlice, exists: bool) {
        let (owner, key) = (owner(slice), ObjectKey::of(slice));
        let its = self.of_function.entry(owner.clone()).or_default();
        if exists {
            its.insert(key)
        } else {
            its.remove(&key)
        };
        let (namespace, name) = (label(slice, labels::FUNCTION_NAMESPACE), label(slice, labels::FUNCTION_NAME));
        let named = ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(function) = self.functions.get(&named).filter(|function| uid(function.as_ref()) == owner) {
            self.sync(&function);
        }
    }

    /// Forgets the groups of earlier generations and brings that of the present one up to date.
    fn function(&mut self, function: &Function) {
        let key = FunctionKey::of(function);
        for group in self.index.groups() {
            if group.key().uid == key.uid && group.key().generation < key.generation {
                self.forget(group.key());
            }
        }
        self.sync(function);
    }

    fn gone(&mut self, function: &Function) {
        for group in self.index.groups() {
            if group.key().uid == uid(function) {
                self.forget(group.key());
            }
        }
        self.of_function.remove(uid(function));
    }

    /// Forgets the groups of functions that are no more, and of their earlier generations.
    fn forget_all_but(&mut self, declared: &HashSet<FunctionKey>) {
        for group in self.index.groups() {
            if !declared.contains(group.key()) {
                self.forget(group.key());
            }
        }
    }

    fn forget(&mut self, key: &FunctionKey) {
        self.index.forget(key);
        self.listed.retain(|(known, _)| known != key);
        self.unlisted.retain(|(known, _), _| known != key);
    }

    fn sync(&mut self, function: &Function) {
        let key = FunctionKey::of(function);
        let Some(its) = self.of_function.get(&key.uid) else { return };
        let slices = its.iter().filter_map(|slice| self.slices.get(slice));
        let now: Vec<Listed> =
            slices.filter(|slice| generation(slice) == key.generation).flat_map(|slice| ready(&slice)).collect();
        let group = self.index.group(function);
        self.bring(&group, &now);
    }

    fn bring(&mut self, group: &Arc<FunctionEndpoints>, now: &[Listed]) {
        let endpoints = group.endpoints();
        for (name, address) in now {
            let key = (group.key().clone(), name.clone());
            self.unlisted.remove(&key);
            self.listed.insert(key);
            let address = Address::Tcp(*address);
            let known = endpoints.iter().find(|endpoint| *endpoint.id.0 == **name);
            match known {
                // It was suspected, and Kubernetes says again that it is ready.
                Some(endpoint) if endpoint.is_closed() => again(group, endpoint),
                Some(_) => {}
                None => group.add(Endpoint::new(InstanceId(name.as_str().into()), address)),
            }
        }
        for endpoint in endpoints.iter() {
            let key = (group.key().clone(), endpoint.id.to_string());
            if now.iter().any(|(name, _)| *name == key.1) {
                continue;
            }
            if self.listed.remove(&key) {
                group.remove(&endpoint.id);
            } else {
                self.unlisted.entry(key).or_insert_with(Instant::now);
            }
        }
    }

    /// Takes away what the executor told of and no slice has listed for long; what is listed still is tried again.
    fn tick(&mut self) {
        for group in self.index.groups() {
            for endpoint in group.endpoints().iter() {
                let key = (group.key().clone(), endpoint.id.to_string());
                if self.listed.contains(&key) {
                    if endpoint.is_closed() {
                        again(&group, endpoint);
                    }
                    continue;
                }
                if self.unlisted.entry(key.clone()).or_insert_with(Instant::now).elapsed() >= UNLISTED {
                    tracing::warn!(pod = %endpoint.id, "no EndpointSlice lists a pod the executor told of; it is not used");
                    group.remove(&endpoint.id);
                    self.unlisted.remove(&key);
                }
            }
        }
        let groups: HashMap<FunctionKey, Arc<FunctionEndpoints>> =
            self.index.groups().into_iter().map(|group| (group.key().clone(), group)).collect();
        self.unlisted.retain(|(key, name), _| {
            groups.get(key).is_some_and(|group| group.endpoints().iter().any(|one| *one.id.0 == **name))
        });
    }
}

/// Takes an endpoint in again that was closed.
fn again(group: &Arc<FunctionEndpoints>, endpoint: &Endpoint) {
    group.remove(&endpoint.id);
    group.add(Endpoint::new(endpoint.id.clone(), endpoint.address.clone()));
}

fn label<'a>(slice: &'a EndpointSlice, key: &str) -> &'a str {
    slice.metadata.labels.as_ref().and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
}

fn owner(slice: &EndpointSlice) -> String {
    label(slice, labels::FUNCTION_UID).to_owned()
}

fn generation(slice: &EndpointSlice) -> i64 {
    label(slice, labels::FUNCTION_GENERATION).parse().unwrap_or_default()
}

/// Leaves what this index reads of a slice: whose it is, and the names and addresses that are ready.
fn trim(slice: &mut EndpointSlice) {
    slice.metadata.annotations = None;
    slice.metadata.owner_references = None;
    if let Some(all) = &mut slice.metadata.labels {
        all.retain(|key, _| READ_LABELS.contains(&key.as_str()));
    }
    if let Some(endpoints) = &mut slice.endpoints {
        endpoints.retain(is_ready);
        for endpoint in endpoints.iter_mut() {
            let name = endpoint.target_ref.take().and_then(|pod| pod.name);
            let target_ref = name.map(|name| ObjectReference { name: Some(name), ..ObjectReference::default() });
            let addresses = std::mem::take(&mut endpoint.addresses);
            *endpoint = SliceEndpoint { addresses, target_ref, ..SliceEndpoint::default() };
        }
        endpoints.shrink_to_fit();
    }
}

/// Absent is ready, as Kubernetes says.
fn is_ready(endpoint: &SliceEndpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
}

/// The endpoints of a slice that are ready.
pub(crate) fn ready(slice: &EndpointSlice) -> Vec<Listed> {
    let port = slice.ports.iter().flatten().find_map(|port| port.port).and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else { return Vec::new() };
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint));
    ready
        .filter_map(|endpoint| {
            let ip = endpoint.addresses.first()?.parse().ok()?;
            let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.clone()).unwrap_or(format!("{ip}"));
            Some((pod, SocketAddr::new(ip, port)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(generation: i64, pods: &[(&str, &str, bool)]) -> EndpointSlice {
        let endpoints: Vec<_> = pods
            .iter()
            .map(|(name, ip, ready)| {
                json!({ "addresses": [ip], "conditions": { "ready": ready }, "targetRef": { "kind": "Pod", "name": name } })
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": { "name": "fn-hello-x", "namespace": "f", "labels": {
                labels::FUNCTION_NAME: "hello", labels::FUNCTION_NAMESPACE: "default", labels::FUNCTION_UID: "u", labels::FUNCTION_GENERATION: generation.to_string(),
            } },
            "addressType": "IPv4", "ports": [{ "port": 8888 }], "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn function(generation: i64) -> Function {
        let mut function = Function::default();
        function.metadata.uid = Some("u".into());
        function.metadata.name = Some("hello".into());
        function.metadata.namespace = Some("default".into());
        function.metadata.generation = Some(generation);
        function
    }

    fn keeping() -> (SliceIndex, Arc<Index>) {
        let (index, functions) = (Arc::new(Index::default()), Cache::default());
        functions.apply(function(1));
        (SliceIndex::new(index.clone(), functions), index)
    }

    fn put(keeping: &mut SliceIndex, mut slice: EndpointSlice) {
        trim(&mut slice);
        keeping.slices.apply(slice.clone());
        keeping.slice(&slice, true);
    }

    fn names(index: &Index) -> Vec<String> {
        let mut all: Vec<String> = index
            .group(&function(1))
            .endpoints()
            .iter()
            .filter(|endpoint| !endpoint.is_closed())
            .map(|endpoint| endpoint.id.to_string())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn ready_pods_of_the_present_generation_are_endpoints_and_others_are_not() {
        let (mut keeping, index) = keeping();
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true), ("b", "10.0.0.2", false)]));
        assert_eq!(names(&index), ["a"]);
        put(&mut keeping, slice(2, &[("c", "10.0.0.3", true)]));
        assert_eq!(names(&index), Vec::<String>::new());
    }

    #[test]
    fn a_pod_that_is_no_longer_listed_gets_no_requests() {
        let (mut keeping, index) = keeping();
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true), ("b", "10.0.0.2", true)]));
        put(&mut keeping, slice(1, &[("b", "10.0.0.2", true)]));
        assert_eq!(names(&index), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_executor_told_of_stays_until_a_slice_should_have_listed_it() {
        let (mut keeping, index) = keeping();
        let group = index.group(&function(1));
        group.add(Endpoint::new(InstanceId("new".into()), Address::Tcp("10.0.0.9:8888".parse().unwrap())));
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true)]));
        assert_eq!(names(&index), ["a", "new"]);
        keeping.tick();
        tokio::time::advance(UNLISTED).await;
        keeping.tick();
        assert_eq!(names(&index), ["a"]);
    }

    #[test]
    fn a_suspected_pod_that_kubernetes_says_is_ready_is_used_again() {
        let (mut keeping, index) = keeping();
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true)]));
        index.group(&function(1)).endpoints()[0].close();
        assert_eq!(names(&index), Vec::<String>::new());
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true)]));
        assert_eq!(names(&index), ["a"]);
    }

    #[test]
    fn a_suspected_pod_that_stays_listed_is_tried_again_after_a_while() {
        let (mut keeping, index) = keeping();
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true)]));
        index.group(&function(1)).endpoints()[0].close();
        keeping.tick();
        assert_eq!(names(&index), ["a"]);
    }

    #[test]
    fn a_function_that_is_deleted_leaves_nothing() {
        let (mut keeping, index) = keeping();
        put(&mut keeping, slice(1, &[("a", "10.0.0.1", true)]));
        keeping.gone(&function(1));
        assert!(index.groups().is_empty() && keeping.listed.is_empty());
    }
}
