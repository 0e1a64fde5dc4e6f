//! What the pods of a function printed, as far as the cluster still has it: for platforms that keep no log store.

use std::collections::HashMap;
use std::time::Duration;

use fission_api::labels;
use fission_rpc::logs::{LogLine, LogOwner, Stream};
use futures_util::stream::{SelectAll, StreamExt, unfold};
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use kube::core::{DynamicObject, Status};
use kube::{Client, ResourceExt};

use crate::failure::{Doing, Failure, Outcome};
use crate::noun::{self, root_of};
use crate::pods;
use crate::session::{Session, query_value};

/// The container every function pod has beside the function's.
const FETCHER: &str = "fetcher";
/// Time between two looks for new pods while following.
const LOOK: Duration = Duration::from_secs(2);

/// Which lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) function: String,
    /// Only this pod.
    pub(super) pod: Option<String>,
    /// Where pods are looked for; everywhere they may be listed when not given.
    pub(super) pod_namespace: Option<String>,
    /// Only this container; the function's own when not given.
    pub(super) container: Option<String>,
    /// Lines of the container that ended before the one that runs.
    pub(super) previous: bool,
    pub(super) since: Option<Timestamp>,
    /// Most lines, the newest.
    pub(super) count: usize,
}

/// The newest lines of all pods, oldest first.
pub(super) async fn newest(wanted: &Wanted, s: &mut Session) -> Outcome<Vec<LogLine>> {
    let mut lines = Vec::new();
    let client = s.client().await?;
    for pod in find(wanted, s).await? {
        let place = Source::of(&pod, wanted);
        let tail = Some(wanted.count);
        let mut text = match open(&client, &place, &place.target(wanted, wanted.since, tail, false)).await {
            Ok(text) => text,
            Err(refusal) => {
                passable(refusal, &place, s)?;
                continue;
            }
        };
        while let Some(line) = text.next().await {
            lines.extend(place.line(&line?, wanted));
        }
    }
    lines.sort_by_key(|line| line.time);
    let surplus = lines.len().saturating_sub(wanted.count);
    lines.drain(..surplus);
    Ok(lines)
}

/// Gives lines as they are printed, of pods that come later too. Ends only when `take` does.
pub(super) async fn follow(
    wanted: &Wanted,
    s: &mut Session,
    mut take: impl FnMut(&mut Session, LogLine) -> Outcome,
) -> Outcome {
    let client = s.client().await?;
    // A pod whose container restarts is read again, from where it was left.
    let mut left: HashMap<Source, Option<Timestamp>> = HashMap::new();
    let mut open_now: Vec<Source> = Vec::new();
    let mut streams = SelectAll::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => {
                for pod in find(wanted, s).await? {
                    let place = Source::of(&pod, wanted);
                    if open_now.contains(&place) {
                        continue;
                    }
                    let last = left.get(&place).copied();
                    let (since, tail) = match last {
                        Some(last) => (last, None),
                        None => (wanted.since, (open_now.is_empty() && left.is_empty()).then_some(wanted.count)),
                    };
                    match open(&client, &place, &place.target(wanted, since, tail, true)).await {
                        Ok(text) => {
                            open_now.push(place.clone());
                            let start = (text, place);
                            streams.push(Box::pin(unfold(Some(start), async |now| {
                                let (mut text, place) = now?;
                                match text.next().await {
                                    Some(line) => Some(((place.clone(), Some(line)), Some((text, place)))),
                                    None => Some(((place, None), None)),
                                }
                            })));
                        }
                        // It has not started, or is gone again: the next look tells.
                        Err(Refusal::Passing(_)) => {}
                        Err(Refusal::Failed(error)) => return Err(noun::explain(s, &place.doing(), error)),
                    }
                }
            }
            Some((place, line)) = streams.next(), if !streams.is_empty() => match line {
                Some(line) => {
                    let Some(line) = place.line(&line?, wanted) else { continue };
                    let last = left.entry(place).or_default();
                    if last.is_some_and(|last| line.time <= last) {
                        continue;
                    }
                    *last = Some(line.time);
                    take(s, line)?;
                }
                None => {
                    open_now.retain(|open| *open != place);
                    left.entry(place).or_default();
                }
            },
        }
    }
}

async fn find(wanted: &Wanted, s: &mut Session) -> Outcome<Vec<DynamicObject>> {
    let namespace = s.namespace.clone();
    let selector = [(labels::FUNCTION_NAME, wanted.function.as_str()), (labels::FUNCTION_NAMESPACE, &namespace)];
    let place = match &wanted.pod_namespace {
        Some(namespace) => Some(namespace.clone()),
        None if namespace == "default" => s.io.vars.get("FUNCTION_NAMESPACE").map(str::to_owned),
        None => None,
    };
    let mut found = pods::with_labels_in(s, &selector, place.as_deref()).await?;
    if let Some(pod) = &wanted.pod {
        let known: Vec<String> = found.iter().map(ResourceExt::name_any).collect();
        found.retain(|found| found.metadata.name.as_deref() == Some(pod));
        if found.is_empty() {
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("known: {}", known.join(", ")) };
            return Err(Failure::new(format_args!("function '{}' has no instance '{pod}'; {known}", wanted.function)));
        }
    }
    Ok(found)
}

/// One container of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    namespace: String,
    pod: String,
    container: Option<String>,
    environment: String,
}

