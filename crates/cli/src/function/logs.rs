//! `fission function logs`: what instances printed, kept by the platform; else what the pods of a cluster still have.

use clap::Args;
use fission_api::Function;
use fission_rpc::logs::LogLine;
use http::Request;
use jiff::Timestamp;
use kube::client::Body;

use super::pod_logs::{self, TextLines, Wanted};
use crate::duration::GoDuration;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun;
use crate::noun::root_of;
use crate::output::{Format, OutputFlag, rendered};
use crate::session::{Session, query_value};

/// Show what a function printed
#[derive(Debug, Default, Args)]
#[command(after_help = "EXAMPLES:
  fission function logs --name hello
  fission fn logs --name hello -f --since 10m
  fission fn logs --name hello --pod POD --previous
  fission fn logs --name hello --container fetcher
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
    /// Namespace the instances run in, in a cluster; all that may be listed when not given
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) pod_namespace: Option<String>,
    /// Container to read, in a cluster, such as fetcher; the function's own when not given
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) container: Option<String>,
    /// Lines of the container before its last restart, in a cluster
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
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
            return print(args, s, &line, true);
        }
        lines.push(line);
        Ok(())
    });
    if !kept.await? {
        return Ok(None);
    }
    print_all(args, s, lines, true)?;
    Ok(Some(shown))
}

/// Prints what pods still have.
async fn of_pods(args: &LogsArgs, s: &mut Session) -> Outcome<usize> {
    if args.request_id.is_some() {
        return Err(Failure::new("this server keeps no log store, so lines cannot be found by request")
            .hint("see all lines with their times: fission function logs --detail"));
    }
    let since = args.since.as_deref().map(|since| since_time(since, Timestamp::now())).transpose()?;
    let wanted = Wanted {
        function: args.name.clone(),
        pod: args.pod.clone(),
        pod_namespace: args.pod_namespace.clone(),
        container: args.container.clone(),
        previous: args.previous,
        since,
        count: args.recordcount,
    };
    if args.follow {
        pod_logs::follow(&wanted, s, |s, line| print(args, s, &line, false)).await?;
        return Ok(0);
    }
    let lines = pod_logs::newest(&wanted, s).await?;
    let shown = lines.len();
    print_all(args, s, lines, false)?;
    Ok(shown)
}

fn print_all(args: &LogsArgs, s: &mut Session, mut lines: Vec<LogLine>, tells_outputs: bool) -> Outcome {
    if args.output.output == Format::Json || args.output.output == Format::Yaml {
        let text = rendered(args.output.output, &lines)?;
        return s.io.write(text);
    }
    if args.reverse {
        lines.reverse();
    }
    lines.iter().try_for_each(|line| print(args, s, line, tells_outputs))
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
    let kept = each_line(&args, s, |_, line| {
        lines.push(line);
        Ok(())
    });
    if !kept.await? && args.request_id.is_none() {
        let wanted = Wanted { function: args.name, count, ..Wanted::default() };
        return pod_logs::newest(&wanted, s).await;
    }
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
    text: TextLines,
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
        // A Kubernetes API server refuses paths it does not know to all but its administrators.
        if matches!(status.as_u16(), 403 | 404) {
            return Ok(None);
        }
        if !status.is_success() {
            let body = answer.into_body().collect_bytes().await.unwrap_or_default();
            return Err(Failure::new(format_args!("{doing}: {} ({status})", String::from_utf8_lossy(&body).trim())));
        }
        Ok(Some(Self { text: TextLines::new(answer.into_body(), doing.clone()), doing }))
    }

    /// The next line; none at the end. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Outcome<LogLine>> {
        loop {
            match self.text.next().await? {
                Ok(line) if line.trim_ascii().is_empty() => {}
                Ok(line) => return Some(serde_json::from_slice(&line).doing(&self.doing)),
                Err(failure) => return Some(Err(failure)),
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

/// One line. A cluster does not tell an instance's two outputs apart.
fn print(args: &LogsArgs, s: &mut Session, line: &LogLine, tells_outputs: bool) -> Outcome {
    if args.output.output == Format::Json {
        let text = serde_json::to_string(line).doing("cannot write JSON")?;
        return s.io.say(text);
    }
    if !args.detail {
        return s.io.say(&line.text);
    }
    let stream = match line.stream {
        _ if !tells_outputs => "-",
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
