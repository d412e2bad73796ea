//! Flat-field correction, and the logarithm.
//!
//! # Values that have no logarithm
//!
//! There are two kinds, and they are repaired differently:
//!
//! - A pixel that measured nothing that means anything: NaN, infinity, or a place where the flat field is not brighter than the dark
//!   one. Nothing is known about its ray, so it is taken from the line between the nearest good pixels of its detector row.
//! - A pixel that measured no light, or less than none after the dark field was taken off. That is a measurement: hardly
//!   anything came through. It becomes the smallest transmission that one count would mean, 1 / (flat - dark), as a detector that
//!   counts would give at least, so that it is no more opaque than what was measured can tell. Neighbours would be wrong here:
//!   behind a piece of metal they are far away, and brighter.

use ndarray::{Array2, ArrayView2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use super::frames::median;
use crate::error::{Error, Result};

/// Below this median of flat - dark the data are not counts, but scaled to about 1.
const COUNTS: f32 = 10.0;
/// The smallest transmission where the data are not counts: about what a camera with 14 bits can tell from nothing.
const SMALLEST: f32 = 1e-4;

/// What is set about flat-field correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlatFieldSettings {
    /// The least difference between flat and dark field, in the units of the data; 1e-6. Pixels with no more are repaired.
    pub floor: f32,
    /// Transmissions above this become this; `None` leaves them. Above 1 are noise, refraction at edges, and specks.
    pub cutoff: Option<f32>,
    /// The smallest transmission of which the logarithm is taken; `None` takes that of one count: 1 / (flat - dark) where
    /// the median of this is above 10, and else, for data that are not counts, 0.0001.
    pub smallest: Option<f32>,
}

impl Default for FlatFieldSettings {
    fn default() -> Self {
        Self { floor: 1e-6, cutoff: None, smallest: None }
    }
}

/// How many values were repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Values without a meaning, taken from their neighbours in the detector row.
    pub bridged: u64,
    /// Transmissions at or below the smallest one, or above the cutoff.
    pub clipped: u64,
    /// All values that were looked at.
    pub of: u64,
}

impl std::ops::Add for Repairs {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (bridged, clipped) = (self.bridged + other.bridged, self.clipped + other.clipped);
        Self { bridged, clipped, of: self.of + other.of }
    }
}

/// Flat and dark field of some rows of a detector.
#[derive(Debug, Clone)]
pub struct FlatField {
    dark: Array2<f32>,
    /// Flat minus dark, at least the floor; NaN where it says nothing.
    light: Array2<f32>,
    /// The smallest transmission of each pixel.
    smallest: Array2<f32>,
    cutoff: f32,
}

impl FlatField {
    /// From averages `[row][column]` of frames with the beam and no sample, and of frames without the beam.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when they are of two sizes, or no pixel of the flat field is brighter than the dark field, and
    /// [`Error::Setting`] when a setting is out of its range.
    pub fn new(flat: ArrayView2<f32>, dark: ArrayView2<f32>, settings: &FlatFieldSettings) -> Result<Self> {
        let &FlatFieldSettings { floor, cutoff, smallest } = settings;
        if flat.dim() != dark.dim() {
            let ((rows, columns), (dark_rows, dark_columns)) = (flat.dim(), dark.dim());
            return Err(Error::Mismatch(format!(
                "the flat field is {rows}x{columns} pixels and the dark field {dark_rows}x{dark_columns}; both must be \
                 of the size of projections"
            )));
        }
        let positive = |name: &str, value: f32, most: f32| {
            if value > 0.0 && value <= most {
                return Ok(());
            }
            Err(Error::setting(name, value, format!("it must be above 0 and at most {most}")))
        };
        positive("the least difference between flat and dark field", floor, f32::MAX)?;
        positive("the cutoff of transmissions", cutoff.unwrap_or(1.0), f32::MAX)?;
        positive("the smallest transmission", smallest.unwrap_or(1.0), 1.0)?;

        let mut light = &flat - &dark;
        light.mapv_inplace(|light| if light > floor && light.is_finite() { light } else { f32::NAN });
        let mut good: Vec<f32> = light.iter().copied().filter(|light| light.is_finite()).collect();
        if good.is_empty() && !light.is_empty() {
            return Err(Error::Mismatch(format!(
                "no pixel of the flat field is brighter than the dark field by more than {floor}; check that they were not \
                 exchanged, or leave the correction out"
            )));
        }
        let counts = median(&mut good) >= COUNTS;
        let smallest = light.mapv(|light| match smallest {
            Some(smallest) => smallest,
            // Of a pixel that is nearly dead among good ones a count would mean too much.
            None if counts && light.is_finite() => (1.0 / light).min(1.0 / COUNTS),
            None => SMALLEST,
        });
        Ok(Self { dark: dark.to_owned(), light, smallest, cutoff: cutoff.unwrap_or(f32::INFINITY) })
    }

