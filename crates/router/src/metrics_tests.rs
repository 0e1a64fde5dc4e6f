//! What is counted comes out under the names dashboards expect.

use super::*;

fn text(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

#[test]
fn calls_errors_and_times_are_told_by_function_path_method_and_code() {
    let metrics = Metrics::default();
    let function = ObjectKey { namespace: "default".into(), name: "hello".into() };
    let stats = metrics.calls(&function, &"/hello".into());
    stats.count(&Method::GET, 200, Duration::from_millis(3));
    stats.count(&Method::GET, 200, Duration::from_millis(30));
    stats.count(&Method::GET, 500, Duration::from_secs(60));
    metrics.failure(Component::Timeout, "function_timeout");
    metrics.applied("shape_changed", 3, 2);
    let text = text(&metrics);
    let labels = r#"function_namespace="default",function_name="hello",function_version="",path="/hello",method="GET""#;
    for line in [
        format!("fission_function_calls_total{{{labels},code=\"200\"}} 2"),
        format!("fission_function_errors_total{{{labels},code=\"500\"}} 1"),
        format!("fission_function_overhead_seconds_bucket{{le=\"0.005\",{labels}}} 1"),
        format!("fission_function_overhead_seconds_bucket{{le=\"0.05\",{labels}}} 2"),
        format!("fission_function_overhead_seconds_count{{{labels}}} 3"),
        r#"fission_invocation_failures_total{component="timeout",reason="function_timeout"} 1"#.to_owned(),
        r#"fission_router_routes{listener="public"} 3"#.to_owned(),
        r#"fission_router_route_table_applies_total{result="shape_changed"} 1"#.to_owned(),
    ] {
        assert!(text.contains(&line), "no line {line} in\n{text}");
    }
}

#[test]
fn counts_survive_a_new_route_and_end_with_the_last() {
    let metrics = Metrics::default();
    let function = ObjectKey { namespace: "a".into(), name: "f".into() };
    let first = metrics.calls(&function, &"/f".into());
    first.count(&Method::POST, 200, Duration::ZERO);
    let second = metrics.calls(&function, &"/f".into());
    drop(first);
    second.count(&Method::POST, 200, Duration::ZERO);
    assert!(text(&metrics).contains("code=\"200\"} 2"));
    drop(second);
    assert!(!text(&metrics).contains("function_name"));
}

#[test]
fn more_codes_than_places_are_counted_together() {
    let metrics = Metrics::default();
    let stats = metrics.calls(&ObjectKey { namespace: "a".into(), name: "f".into() }, &"/f".into());
    for code in 200..200 + CODES as u16 + 5 {
        stats.count(&Method::GET, code, Duration::ZERO);
    }
    assert!(text(&metrics).contains("code=\"other\"} 5"));
}
