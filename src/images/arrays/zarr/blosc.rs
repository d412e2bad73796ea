//! Blosc 1, which most Zarr files are packed with: blocks of numbers whose bytes or bits are sorted by their place in the number
//! and then packed by one of several ways.
//!
//! The format is that of C-Blosc 1: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>. Nothing that stands
//! in it is believed: every place is looked up with its bounds checked, and no memory is taken for more than is expected.

use std::ops::RangeInclusive;

use crate::images::dry_run::{is_doubtful, read_packed};

/// The bytes before the places of the blocks.
const HEADER: usize = 16;
/// The flags of the header.
const BYTE_SHUFFLE: u8 = 1;
const STORED: u8 = 2;
const BIT_SHUFFLE: u8 = 4;
const NOT_SPLIT: u8 = 16;
/// A block is packed as one piece for each byte of a number where these have at most so many bytes and pieces at least so many.
const MOST_PIECES: usize = 16;
const LEAST_PIECE: usize = 128;

/// The bytes that `packed` holds, of which there are so many.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(super) fn unpack(packed: &[u8], lengths: RangeInclusive<usize>) -> Result<Vec<u8>, String> {
    if is_doubtful(packed.len() as u64, *lengths.end() as u64) {
        unpack_blocks(packed, lengths.clone(), false)?;
    }
    unpack_blocks(packed, lengths, true)
}

/// As [`unpack`]; nothing is kept of one block when the next is unpacked unless `all_kept` says so.
fn unpack_blocks(packed: &[u8], lengths: RangeInclusive<usize>, all_kept: bool) -> Result<Vec<u8>, String> {
    let header = packed.first_chunk::<HEADER>().ok_or("it has fewer bytes than a header of Blosc")?;
    let [version, _, flags, type_size, sizes @ ..] = *header;
    if !(1..=2).contains(&version) {
        return Err(format!("it is packed by Blosc in version {version} of the format, wanted 2"));
    }
    let size = |place: usize| number_at(&sizes, place).unwrap_or(0);
    let (bytes, block, packed_bytes) = (size(0), size(4), size(8));
    if !lengths.contains(&bytes) {
        return Err(format!("it says that it has {bytes} bytes unpacked, wanted {}", lengths.end()));
    }
    let packed = packed.get(..packed_bytes).ok_or("it is cut off")?;
    let type_size = usize::from(type_size).max(1);
    if flags & STORED != 0 {
        let stored = packed.get(HEADER..).and_then(|stored| stored.get(..bytes)).ok_or("it is cut off")?;
        return Ok(stored.to_vec());
    }
    if bytes > 0 && (block == 0 || block > bytes) {
        return Err(format!("it says that it has blocks of {block} bytes"));
    }
    let count = bytes.div_ceil(block.max(1));
    if packed.len() < HEADER.saturating_add(count.saturating_mul(4)) {
        return Err("it is cut off".into());
    }
    let mut all = Vec::new();
    let mut sorted = Vec::new();
    for number in 0..count {
        if !all_kept {
            all.clear();
        }
        let length = block.min(bytes - number * block);
        let place = number_at(packed, HEADER + 4 * number).ok_or("it is cut off")?;
        sorted.clear();
        let split = flags & NOT_SPLIT == 0
            && type_size <= MOST_PIECES
            && length / type_size >= LEAST_PIECE
            && length == block;
        unpack_block(packed, place, length, if split { type_size } else { 1 }, flags >> 5, &mut sorted)?;
        if flags & BYTE_SHUFFLE != 0 && type_size > 1 {
            unshuffle(&sorted, type_size, &mut all);
        } else if flags & BIT_SHUFFLE != 0 && length >= type_size {
            unshuffle_bits(&sorted, type_size, &mut all);
        } else {
            all.extend_from_slice(&sorted);
        }
    }
    Ok(all)
}

