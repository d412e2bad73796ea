//! Mixing weights to start from: those by which the network as it was drawn tells the labelled pixels apart best.
//!
//! Filters are drawn at random, and the mixing weights of the paper begin at 0: no gradient reaches the layers before the mixing layer has
//! learnt something. That layer is a logistic regression on the feature maps, which has one best answer, so it is found before the
//! first step, by the bound of its curvature of Böhning ("Multinomial logistic regression algorithm", Annals of the Institute of
//! Statistical Mathematics 44, 1992): each iteration solves the same system of linear equations and never makes the loss larger.

use std::collections::BTreeMap;

use log::info;
use ndarray::{Array2, ArrayView2};

use crate::Result;
use crate::devices::Device;
use crate::engine::{Images, Plane};
use crate::geometry::{Extent, Shape, Window};
use crate::metrics::UNLABELLED;
use crate::network::{Model, ParameterLayout};
use crate::samples::{Dataset, Target};

/// Labelled pixels that are looked at, evenly among all.
const MOST_PIXELS: usize = 8000;
/// Rows and columns of the parts of images that the network is applied to.
const SIDE: usize = 512;
/// Parts that it is applied to, evenly among those that hold chosen pixels.
const MOST_PARTS: usize = 24;
/// Feature maps of the largest network whose mixing weights are found so.
const MOST_CHANNELS: usize = 512;
/// The weight of the squares of mixing weights in the loss of a pixel: strokes are few, and neighbours in them are alike.
const RIDGE: f64 = 3e-2;
const ITERATIONS: usize = 60;

/// Pixels of which the class is known, and what the network makes of them.
#[derive(Default)]
struct Known {
    /// Of each pixel its feature maps and a 1, one pixel after the other.
    features: Vec<f64>,
    classes: Vec<usize>,
    weights: Vec<f64>,
}

/// Sets the mixing weights and the biases of the outputs of `model`, which learns classes, by the normalised images of `training`. They are
/// computed on the processor, so that they are the same whatever the network is trained on. Networks of volumes and networks with very many
/// channels are left as they are. `chosen` are pixels of these images, where some were chosen when their targets were read.
///
/// # Errors
/// What comes of reading the images, and of a lack of memory.
pub(super) fn fit_mixing(model: &mut Model, training: &Dataset, chosen: Option<ChosenPixels>) -> Result<()> {
    let architecture = &model.architecture;
    let channels = architecture.channels();
    if architecture.is_of_volumes() || channels > MOST_CHANNELS {
        return Ok(());
    }
    let chosen = match chosen {
        Some(chosen) => chosen,
        None => ChosenPixels::of(training)?,
    };
    let mut parts = chosen.by_part();
    let step = parts.len().div_ceil(MOST_PARTS).max(1);
    let mut known = Known::default();
    let mut engine = Device::cpu().open(architecture, &model.parameters)?;
    while let Some(((index, row, column), pixels)) = parts.pop_first() {
        (1..step).for_each(|_| drop(parts.pop_first()));
        let item = &training.items()[index];
        let Extent { y, x, .. } = item.extent();
        let window = Window::plane(row..(row + SIDE).min(y), column..(column + SIDE).min(x));
        let part = item.cut(window, item.name().to_owned());
        let image = part.sample()?.image.iter().copied().collect();
        engine.forward(&Images { shape: Shape { batch: 1, extent: window.extent }, pixels: image })?;
        let width = window.extent.x;
        let start = known.features.len();
        known.features.resize(start + pixels.len() * (channels + 1), 1.0);
        for channel in 0..channels {
            let map = engine.read_plane(Plane::Map(channel), 0)?;
            for (place, pixel) in pixels.iter().enumerate() {
                let value = f64::from(map[(pixel.row - row) * width + pixel.column - column]);
                known.features[start + place * (channels + 1) + channel] = value;
            }
        }
        known.classes.extend(pixels.iter().map(|pixel| pixel.class));
        known.weights.extend(pixels.iter().map(|pixel| f64::from(pixel.weight)));
    }
    let features = Array2::from_shape_vec((known.classes.len(), channels + 1), known.features);
    let Ok(features) = features else { return Ok(()) };
    let found = fitted(features.view(), &known.classes, &known.weights, architecture.outputs, RIDGE);
    let Some(found) = found.filter(|found| found.iter().all(|value| value.is_finite())) else {
        return Ok(());
    };
    let layout = ParameterLayout::of(architecture);
    for (output, weights) in found.outer_iter().enumerate() {
        for (place, weight) in layout.mix(output).zip(weights) {
            model.parameters[place] = *weight as f32;
        }
        model.parameters[layout.output_biases().start + output] = weights[channels] as f32;
    }
    info!(
        "the mixing layer begins with what suits {} labelled pixels best (`mixing_start`)",
        known.classes.len()
    );
    Ok(())
}

