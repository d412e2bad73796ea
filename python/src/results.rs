//! The arrays that results are put into: those that NumPy makes, and those that are given as `out`.

use msd_gpu::geometry::Window;
use ndarray::{Array, Dimension};
use numpy::{Element, PyArray, PyArrayDescrMethods, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{tuple, type_of};
use crate::chunks::Runs;
use crate::sources::{dtype_of, place, shape_of, slice};
use crate::stack::{Spot, Stack};

/// An array that is filled image by image, or window by window.
pub struct Results<'a, 'py> {
    stack: &'a Stack<'py>,
    /// The type of the results.
    dtype: &'static str,
    /// Channels of a result, where it has an axis for them.
    channels: Option<usize>,
    /// NumPy makes it with the first result, so that what does not fit the memory is a `MemoryError`.
    array: Option<Bound<'py, PyAny>>,
    given: Option<Given<'py>>,
}

/// What is to be known of an array that was given.
struct Given<'py> {
    dtype: Bound<'py, PyAny>,
    runs: Runs,
    /// Results that lie together and are written together: the number of the first, how many, and their array.
    held: Option<(usize, usize, Bound<'py, PyAny>)>,
}

impl<'a, 'py> Results<'a, 'py> {
    /// For the images of `stack`, of which each gives numbers of `dtype`, (y, x) or with so many `channels` before them; in `out`, where
    /// that is given.
    pub fn new(
        stack: &'a Stack<'py>,
        dtype: &'static str,
        channels: Option<usize>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let mut results = Self { stack, dtype, channels, array: out.cloned(), given: None };
        if let Some(out) = out {
            results.given = Some(results.check(out)?);
        }
        Ok(results)
    }

    fn shape(&self) -> Vec<usize> {
        let extent = self.stack.extent();
        self.stack.count.into_iter().chain(self.channels).chain([extent.y, extent.x]).collect()
    }

    /// Checks that `out` can hold the results.
    fn check(&self, out: &Bound<'py, PyAny>) -> PyResult<Given<'py>> {
        let (shape, numpy) = (self.shape(), out.py().import("numpy")?);
        let (Some(found), Some(dtype), true) = (shape_of(out)?, dtype_of(out)?, out.hasattr("__setitem__")?)
        else {
            return Err(PyTypeError::new_err(format!(
                "out is {}; wanted an array {} of {}, or what takes slices as one does",
                type_of(out),
                tuple(&shape),
                self.dtype
            )));
        };
        if found != shape {
            return Err(PyValueError::new_err(format!(
                "out has the shape {}; wanted {}, that of the result",
                tuple(&found),
                tuple(&shape)
            )));
        }
        let holds: bool = numpy.call_method1("can_cast", (self.dtype, &dtype, "safe"))?.extract()?;
        if !holds || !b"iuf".contains(&dtype.kind()) {
            return Err(PyTypeError::new_err(format!(
                "out is an array of {dtype}; wanted {}, or a type that holds all its numbers",
                self.dtype
            )));
        }
        if out.cast::<PyUntypedArray>().is_ok() && !out.getattr("flags")?.getattr("writeable")?.is_truthy()? {
            return Err(PyValueError::new_err("out cannot be written to; give an array that can, or a copy"));
        }
        self.check_apart(out)?;
        let keeps_mask = out.is_instance(&numpy.getattr("ma")?.getattr("MaskedArray")?)?;
        if self.stack.is_masked() && !keeps_mask {
            return Err(PyValueError::new_err(
                "out cannot hold which pixels of array are masked; give a masked array, or leave it out",
            ));
        }
        let pixels = shape[1..].iter().fold(1_usize, |all, length| all.saturating_mul(*length));
        let bytes = pixels.saturating_mul(dtype.itemsize());
        // Where chunks lie in shards, these are what is written.
        let runs = Runs::of(out, &["shards", "chunks"], self.stack.count.unwrap_or(1), bytes);
        Ok(Given { dtype: dtype.into_any(), runs, held: None })
    }

    /// Refuses an array that results would overwrite before all of it is read. An image that is read as a whole may be written over by its
    /// own result; tiles are read with what is around them.
    fn check_apart(&self, out: &Bound<'py, PyAny>) -> PyResult<()> {
        /// Steps that are spent on finding out whether two arrays have a number in common.
        const STEPS: usize = 100_000;
        let (array, py) = (&self.stack.array, out.py());
        let both_in_memory = [out, array].iter().all(|array| array.cast::<PyUntypedArray>().is_ok());
        let limit = PyDict::new(py);
        limit.set_item("max_work", STEPS)?;
        let shared =
            || py.import("numpy")?.call_method("shares_memory", (out, array), Some(&limit))?.is_truthy();
        // Where it takes too long to find out, they may.
        let overlap = out.is(array) || both_in_memory && shared().unwrap_or(true);
        let begins_at = |array: &Bound<'py, PyAny>| {
            let layout = array.getattr("__array_interface__")?.get_item("data")?;
            Ok::<_, PyErr>((layout.get_item(0)?.extract::<usize>()?, array.getattr("strides")?))
        };
        let in_place = || {
            let (one, other) = (begins_at(out)?, begins_at(array)?);
            Ok::<_, PyErr>(one.0 == other.0 && one.1.eq(other.1)?)
        };
        if !overlap || self.stack.tiles.is_empty() && (out.is(array) || in_place()?) {
            return Ok(());
        }
        Err(PyValueError::new_err(match self.stack.tiles.is_empty() {
            true => "out is a part of the array that is read, at another place; give another array",
            false => "out is the array that is read, whose images are computed in tiles; give another one",
        }))
    }

    /// Puts a result where it belongs.
    pub fn put<T: Element, D: Dimension>(&mut self, spot: Spot, result: Array<T, D>) -> PyResult<()> {
        let (py, stack) = (self.stack.py, self.stack);
        let numpy = py.import("numpy")?;
        let mut result = PyArray::from_owned_array(py, result).into_any();
        let array = match &self.array {
            Some(array) => array.clone(),
            None => {
                let array = numpy.call_method1("empty", (self.shape(), self.dtype))?;
                self.array.insert(array).clone()
            }
        };
        let whole = Window::whole(stack.extent());
        let key = place(py, spot.index, self.channels, &spot.window.unwrap_or(whole))?;
        let Some(given) = &mut self.given else { return array.set_item(key, result) };
        result = result.call_method1("astype", (&given.dtype,))?;
        if stack.is_masked() {
            let shape = result.getattr("shape")?;
            let mask = match stack.masked_pixels(spot.index)? {
                Some(pixels) => PyArray::from_owned_array(py, pixels).into_any(),
                None => false.into_pyobject(py)?.to_owned().into_any(),
            };
            let mask = numpy.call_method1("broadcast_to", (mask, shape))?;
            result = masked(&numpy, result, mask)?;
        }
        let (Some(index), None, false) = (spot.index, spot.window, stack.is_masked()) else {
            return array.set_item(key, result);
        };
        let (first, length, held) = match given.held.take() {
            Some(held) => held,
            None => {
                let run = given.runs.from(index);
                if run.len() == 1 {
                    return array.set_item(key, result);
                }
                let mut shape = vec![run.len()];
                shape.extend(result.getattr("shape")?.extract::<Vec<usize>>()?);
                (index, run.len(), numpy.call_method1("empty", (shape, &given.dtype))?)
            }
        };
        held.set_item(index - first, result)?;
        if index + 1 < first + length {
            given.held = Some((first, length, held));
            return Ok(());
        }
        array.set_item(slice(py, first..first + length)?, held)
    }

    /// The array; where NumPy made it, a masked one for masked images, with the same pixels masked.
    pub fn finish(self) -> PyResult<Bound<'py, PyAny>> {
        let (py, stack) = (self.stack.py, self.stack);
        let Some(array) = self.array else { return Ok(py.None().into_bound(py)) };
        if !stack.is_masked() || self.given.is_some() {
            return Ok(array);
        }
        let numpy = py.import("numpy")?;
        let mask = numpy.call_method1("zeros", (array.getattr("shape")?, "bool"))?;
        for index in stack.indices() {
            if let Some(pixels) = stack.masked_pixels(index)? {
                // The axes before those of the pixels are filled with the same.
                let pixels = PyArray::from_owned_array(py, pixels);
                match index {
                    Some(index) => mask.set_item(index, pixels)?,
                    None => mask.set_item(py.Ellipsis(), pixels)?,
                }
            }
        }
        masked(&numpy, array, mask)
    }
}

/// A masked array.
fn masked<'py>(
    numpy: &Bound<'py, PyModule>,
    array: Bound<'py, PyAny>,
    mask: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = PyDict::new(numpy.py());
    options.set_item("mask", mask)?;
    numpy.getattr("ma")?.call_method("MaskedArray", (array,), Some(&options))
}
