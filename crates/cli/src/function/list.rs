//! `fission function list`.

use clap::Args;
use fission_api::{Function, ObjectFileReference};

use super::executor_word;
use crate::conditions::{age, status_of};
use crate::environment::amount;
use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List functions
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function list
  fission fn list -A -o wide
  fission fn list -o name")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<Function>; 16] = [
    column("NAME", |function| function.metadata.name.clone().unwrap_or_default()),
    column("ENV", |function| function.spec.environment.name.clone()),
    column("EXECUTORTYPE", |function| executor_word(function).to_owned()),
    column("MINSCALE", |function| function.spec.invoke_strategy.execution_strategy.min_scale.to_string()),
    column("MAXSCALE", |function| function.spec.invoke_strategy.execution_strategy.max_scale.to_string()),
    column("MINCPU", |function| amount(&function.spec.resources, false, "cpu")),
    column("MAXCPU", |function| amount(&function.spec.resources, true, "cpu")),
    column("MINMEMORY", |function| amount(&function.spec.resources, false, "memory")),
    column("MAXMEMORY", |function| amount(&function.spec.resources, true, "memory")),
    column("SECRETS", |function| names(function.spec.secrets.as_deref())),
    column("CONFIGMAPS", |function| names(function.spec.configmaps.as_deref())),
    column("READY", |function| status_of(function.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    column("NAMESPACE", |function| function.metadata.namespace.clone().unwrap_or_default()),
    wide("PACKAGE", |function| function.spec.package.package_ref.name.clone()),
    wide("IMAGE", super::container::image),
    wide("AGE", |function| age(function.metadata.creation_timestamp.as_ref())),
];

pub(crate) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let functions: Vec<Function> = noun::list(s, args.list.all_namespaces).await?;
    output::list(s, args.list.output.output, &COLUMNS, &functions)
}

fn names(references: Option<&[ObjectFileReference]>) -> String {
    references.unwrap_or_default().iter().map(|reference| reference.name.as_str()).collect::<Vec<_>>().join(",")
}