/// A labelled pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pixel {
    image: usize,
    row: usize,
    column: usize,
    class: usize,
    weight: f32,
}

/// Labelled pixels, evenly among all that were looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChosenPixels {
    /// How many were looked at.
    count: usize,
    /// Those are kept whose number among all is a multiple of this, which is doubled when there are too many.
    every: usize,
    kept: Vec<Pixel>,
}

impl Default for ChosenPixels {
    fn default() -> Self {
        Self { count: 0, every: 1, kept: Vec::new() }
    }
}

impl ChosenPixels {
    /// Of all images of `training`, whose targets are read for it.
    ///
    /// # Errors
    /// What comes of reading them.
    pub(super) fn of(training: &Dataset) -> Result<Self> {
        let mut chosen = Self::default();
        training.visit_targets(|place, target, weights| {
            chosen.add(place.item, target, weights);
            Ok(())
        })?;
        Ok(chosen)
    }

    /// Looks at the pixels of image `image`.
    pub(super) fn add(&mut self, image: usize, target: &Target, weights: Option<&Array2<f32>>) {
        let Target::Classes(classes) = target else { return };
        for ((row, column), &class) in classes.indexed_iter() {
            let weight = weights.map_or(1.0, |weights| weights[[row, column]]);
            if class == UNLABELLED || weight <= 0.0 {
                continue;
            }
            if self.count.is_multiple_of(self.every) {
                self.kept.push(Pixel { image, row, column, class: class as usize, weight });
            }
            self.count += 1;
            if self.kept.len() > MOST_PIXELS {
                let mut number = 0;
                self.kept.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.every *= 2;
            }
        }
    }

    /// The same where the weight of each pixel is multiplied by that of its class, which leaves none without weight.
    pub(super) fn weighed(mut self, weights: &[f32]) -> Self {
        self.kept.iter_mut().for_each(|pixel| pixel.weight *= weights[pixel.class]);
        self
    }

    /// By image and by the corner of the part that they are in.
    fn by_part(self) -> BTreeMap<(usize, usize, usize), Vec<Pixel>> {
        let mut found: BTreeMap<_, Vec<Pixel>> = BTreeMap::new();
        for pixel in self.kept {
            let part = (pixel.image, pixel.row / SIDE * SIDE, pixel.column / SIDE * SIDE);
            found.entry(part).or_default().push(pixel);
        }
        found
    }
}

/// The weights `[class][feature]` of a multinomial logistic regression of `classes` on `features` `[pixel][feature]`, the last of which is 1;
/// `None` where fewer than two classes are there, or the system of equations has no answer.
fn fitted(
    features: ArrayView2<f64>,
    classes: &[usize],
    weights: &[f64],
    count: usize,
    ridge: f64,
) -> Option<Array2<f64>> {
    let size = features.ncols();
    let total: f64 = weights.iter().sum();
    if classes.iter().all(|class| Some(class) == classes.first())
        || classes.iter().any(|class| *class >= count)
    {
        return None;
    }
    // Half the weighted mean of all products of two features is at least the curvature of the loss in the weights of each class.
    let mut weighted = features.to_owned();
    for (mut pixel, weight) in weighted.outer_iter_mut().zip(weights) {
        pixel.mapv_inplace(|value| value * weight / total);
    }
    let mut bound = weighted.t().dot(&features) * 0.5;
    bound.diag_mut().mapv_inplace(|value| value + ridge);
    let factor = cholesky(bound)?;
    let mut found = Array2::<f64>::zeros((count, size));
    for _ in 0..ITERATIONS {
        let mut differences = features.dot(&found.t());
        for (mut outputs, class) in differences.outer_iter_mut().zip(classes) {
            let largest = outputs.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            outputs.mapv_inplace(|value| (value - largest).exp());
            let sum = outputs.sum();
            outputs.mapv_inplace(|value| value / sum);
            outputs[*class] -= 1.0;
        }
        let gradient = differences.t().dot(&weighted) + &found * ridge;
        for (mut weights, gradient) in found.outer_iter_mut().zip(gradient.outer_iter()) {
            let step = solved(&factor, gradient.to_vec());
            weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= step);
        }
    }
    Some(found)
}

