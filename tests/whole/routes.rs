//! What reaches which function, what the function sees, and what the client gets to know.

use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::world::{Platform, eventually};

/// Tells everything it sees.
const MIRROR: &str = "module.exports = async (c) => ({ status: 200, body: { method: c.request.method, url: c.request.originalUrl, headers: c.request.headers } });";

/// A platform with the function `mirror` and no route.
fn start() -> Platform {
    let platform = Platform::start();
    let path = platform.source("mirror.js", MIRROR);
    platform.ok(&["env", "create", "--name", "node", "--image", "fission/node-env", "--poolsize", "1"]);
    platform.ok(&["function", "create", "--name", "mirror", "--env", "node", "--code", &path, "--rpp", "50"]);
    platform
}

fn route(platform: &Platform, name: &str, arguments: &[&str]) {
    platform.ok(&[&["route", "create", "--name", name, "--function", "mirror"], arguments].concat());
}

/// Applies a trigger with a field the command line has no flag for.
fn trigger(platform: &Platform, name: &str, spec: &str) {
    let text = format!("apiVersion: fission.io/v1\nkind: HTTPTrigger\nmetadata: {{ name: {name} }}\nspec: {spec}\n");
    platform.kubectl(&["apply", "-f", &platform.source(&format!("{name}.yaml"), &text)]);
}

