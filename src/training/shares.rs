//! The shares of the classes in the images, where labels are strokes.
//!
//! People paint a rare class nearly as much as the others, so that a network which is trained on strokes finds it where there is none. By
//! Bayes' rule the probabilities for other shares of the classes are p(class) new(class) / old(class), divided by their sum; and the shares
//! in unlabelled images are those that stay the same when they are the mean of these probabilities (Saerens, Latinne and Decaestecker,
//! "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002). To the outputs of the network this
//! adds ln(new / old), which goes into their biases: the model is an ordinary one.

use crate::Result;
use crate::engine::{Engine, Images};
use crate::geometry::{Extent, Shape, Window};
use crate::network::ParameterLayout;
use crate::samples::{ClassTotals, Dataset};

/// Rows and columns of the parts of images that the network is applied to: as large as the pieces that strokes are learnt from.
const SIDE: usize = 192;
/// Parts that it is applied to, evenly among all: the work of about four steps.
const MOST_PARTS: usize = 12;
/// Of the pixels in a part every so many counts: neighbours are alike.
const EVERY: usize = 7;
const ITERATIONS: usize = 100;
/// Shares that change by less are found.
const TOLERANCE: f64 = 1e-5;
/// A share becomes smaller or larger by this factor at most, so that no class is lost which a network has not learnt yet.
const MOST_FACTOR: f64 = 4.0;
/// Only where a class was painted so many times as much as it is found: where no class is rare, shares say more about what the network is not
/// sure of than about the images.
const LEAST_FACTOR: f64 = 2.0;
/// Classes whose probabilities are alike to this extent, from 0 to 1, become rarer together: how much there is of each is not told by a network
/// that does not tell them apart. See [`likeness`].
const MOST_LIKENESS: f64 = 0.5;
/// Which part of the correction is made: networks that have seen few strokes are surer than they are right. This and the numbers
/// above were chosen by `benches/results/2026-11-29-class-shares.md`.
const CORRECTION_STRENGTH: f64 = 0.75;

/// The shares of the classes in the labelled pixels, and parts of the images in which others are looked for.
#[derive(Debug, Clone)]
pub(super) struct SharesInImages {
    labelled: Vec<f64>,
    parts: Vec<Images>,
}

impl SharesInImages {
    /// Of the normalised images of `training`, whose pixels have these `totals`; `None` where fewer than two classes are labelled.
    ///
    /// # Errors
    /// What comes of reading parts of the images.
    pub(super) fn of(training: &Dataset, totals: &ClassTotals) -> Result<Option<Self>> {
        let labelled = totals.shares();
        if labelled.iter().filter(|share| **share > 0.0).count() < 2 {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for (index, window) in spread(training) {
            let item = &training.items()[index];
            let part = item.cut(window, item.name().to_owned());
            let pixels = part.sample()?.image.iter().copied().collect();
            parts.push(Images { shape: Shape { batch: 1, extent: window.extent }, pixels });
        }
        Ok(Some(Self { labelled, parts }))
    }

    /// The pixels that the network is applied to.
    pub(super) fn pixels(&self) -> usize {
        self.parts.iter().map(|part| part.shape.extent.pixels()).sum()
    }

    /// The shapes of the parts.
    pub(super) fn shapes(&self) -> impl Iterator<Item = Shape> {
        self.parts.iter().map(|part| part.shape)
    }

    /// Bytes of the parts.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| 4 * part.pixels.len() as u64).sum()
    }

    /// Brings the biases of the outputs in `parameters`, which are those of the engine, nearer to the shares that the network finds in the
    /// images, where a class was painted at least twice as much as it is found.
    ///
    /// # Errors
    /// What comes of applying the network.
    pub(super) fn adjust(&self, engine: &mut dyn Engine, parameters: &mut [f32]) -> Result<()> {
        let classes = self.labelled.len();
        let mut probabilities = Vec::new();
        for part in &self.parts {
            let outputs = engine.forward(part)?;
            let pixels = part.shape.extent.pixels();
            for pixel in (0..pixels).step_by(EVERY) {
                let output = |class: usize| f64::from(outputs[class * pixels + pixel]);
                let largest = (0..classes).map(output).fold(f64::NEG_INFINITY, f64::max);
                probabilities.extend((0..classes).map(|class| (output(class) - largest).exp()));
            }
        }
        let ratios = ratios(&probabilities, &self.labelled);
        if ratios.iter().any(|ratio| ratio * LEAST_FACTOR <= 1.0) {
            let biases = ParameterLayout::of(engine.architecture()).output_biases();
            for (bias, ratio) in parameters[biases].iter_mut().zip(ratios) {
                *bias += (CORRECTION_STRENGTH * ratio.ln()) as f32;
            }
        }
        Ok(())
    }
}

