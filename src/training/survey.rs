//! What is measured over the images of a run, in as few passes over them as it takes.

use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use super::seen_labels::SeenLabels;
use crate::Result;
use crate::network::{Measure, Measuring, Normalisation};
use crate::samples::{ClassTotals, Dataset, Fingerprint, Sample, SetHasher, Target};

/// What is to be found.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The number of classes whose weights are added up.
    pub(super) classes: usize,
    /// Whether what is seen of labels is kept, and whether draws may favour some pixels.
    pub(super) labels: Option<bool>,
    /// What is measured of the images, and of the values of targets.
    pub(super) input: Option<Measure>,
    pub(super) target: Option<Measure>,
    /// Whether each image is to be known again.
    pub(super) prints: bool,
    /// What images are compared with.
    pub(super) usual: Option<Normalisation>,
}

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Survey {
    /// Of the set as a whole.
    pub(super) fingerprint: Fingerprint,
    /// Of each image by itself, where it was wanted.
    pub(super) prints: Vec<Fingerprint>,
    /// The weight of the pixels of each class.
    pub(super) totals: ClassTotals,
    /// By how much the means of the images differ, in deviations within an image: of the channel in which they
    /// differ most. 0 where no classes are wanted.
    pub(super) spread: f32,
    pub(super) input: Option<Normalisation>,
    pub(super) target: Option<Normalisation>,
    /// Of each channel the number that all its pixels are.
    pub(super) levels: Vec<Option<f32>>,
    /// The name of the first image that is far from what is usual, and how.
    pub(super) misfit: Option<(String, String)>,
    /// Of each image, whether it has pixels that are not finite.
    pub(super) gaps: Vec<bool>,
    /// What is kept of labels, where it was wanted.
    pub(super) labels: Option<SeenLabels>,
}

impl Survey {
    /// Whether it may be what was `wanted` of `set`.
    pub(super) fn is_of(&self, set: &Dataset, wanted: &Wanted) -> bool {
        let fits = |found: &Option<Normalisation>, measure: Option<Measure>, channels: usize| match found {
            Some(found) => {
                measure.is_some()
                    && found.mean.len() == channels
                    && found.deviation.len() == channels
                    && found.deviation.iter().all(|deviation| *deviation > 0.0)
            }
            None => measure.is_none(),
        };
        fits(&self.input, wanted.input, set.channels())
            && fits(&self.target, wanted.target, set.target_channels().unwrap_or(0))
            && self.prints.len() == if wanted.prints { set.len() } else { 0 }
            && self.totals.classes() == wanted.classes
            && self.gaps.len() == set.len()
            && self.labels.is_some() == wanted.labels.is_some()
            && self.labels.as_ref().is_none_or(|labels| labels.is_of(set, wanted.classes))
    }

    /// Goes over `set`, of which every image is read once in each pass. A deviation takes two of these, as its squares are those of distances
    /// from the mean of all, and each channel of which percentiles are wanted one more; targets are read again only where they are
    /// measured too.
    ///
    /// # Errors
    /// What comes of reading it.
    pub(super) fn of(set: &Dataset, wanted: &Wanted) -> Result<Self> {
        let mut hasher = SetHasher::default();
        let mut prints = Vec::new();
        let mut totals = ClassTotals::new(wanted.classes);
        let mut levels = vec![Level::default(); set.channels()];
        let mut misfit = None;
        let mut spread = Spread::default();
        let mut input = wanted.input.map(|measure| Measuring::new(measure, set.channels()));
        let channels = set.target_channels().unwrap_or(0);
        let mut target = wanted.target.map(|measure| Measuring::new(measure, channels));
        let mut gaps = Vec::with_capacity(set.len());
        let mut labels = wanted.labels.map(|with_rows| SeenLabels::new(wanted.classes, with_rows));
        set.visit(|index, sample| {
            hasher.add(sample);
            if wanted.classes > 0 {
                totals.add(sample);
                spread.add(sample);
            }
            if let Some(labels) = &mut labels {
                labels.add(index, &sample.target, sample.weights.as_ref());
            }
            if wanted.prints {
                prints.push(Fingerprint::of_image(sample));
            }
            let planes = levels.iter_mut().zip(sample.image.outer_iter());
            for (level, plane) in planes.filter(|(level, _)| !matches!(level, Level::Several)) {
                plane.iter().for_each(|value| level.add(*value));
            }
            if let (None, Some(usual)) = (&misfit, &wanted.usual) {
                misfit = usual.misfit(sample.image.view()).map(|misfit| (sample.name.clone(), misfit));
            }
            gaps.push(sample.image.iter().any(|value| !value.is_finite()));
            measure_image(&sample.image, &mut input);
            measure_target(sample, &mut target);
            Ok(())
        })?;
        let end_pass = |measuring: &mut Option<Measuring>| {
            measuring.iter_mut().for_each(Measuring::end_pass);
            measuring.as_ref().is_some_and(|measuring| !measuring.is_done())
        };
        let mut wanting = (end_pass(&mut input), end_pass(&mut target));
        while wanting != (false, false) {
            match wanting.1 {
                true => set.visit(|_, sample| {
                    measure_image(&sample.image, &mut input);
                    measure_target(sample, &mut target);
                    Ok(())
                })?,
                false => set.visit_images(|_, image| {
                    measure_image(image, &mut input);
                    Ok(())
                })?,
            }
            wanting = (end_pass(&mut input), end_pass(&mut target));
        }
        Ok(Self {
            fingerprint: hasher.fingerprint(),
            prints,
            totals,
            spread: spread.most(),
            input: input.map(|measuring| measuring.normalisation()),
            target: target.map(|measuring| measuring.normalisation()),
            levels: levels.into_iter().map(Level::number).collect(),
            misfit,
            gaps,
            labels,
        })
    }
}

