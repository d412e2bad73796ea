//! The chunks of a dataset that can grow along several axes, which are listed in a tree (version 2 B-tree).

use super::super::damaged;
use super::bytes::Bytes;
use super::dense::{Entries, entries};
use super::{Groups, TreeChunk};
use crate::error::Result;
use crate::memory;

/// The trees of chunks as they are, and of those that filters have changed.
const PLAIN: u64 = 10;
const FILTERED: u64 = 11;

/// The chunks in the tree that the message of a dataset of so many `axes` about its layout names, in the file that messages call `name`.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) where it is damaged, [`Error::OutOfMemory`](crate::Error::OutOfMemory) for more chunks than can be listed.
pub(super) fn chunks(name: &str, groups: &Groups, layout: &[u8], axes: usize) -> Result<Vec<TreeChunk>> {
    let damaged = || damaged(name, "its list of chunks");
    let Some(entries) = listed(groups, layout, axes).ok_or_else(damaged)? else { return Ok(Vec::new()) };
    let count = entries.bytes.len() / entries.length;
    let each = size_of::<TreeChunk>() + axes * size_of::<u64>();
    let what = format!("the list of the {count} chunks of {name}");
    memory::check(&what, (count as u64).saturating_mul(each as u64), "store it again in larger chunks")?;
    let (address, base) = groups.addresses();
    let mut chunks = Vec::with_capacity(count);
    for entry in entries.bytes.chunks_exact(entries.length) {
        chunks.extend(chunk(entry, entries.kind, (address, base), axes).ok_or_else(damaged)?);
    }
    Ok(chunks)
}

/// The entries of the tree, nothing where none was written yet; `None` where it is damaged.
fn listed(groups: &Groups, layout: &[u8], axes: usize) -> Option<Option<Entries>> {
    const CHUNKED: u8 = 2;
    const TREE: u8 = 5;
    let (address, base) = groups.addresses();
    let mut bytes = Bytes(layout);
    bytes.mark(&[4, CHUNKED])?;
    bytes.take(1)?;
    // The bytes of an element are the last length of a chunk.
    if bytes.count(1)? != axes + 1 {
        return None;
    }
    let width = bytes.count(1)?;
    bytes.take(width.checked_mul(axes + 1)?)?;
    bytes.mark(&[TREE])?;
    // The size of its nodes, and how full they are.
    bytes.take(6)?;
    // Nothing was written yet.
    let Some(place) = bytes.address(address, base) else { return Some(None) };
    entries(groups, place, &[PLAIN, FILTERED]).map(Some)
}

/// The chunk that an entry of a tree of this `kind` tells of, nothing for one that is not stored; `None` where it is damaged.
fn chunk(entry: &[u8], kind: u64, (address, base): (usize, u64), axes: usize) -> Option<Option<TreeChunk>> {
    let mut bytes = Bytes(entry);
    let place = bytes.address(address, base);
    let (mut stored, mut skipped) = (None, 0);
    if kind == FILTERED {
        // Its length takes what is left.
        let width = entry.len().checked_sub(address + 4 + 8 * axes)?;
        stored = Some(bytes.number(width)?);
        skipped = bytes.number(4)? as u32;
    }
    let numbers = (0..axes).map(|_| bytes.number(8)).collect::<Option<Vec<u64>>>()?;
    Some(place.map(|address| TreeChunk { address, bytes: stored, skipped, numbers }))
}
