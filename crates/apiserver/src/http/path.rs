//! What a path of a resource names.

use super::query::decode;
use crate::registry::{self, NAMESPACES, Resource};

/// What a request is about.
#[derive(Clone)]
pub(crate) struct Target {
    /// The resource.
    pub(crate) resource: &'static Resource,
    /// The namespace in the path; `None` for all, and for cluster-scoped resources.
    pub(crate) namespace: Option<String>,
    /// The object.
    pub(crate) name: Option<String>,
    /// `status`, `log`...
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// The namespace, empty for cluster-scoped resources.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("")
    }
}

/// Reads a path below `/api` or `/apis`. `None` when nothing is served there.
pub(crate) fn parse(path: &str) -> Option<Target> {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        // `namespaces/x` and its subresources are about the namespace itself.
        ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
        _ => return None,
    };
    let resource = registry::find(group, version, plural)?;
    let in_namespace = namespace.is_some();
    if in_namespace && !resource.namespaced && resource.id != NAMESPACES {
        return None;
    }
    if name.is_some() && resource.namespaced && !in_namespace {
        return None;
    }
    Some(Target { resource, namespace, name: name.map(str::to_owned), subresource: subresource.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a path's target in one line, `-` for those it lacks.
    fn read(path: &str) -> Option<String> {
        let or_dash = |part: Option<String>| part.unwrap_or("-".to_owned());
        parse(path).map(|it| {
            let (namespace, name, subresource) = (or_dash(it.namespace), or_dash(it.name), or_dash(it.subresource));
            format!("{} {namespace} {name} {subresource}", it.resource.qualified())
        })
    }

    #[test]
    fn paths_name_resources_namespaces_objects_and_subresources() {
        for (path, parts) in [
            ("/api/v1/namespaces", "namespaces - - -"),
            ("/api/v1/namespaces/x/status", "namespaces - x status"),
            ("/api/v1/namespaces/x/secrets/s", "secrets x s -"),
            ("/apis/fission.io/v1/functions", "functions.fission.io - - -"),
            ("/apis/fission.io/v1/namespaces/a/functions/f%2Do/status", "functions.fission.io a f-o status"),
        ] {
            assert_eq!(read(path).as_deref(), Some(parts), "{path}");
        }
        for nothing in
            ["/apis/fission.io/v2/functions", "/api/v1/nonsense", "/apis/fission.io/v1/functions/f", "/x", "/"]
        {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_read_without_a_panic(path in "(/[a-z%0-9.]{0,12}){0,9}") {
            let _ = parse(&path);
        }
    }
}
