//! Whole images through a trained model, in one piece or in tiles.
//!
//! - [`Predictor`]: a model opened on a device. It normalises an image as the model was trained, runs the
//!   engine and gives raw outputs, class indices, probabilities, or values in the units of the targets.
//! - [`Ensemble`]: several models, and an image in its eight symmetries, averaged; how much they differ.
//! - [`Tiling`]: how an image is cut where it is too large for the memory of the device. Every tile is computed
//!   with all the pixels around it that it depends on, so tiles do not change the result.
//! - [`predict()`]: files through models to files; a [`Request`] says which, and where the results go.
//! - [`WholeImage`], [`Ensemble::tiles`], [`Ensemble::predict_tile`], [`Ensemble::classify_tile`]: images that come from elsewhere and
//!   need not be in memory as a whole, tile by tile.
//! - [`Series`]: the same as images come, call by call.
//! - [`image_bytes`]: what images take in memory beside the network.
//! - [`argmax`] and [`softmax`]: what raw outputs of a segmentation mean.
//!
//! Images are arrays `[channel][y][x]` in the file's own units, as [`crate::images::read_image`] gives them.

mod block_memory;
mod ensemble;
mod failures;
mod grouping;
mod journal;
mod memory;
mod open_file;
mod outputs;
mod parts;
mod plan;
mod predict;
mod prediction;
mod predictor;
mod prints;
mod product;
mod products;
mod queue;
mod record;
mod regions;
mod reporter;
mod request;
mod result_name;
mod series;
mod share;
mod tiling;
mod volumes;
mod window;

pub use crate::pipeline::AHEAD;
pub use ensemble::Ensemble;
pub use failures::Failure;
pub use memory::image_bytes;
pub use plan::{BOUND, Cutting, Halo};
pub use predict::{Procedure, predict};
pub use prediction::Prediction;
pub use predictor::{Predictor, argmax, softmax};
pub use products::{Products, Wishes};
pub use record::ResultState;
pub use regions::WholeImage;
pub use request::{Destination, Finding, Request, Work};
pub use result_name::ResultName;
pub use series::Series;
pub use share::Share;
pub use tiling::Tiling;
