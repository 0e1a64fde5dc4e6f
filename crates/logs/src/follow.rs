//! What there is, then what comes. A follower sees every matching line once and in order, however slowly it reads.

use std::collections::VecDeque;
use std::sync::Arc;

use fission_rpc::logs::{LogError, LogLine, LogQuery};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::store::Shared;

/// Lines read from disk at a time by a follower that fell behind.
const CATCH_UP_LINES: usize = 1000;

struct Follower {
    shared: Arc<Shared>,
    query: LogQuery,
    live: broadcast::Receiver<Arc<[LogLine]>>,
    ready: VecDeque<LogLine>,
    /// Every matching line up to this id was given out or is ready.
    seen: i64,
    source: Source,
}

/// Where the next lines come from.
enum Source {
    /// What is on disk already.
    Backlog,
    /// What is committed from now on.
    Live,
    /// The disk again: commits were missed.
    CatchUp,
}

pub(crate) fn follow(shared: Arc<Shared>, query: LogQuery) -> BoxStream<'static, Result<LogLine, LogError>> {
    // Subscribed before anything is read: what is committed meanwhile comes twice and is told apart by its id.
    let live = shared.live();
    let seen = shared.last_id();
    let follower = Follower { shared, query, live, ready: VecDeque::new(), seen, source: Source::Backlog };
    stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    })
    .boxed()
}

impl Follower {
    async fn next(&mut self) -> Option<Result<LogLine, LogError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            let filled = match self.source {
                Source::Backlog => {
                    self.source = Source::Live;
                    let lines = self.shared.clone().newest(self.query.clone()).await;
                    lines.map(|lines| self.take(lines))
                }
                Source::CatchUp => {
                    let after = self.seen;
                    let lines = self.shared.clone().next_after(self.query.clone(), after, CATCH_UP_LINES).await;
                    lines.map(|lines| {
                        if lines.is_empty() {
                            self.source = Source::Live;
                        }
                        self.take(lines);
                    })
                }
                Source::Live => match self.live.recv().await {
                    Ok(lines) => {
                        self.take_live(&lines);
                        Ok(())
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.source = Source::CatchUp;
                        Ok(())
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            if let Err(error) = filled {
                // The next call goes on with what is live; a broken disk must not make this spin.
                self.source = Source::Live;
                return Some(Err(error));
            }
        }
    }

    fn take(&mut self, lines: Vec<LogLine>) {
        self.seen = self.seen.max(lines.last().map_or(0, |line| line.id));
        self.ready.extend(lines);
    }

    fn take_live(&mut self, lines: &[LogLine]) {
        let seen = self.seen;
        self.ready.extend(lines.iter().filter(|line| line.id > seen && matches(&self.query, line)).cloned());
        self.seen = seen.max(lines.last().map_or(0, |line| line.id));
    }
}

fn matches(query: &LogQuery, line: &LogLine) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    (query.namespace.is_empty() || query.namespace == line.owner.namespace)
        && is(&query.function, &line.owner.function)
        && is(&query.instance, &line.owner.instance)
        && is(&query.environment, &line.owner.environment)
        && query.request_id.as_ref().is_none_or(|wanted| line.request_id.as_ref() == Some(wanted))
        && query.since.is_none_or(|since| line.time >= since)
        && query.after.is_none_or(|after| line.id > after)
}
