//! Daubechies' wavelets in two dimensions: decomposition and its inverse.
//!
//! I. Daubechies, "Ten Lectures on Wavelets", 1992, table 6.1: N = 5. At its ends a signal is mirrored, the first and last values
//! doubled.

use super::medians::mirrored;

/// The coefficients h of the scaling function with five vanishing moments, normalised to a sum of square root of 2.
const SCALING: [f32; TAPS] = [
    0.160_102_4,
    0.603_829_3,
    0.724_308_5,
    0.138_428_15,
    -0.242_294_9,
    -0.032_244_87,
    0.077_571_5,
    -0.006_241_49,
    -0.012_580_752,
    0.003_335_725_3,
];
const TAPS: usize = 10;

/// The coefficients g of the wavelet: g(n) = (-1)^n h(9 - n).
fn wavelet() -> [f32; TAPS] {
    let mut taps = SCALING;
    taps.reverse();
    taps.iter_mut().skip(1).step_by(2).for_each(|tap| *tap = -*tap);
    taps
}

/// An image `[row][column]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    pub(super) values: Vec<f32>,
    pub(super) columns: usize,
}

impl Band {
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// The first rows and columns.
    fn cut(self, rows: usize, columns: usize) -> Self {
        if self.columns == columns && self.rows() == rows {
            return self;
        }
        let lines = self.values.chunks_exact(self.columns.max(1)).take(rows);
        Self { values: lines.flat_map(|line| line.iter().take(columns).copied()).collect(), columns }
    }
}

/// One level of a decomposition: what is smooth along rows and columns is at half the size in `smooth`.
#[derive(Debug)]
pub(super) struct Level {
    /// Detail across columns of what is smooth along them: stripes are here.
    pub(super) across: Band,
    /// Detail along columns of what is smooth across them.
    along: Band,
    /// Detail both ways.
    both: Band,
    /// The size of the image that was decomposed.
    rows: usize,
    columns: usize,
}

/// The number of coefficients of each kind for a signal of `length`.
fn halved(length: usize) -> usize {
    (length + TAPS - 1) / 2
}

/// Decomposes an image into a smooth one of about half its size, and details.
pub(super) fn decompose(image: &Band) -> (Band, Level) {
    let (rows, columns) = (image.rows(), image.columns);
    let (smooth, detail) = split_rows(image);
    let (next, along) = split_columns(&smooth);
    let (across, both) = split_columns(&detail);
    (next, Level { across, along, both, rows, columns })
}

/// The image that [`decompose`] would give these for.
pub(super) fn reconstruct(smooth: Band, level: Level) -> Band {
    // The smooth image of the level below has a line more where its size is odd.
    let smooth = smooth.cut(level.across.rows(), level.across.columns);
    let smooth = join_columns(&smooth, &level.along, level.rows);
    let detail = join_columns(&level.across, &level.both, level.rows);
    join_rows(&smooth, &detail, level.columns)
}

/// Smooth and detail coefficients along each row: c(k) = sum over j of x(2 k + 1 - j) h(9 - j), and with g.
fn split_rows(image: &Band) -> (Band, Band) {
    let (columns, count) = (image.columns, halved(image.columns));
    let wavelet = wavelet();
    let (mut smooth, mut detail) = (Vec::new(), Vec::new());
    let mut padded: Vec<f32> = Vec::new();
    for row in image.values.chunks_exact(columns.max(1)) {
        let places = 2 - TAPS as isize..(2 * count) as isize;
        padded.clear();
        padded.extend(places.filter_map(|place| row.get(mirrored(place, columns))));
        for window in padded.windows(TAPS).step_by(2).take(count) {
            let sum = |taps: &[f32; TAPS]| window.iter().zip(taps).map(|(x, tap)| x * tap).sum::<f32>();
            smooth.push(sum(&SCALING));
            detail.push(sum(&wavelet));
        }
    }
    (Band { values: smooth, columns: count }, Band { values: detail, columns: count })
}

