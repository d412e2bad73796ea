//! `msd-gpu tomo reconstruct`.

use std::path::{Path, PathBuf};

use clap::Args;
use log::{info, warn};

use super::scan::ScanArguments;
use super::volume::VolumeArguments;
use crate::commands::progress::ImageProgress;
use crate::devices;
use crate::tomography::centre::Heights;
use crate::tomography::{
    Corrections, ReconstructionSettings, Reconstructor, Scan, ScanGeometry, ScanWishes, Share, find_centre,
    reconstruct_scan, register_centre, wrong_turn,
};
use crate::{Error, Result};

/// The word for a centre that is found by two projections.
const REGISTRATION: &str = "registration";

/// Arguments of `tomo reconstruct`.
#[derive(Debug, Args)]
pub struct ReconstructArguments {
    #[command(flatten)]
    scan: ScanArguments,
    #[command(flatten)]
    volume: VolumeArguments,
    #[command(flatten)]
    how: ReconstructionArguments,
    /// Make K volumes, each from every K-th projection, as FILE with _0, _1 and so on before its ending: their noise is independent, which
    /// `train denoise --splits` learns from
    #[arg(long, value_name = "K", default_value_t = 1)]
    split: usize,
    /// Device for back-projection: cpu, gpu, an index or part of a name from `msd-gpu devices`
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// How slices are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reconstruction")]
pub struct ReconstructionArguments {
    /// The column of the axis of rotation, counted from 0 at the middle of the first one; auto looks for it in sinograms (Vo et al. 2014),
    /// registration in two projections half a turn apart
    #[arg(long, value_name = "COLUMN", default_value = "auto", allow_negative_numbers = true)]
    centre: String,
    /// Filter: ramp (sharpest, noisiest), shepp-logan, cosine, hamming, hann or parzen (smoothest)
    #[arg(long, value_name = "NAME", default_value = "ramp")]
    filter: String,
    /// What rows are continued by beyond the detector: edge (its last values), or zeros
    #[arg(long, value_name = "WHAT", default_value = "edge")]
    padding: String,
    /// Rows and columns of a slice [as many as columns of the detector]
    #[arg(long, value_name = "N")]
    size: Option<usize>,
    /// Keep what lies outside of the circle that all projections show; else it is 0
    #[arg(long)]
    no_circle: bool,
    /// The axis is near one side of the detector, and the scan a full turn: join opposite projections into one twice as wide
    #[arg(long)]
    half_acquisition: bool,
    /// How wide a pixel of the detector is in the plane of the object, in micrometres [as the scan's file says]
    #[arg(long, value_name = "MICROMETRES", allow_negative_numbers = true)]
    pixel_size: Option<f64>,
    /// Unit of the values of slices: cm for 1/cm, pixel for 1/pixel, auto for 1/cm where the size of a pixel is known
    #[arg(long, value_name = "UNIT", default_value = "auto", value_parser = ["auto", "cm", "pixel"])]
    unit: String,
}

impl ReconstructionArguments {
    /// The scan, whose pixels are as large as is said here.
    pub(super) fn open(&self, scan: &ScanArguments) -> Result<Scan> {
        let mut scan = scan.open()?;
        if let Some(micrometres) = self.pixel_size {
            scan = scan.with_pixel_size(micrometres)?;
        }
        self.pixel(&scan)?;
        Ok(scan)
    }

    /// How wide a pixel is in the unit of the slices.
    fn pixel(&self, scan: &Scan) -> Result<f64> {
        match (self.unit.as_str(), scan.centimetres()) {
            ("pixel", _) | ("auto", None) => Ok(1.0),
            (_, Some(centimetres)) => Ok(centimetres),
            (_, None) => {
                let wanted =
                    "the scan does not say how large its pixels are; give `pixel_size` in micrometres";
                Err(Error::setting("unit", "cm", wanted))
            }
        }
    }

    /// The unit of the slices, as people write it.
    pub(super) fn unit(&self, scan: &Scan) -> &'static str {
        if self.unit == "pixel" || scan.centimetres().is_none() { "1/pixel" } else { "1/cm" }
    }

    /// The column of the axis, as it is given or as it is found.
    pub(super) fn centre(&self, scan: &Scan, corrections: &Corrections) -> Result<f64> {
        if let Some(warning) = wrong_turn(scan, corrections)? {
            warn!("{warning}");
        }
        if !["auto", REGISTRATION].contains(&self.centre.as_str()) {
            let wrong = || {
                let wanted = "it must be a column of the detector, auto or registration";
                Error::setting("centre", format!("'{}'", self.centre), wanted)
            };
            return self.centre.parse().map_err(|_| wrong());
        }
        let found = self.find_centre(scan, corrections)?;
        if let Some(warning) = found.warning() {
            warn!("{warning}; --centre takes another");
        }
        Ok(found.centre.column)
    }

