//! `fission timetrigger list`.

use clap::Args;
use fission_api::TimeTrigger;

use crate::conditions::{age, status_of};
use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List schedules
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission timetrigger list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<TimeTrigger>; 8] = [
    column("NAME", |trigger| trigger.metadata.name.clone().unwrap_or_default()),
    column("CRON", |trigger| trigger.spec.cron.clone()),
    column("FUNCTION_NAME", |trigger| trigger.spec.functionref.name.clone()),
    column("METHOD", |trigger| trigger.spec.method.clone()),
    column("SUBPATH", |trigger| trigger.spec.subpath.clone()),
    column("READY", |trigger| status_of(trigger.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    wide("NAMESPACE", |trigger| trigger.metadata.namespace.clone().unwrap_or_default()),
    wide("AGE", |trigger| age(trigger.metadata.creation_timestamp.as_ref())),
];

pub(super) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let triggers: Vec<TimeTrigger> = noun::list(s, args.list.all_namespaces).await?;
    output::list(s, args.list.output.output, &COLUMNS, &triggers)
}
