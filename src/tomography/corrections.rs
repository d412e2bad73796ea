//! From raw numbers of a detector to line integrals.

use std::ops::Range;

use ndarray::{Array2, Array3, Axis};

use super::normalise::{Around, Average, FlatField, FlatFieldSettings, Frames, Repairs, remove_zingers};
use super::scan::Scan;
use super::stripes::{Stripes, remove_stripes_of_rows};
use crate::error::{Error, Result};
use crate::settings::named_choices;

named_choices! {
    /// What the numbers of projections are.
    pub enum Numbers of "numbers", default Counts {
        /// As the detector counted them: flat and dark fields are taken out, then the logarithm.
        Counts = "counts",
        /// Transmissions from 0 to 1, of which the logarithm is taken.
        Transmission = "transmission",
        /// Line integrals of the absorption, as they are.
        Absorption = "absorption",
    }
}

/// What is done to projections before they are reconstructed.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Corrections {
    /// What the numbers are.
    pub numbers: Numbers,
    /// How flat fields are averaged, and dark ones.
    pub average: Average,
    /// How much brighter than what is around it a speck must be that is taken out, in the units of the data; `None` for none.
    pub zingers: Option<f32>,
    /// How rings are removed; `None` for not at all.
    pub stripes: Option<Stripes>,
    /// Limits of transmissions.
    pub limits: FlatFieldSettings,
}

/// Line integrals, and what had to be repaired.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Corrected {
    /// `[angle][row][column]`.
    pub sinograms: Array3<f32>,
    /// How many values had no meaning, or were clipped.
    pub repairs: Repairs,
    /// How many bright specks were taken out of projections.
    pub zingers: u64,
}

impl Corrections {
    /// Checks that a scan has what these need.
    ///
    /// # Errors
    /// [`Error::Setting`] for counts without flat fields.
    pub fn check(&self, scan: &Scan) -> Result<()> {
        if self.numbers == Numbers::Counts && scan.frames().0 == 0 && scan.flat_value().is_none() {
            let wanted = "counts need images of the beam alone: name them with `flats`, or say `numbers transmission` or `numbers absorption` where projections are divided by them already";
            return Err(Error::setting("flats", "missing", wanted));
        }
        Ok(())
    }

    /// Some rows of all projections of a scan as line integrals.
    ///
    /// # Errors
    /// What comes of reading the scan; as [`Corrections::check`], [`FlatField::new`] and [`remove_stripes_of_rows`].
    pub fn read(&self, scan: &Scan, rows: Range<usize>) -> Result<Corrected> {
        self.check(scan)?;
        let mut sinograms = scan.projections(rows.clone())?;
        let mut repairs = Repairs::default();
        let mut zingers = 0;
        if let Some(threshold) = self.zingers {
            zingers = remove_zingers(sinograms.view_mut(), threshold, Around::Pixels)?;
        }
        if self.numbers != Numbers::Absorption {
            let field = self.field(scan, rows)?;
            repairs = repairs + field.transmissions(sinograms.view_mut())?;
            // Of the same values.
            repairs = repairs + Repairs { of: 0, ..field.minus_log(sinograms.view_mut())? };
        }
        if let Some(stripes) = &self.stripes {
            remove_stripes_of_rows(sinograms.view_mut(), stripes)?;
        }
        Ok(Corrected { sinograms, repairs, zingers })
    }

    /// What projections are divided by.
    fn field(&self, scan: &Scan, rows: Range<usize>) -> Result<FlatField> {
        let size = (rows.len(), scan.size().1);
        let (mut flats, mut darks) = (None, None);
        if self.numbers == Numbers::Counts {
            (flats, darks) = (scan.flats(rows.clone())?, scan.darks(rows)?);
        }
        if let (Some(flats), Some(threshold)) = (&mut flats, self.zingers) {
            remove_zingers(flats.view_mut(), threshold, Around::Pixels)?;
        }
        let average = |frames: Option<Array3<f32>>, otherwise: f32| match frames {
            None => Ok(Array2::from_elem(size, otherwise)),
            Some(frames) => {
                let mut all = Frames::new(self.average, size.0, size.1);
                frames.axis_iter(Axis(0)).try_for_each(|frame| all.add(frame))?;
                all.finish()
            }
        };
        let flat =
            average(flats, scan.flat_value().filter(|_| self.numbers == Numbers::Counts).unwrap_or(1.0))?;
        FlatField::new(flat.view(), average(darks, 0.0)?.view(), &self.limits)
    }
}
