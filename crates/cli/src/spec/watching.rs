//! `--watch`: apply again whenever files change.

use std::path::Path;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::failure::{Doing, Outcome};

/// Quiet time after a change before it is acted on: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(500);
/// Changes told ahead; more are the same news.
const NEWS: usize = 1;

/// Tells of changes below a folder.
pub(super) struct Changes {
    news: mpsc::Receiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Changes {
    /// Starts watching a folder and everything in it.
    pub(super) fn below(dir: &Path) -> Outcome<Self> {
        let (tell, news) = mpsc::channel(NEWS);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                // Full means that a change is already waiting to be seen.
                let _ = tell.try_send(());
            }
        })
        .doing("cannot watch files")?;
        watcher.watch(dir, RecursiveMode::Recursive).doing(format_args!("cannot watch {}", dir.display()))?;
        Ok(Self { news, _watcher: watcher })
    }

    /// Waits for a change and until things are quiet again; false when watching is over.
    pub(super) async fn next(&mut self) -> bool {
        if self.news.recv().await.is_none() {
            return false;
        }
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.news.recv()).await {}
        true
    }
}
