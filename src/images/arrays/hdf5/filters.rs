//! The filters of HDF5: what was done to the bytes of a chunk before it was stored, undone.

use std::io::{self, Read};
use std::ops::RangeInclusive;

use flate2::read::ZlibDecoder;
use hdf5_pure::Filter as StoredFilter;

use super::bitshuffle::Bitshuffle;
use super::lz4;
use crate::error::{Error, Result};
use crate::images::arrays::blosc;
use crate::images::dry_run::{count, is_doubtful};
use crate::memory;

/// One of the filters that are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Deflate,
    /// The first bytes of all numbers, then the second ones, and so on.
    Shuffle(usize),
    Fletcher32,
    Lzf,
    Zstd,
    Blosc,
    Lz4,
    Bitshuffle(Bitshuffle),
}

/// The filters of a dataset, in the order in which they were applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters(Vec<Filter>);

/// More filters than any file has: HDF5 allows no more.
const MOST_FILTERS: usize = 32;

impl Filters {
    /// Those that a file says, of numbers of so many bytes.
    ///
    /// # Errors
    /// [`Error::Input`] for those that are not read.
    pub(super) fn of(name: &str, stored: &[StoredFilter], element: usize) -> Result<Self> {
        let filter = |filter: &StoredFilter| {
            Ok(match filter.id {
                1 => Filter::Deflate,
                2 => Filter::Shuffle(
                    filter.client_data.first().map_or(element, |&bytes| bytes as usize).clamp(1, 1 << 16),
                ),
                3 => Filter::Fletcher32,
                32000 => Filter::Lzf,
                32015 => Filter::Zstd,
                32001 => Filter::Blosc,
                32004 => Filter::Lz4,
                32008 => match Bitshuffle::new(&filter.client_data) {
                    Some(sorted) => Filter::Bitshuffle(sorted),
                    None => return Err(refused(name, filter.id, filter.name.as_deref())),
                },
                other => return Err(refused(name, other, filter.name.as_deref())),
            })
        };
        if stored.len() > MOST_FILTERS {
            return Err(Error::input(name, format!("has {} filters; copy or export it again", stored.len())));
        }
        stored.iter().map(filter).collect::<Result<_>>().map(Self)
    }

    /// Whether chunks are stored as they are.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The `wanted` bytes of a chunk that is stored as `bytes`; bit `n` of `skipped` says that filter `n` was not applied.
    ///
    /// # Errors
    /// In words what is wrong with the bytes.
    pub(super) fn undone(
        &self,
        mut bytes: Vec<u8>,
        wanted: usize,
        skipped: u32,
    ) -> std::result::Result<Vec<u8>, String> {
        // What the filters before a checksum gave is as much longer as their checksums are.
        let sums =
            |filters: &[Filter]| filters.iter().filter(|filter| **filter == Filter::Fletcher32).count() * 4;
        for (number, filter) in self.0.iter().enumerate().rev() {
            if skipped >> number & 1 == 1 {
                continue;
            }
            let most = wanted.saturating_add(sums(&self.0[..number]));
            // What filters before it gave has its full length, unless one of these made it shorter.
            let keeps_length = |filter: &Filter| match filter {
                Filter::Shuffle(_) | Filter::Fletcher32 => true,
                Filter::Bitshuffle(sorted) => sorted.keeps_length(),
                _ => false,
            };
            let least = if self.0[..number].iter().all(keeps_length) { wanted } else { 0 };
            let lengths = least..=most;
            bytes = match filter {
                Filter::Deflate => {
                    unpacked(|| Ok(ZlibDecoder::new(bytes.as_slice())), bytes.len(), lengths, 1100)?
                }
                Filter::Zstd => {
                    let decoder = || {
                        ruzstd::decoding::StreamingDecoder::new(bytes.as_slice())
                            .map_err(|error| format!("zstd: {error}"))
                    };
                    unpacked(decoder, bytes.len(), lengths, 128 << 10)?
                }
                Filter::Lzf => lzf(&bytes, lengths)?,
                Filter::Blosc => blosc::unpack(&bytes, lengths)?,
                Filter::Lz4 => lz4::undone(&bytes, lengths)?,
                Filter::Bitshuffle(sorted) => sorted.undone(&bytes, lengths)?,
                Filter::Shuffle(element) => unshuffled(&bytes, *element)?,
                Filter::Fletcher32 => {
                    let (rest, stored) = bytes.split_last_chunk::<4>().ok_or("its checksum is cut off")?;
                    let (sum, stored) = (fletcher32(rest), u32::from_le_bytes(*stored));
                    // HDF5 before 1.6.3 stored both halves with their bytes exchanged.
                    if sum != stored && sum != (stored & 0x00ff_00ff) << 8 | stored >> 8 & 0x00ff_00ff {
                        return Err("its checksum is not that of its bytes".to_owned());
                    }
                    let length = rest.len();
                    bytes.truncate(length);
                    bytes
                }
            };
        }
        match bytes.len() {
            length if length < wanted => Err(format!("it has {length} of {wanted} bytes")),
            _ => {
                bytes.truncate(wanted);
                Ok(bytes)
            }
        }
    }
}

