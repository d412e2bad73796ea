//! Labels as colours, alone or over their image.

use ndarray::{Array3, ArrayView2};

use super::grey::{grey_picture, range_of, stretch_with};
use super::palette::class_colour;
use crate::error::{Error, Result};
use crate::metrics::UNLABELLED;

/// Colour of unlabelled pixels.
const UNLABELLED_COLOUR: [u8; 3] = [0xBB, 0xBB, 0xBB];

/// Labels `[y][x]` as a picture `[y][x][3]` in the colours of the classes; unlabelled pixels are light grey.
pub fn label_picture(labels: ArrayView2<u32>) -> Array3<u8> {
    let (height, width) = labels.dim();
    Array3::from_shape_fn((height, width, 3), |(y, x, c)| match labels[[y, x]] {
        UNLABELLED => UNLABELLED_COLOUR[c],
        class => class_colour(class)[c],
    })
}

/// An image `[y][x]`, stretched to grey, with its labels over it, as a picture `[y][x][3]`.
///
/// `labels` are class indices from 0, or [`UNLABELLED`]. `opacity` goes from 0 (the image alone) to 1 (the colours alone);
/// numbers beyond are clamped, and NaN is taken for 0. Class 0, nearly always the background, and unlabelled pixels show the image
/// alone.
///
/// # Errors
/// [`Error::Mismatch`] when image and labels differ in size.
pub fn overlay(image: ArrayView2<f32>, labels: ArrayView2<u32>, opacity: f32) -> Result<Array3<u8>> {
    overlay_with(image, labels, opacity, range_of(image).unwrap_or((0.0, 0.0)))
}

/// As [`overlay`], with `range` (black, white) spread over the greys, so that parts of one image can share a range.
///
/// # Errors
/// As [`overlay`].
pub fn overlay_with(
    image: ArrayView2<f32>,
    labels: ArrayView2<u32>,
    opacity: f32,
    range: (f32, f32),
) -> Result<Array3<u8>> {
    if image.dim() != labels.dim() {
        let ((ih, iw), (lh, lw)) = (image.dim(), labels.dim());
        return Err(Error::Mismatch(format!(
            "the image is {ih}x{iw} pixels, but its labels are {lh}x{lw}; both must be of one size"
        )));
    }
    let opacity = if opacity.is_nan() { 0.0 } else { opacity.clamp(0.0, 1.0) };
    let mut picture = grey_picture(stretch_with(image, range).view());
    for ((y, x), &label) in labels.indexed_iter() {
        if label == 0 || label == UNLABELLED {
            continue;
        }
        for (c, &colour) in class_colour(label).iter().enumerate() {
            let grey = f32::from(picture[[y, x, c]]);
            picture[[y, x, c]] = (grey + opacity * (f32::from(colour) - grey)).round() as u8;
        }
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn labels_have_the_colours_of_their_classes() {
        let picture = label_picture(array![[0, 3], [UNLABELLED, 14]].view());
        assert_eq!(picture.dim(), (2, 2, 3));
        assert_eq!(picture.slice(s![0, 1, ..]).to_vec(), class_colour(3));
        assert_eq!(picture.slice(s![1, 0, ..]).to_vec(), UNLABELLED_COLOUR);
        assert_eq!(picture.slice(s![1, 1, ..]).to_vec(), class_colour(14));
    }

    #[test]
    fn the_overlay_mixes_by_opacity_and_leaves_the_background() {
        let image = array![[0.0, 1.0], [0.0, 1.0]];
        let labels = array![[0, 0], [1, UNLABELLED]];
        let pixel = |opacity, y, x| {
            overlay(image.view(), labels.view(), opacity).unwrap().slice(s![y, x, ..]).to_vec()
        };
        assert_eq!(pixel(1.0, 0, 0), [0, 0, 0]);
        assert_eq!(pixel(1.0, 0, 1), [255, 255, 255]);
        assert_eq!(pixel(1.0, 1, 1), [255, 255, 255]);
        assert_eq!(pixel(1.0, 1, 0), class_colour(1));
        assert_eq!(pixel(0.0, 1, 0), [0, 0, 0]);
        assert_eq!(pixel(0.5, 1, 0), class_colour(1).map(|v| (f32::from(v) / 2.0).round() as u8));
        assert_eq!(pixel(9.0, 1, 0), class_colour(1));
        assert_eq!(pixel(f32::NAN, 1, 0), [0, 0, 0]);
    }

    #[test]
    fn sizes_must_agree() {
        let result = overlay(Array2::zeros((2, 3)).view(), Array2::zeros((3, 2)).view(), 0.5);
        assert!(result.unwrap_err().to_string().contains("2x3"));
    }
}
