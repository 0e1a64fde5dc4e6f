//! Limits of an instance, from what its environment or function declares.

use fission_api::quantity;
use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::protocol::Limits;

/// The limits of an instance: declared limits where there are, else the defaults, raised to what is requested.
///
/// An error names the field and what is wrong with it.
pub(crate) fn limits(declared: &ResourceRequirements, defaults: &Limits) -> Result<Limits, String> {
    let memory = quantity::memory_limit(declared, defaults.memory)?;
    let cpu_millis = match quantity::cpu_limit(declared)? {
        Some(cores) => Some((cores * 1000.0).ceil().clamp(1.0, f64::from(u32::MAX)) as u32),
        None => defaults.cpu_millis,
    };
    Ok(Limits { memory, cpu_millis, ..*defaults })
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
