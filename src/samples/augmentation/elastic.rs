//! Smooth random displacements, for elastic deformation.
//!
//! The idea is that of Simard, Steinkraus & Platt, "Best practices for convolutional neural networks applied to
//! visual document analysis", ICDAR 2003; the form that of Ronneberger, Fischer & Brox, "U-Net", MICCAI 2015, section
//! 3.1: normal random vectors on a coarse grid, and bicubic interpolation between them (Keys 1981, a = -1/2).

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::geometry::Extent;

/// Pixels between control points.
pub(super) const SPACING: usize = 64;

/// A displacement for each pixel of a piece.
pub(super) struct Displacement {
    /// Random vectors (y, x) in pixels, `[control row][control column]`, from one before the piece's first pixel.
    controls: Vec<[f32; 2]>,
    columns: usize,
    /// Weights of the four control points around a pixel, by its distance from the second.
    weights: Vec<[f32; 4]>,
}

impl Displacement {
    /// For a piece of `height` x `width` pixels; at a control point, each component has `deviation` pixels of standard
    /// deviation.
    pub(super) fn new(height: usize, width: usize, deviation: f32, random: &mut ChaCha8Rng) -> Self {
        // A pixel lies between the second and third of its four control points.
        let points = |length: usize| (length - 1) / SPACING + 4;
        let (rows, columns) = (points(height), points(width));
        let mut component = || {
            let normal: f32 = StandardNormal.sample(random);
            deviation * normal
        };
        let controls = (0..rows * columns).map(|_| [component(), component()]).collect();
        let weights = (0..SPACING).map(|step| cubic(step as f32 / SPACING as f32)).collect();
        Self { controls, columns, weights }
    }

    /// The displacements (y, x) of the pixels of row `y`, in pixels.
    pub(super) fn row(&self, y: usize, displacements: &mut [[f32; 2]]) {
        let down = &self.weights[y % SPACING];
        let first = y / SPACING * self.columns;
        let controls: Vec<[f32; 2]> = (0..self.columns)
            .map(|column| {
                let point = |row: usize| self.controls[first + row * self.columns + column];
                sum(down, [point(0), point(1), point(2), point(3)])
            })
            .collect();
        for (cell, pixels) in displacements.chunks_mut(SPACING).enumerate() {
            let around = [controls[cell], controls[cell + 1], controls[cell + 2], controls[cell + 3]];
            for (pixel, across) in pixels.iter_mut().zip(&self.weights) {
                *pixel = sum(across, around);
            }
        }
    }
}

/// Keys' weights of the four points around a place `t` of the way from the second to the third.
fn cubic(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t3 + 2.0 * t2 - t),
        0.5 * (3.0 * t3 - 5.0 * t2 + 2.0),
        0.5 * (-3.0 * t3 + 4.0 * t2 + t),
        0.5 * (t3 - t2),
    ]
}

fn sum<const AXES: usize>(weights: &[f32; 4], points: [[f32; AXES]; 4]) -> [f32; AXES] {
    std::array::from_fn(|i| {
        weights[0] * points[0][i]
            + weights[1] * points[1][i]
            + weights[2] * points[2][i]
            + weights[3] * points[3][i]
    })
}

/// A displacement for each voxel of a piece of a volume, by the same rules.
pub(super) struct VolumeDisplacement {
    /// Random vectors (z, y, x) in voxels, `[control slice][control row][control column]`, from one before the piece's first voxel.
    controls: Vec<[f32; 3]>,
    rows: usize,
    columns: usize,
    weights: Vec<[f32; 4]>,
}

impl VolumeDisplacement {
    /// For a piece of `extent`; at a control point, each component has `deviation` voxels of standard deviation, that along z none unless
    /// `along_z`.
    pub(super) fn new(extent: Extent, deviation: f32, along_z: bool, random: &mut ChaCha8Rng) -> Self {
        let points = |length: usize| (length - 1) / SPACING + 4;
        let (slices, rows, columns) = (points(extent.z), points(extent.y), points(extent.x));
        let mut component = || {
            let normal: f32 = StandardNormal.sample(random);
            deviation * normal
        };
        let mut point = || {
            let [z, y, x] = std::array::from_fn(|_| component());
            [if along_z { z } else { 0.0 }, y, x]
        };
        let controls = (0..slices * rows * columns).map(|_| point()).collect();
        let weights = (0..SPACING).map(|step| cubic(step as f32 / SPACING as f32)).collect();
        Self { controls, rows, columns, weights }
    }

