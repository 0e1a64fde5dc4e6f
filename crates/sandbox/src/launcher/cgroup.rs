//! Memory, process, processor and disk limits by cgroups, version 1 and 2, by plain file writes.
//!
//! Each instance gets one group a hierarchy, `fission-<launcher>-<number>`, below the launcher's own group where that
//! may be written, so that limits set on the platform as a whole hold for its instances too.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use fission_api::Network;

use super::disks::Disks;
use super::egress::Egress;
use crate::isolation::Feature;
use crate::protocol::Limits;

/// First part of the names of our groups.
pub(super) const PREFIX: &str = "fission-";
/// Microseconds over which a processor limit is kept: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// Where groups with one controller can be made, and in which dialect.
#[derive(Clone, Debug)]
struct Controller {
    feature: Feature,
    base: PathBuf,
    unified: bool,
}

/// The hierarchies groups can be made in.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    controllers: Vec<Controller>,
    disks: Disks,
    /// Groups made so far: a part of their names.
    made: u64,
}

/// Groups of one instance.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) group: Group,
    /// The limits that are set.
    pub(super) limited: Vec<Feature>,
    /// Why others are not, for people.
    pub(super) notes: Vec<String>,
}

/// The groups of one instance.
#[derive(Debug, Default)]
pub(super) struct Group {
    name: String,
    directories: Vec<PathBuf>,
    memory: Option<PathBuf>,
    /// The one of the unified hierarchy, if any, and what it is for: a process can be in one only.
    unified: Option<(Feature, PathBuf)>,
    /// Files through which a process enters, and which limit that is for.
    pub(super) joins: Vec<(Feature, File)>,
}

/// What keeps each limit, by its name in the unified hierarchy.
const CONTROLLERS: [(Feature, &str); 4] = [
    (Feature::MemoryLimit, "memory"),
    (Feature::PidsLimit, "pids"),
    (Feature::CpuLimit, "cpu"),
    (Feature::IoLimit, "io"),
];

