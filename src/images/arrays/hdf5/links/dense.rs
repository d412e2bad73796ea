//! The links of groups with many: messages in a heap (a fractal heap), and a tree that tells where each is (a B-tree of version 2).

use super::bytes::Bytes;
use super::{Groups, Link, header};

/// The tree whose entries are sorted by the checksums of names.
const BY_NAME: u64 = 5;
/// The bytes of such a checksum.
const CHECKSUM: usize = 4;
/// The bytes of a node of a tree that are no entries: its mark, its version and kind, and its checksum.
const NODE_FRAME: usize = 10;
/// Higher trees have more entries than any file.
const MOST_HEIGHT: usize = 16;

/// The links in the heap that begins at the byte `heap`, found by the tree that begins at `index`; `None` where they are damaged.
pub(super) fn links(groups: &Groups, heap: u64, index: u64) -> Option<Vec<Link>> {
    let heap = Heap::new(groups, heap)?;
    let mut links = Vec::new();
    let entries = entries(groups, index, &[BY_NAME])?;
    if entries.length != CHECKSUM + heap.id {
        return entries.bytes.is_empty().then_some(links);
    }
    for entry in entries.bytes.chunks_exact(entries.length) {
        // Links that are too long for the heap are stored elsewhere, and those of kinds that somebody else made up are none here.
        links.extend(
            heap.object(groups, &entry[CHECKSUM..]).and_then(|bytes| header::link(&bytes, groups.widths)),
        );
    }
    Some(links)
}

/// A heap, whose room is in blocks of which rows of later ones are larger.
struct Heap {
    /// The bytes that say where an object is.
    id: usize,
    /// The bytes of these that say how far it is from the beginning of the room.
    offset: usize,
    /// The blocks in each row.
    columns: u64,
    /// The bytes of the blocks in the first row, and of the largest that hold objects.
    first: u64,
    largest: u64,
    root: u64,
    /// The rows of the block at the root, or 0 where that holds objects.
    rows: u64,
}

impl Heap {
    fn new(groups: &Groups, place: u64) -> Option<Self> {
        let (address, length) = (groups.widths.address, groups.widths.length);
        let head = groups.read(place, 22 + 3 * address + 12 * length)?;
        let mut bytes = Bytes(&head);
        bytes.mark(b"FRHP\0")?;
        let id = bytes.count(2)?;
        // Heaps that are packed are none of groups.
        bytes.mark(&[0, 0])?;
        // Flags, the largest object, and what tells of objects outside and of room that is not used.
        bytes.take(1 + 4 + length + address + length + address + 8 * length)?;
        let columns = bytes.number(2)?;
        let (first, largest) = (bytes.number(length)?, bytes.number(length)?);
        let offset = bytes.count(2)?.div_ceil(8);
        bytes.take(2)?;
        let root = bytes.address(address, groups.widths.base)?;
        let rows = bytes.number(2)?;
        let is_sound =
            first.is_power_of_two() && largest.is_power_of_two() && first <= largest && columns > 0;
        (is_sound && (1..id).contains(&offset)).then_some(Self {
            id,
            offset,
            columns,
            first,
            largest,
            root,
            rows,
        })
    }

    /// The bytes of an object in its blocks; `None` also for one that is stored elsewhere.
    fn object(&self, groups: &Groups, id: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Bytes(id);
        // The kind of object, of which 0 is one in a block.
        bytes.mark(&[0])?;
        let offset = bytes.number(self.offset)?;
        let length = bytes.count(bytes.0.len().min(8))?;
        let (mut place, mut rows, mut start) = (self.root, self.rows, 0_u64);
        while rows > 0 {
            let (child, begin, size) = self.child(groups, place, rows, start, offset)?;
            // Blocks that are larger than those for objects hold blocks, in fewer rows than there are around them.
            rows = if size > self.largest {
                let of_row = self.first.checked_mul(self.columns)?;
                u64::from(size.ilog2().checked_sub(of_row.ilog2())?) + 1
            } else {
                0
            };
            (place, start) = (child, begin);
        }
        groups.read(place.checked_add(offset.checked_sub(start)?)?, length)
    }

    /// The block with the byte `offset` of the room, in the block of `rows` rows at the byte `place` of the file whose room begins
    /// at `start`: where it is, where its room begins and how large that is.
    fn child(
        &self,
        groups: &Groups,
        place: u64,
        rows: u64,
        start: u64,
        offset: u64,
    ) -> Option<(u64, u64, u64)> {
        let address = groups.widths.address;
        let mut begin = start;
        for row in 0..rows {
            let size = self
                .first
                .checked_shl(u32::try_from(row.saturating_sub(1)).ok()?)
                .filter(|size| *size > 0)?;
            let end = begin.checked_add(size.checked_mul(self.columns)?)?;
            if offset < end {
                let column = offset.checked_sub(begin)? / size;
                let number = (row * self.columns).checked_add(column)?;
                let before = (5 + address + self.offset) as u64;
                let at = place.checked_add(before)?.checked_add(number.checked_mul(address as u64)?)?;
                let mark = groups.read(place, 4)?;
                Bytes(&mark).mark(b"FHIB")?;
                let child = Bytes(&groups.read(at, address)?).address(address, groups.widths.base)?;
                return Some((child, begin + column * size, size));
            }
            begin = end;
        }
        None
    }
}

