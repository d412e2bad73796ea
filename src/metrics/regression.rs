//! Scores of predicted images: mean squared and absolute error, PSNR and SSIM.

use std::fmt;

use ndarray::{ArrayView3, Axis};
use serde::Serialize;

use super::ssim::{SsimWindow, ssim};
use crate::error::{Error, Result};

/// The span of values that PSNR and SSIM measure errors against, in the units of the images.
///
/// Both scores change with it, so a report has to state it: [`DataRange`] prints its value and its origin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataRange {
    /// Given by the user, such as 255 for pictures of 8 bits.
    Given(f64),
    /// The largest minus the smallest value of all targets.
    OfTargets(f64),
}

impl DataRange {
    /// The range that a user gave, in the units of the images.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `range` is finite and above 0.
    pub fn given(range: f64) -> Result<Self> {
        if range.is_finite() && range > 0.0 {
            Ok(DataRange::Given(range))
        } else {
            Err(Error::setting("the data range", range, "it must be a number above 0"))
        }
    }

    /// The range in the units of the images; 0 if all targets are one constant.
    pub fn value(self) -> f64 {
        match self {
            DataRange::Given(range) | DataRange::OfTargets(range) => range,
        }
    }
}

impl fmt::Display for DataRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataRange::Given(range) => write!(f, "{range} (as given)"),
            DataRange::OfTargets(range) => write!(f, "{range} (largest minus smallest value of the targets)"),
        }
    }
}

/// Collects the smallest and largest value of the targets, for a [`DataRange`] where the user gave none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetLimits {
    smallest: f32,
    largest: f32,
}

impl Default for TargetLimits {
    fn default() -> Self {
        Self { smallest: f32::INFINITY, largest: f32::NEG_INFINITY }
    }
}

impl TargetLimits {
    /// Takes the finite values of one target, `[channel][y][x]`, into account.
    pub fn include(&mut self, target: ArrayView3<f32>) {
        for &value in target.iter().filter(|v| v.is_finite()) {
            self.smallest = self.smallest.min(value);
            self.largest = self.largest.max(value);
        }
    }

    /// The smallest and the largest value so far; infinite if there were none.
    pub fn ends(&self) -> (f32, f32) {
        (self.smallest, self.largest)
    }

    /// The range of all targets so far; 0 if there were none.
    pub fn data_range(&self) -> DataRange {
        DataRange::OfTargets((f64::from(self.largest) - f64::from(self.smallest)).max(0.0))
    }
}

/// Errors summed over images; every score is `None` before the first pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionScores {
    range: DataRange,
    window: SsimWindow,
    squared: f64,
    absolute: f64,
    values: u64,
    ssim_sum: f64,
    ssim_images: u64,
}

impl RegressionScores {
    /// No images yet. The range has to be known before, as every image's SSIM depends on it. SSIM is taken in uniform windows.
    pub fn new(range: DataRange) -> Self {
        let window = SsimWindow::default();
        Self { range, window, squared: 0.0, absolute: 0.0, values: 0, ssim_sum: 0.0, ssim_images: 0 }
    }

    /// No images yet, and SSIM in windows of this kind.
    pub fn with_window(self, window: SsimWindow) -> Self {
        Self { window, ..Self::new(self.range) }
    }

    /// Adds one image, target and prediction `[channel][y][x]` in the same units. Values whose target is NaN do not count.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the shapes differ; then nothing is added.
    pub fn add(&mut self, target: ArrayView3<f32>, predicted: ArrayView3<f32>) -> Result<()> {
        if target.dim() != predicted.dim() {
            let ((tc, th, tw), (pc, ph, pw)) = (target.dim(), predicted.dim());
            return Err(Error::Mismatch(format!(
                "the target is {th}x{tw} pixels of {tc} channels, but the prediction is {ph}x{pw} of {pc}; \
                 both must be of one shape"
            )));
        }
        for (&t, &p) in target.iter().zip(predicted.iter()).filter(|(t, _)| !t.is_nan()) {
            self.values += 1;
            let error = f64::from(p) - f64::from(t);
            self.squared += error * error;
            self.absolute += error.abs();
        }
        let channels: Option<Vec<f64>> = target
            .axis_iter(Axis(0))
            .zip(predicted.axis_iter(Axis(0)))
            .map(|(t, p)| ssim(t, p, self.range.value(), self.window))
            .collect();
        if let Some(channels) = channels.filter(|c| !c.is_empty()) {
            self.ssim_sum += channels.iter().sum::<f64>() / channels.len() as f64;
            self.ssim_images += 1;
        }
        Ok(())
    }

