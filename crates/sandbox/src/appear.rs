//! Noticing at once that a server has made its socket: looking again and again would add a millisecond or two to every
//! start, the timer's own grain.
//!
//! One inotify descriptor serves all instances, because closing one waits for every processor, which takes milliseconds.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::inotify;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::lock;
use crate::sys;

/// Bytes of events taken at once; one event of a short name takes 32.
const EVENTS: usize = 2048;

/// Tells when something is made in directories.
#[derive(Debug)]
pub(crate) struct Appearances {
    shared: Arc<Shared>,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    events: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<i32, Arc<Notify>>>,
}

/// The watch over one directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Appearing {
    shared: Arc<Shared>,
    watch: i32,
    made: Arc<Notify>,
}

impl Appearances {
    /// Begins to listen; call inside the runtime. Fails where the user may have no more (`fs.inotify.max_user_instances`).
    pub(crate) fn listen() -> io::Result<Self> {
        let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { events: sys::wait_for(events)?, watched: Mutex::default() });
        let reading = shared.clone();
        let reader = tokio::spawn(async move { while reading.pass_on().await.is_ok() {} });
        Ok(Self { shared, _reader: AbortOnDropHandle::new(reader) })
    }

    /// Watches a directory from now on.
    pub(crate) fn watch(&self, directory: &Path) -> io::Result<Appearing> {
        let made = Arc::new(Notify::new());
        // Held meanwhile, so that an event finds who waits for it.
        let mut watched = lock(&self.shared.watched);
        let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let watch = inotify::add_watch(self.shared.events.get_ref(), directory, kinds)?;
        watched.insert(watch, made.clone());
        drop(watched);
        Ok(Appearing { shared: self.shared.clone(), watch, made })
    }
}

impl Shared {
    async fn pass_on(&self) -> io::Result<()> {
        let mut ready = self.events.readable().await?;
        let mut space = [MaybeUninit::uninit(); EVENTS];
        let mut events = inotify::Reader::new(self.events.get_ref(), &mut space);
        loop {
            match events.next() {
                Ok(event) => {
                    if let Some(made) = lock(&self.watched).get(&event.wd()) {
                        made.notify_one();
                    }
                }
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

impl Appearing {
    /// Waits until something was made since the last call, or since the watch began.
    pub(crate) async fn something(&self) {
        self.made.notified().await;
    }
}

impl Drop for Appearing {
    fn drop(&mut self) {
        lock(&self.shared.watched).remove(&self.watch);
        // It goes with its directory otherwise.
        let _ = inotify::remove_watch(self.shared.events.get_ref(), self.watch);
    }
}

/// A pause finer than those of the runtime, which are a millisecond or two.
pub(crate) async fn short_pause(duration: Duration) -> io::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let value = Timespec::try_from(duration).map_err(io::Error::other)?;
    let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    sys::wait_for(timer)?.readable().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_made_before_anyone_waited_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let all = Appearances::listen().unwrap();
        let appearing = all.watch(directory.path()).unwrap();
        std::fs::write(directory.path().join("fn.sock"), "").unwrap();
        appearing.something().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(20), appearing.something()).await;
        assert!(again.is_err(), "nothing was made since");
    }

    #[tokio::test]
    async fn a_short_pause_ends() {
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, short_pause(Duration::from_micros(20))).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn each_hears_of_its_own_directory_only() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let all = Appearances::listen().unwrap();
        let (of_one, of_other) = (all.watch(one.path()).unwrap(), all.watch(other.path()).unwrap());
        std::fs::write(other.path().join("fn.sock"), "").unwrap();
        of_other.something().await;
        let wrong = tokio::time::timeout(std::time::Duration::from_millis(20), of_one.something()).await;
        assert!(wrong.is_err(), "nothing was made there");
    }
}
