//! A cluster of one pod whose log grows, is cut and begins again.

use std::sync::Mutex;

use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;

fn pod(labels: serde_json::Value) -> Pod {
    let container = |name: &str| json!({ "name": name, "image": "x" });
    serde_json::from_value(json!({
        "metadata": { "name": "p-1", "namespace": "pods", "uid": "u-1", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "containers": [container("fetcher"), container("nodejs")] },
        "status": { "containerStatuses": [{ "name": "nodejs", "restartCount": 1, "ready": true, "image": "", "imageID": "" }] },
    }))
    .unwrap()
}

fn of_hello() -> Pod {
    pod(
        json!({ "functionName": "hello", "functionNamespace": "default", "environmentName": "nodejs", "executorType": "poolmgr" }),
    )
}

#[test]
fn the_log_of_a_functions_pod_is_its_environments() {
    let source = Source::of(&of_hello()).unwrap();
    assert_eq!((source.pod.as_str(), source.container.as_str()), ("p-1", "nodejs"));
    let LogOwner { namespace, function, instance, environment } = source.owner;
    assert_eq!([namespace, function, instance, environment], ["default", "hello", "p-1", "nodejs"]);
    let container = pod(json!({ "functionName": "hello", "executorType": "container" }));
    assert_eq!(Source::of(&container).unwrap().container, "nodejs");
    assert!(Source::of(&pod(json!({ "environmentName": "nodejs" }))).is_none(), "a generic pod is nobody's");
}

#[derive(Default)]
struct Memory(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Keeper for Memory {
    async fn last(&self, _: &LogOwner, _: Timestamp) -> Option<(Timestamp, usize)> {
        None
    }

    async fn keep(&self, owner: &LogOwner, lines: Vec<Printed>) {
        let text = |line: Printed| String::from_utf8(line.text).unwrap();
        self.0.lock().unwrap().extend(lines.into_iter().map(|line| (owner.function.clone(), text(line))));
    }
}

/// Answers with the listed pod, no changes, and the next of `logs` for each time the log is opened.
async fn answer(
    logs: Arc<Mutex<Vec<&'static str>>>,
    request: Request<Body>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let (code, body) = if path.ends_with("/log") {
        assert!(query.contains("timestamps=true") && query.contains("container=nodejs"), "{query}");
        let previous = query.contains("previous=true").then_some("2026-01-01T00:00:00Z zero\n");
        match previous.or_else(|| logs.lock().unwrap().pop()) {
            Some(log) => (200, log.to_owned()),
            None => (
                400,
                json!({ "kind": "Status", "code": 400, "message": "not yet", "reason": "", "status": "Failure" })
                    .to_string(),
            ),
        }
    } else if query.contains("watch=") {
        std::future::pending::<()>().await;
        unreachable!()
    } else {
        (200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [of_hello()] }).to_string())
    };
    Ok(Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap())
}

#[tokio::test(start_paused = true)]
async fn lines_come_once_though_the_container_began_again_and_the_log_is_cut() {
    let logs = Arc::new(Mutex::new(vec![
        "2026-01-01T00:00:02Z two\n2026-01-01T00:00:03Z three\n",
        "",
        "2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n2026-01-01T00:00:02Z two\n",
        "2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n",
    ]));
    let client = Client::new(
        tower::service_fn({
            let logs = logs.clone();
            move |request| answer(logs.clone(), request)
        }),
        "pods",
    );
    let memory = Arc::new(Memory::default());
    let namespaces = watch::Sender::new(Namespaces::these(["pods"]));
    let following = tokio::spawn(follow(client, namespaces.subscribe(), memory.clone()));
    tokio::time::sleep(Duration::from_secs(120)).await;
    following.abort();
    let kept: Vec<String> =
        memory.0.lock().unwrap().iter().map(|(function, text)| format!("{function}: {text}")).collect();
    assert_eq!(kept, ["hello: zero", "hello: one", "hello: two", "hello: two", "hello: three"]);
}