/// Parts of images, spread evenly over all.
fn spread(training: &Dataset) -> Vec<(usize, Window)> {
    let starts = |length: usize| {
        let parts = length.div_ceil(SIDE).max(1);
        // The last one ends with the image.
        (0..parts).map(move |part| (part * SIDE).min(length.saturating_sub(SIDE)))
    };
    let mut all = Vec::new();
    for (index, Extent { y, x, .. }) in training.sizes().into_iter().enumerate() {
        for row in starts(y) {
            let columns = starts(x).map(|column| column..(column + SIDE).min(x));
            all.extend(columns.map(|columns| (index, Window::plane(row..(row + SIDE).min(y), columns))));
        }
    }
    let chosen = all.len().min(MOST_PARTS);
    (0..chosen).map(|part| all[(2 * part + 1) * all.len() / (2 * chosen)]).collect()
}

/// By how much each class is found more often than it was labelled, by the probabilities `[pixel][class]`, up to a factor for each pixel, of a
/// network that assumes the shares `labelled`: classes that it does not tell apart by the same.
fn ratios(probabilities: &[f64], labelled: &[f64]) -> Vec<f64> {
    let found = shares(probabilities, labelled);
    let groups = alike(probabilities, labelled);
    let sum = |shares: &[f64], group: usize| -> f64 {
        shares.iter().zip(&groups).filter(|(_, of)| **of == group).map(|(share, _)| share).sum()
    };
    groups
        .iter()
        .map(|&group| match sum(labelled, group) {
            labelled if labelled > 0.0 => sum(&found, group) / labelled,
            _ => 1.0,
        })
        .collect()
}

/// Of each class the first one that it cannot be told from, or that this holds of by others in between: itself where it can be told from all.
fn alike(probabilities: &[f64], labelled: &[f64]) -> Vec<usize> {
    let likeness = likeness(probabilities, labelled);
    let classes = labelled.len();
    let mut groups: Vec<usize> = (0..classes).collect();
    for one in 0..classes {
        for other in 0..one {
            if likeness[one * classes + other] > MOST_LIKENESS {
                let (joined, into) = (groups[one].max(groups[other]), groups[one].min(groups[other]));
                groups.iter_mut().filter(|group| **group == joined).for_each(|group| *group = into);
            }
        }
    }
    groups
}

/// How alike the probabilities of any two classes are over all pixels, `[class][class]`: the cosine of the angle between them, which is 0 where
/// no pixel may be of either, and 1 where one is always as probable as the other.
fn likeness(probabilities: &[f64], labelled: &[f64]) -> Vec<f64> {
    let classes = labelled.len();
    let mut products = vec![0.0; classes * classes];
    for pixel in probabilities.chunks_exact(classes) {
        let total: f64 =
            pixel.iter().zip(labelled).filter(|(_, labelled)| **labelled > 0.0).map(|(of, _)| of).sum();
        if !(total > 0.0 && total.is_finite()) {
            continue;
        }
        for (one, of_one) in pixel.iter().enumerate() {
            for (other, of_other) in pixel.iter().enumerate() {
                products[one * classes + other] += of_one * of_other / total.powi(2);
            }
        }
    }
    let of_both = |one: usize, other: usize| {
        let length = (products[one * (classes + 1)] * products[other * (classes + 1)]).sqrt();
        let is_labelled = labelled[one] > 0.0 && labelled[other] > 0.0;
        if is_labelled && length > 0.0 { products[one * classes + other] / length } else { 0.0 }
    };
    (0..classes * classes).map(|place| of_both(place / classes, place % classes)).collect()
}

