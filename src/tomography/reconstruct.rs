//! Slices from sinograms: filtered back-projection.
//!
//! Kak & Slaney, "Principles of Computerized Tomographic Imaging", 1988, chapter 3.3.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3, ArrayView3, Axis};
use rayon::prelude::*;

use super::backprojection::{Image, Margins, Rows, back_project};
use super::filter::{Filter, Padding, RowFilter};
use super::geometry::{ScanGeometry, half_turn};
use crate::devices::Device;
use crate::engine::{BACK_PROJECTION_LANES, BackProjection, BackProjector};
use crate::error::{Error, Result};

/// Slices that are computed together.
pub const SLICES_TOGETHER: usize = 16;
/// As many as are worth it, where fewer are left.
const FEW: usize = 4;

/// The most rows and columns of a slice.
const MOST_SIZE: usize = 1 << 17;

/// What a reconstruction may be asked for, beside the scan itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReconstructionSettings {
    /// The filter along detectors.
    pub filter: Filter,
    /// What detectors are continued by.
    pub padding: Padding,
    /// Rows and columns of a slice; `None` for [`ScanGeometry::size`].
    pub size: Option<usize>,
    /// Whether pixels that rays of some angles miss are set to 0; else they are what the other rays say.
    pub circle: bool,
    /// How wide a pixel is, in the unit whose inverse the slices are to have; 1 for pixels.
    pub pixel: f64,
}

impl Default for ReconstructionSettings {
    fn default() -> Self {
        Self { filter: Filter::default(), padding: Padding::default(), size: None, circle: true, pixel: 1.0 }
    }
}

/// Reconstructs slices of one scan.
pub struct Reconstructor {
    scan: ScanGeometry,
    settings: ReconstructionSettings,
    filter: RowFilter,
    size: usize,
    spans: Vec<(usize, usize)>,
    margins: Margins,
    /// What each projection counts, with the size of a pixel.
    weights: Vec<f32>,
    shares: Option<Vec<f32>>,
    /// A device that back-projects; `None` for the processor.
    device: Option<Mutex<Box<dyn BackProjector>>>,
}

impl Reconstructor {
    /// For scans of this geometry.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pixel of no size, and for slices of none or too many.
    pub fn new(scan: ScanGeometry, settings: ReconstructionSettings) -> Result<Self> {
        if !(settings.pixel.is_finite() && settings.pixel > 0.0) {
            return Err(Error::setting("pixel_size", settings.pixel, "it must be a number above 0"));
        }
        let size = settings.size.unwrap_or_else(|| scan.size());
        if !(1..=MOST_SIZE).contains(&size) {
            return Err(Error::setting("size", size, format!("it must be from 1 to {MOST_SIZE} pixels")));
        }
        let spans = spans(size, settings.circle.then(|| scan.radius()));
        let middle = (size as f64 - 1.0) / 2.0;
        let corner = |(row, &(from, to)): (usize, &(usize, usize))| {
            let y = row as f64 - middle;
            let x = |x: usize| x as f64 - middle;
            if from < to { x(from).abs().max(x(to - 1).abs()).hypot(y) } else { 0.0 }
        };
        let reach = spans.iter().enumerate().map(corner).fold(0.0, f64::max);
        let (before, behind) = scan.missing();
        Ok(Self {
            filter: RowFilter::new(settings.filter, settings.padding, before + scan.columns() + behind),
            size,
            margins: Margins::new(&scan, reach),
            weights: scan.weights().iter().map(|weight| (weight / settings.pixel) as f32).collect(),
            shares: scan.shares(),
            device: None,
            spans,
            scan,
            settings,
        })
    }

    /// The same, on this device.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::OutOfMemory`] when it cannot be opened.
    pub fn on(self, device: &Device) -> Result<Self> {
        Ok(Self { device: device.back_projector()?.map(Mutex::new), ..self })
    }

    /// The scan.
    pub fn scan(&self) -> &ScanGeometry {
        &self.scan
    }

    /// The settings.
    pub fn settings(&self) -> &ReconstructionSettings {
        &self.settings
    }

