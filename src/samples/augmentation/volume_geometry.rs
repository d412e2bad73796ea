//! As `geometry`, of volumes: turned about an axis in any direction, scaled and bent in space, in one interpolation. Where z is to stay z,
//! as where voxels are longer than wide, all of that happens within the slices.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::elastic::VolumeDisplacement;
use super::strengths::Strengths;
use crate::geometry::{Extent, Turn, Window, mirrored};
use crate::samples::item::Part;
use crate::samples::sample::{Sample, Target};
use crate::samples::sampling::Draw;

/// The map from a piece's voxels to places in its volume. Places are (z, y, x).
pub(super) struct VolumeGeometry {
    crop: Window,
    /// The size of the volume.
    whole: Extent,
    /// Exact, and so applied to the interpolated piece without interpolating again.
    turn: Turn,
    /// From a place about the middle of the piece to one about the middle of the crop.
    matrix: [[f32; 3]; 3],
    displacement: Option<VolumeDisplacement>,
}

/// Where one voxel comes from.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    /// Along each axis the voxels before and behind the place.
    around: [[usize; 2]; 3],
    /// How far the place is from the first of them, 0 to 1.
    beyond: [f32; 3],
}

impl Source {
    /// Of a volume whose slices have so many rows and lie one below the other.
    fn interpolated(&self, volume: &ArrayView2<f32>, rows_of_slice: usize) -> f32 {
        let [slices, rows, columns] = self.around;
        let [back, down, right] = self.beyond;
        let between = |share: f32, [first, second]: [f32; 2]| first + share * (second - first);
        let row = |z: usize, y: usize| between(right, columns.map(|x| volume[[z * rows_of_slice + y, x]]));
        let slice = |z: usize| between(down, rows.map(|y| row(z, y)));
        between(back, slices.map(slice))
    }

    /// The voxel nearest to the place, for what must not be mixed.
    fn nearest(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.around[axis][usize::from(self.beyond[axis] >= 0.5)])
    }
}

/// The turn by `degrees` about a unit vector (Rodrigues' formula); about z it is that of images.
fn rotation(degrees: f64, [z, y, x]: [f64; 3]) -> [[f64; 3]; 3] {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let axis = [z, y, x];
    let across = [[0.0, x, -y], [-x, 0.0, z], [y, -z, 0.0]];
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            let same = if row == column { cosine } else { 0.0 };
            same + (1.0 - cosine) * axis[row] * axis[column] + sine * across[row][column]
        })
    })
}

/// A unit vector, each direction as likely as any other.
fn any_direction(random: &mut ChaCha8Rng) -> [f64; 3] {
    loop {
        let vector: [f64; 3] = std::array::from_fn(|_| StandardNormal.sample(random));
        let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
        // Of three normal numbers none is ever that near to 0.
        if length > 1e-6 {
            return vector.map(|part| part / length);
        }
    }
}

impl VolumeGeometry {
    /// The map of one draw of a volume of `whole`; `None` where it is a crop and a turn of the cube and nothing else.
    pub(super) fn new(
        whole: Extent,
        draw: &Draw,
        strengths: &Strengths,
        random: &mut ChaCha8Rng,
    ) -> Option<Self> {
        const ALONG_Z: [f64; 3] = [1.0, 0.0, 0.0];
        let Strengths { degrees, factor, elastic, .. } = *strengths;
        if degrees == 0.0 && factor == 1.0 && elastic == 0.0 {
            return None;
        }
        let crop = draw.window(whole);
        let axis = if draw.keeps_z || degrees == 0.0 { ALONG_Z } else { any_direction(random) };
        let mut matrix = rotation(degrees, axis).map(|row| row.map(|number| (number / factor) as f32));
        if draw.keeps_z {
            matrix[0][0] = 1.0;
        }
        let displacement = (elastic > 0.0)
            .then(|| VolumeDisplacement::new(crop.extent, elastic as f32, !draw.keeps_z, random));
        Some(Self { crop, whole, turn: draw.turn(), matrix, displacement })
    }

    /// The part of the volume that the changed piece is made of.
    pub(super) fn window(&self) -> Window {
        let (mut first, mut last) = ([usize::MAX; 3], [0; 3]);
        self.each_row([0; 3], |_, sources| {
            for source in sources {
                for (axis, places) in source.around.iter().enumerate() {
                    for &place in places {
                        first[axis] = first[axis].min(place);
                        last[axis] = last[axis].max(place);
                    }
                }
            }
        });
        // A piece has at least a voxel.
        let range = |axis: usize| first[axis].min(last[axis])..last[axis] + 1;
        Window::new(range(0), range(1), range(2))
    }

