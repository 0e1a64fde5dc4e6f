//! Backend: functions as sandboxed processes on this Linux machine.
//!
//! [`SandboxBackend`] makes instances through the [`launcher`], a process of its own that isolates and starts them; it places
//! code, secrets and config maps where an instance sees them, and speaks the specialize protocol with the server inside.
//! [`SandboxBuilder`] runs builds of source the same way. [`Feature`] lists what isolates an instance; which of it was applied
//! is reported for each, never assumed.
//!
//! This crate decides nothing: which instances there are, for whom and how long, is the executor's. It knows no routes
//! and no storage, and API objects only as values it is handed.
//!
//! Start reading in [`backend`]; then [`launcher`] and its `init`, the first process of an instance, top to bottom.
//!
//! Invariants:
//! * nothing survives the platform: the launcher ends when its socket closes, and instances end with the launcher;
//! * every isolation feature listed for an instance was applied to it without error, or it was not started;
//! * a function can write to nothing of the host's; without root, to nothing but an empty directory of its own;
//! * requests to an instance reach its own server: its socket is out of its reach before it runs anyone's code;
//! * an instance that was told to end is never reported as having ended by itself.

mod appear;
pub mod backend;
pub mod build;
mod code;
mod configuration;
mod control;
mod http;
mod instance;
mod isolation;
pub mod launcher;
mod layout;
mod options;
mod output;
mod protocol;
mod request;
mod resources;
mod specialize;
mod sys;

pub use backend::SandboxBackend;
pub use build::{BuildOptions, SandboxBuilder};
pub use isolation::{Feature, FeatureReport, IsolationReport};
pub use options::{Options, RuntimeSource, SandboxError};
pub use protocol::Limits;
