//! The first process of an instance (process 1 of its namespace): applies the isolation, starts the server in a second
//! process, reaps what the server leaves behind and reports how it ended. When it dies the kernel ends all the others.
//!
//! It is made before anyone knows what it is to start: it does what is alike for all instances with its limits and network,
//! and waits for its order.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use fission_api::Network;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Signal, Uid, WaitOptions, WaitStatus};

use super::seccomp::Filter;
use super::{landlock, privileges, root};
use crate::isolation::Feature;
use crate::protocol::{self, Ended, Failure, MAX_PACKET, Progress, Spawn};
use crate::sys::{self, SingleThreaded, namespace};

/// User and group an instance sees itself as, where it has a user namespace.
pub(crate) const INSIDE_ID: u32 = 1000;

/// The kernel's scale ends here: when the host runs out of memory, an instance is ended before anything else is. It is
/// all there is where no cgroup limits memory.
const FIRST_TO_DIE: &str = "1000";

/// Added to the niceness of a build: about a tenth of the processor where something else wants it.
const BACKGROUND: i32 = 10;

/// Everything the first process needs before its order, made by the launcher before it exists.
pub(super) struct Birth<'a> {
    /// What is applied. Every step of these must succeed.
    pub(super) features: &'a [Feature],
    /// What of the network it may reach.
    pub(super) network: &'a Network,
    /// Whether the launcher has the rights of root.
    pub(super) privileged: bool,
    /// User and group of the launcher on the host.
    pub(super) host: (u32, u32),
    /// Whether processes are limited per user, because no cgroup counts them.
    pub(super) count_processes: bool,
    /// The usual filter of system calls, where this processor's are known.
    pub(super) filter: Option<&'a Filter>,
    /// Whether its order is to come with a prepared file tree, so that it needs no mounts of its own until then.
    pub(super) prepared: bool,
    /// Opened cgroup files; writing `0` to one moves the writer in.
    pub(super) joins: &'a [(Feature, File)],
    /// Where its order comes from, a [`Spawn`].
    pub(super) order: &'a OwnedFd,
    /// Where [`Progress`] is written to.
    pub(super) report: &'a OwnedFd,
    pub(super) single: &'a SingleThreaded,
}

impl Birth<'_> {
    fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Namespaces of the first process. Root makes the user namespace last, for the server alone: until then paths only
    /// root may enter can be shown, and the server has no rights over the namespaces around it.
    pub(super) fn namespaces(&self) -> u64 {
        let mut flags = 0;
        for (feature, flag) in [
            (Feature::Pid, namespace::PID),
            // It copies the one with the prepared tree.
            (Feature::Mount, if self.prepared { 0 } else { namespace::MOUNT }),
            (Feature::Ipc, namespace::IPC),
            (Feature::Uts, namespace::UTS),
            (Feature::Network, namespace::NET),
        ] {
            if self.has(feature) {
                flags |= flag;
            }
        }
        if self.has(Feature::User) && !self.privileged { flags | namespace::USER } else { flags }
    }
}

/// A first process that has its order.
struct Start<'a> {
    birth: &'a Birth<'a>,
    spawn: Spawn,
    stdout: OwnedFd,
    stderr: OwnedFd,
    prepared: Option<OwnedFd>,
}

impl Start<'_> {
    fn has(&self, feature: Feature) -> bool {
        self.birth.has(feature)
    }
}

/// Runs the first process.
pub(super) fn run(birth: &Birth<'_>) -> ! {
    let outcome = catch_unwind(AssertUnwindSafe(|| first_process(birth)));
    let failure = match outcome {
        Ok(Err(failure)) => failure,
        Ok(Ok(never)) => match never {},
        Err(_) => Failure { feature: None, why: "its first process panicked".to_owned() },
    };
    tell(birth.report, &Progress::Failed(failure));
    sys::exit_now(1)
}

