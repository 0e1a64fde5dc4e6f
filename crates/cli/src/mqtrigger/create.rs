//! `fission mqtrigger create`.

use clap::Args;
use fission_api::{Function, FunctionReference, MessageQueueTrigger, MessageQueueTriggerSpec};

use crate::failure::Outcome;
use crate::flags::{LabelFlags, SpecFlags, key_values};
use crate::output::OutputFlag;
use crate::session::Session;
use crate::{noun, trigger};

/// Call a function for each message of a topic
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission mqtrigger create --name orders --function order --mqtype kafka --mqtkind fission --topic orders
  fission mqt create --name jobs --function job --mqtype rabbitmq --topic jobs --metadata queueName=jobs --secret rabbit")]
pub(crate) struct CreateArgs {
    /// Name of the trigger; a UUID when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Function called
    #[arg(long)]
    pub(crate) function: String,
    /// Topic read
    #[arg(long)]
    pub(crate) topic: String,
    /// Message queue: kafka, statestore, rabbitmq, nats-jetstream, ...
    #[arg(long, default_value = "kafka", value_name = "TYPE")]
    pub(crate) mqtype: String,
    /// What reads it: fission or keda
    #[arg(long, default_value = "keda", value_name = "KIND", value_parser = ["fission", "keda"])]
    pub(crate) mqtkind: String,
    /// Topic answers are written to
    #[arg(long, value_name = "TOPIC")]
    pub(crate) resptopic: Option<String>,
    /// Topic failures are written to
    #[arg(long, value_name = "TOPIC")]
    pub(crate) errortopic: Option<String>,
    /// Attempts after the first
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) maxretries: u32,
    /// Content type of the request
    #[arg(long, short, default_value = "application/json", value_name = "TYPE")]
    pub(crate) contenttype: String,
    /// Seconds between two looks at the queue (keda)
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) pollinginterval: i32,
    /// Seconds until an idle connector ends (keda)
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) cooldownperiod: i32,
    /// Least connectors (keda)
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) minreplicacount: i32,
    /// Most connectors (keda)
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) maxreplicacount: i32,
    /// Setting of the queue, as k=v; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) metadata: Vec<String>,
    /// Secret with the queue's credentials
    #[arg(long)]
    pub(crate) secret: Option<String>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    if !args.to.is_local() {
        noun::get::<Function>(s, &args.function).await?;
    }
    let metadata = key_values("--metadata", &args.metadata)?;
    let spec = MessageQueueTriggerSpec {
        functionref: FunctionReference::named(&args.function),
        message_queue_type: args.mqtype,
        topic: args.topic,
        resp_topic: args.resptopic.unwrap_or_default(),
        error_topic: args.errortopic.unwrap_or_default(),
        max_retries: i64::from(args.maxretries),
        content_type: args.contenttype,
        polling_interval: Some(args.pollinginterval),
        cooldown_period: Some(args.cooldownperiod),
        min_replica_count: Some(args.minreplicacount),
        max_replica_count: Some(args.maxreplicacount),
        metadata: (!metadata.is_empty()).then(|| metadata.into_iter().collect()),
        secret: args.secret.unwrap_or_default(),
        mqtkind: args.mqtkind,
        ..MessageQueueTriggerSpec::default()
    };
    let new = trigger::New { name: args.name, labels: args.labels, to: args.to, format: args.output.output };
    trigger::create(new, "mqtrigger", &args.function, |name| MessageQueueTrigger::new(name, spec), s).await
}
