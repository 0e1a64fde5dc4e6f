//! `fission spec`: objects kept as files and applied together.
//!
//! A spec directory has a deployment uid. Applied objects carry it, and only objects that carry it are changed.

mod apply;
mod archives;
mod commit;
mod destroy;
pub(crate) mod files;
mod init;
mod kinds;
mod list;
pub(crate) mod save;
pub(crate) mod validate;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::session::Session;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum SpecVerb {
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    Apply(apply::ApplyArgs),
    List(list::ListArgs),
    Destroy(destroy::DestroyArgs),
}

impl SpecVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Init(args) => init::run(args, s),
            Self::Validate(args) => validate::run(args, s).await,
            Self::Apply(args) => apply::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Destroy(args) => destroy::run(args, s).await,
        }
    }
}