fn first_process(birth: &Birth<'_>) -> Result<Infallible, Failure> {
    settle(birth)?;
    let processes = birth.has(Feature::PrivateFiles).then(|| root::process_file_system(birth.has(Feature::Proc)));
    let start = wait_for_order(birth)?;
    if start.has(Feature::Uts) {
        rustix::system::sethostname(start.spawn.hostname.as_bytes())
            .map_err(|e| Failure::of(Feature::Uts, "setting the host name", e))?;
    }
    if let Some(processes) = processes {
        if birth.prepared && start.prepared.is_none() {
            sys::own_mounts().map_err(|e| Failure::of(Feature::Mount, "making its mount namespace", e))?;
        }
        root::enter(&start.spawn.tree, processes?, start.prepared.as_ref())?;
    }
    let null = File::open("/dev/null").map_err(|e| Failure::fatal("opening /dev/null", e))?;
    rustix::stdio::dup2_stdin(&null).map_err(|e| Failure::fatal("setting standard input", e))?;
    rustix::stdio::dup2_stdout(&start.stdout).map_err(|e| Failure::fatal("setting standard output", e))?;
    rustix::stdio::dup2_stderr(&start.stderr).map_err(|e| Failure::fatal("setting standard error", e))?;
    start_server(&start)
}

/// Does what needs no order.
fn settle(birth: &Birth<'_>) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| Failure::fatal("tying the instance to the launcher", e))?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    // A host without /proc has no such preference; the instance is no worse isolated for it.
    let _ = fs::write("/proc/self/oom_score_adj", FIRST_TO_DIE);
    if birth.privileged {
        rustix::thread::set_thread_groups(&[]).map_err(|e| Failure::fatal("dropping groups", e))?;
    } else if birth.has(Feature::User) {
        map_own_user(birth.host)?;
    }
    for (feature, mut join) in birth.joins.iter().map(|(feature, join)| (*feature, join)) {
        join.write_all(b"0").map_err(|e| Failure::of(feature, "entering its cgroup", e))?;
    }
    if *birth.network == Network::Loopback && birth.has(Feature::Network) {
        sys::loopback_up().map_err(|e| Failure::of(Feature::Network, "switching its loopback interface on", e))?;
    }
    // What the launcher watches and closes meanwhile must not stay open here.
    sys::close_all_but(&[birth.order.as_fd(), birth.report.as_fd()]);
    Ok(())
}

/// Waits until it is known what this process is for. Nothing else is left to do if that never comes.
fn wait_for_order<'a>(birth: &'a Birth<'a>) -> Result<Start<'a>, Failure> {
    let failed = |e: io::Error| Failure::fatal("waiting for what to start", e);
    let order = protocol::wait(birth.order, &mut vec![0; MAX_PACKET]).map_err(failed)?;
    let Some((spawn, fds)) = order else { sys::exit_now(0) };
    let mut fds = fds.into_iter();
    let (Some(stdout), Some(stderr)) = (fds.next(), fds.next()) else {
        return Err(Failure { feature: None, why: "its outputs did not arrive".to_owned() });
    };
    Ok(Start { birth, spawn, stdout, stderr, prepared: fds.next() })
}

/// Starts the second process and watches over it until it ends.
fn start_server(start: &Start<'_>) -> Result<Infallible, Failure> {
    // Closed by the kernel when the program starts; a message in it means that it did not.
    let (outcome, tell_outcome) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Failure::fatal("making a pipe", e))?;
    let mut become_server = || {
        let failure = match catch_unwind(AssertUnwindSafe(|| server(start))) {
            Ok(Ok(())) => return 0,
            Ok(Err(failure)) => failure,
            Err(_) => Failure { feature: None, why: "its server's process panicked".to_owned() },
        };
        tell(&tell_outcome, &Progress::Failed(failure));
        127
    };
    let server = sys::run_beside(start.birth.single, &mut become_server)
        .map_err(|e| Failure::fatal("starting the server's process", e))?;
    drop(tell_outcome);
    let mut message = Vec::new();
    File::from(outcome).read_to_end(&mut message).map_err(|e| Failure::fatal("waiting for the start", e))?;
    if let Ok(Progress::Failed(failure)) = serde_json::from_slice(&message) {
        return Err(failure);
    }
    if start.birth.privileged && start.has(Feature::User) {
        become_user(start.spawn.owner)?;
    }
    watch_over(start, server)
}