    /// Adds the errors of other images, which were measured with the same range and window.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when they were not; then nothing is added.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.range, self.window) != (other.range, other.window) {
            return Err(Error::Mismatch(format!(
                "scores for a data range of {} in {} cannot be added to those for {} in {}; measure both alike",
                other.range,
                other.window.description(),
                self.range,
                self.window.description()
            )));
        }
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.values += other.values;
        self.ssim_sum += other.ssim_sum;
        self.ssim_images += other.ssim_images;
        Ok(())
    }

    /// All that was added, to the last bit, as [`Self::with_numbers`] takes it.
    pub(crate) fn numbers(&self) -> [u64; 5] {
        let [squared, absolute, ssim_sum] = [self.squared, self.absolute, self.ssim_sum].map(f64::to_bits);
        [squared, absolute, self.values, ssim_sum, self.ssim_images]
    }

    /// The same range and window, with what was added elsewhere.
    pub(crate) fn with_numbers(&self, [squared, absolute, values, ssim_sum, ssim_images]: [u64; 5]) -> Self {
        let [squared, absolute, ssim_sum] = [squared, absolute, ssim_sum].map(f64::from_bits);
        Self { squared, absolute, values, ssim_sum, ssim_images, ..self.clone() }
    }

    /// The windows that SSIM is taken in.
    pub fn ssim_window(&self) -> SsimWindow {
        self.window
    }

    /// How many values of pixels were compared.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// The range that PSNR and SSIM are stated for.
    pub fn data_range(&self) -> DataRange {
        self.range
    }

    /// Mean squared error over all pixels of all images, in squared units of the images.
    pub fn mse(&self) -> Option<f64> {
        (self.values > 0).then(|| self.squared / self.values as f64)
    }

    /// Mean absolute error over all pixels of all images, in units of the images.
    pub fn mae(&self) -> Option<f64> {
        (self.values > 0).then(|| self.absolute / self.values as f64)
    }

    /// Peak signal-to-noise ratio in decibels, of the mean squared error over all images (not the mean of
    /// the images' ratios); `None` if the range is 0.
    pub fn psnr(&self) -> Option<f64> {
        self.mse().filter(|_| self.range.value() > 0.0).map(|mse| psnr(mse, self.range.value()))
    }

    /// The mean of the images' structural similarities (see [`ssim()`]), each the mean of its channels;
    /// `None` if the range is 0 or every image is smaller than the window.
    pub fn ssim(&self) -> Option<f64> {
        (self.ssim_images > 0).then(|| self.ssim_sum / self.ssim_images as f64)
    }
}

