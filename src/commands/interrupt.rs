//! Ctrl-C and polite kills.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::watcher::Flow;

/// The signal that asked the program to end; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Whether a signal asked the program to end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt;

impl Interrupt {
    /// Listens from now on. The first signal asks for an end in good order, and `promise`, unless it is empty, says what becomes of the
    /// work; a second one ends the program at once.
    pub(super) fn listen(promise: &'static str) -> Self {
        static LISTENS: OnceLock<()> = OnceLock::new();
        LISTENS.get_or_init(|| {
            if let Err(error) = system::listen(promise) {
                log::warn!("Ctrl-C will end the program at once: {error}");
            }
        });
        Self
    }

    /// What a watcher answers.
    pub(super) fn flow(&self) -> Flow {
        if SIGNAL.load(Ordering::Relaxed) != 0 { Flow::Break(()) } else { Flow::Continue(()) }
    }
}

/// The exit code of a program that a signal ended: 128 and the number of the signal, such as 130 for Ctrl-C. `None` where no
/// signal came.
pub(super) fn exit_code() -> Option<u8> {
    match SIGNAL.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(code_of(signal)),
    }
}

fn code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

#[cfg(unix)]
mod system {
    use std::sync::atomic::Ordering;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::low_level::register;

    pub(super) fn listen(promise: &'static str) -> std::io::Result<()> {
        // Batch systems send SIGUSR1 some time before they end a job, where they are asked to.
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
            if signal == SIGHUP && is_ignored(signal) {
                continue;
            }
            // A thread that waits for signals would need memory, of which there may be none.
            let received = move || {
                if super::SIGNAL.swap(signal, Ordering::Relaxed) != 0 {
                    // SAFETY: this ends the process, and may be called in a signal handler.
                    unsafe { libc::_exit(super::code_of(signal).into()) };
                }
                let end = if promise.is_empty() { "" } else { "\n" };
                for part in [promise, end] {
                    // SAFETY: `part` is as long as it says, and writing is allowed in a signal handler.
                    unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
                }
            };
            // SAFETY: the handler only does what is allowed in one: atomic numbers, `write` and `_exit`.
            unsafe { register(signal, received) }?;
        }
        Ok(())
    }

    /// Whether the program was started with this signal ignored, as `nohup` does, which is to stay so.
    fn is_ignored(signal: i32) -> bool {
        // SAFETY: with a null pointer in the place of a new action, this only writes the present one into `action`, which has
        // the size and the layout that the system wants and for which zeros are valid.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(not(unix))]
mod system {
    /// Ctrl-C is all that there is.
    const INTERRUPT: i32 = 2;

    pub(super) fn listen(promise: &'static str) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(move || {
            if super::SIGNAL.swap(INTERRUPT, std::sync::atomic::Ordering::Relaxed) != 0 {
                std::process::exit(super::code_of(INTERRUPT).into());
            }
            eprintln!("{promise}");
        })
    }
}
