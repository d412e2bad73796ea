//! Scans in files: projections at angles, with images of the beam alone and of darkness.
//!
//! - `dxchange`, `nxtomo`, `als`: the layouts of HDF5 files of synchrotrons. `stack`: projections in any image files, with angles
//!   beside them. `angles`, `pixel`: the angles of all of these, and how large a pixel is.

mod als;
mod angles;
mod dxchange;
mod nxtomo;
mod pixel;
mod raw;
mod stack;

#[cfg(test)]
mod tests;

pub use raw::RawScan;

use std::ops::Range;
use std::path::Path;

use ndarray::{Array3, Axis};

use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::units::{MICROMETRE, factor, sign};
use crate::images::{Discovery, Hdf5File, ImageSource, Slices, Volume, VoxelSize, check_other};

/// What a scan is taken from, where its file does not say it, or not rightly.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ScanFiles {
    /// Images of the beam without the object; `None` for those in the scan's own file.
    pub flats: Option<String>,
    /// Images without the beam.
    pub darks: Option<String>,
    /// A text file with an angle in degrees on each line.
    pub angles: Option<String>,
    /// From the first projection to where one more would be, in degrees, where no angles are known: 180 or 360.
    pub range: Option<f64>,
}

/// A scan: raw projections and what belongs to them. Nothing is read but what was asked for.
#[derive(Debug, Clone)]
pub struct Scan {
    name: String,
    /// How the file lays it out, for people.
    layout: &'static str,
    projections: Slices,
    flats: Option<Slices>,
    darks: Option<Slices>,
    /// The number that all flat fields are, where the file has no images of them.
    flat_value: Option<f32>,
    /// In radians, one for each projection.
    angles: Vec<f64>,
    voxel_size: Option<VoxelSize>,
    notes: Vec<String>,
}

/// What a layout found, before angles are in radians and frames are in order.
struct Found {
    layout: &'static str,
    projections: Vec<ImageSource>,
    flats: Vec<ImageSource>,
    darks: Vec<ImageSource>,
    flat_value: Option<f32>,
    angles: Option<angles::Angles>,
    /// How wide a pixel is in the plane of the object, in metres.
    pixel: Option<f64>,
    /// What people are to know.
    notes: Vec<String>,
}

impl Scan {
    /// The scan in the file, folder or pattern `p`: HDF5 as DXchange, NXtomo or the beamline 8.3.2 of the ALS lay it out, also the group of
    /// it that stands behind a colon, or images in any files.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read, [`Error::Mismatch`] for angles or frames that do not fit the projections,
    /// [`Error::Setting`] where angles are missing.
    pub fn open(p: &str, files: &ScanFiles) -> Result<Self> {
        let (path, within) = match p.rsplit_once(":/") {
            Some((path, group)) if Path::new(path).is_file() => (path, Some(format!("/{group}"))),
            _ => (p, None),
        };
        let within = within.as_deref().map(|group| group.trim_end_matches('/'));
        let hdf5 = match Path::new(path).is_file() {
            true => Hdf5File::open(Path::new(path))?,
            false => None,
        };
        let found = match &hdf5 {
            Some(file) => {
                let mut all = file.datasets()?;
                if let Some(group) = within {
                    all.retain(|dataset| {
                        dataset.place.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
                    });
                }
                let layouts = [dxchange::find, nxtomo::find, als::find];
                let found = layouts.iter().find_map(|find| find(path, file, within, &all).transpose());
                let found = found.transpose()?;
                match found {
                    Some(found) => found,
                    None => stack::find(p)?,
                }
            }
            None => stack::find(p)?,
        };
        Self::of(p, found, files)
    }

    fn of(p: &str, found: Found, files: &ScanFiles) -> Result<Self> {
        let mut notes = found.notes;
        let projections = Slices::new(p, found.projections)?;
        let count = projections.extent().z;
        let given = files.angles.as_deref().map(angles::Angles::read).transpose()?;
        let angles = match (given.or(found.angles), files.range) {
            (Some(angles), None) => angles.in_radians(p, count, &mut notes)?,
            (_, Some(range)) => angles::over(range, count)?,
            (None, None) => {
                let wanted = "the file does not say at which angles it was scanned; give `range` (180 or 360 degrees), or `angles` (a text file with one on each line)";
                return Err(Error::setting("angles", "missing", wanted));
            }
        };
        let frames = |given: &Option<String>, found: Vec<ImageSource>, what: &str| {
            let frames = match given {
                Some(p) => Discovery::default().discover_single_channel(p)?,
                None => found,
            };
            if frames.is_empty() {
                return Ok(None);
            }
            let frames = Slices::new(format!("the {what} of {p}"), frames)?;
            let (wanted, found) = (projections.extent(), frames.extent());
            if (wanted.y, wanted.x) != (found.y, found.x) {
                return Err(Error::Mismatch(format!(
                    "the {what} of {p} are {} x {} pixels but its projections {} x {}; wanted the same size",
                    found.x, found.y, wanted.x, wanted.y
                )));
            }
            Ok(Some(frames))
        };
        let flats = frames(&files.flats, found.flats, "flat fields")?;
        let darks = frames(&files.darks, found.darks, "dark fields")?;
        let voxel_size = found.pixel.map(|metres| square(1e6 * metres));
        let voxel_size = voxel_size.or_else(|| projections.voxel_size().cloned());
        Ok(Self {
            name: p.to_owned(),
            layout: found.layout,
            flat_value: found.flat_value.filter(|_| flats.is_none()),
            projections,
            flats,
            darks,
            angles,
            voxel_size,
            notes,
        })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its file lays it out, such as `DXchange`.
    pub fn layout(&self) -> &'static str {
        self.layout
    }

