//! The chunks of a dataset that can grow along several axes, which are listed in a tree (version 2 B-tree).

use super::bytes::Bytes;
use super::dense::entries;
use super::{Groups, TreeChunk};

/// The trees of chunks as they are, and of those that filters have changed.
const PLAIN: u64 = 10;
const FILTERED: u64 = 11;

/// The chunks in the tree that the message of a dataset of so many `axes` about its layout names; `None` where it is damaged.
pub(super) fn chunks(groups: &Groups, layout: &[u8], axes: usize) -> Option<Vec<TreeChunk>> {
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
    let Some(place) = bytes.address(address, base) else { return Some(Vec::new()) };
    let (kind, entries) = entries(groups, place, &[PLAIN, FILTERED])?;
    let chunk = |entry: Vec<u8>| {
        let mut bytes = Bytes(&entry);
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
    };
    // Those without an address are not stored.
    let chunks: Option<Vec<Option<TreeChunk>>> = entries.into_iter().map(chunk).collect();
    Some(chunks?.into_iter().flatten().collect())
}
