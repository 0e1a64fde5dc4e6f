//! Header rules.

use super::*;
use proptest::prelude::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn request_ids_of_clients_are_taken_only_if_they_are_short_and_printable() {
    let longest = "x".repeat(MAX_REQUEST_ID);
    for good in ["a", "my-id_1/~", &longest] {
        assert_eq!(request_id(&map(&[("x-fission-request-id", good)])), good);
    }
    let too_long = "x".repeat(MAX_REQUEST_ID + 1);
    for bad in ["", "has space", "tab\there", &too_long] {
        let made = request_id(&map(&[("x-fission-request-id", bad)]));
        assert_ne!(made, bad);
        assert_eq!(made.len(), 36);
    }
}

#[test]
fn headers_of_one_connection_and_those_it_names_are_taken_off() {
    let mut headers = map(&[
        ("connection", "keep-alive, x-one"),
        ("connection", "X-Two"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
    ]);
    strip_hop_by_hop(&mut headers, false);
    assert_eq!(headers, map(&[("x-three", "3")]));
}

#[test]
fn an_upgrade_keeps_just_what_it_needs() {
    let mut headers = map(&[("connection", "keep-alive, Upgrade, x-one"), ("upgrade", "websocket"), ("x-one", "1")]);
    strip_hop_by_hop(&mut headers, true);
    assert_eq!(headers, map(&[("connection", "upgrade"), ("upgrade", "websocket")]));
}

#[test]
fn hosts_lose_port_and_case() {
    for (host, bare) in [
        ("API.Example:8080", "api.example"),
        ("api.example", "api.example"),
        ("[::1]:80", "::1"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("", ""),
    ] {
        assert_eq!(bare_host(host), bare);
    }
}

#[test]
fn responses_vary_by_origin_unless_any_origin_is_allowed() {
    let vary = |pairs: &[(&str, &str)]| {
        let mut headers = map(pairs);
        finish_response(&mut headers, HeaderValue::from_static("id"), &Timing::start());
        let vary = headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned());
        vary.collect::<Vec<_>>()
    };
    assert_eq!(vary(&[]), ["Origin"]);
    assert_eq!(vary(&[("vary", "Accept")]), ["Accept", "Origin"]);
    assert_eq!(vary(&[("vary", "accept, origin")]), ["accept, origin"]);
    assert!(vary(&[("access-control-allow-origin", "*")]).is_empty());
}

#[test]
fn functions_see_only_the_path_and_query_that_are_theirs() {
    assert_eq!(function_uri("/", None), "/");
    assert_eq!(function_uri("/", Some("a=1&b")), "/?a=1&b");
    assert_eq!(function_uri("/x%20y", None), "/x%20y");
}

proptest! {
    #[test]
    fn no_claim_of_a_client_survives(names in prop::collection::vec("[a-z]{1,8}", 1..5)) {
        let mut headers = HeaderMap::new();
        for name in &names {
            for prefix in ["x-fission-params-", "x-fission-function-"] {
                insert_raw(&mut headers, &format!("{prefix}{name}"));
            }
        }
        strip_claims(&mut headers);
        prop_assert!(headers.is_empty());
    }
}

fn insert_raw(headers: &mut HeaderMap, name: &str) {
    headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("1"));
}

#[test]
fn an_empty_body_is_said_only_where_one_is_expected() {
    let length = |method: Method, body: &'static str| {
        let mut request = Request::new(http_body_util::Full::new(bytes::Bytes::from(body)));
        *request.method_mut() = method;
        say_empty(&mut request);
        request.headers().get(CONTENT_LENGTH).cloned()
    };
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        assert_eq!(length(method.clone(), "").unwrap(), "0");
        assert_eq!(length(method, "x"), None);
    }
    assert_eq!(length(Method::GET, ""), None);
}
