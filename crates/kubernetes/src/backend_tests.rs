//! Pods as instances, against an API server and fetchers that keep a record of what came in which order. Each test has a
//! loopback address of its own, as a pod's fetcher has a port that is always the same.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

use fission_rpc::code::Code;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::template::FETCHER_PORT;
use crate::template::tests::options;

/// The API server's pods and what happened, and how the fetchers answer.
struct World {
    state: Mutex<State>,
    address: Ipv4Addr,
}

#[derive(Default)]
struct State {
    pods: std::collections::BTreeMap<String, Value>,
    happened: Vec<String>,
    /// Patches are answered as if they had been taken.
    swallows: bool,
    /// Nothing is answered but 503.
    is_away: bool,
    /// Requests fetchers got.
    asked: usize,
    /// What fetchers answer; they wait while there is nothing.
    answer: Option<StatusCode>,
}

impl World {
    async fn new() -> Arc<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(127, 88, (std::process::id() % 250) as u8, u8::try_from(number).unwrap());
        let world = Arc::new(Self { state: Mutex::default(), address });
        let listener = tokio::net::TcpListener::bind((address, FETCHER_PORT)).await.unwrap();
        let fetcher = world.clone();
        let specialize = axum::routing::post(move || async move { fetcher.fetch().await });
        let served = axum::serve(listener, axum::Router::new().route("/specialize", specialize)).into_future();
        tokio::spawn(served);
        world
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn fetch(&self) -> StatusCode {
        self.state().asked += 1;
        loop {
            let answer = self.state().answer;
            if let Some(answer) = answer {
                self.state().happened.push("loaded".into());
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn client(self: &Arc<Self>) -> Client {
        let world = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = world.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
                let (code, answer) = world.state().api(&head.method, head.uri.path(), body);
                let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        Client::new(service, "fission")
    }

    /// A generic pod of the environment that is ready, as a backend sees it.
    fn pod(&self, name: &str, more: Value) -> Pod {
        let hash = template::runtime_hash(&environment(), &options());
        let mut pod = json!({
            "metadata": { "name": name, "namespace": "default", "uid": name, "annotations": {}, "labels": {
                labels::ENVIRONMENT_UID: "e-1", labels::MANAGED: "true", RUNTIME_HASH: hash,
            } },
            "status": { "phase": "Running", "podIP": self.address.to_string(), "containerStatuses": [
                { "name": "nodejs", "ready": true, "restartCount": 0, "image": "", "imageID": "" },
            ] },
        });
        json_patch::merge(&mut pod, &more);
        self.state().pods.insert(name.to_owned(), pod.clone());
        serde_json::from_value(pod).unwrap()
    }

    /// A backend that has seen these pods.
    fn backend(self: &Arc<Self>, pods: &[Pod]) -> KubernetesBackend {
        let (environments, functions) = (Cache::default(), Cache::default());
        environments.apply(environment());
        let backend = KubernetesBackend::new(self.client(), options(), environments, functions).unwrap();
        let seen = pods.iter().map(|pod| (ObjectKey::of(pod), Arc::new(pod.clone())));
        backend.shared.pods.replace_all(seen.collect());
        backend
    }

    fn label(&self, pod: &str, label: &str) -> Value {
        self.state().pods[pod]["metadata"]["labels"][label].clone()
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        let seen = async {
            while !is_so(&self.state()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it comes");
    }
}

impl State {
    fn api(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let failed = |code: StatusCode| {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": "x", "message": "it is otherwise" });
            (code, status)
        };
        if self.is_away {
            return failed(StatusCode::SERVICE_UNAVAILABLE);
        }
        let Some(name) = path.strip_prefix("/api/v1/namespaces/default/pods/") else {
            // Deployments and Services: taken as they are.
            return (StatusCode::OK, body);
        };
        let Some(pod) = self.pods.get_mut(name) else { return failed(StatusCode::NOT_FOUND) };
        match *method {
            Method::DELETE => {
                self.happened.push(format!("deleted {name}"));
                (StatusCode::OK, self.pods.remove(name).unwrap())
            }
            Method::PATCH if self.swallows => {
                self.happened.push("swallowed".into());
                (StatusCode::OK, pod.clone())
            }
            Method::PATCH if body.is_array() => {
                let patch: json_patch::Patch = serde_json::from_value(body).unwrap();
                if json_patch::patch(pod, &patch).is_err() {
                    return failed(StatusCode::UNPROCESSABLE_ENTITY);
                }
                self.happened.push("claimed".into());
                (StatusCode::OK, pod.clone())
            }
            Method::PATCH => {
                json_patch::merge(pod, &body);
                self.happened.push(format!("labels {}", body["metadata"]["labels"]));
                (StatusCode::OK, pod.clone())
            }
            _ => (StatusCode::OK, pod.clone()),
        }
    }
}

fn environment() -> Environment {
    serde_json::from_value(json!({
        "metadata": { "name": "nodejs", "namespace": "default", "uid": "e-1" },
        "spec": { "version": 3, "runtime": { "image": "fission/node-env" }, "poolsize": 1 },
    }))
    .unwrap()
}

fn spec(id: &str) -> InstanceSpec {
    InstanceSpec { id: InstanceId(id.into()), environment: Arc::new(environment()), function: None }
}

fn load() -> Load {
    let function = json!({
        "metadata": { "name": "hello", "namespace": "default", "uid": "f-1", "generation": 1, "resourceVersion": "7" },
        "spec": { "environment": { "name": "nodejs" }, "package": { "packageref": { "name": "p" } } },
    });
    let package = json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "p-1", "generation": 1 },
        "spec": { "environment": { "name": "nodejs" }, "deployment": { "literal": "" } },
    });
    Load {
        function: Arc::new(serde_json::from_value(function).unwrap()),
        package: Arc::new(serde_json::from_value(package).unwrap()),
        code: Code { path: Default::default(), digest: String::new() },
        configuration: Default::default(),
        filename: "deployarchive".into(),
        environment_version: 3,
        timeout: Duration::from_secs(20),
    }
}

async fn next_exit(backend: &KubernetesBackend) -> InstanceExit {
    backend.exits().recv().await.expect("a backend that is there")
}

/// Waits until an instance is told to have ended.
async fn ended(backend: &KubernetesBackend) -> String {
    let exit = tokio::time::timeout(Duration::from_secs(20), next_exit(backend)).await;
    exit.expect("it is told").why
}

#[tokio::test]
async fn of_two_executors_that_see_one_pod_one_gets_it() {
    let world = World::new().await;
    world.state().answer = Some(StatusCode::OK);
    let pod = world.pod("pod", json!({}));
    let (one, other) = (world.backend(std::slice::from_ref(&pod)), world.backend(std::slice::from_ref(&pod)));
    one.create(spec("a")).await.unwrap();
    other.create(spec("b")).await.unwrap();
    one.specialize(&InstanceId("a".into()), load()).await.unwrap();
    world.until(|state| state.happened.contains(&"claimed".to_owned())).await;
    // Its fetcher refuses another function; even if it did not, the labels are somebody's.
    world.state().answer = Some(StatusCode::CONFLICT);
    let refused = other.specialize(&InstanceId("b".into()), load()).await.unwrap_err();
    assert!(
        matches!(&refused, BackendError::Broken { why, .. } if why.contains("has a function already")),
        "{refused}"
    );
    world.state().answer = Some(StatusCode::OK);
    other.specialize(&InstanceId("b".into()), load()).await.unwrap();
    let why = ended(&other).await;
    assert!(why.contains("is no longer ours"), "{why}");
    assert!(world.state().pods.contains_key("pod"), "whose it is keeps it");
}

#[tokio::test]
async fn a_claim_the_api_server_took_and_did_not_do_is_made_again() {
    let world = World::new().await;
    world.state().answer = Some(StatusCode::OK);
    let backend = world.backend(&[world.pod("pod", json!({}))]);
    backend.create(spec("a")).await.unwrap();
    world.state().swallows = true;
    backend.specialize(&InstanceId("a".into()), load()).await.unwrap();
    world.until(|state| state.happened.contains(&"swallowed".to_owned())).await;
    world.state().swallows = false;
    world.until(|state| state.happened.contains(&"claimed".to_owned())).await;
    assert_eq!(world.label("pod", labels::FUNCTION_UID), "f-1");
}

#[tokio::test]
async fn routers_see_a_pod_only_after_its_function_is_loaded() {
    let world = World::new().await;
    let backend = world.backend(&[world.pod("pod", json!({}))]);
    backend.create(spec("a")).await.unwrap();
    let id = InstanceId("a".into());
    let loading = backend.specialize(&id, load());
    let answering = async {
        world.until(|state| state.asked == 1).await;
        assert_eq!(world.label("pod", SERVED), Value::Null);
        world.state().answer = Some(StatusCode::OK);
    };
    let (loaded, ()) = tokio::join!(loading, answering);
    loaded.unwrap();
    world.until(|state| state.happened.len() == 2).await;
    assert_eq!(world.state().happened, ["loaded", "claimed"]);
    assert_eq!(world.label("pod", SERVED), "true");
}

#[tokio::test]
async fn a_function_is_served_while_the_api_server_is_away_and_labelled_when_it_is_back() {
    let world = World::new().await;
    world.state().answer = Some(StatusCode::OK);
    let backend = world.backend(&[world.pod("pod", json!({}))]);
    backend.create(spec("a")).await.unwrap();
    world.state().is_away = true;
    backend.specialize(&InstanceId("a".into()), load()).await.unwrap();
    assert_eq!(world.label("pod", SERVED), Value::Null);
    world.state().is_away = false;
    world.until(|state| state.happened.contains(&"claimed".to_owned())).await;
}

#[tokio::test]
async fn a_pod_whose_function_does_not_load_is_never_shown_and_is_deleted() {
    let world = World::new().await;
    world.state().answer = Some(StatusCode::BAD_REQUEST);
    let backend = world.backend(&[world.pod("pod", json!({}))]);
    backend.create(spec("a")).await.unwrap();
    let id = InstanceId("a".into());
    assert!(matches!(backend.specialize(&id, load()).await, Err(BackendError::Refused { status: 400, .. })));
    backend.destroy(&id, Duration::ZERO).await;
    let happened = world.state().happened.clone();
    assert!(happened.contains(&"deleted pod".to_owned()), "{happened:?}");
    assert!(!happened.iter().any(|one| one.contains("served")), "{happened:?}");
}

#[tokio::test]
async fn a_pod_is_hidden_from_routers_before_it_is_deleted() {
    let world = World::new().await;
    world.state().answer = Some(StatusCode::OK);
    let backend = world.backend(&[world.pod("pod", json!({}))]);
    backend.create(spec("a")).await.unwrap();
    let id = InstanceId("a".into());
    backend.specialize(&id, load()).await.unwrap();
    world.until(|state| state.happened.contains(&"claimed".to_owned())).await;
    backend.withdraw(&id).await;
    backend.destroy(&id, Duration::ZERO).await;
    let happened = world.state().happened.clone();
    let at = |what: &str| happened.iter().position(|one| one.contains(what));
    let hidden = at(r#"{"fission.io/served":null}"#).expect("it is hidden");
    assert!(hidden < at("deleted pod").expect("it is deleted"), "{happened:?}");
}

#[tokio::test]
async fn a_new_executor_takes_over_what_serves_and_removes_what_was_left_halfway() {
    let world = World::new().await;
    let serving = json!({ "metadata": {
        "labels": { labels::MANAGED: "false", SERVED: "true", labels::FUNCTION_UID: "f-1", labels::FUNCTION_GENERATION: "1" },
        "annotations": { PACKAGE: "p-1/1", CONFIGURATION: "00" },
    } });
    let mut halfway = serving.clone();
    halfway["metadata"]["labels"][SERVED] = Value::Null;
    let mut orphan = serving.clone();
    orphan["metadata"]["labels"][labels::ENVIRONMENT_UID] = json!("gone");
    let pods = [("serving", serving), ("halfway", halfway), ("orphan", orphan), ("generic", json!({}))]
        .map(|(name, more)| world.pod(name, more));
    let backend = world.backend(&pods);
    let adopted: Vec<String> = backend.adopt().await.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(adopted, ["serving"]);
    let left: Vec<String> = world.state().pods.keys().cloned().collect();
    assert_eq!(left, ["generic", "serving"]);
}
