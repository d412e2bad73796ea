//! Stacks in NumPy's `.npy` files, `[image][channel][y][x]`.

use super::array_file::{ArrayFile, Behind};
use super::shape::all_axes;
use super::{StackFile, TypedStack};
use crate::error::Result;
use crate::images::source::SampleKind;

/// Begins the file of `stack`.
///
/// # Errors
/// As [`ArrayFile::new`].
pub(super) fn create(stack: TypedStack) -> Result<Box<dyn StackFile>> {
    let kind = match stack.numbers.kind {
        SampleKind::Unsigned => 'u',
        SampleKind::Signed => 'i',
        SampleKind::Float => 'f',
    };
    let bytes = stack.numbers.bits.div_ceil(8);
    let order = if bytes == 1 { '|' } else { '<' };
    let shape: String = all_axes(&stack).iter().map(|(_, length)| format!("{length}, ")).collect();
    let text = format!(
        "{{'descr': '{order}{kind}{bytes}', 'fortran_order': False, 'shape': ({}), }}",
        shape.trim_end_matches([' ', ','])
    );
    // The numbers begin at a multiple of 64 bytes, and the line before them ends.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{text:<width$}\n", width = length - 1).into_bytes());
    let layout = Behind { header, numbers: stack.numbers, channels_first: false };
    Ok(Box::new(ArrayFile::new(stack, layout)?))
}
