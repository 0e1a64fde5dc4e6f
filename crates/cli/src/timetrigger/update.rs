//! `fission timetrigger update`: only what is given changes.

use clap::Args;
use fission_api::{FunctionReference, TimeTrigger};

use crate::failure::Outcome;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Change a schedule; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission timetrigger update --name tick --cron '@every 5m'")]
pub(crate) struct UpdateArgs {
    /// Name of the trigger
    #[arg(long)]
    pub(crate) name: String,
    /// Function called
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// When
    #[arg(long)]
    pub(crate) cron: Option<String>,
    /// HTTP method
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Path given to the function
    #[arg(long, value_name = "PATH")]
    pub(crate) subpath: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let before: TimeTrigger = noun::get(s, &args.name).await?;
    let mut trigger = before.clone();
    if let Some(function) = &args.function {
        trigger.spec.functionref = FunctionReference::named(function);
    }
    if let Some(cron) = args.cron {
        trigger.spec.cron = cron;
    }
    if let Some(method) = args.method {
        trigger.spec.method = method.to_ascii_uppercase();
    }
    if let Some(subpath) = args.subpath {
        trigger.spec.subpath = subpath;
    }
    let updated = noun::change(s, &before, &trigger).await?;
    output::done(s, args.output.output, &updated, format_args!("trigger '{}' updated", args.name))
}
