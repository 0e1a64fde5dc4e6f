//! The whole of it against an API server that keeps what it is given.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::wanted::tests::trigger;
use super::*;

/// Objects by path, and what was written.
#[derive(Default)]
struct Server {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    has_gateway: bool,
    version: u64,
}

const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/fission/ingresses";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/fission/httproutes";

impl Server {
    fn client(this: &Arc<Mutex<Self>>) -> Client {
        let server = this.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (code, answer) = server.lock().unwrap().answer(&head.method, head.uri.path(), body);
                let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        Client::new(service, "fission")
    }

    fn answer(&mut self, method: &Method, path: &str, mut body: Value) -> (StatusCode, Value) {
        let failed = |code: StatusCode, reason: &str| {
            let status = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code.as_u16(),
                "message": reason,
            });
            (code, status)
        };
        if path.starts_with(ROUTES) && !self.has_gateway {
            return failed(StatusCode::NOT_FOUND, "NotFound");
        }
        if *method != Method::GET {
            self.writes.push(format!("{method} {path}"));
        }
        self.version += 1;
        let version = json!(self.version.to_string());
        let is_collection = [INGRESSES, ROUTES].contains(&path);
        let key = match (method, is_collection) {
            (&Method::POST, _) => format!("{path}/{}", body["metadata"]["name"].as_str().unwrap()),
            _ => path.trim_end_matches("/status").to_owned(),
        };
        match *method {
            Method::GET if is_collection => {
                let all = self.objects.iter().filter(|(key, _)| key.starts_with(path));
                let items: Vec<&Value> = all.map(|(_, object)| object).collect();
                let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items });
                (StatusCode::OK, list)
            }
            Method::POST if self.objects.contains_key(&key) => failed(StatusCode::CONFLICT, "AlreadyExists"),
            Method::POST | Method::PUT => {
                body["metadata"]["resourceVersion"] = version.clone();
                if *method == Method::POST {
                    body["metadata"]["uid"] = version;
                }
                self.objects.insert(key, body.clone());
                (StatusCode::OK, body)
            }
            Method::DELETE => match self.objects.remove(&key) {
                Some(object) => (StatusCode::OK, object),
                None => failed(StatusCode::NOT_FOUND, "NotFound"),
            },
            Method::PATCH => {
                let Some(object) = self.objects.get_mut(&key) else { return failed(StatusCode::NOT_FOUND, "NotFound") };
                if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return failed(StatusCode::CONFLICT, "Conflict");
                }
                object["status"] = body["status"].clone();
                object["metadata"]["resourceVersion"] = version;
                (StatusCode::OK, object.clone())
            }
            _ => match self.objects.get(&key) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => failed(StatusCode::NOT_FOUND, "NotFound"),
            },
        }
    }
}

/// A server, and what looks after it.
struct World {
    server: Arc<Mutex<Server>>,
    exposure: Exposure,
}

impl World {
    fn new() -> Self {
        let server = Arc::default();
        Self { exposure: Exposure::new(Server::client(&server), "fission"), server }
    }

    fn key(trigger: &HTTPTrigger) -> String {
        format!("/apis/fission.io/v1/namespaces/{}/httptriggers/{}", namespace(trigger), name(trigger))
    }

    fn store(&self, trigger: &HTTPTrigger) {
        let object = serde_json::to_value(trigger).unwrap();
        self.server.lock().unwrap().objects.insert(Self::key(trigger), object);
    }

    /// One look at these triggers; what was written.
    async fn look(&mut self, triggers: &[&HTTPTrigger]) -> Vec<String> {
        let triggers: Vec<_> = triggers.iter().map(|one| Arc::new((*one).clone())).collect();
        self.exposure.look(&triggers).await;
        let writes = std::mem::take(&mut self.server.lock().unwrap().writes);
        let short = |write: String| write.replace(INGRESSES, "ingresses").replace(ROUTES, "httproutes");
        writes.into_iter().map(short).collect()
    }

    /// The trigger as it is stored now, and what its status says.
    fn told(&self, trigger: &HTTPTrigger) -> (HTTPTrigger, String) {
        let stored = self.server.lock().unwrap().objects[&Self::key(trigger)].clone();
        let condition = stored["status"]["conditions"][0].clone();
        let said = format!("{} {}", condition["status"], condition["reason"]).replace('"', "");
        (serde_json::from_value(stored).unwrap(), said)
    }
}

fn ingress() -> HTTPTrigger {
    trigger("shop", "cart", json!({ "createingress": true }))
}

