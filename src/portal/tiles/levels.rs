//! Sizes of levels and tiles; means of 2 x 2 pixels, row by row.

use ndarray::Array2;

/// Rows and columns of a tile.
pub(in crate::portal) const TILE: usize = 256;

/// The last level of an image of `height` rows and `width` columns: the first that fits a tile.
pub(in crate::portal) fn last_level(height: usize, width: usize) -> u32 {
    let tiles = height.max(width).div_ceil(TILE).max(1);
    tiles.next_power_of_two().trailing_zeros()
}

/// `pixels` along a side, on a level.
pub(super) fn side_at(pixels: usize, level: u32) -> usize {
    pixels.div_ceil(1 << level)
}

/// The rows and columns of a tile of an image of `height` rows and `width` columns; `None` where there is no such tile.
pub(in crate::portal) fn tile_extent(
    height: usize,
    width: usize,
    level: u32,
    ty: usize,
    tx: usize,
) -> Option<(usize, usize)> {
    if level > last_level(height, width) {
        return None;
    }
    let along = |pixels: usize, number: usize| {
        let left = side_at(pixels, level).checked_sub(number.checked_mul(TILE)?)?;
        (left > 0).then_some(left.min(TILE))
    };
    Some((along(height, ty)?, along(width, tx)?))
}

/// The means of 2 x 2 pixels of two rows; of an odd number of columns the last mean is of one column, and without a second row of one
/// row.
pub(super) fn halved(first: &[f32], second: Option<&[f32]>) -> Vec<f32> {
    let pair = |row: &[f32], x: usize| match row.get(2 * x + 1) {
        Some(right) => (row[2 * x] + right) / 2.0,
        None => row[2 * x],
    };
    let count = first.len().div_ceil(2);
    match second {
        Some(second) => (0..count).map(|x| (pair(first, x) + pair(second, x)) / 2.0).collect(),
        None => (0..count).map(|x| pair(first, x)).collect(),
    }
}

/// The same for a whole plane, `levels` times.
pub(super) fn made_smaller(mut plane: Array2<f32>, levels: u32) -> Array2<f32> {
    for _ in 0..levels {
        let (height, width) = plane.dim();
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        let mut values = Vec::with_capacity(rows * columns);
        for y in 0..rows {
            let row = |y: usize| plane.row(y).to_vec();
            let second = (2 * y + 1 < height).then(|| row(2 * y + 1));
            values.extend(halved(&row(2 * y), second.as_deref()));
        }
        plane = Array2::from_shape_vec((rows, columns), values).unwrap_or_default();
    }
    plane
}

/// How numbers become 16 bits: 0 at `lowest` and below, 65535 at `highest` and above, and rounded between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) lowest: f64,
    pub(super) highest: f64,
}

impl Scale {
    pub(super) fn of(self, value: f32) -> u16 {
        let span = self.highest - self.lowest;
        if span > 0.0 {
            // A cast cuts off what is beyond, and makes 0 of what is no number.
            ((f64::from(value) - self.lowest) / span * 65535.0).round() as u16
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_level_fits_a_tile_and_tiles_cover_each_level() {
        for (height, width, last) in
            [(1, 1, 0), (256, 256, 0), (257, 3, 1), (512, 512, 1), (513, 40, 2), (16384, 9000, 6)]
        {
            assert_eq!(last_level(height, width), last);
            for level in 0..=last {
                let rows: usize =
                    (0..).map_while(|ty| tile_extent(height, width, level, ty, 0)).map(|t| t.0).sum();
                let columns: usize =
                    (0..).map_while(|tx| tile_extent(height, width, level, 0, tx)).map(|t| t.1).sum();
                assert_eq!((rows, columns), (height.div_ceil(1 << level), width.div_ceil(1 << level)));
            }
            assert_eq!(tile_extent(height, width, last + 1, 0, 0), None);
            assert_eq!(tile_extent(height, width, 0, usize::MAX, 0), None);
            assert_eq!(tile_extent(height, width, u32::MAX, 0, 0), None);
        }
    }

    #[test]
    fn numbers_are_scaled_to_16_bits_and_cut_off() {
        let scale = Scale { lowest: -1.0, highest: 1.0 };
        let values = [-1.0, 1.0, 0.0, -9.0, 9.0, f32::NAN, f32::INFINITY];
        assert_eq!(values.map(|value| scale.of(value)), [0, 65535, 32768, 0, 65535, 0, 65535]);
        assert_eq!(Scale { lowest: 3.0, highest: 3.0 }.of(3.0), 0);
        let bytes = Scale { lowest: 0.0, highest: 255.0 };
        assert_eq!([0.0, 1.0, 255.0].map(|value| bytes.of(value)), [0, 257, 65535]);
    }
}