impl Cgroups {
    /// Looks where groups can be made. Gives the reason for each limit that cannot be set.
    pub(super) fn detect() -> (Self, Vec<(Feature, String)>) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let (mut found, mut missing) = (Self { disks: Disks::find(), ..Self::default() }, Vec::new());
        for (feature, name) in CONTROLLERS {
            match find(&mounts, &own, name) {
                Ok((base, unified)) => found.controllers.push(Controller { feature, base, unified }),
                Err(why) => missing.push((feature, why)),
            }
        }
        (found, missing)
    }

    /// Removes what launchers that are gone left behind, with the processes in it. `also`: where else groups are made.
    pub(super) fn remove_stale(&self, also: Option<&Path>) {
        for base in self.controllers.iter().map(|controller| controller.base.as_path()).chain(also) {
            for entry in fs::read_dir(base).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let launcher =
                    name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
                let Some(launcher) = launcher.and_then(Pid::from_raw) else { continue };
                if rustix::process::test_kill_process(launcher) == Err(rustix::io::Errno::SRCH) {
                    kill_members(&entry.path());
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }

    /// Makes no more groups for a limit that turned out not to work. Says whether it was made until now.
    pub(super) fn forget(&mut self, feature: Feature) -> bool {
        let before = self.controllers.len();
        self.controllers.retain(|controller| controller.feature != feature);
        self.controllers.len() < before
    }

    /// Makes the groups of one instance.
    pub(super) fn make(&mut self, limits: &Limits) -> Made {
        self.made += 1;
        let name = format!("{PREFIX}{}-{}", rustix::process::getpid().as_raw_pid(), self.made);
        let group = Group { name, ..Group::default() };
        let mut made = Made { group, limited: Vec::new(), notes: Vec::new() };
        for controller in &self.controllers {
            if controller.feature == Feature::CpuLimit && limits.cpu_millis.is_none() {
                continue;
            }
            let directory = controller.base.join(&made.group.name);
            let limited = controller
                .make(&directory, &mut made.group)
                .and_then(|()| controller.limit(&directory, limits, &self.disks, &mut made.group));
            match limited {
                Ok(()) => made.limited.push(controller.feature),
                Err(error) => {
                    made.notes.push(format!("no {}: {}: {error}", controller.feature.word(), directory.display()));
                }
            }
        }
        made
    }
}

impl Controller {
    /// Makes the group in this hierarchy, if no other controller's is the same.
    fn make(&self, directory: &Path, group: &mut Group) -> io::Result<()> {
        if group.directories.iter().any(|made| made == directory) {
            return Ok(());
        }
        fs::create_dir(directory)?;
        group.directories.push(directory.to_owned());
        if self.unified {
            group.unified = Some((self.feature, directory.to_owned()));
        } else {
            // Moves the writing thread without stopping every fork of the machine, as `cgroup.procs` does.
            let join = OpenOptions::new().write(true).open(directory.join("tasks"))?;
            group.joins.push((self.feature, join));
        }
        Ok(())
    }

    fn limit(&self, directory: &Path, limits: &Limits, disks: &Disks, group: &mut Group) -> io::Result<()> {
        let set = |file: &str, value: String| fs::write(directory.join(file), value);
        match (self.feature, self.unified) {
            (Feature::MemoryLimit, true) => {
                set("memory.max", limits.memory.to_string())?;
                // Absent without swap, or before Linux 4.19: then there is nothing to limit or to group.
                let _ = set("memory.swap.max", "0".to_owned());
                let _ = set("memory.oom.group", "1".to_owned());
                group.memory = Some(directory.join("memory.events"));
            }
            (Feature::MemoryLimit, false) => {
                set("memory.limit_in_bytes", limits.memory.to_string())?;
                // Absent where the kernel does not account for swap.
                let _ = set("memory.memsw.limit_in_bytes", limits.memory.to_string());
                group.memory = Some(directory.join("memory.oom_control"));
            }
            (Feature::PidsLimit, _) => set("pids.max", limits.pids.to_string())?,
            (Feature::IoLimit, unified) => disks.limit(directory, unified)?,
            _ => {
                let quota = u64::from(limits.cpu_millis.unwrap_or(1000)) * CPU_PERIOD_US / 1000;
                if self.unified {
                    set("cpu.max", format!("{quota} {CPU_PERIOD_US}"))?;
                } else {
                    set("cpu.cfs_period_us", CPU_PERIOD_US.to_string())?;
                    set("cpu.cfs_quota_us", quota.to_string())?;
                }
            }
        }
        Ok(())
    }
}

impl Group {
    /// Has the instance enter a group that keeps it from addresses.
    pub(super) fn keep_from_addresses(&mut self, egress: &Egress, network: &Network) -> io::Result<()> {
        let own = self.unified.as_ref().map(|(_, own)| own.clone());
        let directory = match (network, own) {
            (Network::AllowList(listed), Some(own)) => egress.only(listed, &own).map(|()| own),
            (Network::AllowList(listed), None) => {
                let directory = egress.base().join(&self.name);
                fs::create_dir(&directory)?;
                self.directories.push(directory.clone());
                egress.only(listed, &directory).map(|()| directory)
            }
            (_, Some(own)) => egress.usual(&own).map(|()| own),
            (_, None) => Ok(egress.shared().to_owned()),
        }?;
        self.unified = Some((Feature::Egress, directory));
        Ok(())
    }

    /// The unified group, for a process that is born in it.
    pub(super) fn birthplace(&self) -> Option<File> {
        self.unified.as_ref().and_then(|(_, directory)| File::open(directory).ok())
    }

    /// The process will move into its unified group, since it cannot be born there.
    pub(super) fn enter_unified(&mut self) -> io::Result<()> {
        if let Some((feature, directory)) = &self.unified {
            self.joins.push((*feature, OpenOptions::new().write(true).open(directory.join("cgroup.procs"))?));
        }
        Ok(())
    }

    /// Whether the kernel killed a process of the group for the group's memory limit.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = self.memory.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// Kills whatever is in the groups: processes that outlived their instance where it has no process namespace.
    pub(super) fn kill(&self) {
        for directory in &self.directories {
            kill_members(directory);
        }
    }

    /// Removes the groups. Says whether all are gone; the kernel keeps one for a moment after its last process.
    pub(super) fn remove(&mut self) -> bool {
        self.joins.clear();
        self.directories.retain(|directory| {
            let left = fs::remove_dir(directory);
            left.is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
        self.directories.is_empty()
    }
}

fn kill_members(directory: &Path) {
    let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Where groups with a controller can be made: (directory, unified hierarchy).
fn find(mounts: &str, own: &str, controller: &str) -> Result<(PathBuf, bool), String> {
    let mut why = Vec::new();
    for (mount, unified) in hierarchies(mounts, controller) {
        let own_group = own_group(own, controller, unified);
        for base in [mount.join(own_group.trim_start_matches('/')), mount.clone()] {
            match try_out(&base, controller, unified) {
                Ok(()) => return Ok((base, unified)),
                Err(error) => why.push(format!("{}: {error}", base.display())),
            }
        }
    }
    why.dedup();
    match &why[..] {
        [] => Err(format!("no cgroup hierarchy with the {controller} controller is mounted")),
        why => Err(why.join("; ")),
    }
}

/// A controller's name in version 1.
fn name_before(unified: &str) -> &str {
    if unified == "io" { "blkio" } else { unified }
}

/// Mounted hierarchies that may have a controller: (mount point, unified).
fn hierarchies(mounts: &str, controller: &str) -> Vec<(PathBuf, bool)> {
    let controller = name_before(controller);
    let mut found = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            [_, at, "cgroup2", ..] => found.push((PathBuf::from(at), true)),
            [_, at, "cgroup", options, ..] if options.split(',').any(|option| option == controller) => {
                found.push((PathBuf::from(at), false));
            }
            _ => {}
        }
    }
    found
}

/// The group of this process in a hierarchy, from `/proc/self/cgroup`.
pub(super) fn own_group<'a>(own: &'a str, controller: &str, unified: bool) -> &'a str {
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .find(|(names, _)| match unified {
            true => names.is_empty(),
            false => names.split(',').any(|name| name == name_before(controller)),
        })
        .map_or("/", |(_, path)| path)
}

