//! Why a command failed: a sentence, and what to do next.

use std::fmt;

use crate::io::Io;

/// A failed command. The message says what happened to what; the hints are commands or settings to try next.
#[derive(Debug, Default, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    hints: Vec<String>,
    quiet: bool,
}

/// What commands return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its sentence.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), ..Self::default() }
    }

    /// The command has already said everything; only the exit code is left.
    pub fn said() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// Adds something to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// What to try next.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Prints it on standard error, coloured on a terminal.
    pub fn print(&self, io: &mut Io) {
        if self.quiet {
            return;
        }
        let (red, dim, reset) = if io.colour() { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        io.complain(format_args!("{red}Error:{reset} {}", self.message));
        for hint in &self.hints {
            io.complain(format_args!("{dim}hint:{reset} {hint}"));
        }
    }
}

/// Turns any error into a [`Failure`] that says what was being done.
pub(crate) trait Doing<T> {
    /// `what` is a clause such as `cannot read hello.js`.
    fn doing(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(format_args!("{what}: {error}")))
    }
}
