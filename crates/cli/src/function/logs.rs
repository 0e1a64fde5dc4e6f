//! `fission function logs`: what instances printed, kept by the platform; else what the pods still have.

use clap::Args;
use fission_api::{Function, labels};
use fission_rpc::logs::LogLine;
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;

use crate::duration::GoDuration;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::root_of;
use crate::output::{Format, OutputFlag, rendered};
use crate::session::{Session, query_value};
use crate::{noun, pods};

/// Show what a function printed
#[derive(Debug, Default, Args)]
#[command(after_help = "EXAMPLES:
  fission function logs --name hello
  fission fn logs --name hello -f --since 10m
  fission fn logs --name hello --request-id 4b3a2f1e-5d6c-4b7a-8f9e-0a1b2c3d4e5f")]
pub(crate) struct LogsArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// Go on showing lines as they are printed
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Newest lines first
    #[arg(long, short, conflicts_with = "follow")]
    pub(crate) reverse: bool,
    /// Most lines shown, the newest
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pub(crate) recordcount: usize,
    /// Only lines not older than this, such as 10m or 2h, or since a time such as 2026-11-23T10:00:00Z
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<String>,
    /// Show time, instance, output and request of each line
    #[arg(long, short)]
    pub(crate) detail: bool,
    /// Only lines of this instance
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) pod: Option<String>,
    /// Lines of all instances (the default)
    #[arg(long)]
    pub(crate) all_pods: bool,
    /// Only lines of this request
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Where logs are read from; only `kubernetes` is known, and the platform's own store is asked first
    #[arg(long, value_name = "STORE", hide = true, default_value = "kubernetes", value_parser = ["kubernetes"])]
    pub(crate) dbtype: String,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: LogsArgs, s: &mut Session) -> Outcome {
    // Logs outlive their function, so a missing one is only an error when there are no lines either.
    let exists = noun::find::<Function>(s, &args.name).await?.is_some();
    let shown = match stored(&args, s).await? {
        Some(shown) => shown,
        None => of_pods(&args, s).await?,
    };
    match shown == 0 && !exists {
        true => Err(noun::not_found::<Function>(s, &args.name).await),
        false => Ok(()),
    }
}

/// Prints the lines the platform keeps; `None` when this server keeps none.
async fn stored(args: &LogsArgs, s: &mut Session) -> Outcome<Option<usize>> {
    let (mut lines, mut shown) = (Vec::new(), 0);
    let kept = each_line(args, s, |s, line| {
        shown += 1;
        if args.follow {
            return print(args, s, &line);
        }
        lines.push(line);
        Ok(())
    });
    if !kept.await? {
        return Ok(None);
    }
    if args.output.output == Format::Json || args.output.output == Format::Yaml {
        let text = rendered(args.output.output, &lines)?;
        return s.io.write(text).map(|()| Some(shown));
    }
    if args.reverse {
        lines.reverse();
    }
    lines.iter().try_for_each(|line| print(args, s, line))?;
    Ok(Some(shown))
}

/// The newest lines of a function, or of one request to it, when the platform keeps them.
pub(super) async fn newest(
    function: &str,
    request_id: Option<&str>,
    count: usize,
    s: &mut Session,
) -> Outcome<Vec<LogLine>> {
    let request_id = request_id.map(str::to_owned);
    let args = LogsArgs { name: function.to_owned(), recordcount: count, request_id, ..LogsArgs::default() };
    let mut lines = Vec::new();
    each_line(&args, s, |_, line| {
        lines.push(line);
        Ok(())
    })
    .await?;
    Ok(lines)
}

/// Gives each line the platform keeps, as it arrives. False when this server keeps none.
async fn each_line(
    args: &LogsArgs,
    s: &mut Session,
    mut take: impl FnMut(&mut Session, LogLine) -> Outcome,
) -> Outcome<bool> {
    let Some(mut lines) = Lines::open(args, s).await? else { return Ok(false) };
    while let Some(line) = lines.next().await {
        take(s, line?)?;
    }
    Ok(true)
}

/// Lines as the platform sends them.
pub(super) struct Lines {
    body: Body,
    pending: Vec<u8>,
    doing: String,
}

impl Lines {
    /// What a function prints from now on.
    pub(super) async fn follow(function: &str, s: &mut Session) -> Outcome<Option<Self>> {
        let args = LogsArgs { name: function.to_owned(), follow: true, ..LogsArgs::default() };
        Self::open(&args, s).await
    }

