//! The paths of Fission's executor, as Fission's own routers ask.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fission_api::ExecutorType;
use fission_executor::Options;
use fission_executor::http::{Scaled, http};
use fission_rpc::demand::{Activity, DemandAnswer, DemandReport, EndpointAddress};
use fission_testkit::{ScriptedBackend, eventually, fixtures};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// A function that Kubernetes scales, with one pod.
#[derive(Default)]
struct OnePod {
    active: std::sync::Mutex<Vec<String>>,
}

#[async_trait]
impl Scaled for OnePod {
    async fn demand(&self, _: DemandReport) -> DemandAnswer {
        let pod = EndpointAddress { name: "pod".into(), address: ([10, 0, 0, 1], 8888).into() };
        DemandAnswer { endpoints: vec![pod], ..DemandAnswer::default() }
    }

    fn activity(&self, activity: &Activity) {
        self.active.lock().unwrap().extend(activity.functions.iter().map(|one| one.uid.clone()));
    }

    fn address(&self, function: &Function) -> String {
        format!("{}.default.svc.cluster.local.:80", function.metadata.name.as_deref().unwrap_or_default())
    }
}

/// The executor as its clients see it.
struct Asked {
    world: World,
    scaled: Arc<OnePod>,
    paths: axum::Router,
}

impl Asked {
    fn new(poolsize: i64) -> Self {
        let world = World::over(ScriptedBackend::outliving(), Options::default(), poolsize);
        let scaled = Arc::new(OnePod::default());
        let paths = http(world.pool_manager.clone(), scaled.clone());
        Self { world, scaled, paths }
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, String) {
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string()));
        let response = self.paths.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn service_for(&self, function: &Arc<Function>) -> (StatusCode, String) {
        self.post("/v2/getServiceForFunction", serde_json::to_value(&**function).unwrap()).await
    }

    async fn untap(&self, function: &Arc<Function>, address: &str) -> StatusCode {
        self.post("/v2/unTapService", service(function, "poolmgr", address)).await.0
    }
}

fn service(function: &Arc<Function>, executor_type: &str, url: &str) -> Value {
    let meta = &function.metadata;
    json!({ "FnMetadata": { "name": meta.name, "namespace": meta.namespace, "resourceVersion": "1", "uid": meta.uid },
            "FnExecutorType": executor_type, "ServiceURL": url })
}

#[tokio::test(start_paused = true)]
async fn an_address_is_one_calls_until_it_is_given_back() {
    let asked = Asked::new(2);
    let function = asked.world.declare(fixtures::function("hello"));
    let (status, first) = asked.service_for(&function).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert!(first.parse::<std::net::SocketAddr>().is_ok(), "an address without a scheme: {first}");
    let (_, second) = asked.service_for(&function).await;
    assert_ne!(first, second, "the first one is taken");

    assert_eq!(asked.untap(&function, &first).await, StatusCode::OK);
    eventually("it is free again", || asked.world.index.group(&function).demand().in_flight == 1).await;
    assert_eq!(asked.service_for(&function).await, (StatusCode::OK, first));
}

#[tokio::test(start_paused = true)]
async fn an_address_nobody_gives_back_is_free_when_the_call_cannot_last_any_longer() {
    let asked = Asked::new(1);
    let function = asked.world.declare(fixtures::function("hello"));
    let (_, address) = asked.service_for(&function).await;
    tokio::time::sleep(Duration::from_secs(69)).await;
    assert_eq!(asked.world.index.group(&function).demand().in_flight, 1, "60 s for the call, and some more");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(asked.service_for(&function).await, (StatusCode::OK, address));
}

#[tokio::test(start_paused = true)]
async fn more_is_made_beside_what_a_router_finds_busy_up_to_the_functions_limit() {
    let asked = Asked::new(3);
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 2;
    let function = asked.world.declare(function);
    let (_, first) = asked.service_for(&function).await;
    let lacking = json!({ "function": &*function, "observedReadyEndpoints": 1, "observedBusyEndpoints": 1 });
    let (status, second) = asked.post("/v2/ensureCapacity", lacking.clone()).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert_ne!(first, second);
    let (status, why) = asked.post("/v2/ensureCapacity", lacking).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(why.contains("concurrency '2' limit reached"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_is_tapped_is_not_idle_and_what_is_gone_is_said() {
    let asked = Asked::new(1);
    let mut function = fixtures::function("hello");
    function.spec.idle_timeout = Some(0);
    let function = asked.world.declare(function);
    let (_, address) = asked.service_for(&function).await;
    let tap = json!([service(&function, "poolmgr", &format!("http://{address}"))]);
    // Idleness is measured on real time, so that a pause of the program's own is none.
    assert_eq!(asked.untap(&function, &address).await, StatusCode::OK);
    let endpoint = asked.world.index.group(&function).endpoints()[0].clone();
    // No time passes meanwhile in which it would be reaped.
    while endpoint.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    while endpoint.idle_for() < ms(50) {
        tokio::task::yield_now().await;
    }
    let began = std::time::Instant::now();
    assert_eq!(asked.post("/v2/tapServices", tap.clone()).await.0, StatusCode::OK);
    assert!(endpoint.idle_for() <= began.elapsed() + ms(1), "in use as of now");

    eventually("it is reaped", || endpoint.is_closed()).await;
    eventually("it is forgotten", || asked.world.index.group(&function).endpoints().is_empty()).await;
    let (status, why) = asked.post("/v2/tapServices", tap).await;
    assert_eq!((status, why.contains(&address)), (StatusCode::NOT_FOUND, true), "{why}");
}

#[tokio::test(start_paused = true)]
async fn functions_that_kubernetes_scales_are_their_service() {
    let asked = Asked::new(0);
    let mut function = fixtures::function("hello");
    function.spec.invoke_strategy.execution_strategy.executor_type = ExecutorType::Newdeploy;
    let function = asked.world.declare(function);
    let address = "hello.default.svc.cluster.local.:80".to_owned();
    assert_eq!(asked.service_for(&function).await, (StatusCode::OK, address.clone()));
    let tap = json!([service(&function, "newdeploy", &format!("http://{address}"))]);
    assert_eq!(asked.post("/v2/tapServices", tap).await.0, StatusCode::OK);
    assert_eq!(*asked.scaled.active.lock().unwrap(), [function.metadata.uid.clone().unwrap()]);

    let untapped = asked.post("/v2/unTapService", service(&function, "newdeploy", &address)).await;
    assert_eq!(untapped.0, StatusCode::BAD_REQUEST);
    let lacking = json!({ "function": &*function, "observedReadyEndpoints": 1, "observedBusyEndpoints": 1 });
    assert_eq!(asked.post("/v2/ensureCapacity", lacking).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_gone_is_not_found() {
    let asked = Asked::new(0);
    let function = Arc::new(fixtures::function("hello"));
    let (status, why) = asked.service_for(&function).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{why}");
}
