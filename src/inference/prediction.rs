//! What is found for an image, and the mean of several predictions.

use std::borrow::Cow;

use ndarray::{Array2, Array3, Axis, Zip, s};

use super::predictor::argmax;
use crate::geometry::Window;

/// What an [`Ensemble`](super::Ensemble) gives for an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The mean probability of each class, `[class][y][x]`, or the mean values, `[channel][y][x]`, in the units of the
    /// targets.
    pub mean: Array3<f32>,
    /// Their standard deviation over all predictions (the root of the mean squared distance from the mean), where it was
    /// asked for.
    pub deviation: Option<Array3<f32>>,
}

impl Prediction {
    /// The rows and columns of `window`.
    pub(super) fn inside(self, window: &Window) -> Self {
        let inside = |array: &Array3<f32>| array.slice(s![.., window.rows(), window.columns()]).to_owned();
        Self { mean: inside(&self.mean), deviation: self.deviation.as_ref().map(inside) }
    }

    /// The most probable class of each pixel, `[y][x]`, of a segmentation.
    pub fn classes(&self) -> Array2<u32> {
        argmax(&self.mean)
    }

    /// The entropy of the mean probabilities of each pixel, `[y][x]`, in nats: 0 where the class is certain, the logarithm
    /// of the number of classes where all are equally probable.
    pub fn entropy(&self) -> Array2<f32> {
        let term = |&p: &f32| if p > 0.0 { -p * p.ln() } else { 0.0 };
        // Rounding may take the probability of a certain class above 1.
        self.mean.map_axis(Axis(0), |pixel| pixel.iter().map(term).sum::<f32>().max(0.0))
    }
}

/// What is found for an image, as far as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// The most probable class of each pixel, `[y][x]`, alone.
    Classes(Array2<u32>),
    /// All of it.
    Prediction(Prediction),
}

impl Found {
    /// The most probable class of each pixel, `[y][x]`, of a segmentation.
    pub(super) fn classes(&self) -> Cow<'_, Array2<u32>> {
        match self {
            Found::Classes(classes) => Cow::Borrowed(classes),
            Found::Prediction(prediction) => Cow::Owned(prediction.classes()),
        }
    }

    /// As [`Found::classes`].
    pub(super) fn into_classes(self) -> Array2<u32> {
        match self {
            Found::Classes(classes) => classes,
            Found::Prediction(prediction) => prediction.classes(),
        }
    }

    /// What more than classes was wanted.
    pub(super) fn prediction(&self) -> Option<&Prediction> {
        match self {
            Found::Classes(_) => None,
            Found::Prediction(prediction) => Some(prediction),
        }
    }

    /// The rows and columns of `window`.
    pub(super) fn inside(self, window: &Window) -> Self {
        match self {
            Found::Classes(classes) => {
                Found::Classes(classes.slice(s![window.rows(), window.columns()]).to_owned())
            }
            Found::Prediction(prediction) => Found::Prediction(prediction.inside(window)),
        }
    }
}

/// Mean and squared distances from it, prediction by prediction (Welford, "Note on a method for calculating corrected
/// sums of squares and products", Technometrics 4, 1962).
pub(super) struct RunningMean {
    count: f32,
    mean: Array3<f32>,
    squares: Option<Array3<f32>>,
}

impl RunningMean {
    pub(super) fn of(first: Array3<f32>, deviation: bool) -> Self {
        let squares = deviation.then(|| Array3::zeros(first.raw_dim()));
        Self { count: 1.0, mean: first, squares }
    }

    pub(super) fn add(&mut self, found: &Array3<f32>) {
        self.count += 1.0;
        let share = 1.0 / self.count;
        match &mut self.squares {
            None => Zip::from(&mut self.mean).and(found).for_each(|mean, &x| *mean += (x - *mean) * share),
            Some(squares) => {
                Zip::from(&mut self.mean).and(squares).and(found).for_each(|mean, squares, &x| {
                    let distance = x - *mean;
                    *mean += distance * share;
                    *squares += distance * (x - *mean);
                });
            }
        }
    }

    pub(super) fn finish(self) -> Prediction {
        let Self { count, mean, squares } = self;
        let root = |mut squares: Array3<f32>| {
            squares.mapv_inplace(|sum| (sum / count).max(0.0).sqrt());
            squares
        };
        Prediction { mean, deviation: squares.map(root) }
    }
}
