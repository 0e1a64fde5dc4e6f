//! Lines on disk: a folder of SQLite files, each a segment of time, so that keeping to a limit is removing files.
//!
//! One thread writes, fed by a queue that is bounded in bytes; readers open segments for themselves.

mod folder;
mod segment;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use fission_rpc::logs::{LogError, LogLine, LogQuery, LogReader};
use futures_util::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, broadcast, oneshot};

use folder::Folder;
use writer::{Message, Writer};

/// Lines a query gives when it does not say; the number promised by [`LogQuery::limit`].
const DEFAULT_LIMIT: usize = 10_000;
/// Most lines of one query.
pub(crate) const MAX_LIMIT: usize = 100_000;
/// Bytes of text one query gives before it stops looking further back.
const QUERY_BYTES: usize = 64 << 20;
/// Queries that read from disk at the same time.
const QUERIES_AT_ONCE: usize = 8;
/// Commits a follower may fall behind before it reads from disk again.
const COMMITS_BEHIND: usize = 256;
/// Time between two looks for room in the queue.
const ROOM_WAIT: Duration = Duration::from_millis(100);
/// Bytes a queued line takes beside its text, about.
const LINE_OVERHEAD: usize = 256;

/// Limits of the log store.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes on disk; the oldest segments go first.
    pub max_bytes: u64,
    /// Age at which lines may go.
    pub max_age: Duration,
    /// Bytes after which a new segment is begun.
    pub segment_bytes: u64,
    /// Time after which a new segment is begun.
    pub segment_age: Duration,
    /// Longest time a line waits to be written together with others; a follower sees lines this much later.
    pub flush_interval: Duration,
    /// Bytes of lines waiting to be written before instances are slowed down and then lose lines.
    pub queue_bytes: usize,
    /// Bytes of one line; longer ones are continued in a new line.
    pub line_bytes: usize,
    /// Lines an instance may print per second, on average over [`Options::burst_lines`].
    pub lines_per_second: u32,
    /// Lines an instance may print at once.
    pub burst_lines: u32,
}

impl Default for Options {
    /// 512 MiB and 7 days, the look-back of Fission's log command. 16 KiB is where container runtimes cut lines.
    fn default() -> Self {
        Self {
            max_bytes: 512 << 20,
            max_age: Duration::from_secs(7 * 24 * 3600),
            segment_bytes: 16 << 20,
            segment_age: Duration::from_secs(24 * 3600),
            flush_interval: Duration::from_millis(20),
            queue_bytes: 8 << 20,
            line_bytes: 16 * 1024,
            lines_per_second: 5_000,
            burst_lines: 20_000,
        }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("the function logs in {} cannot be opened: {why}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// What failed.
        why: String,
    },
}

/// The function logs of this machine. Cheap to clone; implements both sides of [`fission_rpc::logs`].
#[derive(Clone, Debug)]
pub struct LogStore {
    pub(crate) shared: Arc<Shared>,
    sender: mpsc::Sender<Message>,
    pub(crate) runtime: Handle,
}

/// What readers and the writer share. Holds no sender, so that the writer ends when the last [`LogStore`] is gone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    folder: Folder,
    /// Id of the newest line on disk.
    last_id: AtomicI64,
    /// Bytes in the queue.
    queued: AtomicUsize,
    /// Told when the queue has become shorter.
    room: Notify,
    /// Lines just committed.
    live: broadcast::Sender<Arc<[LogLine]>>,
    reading: Semaphore,
}

impl LogStore {
    /// Opens the logs in `dir`, making it if needed. A damaged segment is set aside and said so, not fatal.
    ///
    /// Call it inside a tokio runtime: captured pipes are read there.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        let failed = |why: String| StoreError::Open { dir: dir.to_owned(), why };
        let runtime = Handle::try_current().map_err(|error| failed(error.to_string()))?;
        let folder = Folder::open(dir).map_err(|error| failed(error.to_string()))?;
        let shared = Arc::new(Shared {
            options,
            last_id: AtomicI64::new(folder.last_id()),
            folder,
            queued: AtomicUsize::new(0),
            room: Notify::new(),
            live: broadcast::Sender::new(COMMITS_BEHIND),
            reading: Semaphore::new(QUERIES_AT_ONCE),
        });
        let (sender, receiver) = mpsc::channel();
        let writer = Writer::new(shared.clone(), receiver);
        std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { shared, sender, runtime })
    }

    /// Waits until everything captured so far is on disk.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).is_ok() {
            // A writer that is gone has written all it was given.
            let _ = flushed.await;
        }
    }

    /// Keeps lines that were read elsewhere, where nothing is lost while they wait: for room, as long as it takes.
    pub async fn keep(&self, lines: Vec<LogLine>) {
        let mut collected = Vec::with_capacity(lines.len());
        for line in lines {
            while !self.reserve(&line) {
                // What was collected so far is handed over first, or it would be waited for itself.
                self.enqueue(std::mem::take(&mut collected));
                self.room(ROOM_WAIT).await;
            }
            collected.push(line);
        }
        self.enqueue(collected);
    }

    /// Takes room in the queue for a line, if there is some.
    pub(crate) fn reserve(&self, line: &LogLine) -> bool {
        let (size, limit) = (queued_size(line), self.shared.options.queue_bytes);
        let more = |queued: usize| queued.checked_add(size).filter(|sum| *sum <= limit);
        self.shared.queued.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    /// Queues lines for which room was reserved.
    pub(crate) fn enqueue(&self, lines: Vec<LogLine>) {
        if !lines.is_empty() && self.sender.send(Message::Lines(lines)).is_err() {
            tracing::error!("the log writer has ended; function output is lost");
        }
    }

    /// Waits until the queue may have room, at most `limit`.
    pub(crate) async fn room(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.shared.room.notified()).await;
    }
}

#[async_trait]
impl LogReader for LogStore {
    async fn query(&self, query: LogQuery) -> Result<Vec<LogLine>, LogError> {
        self.shared.clone().newest(query).await
    }

    fn follow(&self, query: LogQuery) -> BoxStream<'static, Result<LogLine, LogError>> {
        crate::follow::follow(self.shared.clone(), query)
    }
}

impl Shared {
    /// The newest matching lines, oldest first.
    pub(crate) async fn newest(self: Arc<Self>, query: LogQuery) -> Result<Vec<LogLine>, LogError> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        self.read(move |folder| folder.newest(&query, limit, QUERY_BYTES)).await
    }

    /// The oldest `limit` matching lines after `after`, oldest first.
    pub(crate) async fn next_after(
        self: Arc<Self>,
        mut query: LogQuery,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LogLine>, LogError> {
        query.after = Some(after);
        self.read(move |folder| folder.oldest(&query, limit)).await
    }

    async fn read<F>(self: Arc<Self>, read: F) -> Result<Vec<LogLine>, LogError>
    where
        F: FnOnce(&Folder) -> rusqlite::Result<Vec<LogLine>> + Send + 'static,
    {
        let failed = |why: String| LogError { action: "read", why };
        let shared = self.clone();
        let _turn = self.reading.acquire().await.map_err(|error| failed(error.to_string()))?;
        let reading = tokio::task::spawn_blocking(move || read(&shared.folder));
        reading.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    /// Id of the newest line on disk.
    pub(crate) fn last_id(&self) -> i64 {
        self.last_id.load(Ordering::Acquire)
    }

    /// Lines committed from now on.
    pub(crate) fn live(&self) -> broadcast::Receiver<Arc<[LogLine]>> {
        self.live.subscribe()
    }
}

fn queued_size(line: &LogLine) -> usize {
    line.text.len() + LINE_OVERHEAD
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
