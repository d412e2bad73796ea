//! How far the noise of images is correlated.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use super::blind_spots::median;
use super::dataset::Dataset;
use crate::error::Result;
use crate::geometry::{Footprint, Window};

/// Images that are looked at, at most, from all over the set, and rows and columns of each, in its middle.
const IMAGES: usize = 4;
const SIDE: usize = 512;
/// Most pixels over which noise is looked for.
const MOST: usize = 16;
/// A correlation from which on noise is taken for correlated. Independent noise has -0.1 beside a pixel and 0.05 two pixels on, as its
/// medians share pixels.
const LEAST: f64 = 0.2;
/// What second differences of independent noise have beside a pixel: -4 of 6.
const OF_INDEPENDENT: f64 = -2.0 / 3.0;
/// By how much more they must have for noise to count as correlated from one pixel to the next. Reconstructions of tomography have 0.18
/// more, sharp edges with a little independent noise 0.1.
const CLOSELY: f64 = 0.11;

/// Sums over pairs of pixels that are a lag apart: squares and products of what differs from the median around.
#[derive(Default, Clone, Copy)]
struct Pairs {
    count: f64,
    products: f64,
}

impl Pairs {
    fn mean(self) -> f64 {
        if self.count > 0.0 { self.products / self.count } else { 0.0 }
    }
}

/// The pixels whose noise is correlated, and over how many pixels, as found in `channels` of some images of `set`: by the autocorrelation
/// of what each pixel differs from the median of the 3 x 3 pixels around it. Where that shows none, noise may still be alike in neighbours,
/// which the median takes away; second differences along both axes keep it, and hardly show what is in the images.
///
/// # Errors
/// What comes of reading them.
pub fn correlated_noise(set: &Dataset, channels: Range<usize>) -> Result<(Footprint, usize)> {
    let mut along = [[Pairs::default(); MOST + 1]; 2];
    let mut diagonal = Pairs::default();
    let mut close = [Pairs::default(); 3];
    let step = set.len().div_ceil(IMAGES).max(1);
    for item in set.items().iter().step_by(step) {
        let middle = |length: usize| {
            let kept = length.min(SIDE);
            (length - kept) / 2..(length - kept) / 2 + kept
        };
        let part = Window::plane(middle(item.extent().y), middle(item.extent().x));
        let part = item.cut(part, item.name().to_owned());
        let sample = part.sample()?;
        for channel in channels.clone() {
            let rest = residual(sample.image.index_axis(ndarray::Axis(0), channel));
            let [across, down] = &mut along;
            for (lag, (across, down)) in across.iter_mut().zip(down).enumerate() {
                add(across, &rest, (0, lag));
                add(down, &rest, (lag, 0));
            }
            add(&mut diagonal, &rest, (1, 1));
            let differences = second_differences(sample.image.index_axis(ndarray::Axis(0), channel));
            for (pairs, lag) in close.iter_mut().zip([(0, 0), (0, 1), (1, 0)]) {
                add(pairs, &differences, lag);
            }
        }
    }
    let variance = along[0][0].mean();
    if variance <= 0.0 {
        return Ok((Footprint::Point, 1));
    }
    let reach = |along: &[Pairs; MOST + 1]| {
        along[1..].iter().take_while(|pairs| pairs.mean() / variance > LEAST).count()
    };
    let (mut x, mut y) = (reach(&along[0]), reach(&along[1]));
    if (x, y) == (0, 0) {
        let [all, across, down] = close.map(Pairs::mean);
        let is_close = |products: f64| all > 0.0 && products / all > OF_INDEPENDENT + CLOSELY;
        (x, y) = (is_close(across).into(), is_close(down).into());
    }
    let footprint = match (x > 0, y > 0) {
        (false, false) => Footprint::Point,
        (true, false) => Footprint::Horizontal,
        (false, true) => Footprint::Vertical,
        (true, true) if diagonal.mean() / variance > LEAST => Footprint::Square,
        (true, true) => Footprint::Cross,
    };
    Ok((footprint, x.max(y).max(1)))
}

