//! `fission spec destroy`.

use clap::Args;
use kube::api::DeleteParams;

use super::files::{DEFAULT_DIR, Specs};
use super::kinds::{DESTROY_ORDER, Managed, managed_kind, owner};
use crate::failure::{Failure, Outcome};
use crate::noun::explain;
use crate::session::Session;

/// Delete the objects of a spec directory
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission spec destroy
  fission spec destroy --force    # everything that carries the directory's uid, in all namespaces")]
pub(crate) struct DestroyArgs {
    /// The directory
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    pub(crate) specdir: String,
    /// File that lists files not to read
    #[arg(long, value_name = "FILE")]
    pub(crate) specignore: Option<String>,
    /// Delete everything that carries the directory's uid, also what no file names any more
    #[arg(long, short)]
    pub(crate) force: bool,
}

pub(super) async fn run(args: DestroyArgs, s: &mut Session) -> Outcome {
    let ignore = args.specignore.as_deref().map(|file| s.io.path(file));
    let mut specs = Specs::read(&s.io.path(&args.specdir), ignore.as_deref())?;
    if args.force && specs.uid.is_empty() {
        return Err(Failure::new("this spec directory has no uid, so it owns nothing"));
    }
    s.client().await?;
    let namespace = s.namespace.clone();
    specs.settle_namespaces(&namespace, false)?;
    for kind in DESTROY_ORDER.iter().filter_map(|kind| managed_kind(kind)) {
        let places: Vec<(String, String)> = match args.force {
            false => specs.of_kind(kind.kind).map(|item| (item.namespace.clone(), item.name.clone())).collect(),
            true => kind
                .live(s)
                .await?
                .into_iter()
                .filter(|object| owner(object) == Some(&specs.uid))
                .map(|object| (object.metadata.namespace.unwrap_or_default(), object.metadata.name.unwrap_or_default()))
                .collect(),
        };
        for (namespace, name) in places {
            if delete(kind, &namespace, &name, s).await? {
                s.io.say(format_args!("Deleted {} {namespace}/{name}", kind.kind))?;
            }
        }
    }
    Ok(())
}

/// Deletes one object; says whether it was there.
pub(super) async fn delete(kind: &Managed, namespace: &str, name: &str, s: &mut Session) -> Outcome<bool> {
    let api = kind.api(s.client().await?, namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(explain(s, &format!("cannot delete {} '{namespace}/{name}'", kind.kind), error)),
    }
}
