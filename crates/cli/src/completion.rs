//! `fission completion`: scripts that let a shell complete commands.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

use crate::failure::Outcome;
use crate::session::Session;

/// Shells there is a script for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KnownShell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// Print a script that completes commands
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  source <(fission completion bash)
  fission completion zsh > ~/.zfunc/_fission
  fission completion fish | source")]
pub(crate) struct CompletionArgs {
    /// The shell
    pub(crate) shell: KnownShell,
}

pub(crate) fn run(args: CompletionArgs, s: &mut Session) -> Outcome {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
        KnownShell::Powershell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    generate(shell, &mut crate::args::command(), "fission", &mut script);
    s.io.write_bytes(&script)
}
