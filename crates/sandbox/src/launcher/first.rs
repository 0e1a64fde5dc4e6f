//! First processes that wait for their order: what the launcher knows of one, and how it is told what to start.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fission_api::Network;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal};

use super::cgroup::Group;
use crate::isolation::Feature;
use crate::protocol::{self, Limits, Spawn};

/// A first process. Until it has its order it is nobody's.
pub(super) struct First {
    pub(super) limits: Limits,
    pub(super) network: Network,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    /// Where its order goes, a [`Spawn`], until it has it.
    pub(super) order: Option<OwnedFd>,
    /// Lines of [`protocol::Progress`].
    pub(super) report: OwnedFd,
    pub(super) group: Group,
    /// What isolates its instance once that runs.
    pub(super) isolation: Vec<Feature>,
    /// Why nothing else does, for people.
    pub(super) notes: Vec<String>,
}

impl First {
    /// Whether an instance with these limits and this network may be its. One that was killed while it waited is nobody's.
    pub(super) fn is_for(&self, limits: &Limits, network: &Network) -> bool {
        self.limits == *limits && self.network == *network && !is_readable(&self.pidfd)
    }

    /// Tells it what to start. What went wrong with it until now is in its report.
    pub(super) fn start(
        &mut self,
        spawn: &Spawn,
        outputs: [&OwnedFd; 2],
        prepared: Option<&OwnedFd>,
    ) -> io::Result<()> {
        let fds: Vec<_> = outputs.into_iter().chain(prepared).map(AsFd::as_fd).collect();
        let Some(socket) = self.order.take() else { return Ok(()) };
        match protocol::send(&socket, spawn, &fds) {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            sent => sent,
        }
    }

    /// Ends it. Gives its groups, if they cannot be removed yet.
    pub(super) fn end(mut self) -> Option<Group> {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        reap(&self.pidfd);
        (!self.group.remove()).then_some(self.group)
    }
}

/// Waits for a process that is about to end.
pub(super) fn reap(pidfd: &OwnedFd) {
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    {}
}

/// Whether there is something to read now, or, of a process, whether it has ended.
pub(super) fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        && fds[0].revents().contains(PollFlags::IN)
}
