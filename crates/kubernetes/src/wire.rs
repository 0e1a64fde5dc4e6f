//! What the executor says to a fetcher, as Fission's fetcher understands it, and our additions, which it ignores.

use fission_api::Function;
pub use fission_rpc::fetch::FetchRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// Body of `/specialize`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpecializeRequest {
    /// What to fetch.
    #[serde(rename = "FetchReq")]
    pub fetch: FetchRequest,
    /// What to tell the environment then.
    #[serde(rename = "LoadReq")]
    pub load: LoadRequest,
    /// An addition: the function, when it has secrets, config maps or variables, which the fetcher reads by itself.
    #[serde(rename = "Function", default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Box<Function>>,
}

/// What the environment is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadRequest {
    /// Where the code is.
    pub filepath: String,
    /// Entry point.
    #[serde(rename = "functionName")]
    pub function_name: String,
    /// Not used.
    pub url: String,
    /// The function's metadata.
    #[serde(rename = "FunctionMetadata")]
    pub metadata: Option<ObjectMeta>,
    /// Version of the environment.
    #[serde(rename = "envVersion")]
    pub env_version: i64,
}
