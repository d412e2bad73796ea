//! How images become numbers about 0 for a network, and its outputs numbers in the units of the targets.

use std::borrow::Cow;

use ndarray::{Array3, ArrayView3};
use serde::{Deserialize, Serialize};

use super::measure::Measure;

/// What is taken off each channel, and what it is divided by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Mean of each channel, or the middle between its percentiles, in the units of the image.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, or half the distance of its percentiles, in the units of the image; never
    /// 0.
    pub deviation: Vec<f32>,
}

impl Normalisation {
    /// The normalisation that changes nothing.
    pub fn identity(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], deviation: vec![1.0; channels] }
    }

    /// Brings `values` of channel `channel` to mean 0 and deviation 1.
    pub fn apply<'a>(&self, channel: usize, values: impl IntoIterator<Item = &'a mut f32>) {
        let (mean, scale) = (self.mean[channel], 1.0 / self.deviation[channel]);
        values.into_iter().for_each(|v| *v = (*v - mean) * scale);
    }

    /// Brings `values` of channel `channel` back to the units of the image.
    pub fn undo<'a>(&self, channel: usize, values: impl IntoIterator<Item = &'a mut f32>) {
        let (mean, deviation) = (self.mean[channel], self.deviation[channel]);
        values.into_iter().for_each(|v| *v = *v * deviation + mean);
    }

    /// How an image `[channel][y][x]` differs from those that the normalisation was measured over, in words, where it is as
    /// unlike them as an image in another range of numbers: its mean is more than 6 deviations away, or its deviation more
    /// than 10 times as large, or as small where its numbers are small too: an image with nothing on it has a small deviation
    /// about a usual mean. A channel of equal pixels has no deviation to compare. Numbers that are not finite are left out.
    pub fn misfit(&self, image: ArrayView3<f32>) -> Option<String> {
        self.misfit_of(image.outer_iter().map(|plane| {
            let finite = || plane.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value));
            let count = finite().count() as f64;
            let mean = finite().sum::<f64>() / count;
            let deviation = (finite().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            (mean, deviation, finite().map(f64::abs).fold(0.0, f64::max))
        }))
    }

    /// As [`Normalisation::misfit`], of an image of whose channels the mean, the deviation and the largest absolute value are known.
    pub fn misfit_of(&self, channels: impl IntoIterator<Item = (f64, f64, f64)>) -> Option<String> {
        channels.into_iter().zip(self.mean.iter().zip(&self.deviation)).enumerate().find_map(
            |(channel, ((mean, deviation, largest), (&wanted, &unit)))| {
                let (wanted, unit) = (f64::from(wanted), f64::from(unit));
                let is_small = deviation < unit / 10.0 && largest < (wanted.abs() + unit) / 10.0;
                let is_far = (mean - wanted).abs() > 6.0 * unit
                    || deviation > 10.0 * unit
                    || deviation > 0.0 && is_small;
                is_far.then(|| {
                    format!(
                        "the mean and deviation of its channel {channel} are {mean:.4} and {deviation:.4}, where {wanted:.4} and {unit:.4} are usual"
                    )
                })
            },
        )
    }

    /// Brings an image `[channel][y][x]` to the range that the normalisation was measured over: what `measure` finds in it
    /// becomes the mean and deviation of the normalisation.
    pub fn rescale(&self, image: &mut Array3<f32>, measure: Measure) {
        let own = measure.of(&[(image.view(), None)]);
        self.rescale_from(image, &own);
    }

    /// As [`Normalisation::rescale`], of a part of an image in all of which `own` was found.
    pub fn rescale_from(&self, image: &mut Array3<f32>, own: &Normalisation) {
        for (channel, mut plane) in image.outer_iter_mut().enumerate() {
            own.apply(channel, &mut plane);
            self.undo(channel, &mut plane);
        }
    }

    pub(super) fn usable(&self, channels: usize) -> bool {
        self.mean.len() == channels
            && self.deviation.len() == channels
            && self.mean.iter().all(|m| m.is_finite())
            && self.deviation.iter().all(|d| d.is_finite() && *d > 0.0)
    }
}

