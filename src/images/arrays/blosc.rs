//! Blosc 1, which most Zarr files and some HDF5 files are packed with: blocks of numbers whose bytes or bits are sorted by their place in the number
//! and then packed by one of several ways.
//!
//! The format is that of C-Blosc 1: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>. Nothing that stands
//! in it is believed: every place is looked up with its bounds checked, and no memory is taken for more than is expected.

use std::io::Read;
use std::ops::RangeInclusive;

use crate::images::dry_run::{count, is_doubtful, read_packed};

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
    let chunk = Chunk::new(packed, lengths)?;
    if let Some(stored) = chunk.stored()? {
        return Ok(stored.to_vec());
    }
    if is_doubtful(packed.len() as u64, chunk.length as u64) {
        chunk.check()?;
    }
    let mut all = Vec::new();
    let mut sorted = Vec::new();
    for block in chunk.blocks() {
        let block = block?;
        sorted.clear();
        for piece in block.pieces(&chunk) {
            piece?.unpack(chunk.packing(), &mut sorted)?;
        }
        // Pieces are whole numbers of bytes; what is left over is not stored.
        sorted.resize(block.length, 0);
        let size = chunk.type_size;
        if chunk.flags & BYTE_SHUFFLE != 0 && size > 1 {
            unshuffle(&sorted, size, &mut all);
        } else if chunk.flags & BIT_SHUFFLE != 0 && block.length >= size {
            unshuffle_bits(&sorted, size, &mut all);
        } else {
            all.extend_from_slice(&sorted);
        }
    }
    Ok(all)
}

/// A chunk whose header was read.
struct Chunk<'a> {
    /// All of it, with the header.
    packed: &'a [u8],
    flags: u8,
    /// The bytes of a number.
    type_size: usize,
    /// The bytes unpacked, of the whole and of each block but the last.
    length: usize,
    block: usize,
}

/// A block of a chunk.
struct Block {
    /// Where it begins.
    place: usize,
    /// Its bytes unpacked.
    length: usize,
    pieces: usize,
}

/// A piece of a block.
struct Piece<'a> {
    packed: &'a [u8],
    /// Its bytes unpacked.
    length: usize,
}

impl<'a> Chunk<'a> {
    /// The chunk `packed`, which has so many bytes unpacked.
    fn new(packed: &'a [u8], lengths: RangeInclusive<usize>) -> Result<Self, String> {
        let header = packed.first_chunk::<HEADER>().ok_or("it has fewer bytes than a header of Blosc")?;
        let [version, _, flags, type_size, sizes @ ..] = *header;
        if !(1..=2).contains(&version) {
            return Err(format!("it is packed by Blosc in version {version} of the format, wanted 2"));
        }
        let size = |place: usize| number_at(&sizes, place).unwrap_or(0);
        let (length, block, packed_length) = (size(0), size(4), size(8));
        if !lengths.contains(&length) {
            return Err(format!("it says that it has {length} bytes unpacked, wanted {}", lengths.end()));
        }
        let packed = packed.get(..packed_length).ok_or("it is cut off")?;
        if flags & STORED == 0 {
            if length > 0 && !(1..=length).contains(&block) {
                return Err(format!("it says that it has blocks of {block} bytes"));
            }
            let places = length.div_ceil(block.max(1)).saturating_mul(4);
            if packed.len() < places.saturating_add(HEADER) {
                return Err("it is cut off".into());
            }
        }
        Ok(Self { packed, flags, type_size: usize::from(type_size).max(1), length, block })
    }

