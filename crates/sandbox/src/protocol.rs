//! What the platform and its launcher say to each other: one JSON message a packet over a socket pair, with the
//! descriptors of an instance's outputs attached to the message that starts it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use fission_api::Network;

use crate::isolation::{Feature, IsolationReport};

/// Largest message in bytes. Linux sends packets of up to its socket buffer, 208 KiB unless changed; environment
/// variables are what grows.
pub(crate) const MAX_PACKET: usize = 160 * 1024;

/// Descriptors attached to one message: stdout, stderr and a prepared file tree.
const MAX_FDS: usize = 3;

/// What the platform asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start an instance. Carries the writing ends of its stdout and stderr.
    Spawn(Box<Spawn>),
    /// Ask an instance to end (SIGTERM to its server).
    Ask {
        /// Which.
        id: u64,
    },
    /// End an instance and all its processes.
    Kill {
        /// Which.
        id: u64,
    },
}

/// What the launcher tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// First message: what isolates instances here.
    Hello(IsolationReport),
    /// The instance's program runs, with all of this applied.
    Spawned {
        /// Which.
        id: u64,
        /// Process id of its server on the host.
        pid: u32,
        /// What isolates it.
        isolation: Vec<Feature>,
        /// What could not be applied to this one, for people.
        notes: Vec<String>,
    },
    /// It could not be started; nothing of it is left.
    SpawnFailed {
        /// Which.
        id: u64,
        /// Why, for people.
        why: String,
    },
    /// All its processes are gone.
    Exited {
        /// Which.
        id: u64,
        /// How it ended.
        ended: Ended,
    },
}

/// An instance to start. The launcher passes it on as it is to the first process, with the same descriptors and, if there is
/// one, that of its prepared file tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spawn {
    /// Number of the instance, never used twice with one launcher.
    pub id: u64,
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// All of its environment variables.
    pub env: Vec<(String, String)>,
    /// Working directory, as the instance sees it.
    pub cwd: PathBuf,
    /// Its host name.
    pub hostname: String,
    /// Its files; unused where instances cannot have a private tree.
    pub tree: Tree,
    /// Host user and group it runs as when the platform has the rights of root.
    pub owner: u32,
    /// Its limits.
    pub limits: Limits,
    /// What of the network it may reach.
    pub network: Network,
    /// System calls it may make beside the usual ones.
    pub also: Vec<String>,
    /// Whether everything else goes before it: a build must not slow requests down.
    pub background: bool,
    /// Do everything but start the program, to find out what works.
    pub only_try: bool,
}

/// Limits of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Thousandths of a processor; `None` is unlimited.
    pub cpu_millis: Option<u32>,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of one file; `None` is unlimited.
    pub file_bytes: Option<u64>,
}

/// The files an instance sees. All targets are absolute paths inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// An empty host directory the tree is built on, in a mount namespace of its own.
    pub mount_point: PathBuf,
    /// What it has in common with other instances.
    pub common: Common,
    /// Host files and directories shown read-only to this instance alone.
    pub own: Vec<Bind>,
    /// Host directories shown writable.
    pub writable: Vec<Bind>,
    /// Private memory file systems: (directory, bytes).
    pub memory: Vec<(PathBuf, u64)>,
}

/// What instances of one environment see alike, and the places of all else. Nothing of it is below a private memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Directories to make, parents first.
    pub directories: Vec<PathBuf>,
    /// Links to make: (link, what it points at).
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Small files to write: (path, content).
    pub files: Vec<(PathBuf, String)>,
    /// Host files and directories shown read-only.
    pub read_only: Vec<Bind>,
    /// Device files shown.
    pub devices: Vec<Bind>,
}

/// A host path shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside.
    pub target: PathBuf,
    /// Whether it is a directory.
    pub directory: bool,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// Its server exited.
    Code(i32),
    /// Its server was killed by a signal.
    Signal(i32),
    /// The kernel killed it for using more memory than it may, in bytes.
    OverMemory(u64),
    /// The launcher is gone, and all instances with it.
    LauncherGone,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exited with code {code}"),
            Ended::Signal(signal) => write!(f, "killed by signal {signal}"),
            Ended::OverMemory(limit) => {
                write!(f, "killed: over its memory limit of {}", fission_api::quantity::display_bytes(*limit))
            }
            Ended::LauncherGone => f.write_str("killed: the launcher process of the platform ended"),
        }
    }
}

/// What an instance's first process tells the launcher, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// The program was started with everything applied.
    Started,
    /// A step failed.
    Failed(Failure),
    /// The program ended.
    Ended(Ended),
}

/// A step that failed while an instance was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The feature it belongs to; `None` when an instance cannot do without.
    pub feature: Option<Feature>,
    /// What failed, for people.
    pub why: String,
}

impl Failure {
    /// A step of a feature failed.
    pub(crate) fn of(feature: Feature, doing: impl std::fmt::Display, error: impl Into<io::Error>) -> Self {
        Self { feature: Some(feature), why: format!("{doing}: {}", error.into()) }
    }

    /// A step failed that an instance cannot do without.
    pub(crate) fn fatal(doing: impl std::fmt::Display, error: impl Into<io::Error>) -> Self {
        Self { feature: None, why: format!("{doing}: {}", error.into()) }
    }
}

/// Sends one message.
pub(crate) fn send<M: Serialize>(socket: impl AsFd, message: &M, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > MAX_PACKET {
        let why = format!("its arguments and environment variables take {} bytes; {MAX_PACKET} fit", packet.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    sendmsg(socket, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message without waiting, and its descriptors. `None` when the other side is gone.
pub(crate) fn receive<M: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message larger than the limit"));
    }
    Ok(Some((serde_json::from_slice(&buffer[..received.bytes])?, fds)))
}

/// Waits for one message, and receives it as [`receive`] does.
pub(crate) fn wait<M: DeserializeOwned>(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    loop {
        match receive(&socket, buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Interrupted or not: the next look tells.
                let _ = rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::IN)], None);
            }
            received => return received,
        }
    }
}
