//! The flags that say how instances of a function are made, shared by `create` and `update`.

use clap::{ArgAction, Args};
use fission_api::{ExecutionStrategy, ExecutorType, FunctionSpec, ObjectFileReference};
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, SecretEnvSource, SecretKeySelector,
};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::flags::{ResourceFlags, key_values, opaque};

/// Least specialization timeout, in seconds; Fission's own tools refuse less.
const MIN_SPECIALIZATION_TIMEOUT: i64 = 120;

/// How instances of a function are made, shared and removed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OptionFlags {
    /// What makes instances: poolmgr or newdeploy
    #[arg(long, value_name = "TYPE")]
    pub(crate) executortype: Option<String>,
    /// Least instances (newdeploy)
    #[arg(long, value_name = "COUNT")]
    pub(crate) minscale: Option<u32>,
    /// Most instances (newdeploy); --minscale when not given
    #[arg(long, value_name = "COUNT")]
    pub(crate) maxscale: Option<u32>,
    /// CPU percentage at which instances are added (newdeploy)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) targetcpu: Option<u32>,
    #[command(flatten)]
    pub(crate) resources: ResourceFlags,
    /// Seconds a cold start may take, at least 120
    #[arg(long, visible_alias = "st", value_name = "SECONDS")]
    pub(crate) specializationtimeout: Option<i64>,
    /// Seconds a request may take; 60 when not given
    #[arg(long, visible_alias = "ft", value_name = "SECONDS")]
    pub(crate) fntimeout: Option<i64>,
    /// Seconds an idle instance lives; 120 when not given
    #[arg(long, value_name = "SECONDS")]
    pub(crate) idletimeout: Option<u32>,
    /// Most instances at once (poolmgr); 500 when not given
    #[arg(long, visible_alias = "con", value_name = "COUNT")]
    pub(crate) concurrency: Option<u32>,
    /// Requests one instance serves at once (poolmgr); 1 when not given
    #[arg(long, visible_alias = "rpp", value_name = "COUNT")]
    pub(crate) requestsperpod: Option<u32>,
    /// Each instance serves exactly one request
    #[arg(long, visible_alias = "yolo", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) onceonly: Option<bool>,
    /// Specialized instances kept although idle
    #[arg(long, value_name = "COUNT")]
    pub(crate) retainpods: Option<u32>,
    /// Secret delivered as files below /secrets; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Vec<String>,
    /// Config map delivered as files below /configs; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) configmap: Vec<String>,
    /// Environment variable, as K=V; may be repeated
    #[arg(long, short, value_name = "K=V")]
    pub(crate) env_var: Vec<String>,
    /// Variables from a secret: name, name/key or name/key:ENV; may be repeated
    #[arg(long, value_name = "REF")]
    pub(crate) env_from_secret: Vec<String>,
    /// Variables from a config map: name, name/key or name/key:ENV; may be repeated
    #[arg(long, value_name = "REF")]
    pub(crate) env_from_configmap: Vec<String>,
}

impl OptionFlags {
    /// Writes the given ones into a spec; the others stay as they are.
    pub(crate) fn apply(&self, spec: &mut FunctionSpec, namespace: &str) -> Outcome {
        self.strategy(&mut spec.invoke_strategy.execution_strategy)?;
        "execution".clone_into(&mut spec.invoke_strategy.strategy_type);
        self.resources.apply(&mut spec.resources)?;
        if let Some(seconds) = self.fntimeout {
            if seconds <= 0 {
                return Err(Failure::new(format_args!("--fntimeout {seconds} must be above 0")));
            }
            spec.function_timeout = seconds;
        }
        if let Some(seconds) = self.idletimeout {
            spec.idle_timeout = Some(i64::from(seconds));
        }
        for (given, field) in [
            (self.concurrency, &mut spec.concurrency),
            (self.requestsperpod, &mut spec.requests_per_pod),
            (self.retainpods, &mut spec.retain_pods),
        ] {
            if let Some(count) = given {
                *field = i64::from(count);
            }
        }
        if let Some(once) = self.onceonly {
            spec.once_only = once;
        }
        let files = |names: &[String]| {
            let reference = |name: &String| ObjectFileReference {
                namespace: namespace.to_owned(),
                name: name.clone(),
                ..ObjectFileReference::default()
            };
            Some(names.iter().map(reference).collect())
        };
        if !self.secret.is_empty() {
            spec.secrets = files(&self.secret);
        }
        if !self.configmap.is_empty() {
            spec.configmaps = files(&self.configmap);
        }
        self.variables(spec)
    }

