//! `--watch`: tells when files change, and when they are quiet again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::failure::{Doing, Outcome};

/// Quiet time after a change before it is acted on: editors write a file in several steps, a few milliseconds apart.
const SETTLE: Duration = Duration::from_millis(50);
/// Longest time a change waits while others keep coming.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);
/// Changes told ahead; more are the same news.
const NEWS: usize = 1;

/// Tells of changes below a folder.
pub(crate) struct Changes {
    news: mpsc::Receiver<()>,
    /// When the first and the last of the changes came that are waited out.
    seen: Option<(Instant, Instant)>,
    _watcher: notify::RecommendedWatcher,
}

impl Changes {
    /// Starts watching files, and folders with everything in them. A file is watched through its folder, since editors
    /// put a new file in its place; what else changes there is not told.
    pub(crate) fn of(inputs: &[PathBuf]) -> Outcome<Self> {
        let (tell, news) = mpsc::channel(NEWS);
        let wanted: Vec<PathBuf> = inputs.iter().map(|input| absolute(input)).collect();
        let ours = wanted.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let is_ours = event.paths.iter().any(|path| ours.iter().any(|input| path.starts_with(input)));
            if is_ours && !matches!(event.kind, EventKind::Access(_)) {
                // Full means that a change is already waiting to be seen.
                let _ = tell.try_send(());
            }
        })
        .doing("cannot watch files")?;
        for input in &wanted {
            let (place, mode) = match (input.is_dir(), input.parent()) {
                (false, Some(parent)) => (parent, RecursiveMode::NonRecursive),
                _ => (input.as_path(), RecursiveMode::Recursive),
            };
            watcher.watch(place, mode).doing(format_args!("cannot watch {}", place.display()))?;
        }
        Ok(Self { news, seen: None, _watcher: watcher })
    }

    /// Waits for a change and until things are quiet again, or have not been for too long; false when watching is over.
    /// Dropped while it waits, it forgets nothing.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            let quiet = self.seen.map(|(first, last)| (first + SETTLED_WITHIN).min(last + SETTLE));
            let news = match quiet {
                None => Ok(self.news.recv().await),
                Some(quiet) => tokio::time::timeout_at(quiet, self.news.recv()).await,
            };
            let now = Instant::now();
            match news {
                Ok(Some(())) if quiet.is_none_or(|quiet| now < quiet) => {
                    self.seen = Some((self.seen.map_or(now, |(first, _)| first), now));
                }
                Ok(None) if self.seen.is_none() => return false,
                _ => {
                    self.seen = None;
                    return true;
                }
            }
        }
    }
}

/// Events carry absolute paths.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> (tempfile::TempDir, PathBuf, Changes) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hello.js");
        std::fs::write(&file, "1").unwrap();
        let changes = Changes::of(std::slice::from_ref(&file)).unwrap();
        (dir, file, changes)
    }

    #[tokio::test]
    async fn a_change_is_told_once_things_are_quiet_and_not_long_after() {
        let (_dir, file, mut changes) = watched();
        std::fs::write(&file, "2").unwrap();
        let started = Instant::now();
        assert!(changes.next().await);
        assert!(started.elapsed() >= SETTLE, "an editor may not be done");
    }

    #[tokio::test]
    async fn a_change_that_was_seen_is_not_forgotten_by_who_stops_waiting() {
        let (_dir, file, mut changes) = watched();
        std::fs::write(&file, "2").unwrap();
        let (mut given_up, started) = (0, Instant::now());
        // Nobody has the patience to wait until things are quiet; the change is told all the same, and in time.
        while tokio::time::timeout(SETTLE / 10, changes.next()).await.is_err() {
            given_up += 1;
            assert!(started.elapsed() < SETTLED_WITHIN, "the quiet time begins anew with each wait");
        }
        assert!(given_up > 0);
    }

    #[tokio::test]
    async fn files_that_change_all_the_time_are_told_of_meanwhile() {
        let (_dir, file, mut changes) = watched();
        let busy = async {
            loop {
                std::fs::write(&file, "x").unwrap();
                tokio::time::sleep(SETTLE / 5).await;
            }
        };
        tokio::select! {
            told = changes.next() => assert!(told),
            () = busy => {}
        }
    }

    #[tokio::test]
    async fn other_files_of_the_folder_are_nobodys_business() {
        let (dir, file, mut changes) = watched();
        std::fs::write(dir.path().join("other.js"), "1").unwrap();
        let unseen = tokio::time::timeout(SETTLE * 4, changes.next()).await;
        assert!(unseen.is_err());
        std::fs::rename(dir.path().join("other.js"), &file).unwrap();
        assert!(changes.next().await, "a file put in its place is a change");
    }
}
