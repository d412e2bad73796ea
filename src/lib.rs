//! msd-gpu
pub mod error;
pub mod metrics;
pub mod phantom;
pub mod pictures;

pub use error::{Error, Result};
