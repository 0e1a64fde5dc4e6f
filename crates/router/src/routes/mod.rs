//! Which request reaches which function: triggers compiled to routes, and the table they are found in.
//!
//! * [`pattern`], [`methods`], [`route`]: one trigger, compiled.
//! * [`table`]: all of them, as requests see them: a value that is never changed, only replaced.
//! * [`planner`]: makes the next table from changes, touching only what they change.
//! * [`verdict`]: what is said of each trigger afterwards.

pub(crate) mod methods;
pub(crate) mod pattern;
pub(crate) mod planner;
pub(crate) mod route;
mod shards;
pub(crate) mod table;
pub(crate) mod verdict;

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
