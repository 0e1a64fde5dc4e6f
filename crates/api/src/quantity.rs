//! Amounts of memory and processor time, as Kubernetes writes them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The memory limit in bytes: the declared limit, else `default` or what is requested, whichever is more.
///
/// An error names the field and what is wrong with it.
pub fn memory_limit(declared: &ResourceRequirements, default: u64) -> Result<u64, String> {
    match (
        amount(declared.limits.as_ref(), "limits", "memory")?,
        amount(declared.requests.as_ref(), "requests", "memory")?,
    ) {
        (Some(limit), _) => Ok(limit as u64),
        (None, request) => Ok(request.map_or(default, |request| (request as u64).max(default))),
    }
}

/// The limit on processors, in processors; `None` where there is none. An error names the field and what is wrong with it.
pub fn cpu_limit(declared: &ResourceRequirements) -> Result<Option<f64>, String> {
    amount(declared.limits.as_ref(), "limits", "cpu")
}

/// A declared amount; zero declares nothing.
fn amount(from: Option<&BTreeMap<String, Quantity>>, kind: &str, name: &str) -> Result<Option<f64>, String> {
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
pub fn display_bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size))
        .map_or_else(|| format!("{bytes} bytes"), |(size, unit)| format!("{} {unit}", bytes / size))
}

#[cfg(test)]
#[path = "quantity_tests.rs"]
mod tests;
