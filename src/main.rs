//! Parses the command line, calls a command, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use msd_gpu::commands::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    commands::start_logging(&arguments);
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
