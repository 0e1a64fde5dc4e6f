//! Starting one instance, and finding out at the start which isolation works here.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use fission_api::Network;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{CapabilitySet, capabilities};

use super::cgroup::{Cgroups, Group, Made};
use super::egress::Egress;
use super::first::{First, reap};
use super::init::{self, Birth};
use super::prepared::PreparedTrees;
use super::seccomp::Filter;

use crate::instance::{FIRST_OWNER, OWNERS_IN_ALL};
use crate::isolation::{Feature, FeatureReport, IsolationReport};
use crate::protocol::{Bind, Common, Failure, Limits, Progress, Spawn, Tree};
use crate::sys::{self, Copy, SingleThreaded, namespace};

/// Rights the platform needs to run instances as other users without a user namespace around everything.
const ROOT_RIGHTS: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_OVERRIDE);

/// Since this version Linux counts the processes of a user per user namespace, so that a limit on them is the
/// instance's own and not shared with everything else the platform's user runs.
const COUNTS_PER_NAMESPACE: (u32, u32) = (5, 14);

/// What this launcher can do.
pub(super) struct Abilities {
    single: SingleThreaded,
    cgroups: Cgroups,
    report: IsolationReport,
    /// Limits no cgroup can keep, and why.
    missing: Vec<(Feature, String)>,
    host: (u32, u32),
    count_processes: bool,
    /// `Err`: why there is none.
    filter: Result<Filter, String>,
    /// The same of what keeps instances from addresses.
    egress: Result<Egress, String>,
    /// Whether file trees may be prepared.
    prepares: bool,
    prepared: PreparedTrees,
    spare: Option<First>,
}

impl Abilities {
    /// Tries everything out.
    pub(super) fn find(single: SingleThreaded) -> io::Result<Self> {
        let rights = capabilities(None)?.effective;
        let root = rustix::process::geteuid().is_root() && rights.contains(ROOT_RIGHTS) && owners_exist();
        let (cgroups, missing) = Cgroups::detect();
        let egress = Egress::new();
        cgroups.remove_stale(egress.as_ref().ok().map(Egress::base));
        let mut abilities = Self {
            single,
            cgroups,
            report: IsolationReport { privileged: root, features: Vec::new() },
            host: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            missing,
            count_processes: false,
            filter: Filter::new(),
            egress,
            prepares: rights.contains(CapabilitySet::SYS_CHROOT),
            prepared: PreparedTrees::default(),
            spare: None,
        };
        abilities.try_out();
        if root && !abilities.report.has(Feature::PrivateFiles) {
            // Another user could not even reach its files; a user namespace of its own may still allow more.
            abilities.report.privileged = false;
            abilities.try_out();
        }
        Ok(abilities)
    }

    fn try_out(&mut self) {
        self.count_processes = false;
        self.report.features = Feature::ALL.map(|feature| FeatureReport { feature, missing: None }).to_vec();
        self.try_namespaces();
        if let Some(why) = self.filter.as_ref().err().cloned() {
            self.remove(Feature::Seccomp, &why);
        }
        if let Err(why) = &self.egress {
            self.report.remove(Feature::Egress, &format!("cloud metadata is not out of reach: {why}"));
        }
        for (feature, why) in self.missing.clone() {
            self.cgroup_missing(feature, &why);
        }
        self.try_together();
    }

    pub(super) fn report(&self) -> &IsolationReport {
        &self.report
    }

