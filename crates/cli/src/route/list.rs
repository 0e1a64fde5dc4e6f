//! `fission route list`.

use clap::Args;
use fission_api::{FunctionReference, FunctionReferenceType, HTTPTrigger};

use crate::conditions::{age, status_of};
use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List routes
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission route list
  fission route list --function hello -o wide")]
pub(crate) struct ListArgs {
    /// Only routes that call this function
    #[arg(long)]
    pub(crate) function: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<HTTPTrigger>; 12] = [
    column("NAME", |route| route.metadata.name.clone().unwrap_or_default()),
    column("METHOD", |route| route.spec.all_methods().join(",")),
    column("URL", |route| route.spec.prefix().unwrap_or(&route.spec.relative_url).to_owned()),
    column("FUNCTION(s)", |route| functions(&route.spec.functionref)),
    column("INGRESS", |route| route.spec.create_ingress.to_string()),
    column("HOST", |route| host(route).to_owned()),
    column("PATH", |route| route.spec.ingress_config.path.clone()),
    column("TLS", |route| route.spec.ingress_config.tls.clone()),
    column("ANNOTATIONS", annotations),
    column("READY", |route| status_of(route.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    column("NAMESPACE", |route| route.metadata.namespace.clone().unwrap_or_default()),
    wide("AGE", |route| age(route.metadata.creation_timestamp.as_ref())),
];

pub(crate) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let mut routes: Vec<HTTPTrigger> = noun::list(s, args.list.all_namespaces).await?;
    if let Some(function) = &args.function {
        routes.retain(|route| super::calls(route, function));
    }
    output::list(s, args.list.output.output, &COLUMNS, &routes)
}

/// `hello`, `hello:prod`, or `v1:90 v2:10`.
pub(crate) fn functions(reference: &FunctionReference) -> String {
    if reference.kind == FunctionReferenceType::Weights {
        let weights = reference.functionweights.iter().flatten();
        return weights.map(|(name, weight)| format!("{name}:{weight}")).collect::<Vec<_>>().join(" ");
    }
    match (reference.alias.as_str(), reference.version.as_str()) {
        ("", "") => reference.name.clone(),
        (alias, version) => format!("{}:{alias}{version}", reference.name),
    }
}

fn host(route: &HTTPTrigger) -> &str {
    if route.spec.ingress_config.host.is_empty() { &route.spec.host } else { &route.spec.ingress_config.host }
}

fn annotations(route: &HTTPTrigger) -> String {
    let annotations = route.spec.ingress_config.annotations.iter().flatten();
    annotations.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
