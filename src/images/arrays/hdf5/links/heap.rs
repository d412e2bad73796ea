//! Objects of any length that messages refer to, in heaps of a file (global heaps).

use super::Groups;
use super::bytes::Bytes;

/// The object of this `number` in the heap that begins at the byte `place`; `None` where it is damaged.
pub(super) fn object(groups: &Groups, place: u64, number: u64) -> Option<Vec<u8>> {
    let width = groups.widths.length;
    let head = groups.read(place, 8 + width)?;
    let mut bytes = Bytes(&head);
    bytes.mark(b"GCOL\x01")?;
    bytes.take(3)?;
    let length = bytes.number(width)?;
    let end = place.checked_add(length).filter(|end| *end <= groups.len())?;
    let mut at = place.checked_add(head.len() as u64)?;
    // Each object begins with its number, how often it is used, and its length.
    while at.checked_add(8 + width as u64)? <= end {
        let head = groups.read(at, 8 + width)?;
        let mut bytes = Bytes(&head);
        let own = bytes.number(2)?;
        bytes.take(6)?;
        let length = bytes.number(width)?;
        at = at.checked_add(head.len() as u64)?;
        let behind = at.checked_add(length).filter(|behind| *behind <= end)?;
        match own {
            // What is not used is behind all others.
            0 => return None,
            own if own == number => return groups.read(at, usize::try_from(length).ok()?),
            _ => at = behind.checked_next_multiple_of(8)?,
        }
    }
    None
}
