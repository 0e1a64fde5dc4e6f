//! What isolates an instance from the host and from other instances, and what of it this host allows.

use fission_api::{Network, labels};
use fission_environments::Listen;
use serde::{Deserialize, Serialize};

use crate::protocol::Limits;

/// One thing that isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// A user namespace: the instance's user is nobody on the host (made by root), or has no rights beyond the
    /// platform's own user (made without root).
    User,
    /// A process namespace: the instance sees and signals only its own processes, and all end with it.
    Pid,
    /// A mount namespace.
    Mount,
    /// A root directory with only what a function needs: the host's programs and libraries read-only, a private `/tmp`.
    PrivateFiles,
    /// A `/proc` that shows only the instance's processes.
    Proc,
    /// No shared memory or message queues in common with the host.
    Ipc,
    /// A host name of its own.
    Uts,
    /// Set-user-id programs give nothing.
    NoNewPrivs,
    /// No capabilities, and no way to get one.
    NoCapabilities,
    /// System calls are an allow-list.
    Seccomp,
    /// What may be written is written down a second time, for a kernel that finds a way around mounts.
    Landlock,
    /// No signals to processes outside the instance, and no abstract unix sockets of theirs: by Landlock too, from
    /// Linux 6.12 on.
    Scopes,
    /// A network of its own, for instances that ask for one.
    Network,
    /// Addresses that give away credentials of the machine in a cloud are refused, and so is all that an instance with an
    /// allow-list does not list.
    Egress,
    /// A limit on the memory of the whole instance, private `/tmp` included.
    MemoryLimit,
    /// A limit on the number of processes and threads.
    PidsLimit,
    /// A limit on processor time, where one is declared.
    CpuLimit,
    /// A limit on reading and writing of disks.
    IoLimit,
}

impl Feature {
    /// Every one, in the order they are told.
    pub const ALL: [Feature; 18] = [
        Feature::User,
        Feature::Pid,
        Feature::Mount,
        Feature::PrivateFiles,
        Feature::Proc,
        Feature::Ipc,
        Feature::Uts,
        Feature::NoNewPrivs,
        Feature::NoCapabilities,
        Feature::Seccomp,
        Feature::Landlock,
        Feature::Scopes,
        Feature::Network,
        Feature::Egress,
        Feature::MemoryLimit,
        Feature::PidsLimit,
        Feature::CpuLimit,
        Feature::IoLimit,
    ];

    /// The one with a word.
    pub fn of_word(word: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.word() == word)
    }

    /// Its word in reports: `user`, `private-files`, `memory-limit`.
    pub fn word(self) -> &'static str {
        match self {
            Feature::User => "user",
            Feature::Pid => "pid",
            Feature::Mount => "mount",
            Feature::PrivateFiles => "private-files",
            Feature::Proc => "proc",
            Feature::Ipc => "ipc",
            Feature::Uts => "uts",
            Feature::NoNewPrivs => "no-new-privs",
            Feature::NoCapabilities => "no-capabilities",
            Feature::Seccomp => "seccomp",
            Feature::Landlock => "landlock",
            Feature::Scopes => "scopes",
            Feature::Network => "network",
            Feature::Egress => "egress",
            Feature::MemoryLimit => "memory-limit",
            Feature::PidsLimit => "pids-limit",
            Feature::CpuLimit => "cpu-limit",
            Feature::IoLimit => "io-limit",
        }
    }
}

/// Whether a feature works here, found out by trying it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// Which.
    pub feature: Feature,
    /// `None` when it works; else why not, for people.
    pub missing: Option<String>,
}

/// What isolates instances on this host. Each line was tried, not assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationReport {
    /// Whether the platform has the rights of root, so that instances run as users that own nothing on this host.
    pub privileged: bool,
    /// One line for each of [`Feature::ALL`].
    pub features: Vec<FeatureReport>,
}

impl IsolationReport {
    /// Whether a feature works here.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.iter().any(|report| report.feature == feature && report.missing.is_none())
    }

    /// Why a feature is missing here; `None` when it is not.
    pub fn missing(&self, feature: Feature) -> Option<&str> {
        self.features.iter().find(|report| report.feature == feature)?.missing.as_deref()
    }

    pub(crate) fn remove(&mut self, feature: Feature, why: &str) {
        for report in &mut self.features {
            if report.feature == feature && report.missing.is_none() {
                report.missing = Some(why.to_owned());
            }
        }
    }
}

/// What an instance should be isolated by and is not: feature and reason. A limit nothing declares concerns no one, and an
/// instance with a network of its own has no addresses to be kept from.
pub(crate) fn missing_of(
    applied: &[Feature],
    report: &IsolationReport,
    network: &Network,
    limits: &Limits,
) -> Vec<(Feature, String)> {
    let own_network = matches!(network, Network::Loopback | Network::None);
    let concerns = |feature: &Feature| match feature {
        Feature::CpuLimit => limits.cpu_millis.is_some(),
        Feature::Network => own_network,
        Feature::Egress => !own_network,
        _ => true,
    };
    let missing = Feature::ALL.into_iter().filter(concerns).filter(|feature| !applied.contains(feature));
    let why = |feature| report.missing(feature).unwrap_or("it could not be set for this instance").to_owned();
    missing.map(|feature| (feature, why(feature))).collect()
}

/// The first of what is missing that is required, for the user.
pub(crate) fn refusal(required: &[Feature], missing: &[(Feature, String)]) -> Option<String> {
    let (feature, why) = missing.iter().find(|(feature, _)| required.contains(feature))?;
    Some(format!("would not be isolated by {}, which --require-isolation asks for: {why}", feature.word()))
}

/// Whether an instance can have just the network it asks for; what it asks for is kept or the instance refused. The error
/// is for the user.
pub(crate) fn may_have_network(network: &Network, report: &IsolationReport, listen: Listen) -> Result<(), String> {
    let asked = format!("the function asks for {}: {}", labels::NETWORK, network.word());
    let needed = match network {
        Network::Host => return Ok(()),
        Network::AllowList(_) => Feature::Egress,
        Network::Loopback | Network::None if listen == Listen::Tcp => {
            return Err(format!(
                "{asked}, and the environment's server listens on TCP, where no request would reach it; use an \
                 environment whose server listens on a unix socket (listen = \"unix\"), or an allow-list"
            ));
        }
        Network::Loopback | Network::None => Feature::Network,
    };
    match report.missing(needed) {
        None => Ok(()),
        Some(why) => Err(format!(
            "{asked}, which cannot be kept on this machine: {why}; remove the annotation to run it without, or run the \
             platform where `fission check` lists {}",
            needed.word()
        )),
    }
}
