//! NumPy arrays to the crate's images, label images and weights. NumPy itself converts the numbers, so every type, byte order
//! and layout is taken that it knows.

use msd_gpu::samples::{check_finite, fill_gaps};
use ndarray::{Array2, Array3, ArrayD, Axis, Ix2, Zip};
use numpy::{
    Element, PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raised;

/// Which pixels of an array are masked.
pub type Mask = Array2<bool>;

/// An array of numbers from Python.
pub struct Numbers<'py> {
    name: String,
    data: Bound<'py, PyUntypedArray>,
    /// Of a masked array, what is masked; of the same shape.
    mask: Option<Bound<'py, PyAny>>,
    /// The letter for the kind of its numbers: b, i, u or f.
    kind: u8,
}

impl<'py> Numbers<'py> {
    /// Takes hold of an array; `name` is what it is called in errors.
    pub fn of(array: &Bound<'py, PyAny>, name: impl Into<String>) -> PyResult<Self> {
        let (py, name) = (array.py(), name.into());
        let numpy = py.import("numpy")?;
        if !becomes_array(array)? {
            let found = type_of(array);
            return Err(PyTypeError::new_err(format!(
                "{name} is {found}, not a NumPy array; make one of it with numpy.asarray"
            )));
        }
        let masked = numpy.getattr("ma")?;
        let mask = match array.is_instance(&masked.getattr("MaskedArray")?)? {
            true => Some(masked.call_method1("getmaskarray", (array,))?),
            false => None,
        };
        // Subclasses may have rules of their own for indices and conversions.
        let data = numpy.call_method1("asarray", (array,))?.cast_into::<PyUntypedArray>()?;
        let kind = data.dtype().kind();
        if !b"biuf".contains(&kind) {
            return Err(not_numbers(&name, &data.dtype()));
        }
        Ok(Self { name, data, mask, kind })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    /// Whether it is a masked array, also where nothing is masked.
    pub fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// Whether anything of it is masked.
    pub fn has_masked(&self) -> PyResult<bool> {
        self.mask.as_ref().map_or(Ok(false), |mask| mask.call_method0("any")?.is_truthy())
    }

    /// The same with another name.
    pub fn called(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The array at `index` of the first axis.
    pub fn at(&self, index: usize) -> PyResult<Self> {
        let numpy = self.data.py().import("numpy")?;
        let mask = self.mask.as_ref().map(|mask| mask.get_item(index)).transpose()?;
        let data = numpy.call_method1("asarray", (self.data.get_item(index)?,))?.cast_into()?;
        Ok(Self { name: format!("{}[{index}]", self.name), data, mask, kind: self.kind })
    }

    /// An image (y, x) or (c, y, x) as `[channel][y][x]`, and its masked pixels: those where any channel is masked. What is
    /// masked is NaN, as the library has what does not count.
    pub fn image(&self) -> PyResult<(Array3<f32>, Option<Mask>)> {
        let (mut image, mask) = self.planes()?;
        if let Some(mask) = &mask {
            Zip::from(&mut image).and(mask).for_each(|value, &masked| {
                *value = if masked { f32::NAN } else { *value };
            });
        }
        Ok((image, mask.map(|mask| any_channel(&mask))))
    }

    /// The image alone, which a model is to be applied to: what is masked is filled as the library fills gaps.
    pub fn whole_image(&self) -> PyResult<Array3<f32>> {
        let (mut image, mask) = self.planes()?;
        let Some(mask) = mask else {
            check_finite(self.name(), &image).map_err(raised)?;
            return Ok(image);
        };
        let counted =
            Zip::from(&image).and(&mask).map_collect(|&value, &masked| if masked { 0.0 } else { value });
        check_finite(self.name(), &counted).map_err(raised)?;
        Zip::from(&mut image).and(&mask).for_each(|value, &masked| {
            *value = if masked { f32::NAN } else { *value };
        });
        fill_gaps(&mut image);
        Ok(image)
    }

    /// An image and its mask, of the same shape.
    fn planes(&self) -> PyResult<(Array3<f32>, Option<Array3<bool>>)> {
        let wanted = || self.wrong_shape("(y, x) or (c, y, x)");
        let image = to_image(self.converted::<f32>(&self.data, "float32")?).ok_or_else(wanted)?;
        let mask = self.masked()?.map(|mask| to_image(mask).ok_or_else(wanted)).transpose()?;
        Ok((image, mask))
    }

    /// The masked pixels of an image (y, x) or (c, y, x): those where any channel is masked.
    pub fn masked_pixels(&self) -> PyResult<Option<Mask>> {
        let mask = self.masked()?.and_then(to_image);
        Ok(mask.map(|mask| any_channel(&mask)))
    }

    /// One number for each pixel, (y, x), and the masked pixels.
    pub fn plane(&self) -> PyResult<(Array2<f32>, Option<Mask>)> {
        let plane = self.flat(self.converted::<f32>(&self.data, "float32")?)?;
        Ok((plane, self.masked()?.map(|mask| self.flat(mask)).transpose()?))
    }

    /// Labels (y, x), and the pixels without one: those that are masked, or NaN. These have the label 0 here.
    pub fn labels(&self) -> PyResult<(Array2<i64>, Option<Mask>)> {
        if let &[_, _, 3] = self.shape() {
            return Err(self.wrong_shape("(y, x); for masks in colours, train with colours=\"auto\""));
        }
        let mut mask = self.masked()?.map(|mask| self.flat(mask)).transpose()?;
        let labels = match (self.kind, self.data.dtype().itemsize()) {
            (b'f', _) => {
                let numbers = self.flat(self.converted::<f64>(&self.data, "float64")?)?;
                let mask = mask.get_or_insert_with(|| Array2::default(numbers.raw_dim()));
                if mask.dim() != numbers.dim() {
                    return Err(self.wrong_shape("(y, x)"));
                }
                Zip::from(&mut *mask).and(&numbers).for_each(|masked, number| *masked |= number.is_nan());
                // The next number after the largest int64 is a float64, but no int64.
                let fits = |number: f64| {
                    number.fract() == 0.0 && (-(2.0_f64.powi(63))..2.0_f64.powi(63)).contains(&number)
                };
                let found =
                    numbers.iter().zip(mask.iter()).find(|&(&number, &masked)| !masked && !fits(number));
                if let Some((number, _)) = found {
                    return Err(PyValueError::new_err(format!(
                        "{} has the label {number}; wanted whole numbers, or NaN where nobody labelled the pixel",
                        self.name
                    )));
                }
                numbers.mapv(|number| number as i64)
            }
            (b'u', 8) => {
                let numbers = self.flat(self.converted::<u64>(&self.data, "uint64")?)?;
                let hidden = |y: usize, x: usize| mask.as_ref().is_some_and(|mask| mask[[y, x]]);
                let mut all = numbers.indexed_iter();
                if let Some((_, number)) =
                    all.find(|&((y, x), &n)| i64::try_from(n).is_err() && !hidden(y, x))
                {
                    return Err(PyValueError::new_err(format!(
                        "{} has the label {number}; wanted labels of at most {}",
                        self.name,
                        i64::MAX
                    )));
                }
                numbers.mapv(|number| i64::try_from(number).unwrap_or_default())
            }
            _ => self.flat(self.converted::<i64>(&self.data, "int64")?)?,
        };
        let mut labels = labels;
        if let Some(mask) = &mask {
            Zip::from(&mut labels)
                .and(mask)
                .for_each(|label, &masked| *label = if masked { 0 } else { *label });
        }
        // Floating-point labels without NaN have no mask either.
        Ok((labels, mask.filter(|mask| mask.iter().any(|&masked| masked))))
    }

    /// Labels that are colours: red, green and blue as (y, x, 3), or (y, x) as [`Numbers::labels`] takes them, each 65536 red +
    /// 256 green + blue. A pixel has no label where any of the three is masked.
    pub fn colours(&self) -> PyResult<(Array2<i64>, Option<Mask>)> {
        let &[_, _, channels] = self.shape() else { return self.labels() };
        if channels != 3 {
            return Err(self.wrong_shape("(y, x, 3), or (y, x) with a number for each colour"));
        }
        if self.kind == b'f' || self.kind == b'b' {
            // Those from 0 to 1 would be taken for the darkest colours that there are.
            return Err(PyValueError::new_err(format!(
                "{} is an array of {}; wanted colours as whole numbers from 0 to 255, convert them to uint8",
                self.name,
                self.data.dtype()
            )));
        }
        let parts = to_image(self.converted::<i64>(&self.data, "int64")?)
            .ok_or_else(|| self.wrong_shape("(y, x, 3)"))?;
        let masked = self.masked()?.and_then(to_image);
        let mask = masked.map(|mask| mask.map_axis(Axis(2), |pixel| pixel.iter().any(|&masked| masked)));
        let mask = mask.filter(|mask| mask.iter().any(|&masked| masked));
        let hidden = |y: usize, x: usize| mask.as_ref().is_some_and(|mask| mask[[y, x]]);
        let mut all = parts.indexed_iter();
        if let Some((_, part)) = all.find(|&((y, x, _), part)| !(0..256).contains(part) && !hidden(y, x)) {
            return Err(PyValueError::new_err(format!(
                "{} has the value {part}; wanted colours as whole numbers from 0 to 255",
                self.name
            )));
        }
        let (height, width, _) = parts.dim();
        let colours = Array2::from_shape_fn((height, width), |(y, x)| match hidden(y, x) {
            true => 0,
            false => (0..3).fold(0, |colour, part| colour << 8 | parts[[y, x, part]]),
        });
        Ok((colours, mask))
    }

    fn masked(&self) -> PyResult<Option<ArrayD<bool>>> {
        self.mask.as_ref().map(|mask| self.converted::<bool>(mask, "bool")).transpose()
    }

    /// A copy in another type of number, in the machine's byte order and row by row. What is too large becomes infinite.
    fn converted<T: Element + Copy>(&self, array: &Bound<'py, PyAny>, dtype: &str) -> PyResult<ArrayD<T>> {
        let numpy = array.py().import("numpy")?;
        let quiet = PyDict::new(array.py());
        quiet.set_item("all", "ignore")?;
        // What does not fit is found and named later.
        let quiet = numpy.call_method("errstate", (), Some(&quiet))?;
        quiet.call_method0("__enter__")?;
        let converted = numpy.call_method1("require", (array, dtype, ["C_CONTIGUOUS", "ALIGNED"]));
        quiet.call_method1("__exit__", (None::<u8>, None::<u8>, None::<u8>))?;
        let converted = converted?.cast_into::<PyArrayDyn<T>>()?;
        let numbers = converted.try_readonly()?;
        let numbers = numbers.as_slice()?;
        // Python has an error for too little memory, where a Rust program would end.
        let mut copy = Vec::new();
        let shape = converted.shape();
        let too_large =
            |_| PyMemoryError::new_err(format!("{} {} does not fit into memory", self.name, tuple(shape)));
        copy.try_reserve_exact(numbers.len()).map_err(too_large)?;
        copy.extend_from_slice(numbers);
        ArrayD::from_shape_vec(shape, copy).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn flat<T>(&self, numbers: ArrayD<T>) -> PyResult<Array2<T>> {
        numbers.into_dimensionality::<Ix2>().map_err(|_| self.wrong_shape("(y, x)"))
    }

    /// What is said of an array with the wrong number of axes.
    pub fn wrong_shape(&self, wanted: &str) -> PyErr {
        wrong_shape(&self.name, self.shape(), wanted)
    }
}

/// What is said of an array called `name` with the wrong number of axes.
pub fn wrong_shape(name: &str, shape: &[usize], wanted: &str) -> PyErr {
    PyValueError::new_err(format!("{name} has the shape {}; wanted {wanted}", tuple(shape)))
}

/// What is said of an array of anything but numbers.
pub fn not_numbers(name: &str, dtype: &Bound<'_, PyArrayDescr>) -> PyErr {
    PyTypeError::new_err(format!(
        "{name} is an array of {dtype}; wanted integers, floating-point numbers or booleans, convert it with .astype"
    ))
}

/// The pixels in which any channel is masked.
fn any_channel(mask: &Array3<bool>) -> Mask {
    mask.map_axis(Axis(0), |pixel| pixel.iter().any(|&masked| masked))
}

/// The image in two or three axes; `None` for another number of them.
fn to_image<T>(numbers: ArrayD<T>) -> Option<Array3<T>> {
    let numbers = if numbers.ndim() == 2 { numbers.insert_axis(Axis(0)) } else { numbers };
    numbers.into_dimensionality().ok()
}

/// Whether a value is an array, or says how to become one, as images and tensors of other libraries do.
fn becomes_array(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("__array__")? || value.hasattr("__array_interface__")?)
}

/// The type of a value, with its article.
pub fn type_of(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let article =
        if name.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A shape as Python writes a tuple.
pub fn tuple(shape: &[usize]) -> String {
    match shape {
        [length] => format!("({length},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Reads each array of a sequence, or of the first axis of a stack. `name` is the keyword that it was given as.
pub fn each<'py, T>(
    sequence: &Bound<'py, PyAny>,
    name: &str,
    read: impl Fn(&Numbers<'py>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    if let Ok(array) = sequence.cast::<PyUntypedArray>()
        && array.ndim() < 3
    {
        let found = tuple(array.shape());
        let way_out =
            if array.ndim() == 2 { format!("; for a single image, {name}[None]") } else { String::new() };
        return Err(PyValueError::new_err(format!(
            "{name} has the shape {found}; wanted a stack (n, y, x) or (n, c, y, x), or a sequence of arrays{way_out}"
        )));
    }
    let Ok(items) = sequence.try_iter() else {
        if becomes_array(sequence)? {
            let array = sequence.py().import("numpy")?.call_method1("asarray", (sequence,))?;
            return each(&array, name, read);
        }
        let found = type_of(sequence);
        return Err(PyTypeError::new_err(format!(
            "{name} is {found}; wanted a stack (n, y, x) or (n, c, y, x), or a sequence of arrays"
        )));
    };
    items
        .enumerate()
        .map(|(index, item)| {
            sequence.py().check_signals()?;
            read(&Numbers::of(&item?, format!("{name}[{index}]"))?)
        })
        .collect()
}