    /// Rows and columns of a slice.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are taken while `rows` rows of detectors are reconstructed at a time, beside the sinograms and the slices.
    pub fn bytes(&self, rows: usize) -> u64 {
        // Of what a device is given there are two copies, and its slices lie side by side before they are taken apart.
        if self.device.is_some() {
            let slices = 2 * (self.size as u64).pow(2);
            let rows = 2 * self.scan.angles().len() as u64 * self.margins.total as u64;
            return (size_of::<f32>() * BACK_PROJECTION_LANES) as u64 * rows.saturating_add(slices);
        }
        let lanes = if rows > FEW { SLICES_TOGETHER } else { rows.min(FEW) };
        (size_of::<f32>() * lanes) as u64 * self.scan.angles().len() as u64 * self.margins.total as u64
    }

    /// The slices `[row][y][x]` of sinograms `[angle][row][column]`, in the inverse of the unit of `pixel` (1 / pixel where that is
    /// 1).
    ///
    /// # Errors
    /// [`Error::Mismatch`] for sinograms of another number of angles or columns; what the device says.
    pub fn reconstruct(&self, sinograms: ArrayView3<f32>) -> Result<Array3<f32>> {
        let (angles, rows, columns) = sinograms.dim();
        let wanted = (self.scan.angles().len(), self.scan.columns());
        if (angles, columns) != wanted {
            return Err(Error::Mismatch(format!(
                "found sinograms of {angles} angles and {columns} columns; wanted {} and {} as the scan has",
                wanted.0, wanted.1
            )));
        }
        let mut slices = Array3::zeros((rows, self.size, self.size));
        let mut first = 0;
        while first < rows {
            let left = rows - first;
            let count = if self.device.is_some() {
                left.min(BACK_PROJECTION_LANES)
            } else if left > FEW {
                left.min(SLICES_TOGETHER)
            } else if left > 1 {
                left
            } else {
                1
            };
            let part = sinograms.slice(ndarray::s![.., first..first + count, ..]);
            let mut planes: Vec<&mut [f32]> = slices
                .axis_iter_mut(Axis(0))
                .skip(first)
                .take(count)
                .filter_map(|plane| plane.into_slice())
                .collect();
            match count {
                _ if self.device.is_some() => self.some_on_device(part, &mut planes)?,
                1 => self.some::<1>(part, &mut planes),
                2..=FEW => self.some::<FEW>(part, &mut planes),
                _ => self.some::<SLICES_TOGETHER>(part, &mut planes),
            }
            first += count;
        }
        Ok(slices)
    }

    fn some<const LANES: usize>(&self, sinograms: ArrayView3<f32>, slices: &mut [&mut [f32]]) {
        let rows = self.filtered::<LANES>(sinograms);
        back_project(&rows, &self.scan, &Image { size: self.size, spans: &self.spans }, slices);
    }

    fn some_on_device(&self, sinograms: ArrayView3<f32>, slices: &mut [&mut [f32]]) -> Result<()> {
        let Some(device) = &self.device else { return Ok(()) };
        let rows = self.filtered::<BACK_PROJECTION_LANES>(sinograms);
        let directions: Vec<(f64, f64)> = self.scan.angles().iter().map(|angle| angle.sin_cos()).collect();
        let work = BackProjection {
            rows: &rows.values,
            width: rows.margins.total,
            directions: &directions,
            axis: self.scan.centre() + rows.margins.before as f64,
            size: self.size,
        };
        // A panic while it was locked left nothing behind that the next call would read.
        let found = device.lock().unwrap_or_else(PoisonError::into_inner).back_project(&work)?;
        for (lane, slice) in slices.iter_mut().enumerate() {
            let lines = slice.par_chunks_mut(self.size).zip(found.par_chunks(self.size)).zip(&self.spans);
            lines.for_each(|((line, found), &(from, to))| {
                line[from..to]
                    .iter_mut()
                    .zip(&found[from..to])
                    .for_each(|(pixel, found)| *pixel = found[lane]);
            });
        }
        Ok(())
    }

