//! `fission watch list`.

use clap::Args;
use fission_api::KubernetesWatchTrigger;

use crate::conditions::{age, status_of};
use crate::failure::Outcome;
use crate::flags::{ListFlags, pairs};
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List watches
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission watch list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<KubernetesWatchTrigger>; 7] = [
    column("NAME", |trigger| trigger.metadata.name.clone().unwrap_or_default()),
    column("NAMESPACE", |trigger| trigger.spec.namespace.clone()),
    column("OBJTYPE", |trigger| trigger.spec.kind.clone()),
    column("LABELS", |trigger| pairs(trigger.spec.label_selector.as_ref())),
    column("FUNCTION_NAME", |trigger| trigger.spec.functionref.name.clone()),
    column("READY", |trigger| status_of(trigger.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    wide("AGE", |trigger| age(trigger.metadata.creation_timestamp.as_ref())),
];

pub(super) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let triggers: Vec<KubernetesWatchTrigger> = noun::list(s, args.list.all_namespaces).await?;
    output::list(s, args.list.output.output, &COLUMNS, &triggers)
}
