//! `fission environment`: language runtimes.

mod create;
mod delete;
mod get;
mod list;
mod pods;
mod update;

use clap::Subcommand;
use fission_api::Environment;
use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::failure::Outcome;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::wait::WaitArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentVerb {
    Create(create::CreateArgs),
    Get(get::GetArgs),
    Update(update::UpdateArgs),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    #[command(visible_aliases = ["pod", "po"])]
    Pods(pods::PodsArgs),
    Wait(WaitArgs),
}

impl EnvironmentVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(args, s).await,
            Self::Get(args) => get::run(args, s).await,
            Self::Update(args) => update::run(args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Pods(args) => pods::run(args, s).await,
            Self::Wait(args) => crate::wait::run::<Environment>(args, s).await,
        }
    }
}

/// The columns of `list`.
pub(crate) const COLUMNS: [Column<Environment>; 12] = [
    column("NAME", |env| env.metadata.name.clone().unwrap_or_default()),
    column("IMAGE", |env| env.spec.runtime.image.clone()),
    column("BUILDER_IMAGE", |env| env.spec.builder.image.clone()),
    column("POOLSIZE", |env| env.spec.pool_size().to_string()),
    column("MINCPU", |env| amount(&env.spec.resources, false, "cpu")),
    column("MAXCPU", |env| amount(&env.spec.resources, true, "cpu")),
    column("MINMEMORY", |env| amount(&env.spec.resources, false, "memory")),
    column("MAXMEMORY", |env| amount(&env.spec.resources, true, "memory")),
    column("EXTNET", |env| env.spec.allow_access_to_external_network.to_string()),
    column("GRACETIME", |env| env.spec.grace_seconds().to_string()),
    column("NAMESPACE", |env| env.metadata.namespace.clone().unwrap_or_default()),
    wide("AGE", |env| crate::conditions::age(env.metadata.creation_timestamp.as_ref())),
];

/// A request or limit as the API keeps it; `0` when there is none.
pub(crate) fn amount(resources: &ResourceRequirements, limit: bool, what: &str) -> String {
    let set = if limit { &resources.limits } else { &resources.requests };
    set.as_ref().and_then(|set| set.get(what)).map_or_else(|| "0".to_owned(), |amount| amount.0.clone())
}
