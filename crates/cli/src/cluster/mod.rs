//! A platform in a cluster: which pods its services are, and the way to them through the API server.
//!
//! Nothing is asked of the user but what `kubectl` needs: services are found by the labels of their pods ([`find`]),
//! reached by the port-forward of the API server ([`forward`]), and requests are signed with the secret the platform
//! itself uses, where the user may read it ([`secret`]).

pub(crate) mod forward;
pub(crate) mod secret;

use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::noun::{denied, root_of};

/// Namespace the platform is installed in when nothing says otherwise.
pub(crate) const DEFAULT_INSTALLATION: &str = "fission";

/// A service of the platform as its pods show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// What messages call it.
    pub(crate) word: &'static str,
    /// Label of its pods.
    pub(crate) selector: &'static str,
    /// Where it listens in the pod.
    port: Port,
    /// Variable that names its address and makes finding it needless.
    pub(crate) variable: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Fixed(u16),
    /// What port 80 of its service leads to, else this one.
    BehindService(u16),
}

/// The router's public listener.
pub(crate) const ROUTER: Component = Component {
    word: "router",
    selector: "application=fission-router",
    port: Port::BehindService(8888),
    variable: "FISSION_ROUTER_URL",
};
/// The router's internal listener.
pub(crate) const ROUTER_INTERNAL: Component = Component {
    word: "router",
    selector: "application=fission-router",
    port: Port::Fixed(8889),
    variable: "FISSION_ROUTER_INTERNAL_URL",
};
/// The storage service.
pub(crate) const STORAGE: Component = Component {
    word: "storage service",
    selector: "application=fission-storage",
    port: Port::BehindService(8000),
    variable: "FISSION_STORAGESVC_URL",
};

/// Port of a service that leads to its pods.
const SERVICE_PORT: u64 = 80;

/// One listener of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) port: u16,
    /// Name and key of the secret the pod itself takes its signing key from.
    pub(crate) secret: Option<(String, String)>,
}

/// Where pods are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'a> {
    /// The namespace of the installation, when the user named it.
    pub(crate) installation: Option<&'a str>,
    /// The namespace of the context, for users who may not list pods everywhere.
    pub(crate) own: &'a str,
}

/// A ready pod of a component, and its port.
pub(crate) async fn find(client: &Client, component: &Component, search: Search<'_>) -> Outcome<Place> {
    let (pods, looked_in) = listed(client, component.selector, search)
        .await
        .map_err(|failure| failure.while_doing(format_args!("cannot find the {}", component.word)))?;
    let looked_for = format!("pods labelled {} {looked_in}", component.selector);
    if pods.is_empty() {
        return Err(Failure::new(format_args!("no {} found: there are no {looked_for}", component.word))
            .hint("name the namespace Fission is installed in: FISSION_NAMESPACE=NAMESPACE")
            .hint(format_args!("or name the address: {}=http://host:port", component.variable)));
    }
    let mut installations: Vec<String> = pods.iter().filter_map(ResourceExt::namespace).collect();
    installations.sort_unstable();
    installations.dedup();
    if installations.len() > 1 {
        return Err(Failure::new(format_args!(
            "there are several installations of Fission: {looked_for} are in {}",
            installations.join(", ")
        ))
        .hint(format_args!("choose one: FISSION_NAMESPACE={}", installations[0])));
    }
    let Some(pod) = pods.iter().find(|pod| is_ready(pod)) else {
        let states: Vec<String> = pods.iter().map(|pod| format!("{} ({})", pod.name_any(), state(pod))).collect();
        return Err(Failure::new(format_args!("the {} is not ready: {}", component.word, states.join(", ")))
            .hint(format_args!("see why: kubectl -n {} describe pod {}", installations[0], pods[0].name_any())));
    };
    let namespace = installations.remove(0);
    let port = match component.port {
        Port::Fixed(port) => port,
        Port::BehindService(usual) => behind_service(client, &namespace, pod).await.unwrap_or(usual),
    };
    Ok(Place { namespace, pod: pod.name_any(), port, secret: secret::named_by(pod) })
}

/// Pods with a label, and where they were looked for: the installation, else everywhere, else the user's namespace.
pub(crate) async fn listed(
    client: &Client,
    selector: &str,
    search: Search<'_>,
) -> Outcome<(Vec<DynamicObject>, String)> {
    let params = ListParams::default().labels(selector);
    let inside = |namespace: &str| -> Api<DynamicObject> { Api::namespaced_with(client.clone(), namespace, &pods()) };
    if let Some(namespace) = search.installation {
        let found = inside(namespace).list(&params).await.map_err(refused)?;
        return Ok((found.items, format!("in namespace {namespace}")));
    }
    let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &pods());
    match everywhere.list(&params).await {
        Ok(found) => Ok((found.items, "in any namespace".to_owned())),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let own = inside(search.own).list(&params).await;
            let usual = inside(DEFAULT_INSTALLATION).list(&params).await;
            let pods = match (usual, own) {
                (Ok(usual), _) if !usual.items.is_empty() => usual.items,
                (_, Ok(own)) => own.items,
                (Ok(usual), Err(_)) => usual.items,
                (Err(_), Err(error)) => return Err(refused(error)),
            };
            let looked = format!("in namespaces {DEFAULT_INSTALLATION} and {}", search.own);
            Ok((pods, format!("{looked}, and you may not list pods in all namespaces")))
        }
        Err(error) => Err(refused(error)),
    }
}

