//! How the instances of one function are made and scaled. One file a strategy fills it in.

use fission_api::{ExecutorType, FunctionSpec};
use fission_rpc::refusal::Refusal;

use crate::{newdeploy, poolmgr, refusals};

/// A strategy's answer for one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Name of the strategy.
    pub(crate) executor_type: &'static str,
    /// Whether instances come from the environment's pool, or are made for the function from the start.
    pub(crate) pooled: bool,
    /// Requests one instance is meant to serve at once.
    pub(crate) per_instance: usize,
    /// Most instances.
    pub(crate) most: usize,
    /// The field that says so.
    pub(crate) most_field: &'static str,
    /// The command that changes it, `{name}` and `N` to be filled in.
    pub(crate) most_flag: &'static str,
    /// Instances there are without any request.
    pub(crate) floor: usize,
    /// Newest instances that are not reaped.
    pub(crate) keep: usize,
}

impl Plan {
    /// The plan for a function, or why this platform cannot run its strategy.
    pub(crate) fn of(spec: &FunctionSpec) -> Result<Self, Refusal> {
        match spec.executor_type() {
            ExecutorType::Unset | ExecutorType::Poolmgr => Ok(poolmgr::plan(spec)),
            ExecutorType::Newdeploy => Ok(newdeploy::plan(spec)),
            ExecutorType::Container => Err(refusals::container()),
        }
    }
}

/// A count from a declaration; what is negative means none.
pub(crate) fn count(value: i64) -> usize {
    usize::try_from(value.max(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use fission_api::{ExecutionStrategy, InvokeStrategy};

    use super::*;

    fn scaled(executor_type: ExecutorType, min_scale: i64, max_scale: i64) -> FunctionSpec {
        let execution_strategy = ExecutionStrategy { executor_type, min_scale, max_scale, ..Default::default() };
        FunctionSpec {
            invoke_strategy: InvokeStrategy { execution_strategy, ..Default::default() },
            ..Default::default()
        }
    }

    #[test]
    fn a_plain_function_gets_the_contracts_numbers() {
        let plan = Plan::of(&FunctionSpec::default()).unwrap();
        assert_eq!((plan.per_instance, plan.most, plan.floor, plan.keep, plan.pooled), (1, 500, 0, 0, true));
    }

    #[test]
    fn newdeploy_keeps_its_minimum_and_may_reach_its_maximum() {
        let plan = Plan::of(&scaled(ExecutorType::Newdeploy, 2, 7)).unwrap();
        assert_eq!((plan.most, plan.floor, plan.keep, plan.pooled), (7, 2, 2, false));
    }

    #[test]
    fn a_maximum_below_the_minimum_is_raised_to_it() {
        assert_eq!(Plan::of(&scaled(ExecutorType::Newdeploy, 3, 0)).unwrap().most, 3);
        assert_eq!(Plan::of(&scaled(ExecutorType::Newdeploy, 0, 0)).unwrap().most, 1);
    }

    #[test]
    fn container_functions_are_refused_with_what_to_do() {
        let refusal = Plan::of(&scaled(ExecutorType::Container, 1, 1)).unwrap_err();
        assert!(refusal.message.contains("container"), "{refusal}");
        assert!(refusal.hint.is_some());
    }
}
