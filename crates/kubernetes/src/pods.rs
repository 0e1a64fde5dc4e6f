//! What is read from a pod: whether it can be used, whose it is, and what went wrong.

use std::net::SocketAddr;

use fission_api::labels;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::names::name;
use crate::template::{FETCHER, FETCHER_PORT, RUNTIME_PORT};

/// Reasons of a waiting container that another try does not mend.
const STUCK: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CrashLoopBackOff",
    "RunContainerError",
];

/// A label of a pod.
pub(crate) fn label<'a>(pod: &'a Pod, key: &str) -> &'a str {
    pod.metadata.labels.as_ref().and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
}

/// An annotation of a pod.
pub(crate) fn annotation<'a>(pod: &'a Pod, key: &str) -> &'a str {
    pod.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
}

/// Whether it is a generic instance of a pool.
pub(crate) fn is_generic(pod: &Pod) -> bool {
    label(pod, labels::MANAGED) == "true" && label(pod, labels::FUNCTION_UID).is_empty()
}

fn statuses(pod: &Pod) -> &[ContainerStatus] {
    pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default()
}

/// Whether it may be sent requests: not being deleted, with an address, and every container has said that it is ready. A
/// pod without any container status has not said anything.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let statuses = statuses(pod);
    !is_ending(pod) && address(pod).is_some() && !statuses.is_empty() && statuses.iter().all(|status| status.ready)
}

/// Whether it is on its way out.
pub(crate) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || matches!(phase(pod), "Failed" | "Succeeded")
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Where its environment listens.
pub(crate) fn address(pod: &Pod) -> Option<SocketAddr> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    Some(SocketAddr::new(ip, RUNTIME_PORT))
}

/// Where its fetcher listens.
pub(crate) fn fetcher_address(environment: SocketAddr) -> SocketAddr {
    SocketAddr::new(environment.ip(), FETCHER_PORT)
}

/// Restarts of its containers but the fetcher. A container that was restarted has lost its function.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    statuses(pod).iter().filter(|status| status.name != FETCHER).map(|status| status.restart_count).sum()
}

/// Why it ended or was taken away, for people.
pub(crate) fn ended(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    if let Some(reason) = status.reason {
        return format!("pod {} was ended: {reason}: {}", name(pod), status.message.unwrap_or_default());
    }
    let last = statuses(pod).iter().filter(|status| status.name != FETCHER).find_map(|status| {
        let state = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        state.or(status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
    });
    match last {
        Some(ended) => {
            let reason = ended.reason.as_deref().unwrap_or("ended");
            format!("container of pod {} ended: {reason}, exit code {}", name(pod), ended.exit_code)
        }
        None => format!("pod {} was deleted", name(pod)),
    }
}

/// What keeps a pod from starting, if something does: its place, its images, its configuration.
pub(crate) fn stuck(pod: &Pod) -> Option<String> {
    let waiting = statuses(pod).iter().find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        STUCK.contains(&reason).then(|| {
            let message = waiting.message.as_deref().unwrap_or_default();
            format!("container {} of pod {} does not start: {reason}: {message}", status.name, name(pod))
        })
    });
    waiting.or_else(|| {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let unscheduled = conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
        Some(format!("pod {} finds no node: {}", name(pod), unscheduled.message.as_deref().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap()
    }

    fn container(ready: bool) -> serde_json::Value {
        json!({ "name": "node", "image": "i", "imageID": "", "ready": ready, "restartCount": 0 })
    }

    #[test]
    fn a_pod_that_has_said_nothing_of_its_containers_is_not_ready() {
        assert!(!is_ready(&pod(json!({ "podIP": "10.0.0.1" }))));
        assert!(!is_ready(&pod(json!({ "podIP": "10.0.0.1", "containerStatuses": [] }))));
        assert!(!is_ready(&pod(json!({ "containerStatuses": [container(true)] }))), "it has no address");
        assert!(!is_ready(&pod(
            json!({ "podIP": "10.0.0.1", "containerStatuses": [container(true), container(false)] })
        )));
        assert!(is_ready(&pod(json!({ "podIP": "10.0.0.1", "containerStatuses": [container(true)] }))));
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_not_ready() {
        let mut ending = pod(json!({ "podIP": "10.0.0.1", "containerStatuses": [container(true)] }));
        ending.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()));
        assert!(!is_ready(&ending));
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_told_with_its_reason() {
        let mut status = container(false);
        status["state"] = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "not found" } });
        let told = stuck(&pod(json!({ "containerStatuses": [status] }))).unwrap();
        assert!(told.contains("ImagePullBackOff: not found") && told.contains("node"), "{told}");
        let full = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes" }] });
        assert!(stuck(&pod(full)).unwrap().contains("0/1 nodes"));
        assert_eq!(stuck(&pod(json!({ "containerStatuses": [container(false)] }))), None, "it is just starting");
    }
}
