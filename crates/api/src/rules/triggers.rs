//! Rules of the triggers other than routes, and of the kinds with only a few: canaries and tenants.

use super::function_blocks::topic_problem;
use super::names::{check_label, check_optional_label};
use super::{Rules, Targets, check_duration, check_function_reference};
use crate::crd::FieldDefault;
use crate::field_error::Found;
use crate::wire::Opaque;
use crate::{CanaryConfig, FissionTenant, FunctionReference, KubernetesWatchTrigger, MessageQueueTrigger, TimeTrigger};

const WATCHED: [&str; 4] = ["POD", "SERVICE", "REPLICATIONCONTROLLER", "JOB"];
const CLASSIC_QUEUES: [&str; 2] = ["kafka", "statestore"];
const KEDA_QUEUES: [&str; 8] =
    ["kafka", "aws-sqs-queue", "aws-kinesis-stream", "gcp-pubsub", "stan", "rabbitmq", "redis", "nats-jetstream"];
/// Pod fields of a connector a user may set.
const CONNECTOR_FIELDS: [&str; 5] = ["nodeSelector", "tolerations", "affinity", "runtimeClassName", "containers"];

impl Rules for TimeTrigger {
    const KIND: &'static str = "TimeTrigger";
    const DEFAULTS: &'static [FieldDefault] = &[("spec.method", "\"POST\""), ("spec.subpath", "\"/\"")];

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        check_function_reference("spec.functionref", &self.spec.functionref, Targets::One, found);
    }
}

impl Rules for KubernetesWatchTrigger {
    const KIND: &'static str = "KubernetesWatchTrigger";

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        check_label("spec.namespace", &spec.namespace, found);
        let own = self.metadata.namespace.as_deref().unwrap_or_default();
        if !own.is_empty() && !spec.namespace.is_empty() && spec.namespace != own {
            found.invalid("spec.namespace", &spec.namespace, format!("must be the trigger's own namespace, {own:?}"));
        }
        if !WATCHED.contains(&spec.kind.to_ascii_uppercase().as_str()) {
            found.not_supported("spec.type", &spec.kind, &WATCHED);
        }
        check_function_reference("spec.functionref", &spec.functionref, Targets::One, found);
    }
}

impl Rules for MessageQueueTrigger {
    const KIND: &'static str = "MessageQueueTrigger";

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        if spec.functionref != FunctionReference::default() {
            check_function_reference("spec.functionref", &spec.functionref, Targets::One, found);
        }
        let broker = spec.message_queue_type.as_str();
        let known: &[&str] = match spec.mqtkind.as_str() {
            "fission" => &CLASSIC_QUEUES,
            "keda" => &KEDA_QUEUES,
            // Unset is claimed by both heads.
            _ => &[],
        };
        let either = CLASSIC_QUEUES.contains(&broker) || KEDA_QUEUES.contains(&broker);
        if !broker.is_empty() && if known.is_empty() { !either } else { !known.contains(&broker) } {
            let allowed = if known.is_empty() { &KEDA_QUEUES } else { known };
            found.not_supported("spec.messageQueueType", broker, allowed);
        }
        if spec.topic.is_empty() {
            found.required("spec.topic", "name the topic messages come from");
        }
        for (path, topic) in
            [("spec.topic", &spec.topic), ("spec.respTopic", &spec.resp_topic), ("spec.errorTopic", &spec.error_topic)]
        {
            if spec.mqtkind == "fission"
                && !topic.is_empty()
                && let Some(problem) = topic_problem(topic, broker == "kafka")
            {
                found.invalid(path, topic, problem);
            }
        }
        if let Some(podspec) = &spec.podspec {
            check_connector_pod(podspec, found);
        }
    }
}

fn check_connector_pod(podspec: &Opaque, found: &mut Found) {
    let detail = format!("only {} may be set, and of containers only resources", CONNECTOR_FIELDS.join(", "));
    for field in podspec.0.keys().filter(|field| !CONNECTOR_FIELDS.contains(&field.as_str())) {
        found.forbidden(format!("spec.podspec.{field}"), detail.as_str());
    }
    for (index, container) in super::podspec::list(&podspec.0, "containers").enumerate() {
        let fields = container.as_object().into_iter().flat_map(serde_json::Map::keys);
        for field in fields.filter(|field| !matches!(field.as_str(), "name" | "resources")) {
            found.forbidden(format!("spec.podspec.containers[{index}].{field}"), detail.as_str());
        }
    }
}

impl Rules for CanaryConfig {
    const KIND: &'static str = "CanaryConfig";

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        for (path, name) in [
            ("spec.trigger", &spec.trigger),
            ("spec.newfunction", &spec.newfunction),
            ("spec.oldfunction", &spec.oldfunction),
        ] {
            if name.is_empty() {
                found.required(path, "name it");
            }
        }
        for (path, percent) in
            [("spec.weightincrement", spec.weightincrement), ("spec.failurethreshold", spec.failurethreshold)]
        {
            if !(0..=100).contains(&percent) {
                found.invalid(path, percent, "must be between 0 and 100");
            }
        }
        check_duration("spec.duration", &spec.duration, found);
        if !matches!(spec.failure_type.as_str(), "" | "status-code") {
            found.not_supported("spec.failureType", &spec.failure_type, &["status-code"]);
        }
    }
}

impl Rules for FissionTenant {
    const KIND: &'static str = "FissionTenant";

    fn check(&self, old: Option<&Self>, found: &mut Found) {
        check_label("spec.namespace", &self.spec.namespace, found);
        check_optional_label("spec.functionNamespace", &self.spec.function_namespace, found);
        check_optional_label("spec.builderNamespace", &self.spec.builder_namespace, found);
        if old.is_some_and(|old| old.spec.namespace != self.spec.namespace) {
            found.immutable("spec.namespace", &self.spec.namespace);
        }
    }
}

#[cfg(test)]
#[path = "triggers_tests.rs"]
mod tests;
