//! The smallest and the largest number of an image, and percentiles.

use crate::Result;
use crate::geometry::Window;
use crate::images::{ImageCache, ImageSource};
use crate::portal::journal::Shape;

/// Most numbers that are looked at; of more, slices are passed over evenly, and at the end rows.
const MOST_NUMBERS: usize = 512 << 20;
/// Most numbers that percentiles are taken from.
const MOST_SAMPLES: usize = 1 << 20;
/// Numbers that are read at once.
const BAND_NUMBERS: usize = 8 << 20;
/// Bytes of a file that is decoded as a whole, kept from band to band.
const DECODED_BYTES: u64 = 2 << 30;

/// The percentiles outside of which few numbers lie, in hundredths, and how far the range is widened beyond them, as a share of what lies
/// between.
const FEW: usize = 1;
const WIDENED: f64 = 0.25;
/// A range that is so many times as wide as this one is cut: what is beyond takes the greys of what people look at.
const TOO_WIDE: f64 = 4.0;

/// What the numbers of an image are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::portal) struct Range {
    pub(in crate::portal) lowest: f64,
    pub(in crate::portal) highest: f64,
    /// The 1st and the 99th percentile.
    pub(in crate::portal) low: f64,
    pub(in crate::portal) high: f64,
}

/// Looks at the numbers of the channels that are shown. Where a few numbers lie far from all others, as those of hot pixels, they are
/// beyond the range; and where an image is so large that not all slices are looked at, others may be.
///
/// # Errors
/// Those of reading it.
pub(in crate::portal) fn measure(pages: &[ImageSource], shape: Shape, channels: usize) -> Result<Range> {
    let Shape { slices, height, width } = shape;
    let shown = if channels == 3 { 3 } else { 1 };
    let of_slice = height.saturating_mul(width).saturating_mul(shown).max(1);
    let looked_at = (MOST_NUMBERS / of_slice).clamp(1, slices.max(1));
    let every_row = of_slice.div_ceil(MOST_NUMBERS).max(1);
    let total = looked_at.saturating_mul(of_slice);
    let mut every = total.div_ceil(MOST_SAMPLES).max(1);
    // Else the same few columns would stand for all of them.
    while every > 1 && common_divisor(every, width) > 1 {
        every += 1;
    }
    let rows = (BAND_NUMBERS / (width.max(1) * channels.max(1))).max(1);
    let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut samples = Vec::new();
    let mut seen = 0_usize;
    for number in 0..looked_at {
        let Some(page) = pages.get(number * slices / looked_at) else { continue };
        let files = ImageCache::new(DECODED_BYTES);
        for top in (0..height).step_by(rows).filter(|top| (top / rows).is_multiple_of(every_row)) {
            let values = files.image(page, &Window::plane(top..(top + rows).min(height), 0..width))?;
            for &value in values.outer_iter().take(shown).flatten() {
                seen += 1;
                if !value.is_finite() {
                    continue;
                }
                lowest = lowest.min(value);
                highest = highest.max(value);
                if seen.is_multiple_of(every) {
                    samples.push(value);
                }
            }
        }
    }
    if lowest > highest {
        return Ok(Range { lowest: 0.0, highest: 0.0, low: 0.0, high: 0.0 });
    }
    samples.sort_unstable_by(f32::total_cmp);
    let percentile = |hundredths: usize, other: f32| {
        let place = samples.len().saturating_sub(1) * hundredths / 10_000;
        f64::from(samples.get(place).copied().unwrap_or(other))
    };
    let (low, high) = (percentile(100, lowest), percentile(9900, highest));
    // The first is rounded up, so that of few numbers one is left out at either end.
    let last = samples.len().saturating_sub(1);
    let from = samples.get(last - last * (10_000 - FEW) / 10_000).copied().unwrap_or(lowest);
    let around = (f64::from(from), percentile(10_000 - FEW, highest));
    let (lowest, highest) = without_few((lowest.into(), highest.into()), around);
    Ok(Range { lowest, highest, low, high })
}

/// The range `whole`, cut to a little more than `most` where it is much wider.
fn without_few(whole: (f64, f64), most: (f64, f64)) -> (f64, f64) {
    let margin = (most.1 - most.0) * WIDENED;
    let cut = (whole.0.max(most.0 - margin), whole.1.min(most.1 + margin));
    // Where nearly all numbers are the same, those that are not are what there is to see.
    if margin > 0.0 && whole.1 - whole.0 > TOO_WIDE * (cut.1 - cut.0) { cut } else { whole }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::images::{discover, write_tiff_f32};

    #[test]
    fn hot_pixels_take_no_greys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let mut image =
            Array3::from_shape_fn((1, 300, 400), |(_, y, x)| 100.0 + ((y * 31 + x * 17) % 50) as f32);
        let of = |image: &Array3<f32>| {
            write_tiff_f32(&path, image).unwrap();
            let pages = discover(path.to_str().unwrap()).unwrap();
            measure(&pages, Shape { slices: 1, height: 300, width: 400 }, 1).unwrap()
        };
        let clean = of(&image);
        assert_eq!((clean.lowest, clean.highest), (100.0, 149.0));
        // One that is a little brighter is seen.
        image[(0, 50, 60)] = 200.0;
        assert_eq!(of(&image).highest, 200.0);
        for (y, x) in [(10, 10), (200, 30), (299, 399)] {
            image[(0, y, x)] = 65535.0;
        }
        image[(0, 7, 9)] = -1e6;
        let range = of(&image);
        assert_eq!((range.low, range.high), (clean.low, clean.high));
        let wanted = (100.0 - 0.25 * 49.0, 149.0 + 0.25 * 49.0);
        assert_eq!((range.lowest, range.highest), wanted);
        // What few pixels of a dark image show is not cut off.
        let mut dark = Array3::zeros((1, 300, 400));
        dark[(0, 9, 9)] = 5000.0;
        assert_eq!(of(&dark).highest, 5000.0);
    }

    #[test]
    fn ranges_are_of_the_finite_numbers_of_what_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let mut image = Array3::from_shape_fn((2, 50, 40), |(c, y, x)| (c * 9000 + y * 40 + x) as f32);
        image[(0, 3, 3)] = f32::NAN;
        write_tiff_f32(&path, &image).unwrap();
        let pages = discover(path.to_str().unwrap()).unwrap();
        let shape = Shape { slices: 1, height: 50, width: 40 };
        let range = measure(&pages, shape, 2).unwrap();
        assert_eq!((range.lowest, range.highest), (0.0, 1999.0));
        assert!((range.low - 20.0).abs() < 3.0 && (range.high - 1979.0).abs() < 3.0, "{range:?}");
        write_tiff_f32(&path, &Array3::from_elem((1, 5, 4), f32::INFINITY)).unwrap();
        let pages = discover(path.to_str().unwrap()).unwrap();
        let nothing = measure(&pages, Shape { slices: 1, height: 5, width: 4 }, 1).unwrap();
        assert_eq!(nothing, Range { lowest: 0.0, highest: 0.0, low: 0.0, high: 0.0 });
    }
}
