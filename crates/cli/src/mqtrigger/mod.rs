//! `fission mqtrigger`: functions called for each message of a topic.

mod create;
mod delete;
mod list;
mod update;

pub(crate) use list::COLUMNS;

use clap::Subcommand;
use fission_api::MessageQueueTrigger;

use crate::failure::Outcome;
use crate::session::Session;
use crate::wait::WaitArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum MqtriggerVerb {
    Create(Box<create::CreateArgs>),
    Update(Box<update::UpdateArgs>),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Wait(WaitArgs),
}

impl MqtriggerVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(*args, s).await,
            Self::Update(args) => update::run(*args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Wait(args) => crate::wait::run::<MessageQueueTrigger>(args, s).await,
        }
    }
}
