//! `fission check`: which server this is and why, and whether everything commands need answers.

use clap::{ArgAction, Args};
use http::Request;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::noun::root_of;
use crate::session::Session;
use crate::target::client_for;
use crate::{storage, version};

/// Check that the platform answers, and say which one it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission check
  fission check --server http://127.0.0.1:31313")]
pub(crate) struct CheckArgs {
    /// Only check what a platform needs before it is installed: that the API server answers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) pre: Option<bool>,
}

pub(crate) async fn run(args: CheckArgs, s: &mut Session) -> Outcome {
    let found = if args.pre == Some(true) { api_findings(s).await } else { findings(s).await };
    s.io.write(found.text())?;
    if args.pre != Some(true)
        && let Ok(Some(report)) = report(s).await
    {
        s.io.write(rendered_report(&report))?;
    }
    match found.failed() {
        0 => Ok(()),
        1 => Err(Failure::new("1 check failed")),
        n => Err(Failure::new(format_args!("{n} checks failed"))),
    }
}

/// What was checked, by section.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<(&'static str, Vec<Finding>)>);

#[derive(Debug)]
struct Finding {
    good: bool,
    text: String,
}

impl Findings {
    fn section(&mut self, name: &'static str) {
        self.0.push((name, Vec::new()));
    }

    fn add(&mut self, good: bool, text: impl Into<String>) {
        if let Some((_, findings)) = self.0.last_mut() {
            findings.push(Finding { good, text: text.into() });
        }
    }

    fn outcome<T>(&mut self, outcome: &Outcome<T>, good: impl FnOnce(&T) -> String) -> bool {
        match outcome {
            Ok(value) => self.add(true, good(value)),
            Err(failure) => self.add(false, failure.to_string()),
        }
        outcome.is_ok()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, findings) in &self.0 {
            text.push_str(&format!("{name}\n{}\n", "-".repeat(20)));
            for finding in findings {
                text.push_str(&format!("{} {}\n", if finding.good { "√" } else { "×" }, finding.text));
            }
            text.push('\n');
        }
        text
    }

    fn failed(&self) -> usize {
        self.0.iter().flat_map(|(_, findings)| findings).filter(|finding| !finding.good).count()
    }
}

async fn api_findings(s: &mut Session) -> Findings {
    let mut found = Findings::default();
    found.section("kubernetes");
    let target = s.target().await;
    if !found.outcome(&target, |target| format!("server {}, chosen by {}", target.api, target.why)) {
        return found;
    }
    let client = match s.client().await {
        Ok(client) => client,
        Err(failure) => {
            found.add(false, failure.to_string());
            return found;
        }
    };
    let server = s.server();
    let version = get(&client, "/version").await;
    if !found.outcome(&version, |(_, version)| {
        format!("it answers, as Kubernetes {}", version["gitVersion"].as_str().unwrap_or("of an unknown version"))
    }) {
        return found;
    }
    match get(&client, &format!("/apis/{}/{}", fission_api::GROUP, fission_api::VERSION)).await {
        Ok((401 | 403, _)) => found.add(false, format!("{server} does not accept the token; see `fission status`")),
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
        Ok((status, _)) => found.add(false, format!("it does not serve fission.io/v1 (it answered {status})")),
        Err(failure) => found.add(false, failure.to_string()),
    }
    found
}

/// Everything that is checked.
pub(crate) async fn findings(s: &mut Session) -> Findings {
    let mut found = api_findings(s).await;
    if found.failed() > 0 {
        return found;
    }
    found.section("fission-services");
    let router = s.router().await;
    if let Ok(url) = &router {
        let answer = match client_for(url, None) {
            Ok(client) => get(&client, "/router-healthz").await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok((status, _)) if status < 500 => found.add(true, format!("the router answers at {url}")),
            Ok((status, _)) => found.add(false, format!("the router at {url} answers {status}")),
            Err(failure) => found.add(false, format!("the router does not answer at {url}: {failure}")),
        }
    } else {
        found.outcome(&router, String::clone);
    }
    let archives = storage::list(s).await;
    found.outcome(&archives, |ids| format!("the storage service answers ({} archives)", ids.len()));
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
