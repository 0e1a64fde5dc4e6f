//! `fission package rebuild`: once more after a failed build.

use clap::Args;
use fission_api::Package;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{build_status, follow};
use crate::failure::{Failure, Outcome};
use crate::flags::NameFlag;
use crate::noun;
use crate::output::Format;
use crate::session::Session;

/// Build a package again whose build failed
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package rebuild --name hello")]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
}

pub(crate) async fn run(args: RebuildArgs, s: &mut Session) -> Outcome {
    let name = &args.name.name;
    let package: Package = noun::get(s, name).await?;
    let status = build_status(&package);
    if status != "failed" {
        return Err(Failure::new(format_args!(
            "package '{name}' has status '{status}'; only a failed one is built again"
        ))
        .hint(format_args!("to build new source: fission package update --name {name} --sourcearchive FILES")));
    }
    let api = noun::api::<Package>(s).await?;
    let pending = Patch::Merge(json!({ "status": { "buildstatus": "pending" } }));
    let ordered = api
        .patch_status(name, &PatchParams::default(), &pending)
        .await
        .map_err(|error| noun::explain(s, &format!("cannot rebuild package '{name}'"), error))?;
    s.io.say(format_args!("Retrying build for pkg {name}. Use \"fission pkg info --name {name}\" to view status."))?;
    follow::suggest(&ordered, Format::Text, s);
    Ok(())
}
