//! WebAssembly through the whole platform: the CLI, the executor, the router, the logs.

use crate::world::{Platform, eventually};

/// A component that does whatever its path says; `crates/wasm/tests/fixture` is its source.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wasm/tests/fixture.wasm");

/// The fixture as the function `f`, at every path below `/f`.
fn deploy(platform: &Platform, more: &[&str]) {
    platform.ok(&["env", "create", "--name", "wasm", "--image", "fission/wasm-env", "--poolsize", "1"]);
    let create = ["function", "create", "--name", "f", "--env", "wasm", "--code", FIXTURE];
    platform.ok(&[&create[..], more].concat());
    platform.ok(&[
        "route",
        "create",
        "--name",
        "f",
        "--method",
        "GET",
        "--method",
        "POST",
        "--prefix",
        "/f",
        "--function",
        "f",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_answers_and_its_failures_are_refusals_like_all_others() {
    let platform = Platform::start();
    deploy(&platform, &[]);
    assert_eq!(platform.get("/f").await, (200, "Hello, world!\n".to_owned()));
    let echo = platform.request(reqwest::Method::POST, "/f/echo?a=1", "body").await;
    assert_eq!((echo.status().as_u16(), &echo.headers()["x-answer"]), (201, &"yes".parse().unwrap()));
    assert!(echo.headers().contains_key("server-timing"));
    assert_eq!(echo.text().await.unwrap(), "POST /echo?a=1 \nbody");

    for (path, reason) in [("/f/panic", "function_error"), ("/f/memory?256", "out_of_memory")] {
        let (status, body) = platform.get(path).await;
        assert_eq!(status, 500, "{body}");
        assert!(body.contains(reason) && body.contains("default/f") && body.contains("requestId"), "{body}");
    }
    let (status, body) = platform.get("/f/print").await;
    assert_eq!((status, body.as_str()), (200, "printed"));
    eventually("what it printed is in its log", || async {
        let log = platform.ok(&["function", "logs", "--name", "f", "--recordcount", "1000"]);
        ["one", "two", "three", "the reason"].iter().all(|line| log.contains(line))
    })
    .await;
    let response = platform.http().get(format!("{}/f/breaks", platform.router)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err(), "a part is never taken for the whole");
    let pods = platform.instances_of("f").await;
    assert!(!pods.is_empty(), "instances are shown as pods");
    // Not before: in its first call it was compiled.
    platform.ok(&["function", "update", "--name", "f", "--fntimeout", "1"]);
    let (status, body) = platform.get("/f/loop").await;
    assert_eq!(status, 504, "{body}");
    assert!(body.contains("function_timeout") && body.contains("spec.functionTimeout"), "{body}");
    assert_eq!(platform.get("/f").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_variables_and_allowed_hosts_reach_a_component() {
    let platform = Platform::start();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: s, namespace: default }\nstringData: { key: the secret }\n";
    platform.kubectl(&["apply", "-f", &platform.source("secret.yaml", secret)]);
    deploy(&platform, &["--secret", "s", "--env-var", "GREETING=hello"]);
    assert_eq!(platform.get("/f/file?/secrets/default/s/key").await.1, "Ok(\"the secret\")");
    assert_eq!(platform.get("/f/variable?GREETING").await.1, "Ok(\"hello\")");
    let target = platform.router.trim_start_matches("http://").to_owned();
    let fetch = format!("/f/fetch?http://{target}/f/count");
    assert_eq!(platform.get(&fetch).await.1, "denied");
    platform.kubectl(&["annotate", "functions.fission.io", "f", &format!("fission.io/allowed-hosts={target}")]);
    eventually("the function may call the host its annotation names", || async {
        platform.get(&fetch).await.1.starts_with("200 ")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_platform_maps_what_it_compiled_before() {
    let mut platform = Platform::start();
    deploy(&platform, &[]);
    assert_eq!(platform.get("/f/count").await.1, "1");
    assert_eq!(platform.own_log().matches("compiled").count(), 1);
    platform.stop();
    platform.restart();
    assert_eq!(platform.get("/f/count").await.1, "1");
    assert_eq!(platform.own_log().matches("compiled").count(), 1, "{}", platform.own_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_no_component_is_refused_with_what_to_do() {
    let platform = Platform::start();
    platform.deploy("fission/wasm-env", "wrong", "wrong.wasm", "(module)");
    let (status, body) = platform.get("/wrong").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("not WebAssembly"), "{body}");
}
