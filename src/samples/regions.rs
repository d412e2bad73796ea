//! A part of one large image, set aside for validation.

use super::dataset::Dataset;
use super::item::Item;
use super::random::{Stream, below, stream};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// Fewer pixels than this along the image are too few to train on or to judge by.
const MIN_LENGTH: usize = 8;

impl Dataset {
    /// Whether all images show the same: it is one, or all are of one group and one size.
    pub fn is_of_one_place(&self) -> bool {
        let Some((first, others)) = self.items.split_first() else { return false };
        others.iter().all(|item| {
            item.group().is_some() && item.group() == first.group() && item.extent() == first.extent()
        })
    }

    /// Cuts the only image or volume, or all images of one place ([`Dataset::is_of_one_place`]) alike, in two along its longest side:
    /// `(training, validation)`, where `fraction` of the length, at the end
    /// that `seed` chooses, is for validation, and `gap` pixels between the two belong to neither.
    ///
    /// # Errors
    /// [`Error::Setting`] for a fraction not between 0 and 1; [`Error::Mismatch`] for another number of images, for an image
    /// without room for both parts and the gap, and for parts in which nothing counts.
    pub fn split_off_region(self, fraction: f64, gap: usize, seed: u64) -> Result<(Dataset, Dataset)> {
        self.split_off_steps(fraction, gap, 1, seed)
    }

    /// As [`Dataset::split_off_region`], where the lengths of what is set aside and of the gap are multiples of `step` pixels, such as
    /// those of a coarser grid.
    ///
    /// # Errors
    /// As [`Dataset::split_off_region`].
    pub fn split_off_steps(
        self,
        fraction: f64,
        gap: usize,
        step: usize,
        seed: u64,
    ) -> Result<(Dataset, Dataset)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            let wanted = "wanted a number between 0 and 1, such as 0.2";
            return Err(Error::setting("val_fraction", fraction, wanted));
        }
        let Some(item) = self.items.first().filter(|_| self.is_of_one_place()) else {
            let problem = format!("found {} images to cut in two; wanted one", self.items.len());
            return Err(Error::Mismatch(problem));
        };
        let Extent { z: slices, y: height, x: width } = item.extent();
        let length = slices.max(height).max(width);
        let aside =
            ((length as f64 * fraction).round() as usize).max(MIN_LENGTH).next_multiple_of(step.max(1));
        let gap = gap.next_multiple_of(step.max(1));
        let kept = length.saturating_sub(aside + gap);
        if kept < MIN_LENGTH {
            return Err(Error::Mismatch(format!(
                "{} is {} pixels, too few to set {aside} of {length} aside by `val_fraction` with the {gap} pixels between that the network's receptive field spans; give `val_images`, lower `depth`, or cut the image into several by hand",
                item.name(),
                item.extent()
            )));
        }
        let at_start = below(&mut stream(seed, Stream::Split, 0), 2) == 0;
        let parts = |at_start: bool| match at_start {
            true => (aside + gap..length, 0..aside),
            false => (0..kept, length - aside..length),
        };
        for at_start in [at_start, !at_start] {
            let (training, validation) = parts(at_start);
            let part = |item: &Item, range: &std::ops::Range<usize>| {
                let (crop, what) = if slices == length && slices > 1 {
                    (Window::new(range.clone(), 0..height, 0..width), "slices")
                } else if height >= width {
                    (Window::new(0..slices, range.clone(), 0..width), "rows")
                } else {
                    (Window::new(0..slices, 0..height, range.clone()), "columns")
                };
                item.cut(crop, format!("{} {what} {} to {}", item.name(), range.start, range.end - 1))
            };
            let parts = |range| Dataset { items: self.items.iter().map(|item| part(item, &range)).collect() };
            let counts = |set: &Dataset| {
                set.items.iter().try_fold(true, |all, item| Ok::<_, Error>(all && item.counts_in(None)?))
            };
            let (training, validation) = (parts(training), parts(validation));
            if counts(&training)? && counts(&validation)? {
                return Ok((training, validation));
            }
        }
        Err(Error::Mismatch(format!(
            "neither end of {} has labelled pixels for `val_fraction` beside those to train on; label some of both ends, or give `val_images`",
            item.name()
        )))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::metrics::UNLABELLED;
    use crate::samples::{Sample, Target};

    fn one(height: usize, width: usize, classes: Array2<u32>) -> Dataset {
        let image = Array3::from_shape_fn((1, height, width), |(_, y, x)| (y * width + x) as f32);
        Dataset::unchecked([Sample::new("a.tif", image, Target::Classes(classes))])
    }

    #[test]
    fn the_parts_are_a_gap_apart_at_the_end_that_the_seed_chooses() {
        let mut ends = std::collections::BTreeSet::new();
        for seed in 0..8 {
            for (height, width) in [(100, 30), (30, 100)] {
                let set = one(height, width, Array2::zeros((height, width)));
                let (training, validation) = set.split_off_region(0.2, 25, seed).unwrap();
                let along = |set: &Dataset| set.sizes()[0].pixels() / 30;
                assert_eq!((along(&training), along(&validation)), (55, 20));
                ends.insert(validation.items()[0].name().to_owned());
            }
        }
        assert_eq!(
            ends.into_iter().collect::<Vec<_>>(),
            ["a.tif columns 0 to 19", "a.tif columns 80 to 99", "a.tif rows 0 to 19", "a.tif rows 80 to 99"]
        );
    }

    #[test]
    fn parts_without_labels_or_room_are_refused_with_what_to_do() {
        // Only one end is labelled enough: it is taken, whatever the seed says.
        let mut classes = Array2::from_elem((100, 10), UNLABELLED);
        classes.slice_mut(ndarray::s![..75, ..]).fill(1);
        for seed in 0..4 {
            let (_, validation) = one(100, 10, classes.clone()).split_off_region(0.2, 5, seed).unwrap();
            assert_eq!(validation.items()[0].name(), "a.tif rows 0 to 19");
        }
        classes.fill(UNLABELLED);
        let error = one(100, 10, classes).split_off_region(0.2, 5, 0).unwrap_err().to_string();
        assert!(error.contains("neither end of a.tif") && error.contains("`val_images`"), "{error}");
        let error =
            one(40, 10, Array2::zeros((40, 10))).split_off_region(0.2, 30, 0).unwrap_err().to_string();
        for part in ["a.tif is 10 x 40", "`val_fraction`", "`val_images`", "`depth`"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
