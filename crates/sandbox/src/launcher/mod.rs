//! The launcher: one single-threaded process that makes all instances, because copying a process with threads is not
//! safe. It is this program, executed again with a hidden argument and a socket as its standard input, and it ends,
//! with all instances, when the platform does, whatever way that happens.

mod cgroup;
mod disks;
mod egress;
mod first;
pub(crate) mod init;
mod landlock;
mod prepared;
mod privileges;
mod root;
pub(crate) mod seccomp;
mod serve;
mod spawn;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::isolation::IsolationReport;
use crate::protocol::{self, MAX_PACKET, Reply};
use crate::sys;

/// The hidden argument `fission` is executed with to become the launcher; its `main` then calls [`main`].
pub const ARGUMENT: &str = "__launcher";

/// Seconds the launcher may take to try the isolation out; it takes milliseconds.
const HELLO_SECONDS: i64 = 10;

/// Which program becomes the launcher.
#[derive(Clone, Debug)]
pub struct LauncherOptions {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl LauncherOptions {
    /// This program itself, with [`ARGUMENT`].
    pub fn own() -> io::Result<Self> {
        // The link, not its target: it stays right when the file is replaced by an upgrade.
        Ok(Self { program: PathBuf::from("/proc/self/exe"), arguments: vec![ARGUMENT.into()] })
    }
}

/// A running launcher. It ends, with all its instances, when this is dropped.
#[derive(Debug)]
pub struct Launcher {
    pub(crate) control: OwnedFd,
    pub(crate) process: Child,
    pub(crate) options: LauncherOptions,
}

impl Launcher {
    /// Process id of the launcher.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// Starts the launcher. Best called before the process has threads, which keeps its copy small; not required.
pub fn start(options: LauncherOptions) -> io::Result<Launcher> {
    let (control, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let process = Command::new(&options.program)
        .args(&options.arguments)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        // Of its own, so that signals of a terminal reach the platform and not the instances.
        .process_group(0)
        .spawn()?;
    Ok(Launcher { control, process, options })
}

/// What the launcher process does: serves the platform at the other end of its standard input, then ends.
pub fn main() -> ! {
    let code = match run() {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "the launcher failed");
            1
        }
    };
    std::process::exit(code)
}

fn run() -> io::Result<()> {
    sys::ignore_group_signals();
    let single = sys::SingleThreaded::check()?;
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    // Its standard input becomes that of nothing: instances get their own.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let abilities = spawn::Abilities::find(single)?;
    serve::Launcher::new(control, abilities)?.run()
}

/// Finds out what isolates instances here, by trying it, with a launcher of its own. For `fission check`.
pub fn isolation_report(options: LauncherOptions) -> io::Result<IsolationReport> {
    let mut launcher = start(options)?;
    let mut fds = [PollFd::from_borrowed_fd(launcher.control.as_fd(), PollFlags::IN)];
    let patience = Timespec { tv_sec: HELLO_SECONDS, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&patience))?;
    let hello = protocol::receive(&launcher.control, &mut vec![0; MAX_PACKET]);
    drop(launcher.control);
    let _ = launcher.process.wait();
    match hello? {
        Some((Reply::Hello(report), _)) => Ok(report),
        _ => Err(io::Error::other("the launcher process ended before it answered")),
    }
}
