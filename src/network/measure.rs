//! What normalisations are measured by, over images that are in memory or come in bands.

use std::fmt;
use std::str::FromStr;

use ndarray::{ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::normalisation::Normalisation;
use crate::{Error, Result};

/// Pixels that percentiles are taken of at most; of larger sets, as many evenly spread ones.
const MAX_RANKED: usize = 1 << 24;

/// What a normalisation is measured by, for each channel.
///
/// A channel of equal pixels has nothing to divide by: its deviation is 1. Percentiles that are equal, as in images
/// that are mostly empty, give way to mean and deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measure {
    /// The mean becomes 0 and the (population) standard deviation 1.
    MeanDeviation,
    /// The lower percentile becomes -1 and the higher 1, by nearest rank; values beyond are kept.
    Percentiles {
        /// The lower one, 0 to 100.
        low: f64,
        /// The higher one.
        high: f64,
    },
}

type Counted<'a> = (ArrayView3<'a, f32>, Option<ArrayView2<'a, f32>>);

impl Measure {
    /// The normalisation of all images, `[channel][y][x]` of equal channels, together. Of an image with weights `[y][x]`,
    /// the pixels of weight 0 are left out.
    pub fn of(self, images: &[Counted]) -> Normalisation {
        let channels = images.first().map_or(0, |(image, _)| image.dim().0);
        let (mean, deviation) = (0..channels).map(|channel| self.of_channel(images, channel)).unzip();
        Normalisation { mean, deviation }
    }

    fn of_channel(self, images: &[Counted], channel: usize) -> (f32, f32) {
        let mut extremes = Extremes::default();
        each(images, channel, |value| extremes.add(value));
        if let Some(plain) = extremes.without_deviation() {
            return plain;
        }
        if let Measure::Percentiles { low, high } = self {
            let mut ranked = Ranked::of(extremes.pixels);
            each(images, channel, |value| ranked.add(value));
            if let Some(found) = ranked.normalisation(low, high) {
                return found;
            }
        }
        let mut squares = Squares { mean: extremes.mean(), sum: 0.0 };
        each(images, channel, |value| squares.add(value));
        squares.normalisation(extremes.pixels)
    }

    /// As [`Measure::of`], of one image that is not in memory as a whole: `read` gives it to its argument in bands of whole rows,
    /// `[channel][y][x]`, from the first to the last, and is called once for each pass. The result is the same to the last bit.
    ///
    /// # Errors
    /// The first error of `read`.
    pub fn of_bands(
        self,
        channels: usize,
        mut read: impl FnMut(&mut dyn FnMut(ArrayView3<f32>)) -> Result<()>,
    ) -> Result<Normalisation> {
        let mut extremes = vec![Extremes::default(); channels];
        read(&mut |band| each_of_band(band, &mut extremes, Extremes::add))?;
        let mut found: Vec<Option<(f32, f32)>> = extremes.iter().map(Extremes::without_deviation).collect();
        if let Measure::Percentiles { low, high } = self {
            // Channel by channel, as the ranked numbers take memory.
            for (channel, extremes) in extremes.iter().enumerate() {
                if found[channel].is_some() {
                    continue;
                }
                let mut ranked = Ranked::of(extremes.pixels);
                read(&mut |band| {
                    band.index_axis(Axis(0), channel).iter().for_each(|value| ranked.add(*value))
                })?;
                found[channel] = ranked.normalisation(low, high);
            }
        }
        if found.iter().any(Option::is_none) {
            let mut squares: Vec<_> =
                extremes.iter().map(|extremes| Squares { mean: extremes.mean(), sum: 0.0 }).collect();
            read(&mut |band| each_of_band(band, &mut squares, Squares::add))?;
            for ((found, squares), extremes) in found.iter_mut().zip(&squares).zip(&extremes) {
                found.get_or_insert_with(|| squares.normalisation(extremes.pixels));
            }
        }
        let (mean, deviation) = found.into_iter().flatten().unzip();
        Ok(Normalisation { mean, deviation })
    }
}

