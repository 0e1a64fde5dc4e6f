//! Gives up every right an instance must not have. Runs in the server's process just before its program starts.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs,
};

use crate::isolation::Feature;
use crate::protocol::{Failure, Limits};
use crate::sys;

/// Capability numbers fit a 64-bit set; the kernel refuses those it does not know.
const CAPABILITY_NUMBERS: u32 = 64;

/// Limits no declaration changes: Linux' defaults, whatever the platform itself was started with. Locked memory and
/// messages in queues are memory that cannot be taken back; a higher priority is taken from everyone else.
const ALWAYS: [(Resource, u64); 4] =
    [(Resource::Memlock, 8 << 20), (Resource::Msgqueue, 819_200), (Resource::Rtprio, 0), (Resource::Nice, 0)];

/// Lets this process have a user namespace after it has become another user, wherever ordinary users may not.
pub(super) fn keep_over_change_of_user() -> Result<(), Failure> {
    set_keep_capabilities(true).map_err(|e| Failure::of(Feature::User, "keeping the right to a user namespace", e))
}

/// Enters a user namespace that belongs to this process's user.
pub(super) fn enter_user_namespace() -> Result<(), Failure> {
    let failed = |e: rustix::io::Errno| Failure::of(Feature::User, "making its user namespace", e);
    let admin = CapabilitySet::SYS_ADMIN;
    let sets = CapabilitySets { effective: admin, permitted: admin, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed)?;
    sys::own_users().map_err(failed)?;
    // Its own files in `/proc`, the user map among them, are root's otherwise.
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(failed)
}

/// Drops all capabilities, for good.
pub(super) fn drop_capabilities() -> Result<(), Failure> {
    let failed = |doing: &str, error: rustix::io::Errno| Failure::of(Feature::NoCapabilities, doing, error);
    for number in 0..CAPABILITY_NUMBERS {
        // Without the right to change the bounding set it cannot be emptied; with no-new-privileges and empty sets it
        // gives nothing, so the check below is what counts.
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).is_err() {
            break;
        }
    }
    // Kernels without ambient capabilities have none to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|e| failed("dropping capabilities", e))?;
    let left = capabilities(None).map_err(|e| failed("reading capabilities", e))?;
    if left.permitted.is_empty() && left.effective.is_empty() && left.inheritable.is_empty() {
        Ok(())
    } else {
        Err(Failure::of(Feature::NoCapabilities, "dropping capabilities", io::Error::other("some are left")))
    }
}

/// Makes set-user-id programs and file capabilities give nothing.
pub(super) fn no_new_privileges() -> Result<(), Failure> {
    set_no_new_privs(true).map_err(|e| Failure::of(Feature::NoNewPrivs, "setting no-new-privileges", e))
}

/// Limits of one process. `count_processes`: limit processes here, because no cgroup does.
pub(super) fn limit_process(limits: &Limits, count_processes: bool) -> Result<(), Failure> {
    limit(Resource::Core, 0).map_err(|e| Failure::fatal("forbidding core dumps", e))?;
    for (resource, value) in ALWAYS {
        limit(resource, value).map_err(|e| Failure::fatal(format!("limiting {resource:?}"), e))?;
    }
    limit(Resource::Nofile, limits.open_files).map_err(|e| Failure::fatal("limiting open files", e))?;
    if let Some(bytes) = limits.file_bytes {
        limit(Resource::Fsize, bytes).map_err(|e| Failure::fatal("limiting the size of files", e))?;
    }
    if count_processes {
        limit(Resource::Nproc, limits.pids.into())
            .map_err(|e| Failure::of(Feature::PidsLimit, "limiting processes", e))?;
    }
    Ok(())
}

/// Never raises what the host limits already.
fn limit(resource: Resource, value: u64) -> Result<(), rustix::io::Errno> {
    let value = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
}
