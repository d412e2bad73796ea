//! The array that `predict` is given: an image, or several of equal size.

use msd_gpu::geometry::tiles::Tile;
use msd_gpu::geometry::{Extent, Window};
use msd_gpu::network::Measure;
use ndarray::Array3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{Mask, Numbers, wrong_shape};
use crate::errors::log_line;
use crate::sources::{Slices, Windows};

/// Where images come from.
enum Source<'py> {
    /// An array in memory, or what becomes one.
    Memory(Numbers<'py>),
    /// An array that is read slice by slice, or in parts of slices.
    Slices(Slices<'py>),
}

/// Images of equal size.
pub struct Stack<'py> {
    pub py: Python<'py>,
    /// The array itself.
    pub array: Bound<'py, PyAny>,
    source: Source<'py>,
    /// How many images there are; `None` for a single one, which comes back without that axis.
    pub count: Option<usize>,
    /// Whether images have an axis for channels.
    pub has_channels: bool,
    /// How images are brought to the range of those of training.
    pub rescale: Option<Measure>,
    /// Whether images are the slices of a volume, which tiles are of.
    pub is_volume: bool,
    /// The tiles in which images are read and computed; none where each is computed as a whole.
    pub tiles: Vec<Tile>,
}

impl<'py> Stack<'py> {
    /// An array for models of `inputs` channels. Three axes are a stack for models of images of one channel, and channels for others: with
    /// one channel, nobody needs an axis for it, and with several an image cannot be without.
    pub fn of(array: &Bound<'py, PyAny>, inputs: usize, rescale: Option<Measure>) -> PyResult<Self> {
        const NAME: &str = "array";
        let py = array.py();
        let source = match Windows::of(array, NAME)? {
            Some(windows) => Source::Slices(Slices::new(py, windows)),
            None => Source::Memory(Numbers::of(array, NAME)?),
        };
        let (array, tiles) = (array.clone(), Vec::new());
        let mut stack =
            Self { py, array, source, count: None, has_channels: false, rescale, is_volume: false, tiles };
        let shape = stack.shape();
        let (count, has_channels) = match (shape, inputs) {
            ([_, _], _) => (None, false),
            (&[count, _, _], 1) => (Some(count), false),
            ([_, _, _], _) => (None, true),
            (&[count, _, _, _], _) => (Some(count), true),
            _ => (Some(0), true),
        };
        if count == Some(0) {
            let wanted = match inputs {
                1 => "(y, x), (n, y, x) or (n, 1, y, x), with at least one image".to_owned(),
                _ => format!("({inputs}, y, x) or (n, {inputs}, y, x), with at least one image"),
            };
            return Err(wrong_shape(NAME, shape, &wanted));
        }
        let wanted = format!("with numpy.moveaxis({NAME}, -1, -3), channels come before rows and columns");
        match shape {
            [.., channels, _, last] if has_channels && *last == inputs && *channels != inputs => {
                let found = format!("{channels} channels, but {last} in its last axis");
                return Err(PyValueError::new_err(format!("{NAME} has {found}; {wanted}")));
            }
            // A stack of columns is unusual, but it is one.
            &[images, rows, 1] if !has_channels && images > 1 => {
                let found = format!("{NAME} is taken for {images} images of 1 x {rows} pixels");
                log_line(py, "warning", &format!("{found}; {wanted}"))?;
            }
            _ => {}
        }
        (stack.count, stack.has_channels) = (count, has_channels);
        Ok(stack)
    }

    fn shape(&self) -> &[usize] {
        match &self.source {
            Source::Memory(numbers) => numbers.shape(),
            Source::Slices(slices) => slices.windows.shape(),
        }
    }

    /// The rows and columns of an image.
    pub fn extent(&self) -> Extent {
        match self.shape() {
            &[.., height, width] => Extent::plane(height, width),
            _ => Extent::plane(0, 0),
        }
    }

    /// The channels of an image.
    pub fn channels(&self) -> usize {
        match self.shape() {
            &[.., channels, _, _] if self.has_channels => channels,
            _ => 1,
        }
    }

    /// The numbers of all images, `None` for a single one, as errors and results have them.
    pub fn indices(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        let count = self.count;
        (0..count.unwrap_or(1)).map(move |index| count.map(|_| index))
    }

    /// What the image at `index` is called in errors.
    pub fn name_of(&self, index: Option<usize>) -> String {
        match (&self.source, index) {
            (Source::Slices(slices), index) => slices.windows.name_of(index),
            (Source::Memory(numbers), None) => numbers.name().to_owned(),
            (Source::Memory(numbers), Some(index)) => format!("{}[{index}]", numbers.name()),
        }
    }

    /// The image at `index`, `[channel][y][x]`.
    pub fn image(&self, index: Option<usize>) -> PyResult<Array3<f32>> {
        match (&self.source, index) {
            (Source::Slices(slices), index) => slices.image(index),
            (Source::Memory(numbers), None) => numbers.whole_image(),
            (Source::Memory(numbers), Some(index)) => numbers.at(index)?.whole_image(),
        }
    }

    /// What gives windows of images, where they need not be in memory as a whole.
    pub fn windows(&self) -> Option<&Windows> {
        match &self.source {
            Source::Memory(_) => None,
            Source::Slices(slices) => Some(&slices.windows),
        }
    }

    /// Whether it is a masked array, whose results are masked, too.
    pub fn is_masked(&self) -> bool {
        matches!(&self.source, Source::Memory(numbers) if numbers.is_masked())
    }

    /// The masked pixels of the image at `index`.
    pub fn masked_pixels(&self, index: Option<usize>) -> PyResult<Option<Mask>> {
        match (&self.source, index) {
            (Source::Slices(_), _) => Ok(None),
            (Source::Memory(numbers), None) => numbers.masked_pixels(),
            (Source::Memory(numbers), Some(index)) => numbers.at(index)?.masked_pixels(),
        }
    }
}

/// Where in an array of results something belongs: the image, and the window of it where it is not the whole.
#[derive(Clone, Copy)]
pub struct Spot {
    pub index: Option<usize>,
    pub window: Option<Window>,
}
