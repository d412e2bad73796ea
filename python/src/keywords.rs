//! Values of keywords, by their types: PyO3's own errors name the keyword in newer versions of Python only.

use std::path::PathBuf;

use msd_gpu::settings::nearest;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};

use crate::arrays::type_of;
use crate::errors::setting;

/// The `TypeError` for the value of a keyword.
pub fn wrong_type(name: &str, value: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let shown = value.repr().map_or_else(|_| String::new(), |shown| shown.to_string());
    // In one line, and not all of a large array.
    let shown: String = shown.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect();
    PyTypeError::new_err(format!("{name} is {shown}, {}; wanted {wanted}", type_of(value)))
}

/// The `TypeError` for a keyword that a function has not; `near` is the nearest that it has, if one may have been meant.
pub fn unexpected(function: &str, name: &str, near: Option<&str>) -> PyErr {
    let way_out = match near {
        Some(near) => format!("the nearest is '{near}'"),
        None => format!("help(msd_gpu.{function}) lists them"),
    };
    PyTypeError::new_err(format!("{function}() got an unexpected keyword argument '{name}'; {way_out}"))
}

/// Refuses what is none of the keywords of a function, which are `known`.
pub fn refuse(function: &str, given: Option<&Bound<'_, PyDict>>, known: &[&str]) -> PyResult<()> {
    for (name, _) in given.into_iter().flatten() {
        let name: String = name.extract()?;
        if !known.contains(&name.as_str()) {
            return Err(unexpected(function, &name, nearest(&name, known.iter().copied())));
        }
    }
    Ok(())
}

/// What a function was given by name, of its keywords. None counts as not given.
pub struct Options<'a, 'py>(Option<&'a Bound<'py, PyDict>>);

impl<'a, 'py> Options<'a, 'py> {
    /// Those of `function`, whose keywords are `known`; others are refused.
    pub fn read(function: &str, given: Option<&'a Bound<'py, PyDict>>, known: &[&str]) -> PyResult<Self> {
        refuse(function, given, known)?;
        Ok(Self(given))
    }

    pub fn get(&self, name: &str) -> Option<Bound<'py, PyAny>> {
        // A dict with text as keys has no errors but the missing one.
        self.0?.get_item(name).ok().flatten().filter(|value| !value.is_none())
    }

    pub fn flag(&self, name: &str) -> PyResult<bool> {
        flag(name, self.get(name).as_ref())
    }

    pub fn text(&self, name: &str) -> PyResult<Option<String>> {
        self.get(name).map(|value| text(name, &value)).transpose()
    }

    /// A number from 0.
    pub fn count(&self, name: &str) -> PyResult<Option<usize>> {
        let read = |value: Bound<'py, PyAny>| {
            let value = whole(name, &value)?;
            value.extract().map_err(|_| setting(name, &value, "it is counted from 0"))
        };
        self.get(name).map(read).transpose()
    }

    /// A number, or a text that says one with its unit, or a word.
    pub fn number_or_text(&self, name: &str) -> PyResult<Option<String>> {
        let read = |value: Bound<'py, PyAny>| match value.cast::<PyInt>() {
            Ok(number) if !value.is_instance_of::<PyBool>() => Ok(number.str()?.to_string()),
            _ if value.is_instance_of::<PyString>() => text(name, &value),
            _ => Err(wrong_type(name, &value, "an int or a str")),
        };
        self.get(name).map(read).transpose()
    }
}

/// A bool, also one of NumPy's.
fn is_switch(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyBool>() || value.extract::<bool>().is_ok()
}

pub fn switch(name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if is_switch(value) { value.is_truthy() } else { Err(wrong_type(name, value, "a bool")) }
}

/// A bool that is False where it is not given.
pub fn flag(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    value.map_or(Ok(false), |value| switch(name, value))
}

/// An int of any size, also one of NumPy's.
pub fn whole<'py>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyInt>> {
    let index = value.py().import("operator")?.call_method1("index", (value,));
    match index {
        Ok(index) if !is_switch(value) => Ok(index.cast_into()?),
        _ => Err(wrong_type(name, value, "an int")),
    }
}

pub fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    match value.extract() {
        Ok(number) if !is_switch(value) => Ok(number),
        _ => Err(wrong_type(name, value, "a float")),
    }
}

pub fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(text) => text.extract(),
        Err(_) => Err(wrong_type(name, value, "a str")),
    }
}

pub fn path(name: &str, value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    value.extract().map_err(|_| wrong_type(name, value, "a str or a path"))
}

/// A label.
pub fn label(name: &str, value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let value = whole(name, value)?;
    value.extract().map_err(|_| setting(name, &value, "no label is so large; leave it out"))
}

/// Rows and columns of tiles.
pub fn tile(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    let fits = |value: Bound<'_, PyInt>| {
        value.extract().map_err(|_| setting("tile", &value, "it must be a number of pixels, at least 1"))
    };
    value.map(|value| whole("tile", value).and_then(fits)).transpose()
}
