//! Volumes as images with the rows of all their slices, one slice below the other. What is done to each pixel by itself is done to both
//! alike; what is not takes the slices apart by these functions.

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, ArrayViewMut3, ArrayViewMut4};

/// A volume `[channel][z][y][x]` from an image `[channel][row of all slices][x]` of so many slices, in standard layout.
///
/// # Panics
/// For rows that are no whole slices, and for another layout.
pub fn as_volume<T>(image: ArrayView3<'_, T>, slices: usize) -> ArrayView4<'_, T> {
    let (channels, rows, columns) = image.dim();
    let shape = (channels, slices, rows / slices.max(1), columns);
    image.into_shape_with_order(shape).expect("rows are whole slices, in standard layout")
}

/// As [`as_volume`], to write.
///
/// # Panics
/// As [`as_volume`].
pub fn as_volume_mut<T>(image: ArrayViewMut3<'_, T>, slices: usize) -> ArrayViewMut4<'_, T> {
    let (channels, rows, columns) = image.dim();
    let shape = (channels, slices, rows / slices.max(1), columns);
    image.into_shape_with_order(shape).expect("rows are whole slices, in standard layout")
}

/// An image `[channel][row of all slices][x]` from a volume `[channel][z][y][x]`.
pub fn stacked<T: Clone>(volume: Array4<T>) -> Array3<T> {
    let (channels, slices, rows, columns) = volume.dim();
    let volume = volume.as_standard_layout().into_owned();
    Array3::from_shape_vec((channels, slices * rows, columns), volume.into_raw_vec_and_offset().0)
        .expect("rows of all slices are as many voxels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_lie_one_below_the_other() {
        let volume = Array4::from_shape_fn((2, 3, 4, 5), |(c, z, y, x)| ((c * 3 + z) * 4 + y) * 5 + x);
        let image = stacked(volume.clone());
        assert_eq!(image.dim(), (2, 12, 5));
        assert_eq!(image[[1, 2 * 4 + 3, 4]], volume[[1, 2, 3, 4]]);
        assert_eq!(as_volume(image.view(), 3), volume);
        let mut changed = image.clone();
        as_volume_mut(changed.view_mut(), 3)[[0, 1, 0, 0]] = 999;
        assert_eq!(changed[[0, 4, 0]], 999);
    }
}
