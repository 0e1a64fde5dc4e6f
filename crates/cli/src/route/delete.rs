//! `fission route delete`: one route, or all that call a function.

use clap::Args;
use fission_api::HTTPTrigger;
use kube::ResourceExt;

use crate::failure::{Failure, Outcome};
use crate::noun;
use crate::session::Session;

/// Delete routes
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission route delete --name hello
  fission route delete --function hello")]
pub(crate) struct DeleteArgs {
    /// Name of the route
    #[arg(long, required_unless_present = "function", conflicts_with = "function")]
    pub(crate) name: Option<String>,
    /// Delete all routes that call this function
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// Succeed when it does not exist
    #[arg(long)]
    pub(crate) ignorenotfound: bool,
}

pub(crate) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    let names = match (&args.name, &args.function) {
        (Some(name), _) => vec![name.clone()],
        (None, function) => {
            let function = function.clone().unwrap_or_default();
            let mut routes: Vec<HTTPTrigger> = noun::list(s, false).await?;
            routes.retain(|route| route.spec.functionref.name == function);
            if routes.is_empty() && !args.ignorenotfound {
                return Err(Failure::new(format_args!("no route calls function '{function}'"))
                    .hint("see the routes with: fission route list"));
            }
            routes.iter().map(ResourceExt::name_any).collect()
        }
    };
    for name in names {
        if noun::delete::<HTTPTrigger>(s, &name, args.ignorenotfound || args.function.is_some()).await? {
            s.io.say(format_args!("trigger '{name}' deleted"))?;
        }
    }
    Ok(())
}
