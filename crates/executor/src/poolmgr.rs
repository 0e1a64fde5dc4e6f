//! The `poolmgr` strategy: specialize a warm generic instance of the environment's pool when a request needs one.

use fission_api::FunctionSpec;

use crate::plan::{Plan, count};

/// Instances are bounded by `concurrency`; nothing is kept but the newest `retainPods`.
pub(crate) fn plan(spec: &FunctionSpec) -> Plan {
    Plan {
        executor_type: "poolmgr",
        pooled: true,
        per_instance: count(spec.requests_per_pod()),
        most: count(spec.concurrency()),
        most_field: "spec.concurrency",
        most_flag: "--concurrency",
        floor: 0,
        keep: count(spec.retain_pods),
    }
}
