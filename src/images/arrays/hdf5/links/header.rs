//! The messages of an object that tell the members of a group, or how the numbers of a dataset are stored.

use super::bytes::Bytes;
use super::{Groups, Link, Target, Widths};

/// More parts than an object's messages are stored in.
const MOST_PARTS: usize = 256;
/// The kinds of messages that are read; of these one tells where further messages are.
const LINK_INFO: u64 = 2;
const OLD_FILL: u64 = 4;
const FILL: u64 = 5;
const LINK: u64 = 6;
const LAYOUT: u64 = 8;
const CONTINUATION: u64 = 16;
const SYMBOL_TABLE: u64 = 17;
/// The flag of messages that are shared among objects.
const SHARED: u8 = 2;

/// A message that is read.
pub(super) enum Message {
    /// One of them, as [`link`] reads it.
    Link(Vec<u8>),
    /// Where the tree of an older group begins, and the names of its members.
    Table { tree: u64, names: u64 },
    /// Where the heap of the links of a large group begins, and the tree that tells where each is.
    Dense { heap: u64, index: u64 },
    /// How the numbers of a dataset are stored.
    Layout(Vec<u8>),
    /// The bytes of the number that stands for those that were never written; `None` where the usual zero does.
    Fill { value: Option<Vec<u8>>, is_old: bool },
}

/// How messages are stored.
#[derive(Clone, Copy)]
enum Version {
    First,
    /// With a number for each message that tells when it was made, or without.
    Second {
        numbered: bool,
    },
}

/// The messages of the object that begins at the byte `place`; `None` where it is damaged.
pub(super) fn messages(groups: &Groups, place: u64) -> Option<Vec<Message>> {
    let start = groups.read_at_most(place, 34)?;
    let mut head = Bytes(&start);
    let (version, before, count) = if start.first() == Some(&1) {
        // The version, a count of messages and one of links, and four bytes up to the next multiple of eight.
        head.take(8)?;
        (Version::First, 16, head.count(4)?)
    } else {
        head.mark(b"OHDR\x02")?;
        let flags = head.number(1)?;
        // The times of changes, and limits of attributes.
        head.take(if flags & 32 != 0 { 16 } else { 0 })?;
        head.take(if flags & 16 != 0 { 4 } else { 0 })?;
        let count = head.count(1 << (flags & 3))?;
        (Version::Second { numbered: flags & 4 != 0 }, start.len() - head.0.len(), count)
    };
    let mut found = Vec::new();
    let mut parts = vec![groups.read(place.checked_add(before as u64)?, count)?];
    let mut further = Vec::new();
    for _ in 0..MOST_PARTS {
        let Some(part) = parts.pop() else { return Some(found) };
        collect(&part, version, groups.widths, &mut found, &mut further)?;
        for (place, length) in further.drain(..) {
            let part = groups.read(place, usize::try_from(length).ok()?)?;
            parts.push(match version {
                Version::First => part,
                // Between a mark and a checksum.
                Version::Second { .. } => part
                    .strip_prefix(b"OCHK")
                    .and_then(|part| part.get(..part.len().checked_sub(4)?))?
                    .to_vec(),
            });
        }
    }
    None
}