fn refused(name: &str, id: u16, stored_name: Option<&str>) -> Error {
    let known = match id {
        4 => "szip",
        5 => "nbit",
        6 => "scale-offset",
        307 => "bzip2",
        32008 => "bitshuffle, packed neither with LZ4 nor with zstd",
        32013 => "ZFP",
        32017 => "SZ",
        32024 => "SZ3",
        32026 => "Blosc2",
        _ => stored_name.unwrap_or("no name"),
    };
    let known: String = known.chars().filter(|letter| !letter.is_control()).take(40).collect();
    let problem = format!(
        "is stored with the filter {id} ({known}), which is not read; store it again as a program does that has this filter: h5repack -f GZIP=4 IN.h5 OUT.h5"
    );
    Error::input(name, problem)
}

/// Each byte of a chunk seldom becomes more than this; where it does, memory is taken as it is filled.
const USUAL: usize = 16;

/// What a decoder makes of `packed` bytes, of which each becomes `strongest` at most. `lengths` says how many bytes it may be; what is
/// longer is cut off.
fn unpacked<R: Read>(
    decoder: impl Fn() -> std::result::Result<R, String>,
    packed: usize,
    lengths: RangeInclusive<usize>,
    strongest: usize,
) -> std::result::Result<Vec<u8>, String> {
    // Memory is only taken for what there can be.
    let mut room = (*lengths.end()).min(packed.saturating_mul(strongest).saturating_add(64));
    if is_doubtful(packed as u64, room as u64) {
        let found = count(decoder()?, room as u64).map_err(|error| error.to_string())?;
        room = usize::try_from(found).unwrap_or(room);
    }
    if room < *lengths.start() {
        return Err(format!("it has at most {room} of {} bytes", lengths.start()));
    }
    memory::check("a chunk", room as u64, "cut the file into smaller chunks")
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(room.min(packed.saturating_mul(USUAL)));
    let read = decoder()?.take(room as u64).read_to_end(&mut bytes);
    read.map_err(|error: io::Error| error.to_string())?;
    Ok(bytes)
}

/// The bytes of numbers that were sorted by their place in the number.
fn unshuffled(bytes: &[u8], element: usize) -> std::result::Result<Vec<u8>, String> {
    let count = bytes.len() / element;
    let mut all = memory::reserve("a chunk", bytes.len(), "cut the file into smaller chunks")
        .map_err(|error| error.to_string())?;
    all.resize(bytes.len(), 0);
    // What is left over stands at the end as it is.
    let whole = count * element;
    if count > 0 {
        for (place, plane) in bytes[..whole].chunks_exact(count).enumerate() {
            for (byte, to) in plane.iter().zip(all[place..whole].iter_mut().step_by(element)) {
                *to = *byte;
            }
        }
    }
    all[whole..].copy_from_slice(&bytes[whole..]);
    Ok(all)
}

/// The checksum of Fletcher over pairs of bytes, the first of which counts more.
fn fletcher32(bytes: &[u8]) -> u32 {
    let (mut first, mut second) = (0_u32, 0_u32);
    for block in bytes.chunks(720) {
        for pair in block.chunks(2) {
            first += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |byte| u32::from(*byte));
            second += first;
        }
        first = (first & 0xffff) + (first >> 16);
        second = (second & 0xffff) + (second >> 16);
    }
    first = (first & 0xffff) + (first >> 16);
    second = (second & 0xffff) + (second >> 16);
    second << 16 | first
}

