//! How large an image or volume is.

/// The size of an image in pixels. A two-dimensional image has `z` 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Slices.
    pub z: usize,
    /// Rows.
    pub y: usize,
    /// Columns.
    pub x: usize,
}

impl Extent {
    /// A two-dimensional image of `y` rows and `x` columns.
    pub fn plane(y: usize, x: usize) -> Self {
        Self { z: 1, y, x }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.z * self.y * self.x
    }
}

/// A batch of images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of images.
    pub batch: usize,
    /// Size of each image.
    pub extent: Extent,
}
