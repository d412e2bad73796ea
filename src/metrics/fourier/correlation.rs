//! Shells of frequencies, their correlation, and the resolution up to which two halves agree.

use ndarray::s;
use rayon::prelude::*;
use serde::Serialize;

use super::spectrum::Spectrum;
use crate::error::{Error, Result};

/// Parts that the slices are summed in, each by one thread; sums are then added in order, so that results do not depend on threads.
const PARTS: usize = 64;

/// What the correlation has to exceed for details of a size to count as resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// The half-bit curve of van Heel & Schatz, "Fourier shell correlation threshold criteria", Journal of Structural Biology 151,
    /// 2005, equation 17: where each number of the mean of both halves carries half a bit of information. It is higher where a shell
    /// has few numbers.
    HalfBit,
    /// 1/7, about the 0.143 at which the mean of both halves correlates by one half with what is true: Rosenthal & Henderson,
    /// "Optimal determination of particle orientation, absolute hand, and contrast loss in single-particle electron
    /// cryomicroscopy", Journal of Molecular Biology 333, 2003.
    OneSeventh,
}

impl Threshold {
    /// Both.
    pub const ALL: [Self; 2] = [Self::HalfBit, Self::OneSeventh];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::HalfBit => "half-bit",
            Self::OneSeventh => "1/7",
        }
    }

    /// What a shell of `count` numbers has to exceed.
    pub fn of(self, count: u64) -> f64 {
        match self {
            Self::HalfBit => {
                let root = (count.max(1) as f64).sqrt();
                (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
            }
            Self::OneSeventh => 1.0 / 7.0,
        }
    }
}

/// One ring or shell of frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shell {
    /// In waves a pixel along x: up to 0.5.
    pub frequency: f64,
    /// From -1 to 1; `None` where one of the halves has nothing of these frequencies.
    pub correlation: Option<f64>,
    /// How many numbers of the Fourier transform lie in it, those of negative frequencies included.
    pub count: u64,
}

/// Where the correlation falls below a threshold for the first time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crossing {
    /// At this frequency, between two shells.
    At(f64),
    /// Nowhere up to this frequency, the last one: the halves agree in all that pixels can show.
    Beyond(f64),
    /// It is below from the first shell on, at this frequency.
    Before(f64),
}

/// The correlation of two halves, shell by shell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FourierCorrelation {
    shells: Vec<Shell>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    product: f64,
    squares: [f64; 2],
    count: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.product += other.product;
        self.squares[0] += other.squares[0];
        self.squares[1] += other.squares[1];
        self.count += other.count;
    }
}

/// Which shell a frequency belongs to.
struct Shells {
    /// The squares of the frequencies along z, y and x, in waves a pixel of x.
    squares: [Vec<f64>; 3],
    /// From one shell to the next.
    width: f64,
    count: usize,
}

impl Shells {
    /// Those of a volume of `shape` whose pixels are `size` large, `[z, y, x]`. A shell is as wide as the finest step between
    /// frequencies, and the last one lies at half a wave a pixel of the coarsest axis.
    fn new(shape: [usize; 3], size: [f64; 3]) -> Self {
        let relative = size.map(|length| length / size[2]);
        let lengths = [0, 1, 2].map(|axis| shape[axis] as f64 * relative[axis]);
        let squares = [0, 1, 2].map(|axis| {
            let count = if axis == 2 { shape[axis] / 2 + 1 } else { shape[axis] };
            let frequency = |place: usize| place.min(shape[axis] - place) as f64 / lengths[axis];
            (0..count).map(|place| frequency(place).powi(2)).collect()
        });
        // An axis of a single pixel has no frequencies.
        let axes = || (0..3).filter(|&axis| shape[axis] > 1);
        let longest = axes().map(|axis| lengths[axis]).fold(1.0, f64::max);
        let highest = axes().map(|axis| 0.5 / relative[axis]).fold(f64::INFINITY, f64::min);
        let count = if highest.is_finite() { (highest * longest + 1e-9) as usize + 1 } else { 1 };
        Self { squares, width: 1.0 / longest, count }
    }
}

