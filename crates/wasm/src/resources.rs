//! The memory limit of a function, from what it or its environment declares.

use fission_api::{Environment, Function};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Bytes of linear memory one store may have: the function's limit, else the environment's, else `default` or what is
/// requested, whichever is more. An error names the field and what is wrong with it.
pub(crate) fn memory(environment: Option<&Environment>, function: &Function, default: u64) -> Result<u64, String> {
    let declared = [Some(&function.spec.resources), environment.map(|environment| &environment.spec.resources)];
    let declared = declared.into_iter().flatten().find(|declared| declares(declared));
    let Some(declared) = declared else { return Ok(default) };
    let find = |list: &Option<std::collections::BTreeMap<String, Quantity>>, kind: &str| {
        list.as_ref().and_then(|list| list.get("memory")).map(|quantity| bytes(quantity, kind)).transpose()
    };
    match (find(&declared.limits, "limits")?, find(&declared.requests, "requests")?) {
        (Some(limit), _) if limit > 0 => Ok(limit),
        (_, requested) => Ok(requested.unwrap_or_default().max(default)),
    }
}

fn declares(resources: &ResourceRequirements) -> bool {
    [&resources.limits, &resources.requests].into_iter().flatten().any(|list| list.contains_key("memory"))
}

fn bytes(Quantity(text): &Quantity, kind: &str) -> Result<u64, String> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    let split = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let value = split.and_then(|(number, factor)| Some(number.parse::<f64>().ok()? * factor));
    match value {
        Some(value) if value.is_finite() && value >= 0.0 => Ok(value as u64),
        _ => Err(format!("resources.{kind}.memory: {text} is not a quantity such as 256Mi or 1.5Gi")),
    }
}

/// Bytes for people: `256 MiB` where that is exact.
pub(crate) fn display(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size))
        .map_or_else(|| format!("{bytes} bytes"), |(size, unit)| format!("{} {unit}", bytes / size))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn function(resources: serde_json::Value) -> Function {
        let spec = json!({ "environment": {}, "package": {}, "resources": resources });
        let object = json!({ "apiVersion": "fission.io/v1", "kind": "Function", "metadata": {}, "spec": spec });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_declared_limit_counts_then_the_request_where_it_is_more_than_the_default() {
        let of = |resources| memory(None, &function(resources), 128 << 20);
        assert_eq!(of(json!({})), Ok(128 << 20));
        assert_eq!(of(json!({ "limits": { "cpu": "1" } })), Ok(128 << 20));
        assert_eq!(of(json!({ "limits": { "memory": "16Mi" } })), Ok(16 << 20));
        assert_eq!(of(json!({ "requests": { "memory": "16Mi" } })), Ok(128 << 20));
        assert_eq!(of(json!({ "requests": { "memory": "1.5Gi" } })), Ok(3 << 29));
        let wrong = of(json!({ "limits": { "memory": "much" } })).unwrap_err();
        assert!(wrong.contains("resources.limits.memory") && wrong.contains("much"), "{wrong}");
    }
}
