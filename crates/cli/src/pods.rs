//! Instances as the API shows them: the table behind `env pods` and `function pods`.

use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::failure::Outcome;
use crate::noun::explain;
use crate::output::{Format, rendered};
use crate::session::Session;
use crate::table::{Column, column, of_objects};

/// The columns of an environment's instances; a function's add [`FUNCTION_COLUMNS`].
pub(crate) const COLUMNS: [Column<DynamicObject>; 7] = [
    column("NAME", |pod| text(&pod.metadata.name)),
    column("NAMESPACE", |pod| text(&pod.metadata.namespace)),
    column("READY", ready),
    column("STATUS", |pod| string(&pod.data["status"]["phase"])),
    column("IP", |pod| string(&pod.data["status"]["podIP"])),
    column("EXECUTORTYPE", |pod| label(pod, fission_api::labels::EXECUTOR_TYPE)),
    column("MANAGED", |pod| label(pod, fission_api::labels::MANAGED)),
];

/// What a function's instances show besides.
pub(crate) const FUNCTION_COLUMNS: [Column<DynamicObject>; 2] = [
    column("SERVED", |pod| label(pod, "fission.io/served")),
    column("VERSION", |pod| label(pod, "fission.io/function-version")),
];

/// The instances with these labels, by name.
pub(crate) async fn with_labels(s: &mut Session, labels: &[(&str, &str)]) -> Outcome<Vec<DynamicObject>> {
    with_labels_in(s, labels, None).await
}

/// The same in one namespace; in all when none is given, or in that of the request when others may not be seen.
pub(crate) async fn with_labels_in(
    s: &mut Session,
    labels: &[(&str, &str)],
    namespace: Option<&str>,
) -> Outcome<Vec<DynamicObject>> {
    let client = s.client().await?;
    let kind = crate::cluster::pods();
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let params = ListParams::default().labels(&selector);
    let inside = |namespace: &str| -> Api<DynamicObject> { Api::namespaced_with(client.clone(), namespace, &kind) };
    let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let listed = match namespace {
        Some(namespace) => inside(namespace).list(&params).await,
        None => match everywhere.list(&params).await {
            Err(kube::Error::Api(status)) if status.code == 403 => inside(&s.namespace).list(&params).await,
            listed => listed,
        },
    };
    let mut pods = listed.map_err(|error| explain(s, "cannot list instances", error))?.items;
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(pods)
}

/// Prints instances.
pub(crate) fn print(
    s: &mut Session,
    format: Format,
    columns: &[Column<DynamicObject>],
    pods: &[DynamicObject],
) -> Outcome {
    match format {
        Format::Json | Format::Yaml => {
            let text = rendered(format, pods)?;
            s.io.write(text)
        }
        Format::Name => pods.iter().try_for_each(|pod| s.io.say(format_args!("pod/{}", text(&pod.metadata.name)))),
        _ => s.io.write(of_objects(columns, pods, format == Format::Wide)),
    }
}

fn ready(pod: &DynamicObject) -> String {
    let containers = pod.data["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = containers.iter().filter(|container| container["ready"] == true).count();
    format!("{ready}/{}", containers.len())
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn label(pod: &DynamicObject, key: &str) -> String {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
}
