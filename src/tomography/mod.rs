//! Projections of slices, and slices from projections.
//!
//! From a scan to a volume: `scan` finds projections, flat and dark fields and angles in files. `corrections` makes line integrals of
//! them, with `normalise` (fields, bright specks, the logarithm) and `stripes` (rings). `centre` and `find_centre` look for the axis of
//! rotation, `turn` for angles that cannot be. `geometry` says where rays run, `filter` and `backprojection` are the two steps that `reconstruct` puts together for some
//! rows at a time, and `stream` does this for all rows of a scan, from files to files; `journal` keeps how far that is. `projection` is
//! the way back: what a scan of an image would have measured.

mod backprojection;
pub mod centre;
mod corrections;
mod filter;
mod find_centre;
mod geometry;
mod journal;
pub mod normalise;
mod projection;
mod reconstruct;
mod scan;
mod stream;
pub mod stripes;
mod turn;

pub use corrections::{Corrected, Corrections, Numbers};
pub use filter::{Filter, Padding};
pub use find_centre::{find_centre, register_centre};
pub use geometry::{ScanGeometry, half_turn};
pub use projection::{add_poisson_noise, project};
pub use reconstruct::{ReconstructionSettings, Reconstructor, SLICES_TOGETHER, filtered_back_projection};
pub use scan::{RawScan, Scan, ScanFiles};
pub use stream::{ScanWishes, Share, reconstruct_scan};
pub use turn::wrong_turn;

use ndarray::Array2;
use rayon::prelude::*;

/// The rows of an array in standard layout, to be filled by many threads; none if it is laid out otherwise.
fn rows_mut(array: &mut Array2<f32>) -> impl IndexedParallelIterator<Item = &mut [f32]> {
    let columns = array.ncols().max(1);
    array.as_slice_mut().unwrap_or_default().par_chunks_mut(columns)
}
