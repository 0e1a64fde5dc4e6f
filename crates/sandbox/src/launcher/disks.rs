//! How fast an instance may read and write disks, by the cgroup controller `io`, `blkio` in version 1.
//!
//! What an instance reads is its runtime and its code, once: the machine keeps them in memory. The limit is for one that reads
//! past that memory to have a disk to itself.

use std::fs;
use std::io;
use std::path::Path;

/// Bytes a second read and bytes a second written, of each disk: several times what a cold start needs, a fraction of what a
/// disk of these years gives.
const BYTES: u64 = 256 << 20;
/// Requests a second, of each kind.
const REQUESTS: u64 = 8192;
/// Block devices that are no disks: memory, other files, other media.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];

/// The machine's disks, as `major:minor`.
#[derive(Debug, Default)]
pub(super) struct Disks(Vec<String>);

impl Disks {
    /// Looks which there are.
    pub(super) fn find() -> Self {
        Self::below(Path::new("/sys/block"))
    }

    fn below(blocks: &Path) -> Self {
        let entries = fs::read_dir(blocks).into_iter().flatten().flatten();
        let disks = entries.filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
            let holds = read("size")?.trim() != "0" && !NO_DISKS.contains(&kind);
            holds.then(|| read("dev").map(|number| number.trim().to_owned())).flatten()
        });
        Self(disks.collect())
    }

    /// Limits a group. Fails if no disk could be limited: some kinds cannot.
    pub(super) fn limit(&self, group: &Path, unified: bool) -> io::Result<()> {
        let mut result = Err(io::Error::other("no disk is listed in /sys/block"));
        for disk in &self.0 {
            let limited = if unified { limit_unified(group, disk) } else { limit_version_1(group, disk) };
            if result.is_err() {
                result = limited;
            }
        }
        result
    }
}

fn limit_unified(group: &Path, disk: &str) -> io::Result<()> {
    let limits = format!("{disk} rbps={BYTES} wbps={BYTES} riops={REQUESTS} wiops={REQUESTS}");
    fs::write(group.join("io.max"), limits)
}

fn limit_version_1(group: &Path, disk: &str) -> io::Result<()> {
    for (what, limit) in [("bps", BYTES), ("iops", REQUESTS)] {
        for direction in ["read", "write"] {
            let file = group.join(format!("blkio.throttle.{direction}_{what}_device"));
            // Not created: in a kernel without throttling there is none.
            fs::OpenOptions::new()
                .write(true)
                .open(file)
                .and_then(|mut file| io::Write::write_all(&mut file, format!("{disk} {limit}").as_bytes()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(blocks: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, size, number) in blocks {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("size"), format!("{size}\n")).unwrap();
            fs::write(folder.path().join(name).join("dev"), format!("{number}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn disks_are_limited_and_what_is_none_is_not() {
        let blocks = [("sda", "99", "8:0"), ("nvme0n1", "99", "259:0"), ("loop3", "99", "7:3"), ("sdb", "0", "8:16")];
        let mut disks = Disks::below(machine(&blocks).path());
        disks.0.sort();
        assert_eq!(disks.0, ["259:0", "8:0"]);
        let group = tempfile::tempdir().unwrap();
        disks.limit(group.path(), true).unwrap();
        let last = fs::read_to_string(group.path().join("io.max")).unwrap();
        assert_eq!(last, "8:0 rbps=268435456 wbps=268435456 riops=8192 wiops=8192");
        assert!(disks.limit(group.path(), false).is_err(), "a kernel without throttling");
    }

    #[test]
    fn a_machine_without_disks_is_told_apart() {
        let why = Disks::below(Path::new("/no/such/folder")).limit(Path::new("/"), true).unwrap_err();
        assert!(why.to_string().contains("/sys/block"), "{why}");
    }
}
