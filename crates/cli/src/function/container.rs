//! Functions that are an image of their own: the flags of that image, the pod they describe, and how it is shown.

use clap::Args;
use fission_api::{ExecutorType, Function, FunctionSpec, Opaque};
use serde_json::{Map, Value, json};

use super::words;
use crate::failure::{Failure, Outcome};

/// Port of a container when nothing else is said.
pub(super) const DEFAULT_PORT: u16 = 8888;
/// Seconds a container may take to end when nothing else is said; also what a platform takes for none.
pub(super) const DEFAULT_GRACE: u32 = 360;

/// The container, and how it is started and ended.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ContainerFlags {
    /// Port the container listens on; 8888 when not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Program the container runs instead of its image's; quotes keep words together
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) command: Option<String>,
    /// Arguments of the program; quotes keep words together
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) args: Option<String>,
    /// Seconds an instance may take to end; 360 when not given
    #[arg(long, value_name = "SECONDS")]
    pub(crate) graceperiod: Option<u32>,
    /// Pull secret of the image; empty for none
    #[arg(long, value_name = "SECRET")]
    pub(crate) imagepullsecret: Option<String>,
}

impl ContainerFlags {
    /// Writes the given ones, and the image when there is one, into a function's pod; the rest of it stays as it is.
    pub(super) fn apply(&self, spec: &mut FunctionSpec, name: &str, image: Option<&str>) -> Outcome {
        let Opaque(pod) = spec.podspec.get_or_insert_default();
        if let Some(seconds) = self.graceperiod {
            pod.insert("terminationGracePeriodSeconds".to_owned(), json!(seconds));
        }
        match self.imagepullsecret.as_deref() {
            // An entry without a name would mean nothing, and is one no server needs.
            Some("") => drop(pod.remove("imagePullSecrets")),
            Some(secret) => drop(pod.insert("imagePullSecrets".to_owned(), json!([{ "name": secret }]))),
            None => {}
        }
        let main = main_container(pod, name)?;
        if let Some(image) = image {
            main.insert("image".to_owned(), json!(image));
        }
        for (flag, field, given) in [("--command", "command", &self.command), ("--args", "args", &self.args)] {
            let Some(text) = given else { continue };
            let words = words::split(flag, text)?;
            match words.is_empty() {
                // Nothing to say is the image's own.
                true => drop(main.remove(field)),
                false => drop(main.insert(field.to_owned(), json!(words))),
            }
        }
        if let Some(port) = self.port {
            set_port(main, port);
        }
        Ok(())
    }
}

/// The function's container: the only one, or a new one of the function's name.
fn main_container<'a>(pod: &'a mut Map<String, Value>, name: &str) -> Outcome<&'a mut Map<String, Value>> {
    let containers = pod.entry("containers").or_insert(Value::Null);
    if containers.as_array().is_none_or(Vec::is_empty) {
        *containers = json!([{ "name": name }]);
    }
    let count = containers.as_array().map_or(0, Vec::len);
    match containers.as_array_mut().map(Vec::as_mut_slice) {
        Some([Value::Object(main)]) => Ok(main),
        _ => Err(Failure::new(format_args!(
            "the pod of function '{name}' has {count} containers and a function is exactly one"
        ))
        .hint(format_args!("take the others out of spec.podspec.containers: kubectl edit function {name}"))),
    }
}

/// Changes the number of the container's port and leaves its name and protocol alone.
fn set_port(main: &mut Map<String, Value>, port: u16) {
    let ports = main.entry("ports").or_insert(Value::Null);
    match ports.as_array_mut().map(Vec::as_mut_slice) {
        Some([Value::Object(known)]) => drop(known.insert("containerPort".to_owned(), json!(port))),
        _ => *ports = json!([{ "name": "http-env", "containerPort": port }]),
    }
}

/// Whether a function is an image of its own.
pub(super) fn is_container(function: &Function) -> bool {
    function.spec.executor_type() == ExecutorType::Container
}

/// The image of such a function; empty for every other one.
pub(super) fn image(function: &Function) -> String {
    field(function, "image").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What describes such a function, by label; rows that say nothing are left out.
pub(super) fn rows(function: &Function) -> Vec<Vec<String>> {
    let list = |name: &str| {
        let words = field(function, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        words::joined(words.iter().filter_map(Value::as_str))
    };
    let port = field(function, "ports").and_then(|ports| ports.pointer("/0/containerPort"));
    let pod = function.spec.podspec.as_ref().map(|Opaque(pod)| pod);
    let grace = pod.and_then(|pod| pod.get("terminationGracePeriodSeconds"));
    let secrets = pod.and_then(|pod| pod.get("imagePullSecrets")).and_then(Value::as_array);
    let secrets: Vec<&str> = secrets.into_iter().flatten().filter_map(|secret| secret["name"].as_str()).collect();
    let number = |value: Option<&Value>| value.and_then(Value::as_i64).map_or_else(String::new, |n| n.to_string());
    [
        ("Image:", image(function)),
        ("Command:", list("command")),
        ("Args:", list("args")),
        ("Port:", number(port)),
        ("Pull secret:", secrets.join(",")),
        ("Grace period:", number(grace)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(label, value)| vec![label.to_owned(), value])
    .collect()
}

fn field<'a>(function: &'a Function, name: &str) -> Option<&'a Value> {
    let Opaque(pod) = function.spec.podspec.as_ref()?;
    pod.get("containers")?.get(0)?.get(name)
}