    /// The axis, as it is found at three heights.
    pub(super) fn find_centre(&self, scan: &Scan, corrections: &Corrections) -> Result<Heights> {
        match (self.centre == REGISTRATION, self.half_acquisition) {
            (true, true) => {
                let wanted = "an axis near one side is found by where projections overlap: give auto, or leave `half_acquisition` out";
                Err(Error::setting("centre", REGISTRATION, wanted))
            }
            (true, false) => register_centre(scan, corrections),
            (false, is_half) => find_centre(scan, corrections, is_half),
        }
    }

    /// What reconstructs projections at these angles about an axis at `centre`.
    pub(super) fn at(&self, scan: &Scan, angles: Vec<f64>, centre: f64) -> Result<Reconstructor> {
        let (_, columns) = scan.size();
        let mut geometry = ScanGeometry::new(angles, columns, centre)?;
        if self.half_acquisition {
            geometry = geometry.with_half_acquisition()?;
        }
        let settings = ReconstructionSettings {
            filter: self.filter.parse()?,
            padding: self.padding.parse()?,
            size: self.size,
            circle: !self.no_circle,
            pixel: self.pixel(scan)?,
        };
        Reconstructor::new(geometry, settings)
    }
}

/// Runs the command.
pub fn run(arguments: &ReconstructArguments) -> Result<()> {
    let out = &arguments.volume.out;
    let stack_format = arguments.volume.format()?;
    let scan = arguments.how.open(&arguments.scan)?;
    let count = scan.angles().len();
    if arguments.split == 0 || arguments.split > count {
        let wanted = format!("wanted 1 for one volume, or up to {count} shares of the projections");
        return Err(Error::setting("split", arguments.split, wanted));
    }
    let mut wishes = ScanWishes::new(arguments.scan.rows(&scan)?, stack_format);
    wishes.corrections = arguments.scan.corrections(&scan)?;
    wishes.resume = arguments.volume.resume;
    wishes.memory = arguments.volume.memory()?;
    let centre = arguments.how.centre(&scan, &wishes.corrections)?;
    let shares = shares_of(&scan, &arguments.how, centre, arguments.split, out)?;
    let device = devices::choose(&arguments.device)?;
    let shares = shares.into_iter().map(|share| share.on(&device)).collect::<Result<Vec<Share>>>()?;
    if let Some(share) = shares.first() {
        let size = share.reconstructor.size();
        info!(
            "{} slices of {size} x {size} pixels in {}, centre {:.2}",
            wishes.rows.len(),
            arguments.how.unit(&scan),
            share.reconstructor.scan().centre()
        );
    }
    reconstruct_scan(&scan, &shares, &wishes, &mut ImageProgress::over(1))
}

/// Shares of the projections of a scan, each with every `split`-th of them; all of them where `split` is 1. Their volumes go to `out`,
/// with numbers where there are several.
pub(super) fn shares_of(
    scan: &Scan,
    how: &ReconstructionArguments,
    centre: f64,
    split: usize,
    out: &Path,
) -> Result<Vec<Share>> {
    let share = |number: usize| {
        let projections: Vec<usize> = (number..scan.angles().len()).step_by(split).collect();
        let angles = projections.iter().map(|&projection| scan.angles()[projection]).collect();
        let reconstructor = how.at(scan, angles, centre)?;
        let out = if split == 1 { out.to_path_buf() } else { numbered(out, number) };
        Ok(Share { projections, reconstructor, out })
    };
    (0..split).map(share).collect()
}

/// The name with a number before its endings.
pub(super) fn numbered(path: &Path, number: usize) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_lowercase();
    let endings = [".ome.zarr", ".ome.tif", ".ome.tiff"];
    let ending = endings.iter().find(|ending| lower.ends_with(**ending)).map(|ending| ending.len());
    let ending = ending.or_else(|| name.rfind('.').map(|dot| name.len() - dot)).unwrap_or(0);
    let (stem, ending) = name.split_at(name.len() - ending);
    path.with_file_name(format!("{stem}_{number}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_endings() {
        let of = |name: &str| numbered(Path::new(name), 1).display().to_string();
        assert_eq!(of("a/volume.ome.zarr"), "a/volume_1.ome.zarr");
        assert_eq!((of("v.tif"), of("v")), ("v_1.tif".into(), "v_1".into()));
    }
}
