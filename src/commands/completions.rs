//! `msd-gpu completions`: what a shell needs to complete this program's commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Arguments, console};

/// What `--help` says.
pub(super) const ABOUT: &str = "\
Print what a shell needs to complete commands and flags

Write it to where the shell looks for completions, and start a new shell:

    msd-gpu completions bash > ~/.local/share/bash-completion/completions/msd-gpu
    msd-gpu completions fish > ~/.config/fish/completions/msd-gpu.fish
    msd-gpu completions zsh > DIR/_msd-gpu, where DIR is a folder in $fpath";

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: CompletionsArguments) {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Arguments::command(), "msd-gpu", &mut script);
    console::line(String::from_utf8_lossy(&script).trim_end());
}
