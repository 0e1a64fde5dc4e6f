//! Watch. A watcher pulls from the ring of changes at its own pace; nothing is queued for it, so it never holds a
//! writer up, and one that falls behind the ring is told so and cut.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::format::Format;
use crate::http::path::Target;
use crate::http::query::Query;
use crate::selectors::Selectors;
use crate::status::ApiError;
use crate::storage::{Change, Object, Range, Store};
use crate::table;

/// Changes looked at under one lock: few enough that a commit waits microseconds.
const CHUNK: usize = 256;
/// How often a watcher that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts when the client does not say; as long as Kubernetes lets them last at least.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// Says that everything that existed when the watch began has been sent.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How to watch.
pub(crate) struct WatchOptions {
    version: Option<u64>,
    send_initial: bool,
    mark_initial_end: bool,
    bookmarks: bool,
    timeout: Duration,
}

impl WatchOptions {
    /// Reads them from a query.
    pub(crate) fn read(query: &Query) -> Result<Self, ApiError> {
        let version = query.number("resourceVersion")?.filter(|version| *version > 0);
        let asked = query.get("sendInitialEvents").is_some();
        let send = query.flag("sendInitialEvents")?;
        let not_older = query.get("resourceVersionMatch") == Some("NotOlderThan");
        if asked && !not_older {
            let why = "resourceVersionMatch must be NotOlderThan when sendInitialEvents is given";
            return Err(ApiError::bad_request(why));
        }
        if !asked && query.get("resourceVersionMatch").is_some() {
            return Err(ApiError::bad_request(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is given",
            ));
        }
        let bookmarks = query.flag("allowWatchBookmarks")?;
        if send && !bookmarks {
            let why = "sendInitialEvents is forbidden for watch unless allowWatchBookmarks is true";
            return Err(ApiError::bad_request(why));
        }
        let timeout = query.number("timeoutSeconds")?.filter(|it| *it > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let send_initial = if asked { send } else { version.is_none() };
        Ok(Self { version, send_initial, mark_initial_end: send, bookmarks, timeout })
    }
}

struct Watcher {
    store: Arc<Store>,
    target: Target,
    range: Range,
    selectors: Selectors,
    format: Format,
    feed: tokio::sync::watch::Receiver<Option<u64>>,
    initial: VecDeque<Arc<Object>>,
    mark_initial_end: bool,
    /// Everything up to this version has been sent.
    cursor: u64,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    first_table: bool,
    ended: bool,
}

/// The events of a watch, one or more lines of JSON at a time.
pub(crate) fn watch(
    store: Arc<Store>,
    target: Target,
    selectors: Selectors,
    format: Format,
    options: &WatchOptions,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let feed = store.feed();
    let range = Range::of(target.resource.id, target.namespace.as_deref());
    let (current, initial) = {
        let state = store.read();
        let mut initial = VecDeque::new();
        if options.send_initial {
            let hits = state.range(&range).filter(|(key, object)| selectors.matches(key, object));
            initial.extend(hits.map(|(_, object)| object.clone()));
        }
        (state.rv, initial)
    };
    let cursor = if options.send_initial { current } else { options.version.unwrap_or(current) };
    let now = Instant::now();
    let watcher = Watcher {
        store,
        target,
        range,
        selectors,
        format,
        feed,
        initial,
        mark_initial_end: options.mark_initial_end,
        cursor,
        bookmarks: options.bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + options.timeout,
        first_table: true,
        ended: false,
    };
    // A version from the future is of another life of this server; its objects must be listed again.
    let future = options.version.is_some_and(|version| version > current);
    stream::unfold((watcher, future), |(mut watcher, future)| async move {
        let lines = if future && !watcher.ended {
            watcher.ended = true;
            Some(watcher.error(&ApiError::expired(format!(
                "too large resource version: {} is not known to this server",
                watcher.cursor
            ))))
        } else {
            watcher.next().await
        };
        lines.map(|lines| (lines, (watcher, future)))
    })
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            if !self.initial.is_empty() {
                let take = self.initial.len().min(CHUNK);
                let chunk: Vec<_> = self.initial.drain(..take).collect();
                let mut out = BytesMut::new();
                chunk.iter().for_each(|object| self.event(&mut out, "ADDED", object));
                return Some(out.freeze());
            }
            if std::mem::take(&mut self.mark_initial_end) {
                return Some(self.bookmark(true));
            }
            let (lines, more) = self.changes();
            if let Some(lines) = lines {
                return Some(lines);
            }
            if !more && let Some(lines) = self.wait().await {
                return Some(lines);
            }
        }
    }

    /// What happened since the cursor; and whether there may be more.
    fn changes(&mut self) -> (Option<Bytes>, bool) {
        let chunk: Result<Vec<Arc<Change>>, _> = {
            let state = self.store.read();
            state.ring.after(self.cursor).map(|changes| changes.take(CHUNK).cloned().collect())
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(too_old) => {
                self.ended = true;
                let message = format!("too old resource version: {} ({})", self.cursor, too_old.oldest);
                return (Some(self.error(&ApiError::expired(message))), false);
            }
        };
        let mut out = BytesMut::new();
        for change in &chunk {
            self.cursor = change.rv();
            if self.range.contains(&change.key) {
                self.change(&mut out, change);
            }
        }
        ((!out.is_empty()).then(|| out.freeze()), chunk.len() == CHUNK)
    }

    /// Waits for something to happen. Gives a bookmark when one is due.
    async fn wait(&mut self) -> Option<Bytes> {
        let until = if self.bookmarks { self.deadline.min(self.next_bookmark) } else { self.deadline };
        tokio::select! {
            changed = self.feed.changed() => {
                if changed.is_err() || self.feed.borrow_and_update().is_none() {
                    self.ended = true;
                }
                None
            }
            () = tokio::time::sleep_until(until) => {
                self.ended = Instant::now() >= self.deadline;
                self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                self.bookmarks.then(|| self.bookmark(false))
            }
        }
    }

    fn change(&mut self, out: &mut BytesMut, change: &Change) {
        let matches = |object: &Option<Arc<Object>>| {
            object.as_ref().is_some_and(|object| self.selectors.matches(&change.key, object))
        };
        match (matches(&change.before), matches(&change.after)) {
            (false, false) => {}
            (false, true) => self.event(out, "ADDED", &change.shown),
            (true, true) => self.event(out, "MODIFIED", &change.shown),
            (true, false) => match (&change.before, &change.after) {
                // It still exists and no longer matches: its last matching state, under the version it stopped at.
                (Some(before), Some(_)) => self.event(out, "DELETED", &before.at(change.rv())),
                _ => self.event(out, "DELETED", &change.shown),
            },
        }
    }

    fn event(&mut self, out: &mut BytesMut, kind: &str, object: &Object) {
        out.put_slice(b"{\"type\":\"");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\",\"object\":");
        match &self.format {
            Format::Table(include) => {
                let table = table::of(self.target.resource, &[object.value()], *include, self.first_table);
                self.first_table = false;
                out.put_slice(table.to_string().as_bytes());
            }
            Format::Metadata => out.put_slice(table::metadata_only(&object.value()).to_string().as_bytes()),
            Format::Json | Format::Yaml => out.put_slice(&object.bytes),
        }
        out.put_slice(b"}\n");
    }

    fn bookmark(&self, initial_end: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": self.cursor.to_string(), "creationTimestamp": null });
        if initial_end {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let resource = self.target.resource;
        let object = match self.format {
            Format::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [], "columnDefinitions": [],
                "metadata": { "resourceVersion": self.cursor.to_string() },
            }),
            Format::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            }),
            Format::Json | Format::Yaml => {
                // Clients read bookmarks as the watched type, so what every type requires must be there.
                let mut object =
                    json!({ "kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata });
                if !resource.core {
                    object["spec"] = Value::Object(serde_json::Map::new());
                }
                object
            }
        };
        Bytes::from(format!("{}\n", json!({ "type": "BOOKMARK", "object": object })))
    }

    fn error(&self, error: &ApiError) -> Bytes {
        Bytes::from(format!("{}\n", json!({ "type": "ERROR", "object": error.to_json() })))
    }
}
