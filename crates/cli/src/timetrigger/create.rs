//! `fission timetrigger create`.

use clap::Args;
use fission_api::{FunctionReference, TimeTrigger, TimeTriggerSpec};

use crate::failure::Outcome;
use crate::flags::{LabelFlags, SpecFlags};
use crate::output::OutputFlag;
use crate::session::Session;
use crate::trigger;

/// Call a function on a schedule
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission timetrigger create --name tick --function hello --cron '@every 1m'
  fission timer create --name nightly --function report --cron '0 30 2 * * *' --method POST --subpath /daily")]
pub(crate) struct CreateArgs {
    /// Name of the trigger; a UUID when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Function called
    #[arg(long)]
    pub(crate) function: String,
    /// When: [second] minute hour day month weekday, or @every 5m, @hourly, ...
    #[arg(long)]
    pub(crate) cron: String,
    /// HTTP method; POST when not given
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Path given to the function; / when not given
    #[arg(long, value_name = "PATH")]
    pub(crate) subpath: Option<String>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    let spec = TimeTriggerSpec {
        cron: args.cron,
        functionref: FunctionReference::named(args.function),
        method: args.method.map(|method| method.to_ascii_uppercase()).unwrap_or_default(),
        subpath: args.subpath.unwrap_or_default(),
    };
    let new = trigger::New { name: args.name, labels: args.labels, to: args.to, format: args.output.output };
    let function = spec.functionref.name.clone();
    trigger::create(new, "timetrigger", &function, |name| TimeTrigger::new(name, spec), s).await
}
