//! `fission check`: which server this is and why, and whether everything commands need answers.

pub(crate) mod components;
mod definitions;
mod findings;
mod permissions;

use clap::{ArgAction, Args};
use http::Request;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::noun::root_of;
use crate::session::Session;
use crate::{doors, storage, version};
use findings::Findings;

/// Check that the platform answers, and say which one it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission check
  fission check --server http://127.0.0.1:31313
  fission check --kube-context staging
  fission check --namespace fission        # in a cluster: the namespace Fission is installed in
  fission check --pre                      # before it is installed")]
pub(crate) struct CheckArgs {
    /// Only check what a platform needs before it is installed: that the API server answers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) pre: Option<bool>,
}

pub(crate) async fn run(args: CheckArgs, s: &mut Session) -> Outcome {
    let before_install = args.pre == Some(true);
    if s.namespace_given && !before_install && !s.serves_platform().await.unwrap_or(true) {
        // In a cluster, as Fission's own command has it: where the platform is, not where functions are.
        s.installation = Some(s.namespace.clone());
        let usual = s.io.vars.get("FISSION_DEFAULT_NAMESPACE").map(str::to_owned);
        let context = s.target().await.ok().and_then(|target| target.namespace);
        s.namespace = usual.or(context).unwrap_or_else(|| "default".to_owned());
    }
    let found = if before_install { api_findings(s, true).await } else { findings(s).await };
    s.io.write(found.text())?;
    if !before_install && let Ok(Some(report)) = report(s).await {
        s.io.write(rendered_report(&report))?;
    }
    match found.failed() {
        0 => Ok(()),
        1 => Err(Failure::new("1 check failed")),
        n => Err(Failure::new(format_args!("{n} checks failed"))),
    }
}

/// The oldest Kubernetes whose API has everything used here.
const OLDEST_KUBERNETES: (u32, u32) = (1, 27);

/// The server: which one, whether it answers, and whether it knows our kinds.
async fn api_findings(s: &mut Session, before_install: bool) -> Findings {
    let mut found = Findings::default();
    found.section("kubernetes");
    let target = s.target().await;
    if !found.outcome(&target, |target| format!("server {}, chosen by {}", target.api, target.why)) {
        return found;
    }
    let client = match s.client().await {
        Ok(client) => client,
        Err(failure) => {
            found.failure(&failure);
            return found;
        }
    };
    let answer = match get(&client, "/version").await {
        Ok((_, answer)) => answer,
        Err(failure) => {
            found.failure(&failure);
            return found;
        }
    };
    let version = answer["gitVersion"].as_str().unwrap_or("of an unknown version");
    let (oldest_major, oldest_minor) = OLDEST_KUBERNETES;
    match kubernetes_version(&answer) {
        Some(parsed) if parsed < OLDEST_KUBERNETES => found.bad(
            format!("it answers, as Kubernetes {version}, older than {oldest_major}.{oldest_minor}"),
            "upgrade the cluster: rules of the definitions are not checked by older servers",
        ),
        _ => found.add(true, format!("it answers, as Kubernetes {version}")),
    }
    if !definitions::check(&client, &mut found).await {
        discovered(&client, &s.server(), before_install, &mut found).await;
    }
    found
}

/// Major and minor; providers write the minor as `27+`.
fn kubernetes_version(answer: &Value) -> Option<(u32, u32)> {
    let number = |field: &str| answer[field].as_str()?.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    Some((number("major")?, number("minor")?))
}

