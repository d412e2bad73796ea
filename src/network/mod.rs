//! WHAT a network is: its architecture, its parameters, its receptive field and its file.
//!
//! Everything here is plain data. [`crate::schedule`] and the engines compute networks; [`crate::reference`] defines what the
//! results should be.

mod architecture;
mod measure;
mod model;
mod model_file;
mod normalisation;
mod parameters;
mod self_supervised;
mod stem;
mod upscaling;

pub use architecture::{Architecture, DilationMode, parse_dilations, parse_dilations_z};
pub use measure::{Measure, Measuring};
pub use model::{Class, Model, Task, TaskKind};
pub use normalisation::{InputNormalisation, Normalisation};
pub use parameters::{ParameterLayout, TAPS, initialise};
pub use self_supervised::{Combination, SelfSupervised, SplitScheme, Splits};
pub use stem::{RESPONSES, Scale, Stem};
pub use upscaling::{Coarsening, Upscaling};
