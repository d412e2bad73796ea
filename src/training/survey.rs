//! What is measured over the images of a run, in as few passes over them as it takes.

use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use super::brightness::{Brightness, ClassLevels, Spread};
use super::seen_labels::SeenLabels;
use crate::Result;
use crate::network::{Measure, Measuring, Normalisation};
use crate::samples::{ClassTotals, Dataset, Fingerprint, ImageHasher, SetHasher, Target};

/// What is to be found.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The number of classes whose weights are added up.
    pub(super) classes: usize,
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
    /// How much better the pixels of a class agree in all images, against those of others, when each image is normalised by itself;
    /// `None` where labels do not tell, or no classes are wanted. See [`ClassLevels::gain`].
    pub(super) gain_by_itself: Option<f32>,
    pub(super) input: Option<Normalisation>,
    pub(super) target: Option<Normalisation>,
    /// Of each channel the number that all its pixels are.
    pub(super) levels: Vec<Option<f32>>,
    /// The name of the first image that is far from what is usual, and how.
    pub(super) misfit: Option<(String, String)>,
    /// Of each image, whether it has pixels that are not finite.
    pub(super) gaps: Vec<bool>,
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
    }

    /// Goes over `set`, of which every image is read once in each pass, of volumes slice after slice, and targets of these after all of
    /// the image, as a fingerprint has them. A deviation takes two of these, as its squares are those of distances
    /// from the mean of all, and each channel of which percentiles are wanted one more; targets are read again only where they are
    /// measured too. What else is wanted of labels is taken from them in the first pass.
    ///
    /// # Errors
    /// What comes of reading it.
    pub(super) fn of(set: &Dataset, wanted: &Wanted, mut labels: Option<&mut SeenLabels>) -> Result<Self> {
        let mut hasher = SetHasher::default();
        let mut prints = Vec::new();
        let mut totals = ClassTotals::new(wanted.classes);
        let mut levels = vec![Level::default(); set.channels()];
        let mut misfit = None;
        let mut spread = Spread::default();
        let mut levels_of_classes = ClassLevels::default();
        let mut input = wanted.input.map(|measure| Measuring::new(measure, set.channels()));
        let channels = set.target_channels().unwrap_or(0);
        let mut target = wanted.target.map(|measure| Measuring::new(measure, channels));
        let mut gaps: Vec<bool> = Vec::with_capacity(set.len());
        let (mut brightness, mut print) = (Brightness::default(), ImageHasher::default());
        set.visit_apart(|place, part| {
            let item = &set.items()[place.item];
            hasher.add(place, item, part)?;
            if let Some((found, weights)) = part.target() {
                if wanted.classes > 0 {
                    totals.add_target(found, weights);
                }
                if let Some(labels) = &mut labels {
                    labels.add(place, item, found, weights);
                }
                measure_target(found, weights, &mut target);
            }
            let Some(image) = part.image() else { return Ok(()) };
            if place.slice == 0 {
                gaps.push(false);
                brightness = Brightness::default();
            }
            if wanted.classes > 0 || wanted.usual.is_some() {
                brightness.add(image);
            }
            if wanted.classes > 0 && place.is_last() {
                spread.add(&brightness);
            }
            if let (true, Some((Target::Classes(labels), weights))) = (wanted.classes > 0, part.target()) {
                levels_of_classes.add(image, labels, weights);
            }
            if wanted.prints {
                print.add(place, item, image)?;
                if place.is_last() {
                    prints.push(std::mem::take(&mut print).fingerprint());
                }
            }
            let planes = levels.iter_mut().zip(image.outer_iter());
            for (level, plane) in planes.filter(|(level, _)| !matches!(level, Level::Several)) {
                plane.iter().for_each(|value| level.add(*value));
            }
            if let (None, Some(usual), true) = (&misfit, &wanted.usual, place.is_last()) {
                let found = match place.slices {
                    1 => usual.misfit(image.view()),
                    _ => usual.misfit_of(brightness.of_channels()),
                };
                misfit = found.map(|misfit| (item.name().to_owned(), misfit));
            }
            if let Some(has_gaps) = gaps.last_mut() {
                *has_gaps |= image.iter().any(|value| !value.is_finite());
            }
            measure_image(image, &mut input);
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
                    measure_target(&sample.target, sample.weights.as_ref(), &mut target);
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
            gain_by_itself: levels_of_classes.gain(),
            input: input.map(|measuring| measuring.normalisation()),
            target: target.map(|measuring| measuring.normalisation()),
            levels: levels.into_iter().map(Level::number).collect(),
            misfit,
            gaps,
        })
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
fn measure_target(found: &Target, weights: Option<&Array2<f32>>, target: &mut Option<Measuring>) {
    if let (Some(target), Target::Values(values)) = (target, found) {
        // What does not count may hold anything, and must not move the scale.
        target.add(&(values.view(), weights.map(|weights| weights.view())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::UNLABELLED;
    use crate::samples::Sample;

    /// Volumes whose slices are measured one after the other, and the same in one piece.
    fn sets(regresses: bool) -> [Dataset; 2] {
        let slice = |z: usize| {
            let number =
                |c: usize, y: usize, x: usize| ((c * 7 + z * 53 + y * 37 + x * 101 + y * x * 7) % 251) as f32;
            let mut image = Array3::from_shape_fn((2, 9, 11), |(c, y, x)| number(c, y, x) / 3.0 + 1e4);
            if z == 3 {
                image[[1, 2, 5]] = f32::NAN;
            }
            let target = match regresses {
                true => Target::Values(image.mapv(|value| if value.is_nan() { 0.0 } else { 2.0 * value })),
                false => Target::Classes(Array2::from_shape_fn((9, 11), |(y, x)| match (y * x + z) % 4 {
                    3 => UNLABELLED,
                    class => class as u32,
                })),
            };
            let weights = z
                .is_multiple_of(3)
                .then(|| Array2::from_shape_fn((9, 11), |(y, x)| ((y + x) % 3) as f32 / 3.0));
            Sample::new(format!("v.tif page {z}"), image, target).with_weights(weights)
        };
        let slices = Dataset::unchecked((0..6).map(slice).collect::<Vec<_>>()).into_volumes().unwrap();
        let whole = Dataset::unchecked([slices.sample(0).unwrap().into_owned()]);
        [slices, whole]
    }

    #[test]
    fn slices_of_a_volume_are_measured_as_the_volume_in_one_piece() {
        for regresses in [false, true] {
            for measure in [Measure::MeanDeviation, Measure::Percentiles { low: 1.0, high: 99.0 }] {
                let wanted = Wanted {
                    classes: if regresses { 0 } else { 3 },
                    input: Some(measure),
                    target: regresses.then_some(measure),
                    prints: true,
                    usual: Some(Normalisation::identity(2)),
                };
                let [slices, whole] = sets(regresses).map(|set| Survey::of(&set, &wanted, None).unwrap());
                let all = |found: &Survey| serde_json::to_string(found).unwrap();
                assert_eq!(all(&slices), all(&whole));
                assert!(slices.misfit.is_some() && slices.gaps == [true]);
            }
        }
    }
}
