//! The `newdeploy` strategy: instances of the function's own, between a minimum and a maximum, scaled by demand.
//!
//! `requestsPerPod` is the load at which another instance is started, looked at whenever a request finds no room and
//! on every reaper tick; an instance takes more than that while the others come up or the maximum is reached.

use fission_api::FunctionSpec;

use crate::plan::{Plan, count};

/// Instances are bounded by `MaxScale`; `MinScale` of them are always there.
pub(crate) fn plan(spec: &FunctionSpec) -> Plan {
    let scale = &spec.invoke_strategy.execution_strategy;
    let floor = count(scale.min_scale);
    Plan {
        executor_type: "newdeploy",
        pooled: false,
        per_instance: count(spec.requests_per_pod()),
        most: count(scale.max_scale).max(floor).max(1),
        most_field: "spec.InvokeStrategy.ExecutionStrategy.MaxScale",
        most_flag: "--maxscale",
        floor,
        keep: floor,
    }
}
