//! Trained models as they are judged.

use super::judge::{Found, ImageResult, Judged};
use crate::Result;
use crate::inference::Ensemble;
use crate::network::Task;
use crate::samples::Sample;
use crate::watcher::Flow;

/// Samples are in the units of their files, and the classes of targets are counted as the model lists them.
impl Judged for Ensemble {
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        let predicted = self.predict_watched(&sample.image, false, progress)?;
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
