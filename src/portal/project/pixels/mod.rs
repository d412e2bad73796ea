//! Labels of other programs that keep them as pixels with the names of classes, not as an image.
//!
//! - `labkit`: `.labeling` files of Labkit. `ilastik`: project files of ilastik.

mod ilastik;
mod labkit;

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;

use super::Image;
use crate::images::Hdf5File;
use crate::portal::journal::UNLABELLED;
use crate::{Error, Result, memory};

/// Bytes that a labelled pixel takes while it is sorted.
const PIXEL_BYTES: u64 = 32;

/// A class as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::portal) struct Named {
    pub(in crate::portal) name: String,
    /// Such as `#e6550d`.
    pub(in crate::portal) colour: Option<String>,
}

/// The labelled pixels of an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pixels {
    /// The classes, by the values that the pixels have, from 1 on.
    pub(super) names: BTreeMap<i64, Named>,
    /// Slice, row and column, and the value, in order; no pixel twice.
    pixels: Vec<([u32; 3], u8)>,
}

impl Pixels {
    /// Those that the file at `path` has for `image`; `None` where it is no such file.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file; [`Error::Mismatch`] for labels of another image, and of more than 254 classes.
    pub(super) fn read(path: &Path, image: &Image) -> Result<Option<Self>> {
        if let Some(pixels) = labkit::read(path, image)? {
            return Ok(Some(pixels));
        }
        match Hdf5File::open(path) {
            Ok(Some(file)) => ilastik::read(&file, image),
            // Other files, damaged ones too, are left to the reader of label images, which says what is wrong.
            _ => Ok(None),
        }
    }

    /// Brings pixels that were found one after the other in order: of those at one place, the last counts.
    fn of(names: BTreeMap<i64, Named>, mut pixels: Vec<([u32; 3], u8)>) -> Self {
        pixels.sort_by_key(|(place, _)| *place);
        pixels.reverse();
        pixels.dedup_by_key(|(place, _)| *place);
        pixels.reverse();
        Self { names, pixels }
    }

    /// The values, each with its pixels.
    pub(super) fn values(&self) -> BTreeMap<i64, u64> {
        let mut values = BTreeMap::new();
        for (_, value) in &self.pixels {
            *values.entry(i64::from(*value)).or_default() += 1;
        }
        values
    }

    /// The `rows` and all columns of a slice, where `label` says what each value becomes.
    pub(super) fn band(
        &self,
        slice: usize,
        rows: std::ops::Range<usize>,
        width: usize,
        label: impl Fn(i64) -> u8,
    ) -> Array2<i64> {
        let mut band = Array2::from_elem((rows.len(), width), i64::from(UNLABELLED));
        let place = |y: usize| [slice as u32, y as u32, 0];
        let first = self.pixels.partition_point(|(at, _)| *at < place(rows.start));
        let last = self.pixels.partition_point(|(at, _)| *at < place(rows.end));
        for ([_, y, x], value) in &self.pixels[first..last] {
            band[(*y as usize - rows.start, *x as usize)] = label(i64::from(*value)).into();
        }
        band
    }
}

/// The error for labels of an image of another size.
fn other_size(image: &Image, found: &str) -> Error {
    Error::Mismatch(format!(
        "the labels are of {found}, but {} has {} x {} pixels in {} slices; choose the image that they belong to",
        image.name, image.width, image.height, image.slices
    ))
}

/// The error for a file of more classes than labels can tell apart.
fn too_many() -> Error {
    Error::Mismatch("the file has more than 254 classes; save one with fewer".into())
}

/// Refuses more labelled pixels than there is memory for.
fn check_memory(pixels: u64) -> Result<()> {
    memory::check(
        "the labelled pixels of the file",
        pixels.saturating_mul(PIXEL_BYTES),
        "export the labels as an image",
    )
}
