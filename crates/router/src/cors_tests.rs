//! Cross-origin rules.

use super::*;

fn config(origins: &[&str]) -> CorsConfig {
    CorsConfig { allow_origins: origins.iter().map(ToString::to_string).collect(), ..CorsConfig::default() }
}

fn preflight_from(origin: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
    headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
    headers
}

#[test]
fn an_allowed_origin_is_echoed_with_all_rules() {
    let mut config = config(&["https://a.example"]);
    config.allow_headers = vec!["X-One".into(), "X-Two".into()];
    config.allow_credentials = true;
    config.max_age = "1h30m".into();
    let cors = Cors::of(&config, &["GET", "PUT"]).unwrap();
    let (status, headers) = cors.preflight(&preflight_from("https://a.example"));
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "X-One, X-Two");
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "5400");
}

#[test]
fn a_strange_origin_and_empty_rules_are_refused() {
    let cors = Cors::of(&config(&["https://a.example"]), &["GET"]).unwrap();
    assert_eq!(cors.preflight(&preflight_from("https://b.example")).0, StatusCode::FORBIDDEN);
    let nobody = Cors::of(&config(&[]), &["GET"]).unwrap();
    assert_eq!(nobody.preflight(&preflight_from("https://a.example")).0, StatusCode::FORBIDDEN);
}

#[test]
fn the_rules_of_the_route_replace_those_of_the_function_on_actual_responses() {
    let mut config = config(&["*"]);
    config.expose_headers = vec!["X-Total".into()];
    let cors = Cors::of(&config, &["GET"]).unwrap();
    let mut response = HeaderMap::new();
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://the-functions-own.example"));
    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    cors.actual(&HeaderValue::from_static("https://b.example"), &mut response);
    assert_eq!(response[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(response[ACCESS_CONTROL_EXPOSE_HEADERS], "X-Total");
    assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
}

#[test]
fn rules_that_make_no_sense_are_explained() {
    let mut all = config(&["*"]);
    all.allow_credentials = true;
    assert!(Cors::of(&all, &[]).unwrap_err().to_string().contains("credentials"));
    let mut wrong = config(&["*"]);
    wrong.max_age = "ten minutes".into();
    assert!(Cors::of(&wrong, &[]).unwrap_err().to_string().contains("maxAge"));
}
