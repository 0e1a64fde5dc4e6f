//! The launcher's loop: requests from the platform on one side, news of its instances on the other.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroup::Group;
use super::first::{First, is_readable, reap};
use super::spawn::Abilities;
use crate::isolation::Feature;
use crate::protocol::{self, Ended, MAX_PACKET, Progress, Reply, Request, Spawn};

/// Data of the control socket's epoll event; instances count from 1.
const CONTROL: u64 = 0;
/// Set in the epoll data of an instance's process, clear in that of its report.
const PROCESS: u64 = 1 << 63;
/// Events taken at once.
const EVENTS: usize = 64;
/// How often a cgroup that could not be removed yet is tried again.
const REMOVE_AGAIN: Duration = Duration::from_millis(50);
/// Longest time spent on removing cgroups after the platform is gone.
const LAST_REMOVAL: Duration = Duration::from_secs(2);

struct Instance {
    first: First,
    /// Its server, for signals to it alone; known once it runs.
    server: Option<(rustix::process::Pid, OwnedFd)>,
    lines: Vec<u8>,
    running: bool,
    failure: Option<String>,
    ended: Option<Ended>,
}

pub(super) struct Launcher {
    control: OwnedFd,
    abilities: Abilities,
    epoll: OwnedFd,
    instances: HashMap<u64, Instance>,
    /// Groups that were still busy when their instance ended.
    leftover: Vec<Group>,
}

impl Launcher {
    pub(super) fn new(control: OwnedFd, abilities: Abilities) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        Ok(Self { control, abilities, epoll, instances: HashMap::new(), leftover: Vec::new() })
    }

    /// Serves until the platform is gone, then ends everything.
    pub(super) fn run(mut self) -> io::Result<()> {
        let result = self.serve();
        self.end_all();
        result
    }

    fn serve(&mut self) -> io::Result<()> {
        protocol::send(&self.control, &Reply::Hello(self.abilities.report().clone()), &[])?;
        let mut buffer = vec![0; MAX_PACKET];
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let timeout = (!self.leftover.is_empty()).then(|| timespec(REMOVE_AGAIN));
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.leftover.retain_mut(|group| !group.remove());
            for event in &events {
                match event.data.u64() {
                    CONTROL => {
                        if !self.take_requests(&mut buffer)? {
                            return Ok(());
                        }
                    }
                    data if data & PROCESS == 0 => self.read_report(data)?,
                    data => self.finish(data & !PROCESS)?,
                }
            }
        }
    }

    /// Takes all requests there are. `false` when the platform is gone.
    fn take_requests(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match protocol::receive(&self.control, buffer) {
                Ok(Some((request, fds))) => self.take(request, fds)?,
                Ok(None) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, request: Request, fds: Vec<OwnedFd>) -> io::Result<()> {
        match request {
            Request::Spawn(spawn) => {
                let id = spawn.id;
                if let Err(why) = self.spawn(&spawn, fds) {
                    protocol::send(&self.control, &Reply::SpawnFailed { id, why }, &[])?;
                }
            }
            Request::Ask { id } => {
                // Not there, or not running yet: the platform's next word is Kill.
                if let Some((_, server)) = self.instances.get(&id).and_then(|instance| instance.server.as_ref()) {
                    let _ = pidfd_send_signal(server, Signal::TERM);
                }
            }
            Request::Kill { id } => {
                if let Some(instance) = self.instances.get(&id) {
                    instance.kill();
                }
            }
        }
        Ok(())
    }

    fn spawn(&mut self, spawn: &Spawn, fds: Vec<OwnedFd>) -> Result<(), String> {
        let [stdout, stderr] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| "its outputs did not arrive".to_owned())?;
        let id = spawn.id;
        let first =
            self.abilities.start(spawn, &stdout, &stderr).map_err(|e| format!("no process could be made: {e}"))?;
        let watch = |fd: &OwnedFd, data: u64| {
            epoll::add(&self.epoll, fd, epoll::EventData::new_u64(data), epoll::EventFlags::IN)
        };
        if let Err(error) = watch(&first.report, id).and_then(|()| watch(&first.pidfd, id | PROCESS)) {
            self.leftover.extend(first.end());
            return Err(format!("it could not be watched: {error}"));
        }
        let instance = Instance { first, server: None, lines: Vec::new(), running: false, failure: None, ended: None };
        self.instances.insert(id, instance);
        Ok(())
    }

    fn read_report(&mut self, id: u64) -> io::Result<()> {
        let Some(instance) = self.instances.get_mut(&id) else { return Ok(()) };
        let mut chunk = [0; 4096];
        match rustix::io::read(&instance.first.report, &mut chunk) {
            // Its end is told by its process; without this the closed pipe would wake the loop until then.
            Ok(0) | Err(_) => {
                let _ = epoll::delete(&self.epoll, &instance.first.report);
            }
            Ok(read) => instance.lines.extend_from_slice(&chunk[..read]),
        }
        if instance.take_lines() {
            let reply = Reply::Spawned {
                id,
                pid: instance.find_server(),
                isolation: instance.first.isolation.clone(),
                notes: std::mem::take(&mut instance.first.notes),
            };
            protocol::send(&self.control, &reply, &[])?;
            self.leftover.extend(self.abilities.get_ready(&instance.first.limits, &instance.first.network));
        }
        Ok(())
    }

    /// The first process of an instance is gone, and with it all others.
    fn finish(&mut self, id: u64) -> io::Result<()> {
        // What it said last may not have been read yet.
        while self.instances.get(&id).is_some_and(|instance| is_readable(&instance.first.report)) {
            let before = self.instances.get(&id).map(|instance| instance.lines.len());
            self.read_report(id)?;
            if before == self.instances.get(&id).map(|instance| instance.lines.len()) {
                break;
            }
        }
        let Some(mut instance) = self.instances.remove(&id) else { return Ok(()) };
        for fd in [&instance.first.report, &instance.first.pidfd] {
            // Closing is not enough while a process that was just made has it open too.
            let _ = epoll::delete(&self.epoll, fd);
        }
        reap(&instance.first.pidfd);
        instance.kill_stragglers();
        let over_memory = instance.first.group.ran_out_of_memory();
        let ended = match instance.ended.take() {
            Some(Ended::Signal(9)) | None if over_memory => Ended::OverMemory(instance.first.limits.memory),
            Some(ended) => ended,
            None => Ended::Signal(9),
        };
        if !instance.first.group.remove() {
            self.leftover.push(std::mem::take(&mut instance.first.group));
        }
        let reply = match (instance.running, instance.failure.take()) {
            (true, _) => Reply::Exited { id, ended },
            (false, Some(why)) => Reply::SpawnFailed { id, why },
            (false, None) => Reply::SpawnFailed { id, why: format!("it was {ended} while it was started") },
        };
        protocol::send(&self.control, &reply, &[])
    }

    /// Ends every instance. Nothing survives the platform.
    fn end_all(&mut self) {
        for instance in self.instances.values() {
            instance.kill();
        }
        for (_, instance) in self.instances.drain() {
            reap(&instance.first.pidfd);
            instance.kill_stragglers();
            self.leftover.push(instance.first.group);
        }
        self.leftover.extend(self.abilities.clear());
        let deadline = Instant::now() + LAST_REMOVAL;
        loop {
            self.leftover.retain_mut(|group| !group.remove());
            if self.leftover.is_empty() || Instant::now() > deadline {
                return;
            }
            let _ = rustix::event::poll(&mut [], Some(&timespec(REMOVE_AGAIN)));
        }
    }
}

