//! The links of groups, of which the library that reads the rest shows the hard ones only: soft ones, which name a place in the
//! same file, and external ones, which name one in another. The format is that of
//! <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t4.html>.
//!
//! - `bytes`: numbers in bytes, one after the other. `header`: the messages of an object, among them the links of newer groups.
//! - `old`: the links of older groups. `dense`: those of groups with many. `heap`: what messages refer to elsewhere.
//!   `tree`: chunks that are listed in a tree as those links are.
//!
//! What refers to itself ends all the same, as [`Structure`] gives no more bytes than a file of its size needs.

mod bytes;
mod dense;
mod header;
mod heap;
mod old;
mod tree;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_pure::{File, Source};

pub(super) use self::bytes::Bytes;
use self::header::Message;
use super::source::Structure;
use crate::error::Result;
use crate::images::source::SampleType;

/// So many links are followed from one to the next, as HDF5 does where nobody says otherwise.
const MOST_FOLLOWED: usize = 16;
/// Longer paths than this are none of people's files.
const MOST_PARTS: usize = 1024;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// To the object that begins at this byte of the file.
    Hard(u64),
    /// To a path in the same file.
    Soft(String),
    /// To a path in another file.
    External { file: String, place: String },
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
}

/// What the messages of a dataset say of how its numbers are stored.
pub(super) struct Said {
    /// The message about the layout.
    pub(super) layout: Vec<u8>,
    /// The bytes of the number that stands for those that were never written, where one is said.
    pub(super) fill: Option<Vec<u8>>,
}

impl Said {
    /// The bytes of the number, of this type, that stands for those that were never written.
    pub(super) fn number_for_nothing(self, numbers: SampleType) -> Vec<u8> {
        let element = usize::from(numbers.bits).div_ceil(8);
        self.fill.filter(|fill| fill.len() == element).unwrap_or_else(|| vec![0; element])
    }
}

/// The chunks of a dataset that are listed in a tree.
pub(super) struct TreeList {
    pub(super) chunks: Vec<TreeChunk>,
    /// The bytes of the number that stands for those of chunks that are not listed.
    pub(super) fill: Vec<u8>,
}

/// A chunk of a dataset that is listed in a tree.
pub(super) struct TreeChunk {
    /// The byte of the file where it begins, and how many are stored; `None` for as many as it has.
    pub(super) address: u64,
    pub(super) bytes: Option<u64>,
    /// The filters that were not applied to it.
    pub(super) skipped: u32,
    /// Which one, counted in chunks along each axis.
    pub(super) numbers: Vec<u64>,
}

/// The members of a group by their names; of several with one name the first.
type Links = BTreeMap<String, Target>;

/// What a path leads to once its links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Followed {
    /// An object of this file; the path that leads there without soft links, from `/` on, empty for the file itself.
    Here(String),
    /// An object of another file, by the external link at the path `link`.
    Elsewhere { link: String, file: String, place: String },
    /// Nothing, as there is no `missing`.
    Nothing { missing: String },
    /// Links that lead to each other without end, or too many of them.
    Endless,
}

/// The widths of what is stored in a file, and where its addresses count from.
#[derive(Debug, Clone, Copy)]
struct Widths {
    address: usize,
    length: usize,
    base: u64,
}

/// The groups of a file.
pub(super) struct Groups {
    structure: Structure,
    widths: Widths,
    root: u64,
    /// The links of groups that were read, by their addresses.
    known: Mutex<HashMap<u64, Arc<Links>>>,
}

impl Groups {
    /// Those of `file`, whose bytes are those of `structure`.
    pub(super) fn new(file: &File, structure: Structure) -> Self {
        let superblock = file.superblock();
        let widths = Widths {
            address: usize::from(superblock.offset_size),
            length: usize::from(superblock.length_size),
            base: superblock.base_address.get(),
        };
        Self { structure, widths, root: superblock.root_group_address, known: Mutex::default() }
    }

    /// The length of the file.
    fn len(&self) -> u64 {
        self.structure.len()
    }

    /// How many bytes an address takes, and where addresses count from.
    pub(super) fn addresses(&self) -> (usize, u64) {
        (self.widths.address, self.widths.base)
    }

    /// How many bytes a length takes.
    pub(super) fn length_width(&self) -> usize {
        self.widths.length
    }

    /// The object of this `number` in the heap that begins at the byte `place`; `None` where it is damaged.
    pub(super) fn heap_object(&self, place: u64, number: u64) -> Option<Vec<u8>> {
        heap::object(self, place, number)
    }