    /// Turns projections `[angle][row][column]`, as they were measured, into transmissions (raw - dark) / (flat - dark) in place,
    /// 1 where nothing absorbs. All results are finite; negative ones are left to those who want to know.
    ///
    /// Pixels without a meaning are bridged along their row as said above; a row without any good pixel becomes 1.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when projections are of another size than the flat field.
    pub fn transmissions(&self, projections: ArrayViewMut3<f32>) -> Result<Repairs> {
        self.each_row(projections, |row, values| {
            let places = values.iter_mut().zip(self.light.row(row)).zip(self.dark.row(row));
            // Where the raw value or the light is NaN so is the quotient.
            places.for_each(|((value, light), dark)| *value = (*value - dark) / light);
            let bridged = bridge(values, 1.0);
            let mut clipped = 0;
            for value in values.iter_mut().filter(|value| **value > self.cutoff) {
                *value = self.cutoff;
                clipped += 1;
            }
            Repairs { bridged, clipped, of: values.len() as u64 }
        })
    }

    /// Turns transmissions `[angle][row][column]` into attenuations -ln(transmission) in place: line integrals of the
    /// absorption, in natural logarithms. All results are finite.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when transmissions are of another size than the flat field.
    pub fn minus_log(&self, transmissions: ArrayViewMut3<f32>) -> Result<Repairs> {
        self.each_row(transmissions, |row, values| {
            let bridged = bridge(values, 1.0);
            let mut clipped = 0;
            for (value, smallest) in values.iter_mut().zip(self.smallest.row(row)) {
                if *value < *smallest {
                    *value = *smallest;
                    clipped += 1;
                }
                *value = -value.ln();
            }
            Repairs { bridged, clipped, of: values.len() as u64 }
        })
    }

    /// Calls `change` with each row of each projection and its number, from many threads.
    fn each_row(
        &self,
        mut projections: ArrayViewMut3<f32>,
        change: impl Fn(usize, &mut [f32]) -> Repairs + Sync,
    ) -> Result<Repairs> {
        let (_, rows, columns) = projections.dim();
        if (rows, columns) != self.light.dim() {
            let (flat_rows, flat_columns) = self.light.dim();
            return Err(Error::Mismatch(format!(
                "projections are {rows}x{columns} pixels, but the flat field is {flat_rows}x{flat_columns}; give the \
                 flat and dark field of the same rows and columns"
            )));
        }
        let projections: Vec<_> = projections.axis_iter_mut(Axis(0)).collect();
        Ok(projections
            .into_par_iter()
            .map(|mut projection| {
                let mut repairs = Repairs::default();
                for (row, mut line) in projection.axis_iter_mut(Axis(0)).enumerate() {
                    repairs = repairs
                        + match line.as_slice_mut() {
                            Some(values) => change(row, values),
                            None => {
                                let mut values = line.to_vec();
                                let repairs = change(row, &mut values);
                                line.iter_mut().zip(values).for_each(|(into, value)| *into = value);
                                repairs
                            }
                        };
                }
                repairs
            })
            .reduce(Repairs::default, |a, b| a + b))
    }
}

