//! `fission function describe`: everything about one function on one page.

use clap::Args;
use fission_api::{Function, HTTPTrigger, Package, labels};

use super::{container, executor_word};
use crate::conditions::{self, status_of};
use crate::failure::Outcome;
use crate::flags::{NameFlag, pairs};
use crate::package::build_status;
use crate::session::Session;
use crate::table::{aligned, of_objects};
use crate::{noun, pods, route};

/// Show everything about a function
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function describe --name hello")]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
}

pub(crate) async fn run(args: DescribeArgs, s: &mut Session) -> Outcome {
    let function: Function = noun::get(s, &args.name.name).await?;
    let package_name = function.spec.package.package_ref.name.clone();
    let package: Option<Package> = match package_name.as_str() {
        "" => None,
        name => noun::find(s, name).await?,
    };
    s.io.write(header(&function, package.as_ref()))?;
    if let Some(status) = function.status.as_ref().filter(|status| !status.conditions.is_empty()) {
        s.io.write(format_args!("\nCONDITIONS\n{}", conditions::table(&status.conditions)))?;
    }
    match container::is_container(&function) {
        true => s.io.write(format_args!("\nCONTAINER\n{}", aligned(container::rows(&function))))?,
        false => show_package(package.as_ref(), s)?,
    }
    let routes: Vec<HTTPTrigger> = noun::list::<HTTPTrigger>(s, false)
        .await?
        .into_iter()
        .filter(|route| route::calls(route, &args.name.name))
        .collect();
    if !routes.is_empty() {
        s.io.write(format_args!("\nROUTES\n{}", of_objects(&route::COLUMNS[..3], &routes, false)))?;
    }
    let namespace = s.namespace.clone();
    let wanted = [(labels::FUNCTION_NAME, args.name.name.as_str()), (labels::FUNCTION_NAMESPACE, namespace.as_str())];
    let found = pods::with_labels(s, &wanted).await?;
    s.io.say("\nPODS")?;
    match found.is_empty() {
        true => s.io.say("<none>"),
        false => pods::print(s, crate::output::Format::Text, &pods::COLUMNS, &found),
    }
}

fn show_package(package: Option<&Package>, s: &mut Session) -> Outcome {
    s.io.say("\nPACKAGE")?;
    let Some(package) = package else { return s.io.say("<none>") };
    let rows = vec![
        vec!["Build status:".to_owned(), build_status(package).to_owned()],
        vec!["Deployment:".to_owned(), crate::package::describe(&package.spec.deployment, false)],
    ];
    s.io.write(aligned(rows))
}

fn header(function: &Function, package: Option<&Package>) -> String {
    let ready = status_of(function.status.as_ref().map(|status| &status.conditions[..]), "Ready");
    // A function whose package cannot be deployed cannot be called; nobody may have tried yet, so Ready may be unset.
    let is_container = container::is_container(function);
    let has_code = is_container || package.is_some_and(|package| !package.spec.deployment.is_empty());
    let invocable = has_code && ready != "False";
    let created = function.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default();
    let rows = [
        ("Name:", function.metadata.name.clone().unwrap_or_default()),
        ("Namespace:", function.metadata.namespace.clone().unwrap_or_default()),
        ("Environment:", function.spec.environment.name.clone()),
        ("Executor:", executor_word(function).to_owned()),
        ("Package:", function.spec.package.package_ref.name.clone()),
        ("Invocable:", invocable.to_string()),
        ("Created:", created),
        ("Labels:", pairs(function.metadata.labels.as_ref())),
    ];
    // An image of its own has neither.
    let shown = rows.into_iter().filter(|(label, _)| !is_container || !matches!(*label, "Environment:" | "Package:"));
    aligned(shown.map(|(label, value)| vec![label.to_owned(), value]).collect())
}
