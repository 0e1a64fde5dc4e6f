//! Pods: the running instances, shown as Kubernetes shows them. Read-only, and never on disk.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use fission_api::labels;
use fission_rpc::endpoint::Address;
use fission_rpc::instances::{InstanceInfo, Instances, Phase};
use fission_rpc::logs::LogReader;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::core_kinds::{computed, path};
use crate::registry::{Column, PODS, age};
use crate::storage::{Draft, Key, Object, Op, Range, Store};

/// Name of the only node there is.
const NODE: &str = "localhost";
/// Changes of pods written at once.
const IN_FLIGHT: usize = 64;
/// Annotation: what isolation was really applied, one word each.
const ISOLATION: &str = "fission.io/isolation";
/// Annotation: what it should have been isolated by and is not, each with the reason.
const MISSING: &str = "fission.io/isolation-missing";
/// Annotation: where the instance listens.
const ADDRESS: &str = "fission.io/address";
/// Annotation: its process id on this machine.
const PROCESS: &str = "fission.io/pid";
/// Annotation: requests it has served.
const SERVED: &str = "fission.io/requests-served";
/// Annotation: where it stands, in the platform's words.
const PHASE: &str = "fission.io/phase";

/// Where pods come from.
pub(crate) struct Pods {
    /// What runs.
    pub(crate) instances: Arc<dyn Instances>,
    /// What it printed.
    pub(crate) logs: Arc<dyn LogReader>,
    /// What each pod in the store was made from, by its fingerprint; locked by who writes pods.
    shown: Mutex<HashMap<Key, u64>>,
}

impl Pods {
    /// Pods of these instances.
    pub(crate) fn new(instances: Arc<dyn Instances>, logs: Arc<dyn LogReader>) -> Self {
        Self { instances, logs, shown: Mutex::default() }
    }

    /// Brings the pods in the store up to what runs now. Most of them changed nothing since the last time, and those are
    /// not made again: something changes with each start, and all pods together are megabytes.
    pub(crate) async fn sync(&self, store: &Store) {
        let mut shown = self.shown.lock().await;
        let running = self.instances.list();
        let mut writes = Vec::new();
        {
            let state = store.read();
            let all = Range::of(PODS, None);
            let mut gone: HashMap<&Key, u64> = state.range(&all).map(|(key, object)| (key, object.rv)).collect();
            for instance in &running {
                let key = Key::new(PODS, &instance.namespace, &instance.id.0);
                let is_there = gone.remove(&key).is_some();
                let news = fingerprint(instance);
                if is_there && shown.get(&key) == Some(&news) {
                    continue;
                }
                match show(instance, state.get(&key)) {
                    Some(op) => writes.push((key, op, Some(news))),
                    None => drop(shown.insert(key, news)),
                }
            }
            writes.extend(gone.into_iter().map(|(key, rv)| (key.clone(), Op::Delete(rv), None)));
        }
        let write = |(key, op, news): (Key, Op, Option<u64>)| async move {
            store.write(key.clone(), op).await.map(|_| (key, news))
        };
        let mut done = stream::iter(writes).map(write).buffered(IN_FLIGHT);
        while let Some(outcome) = done.next().await {
            match outcome {
                Ok((key, Some(news))) => drop(shown.insert(key, news)),
                Ok((key, None)) => drop(shown.remove(&key)),
                Err(error) => tracing::debug!(?error, "a pod could not be shown; the next change tries again"),
            }
        }
    }
}

/// Changes when anything of an instance does that its pod shows.
fn fingerprint(instance: &InstanceInfo) -> u64 {
    let mut hasher = DefaultHasher::new();
    instance.hash(&mut hasher);
    hasher.finish()
}

/// What makes an instance's pod say how it is now; nothing if it does.
fn show(instance: &InstanceInfo, shown: Option<&Arc<Object>>) -> Option<Op> {
    let Some(before) = shown else {
        return Some(Op::Create(Draft::new(&pod(instance, &uuid::Uuid::new_v4().to_string()))));
    };
    let value = before.value();
    let mut pod = pod(instance, value["metadata"]["uid"].as_str().unwrap_or_default());
    pod["metadata"]["resourceVersion"] = before.rv.to_string().into();
    (pod != value).then(|| Op::Update(Draft::new(&pod), before.rv))
}

