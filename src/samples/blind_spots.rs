//! Pixels that are hidden from a network, which is to foresee them from their neighbours: denoising of single images.
//!
//! Where the noise of pixels is independent, nothing around a pixel tells of its noise, so that the best guess at the noisy pixel
//! is the clean one (Krull, Buchholz & Jug, "Noise2Void - learning denoising from single noisy images", CVPR 2019). Pixels are
//! hidden on a stratified grid, one at a random place of each cell of 8 x 8, as there (64 in a patch of 64 x 64), and only these
//! count. What stands in their place is drawn from their neighbours, as there, or is the median of these, which leaves no
//! checkerboard (N2V2: Hoeck, Buchholz, Brachmann, Jug & Freytag, "N2V2 - fixing Noise2Void checkerboard artifacts with modified
//! sampling strategies and a tweaked network architecture", ECCV Workshops 2022). Where noise is correlated, the pixels
//! whose noise tells of that of the middle one are hidden with it ([`Footprint`]).

use std::ops::Range;

use ndarray::{Array2, Array3};
use rand_chacha::ChaCha8Rng;

use super::random::{Stream, below, stream};
use super::sample::Sample;
use crate::geometry::Footprint;
use crate::settings::named_choices;

/// Rows and columns of a cell, of which one pixel is hidden.
const CELL: usize = 8;
/// How far the neighbours are from which the value of a hidden pixel is taken, to either side: 5 x 5 pixels.
const NEAR: isize = 2;

named_choices! {
    /// What stands in the place of a hidden pixel.
    pub enum Replacement of "blind_spot", default Median {
        /// The median of its neighbours.
        Median = "median",
        /// One of its neighbours, drawn evenly.
        Uniform = "uniform",
    }
}

/// How pixels are hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindSpots {
    /// What stands in their place.
    pub replacement: Replacement,
    /// Which pixels are hidden together.
    pub footprint: Footprint,
    /// How far from the one in the middle, in pixels.
    pub extent: usize,
    /// The channels in which they are hidden: of slabs those of the slice in the middle, as others have noise of their own.
    pub channels: Range<usize>,
}

impl BlindSpots {
    /// Hides pixels of the `n`-th sample of a run by `seed`, which was turned with y and x exchanged where it is `transposed`: only the
    /// middles of the footprints count from now on.
    pub fn hide(&self, sample: &mut Sample, transposed: bool, seed: u64, n: u64) {
        self.hide_by(sample, transposed, &mut stream(seed, Stream::BlindSpots, n));
    }

    /// As [`BlindSpots::hide`], of the `n`-th image that a run is judged by: always the same pixels.
    pub fn hide_to_judge(&self, sample: &mut Sample, seed: u64, n: u64) {
        self.hide_by(sample, false, &mut stream(seed, Stream::BlindSpotsToJudge, n));
    }

    fn hide_by(&self, sample: &mut Sample, transposed: bool, random: &mut ChaCha8Rng) {
        let seen = sample.image.clone();
        let (_, height, width) = seen.dim();
        let offsets = self.footprint.offsets(self.extent, transposed);
        let mut weights = Array2::zeros((height, width));
        for top in (0..height).step_by(CELL) {
            for left in (0..width).step_by(CELL) {
                let y = top + below(random, CELL.min(height - top));
                let x = left + below(random, CELL.min(width - left));
                if self.hide_around((y, x), &offsets, &seen, &mut sample.image, random) {
                    weights[(y, x)] = sample.weights.as_ref().map_or(1.0, |weights| weights[(y, x)]);
                }
            }
        }
        sample.weights = Some(weights);
    }