impl FourierCorrelation {
    /// The correlation of two halves of the same shape, whose pixels are `size` large along `[z, y, x]`, in any unit; only their
    /// ratios matter.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for other shapes; [`Error::Setting`] for sizes that are no numbers above 0, or differ by more than a
    /// thousand times.
    pub fn between(first: &Spectrum, second: &Spectrum, size: [f64; 3]) -> Result<Self> {
        if first.shape != second.shape {
            let ([az, ay, ax], [bz, by, bx]) = (first.shape, second.shape);
            return Err(Error::Mismatch(format!(
                "one half is {ax} x {ay} x {az} pixels but the other is {bx} x {by} x {bz}; both must be of one size"
            )));
        }
        let usable =
            |length: f64| length.is_finite() && length > 0.0 && (1e-3..=1e3).contains(&(length / size[2]));
        if !size.iter().all(|&length| usable(length)) {
            let [z, y, x] = size;
            let wanted = "they must be numbers above 0, none of them a thousand times as large as another";
            return Err(Error::setting("voxel_size", format!("{x} x {y} x {z}"), wanted));
        }
        let shells = Shells::new(first.shape, size);
        let [depth, height, width] = first.shape;
        let part = |part: usize| {
            let mut sums = vec![Sums::default(); shells.count];
            // Parts of rows, so that an image of one slice is divided too.
            let rows = depth * height;
            for row in rows * part / PARTS..rows * (part + 1) / PARTS {
                let (z, y) = (row / height, row % height);
                let square = shells.squares[0][z] + shells.squares[1][y];
                let (a, b) = (first.values.slice(s![z, y, ..]), second.values.slice(s![z, y, ..]));
                for (x, ((a, b), of_x)) in a.iter().zip(b).zip(&shells.squares[2]).enumerate() {
                    // Rounding must not decide where a frequency lies in the middle between two shells.
                    let shell = ((square + of_x).sqrt() / shells.width + 1e-9).round() as usize;
                    let Some(sums) = sums.get_mut(shell) else { continue };
                    // Each has a conjugate on the other side, but for those that are their own.
                    let times = if x == 0 || 2 * x == width { 1 } else { 2 };
                    let weight = f64::from(times);
                    let [ar, ai, br, bi] = [a.re, a.im, b.re, b.im].map(f64::from);
                    sums.product += weight * (ar * br + ai * bi);
                    sums.squares[0] += weight * (ar * ar + ai * ai);
                    sums.squares[1] += weight * (br * br + bi * bi);
                    sums.count += times as u64;
                }
            }
            sums
        };
        let parts: Vec<Vec<Sums>> = (0..PARTS).into_par_iter().map(part).collect();
        let mut sums = vec![Sums::default(); shells.count];
        for part in &parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| sum.add(part));
        }
        let shell = |(index, sums): (usize, &Sums)| {
            let norm = (sums.squares[0] * sums.squares[1]).sqrt();
            let correlation = (norm > 0.0).then(|| sums.product / norm);
            Shell { frequency: index as f64 * shells.width, correlation, count: sums.count }
        };
        // The first one is the mean, which was subtracted.
        Ok(Self { shells: sums.iter().enumerate().skip(1).map(shell).collect() })
    }

    /// The shells, from low frequencies to high ones.
    pub fn shells(&self) -> &[Shell] {
        &self.shells
    }

    /// Where the correlation first falls below a threshold; `None` where images are too small to have shells.
    pub fn crossing(&self, threshold: Threshold) -> Option<Crossing> {
        let above = |shell: &Shell| shell.correlation.unwrap_or(0.0) - threshold.of(shell.count);
        let Some(at) = self.shells.iter().position(|shell| above(shell) < 0.0) else {
            return self.shells.last().map(|shell| Crossing::Beyond(shell.frequency));
        };
        let below = &self.shells[at];
        Some(match at.checked_sub(1).map(|before| &self.shells[before]) {
            None => Crossing::Before(below.frequency),
            Some(before) => {
                let share = above(before) / (above(before) - above(below));
                Crossing::At(before.frequency + share * (below.frequency - before.frequency))
            }
        })
    }
}
