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
        Ok(Self { news, _watcher: watcher })
    }

    /// Waits for a change and until things are quiet again, or have not been for too long; false when watching is over.
    pub(crate) async fn next(&mut self) -> bool {
        if self.news.recv().await.is_none() {
            return false;
        }
        let latest = Instant::now() + SETTLED_WITHIN;
        let quiet = || latest.min(Instant::now() + SETTLE);
        while let Ok(Some(())) = tokio::time::timeout_at(quiet(), self.news.recv()).await {
            if Instant::now() >= latest {
                break;
            }
        }
        true
    }
}

/// Events carry absolute paths.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
