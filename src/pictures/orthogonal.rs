//! Three cuts through the middle of a volume in one picture.

use ndarray::{Array2, ArrayView2, Axis, s};

/// The slice in the middle of a volume `[row of all slices][x]` of so many slices, below it what is cut along x, and to the right what is
/// cut along y, both through the middle, with z counted away from the slice; the corner is `background`. An image of one slice stays as
/// it is.
///
/// # Panics
/// For rows that are no whole slices.
pub fn orthogonal_cuts<T: Copy>(volume: ArrayView2<'_, T>, slices: usize, background: T) -> Array2<T> {
    if slices <= 1 {
        return volume.to_owned();
    }
    let (rows, columns) = volume.dim();
    let height = rows / slices;
    let volume = volume.as_standard_layout();
    let volume =
        volume.view().into_shape_with_order((slices, height, columns)).expect("rows are whole slices");
    let mut picture = Array2::from_elem((height + slices, columns + slices), background);
    picture.slice_mut(s![..height, ..columns]).assign(&volume.index_axis(Axis(0), slices / 2));
    picture.slice_mut(s![height.., ..columns]).assign(&volume.index_axis(Axis(1), height / 2));
    let beside = volume.index_axis(Axis(2), columns / 2);
    picture.slice_mut(s![..height, columns..]).assign(&beside.t());
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_go_through_the_middle() {
        // A voxel is 100 z + 10 y + x.
        let volume = Array2::from_shape_fn((3 * 4, 5), |(row, x)| 100 * (row / 4) + 10 * (row % 4) + x);
        let picture = orthogonal_cuts(volume.view(), 3, 999);
        assert_eq!(picture.dim(), (4 + 3, 5 + 3));
        assert_eq!(picture[[1, 2]], 112);
        assert_eq!(picture[[4 + 2, 3]], 223);
        assert_eq!(picture[[3, 5 + 2]], 232);
        assert_eq!(picture[[5, 6]], 999);
        assert_eq!(orthogonal_cuts(volume.view(), 1, 999), volume);
    }
}
