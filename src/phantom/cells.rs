//! Cells in a volume: nested shapes in strong noise, two of which look alike in any single slice.

use ndarray::{Array3, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::geometry::Extent;

/// The classes of the labels: their values, in order.
pub const CLASSES: [&str; 6] = ["medium", "cytoplasm", "membrane", "nucleus", "vesicle", "tubule"];

/// Brightness of each class before noise.
const BRIGHTNESS: [f32; 6] = [0.0, 0.4, 0.9, 0.55, 0.75, 0.75];
/// Volume of voxels for each cell, and the radii of cells over the side of a cube of such a volume.
const VOXELS_OF_CELL: usize = 70_000;
const RADII: (f32, f32) = (0.28, 0.4);
/// Thickness of membranes, and radii of organelles, in voxels.
const MEMBRANE: f32 = 1.6;
const ORGANELLE: (f32, f32) = (2.5, 3.8);
/// Organelles of each kind in a cell.
const ORGANELLES: usize = 9;
/// How much longer along z a tubule is than wide.
const LENGTH: f32 = 4.0;
/// Granules of the nucleus: their strength, and their period in voxels.
const GRANULES: f32 = 0.12;
const PERIOD: f32 = 4.0;
/// Streaks of a missing wedge: their strength, how far they reach in slices, and how far they go sideways in each.
const STREAK: f32 = 0.05;
const REACH: isize = 6;
const SIDEWAYS: isize = 2;

/// An ellipsoid: its centre and its half axes, (z, y, x) in voxels.
struct Ellipsoid {
    centre: [f32; 3],
    axes: [f32; 3],
}

impl Ellipsoid {
    /// Below 1 inside, 1 on the surface.
    fn distance(&self, place: [f32; 3]) -> f32 {
        let square = |axis: usize| ((place[axis] - self.centre[axis]) / self.axes[axis]).powi(2);
        (square(0) + square(1) + square(2)).sqrt()
    }

    /// Labels the voxels inside as `class`, of those that `may` be.
    fn fill(&self, labels: &mut Array3<u8>, class: u8, may: impl Fn(u8) -> bool) {
        let (z, y, x) = labels.dim();
        let span = |axis: usize, length: usize| {
            let first = (self.centre[axis] - self.axes[axis]).floor().max(0.0) as usize;
            first..((self.centre[axis] + self.axes[axis]).ceil().max(0.0) as usize + 1).min(length)
        };
        for k in span(0, z) {
            for i in span(1, y) {
                for j in span(2, x) {
                    if self.distance([k as f32, i as f32, j as f32]) <= 1.0 && may(labels[[k, i, j]]) {
                        labels[[k, i, j]] = class;
                    }
                }
            }
        }
    }
}

/// A volume `[z][y][x]` of cells and its labels, whose values are places in [`CLASSES`]; `noise` is the standard deviation of noise that
/// each voxel has of its own. With `wedge`, bright things have streaks along z as in tomograms with a missing wedge.
///
/// Vesicles are round and tubules long along z, of the same brightness: in a single slice both are discs, and only their neighbours
/// above and below tell them apart.
pub fn cells(extent: Extent, noise: f32, wedge: bool, seed: u64) -> (Array3<f32>, Array3<u8>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = (extent.z, extent.y, extent.x);
    let mut labels = Array3::zeros(shape);
    let side = (VOXELS_OF_CELL as f32).cbrt();
    let sides = [extent.z as f32, extent.y as f32, extent.x as f32];
    for _ in 0..extent.pixels().div_ceil(VOXELS_OF_CELL) {
        let axes = [(); 3].map(|()| side * random.random_range(RADII.0..RADII.1));
        let centre = sides.map(|side| random.random_range(0.1..0.9) * side);
        let cell = Ellipsoid { centre, axes };
        let inner = Ellipsoid { centre, axes: axes.map(|axis| (axis - MEMBRANE).max(1.0)) };
        // A cell that overlaps another one lies behind it.
        cell.fill(&mut labels, 2, |class| class == 0);
        inner.fill(&mut labels, 1, |class| class == 2 || class == 0);
        let nucleus = Ellipsoid { centre, axes: axes.map(|axis| 0.45 * axis) };
        nucleus.fill(&mut labels, 3, |class| class == 1);
        for (class, length) in [(4, 1.0), (5, LENGTH)] {
            for _ in 0..ORGANELLES {
                let radius = random.random_range(ORGANELLE.0..ORGANELLE.1);
                let centre = [0, 1, 2].map(|axis| centre[axis] + axes[axis] * random.random_range(-0.8..0.8));
                let organelle = Ellipsoid { centre, axes: [radius * length, radius, radius] };
                organelle.fill(&mut labels, class, |class| class == 1);
            }
        }
    }
    let mut volume = labels.mapv(|class: u8| BRIGHTNESS[usize::from(class)]);
    Zip::indexed(&mut volume).and(&labels).for_each(|(z, y, x), value, &class| {
        if class == 3 {
            let wave = |place: usize| (std::f32::consts::TAU * place as f32 / PERIOD).sin();
            *value += GRANULES * (wave(z + y) + wave(y + x));
        }
    });
    if wedge {
        volume = with_streaks(&volume);
    }
    volume.mapv_inplace(|value| {
        let normal: f32 = StandardNormal.sample(&mut random);
        value + noise * normal
    });
    (volume, labels)
}

/// Adds to each voxel what lies along the two edges of a missing wedge.
fn with_streaks(volume: &Array3<f32>) -> Array3<f32> {
    let (depth, _, columns) = volume.dim();
    Array3::from_shape_fn(volume.dim(), |(z, y, x)| {
        let mut sum = volume[[z, y, x]];
        for step in (-REACH..=REACH).filter(|step| *step != 0) {
            for side in [-SIDEWAYS, SIDEWAYS] {
                let (k, j) = (z as isize + step, x as isize + side * step);
                if (0..depth as isize).contains(&k) && (0..columns as isize).contains(&j) {
                    sum += STREAK * (volume[[k as usize, y, j as usize]] - volume[[z, y, x]] / 2.0);
                }
            }
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_there_and_a_seed_gives_one_volume() {
        let extent = Extent::new(32, 64, 64);
        let (volume, labels) = cells(extent, 0.2, false, 1);
        for class in 0..CLASSES.len() as u8 {
            let share = labels.iter().filter(|found| **found == class).count() as f64 / labels.len() as f64;
            assert!(share > 0.001, "{} is {share} of the volume", CLASSES[usize::from(class)]);
        }
        assert_eq!(cells(extent, 0.2, false, 1).0, volume);
        assert_ne!(cells(extent, 0.2, false, 2).1, labels);
        // Streaks change brightness and not what is there.
        let (streaked, same) = cells(extent, 0.2, true, 1);
        assert!(same == labels && streaked != volume);
    }

    #[test]
    fn vesicles_and_tubules_differ_along_z_alone() {
        let (volume, labels) = cells(Extent::new(64, 64, 64), 0.0, false, 3);
        let of = |class: u8| labels.iter().zip(&volume).filter(move |(found, _)| **found == class);
        let brightness =
            |class: u8| of(class).map(|(_, value)| f64::from(*value)).sum::<f64>() / of(class).count() as f64;
        assert!((brightness(4) - brightness(5)).abs() < 1e-6);
        // How often the voxel above is of the same class.
        let goes_on = |class: u8| {
            let (mut same, mut all) = (0.0, 0.0);
            for ((z, y, x), found) in labels.indexed_iter().filter(|((z, ..), _)| *z + 3 < 64) {
                if *found == class {
                    all += 1.0;
                    same += f64::from(u8::from(labels[[z + 3, y, x]] == class));
                }
            }
            same / all
        };
        assert!(goes_on(5) > 2.0 * goes_on(4), "{} and {}", goes_on(5), goes_on(4));
    }
}
