//! Measured values as grey values of 8 bits.

use ndarray::{Array2, Array3, ArrayView2};

/// The percentiles that become black and white: a few extreme pixels must not flatten the rest.
const BLACK_AT: f64 = 0.005;
const WHITE_AT: f64 = 0.995;
const MID_GREY: u8 = 128;

/// The 0.5 and the 99.5 percentile of the finite values of an image `[y][x]`, by nearest rank; the smallest
/// and the largest value if these two are equal. `None` if no value is finite.
pub fn range_of(image: ArrayView2<f32>) -> Option<(f32, f32)> {
    let mut values: Vec<f32> = image.iter().copied().filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let last = values.len() - 1;
    let mut percentile =
        |part: f64| *values.select_nth_unstable_by((part * last as f64).round() as usize, f32::total_cmp).1;
    let (low, high) = (percentile(BLACK_AT), percentile(WHITE_AT));
    if low < high {
        return Some((low, high));
    }
    // Less than one pixel in a hundred differs: show those.
    Some(values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v))))
}

/// The image `[y][x]` as grey values `[y][x]` from 0 (black) to 255 (white), with its [`range_of`] spread over them. Values beyond that
/// range are clipped, NaN is black, and finite values are mid grey where all of them are equal.
pub fn stretch(image: ArrayView2<f32>) -> Array2<u8> {
    stretch_with(image, range_of(image).unwrap_or((0.0, 0.0)))
}

/// The image with `range` (black, white) spread over 0 to 255, so that several images can share a range.
///
/// Values beyond are clipped, undefined ones are black, and all finite ones are mid grey if the range is empty.
pub fn stretch_with(image: ArrayView2<f32>, range: (f32, f32)) -> Array2<u8> {
    image.mapv(|value| grey_of(value, range))
}

/// A value as [`stretch_with`] shows it.
pub fn grey_of(value: f32, range: (f32, f32)) -> u8 {
    let (low, high) = (f64::from(range.0), f64::from(range.1));
    let empty = low.is_nan() || high.is_nan() || low >= high;
    if value.is_nan() {
        0
    } else if empty && value.is_finite() {
        MID_GREY
    } else if value.is_infinite() {
        if value > 0.0 { 255 } else { 0 }
    } else {
        (255.0 * (f64::from(value) - low) / (high - low)).round().clamp(0.0, 255.0) as u8
    }
}

/// Grey values as a picture `[y][x][3]`.
pub fn grey_picture(grey: ArrayView2<u8>) -> Array3<u8> {
    let (height, width) = grey.dim();
    Array3::from_shape_fn((height, width, 3), |(y, x, _)| grey[[y, x]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn percentiles_leave_out_the_extremes() {
        // 1000 values 0..=999, shuffled by a step that is prime to 1000.
        let image = Array2::from_shape_fn((25, 40), |(y, x)| ((y * 40 + x) * 7 % 1000) as f32);
        assert_eq!(range_of(image.view()), Some((5.0, 994.0)));
        let grey = stretch(image.view());
        for (&value, &grey) in image.iter().zip(&grey) {
            let wanted = (255.0 * (value - 5.0) / 989.0).round().clamp(0.0, 255.0) as u8;
            assert_eq!(grey, wanted);
        }
    }

    #[test]
    fn values_that_are_not_finite_do_not_count() {
        let image = array![[f32::NAN, 1.0, 2.0], [3.0, f32::INFINITY, f32::NEG_INFINITY]];
        assert_eq!(range_of(image.view()), Some((1.0, 3.0)));
        assert_eq!(stretch(image.view()), array![[0, 0, 128], [255, 255, 0]]);
    }

    #[test]
    fn constant_and_empty_images_are_mid_grey() {
        assert_eq!(stretch(Array2::from_elem((2, 2), 7.0).view()), array![[128, 128], [128, 128]]);
        assert_eq!(stretch(array![[f32::NAN]].view()), array![[0]]);
        assert_eq!(range_of(Array2::zeros((0, 3)).view()), None);
        assert_eq!(stretch(Array2::zeros((0, 3)).view()).dim(), (0, 3));
    }

    #[test]
    fn one_differing_pixel_is_shown() {
        let mut image = Array2::<f32>::zeros((30, 30));
        image[[3, 4]] = 1.0;
        assert_eq!(stretch(image.view())[[3, 4]], 255);
        assert_eq!(stretch(image.view())[[0, 0]], 0);
    }

    #[test]
    fn a_given_range_clips_and_may_be_huge() {
        assert_eq!(stretch_with(array![[-1.0, 0.5, 9.0]].view(), (0.0, 1.0)), array![[0, 128, 255]]);
        assert_eq!(stretch_with(array![[0.0]].view(), (f32::MIN, f32::MAX)), array![[128]]);
        assert_eq!(stretch_with(array![[0.0]].view(), (f32::NAN, 1.0)), array![[128]]);
    }

    #[test]
    fn a_grey_picture_has_three_equal_channels() {
        let picture = grey_picture(array![[1, 2]].view());
        assert_eq!(picture, array![[[1, 1, 1], [2, 2, 2]]]);
    }
}
