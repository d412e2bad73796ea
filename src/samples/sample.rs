//! An image and what a network is to give for it.

use std::borrow::Cow;

use ndarray::{Array2, Array3, Axis, s};
use serde::{Deserialize, Serialize};

use super::stacked;
use crate::geometry::{Extent, Turn, Upright, Window};
use crate::images::NO_LABEL;
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

/// Classes of pixels of which none is labelled.
pub(super) fn unlabelled(height: usize, width: usize) -> Array2<u32> {
    Array2::from_elem((height, width), UNLABELLED)
}

/// Puts the mean of each channel's finite pixels in the place of those that are not finite; 0 where none is.
pub fn fill_gaps(image: &mut Array3<f32>) {
    if let Some(means) = gap_means(image) {
        fill(image, &means);
    }
}

/// The mean of each channel's finite pixels, 0 where none is; `None` where all pixels are finite.
pub fn gap_means(image: &Array3<f32>) -> Option<Vec<f32>> {
    if image.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut means = GapMeans::default();
    means.add(image);
    means.means()
}

/// As [`gap_means`], of an image whose parts are added in the order of its rows: the result is the same to the last bit.
#[derive(Debug, Default)]
pub struct GapMeans {
    has_gaps: bool,
    /// The sum and the number of the finite pixels of each channel.
    channels: Vec<(f64, usize)>,
}

impl GapMeans {
    /// Adds the next rows of all channels, `[channel][y][x]`.
    pub fn add(&mut self, part: &Array3<f32>) {
        self.channels.resize(part.dim().0, (0.0, 0));
        for ((sum, count), plane) in self.channels.iter_mut().zip(part.outer_iter()) {
            for &value in plane {
                if value.is_finite() {
                    *sum += f64::from(value);
                    *count += 1;
                } else {
                    self.has_gaps = true;
                }
            }
        }
    }

    /// The mean of each channel's finite pixels, 0 where none is; `None` where all pixels were finite.
    pub fn means(&self) -> Option<Vec<f32>> {
        let mean = |&(sum, count): &(f64, usize)| if count == 0 { 0.0 } else { (sum / count as f64) as f32 };
        self.has_gaps.then(|| self.channels.iter().map(mean).collect())
    }
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
    /// The image, of shape `[channel][y][x]`, in the file's own units; NaN is allowed where nothing counts. A volume has the rows of all
    /// its slices, one slice below the other, here and in target and weights.
    pub image: Array3<f32>,
    /// How many slices it has; 1 for an image.
    pub slices: usize,
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
    /// Of label values with these weights, where `ignored` is no class.
    pub(super) fn of_labels(
        labels: &Array2<i64>,
        weights: Option<&Array2<f32>>,
        ignored: Option<i64>,
    ) -> Self {
        let is_class = |label: i64| label != NO_LABEL && ignored != Some(label);
        let counting = match weights {
            None => labels.iter().filter(|label| is_class(**label)).count(),
            Some(weights) => {
                let pixels = labels.iter().zip(weights);
                pixels.filter(|(label, weight)| is_class(**label) && **weight > 0.0).count()
            }
        };
        Self::of_count(counting, labels.len())
    }

    fn of_count(counting: usize, pixels: usize) -> Self {
        match counting {
            0 => Self::Nothing,
            count if count == pixels => Self::All,
            _ => Self::Some,
        }
    }

    /// Of all pixels of a target with these weights.
    pub(super) fn of(target: &Target, weights: Option<&Array2<f32>>) -> Self {
        if let (Target::Classes(classes), None) = (target, weights) {
            let labelled = classes.iter().filter(|class| **class != UNLABELLED).count();
            return Self::of_count(labelled, classes.len());
        }
        let (height, width) = match target {
            Target::Classes(classes) => classes.dim(),
            Target::Values(values) => (values.dim().1, values.dim().2),
        };
        let mut pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let first = pixels.next().is_some_and(|(y, x)| target.counts_at(weights, y, x));
        match (first, pixels.any(|(y, x)| target.counts_at(weights, y, x) != first)) {
            (_, true) => Self::Some,
            (true, false) => Self::All,
            (false, false) => Self::Nothing,
        }
    }
}

/// The slices of a part of a volume, once it is turned.
fn turned_slices(window: &Window, turn: Turn) -> usize {
    match turn.upright {
        Upright::Z => window.extent.z,
        Upright::Y => window.extent.y,
        Upright::X => window.extent.x,
    }
}

