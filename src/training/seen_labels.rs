//! What is kept of the labels of a run while its images are measured, so that they need not be read once more before the first step.

use ndarray::Array2;

use super::start::ChosenPixels;
use crate::samples::{ClassRows, Item, Place, Target};

/// Most bytes of what is kept of rows, of which it is not known yet whether draws need it.
const MOST_BYTES_OF_ROWS: u64 = 128 << 20;

/// What is kept of labels that were read.
#[derive(Debug, Clone)]
pub(super) struct SeenLabels {
    /// Pixels that the mixing layer is fitted to.
    chosen: Option<ChosenPixels>,
    /// Where the pixels of each class are, for draws that favour some.
    rows: Option<ClassRows>,
    /// Rows are given up beyond so many bytes.
    most_bytes: u64,
    /// The smallest weight of a pixel that counts; infinite before there is one.
    least_weight: f32,
}

impl SeenLabels {
    /// Of no image yet: with pixels to fit the mixing layer to if it may be `fitted`, and with rows if draws may be `favoured`.
    pub(super) fn new(fitted: bool, favoured: bool) -> Self {
        Self {
            chosen: fitted.then(ChosenPixels::default),
            rows: favoured.then(ClassRows::default),
            most_bytes: MOST_BYTES_OF_ROWS,
            least_weight: f32::INFINITY,
        }
    }

    /// Adds the labels of `item`, or of a slice of it, which is at `place` and comes after all that were added.
    pub(super) fn add(&mut self, place: Place, item: &Item, target: &Target, weights: Option<&Array2<f32>>) {
        let Target::Classes(labels) = target else { return };
        let positive = weights.into_iter().flatten().copied().filter(|weight| *weight > 0.0);
        let least = if weights.is_none() { 1.0 } else { positive.fold(f32::INFINITY, f32::min) };
        self.least_weight = self.least_weight.min(least);
        if let Some(chosen) = &mut self.chosen {
            chosen.add(place.item, target, weights);
        }
        if let Some(rows) = &mut self.rows {
            rows.add(place, item, labels, weights);
        }
        self.rows = self.rows.take().filter(|rows| rows.bytes() <= self.most_bytes);
    }

    /// Whether labels were read at all.
    pub(super) fn is_of_some(&self) -> bool {
        self.least_weight < f32::INFINITY
    }

    /// The same where the weight of each pixel is multiplied by that of its class; `None` where pixels that counted do not any more, so that
    /// others would have been kept.
    pub(super) fn weighed(self, weights: &[f32]) -> Option<Self> {
        let least_weight =
            weights.iter().map(|weight| weight * self.least_weight).fold(f32::INFINITY, f32::min);
        let chosen = self.chosen.map(|chosen| chosen.weighed(weights));
        (least_weight > 0.0).then_some(Self { chosen, least_weight, ..self })
    }

    /// The pixels to fit the mixing layer to, which are not kept after that.
    pub(super) fn take_chosen(&mut self) -> Option<ChosenPixels> {
        self.chosen.take()
    }

    /// Where the pixels of each class are, where that was kept.
    pub(super) fn rows(self) -> Option<ClassRows> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::metrics::UNLABELLED;
    use crate::samples::{ClassPixels, ClassTotals, Dataset, Measurements, Sample};
    use crate::training::survey::{Survey, Wanted};

    const CLASSES: usize = 3;

    /// Slices of 90 x 80 pixels, of which each tenth row is labelled, the second one with weights.
    fn set(in_volumes: bool) -> Dataset {
        let slice = |z: usize| {
            let labels = Array2::from_shape_fn((90, 80), |(y, x)| match (y % 10, (x / 7 + z + y / 20) % 5) {
                (0, class @ 0..CLASSES) => class as u32,
                (3, _) if z != 2 => 1,
                _ => UNLABELLED,
            });
            let weights = Array2::from_shape_fn((90, 80), |(y, x)| ((y + x + z) % 4) as f32 / 3.0);
            let image = Array3::from_shape_fn((1, 90, 80), |(_, y, x)| (y * x + z) as f32);
            Sample::new(format!("v.tif page {z}"), image, Target::Classes(labels))
                .with_weights((z == 1).then_some(weights))
        };
        let slices = Dataset::unchecked((0..12).map(slice).collect::<Vec<_>>());
        if in_volumes { slices.into_volumes().unwrap() } else { slices }
    }

