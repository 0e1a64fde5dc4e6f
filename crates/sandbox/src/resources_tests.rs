//! Tests of limits.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::*;

const DEFAULTS: Limits = Limits { memory: 512 << 20, pids: 256, cpu_millis: None, open_files: 1024, file_bytes: None };

fn declared(limits: &[(&str, &str)], requests: &[(&str, &str)]) -> ResourceRequirements {
    let map = |entries: &[(&str, &str)]| {
        (!entries.is_empty())
            .then(|| entries.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    ResourceRequirements { limits: map(limits), requests: map(requests), ..ResourceRequirements::default() }
}

#[test]
fn nothing_declared_means_the_defaults() {
    assert_eq!(limits(&ResourceRequirements::default(), &DEFAULTS), Ok(DEFAULTS));
}

#[test]
fn a_declared_limit_wins_and_a_request_only_raises_the_default() {
    let memory =
        |limits_: &[_], requests: &[_]| limits(&declared(limits_, requests), &DEFAULTS).map(|l| l.memory >> 20);
    assert_eq!(memory(&[("memory", "64Mi")], &[("memory", "32Mi")]), Ok(64));
    assert_eq!(memory(&[], &[("memory", "64Mi")]), Ok(512));
    assert_eq!(memory(&[], &[("memory", "1Gi")]), Ok(1024));
}

#[test]
fn processor_limits_are_thousandths_of_a_processor() {
    let cpu = |text| limits(&declared(&[("cpu", text)], &[]), &DEFAULTS).map(|l| l.cpu_millis);
    assert_eq!(cpu("250m"), Ok(Some(250)));
    assert_eq!(cpu("2"), Ok(Some(2000)));
    assert_eq!(cpu("0"), Ok(None));
}

#[test]
fn a_quantity_that_is_none_is_named() {
    let error = limits(&declared(&[("memory", "lots")], &[]), &DEFAULTS).unwrap_err();
    assert!(error.contains("resources.limits.memory: lots"), "{error}");
}
