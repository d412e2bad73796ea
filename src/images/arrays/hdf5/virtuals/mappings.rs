//! Which parts of a virtual dataset are which parts of other datasets, as its file says.

use std::sync::Arc;

use super::super::links::{Bytes, Groups};
use super::selection::{self, Selection};

/// Longer names are those of no file or dataset.
const MOST_BYTES_OF_NAME: usize = 4096;

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
    /// The other file, `.` for this one, and the path of the dataset in it; many mappings may share them.
    pub(super) file: Arc<str>,
    pub(super) place: Arc<str>,
    /// What it is there, and here.
    pub(super) source: Selection,
    pub(super) here: Selection,
}

/// Where the message of a dataset about its layout says that its parts are listed, which is nowhere where it has none; `None` for one
/// that is not virtual.
pub(super) fn list_place(message: &[u8], groups: &Groups) -> Option<Option<ListPlace>> {
    const VIRTUAL: u64 = 3;
    let (address, base) = groups.addresses();
    let mut bytes = Bytes(message);
    let version = bytes.number(1)?;
    let kind = bytes.number(1)?;
    if !(3..=5).contains(&version) || kind != VIRTUAL {
        return None;
    }
    let heap = Bytes(bytes.take(address)?).address(address, base);
    let number = bytes.number(4)?;
    Some(heap.map(|heap| ListPlace { heap, number }))
}

/// The first mappings of the list at `place`, `most` of them; `None` where it is damaged.
pub(super) fn read(groups: &Groups, place: ListPlace, most: usize) -> Option<Vec<Mapping>> {
    let stored = groups.heap_object(place.heap, place.number)?;
    listed(&stored, groups.length_width(), most)
}

/// The mappings of a list as it is stored, with lengths of `width` bytes.
fn listed(stored: &[u8], width: usize, most: usize) -> Option<Vec<Mapping>> {
    const SAME_FILE: u64 = 1;
    const SAME_DATASET: u64 = 2;
    const THIS_FILE: u64 = 4;
    let mut bytes = Bytes(stored);
    let name = |bytes: &mut Bytes<'_>| {
        Some(bytes.text()).filter(|name| name.len() <= MOST_BYTES_OF_NAME).map(Arc::from)
    };
    let version = bytes.number(1).filter(|version| *version < 2)?;
    let count = bytes.count(width)?;
    let mut all: Vec<Mapping> = Vec::new();
    for _ in 0..count.min(most) {
        let flags = if version > 0 { bytes.number(1)? } else { 0 };
        let file = if flags & THIS_FILE != 0 {
            ".".into()
        } else if flags & SAME_FILE != 0 {
            all.get(bytes.count(width)?)?.file.clone()
        } else {
            name(&mut bytes)?
        };
        let place = if flags & SAME_DATASET != 0 {
            all.get(bytes.count(width)?)?.place.clone()
        } else {
            name(&mut bytes)?
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
    fn names_that_many_share_are_in_memory_once() {
        let all = [3_u32.to_le_bytes(), 1_u32.to_le_bytes(), [0; 4], [0; 4]].concat();
        let list = |name: &str, count: u64| {
            let mut list = [&[1][..], &count.to_le_bytes()].concat();
            list.extend([&[0][..], name.as_bytes(), b"\0/d\0", &all, &all].concat());
            for _ in 1..count {
                list.push(3);
                list.extend([[0; 16].as_slice(), &all, &all].concat());
            }
            list
        };
        let found = listed(&list("a.h5", 3), 8, 9).unwrap();
        assert_eq!((found.len(), &*found[2].file, &*found[2].place), (3, "a.h5", "/d"));
        assert!(Arc::ptr_eq(&found[0].file, &found[2].file) && Arc::ptr_eq(&found[0].place, &found[1].place));
        assert_eq!(listed(&list("a.h5", 3), 8, 2).unwrap().len(), 2);
        assert!(listed(&list(&"a".repeat(MOST_BYTES_OF_NAME), 1), 8, 9).is_some());
        assert!(listed(&list(&"a".repeat(MOST_BYTES_OF_NAME + 1), 1), 8, 9).is_none());
    }

    #[test]
    fn names_have_the_numbers_of_their_blocks() {
        assert_eq!(numbered("a_%b.h5", 12), ("a_12.h5".into(), true));
        assert_eq!(numbered("100%%b_%.h5%", 12), ("100%b_%.h5%".into(), false));
    }
}
