//! Rules of `Environment`.

use super::podspec::{check_container, check_pod_spec, list};
use super::{NameRule, Rules};
use crate::Environment;
use crate::crd::FieldDefault;
use crate::field_error::Found;
use crate::wire::Opaque;

impl Rules for Environment {
    const KIND: &'static str = "Environment";
    const NAME: NameRule = NameRule::Label;
    const DEFAULTS: &'static [FieldDefault] = &[("spec.terminationGracePeriod", "90")];

    fn check(&self, old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        if old.is_some_and(|old| old.spec.version != spec.version) {
            found.immutable("spec.version", spec.version);
        }
        if spec.runtime.image.is_empty() {
            found.required("spec.runtime.image", "name the image functions run in");
        }
        let parts = [
            ("spec.runtime", &spec.runtime.container, &spec.runtime.podspec),
            ("spec.builder", &spec.builder.container, &spec.builder.podspec),
        ];
        for (path, container, podspec) in parts {
            if let Some(container) = container {
                check_container(&format!("{path}.container"), &container.0, found);
            }
            if let Some(podspec) = podspec {
                check_pod_spec(&format!("{path}.podspec"), &podspec.0, found);
            }
        }
        if let Some(podspec) = &spec.runtime.podspec {
            check_runtime_container(self, podspec, found);
        }
    }
}

/// A container with the runtime's image and no command is the runtime container, and is found by the environment's name.
fn check_runtime_container(environment: &Environment, podspec: &Opaque, found: &mut Found) {
    let own = environment.metadata.name.as_deref().unwrap_or_default();
    for (index, container) in list(&podspec.0, "containers").enumerate() {
        let image = container.get("image").and_then(|image| image.as_str()).unwrap_or_default();
        let name = container.get("name").and_then(|name| name.as_str()).unwrap_or_default();
        let has_command =
            container.get("command").and_then(|command| command.as_array()).is_some_and(|command| !command.is_empty());
        if image == environment.spec.runtime.image && !has_command && name != own && !own.is_empty() {
            let detail = format!("the container that runs the environment's image must be named {own:?}");
            found.invalid(format!("spec.runtime.podspec.containers[{index}].name"), name, detail);
        }
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