fn pod(instance: &InstanceInfo, uid: &str) -> Value {
    let mut labels = Map::new();
    let mut label = |key: &str, value: &str| labels.insert(key.to_owned(), value.into());
    label(labels::EXECUTOR_TYPE, instance.executor_type);
    label(labels::ENVIRONMENT_NAME, &instance.environment);
    label(labels::ENVIRONMENT_NAMESPACE, &instance.namespace);
    label(labels::ENVIRONMENT_UID, &instance.environment_uid);
    label(labels::MANAGED, if instance.function.is_none() { "true" } else { "false" });
    if let Some(function) = &instance.function {
        label(labels::FUNCTION_NAME, &function.name);
        label(labels::FUNCTION_NAMESPACE, &function.namespace);
        label(labels::FUNCTION_UID, &function.uid);
        label(labels::FUNCTION_GENERATION, &function.generation.to_string());
    }
    let mut annotations = Map::new();
    annotations.insert(ISOLATION.to_owned(), instance.isolation.join(",").into());
    if !instance.missing.is_empty() {
        annotations.insert(MISSING.to_owned(), instance.missing.join("; ").into());
    }
    annotations.insert(PHASE.to_owned(), format!("{:?}", instance.phase).into());
    annotations.insert(SERVED.to_owned(), instance.served.to_string().into());
    if let Some(address) = &instance.address {
        annotations.insert(ADDRESS.to_owned(), address.to_string().into());
    }
    if let Some(pid) = instance.pid {
        annotations.insert(PROCESS.to_owned(), pid.to_string().into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": &*instance.id.0, "namespace": instance.namespace, "uid": uid,
            "creationTimestamp": seconds(instance.created), "labels": labels, "annotations": annotations,
        },
        "spec": {
            "nodeName": NODE, "restartPolicy": "Never",
            "containers": [{ "name": instance.environment, "image": instance.image, "resources": {} }],
        },
        "status": status(instance),
    })
}

fn status(instance: &InstanceInfo) -> Value {
    let started = seconds(instance.created);
    let ready = matches!(instance.phase, Phase::Generic | Phase::Specialized);
    let (phase, state) = match instance.phase {
        Phase::Starting => ("Pending", json!({ "waiting": { "reason": "ContainerCreating" } })),
        Phase::Failed => {
            let why = instance.ended.as_deref().unwrap_or("ended by itself");
            ("Failed", json!({ "terminated": { "exitCode": exit_code(why), "reason": "Error", "message": why } }))
        }
        Phase::Generic | Phase::Specializing | Phase::Specialized | Phase::Draining => {
            ("Running", json!({ "running": { "startedAt": started } }))
        }
    };
    let truth = |it: bool| if it { "True" } else { "False" };
    let condition = |kind: &str, it: bool| json!({ "type": kind, "status": truth(it), "lastTransitionTime": started });
    let mut status = json!({
        "phase": phase,
        "startTime": started,
        "hostIP": "127.0.0.1",
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", true),
            condition("ContainersReady", ready), condition("Ready", ready),
        ],
        "containerStatuses": [{
            "name": instance.environment, "image": instance.image, "imageID": "", "ready": ready, "restartCount": 0,
            "started": phase == "Running", "state": state,
        }],
    });
    if let Some(ended) = &instance.ended {
        status["message"] = ended.as_str().into();
    }
    if let Some(Address::Tcp(address)) = &instance.address {
        status["podIP"] = address.ip().to_string().into();
        status["podIPs"] = json!([{ "ip": address.ip().to_string() }]);
    }
    status
}

/// The number in `exit code 3`; 1 when it ended otherwise.
fn exit_code(why: &str) -> i64 {
    why.split_whitespace().filter_map(|word| word.trim_matches([',', '.', ':', ';']).parse().ok()).next().unwrap_or(1)
}

fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Columns of printed pods.
pub(crate) fn columns() -> Vec<Column> {
    let ready = computed("Ready", |pod| {
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        format!("{}/1", u8::from(ready)).into()
    });
    let status = computed("Status", |pod| {
        let state = &pod["status"]["containerStatuses"][0]["state"];
        let reason = state["waiting"]["reason"].as_str().or(state["terminated"]["reason"].as_str());
        let draining = pod["metadata"]["annotations"][PHASE] == "Draining";
        let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
        reason.unwrap_or(if draining { "Terminating" } else { phase }).into()
    });
    let restarts =
        Column { kind: "integer".to_owned(), ..path("Restarts", ".status.containerStatuses[0].restartCount") };
    let wide = |column: Column| Column { priority: 1, ..column };
    vec![
        ready,
        status,
        restarts,
        age(),
        wide(path("IP", ".status.podIP")),
        wide(path("Node", ".spec.nodeName")),
        wide(path("Function", ".metadata.labels.functionName")),
    ]
}
