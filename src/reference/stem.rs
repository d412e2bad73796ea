//! The responses of the stem in float64, as `network/stem.rs` defines them.

use crate::geometry::Extent;
use crate::network::{Architecture, ParameterLayout};

/// An image and how it continues beyond its edges.
struct Seen<'a> {
    pixels: &'a [f64],
    extent: Extent,
    architecture: &'a Architecture,
}

impl Seen<'_> {
    fn at(&self, y: isize, x: isize) -> f64 {
        let boundary = self.architecture.boundary;
        match (boundary.source(y, self.extent.y), boundary.source(x, self.extent.x)) {
            (Some(y), Some(x)) => self.pixels[y * self.extent.x + x],
            _ => 0.0,
        }
    }
}

/// All responses to one channel of an image `[y][x]`, with shifts and factors from `parameters`.
pub(super) fn responses(
    architecture: &Architecture,
    parameters: &[f64],
    input: usize,
    image: &[f64],
    extent: Extent,
) -> Vec<Vec<f64>> {
    let channels = architecture.responses(input);
    let changes =
        &parameters[ParameterLayout::of(architecture).stem()][2 * (channels.start - architecture.inputs)..];
    let mut responses = Vec::new();
    for scale in &architecture.stem.scales {
        let (weights, radius, s) = (scale.weights(), scale.radius() as isize, scale.pixels());
        let image = Seen { pixels: image, extent, architecture };
        let places = || (0..extent.y as isize).flat_map(|y| (0..extent.x as isize).map(move |x| (y, x)));
        let offsets = || (-radius..=radius).map(|d| (d, weights[d.unsigned_abs()]));
        let rows: Vec<f64> =
            places().map(|(y, x)| offsets().map(|(d, w)| w * image.at(y, x + d)).sum()).collect();
        let rows = Seen { pixels: &rows, ..image };
        let smooth: Vec<f64> =
            places().map(|(y, x)| offsets().map(|(d, w)| w * rows.at(y + d, x)).sum()).collect();
        let mut of_scale = vec![Vec::new(); 4];
        let g = Seen { pixels: &smooth, ..rows };
        for (y, x) in places() {
            let at = |dy, dx| g.at(y + dy, x + dx);
            let gx = (at(0, 1) - at(0, -1)) / 2.0;
            let gy = (at(1, 0) - at(-1, 0)) / 2.0;
            let gxx = at(0, 1) - 2.0 * at(0, 0) + at(0, -1);
            let gyy = at(1, 0) - 2.0 * at(0, 0) + at(-1, 0);
            let gxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4.0;
            let mean = s * s * (gxx + gyy) / 2.0;
            let half = s * s * (((gxx - gyy) / 2.0).powi(2) + gxy.powi(2)).sqrt();
            let values = [at(0, 0), s * (gx * gx + gy * gy).sqrt(), mean + half, mean - half];
            of_scale.iter_mut().zip(values).for_each(|(response, value)| response.push(value));
        }
        responses.extend(of_scale);
    }
    for (response, change) in responses.iter_mut().zip(changes.as_chunks::<2>().0) {
        response.iter_mut().for_each(|value| *value = (*value - change[0]) * change[1]);
    }
    responses
}
