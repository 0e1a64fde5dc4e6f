//! What the pool manager says when a request cannot be served: what happened, to what, which limit decided, what to do.

use fission_api::{Environment, Function, Package, package::BuildStatus};
use fission_rpc::cache::ObjectKey;
use fission_rpc::code::CodeError;
use fission_rpc::refusal::{Component, Refusal};

use crate::backend::BackendError;
use crate::configuration::Problem;
use crate::plan::Plan;

/// Stable reason of everything that kept a function from being loaded, as in Fission.
const SPECIALIZATION_FAILED: &str = "specialization_failed";
/// Stable reason of a full queue, as in Fission.
const CAPACITY_EXCEEDED: &str = "capacity_exceeded";
/// Stable reason of a time limit, as in Fission.
const FUNCTION_TIMEOUT: &str = "function_timeout";
/// Lines of a build log shown with a failed build.
const BUILD_LOG_LINES: usize = 10;

fn failed(message: impl Into<String>) -> Refusal {
    Refusal::new(500, Component::Executor, SPECIALIZATION_FAILED, message)
}

fn name(function: &Function) -> &str {
    function.metadata.name.as_deref().unwrap_or_default()
}

/// The platform is going down.
pub(crate) fn shutting_down() -> Refusal {
    Refusal::new(503, Component::Executor, "executor_unavailable", "the platform is shutting down")
        .hint("send the request again once it is back")
}

/// The function is gone.
pub(crate) fn deleted(key: &ObjectKey) -> Refusal {
    Refusal::new(404, Component::Executor, "function_not_found", format!("function {key} was deleted"))
}

/// The strategy needs pods.
pub(crate) fn container() -> Refusal {
    failed("functions with executor type container run a container image, which this platform cannot do on one machine")
        .hint(
            "run it on Kubernetes, or create the function with an environment and --executortype poolmgr or newdeploy",
        )
}

/// Too many requests wait already.
pub(crate) fn queue_full(function: &Function, plan: &Plan, max_queue: usize) -> Refusal {
    let key = ObjectKey::of(function);
    Refusal::new(
        429,
        Component::Executor,
        CAPACITY_EXCEEDED,
        format!(
            "function {key} has {max_queue} requests waiting, the most allowed (queue limit {max_queue}), for its at \
             most {most} instances ({field})",
            most = plan.most,
            field = plan.most_field,
        ),
    )
    .limit(
        plan.most_field,
        plan.most,
        format!("fission function update --name {} {} {}", name(function), plan.most_flag, plan.most.saturating_mul(2)),
    )
    .hint("send fewer requests at once, or let each instance serve several with --requestsperpod")
}

/// The time ran out while waiting.
pub(crate) fn timed_out(function: &Function, waited_for: &str) -> Refusal {
    let seconds = function.spec.timeout_seconds();
    Refusal::new(
        504,
        Component::Timeout,
        FUNCTION_TIMEOUT,
        format!(
            "function {} was not reached in time: the request was waiting for {waited_for}",
            ObjectKey::of(function)
        ),
    )
    .limit(
        "spec.functionTimeout",
        format!("{seconds} s"),
        format!("fission function update --name {} --fntimeout {}", name(function), seconds.saturating_mul(2)),
    )
}

/// The function names no environment, or one that is not there.
pub(crate) fn no_environment(function: &Function, environment: &ObjectKey) -> Refusal {
    let key = ObjectKey::of(function);
    if environment.name.is_empty() {
        return failed(format!("function {key} names no environment"))
            .hint(format!("fission function update --name {} --env NAME", key.name));
    }
    failed(format!("environment {environment} of function {key} does not exist"))
        .hint(format!("fission env create --name {} --image IMAGE", environment.name))
}

/// The function names no package, or one that is not there.
pub(crate) fn no_package(function: &Function, package: &ObjectKey) -> Refusal {
    let key = ObjectKey::of(function);
    let what = if package.name.is_empty() {
        format!("function {key} has no code: it names no package")
    } else {
        format!("package {package} of function {key} does not exist")
    };
    failed(what).hint(format!("fission function update --name {} --code FILE", key.name))
}

/// Why a package cannot be deployed yet, if it cannot. What was built before is deployed while a newer source is built, and
/// when it could not be.
pub(crate) fn not_deployable(function: &Function, package: &Package) -> Option<Refusal> {
    if !package.spec.deployment.is_empty() {
        return None;
    }
    let key = ObjectKey::of(package);
    let function = ObjectKey::of(function);
    let status = package.status.as_ref();
    let info = format!("fission package info --name {}", key.name);
    Some(match status.map(|status| status.build_status).unwrap_or_default() {
        BuildStatus::Failed => {
            let log = status.map(|status| last_lines(&status.build_log)).unwrap_or_default();
            failed(format!("package {key} of function {function} could not be built: {log}")).hint(info)
        }
        BuildStatus::Pending | BuildStatus::Running => {
            failed(format!("package {key} of function {function} is still being built"))
                .hint(format!("try again when it is built: {info}"))
        }
        _ if !package.spec.source.is_empty() => {
            failed(format!("package {key} of function {function} is not built yet"))
                .hint(format!("see whether its environment has a builder: {info}"))
        }
        _ => failed(format!("package {key} of function {function} holds no code"))
            .hint(format!("fission package update --name {} --code FILE", key.name)),
    })
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(BUILD_LOG_LINES)..].join("\n")
}

/// The function's secrets, config maps or variables cannot be delivered.
pub(crate) fn not_configurable(function: &Function, problem: &Problem) -> Refusal {
    failed(format!("function {} cannot be configured: {problem}", ObjectKey::of(function)))
        .hint(problem.hint(name(function)))
}

/// The code could not be had.
pub(crate) fn no_code(error: &CodeError) -> Refusal {
    Refusal::new(500, Component::Fetcher, SPECIALIZATION_FAILED, error.to_string())
}

/// No instance could be made or loaded.
pub(crate) fn backend(function: &Function, environment: &Environment, error: &BackendError, attempts: u32) -> Refusal {
    let key = ObjectKey::of(function);
    let logs = format!("fission function logs --name {}", key.name);
    match error {
        BackendError::Unsupported { .. } => failed(error.to_string()).hint("fission check"),
        BackendError::Refused { message, .. } => {
            failed(format!("environment {} could not load function {key}: {message}", ObjectKey::of(environment)))
                .hint(logs)
        }
        BackendError::TimedOut { seconds, .. } => {
            failed(format!("function {key} could not be loaded: {error}")).hint(logs).limit(
                "spec.InvokeStrategy.ExecutionStrategy.SpecializationTimeout",
                format!("{seconds} s"),
                format!(
                    "fission function update --name {} --specializationtimeout {}",
                    key.name,
                    seconds.saturating_mul(2)
                ),
            )
        }
        BackendError::Broken { .. } => {
            failed(format!("function {key} could not be loaded, tried on {attempts} instances: {error}")).hint(logs)
        }
    }
}
