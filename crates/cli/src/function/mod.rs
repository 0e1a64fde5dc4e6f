//! `fission function`: code, the environment it runs in, and how instances are made.

mod advanced;
mod container;
mod create;
mod delete;
mod describe;
mod get;
mod getmeta;
mod instances;
mod list;
mod logs;
mod network;
mod options;
mod pod_logs;
mod pods;
mod run_container;
mod run_local;
mod test;
mod update;
mod update_container;
mod words;

use clap::Subcommand;
use fission_api::{ExecutorType, Function};

use crate::failure::Outcome;
use crate::session::Session;
use crate::wait::WaitArgs;

pub(crate) use list::COLUMNS;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionVerb {
    Create(Box<create::CreateArgs>),
    Get(get::GetArgs),
    Getmeta(getmeta::GetmetaArgs),
    Describe(describe::DescribeArgs),
    Update(Box<update::UpdateArgs>),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    #[command(visible_alias = "log")]
    Logs(logs::LogsArgs),
    Test(test::TestArgs),
    #[command(visible_aliases = ["pod", "po", "list-pods"])]
    Pods(pods::PodsArgs),
    #[command(visible_alias = "runl")]
    RunLocal(Box<run_local::RunLocalArgs>),
    #[command(visible_alias = "runc")]
    RunContainer(Box<run_container::RunContainerArgs>),
    #[command(visible_alias = "updatec")]
    UpdateContainer(Box<update_container::UpdateContainerArgs>),
    Wait(WaitArgs),
}

impl FunctionVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(*args, s).await,
            Self::Get(args) => get::run(args, s).await,
            Self::Getmeta(args) => getmeta::run(args, s).await,
            Self::Describe(args) => describe::run(args, s).await,
            Self::Update(args) => update::run(*args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Logs(args) => logs::run(args, s).await,
            Self::Test(args) => test::run(args, s).await,
            Self::Pods(args) => pods::run(args, s).await,
            Self::RunLocal(args) => run_local::run(*args, s).await,
            Self::RunContainer(args) => run_container::run(*args, s).await,
            Self::UpdateContainer(args) => update_container::run(*args, s).await,
            Self::Wait(args) => crate::wait::run::<Function>(args, s).await,
        }
    }
}

/// The executor as the API writes it, default applied.
pub(crate) fn executor_word(function: &Function) -> &'static str {
    match function.spec.executor_type() {
        ExecutorType::Unset | ExecutorType::Poolmgr => "poolmgr",
        ExecutorType::Newdeploy => "newdeploy",
        ExecutorType::Container => "container",
    }
}
