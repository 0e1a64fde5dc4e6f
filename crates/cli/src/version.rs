//! `fission version`: of this binary, and of the server it talks to.

use clap::Args;
use http::{Request, header};
use kube::client::Body;
use serde::Serialize;
use serde_json::{Value, json};

use crate::check::components::Components;
use crate::doors;
use crate::failure::{Doing, Failure, Outcome};
use crate::output::{Format, OutputFlag, rendered};
use crate::session::Session;

/// What a binary was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Build {
    /// When; empty when the build did not say.
    pub build_date: &'static str,
    /// Commit; empty when the build did not say.
    pub git_commit: &'static str,
    /// Version.
    pub version: &'static str,
}

/// What this binary was built from. The build says it in `FISSION_BUILD_DATE` and `FISSION_GIT_COMMIT`.
pub fn build() -> Build {
    let given = |value: Option<&'static str>| value.unwrap_or_default();
    Build {
        build_date: given(option_env!("FISSION_BUILD_DATE")),
        git_commit: given(option_env!("FISSION_GIT_COMMIT")),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Show the version of this binary and of the server
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission version
  fission version -o json
  fission version --client-only")]
pub(crate) struct VersionArgs {
    /// Do not ask the server
    #[arg(long)]
    pub(crate) client_only: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: VersionArgs, s: &mut Session) -> Outcome {
    let mut all = json!({ "client": { "fission/core": build() } });
    let mut warning = None;
    if !args.client_only {
        match of_server(s).await {
            Ok(server) => {
                all["server"] = json!({ "fission/core": server });
                // In a cluster every server is a program of its own. One who may not list them is told nothing of it.
                if let Ok(false) = s.serves_platform().await
                    && let Ok(components) = Components::read(s).await
                {
                    all["server"]["components"] = components.images();
                }
            }
            Err(failure) => warning = Some(failure),
        }
    }
    let format = if args.output.output == Format::Json { Format::Json } else { Format::Yaml };
    let text = rendered(format, &all)?;
    s.io.write(text)?;
    if let Some(warning) = warning {
        s.io.complain(format_args!("Warning: the server's version is not known: {warning}"));
    }
    Ok(())
}

/// What the server says of itself: the router's `/_version`, or the status of a platform on this machine.
pub(crate) async fn of_server(s: &mut Session) -> Outcome<Value> {
    if let Some(running) = s.running().await?.filter(|running| !running.version.is_empty()) {
        return Ok(json!({ "BuildDate": "", "GitCommit": "", "Version": running.version }));
    }
    let answer = router_json(s, "/_version").await?;
    let build = ["build", "Build"].into_iter().map(|key| &answer[key]).find(|build| build.is_object());
    build.cloned().ok_or_else(|| Failure::new("the router's /_version does not say what it was built from"))
}

/// A JSON document of the router's public listener.
pub(crate) async fn router_json(s: &mut Session, path: &str) -> Outcome<Value> {
    let door = doors::router(s).await?;
    let doing = format!("cannot read {path} of the router at {}", door.shown);
    let mut request = Request::get(path);
    if let Some(token) = s.io.vars.get("FISSION_AUTH_TOKEN") {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).doing(&doing)?;
    let failed =
        |error: &kube::Error| door.unreached(Failure::new(format_args!("{doing}: {}", crate::noun::root_of(error))));
    let answer = door.client.send(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.map_err(|error| failed(&error))?;
    match status.as_u16() {
        200 => serde_json::from_slice(&body).doing(&doing),
        401 | 403 => Err(Failure::new(format_args!("{doing}: {status}"))
            .hint("set FISSION_AUTH_TOKEN; a token comes from: fission token create")),
        _ => Err(Failure::new(format_args!("{doing}: {status}"))),
    }
}