/// The lower triangle L of a matrix that is L L^T; `None` for one that is not positive.
fn cholesky(mut matrix: Array2<f64>) -> Option<Array2<f64>> {
    for column in 0..matrix.nrows() {
        for row in column..matrix.nrows() {
            let product: f64 = (0..column).map(|k| matrix[[row, k]] * matrix[[column, k]]).sum();
            let rest = matrix[[row, column]] - product;
            matrix[[row, column]] = if row > column {
                rest / matrix[[column, column]]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(matrix)
}

/// The answer of L L^T x = `right`.
fn solved(lower: &Array2<f64>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for row in 0..size {
        let product: f64 = (0..row).map(|k| lower[[row, k]] * right[k]).sum();
        right[row] = (right[row] - product) / lower[[row, row]];
    }
    for row in (0..size).rev() {
        let product: f64 = (row + 1..size).map(|k| lower[[k, row]] * right[k]).sum();
        right[row] = (right[row] - product) / lower[[row, row]];
    }
    right
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::network::{Architecture, Class, Normalisation, Task, initialise};
    use crate::samples::Sample;

    #[test]
    fn a_logistic_regression_finds_the_weights_that_made_the_classes() {
        // Of a single feature, 0 or 1, with a quarter and three quarters of class 1: the logarithms of the odds are -ln 3 and ln 3.
        let pixels = 4000;
        let features =
            Array2::from_shape_fn((pixels, 2), |(pixel, of)| if of == 1 { 1.0 } else { (pixel % 2) as f64 });
        let classes: Vec<usize> =
            (0..pixels).map(|pixel| usize::from((pixel / 2 % 4 == 0) != (pixel % 2 == 1))).collect();
        let found = fitted(features.view(), &classes, &vec![2.5; pixels], 2, 1e-3).unwrap();
        let odds = |feature: f64| (found[[1, 0]] - found[[0, 0]]) * feature + found[[1, 1]] - found[[0, 1]];
        // The ridge makes them a little smaller.
        assert!((odds(0.0) / -3_f64.ln() - 1.0).abs() < 0.1, "{}", odds(0.0));
        assert!((odds(1.0) / 3_f64.ln() - 1.0).abs() < 0.1, "{}", odds(1.0));
        assert!(fitted(features.view(), &vec![1; pixels], &vec![1.0; pixels], 2, 1e-3).is_none());
    }

    #[test]
    fn a_network_tells_apart_what_was_labelled_before_its_first_step() {
        let side = 40;
        let is_bright = |y: usize, x: usize| (y / 8 + x / 8).is_multiple_of(2);
        let image =
            Array3::from_shape_fn((1, side, side), |(_, y, x)| if is_bright(y, x) { 1.0 } else { -1.0 });
        let labels = Array2::from_shape_fn((side, side), |(y, x)| match y {
            10..14 => u32::from(is_bright(y, x)),
            _ => UNLABELLED,
        });
        let set = Dataset::unchecked([Sample::new("a", image.clone(), Target::Classes(labels))]);
        let architecture = Architecture::new(1, 2, 3);
        let classes = [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec();
        let mut model = Model {
            parameters: initialise(&architecture, 1),
            architecture,
            task: Task::Segment { classes },
            input: Normalisation::identity(1).into(),
            target: None,
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::new(),
        };
        fit_mixing(&mut model, &set, None).unwrap();
        let mut engine = Device::cpu().open(&model.architecture, &model.parameters).unwrap();
        let shape = Shape { batch: 1, extent: Extent::plane(side, side) };
        let found = engine.classify(&Images { shape, pixels: image.iter().copied().collect() }).unwrap();
        let right = |place: usize, class: u8| class == u8::from(is_bright(place / side, place % side));
        assert!(found.iter().enumerate().all(|(place, class)| right(place, *class)));
    }
}
