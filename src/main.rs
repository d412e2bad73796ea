//! Parses the command line, calls a command, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use msd_gpu::commands::{self, Arguments};

fn main() -> ExitCode {
    quiet_vulkan();
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

/// Vulkan drivers write a line to standard error on every start where this variable is missing, as it is on most
/// cluster nodes; any folder will do, since nothing is shown on a screen.
fn quiet_vulkan() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread has been started yet that could read the environment at the same time.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}