    /// Filtered rows of up to `LANES` slices, side by side.
    fn filtered<const LANES: usize>(&self, sinograms: ArrayView3<f32>) -> Rows<LANES> {
        let Margins { before, total } = self.margins;
        let (missing_before, missing_behind) = self.scan.missing();
        let whole = missing_before + self.scan.columns() + missing_behind;
        let mut values = vec![[0.0; LANES]; sinograms.dim().0 * total];
        values.par_chunks_mut(total).zip(&self.weights).enumerate().for_each_init(
            || (self.filter.scratch(), vec![0.0; whole]),
            |(scratch, shared), (angle, (columns, weight))| {
                for (lane, row) in sinograms.index_axis(Axis(0), angle).axis_iter(Axis(0)).enumerate() {
                    let filtered = match &self.shares {
                        None => self.filter.filtered(row.iter().copied(), scratch),
                        Some(shares) => {
                            let places = shared.iter_mut().skip(missing_before);
                            places.zip(row.iter().zip(shares)).for_each(|(place, (value, share))| {
                                *place = value * share;
                            });
                            self.filter.filtered(shared.iter().copied(), scratch)
                        }
                    };
                    let places = columns.iter_mut().skip(before - missing_before);
                    for (place, value) in places.zip(filtered) {
                        place[lane] = value * weight;
                    }
                }
            },
        );
        Rows { values, margins: self.margins }
    }
}

/// The pixels of each row of a square image that lie within `radius` of its middle, or all.
fn spans(size: usize, radius: Option<f64>) -> Vec<(usize, usize)> {
    let middle = (size as f64 - 1.0) / 2.0;
    let span = |row: usize| {
        let Some(radius) = radius else { return (0, size) };
        let y = row as f64 - middle;
        let half = radius * radius - y * y;
        if half < 0.0 {
            return (0, 0);
        }
        let half = half.sqrt();
        let from = (middle - half).ceil().max(0.0) as usize;
        (from, ((middle + half).floor() as usize + 1).min(size).max(from))
    };
    (0..size).map(span).collect()
}

/// Reconstructs an image `[y][x]` of `size` x `size` pixels from a parallel-beam sinogram
/// `[angle][detector]` laid out as [`project`](super::project) does, with the Ram-Lak filter.
///
/// Pixels are as wide as detectors and the image is centred on them. Outside the circle that every angle
/// sees the result is 0. The image has the units of the one that was projected.
pub fn filtered_back_projection(sinogram: &Array2<f32>, size: usize) -> Array2<f32> {
    let (angles, detectors) = sinogram.dim();
    let settings = ReconstructionSettings { padding: Padding::Zeros, size: Some(size), ..Default::default() };
    let centre = (detectors as f64 - 1.0) / 2.0;
    let slice = ScanGeometry::new(half_turn(angles), detectors, centre)
        .and_then(|scan| Reconstructor::new(scan, settings))
        .and_then(|reconstructor| reconstructor.reconstruct(sinogram.view().insert_axis(Axis(1))))
        .map(|slices| slices.index_axis_move(Axis(0), 0));
    // Only a sinogram without angles or detectors has none.
    slice.unwrap_or_else(|_| Array2::zeros((size, size)))
}

#[cfg(test)]
mod tests {
    /// Places of rays are rounded to float32 on a device, a few hundred thousandths of a column.
    #[cfg(feature = "gpu")]
    const GPU_TOLERANCE: f32 = 1e-4;

    use super::*;
    use crate::tomography::project;

    fn disc(size: usize, radius: f32, value: f32) -> Array2<f32> {
        let centre = (size as f32 - 1.0) / 2.0;
        Array2::from_shape_fn((size, size), |(y, x)| {
            // A pixel at the edge is covered in part.
            let distance = (y as f32 - centre).hypot(x as f32 - centre);
            value * (radius + 0.5 - distance).clamp(0.0, 1.0)
        })
    }

    #[test]
    fn a_disc_comes_back_with_its_value() {
        let size = 96;
        let image = disc(size, 30.0, 2.5);
        let back = filtered_back_projection(&project(&image, 150), size);
        let centre = (size as f32 - 1.0) / 2.0;
        for ((y, x), &value) in back.indexed_iter() {
            let distance = (y as f32 - centre).hypot(x as f32 - centre);
            if distance < 26.0 {
                assert!((value - 2.5).abs() < 0.1, "{value} at {y}, {x}");
            } else if distance > 34.0 {
                assert!(value.abs() < 0.1, "{value} at {y}, {x}");
            }
        }
    }

