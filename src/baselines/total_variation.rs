//! Denoising by total variation.

use ndarray::{Array2, ArrayView2, Zip};

/// Step of the iteration: it converges up to 1 / 4 in practice (Chambolle proves 1 / 8).
const STEP: f32 = 0.25;

/// The image u for which `strength` times the total variation of u, and half the sum of squares of u less `image`, are least
/// together: the model of Rudin, Osher & Fatemi (Physica D 60, 1992) by the algorithm of Chambolle (Journal of Mathematical Imaging
/// and Vision 20, 2004), with `iterations` of its iterations.
///
/// `image` is `[y][x]`; `strength` is in its units. A strength that is not above 0 gives the image back.
pub fn total_variation(image: ArrayView2<f32>, strength: f32, iterations: usize) -> Array2<f32> {
    if !(strength > 0.0 && strength.is_finite()) {
        return image.to_owned();
    }
    let (height, width) = image.dim();
    // The dual variable: a vector for each pixel, towards its neighbour below and to the right.
    let mut down = Array2::<f32>::zeros((height, width));
    let mut right = Array2::<f32>::zeros((height, width));
    let mut rest = Array2::<f32>::zeros((height, width));
    let scaled = image.mapv(|value| value / strength);
    for _ in 0..iterations {
        divergence(&down, &right, &mut rest);
        Zip::from(&mut rest).and(&scaled).for_each(|rest, value| *rest -= value);
        for y in 0..height {
            for x in 0..width {
                let here = rest[[y, x]];
                let below = if y + 1 < height { rest[[y + 1, x]] - here } else { 0.0 };
                let beside = if x + 1 < width { rest[[y, x + 1]] - here } else { 0.0 };
                let length = 1.0 + STEP * (below * below + beside * beside).sqrt();
                down[[y, x]] = (down[[y, x]] + STEP * below) / length;
                right[[y, x]] = (right[[y, x]] + STEP * beside) / length;
            }
        }
    }
    divergence(&down, &right, &mut rest);
    Zip::from(&mut rest).and(image).for_each(|rest, value| *rest = value - strength * *rest);
    rest
}

fn divergence(down: &Array2<f32>, right: &Array2<f32>, out: &mut Array2<f32>) {
    let (height, width) = out.dim();
    for y in 0..height {
        for x in 0..width {
            // Beyond the last row and column the image goes on as it ends.
            let below = if y + 1 < height { down[[y, x]] } else { 0.0 };
            let above = if y > 0 { down[[y - 1, x]] } else { 0.0 };
            let beside = if x + 1 < width { right[[y, x]] } else { 0.0 };
            let before = if x > 0 { right[[y, x - 1]] } else { 0.0 };
            out[[y, x]] = below - above + beside - before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is minimised.
    fn cost(image: &Array2<f32>, result: &Array2<f32>, strength: f64) -> f64 {
        let (height, width) = image.dim();
        let at = |y: usize, x: usize| f64::from(result[[y, x]]);
        let mut cost = 0.0;
        for y in 0..height {
            for x in 0..width {
                let below = if y + 1 < height { at(y + 1, x) - at(y, x) } else { 0.0 };
                let beside = if x + 1 < width { at(y, x + 1) - at(y, x) } else { 0.0 };
                cost += strength * below.hypot(beside) + (at(y, x) - f64::from(image[[y, x]])).powi(2) / 2.0;
            }
        }
        cost
    }

    fn noisy() -> Array2<f32> {
        let mut state = 7_u32;
        Array2::from_shape_fn((24, 31), |(_, x)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u8::from(x > 15)) + (state >> 8) as f32 / (1 << 24) as f32 * 0.4 - 0.2
        })
    }

    #[test]
    fn the_cost_is_least() {
        let image = noisy();
        let best = total_variation(image.view(), 0.2, 500);
        let least = cost(&image, &best, 0.2);
        assert!(least < 0.8 * cost(&image, &image, 0.2));
        // Nothing near it costs less.
        for (y, x) in [(0, 0), (3, 15), (12, 16), (23, 30)] {
            for change in [0.02, -0.02] {
                let mut other = best.clone();
                other[[y, x]] += change;
                assert!(cost(&image, &other, 0.2) > least - 1e-4);
            }
        }
        let mut flatter = best.clone();
        flatter.mapv_inplace(|value| 0.5 + 0.97 * (value - 0.5));
        assert!(cost(&image, &flatter, 0.2) > least);
        // The mean stays, as what lies beyond the edges has no part in it.
        assert!((best.mean().unwrap() - image.mean().unwrap()).abs() < 1e-5);
    }

    #[test]
    fn edges_stay_and_noise_goes() {
        let image = noisy();
        let result = total_variation(image.view(), 0.3, 300);
        let spread = |columns: std::ops::Range<usize>| result.slice(ndarray::s![.., columns]).std(0.0);
        assert!(spread(0..15) < 0.04 && spread(17..31) < 0.04, "{} {}", spread(0..15), spread(17..31));
        assert!(result[[10, 20]] - result[[10, 10]] > 0.85);
    }

    #[test]
    fn no_strength_and_no_pixels_are_no_trouble() {
        let image = noisy();
        for strength in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(total_variation(image.view(), strength, 5), image);
        }
        assert_eq!(total_variation(Array2::zeros((0, 3)).view(), 1.0, 5).dim(), (0, 3));
        assert_eq!(total_variation(Array2::ones((1, 1)).view(), 1.0, 5), Array2::<f32>::ones((1, 1)));
    }
}
