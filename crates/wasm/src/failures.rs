//! What is said when a component fails.

use fission_api::quantity::display_bytes;
use fission_rpc::refusal::{Component, Refusal};
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::guest::MemoryLimit;
use crate::machine::STACK;

/// Whose failure it is.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// `namespace/name` of the function.
    pub(crate) function: String,
    /// Name of the function, for commands.
    pub(crate) short: String,
    /// Most stores of all functions.
    pub(crate) max_stores: u32,
}

impl Names {
    fn refuse(&self, reason: &'static str, what: impl AsRef<str>) -> Refusal {
        let message = format!("function {} {}", self.function, what.as_ref());
        Refusal::new(500, Component::Function, reason, message)
            .hint(format!("`fission function logs --name {}` shows what the function printed", self.short))
    }

    /// It did something that is no answer.
    pub(crate) fn misbehaved(&self, what: impl AsRef<str>) -> Refusal {
        self.refuse("function_error", what)
    }

    /// It ended with an error: a trap, an exit, or an instance that could not be made.
    pub(crate) fn failed(&self, error: &wasmtime::Error, memory: &MemoryLimit) -> Refusal {
        if let Some(wanted) = memory.refused {
            return self.out_of_memory(wanted, memory.most);
        }
        if let Some(I32Exit(code)) = error.downcast_ref() {
            return self.misbehaved(format!("exited with code {code} instead of answering"));
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            let message = format!("function {} got no instance: {} are in use", self.function, self.max_stores);
            return Refusal::new(503, Component::Executor, "capacity_exceeded", message).hint(
                "try again when there is less to do; spec.concurrency limits how many instances one function has",
            );
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => self
                .misbehaved("used up its stack: it calls itself without end, or too deep")
                .limit("stack of a component", display_bytes(STACK as u64), "it is fixed; recurse less"),
            // What compilers keep of their stack in memory ends there, before the engine's own does.
            Some(Trap::MemoryOutOfBounds) => {
                self.misbehaved("read or wrote outside its memory, as it also does when it calls itself too deep")
            }
            Some(Trap::UnreachableCodeReached) => {
                self.misbehaved("stopped itself, as after a panic, a failed assertion or an abort")
            }
            Some(trap) => self.misbehaved(format!("crashed: {trap}")),
            None => self.misbehaved(format!("failed: {}", error.root_cause())),
        }
    }

    fn out_of_memory(&self, wanted: u64, most: u64) -> Refusal {
        let what = format!(
            "ran out of memory: it asked for {} where {} is the limit",
            display_bytes(wanted),
            display_bytes(most)
        );
        let change = "set it in the function's specification, or for its environment: fission environment update --name \
                      NAME --maxmemory MIB";
        self.refuse("out_of_memory", what).limit("spec.resources.limits.memory", display_bytes(most), change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { function: "default/f".to_owned(), short: "f".to_owned(), max_stores: 7 }
    }

    fn memory(refused: Option<u64>) -> MemoryLimit {
        MemoryLimit::with_refused(16 << 20, refused)
    }

    #[test]
    fn a_trap_is_told_by_what_it_means() {
        let said = |trap: Trap| names().failed(&wasmtime::Error::new(trap), &memory(None)).message;
        assert!(said(Trap::UnreachableCodeReached).contains("panic"));
        assert!(said(Trap::StackOverflow).contains("stack"));
        assert!(said(Trap::IntegerDivisionByZero).contains("divide by zero"));
    }

    #[test]
    fn a_trap_after_memory_was_refused_is_told_as_that_with_the_limit() {
        let refusal = names().failed(&wasmtime::Error::new(Trap::UnreachableCodeReached), &memory(Some(17 << 20)));
        assert_eq!((refusal.status, refusal.reason), (500, "out_of_memory"));
        assert!(refusal.message.contains("17 MiB") && refusal.message.contains("16 MiB"), "{}", refusal.message);
        assert_eq!(refusal.limit.unwrap().value, "16 MiB");
    }

    #[test]
    fn an_exit_is_told_with_its_code() {
        let refusal = names().failed(&wasmtime::Error::new(I32Exit(3)), &memory(None));
        assert!(refusal.message.contains("code 3"), "{}", refusal.message);
    }
}
