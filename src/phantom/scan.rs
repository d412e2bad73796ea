//! Scans of phantoms, as a detector that counts photons would have measured them.

use ndarray::{Array1, Array2, Array3, ArrayViewMut2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Poisson};
use rayon::prelude::*;

use super::solids::Phantom;
use crate::error::{Error, Result};
use crate::tomography::RawScan;

/// Images of the beam alone, and of darkness.
const FLATS: usize = 20;
const DARKS: usize = 10;
/// What a pixel counts without a beam.
const DARK: f64 = 10.0;
/// How much weaker the beam is at the sides of the detector than in its middle.
const FALLS: f64 = 0.2;
/// The largest number that is stored; more photons than this are counted several to a number.
const MOST_COUNTS: f64 = 50_000.0;

/// How a phantom is scanned.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scanner {
    /// How many projections there are, evenly over `range`.
    pub projections: usize,
    /// Over how many degrees, without the last: 180, or 360 for a full turn.
    pub range: f64,
    /// Columns of the detector; `None` for as many as the phantom has.
    pub columns: Option<usize>,
    /// Photons for each pixel and projection where nothing is in the way; `None` for measurements without noise.
    pub photons: Option<f64>,
    /// The natural logarithm by which a ray is weakened in as much material of value 1 as the phantom is wide.
    pub attenuation: f64,
    /// The relative deviation of what pixels count when the object is in the beam and when it is not, which makes rings.
    pub rings: f64,
    /// How far the axis is from the middle of the detector, in columns.
    pub offset: f64,
    /// How far the axis moves from the first projection to the last, in columns.
    pub drift: f64,
    /// What noise and rings follow from.
    pub seed: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            projections: 512,
            range: 180.0,
            columns: None,
            photons: Some(10_000.0),
            attenuation: 2.0,
            rings: 0.0,
            offset: 0.0,
            drift: 0.0,
            seed: 1,
        }
    }
}

impl Scanner {
    fn check(&self) -> Result<()> {
        if self.projections == 0 {
            return Err(Error::setting("projections", 0, "there must be at least one"));
        }
        let above_0 = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(Error::setting(name, value, "it must be a number above 0")),
        };
        above_0("attenuation", self.attenuation)?;
        if let Some(photons) = self.photons {
            above_0("photons", photons)?;
        }
        if !(self.range.is_finite() && self.range != 0.0) {
            return Err(Error::setting("range", self.range, "wanted degrees, such as 180 or 360"));
        }
        if !(0.0..0.5).contains(&self.rings) {
            return Err(Error::setting(
                "rings",
                self.rings,
                "wanted a share from 0 to below 0.5, such as 0.02",
            ));
        }
        for (name, value) in [("offset", self.offset), ("drift", self.drift)] {
            if !value.is_finite() {
                return Err(Error::setting(name, value, "it must be a number of columns"));
            }
        }
        Ok(())
    }

    /// The bytes that the scan of a phantom takes in memory; `None` for more than can be counted.
    pub fn bytes(&self, phantom: &Phantom) -> Option<u64> {
        let columns = self.columns.unwrap_or(phantom.size()) as u64;
        let frames = (self.projections as u64).checked_add((FLATS + DARKS) as u64)?;
        let numbers = frames.checked_mul(phantom.slices() as u64)?.checked_mul(columns)?;
        // As they are measured, and once more as they are written.
        numbers.checked_mul(2 * if self.photons.is_some() { 2 } else { 4 })
    }

    /// The attenuation of material of value 1, in 1 / pixel: what a reconstruction shows it as.
    pub fn attenuation_of_a_pixel(&self, phantom: &Phantom) -> f64 {
        self.attenuation / phantom.size().max(1) as f64
    }

    /// The angle of each projection in degrees.
    pub fn degrees(&self) -> Vec<f64> {
        (0..self.projections).map(|number| self.range * number as f64 / self.projections as f64).collect()
    }

    /// The column of the axis where projection `number` is taken, counted from 0 at the middle of the first one.
    pub fn axis(&self, columns: usize, number: usize) -> f64 {
        let share = number as f64 / self.projections.saturating_sub(1).max(1) as f64;
        (columns as f64 - 1.0) / 2.0 + self.offset + self.drift * share
    }

    /// What is measured of a phantom.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that cannot be.
    pub fn scan(&self, phantom: &Phantom) -> Result<RawScan> {
        self.check()?;
        let columns = self.columns.unwrap_or(phantom.size());
        if columns == 0 || phantom.slices() == 0 || phantom.size() == 0 {
            let found = format!("{} slices, {columns} columns", phantom.slices());
            return Err(Error::setting("the scan", found, "wanted at least one of each"));
        }
        let degrees = self.degrees();
        let angles: Vec<(f64, f64)> = degrees
            .iter()
            .enumerate()
            .map(|(number, degrees)| (degrees.to_radians(), self.axis(columns, number)))
            .collect();
        let line = self.attenuation_of_a_pixel(phantom);
        let rows = |measure: &(dyn Fn(usize, &Array2<f32>) -> Array2<f32> + Sync)| -> Vec<Array2<f32>> {
            let of_row = |row: usize| {
                let mut lines = phantom.section(row).sinogram(phantom.size(), columns, &angles);
                lines.mapv_inplace(|value| (line * f64::from(value)) as f32);
                measure(row, &lines)
            };
            (0..phantom.slices()).into_par_iter().map(of_row).collect()
        };
        let Some(photons) = self.photons else {
            let transmissions = rows(&|_, lines| lines.mapv(|line| (-line).exp()));
            return Ok(RawScan::Exact {
                transmissions: stacked(&transmissions, self.projections, columns),
                degrees,
            });
        };
        let pixel = |row: usize| Pixels::new(self, photons, row, columns);
        let counts = rows(&|row, lines| pixel(row).projections(lines));
        let flats: Vec<Array2<f32>> =
            (0..phantom.slices()).map(|row| pixel(row).frames(FLATS, true)).collect();
        let darks: Vec<Array2<f32>> =
            (0..phantom.slices()).map(|row| pixel(row).frames(DARKS, false)).collect();
        let whole = |rows: &[Array2<f32>], count| stacked(rows, count, columns).mapv(|count| count as u16);
        Ok(RawScan::Counts {
            projections: whole(&counts, self.projections),
            flats: whole(&flats, FLATS),
            darks: whole(&darks, DARKS),
            degrees,
        })
    }
}

