//! How the numbers of a chunk are packed: the codecs of Zarr, one after the other.

use std::ops::RangeInclusive;

use serde_json::Value;
use tiff::decoder::DecodingResult;

use crate::images::arrays::blosc;
use crate::images::arrays::numbers::{count_of, from_bytes, with_axes};
use crate::images::dry_run::read_packed;
use crate::images::source::SampleType;

/// The largest chunk that is read, in bytes. Python's libraries write at most half of it.
pub(super) const MOST_BYTES: usize = 4 << 30;

/// One way of packing bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Gzip,
    Zlib,
    Zstd,
    Blosc,
    /// A block of LZ4 behind its length unpacked.
    Lz4,
    /// Bytes and a checksum behind them.
    Crc32c,
    /// Numbers of so many bytes, sorted by bytes.
    Shuffle(usize),
}

/// What has to be undone to have the numbers of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pipeline {
    /// Where each axis of the chunk as it is stored lies in the array; `None` where they are in order.
    order: Option<Vec<usize>>,
    pub(super) big_endian: bool,
    /// In the order of packing.
    codecs: Vec<Codec>,
}

impl Pipeline {
    /// Adds the codec called `name`, as it is set up by `settings`, for arrays of `rank` axes.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn add(&mut self, name: &str, settings: &Value, rank: usize) -> Result<(), String> {
        let codec = match name.strip_prefix("numcodecs.").unwrap_or(name) {
            "bytes" | "endian" => {
                self.big_endian = settings.get("endian").and_then(Value::as_str) == Some("big");
                return Ok(());
            }
            "transpose" => return self.add_order(settings.get("order"), rank),
            "gzip" => Codec::Gzip,
            "zlib" => Codec::Zlib,
            "zstd" => Codec::Zstd,
            "blosc" => Codec::Blosc,
            "lz4" => Codec::Lz4,
            "crc32c" => Codec::Crc32c,
            "shuffle" => {
                let size = settings.get("elementsize").and_then(Value::as_u64).unwrap_or(4);
                Codec::Shuffle(
                    usize::try_from(size)
                        .ok()
                        .filter(|size| (1..=16).contains(size))
                        .ok_or("a shuffle of no size")?,
                )
            }
            other => {
                let known = "blosc, zstd, gzip, zlib, lz4, crc32c, shuffle, transpose and sharding_indexed";
                return Err(format!("its numbers are packed with '{other}', but only {known} are read"));
            }
        };
        self.codecs.push(codec);
        Ok(())
    }

    /// Adds an exchange of axes, each of which stands where `order` says.
    fn add_order(&mut self, order: Option<&Value>, rank: usize) -> Result<(), String> {
        let next: Vec<usize> = match order {
            Some(Value::String(order)) if order == "C" => return Ok(()),
            Some(Value::String(order)) if order == "F" => (0..rank).rev().collect(),
            Some(Value::Array(order)) => {
                order.iter().filter_map(|axis| usize::try_from(axis.as_u64()?).ok()).collect()
            }
            _ => Vec::new(),
        };
        if next.len() != rank || (0..rank).any(|axis| !next.contains(&axis)) {
            return Err("it exchanges axes that it does not have".into());
        }
        self.order = Some(match &self.order {
            Some(before) => next.iter().map(|axis| before[*axis]).collect(),
            None => next,
        });
        Ok(())
    }

    /// Has the first axis fastest, as Fortran has it.
    pub(super) fn reverse_axes(&mut self, rank: usize) {
        self.order = Some((0..rank).rev().collect());
    }

    /// Whether an exchange of axes or packing has been added.
    pub(super) fn is_plain(&self) -> bool {
        self.order.is_none() && self.codecs.is_empty()
    }

    /// The most bytes that a chunk of `unpacked` bytes takes as it is stored. Packing makes hardly anything longer.
    pub(super) fn most_packed(&self, unpacked: usize) -> usize {
        if self.codecs.is_empty() { unpacked } else { unpacked + unpacked / 4 + (1 << 16) }
    }

    /// The numbers of a chunk of `shape`, which are stored as `packed`.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn unpack(
        &self,
        name: &str,
        packed: Vec<u8>,
        numbers: SampleType,
        shape: &[usize],
    ) -> Result<DecodingResult, String> {
        let element = usize::from(numbers.bits).div_ceil(8);
        let expected =
            count_of(shape).and_then(|count| count.checked_mul(element)).ok_or("it is too large")?;
        let mut bytes = packed;
        for (place, codec) in self.codecs.iter().enumerate().rev() {
            // What is packed several times is a little longer in between.
            let lengths = match place {
                0 => expected..=expected,
                _ => 0..=self.most_packed(expected),
            };
            bytes = codec.unpack(bytes, lengths)?;
        }
        if bytes.len() != expected {
            return Err(format!("it has {} bytes unpacked, wanted {expected}", bytes.len()));
        }
        let samples = from_bytes(numbers, self.big_endian, &bytes);
        drop(bytes);
        let Some(order) = &self.order else { return Ok(samples) };
        let stored: Vec<usize> = order.iter().map(|axis| shape[*axis]).collect();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, axis)| back[*axis] = place);
        with_axes(name, samples, &stored, &back).map_err(|_| "it has another number of axes".into())
    }
}

