//! Which paths of the Kubernetes API are passed on: those the command line needs, and no others, so that this address is
//! no second way to everything in the cluster.

use http::Method;

/// Which methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Methods {
    /// All.
    Any,
    /// Those that change nothing.
    Reading,
    /// Those that read, and those that ask a question by a POST.
    Asking,
    /// Those that read or delete.
    Deleting,
}

/// The table: `*` is one part of a path, `**` any number of them.
const PASSED: &[(&str, Methods)] = &[
    // What there is.
    ("/version", Methods::Reading),
    ("/api", Methods::Reading),
    ("/api/v1", Methods::Reading),
    ("/apis", Methods::Reading),
    ("/apis/*", Methods::Reading),
    ("/apis/*/*", Methods::Reading),
    ("/openapi/**", Methods::Reading),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Methods::Reading),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/*", Methods::Reading),
    // What the caller may do.
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Methods::Asking),
    ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", Methods::Asking),
    // What users declare, and what functions are given.
    ("/apis/fission.io/v1/**", Methods::Any),
    ("/api/v1/namespaces", Methods::Any),
    ("/api/v1/namespaces/*", Methods::Any),
    ("/api/v1/secrets", Methods::Reading),
    ("/api/v1/namespaces/*/secrets", Methods::Any),
    ("/api/v1/namespaces/*/secrets/*", Methods::Any),
    ("/api/v1/configmaps", Methods::Reading),
    ("/api/v1/namespaces/*/configmaps", Methods::Any),
    ("/api/v1/namespaces/*/configmaps/*", Methods::Any),
    // What runs.
    ("/api/v1/pods", Methods::Reading),
    ("/api/v1/namespaces/*/pods", Methods::Reading),
    ("/api/v1/namespaces/*/pods/*", Methods::Deleting),
    ("/api/v1/namespaces/*/pods/*/log", Methods::Reading),
    ("/api/v1/namespaces/*/pods/*/portforward", Methods::Asking),
    ("/api/v1/services", Methods::Reading),
    ("/api/v1/namespaces/*/services", Methods::Reading),
    ("/api/v1/events", Methods::Reading),
    ("/api/v1/namespaces/*/events", Methods::Reading),
];

/// Whether a request is passed on; else why not.
pub(super) fn check(method: &Method, path: &str) -> Result<(), String> {
    // What could mean another path to the API server than it does here. None of the paths above needs it.
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    if path.contains(['%', '\\', ';']) || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err(format!("this address passes on no path such as {path}"));
    }
    let rows: Vec<Methods> =
        PASSED.iter().filter(|(pattern, _)| fits(pattern, &parts)).map(|(_, methods)| *methods).collect();
    if rows.is_empty() {
        return Err(format!(
            "this address passes on only what the command line of Fission needs, and {path} is not among it; use the \
             address of the cluster's own API server, which your kubeconfig has"
        ));
    }
    if rows.iter().any(|methods| methods.contain(method)) {
        return Ok(());
    }
    Err(format!("this address passes on no {method} of {path}; use the address of the cluster's own API server"))
}

impl Methods {
    fn contain(self, method: &Method) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::Any => reads || matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE),
            Self::Reading => reads,
            Self::Asking => reads || method == Method::POST,
            Self::Deleting => reads || method == Method::DELETE,
        }
    }
}

fn fits(pattern: &str, parts: &[&str]) -> bool {
    let mut pattern = pattern.trim_start_matches('/').split('/');
    let mut parts = parts.iter();
    loop {
        match (pattern.next(), parts.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(part)) if wanted == *part => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_needs_is_passed_on() {
        for path in [
            "/version",
            "/openapi/v3",
            "/openapi/v2",
            "/apis/fission.io/v1",
            "/apis/apps/v1",
            "/api/v1/pods",
            "/api/v1/namespaces/a/pods/p/log",
            "/api/v1/namespaces/a/pods/p/portforward",
            "/api/v1/namespaces/a/secrets/s",
        ] {
            assert_eq!(check(&Method::GET, path), Ok(()), "{path}");
        }
        for (method, path) in [
            (Method::POST, "/apis/fission.io/v1/namespaces/a/functions"),
            (Method::PATCH, "/apis/fission.io/v1/namespaces/a/packages/p/status"),
            (Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
            (Method::DELETE, "/api/v1/namespaces/a/pods/p"),
        ] {
            assert_eq!(check(&method, path), Ok(()), "{method} {path}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for (method, path) in [
            (Method::GET, "/apis/apps/v1/deployments"),
            (Method::GET, "/api/v1/nodes"),
            (Method::GET, "/api/v1/namespaces/a/pods/p/exec"),
            (Method::POST, "/api/v1/namespaces/a/pods"),
            (Method::POST, "/api/v1/namespaces/a/serviceaccounts/default/token"),
            (Method::GET, "/metrics"),
            (Method::CONNECT, "/apis/fission.io/v1/functions"),
            (Method::GET, "/openapi/../api/v1/nodes"),
            (Method::GET, "/openapi/%2e%2e/api/v1/nodes"),
            (Method::GET, "/apis/fission.io/v1//functions"),
            (Method::GET, "/"),
        ] {
            assert!(check(&method, path).is_err(), "{method} {path}");
        }
        let why = check(&Method::GET, "/api/v1/nodes").unwrap_err();
        assert!(why.contains("/api/v1/nodes") && why.contains("kubeconfig"), "{why}");
    }
}
