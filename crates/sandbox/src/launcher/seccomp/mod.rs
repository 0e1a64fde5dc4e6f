//! The system calls an instance may make: an allow-list, built once by the launcher and put over a server's process just
//! before its program starts.
//!
//! [`calls`] says which, [`program`] turns that into what the kernel runs. What is not on the list is refused with EPERM;
//! with ENOSYS where a C library asks first whether the kernel has it, and for calls newer than this list.

mod calls;
mod program;

use std::collections::BTreeMap;

use seccompiler::BpfProgram;

use crate::isolation::Feature;
use crate::protocol::Failure;

/// What the kernel does with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Runs it.
    Allow,
    /// Refuses it with an error number.
    Refuse(u16),
    /// Runs it if one of these holds, else refuses it with EPERM.
    If(Vec<Vec<Condition>>),
}

/// One thing an argument of a call must be. Only the lower 32 bits are looked at: every argument named in [`calls`] is an
/// `int` or has no meaning in its upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Argument (from 0), masked, is a value.
    Is(u8, u32, u32),
    /// Argument is not a value.
    Not(u8, u32),
}

/// The filter for servers that need nothing more than all do, and its making for those that do.
#[derive(Debug)]
pub(super) struct Filter {
    usual: BpfProgram,
}

impl Filter {
    /// Builds the usual one. The error is for people: this machine's processor is not known here.
    pub(super) fn new() -> Result<Self, String> {
        let usual = program::compile(&calls::verdicts(&[])?)?;
        Ok(Self { usual })
    }

    /// Puts it over this process and all it will start, for good.
    pub(super) fn apply(&self, also: &[String]) -> Result<(), Failure> {
        let failed = |why: String| Failure { feature: Some(Feature::Seccomp), why };
        let apply = |program: &BpfProgram| {
            seccompiler::apply_filter(program).map_err(|error| failed(format!("filtering system calls: {error}")))
        };
        if also.is_empty() {
            return apply(&self.usual);
        }
        apply(&calls::verdicts(also).and_then(|verdicts| program::compile(&verdicts)).map_err(failed)?)
    }
}

/// Whether every name may be added to the list; the error says which may not, and which may.
pub(crate) fn check_also(also: &[String]) -> Result<(), String> {
    calls::verdicts(also).map(drop)
}

/// What happens to each call that is spoken of, by its number; the rest is refused.
pub(super) type Verdicts = BTreeMap<u32, Verdict>;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
