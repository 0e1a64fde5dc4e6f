//! Limits of an instance, from what its environment or function declares.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::protocol::Limits;

/// The limits of an instance: declared limits where there are, else the defaults, raised to what is requested.
///
/// An error names the field and what is wrong with it.
pub(crate) fn limits(declared: &ResourceRequirements, defaults: &Limits) -> Result<Limits, String> {
    let limit = |name: &str| quantity(declared.limits.as_ref(), "limits", name);
    let request = |name: &str| quantity(declared.requests.as_ref(), "requests", name);
    let memory = match (limit("memory")?, request("memory")?) {
        (Some(limit), _) => limit,
        (None, request) => request.unwrap_or(0.0).max(defaults.memory as f64),
    };
    let cpu_millis = match limit("cpu")? {
        Some(cores) => Some((cores * 1000.0).ceil().clamp(1.0, f64::from(u32::MAX)) as u32),
        None => defaults.cpu_millis,
    };
    Ok(Limits { memory: memory as u64, cpu_millis, ..*defaults })
}

fn quantity(from: Option<&BTreeMap<String, Quantity>>, kind: &str, name: &str) -> Result<Option<f64>, String> {
    let Some(Quantity(text)) = from.and_then(|map| map.get(name)) else { return Ok(None) };
    match parse(text) {
        Some(value) if value > 0.0 => Ok(Some(value)),
        Some(_) => Ok(None),
        None => Err(format!("resources.{kind}.{name}: {text} is not a quantity such as 256Mi, 1.5Gi or 500m")),
    }
}

/// A Kubernetes quantity: a decimal number with a binary suffix, a decimal suffix or an exponent.
fn parse(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 16] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let value = number.parse::<f64>().ok().filter(|_| plain)? * factor;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// Bytes for people, exact where they are a whole number of units: `256 MiB`.
pub(crate) fn display_bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size))
        .map_or_else(|| format!("{bytes} bytes"), |(size, unit)| format!("{} {unit}", bytes / size))
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