impl Codec {
    /// The bytes that were packed as `packed`, of which there are so many.
    fn unpack(self, packed: Vec<u8>, lengths: RangeInclusive<usize>) -> Result<Vec<u8>, String> {
        let packed_length = packed.len();
        match self {
            Codec::Gzip => {
                let decoder = || Ok(flate2::bufread::MultiGzDecoder::new(packed.as_slice()));
                read_packed(decoder, packed_length, lengths)
            }
            Codec::Zlib => {
                let decoder = || Ok(flate2::bufread::ZlibDecoder::new(packed.as_slice()));
                read_packed(decoder, packed_length, lengths)
            }
            Codec::Zstd => {
                let decoder = || {
                    ruzstd::decoding::StreamingDecoder::new(packed.as_slice())
                        .map_err(|error| error.to_string())
                };
                read_packed(decoder, packed_length, lengths)
            }
            Codec::Blosc => blosc::unpack(&packed, lengths),
            Codec::Lz4 => {
                let (length, rest) = packed.split_first_chunk::<4>().ok_or("it is cut off")?;
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
                if !lengths.contains(&length) {
                    return Err(format!(
                        "it says that it has {length} bytes unpacked, wanted {}",
                        lengths.end()
                    ));
                }
                let mut bytes = Vec::new();
                blosc::unpack_lz4(rest, length, &mut bytes)?;
                Ok(bytes)
            }
            Codec::Crc32c => {
                let mut bytes = packed;
                let end = bytes.len().checked_sub(4).ok_or("it is cut off")?;
                if crc32c(&bytes[..end]).to_le_bytes() != bytes[end..] {
                    return Err("its checksum is that of other bytes".into());
                }
                bytes.truncate(end);
                Ok(bytes)
            }
            Codec::Shuffle(size) => {
                let mut bytes = Vec::new();
                blosc::unshuffle(&packed, size, &mut bytes);
                Ok(bytes)
            }
        }
    }
}

/// The remainders of single bytes for the checksum of Castagnoli, lowest bit first.
const REMAINDERS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ 0x82f6_3b78 } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// The checksum CRC-32C.
pub(in crate::images) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |rest, byte| (rest >> 8) ^ REMAINDERS[usize::from(rest as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::images::source::SampleKind;

    const BYTES: SampleType = SampleType { kind: SampleKind::Unsigned, bits: 8 };

    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn exchanged_axes_are_exchanged_back() {
        let mut pipeline = Pipeline::default();
        pipeline.add("transpose", &json!({"order": [1, 2, 0]}), 3).unwrap();
        pipeline.add("transpose", &json!({"order": [1, 0, 2]}), 3).unwrap();
        // The array [z][y][x] of 2 x 3 x 4 is stored as [x][y][z].
        let number = |z: usize, y: usize, x: usize| (z * 12 + y * 4 + x) as u8;
        let stored: Vec<u8> = (0..24).map(|place| number(place % 2, place / 2 % 3, place / 6)).collect();
        let found = pipeline.unpack("a", stored, BYTES, &[2, 3, 4]).unwrap();
        assert!(matches!(found, DecodingResult::U8(found) if found == (0..24).collect::<Vec<u8>>()));
        for order in [json!([0, 1]), json!([0, 0, 1]), json!([0, 1, 3]), json!("x"), json!(null)] {
            Pipeline::default().add("transpose", &json!({ "order": order }), 3).unwrap_err();
        }
    }

    #[test]
    fn what_unpacks_to_more_than_it_should_is_refused_early() {
        use std::io::Write;
        let zeros = vec![0; 1 << 24];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&zeros).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&zeros[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (name, packed) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd)] {
            let mut pipeline = Pipeline::default();
            pipeline.add(name, &Value::Null, 1).unwrap();
            let error = pipeline.unpack("a", packed.clone(), BYTES, &[5]).unwrap_err();
            assert!(error.contains("more than 5 bytes"), "{error}");
            let error = pipeline.unpack("a", packed, BYTES, &[(1 << 24) + 1]).unwrap_err();
            assert!(error.contains("wanted 16777217"), "{error}");
        }
    }
}
