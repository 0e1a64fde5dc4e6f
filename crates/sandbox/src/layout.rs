//! What an instance sees: which host paths, at which places, and what is made for it alone. Pure planning; the launcher
//! carries it out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::instance::Directories;
use crate::launcher::init::INSIDE_ID;
use crate::protocol::{Bind, Common, Tree};

/// Directory of the function's code inside an instance.
pub(crate) const USERFUNC: &str = "/userfunc";
/// Directory of secrets inside an instance.
pub(crate) const SECRETS: &str = "/secrets";
/// Directory of config maps inside an instance.
pub(crate) const CONFIGS: &str = "/configs";
/// Directory inside an instance that holds its socket; the only host directory it can write.
pub(crate) const RUN: &str = "/run/fission";

/// Directory a build works in, inside.
pub(crate) const PACKAGES: &str = "/packages";
/// Directory of a build's cache, inside.
pub(crate) const CACHE: &str = "/cache";

/// Settings of package managers for all users of the host, shown to builds.
const BUILD_FILES: [&str; 5] = ["/etc/gitconfig", "/etc/maven", "/etc/npmrc", "/etc/pip.conf", "/etc/composer"];

/// Directories of the host's own programs and libraries. A link stays a link (`/bin` is one on most systems).
const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What programs read below `/etc`: the loader's cache, names and addresses, time zone, certificates. Nothing that says
/// who the host's users are or what it runs.
const SYSTEM_FILES: [&str; 21] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/tls",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// Directories every tree has: places of what is shown to one instance alone, and what programs expect.
const PLACES: [&str; 9] = [USERFUNC, SECRETS, CONFIGS, RUN, "/etc", "/root", "/home", "/var/tmp", "/proc"];

/// Directories that are private memory.
const MEMORY: [&str; 2] = ["/tmp", "/dev/shm"];

const DEVICES: [&str; 6] = ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

const DEVICE_LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// The part of a tree that all instances of an environment share.
pub(crate) fn of_environment(mount_point: &Path, read_only: &[PathBuf]) -> Tree {
    let mut plan = Plan::default();
    for path in SYSTEM {
        plan.system(Path::new(path));
    }
    for path in SYSTEM_FILES {
        plan.show(Path::new(path));
    }
    // Parents first: a path below one that is shown needs nothing of its own.
    let wanted: BTreeSet<&PathBuf> = read_only.iter().collect();
    for path in wanted {
        plan.show(path);
    }
    let mut common = plan.common;
    common.directories = PLACES.iter().chain(&MEMORY).map(PathBuf::from).collect();
    common.links.extend(DEVICE_LINKS.map(|(link, target)| (PathBuf::from(link), PathBuf::from(target))));
    common.devices = DEVICES
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| Bind { source: path.into(), target: path.into(), directory: false })
        .collect();
    // A host's file in `/tmp`, say: it can be shown only once there is the instance's own.
    let below_memory = |bind: &mut Bind| MEMORY.iter().any(|memory| bind.target.starts_with(memory));
    let own = common.read_only.extract_if(.., below_memory).collect();
    Tree { mount_point: mount_point.to_owned(), common, own, ..Tree::default() }
}

/// Adds what belongs to one instance. `id`: the user it sees itself as.
/// `memory`: bytes of its `/tmp` and `/dev/shm`. `private`: whether there will be a tree at all; without one it still
/// says which of the host's files are meant.
pub(crate) fn of_instance(
    shared: &Tree,
    directories: &Directories,
    id: u32,
    (tmp, shm): (u64, u64),
    private: bool,
) -> Tree {
    let mut tree = shared.clone();
    let bind = |source: &Path, target: &str| Bind { source: source.into(), target: target.into(), directory: true };
    tree.own.push(bind(&directories.userfunc, USERFUNC));
    tree.own.push(bind(&directories.secrets, SECRETS));
    tree.own.push(bind(&directories.configs, CONFIGS));
    tree.writable.push(bind(&directories.socket, RUN));
    if !private {
        tree.writable.push(bind(&directories.scratch, "/tmp"));
    }
    furnish(&mut tree, id, "/tmp", tmp, shm);
    tree
}

/// Private memory and a user with a name, which some programs insist on.
fn furnish(tree: &mut Tree, id: u32, home: &str, tmp: u64, shm: u64) {
    tree.memory = MEMORY.map(PathBuf::from).into_iter().zip([tmp, shm]).collect();
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/sh\nfission:x:{id}:{id}:function:{home}:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n"
    );
    tree.common.files.push(("/etc/passwd".into(), passwd));
    tree.common.files.push(("/etc/group".into(), format!("root:x:0:\nfission:x:{id}:\nnogroup:x:65534:\n")));
}

/// What a build reads beside what its language needs.
pub(crate) fn for_builds(read_only: &[PathBuf]) -> Vec<PathBuf> {
    BUILD_FILES.iter().map(PathBuf::from).chain(read_only.iter().cloned()).collect()
}

/// Adds what belongs to one build. `id`: the user it sees itself as.
pub(crate) fn of_build(shared: &Tree, work: &Path, cache: &Path, id: u32, tmp: u64, shm: u64) -> Tree {
    let mut tree = shared.clone();
    let bind = |source: &Path, target: &str| Bind { source: source.into(), target: target.into(), directory: true };
    tree.common.directories.extend([PACKAGES, CACHE].map(PathBuf::from));
    tree.writable.push(bind(work, PACKAGES));
    tree.writable.push(bind(cache, CACHE));
    furnish(&mut tree, id, CACHE, tmp, shm);
    tree
}

/// The user id an instance sees itself as.
pub(crate) fn inside_id(user_namespace: bool, privileged: bool, owner: u32) -> u32 {
    match (user_namespace, privileged) {
        (true, _) => INSIDE_ID,
        (false, true) => owner,
        (false, false) => rustix::process::getuid().as_raw(),
    }
}

#[derive(Default)]
struct Plan {
    common: Common,
    /// Targets and links so far; what lies below one of them is there already.
    covered: Vec<PathBuf>,
}

impl Plan {
    fn covers(&self, path: &Path) -> bool {
        self.covered.iter().any(|covered| path.starts_with(covered))
    }

    fn system(&mut self, path: &Path) {
        match fs::read_link(path) {
            Ok(target) => {
                self.covered.push(path.to_owned());
                self.common.links.push((path.to_owned(), target));
            }
            Err(_) => self.show(path),
        }
    }

    /// Shows a host path at its own place, and also at the place its links lead to.
    fn show(&mut self, path: &Path) {
        let plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
        let Ok(real) = fs::canonicalize(path) else { return };
        if !plain || real == Path::new("/") {
            return;
        }
        self.bind(&real, path);
        // What is shown may refer to itself, or to what is beside it, by its real name.
        if real != path && !path.starts_with("/etc") {
            self.bind(&real, &real);
        }
    }

    fn bind(&mut self, source: &Path, target: &Path) {
        if self.covers(target) {
            return;
        }
        self.covered.push(target.to_owned());
        self.common.read_only.push(Bind {
            source: source.to_owned(),
            target: target.to_owned(),
            directory: source.is_dir(),
        });
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
