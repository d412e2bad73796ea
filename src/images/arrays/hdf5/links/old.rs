//! The links of groups of the older form: a tree whose leaves are lists of members (symbol tables), and a heap of names.

use std::cell::Cell;

use super::bytes::Bytes;
use super::{Groups, Link, Target};

/// What is stored of a member in place of an address: its name only, as it is a soft link.
const SOFT_LINK: u64 = 2;

/// The links of the group whose tree begins at the byte `tree` and whose names at `names`; `None` where it is damaged.
pub(super) fn links(groups: &Groups, tree: u64, names: u64) -> Option<Vec<Link>> {
    let texts = texts(groups, names)?;
    // Each text of the heap belongs to one member, so that together they are no longer than the heap.
    let left = Cell::new(texts.len());
    let text = |place: u64| {
        let rest = texts.get(usize::try_from(place).ok()?..)?;
        let length = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        left.set(left.get().checked_sub(length)?);
        Some(Bytes(&rest[..length]).text())
    };
    let mut links = Vec::new();
    for place in leaves(groups, tree)? {
        let head = groups.read(place, 8)?;
        let mut bytes = Bytes(&head);
        bytes.mark(b"SNOD\x01\0")?;
        let count = bytes.count(2)?;
        let widths = groups.widths;
        let entry = widths.length + widths.address + 24;
        let stored = groups.read(place.checked_add(8)?, count * entry)?;
        for entry in stored.chunks_exact(entry) {
            let mut entry = Bytes(entry);
            let name = text(entry.number(widths.length)?)?;
            let address = entry.address(widths.address, widths.base);
            let kind = entry.number(4)?;
            entry.take(4)?;
            let target = match (kind, address) {
                (SOFT_LINK, _) => Target::Soft(text(entry.number(4)?)?),
                (_, Some(address)) => Target::Hard(address),
                (_, None) => continue,
            };
            links.push(Link { name, target });
        }
    }
    Some(links)
}

/// The bytes of the heap of names that begins at the byte `place`.
fn texts(groups: &Groups, place: u64) -> Option<Vec<u8>> {
    let widths = groups.widths;
    let head = groups.read(place, 8 + 2 * widths.length + widths.address)?;
    let mut bytes = Bytes(&head);
    bytes.mark(b"HEAP\0")?;
    bytes.take(3)?;
    let length = bytes.count(widths.length)?;
    // Where the first unused bytes are.
    bytes.take(widths.length)?;
    groups.read(bytes.address(widths.address, widths.base)?, length)
}

/// Where the leaves of the tree that begins at the byte `place` begin, in the order of names.
fn leaves(groups: &Groups, place: u64) -> Option<Vec<u64>> {
    let widths = groups.widths;
    let mut leaves = Vec::new();
    // The nodes that are still to be read, the next one last, with what their height must be below.
    let mut nodes = vec![(place, u64::MAX)];
    while let Some((place, below)) = nodes.pop() {
        let head = groups.read(place, 8)?;
        let mut bytes = Bytes(&head);
        bytes.mark(b"TREE\0")?;
        let height = bytes.number(1).filter(|height| *height < below)?;
        let count = bytes.count(2)?;
        let before = 8 + 2 * widths.address;
        let stored =
            groups.read(place.checked_add(before as u64)?, count * (widths.length + widths.address))?;
        let first = nodes.len();
        for entry in stored.chunks_exact(widths.length + widths.address) {
            let child = Bytes(&entry[widths.length..]).address(widths.address, widths.base)?;
            match height {
                0 => leaves.push(child),
                _ => nodes.push((child, height)),
            }
        }
        nodes[first..].reverse();
    }
    Some(leaves)
}
