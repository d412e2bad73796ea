//! The axes of a stack as arrays have them.

use super::TypedStack;
use crate::images::space::Space;
use crate::images::volume::VoxelSize;

/// The axes along which images lie, outermost first: those of the layout where they are as many images; none for one image.
pub(super) fn outer_axes(stack: &TypedStack) -> Vec<(char, usize)> {
    let axes: Vec<(char, usize)> = stack
        .layout
        .axes()
        .iter()
        .copied()
        .filter(|(letter, length)| *letter != 'C' && *length > 1)
        .collect();
    let count: usize = axes.iter().map(|(_, length)| length).product();
    if count == stack.extent.z {
        return axes;
    }
    vec![('Z', stack.extent.z)]
}

/// All axes with their lengths, in the order `[images][channel][y][x]`.
pub(super) fn all_axes(stack: &TypedStack) -> Vec<(char, usize)> {
    let mut axes = outer_axes(stack);
    if stack.channels > 1 {
        axes.push(('C', stack.channels));
    }
    axes.extend([('Y', stack.extent.y), ('X', stack.extent.x)]);
    axes
}

/// How many of a unit a metre has; `None` for units that are no length.
fn in_a_metre(unit: &str) -> Option<f64> {
    Some(match unit {
        "m" => 1.0,
        "cm" => 1e2,
        "mm" => 1e3,
        "\u{b5}m" | "\u{3bc}m" | "um" | "micron" => 1e6,
        "nm" => 1e9,
        "\u{c5}" | "\u{212b}" | "A" | "angstrom" => 1e10,
        "pm" => 1e12,
        _ => return None,
    })
}

/// The size of a pixel along z, y and x in another unit; `None` where it is not known or no length.
pub(super) fn size_in(size: Option<&VoxelSize>, unit: &str) -> Option<[f64; 3]> {
    let size = size?;
    let [from, to] = [in_a_metre(&size.unit)?, in_a_metre(unit)?];
    let sizes = [size.z, size.y, size.x];
    // Whole factors are exact where the smaller unit is wanted, and quotients of whole ones where the larger is.
    Some(sizes.map(|size| if to >= from { size * (to / from) } else { size / (from / to) }))
}

/// Where the first pixel of a stack lies along x, y and z in this unit, where that is known and axes are neither turned nor mirrored.
pub(super) fn origin_in(stack: &TypedStack, unit: &str) -> Option<[f64; 3]> {
    let space = stack.layout.space()?;
    let from = match space {
        Space::Mrc(_) => "\u{c5}",
        Space::Ome(origin) if stack.layout.voxel_size().is_some_and(|size| size.unit == unit) => {
            return Some(*origin);
        }
        Space::Ome(_) => stack.layout.voxel_size()?.unit.as_str(),
        Space::Nifti(_) => stack.layout.voxel_size().map_or("mm", |size| size.unit.as_str()),
    };
    let [z, y, x] = {
        let [x, y, z] = space.origin()?;
        size_in(Some(&VoxelSize { z, y, x, unit: from.to_owned() }), unit)?
    };
    Some([x, y, z])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_given_in_another_unit() {
        let size = VoxelSize { z: 2.0, y: 0.7, x: 0.5, unit: "\u{b5}m".into() };
        assert_eq!(size_in(Some(&size), "\u{c5}"), Some([20_000.0, 7000.0, 5000.0]));
        assert_eq!(size_in(Some(&size), "mm"), Some([0.002, 0.0007, 0.0005]));
        assert_eq!(size_in(Some(&VoxelSize { unit: "inch".into(), ..size }), "mm"), None);
        assert_eq!(size_in(None, "mm"), None);
    }
}
