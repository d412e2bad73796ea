//! Back-projection on a device.

use crate::error::Result;

/// Slices that a device back-projects together.
pub const LANES: usize = 4;

/// Filtered projections of a few slices, of which sums along rays are wanted.
#[derive(Debug, Clone, Copy)]
pub struct BackProjection<'a> {
    /// `[angle][column][lane]`, with zeros beside the detector wherever a ray of the image may fall.
    pub rows: &'a [[f32; LANES]],
    /// Columns of each row, at least 2.
    pub width: usize,
    /// Sine and cosine of each angle.
    pub directions: &'a [(f64, f64)],
    /// The column of the axis.
    pub axis: f64,
    /// Rows and columns of the image.
    pub size: usize,
}

/// A device that back-projects.
pub trait BackProjector: Send {
    /// The images `[y][x][lane]`: for each pixel the sum of what its rays meet, interpolated linearly between columns.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] for rows of another length than angles and columns say, [`crate::Error::OutOfMemory`] for images
    /// that are too large for the device, [`crate::Error::Device`] when it fails.
    fn back_project(&mut self, work: &BackProjection<'_>) -> Result<Vec<[f32; LANES]>>;
}
