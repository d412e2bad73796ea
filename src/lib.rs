//! msd-gpu
pub mod engine;
pub mod error;
pub mod gpu;
pub mod network;
pub mod reference;
pub mod schedule;

pub use error::{Error, Result};