/// How input images are normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InputNormalisation {
    /// All alike, by what was measured over the training images.
    Set(Normalisation),
    /// Each by what is measured over itself, all of it, also where it is computed in tiles.
    PerImage {
        /// What is measured.
        per_image: Measure,
    },
}

impl InputNormalisation {
    /// The normalisation of an image `[channel][y][x]`.
    pub fn of(&self, image: ArrayView3<f32>) -> Cow<'_, Normalisation> {
        match self {
            InputNormalisation::Set(normalisation) => Cow::Borrowed(normalisation),
            InputNormalisation::PerImage { per_image } => Cow::Owned(per_image.of(&[(image, None)])),
        }
    }

    /// The normalisation that all images have; `None` where each has its own.
    pub fn of_set(&self) -> Option<&Normalisation> {
        match self {
            InputNormalisation::Set(normalisation) => Some(normalisation),
            InputNormalisation::PerImage { .. } => None,
        }
    }

    pub(super) fn usable(&self, channels: usize) -> bool {
        match self {
            InputNormalisation::Set(normalisation) => normalisation.usable(channels),
            InputNormalisation::PerImage { .. } => true,
        }
    }
}

impl From<Normalisation> for InputNormalisation {
    fn from(normalisation: Normalisation) -> Self {
        InputNormalisation::Set(normalisation)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const PERCENTILES: Measure = Measure::Percentiles { low: 10.0, high: 90.0 };

    fn of(measure: Measure, images: &[Array3<f32>]) -> Normalisation {
        measure.of(&images.iter().map(|image| (image.view(), None)).collect::<Vec<_>>())
    }

    #[test]
    fn pixels_of_all_images_count_alike() {
        let images = [Array3::from_elem((1, 1, 3), 1.0), Array3::from_elem((1, 1, 1), 5.0)];
        let found = of(Measure::MeanDeviation, &images);
        assert_eq!(found.mean, [2.0]);
        assert!((found.deviation[0] - 3_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn bands_give_what_the_whole_image_gives() {
        let images = [
            Array3::from_shape_fn((2, 37, 11), |(c, y, x)| {
                ((c * 7919 + y * 104_729 + x * 1_299_709) % 251) as f32
            }),
            Array3::from_shape_fn(
                (2, 9, 4),
                |(c, y, _)| if c == 0 { 3.0 } else { f32::from(u8::from(y == 0)) },
            ),
        ];
        for image in &images {
            for measure in [Measure::MeanDeviation, PERCENTILES] {
                let found = measure.of_bands(2, |visit| {
                    for start in (0..image.dim().1).step_by(5) {
                        visit(image.slice(ndarray::s![.., start..(start + 5).min(image.dim().1), ..]));
                    }
                    Ok(())
                });
                assert_eq!(found.unwrap(), measure.of(&[(image.view(), None)]), "{measure}");
            }
        }
    }

    #[test]
    fn percentiles_become_minus_one_and_one_whatever_lies_beyond() {
        // 0 to 100 in two images, and an outlier in the place of 100.
        let value = |i: usize| if i == 100 { 1e6 } else { i as f32 };
        let images = [
            Array3::from_shape_fn((1, 1, 60), |(_, _, x)| value(x)),
            Array3::from_shape_fn((1, 1, 41), |(_, _, x)| value(60 + x)),
        ];
        let found = of(PERCENTILES, &images);
        assert_eq!((found.mean[0], found.deviation[0]), (50.0, 40.0));
        let mut ends = [10.0, 90.0];
        found.apply(0, &mut ends);
        assert_eq!(ends, [-1.0, 1.0]);
        found.undo(0, &mut ends);
        assert_eq!(ends, [10.0, 90.0]);
    }

    #[test]
    fn a_small_deviation_under_a_large_mean_survives() {
        let image = Array3::from_shape_fn((1, 100, 100), |(_, y, _)| 1e6 + (y % 2) as f32);
        let found = of(Measure::MeanDeviation, &[image]);
        assert!((found.deviation[0] - 0.5).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_constant_channel_has_deviation_one_and_an_almost_empty_one_its_own() {
        let image = Array3::from_shape_fn((3, 10, 10), |(c, y, x)| match c {
            0 => 0.1,
            1 => y as f32,
            // One bright pixel in a hundred: both percentiles are 0.
            _ => f32::from(y == 3 && x == 4),
        });
        for measure in [Measure::MeanDeviation, PERCENTILES] {
            let found = of(measure, std::slice::from_ref(&image));
            assert_eq!((found.mean[0], found.deviation[0]), (0.1, 1.0));
            assert_eq!(found.mean[1], 4.5);
            assert!((found.mean[2] - 0.01).abs() < 1e-6 && (found.deviation[2] - 0.0995).abs() < 1e-4);
        }
        assert_eq!(of(PERCENTILES, &[]), Normalisation::identity(0));
    }

    #[test]
    fn pixels_of_weight_zero_are_left_out() {
        let image = array![[[1.0, 3.0, 1e9]]];
        let weights = array![[0.5, 2.0, 0.0]];
        for measure in [Measure::MeanDeviation, Measure::Percentiles { low: 0.0, high: 100.0 }] {
            let found = measure.of(&[(image.view(), Some(weights.view()))]);
            assert_eq!((found.mean[0], found.deviation[0]), (2.0, 1.0));
        }
    }

    #[test]
    fn an_image_by_itself_forgets_its_brightness() {
        let image = Array3::from_shape_fn((2, 8, 8), |(c, y, x)| (c * 5 + y * x) as f32);
        let brighter = image.mapv(|v| 4.0 * v + 64.0);
        let rule = InputNormalisation::PerImage { per_image: PERCENTILES };
        let normalised = |image: &Array3<f32>| {
            let (rule, mut image) = (rule.of(image.view()).into_owned(), image.clone());
            image.outer_iter_mut().enumerate().for_each(|(c, mut plane)| rule.apply(c, &mut plane));
            image
        };
        assert_eq!(normalised(&image), normalised(&brighter));
    }

    #[test]
    fn both_kinds_have_a_text_and_the_older_text_is_read() {
        let older = r#"{"mean":[1.0],"deviation":[2.0]}"#;
        let set: InputNormalisation = serde_json::from_str(older).unwrap();
        assert_eq!(set, Normalisation { mean: vec![1.0], deviation: vec![2.0] }.into());
        assert_eq!(serde_json::to_string(&set).unwrap(), older);
        let rule = InputNormalisation::PerImage { per_image: Measure::Percentiles { low: 0.5, high: 99.0 } };
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(text, r#"{"per_image":"0.5..99"}"#);
        assert_eq!(serde_json::from_str::<InputNormalisation>(&text).unwrap(), rule);
        assert!(serde_json::from_str::<InputNormalisation>(r#"{"per_image":"99..1"}"#).is_err());
    }

    #[test]
    fn an_image_in_another_range_is_told_and_rescaled() {
        let image = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| (60 + y * 7 + x) as f32);
        let trained = of(Measure::MeanDeviation, std::slice::from_ref(&image));
        assert_eq!(trained.misfit(image.view()), None);
        // The same scene in 16 bit and in float.
        for other in [image.mapv(|v| v * 257.0), image.mapv(|v| v / 255.0)] {
            assert!(trained.misfit(other.view()).unwrap().contains("channel 0"));
            let mut back = other.clone();
            trained.rescale(&mut back, Measure::MeanDeviation);
            assert!(back.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        // Images with nothing on them.
        assert_eq!(trained.misfit(Array3::from_elem((1, 4, 4), 100.0).view()), None);
        let noise = Array3::from_shape_fn((1, 4, 4), |(_, y, x)| 70.0 + (y * 3 + x) as f32 % 4.0);
        assert_eq!(trained.misfit(noise.view()), None);
    }

    #[test]
    fn measures_are_read_strictly() {
        assert_eq!("mean".parse(), Ok(Measure::MeanDeviation));
        assert_eq!("1..99".parse(), Ok(Measure::Percentiles { low: 1.0, high: 99.0 }));
        for bad in ["", "median", "1", "1..", "..99", "99..1", "5..5", "-1..99", "1..101", "nan..99"] {
            let error = bad.parse::<Measure>().unwrap_err().to_string();
            assert!(error.starts_with("normalise") && error.contains("1..99"), "{error}");
        }
    }
}