    /// Where the object at a path without soft links begins; `None` where there is none.
    pub(super) fn object(&self, path: &str) -> Option<u64> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self.root, |place, part| {
            match self.links(place).get(part) {
                Some(Target::Hard(next)) => Some(*next),
                _ => None,
            }
        })
    }

    /// What is said of the dataset that begins at the byte `place`; `None` where it is none or damaged.
    pub(super) fn said_of(&self, place: u64) -> Option<Said> {
        let (mut layout, mut fill) = (None, None);
        for message in header::messages(self, place)? {
            match message {
                Message::Layout(bytes) => layout = Some(bytes),
                // The older of the two messages is there for older programs.
                Message::Fill { value, is_old } if !is_old || fill.is_none() => fill = value,
                _ => {}
            }
        }
        Some(Said { layout: layout?, fill })
    }

    /// The chunks of a dataset of so many `axes` whose message about its layout says that they are listed in a tree.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where that is damaged, [`Error::OutOfMemory`](crate::Error::OutOfMemory) for too many.
    pub(super) fn chunks_of_tree(&self, name: &str, layout: &[u8], axes: usize) -> Result<Vec<TreeChunk>> {
        tree::chunks(name, self, layout, axes)
    }

    /// `count` bytes from the byte `place` of the file on.
    fn read(&self, place: u64, count: usize) -> Option<Vec<u8>> {
        self.structure.read_exact_at(place, count).ok()
    }

    /// As [`Groups::read`], of fewer bytes where the file ends.
    fn read_at_most(&self, place: u64, count: usize) -> Option<Vec<u8>> {
        let rest = self.structure.len().checked_sub(place)?;
        self.read(place, usize::try_from(rest).map_or(count, |rest| rest.min(count)))
    }

    /// The members of the group that begins at the byte `place`; none where that is no group or is damaged.
    fn links(&self, place: u64) -> Arc<Links> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(links) = known().get(&place) {
            return links.clone();
        }
        let mut links = Links::new();
        for Link { name, target } in self.read_links(place).unwrap_or_default() {
            links.entry(name).or_insert(target);
        }
        let links = Arc::new(links);
        known().insert(place, links.clone());
        links
    }

    fn read_links(&self, place: u64) -> Option<Vec<Link>> {
        let mut links = Vec::new();
        for message in header::messages(self, place)? {
            match message {
                Message::Link(bytes) => links.extend(header::link(&bytes, self.widths)),
                Message::Table { tree, names } => return old::links(self, tree, names),
                Message::Dense { heap, index } => links.extend(dense::links(self, heap, index)?),
                Message::Layout(_) | Message::Fill { .. } => {}
            }
        }
        Some(links)
    }

    /// The links of the group at a path without soft links that lead to a path, here or in another file, in the order of names.
    pub(super) fn soft_links(&self, group: &str) -> Vec<Link> {
        let mut place = self.root;
        for part in group.split('/').filter(|part| !part.is_empty()) {
            match self.links(place).get(part) {
                Some(Target::Hard(next)) => place = *next,
                _ => return Vec::new(),
            }
        }
        let links = self.links(place);
        let soft = links.iter().filter(|(_, target)| !matches!(target, Target::Hard(_)));
        soft.map(|(name, target)| Link { name: name.clone(), target: target.clone() }).collect()
    }

    /// What `path` leads to.
    pub(super) fn follow(&self, path: &str) -> Followed {
        let parts = |path: &str| -> Vec<String> {
            path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        let mut rest = VecDeque::from(parts(path));
        // The groups on the way, with where they begin.
        let mut way: Vec<(String, u64)> = Vec::new();
        let mut followed = 0;
        let text = |way: &[(String, u64)]| way.iter().map(|(name, _)| format!("/{name}")).collect::<String>();
        while let Some(name) = rest.pop_front() {
            let links = self.links(way.last().map_or(self.root, |(_, place)| *place));
            let here = || format!("{}/{name}", text(&way));
            match links.get(&name) {
                None => return Followed::Nothing { missing: here() },
                Some(Target::Hard(place)) => way.push((name, *place)),
                Some(Target::Soft(target)) => {
                    followed += 1;
                    if target.starts_with('/') {
                        way.clear();
                    }
                    parts(target).into_iter().rev().for_each(|part| rest.push_front(part));
                    if followed > MOST_FOLLOWED || way.len() + rest.len() > MOST_PARTS {
                        return Followed::Endless;
                    }
                }
                Some(Target::External { file, place }) => {
                    let behind = rest.iter().map(|part| format!("/{part}")).collect::<String>();
                    let place = format!("{}{behind}", place.trim_end_matches('/'));
                    return Followed::Elsewhere { link: here(), file: file.clone(), place };
                }
            }
        }
        Followed::Here(text(&way))
    }
}