fn gateway() -> HTTPTrigger {
    let gateway = json!({ "parentRefs": [{ "name": "main" }] });
    trigger("shop", "cart", json!({ "routeConfig": { "provider": "gateway", "gateway": gateway } }))
}

const STATUS: &str = "PATCH /apis/fission.io/v1/namespaces/shop/httptriggers/cart/status";

#[tokio::test(start_paused = true)]
async fn an_ingress_comes_is_put_right_and_goes_with_its_trigger() {
    let mut world = World::new();
    let cart = ingress();
    world.store(&cart);
    assert_eq!(world.look(&[&cart]).await, ["POST ingresses", STATUS]);
    let (cart, said) = world.told(&cart);
    assert_eq!(said, "True Exposed");
    assert_eq!(world.look(&[&cart]).await, [""; 0], "nothing is written twice");
    let key = format!("{INGRESSES}/cart");
    world.server.lock().unwrap().objects.get_mut(&key).unwrap()["spec"]["rules"] = json!([]);
    tokio::time::advance(LOOK).await;
    assert_eq!(world.look(&[&cart]).await, ["PUT ingresses/cart"]);
    world.server.lock().unwrap().objects.remove(&World::key(&cart));
    assert_eq!(world.look(&[]).await, ["DELETE ingresses/cart"]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_stops_asking_is_told_nothing_any_more() {
    let mut world = World::new();
    let cart = ingress();
    world.store(&cart);
    world.look(&[&cart]).await;
    let (mut cart, _) = world.told(&cart);
    cart.spec.create_ingress = false;
    assert_eq!(world.look(&[&cart]).await, ["DELETE ingresses/cart", STATUS]);
    assert_eq!(world.told(&cart).1, "null null");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_is_only_not_seen_yet_keeps_its_route() {
    let mut world = World::new();
    let cart = ingress();
    world.store(&cart);
    world.look(&[&cart]).await;
    // A new leader that does not look at this namespace yet.
    world.exposure = Exposure::new(Server::client(&world.server), "fission");
    assert_eq!(world.look(&[]).await, [""; 0]);
    let (cart, _) = world.told(&cart);
    assert_eq!(world.look(&[&cart]).await, [""; 0]);
    assert_eq!(world.look(&[]).await, [""; 0]);
    tokio::time::advance(UNSEEN).await;
    assert_eq!(world.look(&[]).await, ["DELETE ingresses/cart"], "nobody looks at that namespace any more");
}

#[tokio::test(start_paused = true)]
async fn without_the_gateway_api_the_trigger_says_so_until_it_is_there() {
    let mut world = World::new();
    let cart = gateway();
    world.store(&cart);
    assert_eq!(world.look(&[&cart]).await, [STATUS]);
    let (cart, said) = world.told(&cart);
    assert_eq!(said, "False GatewayApiMissing");
    world.server.lock().unwrap().has_gateway = true;
    tokio::time::advance(LOOK).await;
    assert_eq!(world.look(&[&cart]).await, ["POST httproutes", STATUS]);
    assert_eq!(world.told(&cart).1, "True Exposed");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_changes_its_kind_is_never_without_one() {
    let mut world = World::new();
    world.server.lock().unwrap().has_gateway = true;
    let cart = ingress();
    world.store(&cart);
    world.look(&[&cart]).await;
    let mut next = gateway();
    next.status = world.told(&cart).0.status;
    next.metadata.resource_version = world.told(&cart).0.metadata.resource_version;
    assert_eq!(world.look(&[&next]).await, ["POST httproutes", "DELETE ingresses/cart", STATUS]);
}

#[tokio::test(start_paused = true)]
async fn what_the_router_said_meanwhile_is_not_undone() {
    let mut world = World::new();
    let cart = ingress();
    world.store(&cart);
    {
        let mut server = world.server.lock().unwrap();
        let stored = server.objects.get_mut(&World::key(&cart)).unwrap();
        let routers = json!({
            "type": "Ready", "status": "True", "reason": "RouteAdmitted", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        stored["status"] = json!({ "conditions": [routers] });
        stored["metadata"]["resourceVersion"] = json!("written-by-the-router");
    }
    assert_eq!(world.look(&[&cart]).await, ["POST ingresses", STATUS, STATUS]);
    let told = world.told(&cart).0.status.unwrap().conditions;
    let kinds: Vec<&str> = told.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(kinds, ["Ready", "Exposed"]);
}
