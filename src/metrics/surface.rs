//! How far the surfaces of what was found are from those of the target.
//!
//! The surface of a class is those of its pixels that have a neighbour along some axis which is of another class, or none as the image ends
//! there. From each pixel of either surface the distance to the nearest pixel of the other one is taken. Their mean is the average
//! symmetric surface distance, and their 95th percentile the Hausdorff distance without its outliers; both as in the comparison of Yeghiazaryan
//! and Voiculescu, "Family of boundary overlap metrics for the evaluation of medical image segmentation", J. Med. Imaging 5 (2018).

use ndarray::{Array3, ArrayView3, Axis};

use super::segmentation::UNLABELLED;
use crate::memory::check;
use crate::{Error, Result};

/// Distances between the surfaces of a class, in the unit of the size of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfaceDistance {
    /// The mean of the distances from all pixels of both surfaces.
    pub mean: f64,
    /// Their 95th percentile.
    pub percentile_95: f64,
}

/// The distances of each of `classes` classes between `target` and `found`, `[z][y][x]`, whose pixels have the size `size` along z, y and x;
/// `None` for a class that one of them does not hold. Pixels whose target is [`UNLABELLED`] are of no class in either. Axes with one pixel have no
/// neighbours: an image is an area and no slice of a volume.
///
/// # Errors
/// [`Error::Mismatch`] where the two differ in size, [`Error::OutOfMemory`].
pub fn surface_distances(
    target: ArrayView3<'_, u32>,
    found: ArrayView3<'_, u32>,
    classes: usize,
    size: [f64; 3],
) -> Result<Vec<Option<SurfaceDistance>>> {
    if target.dim() != found.dim() {
        let (wanted, found) = (target.dim(), found.dim());
        return Err(Error::Mismatch(format!(
            "the target is {wanted:?} voxels and the prediction {found:?}; both must be of one size"
        )));
    }
    // Two surfaces, and the distances to them.
    let bytes = (target.len() as u64).saturating_mul(2 * (size_of::<bool>() + size_of::<f64>()) as u64);
    check("the distances between surfaces", bytes, "score smaller images, or leave out the distances")?;
    let counts = target.mapv(|class| class != UNLABELLED);
    let distance = |class: u32| {
        let [wanted, found] = [target, found]
            .map(|classes| surface(|place| counts[place] && classes[place] == class, classes.dim()));
        if !wanted.iter().any(|&is| is) || !found.iter().any(|&is| is) {
            return None;
        }
        let mut distances = between(&wanted, &found, size);
        distances.extend(between(&found, &wanted, size));
        distances.sort_unstable_by(f64::total_cmp);
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        Some(SurfaceDistance { mean, percentile_95: percentile(&distances, 0.95) })
    };
    Ok((0..classes).map(|class| distance(class as u32)).collect())
}

/// The pixels of a class, where `is_in` says so, that are on its surface.
fn surface(
    is_in: impl Fn([usize; 3]) -> bool,
    (depth, height, width): (usize, usize, usize),
) -> Array3<bool> {
    let lengths = [depth, height, width];
    Array3::from_shape_fn((depth, height, width), |(z, y, x)| {
        let place = [z, y, x];
        is_in(place)
            && (0..3).filter(|&axis| lengths[axis] > 1).any(|axis| {
                let beside = |down: bool| {
                    let mut other = place;
                    other[axis] = if down { place[axis].checked_sub(1)? } else { place[axis] + 1 };
                    (other[axis] < lengths[axis]).then_some(other)
                };
                [true, false].into_iter().any(|down| beside(down).is_none_or(|other| !is_in(other)))
            })
    })
}

/// The distance from each pixel of `from` to the nearest one of `to`.
fn between(from: &Array3<bool>, to: &Array3<bool>, size: [f64; 3]) -> Vec<f64> {
    let squared = squared_distances(to, size);
    from.iter().zip(&squared).filter(|(is_in, _)| **is_in).map(|(_, squared)| squared.sqrt()).collect()
}

/// The squared distance from each place to the nearest one of `set`, which is not empty: by parabolas along one axis after the other, as in
/// Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8 (2012).
fn squared_distances(set: &Array3<bool>, size: [f64; 3]) -> Array3<f64> {
    let mut squared = set.mapv(|is_in| if is_in { 0.0 } else { f64::INFINITY });
    for (axis, step) in size.into_iter().enumerate() {
        let mut envelope = Envelope::default();
        let mut line = Vec::new();
        for mut lane in squared.lanes_mut(Axis(axis)) {
            line.clear();
            line.extend(lane.iter().copied());
            envelope.of(&line, step);
            for (place, value) in lane.iter_mut().enumerate() {
                *value = envelope.at(place as f64 * step);
            }
        }
    }
    squared
}

/// The lowest of parabolas `(x - p)² + height` above each place of a line.
#[derive(Default)]
struct Envelope {
    /// Where those that are lowest somewhere have their feet, their heights, and from where on each is the lowest.
    parabolas: Vec<(f64, f64, f64)>,
    /// The one that was the lowest at the last place that was asked for.
    last: usize,
}

