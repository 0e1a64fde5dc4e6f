//! Rules of a function's optional blocks: streaming, tool, state, invocation, provisioned concurrency.

use serde_json::Value;

use super::names::check_optional_label;
use super::{Targets, check_duration, check_function_reference};
use crate::field_error::Found;
use crate::function::{ExecutorType, FunctionSpec};
use crate::function_options::{
    Destination, InvocationConfig, ProvisionedConcurrency, StateConfig, StreamingConfig, ToolConfig, TopicDestination,
};
use crate::go_duration::GoDuration;
use crate::workflow::RetryPolicy;

/// Longest name a tool may be offered under.
const MAX_TOOL_NAME: usize = 64;
/// Longest keyspace name.
const MAX_KEYSPACE: usize = 63;
/// Most attempts at an asynchronous call.
const MAX_INVOCATION_ATTEMPTS: i64 = 3;
/// Oldest asynchronous call delivered: a week, in hours.
const MAX_INVOCATION_AGE_HOURS: i64 = 168;
/// Longest topic name, Kafka's own limit.
const MAX_TOPIC: usize = 249;

pub(super) fn check_blocks(path: &str, spec: &FunctionSpec, found: &mut Found) {
    if let Some(streaming) = &spec.streaming {
        check_streaming(&format!("{path}.streaming"), streaming, found);
    }
    if let Some(tool) = &spec.tool {
        check_tool(&format!("{path}.tool"), tool, found);
    }
    if let Some(state) = &spec.state {
        if spec.executor_type() == ExecutorType::Container {
            found.forbidden(format!("{path}.state"), "is not available with the container executor");
        }
        check_state(&format!("{path}.state"), state, found);
    }
    if let Some(invocation) = &spec.invocation {
        check_invocation(&format!("{path}.invocation"), invocation, found);
    }
    if let Some(provisioned) = &spec.provisioned_concurrency {
        let path = format!("{path}.provisionedConcurrency");
        if spec.executor_type() != ExecutorType::Poolmgr {
            found.forbidden(path.as_str(), "needs executor type poolmgr; newdeploy and container have MinScale");
        }
        check_windows(&path, provisioned, found);
    }
}

fn check_streaming(path: &str, streaming: &StreamingConfig, found: &mut Found) {
    let (idle, most) = (streaming.idle_timeout_seconds, streaming.max_duration_seconds);
    if idle > 0 && most > 0 && most < idle {
        let detail = format!("must be at least idleTimeoutSeconds, which is {idle}");
        found.invalid(format!("{path}.maxDurationSeconds"), most, detail);
    }
}

fn check_tool(path: &str, tool: &ToolConfig, found: &mut Found) {
    if tool.description.is_empty() {
        found.required(format!("{path}.description"), "say what the tool does; models choose tools by it");
    }
    if let Some(schema) = &tool.input_schema
        && !schema.0.get("type").is_some_and(Value::is_string)
    {
        found.invalid(
            format!("{path}.inputSchema"),
            crate::structural::plain(&schema.0),
            "must be an object with a type",
        );
    }
    let name = tool.tool_name.as_str();
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !legal || name.len() > MAX_TOOL_NAME {
        let detail = format!("must be letters, digits, '_' and '-', at most {MAX_TOOL_NAME} characters");
        found.invalid(format!("{path}.toolName"), name, detail);
    }
    check_optional_label(&format!("{path}.alias"), &tool.alias, found);
}

fn check_state(path: &str, state: &StateConfig, found: &mut Found) {
    let keyspace = state.keyspace.as_str();
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let ends = edge(keyspace.bytes().next()) && edge(keyspace.bytes().last());
    if !ends || !keyspace.bytes().all(inner) || keyspace.len() > MAX_KEYSPACE {
        let detail = format!("must be lower-case letters, digits, '-' and '.', at most {MAX_KEYSPACE} characters");
        found.invalid(format!("{path}.keyspace"), keyspace, detail);
    }
    check_duration(&format!("{path}.defaultTTL"), &state.default_ttl, found);
    if state.sticky.as_ref().is_some_and(|sticky| sticky.name.is_empty()) {
        found.required(format!("{path}.sticky.name"), "name the header or query parameter");
    }
}

