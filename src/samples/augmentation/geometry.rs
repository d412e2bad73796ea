//! Where each pixel of a changed piece comes from, and fetching it: one interpolation for all of the geometry.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;

use super::elastic::Displacement;
use super::strengths::Strengths;
use crate::geometry::{Extent, Symmetry, Window, mirrored};
use crate::samples::item::Part;
use crate::samples::sample::{Sample, Target};
use crate::samples::sampling::Draw;

/// The map from a piece's pixels to places in its image.
pub(super) struct Geometry {
    crop: Window,
    /// The size of the image.
    whole: Extent,
    /// Exact, and so applied to the interpolated piece without interpolating again.
    symmetry: Symmetry,
    /// From (y, x) about the middle of the piece to (y, x) about the middle of the crop.
    matrix: [[f32; 2]; 2],
    displacement: Option<Displacement>,
}

/// Where one pixel comes from.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    /// The rows above and below the place, and the columns left and right of it.
    rows: [usize; 2],
    columns: [usize; 2],
    /// How far the place is from the first of them, 0 to 1.
    down: f32,
    right: f32,
}

impl Source {
    fn interpolated(&self, plane: &ArrayView2<f32>) -> f32 {
        let [above, below] = self.rows.map(|y| {
            let [left, right] = self.columns.map(|x| plane[[y, x]]);
            left + self.right * (right - left)
        });
        above + self.down * (below - above)
    }

    /// The pixel nearest to the place, for what must not be mixed.
    fn nearest(&self) -> (usize, usize) {
        (self.rows[usize::from(self.down >= 0.5)], self.columns[usize::from(self.right >= 0.5)])
    }
}

impl Geometry {
    /// The map of one draw of an image of `whole`; `None` where it is a crop and a symmetry and nothing else.
    pub(super) fn new(
        whole: Extent,
        draw: &Draw,
        strengths: &Strengths,
        random: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let Strengths { degrees, factor, elastic, .. } = *strengths;
        if degrees == 0.0 && factor == 1.0 && elastic == 0.0 {
            return None;
        }
        let crop = draw.window(whole);
        let displacement =
            (elastic > 0.0).then(|| Displacement::new(crop.extent.y, crop.extent.x, elastic as f32, random));
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let [sine, cosine] = [sine / factor, cosine / factor].map(|v| v as f32);
        let matrix = [[cosine, sine], [-sine, cosine]];
        Some(Self { crop, whole, symmetry: draw.symmetry, matrix, displacement })
    }

    /// The part of the image that the changed piece is made of.
    pub(super) fn window(&self) -> Window {
        let Extent { y: height, x: width, .. } = self.crop.extent;
        let mut sources = vec![Source::default(); width];
        let mut displacements = vec![[0.0; 2]; width];
        let (mut rows, mut columns) = ((usize::MAX, 0), (usize::MAX, 0));
        for y in 0..height {
            self.sources(y, (0, 0), &mut displacements, &mut sources);
            for source in &sources {
                for (range, places) in [(&mut rows, source.rows), (&mut columns, source.columns)] {
                    *range = places.iter().fold(*range, |(least, most), &at| (least.min(at), most.max(at)));
                }
            }
        }
        // A piece has at least a pixel.
        Window::plane(rows.0.min(rows.1)..rows.1 + 1, columns.0.min(columns.1)..columns.1 + 1)
    }

    /// The changed piece: images and values interpolated linearly, classes and weights from the nearest pixel. `part` holds
    /// [`Geometry::window`].
    pub(super) fn apply(&self, part: &Part) -> Sample {
        let sample = part.sample();
        let Extent { y: height, x: width, .. } = self.crop.extent;
        let channels = sample.image.dim().0;
        let mut image = Array3::zeros((channels, height, width));
        let mut target = match &sample.target {
            Target::Classes(_) => Target::Classes(Array2::zeros((height, width))),
            Target::Values(values) => Target::Values(Array3::zeros((values.dim().0, height, width))),
        };
        let mut weights = sample.weights.as_ref().map(|_| Array2::zeros((height, width)));
        let mut sources = vec![Source::default(); width];
        let mut displacements = vec![[0.0; 2]; width];
        let [_, top, left] = part.origin();
        for y in 0..height {
            self.sources(y, (top, left), &mut displacements, &mut sources);
            interpolate_row(&sample.image, &mut image, y, &sources);
            match (&sample.target, &mut target) {
                (Target::Values(from), Target::Values(to)) => interpolate_row(from, to, y, &sources),
                (Target::Classes(from), Target::Classes(to)) => fetch_row(from, to, y, &sources),
                _ => {}
            }
            if let (Some(from), Some(to)) = (&sample.weights, &mut weights) {
                fetch_row(from, to, y, &sources);
            }
        }
        let target = match target {
            Target::Classes(classes) => Target::Classes(self.symmetry.apply2(&classes)),
            Target::Values(values) => Target::Values(self.symmetry.apply3(&values)),
        };
        Sample::new(sample.name.clone(), self.symmetry.apply3(&image), target)
            .with_weights(weights.map(|weights| self.symmetry.apply2(&weights)))
    }

    /// The sources of row `y` of the piece, counted from `(top, left)` in the image.
    fn sources(
        &self,
        y: usize,
        (top, left): (usize, usize),
        displacements: &mut [[f32; 2]],
        sources: &mut [Source],
    ) {
        if let Some(displacement) = &self.displacement {
            displacement.row(y, displacements);
        }
        let Extent { y: height, x: width, .. } = self.whole;
        let middle = |length: usize| (length - 1) as f32 / 2.0;
        let (middle_y, middle_x) = (middle(self.crop.extent.y), middle(self.crop.extent.x));
        let [[yy, yx], [xy, xx]] = self.matrix;
        let from_middle = y as f32 - middle_y;
        for (x, (source, [dy, dx])) in sources.iter_mut().zip(displacements).enumerate() {
            let along = x as f32 - middle_x;
            // Counted from the crop's corner: small numbers have digits to spare, wherever in the image it is.
            let place_y = middle_y + (yy * from_middle + yx * along) + *dy;
            let place_x = middle_x + (xy * from_middle + xx * along) + *dx;
            let (floor_y, floor_x) = (place_y.floor(), place_x.floor());
            let row = self.crop.y as isize + floor_y as isize;
            let column = self.crop.x as isize + floor_x as isize;
            *source = Source {
                rows: [mirrored(row, height) - top, mirrored(row + 1, height) - top],
                columns: [mirrored(column, width) - left, mirrored(column + 1, width) - left],
                down: place_y - floor_y,
                right: place_x - floor_x,
            };
        }
    }
}

fn interpolate_row(from: &Array3<f32>, to: &mut Array3<f32>, y: usize, sources: &[Source]) {
    for (from, mut to) in from.axis_iter(Axis(0)).zip(to.axis_iter_mut(Axis(0))) {
        for (pixel, source) in to.row_mut(y).iter_mut().zip(sources) {
            *pixel = source.interpolated(&from);
        }
    }
}

fn fetch_row<T: Copy>(from: &Array2<T>, to: &mut Array2<T>, y: usize, sources: &[Source]) {
    for (pixel, source) in to.row_mut(y).iter_mut().zip(sources) {
        *pixel = from[source.nearest()];
    }
}

#[cfg(test)]
#[path = "geometry_tests.rs"]
mod tests;