/// The same along each column.
fn split_columns(image: &Band) -> (Band, Band) {
    let (rows, columns, count) = (image.rows(), image.columns, halved(image.rows()));
    let wavelet = wavelet();
    let mut smooth = vec![0.0; count * columns];
    let mut detail = smooth.clone();
    let lines = smooth.chunks_exact_mut(columns.max(1)).zip(detail.chunks_exact_mut(columns.max(1)));
    for (k, (smooth, detail)) in lines.enumerate() {
        for (j, (h, g)) in SCALING.iter().zip(&wavelet).enumerate() {
            let from = mirrored((2 * k + 2 + j) as isize - TAPS as isize, rows) * columns;
            let Some(row) = image.values.get(from..from + columns) else { continue };
            for ((x, smooth), detail) in row.iter().zip(smooth.iter_mut()).zip(detail.iter_mut()) {
                *smooth += h * x;
                *detail += g * x;
            }
        }
    }
    (Band { values: smooth, columns }, Band { values: detail, columns })
}

/// Rows of `length` from their coefficients: x(m) = sum over k of c(k) h(m + 8 - 2 k), and with g.
fn join_rows(smooth: &Band, detail: &Band, length: usize) -> Band {
    let wavelet = wavelet();
    let count = smooth.columns.max(1);
    let mut values = Vec::with_capacity(smooth.rows() * length);
    for (smooth, detail) in smooth.values.chunks_exact(count).zip(detail.values.chunks_exact(count)) {
        for m in 0..length {
            // Of the ten coefficients every other one meets a place: k from m / 2 on, with the last tap first.
            let first_tap = TAPS - 2 + m % 2;
            let terms = smooth.iter().zip(detail).skip(m / 2).take(TAPS / 2).enumerate();
            let sum =
                terms.map(|(i, (s, d))| s * SCALING[first_tap - 2 * i] + d * wavelet[first_tap - 2 * i]);
            values.push(sum.sum::<f32>());
        }
    }
    Band { values, columns: length }
}

/// The same along each column.
fn join_columns(smooth: &Band, detail: &Band, length: usize) -> Band {
    let wavelet = wavelet();
    let columns = smooth.columns;
    let width = columns.max(1);
    let mut values = vec![0.0; length * columns];
    for (m, line) in values.chunks_exact_mut(width).enumerate() {
        let first_tap = TAPS - 2 + m % 2;
        let smooth = smooth.values.chunks_exact(width).skip(m / 2);
        let detail = detail.values.chunks_exact(width).skip(m / 2);
        for (i, (smooth, detail)) in smooth.zip(detail).take(TAPS / 2).enumerate() {
            let (h, g) = (SCALING[first_tap - 2 * i], wavelet[first_tap - 2 * i]);
            for ((x, s), d) in line.iter_mut().zip(smooth).zip(detail) {
                *x += h * s + g * d;
            }
        }
    }
    Band { values, columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_are_orthogonal_to_their_even_shifts() {
        let wavelet = wavelet();
        for shift in (0..TAPS).step_by(2) {
            let product = |a: &[f32; TAPS], b: &[f32; TAPS]| -> f32 {
                a.iter().zip(b.iter().skip(shift)).map(|(a, b)| a * b).sum()
            };
            let wanted = if shift == 0 { 1.0 } else { 0.0 };
            assert!((product(&SCALING, &SCALING) - wanted).abs() < 1e-6);
            assert!(product(&SCALING, &wavelet).abs() < 1e-6);
        }
        // Five moments of the wavelet vanish.
        for power in 0..5 {
            let moment: f64 =
                wavelet.iter().enumerate().map(|(n, g)| (n as f64 - 4.5).powi(power) * f64::from(*g)).sum();
            assert!(moment.abs() < 1e-4, "{power}: {moment}");
        }
    }

    #[test]
    fn images_of_any_size_come_back() {
        for (rows, columns) in [(1, 1), (2, 3), (9, 10), (37, 64), (40, 21)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| (i * i * 17 % 101) as f32 / 101.0).collect();
            let image = Band { values, columns };
            let (smooth, first) = decompose(&image);
            let (smoother, second) = decompose(&smooth);
            assert_eq!(smooth.rows(), (rows + 9) / 2);
            let back = reconstruct(reconstruct(smoother, second), first);
            assert_eq!(back.columns, columns);
            assert_eq!(back.values.len(), image.values.len());
            let worst = back.values.iter().zip(&image.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{worst}");
        }
    }
}