    /// Refuses an output that would take the place of what is read.
    pub(super) fn check_other(&self, out: &Path) -> Result<()> {
        let frames = self.flats.iter().chain(&self.darks);
        std::iter::once(&self.projections).chain(frames).try_for_each(|read| check_other(out, read.pages()))
    }

    /// What there is to know of how the file was taken, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The angles of the projections in radians.
    pub fn angles(&self) -> &[f64] {
        &self.angles
    }

    /// Rows and columns of a projection.
    pub fn size(&self) -> (usize, usize) {
        let extent = self.projections.extent();
        (extent.y, extent.x)
    }

    /// How large a pixel of the detector is in the plane of the object, where that is known.
    pub fn voxel_size(&self) -> Option<&VoxelSize> {
        self.voxel_size.as_ref()
    }

    /// How wide a pixel is, in centimetres, where that is known.
    pub fn centimetres(&self) -> Option<f64> {
        let size = self.voxel_size.as_ref()?;
        Some(size.x * factor(sign(&size.unit), "cm")?)
    }

    /// The same scan, of square pixels so many `micrometres` wide, whatever its file says.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is no width.
    pub fn with_pixel_size(self, micrometres: f64) -> Result<Self> {
        if !(micrometres.is_finite() && micrometres > 0.0) {
            return Err(Error::setting("pixel_size", micrometres, "it must be a number above 0"));
        }
        Ok(Self { voxel_size: Some(square(micrometres)), ..self })
    }

    /// How many images there are of the beam alone, and of darkness.
    pub fn frames(&self) -> (usize, usize) {
        let count = |frames: &Option<Slices>| {
            frames.as_ref().map_or(0, |frames| frames.extent().z * frames.channels())
        };
        (count(&self.flats), count(&self.darks))
    }

    /// The number that stands for all flat fields, where the file has one in their place.
    pub fn flat_value(&self) -> Option<f32> {
        self.flat_value
    }

    /// The same scan, with some of its projections only, by their numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] where none is left.
    pub fn with_projections(self, wanted: impl Iterator<Item = usize>) -> Result<Self> {
        let chosen: Vec<usize> = wanted.filter(|number| *number < self.angles.len()).collect();
        if chosen.is_empty() {
            let found = format!("none of {}", self.angles.len());
            return Err(Error::setting("the projections", found, "at least one must be left"));
        }
        let pages = self.projections.pages();
        let pages: Vec<ImageSource> = chosen.iter().map(|&number| pages[number].clone()).collect();
        let angles = chosen.iter().map(|&number| self.angles[number]).collect();
        Ok(Self { projections: Slices::new(self.name.clone(), pages)?, angles, ..self })
    }

    /// Raw numbers of some rows of all projections, `[angle][row][column]`.
    ///
    /// # Errors
    /// As [`Volume::read`].
    pub fn projections(&self, rows: Range<usize>) -> Result<Array3<f32>> {
        all_rows(&self.projections, rows)
    }

    /// Raw numbers of some rows of all images of the beam alone, `[image][row][column]`; `None` where there are none.
    ///
    /// # Errors
    /// As [`Volume::read`].
    pub fn flats(&self, rows: Range<usize>) -> Result<Option<Array3<f32>>> {
        self.flats.as_ref().map(|flats| all_frames(flats, rows)).transpose()
    }

    /// Raw numbers of some rows of all images without the beam, `[image][row][column]`; `None` where there are none.
    ///
    /// # Errors
    /// As [`Volume::read`].
    pub fn darks(&self, rows: Range<usize>) -> Result<Option<Array3<f32>>> {
        self.darks.as_ref().map(|darks| all_frames(darks, rows)).transpose()
    }
}

fn square(micrometres: f64) -> VoxelSize {
    VoxelSize { z: micrometres, y: micrometres, x: micrometres, unit: MICROMETRE.into() }
}

fn all_rows(volume: &Slices, rows: Range<usize>) -> Result<Array3<f32>> {
    let extent = volume.extent();
    let window = Window::new(0..extent.z, rows, 0..extent.x);
    if volume.channels() != 1 {
        let problem = format!(
            "{} has {} channels; wanted grey images, name one channel",
            volume.name(),
            volume.channels()
        );
        return Err(Error::Mismatch(problem));
    }
    volume.read(window).map(|numbers| numbers.index_axis_move(Axis(0), 0))
}

/// The same of flat or dark fields, of which three or four in a TIFF file are taken for the channels of one image by programs that write
/// them: each channel is an image.
fn all_frames(frames: &Slices, rows: Range<usize>) -> Result<Array3<f32>> {
    let extent = frames.extent();
    let found = frames.read(Window::new(0..extent.z, rows, 0..extent.x))?;
    let (channels, count, height, width) = found.dim();
    found
        .into_shape_with_order((channels * count, height, width))
        .map_err(|_| Error::Mismatch(format!("{} cannot be read as single images", frames.name())))
}

/// The images of the dataset at `place` in the HDF5 file `p`, whose `axes` are Y, X and, for several images, Z.
///
/// # Errors
/// As [`Discovery::discover`].
fn images_of(p: &str, place: &str, axes: &str) -> Result<Vec<ImageSource>> {
    Discovery::new(Some(axes.into()), None, false).discover(&format!("{p}:{place}"))
}
