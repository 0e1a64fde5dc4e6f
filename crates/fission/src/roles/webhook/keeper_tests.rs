//! Several keepers, one Secret and one configuration of a cluster that only keeps those two.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use super::super::certificate::{LIFE, SETTLE};
use super::*;

/// The two objects.
#[derive(Default)]
struct Objects {
    secret: Option<Value>,
    configuration: Option<Value>,
    version: u64,
}

#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Objects>>);

impl Cluster {
    fn client(&self) -> Client {
        let cluster = self.clone();
        Client::new(tower::service_fn(move |request| cluster.clone().answer(request)), "fission")
    }

    fn keeper(&self) -> Keeper {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = self.client();
        Keeper {
            secrets: Api::namespaced(client.clone(), "fission"),
            secret: "tls".into(),
            configurations: Api::all(client),
            configuration: "validating".into(),
            hosts: "webhook-service.fission.svc".into(),
            served: Served::nothing(),
            last: None,
            trusted: None,
            complaint: String::new(),
        }
    }

    fn configure(&self) {
        let webhook = |name: &str| json!({ "name": name, "clientConfig": {}, "sideEffects": "None", "admissionReviewVersions": [] });
        let configuration = json!({ "metadata": { "name": "validating" }, "webhooks": [webhook("a"), webhook("b")] });
        self.0.lock().unwrap().configuration = Some(configuration);
    }

    fn kept(&self) -> Kept {
        read(&serde_json::from_value(self.0.lock().unwrap().secret.clone().unwrap()).unwrap()).unwrap()
    }

    fn bundles(&self) -> Vec<String> {
        let objects = self.0.lock().unwrap();
        let configuration = serde_json::from_value(objects.configuration.clone().unwrap()).unwrap();
        let ValidatingWebhookConfiguration { webhooks, .. } = configuration;
        let of = |bundle: Option<ByteString>| String::from_utf8(bundle.unwrap_or_default().0).unwrap();
        webhooks.unwrap().into_iter().map(|webhook| of(webhook.client_config.ca_bundle)).collect()
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
        let mut objects = self.0.lock().unwrap();
        objects.version += 1;
        let version = Value::from(objects.version.to_string());
        let is_secret = parts.uri.path().contains("/secrets");
        let place = if is_secret { &mut objects.secret } else { &mut objects.configuration };
        let (code, answer) = match (&parts.method, place.as_mut()) {
            (&Method::GET, Some(object)) => (200, object.clone()),
            (&Method::POST, None) => {
                *place = Some(body);
                (201, Value::Null)
            }
            (&Method::PUT, Some(object))
                if object["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"] =>
            {
                *object = body;
                (200, Value::Null)
            }
            (&Method::PUT | &Method::POST, Some(_)) => (409, Value::Null),
            (&Method::PATCH, Some(object)) => {
                for patch in body["webhooks"].as_array().unwrap() {
                    let webhooks = object["webhooks"].as_array_mut().unwrap();
                    let webhook = webhooks.iter_mut().find(|webhook| webhook["name"] == patch["name"]).unwrap();
                    webhook["clientConfig"]["caBundle"] = patch["clientConfig"]["caBundle"].clone();
                }
                (200, Value::Null)
            }
            _ => (404, Value::Null),
        };
        let answer = match (code, &parts.method) {
            (200 | 201, &Method::GET) => answer,
            (200 | 201, _) => {
                let object = place.as_mut().unwrap();
                object["metadata"]["resourceVersion"] = version;
                object.clone()
            }
            _ => {
                let reason = if code == 404 { "NotFound" } else { "Conflict" };
                json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "" })
            }
        };
        Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap())
    }
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[tokio::test]
async fn several_processes_agree_on_one_certificate_and_the_configuration_trusts_it() {
    let cluster = Cluster::default();
    cluster.configure();
    let mut keepers: Vec<Keeper> = (0..3).map(|_| cluster.keeper()).collect();
    let looks = keepers.iter_mut().map(|keeper| keeper.look(now()));
    futures_util::future::join_all(looks).await.into_iter().for_each(|look| look.unwrap());
    let kept = cluster.kept();
    assert!(keepers.iter().all(|keeper| keeper.last.as_ref() == Some(&kept)));
    assert_eq!(cluster.bundles(), [kept.bundle(), kept.bundle()]);
}

#[tokio::test]
async fn what_somebody_else_changed_or_took_away_is_put_back() {
    let cluster = Cluster::default();
    cluster.configure();
    let mut keeper = cluster.keeper();
    keeper.look(now()).await.unwrap();
    let kept = cluster.kept();
    cluster.configure();
    cluster.0.lock().unwrap().secret = None;
    keeper.look(now()).await.unwrap();
    assert_eq!(cluster.kept(), kept);
    assert_eq!(cluster.bundles(), [kept.bundle(), kept.bundle()]);
}

#[tokio::test]
async fn without_a_configuration_there_is_a_certificate_all_the_same() {
    let cluster = Cluster::default();
    let mut keeper = cluster.keeper();
    let said = keeper.look(now()).await.unwrap_err().to_string();
    assert!(said.contains("validating"), "{said}");
    keeper.served.is_there().await;
    cluster.configure();
    keeper.look(now()).await.unwrap();
    assert_eq!(cluster.bundles()[0], cluster.kept().bundle());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_certificates_tells_the_new_authority_first() {
    let cluster = Cluster::default();
    cluster.configure();
    let (mut one, mut other) = (cluster.keeper(), cluster.keeper());
    one.look(now()).await.unwrap();
    let first = cluster.kept();
    let later = now() + LIFE / 4 * 3;
    for keeper in [&mut one, &mut other] {
        keeper.look(later).await.unwrap();
    }
    let prepared = cluster.kept();
    assert_eq!(prepared.current, first.current);
    assert_eq!(cluster.bundles()[1], prepared.bundle());
    one.look(later).await.unwrap();
    assert_eq!(cluster.kept().current, first.current, "the cluster had no time to learn of it");
    tokio::time::advance(SETTLE).await;
    one.look(later).await.unwrap();
    let switched = cluster.kept();
    assert_eq!(Some(&switched.current), prepared.next.as_ref());
    assert!(cluster.bundles()[0].contains(&first.current.authority), "the other process still serves the old one");
    other.look(later).await.unwrap();
    assert_eq!(other.last, Some(switched));
}
