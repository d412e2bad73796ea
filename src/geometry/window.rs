//! Rectangular parts of images.

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// The first row.
    pub y: usize,
    /// The first column.
    pub x: usize,
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
}
