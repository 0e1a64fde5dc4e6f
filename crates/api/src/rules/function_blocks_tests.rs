//! Rules of a function's optional blocks, one test each.

use serde_json::{Value, json};

use crate::rules::cases::{accepted_spec, refused_spec};

const KIND: &str = "Function";

#[test]
fn streaming_protocols_are_listed() {
    accepted_spec(KIND, json!({ "streaming": {} }));
    refused_spec(
        KIND,
        json!({ "streaming": { "protocol": "grpc" } }),
        "spec.streaming.protocol: Unsupported value: \"grpc\": supported values: \"auto\", \"sse\", \"chunked\", \
         \"websocket\"",
    );
}

#[test]
fn a_stream_lasts_at_least_its_idle_timeout() {
    let problem =
        "spec.streaming.maxDurationSeconds: Invalid value: \"5\": must be at least idleTimeoutSeconds, which is 10";
    refused_spec(KIND, json!({ "streaming": { "idleTimeoutSeconds": 10, "maxDurationSeconds": 5 } }), problem);
    let problem = "spec.streaming.idleTimeoutSeconds: Invalid value: \"-1\": must be at least 0";
    refused_spec(KIND, json!({ "streaming": { "idleTimeoutSeconds": -1 } }), problem);
}

#[test]
fn a_tool_describes_itself() {
    let problem = "spec.tool.description: Required value: say what the tool does; models choose tools by it";
    refused_spec(KIND, json!({ "tool": {} }), problem);
}

#[test]
fn a_tools_input_schema_has_a_type() {
    let tool = |schema: Value| json!({ "tool": { "description": "d", "inputSchema": schema } });
    accepted_spec(KIND, tool(json!({ "type": "object", "properties": { "a": {} } })));
    let problem = "spec.tool.inputSchema: Invalid value: \"[]\": must be an object with a type";
    refused_spec(KIND, tool(json!([])), problem);
}

#[test]
fn a_tools_name_is_short_and_plain() {
    let problem =
        "spec.tool.toolName: Invalid value: \"a b\": must be letters, digits, '_' and '-', at most 64 characters";
    refused_spec(KIND, json!({ "tool": { "description": "d", "toolName": "a b" } }), problem);
}

#[test]
fn a_keyspace_is_a_dns_like_name() {
    accepted_spec(KIND, json!({ "state": { "keyspace": "a.b-c" } }));
    let detail = "must be lower-case letters, digits, '-' and '.', at most 63 characters";
    let problem = format!("spec.state.keyspace: Invalid value: \".a\": {detail}");
    refused_spec(KIND, json!({ "state": { "keyspace": ".a" } }), &problem);
}

#[test]
fn a_time_to_live_is_a_duration() {
    accepted_spec(KIND, json!({ "state": { "defaultTTL": "1h30m" } }));
    refused_spec(
        KIND,
        json!({ "state": { "defaultTTL": "1d" } }),
        "spec.state.defaultTTL: Invalid value: \"1d\": has the unknown unit \"d\"; units are ns, us, ms, s, m and h",
    );
    let problem = "spec.state.defaultTTL: Invalid value: \"-1s\": may not be negative";
    refused_spec(KIND, json!({ "state": { "defaultTTL": "-1s" } }), problem);
}

#[test]
fn state_is_not_for_the_container_executor() {
    refused_spec(
        KIND,
        json!({ "state": {}, "podspec": { "containers": [] },
            "InvokeStrategy": { "ExecutionStrategy": { "ExecutorType": "container", "MaxScale": 1 } } }),
        "spec.state: Forbidden: is not available with the container executor",
    );
}

#[test]
fn sticky_routing_names_a_header_or_parameter() {
    refused_spec(
        KIND,
        json!({ "state": { "sticky": { "source": "cookie", "name": "c" } } }),
        "spec.state.sticky.source: Unsupported value: \"cookie\": supported values: \"header\", \"queryparam\"",
    );
}