/// What the pixels of a plane differ from the median of the 3 x 3 around each; without those at the edge.
fn residual(plane: ArrayView2<f32>) -> Array2<f64> {
    let (height, width) = plane.dim();
    Array2::from_shape_fn((height.saturating_sub(2), width.saturating_sub(2)), |(y, x)| {
        let around = plane.slice(s![y..y + 3, x..x + 3]);
        f64::from(plane[(y + 1, x + 1)] - median(around.iter().copied().collect()))
    })
}

/// Second differences along both axes of a plane; without the pixels at the edge.
fn second_differences(plane: ArrayView2<f32>) -> Array2<f64> {
    let (height, width) = plane.dim();
    Array2::from_shape_fn((height.saturating_sub(2), width.saturating_sub(2)), |(y, x)| {
        let row = |y: usize| {
            let at = |x: usize| f64::from(plane[(y, x)]);
            at(x) - 2.0 * at(x + 1) + at(x + 2)
        };
        row(y) - 2.0 * row(y + 1) + row(y + 2)
    })
}

fn add(pairs: &mut Pairs, rest: &Array2<f64>, (down, right): (usize, usize)) {
    let (height, width) = rest.dim();
    if height <= down || width <= right {
        return;
    }
    let first = rest.slice(s![..height - down, ..width - right]);
    let second = rest.slice(s![down.., right..]);
    let products = first.iter().zip(second).map(|(a, b)| a * b).filter(|product| product.is_finite());
    for product in products {
        pairs.count += 1.0;
        pairs.products += product;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::samples::random::{Stream, stream, uniform};
    use crate::samples::{Sample, Target};

    /// Smooth images with noise that is the mean of `height x width` pixels of independent noise.
    fn found(height: usize, width: usize) -> (Footprint, usize) {
        let samples = (0..2).map(|number| {
            let mut random = stream(7, Stream::Draw, number);
            let white = Array2::from_shape_simple_fn((120, 120), || uniform(&mut random) as f32);
            let image = Array3::from_shape_fn((1, 100, 100), |(_, y, x)| {
                let noise = white.slice(s![y..y + height, x..x + width]).mean().unwrap_or(0.0);
                (y as f32 / 9.0).sin() + (x as f32 / 7.0).cos() + 3.0 * noise
            });
            Sample::new("a", image.clone(), Target::Values(image))
        });
        correlated_noise(&Dataset::unchecked(samples), 0..1).unwrap()
    }

    #[test]
    fn the_direction_of_the_noise_is_found() {
        assert_eq!(found(1, 1).0, Footprint::Point);
        let (footprint, extent) = found(1, 6);
        assert!(footprint == Footprint::Horizontal && (3..=6).contains(&extent), "{footprint} {extent}");
        let (footprint, extent) = found(6, 1);
        assert!(footprint == Footprint::Vertical && (3..=6).contains(&extent), "{footprint} {extent}");
    }

    /// As in reconstructions of tomography: neighbours have a correlation of 0.3, others hardly any.
    #[test]
    fn noise_that_only_neighbours_share_is_found() {
        let mut random = stream(7, Stream::Draw, 0);
        let white = Array2::from_shape_simple_fn((102, 102), || uniform(&mut random) as f32);
        let image = Array3::from_shape_fn((1, 100, 100), |(_, y, x)| {
            let beside =
                white[(y, x + 1)] + white[(y + 2, x + 1)] + white[(y + 1, x)] + white[(y + 1, x + 2)];
            (y as f32 / 9.0).sin() + (x as f32 / 7.0).cos() + 3.0 * (white[(y + 1, x + 1)] + 0.17 * beside)
        });
        let set = Dataset::unchecked(std::iter::once(Sample::new("a", image.clone(), Target::Values(image))));
        assert_eq!(correlated_noise(&set, 0..1).unwrap(), (Footprint::Cross, 1));
    }
}
