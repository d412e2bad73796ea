//! `msd-gpu man`: the pages of the manual.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Arguments, console};
use crate::files::{make_and_try, write_bytes_atomic};
use crate::settings::nearest;
use crate::{Error, Result};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Print the page of this subcommand, not that of the program
    #[arg(value_name = "COMMAND")]
    subcommand: Option<String>,
    /// Write all pages into this folder: msd-gpu.1, msd-gpu-train.1 and so on
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    out: Option<PathBuf>,
}

/// Prints a page, or writes all of them.
pub fn run(arguments: ManArguments) -> Result<()> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    // Subcommands get their full names and the flags that all have.
    program.build();
    if let Some(folder) = arguments.out {
        make_and_try(&folder)?;
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let name = command.get_display_name().unwrap_or(command.get_name());
            write_bytes_atomic(folder.join(format!("{name}.1")), &page(command)?)?;
        }
        log::info!("the pages are in {}", folder.display());
        return Ok(());
    }
    let command = match &arguments.subcommand {
        Some(name) => program.find_subcommand(name).ok_or_else(|| unknown(name, &program))?,
        None => &program,
    };
    console::line(String::from_utf8_lossy(&page(command)?).trim_end());
    Ok(())
}

/// The page of a command, in the language of man.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).source(concat!("msd-gpu ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page)
        .map_err(|e| Error::output("the page", format!("{e}; free some memory")).caused_by(e))?;
    Ok(page)
}

fn unknown(name: &str, program: &Command) -> Error {
    let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    let wanted = match nearest(name, names.iter().copied()) {
        Some(near) => format!("there is no such command; the nearest is {near}"),
        None => format!("it must be one of {}", names.join(", ")),
    };
    Error::setting("the command", format!("'{name}'"), wanted)
}
