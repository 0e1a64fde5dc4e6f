//! From the two pipes of an instance to lines in the store.
//!
//! One task for each instance, which holds no buffer while the instance is silent. It reads on whatever happens: an
//! instance that prints too much loses lines, and is told how many, but is never stopped by a full pipe for long.

mod split;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fission_rpc::logs::{LogLine, LogOwner, LogPipe, LogSink, Stream};
use jiff::Timestamp;
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

use crate::store::LogStore;
use split::Splitter;

/// Bytes read at a time; the pipe's own buffer on Linux.
const READ_BYTES: usize = 64 * 1024;
/// How long text without a line end is held back for the rest of its line.
const PARTIAL_WAIT: Duration = Duration::from_secs(1);
/// How long an instance may be held up while the store catches up, before it loses lines.
const FULL_WAIT: Duration = Duration::from_millis(100);
/// How long an instance that printed too much loses lines before it may print again; also how often it is told.
const MUTED: Duration = Duration::from_secs(1);
/// Pause after each read of an instance that is losing lines: 64 KiB in 5 ms is 12 MiB/s at most, so that a flood
/// costs the platform little.
const FLOOD_PAUSE: Duration = Duration::from_millis(5);
/// How long the count of lost lines of an instance that ended waits for room.
const LAST_NOTICE_WAIT: Duration = Duration::from_secs(5);

impl LogSink for LogStore {
    fn capture(&self, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>, stdout: LogPipe, stderr: LogPipe) {
        let _inside = self.runtime.enter();
        let pipes = Receiver::from_owned_fd(stdout).and_then(|out| Ok((out, Receiver::from_owned_fd(stderr)?)));
        match pipes {
            Ok((stdout, stderr)) => drop(self.runtime.spawn(run(self.clone(), owner, stdout, stderr))),
            Err(error) => tracing::error!(%error, owner = ?owner(), "the output of an instance cannot be read"),
        }
    }
}

/// A line that was printed elsewhere, as it is kept: the request it says it belongs to and its text, in several parts
/// where it is longer than `most` bytes.
pub fn parts(line: &[u8], most: usize) -> Vec<(Option<String>, String)> {
    let mut lines = Splitter::new(most);
    let mut parts = lines.push(line);
    parts.extend(lines.push(b"\n"));
    parts.into_iter().map(|printed| (printed.request_id, printed.text)).collect()
}

/// A time as precise as it is stored.
pub(crate) fn microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

