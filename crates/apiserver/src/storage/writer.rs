//! The one thread that writes to the database: takes what is queued, decides, commits, publishes, answers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::plan::{Plan, Refused, Write};
use super::sqlite::Database;
use super::{FolderLock, Object, Shared};

/// Writes committed together at most: past this the wait of the first outweighs the fsyncs saved.
const MAX_BATCH: usize = 128;
/// Writes that may wait for the writer; past this senders wait to be queued.
pub(crate) const QUEUE: usize = 4096;

/// What the writer is asked.
pub(crate) enum Request {
    /// Write, and tell.
    Write(Write, oneshot::Sender<Result<Arc<Object>, Refused>>),
    /// Finish what came before, close the database, and tell.
    Stop(oneshot::Sender<()>),
}

/// Runs until told to stop or until no one can ask any more.
pub(crate) fn run(
    mut database: Database,
    lock: FolderLock,
    shared: &Shared,
    mut next_row: i64,
    mut queue: mpsc::Receiver<Request>,
) {
    let mut stop = None;
    while stop.is_none() {
        // While one batch is being synced the next one gathers in the queue, so no batch waits for company: under load
        // they are large, and a lone write goes straight to the disk.
        let Some(first) = queue.blocking_recv() else { break };
        let mut writes = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Write(write, answer) => writes.push((write, answer)),
                Request::Stop(answer) => {
                    stop = Some(answer);
                    break;
                }
            }
            next = if writes.len() < MAX_BATCH { queue.try_recv().ok() } else { None };
        }
        commit(&mut database, shared, &mut next_row, writes);
    }
    database.close();
    drop(lock);
    if let Some(answer) = stop {
        let _ = answer.send(());
    }
}

type Answer = oneshot::Sender<Result<Arc<Object>, Refused>>;

fn commit(database: &mut Database, shared: &Shared, next_row: &mut i64, writes: Vec<(Write, Answer)>) {
    if writes.is_empty() {
        return;
    }
    let state = shared.read();
    let mut plan = Plan::new(&state, &shared.in_memory, *next_row);
    let decided: Vec<_> = writes.into_iter().map(|(write, answer)| (plan.take(write), answer)).collect();
    let (changes, discards, row) =
        (std::mem::take(&mut plan.changes), std::mem::take(&mut plan.discards), plan.next_row());
    drop(plan);
    drop(state);
    let committed = database.commit(&changes, &discards);
    if committed.is_ok() {
        *next_row = row;
        shared.publish(changes, &discards);
    } else if let Err(error) = &committed {
        tracing::error!(?error, writes = changes.len(), "a commit failed; nothing of it was kept");
    }
    for (outcome, answer) in decided {
        let outcome = match (&committed, outcome) {
            (Err(error), Ok(_)) => Err(error.clone()),
            (_, outcome) => outcome,
        };
        // A sender that went away does not undo its write.
        let _ = answer.send(outcome);
    }
}
