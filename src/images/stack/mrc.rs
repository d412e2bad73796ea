//! Stacks in MRC files, which have one number for each pixel.

use super::array_file::{ArrayFile, Behind};
use super::shape::{origin_in, size_in};
use super::{StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};

const HEADER_BYTES: usize = 1024;

/// Begins the file of `stack`.
///
/// # Errors
/// As [`ArrayFile::new`]; [`Error::Output`] for numbers and sizes that the format does not have.
pub(super) fn create(stack: TypedStack) -> Result<Box<dyn StackFile>> {
    let wide = SampleType { kind: SampleKind::Unsigned, bits: 16 };
    let (mode, numbers) = match (stack.numbers.kind, stack.numbers.bits) {
        // Programs do not agree on whether bytes have a sign, so bytes without one become 16-bit numbers, as mrcfile does it.
        (SampleKind::Unsigned, 8 | 16) => (6, wide),
        (SampleKind::Signed, 8) => (0, stack.numbers),
        (SampleKind::Signed, 16) => (1, stack.numbers),
        (SampleKind::Float, 32) => (2, stack.numbers),
        (SampleKind::Float, 16) => (12, stack.numbers),
        _ => {
            let problem = format!("MRC files hold no {}; write .h5, .nii, .npy or .tif", stack.numbers);
            return Err(Error::output(&stack.path, problem));
        }
    };
    if stack.channels != 1 {
        let problem =
            format!("MRC files hold one channel, not {}; write .h5, .nii, .npy or .tif", stack.channels);
        return Err(Error::output(&stack.path, problem));
    }
    let mut header = vec![0; HEADER_BYTES];
    let mut put = |place: usize, word: [u8; 4]| header[place..place + 4].copy_from_slice(&word);
    let size = size_in(stack.layout.voxel_size(), "\u{c5}");
    for (axis, length) in [stack.extent.x, stack.extent.y, stack.extent.z].into_iter().enumerate() {
        let side = i32::try_from(length).map_err(|_| {
            Error::output(
                &stack.path,
                format!("MRC files have no side of {length} pixels; write .h5 or .npy"),
            )
        })?;
        put(4 * axis, side.to_le_bytes());
        put(28 + 4 * axis, side.to_le_bytes());
        if let Some(size) = size {
            put(40 + 4 * axis, ((size[2 - axis] * length as f64) as f32).to_le_bytes());
        }
        put(52 + 4 * axis, 90_f32.to_le_bytes());
        put(64 + 4 * axis, (axis as i32 + 1).to_le_bytes());
    }
    put(12, i32::to_le_bytes(mode));
    // Nobody has looked for the least, the largest and the mean number: so the format has it said.
    for (place, value) in [(76, 0_f32), (80, -1.0), (84, -2.0), (216, -1.0)] {
        put(place, value.to_le_bytes());
    }
    for (axis, place) in origin_in(&stack, "\u{c5}").unwrap_or_default().into_iter().enumerate() {
        put(196 + 4 * axis, (place as f32).to_le_bytes());
    }
    // A volume, and not a stack of images that have nothing to do with each other.
    put(88, 1_i32.to_le_bytes());
    put(108, 20140_i32.to_le_bytes());
    put(208, *b"MAP ");
    put(212, [0x44, 0x44, 0, 0]);
    let layout = Behind { header, numbers, channels_first: false };
    Ok(Box::new(ArrayFile::new(stack, layout)?))
}
