//! What is kept of the labels of a run while its images are measured, so that they need not be read once more before the first step.

use ndarray::Array2;

use super::start::ChosenPixels;
use crate::samples::{ClassRows, Item, Place, Target};

/// Most bytes of what is kept of rows, of which it is not known yet whether draws need it.
const MOST_BYTES_OF_ROWS: u64 = 128 << 20;

/// What is kept of labels that were read.
#[derive(Debug, Clone)]
pub(super) struct SeenLabels {
    /// Pixels that the mixing layer is fitted to.
    chosen: Option<ChosenPixels>,
    /// Where the pixels of each class are, for draws that favour some.
    rows: Option<ClassRows>,
    /// The smallest weight of a pixel that counts; infinite before there is one.
    least_weight: f32,
}

impl SeenLabels {
    /// Of no image yet: with pixels to fit the mixing layer to if it may be `fitted`, and with rows if draws may be `favoured`.
    pub(super) fn new(fitted: bool, favoured: bool) -> Self {
        Self {
            chosen: fitted.then(ChosenPixels::default),
            rows: favoured.then(ClassRows::default),
            least_weight: f32::INFINITY,
        }
    }

    /// Adds the labels of `item`, or of a slice of it, which is at `place` and comes after all that were added.
    pub(super) fn add(&mut self, place: Place, item: &Item, target: &Target, weights: Option<&Array2<f32>>) {
        let Target::Classes(labels) = target else { return };
        let positive = weights.into_iter().flatten().copied().filter(|weight| *weight > 0.0);
        let least = if weights.is_none() { 1.0 } else { positive.fold(f32::INFINITY, f32::min) };
        self.least_weight = self.least_weight.min(least);
        if let Some(chosen) = &mut self.chosen {
            chosen.add(place.item, target, weights);
        }
        if let Some(rows) = &mut self.rows {
            rows.add(place, item, labels, weights);
        }
        self.rows = self.rows.take().filter(|rows| rows.bytes() <= MOST_BYTES_OF_ROWS);
    }

    /// Whether labels were read at all.
    pub(super) fn is_of_some(&self) -> bool {
        self.least_weight < f32::INFINITY
    }

    /// The same where the weight of each pixel is multiplied by that of its class; `None` where pixels that counted do not any more, so that
    /// others would have been kept.
    pub(super) fn weighed(self, weights: &[f32]) -> Option<Self> {
        let least_weight = weights.iter().map(|weight| weight * self.least_weight).fold(f32::INFINITY, f32::min);
        let chosen = self.chosen.map(|chosen| chosen.weighed(weights));
        (least_weight > 0.0).then_some(Self { chosen, least_weight, ..self })
    }

    /// The pixels to fit the mixing layer to, which are not kept after that.
    pub(super) fn take_chosen(&mut self) -> Option<ChosenPixels> {
        self.chosen.take()
    }

    /// Where the pixels of each class are, where that was kept.
    pub(super) fn rows(self) -> Option<ClassRows> {
        self.rows
    }
}
