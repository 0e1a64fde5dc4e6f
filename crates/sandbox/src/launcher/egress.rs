//! Which addresses instances with the machine's network may reach, kept by the kernel: programs of a few dozen instructions
//! at their cgroup (the unified hierarchy, with or without controllers) that look at every connection and datagram before it
//! is made. It takes the rights of root to put them there.
//!
//! Only TCP and UDP have to be looked at: the filter of system calls allows no other socket that leaves the machine.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use fission_api::{Destination, METADATA_ADDRESSES};

use super::cgroup::{PREFIX, own_group};
use crate::sys::bpf;

/// At the addresses of metadata some clouds resolve names, which gives nothing away.
const NAMES: u16 = 53;

/// `BPF_CGROUP_*`: where a program is run, and whether addresses are of the sixth version there.
const PLACES: [(u32, bool); 4] = [
    (10, false), // INET4_CONNECT
    (11, true),  // INET6_CONNECT
    (14, false), // UDP4_SENDMSG
    (15, true),  // UDP6_SENDMSG
];

/// A destination, and whether it may be reached.
type Rule = (Destination, bool);

/// Loaded programs, one for each of [`PLACES`].
#[derive(Debug)]
struct Programs(Vec<OwnedFd>);

/// Keeps instances from addresses they must not reach.
#[derive(Debug)]
pub(super) struct Egress {
    base: PathBuf,
    usual: Programs,
    /// Group of instances without a unified group of their own that may reach everything but metadata.
    shared: PathBuf,
}

impl Egress {
    /// Tries it out. The error is for people.
    pub(super) fn new() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let at = fields.next()?;
            (fields.next() == Some("cgroup2")).then(|| PathBuf::from(at))
        });
        let mount = mount.ok_or("no unified cgroup hierarchy (cgroup2) is mounted")?;
        let usual = Programs::load(&metadata_rules(), true)
            .map_err(|error| format!("the kernel takes no program for it (needs root and Linux 5.1): {error}"))?;
        let own = mount.join(own_group(&own, "", true).trim_start_matches('/'));
        let mut why = String::new();
        for base in [own, mount] {
            let shared = base.join(format!("{PREFIX}{}-net", rustix::process::getpid().as_raw_pid()));
            match fs::create_dir(&shared).and_then(|()| usual.attach(&shared)) {
                Ok(()) => return Ok(Self { base, usual, shared }),
                Err(error) => {
                    let _ = fs::remove_dir(&shared);
                    why = format!("{}: {error}", shared.display());
                }
            }
        }
        Err(why)
    }

    /// Where groups are made, for the removal of what former launchers left.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// A group whose processes may reach everything but metadata, for instances that no limit gave one of this hierarchy.
    pub(super) fn shared(&self) -> &Path {
        &self.shared
    }

    /// The same for a group of an instance's own.
    pub(super) fn usual(&self, group: &Path) -> io::Result<()> {
        self.usual.attach(group)
    }

    /// The processes of a group may reach only what is listed.
    pub(super) fn only(&self, listed: &[Destination], group: &Path) -> io::Result<()> {
        let rules: Vec<Rule> = listed.iter().map(|destination| (*destination, true)).collect();
        Programs::load(&rules, false)?.attach(group)
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.shared);
    }
}

impl Programs {
    fn load(rules: &[Rule], otherwise: bool) -> io::Result<Self> {
        let load = |(place, sixth): (u32, bool)| bpf::load(&program(rules, otherwise, sixth), place);
        PLACES.into_iter().map(load).collect::<io::Result<_>>().map(Self)
    }

    fn attach(&self, group: &Path) -> io::Result<()> {
        let group = File::open(group)?;
        for (program, (place, _)) in self.0.iter().zip(PLACES) {
            bpf::attach(group.as_fd(), program.as_fd(), place)?;
        }
        Ok(())
    }
}

