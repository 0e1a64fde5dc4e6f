//! `fission environment delete`: not while functions use it.

use clap::Args;
use fission_api::{Environment, Function};
use kube::ResourceExt;

use crate::failure::{Failure, Outcome};
use crate::flags::DeleteFlags;
use crate::noun;
use crate::session::Session;

/// Delete an environment
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment delete --name nodejs
  fission env delete --name nodejs --force")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) what: DeleteFlags,
    /// Delete it although functions use it
    #[arg(long, short)]
    pub(crate) force: bool,
}

pub(crate) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    let name = &args.what.name;
    if !args.force {
        let functions: Vec<Function> = noun::list(s, false).await?;
        let users: Vec<String> = functions
            .iter()
            .filter(|function| function.spec.environment.name == *name)
            .map(ResourceExt::name_any)
            .collect();
        if !users.is_empty() {
            return Err(Failure::new(format_args!("environment '{name}' is used by: {}", users.join(", ")))
                .hint("delete these functions first, or use --force"));
        }
    }
    if noun::delete::<Environment>(s, name, args.what.ignorenotfound).await? {
        s.io.say(format_args!("environment '{name}' deleted"))?;
    }
    Ok(())
}
