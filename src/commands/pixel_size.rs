//! The size of a pixel as people write it.

use crate::images::VoxelSize;
use crate::{Error, Result};

/// Reads the size of a pixel, which the flag `name` gives: a number, or three along z, y and x, with a unit.
pub(super) fn voxel_size(name: &'static str, text: &str) -> Result<VoxelSize> {
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | 'x')).unwrap_or(text.len());
    let (numbers, unit) = text.split_at(end);
    let numbers: Option<Vec<f64>> = numbers
        .split('x')
        .map(|number| number.parse().ok().filter(|size: &f64| size.is_finite() && *size > 0.0))
        .collect();
    let unit = unit.trim().to_owned();
    match numbers.as_deref() {
        Some(&[size]) => Ok(VoxelSize { z: size, y: size, x: size, unit }),
        Some(&[z, y, x]) => Ok(VoxelSize { z, y, x, unit }),
        _ => Err(Error::setting(
            name,
            format!("'{text}'"),
            "it must be a length such as 0.65um, or three along z, y and x such as 2x0.65x0.65um",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_pixels_have_one_or_three_numbers() {
        let size = voxel_size("voxel_size", "0.65um").unwrap();
        assert_eq!((size.z, size.x, size.unit.as_str()), (0.65, 0.65, "um"));
        let size = voxel_size("voxel_size", "2x0.5x0.25 nm").unwrap();
        assert_eq!((size.z, size.y, size.x, size.unit.as_str()), (2.0, 0.5, 0.25, "nm"));
        assert_eq!(voxel_size("voxel_size", "3").unwrap().unit, "");
        for bad in ["", "um", "0um", "-1um", "1x2um", "1x2x3x4", "x", "..um"] {
            assert!(voxel_size("voxel_size", bad).is_err(), "{bad}");
        }
    }
}