/// What LZF codes stand for, which has one of `lengths` bytes.
fn lzf(packed: &[u8], lengths: RangeInclusive<usize>) -> std::result::Result<Vec<u8>, String> {
    const DAMAGED: &str = "LZF: its codes are none";
    // Codes say how much they stand for, so that nothing is taken before it is known.
    let length = lzf_length(packed).ok_or(DAMAGED)?;
    if !lengths.contains(&length) {
        return Err(format!("it has {length} of {} bytes", lengths.end()));
    }
    let mut bytes = memory::reserve("a chunk", length, "cut the file into smaller chunks")
        .map_err(|error| error.to_string())?;
    let mut rest = packed;
    while !rest.is_empty() {
        let (code, behind) = LzfCode::first_of(rest).ok_or(DAMAGED)?;
        rest = behind;
        match code {
            LzfCode::Literal(literal) => bytes.extend_from_slice(literal),
            LzfCode::Repeat { back, count } => {
                let start = bytes.len().checked_sub(back).ok_or(DAMAGED)?;
                // It may reach into what it writes itself.
                for place in start..start + count {
                    bytes.push(bytes[place]);
                }
            }
        }
    }
    Ok(bytes)
}

/// One code of LZF.
enum LzfCode<'a> {
    Literal(&'a [u8]),
    /// `count` bytes from `back` places before.
    Repeat {
        back: usize,
        count: usize,
    },
}

impl<'a> LzfCode<'a> {
    /// The first code and what stands behind it; `None` where it is cut off.
    fn first_of(packed: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&code, mut rest) = packed.split_first()?;
        let code = usize::from(code);
        if code < 32 {
            let (literal, rest) = rest.split_at_checked(code + 1)?;
            return Some((Self::Literal(literal), rest));
        }
        let mut count = 2 + (code >> 5);
        if code >> 5 == 7 {
            let (&more, behind) = rest.split_first()?;
            count += usize::from(more);
            rest = behind;
        }
        let (&near, rest) = rest.split_first()?;
        Some((Self::Repeat { back: ((code & 31) << 8 | usize::from(near)) + 1, count }, rest))
    }
}

/// How many bytes LZF codes stand for; `None` where the last is cut off, or one repeats what is not there.
fn lzf_length(mut packed: &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    while !packed.is_empty() {
        let (code, rest) = LzfCode::first_of(packed)?;
        packed = rest;
        length = length.checked_add(match code {
            LzfCode::Literal(literal) => literal.len(),
            LzfCode::Repeat { back, count } if back <= length => count,
            LzfCode::Repeat { .. } => return None,
        })?;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_undone_in_the_reverse_order() {
        let filters = Filters(vec![Filter::Shuffle(2), Filter::Fletcher32]);
        let mut stored = vec![1, 3, 5, 2, 4, 6];
        stored.extend(fletcher32(&stored).to_le_bytes());
        assert_eq!(filters.undone(stored.clone(), 6, 0).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(filters.undone(stored.clone(), 6, 1).unwrap(), [1, 3, 5, 2, 4, 6]);
        stored[0] ^= 1;
        assert!(filters.undone(stored.clone(), 6, 0).unwrap_err().contains("checksum"));
        assert!(filters.undone(vec![0; 4], 6, 2).unwrap_err().contains("4 of 6 bytes"));
    }

    #[test]
    fn lzf_codes_are_read_and_damaged_ones_are_none() {
        // Three letters, then eight from three places back.
        assert_eq!(lzf(&[2, b'a', b'b', b'c', 6 << 5, 2], 11..=11).unwrap(), b"abcabcabcab");
        assert_eq!(lzf(&[0, b'x', 7 << 5, 1, 0], 11..=11).unwrap(), b"xxxxxxxxxxx");
        for damaged in [&[2, b'a'][..], &[6 << 5, 2], &[0, b'x', 7 << 5], &[0, b'x', 7 << 5, 255, 0]] {
            lzf(damaged, 0..=11).unwrap_err();
        }
    }

    #[test]
    fn strongly_packed_chunks_that_end_early_are_found_out_before_memory_is_taken() {
        use std::io::Write;
        let wanted = 64 << 20;
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&vec![0; wanted - 5]).unwrap();
        let filters = Filters(vec![Filter::Shuffle(2), Filter::Deflate]);
        let problem = filters.undone(packed.finish().unwrap(), wanted, 0).unwrap_err();
        assert_eq!(problem, format!("it has at most {} of {wanted} bytes", wanted - 5));
        let problem = Filters(vec![Filter::Lzf]).undone(vec![0, b'x', 7 << 5, 1, 0], 12, 0).unwrap_err();
        assert_eq!(problem, "it has 11 of 12 bytes");
    }

    #[test]
    fn unshuffling_leaves_what_is_over() {
        assert_eq!(unshuffled(&[1, 3, 2, 4, 9], 2).unwrap(), [1, 2, 3, 4, 9]);
        assert_eq!(unshuffled(&[1], 4).unwrap(), [1]);
        assert!(unshuffled(&[], 4).unwrap().is_empty());
    }
}
