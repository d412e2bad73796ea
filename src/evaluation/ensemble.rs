//! Trained models as they are judged.

use std::borrow::Cow;

use super::judge::{Found, ImageResult, Judged};
use crate::Result;
use crate::inference::Ensemble;
use crate::network::Task;
use crate::samples::{Sample, fill_gaps};
use crate::watcher::Flow;

/// Samples are in the units of their files, and the classes of targets are counted as the model lists them.
impl Judged for Ensemble {
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        self.warn_of_range(&sample.name, &sample.image);
        // What does not count may be no number.
        let image = match sample.image.iter().any(|value| value.is_nan()) {
            true => {
                let mut filled = sample.image.clone();
                fill_gaps(&mut filled);
                Cow::Owned(filled)
            }
            false => Cow::Borrowed(&sample.image),
        };
        let predicted = self.predict_slices(&image, sample.slices, progress)?;
        Ok(match self.model().task {
            Task::Segment { .. } => ImageResult {
                found: Found::Classes(predicted.classes()),
                probabilities: Some(predicted.mean),
                loss: None,
            },
            Task::Regress => {
                ImageResult { found: Found::Values(predicted.mean), probabilities: None, loss: None }
            }
        })
    }
}
