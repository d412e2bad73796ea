//! The Python module `msd_gpu._native`: NumPy arrays in and out, the work without the interpreter's lock.
//!
//! - `arrays`: NumPy arrays to images and label images.
//! - `model`: the class `Model`.
//! - `training`: the function `train`.
//! - `errors`: the crate's errors as Python's, with the same sentence; its log as Python's.

mod arrays;
mod errors;
mod model;
mod training;

use pyo3::prelude::*;

/// Mixed-Scale Dense networks; import msd_gpu instead.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::training::train;
    use super::*;

    /// The names of this machine's devices, best first; `device` takes an index into it or a part of a name.
    #[pyfunction]
    fn devices(py: Python<'_>) -> Vec<String> {
        py.detach(|| msd_gpu::devices::list().into_iter().map(|device| device.info.name).collect())
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        errors::forward_log();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
