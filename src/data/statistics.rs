//! Mean and standard deviation of each channel, for normalisation.

use ndarray::{Array3, Axis};

use super::dataset::{Dataset, Target};
use crate::error::{Error, Result};

/// The mean and standard deviation of each channel over all pixels of all images.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatistics {
    /// The mean of each channel, in the images' own units.
    pub mean: Vec<f32>,
    /// The (population) standard deviation of each channel, 1 where all its pixels are equal; never 0.
    pub deviation: Vec<f32>,
}

impl ChannelStatistics {
    /// Of the images.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a dataset without images.
    pub fn of_images(dataset: &Dataset) -> Result<Self> {
        Self::of(dataset.samples.iter().map(|sample| &sample.image).collect(), "image")
    }

    /// Of the targets of a regression.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a dataset without images or with classes as targets.
    pub fn of_targets(dataset: &Dataset) -> Result<Self> {
        let targets = dataset.samples.iter().map(|sample| match &sample.target {
            Target::Values(values) => Ok(values),
            Target::Classes(_) => Err(Error::Mismatch(format!(
                "the target of {} holds classes, which have no mean; wanted a regression target",
                sample.name
            ))),
        });
        Self::of(targets.collect::<Result<Vec<_>>>()?, "target")
    }

    fn of(images: Vec<&Array3<f32>>, what: &str) -> Result<Self> {
        let channels = match images.first() {
            Some(image) => image.dim().0,
            None => {
                return Err(Error::Mismatch(format!(
                    "found no {what} to take the mean of, wanted at least one"
                )));
            }
        };
        let mut statistics = ChannelStatistics { mean: Vec::new(), deviation: Vec::new() };
        for channel in 0..channels {
            let values = || images.iter().flat_map(|image| image.index_axis(Axis(0), channel).into_iter());
            let (mut sum, mut pixels) = (0.0_f64, 0_u64);
            let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
            for value in values() {
                sum += f64::from(*value);
                pixels += 1;
                least = least.min(*value);
                most = most.max(*value);
            }
            let mean = sum / pixels as f64;
            // The second pass keeps the digits that the mean of squares would lose under a large mean.
            let squares: f64 = values().map(|value| (f64::from(*value) - mean).powi(2)).sum();
            let deviation = (squares / pixels as f64).sqrt() as f32;
            // Equality decides and not the deviation, which rounding keeps from being exactly 0.
            if least < most && deviation.is_normal() {
                statistics.mean.push(mean as f32);
                statistics.deviation.push(deviation);
            } else {
                log::warn!("channel {channel} of every {what} is {least} everywhere: it says nothing");
                statistics.mean.push(least);
                statistics.deviation.push(1.0);
            }
        }
        Ok(statistics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sample;

    fn dataset(images: Vec<Array3<f32>>) -> Dataset {
        let samples = images.into_iter().map(|image| Sample {
            name: "x".into(),
            target: Target::Values(image.mapv(|v| 2.0 * v)),
            weights: None,
            image,
        });
        Dataset { samples: samples.collect() }
    }

    #[test]
    fn pixels_of_all_images_count_alike() {
        let data = dataset(vec![Array3::from_elem((1, 1, 3), 1.0), Array3::from_elem((1, 1, 1), 5.0)]);
        let images = ChannelStatistics::of_images(&data).unwrap();
        assert_eq!(images.mean, [2.0]);
        assert!((images.deviation[0] - 3_f32.sqrt()).abs() < 1e-6);
        assert_eq!(ChannelStatistics::of_targets(&data).unwrap().mean, [4.0]);
    }

    #[test]
    fn a_small_deviation_under_a_large_mean_survives() {
        let image = Array3::from_shape_fn((1, 100, 100), |(_, y, _)| 1e6 + (y % 2) as f32);
        let statistics = ChannelStatistics::of_images(&dataset(vec![image])).unwrap();
        assert!((statistics.deviation[0] - 0.5).abs() < 1e-6, "{statistics:?}");
    }

    #[test]
    fn a_constant_channel_has_deviation_one() {
        let image = Array3::from_shape_fn((2, 9, 7), |(c, y, _)| if c == 0 { 0.1 } else { y as f32 });
        let statistics = ChannelStatistics::of_images(&dataset(vec![image])).unwrap();
        assert_eq!((statistics.mean[0], statistics.deviation[0]), (0.1, 1.0));
        assert_eq!(statistics.mean[1], 4.0);
        assert!(ChannelStatistics::of_images(&dataset(vec![])).is_err());
    }
}