/// Gives up this process's own rights, says that the server runs, and waits for its end.
fn watch_over(start: &Start<'_>, server: Pid) -> Result<Infallible, Failure> {
    if start.has(Feature::NoCapabilities) {
        privileges::drop_capabilities()?;
    }
    // A change of user clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| Failure::fatal("tying the instance to the launcher", e))?;
    if !tell(start.birth.report, &Progress::Started) {
        // The launcher ended before the line above could tie this process to it.
        sys::exit_now(1);
    }
    sys::close_all_but(&[start.birth.report.as_fd()]);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == server => {
                // Without a process namespace this is what ends the server's own children.
                let _ = rustix::process::kill_process_group(server, Signal::KILL);
                tell(start.birth.report, &Progress::Ended(ended(status)));
                sys::exit_now(0);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::fatal("waiting for the server", error)),
        }
    }
}

fn ended(status: WaitStatus) -> Ended {
    match status.terminating_signal() {
        Some(signal) => Ended::Signal(signal),
        None => Ended::Code(status.exit_status().unwrap_or(0)),
    }
}

/// The second process: becomes its user, gives up all rights and becomes the program.
fn server(start: &Start<'_>) -> Result<(), Failure> {
    if start.birth.privileged {
        let own_user = start.has(Feature::User);
        if own_user {
            privileges::keep_over_change_of_user()?;
        }
        become_user(start.spawn.owner)?;
        if own_user {
            privileges::enter_user_namespace()?;
            map_own_user((start.spawn.owner, start.spawn.owner))?;
        }
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| Failure::fatal("tying the server to its first process", e))?;
    rustix::process::setsid().map_err(|e| Failure::fatal("starting a session", e))?;
    if start.spawn.background {
        // A host that forbids it lets the build compete; nothing else is worse for it.
        let _ = rustix::process::nice(BACKGROUND);
    }
    privileges::limit_process(&start.spawn.limits, start.birth.count_processes)?;
    if start.has(Feature::NoCapabilities) {
        privileges::drop_capabilities()?;
    }
    if start.has(Feature::NoNewPrivs) {
        privileges::no_new_privileges()?;
    }
    if start.has(Feature::Landlock) {
        landlock::restrict(&start.spawn.tree, start.birth.features)?;
    }
    if start.spawn.only_try {
        return filter_calls(start);
    }
    rustix::process::chdir(&start.spawn.cwd)
        .map_err(|e| Failure::fatal(format!("entering {}", start.spawn.cwd.display()), e))?;
    let [program, arguments @ ..] = start.spawn.argv.as_slice() else {
        return Err(Failure { feature: None, why: "no program is given".to_owned() });
    };
    sys::default_group_signals();
    sys::close_on_start();
    let env = start.spawn.env.iter().map(|(name, value)| (name, value));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env);
    // Last: what comes before it may need calls that the program may not make.
    filter_calls(start)?;
    let error = command.exec();
    Err(Failure::fatal(format!("starting {program}"), error))
}

fn filter_calls(start: &Start<'_>) -> Result<(), Failure> {
    match start.birth.filter {
        Some(filter) if start.has(Feature::Seccomp) => filter.apply(&start.spawn.also),
        _ => Ok(()),
    }
}

fn become_user(id: u32) -> Result<(), Failure> {
    let failed = |e: rustix::io::Errno| Failure::of(Feature::User, format!("becoming user {id}"), e);
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed)
}

/// Maps the user namespace this process is in to its host user: it may map itself, after giving up the right to change
/// groups.
fn map_own_user((uid, gid): (u32, u32)) -> Result<(), Failure> {
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{INSIDE_ID} {uid} 1")),
        ("gid_map", format!("{INSIDE_ID} {gid} 1")),
    ];
    for (file, content) in maps {
        fs::write(Path::new("/proc/self").join(file), content)
            .map_err(|e| Failure::of(Feature::User, format!("writing {file}"), e))?;
    }
    Ok(())
}

/// Writes one line; says whether anyone is there to read it.
fn tell(report: &OwnedFd, progress: &Progress) -> bool {
    let Ok(mut line) = serde_json::to_vec(progress) else { return false };
    line.push(b'\n');
    rustix::io::write(report, &line).is_ok()
}