/// Rows `[frame][column]` as frames `[frame][row][column]`.
fn stacked(rows: &[Array2<f32>], frames: usize, columns: usize) -> Array3<f32> {
    let mut all = Array3::zeros((frames, rows.len(), columns));
    for (row, values) in rows.iter().enumerate() {
        let mut place: ArrayViewMut2<f32> = all.index_axis_mut(Axis(1), row);
        place.assign(values);
    }
    all
}

/// A row of the detector.
struct Pixels {
    /// Photons that reach each pixel without the object.
    beam: Array1<f64>,
    /// What each pixel counts of them when the object is in the beam, relative to when it is not.
    gain: Array1<f64>,
    /// Photons of each number that is stored.
    together: f64,
    row: u64,
    seed: u64,
}

impl Pixels {
    fn new(scanner: &Scanner, photons: f64, row: usize, columns: usize) -> Self {
        let middle = (columns as f64 - 1.0) / 2.0;
        let from_middle = |column: usize| (column as f64 - middle) / middle.max(1.0);
        let mut random = random(scanner.seed, Stream::Gains, row as u64, 0);
        // The deviation was checked to be a number.
        let gain = Normal::new(1.0, scanner.rings).ok();
        Self {
            beam: (0..columns).map(|column| photons * (1.0 - FALLS * from_middle(column).powi(2))).collect(),
            gain: (0..columns).map(|_| gain.map_or(1.0, |gain| gain.sample(&mut random)).max(0.1)).collect(),
            together: (photons / MOST_COUNTS).max(1.0),
            row: row as u64,
            seed: scanner.seed,
        }
    }

    /// The counts `[projection][column]` behind line integrals.
    fn projections(&self, lines: &Array2<f32>) -> Array2<f32> {
        let mut counts = Array2::zeros(lines.dim());
        for (number, (mut counts, lines)) in counts.outer_iter_mut().zip(lines.outer_iter()).enumerate() {
            let mut random = random(self.seed, Stream::Projections, self.row, number as u64);
            let pixels = self.beam.iter().zip(&self.gain);
            for ((count, line), (beam, gain)) in counts.iter_mut().zip(lines).zip(pixels) {
                *count = self.counted(beam * gain * (-f64::from(*line)).exp(), &mut random);
            }
        }
        counts
    }

