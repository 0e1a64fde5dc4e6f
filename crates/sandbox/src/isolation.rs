//! What isolates an instance from the host and from other instances, and what of it this host allows.

use serde::{Deserialize, Serialize};

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
    /// A limit on the memory of the whole instance, private `/tmp` included.
    MemoryLimit,
    /// A limit on the number of processes and threads.
    PidsLimit,
    /// A limit on processor time, where one is declared.
    CpuLimit,
}

impl Feature {
    /// Every one, in the order they are told.
    pub const ALL: [Feature; 15] = [
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
        Feature::MemoryLimit,
        Feature::PidsLimit,
        Feature::CpuLimit,
    ];

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
            Feature::MemoryLimit => "memory-limit",
            Feature::PidsLimit => "pids-limit",
            Feature::CpuLimit => "cpu-limit",
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

    pub(crate) fn remove(&mut self, feature: Feature, why: &str) {
        for report in &mut self.features {
            if report.feature == feature && report.missing.is_none() {
                report.missing = Some(why.to_owned());
            }
        }
    }
}