impl Instance {
    fn kill(&self) {
        let _ = pidfd_send_signal(&self.first.pidfd, Signal::KILL);
        self.kill_stragglers();
    }

    /// Ends what a process namespace would have ended.
    fn kill_stragglers(&self) {
        if self.first.isolation.contains(&Feature::Pid) {
            return;
        }
        if let Some((server, _)) = &self.server {
            let _ = rustix::process::kill_process_group(*server, Signal::KILL);
        }
        self.first.group.kill();
    }

    /// Reads the complete lines. Says whether one of them was that the instance runs.
    fn take_lines(&mut self) -> bool {
        let mut started = false;
        while let Some(end) = self.lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.lines.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Progress::Started) => (self.running, started) = (true, true),
                Ok(Progress::Failed(failure)) => self.failure = Some(failure.why),
                Ok(Progress::Ended(ended)) => self.ended = Some(ended),
                Err(_) => {}
            }
        }
        started
    }

    /// The host's process id of the server: the only child of the first process when it starts.
    fn find_server(&mut self) -> u32 {
        let init = self.first.pid.as_raw_pid();
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
        let child =
            children.split_whitespace().next().and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?));
        if let Some(child) = child {
            self.server = pidfd_open(child, PidfdFlags::empty()).ok().map(|pidfd| (child, pidfd));
        }
        child.unwrap_or(self.first.pid).as_raw_pid().unsigned_abs()
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}