    #[test]
    fn a_shape_off_centre_comes_back_at_its_place() {
        let size = 64;
        let mut image = Array2::zeros((size, size));
        image.slice_mut(ndarray::s![12..20, 40..52]).fill(1.0);
        let back = filtered_back_projection(&project(&image, 120), size);
        let inside = back.slice(ndarray::s![14..18, 42..50]).mean().unwrap();
        assert!((inside - 1.0).abs() < 0.05, "{inside}");
        // Its mirror places hold nothing: neither axis is turned.
        for region in [ndarray::s![44..52, 40..52], ndarray::s![12..20, 12..24]] {
            assert!(back.slice(region).mean().unwrap().abs() < 0.05);
        }
    }

    #[test]
    fn sizes_other_than_the_detector_crop_or_pad() {
        let image = disc(64, 20.0, 1.0);
        let sinogram = project(&image, 90);
        let whole = filtered_back_projection(&sinogram, 64);
        let cropped = filtered_back_projection(&sinogram, 32);
        let padded = filtered_back_projection(&sinogram, 80);
        for y in 0..32 {
            for x in 0..32 {
                assert!((cropped[[y, x]] - whole[[y + 16, x + 16]]).abs() < 1e-4);
                assert!((padded[[y + 24, x + 24]] - whole[[y + 16, x + 16]]).abs() < 1e-4);
            }
        }
        assert_eq!(padded[[0, 0]], 0.0);
    }

    /// Line integrals of a disc at (`x`, `y`) from the axis.
    fn sinogram(
        (x, y, radius, value): (f64, f64, f64, f64),
        angles: &[f64],
        columns: usize,
        centre: f64,
    ) -> Array3<f32> {
        Array3::from_shape_fn((angles.len(), 1, columns), |(angle, _, column)| {
            let middle = x * angles[angle].cos() + y * angles[angle].sin();
            let beside = column as f64 - centre - middle;
            (2.0 * value * (radius * radius - beside * beside).max(0.0).sqrt()) as f32
        })
    }

    /// The root of the mean square of the difference to a disc, away from its edge.
    fn error(slice: &ndarray::ArrayView2<f32>, (x, y, radius, value): (f64, f64, f64, f64)) -> f64 {
        let middle = (slice.nrows() as f64 - 1.0) / 2.0;
        let (mut sum, mut count) = (0.0, 0);
        for ((row, column), found) in slice.indexed_iter() {
            let (row, column) = (row as f64 - middle, column as f64 - middle);
            let distance = (column - x).hypot(row - y);
            if column.hypot(row) < 0.9 * middle && (distance - radius).abs() > 3.0 {
                let wanted = if distance < radius { value } else { 0.0 };
                sum += (f64::from(*found) - wanted).powi(2);
                count += 1;
            }
        }
        (sum / f64::from(count)).sqrt()
    }

    #[test]
    fn the_error_of_a_disc_falls_with_resolution() {
        let at = |size: usize| {
            let scale = size as f64 / 64.0;
            let disc = (8.0 * scale, -5.0 * scale, 12.0 * scale, 1.0 / scale);
            let (angles, centre) = (half_turn(2 * size), (size as f64 - 1.0) / 2.0);
            let scan = ScanGeometry::new(angles.clone(), size, centre).unwrap();
            let slices = Reconstructor::new(scan, ReconstructionSettings::default())
                .unwrap()
                .reconstruct(sinogram(disc, &angles, size, centre).view())
                .unwrap();
            scale * error(&slices.index_axis(Axis(0), 0), disc)
        };
        let errors = [64, 128, 256].map(at);
        // Of what is left, the band of ripples about the edge keeps its width in pixels: the error falls as the root.
        assert!(
            errors[0] < 0.02 && errors[1] < 0.75 * errors[0] && errors[2] < 0.75 * errors[1],
            "{errors:?}"
        );
    }

