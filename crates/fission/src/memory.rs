//! How much memory this machine has left, as Linux tells it: of the whole machine, and of the control group the platform
//! runs in, where that is limited.

use std::fs;
use std::path::{Path, PathBuf};

use fission_executor::room::Memory;

/// The part of the memory that stays free unless told otherwise.
const RESERVED_PART: u64 = 10;

/// The memory of this machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineMemory {
    root: PathBuf,
    /// Folder of the control group that limits the platform's memory, and whether it is one of version 2.
    group: Option<(PathBuf, bool)>,
}

impl MachineMemory {
    /// Looks where the limits of this process are.
    pub(crate) fn find() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let folder = |prefix: &str, line: &str| {
            let path = line.rsplit(':').next().unwrap_or("/").trim_start_matches('/').to_owned();
            let nested = root.join(prefix).join(path);
            // In a container the path is often that of the host, and the group itself is what is mounted.
            if nested.is_dir() { nested } else { root.join(prefix) }
        };
        let one = own
            .lines()
            .find(|line| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|n| n == "memory")));
        let two = own.lines().find(|line| line.starts_with("0::"));
        let group = match (one, two) {
            (Some(line), _) => Some((folder("sys/fs/cgroup/memory", line), false)),
            (None, Some(line)) => Some((folder("sys/fs/cgroup", line), true)),
            (None, None) => None,
        };
        Self { root: root.to_owned(), group }
    }

    /// Bytes that stay free unless told otherwise.
    pub(crate) fn default_reserve(&self) -> u64 {
        let machine = self.of_machine("MemTotal:").unwrap_or_default();
        let total = self.limit().map_or(machine, |limit| limit.min(machine));
        total / RESERVED_PART
    }

    fn of_machine(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib << 10)
    }

    fn limit(&self) -> Option<u64> {
        let (folder, unified) = self.group.as_ref()?;
        // `max`, and the largest number of version 1, mean that there is none.
        number(&folder.join(if *unified { "memory.max" } else { "memory.limit_in_bytes" }))
            .filter(|limit| *limit < 1 << 60)
    }

    /// Bytes left of the group's limit. Files it read can be dropped, so they do not count as used.
    fn of_group(&self) -> Option<u64> {
        let (folder, unified) = self.group.as_ref()?;
        let limit = self.limit()?;
        let used = number(&folder.join(if *unified { "memory.current" } else { "memory.usage_in_bytes" }))?;
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let wanted = if *unified { "inactive_file " } else { "total_inactive_file " };
        let files = stat.lines().find_map(|line| line.strip_prefix(wanted)?.trim().parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(files)))
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

impl Memory for MachineMemory {
    fn available(&self) -> Option<u64> {
        match (self.of_machine("MemAvailable:"), self.of_group()) {
            (Some(machine), Some(group)) => Some(machine.min(group)),
            (machine, group) => machine.or(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, MachineMemory) {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let memory = MachineMemory::below(root.path());
        (root, memory)
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\n");

    #[test]
    fn without_a_limited_group_the_machine_counts() {
        let (_root, memory) =
            host(&[MEMINFO, ("proc/self/cgroup", "0::/app\n"), ("sys/fs/cgroup/app/memory.max", "max\n")]);
        assert_eq!((memory.available(), memory.default_reserve()), (Some(600 << 10), 100 << 10));
    }

    #[test]
    fn a_group_of_either_version_limits_what_is_left() {
        for (own, folder, files) in [
            ("0::/app\n", "sys/fs/cgroup/app", ["memory.max", "memory.current", "inactive_file 20480"]),
            (
                "4:cpu:/x\n7:memory:/app\n",
                "sys/fs/cgroup/memory/app",
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file 20480"],
            ),
            ("0::/on/the/host\n", "sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file 20480"]),
        ] {
            let at = |name: &str| format!("{folder}/{name}");
            let (_root, memory) = host(&[
                MEMINFO,
                ("proc/self/cgroup", own),
                (&at(files[0]), "204800\n"),
                (&at(files[1]), "102400\n"),
                (&at("memory.stat"), files[2]),
            ]);
            assert_eq!(memory.available(), Some(204_800 - 102_400 + 20_480), "{own}");
            assert_eq!(memory.default_reserve(), 20_480);
        }
    }

    #[test]
    fn a_host_that_tells_nothing_has_no_known_limit() {
        let (_root, memory) = host(&[]);
        assert_eq!(memory.available(), None);
    }

    #[test]
    fn this_machine_tells_something_sensible() {
        let memory = MachineMemory::find();
        assert!(memory.available().is_some_and(|available| available > 1 << 20), "{memory:?}");
    }
}
