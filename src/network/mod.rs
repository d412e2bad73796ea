//! WHAT a network is: its architecture, its parameters, its receptive field and its file.
//!
//! Everything here is plain data. How a network is computed is the business of [`crate::schedule`] and
//! of the engines; what it should give is written down in [`crate::reference`].

mod architecture;
mod model;
mod model_file;
mod normalisation;
mod parameters;

pub use architecture::{Architecture, DilationMode, parse_dilations};
pub use model::{Class, Model, Task, TaskKind};
pub use normalisation::{InputNormalisation, Measure, Normalisation};
pub use parameters::{ParameterLayout, TAPS, initialise};
