//! The flags that give a route an Ingress or a Gateway route in a cluster.

use clap::{ArgAction, Args};
use fission_api::HTTPTriggerSpec;
use fission_api::http_trigger::{GatewayConfig, ParentRef};

use crate::failure::{Failure, Outcome};
use crate::flags::{key_value, key_values};

/// Removes what a flag sets.
const CLEAR: &str = "-";

/// How a route is reached from outside a cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Reaching the route from outside a cluster")]
pub(crate) struct ExposureFlags {
    /// What is made for the route: ingress or gateway
    #[arg(long, value_name = "KIND", value_parser = ["ingress", "gateway"])]
    pub(crate) route_provider: Option<String>,
    /// Host name; may be repeated
    #[arg(long, value_name = "HOST")]
    pub(crate) route_host: Vec<String>,
    /// Path; the route's own when not given
    #[arg(long, value_name = "PATH")]
    pub(crate) route_path: Option<String>,
    /// Annotation, as k=v; may be repeated; - clears them
    #[arg(long, value_name = "K=V")]
    pub(crate) route_annotation: Vec<String>,
    /// TLS secret
    #[arg(long, value_name = "SECRET")]
    pub(crate) route_tls: Option<String>,
    /// Gateway, as name or namespace/name
    #[arg(long, value_name = "GATEWAY")]
    pub(crate) gateway: Vec<String>,
    /// Make an Ingress (deprecated: use --route-provider ingress)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) createingress: Option<bool>,
    /// Rule of the Ingress, as host=path (deprecated); - clears it
    #[arg(long, value_name = "HOST=PATH")]
    pub(crate) ingressrule: Option<String>,
    /// Annotation of the Ingress, as k=v (deprecated); - clears them
    #[arg(long, value_name = "K=V")]
    pub(crate) ingressannotation: Vec<String>,
    /// TLS secret of the Ingress (deprecated); - clears it
    #[arg(long, value_name = "SECRET")]
    pub(crate) ingresstls: Option<String>,
}

impl ExposureFlags {
    /// The deprecated flags that were given.
    pub(super) fn deprecated(&self) -> Vec<&'static str> {
        [
            ("--createingress", self.createingress.is_some()),
            ("--ingressrule", self.ingressrule.is_some()),
            ("--ingressannotation", !self.ingressannotation.is_empty()),
            ("--ingresstls", self.ingresstls.is_some()),
        ]
        .into_iter()
        .filter_map(|(flag, given)| given.then_some(flag))
        .collect()
    }

    /// Writes the given ones into a spec; the others stay as they are.
    pub(super) fn apply(&self, spec: &mut HTTPTriggerSpec) -> Outcome {
        self.ingress(spec)?;
        self.route(spec)
    }

    fn ingress(&self, spec: &mut HTTPTriggerSpec) -> Outcome {
        if let Some(create) = self.createingress {
            spec.create_ingress = create;
        }
        match self.ingressrule.as_deref() {
            None => {}
            Some(CLEAR) => {
                spec.ingress_config.host = "*".to_owned();
                spec.ingress_config.path = place(spec);
            }
            Some(rule) => {
                let (host, path) = key_value("--ingressrule", rule)?;
                (spec.ingress_config.host, spec.ingress_config.path) = (host, path);
            }
        }
        match self.ingressannotation.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => {}
            [CLEAR] => spec.ingress_config.annotations = None,
            _ => {
                let pairs = key_values("--ingressannotation", &self.ingressannotation)?;
                spec.ingress_config.annotations.get_or_insert_default().extend(pairs);
            }
        }
        match self.ingresstls.as_deref() {
            None => {}
            Some(CLEAR) => spec.ingress_config.tls.clear(),
            Some(secret) => secret.clone_into(&mut spec.ingress_config.tls),
        }
        Ok(())
    }

    fn route(&self, spec: &mut HTTPTriggerSpec) -> Outcome {
        let given = self.route_provider.is_some()
            || self.route_path.is_some()
            || self.route_tls.is_some()
            || [&self.route_host, &self.route_annotation, &self.gateway].iter().any(|list| !list.is_empty());
        if !given {
            return Ok(());
        }
        let default_path = place(spec);
        if spec.route_config.is_none() && self.route_provider.is_none() {
            return Err(Failure::new("--route-host and the like need --route-provider"));
        }
        let config = spec.route_config.get_or_insert_default();
        if let Some(provider) = &self.route_provider {
            config.provider.clone_from(provider);
        }
        if !self.route_host.is_empty() {
            config.hostnames.clone_from(&self.route_host);
        }
        match &self.route_path {
            Some(path) => config.path.clone_from(path),
            None if config.path.is_empty() => config.path = default_path,
            None => {}
        }
        if self.route_annotation == [CLEAR] {
            config.annotations = None;
        } else if !self.route_annotation.is_empty() {
            let pairs = key_values("--route-annotation", &self.route_annotation)?;
            config.annotations.get_or_insert_default().extend(pairs);
        }
        match self.route_tls.as_deref() {
            None => {}
            Some(CLEAR) => config.tls.clear(),
            Some(secret) => secret.clone_into(&mut config.tls),
        }
        if !self.gateway.is_empty() {
            let parent_refs = self.gateway.iter().map(|gateway| parent(gateway)).collect();
            config.gateway = Some(GatewayConfig { parent_refs });
        }
        Ok(())
    }
}

/// The path a route matches.
fn place(spec: &HTTPTriggerSpec) -> String {
    spec.prefix().unwrap_or(&spec.relative_url).to_owned()
}

fn parent(gateway: &str) -> ParentRef {
    let (namespace, name) = gateway.split_once('/').unwrap_or(("", gateway));
    ParentRef { name: name.to_owned(), namespace: namespace.to_owned(), ..ParentRef::default() }
}
