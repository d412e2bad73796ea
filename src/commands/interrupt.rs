//! Ctrl-C and polite kills.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::watcher::Flow;

/// Whether somebody asked the program to end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. The first signal asks for an end in good order, and `promise` says what becomes of the work; a
    /// second one ends the program at once.
    pub(super) fn listen(promise: &'static str) -> Self {
        static LISTENER: OnceLock<Interrupt> = OnceLock::new();
        let listener = LISTENER.get_or_init(|| {
            let stop = Interrupt(Arc::default());
            let flag = stop.clone();
            let handler = move || {
                if flag.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
                eprintln!("{promise}");
            };
            if let Err(error) = ctrlc::set_handler(handler) {
                log::warn!("Ctrl-C will end the program at once: {error}");
            }
            stop
        });
        listener.clone()
    }

    /// What a watcher answers.
    pub(super) fn flow(&self) -> Flow {
        if self.0.load(Ordering::Relaxed) { Flow::Break(()) } else { Flow::Continue(()) }
    }
}
