//! Results that become a stack in a file of any format: numbers that come part by part, image after image.
//!
//! - [`NewStack`]: what the file will hold. [`StackFile`]: what a format does with it.
//! - `shape`: the axes of a stack as arrays have them. `fixed`: files whose numbers lie at places that are known beforehand;
//!   `npy`, `mrc`, `nifti`: the headers of such formats. `hdf5`, `hdf5_format`: HDF5.
//! - [`create`]: the file of a stack in one of these formats.

mod fixed;
mod hdf5;
mod hdf5_format;
mod mrc;
mod nifti;
mod npy;
mod shape;

use std::path::PathBuf;

use tiff::decoder::DecodingResult;

use super::source::SampleType;
use super::tiff::StackLayout;
use crate::error::Result;
use crate::geometry::{Extent, Window};

/// A stack that is to be written.
#[derive(Debug, Clone)]
pub(super) struct NewStack {
    /// The name that the file or folder gets once all of it is there.
    pub(super) path: PathBuf,
    /// How many images there are, and their rows and columns.
    pub(super) extent: Extent,
    /// How many numbers each pixel has.
    pub(super) channels: usize,
    /// The type of each number.
    pub(super) numbers: SampleType,
    /// How images lie along axes, and how large a pixel is.
    pub(super) layout: StackLayout,
    /// Of labels, the classes: value, name, and colour as red, green and blue. None for values.
    pub(super) classes: Vec<ClassLook>,
    /// How many images at the beginning have been written before, by a program that was stopped; the unfinished file has them.
    pub(super) written: usize,
}

/// What a class of a label stack is called and how it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassLook {
    /// The value of its pixels.
    pub value: i64,
    /// Its name.
    pub name: String,
    /// Red, green and blue.
    pub colour: [u8; 3],
}

/// A stack on its way into a file or folder.
///
/// What is unfinished lies under another name (see [`crate::files`]), beside the place of the finished one, and is found there
/// again when the program was killed and is started anew.
pub(super) trait StackFile: Send {
    /// Whether [`StackFile::put`] takes parts of images, in any order; else it is given whole images only, in order.
    fn takes_parts(&self) -> bool;

    /// Writes numbers `[channel][image][y][x]`, as many as `part` has pixels times channels, of the stack's type. When this
    /// returns, they are in the hands of the system, so that they stay when the program is killed.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the file cannot be written.
    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()>;

    /// Finishes the file and gives it its name, over what was there. All images have been put.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the file cannot be written.
    fn done(self: Box<Self>) -> Result<()>;
}

/// A format that holds an array of any number of axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArrayFormat {
    /// HDF5, with the place of the dataset.
    Hdf5(String),
    Mrc,
    Nifti,
    Npy,
}

/// Begins the file of `stack`, or goes on with it where images have been written.
///
/// # Errors
/// [`crate::Error::Output`] where no file can be made, the format does not have such numbers or sizes, or the unfinished file with
/// what has been written is not there.
pub(super) fn create(stack: NewStack, format: &ArrayFormat) -> Result<Box<dyn StackFile>> {
    match format {
        ArrayFormat::Hdf5(place) => hdf5::create(stack, place),
        ArrayFormat::Mrc => mrc::create(stack),
        ArrayFormat::Nifti => nifti::create(stack),
        ArrayFormat::Npy => npy::create(stack),
    }
}

#[cfg(test)]
mod tests;
