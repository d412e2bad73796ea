//! The bytes of an HDF5 file that say what is in it: groups, and one dataset.
//!
//! By the format's specification, version 3 (<https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>), in forms that HDF5
//! has read since 1.8.

use super::TypedStack;
use super::shape::{all_axes, size_in};
use crate::images::arrays::hdf5_checksum as checksum;
use crate::images::source::{SampleKind, SampleType};

/// Where something may stand behind the superblock.
pub(super) const START: u64 = 64;
const NOWHERE: u64 = u64::MAX;
/// Half the number of chunks that a node of their tree has at most, where the superblock says nothing else.
const HALF_NODE: usize = 32;
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Where the bytes of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredChunk {
    pub(super) address: u64,
    pub(super) bytes: u32,
}

/// How the numbers are stored.
pub(super) enum Storage<'a> {
    Contiguous {
        address: u64,
        bytes: u64,
    },
    /// A chunk for each image, shuffled and compressed.
    Chunks {
        chunks: &'a [StoredChunk],
        level: u32,
    },
}

/// The dataset of a file.
pub(super) struct Dataset {
    /// The names of the groups around it, outermost first, and its own.
    pub(super) names: Vec<String>,
    /// Its axes and their lengths, outermost first.
    pub(super) axes: Vec<(char, usize)>,
    pub(super) numbers: SampleType,
    pub(super) attributes: Attributes,
}

/// What is said of a dataset besides.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attributes {
    /// The axes as ilastik has them, in JSON.
    axis_tags: String,
    /// The size of a pixel in micrometres along z, y and x, as Fiji has it.
    element_size: Option<[f64; 3]>,
}

