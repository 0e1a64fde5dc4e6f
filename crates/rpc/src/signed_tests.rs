//! What a server lets in, and whose it is then.

use axum::Router;
use axum::extract::Extension;
use axum::routing::any;
use http_body_util::BodyExt;

use super::*;
use crate::signing::Signature;

const MASTER: &[u8] = b"test-master";

fn key(namespace: Option<&str>) -> Key {
    Key::derive(MASTER, signing::STORAGE, namespace)
}

/// Answers with the namespace the request was found to be of.
fn server() -> Router {
    let whose = |tenant: Option<Extension<Tenant>>| async move { tenant.map(|tenant| tenant.0.0).unwrap_or_default() };
    let router = Router::new().route("/x", any(whose)).route("/healthz", any(|| async { "well" }));
    Verifier::new(vec![key(None)], 10).with_tenants(|namespace| vec![key(Some(namespace))]).protect(router)
}

fn request(signer: &Key, named: Option<&str>, body: &'static str, at: i64) -> Request {
    let Signature { timestamp, signature } = signing::sign(signer, "POST", "/x?y", body.as_bytes(), at);
    let mut request = Request::post("/x?y")
        .header(signing::TIMESTAMP_HEADER, timestamp)
        .header(signing::SIGNATURE_HEADER, signature)
        .extension(Tenant("forged".into()));
    if let Some(named) = named {
        request = request.header(signing::NAMESPACE_HEADER, named);
    }
    request.body(Body::from(body)).unwrap()
}

async fn answer(request: Request) -> (u16, String) {
    let response = tower::ServiceExt::oneshot(server(), request).await.unwrap();
    let (status, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_is_of_the_namespace_whose_key_signed_it() {
    assert_eq!(answer(request(&key(None), None, "body", now())).await, (200, String::new()));
    assert_eq!(answer(request(&key(Some("a")), Some("a"), "body", now())).await, (200, "a".into()));
    for (signer, named) in [
        (key(Some("a")), Some("b")),
        (key(Some("a")), None),
        (key(None), Some("a")),
        (key(Some("../a")), Some("../a")),
        (key(Some("A")), Some("A")),
    ] {
        assert_eq!(answer(request(&signer, named, "body", now())).await, (401, String::new()), "{named:?}");
    }
}

#[tokio::test]
async fn what_is_old_is_refused_before_what_is_large_and_health_is_for_everyone() {
    assert_eq!(answer(request(&key(None), None, "more than ten", now())).await.0, 413);
    assert_eq!(answer(request(&key(None), None, "more than ten", now() - 61)).await.0, 401);
    assert_eq!(answer(Request::get("/x").body(Body::empty()).unwrap()).await.0, 401);
    assert_eq!(answer(Request::get("/healthz").body(Body::empty()).unwrap()).await, (200, "well".into()));
}

#[tokio::test]
async fn what_a_client_signs_a_server_lets_in() {
    let client = reqwest::Client::new();
    let mut sent = client.post("http://storagesvc/x?id=a%2Fb&c").body("body").build().unwrap();
    sign(&key(None), &mut sent).unwrap();
    let uri = format!("{}?{}", sent.url().path(), sent.url().query().unwrap());
    let mut received = Request::post(uri).body(Body::from("body")).unwrap();
    *received.headers_mut() = sent.headers().clone();
    assert_eq!(answer(received).await.0, 200);
}

#[test]
fn a_refusal_tells_how_far_the_clocks_are_apart_or_that_the_secrets_differ() {
    let told = |offset: i64| {
        let date = Timestamp::from_second(now() + offset).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::DATE, date.parse().unwrap());
        not_accepted(&headers)
    };
    assert!(told(90).contains("s ahead of ours, and 60 s are allowed"), "{}", told(90));
    assert!(told(-90).contains("s behind ours, and 60 s are allowed"), "{}", told(-90));
    for about_right in [told(20), told(-20), not_accepted(&http::HeaderMap::new())] {
        assert!(about_right.contains("different secrets"), "{about_right}");
    }
}
