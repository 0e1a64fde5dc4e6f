//! One instance as this backend knows it, and its directories on the host.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::logs::LogOwner;
use tokio::sync::watch;

use crate::protocol::Ended;

/// First host user id given to instances when the platform is root. The range from here on belongs to no one by the
/// conventions of Linux distributions.
pub(crate) const FIRST_OWNER: u32 = 0x7000_0000;
/// Host users instances are spread over; two that run at once share one only beyond this many.
pub(crate) const OWNERS: u32 = 65_536;

/// As many again, for builds: those of one environment have the same one, and share their cache.
pub(crate) const OWNERS_IN_ALL: u32 = 2 * OWNERS;

/// Bytes of the path of a unix socket, without the terminating zero (`sun_path` of `unix(7)`).
const MAX_SOCKET_PATH: usize = 107;
/// Digits of an instance's number a path must have room for.
const NUMBER_DIGITS: usize = 10;
/// Name of the socket in its directory.
pub(crate) const SOCKET: &str = "fn.sock";

/// The host user of an instance's processes, when the platform is root.
pub(crate) fn owner_of(number: u64) -> u32 {
    FIRST_OWNER + (number % u64::from(OWNERS)) as u32
}

/// The host user of builds for an environment, when the platform is root.
pub(crate) fn build_owner_of(environment: &str) -> u32 {
    // FNV-1a: the same in every release, since the files of a cache keep their owner.
    let hash =
        environment.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    FIRST_OWNER + OWNERS + hash % OWNERS
}

/// The host directories of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    /// All of them are below this one, which only the platform's user may enter.
    pub(crate) top: PathBuf,
    pub(crate) userfunc: PathBuf,
    pub(crate) secrets: PathBuf,
    pub(crate) configs: PathBuf,
    pub(crate) socket: PathBuf,
    /// In place of a private `/tmp`, where instances have no tree of their own.
    pub(crate) scratch: PathBuf,
}

impl Directories {
    /// The names, below a directory that need not exist.
    pub(crate) fn below(top: &Path) -> Self {
        Self {
            top: top.to_owned(),
            userfunc: top.join("userfunc"),
            secrets: top.join("secrets"),
            configs: top.join("configs"),
            socket: top.join("socket"),
            scratch: top.join("tmp"),
        }
    }

    /// Makes them. `owner`: the host user of the instance, where it is not the platform's own. `scratch`: whether it needs
    /// that one.
    pub(crate) fn make(&self, owner: Option<u32>, scratch: bool) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.top)?;
        // Read through a read-only mount by a user that is no one here; the directory above keeps all others out.
        for path in [&self.userfunc, &self.secrets, &self.configs] {
            DirBuilder::new().mode(0o755).create(path)?;
        }
        DirBuilder::new().mode(0o700).create(&self.socket)?;
        if scratch {
            DirBuilder::new().mode(0o700).create(&self.scratch)?;
        }
        if owner.is_some() {
            std::os::unix::fs::chown(&self.socket, owner, owner)?;
        }
        Ok(())
    }

    /// Makes them of ones that were made for nobody, by their make: without scratch and without an owner.
    pub(crate) fn make_of(&self, ahead: &Self, owner: Option<u32>) -> io::Result<()> {
        fs::rename(&ahead.top, &self.top)?;
        if owner.is_some() {
            std::os::unix::fs::chown(&self.socket, owner, owner)?;
        }
        Ok(())
    }

    /// Takes the socket of a server that is ready out of the instance's reach, before it runs anyone's code: a function
    /// could put a link to another socket of this host in its place and have requests sent there.
    pub(crate) fn take_socket(&self, owner: Option<u32>, to: &Path) -> io::Result<()> {
        let from = self.socket.join(SOCKET);
        if !fs::symlink_metadata(&from)?.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not listen on the socket it was given"));
        }
        fs::rename(from, to)?;
        if owner.is_some() {
            // It has written all it needs to; with a user of its own it can now write nothing more.
            std::os::unix::fs::chown(&self.socket, Some(0), Some(0))?;
            fs::set_permissions(&self.socket, Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Removes them with everything in them.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.top) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Where the directories of all instances are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `<data>/run/instances`.
    pub(crate) instances: PathBuf,
    /// The same directory by a name short enough for socket paths.
    pub(crate) short: PathBuf,
    /// An empty directory instances build their tree on.
    pub(crate) mount_point: PathBuf,
    /// Where directories are made ahead of the instance that has them.
    pub(crate) ahead: PathBuf,
}