/// Makes and removes a group, with the controller switched on where that is needed.
fn try_out(base: &Path, controller: &str, unified: bool) -> io::Result<()> {
    if unified {
        switch_on(base, controller)?;
    }
    let name = format!("{PREFIX}{}-try", rustix::process::getpid().as_raw_pid());
    let directory = base.join(name);
    fs::create_dir(&directory)?;
    let join = OpenOptions::new().write(true).open(directory.join("cgroup.procs")).map(drop);
    fs::remove_dir(&directory)?;
    join
}

/// Gives the children of a unified group a controller.
fn switch_on(base: &Path, controller: &str) -> io::Result<()> {
    let lists = |file: &str| -> io::Result<bool> {
        Ok(fs::read_to_string(base.join(file))?.split_whitespace().any(|name| name == controller))
    };
    if !lists("cgroup.controllers")? {
        return Err(io::Error::other(format!("the {controller} controller is not available here")));
    }
    if lists("cgroup.subtree_control")? {
        return Ok(());
    }
    let enable = || fs::write(base.join("cgroup.subtree_control"), format!("+{controller}"));
    match enable() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            move_platform_down(base)?;
            enable()
        }
        result => result,
    }
}

/// A unified group with processes in it cannot limit children. Where only the platform is in it (a service with a
/// delegated group), its processes move into a child.
fn move_platform_down(base: &Path) -> io::Result<()> {
    let own = [Some(rustix::process::getpid()), rustix::process::getppid()];
    let members = fs::read_to_string(base.join("cgroup.procs"))?;
    let strangers = members.lines().any(|line| {
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        pid.is_none() || !own.contains(&pid)
    });
    if strangers {
        return Err(io::Error::other("other processes share the platform's cgroup; start it in one of its own"));
    }
    let below = base.join("platform");
    fs::create_dir_all(&below)?;
    for pid in own.into_iter().flatten() {
        fs::write(below.join("cgroup.procs"), pid.as_raw_pid().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