    async fn open(args: &LogsArgs, s: &mut Session) -> Outcome<Option<Self>> {
        let client = s.client().await?;
        let doing = format!("cannot read the logs of function '{}'", args.name);
        let request = Request::get(target(args, &s.namespace)?).body(Body::empty()).doing(&doing)?;
        let answer = client.send(request).await;
        let answer = answer.map_err(|error| Failure::new(format_args!("{doing}: {}", root_of(&error))))?;
        let status = answer.status();
        if status.as_u16() == 404 {
            return Ok(None);
        }
        if !status.is_success() {
            let body = answer.into_body().collect_bytes().await.unwrap_or_default();
            return Err(Failure::new(format_args!("{doing}: {} ({status})", String::from_utf8_lossy(&body).trim())));
        }
        Ok(Some(Self { body: answer.into_body(), pending: Vec::new(), doing }))
    }

    /// The next line; none at the end. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Outcome<LogLine>> {
        loop {
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    return Some(serde_json::from_slice(&line).doing(&self.doing));
                }
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    self.pending.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
                }
                Err(error) => {
                    let error: Box<dyn std::error::Error> = error.into();
                    return Some(Err(Failure::new(format_args!("{}: {}", self.doing, root_of(&*error)))));
                }
            }
        }
    }
}

fn target(args: &LogsArgs, namespace: &str) -> Outcome<String> {
    let mut query = vec![
        ("namespace", namespace.to_owned()),
        ("function", args.name.clone()),
        ("limit", args.recordcount.to_string()),
    ];
    if let Some(since) = &args.since {
        query.push(("since", since_time(since, Timestamp::now())?.to_string()));
    }
    if let Some(pod) = &args.pod {
        query.push(("instance", pod.clone()));
    }
    if let Some(id) = &args.request_id {
        query.push(("requestId", id.clone()));
    }
    if args.follow {
        query.push(("follow", "true".to_owned()));
    }
    let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", query_value(value))).collect();
    Ok(format!("/fission/v1/logs?{}", pairs.join("&")))
}

fn print(args: &LogsArgs, s: &mut Session, line: &LogLine) -> Outcome {
    if args.output.output == Format::Json {
        let text = serde_json::to_string(line).doing("cannot write JSON")?;
        return s.io.say(text);
    }
    if !args.detail {
        return s.io.say(&line.text);
    }
    let stream = match line.stream {
        fission_rpc::logs::Stream::Stdout => "stdout",
        fission_rpc::logs::Stream::Stderr => "stderr",
    };
    let request = line.request_id.as_deref().unwrap_or("-");
    s.io.say(format_args!("{} {} {stream} {request} {}", line.time, line.owner.instance, line.text))
}

/// A time, or a duration before now.
fn since_time(text: &str, now: Timestamp) -> Outcome<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let length = text.parse::<GoDuration>().map_err(|why| Failure::new(format_args!("--since: {why}")))?.length;
    now.checked_sub(length).map_err(|_| Failure::new(format_args!("--since {text} is before time began")))
}

/// The lines the pods of a cluster still have.
async fn of_pods(args: &LogsArgs, s: &mut Session) -> Outcome<usize> {
    if args.request_id.is_some() {
        return Err(Failure::new("this server keeps no log store, so lines cannot be found by request"));
    }
    let namespace = s.namespace.clone();
    let wanted = [(labels::FUNCTION_NAME, args.name.as_str()), (labels::FUNCTION_NAMESPACE, namespace.as_str())];
    let mut found = pods::with_labels(s, &wanted).await?;
    if let Some(pod) = &args.pod {
        found.retain(|found| found.metadata.name.as_deref() == Some(pod));
    }
    let client = s.client().await?;
    let mut shown = 0;
    for pod in found {
        let (name, namespace) = (pod.metadata.name.unwrap_or_default(), pod.metadata.namespace.unwrap_or_default());
        let mut path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?tailLines={}", args.recordcount);
        if let Some(since) = &args.since {
            let seconds = Timestamp::now().as_second() - since_time(since, Timestamp::now())?.as_second();
            path.push_str(&format!("&sinceSeconds={}", seconds.max(1)));
        }
        let doing = format!("cannot read the log of instance {name}");
        let request = Request::get(path).body(Vec::new()).doing(&doing)?;
        let text = client.request_text(request).await.map_err(|error| noun::explain(s, &doing, error))?;
        let mut lines: Vec<&str> = text.lines().collect();
        if args.reverse {
            lines.reverse();
        }
        shown += lines.len();
        lines.iter().try_for_each(|line| match args.detail {
            true => s.io.say(format_args!("{name} {line}")),
            false => s.io.say(line),
        })?;
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        assert_eq!(since_time("10m", now).unwrap().to_string(), "2026-11-23T09:50:00Z");
        assert_eq!(since_time("2026-01-01T00:00:00Z", now).unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(since_time("yesterday", now).is_err());
    }
}
