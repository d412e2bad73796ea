//! NumPy arrays to the crate's images and label images.

use ndarray::{Array2, Array3, ArrayD, ArrayViewD, Axis};
use numpy::{PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Numbers of an array in the type that it has.
pub enum Numbers<'py> {
    Float32(PyReadonlyArrayDyn<'py, f32>),
    Float64(PyReadonlyArrayDyn<'py, f64>),
    Uint8(PyReadonlyArrayDyn<'py, u8>),
    Uint16(PyReadonlyArrayDyn<'py, u16>),
}

impl<'py> Numbers<'py> {
    /// Takes hold of an array; `name` is what it is called in errors.
    pub fn of(array: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let numbers = array.extract().map(Numbers::Float32);
        let numbers = numbers.or_else(|_| array.extract().map(Numbers::Float64));
        let numbers = numbers.or_else(|_| array.extract().map(Numbers::Uint8));
        let numbers = numbers.or_else(|_| array.extract().map(Numbers::Uint16));
        numbers.or_else(|_: PyErr| {
            wrong_type(array, name, "float32, float64, uint8 or uint16; convert it with .astype")
        })
    }

    pub fn shape(&self) -> &[usize] {
        match self {
            Numbers::Float32(array) => array.shape(),
            Numbers::Float64(array) => array.shape(),
            Numbers::Uint8(array) => array.shape(),
            Numbers::Uint16(array) => array.shape(),
        }
    }

    /// All of them, or those at `index` of the first axis, as float32.
    pub fn at(&self, index: Option<usize>) -> ArrayD<f32> {
        fn part<T: Copy>(array: ArrayViewD<T>, index: Option<usize>, to: impl Fn(T) -> f32) -> ArrayD<f32> {
            match index {
                Some(index) => array.index_axis(Axis(0), index).mapv(to),
                None => array.mapv(to),
            }
        }
        match self {
            Numbers::Float32(array) => part(array.as_array(), index, |v| v),
            Numbers::Float64(array) => part(array.as_array(), index, |v| v as f32),
            Numbers::Uint8(array) => part(array.as_array(), index, f32::from),
            Numbers::Uint16(array) => part(array.as_array(), index, f32::from),
        }
    }
}

/// An image (y, x) or (c, y, x) as `[channel][y][x]`.
pub fn image(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Array3<f32>> {
    let numbers = Numbers::of(array, name)?;
    to_image(numbers.at(None)).ok_or_else(|| wrong_shape(name, numbers.shape(), "(y, x) or (c, y, x)"))
}

/// The image in two or three axes; `None` for another number of them.
pub fn to_image(numbers: ArrayD<f32>) -> Option<Array3<f32>> {
    let numbers = if numbers.ndim() == 2 { numbers.insert_axis(Axis(0)) } else { numbers };
    numbers.into_dimensionality().ok()
}

/// One number for each pixel, (y, x).
pub fn plane(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Array2<f32>> {
    let numbers = Numbers::of(array, name)?;
    numbers.at(None).into_dimensionality().map_err(|_| wrong_shape(name, numbers.shape(), "(y, x)"))
}

/// Labels (y, x) of any type of whole numbers.
pub fn labels(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Array2<i64>> {
    macro_rules! first_of {
        ($($kind:ty),*) => {
            $(if let Ok(labels) = array.extract::<PyReadonlyArrayDyn<'_, $kind>>() {
                let wide = labels.as_array().mapv(i64::from);
                return wide.into_dimensionality().map_err(|_| wrong_shape(name, labels.shape(), "(y, x)"));
            })*
        };
    }
    first_of!(u8, u16, u32, i64, i32, i16, i8, bool);
    wrong_type(array, name, "whole numbers of at most 64 bits; convert it with .astype")
}

fn wrong_type<T>(array: &Bound<'_, PyAny>, name: &str, wanted: &str) -> PyResult<T> {
    let found = match array.cast::<PyUntypedArray>() {
        Ok(array) => format!("an array of {}", array.dtype()),
        Err(_) => format!("a {}, not a NumPy array", array.get_type().name()?),
    };
    Err(PyTypeError::new_err(format!("{name} is {found}; wanted a NumPy array of {wanted}")))
}

/// What is said of an array with the wrong number of axes.
pub fn wrong_shape(name: &str, found: &[usize], wanted: &str) -> PyErr {
    // As Python writes a tuple, also one of one number.
    let found = match found {
        [length] => format!("{length},"),
        _ => found.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    PyValueError::new_err(format!("{name} has the shape ({found}); wanted {wanted}"))
}
