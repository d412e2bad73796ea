//! Files that are numbers behind a header: what a header says, and opening what it describes.

use std::fs::File;
use std::ops::Range;

use tiff::decoder::DecodingResult;

use super::contiguous::{Contiguous, bytes_of, read_at_most};
use super::{ArrayLayout, StoredArray, mrc, nifti, npy};
use crate::error::{Error, Result};
use crate::images::decoded::each_type;
use crate::images::file::Format;
use crate::images::numeric::ToFloat;
use crate::images::source::{SampleKind, SampleType};
use crate::memory;

/// As many bytes as the longest of the headers that are read.
pub(super) const START_BYTES: usize = npy::MOST_HEADER_BYTES + 12;

/// What the header of a file says whose numbers lie one behind the other.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) layout: ArrayLayout,
    /// Where the numbers begin.
    pub(super) offset: u64,
    pub(super) big_endian: bool,
    /// What each number is to be multiplied with, and what is added then.
    pub(super) scale: Option<(f64, f64)>,
}

impl Head {
    /// What the header says that stands in `start`, the first bytes of a file of this format; `None` for other formats.
    ///
    /// # Errors
    /// [`Error::Input`] for a header that is damaged or of an array that cannot be read.
    pub(super) fn of(name: &str, format: Format, start: &[u8]) -> Option<Result<Self>> {
        match format {
            Format::Npy => Some(npy::head(name, start)),
            Format::Mrc => Some(mrc::head(name, start)),
            Format::Nifti => Some(nifti::head(name, start)),
            _ => None,
        }
    }

    /// How long the file has to be at least.
    ///
    /// # Errors
    /// [`Error::Input`] for an array without numbers, and for more than can be counted.
    pub(super) fn end(&self, name: &str) -> Result<u64> {
        Ok(self.offset.saturating_add(bytes_of(name, &self.layout)?))
    }

    /// The array in `file`.
    ///
    /// # Errors
    /// As [`Contiguous::new`].
    pub(super) fn open(self, name: &str, file: File) -> Result<Box<dyn StoredArray>> {
        let Self { layout, offset, big_endian, scale } = self;
        let stored = Contiguous::new(name, file, offset, big_endian, layout)?;
        Ok(match scale {
            Some(scale) => Box::new(Scaled::new(stored, scale)),
            None => Box::new(stored),
        })
    }
}

/// The first bytes of `file` from `place` on, as many as a header may have or the file has.
///
/// # Errors
/// [`Error::Input`] where it cannot be read.
pub(super) fn start_of(name: &str, file: &File, place: u64) -> Result<Vec<u8>> {
    read_at_most(file, START_BYTES, place).map_err(|error| {
        Error::input(name, format!("cannot be read: {error}; check the disk")).caused_by(error)
    })
}

/// An array whose numbers stand for others: multiplied with one, and another added.
#[derive(Debug)]
struct Scaled {
    stored: Contiguous,
    layout: ArrayLayout,
    scale: (f64, f64),
}

impl Scaled {
    fn new(stored: Contiguous, scale: (f64, f64)) -> Self {
        let numbers = SampleType { kind: SampleKind::Float, bits: 32 };
        let layout = ArrayLayout { numbers, ..stored.layout().clone() };
        Self { stored, layout, scale }
    }
}

impl StoredArray for Scaled {
    fn name(&self) -> &str {
        self.stored.name()
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        let (factor, more) = self.scale;
        let stored = self.stored.read(part)?;
        each_type!(stored, values => {
            let what = format!("a part of {}", self.name());
            let mut scaled = memory::reserve(&what, values.len(), "read less of it at a time")?;
            scaled.extend(values.iter().map(|value| (value.to_float() * factor + more) as f32));
            Ok(DecodingResult::F32(scaled))
        })
    }
}
