//! `fission spec list`: what the server has of a deployment.

use clap::Args;
use fission_api::{
    Environment, Function, HTTPTrigger, KubernetesWatchTrigger, MessageQueueTrigger, Package, TimeTrigger,
};
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use super::files::{DEFAULT_DIR, Specs};
use super::kinds::{MANAGED, owner};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table::{Column, aligned, of_objects};

/// List the objects of a spec directory the server has
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission spec list
  fission spec list --deployid 11111111-2222-3333-4444-555555555555 -A")]
pub(crate) struct ListArgs {
    /// Uid of the deployment; the directory's when not given
    #[arg(long, visible_alias = "id", value_name = "UID")]
    pub(crate) deployid: Option<String>,
    /// The directory
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    pub(crate) specdir: String,
    /// File that lists files not to read
    #[arg(long, value_name = "FILE")]
    pub(crate) specignore: Option<String>,
    /// Show the objects of all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
}

pub(super) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let uid = match args.deployid {
        Some(uid) => uid,
        None => {
            let ignore = args.specignore.as_deref().map(|file| s.io.path(file));
            Specs::read(&s.io.path(&args.specdir), ignore.as_deref())?.uid
        }
    };
    if uid.is_empty() {
        return Err(Failure::new("this spec directory has no uid, so it owns nothing"));
    }
    for kind in MANAGED {
        let mut objects = kind.live(s).await?;
        let namespace = s.namespace.clone();
        objects.retain(|object| {
            let here = args.all_namespaces || object.metadata.namespace.as_deref() == Some(&namespace);
            here && owner(object) == Some(&uid)
        });
        if !objects.is_empty() {
            let (title, table) = section(kind.kind, objects);
            s.io.write(format_args!("{title}:\n{table}\n"))?;
        }
    }
    Ok(())
}

fn section(kind: &str, objects: Vec<DynamicObject>) -> (&'static str, String) {
    match kind {
        "Function" => ("Functions", table::<Function>(&crate::function::COLUMNS, objects)),
        "Environment" => ("Environments", table::<Environment>(&crate::environment::COLUMNS, objects)),
        "Package" => ("Packages", table::<Package>(&crate::package::COLUMNS, objects)),
        "HTTPTrigger" => ("HTTP Triggers", table::<HTTPTrigger>(&crate::route::COLUMNS, objects)),
        "MessageQueueTrigger" => {
            ("MessageQueue Triggers", table::<MessageQueueTrigger>(&crate::mqtrigger::COLUMNS, objects))
        }
        "TimeTrigger" => ("Time Triggers", table::<TimeTrigger>(&crate::timetrigger::COLUMNS, objects)),
        "KubernetesWatchTrigger" => ("Kube Watchers", table::<KubernetesWatchTrigger>(&crate::watch::COLUMNS, objects)),
        "Workflow" => ("Workflows", names(objects)),
        _ => ("FunctionAliases", names(objects)),
    }
}

/// The columns of the noun's own list, without those that say nothing here.
fn table<K: DeserializeOwned>(columns: &[Column<K>], objects: Vec<DynamicObject>) -> String {
    let typed: Vec<K> = objects
        .into_iter()
        .filter_map(|object| serde_json::from_value(serde_json::to_value(object).ok()?).ok())
        .collect();
    let kept: Vec<Column<K>> = columns
        .iter()
        .filter(|column| !matches!(column.head, "READY" | "NAMESPACE"))
        .map(|column| Column { head: column.head, wide: column.wide, cell: column.cell })
        .collect();
    of_objects(&kept, &typed, false)
}

fn names(objects: Vec<DynamicObject>) -> String {
    let rows = objects.into_iter().map(|object| vec![object.metadata.name.unwrap_or_default()]);
    aligned(std::iter::once(vec!["NAME".to_owned()]).chain(rows).collect())
}
