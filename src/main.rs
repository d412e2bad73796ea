//! Parses the command line, calls a command, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use msd_gpu::commands::{self, Arguments};
use msd_gpu::peers;

fn main() -> ExitCode {
    quiet_vulkan();
    allocator::tune();
    let arguments = Arguments::parse();
    commands::start_logging(&arguments);
    // Where threads cannot be had, this says so; the first use of them would end in a panic.
    // Without a number there is one for each processor.
    let threads = peers::threads_of_this_process().unwrap_or_default();
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        eprintln!("error: threads cannot be started ({error}); raise the limit of memory or of processes");
        return ExitCode::FAILURE;
    }
    let result = commands::run(arguments);
    if let Err(error) = &result {
        eprintln!("error: {}", commands::sentence(error));
    }
    ExitCode::from(commands::exit_code(&result))
}

/// Vulkan drivers write a line to standard error on every start where this variable is missing, as it is on most
/// cluster nodes; any folder will do, since nothing is shown on a screen.
fn quiet_vulkan() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread has been started yet that could read the environment at the same time.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}

/// The system's allocator where that is glibc: its settings, and what happens where it gets no memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::io::Write;

    use msd_gpu::error::Bytes;
    use msd_gpu::memory::{self, Limit};

    /// Lets the system have the memory of images back as soon as they are freed. glibc would keep more and more of it, so
    /// that a run took a tenth more than what it uses, and than what was announced beforehand. Under a limit of the address space
    /// all threads share one arena, as glibc reserves up to 128 MiB of addresses for each.
    pub fn tune() {
        /// Smaller pieces stay with the program: they are taken and freed many times in each step.
        const LARGE_BYTES: libc::c_int = 1 << 20;
        let limited = memory::free().is_some_and(|free| free.limit == Limit::AddressSpace);
        // SAFETY: this changes numbers inside the allocator, before another thread has been started. Where it is refused,
        // everything stays as it is.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
            if limited {
                libc::mallopt(libc::M_ARENA_MAX, 1);
            }
        }
    }

    /// The system's allocator. Where there is no memory left, it prints an error message and ends the program with the exit code
    /// of a failure, where Rust would abort. Large pieces are checked beforehand ([`msd_gpu::memory`]), so this concerns the small
    /// ones.
    struct ReportingAllocator;

    #[global_allocator]
    static ALLOCATOR: ReportingAllocator = ReportingAllocator;

    impl ReportingAllocator {
        fn checked(&self, memory: *mut u8, bytes: usize) -> *mut u8 {
            if memory.is_null() {
                // Neither this sentence nor standard error, which has no buffer, takes memory.
                let _ = writeln!(
                    std::io::stderr(),
                    "error: {} more of memory cannot be had; use smaller images, --crop or --tile, or raise the limit of memory",
                    Bytes(bytes as u64)
                );
                // SAFETY: this ends the process, and with it everything that could go wrong. Whatever a usual exit would do
                // could allocate memory again.
                unsafe { libc::_exit(1) };
            }
            memory
        }
    }

    // SAFETY: everything is handed to the system's allocator and back as it came.
    unsafe impl GlobalAlloc for ReportingAllocator {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller keeps what `alloc` asks for.
            self.checked(unsafe { System.alloc(layout) }, layout.size())
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller keeps what `alloc_zeroed` asks for.
            self.checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
            // SAFETY: the caller keeps what `realloc` asks for, and `memory` came from the system's allocator.
            self.checked(unsafe { System.realloc(memory, layout, bytes) }, bytes)
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: the caller keeps what `dealloc` asks for, and `memory` came from the system's allocator.
            unsafe { System.dealloc(memory, layout) }
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    pub fn tune() {}
}
