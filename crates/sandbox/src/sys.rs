//! The few system calls that have no safe wrapper. The only file of the workspace with unsafe code.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::process::Pid;
use tokio::io::unix::AsyncFd;

/// Proof that this process had one thread when it was made, so that a copy of it is complete: no lock is held by a
/// thread that the copy does not have. Whoever holds it must not start threads.
pub(crate) struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads of this process.
    pub(crate) fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(())),
            threads => Err(io::Error::other(format!("the launcher must have one thread, it has {threads}"))),
        }
    }
}

/// Namespaces a copy gets of its own.
pub(crate) mod namespace {
    /// Users and capabilities. Not for a privileged launcher's instances: see [`super::own_users`].
    pub(crate) const USER: u64 = libc::CLONE_NEWUSER as u64;
    /// Process ids.
    pub(crate) const PID: u64 = libc::CLONE_NEWPID as u64;
    /// Mounts.
    pub(crate) const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// System V and POSIX message queues, semaphores, shared memory.
    pub(crate) const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// Host name.
    pub(crate) const UTS: u64 = libc::CLONE_NEWUTS as u64;
    /// Interfaces, addresses, ports, abstract unix sockets.
    pub(crate) const NET: u64 = libc::CLONE_NEWNET as u64;
}

/// Which of the two one is after [`copy`].
pub(crate) enum Copy {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The child's id, as seen from here.
        pid: Pid,
        /// The child itself: never means another process, whatever becomes of its id.
        pidfd: OwnedFd,
    },
}

