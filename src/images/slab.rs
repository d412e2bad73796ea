//! Slices with their neighbours as channels, so that a two-dimensional network sees a little of the third dimension.
//!
//! A slab of 5 at slice 10 has the channels of slices 8, 9, 10, 11 and 12, in this order. Where the volume ends it is
//! mirrored about its last slice: at slice 0 these are 2, 1, 0, 1 and 2. Slices are read where they lie; nothing is copied.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::decode::header;
use super::notices::warn_once;
use super::source::{Header, ImageSource};
use crate::error::{Error, Result};
use crate::geometry::mirrored;

/// Most slices in a slab; beyond this a network in three dimensions is wanted.
pub(crate) const MOST_SLICES: usize = 63;

/// Where the slices of a slab are.
#[derive(Debug, Clone)]
pub(super) struct Slab {
    /// All slices of the volume, in order.
    volume: Arc<[ImageSource]>,
    /// The middle one.
    at: usize,
    /// How many there are, an odd number.
    thickness: usize,
}

/// Slabs are the same that have the same slices of one volume.
impl PartialEq for Slab {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &ImageSource, b: &ImageSource| a.place() == b.place() && a.page == b.page;
        (self.at, self.thickness) == (other.at, other.thickness)
            && (Arc::ptr_eq(&self.volume, &other.volume)
                || self.volume.len() == other.volume.len()
                    && self.volume.iter().zip(other.volume.iter()).all(|(a, b)| same(a, b)))
    }
}

impl Eq for Slab {}

impl Slab {
    /// The slices, in the order of the channels.
    pub(super) fn slices(&self) -> impl ExactSizeIterator<Item = &ImageSource> {
        let first = self.at as isize - (self.thickness / 2) as isize;
        let count = self.volume.len();
        (0..self.thickness).map(move |place| &self.volume[mirrored(first + place as isize, count)])
    }
}

impl ImageSource {
    /// Of a slab, its slice in the middle by itself; else the image as it is.
    pub(crate) fn middle(&self) -> &ImageSource {
        self.slab.as_ref().map_or(self, |slab| &slab.volume[slab.at])
    }
}

/// Which of the images of a file follow each other in space: those whose numbers are `step` apart, `length` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) step: usize,
    pub(super) length: usize,
}

impl Run {
    /// Of images that lie along `axes`, outermost first: along Z, where that is one of them, else along the last.
    pub(super) fn along(axes: &[(char, usize)]) -> Self {
        let place = axes.iter().position(|(axis, _)| *axis == 'Z').or(axes.len().checked_sub(1));
        let Some(place) = place else { return Self { step: 1, length: 1 } };
        let step = axes[place + 1..].iter().map(|(_, length)| length).product();
        Self { step, length: axes[place].1 }
    }
}

/// Refuses a thickness that no slab has.
///
/// # Errors
/// [`Error::Setting`].
pub(crate) fn check_slab(thickness: usize) -> Result<()> {
    if thickness % 2 == 1 && thickness <= MOST_SLICES {
        return Ok(());
    }
    let wanted =
        format!("it must be an odd number from 1 to {MOST_SLICES}: a slice and as many on either side");
    Err(Error::setting("slab", thickness, wanted))
}

/// The images of one file as slabs; `run` says which of them follow each other.
///
/// # Errors
/// [`Error::Mismatch`] for slices that differ.
pub(super) fn of_stack(images: Vec<ImageSource>, run: Run, thickness: usize) -> Result<Vec<ImageSource>> {
    let Run { step, length } = run;
    // Where images are missing, their numbers say nothing.
    if step * length == 0 || !images.len().is_multiple_of(step * length) {
        return of_volume(images, thickness);
    }
    let mut volumes: BTreeMap<usize, Vec<ImageSource>> = BTreeMap::new();
    for (number, image) in images.into_iter().enumerate() {
        volumes.entry(number / (step * length) * step + number % step).or_default().push(image);
    }
    let mut slabs = Vec::new();
    for volume in volumes.into_values() {
        slabs.extend(of_volume(volume, thickness)?);
    }
    Ok(slabs)
}

/// Images in files of their own as slabs of the volumes that the images of a folder are.
///
/// # Errors
/// [`Error::Mismatch`] for slices that differ.
pub(super) fn of_folders(images: Vec<ImageSource>, thickness: usize) -> Result<Vec<ImageSource>> {
    let mut folders: BTreeMap<PathBuf, Vec<ImageSource>> = BTreeMap::new();
    let mut slabs = Vec::new();
    for image in images {
        match image.slab {
            Some(_) => slabs.push(image),
            None => {
                let folder = image.path.parent().map(PathBuf::from).unwrap_or_default();
                folders.entry(folder).or_default().push(image);
            }
        }
    }
    for volume in folders.into_values() {
        slabs.extend(of_volume(volume, thickness)?);
    }
    Ok(slabs)
}

