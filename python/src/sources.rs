//! Arrays that are read in pieces: datasets of h5py, arrays of zarr and dask, memory maps, and whatever else has a shape, a dtype and
//! slicing.

use std::cell::RefCell;
use std::ops::Range;

use msd_gpu::geometry::Window;
use ndarray::Array3;
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};

use crate::arrays::{Numbers, not_numbers, tuple};
use crate::chunks::Runs;

/// The type of the numbers of an array, by its attribute `dtype`; `None` where that is none of NumPy's.
pub fn dtype_of<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyArrayDescr>>> {
    // NumPy takes None for a type, too.
    let Some(dtype) = array.getattr_opt("dtype")?.filter(|dtype| !dtype.is_none()) else { return Ok(None) };
    let dtype = array.py().import("numpy")?.call_method1("dtype", (dtype,));
    Ok(dtype.ok().and_then(|dtype| dtype.cast_into().ok()))
}

/// The shape of an array, by its attribute `shape`.
pub fn shape_of(array: &Bound<'_, PyAny>) -> PyResult<Option<Vec<usize>>> {
    Ok(array.getattr_opt("shape")?.and_then(|shape| shape.extract().ok()))
}

/// A range as Python's slice.
pub fn slice(py: Python<'_>, range: Range<usize>) -> PyResult<Bound<'_, PySlice>> {
    let (Ok(start), Ok(end)) = (isize::try_from(range.start), isize::try_from(range.end)) else {
        return Err(PyValueError::new_err(format!(
            "the axis of an array is longer than the {} that this machine counts to",
            isize::MAX
        )));
    };
    Ok(PySlice::new(py, start, end, 1))
}

/// The place of a window in an array: `index` along the first axis where images are stacked, then channels where there are any.
pub fn place<'py>(
    py: Python<'py>,
    index: Option<usize>,
    channels: Option<usize>,
    window: &Window,
) -> PyResult<Bound<'py, PyTuple>> {
    let mut parts = Vec::new();
    if let Some(index) = index {
        parts.push(index.into_pyobject(py)?.into_any());
    }
    if let Some(channels) = channels {
        parts.push(slice(py, 0..channels)?.into_any());
    }
    for range in [window.rows(), window.columns()] {
        parts.push(slice(py, range)?.into_any());
    }
    PyTuple::new(py, parts)
}

/// An array whose windows are read when they are asked for.
pub struct Windows {
    array: Py<PyAny>,
    name: String,
    shape: Vec<usize>,
    /// Bytes of a number.
    item_bytes: usize,
}

impl Windows {
    /// `None` for what is in memory, or says no shape or type: that is converted as a whole. `name` is what it is called in errors.
    pub fn of(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Self>> {
        let numpy = array.py().import("numpy")?;
        let is_mapped = array.is_instance(&numpy.getattr("memmap")?)?;
        if array.cast::<PyUntypedArray>().is_ok() && !is_mapped {
            return Ok(None);
        }
        if !array.hasattr("__getitem__")? {
            return Ok(None);
        }
        let (Some(shape), Some(dtype)) = (shape_of(array)?, dtype_of(array)?) else { return Ok(None) };
        if !b"biuf".contains(&dtype.kind()) {
            return Err(not_numbers(name, &dtype));
        }
        let item_bytes = dtype.itemsize();
        Ok(Some(Self { array: array.clone().unbind(), name: name.to_owned(), shape, item_bytes }))
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the image at `index` is called.
    pub fn name_of(&self, index: Option<usize>) -> String {
        index.map_or_else(|| self.name.clone(), |index| format!("{}[{index}]", self.name))
    }

    /// The lengths of channels, where there are any.
    fn channels(&self, index: Option<usize>) -> Option<usize> {
        let axes = &self.shape[usize::from(index.is_some())..];
        (axes.len() == 3).then(|| axes[0])
    }

    /// What the array gives for `key`, which has to be of the shape `wanted`.
    fn ask<'py>(&self, key: Bound<'py, PyAny>, wanted: &[usize], name: String) -> PyResult<Numbers<'py>> {
        let py = key.py();
        py.check_signals()?;
        let numbers = Numbers::of(&self.array.bind(py).get_item(key)?, name)?;
        if numbers.shape() != wanted {
            return Err(PyValueError::new_err(format!(
                "{} came in the shape {} where {} was asked for, which the shape {} of {} says; give an array whose slices are as its shape says",
                numbers.name(),
                tuple(numbers.shape()),
                tuple(wanted),
                tuple(&self.shape),
                self.name
            )));
        }
        if numbers.has_masked()? {
            return Err(PyValueError::new_err(format!(
                "{} has masked pixels, which are known of masked arrays in memory alone; give one of these, or fill them before",
                numbers.name()
            )));
        }
        Ok(numbers)
    }

    /// The pixels of a window of the image at `index`, `[channel][y][x]`.
    pub fn patch(&self, py: Python<'_>, index: Option<usize>, window: &Window) -> PyResult<Array3<f32>> {
        let channels = self.channels(index);
        let mut wanted: Vec<usize> = channels.into_iter().collect();
        wanted.extend([window.extent.y, window.extent.x]);
        let key = place(py, index, channels, window)?.into_any();
        self.ask(key, &wanted, self.name_of(index))?.whole_image()
    }
}

/// The slices of an array in order, of which those that lie together are read together.
pub struct Slices<'py> {
    pub windows: Windows,
    py: Python<'py>,
    runs: Runs,
    /// The number of the first slice that was read last, and these slices.
    held: RefCell<Option<(usize, Numbers<'py>)>>,
}

impl<'py> Slices<'py> {
    pub fn new(py: Python<'py>, windows: Windows) -> Self {
        let (count, pixels) = windows.shape.split_first().map_or((0, 0), |(count, axes)| {
            (*count, axes.iter().fold(1_usize, |all, length| all.saturating_mul(*length)))
        });
        let slice_bytes = pixels.saturating_mul(windows.item_bytes);
        let runs = Runs::of(windows.array.bind(py), &["chunks"], count, slice_bytes);
        Self { windows, py, runs, held: RefCell::new(None) }
    }

    /// The image at `index`, or all of the array.
    pub fn image(&self, index: Option<usize>) -> PyResult<Array3<f32>> {
        let shape = &self.windows.shape;
        let Some(index) = index else {
            let &[.., height, width] = shape.as_slice() else { return Err(PyValueError::new_err("no axes")) };
            return self.windows.patch(self.py, None, &Window::plane(0..height, 0..width));
        };
        let name = self.windows.name_of(Some(index));
        let mut held = self.held.borrow_mut();
        if let Some((first, numbers)) = held.as_ref()
            && let Some(inside) = index.checked_sub(*first).filter(|inside| *inside < numbers.shape()[0])
        {
            return numbers.at(inside)?.called(name).whole_image();
        }
        // The last ones go before others come.
        *held = None;
        let run = self.runs.from(index);
        if run.len() == 1 {
            let key = index.into_pyobject(self.py)?.into_any();
            return self.windows.ask(key, &shape[1..], name)?.whole_image();
        }
        let mut wanted = shape.clone();
        wanted[0] = run.len();
        let key = slice(self.py, run.clone())?.into_any();
        let called = format!("{}[{}:{}]", self.windows.name, run.start, run.end);
        let numbers = self.windows.ask(key, &wanted, called)?;
        let image = numbers.at(0)?.called(name).whole_image()?;
        *held = Some((run.start, numbers));
        Ok(image)
    }
}
