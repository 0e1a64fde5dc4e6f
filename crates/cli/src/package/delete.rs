//! `fission package delete`: one package, or all that no function uses.

use std::collections::HashSet;

use clap::Args;
use fission_api::{Function, Package};
use kube::ResourceExt;

use crate::failure::{Failure, Outcome};
use crate::noun;
use crate::session::Session;

/// Delete packages
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package delete --name hello
  fission pkg delete --orphan")]
pub(crate) struct DeleteArgs {
    /// Name of the package
    #[arg(long, required_unless_present = "orphan", conflicts_with = "orphan")]
    pub(crate) name: Option<String>,
    /// Delete every package no function uses
    #[arg(long)]
    pub(crate) orphan: bool,
    /// Delete it although functions use it
    #[arg(long, short)]
    pub(crate) force: bool,
    /// Succeed when it does not exist
    #[arg(long)]
    pub(crate) ignorenotfound: bool,
}

pub(crate) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    let Some(name) = args.name else {
        let packages: Vec<Package> = noun::list(s, false).await?;
        for package in orphans(s, packages, false).await? {
            noun::delete::<Package>(s, &package.name_any(), true).await?;
        }
        return s.io.say("Orphan packages deleted");
    };
    if !args.force {
        let users: Vec<String> = super::users_of(s, &name).await?.iter().map(ResourceExt::name_any).collect();
        if !users.is_empty() {
            return Err(Failure::new(format_args!("package '{name}' is used by: {}", users.join(", ")))
                .hint("delete these functions first, or use --force"));
        }
    }
    if noun::delete::<Package>(s, &name, args.ignorenotfound).await? {
        s.io.say(format_args!("Package '{name}' deleted"))?;
    }
    Ok(())
}

/// Those of the packages that no function uses.
pub(crate) async fn orphans(s: &mut Session, packages: Vec<Package>, all_namespaces: bool) -> Outcome<Vec<Package>> {
    let functions: Vec<Function> = noun::list(s, all_namespaces).await?;
    let used: HashSet<(Option<String>, String)> = functions
        .iter()
        .map(|function| (function.namespace(), function.spec.package.package_ref.name.clone()))
        .collect();
    Ok(packages.into_iter().filter(|package| !used.contains(&(package.namespace(), package.name_any()))).collect())
}