    fn seen(set: &Dataset) -> (ClassTotals, SeenLabels) {
        seen_within(set, MOST_BYTES_OF_ROWS)
    }

    fn seen_within(set: &Dataset, most_bytes: u64) -> (ClassTotals, SeenLabels) {
        let mut seen = SeenLabels { most_bytes, ..SeenLabels::new(true, true) };
        let wanted = Wanted { classes: CLASSES, ..Wanted::default() };
        let survey = Survey::of(set, &wanted, Some(&mut seen)).unwrap();
        (survey.totals, seen)
    }

    /// What is counted when the targets of `set` are read once for each thing that is wanted of them.
    fn one_by_one(set: &Dataset) -> (ClassTotals, ChosenPixels, ClassPixels) {
        let mut totals = ClassTotals::new(CLASSES);
        set.visit_targets(|_, target, weights| {
            totals.add_target(target, weights);
            Ok(())
        })
        .unwrap();
        (totals, ChosenPixels::of(set).unwrap(), ClassPixels::of(set).unwrap())
    }

    fn check(set: &Dataset, mut seen: SeenLabels, chosen: &ChosenPixels, pixels: &ClassPixels) {
        assert_eq!(seen.take_chosen().as_ref(), Some(chosen));
        let rows = seen.rows().unwrap();
        assert_eq!(rows.bytes(), pixels.bytes());
        let known = Measurements::default();
        let found = ClassPixels::known_or_of(set, &known, None, Some(&rows)).unwrap();
        assert_eq!(format!("{found:?}"), format!("{pixels:?}"));
    }

    #[test]
    fn what_is_seen_in_one_pass_is_what_a_pass_for_each_thing_gives() {
        for in_volumes in [false, true] {
            let mut set = set(in_volumes);
            let (totals, labels) = seen(&set);
            assert!(labels.is_of_some());
            let (all, chosen, pixels) = one_by_one(&set);
            assert_eq!(totals, all);
            check(&set, labels.clone(), &chosen, &pixels);
            // Also once the classes have weights.
            let weights = [0.3, 2.5, 1.0];
            set.weigh_classes(&weights);
            let (all, chosen, pixels) = one_by_one(&set);
            check(&set, labels.clone().weighed(&weights).unwrap(), &chosen, &pixels);
            // Totals are the sums of products that were rounded one by one, but for the last digits.
            for (found, wanted) in totals.weighed(&weights).shares().iter().zip(all.shares()) {
                assert!((found / wanted - 1.0).abs() < 1e-6, "{found} {wanted}");
            }
        }
    }

    #[test]
    fn pixels_that_lose_all_their_weight_are_seen_anew() {
        let (_, labels) = seen(&set(false));
        assert!(labels.clone().weighed(&[1.0, 0.0, 1.0]).is_none());
        // Products of small numbers are 0.
        assert!(labels.clone().weighed(&[1.0, 1e-45, 1.0]).is_none());
        assert!(labels.weighed(&[1e-3, 1e3, 1.0]).is_some());
        assert!(!SeenLabels::new(true, true).is_of_some());
    }

    #[test]
    fn rows_that_take_too_much_memory_are_given_up_and_all_else_is_kept() {
        for in_volumes in [false, true] {
            let set = set(in_volumes);
            let bytes = ClassPixels::of(&set).unwrap().bytes();
            let (_, fits) = seen_within(&set, bytes);
            assert!(fits.rows().is_some());
            let (_, mut exceeds) = seen_within(&set, bytes - 1);
            assert_eq!(exceeds.take_chosen(), Some(ChosenPixels::of(&set).unwrap()));
            assert!(exceeds.rows().is_none());
        }
    }
}