/// What the mirror saw of a GET.
async fn seen(platform: &Platform, path: &str) -> Value {
    let (status, body) = platform.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The status of a GET as it is now.
async fn status(platform: &Platform, path: &str) -> u16 {
    platform.http().get(format!("{}{path}", platform.router)).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_and_path_variables_reach_the_function() {
    let platform = start();
    route(&platform, "cut", &["--prefix", "/cut"]);
    route(&platform, "kept", &["--prefix", "/kept", "--keepprefix"]);
    route(&platform, "user", &["--url", "/users/{id:[0-9]+}/{part}"]);
    route(&platform, "me", &["--url", "/users/me/{part}"]);
    assert_eq!(seen(&platform, "/cut/a/b?q=1").await["url"], "/a/b?q=1");
    assert_eq!(seen(&platform, "/cut").await["url"], "/");
    assert_eq!(seen(&platform, "/kept/a/b").await["url"], "/kept/a/b");
    let user = seen(&platform, "/users/42/name?x=y").await;
    assert_eq!(user["url"], "/?x=y", "a trigger with an exact path sees the root");
    assert_eq!(user["headers"]["x-fission-params-id"], "42");
    assert_eq!(user["headers"]["x-fission-params-part"], "name");
    assert_eq!(user["headers"]["x-fission-full-url"], "/users/42/name?x=y");
    assert!(seen(&platform, "/users/me/name").await["headers"].get("x-fission-params-id").is_none());
    assert_eq!(status(&platform, "/users/4x/name").await, 404);
    assert_eq!(status(&platform, "/cutter").await, 404, "a prefix ends at a slash");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_see_who_asks_and_nothing_a_client_made_up() {
    let platform = start();
    route(&platform, "r", &["--url", "/r"]);
    seen(&platform, "/r").await;
    let request = platform.http().get(format!("{}/r", platform.router)).header("X-Fission-Function-Name", "forged");
    let response = request.header("X-Fission-Request-ID", "mine-1").send().await.unwrap();
    assert_eq!(response.headers()["x-fission-request-id"], "mine-1");
    let seen: Value = response.json().await.unwrap();
    let headers = &seen["headers"];
    assert_eq!(headers["x-fission-function-name"], "mirror");
    assert_eq!(headers["x-fission-function-namespace"], "default");
    assert_eq!(headers["x-fission-request-id"], "mine-1");
    assert_eq!(headers["x-forwarded-host"], platform.router.trim_start_matches("http://"));
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    let uid = platform.object("/apis/fission.io/v1/namespaces/default/functions/mirror").await;
    assert_eq!(headers["x-fission-function-uid"], uid["metadata"]["uid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_says_where_the_time_went() {
    let platform = start();
    route(&platform, "r", &["--url", "/r"]);
    let broken = platform.source("broken.js", "module.exports = ((");
    platform.ok(&["function", "create", "--name", "broken", "--env", "node", "--code", &broken]);
    platform.route("broken");
    seen(&platform, "/r").await;
    platform.get("/broken").await;
    for (method, path, expected) in
        [(Method::GET, "/r", 200), (Method::PUT, "/r", 405), (Method::GET, "/none", 404), (Method::GET, "/broken", 500)]
    {
        let response = platform.http().request(method, format!("{}{path}", platform.router)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
        let headers = response.headers().clone();
        let id = headers.get("x-fission-request-id").unwrap_or_else(|| panic!("{path} has no request id: {headers:?}"));
        let timing = headers.get("server-timing").unwrap_or_else(|| panic!("{path} has no timing: {headers:?}"));
        assert!(timing.to_str().unwrap().contains("route;dur="), "{path}: {timing:?}");
        if expected >= 400 {
            let refusal: Value = response.json().await.unwrap();
            assert_eq!(refusal["requestId"], id.to_str().unwrap());
            for field in ["component", "reason", "message"] {
                assert!(refusal[field].is_string(), "{path} has no {field}: {refusal}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_hosts_decide() {
    let platform = start();
    route(&platform, "r", &["--url", "/r", "--method", "POST", "--method", "PUT"]);
    trigger(
        &platform,
        "hosted",
        "{ host: shop.example, relativeurl: /r, methods: [GET], functionref: { type: name, name: mirror } }",
    );
    let send = |method: Method, host: &str| {
        let request = platform.http().request(method, format!("{}/r", platform.router));
        request.header(header::HOST, host).send()
    };
    eventually("the host is served", || async { send(Method::GET, "SHOP.example:80").await.unwrap().status() == 200 })
        .await;
    assert_eq!(send(Method::POST, "other.example").await.unwrap().status(), 200);
    let refused = send(Method::GET, "other.example").await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allow = refused.headers()[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allow.contains("POST") && allow.contains("PUT") && !allow.contains("GET"), "{allow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_requests_are_answered_without_the_function() {
    let platform = start();
    trigger(
        &platform,
        "cors",
        "{ relativeurl: /c, methods: [PUT], functionref: { type: name, name: mirror }, corsConfig: { allowOrigins: [\"https://app.example\"], allowMethods: [PUT], allowHeaders: [X-Token], maxAge: 10m } }",
    );
    let preflight = |origin: &'static str| {
        let request = platform.http().request(Method::OPTIONS, format!("{}/c", platform.router));
        request
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "x-token")
            .send()
    };
    eventually("the route is served", || async { status(&platform, "/c").await == 405 }).await;
    let answer = preflight("https://app.example").await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_MAX_AGE], "600");
    assert!(answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("PUT"));
    let stranger = preflight("https://evil.example").await.unwrap();
    assert!(stranger.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
    assert!(platform.instances_of("mirror").await.is_empty(), "no instance was needed");
    let request = platform.http().put(format!("{}/c", platform.router)).header(header::ORIGIN, "https://app.example");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_triggers_for_one_path_the_older_wins_and_the_loser_knows() {
    let platform = start();
    let other = platform.source("other.js", "module.exports = async () => ({ status: 200, body: 'other' });");
    platform.ok(&["function", "create", "--name", "other", "--env", "node", "--code", &other]);
    let spec = |function: &str| {
        format!("{{ relativeurl: /same, methods: [GET], functionref: {{ type: name, name: {function} }} }}")
    };
    trigger(&platform, "elder", &spec("mirror"));
    // The age of an object has a resolution of a second; within it names decide.
    trigger(&platform, "younger", &spec("other"));
    let reason = |name: &'static str| {
        let platform = &platform;
        async move {
            let path = format!("/apis/fission.io/v1/namespaces/default/httptriggers/{name}");
            let conditions = platform.object(&path).await["status"]["conditions"].clone();
            let list = conditions.as_array().cloned().unwrap_or_default();
            let found = list.into_iter().find(|one| one["type"] == "RouteAdmitted").unwrap_or_default();
            (
                found["status"].as_str().unwrap_or_default().to_owned(),
                found["reason"].as_str().unwrap_or_default().to_owned(),
            )
        }
    };
    eventually("the loser is told", || async { reason("younger").await == ("False".into(), "RouteConflict".into()) })
        .await;
    assert_eq!(reason("elder").await.0, "True");
    assert_eq!(seen(&platform, "/same").await["method"], "GET");
    platform.kubectl(&["delete", "httptrigger", "elder"]);
    eventually("the other one serves", || async { platform.get("/same").await.1 == "other" }).await;
    eventually("it is told", || async { reason("younger").await.0 == "True" }).await;
    let refused = platform.fails(&["route", "create", "--name", "third", "--url", "/same", "--function", "mirror"]);
    assert!(refused.contains("younger"), "the command line says who has it: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_share_and_changes_show_at_once() {
    let platform = start();
    let other = platform.source("other.js", "module.exports = async () => ({ status: 200, body: 'other' });");
    platform.ok(&["function", "create", "--name", "other", "--env", "node", "--code", &other]);
    let both = ["--function", "mirror", "--weight", "50", "--function", "other", "--weight", "50"];
    platform.ok(&[&["route", "create", "--name", "w", "--url", "/w"][..], &both].concat());
    let mut others = 0;
    for _ in 0..60 {
        others += usize::from(platform.get("/w").await.1 == "other");
    }
    assert!((10..=50).contains(&others), "{others} of 60 went to one of two halves");
    platform.ok(&["route", "update", "--name", "w", "--function", "other"]);
    eventually("all go to one", || async {
        let mut all = true;
        for _ in 0..10 {
            all &= platform.get("/w").await.1 == "other";
        }
        all
    })
    .await;
    platform.ok(&["route", "update", "--name", "w", "--url", "/moved"]);
    assert_eq!(platform.get("/moved").await, (200, "other".into()));
    assert_eq!(status(&platform, "/w").await, 404);
    platform.ok(&["route", "delete", "--name", "w"]);
    let start = std::time::Instant::now();
    eventually("the route is gone", || async { status(&platform, "/moved").await == 404 }).await;
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_internal_listener_answers_only_to_the_platform() {
    let platform = start();
    let status_file: Value =
        serde_json::from_slice(&std::fs::read(platform.data().join("status.json")).unwrap()).unwrap();
    let internal = status_file["internal"].as_str().expect("its address");
    let url = format!("{internal}/fission-function/mirror");
    let unsigned = platform.http().get(&url).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    let forged =
        platform.http().get(&url).header("X-Fission-Signature", "v1=00").bearer_auth("x").send().await.unwrap();
    assert_eq!(forged.status(), 401);
    assert_eq!(status(&platform, "/fission-function/mirror").await, 404, "and not on the public one");
    assert!(platform.instances_of("mirror").await.is_empty());
    assert!(platform.ok(&["function", "test", "--name", "mirror"]).contains("\"method\":\"GET\""));
}
