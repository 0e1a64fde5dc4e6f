//! Labels, annotations and headers that users, functions or other components can see.

/// Label: the environment an instance was made for.
pub const ENVIRONMENT_NAME: &str = "environmentName";
/// Label: the namespace of that environment.
pub const ENVIRONMENT_NAMESPACE: &str = "environmentNamespace";
/// Label: the uid of that environment.
pub const ENVIRONMENT_UID: &str = "environmentUid";
/// Label: which strategy made an instance (`poolmgr`, `newdeploy`, `container`).
pub const EXECUTOR_TYPE: &str = "executorType";
/// Label: `true` for a generic instance of a pool, `false` for a specialized one.
pub const MANAGED: &str = "managed";
/// Label: the function an instance belongs to.
pub const FUNCTION_NAME: &str = "functionName";
/// Label: the namespace of that function.
pub const FUNCTION_NAMESPACE: &str = "functionNamespace";
/// Label: the uid of that function.
pub const FUNCTION_UID: &str = "functionUid";
/// Label: the generation of the function an instance was specialized with.
pub const FUNCTION_GENERATION: &str = "fission.io/function-generation";
/// Annotation on objects a spec directory owns: the deployment's name.
pub const SPEC_NAME: &str = "fission-name";
/// Annotation on objects a spec directory owns: the deployment's uid, the ownership key.
pub const SPEC_UID: &str = "fission-uid";
/// Annotation on a Function: `true` keeps its code when its package changes.
pub const DISABLE_PACKAGE_AUTO_FOLLOW: &str = "fission.io/disable-package-auto-follow";
/// Annotation on a Function: what of the network it may reach: `host`, `loopback`, `none`, `allow-list`.
pub const NETWORK: &str = "fission.io/network";
/// Annotation on a Function: the addresses of its `allow-list`.
pub const NETWORK_ALLOW: &str = "fission.io/network-allow";
/// Annotation on a Function that runs as WebAssembly: the hosts it may call, `api.example.com, *.example.org, 10.0.0.7:8080`.
pub const ALLOWED_HOSTS: &str = "fission.io/allowed-hosts";
/// Annotation on a Function that runs as WebAssembly: the most requests one store serves, one after the other; `1` gives
/// each a fresh one.
pub const REQUESTS_PER_STORE: &str = "fission.io/requests-per-store";
/// Annotations on a Function that its instances act on: they make no new generation, but another value is for other instances.
pub const FOR_INSTANCES: [&str; 4] = [NETWORK, NETWORK_ALLOW, ALLOWED_HOSTS, REQUESTS_PER_STORE];

/// Headers of requests and responses, in lower case as HTTP libraries compare them.
pub mod header {
    /// Correlation id: accepted from the client or made by the router, echoed on the response.
    pub const REQUEST_ID: &str = "x-fission-request-id";
    /// On responses the platform itself made: the component that failed.
    pub const COMPONENT: &str = "x-fission-component";
    /// On the router's own 404 of an internal route; stripped from function responses.
    pub const ROUTE_MISS: &str = "x-fission-route-miss";
    /// Uid of the function called.
    pub const FUNCTION_UID: &str = "x-fission-function-uid";
    /// Name of the function called.
    pub const FUNCTION_NAME: &str = "x-fission-function-name";
    /// Namespace of the function called.
    pub const FUNCTION_NAMESPACE: &str = "x-fission-function-namespace";
    /// Resource version of the function called.
    pub const FUNCTION_RESOURCE_VERSION: &str = "x-fission-function-resourceversion";
    /// Path and query as the client sent them.
    pub const FULL_URL: &str = "x-fission-full-url";
    /// Prefix of the headers that carry path variables.
    pub const PARAMS_PREFIX: &str = "x-fission-params-";
}
