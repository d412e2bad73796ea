//! Trained models as they are judged.

use std::borrow::Cow;

use ndarray::Array3;

use super::blocks::Block;
use super::judge::{Found, ImageResult, Judged};
use crate::Result;
use crate::engine::LossSum;
use crate::inference::{Cutting, Ensemble, Prediction};
use crate::network::Task;
use crate::samples::{GapMeans, Item, Sample, fill, fill_gaps};
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

/// How often a volume is in memory that is scored in one piece: as its slices are put together, as it is filled, and as parts of it are
/// computed; and what is found for it, likewise.
const COPIES: u64 = 3;
/// Bytes for each voxel of a slab beside what is computed: its classes and those of its target, and the weights of these.
const BESIDE: u64 = 16;

/// Models that take volumes of which there is no room for the whole slab by slab.
pub(super) struct InSlabs<'a> {
    pub(super) ensemble: &'a mut Ensemble,
    /// How volumes are cut.
    pub(super) cutting: Cutting,
}

impl Judged for InSlabs<'_> {
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        self.ensemble.apply(sample, progress)
    }

    fn apply_in_blocks(
        &mut self,
        volume: &Item,
        progress: &mut dyn FnMut(f64) -> Flow,
        each: &mut dyn FnMut(Block<'_>) -> Result<()>,
    ) -> Result<Option<LossSum>> {
        let Self { ensemble, cutting } = self;
        let outputs = 4 * ensemble.model().architecture.outputs as u64;
        let outputs = outputs.saturating_mul(volume.extent().pixels() as u64);
        if ensemble.holds_whole(
            volume.extent(),
            cutting,
            volume.bytes().saturating_add(outputs).saturating_mul(COPIES),
        ) {
            return ensemble.apply_in_blocks(volume, progress, each);
        }
        // What does not count may be no number.
        let means = match volume.may_have_gaps() {
            true => {
                let mut gaps = GapMeans::default();
                volume.visit_slices(|slice| gaps.add(slice))?;
                gaps.means()
            }
            false => None,
        };
        let slices = volume.slices();
        let mut read = |slice: usize| -> Result<Array3<f32>> {
            let mut image = slices[slice].sample()?.into_owned().image;
            if let Some(means) = &means {
                fill(&mut image, means);
            }
            Ok(image)
        };
        let segments = matches!(ensemble.model().task, Task::Segment { .. });
        ensemble.predict_in_slabs(
            (volume.name(), volume.extent()),
            (cutting, volume.block_bytes(), BESIDE),
            &mut read,
            progress,
            &mut |slice, predicted: Prediction| {
                let sample = slices[slice].sample()?;
                let (found, probabilities) = match segments {
                    true => (Found::Classes(predicted.classes()), Some(predicted.mean)),
                    false => (Found::Values(predicted.mean), None),
                };
                let target = sample.counted_target();
                each(Block {
                    target: target.as_ref(),
                    found,
                    probabilities,
                    image: Some(sample.image.view()),
                    slices: 1,
                })
            },
        )?;
        Ok(None)
    }
}