/// How the brightness of images differs between them, and within each, channel by channel.
#[derive(Debug, Default)]
struct Spread(Vec<ChannelSpread>);

#[derive(Debug, Clone, Default)]
struct ChannelSpread {
    means: Vec<f64>,
    /// The sum of the variances within the images.
    variances: f64,
}

impl Spread {
    fn add(&mut self, sample: &Sample) {
        self.0.resize(sample.image.dim().0, ChannelSpread::default());
        for (channel, plane) in self.0.iter_mut().zip(sample.image.outer_iter()) {
            // Distances from one of the pixels keep the digits that squares of large numbers would lose.
            let values = || plane.iter().filter(|value| !value.is_nan()).map(|value| f64::from(*value));
            let Some(first) = values().next() else { continue };
            let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
            for value in values() {
                count += 1.0;
                sum += value - first;
                squares += (value - first).powi(2);
            }
            channel.means.push(first + sum / count);
            channel.variances += (squares / count - (sum / count).powi(2)).max(0.0);
        }
    }

    fn most(&self) -> f32 {
        let of_channel = |channel: &ChannelSpread| {
            let count = channel.means.len() as f64;
            let mean = channel.means.iter().sum::<f64>() / count;
            let between = channel.means.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            if channel.variances > 0.0 { (between / channel.variances).sqrt() as f32 } else { 0.0 }
        };
        self.0.iter().map(of_channel).fold(0.0, f32::max)
    }
}

/// Adds an image to what is measured.
fn measure_image(image: &Array3<f32>, input: &mut Option<Measuring>) {
    if let Some(input) = input.as_mut().filter(|input| !input.is_done()) {
        // Gaps are no part of the image, and are left out as pixels of weight 0.
        let weights = weights_of_gaps(image);
        input.add(&(image.view(), weights.as_ref().map(|weights| weights.view())));
    }
}

/// Adds the values of a target to what is measured.
fn measure_target(sample: &Sample, target: &mut Option<Measuring>) {
    if let (Some(target), Target::Values(values)) = (target, &sample.target) {
        // What does not count may hold anything, and must not move the scale.
        target.add(&(values.view(), sample.weights.as_ref().map(|weights| weights.view())));
    }
}

/// Weights `[y][x]` that are 0 where a channel of an image is NaN; `None` where none is.
fn weights_of_gaps(image: &Array3<f32>) -> Option<Array2<f32>> {
    let has_gaps = image.iter().any(|value| value.is_nan());
    has_gaps
        .then(|| image.map_axis(Axis(0), |pixel| if pixel.iter().any(|v| v.is_nan()) { 0.0 } else { 1.0 }))
}

/// The number that all pixels of a channel are that are no gaps.
#[derive(Debug, Clone, Copy, Default)]
enum Level {
    #[default]
    None,
    All(f32),
    Several,
}

impl Level {
    fn add(&mut self, value: f32) {
        *self = match *self {
            _ if value.is_nan() => return,
            Self::None => Self::All(value),
            Self::All(level) if level != value => Self::Several,
            _ => return,
        };
    }

    fn number(self) -> Option<f32> {
        match self {
            Self::All(level) => Some(level),
            Self::None | Self::Several => None,
        }
    }
}