    /// The changed piece: images and values interpolated linearly, classes and weights from the nearest voxel. `part` holds
    /// [`VolumeGeometry::window`].
    pub(super) fn apply(&self, part: &Part) -> Sample {
        let sample = part.sample();
        let Extent { z: depth, y: height, x: width } = self.crop.extent;
        let rows = depth * height;
        let mut image = Array3::zeros((sample.image.dim().0, rows, width));
        let mut target = match &sample.target {
            Target::Classes(_) => Target::Classes(Array2::zeros((rows, width))),
            Target::Values(values) => Target::Values(Array3::zeros((values.dim().0, rows, width))),
        };
        let mut weights = sample.weights.as_ref().map(|_| Array2::zeros((rows, width)));
        let slices = sample.slices;
        self.each_row(part.origin(), |row, sources| {
            interpolate_row(&sample.image, slices, &mut image, row, sources);
            match (&sample.target, &mut target) {
                (Target::Values(from), Target::Values(to)) => interpolate_row(from, slices, to, row, sources),
                (Target::Classes(from), Target::Classes(to)) => fetch_row(from, slices, to, row, sources),
                _ => {}
            }
            if let (Some(from), Some(to)) = (&sample.weights, &mut weights) {
                fetch_row(from, slices, to, row, sources);
            }
        });
        let piece = Sample::new(sample.name.clone(), image, target).with_weights(weights).of_slices(depth);
        piece.turned_part(&Window::whole(self.crop.extent), self.turn)
    }

    /// Gives `take` each row of the piece, those of all slices counted through, and its sources, counted from `origin` in the volume.
    fn each_row(&self, origin: [usize; 3], mut take: impl FnMut(usize, &[Source])) {
        let Extent { z: depth, y: height, x: width } = self.crop.extent;
        let mut sources = vec![Source::default(); width];
        let mut displacements = vec![[0.0; 3]; width];
        for z in 0..depth {
            for y in 0..height {
                if let Some(displacement) = &self.displacement {
                    displacement.row(z, y, &mut displacements);
                }
                for (x, (source, moved)) in sources.iter_mut().zip(&displacements).enumerate() {
                    *source = self.source([z, y, x], moved, origin);
                }
                take(z * height + y, &sources);
            }
        }
    }

    /// Where voxel `at` of the piece comes from.
    fn source(&self, at: [usize; 3], moved: &[f32; 3], origin: [usize; 3]) -> Source {
        let axes = |extent: Extent| [extent.z, extent.y, extent.x];
        let (lengths, whole) = (axes(self.crop.extent), axes(self.whole));
        let corner = [self.crop.z, self.crop.y, self.crop.x];
        let middle = lengths.map(|length| (length - 1) as f32 / 2.0);
        let from_middle: [f32; 3] = std::array::from_fn(|axis| at[axis] as f32 - middle[axis]);
        let mut source = Source::default();
        for axis in 0..3 {
            let turned: f32 = self.matrix[axis].iter().zip(&from_middle).map(|(a, b)| a * b).sum();
            // Counted from the crop's corner: small numbers have digits to spare, wherever in the volume it is.
            let place = middle[axis] + turned + moved[axis];
            let floor = place.floor();
            let first = corner[axis] as isize + floor as isize;
            source.around[axis] = [first, first + 1].map(|n| mirrored(n, whole[axis]) - origin[axis]);
            source.beyond[axis] = place - floor;
        }
        source
    }
}

/// Fills a row of the piece from a volume of so many slices.
fn interpolate_row(from: &Array3<f32>, slices: usize, to: &mut Array3<f32>, row: usize, sources: &[Source]) {
    for (from, mut to) in from.axis_iter(Axis(0)).zip(to.axis_iter_mut(Axis(0))) {
        let rows = from.dim().0 / slices.max(1);
        for (voxel, source) in to.row_mut(row).iter_mut().zip(sources) {
            *voxel = source.interpolated(&from, rows);
        }
    }
}

/// As [`interpolate_row`], of what must not be mixed.
fn fetch_row<T: Copy>(from: &Array2<T>, slices: usize, to: &mut Array2<T>, row: usize, sources: &[Source]) {
    let rows = from.dim().0 / slices.max(1);
    for (voxel, source) in to.row_mut(row).iter_mut().zip(sources) {
        let [slice, row, column] = source.nearest();
        *voxel = from[[slice * rows + row, column]];
    }
}

#[cfg(test)]
#[path = "volume_geometry_tests.rs"]
mod tests;
