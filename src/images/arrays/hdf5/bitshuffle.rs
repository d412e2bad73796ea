//! Bitshuffle, which detectors of X-rays pack their images with: blocks of numbers whose bits are sorted by their place in the number,
//! and which are packed then or not.
//!
//! The format is that of <https://github.com/kiyo-masui/bitshuffle>.

use std::ops::RangeInclusive;

use crate::images::arrays::blosc::{unpack_lz4, unpack_zstd, unshuffle_bits};
use crate::memory;

/// Numbers are sorted in eights; those that are left over stand at the end as they are.
const TOGETHER: usize = 8;
/// Where nobody says how many numbers a block has, it has about so many bytes, and at least so many numbers.
const USUAL_BYTES: usize = 8192;
const LEAST_NUMBERS: usize = 128;
/// The bytes before the first block: the length unpacked, and the bytes of a block.
const HEADER: usize = 12;

/// How the blocks are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Stored,
    Lz4,
    Zstd,
}

/// How bits were sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bitshuffle {
    /// The bytes of a number.
    element: usize,
    /// The numbers of a block, where these are not packed.
    block: usize,
    packing: Packing,
}

impl Bitshuffle {
    /// As the numbers that a file keeps for it say; `None` for those that are none of it.
    pub(super) fn new(settings: &[u32]) -> Option<Self> {
        let at = |place: usize| settings.get(place).map_or(0, |number| *number as usize);
        let element = at(2);
        let packing = match at(4) {
            0 => Packing::Stored,
            2 => Packing::Lz4,
            3 => Packing::Zstd,
            _ => return None,
        };
        let block = match at(3) {
            0 => (USUAL_BYTES / element.max(1) / TOGETHER * TOGETHER).max(LEAST_NUMBERS),
            block => block,
        };
        let is_sound = (1..=1 << 16).contains(&element) && block.is_multiple_of(TOGETHER);
        is_sound.then_some(Self { element, block, packing })
    }

    /// Whether numbers take as many bytes sorted as they did before.
    pub(super) fn keeps_length(self) -> bool {
        self.packing == Packing::Stored
    }

    /// The bytes as they were before, of which there are so many.
    ///
    /// # Errors
    /// In words what is wrong with them.
    pub(super) fn undone(self, bytes: &[u8], lengths: RangeInclusive<usize>) -> Result<Vec<u8>, String> {
        const CUT_OFF: &str = "bitshuffle: it is cut off";
        let (length, block, mut rest) = match self.packing {
            Packing::Stored => (bytes.len(), self.block.saturating_mul(self.element), bytes),
            _ => {
                let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(CUT_OFF)?;
                let (length, block) = header.split_at(8);
                let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
                let size = |bytes: &[u8]| usize::try_from(number(bytes)).unwrap_or(usize::MAX);
                (size(length), size(block), rest)
            }
        };
        if !lengths.contains(&length) {
            return Err(format!("it says that it has {length} bytes unpacked, wanted {}", lengths.end()));
        }
        let eight = TOGETHER * self.element;
        if block == 0 || !block.is_multiple_of(eight) {
            return Err(format!("bitshuffle: it says that it has blocks of {block} bytes"));
        }
        memory::check("a chunk", length as u64, "cut the file into smaller chunks")
            .map_err(|error| error.to_string())?;
        // Memory is taken block by block, as each is known to hold what it should.
        let mut all = Vec::new();
        let mut sorted = Vec::new();
        while length - all.len() >= eight {
            let wanted = block.min((length - all.len()) / eight * eight);
            if self.packing == Packing::Stored {
                let (next, behind) = rest.split_at_checked(wanted).ok_or(CUT_OFF)?;
                rest = behind;
                unshuffle_bits(next, self.element, &mut all);
                continue;
            }
            let (count, behind) = rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
            let count = usize::try_from(u32::from_be_bytes(*count)).unwrap_or(usize::MAX);
            let (packed, behind) = behind.split_at_checked(count).ok_or(CUT_OFF)?;
            rest = behind;
            sorted.clear();
            match self.packing {
                Packing::Zstd => sorted = unpack_zstd(packed, wanted)?,
                _ => unpack_lz4(packed, wanted, &mut sorted)?,
            }
            unshuffle_bits(&sorted, self.element, &mut all);
        }
        all.extend_from_slice(rest.get(..length - all.len()).ok_or(CUT_OFF)?);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LZ4: Bitshuffle = Bitshuffle { element: 2, block: 8, packing: Packing::Lz4 };

    /// A chunk of `length` bytes in blocks of `block`, the parts of which follow.
    fn chunk(length: u64, block: u32, parts: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], &block.to_be_bytes(), parts].concat()
    }

    #[test]
    fn settings_that_are_none_are_refused() {
        assert_eq!(Bitshuffle::new(&[0, 4, 2, 0, 2]).unwrap().block, 4096);
        assert_eq!(Bitshuffle::new(&[0, 4, 8, 16, 0]).unwrap().block, 16);
        for settings in
            [&[0, 4, 0, 0, 2][..], &[0, 4, 2, 7, 2], &[0, 4, 2, 0, 1], &[], &[0, 4, 1 << 20, 0, 2]]
        {
            assert_eq!(Bitshuffle::new(settings), None);
        }
    }

    #[test]
    fn lies_are_refused_without_taking_memory() {
        let huge = 1 << 30;
        // Three bytes as they are, where a block has sixteen.
        let short = [0, 0, 0, 4, 0x30, 7, 7, 7];
        for (bytes, problem) in [
            (chunk(huge, 16, &short), "wanted 16"),
            (chunk(huge, 1 << 29, &short), "wanted"),
            (chunk(huge, 0, &short), "blocks of 0 bytes"),
            (chunk(huge, 17, &short), "blocks of 17 bytes"),
            (chunk(huge, 16, &[255; 4]), "cut off"),
            (chunk(huge - 1, 16, &[]), "wanted 1073741824"),
            (chunk(huge, 16, &[])[..11].to_vec(), "cut off"),
        ] {
            let found = LZ4.undone(&bytes, huge as usize..=huge as usize).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
        // What is left over of eight numbers stands at the end as it is.
        assert_eq!(LZ4.undone(&chunk(3, 16, &[1, 2, 3]), 3..=3).unwrap(), [1, 2, 3]);
        LZ4.undone(&chunk(3, 16, &[1, 2]), 3..=3).unwrap_err();
    }
}