impl Source {
    /// The container asked for, else the function's: it is called like the environment, and never `fetcher`.
    fn of(pod: &DynamicObject, wanted: &Wanted) -> Self {
        let environment = pod.labels().get(labels::ENVIRONMENT_NAME).cloned().unwrap_or_default();
        let containers = pod.data["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
        let own = names.iter().find(|name| **name == environment);
        let own = own.or_else(|| names.iter().find(|name| **name != FETCHER)).map(|name| (*name).to_owned());
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            container: wanted.container.clone().or(own),
            environment,
        }
    }

    fn doing(&self) -> String {
        let container = self.container.as_deref().unwrap_or_default();
        format!("cannot read the log of container '{container}' of pod {} in namespace {}", self.pod, self.namespace)
    }

    fn target(&self, wanted: &Wanted, since: Option<Timestamp>, tail: Option<usize>, follow: bool) -> String {
        let mut target = format!("/api/v1/namespaces/{}/pods/{}/log?timestamps=true", self.namespace, self.pod);
        if let Some(container) = &self.container {
            target.push_str(&format!("&container={}", query_value(container)));
        }
        if let Some(tail) = tail {
            target.push_str(&format!("&tailLines={tail}"));
        }
        if let Some(since) = since {
            target.push_str(&format!("&sinceTime={}", query_value(&since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())));
        }
        if follow {
            target.push_str("&follow=true");
        }
        if wanted.previous {
            target.push_str("&previous=true");
        }
        target
    }

    /// A line as the cluster gives it: its time, a space, the text.
    fn line(&self, line: &[u8], wanted: &Wanted) -> Option<LogLine> {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        let time = time.parse().ok()?;
        if wanted.since.is_some_and(|since| time < since) {
            return None; // the cluster counts in whole seconds
        }
        let owner = LogOwner {
            namespace: self.namespace.clone(),
            function: wanted.function.clone(),
            instance: self.pod.clone(),
            environment: self.environment.clone(),
        };
        let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
        Some(LogLine { id: 0, time, owner, stream: Stream::Stdout, request_id: None, text })
    }
}

/// Why a log was not opened.
enum Refusal {
    /// The container has not started, or its pod is gone.
    Passing(String),
    Failed(kube::Error),
}

fn passable(refusal: Refusal, place: &Source, s: &mut Session) -> Outcome {
    match refusal {
        Refusal::Passing(why) => {
            s.io.complain(format_args!("Warning: {}: {why}", place.doing()));
            Ok(())
        }
        Refusal::Failed(error) => Err(noun::explain(s, &place.doing(), error)),
    }
}

async fn open(client: &Client, place: &Source, target: &str) -> Result<TextLines, Refusal> {
    let request = Request::get(target).body(Body::empty());
    let request = request.map_err(|error| Refusal::Passing(error.to_string()))?;
    let answer = client.send(request).await.map_err(Refusal::Failed)?;
    let code = answer.status();
    if code.is_success() {
        return Ok(TextLines::new(answer.into_body(), place.doing()));
    }
    let body = answer.into_body().collect_bytes().await.unwrap_or_default();
    let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
        Status::failure(String::from_utf8_lossy(&body).trim(), code.as_str()).with_code(code.as_u16())
    });
    Err(match code.as_u16() {
        400 | 404 => Refusal::Passing(status.message.clone()),
        _ => Refusal::Failed(kube::Error::Api(Box::new(status))),
    })
}

/// The lines of a body, as they arrive.
pub(super) struct TextLines {
    body: Body,
    pending: Vec<u8>,
    ended: bool,
    doing: String,
}

impl TextLines {
    pub(super) fn new(body: Body, doing: String) -> Self {
        Self { body, pending: Vec::new(), ended: false, doing }
    }

    /// The next line with its end; none at the end. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Outcome<Vec<u8>>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                return Some(Ok(self.pending.drain(..=end).collect()));
            }
            if self.ended {
                return (!self.pending.is_empty()).then(|| Ok(std::mem::take(&mut self.pending)));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    self.pending.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.pending.clear();
                    let error: Box<dyn std::error::Error> = error.into();
                    return Some(Err(root_of(&*error)).doing(&self.doing));
                }
                None => self.ended = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(environment: &str, containers: &[&str]) -> DynamicObject {
        let containers: Vec<_> = containers.iter().map(|name| json!({ "name": name })).collect();
        serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "n", "labels": { "environmentName": environment } },
            "spec": { "containers": containers },
        }))
        .unwrap()
    }

    #[test]
    fn the_functions_container_is_the_environments_and_never_the_fetcher() {
        let chosen = |environment: &str, containers: &[&str]| {
            Source::of(&pod(environment, containers), &Wanted::default()).container.unwrap_or_default()
        };
        assert_eq!(chosen("nodejs", &["fetcher", "proxy", "nodejs"]), "nodejs");
        assert_eq!(chosen("", &["fetcher", "web"]), "web");
        let wanted = Wanted { container: Some("fetcher".to_owned()), ..Wanted::default() };
        assert_eq!(Source::of(&pod("nodejs", &["nodejs", "fetcher"]), &wanted).container.unwrap(), "fetcher");
    }

    #[test]
    fn a_line_has_the_time_the_cluster_gives_it() {
        let source = Source::of(&pod("nodejs", &["nodejs"]), &Wanted::default());
        let line = source.line(b"2026-11-23T10:00:00.123456789Z hello  world \n", &Wanted::default()).unwrap();
        assert_eq!(
            (line.time.to_string().as_str(), line.text.as_str()),
            ("2026-11-23T10:00:00.123456789Z", "hello  world ")
        );
        let wanted = Wanted { since: Some(line.time + Duration::from_secs(1)), ..Wanted::default() };
        assert!(source.line(b"2026-11-23T10:00:00.5Z early\n", &wanted).is_none());
    }
}
