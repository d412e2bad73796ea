//! Packed bytes that stand for far more than packing usually saves: unpacked once without being kept, so that a stream that ends
//! early is found out before memory is taken for all that it promises.
//!
//! A byte of deflate may stand for 1100 bytes and one of Zstandard for 32768, so the length of a file says little about what is in
//! it. Blank images and labels are packed so well too; unpacking these twice costs them little.

use std::io::{self, Read};
use std::ops::RangeInclusive;

/// What has no more bytes unpacked is unpacked at once.
const LITTLE: u64 = 32 << 20;
/// Measured images seldom become smaller than this by packing.
const USUAL: u64 = 16;

/// Whether it is doubtful that `packed` bytes are as many as `unpacked` bytes, which would take much memory.
pub(super) fn is_doubtful(packed: u64, unpacked: u64) -> bool {
    unpacked > LITTLE && unpacked / USUAL > packed
}

/// How many bytes `reader` gives, up to `most`; none of them is kept.
///
/// # Errors
/// Those of reading.
pub(super) fn count(reader: impl Read, most: u64) -> io::Result<u64> {
    io::copy(&mut reader.take(most), &mut io::sink())
}

/// Reads `wanted` bytes of `reader` and keeps none.
///
/// # Errors
/// Those of reading, and [`io::ErrorKind::UnexpectedEof`] where there are fewer.
pub(super) fn pass_over(reader: impl Read, wanted: u64) -> io::Result<()> {
    match count(reader, wanted)? {
        found if found < wanted => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// What a decoder makes of `packed` bytes, of which no more is read than the largest of `lengths` and one byte that tells that there are
/// more.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(super) fn read_packed<R: Read>(
    decoder: impl Fn() -> Result<R, String>,
    packed: usize,
    lengths: RangeInclusive<usize>,
) -> Result<Vec<u8>, String> {
    let (least, most) = (*lengths.start(), *lengths.end());
    let check = |found: u64| match found {
        found if found > most as u64 => Err(format!("it has more than {most} bytes unpacked")),
        found if found < least as u64 => Err(format!("it has {found} bytes unpacked, wanted {least}")),
        _ => Ok(()),
    };
    let text = |error: io::Error| error.to_string();
    if is_doubtful(packed as u64, most as u64) {
        check(count(decoder()?, most as u64 + 1).map_err(text)?)?;
    }
    let mut bytes = Vec::new();
    decoder()?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(text)?;
    check(bytes.len() as u64)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_and_strongly_packed_bytes_are_doubtful() {
        assert!(is_doubtful(1 << 10, 1 << 30));
        assert!(!is_doubtful(1 << 27, 1 << 30));
        assert!(!is_doubtful(1, LITTLE));
    }

    #[test]
    fn bytes_that_are_missing_are_noticed() {
        assert_eq!(count(&[0; 5][..], 3).unwrap(), 3);
        pass_over(&[0; 5][..], 5).unwrap();
        assert_eq!(pass_over(&[0; 5][..], 6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
