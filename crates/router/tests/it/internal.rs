//! The internal listener.

use fission_api::FunctionSpec;
use fission_router::Options;
use fission_rpc::signing::{self, Key};
use http::{Method, Response};

use crate::world::{World, ask, get, request, whole};

async fn echo_path(world: &World, namespace: &str, name: &'static str) {
    let function = world.function(namespace, name, FunctionSpec::default());
    let id = format!("{namespace}-{name}");
    let said = id.clone();
    world.instance(&function, &id, move |request| {
        let answer = format!("{said} {}", request.uri());
        async move { Response::new(whole(answer)) }
    });
    world.settle().await;
}

#[tokio::test]
async fn functions_are_called_by_name_with_the_default_namespace_folded() {
    let world = World::new().await;
    echo_path(&world, "default", "a").await;
    assert_eq!(get(world.internal, "/fission-function/a").await.text(), "default-a /");
    assert_eq!(get(world.internal, "/fission-function/default/a/x?q=1").await.text(), "default-a /x?q=1");
    assert_eq!(get(world.internal, "/fission-function/a/b/c").await.text(), "default-a /b/c");
    echo_path(&world, "a", "b").await;
    assert_eq!(get(world.internal, "/fission-function/a/b/c").await.text(), "a-b /c");
}

#[tokio::test]
async fn what_is_missing_is_marked_so_that_it_is_not_taken_for_the_functions_own_404() {
    let world = World::new().await;
    for path in ["/fission-function/none", "/fission-function/a/b", "/fission-function/a:v1"] {
        let answer = get(world.internal, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-fission-route-miss")), (404, "1"), "{path}");
        assert_eq!(answer.json()["reason"], "no_function");
    }
    assert_eq!(get(world.internal, "/hello").await.header("x-fission-route-miss"), "");
}

#[tokio::test]
async fn browsers_have_no_business_here() {
    let world = World::new().await;
    let mut asked = request(Method::OPTIONS, "/fission-function/a");
    asked.headers_mut().insert("origin", "https://a.example".parse().unwrap());
    asked.headers_mut().insert("access-control-request-method", "GET".parse().unwrap());
    let answer = ask(world.internal, asked).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("cross-origin requests not permitted"));
}

#[tokio::test]
async fn with_keys_only_signed_requests_pass_and_bodies_have_a_limit() {
    let keys = ["new", "old"].map(|master| Key::derive(master.as_bytes(), signing::ROUTER_INTERNAL, None));
    let options = Options { max_internal_body: 1000, ..Options::default() };
    let world = World::with(options, keys.to_vec()).await;
    let function = world.function("default", "f", FunctionSpec::default());
    world.instance(&function, "f", |request| async move {
        let leaked = request.headers().contains_key(signing::SIGNATURE_HEADER);
        let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        Response::new(whole(format!("{} bytes, signature leaked: {leaked}", body.len())))
    });
    world.settle().await;
    let post = async |key: Option<&Key>, body: &'static [u8], age: i64| {
        let mut asked = request(Method::POST, "/fission-function/f?q=1");
        *asked.body_mut() = whole(body);
        if let Some(key) = key {
            let now = jiff::Timestamp::now().as_second() - age;
            let signed = signing::sign(key, "POST", "/fission-function/f?q=1", body, now);
            asked.headers_mut().insert(signing::TIMESTAMP_HEADER, signed.timestamp.parse().unwrap());
            asked.headers_mut().insert(signing::SIGNATURE_HEADER, signed.signature.parse().unwrap());
        }
        ask(world.internal, asked).await
    };
    for key in &keys {
        assert_eq!(post(Some(key), b"12345", 0).await.text(), "5 bytes, signature leaked: false");
    }
    let strange = Key::derive(b"strange", signing::ROUTER_INTERNAL, None);
    for answer in [post(None, b"x", 0).await, post(Some(&strange), b"x", 0).await, post(Some(&keys[0]), b"x", 99).await]
    {
        assert_eq!((answer.status.as_u16(), answer.text()), (401, ""));
    }
    assert_eq!(post(Some(&keys[0]), &[b'x'; 1001], 0).await.status, 413);
}
