//! Parses the command line, calls a command, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use msd_gpu::commands::{self, Arguments};

fn main() -> ExitCode {
    quiet_vulkan();
    return_freed_memory();
    let arguments = Arguments::parse();
    commands::start_logging(&arguments);
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", commands::sentence(&error));
            ExitCode::from(commands::exit_code(&error))
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

/// Lets the system have the memory of images back as soon as they are freed. glibc would keep more and more of it, so that
/// a run took a tenth more than what it uses, and than what was said beforehand.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn return_freed_memory() {
    /// Smaller pieces stay with the program: they are taken and freed many times in each step.
    const LARGE_BYTES: libc::c_int = 1 << 20;
    // SAFETY: this changes two numbers inside the allocator, before another thread has been started. Where it is refused,
    // everything stays as it is.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_freed_memory() {}
