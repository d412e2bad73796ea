//! The slices of an image in files, and reading parts of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array3, s};

use super::levels::Scale;
use crate::geometry::Window;
use crate::images::{Discovery, ImageCache, ImageSource, PartReader, page_size};
use crate::portal::journal::Shape;
use crate::{Error, Result};

/// Bytes of files that are decoded as a whole (PNG, JPEG) that are kept.
const DECODED_BYTES: u64 = 600 << 20;

/// An image of the project, as far as reading it goes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct ImageFile {
    pub(in crate::portal) id: String,
    /// The file, and where it is an array in one also which.
    pub(in crate::portal) place: String,
    /// Whether its slices are files.
    pub(in crate::portal) is_of_files: bool,
    pub(in crate::portal) shape: Shape,
    pub(in crate::portal) channels: usize,
    /// The smallest and the largest number.
    pub(in crate::portal) lowest: f64,
    pub(in crate::portal) highest: f64,
}

impl ImageFile {
    pub(super) fn scale(&self) -> Scale {
        Scale { lowest: self.lowest, highest: self.highest }
    }

    /// How many channels are shown: three as colours, else the first one.
    pub(super) fn shown(&self) -> usize {
        if self.channels == 3 { 3 } else { 1 }
    }
}

/// The slices of the image at `place`; with `is_of_files`, that are the files of a folder or pattern.
///
/// # Errors
/// Those of finding it.
pub(in crate::portal) fn pages_of(place: &str, is_of_files: bool) -> Result<Vec<ImageSource>> {
    Discovery { one_stack: is_of_files, ..Discovery::default() }.discover(place)
}

/// The slices of images that were opened, and what was decoded of them.
pub(super) struct Stacks {
    files: ImageCache,
    opened: Mutex<HashMap<String, Arc<Stack>>>,
}

/// The slices of an image.
struct Stack {
    pages: Vec<ImageSource>,
    /// Held while a file is decoded as a whole, so that not several threads do it at once.
    decoding: Mutex<()>,
    /// Held while the smaller levels of a slice are made.
    building: Mutex<()>,
}

impl Stacks {
    pub(super) fn new() -> Self {
        Self { files: ImageCache::new(DECODED_BYTES), opened: Mutex::default() }
    }

    fn stack(&self, file: &ImageFile) -> Result<Arc<Stack>> {
        let known = |opened: &HashMap<String, Arc<Stack>>| opened.get(&file.id).cloned();
        if let Some(stack) = known(&self.opened.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(stack);
        }
        let pages = pages_of(&file.place, file.is_of_files)?;
        let wanted = (file.channels, file.shape.height, file.shape.width);
        let first = pages.first().map(page_size).transpose()?;
        if pages.len() != file.shape.slices || first != Some(wanted) {
            return Err(Error::input(
                &file.place,
                "has another size than when it was added to the project; put the file back, or add it as a new image",
            ));
        }
        let stack = Arc::new(Stack { pages, decoding: Mutex::default(), building: Mutex::default() });
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(opened.entry(file.id.clone()).or_insert(stack).clone())
    }

    /// Forgets an image that was taken out of the project.
    pub(super) fn close(&self, id: &str) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// A part of a slice, `[channel][y][x]`; what is no finite number is the smallest number of the image.
    pub(super) fn read(&self, file: &ImageFile, slice: usize, part: &Window) -> Result<Array3<f32>> {
        let stack = self.stack(file)?;
        let page = stack.pages.get(slice).ok_or_else(|| {
            Error::Mismatch(format!("{} has {} slices, not {slice}", file.place, stack.pages.len()))
        })?;
        let is_decoded_whole = PartReader::held_bytes(page) > 0;
        let one = is_decoded_whole.then(|| stack.decoding.lock().unwrap_or_else(PoisonError::into_inner));
        let mut values = self.files.image(page, part)?;
        drop(one);
        let lowest = file.lowest as f32;
        values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = lowest);
        Ok(values)
    }

    /// As [`Self::read`], of the channels that are shown.
    pub(super) fn read_shown(&self, file: &ImageFile, slice: usize, part: &Window) -> Result<Array3<f32>> {
        let values = self.read(file, slice, part)?;
        let shown = file.shown();
        Ok(if shown == values.dim().0 { values } else { values.slice_move(s![..shown, .., ..]) })
    }

    /// Lets one thread at a time make the smaller levels of slices of an image.
    pub(super) fn alone<T>(&self, file: &ImageFile, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let stack = self.stack(file)?;
        let _alone = stack.building.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}