fn check_invocation(path: &str, invocation: &InvocationConfig, found: &mut Found) {
    if let Some(retry) = &invocation.retry {
        check_retry(&format!("{path}.retry"), retry, MAX_INVOCATION_ATTEMPTS, found);
    }
    if let Some(age) = check_duration(&format!("{path}.maxAge"), &invocation.max_age, found) {
        let most = GoDuration::from_secs(MAX_INVOCATION_AGE_HOURS * 3600);
        if age.nanos == 0 || age > most {
            let detail = format!("must be above 0 and at most {MAX_INVOCATION_AGE_HOURS}h");
            found.invalid(format!("{path}.maxAge"), &invocation.max_age, detail);
        }
    }
    for (name, destination) in [("onSuccess", &invocation.on_success), ("onFailure", &invocation.on_failure)] {
        if let Some(destination) = destination {
            check_destination(&format!("{path}.{name}"), destination, found);
        }
    }
}

/// Checks a retry policy with `most` attempts at most; also used by workflows.
pub(super) fn check_retry(path: &str, retry: &RetryPolicy, most: i64, found: &mut Found) {
    if !(0..=most).contains(&retry.max_attempts) {
        found.invalid(format!("{path}.maxAttempts"), retry.max_attempts, format!("must be between 1 and {most}"));
    }
    let base = check_duration(&format!("{path}.backoffBase"), &retry.backoff_base, found);
    let cap = check_duration(&format!("{path}.backoffCap"), &retry.backoff_cap, found);
    if let (Some(base), Some(cap)) = (base, cap)
        && cap < base
    {
        found.invalid(format!("{path}.backoffCap"), &retry.backoff_cap, "must be at least backoffBase");
    }
}

fn check_destination(path: &str, destination: &Destination, found: &mut Found) {
    match (&destination.function, &destination.topic) {
        (Some(function), None) => check_function_reference(&format!("{path}.function"), function, Targets::One, found),
        (None, Some(topic)) => check_topic_destination(&format!("{path}.topic"), topic, found),
        _ => found.forbidden(path, "must be exactly one of function and topic"),
    }
}

fn check_topic_destination(path: &str, topic: &TopicDestination, found: &mut Found) {
    let broker = topic.message_queue_type.as_str();
    if !matches!(broker, "statestore" | "kafka") {
        found.not_supported(format!("{path}.messageQueueType"), broker, &["statestore", "kafka"]);
    }
    if let Some(problem) = topic_problem(&topic.topic, broker == "kafka") {
        found.invalid(format!("{path}.topic"), &topic.topic, problem);
    }
}

/// Why `topic` is no topic name, if it is none.
pub(super) fn topic_problem(topic: &str, strict_ends: bool) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if topic.is_empty() || topic.len() > MAX_TOPIC || !topic.bytes().all(legal) {
        return Some(format!("must be letters, digits, '.', '_' and '-', 1 to {MAX_TOPIC} characters"));
    }
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if strict_ends && !(edge(topic.bytes().next()) && edge(topic.bytes().last())) {
        return Some("must begin and end with a letter or digit".into());
    }
    None
}

fn check_windows(path: &str, provisioned: &ProvisionedConcurrency, found: &mut Found) {
    for (index, window) in provisioned.windows.iter().enumerate() {
        if window.start.trim().is_empty() {
            found.required(format!("{path}.windows[{index}].start"), "give a cron schedule");
        }
        check_duration(&format!("{path}.windows[{index}].duration"), &window.duration, found);
    }
}

#[cfg(test)]
#[path = "function_blocks_tests.rs"]
mod tests;
