//! What is kept of the labels of a run when all of them are read with the images, so that they are not read again before the first step.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::start::SomePixels;
use crate::samples::{ClassPixels, ClassRows, ClassTotals, Dataset, Target};

/// Where each class has its pixels is known of each row. No more than so many bytes are kept of that, as it may not be asked for.
const MOST_ROWS_BYTES: u64 = 32 << 20;

/// Of the labels of all images what the start of the mixing layer, draws that favour classes, and shares of classes need of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SeenLabels {
    /// The weight of the pixels of each class.
    totals: Option<ClassTotals>,
    chosen: SomePixels,
    /// Where the pixels of each class are, where draws may favour some and that takes little memory.
    rows: Option<ClassRows>,
    rows_bytes: u64,
    /// Whether pixels have weights of their own.
    has_weights: bool,
}

impl SeenLabels {
    /// Of no image yet, with so many classes; `with_rows` where draws may favour some pixels.
    pub(super) fn new(classes: usize, with_rows: bool) -> Self {
        Self {
            totals: Some(ClassTotals::new(classes)),
            chosen: SomePixels::default(),
            rows: with_rows.then(ClassRows::default),
            rows_bytes: 0,
            has_weights: false,
        }
    }

    /// Adds the labels of image `image`, which comes after all others so far.
    pub(super) fn add(&mut self, image: usize, target: &Target, weights: Option<&Array2<f32>>) {
        self.has_weights |= weights.is_some();
        if let Some(totals) = &mut self.totals {
            totals.add_target(target, weights);
        }
        self.chosen.add(image, target, weights);
        if let (Some(rows), Target::Classes(labels)) = (&mut self.rows, target) {
            self.rows_bytes += rows.add(image, labels, weights);
            if self.rows_bytes > MOST_ROWS_BYTES {
                self.rows = None;
            }
        }
    }

    /// The same where the pixels of each class count as `weights` say; `None` where it must be seen anew which pixels count.
    pub(super) fn weighed(self, weights: &[f32]) -> Option<Self> {
        if self.has_weights || weights.iter().any(|weight| *weight <= 0.0) {
            return None;
        }
        Some(Self { totals: None, chosen: self.chosen.weighed(weights), ..self })
    }

    /// Whether they may be the labels of `set`, of so many classes.
    pub(super) fn is_of(&self, set: &Dataset, classes: usize) -> bool {
        self.totals.as_ref().is_none_or(|totals| totals.classes() == classes)
            && self.chosen.is_of(set, classes)
            && self.rows.as_ref().is_none_or(|rows| rows.is_of(set))
    }

    /// The weight of the pixels of each class, where it is known.
    pub(super) fn totals(&self) -> Option<&ClassTotals> {
        self.totals.as_ref()
    }

    /// Labelled pixels, evenly among all.
    pub(super) fn chosen(&self) -> &SomePixels {
        &self.chosen
    }

    /// Where the pixels of each class are in `set`, whose labels these are, where that is known.
    pub(super) fn class_pixels(&self, set: &Dataset) -> Option<ClassPixels> {
        self.rows.as_ref().map(|rows| ClassPixels::of_rows(set, rows))
    }
}
