//! Names of the objects made for users' objects. They depend on uids, never on resource versions, which change with every
//! status write.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use fission_api::{Environment, Function};
use kube::Resource;

/// Longest name of a Service, and of a label's value.
const LABEL: usize = 63;
/// Longest name of most other objects.
const SUBDOMAIN: usize = 253;

/// Lower-case hex of the first `bytes` bytes of the sha256 of `text`.
pub(crate) fn short_hash(text: &[u8], bytes: usize) -> String {
    digest(&SHA256, text).as_ref().iter().take(bytes).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `metadata.name`.
pub(crate) fn name<K: Resource>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}

/// `metadata.namespace`.
pub(crate) fn namespace<K: Resource>(object: &K) -> &str {
    object.meta().namespace.as_deref().unwrap_or_default()
}

/// `metadata.uid`.
pub(crate) fn uid<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

/// A pool's Deployment: `poolmgr-<env>-<ns>-<8 hex of the uid>`.
pub(crate) fn pool(environment: &Environment) -> String {
    let (name, namespace) = (name(environment), namespace(environment));
    let (name, namespace) =
        if name.len() + namespace.len() < 37 { (name, namespace) } else { (cut(name, 18), cut(namespace, 18)) };
    format!("poolmgr-{name}-{namespace}-{}", short_hash(uid(environment).as_bytes(), 4)).to_lowercase()
}

/// A builder's Deployment and Service: `builder-<env>-<ns>-<8 hex of the uid>`.
pub(crate) fn builder(environment: &Environment) -> String {
    let (name, namespace) = (cut(name(environment), 18), cut(namespace(environment), 18));
    format!("builder-{name}-{namespace}-{}", short_hash(uid(environment).as_bytes(), 4)).to_lowercase()
}

/// A function's headless Service: `fn-<name>-<8 hex of sha256(uid)>`.
pub(crate) fn service(function: &Function) -> String {
    let suffix = short_hash(uid(function).as_bytes(), 4);
    format!("fn-{}-{suffix}", cut(name(function), LABEL - "fn--".len() - suffix.len()))
}

/// Deployment, Service and autoscaler of a function that Kubernetes scales: `<type>-<fn>-<ns>-<last 17 of the uid>`.
pub(crate) fn scaled(executor_type: &str, function: &Function) -> String {
    let uid = uid(function);
    let tail = &uid[uid.len().saturating_sub(17)..];
    let (name, namespace) = (cut(name(function), 17), cut(namespace(function), 17));
    format!("{executor_type}-{name}-{namespace}-{tail}").to_lowercase().trim_matches('-').to_owned()
}

/// What is made for a trigger whose own name is taken: `<name>-<8 hex of the sha256 of namespace and name>`. It follows from
/// the trigger alone, so that one that is made anew is given the same.
pub(crate) fn exposed_apart(namespace: &str, name: &str) -> String {
    let suffix = short_hash(format!("{namespace}/{name}").as_bytes(), 4);
    format!("{}-{suffix}", cut(name, SUBDOMAIN - 1 - suffix.len()))
}

/// A name as the value of a label: longer ones are cut, and told apart by a hash.
pub(crate) fn label_value(name: &str) -> String {
    if name.len() <= LABEL {
        return name.to_owned();
    }
    let suffix = short_hash(name.as_bytes(), 8);
    // Filled up, so that every one that was cut is as long.
    let room = LABEL - 1 - suffix.len();
    format!("{:-<room$}-{suffix}", cut(name, room))
}

/// Whether the value of a label may be a name that was cut.
pub(crate) fn is_cut(label: &str) -> bool {
    label.len() == LABEL
}

/// The beginning of a name, such that more can be put after it.
fn cut(name: &str, most: usize) -> &str {
    name[..name.len().min(most)].trim_end_matches(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, namespace: &str) -> Function {
        let mut function = Function::default();
        function.metadata.name = Some(name.into());
        function.metadata.namespace = Some(namespace.into());
        function.metadata.uid = Some("0a1b2c3d-0000-4000-8000-123456789abc".into());
        function
    }

    #[test]
    fn names_stay_labels_whatever_users_call_their_objects() {
        let long = "a-".repeat(31) + "b";
        let function = function(&long, &long);
        let environment = Environment { metadata: function.metadata.clone(), ..Environment::default() };
        for name in [service(&function), scaled("newdeploy", &function), pool(&environment), builder(&environment)] {
            assert!(name.len() <= LABEL && !name.contains("--"), "{name}");
        }
    }

    #[test]
    fn two_objects_of_one_name_after_each_other_have_other_names() {
        let mut later = function("hello", "default");
        let before = (service(&later), scaled("container", &later));
        later.metadata.uid = Some("ffffffff-0000-4000-8000-ffffffffffff".into());
        assert!(service(&later) != before.0 && scaled("container", &later) != before.1);
        assert_eq!(before.1, "container-hello-default-8000-123456789abc");
    }
}