fn refused(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let failure = Failure::new(status.message.trim_end());
            match denied(&status.message) {
                Some(right) => failure.hint(format_args!("ask for a role with {right}")).hint(
                    "or name the namespace Fission is installed in, if it is another: FISSION_NAMESPACE=NAMESPACE",
                ),
                None => failure,
            }
        }
        other => Failure::new(root_of(&other)),
    }
}

/// The resource of pods.
pub(crate) fn pods() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"))
}

/// Whether a pod takes requests.
pub(crate) fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What a pod does, in a word: the reason its first container that does not run gives, else its phase.
pub(crate) fn state(pod: &DynamicObject) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "ending".to_owned();
    }
    let containers = pod.data["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reason = containers.iter().find_map(|container| {
        ["waiting", "terminated"].iter().find_map(|state| container["state"][*state]["reason"].as_str())
    });
    let phase = pod.data["status"]["phase"].as_str().unwrap_or("unknown");
    match reason.unwrap_or(phase) {
        "Running" if !is_ready(pod) => "running, not ready".to_owned(),
        state => state.to_owned(),
    }
}

/// The container port a service's port 80 leads to. Not knowing it is no failure: the usual port is then tried.
async fn behind_service(client: &Client, namespace: &str, pod: &DynamicObject) -> Option<u16> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let services = api.list(&ListParams::default()).await.ok()?.items;
    target_port(&services, pod)
}

fn target_port(services: &[DynamicObject], pod: &DynamicObject) -> Option<u16> {
    let selects = |service: &&DynamicObject| {
        let wanted = service.data["spec"]["selector"].as_object().filter(|wanted| !wanted.is_empty());
        wanted.is_some_and(|wanted| {
            wanted.iter().all(|(key, value)| pod.labels().get(key).map(String::as_str) == value.as_str())
        })
    };
    let ports = services.iter().filter(selects).filter_map(|service| service.data["spec"]["ports"].as_array());
    let port = ports.flatten().find(|port| port["port"].as_u64() == Some(SERVICE_PORT))?;
    match &port["targetPort"] {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(name) => named_port(pod, name),
        _ => u16::try_from(SERVICE_PORT).ok(),
    }
}

fn named_port(pod: &DynamicObject, name: &str) -> Option<u16> {
    let containers = pod.data["spec"]["containers"].as_array()?;
    let mut ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    let port = ports.find(|port| port["name"] == name)?;
    port["containerPort"].as_u64().and_then(|port| u16::try_from(port).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn pod(status: Value) -> DynamicObject {
        object(json!({
            "metadata": { "name": "router-1", "namespace": "fission", "labels": { "svc": "router", "x": "y" } },
            "spec": { "containers": [{ "name": "router", "ports": [{ "name": "http", "containerPort": 7777 }] }] },
            "status": status,
        }))
    }

    #[test]
    fn the_port_is_what_the_service_leads_to() {
        let service = |selector: Value, target: Value| {
            object(json!({ "metadata": { "name": "router" }, "spec": {
                "selector": selector, "ports": [{ "port": 8889, "targetPort": 1 }, { "port": 80, "targetPort": target }],
            }}))
        };
        let pod = pod(json!({}));
        let leads = |selector: Value, target: Value| target_port(&[service(selector, target)], &pod);
        assert_eq!(leads(json!({ "svc": "router" }), json!(8888)), Some(8888));
        assert_eq!(leads(json!({ "svc": "router" }), json!("http")), Some(7777));
        assert_eq!(leads(json!({ "svc": "router" }), Value::Null), Some(80));
        assert_eq!(leads(json!({ "svc": "executor" }), json!(8888)), None);
        assert_eq!(leads(Value::Null, json!(8888)), None);
    }

    #[test]
    fn a_pod_says_why_it_is_not_ready() {
        let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
        assert!(is_ready(&pod(ready.clone())));
        assert_eq!(state(&pod(ready)), "Running");
        assert_eq!(state(&pod(json!({ "phase": "Running" }))), "running, not ready");
        let waiting = json!({ "phase": "Pending", "containerStatuses": [{ "state": { "waiting": { "reason": "ImagePullBackOff" } } }] });
        assert_eq!(state(&pod(waiting)), "ImagePullBackOff");
    }
}