/// Hands the pixels of each channel of `band` to what is measured of it.
fn each_of_band<M>(band: ArrayView3<f32>, measured: &mut [M], add: impl Fn(&mut M, f32)) {
    for (plane, measured) in band.outer_iter().zip(measured) {
        plane.iter().for_each(|value| add(measured, *value));
    }
}

/// How many pixels there are, their sum, and the least and the largest.
#[derive(Debug, Clone)]
struct Extremes {
    pixels: usize,
    sum: f64,
    least: f32,
    most: f32,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { pixels: 0, sum: 0.0, least: f32::INFINITY, most: f32::NEG_INFINITY }
    }
}

impl Extremes {
    fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.pixels += 1;
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
    }

    fn mean(&self) -> f64 {
        self.sum / self.pixels as f64
    }

    /// The normalisation of no pixels or of equal ones. Equality decides and not the deviation, which rounding keeps from being
    /// exactly 0.
    fn without_deviation(&self) -> Option<(f32, f32)> {
        match self.pixels {
            0 => Some((0.0, 1.0)),
            _ => (self.least == self.most).then_some((self.least, 1.0)),
        }
    }
}

/// The squares of distances from a mean that is known: a second pass keeps the digits that the mean of squares would lose under
/// a large mean.
#[derive(Debug, Clone)]
struct Squares {
    mean: f64,
    sum: f64,
}

impl Squares {
    fn add(&mut self, value: f32) {
        self.sum += (f64::from(value) - self.mean).powi(2);
    }

    fn normalisation(&self, pixels: usize) -> (f32, f32) {
        let deviation = (self.sum / pixels as f64).sqrt() as f32;
        if deviation.is_normal() { (self.mean as f32, deviation) } else { (self.mean as f32, 1.0) }
    }
}

/// Evenly spread pixels, to be brought into order.
struct Ranked {
    step: usize,
    index: usize,
    values: Vec<f32>,
}

impl Ranked {
    /// Of so many pixels.
    fn of(pixels: usize) -> Self {
        let step = pixels.div_ceil(MAX_RANKED).max(1);
        Self { step, index: 0, values: Vec::with_capacity(pixels.div_ceil(step)) }
    }

    fn add(&mut self, value: f32) {
        if self.index.is_multiple_of(self.step) {
            self.values.push(value);
        }
        self.index += 1;
    }

    /// By two percentiles; `None` where nothing is between them.
    fn normalisation(mut self, low: f64, high: f64) -> Option<(f32, f32)> {
        let last = self.values.len().checked_sub(1)?;
        let mut ranked = |percent: f64| {
            let rank = (percent / 100.0 * last as f64).round() as usize;
            *self.values.select_nth_unstable_by(rank.min(last), f32::total_cmp).1
        };
        let (low, high) = (ranked(low), ranked(high));
        let half = high / 2.0 - low / 2.0;
        half.is_normal().then_some((low / 2.0 + high / 2.0, half))
    }
}

/// Visits the pixels of one channel that count.
fn each(images: &[Counted], channel: usize, mut visit: impl FnMut(f32)) {
    for (image, weights) in images {
        let plane = image.index_axis(Axis(0), channel);
        match weights {
            None => plane.iter().for_each(|&value| visit(value)),
            Some(weights) => {
                plane.iter().zip(weights).filter(|(_, w)| **w > 0.0).for_each(|(&v, _)| visit(v))
            }
        }
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "mean" {
            return Ok(Measure::MeanDeviation);
        }
        let numbers =
            text.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        match numbers {
            Some((low, high)) if 0.0 <= low && low < high && high <= 100.0 => {
                Ok(Measure::Percentiles { low, high })
            }
            _ => Err(Error::setting(
                "normalise",
                format!("'{text}'"),
                "it must be 'mean' (and standard deviation) or two percentiles, such as 1..99",
            )),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::MeanDeviation => write!(f, "mean"),
            Measure::Percentiles { low, high } => write!(f, "{low}..{high}"),
        }
    }
}

impl TryFrom<String> for Measure {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> String {
        measure.to_string()
    }
}
