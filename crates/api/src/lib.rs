//! What users declare: the `fission.io/v1` kinds, one file each, with their defaults, validation and names.
//!
//! The types are wire-exact with Fission: mixed casing, keys that are always sent, `null` accepted where Go clients
//! send it. Everything here is pure data in, data out.
//!
//! This crate never does I/O, never talks to an API server and depends on nothing else of ours.
//!
//! * One file per kind holds its type; [`kinds`] lists them all and gives, without knowing the type, a kind's CRD,
//!   defaults and validation. There is one validation: the API server, the webhook and the command line call it.
//! * [`structural`] holds objects against schemas (prune, default, check), [`crd`] makes the schemas, `rules` says what
//!   a schema cannot.
//! * [`labels`] holds every label, annotation and header name that users or other components can see.
//!
//! Invariants: what a client sent and the schema knows is never lost between JSON and type; a schema admits nothing the
//! type cannot read; absent, `null` and zero stay apart wherever the contract tells them apart.
//!
//! Start reading in [`kinds`], then [`function`]; the other kinds follow its shape.

pub mod canary_config;
pub mod crd;
mod env_var;
pub mod environment;
pub mod field_error;
pub mod fission_tenant;
pub mod function;
pub mod function_alias;
pub mod function_options;
pub mod function_version;
pub mod go_duration;
pub mod http_trigger;
pub mod kinds;
pub mod kubernetes_watch_trigger;
pub mod labels;
pub mod message_queue_trigger;
mod metadata_address;
pub mod network;
pub mod package;
pub mod quantity;
mod reference;
mod rules;
pub mod schedule;
pub mod structural;
pub mod time_trigger;
mod wire;
pub mod workflow;
pub mod workflow_run;

pub use canary_config::{CanaryConfig, CanaryConfigSpec, CanaryConfigStatus};
pub use env_var::{check_variable_name, is_reserved_variable, literal_variables};
pub use environment::{AllowedFunctions, Builder, Environment, EnvironmentSpec, EnvironmentStatus, Runtime};
pub use field_error::{FieldError, Problem};
pub use fission_tenant::{FissionTenant, FissionTenantSpec, FissionTenantStatus};
pub use function::{
    EnvironmentReference, ExecutionStrategy, ExecutorType, Function, FunctionPackageRef, FunctionSpec, FunctionStatus,
    InvokeStrategy, ObjectFileReference, PackageRef,
};
pub use function_alias::{FunctionAlias, FunctionAliasSpec, FunctionAliasStatus};
pub use function_version::{FunctionVersion, FunctionVersionSpec};
pub use go_duration::{GoDuration, GoDurationError};
pub use http_trigger::{CorsConfig, HTTPTrigger, HTTPTriggerSpec, HTTPTriggerStatus, IngressConfig, RouteConfig};
pub use kinds::{KINDS, KindInfo, by_plural, kind};
pub use kubernetes_watch_trigger::{KubernetesWatchTrigger, KubernetesWatchTriggerSpec, KubernetesWatchTriggerStatus};
pub use message_queue_trigger::{MessageQueueTrigger, MessageQueueTriggerSpec, MessageQueueTriggerStatus};
pub use metadata_address::{METADATA_ADDRESSES, canonical_address, is_metadata_address};
pub use network::{Destination, Network, NetworkError};
pub use package::{Archive, BuildStatus, Checksum, OciArchive, Package, PackageSpec, PackageStatus, PullSecret};
pub use reference::{FunctionReference, FunctionReferenceType};
pub use rules::build_command_problem;
pub use schedule::{Schedule, ScheduleError};
pub use time_trigger::{TimeTrigger, TimeTriggerSpec, TimeTriggerStatus};
pub use wire::{AnyJson, Opaque};
pub use workflow::{Workflow, WorkflowSpec, WorkflowStatus};
pub use workflow_run::{WorkflowRun, WorkflowRunSpec, WorkflowRunStatus};

/// API group of every kind here.
pub const GROUP: &str = "fission.io";
/// The only version of the group; served and stored.
pub const VERSION: &str = "v1";
/// Largest literal archive the API accepts, in decoded bytes; larger code goes to the storage service.
pub const MAX_LITERAL_BYTES: usize = 256 * 1024;
