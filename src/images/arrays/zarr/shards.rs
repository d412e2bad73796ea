//! Shards: files of many chunks, and a list of where each one is, of which only what is wanted is read.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::codecs::{Pipeline, crc32c};
use super::metadata::{lengths_in, named};
use crate::files::read_exact_at;
use crate::images::arrays::numbers::count_of;

/// What the list says of a chunk that there is not.
const MISSING: u64 = u64::MAX;
/// How many lists are kept: as many as there are shards that threads read at a time.
const KEPT: usize = 32;
/// Together the lists that are kept have no more chunks than this.
const KEPT_CHUNKS: usize = 1 << 20;

/// How the files of an array hold chunks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shards {
    /// How long along each axis a chunk is.
    pub(super) inner: Vec<usize>,
    pub(super) pipeline: Pipeline,
    /// How many chunks a shard has along each axis.
    counts: Vec<usize>,
    at_start: bool,
    big_endian: bool,
    has_checksum: bool,
}

impl Shards {
    /// Those that `settings` tell of, in an array whose files are of `chunk` numbers.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn of(settings: &Value, chunk: &[usize]) -> Result<Self, String> {
        let inner = lengths_in(settings.get("chunk_shape"))?;
        let fits = |(whole, part): (&usize, &usize)| *part > 0 && whole.is_multiple_of(*part);
        if inner.len() != chunk.len() || !chunk.iter().zip(&inner).all(fits) {
            return Err(format!("its shards of {chunk:?} are no whole numbers of chunks of {inner:?}"));
        }
        let counts: Vec<usize> = chunk.iter().zip(&inner).map(|(whole, part)| whole / part).collect();
        if count_of(&counts).and_then(|count| count.checked_mul(16)).is_none() {
            return Err("its shards have more chunks than can be counted".into());
        }
        let list =
            |key: &str| settings.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut pipeline = Pipeline::default();
        for codec in list("codecs") {
            let (codec, settings) = named(codec);
            if codec == "sharding_indexed" {
                return Err("its shards hold shards; wanted chunks in them".into());
            }
            pipeline.add(codec, settings, chunk.len())?;
        }
        let (mut big_endian, mut has_checksum) = (false, false);
        for codec in list("index_codecs") {
            match named(codec) {
                ("bytes", settings) => {
                    big_endian = settings.get("endian").and_then(Value::as_str) == Some("big")
                }
                ("crc32c", _) => has_checksum = true,
                (other, _) => {
                    return Err(format!("the lists of its shards are packed with '{other}', wanted crc32c"));
                }
            }
        }
        let at_start = settings.get("index_location").and_then(Value::as_str) == Some("start");
        Ok(Self { inner, pipeline, counts, at_start, big_endian, has_checksum })
    }

    /// The shard in which the chunk at `place` is, and its number there.
    pub(super) fn place(&self, place: &[usize]) -> (Vec<usize>, usize) {
        let shard = place.iter().zip(&self.counts).map(|(place, count)| place / count).collect();
        let number =
            place.iter().zip(&self.counts).fold(0, |number, (place, count)| number * count + place % count);
        (shard, number)
    }

    /// The list of a shard that is a file of `length` bytes.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn list(&self, file: &File, length: u64) -> Result<Vec<(u64, u64)>, String> {
        let checksum = if self.has_checksum { 4 } else { 0 };
        let bytes = count_of(&self.counts).unwrap_or(usize::MAX).saturating_mul(16).saturating_add(checksum);
        // No memory is taken for a list that the file is too short for.
        let start = length
            .checked_sub(bytes as u64)
            .ok_or_else(|| format!("it has {length} bytes, fewer than the {bytes} of its list of chunks"))?;
        let mut list = vec![0; bytes];
        let start = if self.at_start { 0 } else { start };
        read_exact_at(file, &mut list, start).map_err(|error| error.to_string())?;
        let (numbers, found) = list.split_at(bytes - checksum);
        if self.has_checksum && found != crc32c(numbers).to_le_bytes() {
            return Err("the list of its chunks has another checksum than it should".into());
        }
        let of = if self.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        let (numbers, _) = numbers.as_chunks::<8>();
        let (pairs, _) = numbers.as_chunks::<2>();
        Ok(pairs.iter().map(|[offset, length]| (of(*offset), of(*length))).collect())
    }

    /// Whether a shard with this `list` has chunk `number`.
    pub(super) fn has(list: &[(u64, u64)], number: usize) -> bool {
        list.get(number).is_some_and(|place| *place != (MISSING, MISSING))
    }

    /// The bytes of chunk `number` of a shard that is a file of `length` bytes with this `list`, at most `most`; `None` where
    /// the shard does not have that chunk.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn chunk(
        file: &File,
        length: u64,
        list: &[(u64, u64)],
        number: usize,
        most: usize,
    ) -> Result<Option<Vec<u8>>, String> {
        let (offset, bytes) = *list.get(number).ok_or("its list of chunks is too short")?;
        if (offset, bytes) == (MISSING, MISSING) {
            return Ok(None);
        }
        if offset.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(format!("chunk {number} in it ends behind the file; it was cut off"));
        }
        if bytes > most as u64 {
            return Err(format!("chunk {number} in it has {bytes} bytes, wanted at most {most}"));
        }
        let mut chunk = vec![0; bytes as usize];
        read_exact_at(file, &mut chunk, offset).map_err(|error| error.to_string())?;
        Ok(Some(chunk))
    }
}

/// The lists of the shards that were read last.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<VecDeque<List>>);

type List = (Vec<usize>, Arc<Vec<(u64, u64)>>);

impl Lists {
    /// The list of the shard at `place`, which `read` reads where it is not kept.
    ///
    /// # Errors
    /// As `read`.
    pub(super) fn get(
        &self,
        place: &[usize],
        read: impl FnOnce() -> Result<Vec<(u64, u64)>, String>,
    ) -> Result<Arc<Vec<(u64, u64)>>, String> {
        let kept = |lists: &VecDeque<List>| {
            lists.iter().find(|(kept, _)| kept == place).map(|(_, list)| list.clone())
        };
        if let Some(list) = kept(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(list);
        }
        let list = Arc::new(read()?);
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.push_back((place.to_vec(), list.clone()));
        while lists.len() > KEPT || lists.iter().map(|(_, list)| list.len()).sum::<usize>() > KEPT_CHUNKS {
            lists.pop_front();
        }
        Ok(list)
    }
}
