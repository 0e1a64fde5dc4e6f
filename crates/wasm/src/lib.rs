//! Backend: instances are WebAssembly components, and commands, that run inside this process.
//!
//! A generic instance is a name and costs nothing. Loading a function compiles its package once per digest and engine,
//! keeps the machine code as a file, and maps that file from then on. A loaded instance is an address the router calls as
//! a value (`fission_rpc::local`): no socket, no process.
//!
//! Start reading in `backend` (the six methods), go on to `load` (what is read from declarations), `artifacts` (from bytes
//! to mapped machine code), `instance` (which store serves a request), `idle` (how long others wait for one) and `call` (how a
//! request drives one); `command` and `cgi` are for modules that know no HTTP. `machine` is the engine with its limits, `guest`
//! what a component can see, `outputs` where it prints, `hosts` and `outgoing` whom it may call, `failures` what is said when it
//! fails.
//!
//! Invariants:
//! * a component reaches nothing it was not given: its package, its configuration, named hosts, clocks and randomness;
//! * a store serves one request at a time, and none after a trap, an exit or a call that was given up;
//! * nothing a component does holds a thread longer than one tick of the engine's clock, but for single bulk
//!   instructions;
//! * code is compiled while a function is loaded, never while a loaded instance serves.
#![allow(clippy::result_large_err, reason = "a refusal leaves the failing path once; its size does not matter there")]

mod artifacts;
mod backend;
mod call;
mod cgi;
mod command;
mod failures;
mod guest;
mod hosts;
mod idle;
mod instance;
mod load;
mod machine;
mod options;
mod outgoing;
mod outputs;
mod resources;
mod sections;

pub use backend::WasmBackend;
pub use options::{Options, WasmError};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock whose holder cannot leave what it guards half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