impl Sample {
    /// An image `[channel][y][x]` and its target, of the same height and width; every pixel counts 1.
    ///
    /// Nothing is checked here; [`super::Dataset::from_memory`] does that.
    pub fn new(name: impl Into<String>, image: Array3<f32>, target: Target) -> Self {
        Self { name: name.into(), image, slices: 1, target, weights: None, group: None }
    }

    /// The sample as a volume of so many slices, whose rows are one below the other.
    pub fn of_slices(self, slices: usize) -> Self {
        Self { slices, ..self }
    }

    /// Slices, rows of one slice, and columns.
    pub fn extent(&self) -> Extent {
        let (_, rows, columns) = self.image.dim();
        Extent::new(self.slices, rows / self.slices.max(1), columns)
    }

    /// The sample with weights `[y][x]` for its pixels, finite and not negative; with `None`, each counts 1.
    pub fn with_weights(self, weights: impl Into<Option<Array2<f32>>>) -> Self {
        Self { weights: weights.into(), ..self }
    }

    /// Whether the piece (all of it for `None`) has a pixel that counts: one with a class or value, and a weight above 0.
    pub fn counts_in(&self, piece: Option<Window>) -> bool {
        let extent = self.extent();
        let piece = piece.unwrap_or_else(|| Window::whole(extent));
        let rows = |z: usize| piece.rows().map(move |y| z * extent.y + y);
        piece.slices().flat_map(rows).any(|y| piece.columns().any(|x| self.counts_at(y, x)))
    }

    /// Whether a pixel counts: it has a class or value, and a weight above 0.
    pub(super) fn counts_at(&self, y: usize, x: usize) -> bool {
        self.target.counts_at(self.weights.as_ref(), y, x)
    }

    /// The part `window` of image, target and weights.
    pub(crate) fn cut(&self, window: &Window) -> Sample {
        self.turned_part(window, Turn::IDENTITY)
    }

    /// The part `window` of image, target and weights, turned.
    pub(super) fn turned_part(&self, window: &Window, turn: Turn) -> Sample {
        let (target, weights) = self.turned_target_part(window, turn);
        let (image, slices) = if self.slices == 1 {
            (turn.within.apply(&self.image.slice(s![.., window.rows(), window.columns()])), 1)
        } else {
            (stacked::part(self.image.view(), self.slices, window, turn), turned_slices(window, turn))
        };
        Sample::new(self.name.clone(), image, target).with_weights(weights).of_slices(slices)
    }

    /// The part `window` of target and weights.
    pub(super) fn target_part(&self, window: &Window) -> (Target, Option<Array2<f32>>) {
        self.turned_target_part(window, Turn::IDENTITY)
    }

    fn turned_target_part(&self, window: &Window, turn: Turn) -> (Target, Option<Array2<f32>>) {
        let (rows, columns, weights) = (window.rows(), window.columns(), self.weights.as_ref());
        if self.slices != 1 {
            let weights = weights.map(|weights| stacked::flat_part(weights, self.slices, window, turn));
            let target = match &self.target {
                Target::Classes(classes) => {
                    Target::Classes(stacked::flat_part(classes, self.slices, window, turn))
                }
                Target::Values(values) => {
                    Target::Values(stacked::part(values.view(), self.slices, window, turn))
                }
            };
            return (target, weights);
        }
        let within = turn.within;
        let weights = weights.map(|weights| within.apply(&weights.slice(s![rows.clone(), columns.clone()])));
        let target = match &self.target {
            Target::Classes(classes) => Target::Classes(within.apply(&classes.slice(s![rows, columns]))),
            Target::Values(values) => Target::Values(within.apply(&values.slice(s![.., rows, columns]))),
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::samples::LabelMapping;

    #[test]
    fn what_counts_of_label_values_is_what_counts_of_their_classes() {
        let mapping = LabelMapping { values: vec![3, 5], ignored: Some(9) };
        let all = array![[3_i64, 5], [5, 3]];
        let labels = [
            all.clone(),
            array![[3, NO_LABEL], [5, 3]],
            array![[9, 3], [3, 3]],
            array![[9, NO_LABEL], [9, 9]],
        ];
        let weights = [None, Some(array![[0.0_f32, 2.0], [1.0, 1.0]]), Some(Array2::zeros((2, 2)))];
        let mut found = Vec::new();
        for labels in &labels {
            let classes = Target::Classes(mapping.encode("l.tif", labels).unwrap());
            for weights in weights.iter().map(Option::as_ref) {
                let counting = Counting::of_labels(labels, weights, mapping.ignored);
                assert_eq!(counting, Counting::of(&classes, weights), "{labels:?} {weights:?}");
                found.push(counting);
            }
        }
        assert!([Counting::Nothing, Counting::Some, Counting::All].iter().all(|one| found.contains(one)));
    }
}