/// Replaces values that are not finite by the line between the nearest finite ones on both sides, by the one where there is only
/// one, and by `nothing` where there is none. Returns how many they were.
fn bridge(values: &mut [f32], nothing: f32) -> u64 {
    let mut bridged = 0;
    let mut place = 0;
    while let Some(gap) = values.iter().skip(place).position(|value| !value.is_finite()) {
        let start = place + gap;
        let length = values.iter().skip(start).take_while(|value| !value.is_finite()).count();
        let left = start.checked_sub(1).and_then(|i| values.get(i)).copied();
        let right = values.get(start + length).copied();
        let (from, to) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (Some(one), None) | (None, Some(one)) => (one, one),
            (None, None) => (nothing, nothing),
        };
        let step = (to - from) / (length + 1) as f32;
        for (i, value) in values.iter_mut().skip(start).take(length).enumerate() {
            *value = from + (i + 1) as f32 * step;
        }
        bridged += length as u64;
        place = start + length;
    }
    bridged
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    fn field(flat: Array2<f32>, dark: Array2<f32>) -> FlatField {
        FlatField::new(flat.view(), dark.view(), &FlatFieldSettings::default()).unwrap()
    }

    fn line(values: &[f32]) -> Array3<f32> {
        Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap()
    }

    #[test]
    fn light_becomes_attenuation() {
        let field = field(array![[1010.0, 510.0], [1010.0, 210.0]], array![[10.0, 10.0], [10.0, 10.0]]);
        let mut slab = Array3::from_shape_vec(
            (2, 2, 2),
            vec![1010.0, 260.0, 10.0 + 1000.0 / std::f32::consts::E, 210.0, 110.0, 510.0, 1110.0, 30.0],
        )
        .unwrap();
        let repairs = field.transmissions(slab.view_mut()).unwrap();
        assert_eq!(repairs, Repairs { bridged: 0, clipped: 0, of: 8 });
        let wanted = [1.0, 0.5, (-1f32).exp(), 1.0, 0.1, 1.0, 1.1, 0.1];
        assert!(slab.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{slab}");
        assert_eq!(field.minus_log(slab.view_mut()).unwrap(), repairs);
        assert!(slab.iter().zip(wanted).all(|(a, b)| (a + b.ln()).abs() < 1e-6), "{slab}");
    }

    #[test]
    fn no_light_is_one_count_and_no_measurement_is_the_neighbours() {
        let field =
            field(array![[1010.0, 1010.0, 1010.0, 10.0, 1010.0]], array![[10.0, 10.0, 10.0, 10.0, 10.0]]);
        // No light, less than none, half, dead, and a tenth.
        let mut slab = line(&[10.0, 4.0, 510.0, 400.0, 110.0]);
        let first = field.transmissions(slab.view_mut()).unwrap();
        assert_eq!((first.bridged, first.clipped), (1, 0));
        assert!((slab[[0, 0, 3]] - 0.3).abs() < 1e-6);
        let second = field.minus_log(slab.view_mut()).unwrap();
        assert_eq!((second.bridged, second.clipped), (0, 2));
        let wanted = [1000f32.ln(), 1000f32.ln(), 2f32.ln(), -0.3f32.ln(), 10f32.ln()];
        assert!(slab.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{slab}");
    }

    #[test]
    fn runs_of_gaps_take_a_line_or_the_only_neighbour() {
        let nan = f32::NAN;
        let mut values = [nan, nan, 2.0, nan, f32::INFINITY, nan, 4.0, nan];
        assert_eq!(bridge(&mut values, 1.0), 6);
        assert_eq!(values, [2.0, 2.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0]);
        let mut nothing = [nan; 3];
        assert_eq!(bridge(&mut nothing, 1.0), 3);
        assert_eq!(nothing, [1.0; 3]);
        assert_eq!(bridge(&mut [], 1.0), 0);
    }

    #[test]
    fn data_that_are_no_counts_and_settings_have_their_own_smallest_value() {
        let (flat, dark) = (array![[0.8, 0.9]], array![[0.0, 0.0]]);
        let mut slab = line(&[0.0, f32::NAN]);
        field(flat.clone(), dark.clone()).minus_log(slab.view_mut()).unwrap();
        assert!(slab.iter().all(|v| (v - 1e4f32.ln()).abs() < 1e-4), "{slab}");
        let settings =
            FlatFieldSettings { smallest: Some(0.01), cutoff: Some(1.0), ..FlatFieldSettings::default() };
        let field = FlatField::new(flat.view(), dark.view(), &settings).unwrap();
        let mut slab = line(&[-1.0, 4.0]);
        assert_eq!(field.transmissions(slab.view_mut()).unwrap().clipped, 1);
        assert_eq!(field.minus_log(slab.view_mut()).unwrap().clipped, 1);
        assert!((slab[[0, 0, 0]] - 100f32.ln()).abs() < 1e-5 && slab[[0, 0, 1]].abs() < 1e-6);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let settings = FlatFieldSettings::default();
        let (flat, dark) = (array![[5.0, 5.0]], array![[1.0, 1.0]]);
        assert!(FlatField::new(flat.view(), array![[1.0]].view(), &settings).is_err());
        let exchanged = FlatField::new(dark.view(), flat.view(), &settings).unwrap_err().to_string();
        assert!(exchanged.contains("exchanged"), "{exchanged}");
        for settings in [
            FlatFieldSettings { floor: 0.0, ..settings },
            FlatFieldSettings { cutoff: Some(f32::NAN), ..settings },
            FlatFieldSettings { smallest: Some(2.0), ..settings },
        ] {
            assert!(FlatField::new(flat.view(), dark.view(), &settings).is_err());
        }
        let field = field(flat, dark);
        assert!(field.transmissions(line(&[1.0]).view_mut()).is_err());
        assert!(field.minus_log(line(&[1.0]).view_mut()).is_err());
    }
}
