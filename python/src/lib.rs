//! The Python module `msd_gpu._native`: NumPy arrays in and out, the work without the interpreter's lock.
//!
//! - `errors`: the crate's errors as Python's, with keywords for settings; its log as Python's.
//! - `process`: which process uses the library, as a fork does not copy its threads.
//! - `arrays`: NumPy arrays to images, label images and weights; `pairs`: to data sets.
//! - `keywords`: values of keywords by their types; `settings`: keywords to the settings of a run.
//! - `sources`: arrays that are read in pieces, such as datasets in files; `chunks`: which of their slices lie together.
//! - `stack`: the images that an array holds; `results`: the arrays that results are put into.
//! - `applied`: models on a device as arrays go through them; `files`: from files to files; `model` and `ensemble`: the classes `Model` and `Ensemble`.
//! - `training`: the function `train`.

mod applied;
mod arrays;
mod chunks;
mod ensemble;
mod errors;
mod files;
mod keywords;
mod model;
mod pairs;
mod process;
mod results;
mod settings;
mod sources;
mod stack;
mod training;

use pyo3::prelude::*;

/// Mixed-Scale Dense networks; import msd_gpu instead.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::ensemble::{Ensemble, evaluate};
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::training::train;
    use super::*;

    /// The names of this machine's devices, best first; device= takes an index into it or a part of a name.
    #[pyfunction]
    fn devices(py: Python<'_>) -> PyResult<Vec<String>> {
        process::enter()?;
        Ok(py.detach(|| msd_gpu::devices::list().into_iter().map(|device| device.info.name).collect()))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        errors::forward_log();
        module.add("TrainingInterrupted", module.py().get_type::<training::TrainingInterrupted>())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