    #[test]
    fn slices_are_the_same_alone_and_together() {
        let angles = half_turn(37);
        let sinograms =
            Array3::from_shape_fn((37, 23, 40), |(a, row, c)| ((a * 7 + row * 13 + c * c) % 29) as f32);
        let scan = ScanGeometry::new(angles, 40, 18.3).unwrap();
        let settings = ReconstructionSettings { circle: false, ..Default::default() };
        let reconstructor = Reconstructor::new(scan, settings).unwrap();
        let together = reconstructor.reconstruct(sinograms.view()).unwrap();
        for row in [0, 15, 16, 22] {
            let alone =
                reconstructor.reconstruct(sinograms.slice(ndarray::s![.., row..row + 1, ..])).unwrap();
            assert_eq!(alone.index_axis(Axis(0), 0), together.index_axis(Axis(0), row));
        }
        // By the definition, in float64.
        let filter = &reconstructor.filter;
        let mut scratch = filter.scratch();
        let rows: Vec<Vec<f32>> = sinograms
            .axis_iter(Axis(0))
            .map(|projection| filter.filtered(projection.row(3).iter().copied(), &mut scratch).to_vec())
            .collect();
        for ((y, x), found) in together.index_axis(Axis(0), 3).indexed_iter() {
            let (down, right) = (y as f64 - 19.5, x as f64 - 19.5);
            let terms = rows.iter().zip(reconstructor.scan().angles()).map(|(row, angle)| {
                let place = right * angle.cos() + down * angle.sin() + 18.3;
                let at = |column: f64| match column >= 0.0 {
                    true => row.get(column as usize).map_or(0.0, |value| f64::from(*value)),
                    false => 0.0,
                };
                let fraction = place - place.floor();
                (1.0 - fraction) * at(place.floor()) + fraction * at(place.floor() + 1.0)
            });
            let wanted = terms.sum::<f64>() * std::f64::consts::PI / 37.0;
            assert!((f64::from(*found) - wanted).abs() < 2e-5 * 29.0, "{found} is not {wanted} at {y}, {x}");
        }
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn a_graphics_processor_gives_the_same_slices() {
        let angles: Vec<f64> = (0..101).map(|i| 3.6 * f64::from(i)).map(f64::to_radians).collect();
        let sinograms = Array3::from_shape_fn((101, 6, 50), |(a, row, c)| {
            ((a * 7 + row * 13 + c * c) % 29) as f32 / 29.0
        });
        let (gpu, _) = crate::devices::list()
            .into_iter()
            .map(|device| (device.clone(), device.back_projector().unwrap()))
            .find(|(_, projector)| projector.is_some())
            .expect(crate::gpu::NO_ADAPTER);
        let scan = || ScanGeometry::new(angles.clone(), 50, 20.3).unwrap();
        for (scan, circle) in
            [(scan(), true), (scan(), false), (scan().with_half_acquisition().unwrap(), true)]
        {
            let make = || {
                let settings = ReconstructionSettings { circle, ..Default::default() };
                Reconstructor::new(scan.clone(), settings).unwrap()
            };
            let wanted = make().reconstruct(sinograms.view()).unwrap();
            let found = make().on(&gpu).unwrap().reconstruct(sinograms.view()).unwrap();
            let most = wanted.fold(0.0_f32, |most, value| most.max(value.abs()));
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!((found - wanted).abs() <= GPU_TOLERANCE * most, "{found} is not {wanted}");
            }
        }
    }

    #[test]
    fn a_full_turn_about_an_offset_axis_shows_twice_as_much() {
        let disc = (30.0, -10.0, 20.0, 1.0);
        let angles: Vec<f64> = (0..720).map(|i| f64::from(i).to_radians() / 2.0).collect();
        for centre in [9.0, 70.0 - 9.4] {
            let scan =
                ScanGeometry::new(angles.clone(), 71, centre).unwrap().with_half_acquisition().unwrap();
            let reconstructor = Reconstructor::new(scan, ReconstructionSettings::default()).unwrap();
            let slices = reconstructor.reconstruct(sinogram(disc, &angles, 71, centre).view()).unwrap();
            assert_eq!(slices.dim().1, 123);
            let error = error(&slices.index_axis(Axis(0), 0), disc);
            assert!(error < 0.02, "{error} about {centre}");
        }
    }

    #[test]
    fn empty_and_tiny_sinograms_are_no_trouble() {
        assert_eq!(filtered_back_projection(&Array2::zeros((0, 8)), 4), Array2::<f32>::zeros((4, 4)));
        assert_eq!(filtered_back_projection(&Array2::zeros((3, 0)), 4), Array2::<f32>::zeros((4, 4)));
        assert_eq!(filtered_back_projection(&Array2::ones((3, 1)), 1).dim(), (1, 1));
        assert_eq!(filtered_back_projection(&Array2::ones((3, 8)), 0).dim(), (0, 0));
        assert!(filtered_back_projection(&Array2::ones((3, 2)), 5).iter().all(|v| v.is_finite()));
    }
}