    /// Images `[image][column]` of the beam alone, or of darkness.
    fn frames(&self, count: usize, with_beam: bool) -> Array2<f32> {
        let mut frames = Array2::zeros((count, self.beam.len()));
        let stream = if with_beam { Stream::Flats } else { Stream::Darks };
        for (number, mut frame) in frames.outer_iter_mut().enumerate() {
            let mut random = random(self.seed, stream, self.row, number as u64);
            for (count, beam) in frame.iter_mut().zip(&self.beam) {
                *count = self.counted(if with_beam { *beam } else { 0.0 }, &mut random);
            }
        }
        frames
    }

    fn counted(&self, photons: f64, random: &mut ChaCha8Rng) -> f32 {
        // Of no photons at all there is no distribution.
        let arrived = Poisson::new(photons).map_or(0.0, |counts| counts.sample(random));
        let dark = Poisson::new(DARK).map_or(0.0, |counts| counts.sample(random));
        (arrived / self.together + dark).round().min(f64::from(u16::MAX)) as f32
    }
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Gains = 1,
    Projections,
    Flats,
    Darks,
}

/// Random numbers of their own for each row of each frame, so that the order of threads does not matter.
fn random(seed: u64, stream: Stream, row: u64, frame: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip([seed, stream as u64, row, frame]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::PhantomKind;

    fn small() -> Phantom {
        Phantom::new(PhantomKind::SheppLogan, 32, 2, 1.0, 1)
    }

    #[test]
    fn counts_are_of_beam_and_object_and_follow_the_seed() {
        let scanner = Scanner { projections: 40, photons: Some(1000.0), ..Default::default() };
        let RawScan::Counts { projections, flats, darks, degrees } = scanner.scan(&small()).unwrap() else {
            panic!("noise asks for counts")
        };
        assert_eq!((projections.dim(), flats.dim(), darks.dim()), ((40, 2, 32), (20, 2, 32), (10, 2, 32)));
        assert_eq!(degrees[39], 180.0 * 39.0 / 40.0);
        let mean = |frames: &Array3<u16>, column: usize| {
            let values = frames.index_axis(Axis(2), column);
            values.iter().map(|count| f64::from(*count)).sum::<f64>() / values.len() as f64
        };
        assert!((mean(&flats, 16) - 1010.0).abs() < 25.0 && (mean(&flats, 0) - 810.0).abs() < 25.0);
        assert!((mean(&darks, 5) - 10.0).abs() < 3.0);
        // Beside the head there is as much as without it, behind it less.
        assert!((mean(&projections, 0) / mean(&flats, 0) - 1.0).abs() < 0.05);
        assert!(mean(&projections, 16) < 0.85 * mean(&flats, 16));
        assert_eq!(scanner.scan(&small()).unwrap(), scanner.scan(&small()).unwrap());
        let other = Scanner { seed: 2, ..scanner.clone() };
        assert_ne!(scanner.scan(&small()).unwrap(), other.scan(&small()).unwrap());
    }

    #[test]
    fn without_noise_transmissions_are_exact() {
        let scanner = Scanner { projections: 10, photons: None, drift: 2.0, ..Default::default() };
        let RawScan::Exact { transmissions, .. } = scanner.scan(&small()).unwrap() else {
            panic!("numbers without noise are no counts")
        };
        assert_eq!(transmissions.dim(), (10, 2, 32));
        assert!(transmissions.iter().all(|value| *value > 0.0 && *value <= 1.0));
        assert_eq!((scanner.axis(32, 0), scanner.axis(32, 9)), (15.5, 17.5));
    }

    #[test]
    fn settings_that_cannot_be_are_errors() {
        let usual = Scanner::default;
        for wrong in [
            Scanner { projections: 0, ..usual() },
            Scanner { photons: Some(0.0), ..usual() },
            Scanner { photons: Some(f64::NAN), ..usual() },
            Scanner { attenuation: -1.0, ..usual() },
            Scanner { rings: 0.5, ..usual() },
            Scanner { range: f64::INFINITY, ..usual() },
            Scanner { offset: f64::NAN, ..usual() },
            Scanner { columns: Some(0), ..usual() },
        ] {
            assert!(wrong.scan(&small()).is_err(), "{wrong:?}");
        }
    }
}
