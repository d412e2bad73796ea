//! Zarr, versions 2 and 3: folders with a file for each chunk of an array, or for a shard of many chunks.
//!
//! - `metadata`: what the files of JSON say. `codecs`: how the numbers of a chunk are packed. `shards`: files of many
//!   chunks.
//! - `ome`: OME-Zarr, in which a group of arrays is an image in several sizes. `places`: which array of a folder is meant.
//!
//! All of this is read here and not by a library, since the files may say anything: the libraries that there are unpack whatever
//! a chunk says that it unpacks to, however much that is, and some end the program where a place in it lies outside the file.

mod codecs;
mod metadata;
mod ome;
mod places;
mod shards;

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tiff::decoder::DecodingResult;

pub(in crate::images) use self::codecs::crc32c;
use self::metadata::{Packing, Stored};
use self::ome::letters_of_names;
use self::places::{Found, find};
use self::shards::{Lists, Shards};
use super::numbers::{copy_common, count_of, filled, from_bytes, lengths, zeros};
use super::{ArrayLayout, StoredArray, StoredBlock};
use crate::error::{Error, Result};
use crate::images::space::Space;
use crate::memory;

/// An array in a Zarr folder.
#[derive(Debug)]
pub(super) struct ZarrArray {
    name: String,
    folder: PathBuf,
    stored: Stored,
    layout: ArrayLayout,
    lists: Lists,
}

/// The array in the Zarr folder at `path`, at the place `inside` it where one is named; of an image in several sizes the one of
/// number `level`, 0 being the finest.
///
/// # Errors
/// [`Error::Input`] for a folder that does not hold an array that can be read, and for a place that there is not;
/// [`Error::Setting`] for a level that there is not.
pub(super) fn open(path: &Path, inside: Option<&str>, level: usize) -> Result<ZarrArray> {
    let Found { folder, name, json, axes, voxel_size, origin, annotations } = find(path, inside, level)?;
    let stored = json.stored(&name)?;
    // The names of a whole image may be those of another array than this one.
    let is_fitting = |axes: &Vec<char>| axes.len() == stored.shape.len();
    let of_array = || stored.names.as_ref().and_then(letters_of_names).filter(is_fitting);
    let layout = ArrayLayout {
        axes: axes.filter(is_fitting).or_else(of_array),
        block: Some(stored.block().to_vec()),
        voxel_size,
        space: origin.map(Space::Ome),
        annotations,
        ..ArrayLayout::plain(stored.shape.clone(), stored.numbers)
    };
    Ok(ZarrArray { name, folder, stored, layout, lists: Lists::default() })
}

impl ZarrArray {
    fn damaged(&self, key: &str, problem: &str) -> Error {
        let problem = format!("its chunk {key} cannot be read: {problem}; copy or export it again");
        Error::input(&self.name, problem)
    }

    /// The file called `key` and its length; `None` where there is none.
    fn file(&self, key: &str) -> Result<Option<(File, u64)>> {
        let path = self.folder.join(key);
        let found = match std::fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.damaged(key, &error.to_string())),
        };
        // Anything else than a file, such as a pipe, might never end.
        if !found.is_file() {
            return Err(self.damaged(key, "it is no file"));
        }
        let file = File::open(&path).map_err(|error| {
            let problem = format!("its chunk {key} cannot be read: {error}; check its permissions");
            Error::input(&self.name, problem).caused_by(error)
        })?;
        Ok(Some((file, found.len())))
    }

    /// The packed bytes of the chunk at `place`, which has `bytes` of them unpacked; `None` where it is not stored.
    fn packed(&self, place: &[usize], bytes: usize) -> Result<Option<Vec<u8>>> {
        match &self.stored.packing {
            Packing::Whole(pipeline) => {
                let key = self.stored.keys.name(place);
                let Some((file, length)) = self.file(&key)? else { return Ok(None) };
                let most = pipeline.most_packed(bytes) as u64;
                if length > most {
                    let problem = format!("it has {length} bytes, wanted at most {most}");
                    return Err(self.damaged(&key, &problem));
                }
                let what = format!("a chunk of {}", self.name);
                let mut packed: Vec<u8> =
                    memory::reserve(&what, length as usize, "store it in smaller chunks")?;
                file.take(most)
                    .read_to_end(&mut packed)
                    .map_err(|error| self.damaged(&key, &error.to_string()))?;
                Ok(Some(packed))
            }
            Packing::Shards(shards) => {
                let (shard, number) = shards.place(place);
                let key = self.stored.keys.name(&shard);
                let Some((file, length)) = self.file(&key)? else { return Ok(None) };
                let most = shards.pipeline.most_packed(bytes);
                let list = self.lists.get(&shard, || shards.list(&file, length));
                let chunk = list.and_then(|list| Shards::chunk(&file, length, &list, number, most));
                chunk.map_err(|problem| self.damaged(&key, &problem))
            }
        }
    }
}

impl StoredArray for ZarrArray {
    fn name(&self) -> &str {
        &self.name
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        let Stored { numbers, fill, packing, .. } = &self.stored;
        let block = self.stored.block();
        let place: Vec<usize> = part.iter().zip(block).map(|(range, length)| range.start / length).collect();
        let bytes = count_of(block).unwrap_or(usize::MAX).saturating_mul(self.stored.element_bytes());
        let Some(packed) = self.packed(&place, bytes)? else {
            let value = from_bytes(*numbers, false, fill);
            return filled(&self.name, &value, &lengths(part));
        };
        // What is stored raw has been checked by the length of its file.
        memory::check(&format!("a chunk of {}", self.name), bytes as u64, "store it in smaller chunks")?;
        let pipeline = match packing {
            Packing::Whole(pipeline) => pipeline,
            Packing::Shards(shards) => &shards.pipeline,
        };
        let chunk = pipeline.unpack(&self.name, packed, *numbers, block);
        let chunk = chunk.map_err(|problem| self.damaged(&self.stored.keys.name(&place), &problem))?;
        let ranges: Vec<Range<usize>> =
            place.iter().zip(block).map(|(number, length)| number * length..(number + 1) * length).collect();
        if ranges == part {
            return Ok(chunk);
        }
        let mut wanted = zeros(&self.name, *numbers, &lengths(part))?;
        copy_common(&mut wanted, part, &chunk, &ranges).ok_or_else(|| {
            self.damaged(&self.stored.keys.name(&place), "it has other numbers than it should")
        })?;
        Ok(wanted)
    }

    fn stored(&self, part: &[Range<usize>]) -> Option<StoredBlock> {
        let block = self.stored.block();
        let place: Vec<usize> = part.iter().zip(block).map(|(range, length)| range.start / length).collect();
        let (key, number) = match &self.stored.packing {
            Packing::Whole(_) => (self.stored.keys.name(&place), None),
            Packing::Shards(shards) => {
                let (shard, number) = shards.place(&place);
                (self.stored.keys.name(&shard), Some((shards, shard, number)))
            }
        };
        let (file, found) = match number {
            None => (None, std::fs::metadata(self.folder.join(&key)).ok().filter(Metadata::is_file)?),
            Some(_) => {
                let (file, _) = self.file(&key).ok()??;
                let found = file.metadata().ok()?;
                (Some(file), found)
            }
        };
        if let (Some((shards, shard, number)), Some(file)) = (number, file) {
            let list = self.lists.get(&shard, || shards.list(&file, found.len())).ok()?;
            Shards::has(&list, number).then_some(())?;
        }
        Some(StoredBlock { bytes: found.len(), modified: found.modified().ok() })
    }
}

#[cfg(test)]
mod tests;
