//! How large an image or volume is.

use std::fmt;

/// The size of an image or volume in pixels. A two-dimensional image has `z` 1.
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
    /// A volume of `z` slices of `y` rows and `x` columns.
    pub fn new(z: usize, y: usize, x: usize) -> Self {
        Self { z, y, x }
    }

    /// A two-dimensional image of `y` rows and `x` columns.
    pub fn plane(y: usize, x: usize) -> Self {
        Self { z: 1, y, x }
    }

    /// Number of pixels, for sizes that are known to fit into memory.
    pub fn pixels(&self) -> usize {
        self.z * self.y * self.x
    }

    /// Number of pixels; `None` where a `usize` does not hold it.
    pub fn checked_pixels(&self) -> Option<usize> {
        self.z.checked_mul(self.y)?.checked_mul(self.x)
    }
}

/// Columns first, as people say it: `640 x 480` for a plane, `640 x 480 x 100` for 100 slices of it.
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.x, self.y)?;
        if self.z == 1 { Ok(()) } else { write!(f, " x {}", self.z) }
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
