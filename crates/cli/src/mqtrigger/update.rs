//! `fission mqtrigger update`: only what is given changes; an empty topic takes it away.

use clap::Args;
use fission_api::{FunctionReference, MessageQueueTrigger};

use crate::failure::Outcome;
use crate::flags::key_values;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Change a message queue trigger; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission mqtrigger update --name orders --maxretries 3 --errortopic failed")]
pub(crate) struct UpdateArgs {
    /// Name of the trigger
    #[arg(long)]
    pub(crate) name: String,
    /// Function called
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// Topic read
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// What reads it: fission or keda
    #[arg(long, value_name = "KIND", value_parser = ["fission", "keda"])]
    pub(crate) mqtkind: Option<String>,
    /// Topic answers are written to
    #[arg(long, value_name = "TOPIC")]
    pub(crate) resptopic: Option<String>,
    /// Topic failures are written to
    #[arg(long, value_name = "TOPIC")]
    pub(crate) errortopic: Option<String>,
    /// Attempts after the first
    #[arg(long, value_name = "COUNT")]
    pub(crate) maxretries: Option<u32>,
    /// Content type of the request
    #[arg(long, short, value_name = "TYPE")]
    pub(crate) contenttype: Option<String>,
    /// Seconds between two looks at the queue (keda)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) pollinginterval: Option<i32>,
    /// Seconds until an idle connector ends (keda)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) cooldownperiod: Option<i32>,
    /// Least connectors (keda)
    #[arg(long, value_name = "COUNT")]
    pub(crate) minreplicacount: Option<i32>,
    /// Most connectors (keda)
    #[arg(long, value_name = "COUNT")]
    pub(crate) maxreplicacount: Option<i32>,
    /// Setting of the queue, as k=v; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) metadata: Vec<String>,
    /// Secret with the queue's credentials
    #[arg(long)]
    pub(crate) secret: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let before: MessageQueueTrigger = noun::get(s, &args.name).await?;
    let mut trigger = before.clone();
    let spec = &mut trigger.spec;
    if let Some(function) = &args.function {
        spec.functionref = FunctionReference::named(function);
    }
    for (given, field) in [
        (args.topic, &mut spec.topic),
        (args.mqtkind, &mut spec.mqtkind),
        (args.resptopic, &mut spec.resp_topic),
        (args.errortopic, &mut spec.error_topic),
        (args.contenttype, &mut spec.content_type),
        (args.secret, &mut spec.secret),
    ] {
        if let Some(given) = given {
            *field = given;
        }
    }
    for (given, field) in [
        (args.pollinginterval, &mut spec.polling_interval),
        (args.cooldownperiod, &mut spec.cooldown_period),
        (args.minreplicacount, &mut spec.min_replica_count),
        (args.maxreplicacount, &mut spec.max_replica_count),
    ] {
        *field = given.or(*field);
    }
    if let Some(retries) = args.maxretries {
        spec.max_retries = i64::from(retries);
    }
    if !args.metadata.is_empty() {
        spec.metadata.get_or_insert_default().extend(key_values("--metadata", &args.metadata)?);
    }
    let updated = noun::change(s, &before, &trigger).await?;
    output::done(s, args.output.output, &updated, format_args!("message queue trigger '{}' updated", args.name))
}