    /// The bytes of the chunk where they are not packed.
    fn stored(&self) -> Result<Option<&'a [u8]>, String> {
        if self.flags & STORED == 0 {
            return Ok(None);
        }
        let stored = self.packed.get(HEADER..).and_then(|stored| stored.get(..self.length));
        Ok(Some(stored.ok_or("it is cut off")?))
    }

    /// How it is packed.
    fn packing(&self) -> u8 {
        self.flags >> 5
    }

    fn blocks(&self) -> impl Iterator<Item = Result<Block, String>> + '_ {
        let Self { length, block, type_size, .. } = *self;
        (0..length.div_ceil(block.max(1))).map(move |number| {
            let place = number_at(self.packed, HEADER + 4 * number).ok_or("it is cut off")?;
            let length = block.min(length - number * block);
            let is_split = self.flags & NOT_SPLIT == 0
                && type_size <= MOST_PIECES
                && length / type_size >= LEAST_PIECE
                && length == block;
            Ok(Block { place, length, pieces: if is_split { type_size } else { 1 } })
        })
    }

    /// Checks that it holds all that it should, without keeping any of it.
    fn check(&self) -> Result<(), String> {
        for block in self.blocks() {
            for piece in block?.pieces(self) {
                piece?.check(self.packing())?;
            }
        }
        Ok(())
    }
}

impl Block {
    fn pieces<'a>(&self, chunk: &Chunk<'a>) -> impl Iterator<Item = Result<Piece<'a>, String>> + use<'a> {
        let (packed, length) = (chunk.packed, self.length / self.pieces);
        let mut place = self.place;
        (0..self.pieces).map(move |_| {
            let count = number_at(packed, place).ok_or("it is cut off")?;
            let bytes = packed.get(place + 4..).and_then(|rest| rest.get(..count)).ok_or("it is cut off")?;
            place += 4 + count;
            Ok(Piece { packed: bytes, length })
        })
    }
}

impl Piece<'_> {
    /// Appends its bytes to `block`.
    fn unpack(&self, packing: u8, block: &mut Vec<u8>) -> Result<(), String> {
        let Self { packed, length } = *self;
        let start = block.len();
        if packed.len() == length {
            block.extend_from_slice(packed);
            return Ok(());
        }
        match packing {
            0 => unpack_blosclz(packed, length, block)?,
            1 => unpack_lz4(packed, length, block)?,
            3 => block.extend(read_packed(|| Ok(zlib(packed)), packed.len(), length..=length)?),
            4 => block.extend(read_packed(|| zstd(packed), packed.len(), length..=length)?),
            other => return Err(unknown(other)),
        }
        self.check_length(block.len() - start)
    }

    /// Checks that its bytes are as many as they should be, without keeping any of them.
    fn check(&self, packing: u8) -> Result<(), String> {
        let Self { packed, length } = *self;
        if packed.len() == length {
            return Ok(());
        }
        let counted = |found: std::io::Result<u64>| match found {
            Ok(found) => Ok(usize::try_from(found).unwrap_or(usize::MAX)),
            Err(error) => Err(error.to_string()),
        };
        // A byte more tells that there are too many.
        let most = length as u64 + 1;
        self.check_length(match packing {
            0 => blosclz_length(packed)?,
            1 => lz4_length(packed).ok_or(BROKEN_LZ4)?,
            3 => counted(count(zlib(packed), most))?,
            4 => counted(count(zstd(packed)?, most))?,
            other => return Err(unknown(other)),
        })
    }

    fn check_length(&self, found: usize) -> Result<(), String> {
        match found == self.length {
            true => Ok(()),
            false => Err(format!("a block has {found} bytes, wanted {}", self.length)),
        }
    }
}

fn zlib(packed: &[u8]) -> flate2::bufread::ZlibDecoder<&[u8]> {
    flate2::bufread::ZlibDecoder::new(packed)
}

fn zstd(packed: &[u8]) -> Result<impl Read + '_, String> {
    ruzstd::decoding::StreamingDecoder::new(packed).map_err(|error| error.to_string())
}

fn unknown(packing: u8) -> String {
    match packing {
        2 => "it is packed by Blosc with Snappy, which is not read; wanted LZ4, zstd, zlib or BloscLZ".into(),
        other => format!("Blosc has no way {other} of packing"),
    }
}

