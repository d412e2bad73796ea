//! How far a command is, image by image: a bar on a terminal, else a line for each image, and now and then one about the time left.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::Interrupt;
use super::pace::Pace;
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};

/// Steps of the bar for each image: large images show how far they are.
const STEPS: u64 = 1000;

/// Progress over a known number of images, on standard error; the bar goes away with it.
pub(super) struct ImageProgress {
    bar: Option<ProgressBar>,
    count: usize,
    started: Instant,
    pace: Pace,
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
        let interrupt = Interrupt::listen("stopping; the files that are complete stay");
        Self { bar, count, started: Instant::now(), pace: Pace::default(), interrupt }
    }

    /// The work is at this place of an image; says how long it takes where there is no bar.
    fn reached(&mut self, image: &ImageReport<'_>) {
        let done = (image.index as f64 + image.done) / self.count.max(1) as f64;
        match &self.bar {
            Some(bar) if image.done < 1.0 => {
                bar.set_position(STEPS * image.index as u64 + (image.done * STEPS as f64) as u64);
            }
            Some(_) => {}
            None => {
                if let Some(line) = self.pace.line(self.started.elapsed(), done) {
                    log::info!("{line}");
                }
            }
        }
    }

    /// `done` images are done; `line` says what became of the last one. A page of a stack that is not complete has a line on a
    /// terminal only, as a log would have thousands of them.
    fn done(&self, done: usize, line: String, is_page: bool) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("{done}/{}", self.count));
                bar.set_message(line);
                bar.set_position(STEPS * done as u64);
            }
            None if is_page => log::debug!("{line}"),
            None => log::info!("{line}"),
        }
    }
}

impl Watcher for ImageProgress {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        if image.done < 1.0 {
            self.reached(image);
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
        let is_page = image.work == ImageWork::Predict && image.files.is_empty();
        self.done(image.index + 1, line, is_page);
        self.reached(image);
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