impl Place {
    /// Makes the directories, and moves what a former process left out of the way: (place, what to remove).
    pub(crate) fn make(data: &Path, short_dir: &Path) -> io::Result<(Self, Option<PathBuf>)> {
        let data = std::path::absolute(data)?;
        let run = data.join("run");
        let instances = run.join("instances");
        DirBuilder::new().recursive(true).mode(0o700).create(&run)?;
        let stale = run.join("stale");
        if instances.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&stale)?;
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            fs::rename(&instances, stale.join(format!("{}-{now}", std::process::id())))?;
        }
        DirBuilder::new().mode(0o700).create(&instances)?;
        let mount_point = run.join("root");
        DirBuilder::new().recursive(true).mode(0o700).create(&mount_point)?;
        let ahead = run.join("ahead");
        match fs::remove_dir_all(&ahead) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => DirBuilder::new().mode(0o700).create(&ahead)?,
        }
        let short = if fits(&instances) { instances.clone() } else { shorten(&instances, short_dir)? };
        let stale = stale.exists().then_some(stale);
        Ok((Self { instances, short, mount_point, ahead }, stale))
    }

    /// Where the server of an instance makes its socket, by the short name.
    pub(crate) fn first_socket(&self, number: u64) -> PathBuf {
        self.short.join(number.to_string()).join("socket").join(SOCKET)
    }

    /// Where the socket of an instance is once it is ready, by the short name.
    pub(crate) fn socket(&self, number: u64) -> PathBuf {
        self.short.join(number.to_string()).join(SOCKET)
    }
}

fn fits(instances: &Path) -> bool {
    instances.as_os_str().len() + 1 + NUMBER_DIGITS + "/socket/".len() + SOCKET.len() <= MAX_SOCKET_PATH
}

/// A link to a directory whose path is too long, in a directory only we may enter.
fn shorten(instances: &Path, short_dir: &Path) -> io::Result<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let uid = rustix::process::getuid().as_raw();
    let mut hasher = DefaultHasher::new();
    instances.hash(&mut hasher);
    let directory = short_dir.join(format!("fission-{uid}-{:016x}", hasher.finish()));
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Its place may be writable by everyone, so it may be someone else's trap.
    let found = fs::symlink_metadata(&directory)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        let why = format!("{} is not a directory that only this user may enter; remove it", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let link = directory.join("i");
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => symlink(instances, &link)?,
    }
    if fits(&link) {
        return Ok(link);
    }
    let why = format!("{} is too long for unix sockets, and so is {}", instances.display(), link.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// One instance.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    /// What the launcher knows it by; also the name of its directory.
    pub(crate) number: u64,
    pub(crate) directories: Directories,
    /// Where it is looked for until it is ready.
    pub(crate) first_address: Address,
    /// Where it answers from then on.
    pub(crate) address: Address,
    /// Where it sees its code.
    pub(crate) userfunc: PathBuf,
    /// The host user it runs as, where that is not the platform's own.
    pub(crate) user: Option<u32>,
    /// Whether it has a file tree of its own.
    pub(crate) private: bool,
    /// Whether it speaks the second version of the specialize protocol whatever its environment's version.
    pub(crate) ours: bool,
    pub(crate) owner: Arc<RwLock<LogOwner>>,
    /// Set once all its processes are gone.
    pub(crate) ended: watch::Receiver<Option<Ended>>,
}

/// Waits until all processes of one spawn are gone, and says how that came.
pub(crate) async fn ended_of(ended: &mut watch::Receiver<Option<Ended>>) -> Ended {
    match ended.wait_for(Option::is_some).await {
        Ok(how) => how.clone().unwrap_or(Ended::LauncherGone),
        Err(_) => Ended::LauncherGone,
    }
}

impl Instance {
    /// Waits until all its processes are gone, and says how that came.
    pub(crate) async fn ended(&self) -> Ended {
        ended_of(&mut self.ended.clone()).await
    }

    /// From now on its output belongs to a function.
    pub(crate) fn belongs_to(&self, namespace: &str, function: &str) {
        let mut owner = self.owner.write().unwrap_or_else(PoisonError::into_inner);
        namespace.clone_into(&mut owner.namespace);
        function.clone_into(&mut owner.function);
    }
}

#[cfg(test)]
#[path = "instance_tests.rs"]
mod tests;