/// Adds the messages in `part` to `found`, and where others are to `further`.
fn collect(
    part: &[u8],
    version: Version,
    widths: Widths,
    found: &mut Vec<Message>,
    further: &mut Vec<(u64, u64)>,
) -> Option<()> {
    let mut rest = Bytes(part);
    loop {
        let head = match version {
            Version::First => rest.number(2).zip(rest.count(2)).zip(rest.take(4)),
            Version::Second { numbered } => {
                rest.number(1).zip(rest.count(2)).zip(rest.take(if numbered { 3 } else { 1 }))
            }
        };
        // What is left over is shorter than any message.
        let Some(((kind, length), flags)) = head else { return Some(()) };
        let Some(message) = rest.take(length) else { return Some(()) };
        // The message itself is stored elsewhere, and this tells where.
        if flags.first().is_some_and(|flags| flags & SHARED != 0) && matches!(kind, LAYOUT | OLD_FILL | FILL)
        {
            return None;
        }
        let mut bytes = Bytes(message);
        match kind {
            LINK => found.push(Message::Link(message.to_vec())),
            LAYOUT => found.push(Message::Layout(message.to_vec())),
            OLD_FILL | FILL => {
                let is_old = kind == OLD_FILL;
                found.push(Message::Fill { value: fill(message, is_old), is_old });
            }
            SYMBOL_TABLE => {
                let tree = bytes.address(widths.address, widths.base)?;
                let names = bytes.address(widths.address, widths.base)?;
                found.push(Message::Table { tree, names });
            }
            LINK_INFO => {
                bytes.mark(&[0])?;
                let flags = bytes.number(1)?;
                bytes.take(if flags & 1 != 0 { 8 } else { 0 })?;
                let heap = bytes.address(widths.address, widths.base);
                // Without a heap, each link is a message.
                if let Some(heap) = heap {
                    let index = bytes.address(widths.address, widths.base)?;
                    found.push(Message::Dense { heap, index });
                }
            }
            CONTINUATION => {
                let place = bytes.address(widths.address, widths.base)?;
                further.push((place, bytes.number(widths.length)?));
            }
            _ => {}
        }
    }
}

/// The bytes of the number that a message tells which stands for those that were never written; `None` where it tells none.
fn fill(message: &[u8], is_old: bool) -> Option<Vec<u8>> {
    let mut bytes = Bytes(message);
    if !is_old {
        let version = bytes.number(1)?;
        let is_there = match version {
            1 | 2 => {
                bytes.take(2)?;
                bytes.number(1)? != 0
            }
            _ => bytes.number(1)? & 32 != 0,
        };
        is_there.then_some(())?;
    }
    let length = bytes.count(4)?;
    bytes.take(length).filter(|value| !value.is_empty()).map(<[u8]>::to_vec)
}

/// The link that a message tells; `None` for one of a kind that somebody else made up, and where it is damaged.
pub(super) fn link(message: &[u8], widths: Widths) -> Option<Link> {
    let mut bytes = Bytes(message);
    bytes.mark(&[1])?;
    let flags = bytes.number(1)?;
    let kind = if flags & 8 != 0 { bytes.number(1)? } else { 0 };
    // When it was made, and the letters of its name.
    bytes.take(if flags & 4 != 0 { 8 } else { 0 })?;
    bytes.take(if flags & 16 != 0 { 1 } else { 0 })?;
    let length = bytes.count(1 << (flags & 3))?;
    let name = String::from_utf8_lossy(bytes.take(length)?).into_owned();
    let target = match kind {
        0 => Target::Hard(bytes.address(widths.address, widths.base)?),
        1 | 64 => {
            let length = bytes.count(2)?;
            let mut value = Bytes(bytes.take(length)?);
            if kind == 1 {
                Target::Soft(value.text())
            } else {
                value.mark(&[0])?;
                Target::External { file: value.text(), place: value.text() }
            }
        }
        _ => return None,
    };
    Some(Link { name, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that is shared holds the place of another one, which must not be taken for a layout or a number.
    #[test]
    fn shared_messages_are_not_read_as_if_they_were_the_message() {
        let widths = Widths { base: 0, address: 8, length: 8 };
        let of = |kind: u64, flags: u8| {
            let second = [&[kind as u8, 4, 0, flags][..], &[3, 9, 0, 0]].concat();
            let first = [&[kind as u8, 0, 4, 0, flags, 0, 0, 0][..], &[3, 9, 0, 0]].concat();
            [(second, Version::Second { numbered: false }), (first, Version::First)].map(|(part, version)| {
                let (mut found, mut further) = (Vec::new(), Vec::new());
                collect(&part, version, widths, &mut found, &mut further).map(|()| found.len())
            })
        };
        for kind in [LAYOUT, OLD_FILL, FILL] {
            assert_eq!(of(kind, 0), [Some(1); 2], "{kind}");
            assert_eq!(of(kind, SHARED), [None; 2], "{kind}");
        }
        assert_eq!(of(3, SHARED), [Some(0); 2]);
    }
}
