//! msd-gpu
pub mod commands;
pub mod cpu;
pub mod data;
pub mod devices;
pub mod engine;
pub mod error;
pub mod inference;
pub mod metrics;
pub mod network;
pub mod phantom;
pub mod pictures;
pub mod reference;
pub mod schedule;
pub mod training;

pub use error::{Error, Result};
