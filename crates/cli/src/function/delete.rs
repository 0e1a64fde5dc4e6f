//! `fission function delete`. Its package stays: `fission package delete --orphan` removes what nothing uses.

use clap::Args;
use fission_api::Function;

use crate::failure::Outcome;
use crate::flags::DeleteFlags;
use crate::noun;
use crate::session::Session;

/// Delete a function; its package stays
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function delete --name hello
  fission fn delete --name hello --ignorenotfound")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) what: DeleteFlags,
}

pub(crate) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    if noun::delete::<Function>(s, &args.what.name, args.what.ignorenotfound).await? {
        s.io.say(format_args!("function '{}' deleted", args.what.name))?;
        s.io.suggest("fission package delete --orphan");
    }
    Ok(())
}