/// The number of 32 bits at a place; `None` where there is none.
fn number_at(bytes: &[u8], place: usize) -> Option<usize> {
    let bytes = bytes.get(place..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// Appends to `block` the `length` bytes that stand in `packed` from `place` on, in so many `pieces`.
fn unpack_block(
    packed: &[u8],
    mut place: usize,
    length: usize,
    pieces: usize,
    packing: u8,
    block: &mut Vec<u8>,
) -> Result<(), String> {
    let piece = length / pieces;
    for _ in 0..pieces {
        let count = number_at(packed, place).ok_or("it is cut off")?;
        let bytes = packed.get(place + 4..).and_then(|rest| rest.get(..count)).ok_or("it is cut off")?;
        place += 4 + count;
        let start = block.len();
        if count == piece {
            block.extend_from_slice(bytes);
            continue;
        }
        match packing {
            0 => unpack_blosclz(bytes, piece, block)?,
            1 => unpack_lz4(bytes, piece, block)?,
            3 => {
                let decoder = || Ok(flate2::bufread::ZlibDecoder::new(bytes));
                block.extend(read_packed(decoder, bytes.len(), piece..=piece)?);
            }
            4 => {
                let decoder =
                    || ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| error.to_string());
                block.extend(read_packed(decoder, bytes.len(), piece..=piece)?);
            }
            2 => {
                return Err(
                    "it is packed by Blosc with Snappy, which is not read; wanted LZ4, zstd, zlib or BloscLZ"
                        .into(),
                );
            }
            other => return Err(format!("Blosc has no way {other} of packing")),
        }
        if block.len() - start != piece {
            return Err(format!("a block has {} bytes, wanted {piece}", block.len() - start));
        }
    }
    // Pieces are whole numbers of bytes; what is left over is not stored.
    block.resize(block.len() + length - piece * pieces, 0);
    Ok(())
}

/// Appends `expected` bytes that are packed as a block of LZ4.
pub(super) fn unpack_lz4(packed: &[u8], expected: usize, all: &mut Vec<u8>) -> Result<(), String> {
    // Its codes say how much they stand for, so that a lie about the length takes no memory.
    match lz4_length(packed).ok_or("it is cut off")? {
        found if found != expected => {
            return Err(format!("it has {found} bytes unpacked, wanted {expected}"));
        }
        _ => {}
    }
    let start = all.len();
    all.resize(start + expected, 0);
    let count =
        lz4_flex::block::decompress_into(packed, &mut all[start..]).map_err(|error| error.to_string())?;
    all.truncate(start + count);
    Ok(())
}

/// How many bytes a block of LZ4 stands for; `None` where it is cut off. Its format:
/// <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.
fn lz4_length(packed: &[u8]) -> Option<usize> {
    fn length_of(nibble: u8, rest: &mut &[u8]) -> Option<usize> {
        let mut length = usize::from(nibble);
        if nibble == 15 {
            loop {
                let (more, behind) = rest.split_first()?;
                *rest = behind;
                length += usize::from(*more);
                if *more != 255 {
                    break;
                }
            }
        }
        Some(length)
    }
    let mut rest = packed;
    let mut all = 0;
    loop {
        let (token, behind) = rest.split_first()?;
        rest = behind;
        let literals = length_of(token >> 4, &mut rest)?;
        rest = rest.get(literals..)?;
        all += literals;
        // The last code has bytes as they are and nothing else.
        if rest.is_empty() {
            return Some(all);
        }
        // How far back the repeated bytes stand.
        rest = rest.get(2..)?;
        // The shortest repetition has four bytes.
        all += 4 + length_of(token & 15, &mut rest)?;
    }
}

/// Appends what is packed by Blosc's own way: bytes as they are, and repetitions of what stands up to 73727 bytes before.
fn unpack_blosclz(packed: &[u8], expected: usize, all: &mut Vec<u8>) -> Result<(), String> {
    const NEAR: usize = 8191;
    let mut bytes = packed.iter().copied();
    let mut next = || bytes.next().ok_or("it is cut off");
    let start = all.len();
    let mut control = usize::from(next()? & 31);
    loop {
        if control < 32 {
            for _ in 0..=control {
                all.push(next()?);
            }
        } else {
            let mut length = (control >> 5) - 1;
            let mut back = (control & 31) << 8;
            if length == 6 {
                loop {
                    let more = next()?;
                    length += usize::from(more);
                    if more != 255 || length > expected {
                        break;
                    }
                }
            }
            let near = usize::from(next()?);
            length += 3;
            if near == 255 && back == 31 << 8 {
                back = usize::from(next()?) << 8;
                back += usize::from(next()?) + NEAR;
            } else {
                back += near;
            }
            let from = all
                .len()
                .checked_sub(back + 1)
                .filter(|from| *from >= start)
                .ok_or("it repeats what is not there")?;
            if all.len() - start + length > expected {
                return Err("a block has more bytes than it should".into());
            }
            for place in from..from + length {
                all.push(all[place]);
            }
        }
        if all.len() - start > expected {
            return Err("a block has more bytes than it should".into());
        }
        match next() {
            Ok(byte) => control = usize::from(byte),
            Err(_) => return Ok(()),
        }
    }
}

/// Appends numbers of `size` bytes whose first bytes stand before all second ones, and so on, with the bytes of each together.
pub(super) fn unshuffle(sorted: &[u8], size: usize, all: &mut Vec<u8>) {
    let count = sorted.len() / size;
    let start = all.len();
    all.resize(start + sorted.len(), 0);
    let numbers = &mut all[start..];
    for (place, bytes) in sorted.chunks_exact(count.max(1)).take(size).enumerate() {
        for (number, byte) in numbers.chunks_exact_mut(size).zip(bytes) {
            number[place] = *byte;
        }
    }
    numbers[count * size..].copy_from_slice(&sorted[count * size..]);
}

/// As [`unshuffle`] for single bits, the lowest of each byte first. Where numbers do not come in eights, they are as they were.
fn unshuffle_bits(sorted: &[u8], size: usize, all: &mut Vec<u8>) {
    let count = sorted.len() / size;
    if !count.is_multiple_of(8) {
        all.extend_from_slice(sorted);
        return;
    }
    let start = all.len();
    all.resize(start + sorted.len(), 0);
    let numbers = &mut all[start..];
    let row = count / 8;
    for byte in 0..size {
        for eight in 0..row {
            // Byte k has bit k of eight numbers; turned, byte k is the byte of number k.
            let mut bits = [0; 8];
            for (k, bits) in bits.iter_mut().enumerate() {
                *bits = sorted[(byte * 8 + k) * row + eight];
            }
            for (k, turned) in turned(u64::from_le_bytes(bits)).to_le_bytes().into_iter().enumerate() {
                numbers[(eight * 8 + k) * size + byte] = turned;
            }
        }
    }
    numbers[count * size..].copy_from_slice(&sorted[count * size..]);
}

/// Eight rows of eight bits with rows and columns exchanged.
fn turned(mut bits: u64) -> u64 {
    for (mask, distance) in
        [(0x00aa_00aa_00aa_00aa, 7), (0x0000_cccc_0000_cccc, 14), (0x0000_0000_f0f0_f0f0_u64, 28)]
    {
        let changed = (bits ^ (bits >> distance)) & mask;
        bits ^= changed ^ (changed << distance);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_are_sorted_back() {
        let mut all = Vec::new();
        unshuffle(&[1, 3, 5, 2, 4, 6, 9], 2, &mut all);
        assert_eq!(all, [1, 2, 3, 4, 5, 6, 9]);
        for row in 0..8 {
            for column in 0..8 {
                assert_eq!(turned(1 << (row * 8 + column)), 1 << (column * 8 + row));
            }
        }
    }

    #[test]
    fn lies_are_refused_without_taking_memory() {
        let header = |flags: u8, bytes: u32, block: u32, packed: u32| {
            let mut header = vec![2, 1, flags, 4];
            [bytes, block, packed].iter().for_each(|size| header.extend(size.to_le_bytes()));
            header
        };
        let huge = 1 << 30;
        for (packed, expected) in [
            (header(0, huge, 0, 16), huge),
            (header(0, huge, 1, 16), huge),
            (header(STORED, huge, huge, 16), huge),
            (header(0, huge, huge, u32::MAX), huge),
            (header(0, 8, 8, 16), 4),
            (
                [header(1 << 5, huge, huge, 28), vec![20, 0, 0, 0], vec![1, 0, 0, 0, 7, 7, 7, 7]].concat(),
                huge,
            ),
            (
                [header(0, huge, huge, 28), vec![20, 0, 0, 0], vec![4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]]
                    .concat(),
                huge,
            ),
            (vec![2; 15], 1),
        ] {
            unpack(&packed, 0..=expected as usize).unwrap_err();
        }
    }
}