impl Envelope {
    /// Takes a parabola for each of `heights`, which stand `step` apart; infinite ones are left out.
    fn of(&mut self, heights: &[f64], step: f64) {
        self.parabolas.clear();
        self.last = 0;
        for (place, &height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            let foot = place as f64 * step;
            let start = loop {
                let Some(&(before, low, from)) = self.parabolas.last() else { break f64::NEG_INFINITY };
                let start = ((height + foot * foot) - (low + before * before)) / (2.0 * (foot - before));
                if start > from {
                    break start;
                }
                self.parabolas.pop();
            };
            self.parabolas.push((foot, height, start));
        }
    }

    /// The lowest value at `x`; places are asked for in order. Infinite where there are no parabolas.
    fn at(&mut self, x: f64) -> f64 {
        while self.parabolas.get(self.last + 1).is_some_and(|(_, _, start)| *start <= x) {
            self.last += 1;
        }
        self.parabolas
            .get(self.last)
            .map_or(f64::INFINITY, |(foot, height, _)| (x - foot) * (x - foot) + height)
    }
}

/// The value below which a share of `sorted` numbers lies, between two of them in proportion.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place as usize], sorted[(place as usize + 1).min(sorted.len() - 1)]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn distances(target: &Array3<u32>, found: &Array3<u32>, size: [f64; 3]) -> Vec<Option<SurfaceDistance>> {
        surface_distances(target.view(), found.view(), 2, size).unwrap()
    }

    #[test]
    fn boxes_that_are_moved_are_as_far_apart_as_they_were_moved() {
        let with_box = |z: usize| {
            let mut classes = Array3::zeros((12, 10, 9));
            classes.slice_mut(s![z..z + 3, 2..8, 3..6]).fill(1);
            classes
        };
        let found = distances(&with_box(2), &with_box(2), [3.0, 1.0, 1.0])[1].unwrap();
        assert_eq!((found.mean, found.percentile_95), (0.0, 0.0));
        // Far along z: the nearest of each pixel is straight below, and most are as far as the whole move or less.
        let moved = distances(&with_box(2), &with_box(7), [2.0, 1.0, 1.0])[1].unwrap();
        assert_eq!(moved.percentile_95, 10.0);
        assert!(moved.mean > 6.0 && moved.mean < 10.0);
        // A class that is not there has no surface, nor has one of which nothing counts.
        assert_eq!(distances(&with_box(2), &Array3::zeros((12, 10, 9)), [1.0; 3])[1], None);
        let unlabelled = with_box(2).mapv(|class| if class == 1 { UNLABELLED } else { class });
        assert_eq!(distances(&unlabelled, &with_box(2), [1.0; 3])[1], None);
        assert!(surface_distances(with_box(2).view(), Array3::zeros((1, 1, 1)).view(), 2, [1.0; 3]).is_err());
    }

    #[test]
    fn an_image_is_an_area_and_a_line_has_its_own_distances() {
        let image = |columns: std::ops::Range<usize>| {
            let mut classes = Array3::zeros((1, 5, 20));
            classes.slice_mut(s![.., .., columns]).fill(1);
            classes
        };
        // Two bands across the image: the pixels inside them are no surface, though the image is one slice.
        let found = distances(&image(2..7), &image(3..7), [1.0, 1.0, 0.5])[1].unwrap();
        let mut wanted = Vec::new();
        for y in 0..5 {
            // Rows at the border are surface throughout.
            let ends = |start: usize| (start..7).filter(move |x| y % 4 == 0 || *x == start || *x == 6);
            wanted
                .extend(ends(2).map(|x| 0.5 * ends(3).map(|other| x.abs_diff(other)).min().unwrap() as f64));
            wanted
                .extend(ends(3).map(|x| 0.5 * ends(2).map(|other| x.abs_diff(other)).min().unwrap() as f64));
        }
        let mean = wanted.iter().sum::<f64>() / wanted.len() as f64;
        // Pixels beside a border may be nearer to the row there; no pixel is further than that.
        assert!(
            found.mean <= mean + 1e-12 && found.mean > 0.0 && found.percentile_95 == 0.5,
            "{found:?} {mean}"
        );
    }

    #[test]
    fn distances_are_those_to_the_nearest_of_all_places() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        for (shape, size) in
            [((1, 9, 13), [1.0, 1.0, 1.0]), ((6, 7, 8), [2.5, 1.0, 0.3]), ((5, 1, 4), [1.0, 9.0, 2.0])]
        {
            let set = Array3::from_shape_simple_fn(shape, || random.random_bool(0.08));
            if !set.iter().any(|&is| is) {
                continue;
            }
            let squared = squared_distances(&set, size);
            for (place, found) in squared.indexed_iter() {
                let far = |other: (usize, usize, usize)| {
                    let along = |a: usize, b: usize, size: f64| (a.abs_diff(b) as f64 * size).powi(2);
                    along(place.0, other.0, size[0])
                        + along(place.1, other.1, size[1])
                        + along(place.2, other.2, size[2])
                };
                let places = set.indexed_iter().filter(|(_, is)| **is);
                let wanted = places.map(|(other, _)| far(other)).fold(f64::INFINITY, f64::min);
                assert!((found - wanted).abs() <= 1e-9 * wanted.max(1.0), "{place:?}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn percentiles_lie_between_numbers() {
        assert_eq!(percentile(&[1.0], 0.95), 1.0);
        assert!((percentile(&[0.0, 1.0, 2.0], 0.95) - 1.9).abs() < 1e-12);
    }
}
