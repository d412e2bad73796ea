//! Projections of slices, and slices from projections.

mod backprojection;
mod corrections;
mod filter;
mod geometry;
mod journal;
mod projection;
mod reconstruct;
mod scan;
mod stream;

pub use corrections::{Corrections, Numbers};
pub use filter::{Filter, Padding};
pub use geometry::{ScanGeometry, half_turn};
pub use projection::{add_poisson_noise, project};
pub use reconstruct::{ReconstructionSettings, Reconstructor, SLICES_TOGETHER, filtered_back_projection};
pub use scan::{Scan, ScanFiles};
pub use stream::{ScanWishes, Share, reconstruct_scan};

use ndarray::Array2;
use rayon::prelude::*;

/// The rows of an array in standard layout, to be filled by many threads; none if it is laid out otherwise.
fn rows_mut(array: &mut Array2<f32>) -> impl IndexedParallelIterator<Item = &mut [f32]> {
    let columns = array.ncols().max(1);
    array.as_slice_mut().unwrap_or_default().par_chunks_mut(columns)
}
