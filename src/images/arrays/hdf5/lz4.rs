//! The LZ4 filter, with which detectors of Dectris store images: its form is told by
//! <https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md>.

use std::ops::RangeInclusive;

use crate::images::arrays::blosc::unpack_lz4;
use crate::memory;

/// The length of the bytes and that of the blocks that were packed by themselves, the highest byte of each first.
const HEADER: usize = 12;

/// The bytes as they were before, of which there are as many as one of `lengths`.
///
/// # Errors
/// In words what is wrong with them.
pub(super) fn undone(bytes: &[u8], lengths: RangeInclusive<usize>) -> Result<Vec<u8>, String> {
    const CUT_OFF: &str = "LZ4: it is cut off";
    let (header, mut rest) = bytes.split_first_chunk::<HEADER>().ok_or(CUT_OFF)?;
    let number = |bytes: &[u8]| {
        usize::try_from(bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)))
            .unwrap_or(usize::MAX)
    };
    let (length, block) = (number(&header[..8]), number(&header[8..]));
    if !lengths.contains(&length) {
        return Err(format!("it says that it has {length} bytes unpacked, wanted {}", lengths.end()));
    }
    if block == 0 {
        return Err("LZ4: it says that it has blocks of 0 bytes".to_owned());
    }
    memory::check("a chunk", length as u64, "cut the file into smaller chunks")
        .map_err(|error| error.to_string())?;
    // Memory is taken block by block, as each is known to hold what it should.
    let mut all = Vec::new();
    while all.len() < length {
        let wanted = block.min(length - all.len());
        let (count, behind) = rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
        let (packed, behind) = behind.split_at_checked(number(count)).ok_or(CUT_OFF)?;
        rest = behind;
        // What does not become shorter is stored as it is.
        if packed.len() == wanted {
            all.extend_from_slice(packed)
        } else {
            unpack_lz4(packed, wanted, &mut all)?
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_packed_or_as_they_are_and_lies_are_refused() {
        let chunk = |length: u64, block: u32, parts: &[u8]| {
            [&length.to_be_bytes()[..], &block.to_be_bytes(), parts].concat()
        };
        // Four bytes as they are, and then two that LZ4 has as they are.
        let packed = [0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 3, 0x20, 7, 7];
        assert_eq!(undone(&chunk(6, 4, &packed), 6..=6).unwrap(), [1, 2, 3, 4, 7, 7]);
        for (bytes, problem) in [
            (chunk(1 << 30, 4, &packed), "wanted 6"),
            (chunk(6, 0, &packed), "blocks of 0 bytes"),
            (chunk(6, 4, &packed[..9]), "cut off"),
            (chunk(6, 4, &[0, 0, 0, 9, 1]), "cut off"),
            (packed[..5].to_vec(), "cut off"),
        ] {
            let found = undone(&bytes, 6..=6).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
        undone(&chunk(6, 4, &[0, 0, 0, 3, 0x20, 7, 7]), 6..=6).unwrap_err();
    }
}
