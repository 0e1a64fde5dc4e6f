//! What pods are made with, beside what users declare.

use serde_json::Value;

/// Settings of everything in this crate that makes pods.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace the platform itself runs in.
    pub install_namespace: String,
    /// End of the names of Services: `cluster.local`.
    pub cluster_domain: String,
    /// One namespace for the pods of all functions; `None`: each function's own.
    pub function_namespace: Option<String>,
    /// One namespace for the pods of all builders; `None`: each environment's own.
    pub builder_namespace: Option<String>,
    /// Image of this program, for the sidecar of function and builder pods.
    pub fetcher_image: String,
    /// When the sidecar's image is pulled.
    pub fetcher_pull_policy: String,
    /// When images of environments are pulled. `IfNotPresent`: a tag such as `latest` need not be asked for each time.
    pub runtime_pull_policy: String,
    /// Resources of the sidecar, as in a container.
    pub fetcher_resources: Value,
    /// Registries that fetchers ask for code over plain HTTP.
    pub insecure_registries: Vec<String>,
    /// The storage service as pods reach it.
    pub storage_url: String,
    /// Merged onto every pod of an environment, before what the environment itself says.
    pub runtime_pod_patch: Option<Value>,
    /// The same for builder pods.
    pub builder_pod_patch: Option<Value>,
    /// Whether the cluster knows the `sleep` action of a container's hooks (Kubernetes 1.30).
    pub has_sleep_action: bool,
    /// The master secret of internal requests.
    pub secret: InternalSecret,
}

/// The master secret, and the one before it while secrets rotate. Never printed.
#[derive(Clone)]
pub struct InternalSecret {
    /// What is signed with.
    pub current: Vec<u8>,
    /// Still accepted.
    pub old: Option<Vec<u8>>,
}

impl std::fmt::Debug for InternalSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InternalSecret(..)")
    }
}

impl InternalSecret {
    /// Keys of a channel, the one to sign with first.
    pub fn keys(&self, service: &str, namespace: Option<&str>) -> Vec<fission_rpc::signing::Key> {
        let all = std::iter::once(&self.current).chain(&self.old);
        all.map(|secret| fission_rpc::signing::Key::derive(secret, service, namespace)).collect()
    }

    /// The key of a channel to sign with.
    pub fn key(&self, service: &str, namespace: Option<&str>) -> fission_rpc::signing::Key {
        fission_rpc::signing::Key::derive(&self.current, service, namespace)
    }
}
