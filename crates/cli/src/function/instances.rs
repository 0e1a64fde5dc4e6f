//! The flags of every function, whether it is code in an environment or an image of its own: scale, limits, timeouts,
//! and the configuration it is given.

use clap::Args;
use fission_api::{ExecutionStrategy, ExecutorType, FunctionSpec, ObjectFileReference};
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, SecretEnvSource, SecretKeySelector,
};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::flags::{ResourceFlags, key_values, opaque};
use crate::output::Format;
use crate::session::Session;

/// What an instance of a function has and is given.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InstanceFlags {
    /// Least instances (newdeploy, container)
    #[arg(long, value_name = "COUNT")]
    pub(crate) minscale: Option<u32>,
    /// Most instances (newdeploy, container); --minscale when not given
    #[arg(long, value_name = "COUNT")]
    pub(crate) maxscale: Option<u32>,
    /// CPU percentage at which instances are added (newdeploy, container)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) targetcpu: Option<u32>,
    #[command(flatten)]
    pub(crate) resources: ResourceFlags,
    /// Seconds a request may take; 60 when not given
    #[arg(long, visible_alias = "ft", value_name = "SECONDS")]
    pub(crate) fntimeout: Option<i64>,
    /// Seconds an idle instance lives; 120 when not given
    #[arg(long, value_name = "SECONDS")]
    pub(crate) idletimeout: Option<u32>,
    /// Secret delivered as files below /secrets, to a container as variables; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Vec<String>,
    /// Config map delivered as files below /configs, to a container as variables; may be repeated
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

impl InstanceFlags {
    /// Writes the given ones into a spec; the others stay as they are. Its executor type must be known already.
    pub(crate) fn apply(&self, spec: &mut FunctionSpec, namespace: &str) -> Outcome {
        self.scale(&mut spec.invoke_strategy.execution_strategy)?;
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

    fn scale(&self, strategy: &mut ExecutionStrategy) -> Outcome {
        let given = self.minscale.is_some() || self.maxscale.is_some() || self.targetcpu.is_some();
        if !matches!(strategy.executor_type, ExecutorType::Newdeploy | ExecutorType::Container) {
            if given {
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

    /// Secrets and config maps may come later; until then calls are refused with the reason, so a warning is enough.
    pub(super) async fn warn_of_missing(&self, s: &mut Session, format: Format) -> Outcome {
        let wanted = self.secret.iter().map(|name| ("Secret", name));
        for (kind, name) in wanted.chain(self.configmap.iter().map(|name| ("ConfigMap", name))) {
            if !crate::spec::validate::object_exists(s, kind, name).await? {
                s.warn(
                    format,
                    format_args!("{kind} '{name}' does not exist in namespace '{}' yet", s.namespace.clone()),
                )?;
            }
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