#[test]
fn a_call_is_tried_three_times_at_most() {
    let problem = "spec.invocation.retry.maxAttempts: Invalid value: \"4\": must be between 1 and 3";
    refused_spec(KIND, json!({ "invocation": { "retry": { "maxAttempts": 4 } } }), problem);
}

#[test]
fn the_longest_wait_is_not_below_the_first() {
    let problem = "spec.invocation.retry.backoffCap: Invalid value: \"1s\": must be at least backoffBase";
    refused_spec(KIND, json!({ "invocation": { "retry": { "backoffBase": "2s", "backoffCap": "1s" } } }), problem);
}

#[test]
fn a_call_is_delivered_within_a_week() {
    accepted_spec(KIND, json!({ "invocation": { "maxAge": "168h" } }));
    let problem = "spec.invocation.maxAge: Invalid value: \"169h\": must be above 0 and at most 168h";
    refused_spec(KIND, json!({ "invocation": { "maxAge": "169h" } }), problem);
}

#[test]
fn a_result_goes_to_one_place() {
    let problem = "spec.invocation.onSuccess: Forbidden: must be exactly one of function and topic";
    refused_spec(KIND, json!({ "invocation": { "onSuccess": {} } }), problem);
}

#[test]
fn a_result_goes_to_one_function_by_name() {
    let weights = json!({ "type": "function-weights", "name": "", "functionweights": { "a": 50, "b": 50 } });
    refused_spec(
        KIND,
        json!({ "invocation": { "onFailure": { "function": weights } } }),
        "spec.invocation.onFailure.function.type: Unsupported value: \"function-weights\": supported values: \"name\"",
    );
}

#[test]
fn a_result_topic_is_a_topic() {
    let topic = |broker: &str, topic: &str| json!({ "invocation": { "onSuccess": { "topic": { "messageQueueType": broker, "topic": topic } } } });
    accepted_spec(KIND, topic("statestore", "a.b_c-"));
    let at = "spec.invocation.onSuccess.topic";
    let problem = format!("{at}.topic: Invalid value: \"a.\": must begin and end with a letter or digit");
    refused_spec(KIND, topic("kafka", "a."), &problem);
    let problem =
        format!("{at}.messageQueueType: Unsupported value: \"nats\": supported values: \"statestore\", \"kafka\"");
    refused_spec(KIND, topic("nats", "a"), &problem);
}

#[test]
fn provisioned_instances_belong_to_the_pool_manager() {
    refused_spec(
        KIND,
        json!({ "provisionedConcurrency": { "target": 1 },
            "InvokeStrategy": { "ExecutionStrategy": { "ExecutorType": "newdeploy", "MaxScale": 1 } } }),
        "spec.provisionedConcurrency: Forbidden: needs executor type poolmgr; newdeploy and container have MinScale",
    );
    let problem = "spec.provisionedConcurrency.target: Invalid value: \"0\": must be at least 1";
    refused_spec(KIND, json!({ "provisionedConcurrency": { "target": 0 } }), problem);
}

#[test]
fn a_window_lasts_a_duration_of_one_unit() {
    let window = |duration: &str| {
        let window = json!({ "name": "w", "start": "0 8 * * *", "duration": duration, "target": 2 });
        json!({ "provisionedConcurrency": { "target": 1, "windows": [window] } })
    };
    accepted_spec(KIND, window("90m"));
    let problem = "spec.provisionedConcurrency.windows[0].duration: Invalid value: \"1h30m\": must match \
                   ^[0-9]+(ns|us|\u{b5}s|ms|s|m|h)$";
    refused_spec(KIND, window("1h30m"), problem);
}

#[test]
fn versions_are_minted_automatically_or_by_hand() {
    accepted_spec(KIND, json!({ "versioning": { "retain": 1 } }));
    let problem = "spec.versioning.mode: Unsupported value: \"never\": supported values: \"auto\", \"manual\"";
    refused_spec(KIND, json!({ "versioning": { "mode": "never" } }), problem);
    let problem = "spec.versioning.retain: Invalid value: \"0\": must be at least 1";
    refused_spec(KIND, json!({ "versioning": { "retain": 0 } }), problem);
}