/// The `expected` bytes that are packed by Zstandard.
pub(super) fn unpack_zstd(packed: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    read_packed(|| zstd(packed), packed.len(), expected..=expected)
}

/// The number of 32 bits at a place; `None` where there is none.
fn number_at(bytes: &[u8], place: usize) -> Option<usize> {
    let bytes = bytes.get(place..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

const BROKEN_LZ4: &str = "it is cut off, or repeats what is not there";

/// Appends `expected` bytes that are packed as a block of LZ4.
pub(super) fn unpack_lz4(packed: &[u8], expected: usize, all: &mut Vec<u8>) -> Result<(), String> {
    // Its codes say how much they stand for, so that a lie about the length takes no memory.
    match lz4_length(packed).ok_or(BROKEN_LZ4)? {
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

/// How many bytes a block of LZ4 stands for; `None` where it is cut off, or repeats what is not there. Its format:
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
        let (back, behind) = rest.split_first_chunk::<2>()?;
        rest = behind;
        if !(1..=all).contains(&usize::from(u16::from_le_bytes(*back))) {
            return None;
        }
        // The shortest repetition has four bytes.
        all += 4 + length_of(token & 15, &mut rest)?;
    }
}

/// Appends `expected` bytes that are packed by Blosc's own way.
fn unpack_blosclz(packed: &[u8], expected: usize, all: &mut Vec<u8>) -> Result<(), String> {
    let mut codes = Codes { rest: packed, length: 0 };
    while let Some(code) = codes.next()? {
        if codes.length > expected {
            return Err("a block has more bytes than it should".into());
        }
        match code {
            Code::Literal(bytes) => all.extend_from_slice(bytes),
            Code::Repeat { back, count } => {
                let from = all.len() - back;
                // It may reach into what it writes itself.
                for place in from..from + count {
                    all.push(all[place]);
                }
            }
        }
    }
    Ok(())
}

/// How many bytes that are which are packed by Blosc's own way.
fn blosclz_length(packed: &[u8]) -> Result<usize, String> {
    let mut codes = Codes { rest: packed, length: 0 };
    while codes.next()?.is_some() {}
    Ok(codes.length)
}

/// A code of Blosc's own way of packing.
enum Code<'a> {
    Literal(&'a [u8]),
    /// `count` bytes from up to 73727 places before.
    Repeat {
        back: usize,
        count: usize,
    },
}

/// The codes of what is packed by Blosc's own way.
struct Codes<'a> {
    rest: &'a [u8],
    /// How many bytes those stand for that were read.
    length: usize,
}

impl<'a> Codes<'a> {
    /// The next code, which repeats nothing that is not there; `None` at the end.
    fn next(&mut self) -> Result<Option<Code<'a>>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.code().map(Some).ok_or_else(|| "it is cut off, or repeats what is not there".into())
    }

    fn code(&mut self) -> Option<Code<'a>> {
        const NEAR: usize = 8191;
        let control = self.byte()?;
        // The first code is a literal, whatever its highest bits say.
        let control = if self.length == 0 { control & 31 } else { control };
        if control < 32 {
            let (literal, rest) = self.rest.split_at_checked(control + 1)?;
            self.rest = rest;
            self.length += literal.len();
            return Some(Code::Literal(literal));
        }
        let mut count = (control >> 5) + 2;
        if control >> 5 == 7 {
            loop {
                let more = self.byte()?;
                count += more;
                if more != 255 {
                    break;
                }
            }
        }
        let (high, low) = (control & 31, self.byte()?);
        let mut back = (high << 8) + low + 1;
        if (high, low) == (31, 255) {
            back = (self.byte()? << 8) + self.byte()? + NEAR + 1;
        }
        if back > self.length {
            return None;
        }
        self.length = self.length.saturating_add(count);
        Some(Code::Repeat { back, count })
    }

    fn byte(&mut self) -> Option<usize> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(usize::from(*byte))
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
pub(super) fn unshuffle_bits(sorted: &[u8], size: usize, all: &mut Vec<u8>) {
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