/// The kernel's `struct clone_args`, version 2; with its last fields zero any version takes it.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_INTO_CGROUP`.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Like fork, with namespaces. `group`: the directory of a unified cgroup the copy is born in, which takes nothing, while a
/// process that moves into one waits until every processor has taken notice: several milliseconds. Needs Linux 5.7.
pub(crate) fn copy(_: &SingleThreaded, namespaces: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Copy> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64 | if group.is_some() { INTO_CGROUP } else { 0 },
        cgroup: group.map_or(0, |group| group.as_raw_fd() as u64),
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: `args` is the struct the kernel expects, with its size, and lives through the call; `pidfd` is writable.
    // No memory is shared with the child and it goes on on a copy of this stack. There is one thread, so the copy finds
    // every lock (the allocator's too) free.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match result {
        0 => Ok(Copy::Child),
        pid if pid > 0 => {
            let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::other("clone3 gave no process id"))?;
            // SAFETY: the call succeeded with CLONE_PIDFD, so the kernel stored a new descriptor that no one else owns.
            Ok(Copy::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bytes of stack for what [`run_beside`] runs; pages not used take no memory.
const STACK: usize = 512 * 1024;

/// Runs something in a new process, in this one's memory, while this one stands still until the new one has become another
/// program or has ended with what is given back: like `vfork`, which saves copying the memory and writing to it again.
///
/// What `child` drops or changes is dropped and changed here; descriptors, signals, limits and users are its own.
pub(crate) fn run_beside(_: &SingleThreaded, mut child: &mut dyn FnMut() -> i32) -> io::Result<Pid> {
    extern "C" fn begin(child: *mut libc::c_void) -> libc::c_int {
        // SAFETY: it is the pointer handed to `clone` below, to a value that lives until the other process goes on.
        let child = unsafe { &mut *child.cast::<&mut dyn FnMut() -> i32>() };
        // A panic that gets here aborts the process.
        child()
    }
    let mut stack: Vec<u128> = vec![0; STACK / size_of::<u128>()];
    // SAFETY: both processes have the same memory, but CLONE_VFORK lets only one of them run: this one goes on when the
    // other has a memory of its own or is gone. There is no other thread. The stack grows down from the end of `stack`,
    // which like `child` lives until then; `begin` never returns into this frame, since its end is the process's.
    let pid = unsafe {
        libc::clone(
            begin,
            stack.as_mut_ptr_range().end.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut child).cast(),
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Pid::from_raw(pid).ok_or_else(|| io::Error::other("clone gave no process id"))
}

/// Ends this process at once: no destructors, no exit handlers, which belong to the process this is a copy of.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor above the standard three, except those to keep. Only for a process that ends by [`exit_now`] or
/// becomes another program.
pub(crate) fn close_all_but(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<_> = keep.iter().map(|fd| fd.as_raw_fd() as libc::c_uint).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep.into_iter().map(Some).chain([None]) {
        let last = kept.map_or(libc::c_uint::MAX, |kept| kept.saturating_sub(1));
        if first <= last {
            // SAFETY: closing descriptors touches no memory. Values that own them are never dropped: the caller ends by
            // `exit_now` or becomes another program. On a kernel without the call they stay open, which is harmless.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = kept.map_or(first, |kept| kept + 1);
    }
}

/// Lets the program started next keep only the standard three descriptors, whatever the platform was started with.
pub(crate) fn close_on_start() {
    // SAFETY: marking descriptors touches no memory. A kernel before 5.11 does not know the call or the flag; then those
    // descriptors stay that the platform's own parent left open in it, since all of ours are marked when they are made.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Signals that reach a whole session or service and must not end the launcher: it ends when the platform does.
const GROUP_SIGNALS: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Ignores the signals meant for the platform (a terminal's Ctrl-C, a service manager's stop).
pub(crate) fn ignore_group_signals() {
    for signal in GROUP_SIGNALS {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Undoes [`ignore_group_signals`]: an ignored signal would stay ignored in the program that is started.
pub(crate) fn default_group_signals() {
    for signal in GROUP_SIGNALS {
        // SAFETY: SIG_DFL runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// The kernel's `struct mount_attr`, version 0.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// What may be done through a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes(u64);

impl Attributes {
    /// Reading: no devices, no set-user-id programs.
    pub(crate) const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY | Self::WRITABLE.0);
    /// Reading and writing: no devices, no set-user-id programs.
    pub(crate) const WRITABLE: Self = Self(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
}

/// Sets what may be done through a mount and everything mounted below it.
pub(crate) fn set_attributes(path: &Path, attributes: Attributes) -> io::Result<()> {
    mount_setattr(libc::AT_FDCWD, &std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?, 0, attributes)
}

/// The same for a mount that is open.
pub(crate) fn set_attributes_of(mount: &OwnedFd, attributes: Attributes) -> io::Result<()> {
    mount_setattr(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, attributes)
}

fn mount_setattr(at: RawFd, path: &CStr, flags: libc::c_int, Attributes(set): Attributes) -> io::Result<()> {
    let attr = MountAttr { set, ..MountAttr::default() };
    // SAFETY: `path` is a terminated string and `attr` the struct the kernel expects, with its size; both live through
    // the call, which only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags | libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts this process into a user namespace of its own, where it has every right and no one is mapped yet.
pub(crate) fn own_users() -> rustix::io::Result<()> {
    // SAFETY: descriptors and memory stay as they are; only who this process is changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUSER) }
}

/// Gives this process a mount namespace of its own, a copy of the one it is in.
pub(crate) fn own_mounts() -> rustix::io::Result<()> {
    // SAFETY: descriptors stay shared with no one and memory stays as it is; only paths mean something else from now on.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
}

/// Lets the runtime wait for a descriptor.
pub(crate) fn wait_for(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, is the same descriptor all its life, and is owned by the result, which gives it out
    // by shared reference only.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// The kernel's `struct ifreq` as `SIOCGIFFLAGS` and `SIOCSIFFLAGS` see it.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Requests of `ioctl`; C libraries do not agree on their type.
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCSIFFLAGS: u32 = 0x8914;

/// Switches the loopback interface of this network namespace on.
pub(crate) fn loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = InterfaceFlags { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    let ask = |number: u32, request: &mut InterfaceFlags| {
        // SAFETY: `request` is as large as the kernel's `struct ifreq` (checked below) with a terminated name, and lives
        // through the call, which reads and writes only it.
        match unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut *request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    ask(SIOCGIFFLAGS, &mut request)?;
    request.flags |= libc::IFF_UP as libc::c_short;
    ask(SIOCSIFFLAGS, &mut request)
}

const _: () = assert!(size_of::<InterfaceFlags>() == 40);

/// Programs that look at a connection or a datagram before it is made, by the group of processes that makes it.
pub(crate) mod bpf {
    use super::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, io};

    const PROG_LOAD: libc::c_int = 5;
    const PROG_ATTACH: libc::c_int = 8;
    const PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;
    /// Programs of the groups above are run too, and none can take this one's place.
    const ALLOW_MULTI: u32 = 2;

    /// The beginning of the kernel's `union bpf_attr` for loading.
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        kind: u32,
        length: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }

    /// The beginning of the kernel's `union bpf_attr` for attaching.
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }

    /// Loads a program for one kind of attachment.
    pub(crate) fn load(instructions: &[u64], attach_type: u32) -> io::Result<OwnedFd> {
        let load = Load {
            kind: PROG_TYPE_CGROUP_SOCK_ADDR,
            length: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: c"Apache-2.0".as_ptr() as u64,
            attach_type,
            ..Load::default()
        };
        // SAFETY: `load` is as the kernel expects, with its size; what it points at lives through the call, which only
        // reads it, and the kernel checks the program before it takes it.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so this is a new descriptor that no one else owns. It closes on exec.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    /// Has a program look at what the processes of a cgroup do, until the group is removed.
    pub(crate) fn attach(group: BorrowedFd<'_>, program: BorrowedFd<'_>, attach_type: u32) -> io::Result<()> {
        let attach = Attach {
            target: group.as_raw_fd() as u32,
            program: program.as_raw_fd() as u32,
            kind: attach_type,
            flags: ALLOW_MULTI,
        };
        // SAFETY: `attach` is as the kernel expects, with its size, and lives through the call, which only reads it.
        match unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
