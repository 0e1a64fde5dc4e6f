//! The platform's side of the socket to the launcher.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use crate::isolation::{Feature, IsolationReport};
use crate::launcher::{Launcher, LauncherOptions};
use crate::protocol::{self, Ended, MAX_PACKET, Reply, Request, Spawn};
use crate::sys;

/// The launcher tries every kind of isolation out before it says hello; that takes milliseconds.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// An instance's program runs.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    pub(crate) isolation: Vec<Feature>,
    pub(crate) notes: Vec<String>,
}

#[derive(Default)]
struct State {
    gone: bool,
    starting: HashMap<u64, oneshot::Sender<Result<Spawned, String>>>,
    running: HashMap<u64, watch::Sender<Option<Ended>>>,
}

/// A connected launcher. Dropping it ends the launcher and all instances.
pub(crate) struct Control {
    socket: Arc<AsyncFd<OwnedFd>>,
    report: IsolationReport,
    options: LauncherOptions,
    state: Mutex<State>,
}

impl Control {
    /// Takes a launcher over and waits for its first word.
    pub(crate) async fn connect(launcher: Launcher) -> io::Result<Arc<Self>> {
        let Launcher { control, mut process, options } = launcher;
        rustix::io::ioctl_fionbio(&control, true)?;
        let socket = Arc::new(sys::wait_for(control)?);
        let mut buffer = vec![0; MAX_PACKET];
        let hello = tokio::time::timeout(HELLO_TIMEOUT, receive(&socket, &mut buffer)).await;
        let report = match hello {
            Ok(Ok(Some(Reply::Hello(report)))) => report,
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => return Err(io::Error::other("the launcher process ended before it answered")),
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the launcher process does not answer")),
        };
        let control = Arc::new(Self { socket: socket.clone(), report, options, state: Mutex::default() });
        let weak = Arc::downgrade(&control);
        tokio::spawn(async move {
            listen(&socket, &weak, buffer).await;
            drop(socket);
            // It ends by itself when its socket is closed; this only collects it.
            let _ = tokio::task::spawn_blocking(move || process.wait()).await;
        });
        Ok(control)
    }

    /// What isolates instances here.
    pub(crate) fn report(&self) -> &IsolationReport {
        &self.report
    }

    /// How this launcher was started.
    pub(crate) fn options(&self) -> &LauncherOptions {
        &self.options
    }

    /// Whether the launcher is gone, and all its instances with it.
    pub(crate) fn gone(&self) -> bool {
        self.state().gone
    }

    /// Starts an instance and waits until its program runs. `ended` is told when all its processes are gone, and dropped
    /// when it never ran.
    pub(crate) async fn spawn(
        &self,
        spawn: Spawn,
        outputs: [OwnedFd; 2],
        ended: watch::Sender<Option<Ended>>,
    ) -> Result<Spawned, String> {
        let id = spawn.id;
        let (tell, started) = oneshot::channel();
        {
            let mut state = self.state();
            if state.gone {
                return Err(Ended::LauncherGone.to_string());
            }
            state.starting.insert(id, tell);
            state.running.insert(id, ended);
        }
        if let Err(error) = self.send(&Request::Spawn(Box::new(spawn)), &outputs).await {
            let mut state = self.state();
            state.starting.remove(&id);
            state.running.remove(&id);
            return Err(error.to_string());
        }
        drop(outputs);
        started.await.unwrap_or_else(|_| Err(Ended::LauncherGone.to_string()))
    }

    /// Asks an instance to end.
    pub(crate) async fn ask(&self, id: u64) {
        // Fails only when the launcher is gone, and the instance with it.
        let _ = self.send(&Request::Ask { id }, &[]).await;
    }

    /// Ends an instance.
    pub(crate) async fn kill(&self, id: u64) {
        let _ = self.send(&Request::Kill { id }, &[]).await;
    }

    async fn send(&self, request: &Request, fds: &[OwnedFd]) -> io::Result<()> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.socket.async_io(Interest::WRITABLE, |socket| protocol::send(socket, request, &fds)).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dispatch(&self, reply: Reply) {
        let mut state = self.state();
        match reply {
            Reply::Hello(_) => {}
            Reply::Spawned { id, pid, isolation, notes } => {
                if let Some(tell) = state.starting.remove(&id) {
                    let _ = tell.send(Ok(Spawned { pid, isolation, notes }));
                }
            }
            Reply::SpawnFailed { id, why } => {
                state.running.remove(&id);
                if let Some(tell) = state.starting.remove(&id) {
                    let _ = tell.send(Err(why));
                }
            }
            Reply::Exited { id, ended } => {
                if let Some(tell) = state.running.remove(&id) {
                    tell.send_replace(Some(ended));
                }
            }
        }
    }

    fn lost(&self) {
        let mut state = self.state();
        state.gone = true;
        state.starting.clear();
        for (_, tell) in state.running.drain() {
            tell.send_replace(Some(Ended::LauncherGone));
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Closing needs the listening task to let go of the socket too; this ends its wait and the launcher's.
        let _ = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Both);
    }
}

async fn listen(socket: &AsyncFd<OwnedFd>, control: &Weak<Control>, mut buffer: Vec<u8>) {
    loop {
        let received = receive(socket, &mut buffer).await;
        let Some(control) = control.upgrade() else { return };
        match received {
            Ok(Some(reply)) => control.dispatch(reply),
            Ok(None) => return control.lost(),
            Err(error) => {
                tracing::error!(%error, "the launcher's message could not be read; all its instances end");
                return control.lost();
            }
        }
    }
}

async fn receive(socket: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<Option<Reply>> {
    let message = socket.async_io(Interest::READABLE, |socket| protocol::receive(socket, buffer)).await;
    match message {
        Ok(message) => Ok(message.map(|(reply, _)| reply)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}
