//! The one thread that writes lines.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fission_rpc::logs::{LogLine, LogOwner, Stream};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::folder::{Named, size};
use super::segment::{WritableSegment, is_damage};
use super::{Shared, queued_size};

/// Lines of one commit. More would hold up followers, fewer would waste commits.
const COMMIT_LINES: usize = 4096;
/// Time between looks at the limits while nothing is written.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Lines to write.
    Lines(Vec<LogLine>),
    /// Answer when everything before this is on disk.
    Flush(oneshot::Sender<()>),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    open: Option<(Named, WritableSegment)>,
    next_id: i64,
    batch: Vec<LogLine>,
    /// Lines that could not be written, to be told when writing works again.
    lost: HashMap<LogOwner, u64>,
    last_error: String,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, messages: Receiver<Message>) -> Self {
        let next_id = shared.last_id() + 1;
        let (batch, lost, last_error) = (Vec::new(), HashMap::new(), String::new());
        Self { shared, messages, open: None, next_id, batch, lost, last_error }
    }

    /// Runs until the last sender is gone and everything is written.
    pub(super) fn run(mut self) {
        self.keep_within_limits();
        loop {
            match self.messages.recv_timeout(HOUSEKEEPING) {
                Ok(Message::Lines(lines)) => {
                    self.batch.extend(lines);
                    let connected = self.collect();
                    self.commit();
                    if !connected {
                        break;
                    }
                }
                Ok(Message::Flush(done)) => drop(done.send(())),
                Err(RecvTimeoutError::Timeout) => self.keep_within_limits(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some((_, segment)) = self.open.take() {
            segment.close();
        }
    }

    /// Waits for more lines to write together with the first; false when nobody can send any more.
    fn collect(&mut self) -> bool {
        let until = Instant::now() + self.shared.options.flush_interval;
        while self.batch.len() < COMMIT_LINES {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Lines(lines)) => self.batch.extend(lines),
                Ok(Message::Flush(done)) => {
                    self.commit();
                    let _ = done.send(());
                    return true;
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    fn commit(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut lines = self.notices();
        let notices = lines.len();
        lines.append(&mut self.batch);
        let taken: usize = lines[notices..].iter().map(queued_size).sum();
        for line in &mut lines {
            line.id = self.next_id;
            self.next_id += 1;
        }
        match self.write(&lines) {
            Ok(()) => {
                self.lost.clear();
                self.shared.last_id.store(self.next_id - 1, Ordering::Release);
                // Nobody follows: nobody is told.
                let _ = self.shared.live.send(lines.into());
            }
            Err(error) => {
                tracing::error!(%error, lines = lines.len() - notices, "function output could not be written and is lost");
                self.last_error = error.to_string();
                for line in lines.drain(notices..) {
                    *self.lost.entry(line.owner).or_default() += 1;
                }
            }
        }
        self.shared.queued.fetch_sub(taken, Ordering::AcqRel);
        self.shared.room.notify_waiters();
    }

    fn notices(&self) -> Vec<LogLine> {
        let notice = |(owner, count): (&LogOwner, &u64)| LogLine {
            id: 0,
            time: now(),
            owner: owner.clone(),
            stream: Stream::Stderr,
            request_id: None,
            text: format!("[fission] {count} lines were lost here: they could not be written: {}", self.last_error),
        };
        self.lost.iter().map(notice).collect()
    }

    /// Writes to the open segment, or to a fresh one if that is broken.
    fn write(&mut self, lines: &[LogLine]) -> rusqlite::Result<()> {
        let result = self.try_write(lines);
        let Err(error) = result else { return Ok(()) };
        let damaged = is_damage(&error);
        if let Some((name, segment)) = self.open.take() {
            drop(segment);
            if damaged {
                self.shared.folder.set_aside(&name, &error);
            }
        }
        if damaged { self.try_write(lines) } else { Err(error) }
    }

    fn try_write(&mut self, lines: &[LogLine]) -> rusqlite::Result<()> {
        let Some(first) = lines.first() else { return Ok(()) };
        self.end_segment_if_full(first.time);
        let (_, segment) = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(open_segment(&self.shared, first)?),
        };
        segment.insert(lines)
    }

    fn end_segment_if_full(&mut self, now: Timestamp) {
        let options = &self.shared.options;
        // A store smaller than a few segments would otherwise never remove one.
        let most = options.segment_bytes.min(options.max_bytes / 4);
        let full = |name: &Named| size(&name.path) >= most || is_older(name, now, options.segment_age);
        if let Some((_, segment)) = self.open.take_if(|(name, _)| full(name)) {
            segment.close();
            self.keep_within_limits();
        }
    }

    fn keep_within_limits(&self) {
        let options = &self.shared.options;
        self.shared.folder.keep_within(options.max_bytes, options.max_age, now());
    }
}

/// Continues the newest segment, or begins one.
fn open_segment(shared: &Shared, first: &LogLine) -> rusqlite::Result<(Named, WritableSegment)> {
    let options = &shared.options;
    let newest = shared.folder.newest_segment().filter(|newest| {
        size(&newest.path) < options.segment_bytes.min(options.max_bytes / 4)
            && !is_older(newest, first.time, options.segment_age)
    });
    let name = newest.unwrap_or_else(|| shared.folder.begin(first.id, first.time));
    match WritableSegment::open(&name.path) {
        Ok(segment) => Ok((name, segment)),
        Err(error) if is_damage(&error) => {
            shared.folder.set_aside(&name, &error);
            let name = shared.folder.begin(first.id, first.time);
            WritableSegment::open(&name.path).map(|segment| (name, segment))
        }
        Err(error) => Err(error),
    }
}

fn is_older(segment: &Named, now: Timestamp, age: Duration) -> bool {
    now.duration_since(segment.begun) > jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX)
}

fn now() -> Timestamp {
    crate::capture::microseconds(Timestamp::now())
}
