//! msd-gpu
pub mod cpu;
pub mod data;
pub mod engine;
pub mod error;
pub mod network;
pub mod reference;
pub mod schedule;

pub use error::{Error, Result};
