//! Pods: running instances as Kubernetes shows them.

use std::sync::{Arc, Mutex};

use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::instances::{InstanceFunction, InstanceInfo, Instances, Phase};
use fission_rpc::logs::{LogError, LogLine, LogOwner, LogQuery, LogReader, Stream};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::world::{ask, get, until, world};

struct Machine {
    instances: Mutex<Vec<InstanceInfo>>,
    changes: watch::Sender<u64>,
}

impl Machine {
    fn set(&self, instances: Vec<InstanceInfo>) {
        *self.instances.lock().unwrap() = instances;
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Instances for Machine {
    fn list(&self) -> Vec<InstanceInfo> {
        self.instances.lock().unwrap().clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

struct Logs;

fn line(text: &str) -> LogLine {
    let owner = LogOwner { instance: "i-1".to_owned(), ..LogOwner::default() };
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    LogLine { id: 1, time, owner, stream: Stream::Stdout, request_id: None, text: text.to_owned() }
}

#[async_trait::async_trait]
impl LogReader for Logs {
    async fn query(&self, query: LogQuery) -> Result<Vec<LogLine>, LogError> {
        let lines = [line("one"), line("two"), line("three")];
        Ok(lines[3 - query.limit.unwrap_or(3).min(3)..].to_vec())
    }

    fn follow(&self, _: LogQuery) -> BoxStream<'static, Result<LogLine, LogError>> {
        stream::iter([Ok(line("one")), Ok(line("more"))]).boxed()
    }
}

fn instance(id: &str, phase: Phase) -> InstanceInfo {
    InstanceInfo {
        id: InstanceId(id.into()),
        namespace: "default".to_owned(),
        phase,
        executor_type: "poolmgr",
        environment: "nodejs".to_owned(),
        environment_uid: "e-uid".to_owned(),
        image: "fission/node-env".to_owned(),
        function: None,
        address: Some(Address::Tcp(([127, 0, 0, 1], 4711).into())),
        pid: Some(42),
        created: Timestamp::from_second(1_700_000_000).unwrap(),
        served: 0,
        ended: None,
        isolation: vec!["user".to_owned(), "pid".to_owned()],
        missing: vec!["seccomp: no filter".to_owned()],
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn pods_show_what_runs_and_follow_it() {
    let (server, _client) = world();
    assert_eq!(get(&server, PODS).await.1["items"], json!([]));
    let machine = Arc::new(Machine { instances: Mutex::default(), changes: watch::Sender::new(0) });
    server.set_pods(machine.clone(), Arc::new(Logs));
    machine.set(vec![instance("i-1", Phase::Generic)]);
    let (_, pod) = get(&server, &format!("{PODS}/i-1")).await;
    assert_eq!(pod["metadata"]["labels"]["managed"], "true");
    assert_eq!(pod["metadata"]["annotations"]["fission.io/isolation"], "user,pid");
    assert_eq!(pod["metadata"]["annotations"]["fission.io/isolation-missing"], "seccomp: no filter");
    assert_eq!((&pod["status"]["phase"], &pod["status"]["podIP"]), (&json!("Running"), &json!("127.0.0.1")));
    let mut specialized = instance("i-1", Phase::Specialized);
    let (name, namespace, uid) = ("hello".to_owned(), "default".to_owned(), "u".to_owned());
    specialized.function = Some(InstanceFunction { name, namespace, uid, generation: 3 });
    machine.set(vec![specialized, instance("i-2", Phase::Starting)]);
    let (_, chosen) = get(&server, &format!("{PODS}?labelSelector=functionName%3Dhello,managed%3Dfalse")).await;
    assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["items"][0]["metadata"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(chosen["items"][0]["metadata"]["labels"]["fission.io/function-generation"], "3");
    assert_eq!(
        get(&server, &format!("{PODS}?fieldSelector=status.phase%3DPending")).await.1["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    machine.set(Vec::new());
    assert_eq!(get(&server, &format!("{PODS}/i-1")).await.0, 404);
}

#[tokio::test]
async fn only_pods_of_instances_that_changed_are_written_again() {
    let (server, _client) = world();
    let machine = Arc::new(Machine { instances: Mutex::default(), changes: watch::Sender::new(0) });
    server.set_pods(machine.clone(), Arc::new(Logs));
    let version = async |id: &str| get(&server, &format!("{PODS}/{id}")).await.1["metadata"]["resourceVersion"].clone();
    machine.set(vec![instance("i-1", Phase::Starting), instance("i-2", Phase::Generic)]);
    let (first, second) = (version("i-1").await, version("i-2").await);
    machine.set(vec![instance("i-1", Phase::Generic), instance("i-2", Phase::Generic)]);
    assert_ne!(version("i-1").await, first);
    assert_eq!(version("i-2").await, second);
    machine.set(vec![instance("i-2", Phase::Generic)]);
    assert_eq!((version("i-1").await, version("i-2").await), (Value::Null, second.clone()));
    machine.set(vec![instance("i-1", Phase::Generic), instance("i-2", Phase::Generic)]);
    assert_ne!(version("i-1").await, Value::Null, "one that comes again as it was is shown again");
}

#[tokio::test]
async fn a_watch_of_pods_sees_instances_come_and_go_by_themselves() {
    let (server, client) = world();
    let machine = Arc::new(Machine { instances: Mutex::default(), changes: watch::Sender::new(0) });
    server.set_pods(machine.clone(), Arc::new(Logs));
    let kind = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Pod"));
    let api = kube::Api::<kube::core::DynamicObject>::default_namespaced_with(client, &kind);
    let stream = api.watch(&kube::api::WatchParams::default(), "0").await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let task = tokio::spawn({
        let seen = seen.clone();
        async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(Ok(event)) = stream.next().await {
                seen.lock().unwrap().push(serde_json::to_value(&event).unwrap()["type"].clone());
            }
        }
    });
    machine.set(vec![instance("i-1", Phase::Starting)]);
    until("the pod appears", || async { seen.lock().unwrap().contains(&json!("ADDED")) }).await;
    machine.set(Vec::new());
    until("the pod goes", || async { seen.lock().unwrap().contains(&json!("DELETED")) }).await;
    task.abort();
}

#[tokio::test]
async fn a_failed_instance_says_why() {
    let (server, _client) = world();
    let machine = Arc::new(Machine { instances: Mutex::default(), changes: watch::Sender::new(0) });
    server.set_pods(machine.clone(), Arc::new(Logs));
    let ended = Some("exit code 3".to_owned());
    machine.set(vec![InstanceInfo { ended, ..instance("i-1", Phase::Failed) }]);
    let (_, pod) = get(&server, &format!("{PODS}/i-1")).await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&pod["status"]["phase"], &terminated["exitCode"]), (&json!("Failed"), &json!(3)));
    assert_eq!(terminated["message"], "exit code 3");
}

#[tokio::test]
async fn a_pods_log_is_what_it_printed() {
    let (server, _client) = world();
    let machine = Arc::new(Machine { instances: Mutex::default(), changes: watch::Sender::new(0) });
    server.set_pods(machine.clone(), Arc::new(Logs));
    machine.set(vec![instance("i-1", Phase::Generic)]);
    let log = |query: &'static str| {
        let server = server.clone();
        async move { get(&server, &format!("{PODS}/i-1/log{query}")).await }
    };
    assert_eq!(log("").await, (200, Value::from("one\ntwo\nthree\n")));
    assert_eq!(log("?tailLines=1&container=nodejs").await, (200, Value::from("three\n")));
    assert_eq!(log("?follow=true").await, (200, Value::from("one\nmore\n")));
    assert_eq!(log("?limitBytes=5").await, (200, Value::from("one\nt")));
    assert_eq!(log("?timestamps=true&tailLines=1").await, (200, Value::from("2023-11-14T22:13:20Z three\n")));
    assert_eq!(log("?sinceTime=never").await.0, 400);
    assert_eq!(get(&server, &format!("{PODS}/none/log")).await.0, 404);
    assert_eq!(ask(&server, Method::POST, &format!("{PODS}/i-1/log"), "", "").await.0, 405);
}