/// The shares of the classes in pixels, by the probabilities `[pixel][class]`, up to a factor for each pixel, of a network that assumes
/// the shares `labelled`. A class without a share is left out of account.
fn shares(probabilities: &[f64], labelled: &[f64]) -> Vec<f64> {
    let mut found = labelled.to_vec();
    for _ in 0..ITERATIONS {
        let factors: Vec<f64> = found
            .iter()
            .zip(labelled)
            .map(|(found, labelled)| if *labelled > 0.0 { found / labelled } else { 0.0 })
            .collect();
        let mut sums = vec![0.0; found.len()];
        for pixel in probabilities.chunks_exact(found.len()) {
            let total: f64 =
                pixel.iter().zip(&factors).map(|(probability, factor)| probability * factor).sum();
            // Not a number, or nothing but classes that nobody labelled.
            if total > 0.0 {
                let shares =
                    pixel.iter().zip(&factors).map(|(probability, factor)| probability * factor / total);
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
            }
        }
        let total: f64 = sums.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return labelled.to_vec();
        }
        let before = found;
        let within = |(sum, labelled): (&f64, &f64)| {
            (sum / total).clamp(labelled / MOST_FACTOR, labelled * MOST_FACTOR)
        };
        found = sums.iter().zip(labelled).map(within).collect();
        let change = found.iter().zip(&before).map(|(now, before)| (now - before).abs()).fold(0.0, f64::max);
        if change < TOLERANCE {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::devices::Device;
    use crate::metrics::UNLABELLED;
    use crate::network::{Architecture, initialise};
    use crate::samples::{Sample, Target};

    /// Values of a class are its number plus noise that is spread as a logistic distribution, so that the logarithm of the odds of two
    /// classes is a known function of the value. Here: probabilities for equal shares of pixels of which `share` are of class 1.
    fn pixels(share: f64, count: usize) -> Vec<f64> {
        let mut probabilities = Vec::new();
        for number in 0..count {
            // Quantiles of two normal distributions of deviation 1 that are 2 apart, class by class.
            let (of_one, within) = match number < (share * count as f64) as usize {
                true => (1.0, (number as f64 + 0.5) / (share * count as f64)),
                false => (0.0, (number as f64 - share * count as f64 + 0.5) / ((1.0 - share) * count as f64)),
            };
            let value = 2.0 * of_one + normal_quantile(within);
            let density = |mean: f64| (-0.5 * (value - mean).powi(2)).exp();
            probabilities.extend([density(0.0), density(2.0)]);
        }
        probabilities
    }

    /// By bisection of the sum of the density.
    fn normal_quantile(share: f64) -> f64 {
        let steps = 4000;
        let width = 12.0 / steps as f64;
        let mut sum = 0.0;
        for step in 0..steps {
            let x = -6.0 + (step as f64 + 0.5) * width;
            sum += (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() * width;
            if sum >= share {
                return x;
            }
        }
        6.0
    }

    #[test]
    fn shares_of_overlapping_classes_are_found() {
        for share in [0.15, 0.3, 0.5] {
            let found = shares(&pixels(share, 2000), &[0.5, 0.5]);
            assert!((found[1] - share).abs() < 0.01, "{share}: {found:?}");
            assert!((found[0] + found[1] - 1.0).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn a_class_is_never_lost_and_one_that_nobody_labelled_is_left_out() {
        // Class 1 is nowhere: its share falls to a quarter. Class 2 has the largest outputs, but no label.
        let probabilities: Vec<f64> = (0..100).flat_map(|_| [1.0, 1e-9, 5.0]).collect();
        let found = shares(&probabilities, &[0.5, 0.5, 0.0]);
        assert!((found[1] - 0.125).abs() < 1e-9 && found[0] > 0.99 && found[2] == 0.0, "{found:?}");
        let unknown = shares(&[f64::NAN, 1.0], &[0.3, 0.7]);
        assert_eq!(unknown, [0.3, 0.7]);
    }

    #[test]
    fn classes_that_are_not_told_apart_become_rarer_together() {
        // Class 0 is sure. Where it is not, 1 and 2 are about as probable, a little more so for 1: taken by themselves, 2 would nearly vanish.
        let pixel = |number: usize| match number % 5 {
            0 => [1e-3, 0.5 + 0.02 * (number % 7) as f64, 0.44],
            _ => [1.0, 1e-3, 1e-3],
        };
        let probabilities: Vec<f64> = (0..2000).flat_map(pixel).collect();
        let labelled = [0.4, 0.3, 0.3];
        let by_themselves = shares(&probabilities, &labelled);
        assert!(by_themselves[1] > 1.5 * by_themselves[2], "{by_themselves:?}");
        assert_eq!(alike(&probabilities, &labelled), [0, 1, 1]);
        let together = ratios(&probabilities, &labelled);
        assert_eq!(together[1], together[2]);
        // A little more than a fifth of all in three fifths, as no share by itself falls below a quarter.
        assert!((together[1] - 0.2 / 0.6).abs() < 0.03 && together[0] > 1.9, "{together:?}");
        // A class that nobody labelled is like no other, and keeps its bias.
        let with_another: Vec<f64> =
            (0..2000).flat_map(|number| [pixel(number)[0], pixel(number)[1], 1.0]).collect();
        assert_eq!(alike(&with_another, &[0.5, 0.5, 0.0]), [0, 1, 2]);
        assert_eq!(ratios(&with_another, &[0.5, 0.5, 0.0])[2], 1.0);
        // Those that overlap by little each have their own.
        assert_eq!(alike(&pixels(0.3, 2000), &[0.5, 0.5]), [0, 1]);
        assert_eq!(likeness(&[1.0, 1.0, 3.0, 3.0], &[0.5, 0.5]), [1.0; 4]);
    }

    fn model_and_set(labelled_ones: usize) -> (Architecture, Vec<f32>, Dataset) {
        // One column in ten is bright, and one pixel was painted of each class. The network's outputs are -2 and 2 times the image.
        let side = 40;
        let image = Array3::from_shape_fn((1, side, side), |(_, _, x)| if x % 10 == 0 { 0.6 } else { -0.6 });
        let labels = Array2::from_shape_fn((side, side), |(y, x)| match (y, x % 10) {
            (0, 1) => 0,
            (row, 0) if row < labelled_ones => 1,
            _ => UNLABELLED,
        });
        let architecture = Architecture::new(1, 2, 1);
        let layout = ParameterLayout::of(&architecture);
        let mut parameters = initialise(&architecture, 1);
        for (output, weight) in [(0, -2.0), (1, 2.0)] {
            layout.mix(output).for_each(|place| parameters[place] = 0.0);
            parameters[layout.mix(output).start] = weight;
        }
        (architecture, parameters, Dataset::unchecked([Sample::new("a", image, Target::Classes(labels))]))
    }

    #[test]
    fn biases_follow_the_shares_in_images_where_a_rare_class_was_painted_as_much() {
        let (architecture, before, set) = model_and_set(1);
        let mut engine = Device::cpu().open(&architecture, &before).unwrap();
        let adjust = |set: &Dataset, engine: &mut dyn Engine| {
            let mut parameters = before.clone();
            let mut totals = ClassTotals::new(2);
            set.items().iter().for_each(|item| totals.add(&item.sample().unwrap()));
            let shares = SharesInImages::of(set, &totals).unwrap().unwrap();
            shares.adjust(engine, &mut parameters).unwrap();
            let biases = ParameterLayout::of(&architecture).output_biases();
            assert!(parameters[..biases.start] == before[..biases.start]);
            [0, 1].map(|class| parameters[biases.start + class] - before[biases.start + class])
        };
        let [common, rare] = adjust(&set, engine.as_mut());
        // The probabilities are 0.92 and 0.08 either way, so the share is that of which 0.1 is seen: (0.1 - 0.08) / (0.92 - 0.08).
        let seen = 1.0 / (1.0 + (2.4_f64).exp());
        let share = (0.1 - seen) / (1.0 - 2.0 * seen);
        let share = share.max(0.5 / MOST_FACTOR);
        assert!((f64::from(rare) - CORRECTION_STRENGTH * (share / 0.5).ln()).abs() < 0.05, "{rare}");
        assert!(common > 0.2, "{common}");
        // Where class 1 was painted less than it is found, nothing changes.
        let (.., mut uneven) = model_and_set(1);
        let labels = Array2::from_shape_fn((40, 40), |(y, x)| u32::from((y, x) == (0, 0)));
        uneven = Dataset::unchecked([Sample::new(
            "b",
            uneven.items()[0].sample().unwrap().image.clone(),
            Target::Classes(labels),
        )]);
        assert_eq!(adjust(&uneven, engine.as_mut()), [0.0, 0.0]);
    }

    #[test]
    fn parts_are_spread_over_all_images_and_end_where_they_do() {
        let sample = |side: usize| {
            Sample::new("a", Array3::zeros((1, side, side)), Target::Classes(Array2::zeros((side, side))))
        };
        let parts = spread(&Dataset::unchecked([sample(500), sample(100)]));
        assert_eq!(parts.len(), 10);
        assert_eq!(parts[8], (0, Window::plane(308..500, 308..500)));
        assert_eq!(parts[9], (1, Window::plane(0..100, 0..100)));
        let many = spread(&Dataset::unchecked((0..30).map(|_| sample(100))));
        assert_eq!(
            many.iter().map(|(image, _)| *image).collect::<Vec<_>>(),
            [1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28]
        );
    }
}
