//! Rules of timers, watches, queues, canaries and tenants, one test each.

use serde_json::json;

use crate::rules::cases::{accepted_spec, changed, good, problems, refused_spec};

#[test]
fn a_schedule_is_not_looked_at() {
    accepted_spec("TimeTrigger", json!({ "cron": "whenever" }));
    refused_spec("TimeTrigger", json!({ "cron": null }), "spec.cron: Required value");
}

#[test]
fn a_timer_calls_one_function() {
    refused_spec(
        "TimeTrigger",
        json!({ "functionref": { "type": "function-weights" } }),
        "spec.functionref.type: Unsupported value: \"function-weights\": supported values: \"name\"",
    );
}

#[test]
fn a_watch_stays_in_its_namespace() {
    refused_spec(
        "KubernetesWatchTrigger",
        json!({ "namespace": "there" }),
        "spec.namespace: Invalid value: \"there\": must be the trigger's own namespace, \"here\"",
    );
}

#[test]
fn a_watch_sees_four_types_in_any_case() {
    accepted_spec("KubernetesWatchTrigger", json!({ "type": "Service" }));
    refused_spec(
        "KubernetesWatchTrigger",
        json!({ "type": "node" }),
        "spec.type: Unsupported value: \"node\": supported values: \"POD\", \"SERVICE\", \"REPLICATIONCONTROLLER\", \"JOB\"",
    );
}

#[test]
fn a_queue_binding_needs_no_function_reference_to_be_stored() {
    accepted_spec("MessageQueueTrigger", json!({ "functionref": null }));
}

#[test]
fn a_queue_binding_has_a_topic() {
    let problem = "spec.topic: Required value: name the topic messages come from";
    refused_spec("MessageQueueTrigger", json!({ "topic": "" }), problem);
}

#[test]
fn classic_queues_have_strict_topics_and_keda_has_not() {
    let problem =
        "spec.errorTopic: Invalid value: \"a/b\": must be letters, digits, '.', '_' and '-', 1 to 249 characters";
    refused_spec("MessageQueueTrigger", json!({ "errorTopic": "a/b" }), problem);
    accepted_spec("MessageQueueTrigger", json!({ "mqtkind": "keda", "topic": "a/b" }));
}

#[test]
fn each_consumer_has_its_brokers() {
    accepted_spec("MessageQueueTrigger", json!({ "mqtkind": "keda", "messageQueueType": "redis" }));
    let problem = "spec.messageQueueType: Unsupported value: \"redis\": supported values: \"kafka\", \"statestore\"";
    refused_spec("MessageQueueTrigger", json!({ "messageQueueType": "redis" }), problem);
    let problem = "spec.mqtkind: Unsupported value: \"other\": supported values: \"\", \"fission\", \"keda\"";
    refused_spec("MessageQueueTrigger", json!({ "mqtkind": "other" }), problem);
}

#[test]
fn messages_are_not_tried_a_negative_number_of_times() {
    let problem = "spec.maxRetries: Invalid value: \"-1\": must be at least 0";
    refused_spec("MessageQueueTrigger", json!({ "maxRetries": -1 }), problem);
}

#[test]
fn a_connectors_pod_is_an_allow_list() {
    let resources = json!({ "containers": [{ "name": "c", "resources": {} }], "nodeSelector": { "a": "b" } });
    accepted_spec("MessageQueueTrigger", json!({ "podspec": resources }));
    let detail = "only nodeSelector, tolerations, affinity, runtimeClassName, containers may be set, and of containers \
                  only resources";
    let problem = format!("spec.podspec.hostNetwork: Forbidden: {detail}");
    refused_spec("MessageQueueTrigger", json!({ "podspec": { "hostNetwork": true } }), &problem);
    let problem = format!("spec.podspec.containers[0].image: Forbidden: {detail}");
    refused_spec("MessageQueueTrigger", json!({ "podspec": { "containers": [{ "image": "i" }] } }), &problem);
}

#[test]
fn a_canary_names_what_moves() {
    refused_spec("CanaryConfig", json!({ "trigger": "" }), "spec.trigger: Required value: name it");
}

#[test]
fn a_canary_moves_by_percentages_and_durations() {
    let problem = "spec.weightincrement: Invalid value: \"101\": must be between 0 and 100";
    refused_spec("CanaryConfig", json!({ "weightincrement": 101 }), problem);
    let problem =
        "spec.duration: Invalid value: \"soon\": has no number before \"soon\"; write a duration such as 90s or 1h30m";
    refused_spec("CanaryConfig", json!({ "duration": "soon" }), problem);
    let problem = "spec.failureType: Unsupported value: \"latency\": supported values: \"status-code\"";
    refused_spec("CanaryConfig", json!({ "failureType": "latency" }), problem);
}

#[test]
fn a_tenants_namespace_is_a_label_and_stays() {
    let problem = "spec.namespace: Required value: may not be empty";
    refused_spec("FissionTenant", json!({ "namespace": "" }), problem);
    let moved = changed("FissionTenant", &json!({ "spec": { "namespace": "there" } }));
    let problem = "spec.namespace: Invalid value: \"there\": may not change; create a new object";
    assert_eq!(problems(&moved, Some(&good("FissionTenant"))), [problem]);
}