    /// Starts an instance. Returns before it runs: its [`Progress`] tells.
    pub(super) fn start(&mut self, spawn: &Spawn, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<First> {
        let mut first = match self.spare.take_if(|spare| spare.is_for(&spawn.limits, &spawn.network)) {
            Some(spare) => spare,
            None => self.first_process(&spawn.limits, &spawn.network)?,
        };
        let prepares = self.prepares(&first.isolation);
        let prepared = match prepares.then(|| self.prepared.of(&self.single, &spawn.tree)).transpose() {
            Ok(prepared) => prepared,
            // It builds its own then, and says which step fails if that fails too.
            Err(Failure { why, .. }) => {
                first.notes.push(format!("its file tree was not prepared: {why}"));
                None
            }
        };
        match first.start(spawn, [stdout, stderr], prepared) {
            Ok(()) => Ok(first),
            Err(error) => {
                first.end();
                Err(error)
            }
        }
    }

    /// Makes a process for an instance with these limits and this network, which waits to be told what to start.
    fn first_process(&mut self, limits: &Limits, network: &Network) -> io::Result<First> {
        let (report, tell) = pipe_with(PipeFlags::CLOEXEC)?;
        let (order, orders) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let Made { mut group, limited, mut notes } = self.cgroups.make(limits);
        let own_network = matches!(network, Network::Loopback | Network::None);
        let mut kept_from = false;
        if let (Ok(egress), true) = (&self.egress, self.report.has(Feature::Egress) && !own_network) {
            match group.keep_from_addresses(egress, network) {
                Ok(()) => kept_from = true,
                // It would reach what it must not; anything else is no worse off than where there is no such thing.
                Err(error) if *network != Network::Host => return Err(given_up(group, error)),
                Err(error) => notes.push(format!("no {}: {error}", Feature::Egress.word())),
            }
        }
        let isolation = self.isolating(&limited, own_network, kept_from);
        let mut born_in = group.birthplace();
        loop {
            let birth = Birth {
                features: &isolation,
                network,
                privileged: self.report.privileged,
                host: self.host,
                count_processes: self.count_processes,
                filter: self.filter.as_ref().ok(),
                prepared: self.prepares(&isolation),
                joins: &group.joins,
                order: &orders,
                report: &tell,
                single: &self.single,
            };
            match sys::copy(&self.single, birth.namespaces(), born_in.as_ref().map(AsFd::as_fd)) {
                Ok(Copy::Child) => init::run(&birth),
                Ok(Copy::Parent { pid, pidfd }) => {
                    let (limits, network) = (*limits, network.clone());
                    let order = Some(order);
                    return Ok(First { limits, network, pid, pidfd, order, report, group, isolation, notes });
                }
                // An older kernel, or a group no one is born in: then it moves there, and fails there by name.
                Err(error) => match born_in.take().map(|_| group.enter_unified()) {
                    Some(Ok(())) => {}
                    Some(Err(error)) => return Err(given_up(group, error)),
                    None => return Err(given_up(group, error)),
                },
            }
        }
    }

    /// Whether an instance with these features copies a prepared file tree.
    fn prepares(&self, isolation: &[Feature]) -> bool {
        self.prepares && self.report.privileged && isolation.contains(&Feature::PrivateFiles)
    }

    /// What isolates an instance. `limited`: what its cgroups limit.
    fn isolating(&self, limited: &[Feature], own_network: bool, kept_from_addresses: bool) -> Vec<Feature> {
        let isolates = |feature: &Feature| match feature {
            Feature::Network => own_network,
            Feature::Egress => kept_from_addresses,
            Feature::MemoryLimit | Feature::CpuLimit | Feature::IoLimit => limited.contains(feature),
            Feature::PidsLimit => self.count_processes || limited.contains(feature),
            _ => true,
        };
        Feature::ALL.into_iter().filter(|feature| self.report.has(*feature) && isolates(feature)).collect()
    }

    /// Has a spare first process wait for the next instance, which is likely to have the limits and the network of the last
    /// one. Gives the groups of the one it takes the place of, if they cannot be removed yet.
    pub(super) fn get_ready(&mut self, limits: &Limits, network: &Network) -> Option<Group> {
        if self.spare.as_ref().is_some_and(|spare| spare.is_for(limits, network)) {
            return None;
        }
        let left = self.clear();
        // The start of the next instance says why, if it fails again.
        self.spare = self.first_process(limits, network).ok();
        left
    }

    /// Ends the spare process. Gives its groups, if they cannot be removed yet.
    pub(super) fn clear(&mut self) -> Option<Group> {
        self.spare.take().and_then(First::end)
    }

    fn remove(&mut self, feature: Feature, why: &str) {
        self.report.remove(feature, why);
        let dependents: &[Feature] = match feature {
            Feature::Mount => &[Feature::PrivateFiles],
            Feature::Pid | Feature::PrivateFiles => &[Feature::Proc],
            Feature::Landlock => &[Feature::Scopes],
            // Without it there are sockets no program is asked about.
            Feature::Seccomp => &[Feature::Egress],
            _ => &[],
        };
        for dependent in dependents {
            self.remove(*dependent, &format!("needs {}: {why}", feature.word()));
        }
        // Root maps the server's user through the /proc of the instance's own process namespace.
        if feature == Feature::Proc && self.report.privileged {
            self.report.remove(Feature::User, &format!("needs {}: {why}", feature.word()));
        }
    }

    /// Makes each namespace alone, so that the report names the one that is forbidden.
    fn try_namespaces(&mut self) {
        let user = if self.report.privileged { 0 } else { namespace::USER };
        for (feature, flag) in [
            (Feature::User, namespace::USER),
            (Feature::Pid, namespace::PID | user),
            (Feature::Mount, namespace::MOUNT | user),
            (Feature::Ipc, namespace::IPC | user),
            (Feature::Uts, namespace::UTS | user),
            (Feature::Network, namespace::NET | user),
        ] {
            match sys::copy(&self.single, flag, None) {
                Ok(Copy::Child) => sys::exit_now(0),
                Ok(Copy::Parent { pidfd, .. }) => reap(&pidfd),
                Err(error) => self.remove(feature, &format!("the kernel refuses the namespace: {error}{}", hint())),
            }
        }
    }

    /// A limit no cgroup can keep. Processes can be counted without.
    fn cgroup_missing(&mut self, feature: Feature, why: &str) {
        if feature == Feature::PidsLimit && self.report.has(Feature::User) && kernel() >= COUNTS_PER_NAMESPACE {
            self.count_processes = true;
        } else {
            self.remove(feature, &format!("not limited: {why}"));
        }
    }

    /// Starts an instance of nothing again and again, leaving out what fails, until one comes up.
    fn try_together(&mut self) {
        for _ in Feature::ALL {
            let Err(failure) = self.try_once() else { return };
            match failure.feature {
                Some(feature) if self.cgroups.forget(feature) => {
                    self.missing.push((feature, failure.why.clone()));
                    self.cgroup_missing(feature, &failure.why);
                }
                Some(feature) if self.report.has(feature) => {
                    self.remove(feature, &format!("{}{}", failure.why, hint()));
                }
                _ => break,
            }
        }
        if let Err(failure) = self.try_once() {
            for feature in Feature::ALL {
                self.report.remove(feature, &failure.why);
            }
        }
    }

    /// With a network of its own, then with the machine's: each has a step the other has not.
    fn try_once(&mut self) -> Result<(), Failure> {
        self.try_with(Network::Loopback)?;
        self.try_with(Network::Host)
    }

    fn try_with(&mut self, network: Network) -> Result<(), Failure> {
        let null = fs::OpenOptions::new().write(true).open("/dev/null").map_err(|e| Failure::fatal("/dev/null", e))?;
        let null = OwnedFd::from(null);
        let mut started = self
            .start(&Spawn { network, ..nothing() }, &null, &null)
            .map_err(|e| Failure::of(Feature::User, "starting an instance", e))?;
        let mut lines = String::new();
        io::Read::read_to_string(&mut fs::File::from(started.report), &mut lines)
            .map_err(|e| Failure::fatal("trying the isolation out", e))?;
        reap(&started.pidfd);
        started.group.remove();
        let failed = lines.lines().find_map(|line| match serde_json::from_str(line) {
            Ok(Progress::Failed(failure)) => Some(failure),
            _ => None,
        });
        failed.map_or(Ok(()), Err)
    }
}

/// An instance that is like any other but starts no program.
fn nothing() -> Spawn {
    let bind = |path: &str, directory| Bind { source: path.into(), target: path.into(), directory };
    Spawn {
        id: 0,
        argv: Vec::new(),
        env: Vec::new(),
        cwd: PathBuf::from("/"),
        hostname: "try".to_owned(),
        tree: Tree {
            mount_point: PathBuf::from("/tmp"),
            common: Common {
                directories: ["/tmp", "/proc"].map(PathBuf::from).into(),
                read_only: vec![bind("/usr", true)],
                devices: vec![bind("/dev/null", false)],
                ..Common::default()
            },
            memory: vec![(PathBuf::from("/tmp"), 1 << 20)],
            ..Tree::default()
        },
        owner: FIRST_OWNER,
        limits: Limits { memory: 64 << 20, pids: 64, cpu_millis: Some(1000), open_files: 64, file_bytes: None },
        network: Network::Host,
        also: Vec::new(),
        background: false,
        only_try: true,
    }
}

/// Whether the host users instances run as can be had: in a container with few users they cannot.
fn owners_exist() -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].into_iter().all(|map| {
        fs::read_to_string(map).is_ok_and(|ranges| {
            ranges.lines().any(|range| {
                let mut numbers = range.split_whitespace().map_while(|number| number.parse::<u64>().ok());
                let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
                let (Some(first), Some(count)) = (first, count) else { return false };
                let (first_owner, owners) = (u64::from(FIRST_OWNER), u64::from(OWNERS_IN_ALL));
                first <= first_owner && first_owner + owners <= first + count
            })
        })
    })
}

/// Removes the groups of an instance that is not made.
fn given_up(mut group: Group, error: io::Error) -> io::Error {
    group.remove();
    error
}

/// A known reason for a refusal, as a clause to add to its message.
fn hint() -> &'static str {
    let forbids = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if forbids("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        " (AppArmor keeps user namespaces from ordinary users: run as root, or set \
         kernel.apparmor_restrict_unprivileged_userns=0)"
    } else if forbids("/proc/sys/user/max_user_namespaces", "0") {
        " (user namespaces are switched off: set user.max_user_namespaces)"
    } else if forbids("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        " (user namespaces are kept from ordinary users: run as root, or set kernel.unprivileged_userns_clone=1)"
    } else {
        ""
    }
}

/// Major and minor version of the running kernel.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