/// Slices that follow each other as slabs.
fn of_volume(slices: Vec<ImageSource>, thickness: usize) -> Result<Vec<ImageSource>> {
    let mut first: Option<(String, Header)> = None;
    for slice in &slices {
        // Reading tells what is wrong with a header.
        let Ok(found) = header(slice) else { continue };
        match &first {
            Some((name, first)) => {
                first.check_slice(name, &slice.name(), &found).map_err(|error| match error {
                    Error::Mismatch(problem) => {
                        Error::Mismatch(format!("{problem}, which `slab` makes of them"))
                    }
                    other => other,
                })?;
            }
            None => first = Some((slice.name(), found)),
        }
    }
    if let [only] = slices.as_slice() {
        warn_once(format!(
            "{} is a single slice: its neighbours in slabs of {thickness} are the slice itself",
            only.name()
        ));
    }
    let volume: Arc<[ImageSource]> = slices.into();
    let slab = |at: usize| {
        let middle = volume[at].clone();
        let header = header(&middle).ok();
        let header = header.map(|header| Header { channels: header.channels * thickness, ..header });
        ImageSource { header, slab: Some(Slab { volume: volume.clone(), at, thickness }), ..middle }
    };
    Ok((0..volume.len()).map(slab).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, s};

    use super::*;
    use crate::geometry::Window;
    use crate::images::{Discovery, PartReader, page_size, read_image, write_png_grey8, write_tiff_f32};

    fn slabs(path: &std::path::Path, discovery: &Discovery) -> Vec<ImageSource> {
        discovery.discover(path.to_str().unwrap()).unwrap()
    }

    fn numbers(image: &Array3<f32>) -> Vec<f32> {
        image.slice(s![.., 0, 0]).to_vec()
    }

    #[test]
    fn neighbours_are_channels_and_ends_are_mirrored() {
        let folder = tempfile::tempdir().unwrap();
        let discovery = Discovery { slab: 5, ..Discovery::default() };
        for z in 0..4_u8 {
            let slice = Array2::from_shape_fn((3, 2), |(y, x)| 10 * z + (2 * y + x) as u8);
            write_png_grey8(folder.path().join(format!("z{z}.png")), &slice).unwrap();
        }
        let found = slabs(folder.path(), &discovery);
        let all: Vec<_> = found.iter().map(|slab| numbers(&read_image(slab).unwrap())).collect();
        let wanted = [[20, 10, 0, 10, 20], [10, 0, 10, 20, 30], [0, 10, 20, 30, 20], [10, 20, 30, 20, 10]];
        assert_eq!(all, wanted.map(|slab| slab.map(|v| v as f32).to_vec()));
        assert_eq!(page_size(&found[0]).unwrap(), (5, 3, 2));
        assert!(found[2].name().ends_with("z2.png"), "{}", found[2].name());
        // A part is that part of all slices.
        let whole = read_image(&found[1]).unwrap();
        let window = Window::plane(1..3, 1..2);
        let part = PartReader::open(&found[1]).unwrap().read(&window).unwrap();
        assert_eq!(part, whole.slice(s![.., 1..3, 1..2]));
        // Slices that are chosen keep their neighbours.
        let chosen = slabs(folder.path(), &Discovery { slices: Some("2".into()), ..discovery });
        assert_eq!(chosen.len(), 1);
        assert_eq!(numbers(&read_image(&chosen[0]).unwrap()), [0.0, 10.0, 20.0, 30.0, 20.0]);
    }

    #[test]
    fn images_of_another_time_are_no_neighbours() {
        assert_eq!(Run::along(&[('T', 3), ('Z', 4)]), Run { step: 1, length: 4 });
        assert_eq!(Run::along(&[('Z', 4), ('T', 3)]), Run { step: 3, length: 4 });
        assert_eq!(Run::along(&[('T', 3)]), Run { step: 1, length: 3 });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.npy");
        // Two times of three slices: the numbers are 10 t + z.
        let values = ndarray::Array4::from_shape_fn((2, 3, 2, 2), |(t, z, ..)| (10 * t + z) as f32);
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2, 2), }";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let padded = format!("{header:<117}\n");
        bytes.extend((padded.len() as u16).to_le_bytes());
        bytes.extend(padded.as_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        let discovery = Discovery { slab: 3, axes: Some("TZYX".into()), ..Discovery::default() };
        let all: Vec<_> =
            slabs(&path, &discovery).iter().map(|slab| numbers(&read_image(slab).unwrap())).collect();
        let wanted = [[1, 0, 1], [0, 1, 2], [1, 2, 1], [11, 10, 11], [10, 11, 12], [11, 12, 11]];
        assert_eq!(all, wanted.map(|slab| slab.map(|v| v as f32).to_vec()));
    }

    #[test]
    fn slices_that_differ_are_named_and_thicknesses_that_cannot_be_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_tiff_f32(folder.path().join("a.tif"), &Array3::zeros((1, 3, 2))).unwrap();
        write_tiff_f32(folder.path().join("b.tif"), &Array3::zeros((1, 2, 2))).unwrap();
        let discovery = Discovery { slab: 3, ..Discovery::default() };
        let error = discovery.discover(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("b.tif has 2 x 2 pixels") && error.contains("slab"), "{error}");
        for wrong in [0, 2, MOST_SLICES + 2] {
            assert!(check_slab(wrong).unwrap_err().to_string().contains("odd"));
        }
        assert!(check_slab(1).and(check_slab(MOST_SLICES)).is_ok());
    }
}
