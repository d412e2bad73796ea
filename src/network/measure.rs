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

/// An image `[channel][y][x]`, and weights `[y][x]` of its pixels.
type Counted<'a> = (ArrayView3<'a, f32>, Option<ArrayView2<'a, f32>>);

impl Measure {
    /// The normalisation of all images, `[channel][y][x]` of equal channels, together. Of an image with weights `[y][x]`,
    /// the pixels of weight 0 are left out.
    pub fn of(self, images: &[Counted]) -> Normalisation {
        let channels = images.first().map_or(0, |(image, _)| image.dim().0);
        let mut measuring = Measuring::new(self, channels);
        while !measuring.is_done() {
            images.iter().for_each(|image| measuring.add(image));
            measuring.end_pass();
        }
        measuring.normalisation()
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
        let mut measuring = Measuring::new(self, channels);
        while !measuring.is_done() {
            read(&mut |band| measuring.add(&(band, None)))?;
            measuring.end_pass();
        }
        Ok(measuring.normalisation())
    }
}

/// A normalisation on its way: what it is measured over is added image by image, or part by part, in as many passes as are wanted.
#[derive(Debug)]
pub struct Measuring {
    measure: Measure,
    extremes: Vec<Extremes>,
    pass: Pass,
    found: Vec<Option<(f32, f32)>>,
}

/// What a pass gathers.
#[derive(Debug)]
enum Pass {
    Extremes,
    /// The ranks of a channel; one after the other, as the numbers take memory.
    Ranks(usize, Ranked),
    Squares(Vec<Squares>),
    Done,
}

impl Measuring {
    /// Of images of so many channels.
    pub fn new(measure: Measure, channels: usize) -> Self {
        let extremes = vec![Extremes::default(); channels];
        Self { measure, extremes, pass: Pass::Extremes, found: vec![None; channels] }
    }

    /// Whether no further pass is wanted.
    pub fn is_done(&self) -> bool {
        matches!(self.pass, Pass::Done)
    }

    /// Adds the pixels of an image `[channel][y][x]`, or the next part of one; those of weight 0 in the weights `[y][x]` are left out.
    pub fn add(&mut self, image: &Counted) {
        match &mut self.pass {
            Pass::Extremes => add_all(image, &mut self.extremes, Extremes::add),
            Pass::Ranks(channel, ranked) => each(image, *channel, |value| ranked.add(value)),
            Pass::Squares(squares) => add_all(image, squares, Squares::add),
            Pass::Done => {}
        }
    }

    /// All images have been added in this pass. Where another one is wanted, they are to be added again, in the same order.
    pub fn end_pass(&mut self) {
        let mut next = match std::mem::replace(&mut self.pass, Pass::Done) {
            Pass::Extremes => {
                self.found = self.extremes.iter().map(Extremes::without_deviation).collect();
                0
            }
            Pass::Ranks(channel, ranked) => {
                if let Measure::Percentiles { low, high } = self.measure {
                    self.found[channel] = ranked.normalisation(low, high);
                }
                channel + 1
            }
            Pass::Squares(squares) => {
                for ((found, squares), extremes) in self.found.iter_mut().zip(&squares).zip(&self.extremes) {
                    found.get_or_insert_with(|| squares.normalisation(extremes.pixels));
                }
                return;
            }
            Pass::Done => return,
        };
        let channels = self.extremes.len();
        while next < channels && self.found[next].is_some() {
            next += 1;
        }
        self.pass = match self.measure {
            Measure::Percentiles { .. } if next < channels => {
                Pass::Ranks(next, Ranked::of(self.extremes[next].pixels))
            }
            _ if self.found.iter().any(Option::is_none) => {
                let of_channel = |extremes: &Extremes| Squares { mean: extremes.mean(), sum: 0.0 };
                Pass::Squares(self.extremes.iter().map(of_channel).collect())
            }
            _ => Pass::Done,
        };
    }

    /// What was found, once no pass is wanted any more.
    pub fn normalisation(&self) -> Normalisation {
        let (mean, deviation) = self.found.iter().flatten().copied().unzip();
        Normalisation { mean, deviation }
    }
}

/// Hands the pixels of each channel that count to what is measured of it.
fn add_all<M>(image: &Counted, measured: &mut [M], add: impl Fn(&mut M, f32)) {
    for (channel, measured) in measured.iter_mut().enumerate().take(image.0.dim().0) {
        each(image, channel, |value| add(measured, value));
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
#[derive(Debug)]
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
fn each((image, weights): &Counted, channel: usize, mut visit: impl FnMut(f32)) {
    let plane = image.index_axis(Axis(0), channel);
    match weights {
        None => plane.iter().for_each(|&value| visit(value)),
        Some(weights) => plane.iter().zip(weights).filter(|(_, w)| **w > 0.0).for_each(|(&v, _)| visit(v)),
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
