//! What a volume is, wherever it lies.

use std::io::ErrorKind;

use ndarray::{Array, Array3, Array4, Dimension, IntoDimension};

use super::units::{MICROMETRE, factor, sign};
use crate::error::{Bytes, Error, Result};
use crate::geometry::{Extent, Window};

/// An image or volume that can be read in parts. A two-dimensional image is a volume of one slice.
///
/// What is read are the file's own numbers, in arrays whose axes are always channel, z, y and x, however they are stored.
pub trait Volume: Send + Sync {
    /// What messages call it, such as its path.
    fn name(&self) -> &str;

    /// How many slices, rows and columns there are.
    fn extent(&self) -> Extent;

    /// How many numbers each pixel has.
    fn channels(&self) -> usize;

    /// The axes as they are stored, outermost first, a letter of `TCZYX` each: `YX` for a grey image, `ZYXC` for a stack
    /// whose channels are interleaved. For people, and for writing results as the data came.
    fn axes(&self) -> &str;

    /// How large a pixel is, where that is known.
    fn voxel_size(&self) -> Option<&VoxelSize> {
        None
    }

    /// The numbers of a part, `[channel][z][y][x]`; all are finite.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a window that is empty or not inside the volume, [`Error::Input`] for what cannot be read
    /// or is more than there is memory for, and for numbers that are NaN, infinite or beyond float32.
    fn read(&self, window: Window) -> Result<Array4<f32>>;

    /// The label of each pixel of a part, `[z][y][x]`, exactly as stored.
    ///
    /// # Errors
    /// As [`Volume::read`]; [`Error::Input`] for more than one channel, and for numbers that are not whole.
    fn read_labels(&self, window: Window) -> Result<Array3<i64>>;
}

/// The size of one pixel of a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct VoxelSize {
    /// From one slice to the next.
    pub z: f64,
    /// From one row to the next.
    pub y: f64,
    /// From one column to the next.
    pub x: f64,
    /// The unit of all three, such as `µm`; `pixel` where a file has sizes without a unit.
    pub unit: String,
}

impl VoxelSize {
    /// That of pixels of which `count` lie along one of these, in y and in x.
    pub(super) fn finer(self, count: f64) -> Self {
        Self { y: self.y / count, x: self.x / count, ..self }
    }

    /// The same with the sign of its unit, where that is a length.
    ///
    /// # Errors
    /// [`Error::Setting`] for another unit.
    pub(super) fn checked(self) -> Result<Self> {
        let unit = sign(&self.unit).to_owned();
        if factor(&unit, MICROMETRE).is_none() {
            let found = format!("in '{}'", self.unit);
            return Err(Error::setting(
                "voxel_size",
                found,
                "the unit must be a length such as nm, um, mm or m",
            ));
        }
        Ok(Self { unit, ..self })
    }
}

/// Refuses a window that is empty or not inside `extent`; `name` is the volume's name.
pub(super) fn check_window(name: &str, extent: Extent, window: &Window) -> Result<()> {
    if !window.is_empty() && window.fits(extent) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{name} is {extent} pixels, but {window} was wanted of it; ask for a part that lies inside, of at least one pixel"
    )))
}

/// An array of zeros for what is read from `name`.
///
/// # Errors
/// [`Error::Input`] for more than there is memory for.
pub(super) fn zeros<T: Clone + Default, D: Dimension>(
    name: &str,
    shape: impl IntoDimension<Dim = D>,
) -> Result<Array<T, D>> {
    let dim = shape.into_dimension();
    let count = dim.slice().iter().try_fold(1_usize, |count, &length| count.checked_mul(length));
    let mut values = Vec::new();
    let there = count.filter(|&count| values.try_reserve_exact(count).is_ok());
    let array = there.and_then(|count| {
        values.resize(count, T::default());
        Array::from_shape_vec(dim.clone(), values).ok()
    });
    array.ok_or_else(|| {
        let bytes = count.and_then(|count| count.checked_mul(size_of::<T>())).unwrap_or(usize::MAX);
        let problem = format!(
            "a part that takes {} is more than there is memory for; read less of it at a time",
            Bytes(bytes as u64)
        );
        Error::input(name, problem).caused_by(std::io::Error::from(ErrorKind::OutOfMemory))
    })
}
