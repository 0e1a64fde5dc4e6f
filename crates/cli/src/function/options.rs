//! The flags of functions that are code in an environment, shared by `create` and `update`.

use clap::{ArgAction, Args};
use fission_api::{ExecutionStrategy, ExecutorType, FunctionSpec};

use super::instances::InstanceFlags;
use crate::failure::{Failure, Outcome};

/// Least specialization timeout, in seconds; Fission's own tools refuse less.
const MIN_SPECIALIZATION_TIMEOUT: i64 = 120;

/// How instances of a function are made, shared and removed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OptionFlags {
    /// What makes instances: poolmgr or newdeploy
    #[arg(long, value_name = "TYPE")]
    pub(crate) executortype: Option<String>,
    #[command(flatten)]
    pub(crate) instances: InstanceFlags,
    /// Seconds a cold start may take, at least 120
    #[arg(long, visible_alias = "st", value_name = "SECONDS")]
    pub(crate) specializationtimeout: Option<i64>,
    /// Most instances at once (poolmgr); 500 when not given
    #[arg(long, visible_alias = "con", value_name = "COUNT")]
    pub(crate) concurrency: Option<u32>,
    /// Requests one instance serves at once (poolmgr); 1 when not given
    #[arg(long, visible_alias = "rpp", value_name = "COUNT")]
    pub(crate) requestsperpod: Option<u32>,
    /// Each instance serves exactly one request
    #[arg(long, visible_alias = "yolo", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) onceonly: Option<bool>,
    /// Specialized instances kept although idle
    #[arg(long, value_name = "COUNT")]
    pub(crate) retainpods: Option<u32>,
}

impl OptionFlags {
    /// Writes the given ones into a spec; the others stay as they are.
    pub(crate) fn apply(&self, spec: &mut FunctionSpec, namespace: &str) -> Outcome {
        self.executor(&mut spec.invoke_strategy.execution_strategy)?;
        self.instances.apply(spec, namespace)?;
        for (given, field) in [
            (self.concurrency, &mut spec.concurrency),
            (self.requestsperpod, &mut spec.requests_per_pod),
            (self.retainpods, &mut spec.retain_pods),
        ] {
            if let Some(count) = given {
                *field = i64::from(count);
            }
        }
        if let Some(once) = self.onceonly {
            spec.once_only = once;
        }
        Ok(())
    }

    fn executor(&self, strategy: &mut ExecutionStrategy) -> Outcome {
        match self.executortype.as_deref() {
            None => {}
            Some("poolmgr") => strategy.executor_type = ExecutorType::Poolmgr,
            Some("newdeploy") => strategy.executor_type = ExecutorType::Newdeploy,
            Some("container") => {
                return Err(Failure::new("a function of executor type container has an image of its own and no code")
                    .hint("create it with: fission function run-container --name NAME --image IMAGE"));
            }
            Some(other) => {
                return Err(Failure::new(format_args!("--executortype {other:?} must be poolmgr or newdeploy")));
            }
        }
        if let Some(seconds) = self.specializationtimeout {
            if seconds < MIN_SPECIALIZATION_TIMEOUT {
                let least = MIN_SPECIALIZATION_TIMEOUT;
                return Err(Failure::new(format_args!("--specializationtimeout {seconds} must be at least {least}")));
            }
            strategy.specialization_timeout = seconds;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
