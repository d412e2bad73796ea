//! Results that become a stack in a file of any format: numbers that come part by part, image after image.
//!
//! - [`NewStack`]: what the file will hold. [`StackFile`]: what a format does with it.
//! - `create`: a file by its format and content ([`StackFormat`], [`Content`]). `png_file`: one large image to a PNG file.
//! - `fixed`: files in which each number has its place beforehand. `array_file`: numbers of one type behind a header, in such a
//!   file; `npy`, `mrc`, `nifti`: the headers of such formats, and `shape` the axes as they have them.
//! - `hdf5`, `hdf5_format`: HDF5. `zarr`: OME-Zarr.
//! - `sink`: results of one type to a stack ([`StackSink`]). `new_place`: the file that people name, and the dataset in it.

mod array_file;
mod create;
mod fixed;
mod hdf5;
mod hdf5_format;
mod mrc;
mod new_place;
mod nifti;
mod npy;
mod png_file;
mod shape;
mod sink;
mod zarr;

use std::ops::Range;
use std::path::PathBuf;

use tiff::decoder::DecodingResult;

pub use create::{Content, StackFormat};
pub(super) use fixed::{FixedFile, Places};
pub use new_place::NewPlace;
pub use sink::StackSink;
pub(super) use sink::{Store, store_labels};
pub use zarr::SharedStack;

use super::source::SampleType;
use super::tiff::StackLayout;
use crate::error::Result;
use crate::geometry::{Extent, Window};

/// A stack that is to be written.
#[derive(Debug, Clone)]
pub struct NewStack {
    /// The name that the file or folder gets once all of it is there.
    pub path: PathBuf,
    /// How many images there are, and their rows and columns.
    pub extent: Extent,
    /// How many numbers each pixel has.
    pub channels: usize,
    /// How images lie along axes, and how large a pixel is; `None` for one image of which nothing is said.
    pub layout: Option<StackLayout>,
    /// Of labels, the classes. None for values.
    pub classes: Vec<ClassLook>,
    /// Whether to go on with an unfinished file that a stopped program left.
    pub resume: bool,
    /// How many images at the beginning, or of `share`, that program has written.
    pub written: usize,
    /// What the stack is a result of, where that is known. OME-Zarr holds it.
    pub work: Option<String>,
    /// The images that this program writes, where others write the others at the same time, for the same `work`; in formats
    /// that [can be shared](StackFormat::can_be_shared) alone.
    pub share: Option<Range<usize>>,
    /// The dataset of an HDF5 file; `None` for `/data`. Other formats have none.
    pub dataset: Option<String>,
}

/// A stack of numbers of one type.
#[derive(Debug, Clone)]
struct TypedStack {
    path: PathBuf,
    extent: Extent,
    channels: usize,
    numbers: SampleType,
    layout: StackLayout,
    classes: Vec<ClassLook>,
    resume: bool,
    written: usize,
    work: Option<String>,
    share: Option<Range<usize>>,
    dataset: Option<String>,
}

impl NewStack {
    /// A stack of `extent` and one channel, of which nothing more is said and nothing written.
    pub fn new(path: impl Into<PathBuf>, extent: Extent) -> Self {
        Self {
            path: path.into(),
            extent,
            channels: 1,
            layout: None,
            classes: Vec::new(),
            resume: false,
            written: 0,
            work: None,
            share: None,
            dataset: None,
        }
    }

    fn of_type(&self, numbers: SampleType) -> TypedStack {
        let NewStack { path, extent, channels, layout, classes, resume, written, work, share, dataset } =
            self.clone();
        let layout = layout.unwrap_or_else(|| StackLayout::slices(extent.z));
        TypedStack { path, extent, channels, numbers, layout, classes, resume, written, work, share, dataset }
    }

    /// The images that this program writes.
    fn own_images(&self) -> Range<usize> {
        self.share.clone().unwrap_or(0..self.extent.z)
    }
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
pub trait StackFile: Send {
    /// Whether [`StackFile::put`] takes parts of images, in any order; else it is given whole images only, in order.
    fn takes_parts(&self) -> bool;

    /// Whether it takes whole rows of an image too, from the first one to the last.
    fn takes_rows(&self) -> bool {
        self.takes_parts()
    }

    /// Writes numbers `[channel][image][y][x]`, as many as `part` has pixels times channels, of the stack's type. When this
    /// returns, they are in the hands of the system, so that they stay when the program is killed.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the file cannot be written.
    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()>;

    /// Leaves what is unfinished when this is dropped, for another run to go on with; else it is removed then.
    fn keep(&mut self);

    /// Finishes the file and gives it its name, over what was there. All images have been put.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the file cannot be written.
    fn done(self: Box<Self>) -> Result<()>;
}

impl StackFile for Box<dyn StackFile> {
    fn takes_parts(&self) -> bool {
        (**self).takes_parts()
    }

    fn takes_rows(&self) -> bool {
        (**self).takes_rows()
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        (**self).put(part, numbers)
    }

    fn keep(&mut self) {
        (**self).keep();
    }

    fn done(self: Box<Self>) -> Result<()> {
        (*self).done()
    }
}

#[cfg(test)]
mod tests;
