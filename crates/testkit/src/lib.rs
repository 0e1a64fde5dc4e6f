//! Test worlds: fixtures, code without packages, a backend whose instances do what a test says, a registry of
//! images, and what clusters ([`scc`], [`scc_pod_security`]) let run.
//!
//! A dev-dependency only; it knows nothing of processes, sandboxes or sockets of the real world but the ones it opens
//! itself. Start reading in [`backend`].
//!
//! Invariant: nothing here waits for luck. What a test has to wait for is waited for with a deadline ([`eventually`]).

pub mod backend;
pub mod clock;
pub mod code;
pub mod fixtures;
pub mod registry;
pub mod scc;
pub mod scc_pod_security;
mod server;
pub mod world;

use std::time::Duration;

pub use backend::{Call, ScriptedBackend};
pub use clock::RuntimeClock;
pub use code::FixedCode;
pub use world::World;

/// Longest time [`eventually`] waits.
const EVENTUALLY: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not hold within 20 s (of the runtime's clock).
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + EVENTUALLY;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not within {EVENTUALLY:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sleeps, but not at all for zero: a timer would take a millisecond of real time even then.
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