    /// Hides a pixel with what belongs to it; whether there was something to put in its place.
    fn hide_around(
        &self,
        middle: (usize, usize),
        offsets: &[(isize, isize)],
        seen: &Array3<f32>,
        image: &mut Array3<f32>,
        random: &mut ChaCha8Rng,
    ) -> bool {
        let (_, height, width) = seen.dim();
        let moved = |(y, x): (usize, usize), (dy, dx): (isize, isize)| {
            let (y, x) = (y.checked_add_signed(dy)?, x.checked_add_signed(dx)?);
            (y < height && x < width).then_some((y, x))
        };
        let is_hidden = |(y, x): (usize, usize)| {
            offsets.contains(&(y as isize - middle.0 as isize, x as isize - middle.1 as isize))
        };
        let near = |about: (usize, usize), reach: isize| -> Vec<(usize, usize)> {
            let window = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
            window.filter_map(|away| moved(about, away)).filter(|place| !is_hidden(*place)).collect()
        };
        // All around a square is as far from each of its pixels.
        let around_square =
            (self.footprint == Footprint::Square).then(|| near(middle, self.extent as isize + NEAR));
        let mut is_middle_hidden = false;
        for &offset in offsets {
            let Some(place) = moved(middle, offset) else { continue };
            let neighbours = around_square.clone().unwrap_or_else(|| near(place, NEAR));
            if neighbours.is_empty() {
                continue;
            }
            is_middle_hidden |= offset == (0, 0);
            let drawn = match self.replacement {
                Replacement::Uniform => neighbours.get(below(random, neighbours.len())).copied(),
                Replacement::Median => None,
            };
            for channel in self.channels.clone() {
                let value = |(y, x): (usize, usize)| seen[(channel, y, x)];
                image[(channel, place.0, place.1)] = match drawn {
                    Some(neighbour) => value(neighbour),
                    None => median(neighbours.iter().map(|neighbour| value(*neighbour)).collect()),
                };
            }
        }
        is_middle_hidden
    }
}

/// The middle one of at least one value, or the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        1 => values[half],
        _ => 0.5 * (values[half - 1] + values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Target;

    fn sample(height: usize, width: usize) -> Sample {
        let image = Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            ((c * 7919 + y * 104_729 + x * 1_299_709) % 1009) as f32
        });
        let target = Target::Values(image.slice(ndarray::s![1..2, .., ..]).to_owned());
        Sample::new("a", image, target)
    }

    #[test]
    fn one_pixel_of_each_cell_counts_and_nothing_of_it_is_seen() {
        for replacement in [Replacement::Median, Replacement::Uniform] {
            for (footprint, transposed, hidden) in [
                (Footprint::Point, false, 1),
                (Footprint::Horizontal, false, 7),
                (Footprint::Horizontal, true, 7),
                (Footprint::Vertical, false, 7),
                (Footprint::Cross, false, 13),
                (Footprint::Square, false, 49),
            ] {
                let spots = BlindSpots { replacement, footprint, extent: 3, channels: 1..2 };
                assert_eq!(footprint.offsets(3, transposed).len(), hidden);
                let whole = sample(8, 8);
                let mut found = whole.clone();
                spots.hide(&mut found, transposed, 3, 5);
                let weights = found.weights.clone().unwrap();
                assert_eq!(weights.sum(), 1.0);
                let (middle, _) = weights.indexed_iter().find(|(_, weight)| **weight == 1.0).unwrap();
                // Another value at a hidden place changes nothing that is seen.
                for offset in footprint.offsets(3, transposed) {
                    let (y, x) = (middle.0 as isize + offset.0, middle.1 as isize + offset.1);
                    if !(0..8).contains(&y) || !(0..8).contains(&x) {
                        continue;
                    }
                    let mut other = whole.clone();
                    other.image[(1, y as usize, x as usize)] = 1e6;
                    spots.hide(&mut other, transposed, 3, 5);
                    assert_eq!(other.image, found.image, "{footprint} {offset:?}");
                }
                // Other channels, and what is to be given, stay.
                for channel in [0, 2] {
                    let plane =
                        |sample: &Sample| sample.image.index_axis(ndarray::Axis(0), channel).to_owned();
                    assert_eq!(plane(&found), plane(&whole));
                }
                let Target::Values(values) = &found.target else { panic!("no values") };
                assert_eq!(
                    values.index_axis(ndarray::Axis(0), 0),
                    whole.image.index_axis(ndarray::Axis(0), 1)
                );
            }
        }
    }

    #[test]
    fn draws_depend_on_seed_and_number_and_what_cannot_be_hidden_does_not_count() {
        let spots = BlindSpots {
            replacement: Replacement::Uniform,
            footprint: Footprint::Horizontal,
            extent: 4,
            channels: 0..3,
        };
        let hidden = |seed: u64, n: u64| {
            let mut found = sample(20, 33);
            spots.hide(&mut found, false, seed, n);
            found
        };
        assert_eq!(hidden(1, 2).weights.unwrap().sum(), 15.0);
        assert_eq!(hidden(1, 2).image, hidden(1, 2).image);
        assert!(hidden(1, 2).image != hidden(1, 3).image && hidden(1, 2).image != hidden(2, 2).image);
        // Of a single row all neighbours are hidden too.
        let mut row = sample(1, 5);
        BlindSpots { extent: 8, ..spots }.hide(&mut row, false, 1, 1);
        assert_eq!((row.weights.unwrap().sum(), row.image), (0.0, sample(1, 5).image));
    }
}
