//! Checks of an engine against the float64 reference, with random networks made from seeds.
//!
//! The caller passes a function that opens an engine with a block size and a page limit, so this module depends on no particular
//! engine. Each check returns the first [`Difference`] that it finds and does not panic: tests unwrap it, and a program can print it.
//!
//! ```
//! use msd_gpu::cpu::{CpuEngine, CpuOptions};
//! use msd_gpu::engine::Engine;
//! use msd_gpu::network::Architecture;
//! use msd_gpu::selftest::{Setting, random_networks_agree};
//!
//! let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
//!     let options = CpuOptions { block: Some(setting.block) };
//!     CpuEngine::new(architecture, parameters, &options).map(|engine| Box::new(engine) as Box<dyn Engine>)
//! };
//! random_networks_agree(&open, 0..2)?;
//! # Ok::<(), msd_gpu::selftest::Difference>(())
//! ```

mod bisect;
mod cases;
mod checks;
mod classes;
mod compare;
mod expected;
mod halves;
mod judging;
mod losses;
pub mod tolerance;

pub use bisect::{Compared, random_network_in_order, steps_in_order};
pub use cases::Case;
pub use checks::{
    Agreement, adam_agrees, changing_sizes_add_up, check_case, gradients_are_taken_and_put_back,
    larger_images_agree, larger_volumes_agree, memory_is_known, random_network_agrees, random_networks_agree,
    random_volumes_agree, sizes_take_turns, training_follows_float64, training_on_volumes_follows_float64,
    training_with_halves_follows_float64, wrong_batches_are_refused,
};
pub use classes::classes_agree;
pub use compare::{Difference, Outcome};
pub use halves::{check_halves, gradients_of_halves_are_full, halves_agree, sums_of_halves_are_full};
pub use judging::judging_agrees;
pub use losses::losses_agree;

use crate::Result;
use crate::engine::Engine;
use crate::network::Architecture;

/// How an engine is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Layers in a block of the schedule.
    pub block: usize,
    /// Largest buffer of feature maps or gradient maps, in bytes, for engines that have such a limit.
    pub max_page_bytes: u64,
}

/// Opens an engine for a network with parameters.
pub type Open<'a> = dyn Fn(&Architecture, &[f32], Setting) -> Result<Box<dyn Engine>> + 'a;