/// What is said of the dataset of `stack`.
pub(super) fn attributes_of(stack: &TypedStack) -> Attributes {
    let tag = |(letter, _): &(char, usize)| {
        // Channels, space and time, as vigra counts them.
        let flags = match letter {
            'C' => 1,
            'T' => 8,
            _ => 2,
        };
        format!(
            r#"{{"key": "{}", "typeFlags": {flags}, "resolution": 0, "description": ""}}"#,
            letter.to_ascii_lowercase()
        )
    };
    let tags: Vec<String> = all_axes(stack).iter().map(tag).collect();
    Attributes {
        axis_tags: format!(r#"{{"axes": [{}]}}"#, tags.join(", ")),
        element_size: size_in(stack.layout.voxel_size(), "\u{b5}m"),
    }
}

/// Whether a file that begins so is finished.
pub(super) fn is_finished(beginning: &[u8]) -> bool {
    beginning.starts_with(SIGNATURE)
}

impl Dataset {
    /// What an unfinished file begins with, by which it is known again.
    pub(super) fn mark(&self) -> Vec<u8> {
        let text = format!("{:?} {:?} {} {:?}", self.names, self.axes, self.numbers, self.attributes);
        let mut mark = b"unfinished stack ".to_vec();
        mark.extend(checksum(text.as_bytes()).to_le_bytes());
        mark.resize(START as usize, 0);
        mark
    }

    /// The first bytes of the file, which ends at `end` and whose outermost group is at `root`.
    pub(super) fn superblock(root: u64, end: u64) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        // Version 2, and addresses and lengths of 8 bytes.
        bytes.extend([2, 8, 8, 0]);
        for address in [0, NOWHERE, end, root] {
            bytes.extend(address.to_le_bytes());
        }
        let sum = checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes.resize(START as usize, 0);
        bytes
    }

    /// What stands at `start`: groups, the dataset and where its chunks are. The second of the pair is where the outermost group is.
    pub(super) fn metadata(&self, start: u64, storage: &Storage<'_>) -> (Vec<u8>, u64) {
        let mut out = Out { start, bytes: Vec::new() };
        let layout = match storage {
            Storage::Contiguous { address, bytes } => {
                let mut layout = vec![3, 1];
                layout.extend(address.to_le_bytes());
                layout.extend(bytes.to_le_bytes());
                layout
            }
            Storage::Chunks { chunks, .. } => self.chunked_layout(&mut out, chunks),
        };
        // Texts of any length stand in a heap of their own.
        let labels: Vec<String> =
            self.axes.iter().map(|(letter, _)| letter.to_ascii_lowercase().to_string()).collect();
        let texts: Vec<&str> = [self.attributes.axis_tags.as_str()]
            .into_iter()
            .chain(labels.iter().map(String::as_str))
            .collect();
        let heap = out.add(&heap(&texts));
        let text = |number: usize| {
            let mut reference = (texts[number].len() as u32).to_le_bytes().to_vec();
            reference.extend(heap.to_le_bytes());
            reference.extend((number as u32 + 1).to_le_bytes());
            reference
        };
        let lengths: Vec<u64> = self.axes.iter().map(|(_, length)| *length as u64).collect();
        let mut messages = vec![
            (0x01, dataspace(&lengths)),
            (0x03, datatype(self.numbers)),
            // Nothing but the usual zero stands for what was not written.
            (0x05, vec![3, if matches!(storage, Storage::Contiguous { .. }) { 0x0a } else { 0x0b }]),
            (0x08, layout),
        ];
        if let Storage::Chunks { level, .. } = storage {
            // Shuffle and deflate, both of which may be left out, with one number each.
            let mut filters = vec![2, 2];
            for (filter, number) in [(2_u16, u32::from(self.numbers.bits.div_ceil(8))), (1, *level)] {
                filters.extend(filter.to_le_bytes());
                filters.extend([1, 0, 1, 0]);
                filters.extend(number.to_le_bytes());
            }
            messages.push((0x0b, filters));
        }
        messages.push((0x0c, attribute("axistags", &text_type(true), &dataspace(&[]), &text(0))));
        let references: Vec<u8> = (1..texts.len()).flat_map(text).collect();
        let count = labels.len() as u64;
        messages.push((
            0x0c,
            attribute("DIMENSION_LABELS", &text_type(false), &dataspace(&[count]), &references),
        ));
        if let Some(size) = self.attributes.element_size {
            let float = SampleType { kind: SampleKind::Float, bits: 32 };
            let size: Vec<u8> = size.iter().flat_map(|size| (*size as f32).to_le_bytes()).collect();
            messages.push((0x0c, attribute("element_size_um", &datatype(float), &dataspace(&[3]), &size)));
        }
        let mut child = out.add(&object(&messages));
        for name in self.names.iter().rev() {
            let mut link = vec![1, 0x10, 1, name.len() as u8];
            link.extend(name.as_bytes());
            link.extend(child.to_le_bytes());
            let mut nothing_else = vec![0, 0];
            nothing_else.extend([NOWHERE.to_le_bytes(), NOWHERE.to_le_bytes()].concat());
            child = out.add(&object(&[(0x02, nothing_else), (0x0a, vec![0, 0]), (0x06, link)]));
        }
        (out.bytes, child)
    }

    /// The layout of chunks, whose places become a tree.
    fn chunked_layout(&self, out: &mut Out, chunks: &[StoredChunk]) -> Vec<u8> {
        let rank = self.axes.len();
        let outer: Vec<usize> =
            self.axes.iter().take_while(|(letter, _)| !"CYX".contains(*letter)).map(|(_, n)| *n).collect();
        // Where the chunk of an image begins; of the number behind the last one, a place behind all.
        let key = |number: usize| {
            let bytes = chunks.get(number).map_or(0, |chunk| chunk.bytes);
            let mut offsets = vec![0_u64; rank + 1];
            let mut rest = number;
            for (axis, length) in outer.iter().enumerate().rev() {
                (offsets[axis], rest) = match axis {
                    0 => (rest as u64, 0),
                    _ => ((rest % length) as u64, rest / length),
                };
            }
            if outer.is_empty() && number > 0 {
                offsets[0] = self.axes[0].1 as u64;
            }
            let mut key = bytes.to_le_bytes().to_vec();
            key.extend([0; 4]);
            key.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
            key
        };
        let key_bytes = 8 + 8 * (rank + 1);
        let node_bytes = (24 + 2 * HALF_NODE * 8 + (2 * HALF_NODE + 1) * key_bytes) as u64;
        // Of each child the number of its first image, and where it is.
        let mut children: Vec<(usize, u64)> =
            chunks.iter().enumerate().map(|(number, chunk)| (number, chunk.address)).collect();
        let mut level = 0;
        loop {
            let nodes: Vec<&[(usize, u64)]> = children.chunks(2 * HALF_NODE).collect();
            let first = out.next();
            let mut parents = Vec::new();
            for (number, node) in nodes.iter().enumerate() {
                let address = first + number as u64 * node_bytes;
                let is_last = number + 1 == nodes.len();
                let mut bytes = b"TREE".to_vec();
                bytes.extend([1, level]);
                bytes.extend((node.len() as u16).to_le_bytes());
                let before = if number == 0 { NOWHERE } else { address - node_bytes };
                let behind = if is_last { NOWHERE } else { address + node_bytes };
                bytes.extend([before.to_le_bytes(), behind.to_le_bytes()].concat());
                for (image, child) in *node {
                    bytes.extend(key(*image));
                    bytes.extend(child.to_le_bytes());
                }
                bytes.extend(key(nodes.get(number + 1).map_or(chunks.len(), |next| next[0].0)));
                bytes.resize(node_bytes as usize, 0);
                out.add(&bytes);
                parents.push((node[0].0, address));
            }
            level += 1;
            children = parents;
            if children.len() < 2 {
                break;
            }
        }
        let root = children.first().map_or(NOWHERE, |(_, address)| *address);
        let mut layout = vec![3, 2, rank as u8 + 1];
        layout.extend(root.to_le_bytes());
        for (axis, (_, length)) in self.axes.iter().enumerate() {
            let side = if axis < outer.len() { 1 } else { *length as u32 };
            layout.extend(side.to_le_bytes());
        }
        layout.extend(u32::from(self.numbers.bits.div_ceil(8)).to_le_bytes());
        layout
    }
}

