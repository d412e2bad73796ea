//! How far a prediction is, for whoever watches it.

use std::ops::Range;
use std::sync::mpsc::Receiver;

use super::outputs::Written;
use crate::images::ImageSource;
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};

/// Reports to the watcher which of the images `own` the writing thread has finished. The watcher is called only
/// on the thread that has called for the prediction.
pub(super) struct Reporter<'a> {
    watcher: &'a mut dyn Watcher,
    images: &'a [ImageSource],
    own: Range<usize>,
    written: Receiver<(usize, Written)>,
    stopped: bool,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(
        watcher: &'a mut dyn Watcher,
        images: &'a [ImageSource],
        own: Range<usize>,
        written: Receiver<(usize, Written)>,
    ) -> Self {
        Self { watcher, images, own, written, stopped: false }
    }

    fn report(&mut self, index: usize, done: f64, written: Option<&Written>) -> Flow {
        let name = written.map_or_else(|| self.images[index].name(), |written| written.name.clone());
        let report = ImageReport {
            work: ImageWork::Predict,
            name: &name,
            index: index.saturating_sub(self.own.start),
            count: self.own.len(),
            done,
            score: None,
            files: written.map_or(&[], |written| &written.files),
        };
        self.watcher.image(&report)
    }

    pub(super) fn report_written(&mut self) {
        while let Ok((index, written)) = self.written.try_recv() {
            self.stopped |= self.report(index, 1.0, Some(&written)).is_break();
        }
    }

    /// Whether the watcher has asked for an end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Reports a tile. The end of an image is reported by [`Self::report_written`] once it is written.
    pub(super) fn tile(&mut self, index: usize, done: f64) -> Flow {
        if self.stopped {
            return Flow::Break(());
        }
        if done < 1.0 { self.report(index, done, None) } else { Flow::Continue(()) }
    }
}
