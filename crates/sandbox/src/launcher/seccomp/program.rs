//! Turns verdicts into what the kernel runs for a call: a search by halves over ranges of numbers with one verdict, so that
//! the kernel, which runs a filter once for every number when it is set, is done soon.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule, sock_filter,
};

use super::calls::NEWEST;
use super::{Condition, Verdict, Verdicts};

/// `struct seccomp_data`: where the number is and where the processor.
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;

/// `AUDIT_ARCH_*` of this machine: calls made as another processor's have other numbers.
#[cfg(target_arch = "x86_64")]
const THIS_PROCESSOR: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_PROCESSOR: u32 = 0xc000_00b7;
/// No processor: the filter cannot be built.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const THIS_PROCESSOR: u32 = 0;

/// Load a word of the data, return, jump always, jump if equal, jump if greater or equal.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_FROM: u16 = 0x35;
/// The farthest a conditional jump reaches.
const NEAR: usize = 255;

/// Compiles verdicts; what they do not speak of is refused: EPERM, and ENOSYS from [`NEWEST`] on.
pub(super) fn compile(verdicts: &Verdicts) -> Result<BpfProgram, String> {
    if THIS_PROCESSOR == 0 {
        return Err(format!("system calls of {} are not known here", std::env::consts::ARCH));
    }
    let mut program = vec![
        statement(LOAD, PROCESSOR),
        jump(JUMP_EQUAL, THIS_PROCESSOR, 1, 0),
        statement(RETURN, SeccompAction::KillProcess.into()),
        statement(LOAD, NUMBER),
    ];
    program.extend(search(&ranges(verdicts))?);
    Ok(program)
}

/// First number of each range and its verdict; a range ends where the next begins.
fn ranges(verdicts: &Verdicts) -> Vec<(u32, Verdict)> {
    let of = |number: u32| match verdicts.get(&number) {
        Some(verdict) => verdict.clone(),
        None if number < NEWEST => Verdict::Refuse(libc::EPERM as u16),
        None => Verdict::Refuse(libc::ENOSYS as u16),
    };
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..=NEWEST.max(verdicts.keys().max().map_or(0, |last| last + 1)) {
        let verdict = of(number);
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((number, verdict));
        }
    }
    ranges
}

/// The number is loaded and in one of the ranges.
fn search(ranges: &[(u32, Verdict)]) -> Result<BpfProgram, String> {
    let (lower, upper) = match ranges {
        [] => return Ok(Vec::new()),
        [(_, verdict)] => return of_verdict(verdict),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let from = upper.first().map_or(u32::MAX, |(first, _)| *first);
    let (lower, upper) = (search(lower)?, search(upper)?);
    let mut program = match u8::try_from(lower.len()) {
        Ok(near) if lower.len() <= NEAR => vec![jump(JUMP_FROM, from, near, 0)],
        _ => vec![jump(JUMP_FROM, from, 0, 1), statement(JUMP, lower.len() as u32)],
    };
    program.extend(lower);
    program.extend(upper);
    Ok(program)
}

fn of_verdict(verdict: &Verdict) -> Result<BpfProgram, String> {
    let refuse = |error: u16| statement(RETURN, SeccompAction::Errno(error.into()).into());
    let allow = || statement(RETURN, SeccompAction::Allow.into());
    match verdict {
        Verdict::Allow => Ok(vec![allow()]),
        Verdict::Refuse(error) => Ok(vec![refuse(*error)]),
        Verdict::If(alternatives) => {
            let mut program = BpfProgram::new();
            for all in alternatives {
                let conditions = all.iter().map(condition).collect::<Result<Vec<_>, _>>();
                let rule = conditions.and_then(SeccompRule::new).map_err(|error| error.to_string())?;
                // Falls through to what follows when it holds, and skips one instruction more when not.
                program.extend(BpfProgram::from(rule));
                program.push(allow());
            }
            program.push(refuse(libc::EPERM as u16));
            Ok(program)
        }
    }
}

fn condition(condition: &Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (argument, operator, value) = match *condition {
        Condition::Is(argument, mask, value) => (argument, SeccompCmpOp::MaskedEq(mask.into()), value),
        Condition::Not(argument, value) => (argument, SeccompCmpOp::Ne, value),
    };
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
}

fn statement(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
