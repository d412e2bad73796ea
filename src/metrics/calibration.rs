//! Calibration: whether predicted probabilities are as large as the share of pixels that are right.

use ndarray::{ArrayView2, ArrayView3};
use serde::Serialize;

use super::segmentation::UNLABELLED;
use crate::error::{Error, Result};

/// Bins of equal width in which confidences are gathered: as many as Guo et al. take.
const BINS: usize = 15;

/// How often the most probable class was the right one, by the probability that it was given: its confidence.
///
/// Of pixels whose class was given a probability of 0.8, four in five should be right.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    sums: [Sums; BINS],
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sums {
    pixels: u64,
    correct: u64,
    confidence: f64,
}

/// One bin of the reliability table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The confidences in this bin are larger than this,
    pub above: f64,
    /// and at most this.
    pub up_to: f64,
    /// Labelled pixels in the bin.
    pub pixels: u64,
    /// Their mean confidence; `None` without pixels.
    pub confidence: Option<f64>,
    /// The share of them whose most probable class is the right one; `None` without pixels.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Counts one image: target classes `[y][x]` against probabilities `[class][y][x]`. Pixels whose target is
    /// [`UNLABELLED`] are left out.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the sizes differ; then nothing is counted.
    pub fn add(&mut self, target: ArrayView2<u32>, probabilities: ArrayView3<f32>) -> Result<()> {
        let (classes, height, width) = probabilities.dim();
        if target.dim() != (height, width) || classes == 0 {
            let (rows, columns) = target.dim();
            return Err(Error::Mismatch(format!(
                "the target is {rows}x{columns} pixels, but there are probabilities of {classes} classes for {height}x{width}; both must be of one size"
            )));
        }
        for ((y, x), &class) in target.indexed_iter().filter(|(_, class)| **class != UNLABELLED) {
            let (mut best, mut confidence) = (0, probabilities[[0, y, x]]);
            for other in 1..classes {
                if probabilities[[other, y, x]] > confidence {
                    (best, confidence) = (other, probabilities[[other, y, x]]);
                }
            }
            let confidence = f64::from(confidence);
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let sums = &mut self.sums[bin];
            sums.pixels += 1;
            sums.correct += u64::from(best as u32 == class);
            sums.confidence += confidence;
        }
        Ok(())
    }

    /// Adds the counts of other images.
    pub fn merge(&mut self, other: &Self) {
        for (sums, more) in self.sums.iter_mut().zip(&other.sums) {
            sums.pixels += more.pixels;
            sums.correct += more.correct;
            sums.confidence += more.confidence;
        }
    }

    /// The bins, in the order of their confidence.
    pub fn bins(&self) -> Vec<ReliabilityBin> {
        let border = |index: usize| index as f64 / BINS as f64;
        let bin = |(index, sums): (usize, &Sums)| {
            let mean = |sum: f64| (sums.pixels > 0).then(|| sum / sums.pixels as f64);
            ReliabilityBin {
                above: border(index),
                up_to: border(index + 1),
                pixels: sums.pixels,
                confidence: mean(sums.confidence),
                accuracy: mean(sums.correct as f64),
            }
        };
        self.sums.iter().enumerate().map(bin).collect()
    }

    /// The expected calibration error: the mean over all pixels of |accuracy - confidence| of their bin, from 0
    /// (perfectly calibrated) to 1; `None` before a pixel was counted.
    ///
    /// Naeini, Cooper & Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; for several
    /// classes Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3.
    pub fn expected_error(&self) -> Option<f64> {
        let pixels: u64 = self.sums.iter().map(|sums| sums.pixels).sum();
        let apart: f64 = self.sums.iter().map(|sums| (sums.correct as f64 - sums.confidence).abs()).sum();
        (pixels > 0).then(|| apart / pixels as f64)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, array};

    use super::*;

    #[test]
    fn the_error_is_that_counted_by_hand() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.expected_error(), None);
        // Confidences 0.9, 0.9, 0.6 and 0.6 of classes 0, 1, 0, 0; the last is not labelled, the third is wrong.
        let second: Array3<f32> = array![[[0.1_f32, 0.9], [0.4, 0.4]]];
        let probabilities = ndarray::concatenate![ndarray::Axis(0), 1.0 - &second, second];
        let target = array![[0, 1], [1, UNLABELLED]];
        calibration.add(target.view(), probabilities.view()).unwrap();
        let wanted = (2.0 * 0.1 + 0.6) / 3.0;
        assert!((calibration.expected_error().unwrap() - wanted).abs() < 1e-6);
        let bins = calibration.bins();
        assert_eq!(bins.len(), BINS);
        assert_eq!(bins.iter().map(|bin| bin.pixels).sum::<u64>(), 3);
        let bin = bins[13];
        assert!(bin.above < 0.9 && 0.9 <= bin.up_to);
        assert_eq!((bin.pixels, bin.accuracy), (2, Some(1.0)));
        assert!((bin.confidence.unwrap() - 0.9).abs() < 1e-6);
        assert_eq!((bins[0].confidence, bins[0].accuracy), (None, None));
        let mut twice = calibration.clone();
        twice.merge(&calibration);
        assert_eq!(twice.bins()[13].pixels, 4);
        assert_eq!(twice.expected_error(), calibration.expected_error());
    }

    #[test]
    fn calibrated_probabilities_have_no_error() {
        // Of a hundred pixels with confidence 0.8, eighty are right; a certain one is right.
        let probabilities = Array3::from_shape_fn((2, 1, 101), |(class, _, x)| match (x, class) {
            (100, class) => class as f32,
            (_, 1) => 0.8,
            _ => 0.2,
        });
        let target = Array2::from_shape_fn((1, 101), |(_, x)| u32::from(x < 80 || x == 100));
        let mut calibration = Calibration::default();
        calibration.add(target.view(), probabilities.view()).unwrap();
        assert!(calibration.expected_error().unwrap() < 1e-6);
        assert_eq!(calibration.bins()[14].pixels, 1);
        let mut wrong = Calibration::default();
        wrong.add(target.mapv(|class| 1 - class).view(), probabilities.view()).unwrap();
        assert!((wrong.expected_error().unwrap() - (100.0 * 0.6 + 1.0) / 101.0).abs() < 1e-6);
    }

    #[test]
    fn sizes_that_differ_are_an_error() {
        let mut calibration = Calibration::default();
        assert!(calibration.add(Array2::zeros((2, 3)).view(), Array3::zeros((2, 3, 2)).view()).is_err());
        assert!(calibration.add(Array2::zeros((2, 3)).view(), Array3::zeros((0, 2, 3)).view()).is_err());
        assert_eq!(calibration, Calibration::default());
    }
}
