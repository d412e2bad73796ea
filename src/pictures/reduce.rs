//! Pictures of large images: each pixel is the mean of a square of theirs.

use ndarray::{Array2, Array3, ArrayView2, s};

/// The side of the squares that become a pixel each, so that neither side of a picture of an image of this size has more than `most`
/// pixels.
pub fn reduction((height, width): (usize, usize), most: usize) -> usize {
    height.max(width).div_ceil(most.max(1)).max(1)
}

/// The image `[y][x]` with at most `most` pixels along a side; each is the mean of those in a square that are finite, NaN where
/// none is.
pub fn reduced(image: ArrayView2<f32>, most: usize) -> Array2<f32> {
    let (height, width) = image.dim();
    let side = reduction((height, width), most);
    Array2::from_shape_fn((height.div_ceil(side), width.div_ceil(side)), |(y, x)| {
        let (top, left) = (y * side, x * side);
        let square = image.slice(s![top..(top + side).min(height), left..(left + side).min(width)]);
        let finite = square.iter().filter(|value| value.is_finite());
        let (sum, count) = finite.fold((0.0, 0_usize), |(sum, count), &v| (sum + f64::from(v), count + 1));
        if count == 0 { f32::NAN } else { (sum / count as f64) as f32 }
    })
}

/// A picture `[y][x][3]` of an image of this size with at most `most` pixels along a side: each is the mean of the colours that `colour`
/// gives for the pixels (y, x) in a square. No picture of the full size is made.
pub fn reduced_colours(
    (height, width): (usize, usize),
    most: usize,
    colour: impl Fn(usize, usize) -> [u8; 3],
) -> Array3<u8> {
    let side = reduction((height, width), most);
    let mut picture = Array3::zeros((height.div_ceil(side), width.div_ceil(side), 3));
    for (y, mut row) in picture.outer_iter_mut().enumerate() {
        for (x, mut pixel) in row.outer_iter_mut().enumerate() {
            let (mut sums, mut count) = ([0_u64; 3], 0);
            for y in y * side..((y + 1) * side).min(height) {
                for x in x * side..((x + 1) * side).min(width) {
                    count += 1;
                    sums.iter_mut().zip(colour(y, x)).for_each(|(sum, value)| *sum += u64::from(value));
                }
            }
            // Rounded; every square has a pixel.
            pixel
                .iter_mut()
                .zip(sums)
                .for_each(|(value, sum)| *value = ((sum + count / 2) / count.max(1)) as u8);
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn pixels_are_means_of_squares() {
        let image = array![[1.0, 3.0, 5.0], [1.0, f32::NAN, 7.0], [2.0, 4.0, f32::NAN]];
        for most in [3, 99] {
            let same = reduced(image.view(), most);
            assert_eq!(same.mapv(f32::to_bits), image.mapv(f32::to_bits));
        }
        let half = reduced(image.view(), 2);
        assert_eq!(half.slice(s![0, ..]).to_vec(), [5.0 / 3.0, 6.0]);
        assert!(half[[1, 0]] == 3.0 && half[[1, 1]].is_nan());
        assert_eq!(reduced(Array2::zeros((1, 5000)).view(), 1024).dim(), (1, 1000));
        assert_eq!(reduced(Array2::zeros((0, 3)).view(), 4).dim(), (0, 3));
    }

    #[test]
    fn colours_are_means_of_colours() {
        let picture = reduced_colours((3, 2), 2, |y, x| [(10 * y) as u8, (20 * x) as u8, 255]);
        assert_eq!(picture, array![[[5, 10, 255]], [[20, 10, 255]]]);
        assert_eq!(reduced_colours((3, 2), 3, |_, _| [1, 2, 3]).dim(), (3, 2, 3));
    }
}
