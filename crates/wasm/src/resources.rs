//! The memory limit of a function, from what it or its environment declares.

use fission_api::{Environment, Function, quantity};
use k8s_openapi::api::core::v1::ResourceRequirements;

/// Bytes of linear memory one store may have, by what the function declares, else the environment. An error names the field
/// and what is wrong with it.
pub(crate) fn memory(environment: Option<&Environment>, function: &Function, default: u64) -> Result<u64, String> {
    let declared = [Some(&function.spec.resources), environment.map(|environment| &environment.spec.resources)];
    let declared = declared.into_iter().flatten().find(|declared| declares(declared));
    declared.map_or(Ok(default), |declared| quantity::memory_limit(declared, default))
}

fn declares(resources: &ResourceRequirements) -> bool {
    [&resources.limits, &resources.requests].into_iter().flatten().any(|list| list.contains_key("memory"))
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
