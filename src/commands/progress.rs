//! How far a command is, image by image: a bar on a terminal, else a line for each image.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress over a known number of images, on standard error; the bar goes away with it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For `count` images.
    pub(super) fn over(count: usize) -> Self {
        // `-q` silences the bar as it does the lines.
        let wanted = count > 1 && std::io::stderr().is_terminal() && log::log_enabled!(log::Level::Info);
        let bar = wanted.then(|| {
            let bar = ProgressBar::new(count as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}, {eta} left  {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// One image is done; `line` says which, and what became of it.
    pub(super) fn done(&self, line: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.inc(1);
            }
            None => log::info!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
