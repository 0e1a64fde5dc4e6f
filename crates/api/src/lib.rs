//! What users declare: the `fission.io/v1` kinds, one file each, with their defaults, validation and names.
//!
//! The types are wire-exact with Fission: mixed casing, keys that are always sent, `null` accepted where Go clients
//! send it. Everything here is pure data in, data out.
//!
//! This crate never does I/O, never talks to an API server and depends on nothing else of ours.
//!
//! Start reading in [`function`]; the other kinds follow its shape. [`labels`] holds every label, annotation and
//! header name that users or other components can see.

mod env_var;
pub mod environment;
pub mod function;
pub mod http_trigger;
pub mod labels;
pub mod package;
mod reference;
mod wire;

pub use environment::{AllowedFunctions, Builder, Environment, EnvironmentSpec, EnvironmentStatus, Runtime};
pub use function::{
    EnvironmentReference, ExecutionStrategy, ExecutorType, Function, FunctionPackageRef, FunctionSpec, FunctionStatus,
    InvokeStrategy, ObjectFileReference, PackageRef,
};
pub use http_trigger::{CorsConfig, HTTPTrigger, HTTPTriggerSpec, HTTPTriggerStatus, IngressConfig};
pub use package::{Archive, BuildStatus, Checksum, Package, PackageSpec, PackageStatus};
pub use reference::{FunctionReference, FunctionReferenceType};
pub use wire::Opaque;

/// API group of every kind here.
pub const GROUP: &str = "fission.io";
/// The only version of the group; served and stored.
pub const VERSION: &str = "v1";
/// Largest literal archive the API accepts, in decoded bytes; larger code goes to the storage service.
pub const MAX_LITERAL_BYTES: usize = 256 * 1024;
