//! `fission httptrigger`, called `route` by most: which requests reach which function.

pub(crate) mod create;
mod delete;
mod exposure;
mod get;
mod list;
mod target;
mod update;

pub(crate) use list::COLUMNS;

use clap::Subcommand;
use fission_api::HTTPTrigger;

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::wait::WaitArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum RouteVerb {
    Create(Box<create::CreateArgs>),
    Get(get::GetArgs),
    Update(Box<update::UpdateArgs>),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Wait(WaitArgs),
}

impl RouteVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(*args, s).await,
            Self::Get(args) => get::run(args, s).await,
            Self::Update(args) => update::run(*args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Wait(args) => crate::wait::run::<HTTPTrigger>(args, s).await,
        }
    }
}

/// Methods a route can match.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

/// Methods in upper case, each once. The API knows only these, and only in upper case.
fn methods(given: &[String]) -> Outcome<Vec<String>> {
    let mut all: Vec<String> = Vec::with_capacity(given.len());
    for method in given {
        let method = method.to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            return Err(Failure::new(format_args!("--method {method:?} must be one of {}", METHODS.join(", "))));
        }
        if !all.contains(&method) {
            all.push(method);
        }
    }
    Ok(all)
}

/// A path with its leading slash; the root alone is refused, as the router answers it itself.
fn path(flag: &str, path: &str) -> Outcome<String> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    match path.as_str() {
        "/" => Err(Failure::new(format_args!("{flag} / is not possible: the router answers / itself"))
            .hint("use a path such as /hello")),
        _ => Ok(path),
    }
}

/// Whether a route calls this function, by name or by weight.
pub(crate) fn calls(route: &HTTPTrigger, function: &str) -> bool {
    let reference = &route.spec.functionref;
    reference.name == function || reference.functionweights.as_ref().is_some_and(|all| all.contains_key(function))
}

/// A route that already matches the same path, host and methods.
pub(crate) fn same_place<'a>(routes: &'a [HTTPTrigger], new: &HTTPTrigger) -> Option<&'a HTTPTrigger> {
    let place = |route: &HTTPTrigger| {
        let mut methods: Vec<String> = route.spec.all_methods().into_iter().map(str::to_owned).collect();
        methods.sort();
        let prefix = route.spec.prefix().map(str::to_owned);
        let url = if prefix.is_some() { String::new() } else { route.spec.relative_url.clone() };
        (prefix, url, route.spec.host.clone(), methods)
    };
    routes.iter().find(|route| {
        let other = route.metadata.name != new.metadata.name || route.metadata.namespace != new.metadata.namespace;
        other && place(route) == place(new)
    })
}
