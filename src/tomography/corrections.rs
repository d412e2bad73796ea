//! From raw numbers of a detector to line integrals.

use std::ops::Range;

use ndarray::{Array2, Array3, Axis, Zip};

use super::scan::Scan;
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

    /// Some rows of all projections as line integrals, `[angle][row][column]`.
    ///
    /// # Errors
    /// What comes of reading the scan; as [`Corrections::check`].
    pub fn read(&self, scan: &Scan, rows: Range<usize>) -> Result<Array3<f32>> {
        self.check(scan)?;
        let mut numbers = scan.projections(rows.clone())?;
        if self.numbers == Numbers::Counts {
            let mean = |frames: Option<Array3<f32>>| frames.and_then(|frames| frames.mean_axis(Axis(0)));
            let size = (rows.len(), scan.size().1);
            let dark = mean(scan.darks(rows.clone())?).unwrap_or_else(|| Array2::zeros(size));
            let constant = scan.flat_value().unwrap_or(1.0);
            let flat = mean(scan.flats(rows)?).unwrap_or_else(|| Array2::from_elem(size, constant));
            for mut projection in numbers.axis_iter_mut(Axis(0)) {
                Zip::from(&mut projection).and(&dark).and(&flat).for_each(|value, dark, flat| {
                    *value = (*value - dark) / (flat - dark).max(1e-6);
                });
            }
        }
        if self.numbers != Numbers::Absorption {
            numbers.mapv_inplace(|value| -value.max(1e-6).ln());
        }
        Ok(numbers)
    }
}