/// Our kinds as the server's list of resources has them.
async fn discovered(client: &Client, server: &str, before_install: bool, found: &mut Findings) {
    match get(client, &format!("/apis/{}/{}", fission_api::GROUP, fission_api::VERSION)).await {
        Ok((401 | 403, _)) => found.bad(
            format!("{server} does not accept the token"),
            "give one with FISSION_TOKEN, or a kubeconfig; for a platform on this machine see `fission status`",
        ),
        Ok((200, kinds)) => {
            let served = kinds["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
            let missing: Vec<&str> = fission_api::KINDS
                .iter()
                .filter(|info| !served.iter().any(|resource| resource["name"] == info.plural))
                .map(|info| info.kind)
                .collect();
            match missing.is_empty() {
                true => found.add(true, format!("it serves all {} kinds of fission.io/v1", fission_api::KINDS.len())),
                false => found.add(false, format!("it does not serve {}", missing.join(", "))),
            }
        }
        Ok((404, _)) if before_install => {
            found.limit("it does not serve fission.io/v1 yet", "install Fission with Helm, then: fission check");
        }
        Ok((status, _)) => found.bad(
            format!("it does not serve fission.io/v1 (it answered {status})"),
            "install Fission with Helm, or name another server: --server URL, --kubeconfig FILE",
        ),
        Err(failure) => found.failure(&failure),
    }
}

/// Everything that is checked.
pub(crate) async fn findings(s: &mut Session) -> Findings {
    let mut found = api_findings(s, false).await;
    if found.failed() > 0 {
        return found;
    }
    found.section("fission-services");
    let serves = s.serves_platform().await;
    let components = match serves {
        Ok(false) => Some(components::Components::read(s).await),
        _ => None,
    };
    match &components {
        Some(Ok(components)) => components.check(&mut found),
        Some(Err(failure)) => found.limit(
            format!("the servers may not be listed: {failure}"),
            "set FISSION_NAMESPACE to the namespace Fission is installed in, or ask for 'list' on pods there",
        ),
        None => {}
    }
    let router = router_answers(s).await;
    found.outcome(&router, |shown| format!("the router answers at {shown}"));
    let archives = storage::list(s).await;
    found.outcome(&archives, |ids| format!("the storage service answers ({} archives)", ids.len()));
    if let (Some(components), Ok(client)) = (&components, s.client().await) {
        let installation = components.as_ref().map_or(crate::cluster::DEFAULT_INSTALLATION, |all| &all.namespace);
        permissions::check(&client, &s.namespace, installation, &mut found).await;
    }
    found.section("fission-version");
    let version = version::of_server(s).await;
    found.outcome(&version, |server| {
        let (ours, theirs) = (version::build().version, server["Version"].as_str().unwrap_or("unknown"));
        match ours == theirs {
            true => format!("this command and the server are both {ours}"),
            false => format!("this command is {ours}, the server is {theirs}"),
        }
    });
    found
}

async fn router_answers(s: &mut Session) -> Outcome<String> {
    let door = doors::router(s).await?;
    let shown = &door.shown;
    match get(&door.client, "/router-healthz").await {
        Ok((status, _)) if status < 500 => Ok(door.shown),
        Ok((status, _)) => Err(Failure::new(format_args!("the router at {shown} answers {status}"))),
        Err(failure) => {
            let text = format!("the router does not answer at {shown}: {failure}");
            Err(door.unreached(Failure::new(text)))
        }
    }
}

async fn get(client: &Client, path: &str) -> Outcome<(u16, Value)> {
    let failed = |error: &kube::Error| Failure::new(format_args!("no answer: {}", root_of(error)));
    let request = Request::get(path).body(Body::empty()).map_err(Failure::new)?;
    let answer = client.send(request).await.map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect_bytes().await.map_err(|error| failed(&error))?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// What the platform says of itself; `None` when this server does not.
pub(crate) async fn report(s: &mut Session) -> Outcome<Option<Value>> {
    let client = s.client().await?;
    let (status, report) = get(&client, "/fission/v1/status").await?;
    Ok((status == 200 && report.is_object()).then_some(report))
}

/// The platform's own report, whatever it holds: a section each, a line each.
fn rendered_report(report: &Value) -> String {
    let mut text = String::new();
    for (name, value) in report.as_object().into_iter().flatten() {
        match value {
            Value::Array(entries) if !entries.is_empty() => {
                text.push_str(&format!("{name}\n{}\n", "-".repeat(20)));
                for entry in entries {
                    text.push_str(&format!("{}\n", entry_line(entry)));
                }
                text.push('\n');
            }
            Value::Object(fields) if !fields.is_empty() => {
                let line: Vec<String> = fields.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect();
                text.push_str(&format!("{name}: {}\n", line.join(", ")));
            }
            _ => {}
        }
    }
    text
}

/// `√ feature: why`. The first text names it, the first switch says whether it is so.
fn entry_line(entry: &Value) -> String {
    let Some(fields) = entry.as_object() else { return plain(entry) };
    let mark = fields.values().find_map(Value::as_bool);
    let name = ["feature", "name"].iter().find_map(|key| fields.get(*key)).map(plain).unwrap_or_default();
    let rest: Vec<String> = fields
        .iter()
        .filter(|(key, value)| !value.is_boolean() && !matches!(key.as_str(), "feature" | "name"))
        .map(|(_, value)| plain(value))
        .filter(|text| !text.is_empty())
        .collect();
    let mark = match mark {
        Some(true) => "√ ",
        Some(false) => "× ",
        None => "  ",
    };
    if rest.is_empty() { format!("{mark}{name}") } else { format!("{mark}{name}: {}", rest.join("; ")) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kubernetes_version_may_have_a_suffix() {
        let version = |minor: &str| kubernetes_version(&json!({ "major": "1", "minor": minor }));
        assert_eq!((version("27"), version("31+"), version("?")), (Some((1, 27)), Some((1, 31)), None));
    }

    #[test]
    fn a_report_is_shown_whatever_it_holds() {
        let report = json!({
            "version": "0.1.0",
            "isolation": [
                { "feature": "user namespace", "applied": true, "why": null },
                { "feature": "cgroup limits", "applied": false, "why": "/sys/fs/cgroup is read-only" },
            ],
            "environments": [{ "name": "nodejs", "images": ["fission/node-env"], "ready": true, "why": "" }],
            "data": { "path": "/d", "bytes": 12 },
        });
        insta::assert_snapshot!(rendered_report(&report), @r"
        data: bytes 12, path /d
        environments
        --------------------
        √ nodejs: fission/node-env

        isolation
        --------------------
        √ user namespace
        × cgroup limits: /sys/fs/cgroup is read-only
        ");
    }
}