async fn run(store: LogStore, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>, stdout: Receiver, stderr: Receiver) {
    let line_bytes = store.shared.options.line_bytes;
    let mut gate = Gate::new(store, owner);
    let mut out = Source { stream: Stream::Stdout, pipe: Some(stdout), lines: Splitter::new(line_bytes) };
    let mut err = Source { stream: Stream::Stderr, pipe: Some(stderr), lines: Splitter::new(line_bytes) };
    let mut partial_until = None;
    while out.pipe.is_some() || err.pipe.is_some() {
        let silence = async {
            match partial_until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let source = tokio::select! {
            () = readable(&out.pipe) => &mut out,
            () = readable(&err.pipe) => &mut err,
            () = silence => {
                for source in [&mut out, &mut err] {
                    let rest = source.lines.take_partial();
                    gate.pass(source.stream, rest.into_iter().collect()).await;
                }
                partial_until = None;
                continue;
            }
        };
        let lines = source.read();
        gate.pass(source.stream, lines).await;
        let has_partial = out.lines.has_partial() || err.lines.has_partial();
        partial_until = has_partial.then(|| Instant::now() + PARTIAL_WAIT);
        if gate.is_muted() {
            tokio::time::sleep(FLOOD_PAUSE).await;
        }
    }
    gate.end().await;
}

async fn readable(pipe: &Option<Receiver>) {
    match pipe {
        // An error shows again when reading, where it ends the pipe.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

/// One output of an instance.
struct Source {
    stream: Stream,
    /// Absent once it has ended.
    pipe: Option<Receiver>,
    lines: Splitter,
}

/// A line before it is known whose it is.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    request_id: Option<String>,
    text: String,
}

impl Source {
    fn read(&mut self) -> Vec<Printed> {
        let Some(pipe) = &self.pipe else { return Vec::new() };
        let mut buffer = vec![0; READ_BYTES];
        match pipe.try_read(&mut buffer) {
            Ok(read) if read > 0 => self.lines.push(&buffer[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Vec::new(),
            _ => {
                self.pipe = None;
                self.lines.take_partial().into_iter().collect()
            }
        }
    }
}

/// Lets through what an instance may print, and counts the rest.
struct Gate {
    store: LogStore,
    owner: Arc<dyn Fn() -> LogOwner + Send + Sync>,
    /// Lines it may print now.
    allowance: f64,
    counted: Instant,
    dropped: u64,
    why: &'static str,
    muted_until: Option<Instant>,
}

const TOO_FAST: &str = "the instance printed faster than its limit lines_per_second";
const STORE_BUSY: &str = "the log store could not keep up";

impl Gate {
    fn new(store: LogStore, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>) -> Self {
        let allowance = f64::from(store.shared.options.burst_lines);
        Self { store, owner, allowance, counted: Instant::now(), dropped: 0, why: TOO_FAST, muted_until: None }
    }

    fn is_muted(&self) -> bool {
        self.muted_until.is_some()
    }

    async fn pass(&mut self, stream: Stream, printed: Vec<Printed>) {
        if printed.is_empty() {
            return;
        }
        self.refill();
        if self.muted_until.is_some_and(|until| Instant::now() < until) {
            self.dropped += printed.len() as u64;
            return;
        }
        self.muted_until = None;
        let (owner, time) = ((self.owner)(), microseconds(Timestamp::now()));
        let mut lines = Vec::with_capacity(printed.len() + 1);
        if self.dropped > 0 {
            let notice = self.notice(owner.clone(), time);
            if self.reserve(&notice, &mut lines).await {
                lines.push(notice);
                self.dropped = 0;
            }
        }
        for Printed { request_id, text } in printed {
            let line = LogLine { id: 0, time, owner: owner.clone(), stream, request_id, text };
            if self.muted_until.is_none() && self.allow() && self.reserve(&line, &mut lines).await {
                lines.push(line);
            } else {
                self.dropped += 1;
            }
        }
        self.store.enqueue(lines);
    }

    fn refill(&mut self) {
        let options = &self.store.shared.options;
        let now = Instant::now();
        let earned = now.duration_since(self.counted).as_secs_f64() * f64::from(options.lines_per_second);
        self.allowance = (self.allowance + earned).min(f64::from(options.burst_lines));
        self.counted = now;
    }

    fn allow(&mut self) -> bool {
        if self.allowance < 1.0 {
            self.mute(TOO_FAST);
            return false;
        }
        self.allowance -= 1.0;
        true
    }

    /// Takes room for a line, waiting a little if there is none. What was collected so far is handed over first, or it
    /// would be waited for itself.
    async fn reserve(&mut self, line: &LogLine, collected: &mut Vec<LogLine>) -> bool {
        if self.store.reserve(line) {
            return true;
        }
        self.store.enqueue(std::mem::take(collected));
        self.store.room(FULL_WAIT).await;
        if self.store.reserve(line) {
            return true;
        }
        self.mute(STORE_BUSY);
        false
    }

    fn mute(&mut self, why: &'static str) {
        self.muted_until = Some(Instant::now() + MUTED);
        self.why = why;
    }

    fn notice(&self, owner: LogOwner, time: Timestamp) -> LogLine {
        let text = format!("[fission] {} lines were dropped here: {}", self.dropped, self.why);
        LogLine { id: 0, time, owner, stream: Stream::Stderr, request_id: None, text }
    }

    /// Tells what was lost last.
    async fn end(self) {
        if self.dropped == 0 {
            return;
        }
        let notice = self.notice((self.owner)(), microseconds(Timestamp::now()));
        let give_up = Instant::now() + LAST_NOTICE_WAIT;
        while !self.store.reserve(&notice) {
            if Instant::now() >= give_up {
                tracing::warn!(lines = self.dropped, owner = ?notice.owner, "function output was lost");
                return;
            }
            self.store.room(FULL_WAIT).await;
        }
        self.store.enqueue(vec![notice]);
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