    fn strategy(&self, strategy: &mut ExecutionStrategy) -> Outcome {
        match self.executortype.as_deref() {
            None => {}
            Some("poolmgr") => strategy.executor_type = ExecutorType::Poolmgr,
            Some("newdeploy") => strategy.executor_type = ExecutorType::Newdeploy,
            Some("container") => {
                return Err(Failure::new("a function of executor type container has an image of its own and no code")
                    .hint("declare it as YAML and apply it: fission spec apply, or kubectl apply"));
            }
            Some(other) => {
                return Err(Failure::new(format_args!("--executortype {other:?} must be poolmgr or newdeploy")));
            }
        }
        if let Some(seconds) = self.specializationtimeout {
            if seconds < MIN_SPECIALIZATION_TIMEOUT {
                let least = MIN_SPECIALIZATION_TIMEOUT;
                return Err(Failure::new(format_args!("--specializationtimeout {seconds} must be at least {least}")));
            }
            strategy.specialization_timeout = seconds;
        }
        let scales = self.minscale.is_some() || self.maxscale.is_some() || self.targetcpu.is_some();
        if strategy.executor_type != ExecutorType::Newdeploy {
            if scales {
                return Err(Failure::new("--minscale, --maxscale and --targetcpu need --executortype newdeploy")
                    .hint("for poolmgr, --concurrency limits the instances"));
            }
            (strategy.min_scale, strategy.max_scale) = (0, 0);
            return Ok(());
        }
        // A function that changes to newdeploy has no scale yet; one instance is Fission's own default.
        let fresh = strategy.max_scale == 0;
        if let Some(min) = self.minscale.or(fresh.then_some(1)) {
            strategy.min_scale = i64::from(min);
        }
        match self.maxscale {
            Some(max) => strategy.max_scale = i64::from(max),
            None => strategy.max_scale = strategy.max_scale.max(strategy.min_scale).max(1),
        }
        if strategy.min_scale > strategy.max_scale {
            let (min, max) = (strategy.min_scale, strategy.max_scale);
            return Err(Failure::new(format_args!("--minscale {min} is larger than --maxscale {max}")));
        }
        if let Some(percent) = self.targetcpu {
            let target = json!({ "type": "Utilization", "averageUtilization": percent });
            let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
            strategy.hpa_metrics = opaque(metric).map(|metric| vec![metric]);
        }
        Ok(())
    }

    fn variables(&self, spec: &mut FunctionSpec) -> Outcome {
        let mut env: Vec<EnvVar> = Vec::new();
        let mut from = Vec::new();
        for (name, value) in key_values("--env-var", &self.env_var)? {
            env.push(EnvVar { name, value: Some(value), ..EnvVar::default() });
        }
        for reference in &self.env_from_secret {
            let (name, key) = split_reference(reference);
            let source = |name: &str, key: &str| EnvVarSource {
                secret_key_ref: Some(SecretKeySelector { name: name.to_owned(), key: key.to_owned(), optional: None }),
                ..EnvVarSource::default()
            };
            match key {
                Some((key, variable)) => env.push(variable_from(variable, source(name, key))),
                None => from.push(EnvFromSource {
                    secret_ref: Some(SecretEnvSource { name: name.to_owned(), optional: None }),
                    ..EnvFromSource::default()
                }),
            }
        }
        for reference in &self.env_from_configmap {
            let (name, key) = split_reference(reference);
            let selector =
                |key: &str| ConfigMapKeySelector { name: name.to_owned(), key: key.to_owned(), optional: None };
            match key {
                Some((key, variable)) => env.push(variable_from(
                    variable,
                    EnvVarSource { config_map_key_ref: Some(selector(key)), ..EnvVarSource::default() },
                )),
                None => from.push(EnvFromSource {
                    config_map_ref: Some(ConfigMapEnvSource { name: name.to_owned(), optional: None }),
                    ..EnvFromSource::default()
                }),
            }
        }
        if !env.is_empty() {
            spec.env = Some(env);
        }
        if !from.is_empty() {
            spec.env_from = Some(from);
        }
        Ok(())
    }
}

fn variable_from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

/// `name`, `name/key` or `name/key:ENV`; the variable is called like the key unless said otherwise.
fn split_reference(reference: &str) -> (&str, Option<(&str, &str)>) {
    match reference.split_once('/') {
        None => (reference, None),
        Some((name, key)) => (name, Some(key.split_once(':').unwrap_or((key, key)))),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