/// The entries of a tree.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) kind: u64,
    /// The bytes of each, not 0.
    pub(super) length: usize,
    /// One after the other.
    pub(super) bytes: Vec<u8>,
}

/// The entries of the tree that begins at the byte `place`, and is of one of these `kinds`; `None` where it is damaged.
pub(super) fn entries(groups: &Groups, place: u64, kinds: &[u64]) -> Option<Entries> {
    let (address, length) = (groups.widths.address, groups.widths.length);
    let head = groups.read(place, 18 + address + length)?;
    let mut bytes = Bytes(&head);
    bytes.mark(b"BTHD\0")?;
    let kind = bytes.number(1)?;
    let node = bytes.count(4)?;
    let entry = bytes.count(2)?;
    let height = bytes.count(2)?;
    bytes.take(2)?;
    let root = bytes.address(address, groups.widths.base);
    let count = bytes.count(2)?;
    if !kinds.contains(&kind) || entry == 0 || height > MOST_HEIGHT {
        return None;
    }
    // A tree without entries has no root.
    let mut found = Vec::new();
    let Some(root) = root else { return Some(Entries { kind, length: entry, bytes: found }) };
    let pointers = pointers(address, node, entry, height)?;
    let mut nodes = vec![(root, count, height)];
    while let Some((place, count, height)) = nodes.pop() {
        let children = if height > 0 { (count + 1) * pointers[height] } else { 0 };
        let stored = groups.read(place, 6 + count * entry + children)?;
        let mut bytes = Bytes(&stored);
        bytes.mark(if height > 0 { b"BTIN\0" } else { b"BTLF\0" })?;
        bytes.take(1)?;
        found.extend_from_slice(bytes.take(count * entry)?);
        // Nodes that are listed several times.
        if found.len() as u64 > groups.len() {
            return None;
        }
        for _ in 0..if height > 0 { count + 1 } else { 0 } {
            let mut child = Bytes(bytes.take(pointers[height])?);
            let place = child.address(address, groups.widths.base)?;
            nodes.push((place, child.count(width(most(node, entry)))?, height - 1));
        }
    }
    Some(Entries { kind, length: entry, bytes: found })
}

/// The most entries of a node without children.
fn most(node: usize, entry: usize) -> u64 {
    (node.saturating_sub(NODE_FRAME) / entry.max(1)) as u64
}

/// How many bytes a number up to `most` takes.
fn width(most: u64) -> usize {
    (most.checked_ilog2().unwrap_or(0) / 8) as usize + 1
}

/// How many bytes tell where a child of a node at each height is, and how many entries it and those below it have.
fn pointers(address: usize, node: usize, entry: usize, height: usize) -> Option<Vec<usize>> {
    let own = width(most(node, entry));
    let (mut pointers, mut all, mut of_all) = (vec![0], most(node, entry), 0);
    for _ in 0..height {
        let pointer = address + own + of_all;
        pointers.push(pointer);
        let most = (node.checked_sub(NODE_FRAME + pointer)? / (entry + pointer)) as u64;
        all = all.checked_mul(most + 1)?.checked_add(most)?;
        of_all = width(all);
    }
    Some(pointers)
}

#[cfg(test)]
mod tests {
    use hdf5_pure::File;

    use super::*;
    use crate::images::arrays::hdf5::source::Structure;

    /// Else a small file would have more entries than fit in memory.
    #[test]
    fn nodes_that_a_tree_lists_again_and_again_are_damage() {
        const LEAF: usize = 500;
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/hdf5/virtual/frames_v114_0.h5");
        let of = |children: u64| {
            let mut bytes = std::fs::read(corpus).unwrap();
            let leaf = bytes.len() as u64;
            bytes.extend(*b"BTLF\0\x0a");
            bytes.resize(bytes.len() + LEAF * 8, 1);
            let root = bytes.len() as u64;
            bytes.extend(*b"BTIN\0\x0a");
            bytes.resize(bytes.len() + (children as usize - 1) * 8, 2);
            for _ in 0..children {
                bytes.extend(leaf.to_le_bytes());
                bytes.extend((LEAF as u16).to_le_bytes());
            }
            let head = bytes.len() as u64;
            // Its kind, the bytes of a node and of an entry, its height, and when nodes are split and joined.
            bytes.extend([&b"BTHD\0\x0a"[..], &[0, 16, 0, 0, 8, 0, 1, 0, 0, 0]].concat());
            bytes.extend(root.to_le_bytes());
            bytes.extend((children as u16 - 1).to_le_bytes());
            bytes.resize(bytes.len() + 64, 0);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.h5");
            std::fs::write(&path, bytes).unwrap();
            let structure = Structure::new(std::fs::File::open(&path).unwrap()).unwrap();
            let file = File::from_source(structure.clone()).unwrap();
            entries(&Groups::new(&file, structure), head, &[10]).map(|found| found.bytes.len() / found.length)
        };
        assert_eq!(of(2), Some(1 + 2 * LEAF));
        assert_eq!(of(200), None);
    }
}
