//! `fission route list`.

use std::collections::BTreeMap;

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
    column("INGRESS", |route| edge(route).made),
    column("HOST", |route| edge(route).hosts),
    column("PATH", |route| edge(route).path.to_owned()),
    column("TLS", |route| edge(route).tls.to_owned()),
    column("ANNOTATIONS", |route| edge(route).annotations),
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

/// How a route is reached from outside a cluster, as its columns show it.
struct Edge<'a> {
    /// `true` or `false` for the Ingress of the old way, else what is made.
    made: String,
    hosts: String,
    path: &'a str,
    tls: &'a str,
    annotations: String,
}

/// The newer of the two ways to ask for it wins, as in the platform.
fn edge(route: &HTTPTrigger) -> Edge<'_> {
    let pairs = |annotations: &Option<BTreeMap<String, String>>| {
        let pairs = annotations.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(",")
    };
    let (spec, old) = (&route.spec, &route.spec.ingress_config);
    match &spec.route_config {
        Some(new) => Edge {
            made: new.provider.clone(),
            hosts: if new.hostnames.is_empty() { "*".to_owned() } else { new.hostnames.join(",") },
            path: if new.path.is_empty() { "/" } else { &new.path },
            tls: &new.tls,
            annotations: pairs(&new.annotations),
        },
        None => Edge {
            made: spec.create_ingress.to_string(),
            hosts: if old.host.is_empty() { spec.host.clone() } else { old.host.clone() },
            path: &old.path,
            tls: &old.tls,
            annotations: pairs(&old.annotations),
        },
    }
}
