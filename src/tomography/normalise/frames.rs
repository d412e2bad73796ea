//! The average of frames that are given one by one: flats, darks.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// How frames are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Average {
    /// The mean: the least noise. Needs memory for one frame.
    #[default]
    Mean,
    /// The median, which a speck or a shutter that was half open in one of the frames does not change. Needs memory for all
    /// frames.
    Median,
}

/// Frames `[row][column]` on their way to an average.
#[derive(Debug, Clone)]
pub struct Frames {
    average: Average,
    rows: usize,
    columns: usize,
    count: usize,
    /// The sum of the finite values of each pixel, and how many they are.
    sums: Vec<(f64, u32)>,
    /// All frames, one after the other, where the median is wanted.
    all: Vec<f32>,
}

impl Frames {
    /// For frames of `rows` x `columns` pixels, which may be a part of the detector's rows.
    pub fn new(average: Average, rows: usize, columns: usize) -> Self {
        Self { average, rows, columns, count: 0, sums: Vec::new(), all: Vec::new() }
    }

    /// Takes one more frame.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it is of another size; then it is not counted.
    pub fn add(&mut self, frame: ArrayView2<f32>) -> Result<()> {
        if frame.dim() != (self.rows, self.columns) {
            let (rows, columns) = frame.dim();
            return Err(Error::Mismatch(format!(
                "frame {} is {rows}x{columns} pixels, but those before are {}x{}; all must be of one size",
                self.count + 1,
                self.rows,
                self.columns
            )));
        }
        match self.average {
            Average::Mean => {
                self.sums.resize(frame.len(), (0.0, 0));
                for ((sum, count), value) in self.sums.iter_mut().zip(frame) {
                    if value.is_finite() {
                        *sum += f64::from(*value);
                        *count += 1;
                    }
                }
            }
            Average::Median => self.all.extend(frame),
        }
        self.count += 1;
        Ok(())
    }

    /// Frames so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The average `[row][column]`. Values that are not finite do not count: a pixel that has no others is NaN.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when there are no frames.
    pub fn finish(self) -> Result<Array2<f32>> {
        if self.count == 0 {
            return Err(Error::Mismatch("there are no frames to average; at least one is needed".to_owned()));
        }
        let pixels = self.rows * self.columns;
        let values: Vec<f32> = match self.average {
            // Without counts the quotient is NaN.
            Average::Mean => self.sums.iter().map(|(sum, count)| (sum / f64::from(*count)) as f32).collect(),
            Average::Median => (0..pixels)
                .into_par_iter()
                .with_min_len(1024)
                .map(|pixel| {
                    let values = self.all.iter().skip(pixel).step_by(pixels);
                    median(&mut values.copied().filter(|value| value.is_finite()).collect::<Vec<_>>())
                })
                .collect(),
        };
        Array2::from_shape_vec((self.rows, self.columns), values).map_err(|error| {
            Error::Mismatch(format!("the average has another size than its frames: {error}"))
        })
    }
}

/// The median, of an even number of values the mean of the two in the middle; NaN of none.
pub(super) fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    if middle >= values.len() {
        return f32::NAN;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    match below.iter().copied().max_by(f32::total_cmp) {
        Some(lower) if even => lower + (upper - lower) / 2.0,
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_median_ignores_one_bad_frame_and_a_mean_does_not() {
        let frames = [array![[1.0, 5.0]], array![[2.0, 6.0]], array![[3.0, 1000.0]], array![[4.0, f32::NAN]]];
        for (average, wanted) in [(Average::Mean, [2.5, 337.0]), (Average::Median, [2.5, 6.0])] {
            let mut all = Frames::new(average, 1, 2);
            frames.iter().for_each(|frame| all.add(frame.view()).unwrap());
            assert_eq!(all.count(), 4);
            let image = all.finish().unwrap();
            assert_eq!(image.as_slice().unwrap(), wanted);
        }
    }

    #[test]
    fn pixels_without_values_are_nan_and_no_frames_an_error() {
        for average in [Average::Mean, Average::Median] {
            let mut frames = Frames::new(average, 1, 2);
            assert!(frames.clone().finish().is_err());
            frames.add(array![[f32::INFINITY, 1.0]].view()).unwrap();
            assert!(frames.add(array![[1.0]].view()).is_err());
            let image = frames.finish().unwrap();
            assert!(image[[0, 0]].is_nan() && image[[0, 1]] == 1.0);
        }
    }
}
