//! `wait`: the same for every noun that has conditions.

use std::time::Duration;

use clap::Args;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::duration::GoDuration;
use crate::failure::{Failure, Outcome};
use crate::noun::{self, Noun};
use crate::session::Session;

/// Time to wait when `--timeout` is not given or not above zero.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks: short to a person, nothing to a server.
const PAUSE: Duration = Duration::from_millis(200);

/// Wait until an object has a condition
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Name of the object; it may not exist yet
    #[arg(long)]
    pub(crate) name: String,
    /// What to wait for: condition=Type or condition=Type=True|False|Unknown
    #[arg(long = "for", value_name = "CONDITION")]
    pub(crate) condition: String,
    /// How long to wait
    #[arg(long, default_value = "60s")]
    pub(crate) timeout: GoDuration,
}

/// Waits for one object.
pub(crate) async fn run<K: Noun>(args: WaitArgs, s: &mut Session) -> Outcome {
    let (kind, wanted) = parse(&args.condition)?;
    let timeout = args.timeout.positive().unwrap_or(DEFAULT_TIMEOUT);
    let deadline = Instant::now() + timeout;
    loop {
        let object = noun::find::<K>(s, &args.name).await?;
        let seen = object.as_ref().map(|object| status_in(object, &kind));
        if seen.as_ref().is_some_and(|seen| seen.as_deref() == Some(wanted.as_str())) {
            let word = K::kind(&());
            return s.io.say(format_args!("{word}/{} condition met: {kind}={wanted}", args.name));
        }
        if Instant::now() + PAUSE > deadline {
            return Err(timed_out::<K>(&args.name, &kind, &wanted, timeout, object.as_ref(), seen.flatten()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn timed_out<K: Noun>(
    name: &str,
    kind: &str,
    wanted: &str,
    timeout: Duration,
    object: Option<&K>,
    seen: Option<String>,
) -> Failure {
    let last = match (object, seen) {
        (None, _) => "it does not exist".to_owned(),
        (Some(_), None) => format!("nobody has set {kind}"),
        (Some(object), Some(seen)) => format!("{kind} of {} is {seen}", object.name_any()),
    };
    Failure::new(format_args!(
        "timed out after {timeout:?} waiting for {}/{name} {kind}={wanted}: {last}",
        K::kind(&())
    ))
    .hint("give more time with --timeout, or see why with -o yaml on get")
}

fn parse(text: &str) -> Outcome<(String, String)> {
    let wrong = || Failure::new(format_args!("--for {text:?} is not of the form condition=Type[=True|False|Unknown]"));
    let rest = text.strip_prefix("condition=").ok_or_else(wrong)?;
    let (kind, status) = rest.split_once('=').unwrap_or((rest, "True"));
    let status = ["True", "False", "Unknown"].into_iter().find(|known| known.eq_ignore_ascii_case(status));
    match status {
        Some(status) if !kind.is_empty() => Ok((kind.to_owned(), status.to_owned())),
        _ => Err(wrong()),
    }
}

fn status_in<K: Noun>(object: &K, kind: &str) -> Option<String> {
    let value = serde_json::to_value(object).ok()?;
    let conditions = value["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    condition["status"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_true_unless_said_otherwise() {
        assert_eq!(parse("condition=Ready").unwrap(), ("Ready".to_owned(), "True".to_owned()));
        assert_eq!(parse("condition=Ready=false").unwrap(), ("Ready".to_owned(), "False".to_owned()));
        assert!(parse("Ready").is_err() && parse("condition=").is_err() && parse("condition=Ready=Maybe").is_err());
    }
}