fn metadata_rules() -> Vec<Rule> {
    let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let rule = |address, port, may| (Destination { address, prefix: whole(address), port }, may);
    METADATA_ADDRESSES
        .into_iter()
        .flat_map(|address| [rule(address, Some(NAMES), true), rule(address, None, false)])
        .collect()
}

/// One instruction: code, registers, offset of a jump or in memory, number.
fn instruction(code: u8, to: u8, from: u8, offset: i16, number: u32) -> u64 {
    u64::from(code) | u64::from(to | from << 4) << 8 | u64::from(offset.cast_unsigned()) << 16 | u64::from(number) << 32
}

/// `struct bpf_sock_addr`: the fourth version's address, the sixth's and the port, all as they are in packets.
const ADDRESS_4: i16 = 4;
const ADDRESS_6: i16 = 8;
const PORT: i16 = 24;
/// The first of four registers that hold the address, and the one that holds the port.
const ADDRESS_IN: u8 = 6;
const PORT_IN: u8 = 3;

/// The program: the first rule that fits decides. `sixth`: whether it sees addresses of the sixth version, which may
/// be ones of the fourth in disguise (`::ffff:169.254.169.254`).
fn program(rules: &[Rule], otherwise: bool, sixth: bool) -> Vec<u64> {
    const LOAD: u8 = 0x61;
    let mut program = vec![instruction(LOAD, PORT_IN, 1, PORT, 0)];
    if sixth {
        program.extend((0..4).map(|n: u8| instruction(LOAD, ADDRESS_IN + n, 1, ADDRESS_6 + 4 * i16::from(n), 0)));
    } else {
        program.push(instruction(LOAD, ADDRESS_IN + 3, 1, ADDRESS_4, 0));
    }
    for (destination, may) in rules {
        program.extend(rule(destination, *may, sixth));
    }
    program.extend(end(otherwise));
    program
}

/// Ends the program with a verdict.
fn end(may: bool) -> [u64; 2] {
    [instruction(0xb7, 0, 0, 0, may.into()), instruction(0x95, 0, 0, 0, 0)]
}

/// What a rule compares: register, mask and value, each a word as it is in packets.
fn words(destination: &Destination, sixth: bool) -> Option<Vec<(u8, u32, u32)>> {
    let (bytes, bits): ([u8; 16], u32) = match destination.address {
        IpAddr::V4(address) => (address.to_ipv6_mapped().octets(), u32::from(destination.prefix) + 96),
        IpAddr::V6(_) if !sixth => return None,
        IpAddr::V6(address) => (address.octets(), destination.prefix.into()),
    };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be_bytes();
    let word = |of: &[u8; 16], n: usize| u32::from_ne_bytes([of[4 * n], of[4 * n + 1], of[4 * n + 2], of[4 * n + 3]]);
    let compared = if sixth { 0..4 } else { 3..4 };
    let all = compared.map(|n| (ADDRESS_IN + n as u8, word(&mask, n), word(&bytes, n) & word(&mask, n)));
    Some(all.filter(|(_, mask, _)| *mask != 0).collect())
}

fn rule(destination: &Destination, may: bool, sixth: bool) -> Vec<u64> {
    const COPY: u8 = 0xbc;
    const AND: u8 = 0x54;
    const JUMP_UNLESS_EQUAL: u8 = 0x56;
    const SCRATCH: u8 = 4;
    let Some(words) = words(destination, sixth) else { return Vec::new() };
    // Built from its end, so that each comparison knows how much there is to skip.
    let mut program = end(may).to_vec();
    if let Some(port) = destination.port {
        let skip = program.len() as i16;
        program.insert(0, instruction(JUMP_UNLESS_EQUAL, PORT_IN, 0, skip, port.to_be().into()));
    }
    for (register, mask, value) in words.into_iter().rev() {
        let compare = instruction(JUMP_UNLESS_EQUAL, SCRATCH, 0, program.len() as i16, value);
        let masked = [instruction(COPY, SCRATCH, register, 0, 0), instruction(AND, SCRATCH, 0, 0, mask), compare];
        program.splice(0..0, masked);
    }
    program
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
