//! Stacks in NIfTI files of the first version, whose axes are columns, rows, slices, points in time and channels.

use super::array_file::{ArrayFile, Behind};
use super::shape::{origin_in, outer_axes, size_in};
use super::{StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::images::source::SampleKind;
use crate::images::space::Space;

const HEADER_BYTES: usize = 352;

/// Begins the file of `stack`.
///
/// # Errors
/// As [`ArrayFile::new`]; [`Error::Output`] for sizes that the format does not have.
pub(super) fn create(stack: TypedStack) -> Result<Box<dyn StackFile>> {
    let bits = stack.numbers.bits;
    let code: i16 = match (stack.numbers.kind, bits) {
        (SampleKind::Unsigned, 8) => 2,
        (SampleKind::Signed, 16) => 4,
        (SampleKind::Signed, 32) => 8,
        (SampleKind::Float, 32) => 16,
        (SampleKind::Float, 64) => 64,
        (SampleKind::Signed, 8) => 256,
        (SampleKind::Unsigned, 16) => 512,
        (SampleKind::Unsigned, 32) => 768,
        (SampleKind::Signed, 64) => 1024,
        (SampleKind::Unsigned, 64) => 1280,
        _ => {
            let problem = format!("NIfTI files hold no {}; write .h5, .npy or .tif", stack.numbers);
            return Err(Error::output(&stack.path, problem));
        }
    };
    // Slices have to be next to rows; in another order all images are slices.
    let (slices, frames) = match outer_axes(&stack).as_slice() {
        [('T', frames), ('Z', slices)] => (*slices, *frames),
        [('T', frames)] => (1, *frames),
        _ => (stack.extent.z, 1),
    };
    let lengths = [stack.extent.x, stack.extent.y, slices, frames, stack.channels];
    let count = (1..=5).rev().find(|count| *count <= 2 || lengths[count - 1] > 1).unwrap_or(2);
    let mut header = vec![0; HEADER_BYTES];
    let mut put = |place: usize, bytes: &[u8]| header[place..place + bytes.len()].copy_from_slice(bytes);
    put(0, &348_i32.to_le_bytes());
    put(40, &(count as i16).to_le_bytes());
    for axis in 0..7 {
        let length = lengths.get(axis).copied().unwrap_or(1);
        let length = i16::try_from(length).map_err(|_| {
            let problem = format!(
                "NIfTI files have sides of up to {} pixels, not {length}; write .h5, .npy or .tif",
                i16::MAX
            );
            Error::output(&stack.path, problem)
        })?;
        put(42 + 2 * axis, &length.to_le_bytes());
        put(76 + 4 * axis, &1_f32.to_le_bytes());
    }
    put(104, &1_f32.to_le_bytes());
    put(70, &code.to_le_bytes());
    put(72, &i16::from(bits).to_le_bytes());
    put(108, &(HEADER_BYTES as f32).to_le_bytes());
    put(112, &1_f32.to_le_bytes());
    let (unit, code) = match stack.layout.voxel_size().map(|size| size.unit.as_str()) {
        Some("mm") => ("mm", 2),
        Some("m") => ("m", 1),
        _ => ("\u{b5}m", 3),
    };
    let size = size_in(stack.layout.voxel_size(), unit);
    if size.is_some() {
        put(123, &[code]);
    }
    // Where the axes lie is said too, as programs turn images round that do not say it.
    put(254, &2_i16.to_le_bytes());
    for (axis, size) in size.unwrap_or([1.0; 3]).into_iter().rev().enumerate() {
        put(80 + 4 * axis, &(size as f32).to_le_bytes());
        put(280 + 20 * axis, &(size as f32).to_le_bytes());
    }
    let unit_code = if size.is_some() { code } else { 0 };
    match stack.layout.space() {
        Some(Space::Nifti(space)) => {
            // As the file that it comes from has it, so that it lies over that one.
            put(123, &[unit_code | space.time_unit]);
            put(252, &space.qform_code.to_le_bytes());
            put(254, &space.sform_code.to_le_bytes());
            put(76, &(space.qfac as f32).to_le_bytes());
            if size.is_none() {
                space
                    .sizes
                    .iter()
                    .enumerate()
                    .for_each(|(axis, size)| put(80 + 4 * axis, &(*size as f32).to_le_bytes()));
            }
            put(92, &(space.time_step as f32).to_le_bytes());
            put(136, &(space.time_offset as f32).to_le_bytes());
            let all =
                space.quaternion.into_iter().chain(space.q_offset).chain(space.rows.into_iter().flatten());
            for (place, number) in all.enumerate() {
                put(256 + 4 * place, &(number as f32).to_le_bytes());
            }
        }
        _ => {
            for (axis, place) in origin_in(&stack, unit).unwrap_or_default().into_iter().enumerate() {
                put(292 + 16 * axis, &(place as f32).to_le_bytes());
            }
        }
    }
    put(344, b"n+1\0");
    let layout = Behind { header, numbers: stack.numbers, channels_first: true };
    Ok(Box::new(ArrayFile::new(stack, layout)?))
}