/// Bytes that will stand at a place in a file.
struct Out {
    start: u64,
    bytes: Vec<u8>,
}

impl Out {
    /// Where the next bytes will stand.
    fn next(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Adds bytes, and tells where they stand.
    fn add(&mut self, bytes: &[u8]) -> u64 {
        let place = self.next();
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        place
    }
}

/// The header of a group or dataset, which has these messages, each with its kind.
fn object(messages: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, message) in messages {
        body.push(*kind);
        body.extend((message.len() as u16).to_le_bytes());
        body.push(0);
        body.extend(message);
    }
    let mut bytes = b"OHDR".to_vec();
    // Version 2, whose length is a number of four bytes.
    bytes.extend([2, 2]);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn dataspace(lengths: &[u64]) -> Vec<u8> {
    let mut bytes = vec![2, lengths.len() as u8, 0, u8::from(!lengths.is_empty())];
    bytes.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
    bytes
}

fn datatype(numbers: SampleType) -> Vec<u8> {
    let bits = numbers.bits;
    let size = u32::from(bits.div_ceil(8)).to_le_bytes();
    let precision = u16::from(bits).to_le_bytes();
    match numbers.kind {
        SampleKind::Float => {
            let (exponent, mantissa, bias): (u8, u8, u32) = match bits {
                16 => (5, 10, 15),
                32 => (8, 23, 127),
                _ => (11, 52, 1023),
            };
            let mut bytes = vec![0x11, 0x20, bits - 1, 0];
            bytes.extend(size);
            bytes.extend([0, 0, precision[0], precision[1], mantissa, exponent, 0, mantissa]);
            bytes.extend(bias.to_le_bytes());
            bytes
        }
        kind => {
            let sign = if kind == SampleKind::Signed { 8 } else { 0 };
            let mut bytes = vec![0x10, sign, 0, 0];
            bytes.extend(size);
            bytes.extend([0, 0, precision[0], precision[1]]);
            bytes
        }
    }
}

/// Texts of any length, in UTF-8 or in ASCII.
fn text_type(utf8: bool) -> Vec<u8> {
    let set = u8::from(utf8);
    let mut bytes = vec![0x19, 1, set, 0];
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([0x13, set << 4, 0, 0]);
    bytes.extend(1_u32.to_le_bytes());
    bytes
}

fn attribute(name: &str, datatype: &[u8], dataspace: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3, 0];
    for length in [name.len() + 1, datatype.len(), dataspace.len()] {
        bytes.extend((length as u16).to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.extend([datatype, dataspace, value].concat());
    bytes
}

/// A heap of texts, which are counted from 1.
fn heap(texts: &[&str]) -> Vec<u8> {
    const LEAST_BYTES: usize = 4096;
    let mut objects = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        objects.extend((number as u16 + 1).to_le_bytes());
        objects.extend([1, 0, 0, 0, 0, 0]);
        objects.extend((text.len() as u64).to_le_bytes());
        objects.extend(text.as_bytes());
        objects.resize(objects.len().next_multiple_of(8), 0);
    }
    let length = (16 + objects.len() + 16).max(LEAST_BYTES);
    let mut bytes = b"GCOL\x01\0\0\0".to_vec();
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(&objects);
    // What is free is the object 0, whose length counts its own header.
    let free = length - bytes.len();
    bytes.extend([0; 8]);
    bytes.extend((free as u64).to_le_bytes());
    bytes.resize(length, 0);
    bytes
}
