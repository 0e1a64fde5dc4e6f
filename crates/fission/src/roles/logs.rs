//! `fission logs`: keeps what the pods of functions print, so that it can be read when the pods are gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use fission_kubernetes::logs::{Keeper, Printed, follow};
use fission_logs::LogStore;
use fission_rpc::logs::{LogLine, LogOwner, LogQuery, LogReader, Stream};
use fission_rpc::signed::Verifier;
use fission_rpc::signing;
use jiff::Timestamp;
use prometheus_client::registry::Registry;

use super::connections;
use super::context::{Context, listen};

/// Where it answers; its Service is on port 80.
const PORT: u16 = 8890;
/// The lease of the process that does it.
const LEASE: &str = "fission-logs";
/// How long requests in flight get at the end; one that follows has none of its own.
const DRAIN: Duration = Duration::from_secs(2);
/// Lines of one moment that are counted; more than a container prints in a microsecond.
const OF_A_MOMENT: usize = 1000;

/// Runs until told to end.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("logs").await?;
    context.serve_health(Registry::default()).await?;
    let secret = context.secret(false).await?;
    if let Err(error) = context.lead(LEASE).await {
        return if context.shutdown.is_cancelled() { Ok(()) } else { Err(error) };
    }
    let path = context.settings.logs_path.clone();
    let options = fission_logs::Options::default();
    let store = LogStore::open(&path, options).with_context(|| format!("LOGS_PATH={}", path.display()))?;
    let kept = Arc::new(Kept { store: store.clone(), line_bytes: options.line_bytes });
    context.background.spawn(follow(context.client.clone(), context.pod_namespaces(), kept));

    // Questions are all in the path; there is no body.
    let verifier = Verifier::new(secret.keys(signing::LOGS, None), 0);
    let router = verifier.protect(fission_logs::http(store.clone()).merge(context.health.http()));
    let listener = listen(PORT).await?;
    context.health.ready();
    let open = |stream| async { Ok(stream) };
    connections::serve(listener, open, router, context.shutdown.clone(), DRAIN).await;
    context.health.ending();
    store.flush().await;
    context.let_go().await;
    Ok(())
}

/// The store, as what follows pods sees it.
struct Kept {
    store: LogStore,
    line_bytes: usize,
}

#[async_trait]
impl Keeper for Kept {
    async fn last(&self, owner: &LogOwner, made: Timestamp) -> Option<(Timestamp, usize)> {
        let of = |since: Timestamp, limit: usize| LogQuery {
            namespace: owner.namespace.clone(),
            function: Some(owner.function.clone()),
            instance: Some(owner.instance.clone()),
            since: Some(since),
            limit: Some(limit),
            ..LogQuery::default()
        };
        // What cannot be read is read again from the pod: twice is better than never.
        let newest = self.store.query(of(made, 1)).await.ok()?.pop()?.time;
        let lines = self.store.query(of(newest, OF_A_MOMENT)).await.ok()?;
        Some((newest, lines.iter().filter(|line| line.time == newest).count()))
    }

    async fn keep(&self, owner: &LogOwner, lines: Vec<Printed>) {
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines {
            let parts = fission_logs::parts(&line.text, self.line_bytes).into_iter();
            kept.extend(parts.map(|(request_id, text)| LogLine {
                id: 0,
                time: line.time,
                owner: owner.clone(),
                // The API server does not tell an instance's two outputs apart.
                stream: Stream::Stdout,
                request_id,
                text,
            }));
        }
        self.store.keep(kept).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str, text: &str) -> Printed {
        Printed { time: time.parse().unwrap(), text: text.as_bytes().to_vec() }
    }

    #[tokio::test]
    async fn another_process_goes_on_where_the_first_ended() {
        let folder = tempfile::tempdir().unwrap();
        let owner = |instance: &str| LogOwner {
            namespace: "default".into(),
            function: "hello".into(),
            instance: instance.into(),
            environment: "nodejs".into(),
        };
        let options = fission_logs::Options::default();
        let store = LogStore::open(folder.path(), options).unwrap();
        let kept = Kept { store: store.clone(), line_bytes: options.line_bytes };
        let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
        let text = now.to_string();
        kept.keep(&owner("p-1"), vec![line(&text, "a"), line(&text, "\u{1e}r-1\u{1e}b")]).await;
        kept.keep(&owner("p-2"), vec![line(&text, "c")]).await;
        store.flush().await;
        let made = now - Duration::from_secs(60);
        assert_eq!(kept.last(&owner("p-1"), made).await, Some((now, 2)));
        assert_eq!(kept.last(&owner("p-3"), made).await, None);
        let lines = store.query(LogQuery { request_id: Some("r-1".into()), ..LogQuery::default() }).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
