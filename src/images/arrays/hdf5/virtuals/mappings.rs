//! Which parts of a virtual dataset are which parts of other datasets, as its file says.

use super::super::links::{Bytes, Groups};
use super::selection::{self, Selection};

/// Where the parts of a virtual dataset are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// Where a heap begins, and the number of the list in it.
    heap: u64,
    number: u64,
}

/// A part of a virtual dataset that is one of another dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The other file, `.` for this one, and the path of the dataset in it.
    pub(super) file: String,
    pub(super) place: String,
    /// What it is there, and here.
    pub(super) source: Selection,
    pub(super) here: Selection,
}

/// Where the message of a dataset about its layout says that its parts are listed; `None` for one that is not virtual.
pub(super) fn list_place(message: &[u8], groups: &Groups) -> Option<ListPlace> {
    const VIRTUAL: u64 = 3;
    let (address, base) = groups.addresses();
    let mut bytes = Bytes(message);
    let version = bytes.number(1)?;
    let kind = bytes.number(1)?;
    if !(3..=5).contains(&version) || kind != VIRTUAL {
        return None;
    }
    Some(ListPlace { heap: bytes.address(address, base)?, number: bytes.number(4)? })
}

/// The mappings of the list at `place`; `None` where it is damaged.
pub(super) fn read(groups: &Groups, place: ListPlace) -> Option<Vec<Mapping>> {
    const SAME_AS_BEFORE: [u64; 2] = [1, 2];
    const THIS_FILE: u64 = 4;
    let stored = groups.heap_object(place.heap, place.number)?;
    let width = groups.length_width();
    let mut bytes = Bytes(&stored);
    let version = bytes.number(1).filter(|version| *version < 2)?;
    let count = bytes.count(width)?;
    let mut all: Vec<Mapping> = Vec::new();
    for _ in 0..count {
        let flags = if version > 0 { bytes.number(1)? } else { 0 };
        let file = if flags & THIS_FILE != 0 {
            ".".to_owned()
        } else if flags & SAME_AS_BEFORE[0] != 0 {
            all.get(bytes.count(width)?)?.file.clone()
        } else {
            bytes.text()
        };
        let place = if flags & SAME_AS_BEFORE[1] != 0 {
            all.get(bytes.count(width)?)?.place.clone()
        } else {
            bytes.text()
        };
        let source = selection::read(&mut bytes)?;
        let here = selection::read(&mut bytes)?;
        all.push(Mapping { file, place, source, here });
    }
    Some(all)
}

/// `name` with the number `block` in the place of each `%b`, and `%` for each `%%`; whether it has such a place.
pub(super) fn numbered(name: &str, block: u64) -> (String, bool) {
    let (mut all, mut is_numbered) = (String::new(), false);
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('%', Some('b')) => {
                rest.next();
                all += &block.to_string();
                is_numbered = true;
            }
            ('%', Some('%')) => {
                rest.next();
                all.push('%');
            }
            _ => all.push(c),
        }
    }
    (all, is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_their_blocks() {
        assert_eq!(numbered("a_%b.h5", 12), ("a_12.h5".into(), true));
        assert_eq!(numbered("100%%b_%.h5%", 12), ("100%b_%.h5%".into(), false));
    }
}
