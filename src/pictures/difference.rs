//! Differences of images in colours: blue below 0, white at 0, orange above.

use ndarray::{Array3, ArrayView2};

/// Blue and vermilion of Okabe and Ito's palette, which any kind of colour vision tells apart.
const BELOW: [u8; 3] = [0x00, 0x72, 0xB2];
const ABOVE: [u8; 3] = [0xD5, 0x5E, 0x00];
/// What is not known.
const UNKNOWN: [u8; 3] = [0xBB, 0xBB, 0xBB];

/// Differences `[y][x]` as a picture `[y][x][3]`. `range` and more become the full colour; NaN is grey.
pub fn difference_picture(differences: ArrayView2<f32>, range: f32) -> Array3<u8> {
    let (height, width) = differences.dim();
    let mut picture = Array3::zeros((height, width, 3));
    for ((y, x), &value) in differences.indexed_iter() {
        let colour = match value {
            value if value.is_nan() => UNKNOWN,
            value => {
                let share = if range > 0.0 { (value / range).clamp(-1.0, 1.0) } else { 0.0 };
                let towards = if share < 0.0 { BELOW } else { ABOVE };
                towards.map(|full| (255.0 + share.abs() * (f32::from(full) - 255.0)).round() as u8)
            }
        };
        colour.iter().enumerate().for_each(|(c, &part)| picture[[y, x, c]] = part);
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    #[test]
    fn the_sign_is_the_colour_and_the_size_its_strength() {
        let values = array![[0.0, 2.0, -2.0, 1.0, 9.0, f32::NAN, f32::NEG_INFINITY]];
        let picture = difference_picture(values.view(), 2.0);
        let pixel = |x| picture.slice(s![0, x, ..]).to_vec();
        assert_eq!((pixel(0), pixel(1), pixel(2)), (vec![255; 3], ABOVE.to_vec(), BELOW.to_vec()));
        assert_eq!(pixel(3), [234, 175, 128]);
        assert_eq!((pixel(4), pixel(5), pixel(6)), (ABOVE.to_vec(), UNKNOWN.to_vec(), BELOW.to_vec()));
        assert!(difference_picture(array![[0.0, 0.0]].view(), 0.0).iter().all(|&value| value == 255));
    }
}
