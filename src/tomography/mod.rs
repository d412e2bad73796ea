//! Projections of slices, and slices from projections.

mod backprojection;
pub mod centre;
pub mod normalise;
mod projection;
pub mod stripes;

pub use backprojection::filtered_back_projection;
pub use projection::{add_poisson_noise, project};

use ndarray::Array2;
use rayon::prelude::*;

/// The rows of an array in standard layout, to be filled by many threads; none if it is laid out otherwise.
fn rows_mut(array: &mut Array2<f32>) -> impl IndexedParallelIterator<Item = &mut [f32]> {
    let columns = array.ncols().max(1);
    array.as_slice_mut().unwrap_or_default().par_chunks_mut(columns)
}
