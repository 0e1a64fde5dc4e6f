//! Where a command writes and what surrounds it. Tests give their own.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use crate::env::Variables;
use crate::failure::{Failure, Outcome};

/// The surroundings of one command.
pub struct Io {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Whether standard output is a terminal: only then are next commands suggested.
    pub out_is_terminal: bool,
    /// Whether standard error is a terminal: only then are colours and progress bars used.
    pub err_is_terminal: bool,
    /// The environment variables.
    pub vars: Variables,
    /// The folder relative paths start in.
    pub dir: PathBuf,
    /// The API to use instead of finding one; set by tests and by a platform in the same process.
    pub client: Option<kube::Client>,
}

impl Io {
    /// The process's own streams, variables and folder.
    pub fn of_process() -> Self {
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            vars: Variables::of_process(),
            dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            client: None,
        }
    }

    /// Writes to the given streams; not a terminal, no variables.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, dir: PathBuf) -> Self {
        Self { out, err, out_is_terminal: false, err_is_terminal: false, vars: Variables::default(), dir, client: None }
    }

    /// Whether errors are coloured.
    pub fn colour(&self) -> bool {
        self.err_is_terminal && self.vars.raw("NO_COLOR").is_none()
    }

    /// A line on standard output.
    pub fn say(&mut self, line: impl fmt::Display) -> Outcome {
        self.write(format_args!("{line}\n"))
    }

    /// Text on standard output, exactly.
    pub fn write(&mut self, text: impl fmt::Display) -> Outcome {
        self.write_bytes(text.to_string().as_bytes())
    }

    /// Bytes on standard output. A reader that went away ends the command without a word, as in any pipe.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::said(),
            _ => Failure::new(format_args!("cannot write to standard output: {error}")),
        })
    }

    /// A line on standard error. Failing to write it changes nothing.
    pub fn complain(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.err, "{line}");
    }

    /// Text on standard error, exactly. Failing to write it changes nothing.
    pub fn complain_exactly(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }

    /// A next command, only when a person is watching.
    pub fn suggest(&mut self, command: impl fmt::Display) {
        if self.out_is_terminal {
            let _ = writeln!(self.out, "next: {command}");
        }
    }

    /// An absolute path, relative ones taken from [`Self::dir`].
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }
}
