//! The environment variables commands read: one table, one place that reads them.

use std::collections::BTreeMap;

/// One variable and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the settings page and `fission --help`.
    pub meaning: &'static str,
}

/// Every variable a command reads.
pub const VARIABLES: &[Variable] = &[
    variable("FISSION_URL", "address of the API server, such as http://127.0.0.1:31313"),
    variable("FISSION_TOKEN", "bearer token for the API server; else found in the running platform's kubeconfig"),
    variable("FISSION_DATA", "data folder of the platform on this machine; else $XDG_DATA_HOME/fission"),
    variable("XDG_DATA_HOME", "where data folders live; else ~/.local/share"),
    variable("HOME", "home folder: ~/.kube/config and the default data folder"),
    variable("KUBECONFIG", "kubeconfig files, separated by colons"),
    variable("KUBERNETES_SERVICE_HOST", "set inside a cluster: its service account is then used"),
    variable("FISSION_DEFAULT_NAMESPACE", "namespace when --namespace is not given"),
    variable(
        "FISSION_NAMESPACE",
        "namespace Fission itself is installed in, in a cluster; else it is looked for in all",
    ),
    variable("FISSION_ROUTER_URL", "address of the router's public listener"),
    variable("FISSION_ROUTER", "the same, as host:port; the older spelling"),
    variable("FISSION_ROUTER_INTERNAL_URL", "address of the router's internal listener, used by function test"),
    variable(
        "FISSION_STORAGESVC_URL",
        "address of the storage service; else the API server's /v1/archive, or its pod in a cluster",
    ),
    variable("FISSION_INTERNAL_AUTH_SECRET", "secret internal requests are signed with; may not be blank"),
    variable("FISSION_INTERNAL_AUTH_SECRET_NAME", "Kubernetes secret it is read from when that is unset, in a cluster"),
    variable(
        "FUNCTION_NAMESPACE",
        "namespace the pods of functions in namespace default run in, for logs in a cluster",
    ),
    variable("POD_NAMESPACE", "namespace when running inside a cluster and no other is given"),
    variable("FISSION_AUTH_TOKEN", "bearer token for requests to the router"),
    variable("FISSION_AUTH_URI", "login path of the router; /auth/login when unset"),
    variable("FISSION_ENVIRONMENT_CACHE", "folder of prepared environments, for function run-local"),
    variable("NO_COLOR", "any value turns colours off"),
];

const fn variable(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning }
}

/// The values of [`VARIABLES`], read once.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads the variables of this process. Values that are not UTF-8 are treated as unset.
    #[allow(clippy::disallowed_methods, reason = "the one place where commands read variables")]
    pub fn of_process() -> Self {
        VARIABLES
            .iter()
            .filter_map(|variable| Some((variable.name.to_owned(), std::env::var(variable.name).ok()?)))
            .collect()
    }

    /// The value, when set and not blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.trim().is_empty())
    }

    /// The value when set, blank or not.
    pub fn raw(&self, name: &str) -> Option<&str> {
        debug_assert!(VARIABLES.iter().any(|variable| variable.name == name), "{name} is missing in VARIABLES");
        self.0.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