/// Peak signal-to-noise ratio in decibels, 10 log10(range^2 / mse); infinite where the error is 0.
pub fn psnr(mse: f64, range: f64) -> f64 {
    10.0 * (range * range / mse).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn errors_are_means_over_all_pixels() {
        let mut scores = RegressionScores::new(DataRange::given(10.0).unwrap());
        assert_eq!((scores.mse(), scores.mae(), scores.psnr(), scores.ssim()), (None, None, None, None));
        scores.add(array![[[0.0, 0.0]]].view(), array![[[1.0, -3.0]]].view()).unwrap();
        scores.add(array![[[5.0]]].view(), array![[[5.0]]].view()).unwrap();
        assert_eq!(scores.mse(), Some(10.0 / 3.0));
        assert_eq!(scores.mae(), Some(4.0 / 3.0));
        assert!((scores.psnr().unwrap() - 10.0 * 30f64.log10()).abs() < 1e-12);
        assert_eq!(scores.ssim(), None, "no image holds a window");
    }

    #[test]
    fn psnr_is_in_decibels_of_the_range() {
        assert!((psnr(0.01, 1.0) - 20.0).abs() < 1e-12);
        assert!((psnr(1.0, 255.0) - 48.130_803_608_679_1).abs() < 1e-9);
        assert_eq!(psnr(0.0, 1.0), f64::INFINITY);
    }

    #[test]
    fn the_range_of_the_targets_spans_all_of_them() {
        let mut limits = TargetLimits::default();
        assert_eq!(limits.data_range().value(), 0.0);
        limits.include(array![[[1.0, f32::NAN, 2.0]]].view());
        limits.include(array![[[-1.0, f32::INFINITY]]].view());
        assert_eq!(limits.data_range(), DataRange::OfTargets(3.0));
        assert!(limits.data_range().to_string().starts_with("3 (largest minus smallest"));
        assert_eq!(DataRange::given(255.0).unwrap().to_string(), "255 (as given)");
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(DataRange::given(bad).is_err());
        }
    }

    #[test]
    fn ssim_is_the_mean_over_images_of_the_mean_over_channels() {
        let image = Array3::from_shape_fn((2, 9, 9), |(c, y, x)| ((y * 3 + x * (c + 2)) % 7) as f32);
        let other = Array3::from_shape_fn((2, 9, 9), |(c, y, x)| ((y * 2 + x * (c + 1)) % 5) as f32);
        let range = DataRange::given(6.0).unwrap();
        let mut scores = RegressionScores::new(range);
        scores.add(image.view(), image.view()).unwrap();
        assert!((scores.ssim().unwrap() - 1.0).abs() < 1e-12);
        scores.add(image.view(), other.view()).unwrap();
        let of = |c| {
            ssim(image.index_axis(Axis(0), c), other.index_axis(Axis(0), c), 6.0, SsimWindow::Uniform)
                .unwrap()
        };
        let wanted = (1.0 + (of(0) + of(1)) / 2.0) / 2.0;
        assert!((scores.ssim().unwrap() - wanted).abs() < 1e-12);
        // Image by image and then together is the same.
        let mut parts = RegressionScores::new(range);
        for predicted in [&image, &other] {
            let mut part = RegressionScores::new(range);
            part.add(image.view(), predicted.view()).unwrap();
            parts.merge(&part).unwrap();
        }
        assert_eq!(parts, scores);
        let unlike = RegressionScores::new(range).with_window(SsimWindow::Gaussian);
        assert!(parts.merge(&unlike).unwrap_err().to_string().contains("Gaussian"));
        assert_eq!(parts, scores);
    }

    #[test]
    fn constant_targets_have_no_psnr_and_no_ssim() {
        let image = Array3::<f32>::zeros((1, 8, 8));
        let mut limits = TargetLimits::default();
        limits.include(image.view());
        let mut scores = RegressionScores::new(limits.data_range());
        scores.add(image.view(), image.view()).unwrap();
        assert_eq!((scores.mse(), scores.psnr(), scores.ssim()), (Some(0.0), None, None));
    }

    #[test]
    fn pixels_without_a_target_do_not_count() {
        let target = Array3::from_shape_fn((1, 20, 20), |(_, y, x)| (y * x % 7) as f32);
        let mut predicted = target.mapv(|v| v + 0.5);
        let mut partly = target.clone();
        for (y, x) in [(3, 4), (19, 19)] {
            partly[[0, y, x]] = f32::NAN;
            predicted[[0, y, x]] = 1e9;
        }
        let mut scores = RegressionScores::new(DataRange::Given(6.0));
        scores.add(partly.view(), predicted.view()).unwrap();
        assert_eq!((scores.mse(), scores.mae()), (Some(0.25), Some(0.5)));
        // Windows without these pixels have the similarity that they have when all count.
        let ssim = scores.ssim().unwrap();
        assert!((0.5..1.0).contains(&ssim), "{ssim}");
        let none = Array3::from_elem((1, 20, 20), f32::NAN);
        let mut scores = RegressionScores::new(DataRange::Given(6.0));
        scores.add(none.view(), predicted.view()).unwrap();
        assert_eq!((scores.mse(), scores.psnr(), scores.ssim()), (None, None, None));
        // A prediction of NaN counts, so it makes the scores NaN.
        let mut scores = RegressionScores::new(DataRange::Given(6.0));
        scores.add(target.view(), none.view()).unwrap();
        assert!(scores.mse().unwrap().is_nan() && scores.ssim().unwrap().is_nan());
    }

    #[test]
    fn shapes_must_agree() {
        let mut scores = RegressionScores::new(DataRange::Given(1.0));
        let result = scores.add(Array3::zeros((1, 2, 3)).view(), Array3::zeros((1, 3, 2)).view());
        assert!(matches!(result, Err(Error::Mismatch(_))));
        assert_eq!(scores.mse(), None);
    }
}
