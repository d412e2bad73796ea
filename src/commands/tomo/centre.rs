//! `msd-gpu tomo centre`.

use std::path::PathBuf;

use clap::Args;
use log::{info, warn};
use ndarray::Axis;

use super::reconstruct::ReconstructionArguments;
use super::scan::ScanArguments;
use crate::commands::console;
use crate::images::write_png_grey8;
use crate::pictures::{range_of, stretch_with};
use crate::tomography::Reconstructor;
use crate::{Error, Result};

/// The most pictures of a sweep.
const MOST_PICTURES: usize = 200;

/// Arguments of `tomo centre`.
#[derive(Debug, Args)]
pub struct CentreArguments {
    #[command(flatten)]
    scan: ScanArguments,
    /// Make a picture of one slice for each of these centres, such as 290..302 (one pixel apart) or 294..298..0.5, to choose from
    #[arg(long, value_name = "FROM..TO[..STEP]", requires = "out", allow_hyphen_values = true)]
    centre_sweep: Option<String>,
    /// The row whose slice is shown [the middle one]
    #[arg(long, value_name = "N", requires = "centre_sweep")]
    sweep_row: Option<usize>,
    /// Folder for the pictures
    #[arg(long, value_name = "DIR", requires = "centre_sweep")]
    out: Option<PathBuf>,
    #[command(flatten)]
    how: ReconstructionArguments,
}

/// Runs the command.
pub fn run(arguments: &CentreArguments) -> Result<()> {
    let scan = arguments.how.open(&arguments.scan)?;
    let corrections = arguments.scan.corrections(&scan)?;
    if let (Some(sweep), Some(out)) = (&arguments.centre_sweep, &arguments.out) {
        let centres = centres(sweep)?;
        let row = arguments.sweep_row.unwrap_or(scan.size().0 / 2);
        if row >= scan.size().0 {
            let wanted = format!("the detector has rows 0 to {}", scan.size().0 - 1);
            return Err(Error::setting("sweep_row", row, wanted));
        }
        std::fs::create_dir_all(out)
            .map_err(|e| Error::output(out, format!("{e}; name a folder that can be made with --out")))?;
        let sinograms = corrections.read(&scan, row..row + 1)?.sinograms;
        for &centre in &centres {
            let reconstructor: Reconstructor = arguments.how.at(&scan, scan.angles().to_vec(), centre)?;
            let slice = reconstructor.reconstruct(sinograms.view())?.index_axis_move(Axis(0), 0);
            let greys = range_of(slice.view()).unwrap_or((0.0, 1.0));
            write_png_grey8(
                out.join(format!("centre-{centre:07.2}.png")),
                &stretch_with(slice.view(), greys),
            )?;
        }
        console::line(format!("{} pictures of row {row} are in {}", centres.len(), out.display()));
        return Ok(());
    }
    let found = arguments.how.find_centre(&scan, &corrections)?;
    for at in &found.found {
        info!("row {}: column {:.2}, sharpness {:.2}", at.row, at.centre.column, at.centre.sharpness);
    }
    for (row, error) in &found.failed {
        warn!("row {row}: {error}");
    }
    if let Some(warning) = found.warning() {
        warn!("{warning}");
    }
    console::line(format!("{:.2}", found.centre.column));
    Ok(())
}

/// The centres of a sweep.
fn centres(text: &str) -> Result<Vec<f64>> {
    let wrong = || {
        let wanted = format!(
            "wanted two columns and a step, such as 290..302 or 294..298..0.5, of at most {MOST_PICTURES} pictures"
        );
        Error::setting("centre_sweep", format!("'{text}'"), wanted)
    };
    let numbers: Option<Vec<f64>> = text.split("..").map(|part| part.trim().parse().ok()).collect();
    let (from, to, step) = match numbers.as_deref() {
        Some(&[from, to]) => (from, to, 1.0),
        Some(&[from, to, step]) => (from, to, step),
        _ => return Err(wrong()),
    };
    let count = ((to - from) / step + 1e-9).floor() + 1.0;
    if !(step > 0.0 && count >= 1.0 && count <= MOST_PICTURES as f64) {
        return Err(wrong());
    }
    Ok((0..count as usize).map(|number| from + step * number as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_have_both_ends() {
        assert_eq!(centres("1..3").unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(centres("1..2..0.5").unwrap(), [1.0, 1.5, 2.0]);
        for wrong in ["", "1", "3..1", "1..2..0", "1..1e9", "nan..2", "1..2..3..4"] {
            assert!(centres(wrong).is_err(), "{wrong}");
        }
    }
}
