//! Flags several verbs share, and how their values become fields of objects.

use std::collections::BTreeMap;

use clap::Args;
use fission_api::Opaque;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// Which object.
#[derive(Debug, Args)]
pub(crate) struct NameFlag {
    /// Name of the object
    #[arg(long)]
    pub(crate) name: String,
}

/// Where the result of a `create` goes instead of the API server.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct SpecFlags {
    /// Write the object to a file below ./specs instead of creating it
    #[arg(long)]
    pub(crate) spec: bool,
    /// Print the object as YAML and change nothing
    #[arg(long)]
    pub(crate) dry: bool,
}

impl SpecFlags {
    /// Whether the API server is left alone.
    pub(crate) fn is_local(self) -> bool {
        self.spec || self.dry
    }
}

/// Labels and annotations of an object.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LabelFlags {
    /// Labels, as k=v,k2=v2
    #[arg(long, value_name = "K=V,..")]
    pub(crate) labels: Option<String>,
    /// An annotation, as k=v; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) annotation: Vec<String>,
}

impl LabelFlags {
    /// Adds them to an object's metadata.
    pub(crate) fn apply(&self, meta: &mut ObjectMeta) -> Outcome {
        if let Some(labels) = self.labels.as_deref().filter(|labels| !labels.is_empty()) {
            let pairs = labels.split(',').map(|pair| key_value("--labels", pair)).collect::<Outcome<Vec<_>>>()?;
            meta.labels.get_or_insert_default().extend(pairs);
        }
        if !self.annotation.is_empty() {
            meta.annotations.get_or_insert_default().extend(key_values("--annotation", &self.annotation)?);
        }
        Ok(())
    }
}

/// What to do with a name that is not there.
#[derive(Debug, Args)]
pub(crate) struct DeleteFlags {
    /// Name of the object
    #[arg(long)]
    pub(crate) name: String,
    /// Succeed when it does not exist
    #[arg(long)]
    pub(crate) ignorenotfound: bool,
}

/// Which objects a `list` shows, and how.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ListFlags {
    /// Show the objects of all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    #[command(flatten)]
    pub(crate) output: crate::output::OutputFlag,
}

/// CPU and memory of an instance.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ResourceFlags {
    /// CPU an instance is given at least, in millicores
    #[arg(long, value_name = "MILLICORES")]
    pub(crate) mincpu: Option<u32>,
    /// CPU an instance may use at most, in millicores; --mincpu when not given
    #[arg(long, value_name = "MILLICORES")]
    pub(crate) maxcpu: Option<u32>,
    /// Memory an instance is given at least, in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) minmemory: Option<u32>,
    /// Memory an instance may use at most, in MiB; --minmemory when not given
    #[arg(long, value_name = "MIB")]
    pub(crate) maxmemory: Option<u32>,
}

impl ResourceFlags {
    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        [self.mincpu, self.maxcpu, self.minmemory, self.maxmemory].iter().all(Option::is_none)
    }

    /// Writes the given ones into an object's resources; the others stay as they are.
    pub(crate) fn apply(&self, resources: &mut ResourceRequirements) -> Outcome {
        let rows = [("cpu", "m", self.mincpu, self.maxcpu), ("memory", "Mi", self.minmemory, self.maxmemory)];
        for (what, unit, min, max) in rows {
            let number = |set: &Option<BTreeMap<String, Quantity>>| -> Option<u32> {
                set.as_ref()?.get(what)?.0.strip_suffix(unit)?.parse().ok()
            };
            let min = min.or_else(|| number(&resources.requests));
            let given_max = max.or_else(|| number(&resources.limits).filter(|max| min.is_none_or(|min| *max >= min)));
            let limit = given_max.or(min);
            if let (Some(min), Some(max)) = (min, limit)
                && min > max
            {
                return Err(Failure::new(format_args!("--min{what} {min} is larger than --max{what} {max}")));
            }
            if let Some(min) = min {
                put(&mut resources.requests, what, format!("{min}{unit}"));
            }
            if let Some(limit) = limit {
                put(&mut resources.limits, what, format!("{limit}{unit}"));
            }
        }
        Ok(())
    }
}

fn put(set: &mut Option<BTreeMap<String, Quantity>>, what: &str, amount: String) {
    set.get_or_insert_default().insert(what.to_owned(), Quantity(amount));
}

/// One `K=V`; the value may be empty and may hold `=`.
pub(crate) fn key_value(flag: &str, pair: &str) -> Outcome<(String, String)> {
    match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(Failure::new(format_args!("{flag} {pair:?} is not of the form key=value"))),
    }
}

/// Several `K=V`.
pub(crate) fn key_values(flag: &str, pairs: &[String]) -> Outcome<Vec<(String, String)>> {
    pairs.iter().map(|pair| key_value(flag, pair)).collect()
}

/// Variables of a container, as its `env`.
pub(crate) fn container_env(flag: &str, pairs: &[String]) -> Outcome<Value> {
    let variables = key_values(flag, pairs)?;
    Ok(variables.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect())
}

/// A JSON object as the API keeps it.
pub(crate) fn opaque(value: Value) -> Option<Opaque> {
    match value {
        Value::Object(map) => Some(Opaque(map)),
        _ => None,
    }
}

/// `k=v,k2=v2`, or `<none>`.
pub(crate) fn pairs(map: Option<&BTreeMap<String, String>>) -> String {
    match map {
        Some(map) if !map.is_empty() => {
            map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        }
        _ => "<none>".to_owned(),
    }
}

/// Metadata of a new object.
pub(crate) fn metadata(name: &str, namespace: Option<String>) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace, ..ObjectMeta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(set: &Option<BTreeMap<String, Quantity>>) -> Vec<String> {
        set.iter().flatten().map(|(what, amount)| format!("{what}={}", amount.0)).collect()
    }

    #[test]
    fn a_missing_maximum_is_the_minimum_and_an_update_keeps_what_is_not_given() {
        let mut resources = ResourceRequirements::default();
        ResourceFlags { mincpu: Some(100), maxmemory: Some(64), ..ResourceFlags::default() }
            .apply(&mut resources)
            .unwrap();
        assert_eq!(amounts(&resources.requests), ["cpu=100m"]);
        assert_eq!(amounts(&resources.limits), ["cpu=100m", "memory=64Mi"]);
        ResourceFlags { mincpu: Some(200), ..ResourceFlags::default() }.apply(&mut resources).unwrap();
        assert_eq!(amounts(&resources.limits), ["cpu=200m", "memory=64Mi"]);
    }

    #[test]
    fn a_minimum_above_the_maximum_is_refused() {
        let flags = ResourceFlags { mincpu: Some(2), maxcpu: Some(1), ..ResourceFlags::default() };
        let failure = flags.apply(&mut ResourceRequirements::default()).unwrap_err();
        assert_eq!(failure.to_string(), "--mincpu 2 is larger than --maxcpu 1");
    }

    #[test]
    fn labels_are_one_string_and_annotations_repeat() {
        let flags = LabelFlags {
            labels: Some("a=1,b=x=y".to_owned()),
            annotation: vec!["c=1,d=2".to_owned(), "e=".to_owned()],
        };
        let mut meta = ObjectMeta::default();
        flags.apply(&mut meta).unwrap();
        assert_eq!(meta.labels.unwrap()["b"], "x=y");
        let annotations = meta.annotations.unwrap();
        assert_eq!((annotations["c"].as_str(), annotations["e"].as_str()), ("1,d=2", ""));
        assert!(key_value("--annotation", "plain").is_err());
    }
}