    /// The displacements (z, y, x) of the voxels of row `y` of slice `z`, in voxels.
    pub(super) fn row(&self, z: usize, y: usize, displacements: &mut [[f32; 3]]) {
        let (back, down) = (&self.weights[z % SPACING], &self.weights[y % SPACING]);
        let (slice, row) = (z / SPACING, y / SPACING);
        let controls: Vec<[f32; 3]> = (0..self.columns)
            .map(|column| {
                let point = |dz: usize, dy: usize| {
                    self.controls[((slice + dz) * self.rows + row + dy) * self.columns + column]
                };
                let in_slice = |dz: usize| sum(down, std::array::from_fn(|dy| point(dz, dy)));
                sum(back, std::array::from_fn(in_slice))
            })
            .collect();
        for (cell, voxels) in displacements.chunks_mut(SPACING).enumerate() {
            let around = std::array::from_fn(|n| controls[cell + n]);
            for (voxel, across) in voxels.iter_mut().zip(&self.weights) {
                *voxel = sum(across, around);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::random::{Stream, stream};

    fn rows(height: usize, width: usize, deviation: f32, n: u64) -> Vec<Vec<[f32; 2]>> {
        let field = Displacement::new(height, width, deviation, &mut stream(1, Stream::Augmentation, n));
        let row = |y| {
            let mut row = vec![[0.0; 2]; width];
            field.row(y, &mut row);
            row
        };
        (0..height).map(row).collect()
    }

    #[test]
    fn displacements_have_the_stated_deviation_at_the_control_points() {
        let (mut squares, mut count) = (0.0, 0.0);
        for n in 0..40 {
            let rows = rows(257, 321, 3.0, n);
            for (y, x) in (0..257).step_by(64).flat_map(|y| (0..321).step_by(64).map(move |x| (y, x))) {
                let [dy, dx] = rows[y][x];
                squares += f64::from(dy * dy + dx * dx);
                count += 2.0;
            }
        }
        // 2400 normal numbers: the deviation is known to 1.4 %.
        let deviation = (squares / count).sqrt();
        assert!((deviation / 3.0 - 1.0).abs() < 0.05, "{deviation}");
    }

    #[test]
    fn displacements_are_smooth() {
        // Between control points 64 pixels apart, Keys' cubic rises by at most 1.25 times their mean slope; two
        // normal numbers of deviation 3 are rarely more than 12 apart, and the outer points add a little.
        let rows = rows(200, 130, 3.0, 7);
        for y in 0..200 {
            for x in 0..130 {
                for other in [rows[(y + 1).min(199)][x], rows[y][(x + 1).min(129)]] {
                    let step = (rows[y][x][0] - other[0]).abs().max((rows[y][x][1] - other[1]).abs());
                    assert!(step < 0.3, "a step of {step} at {y}, {x}");
                }
            }
        }
    }

    #[test]
    fn a_constant_is_interpolated_to_itself_and_small_pieces_have_a_field() {
        for step in 0..SPACING {
            let weights = cubic(step as f32 / SPACING as f32);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!(rows(1, 1, 2.0, 0).len(), 1);
        assert!(rows(3, 70, 0.0, 0).iter().flatten().all(|d| *d == [0.0, 0.0]));
    }

    #[test]
    fn those_of_volumes_are_smooth_and_keep_to_slices_where_that_is_wanted() {
        let extent = Extent::new(70, 40, 130);
        for along_z in [true, false] {
            let random = &mut stream(1, Stream::Augmentation, 3);
            let field = VolumeDisplacement::new(extent, 3.0, along_z, random);
            let row = |z, y| {
                let mut row = vec![[0.0; 3]; extent.x];
                field.row(z, y, &mut row);
                row
            };
            let mut most = 0.0_f32;
            for z in (0..69).step_by(7) {
                for y in (0..39).step_by(3) {
                    let here = row(z, y);
                    for other in [row(z + 1, y), row(z, y + 1), [&here[1..], &here[129..]].concat()] {
                        for (a, b) in here.iter().flatten().zip(other.iter().flatten()) {
                            assert!((a - b).abs() < 0.3);
                        }
                    }
                    most = here.iter().fold(most, |most, [z, ..]| most.max(z.abs()));
                }
            }
            assert!(if along_z { most > 1.0 } else { most == 0.0 });
        }
    }
}
