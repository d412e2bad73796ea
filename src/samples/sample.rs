//! An image and what a network is to give for it.

use std::borrow::Cow;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::geometry::{Extent, Window};
use crate::metrics::UNLABELLED;

/// What a network is to give for an image, of the same height and width.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The class index of each pixel, of shape `[y][x]`.
    Classes(Array2<u32>),
    /// The values of each pixel, of shape `[channel][y][x]`.
    Values(Array3<f32>),
}

impl Target {
    /// Whether a pixel counts: it has a class or value, and a weight above 0.
    pub(super) fn counts_at(&self, weights: Option<&Array2<f32>>, y: usize, x: usize) -> bool {
        let labelled = match self {
            Target::Classes(classes) => classes[[y, x]] != UNLABELLED,
            Target::Values(_) => true,
        };
        labelled && weights.is_none_or(|weights| weights[[y, x]] > 0.0)
    }
}

/// Puts the mean of each channel's finite pixels in the place of those that are not finite; 0 where none is.
pub fn fill_gaps(image: &mut Array3<f32>) {
    if let Some(means) = gap_means(image) {
        fill(image, &means);
    }
}

/// The mean of each channel's finite pixels, 0 where none is; `None` where all pixels are finite.
pub fn gap_means(image: &Array3<f32>) -> Option<Vec<f32>> {
    image.iter().any(|value| !value.is_finite()).then(|| {
        let mean = |plane: ArrayView2<f32>| {
            let finite = plane.iter().filter(|value| value.is_finite());
            let (sum, count) =
                finite.fold((0.0, 0_usize), |(sum, count), &v| (sum + f64::from(v), count + 1));
            if count == 0 { 0.0 } else { (sum / count as f64) as f32 }
        };
        image.outer_iter().map(mean).collect()
    })
}

/// Puts a number for each channel in the place of pixels that are not finite.
pub fn fill(image: &mut Array3<f32>, numbers: &[f32]) {
    for (mut plane, number) in image.outer_iter_mut().zip(numbers) {
        plane.mapv_inplace(|value| if value.is_finite() { value } else { *number });
    }
}

/// An image and its target.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The image's path, and page where the file has several.
    pub name: String,
    /// The image, of shape `[channel][y][x]`, in the file's own units; NaN is allowed where nothing counts.
    pub image: Array3<f32>,
    /// What the network is to give for it.
    pub target: Target,
    /// How much each pixel counts, of shape `[y][x]`, finite and not negative; `None` where all count 1.
    pub weights: Option<Array2<f32>>,
    /// What the image belongs to: those of one group are never divided between training and validation. `None` for an image
    /// by itself.
    pub group: Option<String>,
}

/// What of a sample counts: has a class or value, and a weight above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Counting {
    Nothing,
    Some,
    All,
}

impl Counting {
    /// Of all pixels of a sample.
    pub(super) fn of(sample: &Sample) -> Self {
        if let (Target::Classes(classes), None) = (&sample.target, &sample.weights) {
            let unlabelled = classes.iter().filter(|class| **class == UNLABELLED).count();
            return match unlabelled {
                0 => Self::All,
                count if count == classes.len() => Self::Nothing,
                _ => Self::Some,
            };
        }
        let (_, height, width) = sample.image.dim();
        let mut pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let first = pixels.next().is_some_and(|(y, x)| sample.counts_at(y, x));
        match (first, pixels.any(|(y, x)| sample.counts_at(y, x) != first)) {
            (_, true) => Self::Some,
            (true, false) => Self::All,
            (false, false) => Self::Nothing,
        }
    }
}

impl Sample {
    /// An image `[channel][y][x]` and its target, of the same height and width; every pixel counts 1.
    ///
    /// Nothing is checked here; [`super::Dataset::from_memory`] does that.
    pub fn new(name: impl Into<String>, image: Array3<f32>, target: Target) -> Self {
        Self { name: name.into(), image, target, weights: None, group: None }
    }

    /// The sample with weights `[y][x]` for its pixels, finite and not negative; with `None`, each counts 1.
    pub fn with_weights(self, weights: impl Into<Option<Array2<f32>>>) -> Self {
        Self { weights: weights.into(), ..self }
    }

    /// Whether the piece (all of it for `None`) has a pixel that counts: one with a class or value, and a weight above 0.
    pub fn counts_in(&self, piece: Option<Window>) -> bool {
        let (_, height, width) = self.image.dim();
        let piece = piece.unwrap_or_else(|| Window::whole(Extent::plane(height, width)));
        piece.rows().any(|y| piece.columns().any(|x| self.counts_at(y, x)))
    }

    /// Whether a pixel counts: it has a class or value, and a weight above 0.
    pub(super) fn counts_at(&self, y: usize, x: usize) -> bool {
        self.target.counts_at(self.weights.as_ref(), y, x)
    }

    /// The rows and columns of `window`, of image, target and weights.
    pub(super) fn cut(&self, window: &Window) -> Sample {
        let image = self.image.slice(s![.., window.rows(), window.columns()]).to_owned();
        let (target, weights) = self.target_part(window);
        Sample::new(self.name.clone(), image, target).with_weights(weights)
    }

    /// The rows and columns of `window`, of target and weights.
    pub(super) fn target_part(&self, window: &Window) -> (Target, Option<Array2<f32>>) {
        let (rows, columns) = (window.rows(), window.columns());
        let weights = self.weights.as_ref();
        let weights = weights.map(|weights| weights.slice(s![rows.clone(), columns.clone()]).to_owned());
        let target = match &self.target {
            Target::Classes(classes) => Target::Classes(classes.slice(s![rows, columns]).to_owned()),
            Target::Values(values) => Target::Values(values.slice(s![.., rows, columns]).to_owned()),
        };
        (target, weights)
    }

    /// Whether the target of a sample is its image.
    pub(super) fn is_its_own_target(&self) -> bool {
        match &self.target {
            Target::Values(values) => *values == self.image,
            Target::Classes(classes) => {
                // Class indices equal the pixels where the labels are 0, 1, 2 and so on.
                let image = self.image.index_axis(Axis(0), 0);
                self.image.dim().0 == 1
                    && image.iter().zip(classes).all(|(pixel, class)| *pixel == *class as f32)
            }
        }
    }

    /// Gives one meaning to numbers that are not finite, where all of them are in pixels that do not count: in the image they
    /// become NaN, and in target values the mean of those that are finite.
    pub(super) fn settle_gaps(&mut self) {
        self.image.mapv_inplace(|value| if value.is_finite() { value } else { f32::NAN });
        if let Target::Values(values) = &mut self.target {
            fill_gaps(values);
        }
    }

    /// The target as metrics take it: where the weight is 0, a class is [`UNLABELLED`] and a value NaN.
    pub fn counted_target(&self) -> Cow<'_, Target> {
        let Some(weights) = &self.weights else { return Cow::Borrowed(&self.target) };
        let mut target = self.target.clone();
        match &mut target {
            Target::Classes(classes) => {
                classes.zip_mut_with(weights, |class, &weight| {
                    *class = if weight > 0.0 { *class } else { UNLABELLED };
                });
            }
            Target::Values(values) => {
                for mut plane in values.outer_iter_mut() {
                    plane.zip_mut_with(weights, |value, &weight| {
                        *value = if weight > 0.0 { *value } else { f32::NAN };
                    });
                }
            }
        }
        Cow::Owned(target)
    }
}
