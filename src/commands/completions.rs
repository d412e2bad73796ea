//! `msd-gpu completions`: what a shell needs to complete this program's commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Arguments, console};

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
