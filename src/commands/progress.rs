//! How far a command is, image by image: a bar on a terminal, else a line for each image.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::Interrupt;
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};

/// Steps of the bar for each image: large images show how far they are.
const STEPS: u64 = 1000;

/// Progress over a known number of images, on standard error; the bar goes away with it.
pub(super) struct ImageProgress {
    bar: Option<ProgressBar>,
    count: usize,
    interrupt: Interrupt,
}

impl ImageProgress {
    /// For `count` images.
    pub(super) fn over(count: usize) -> Self {
        // `-q` silences the bar as it does the lines.
        let wanted = std::io::stderr().is_terminal() && log::log_enabled!(log::Level::Info);
        let bar = wanted.then(|| {
            let bar = ProgressBar::new(STEPS * count as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {prefix}, {eta} left  {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("0/{count}"));
            bar
        });
        Self { bar, count, interrupt: Interrupt::listen("stopping; the files that are complete stay") }
    }

    /// `done` images are done; `line` says what became of the last one.
    fn done(&self, done: usize, line: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("{done}/{}", self.count));
                bar.set_message(line);
                bar.set_position(STEPS * done as u64);
            }
            None => log::info!("{line}"),
        }
    }
}

impl Watcher for ImageProgress {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        if image.done < 1.0 {
            if let Some(bar) = &self.bar {
                bar.set_position(STEPS * image.index as u64 + (image.done * STEPS as f64) as u64);
            }
            return self.interrupt.flow();
        }
        let line = match (image.work, image.score) {
            (_, Some(("psnr", value))) => format!("{}  PSNR {value:.2} dB", image.name),
            (_, Some((name, value))) => {
                format!("{}  {} {value:.4}", image.name, name.replace("_iou", " IoU"))
            }
            (ImageWork::Evaluate, None) => format!("{}  -", image.name),
            // A page of a stack that is not complete.
            (_, None) if image.files.is_empty() => image.name.to_owned(),
            (_, None) => {
                let files: Vec<_> = image.files.iter().map(|file| file.display().to_string()).collect();
                format!("{} -> {}", image.name, files.join(", "))
            }
        };
        self.done(image.index + 1, line);
        self.interrupt.flow()
    }
}

impl Drop for ImageProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
