//! `fission mqtrigger list`.

use clap::Args;
use fission_api::MessageQueueTrigger;

use crate::conditions::{age, status_of};
use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List message queue triggers
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission mqtrigger list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<MessageQueueTrigger>; 11] = [
    column("NAME", |trigger| trigger.metadata.name.clone().unwrap_or_default()),
    column("FUNCTION_NAME", |trigger| trigger.spec.functionref.name.clone()),
    column("MESSAGE_QUEUE_TYPE", |trigger| trigger.spec.message_queue_type.clone()),
    column("TOPIC", |trigger| trigger.spec.topic.clone()),
    column("RESPONSE_TOPIC", |trigger| trigger.spec.resp_topic.clone()),
    column("ERROR_TOPIC", |trigger| trigger.spec.error_topic.clone()),
    column("MAX_RETRIES", |trigger| trigger.spec.max_retries.to_string()),
    column("PUB_MSG_CONTENT_TYPE", |trigger| trigger.spec.content_type.clone()),
    column("READY", |trigger| status_of(trigger.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    column("NAMESPACE", |trigger| trigger.metadata.namespace.clone().unwrap_or_default()),
    wide("AGE", |trigger| age(trigger.metadata.creation_timestamp.as_ref())),
];

pub(super) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let triggers: Vec<MessageQueueTrigger> = noun::list(s, args.list.all_namespaces).await?;
    output::list(s, args.list.output.output, &COLUMNS, &triggers)
}
