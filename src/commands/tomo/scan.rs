//! The flags of all `tomo` commands for which scan is meant.

use std::ops::Range;

use clap::Args;
use log::{info, warn};

use crate::tomography::normalise::Average;
use crate::tomography::stripes::Stripes;
use crate::tomography::{Corrections, Numbers, Scan, ScanFiles};
use crate::{Error, Result};

/// Which scan, and what its file does not say.
#[derive(Debug, Args)]
pub struct ScanArguments {
    /// The scan: an HDF5 file (of several scans in it, one is named as in scan.nx:/entry0001), or a stack, folder or quoted pattern of
    /// projections
    #[arg(value_name = "SCAN")]
    scan: String,
    /// Images of the beam without the object, where they are not in the scan's file
    #[arg(long, value_name = "P", help_heading = "Scan")]
    flats: Option<String>,
    /// Images without the beam, where they are not in the scan's file
    #[arg(long, value_name = "P", help_heading = "Scan")]
    darks: Option<String>,
    /// A text file with the angle of each projection, in degrees, where the scan's file does not say it rightly
    #[arg(long, value_name = "FILE", help_heading = "Scan")]
    angles: Option<String>,
    /// Degrees over which the projections are spread evenly, in the place of angles: 180, or 360 for a full turn
    #[arg(
        long,
        value_name = "DEGREES",
        conflicts_with = "angles",
        allow_negative_numbers = true,
        help_heading = "Scan"
    )]
    range: Option<f64>,
    /// What the numbers are: counts, which are divided by the beam; transmission, of which the logarithm is taken; absorption, taken as
    /// it is
    #[arg(long, value_name = "WHAT", default_value = "counts", value_parser = ["counts", "transmission", "absorption"], help_heading = "Scan")]
    numbers: String,
    /// Average flat and dark fields by their mean, or by the median of each pixel
    #[arg(long, value_name = "HOW", default_value = "mean", value_parser = ["mean", "median"], help_heading = "Corrections")]
    average: String,
    /// Take out specks that are brighter than what is around them by more than this many counts
    #[arg(long, value_name = "COUNTS", allow_negative_numbers = true, help_heading = "Corrections")]
    zingers: Option<f32>,
    /// Remove rings: sorting (thin ones), large, dead, all (dead, large and then sorting; Vo et al. 2018), or wavelet (Münch et al. 2009)
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = ["none", "sorting", "large", "dead", "all", "wavelet"], help_heading = "Corrections")]
    rings: String,
    /// Use only every N-th projection
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Scan")]
    every: usize,
    /// Only these rows of the detector, such as 100..200 (without the last), each of which becomes a slice [all]
    #[arg(long, value_name = "ROWS", help_heading = "Scan")]
    rows: Option<String>,
}

impl ScanArguments {
    /// The scan, with what is said about it.
    pub(super) fn open(&self) -> Result<Scan> {
        if self.every == 0 {
            return Err(Error::setting(
                "every",
                0,
                "wanted 1 for all projections, 2 for every other, and so on",
            ));
        }
        let files = ScanFiles {
            flats: self.flats.clone(),
            darks: self.darks.clone(),
            angles: self.angles.clone(),
            range: self.range,
        };
        let scan = Scan::open(&self.scan, &files)?;
        scan.notes().iter().for_each(|note| warn!("{note}"));
        let (rows, columns) = scan.size();
        let ((flats, darks), count) = (scan.frames(), scan.angles().len());
        let least = scan.angles().iter().copied().fold(f64::INFINITY, f64::min);
        let most = scan.angles().iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let pixels = scan.voxel_size().map(|size| format!(" of {:.4} {}", size.x, size.unit));
        info!(
            "{} ({}): {count} projections of {rows} rows and {columns} columns{}, {:.2} to {:.2} degrees; {flats} flat and {darks} dark fields",
            scan.name(),
            scan.layout(),
            pixels.unwrap_or_default(),
            least.to_degrees(),
            most.to_degrees()
        );
        match self.every {
            1 => Ok(scan),
            every => scan.with_projections((0..count).step_by(every)),
        }
    }

    /// What is done to the projections.
    pub(super) fn corrections(&self, scan: &Scan) -> Result<Corrections> {
        let (_, columns) = scan.size();
        Ok(Corrections {
            numbers: self.numbers.parse::<Numbers>()?,
            average: if self.average == "median" { Average::Median } else { Average::Mean },
            zingers: self.zingers,
            stripes: (match self.rings.as_str() {
                "sorting" => Some(Stripes::SORTING),
                "large" => Some(Stripes::LARGE),
                "dead" => Some(Stripes::DEAD),
                "all" => Some(Stripes::ALL),
                "wavelet" => Some(Stripes::FOURIER_WAVELET),
                _ => None,
            })
            .map(|stripes: Stripes| stripes.for_columns(columns)),
            ..Corrections::default()
        })
    }

    /// The rows that are wanted.
    pub(super) fn rows(&self, scan: &Scan) -> Result<Range<usize>> {
        let (count, _) = scan.size();
        let Some(text) = &self.rows else { return Ok(0..count) };
        let wrong = || {
            let wanted = format!("wanted rows of the {count} that there are, such as 0..{count}, or one row");
            Error::setting("rows", format!("'{text}'"), wanted)
        };
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let rows = match text.split_once("..") {
            Some((first, end)) => {
                let first = if first.trim().is_empty() { 0 } else { number(first)? };
                first..if end.trim().is_empty() { count } else { number(end)? }
            }
            None => {
                let row = number(text)?;
                row..row.checked_add(1).ok_or_else(wrong)?
            }
        };
        if rows.is_empty() || rows.end > count { Err(wrong()) } else { Ok(rows) }
    }
}
