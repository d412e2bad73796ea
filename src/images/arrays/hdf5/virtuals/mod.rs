//! Virtual datasets, whose numbers are in other datasets, mostly of other files: the frames of a scan that a detector has written to
//! several, or the modules of a detector side by side.
//!
//! - `selection`: the part of a dataset that is meant. `mappings`: which parts are which parts of other datasets.
//! - `files`: the files that parts are in. `gather`: numbers to where they lie in another array. `source_blocks`: the blocks of parts, and the room
//!   for them.

mod files;
mod gather;
mod mappings;
mod selection;
mod source_blocks;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tiff::decoder::DecodingResult;

pub(super) use self::files::Around;
use self::gather::{MOST_PIECES, Places, converted, first_index, gather, places};
use self::mappings::{Mapping, numbered};
use self::selection::{Along, Selection};
use self::source_blocks::{Held, blocks_of_part};
use super::opened::Opened;
use crate::error::{Error, Result};
use crate::images::arrays::blocks::Blocks;
use crate::images::arrays::numbers::{count_of, filled, from_bytes, lengths, zeros};
use crate::images::arrays::source_blocks::SourceBlocks;
use crate::images::arrays::{ArrayLayout, StoredArray};

/// More parts than this are not listed in memory.
const MOST_PARTS: usize = 1 << 18;
/// So many datasets that are open are kept so; each has a file. Of each of these fewer are, where it is virtual too.
const MOST_OPEN: usize = 32;
/// So many datasets are opened at once to know how long they are, or which other files they need.
const MOST_MEASURED: usize = 4096;
/// How often each number may be covered.
const MOST_TIMES: usize = 4;

/// A dataset whose numbers are in others.
pub(super) struct Virtual {
    name: String,
    opened: Opened,
    layout: ArrayLayout,
    /// The number where no other dataset has one.
    fill: DecodingResult,
    parts: Vec<Part>,
    sources: Vec<SourcePlace>,
    /// Those that were used last, the last one behind all others.
    open: Mutex<Vec<(usize, Arc<Source>)>>,
    around: Around,
    /// The blocks of the other datasets.
    source_blocks: SourceBlocks,
}

/// A part that is one of another dataset.
struct Part {
    source: usize,
    here: Vec<Along>,
    /// Many parts may have the same.
    there: Arc<Selection>,
}

/// Another dataset: its file as this one names it, and its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SourcePlace {
    file: Arc<str>,
    place: Arc<str>,
}

/// Another dataset that is open.
struct Source {
    stored: Box<dyn StoredArray>,
    blocks: Option<Blocks>,
    _held: Held,
}

impl fmt::Debug for Virtual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Virtual")
            .field("name", &self.name)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl Source {
    fn shape(&self) -> &[usize] {
        &self.stored.layout().shape
    }

    /// The numbers of any part of it.
    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        match &self.blocks {
            Some(blocks) => blocks.read(self.stored.as_ref(), part),
            None => self.stored.read(part),
        }
    }
}

impl Virtual {
    /// The dataset at `place` of a file, whose numbers lie as `layout` says; it may itself be a part of virtual datasets `around` it.
    ///
    /// # Errors
    /// [`Error::Input`] for what is damaged or not read, and for files that are not there.
    pub(super) fn open(
        name: &str,
        opened: Opened,
        place: &str,
        (layout, big_endian): (ArrayLayout, bool),
        around: Around,
    ) -> Result<Self> {
        let damaged = || super::damaged(name, "its list of parts");
        let said = opened.groups.object(place).and_then(|object| opened.groups.said_of(object));
        let said = said.ok_or_else(damaged)?;
        let list = mappings::list_place(&said.layout, &opened.groups).ok_or_else(damaged)?;
        let mappings = match list {
            // One more than are listed shows that there are too many.
            Some(list) => mappings::read(&opened.groups, list, MOST_PARTS + 1).ok_or_else(damaged)?,
            None => Vec::new(),
        };
        let fill = from_bytes(layout.numbers, big_endian, &said.number_for_nothing(layout.numbers));
        let mut found = Self {
            name: name.to_owned(),
            opened,
            layout,
            fill,
            parts: Vec::new(),
            sources: Vec::new(),
            open: Mutex::default(),
            around: around.with_room(),
            source_blocks: SourceBlocks::default(),
        };
        found.add_all(mappings)?;
        let (files, blocks) = found.files()?;
        found.layout.linked_files.extend(files);
        let (count, source_blocks) = found.read_together(&blocks);
        found.source_blocks = source_blocks;
        if count > 1 {
            // Those that were opened to know how long they are have the whole room.
            found.open = Mutex::default();
            found.around.divide_room(count);
        }
        Ok(found)
    }

    fn failed(&self, problem: impl fmt::Display) -> Error {
        Error::input(&self.name, problem)
    }

    /// What cannot be read of its parts.
    fn unread(&self, what: &str) -> Error {
        self.failed(format!(
            "is a virtual dataset of which {what}, which is not read; store it again with h5py: new['data'] = old['data'][...]"
        ))
    }

    /// Adds the parts that are listed, and finds out how long the dataset is where they have no end.
    fn add_all(&mut self, mappings: Vec<Mapping>) -> Result<()> {
        let shape = self.layout.shape.clone();
        let mut numbers: HashMap<SourcePlace, usize> = HashMap::new();
        // The axes along which something has no end.
        let mut open_axes: HashSet<usize> = HashSet::new();
        let mut names: HashSet<Arc<str>> = HashSet::new();
        for Mapping { file, place, source, here } in mappings {
            let here = match here {
                Selection::Nothing => continue,
                Selection::All => shape.iter().map(|length| Along::all(*length as u64)).collect(),
                Selection::Of(here) if here.len() == shape.len() => here,
                Selection::Of(_) => {
                    return Err(super::damaged(&self.name, "its parts have other axes than it has"));
                }
                Selection::Other => {
                    return Err(self.unread("parts are lists of points or of different blocks"));
                }
            };
            match source {
                Selection::Nothing => continue,
                Selection::Other => {
                    return Err(self.unread("parts are lists of points or of different blocks"));
                }
                Selection::All | Selection::Of(_) => {}
            }
            let source = Arc::new(source);
            let mut named = |block: u64| {
                let ((file, in_file), (place, in_place)) = (numbered(&file, block), numbered(&place, block));
                // Many parts may have the same names.
                let [file, place] = [file, place].map(|name| match names.get(name.as_str()) {
                    Some(known) => known.clone(),
                    None => {
                        let name: Arc<str> = name.into();
                        names.insert(name.clone());
                        name
                    }
                });
                (SourcePlace { file, place }, in_file, in_place)
            };
            let mut add = |found: &mut Self, at: SourcePlace, here: Vec<Along>, there: &Arc<Selection>| {
                if found.parts.len() == MOST_PARTS {
                    return Err(found.unread(&format!("there are more than {MOST_PARTS} parts")));
                }
                let next = found.sources.len();
                let source = *numbers.entry(at.clone()).or_insert(next);
                if source == next {
                    found.sources.push(at);
                }
                found.parts.push(Part { source, here, there: there.clone() });
                Ok(source)
            };
            let endless: Vec<usize> = (0..here.len()).filter(|axis| here[*axis].length().is_none()).collect();
            let (first, in_file, in_place) = named(0);
            match endless.as_slice() {
                [] => {
                    add(self, first, here, &source)?;
                }
                [axis] if in_file || in_place => {
                    open_axes.insert(*axis);
                    // Which numbers there are is known of files only.
                    if !in_file {
                        return Err(self.unread("parts of one file have numbers in their names"));
                    }
                    let Along::Regular { start, stride, block, .. } = here[*axis] else {
                        return Err(super::damaged(&self.name, "its list of parts"));
                    };
                    for number in 0.. {
                        let (at, ..) = named(number);
                        // Of files with numbers, those that are there are meant, and the first one at least.
                        if number > 0 && !self.path_of(&at).is_ok_and(|path| path.is_file()) {
                            break;
                        }
                        let from = number.checked_mul(stride).and_then(|steps| start.checked_add(steps));
                        let run = from.and_then(|from| from.checked_add(block).map(|_| from));
                        let from = run.ok_or_else(|| super::damaged(&self.name, "its list of parts"))?;
                        let mut here = here.clone();
                        here[*axis] =
                            Along::Regular { start: from, stride: block, block, length: Some(block) };
                        add(self, at, here, &source)?;
                    }
                }
                [axis] => {
                    open_axes.insert(*axis);
                    if self.sources.len() > MOST_MEASURED {
                        return Err(self.unread(&format!("more than {MOST_MEASURED} parts have no end")));
                    }
                    let number = add(self, first, here.clone(), &source)?;
                    let there = self.source(number)?;
                    let Selection::Of(of_there) = source.as_ref() else {
                        return Err(super::damaged(&self.name, "its list of parts"));
                    };
                    let length = of_there
                        .iter()
                        .zip(there.shape())
                        .find(|(along, _)| along.length().is_none())
                        .and_then(|(along, length)| along.up_to(*length as u64).length());
                    let length = length.ok_or_else(|| super::damaged(&self.name, "its list of parts"))?;
                    // As long as it is now, also where the other dataset has grown when it is read.
                    if let Some(part) = self.parts.last_mut() {
                        part.here[*axis] = here[*axis].of_length(length);
                        let of_there = of_there.iter().map(|along| along.of_length(length)).collect();
                        part.there = Arc::new(Selection::Of(of_there));
                    }
                }
                _ => return Err(self.unread("parts have no end along several axes")),
            }
        }
        for (axis, length) in shape.into_iter().enumerate() {
            let ends = self.parts.iter().map(|part| part.here[axis].end());
            let end = ends.collect::<Option<Vec<u64>>>().map(|ends| ends.into_iter().max().unwrap_or(0));
            let end = end.and_then(|end| usize::try_from(end).ok());
            let end = end.ok_or_else(|| super::damaged(&self.name, "its list of parts"))?;
            if open_axes.contains(&axis) {
                self.layout.shape[axis] = end;
            } else if end > length {
                return Err(super::damaged(&self.name, "its parts end outside of it"));
            }
        }
        Ok(())
    }

    /// The dataset of this number, open.
    fn source(&self, number: usize) -> Result<Arc<Source>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.iter().position(|(other, _)| *other == number) {
            let found = open.remove(place);
            open.push(found);
            return Ok(open[open.len() - 1].1.clone());
        }
        let source = Arc::new(self.open_source(&self.sources[number])?);
        let most = (MOST_OPEN >> (2 * self.around.nested())).max(1);
        while !open.is_empty() && (open.len() >= most || self.around.lists().are_too_long()) {
            open.remove(0);
        }
        open.push((number, source.clone()));
        Ok(source)
    }

    fn open_source(&self, at: &SourcePlace) -> Result<Source> {
        self.count_opening()?;
        let (other, place, dataset) = self.find(at)?;
        let name = format!("{}:{place}", other.name());
        let around = self.around.of_part(true);
        let stored = super::of_dataset(&name, other, &place, dataset, Vec::new(), around)?;
        let layout = stored.layout();
        if converted(&zeros(&name, layout.numbers, &[1])?, self.layout.numbers).is_none() {
            return Err(self.unread(&format!(
                "parts are {} in {name}, and here {}",
                layout.numbers, self.layout.numbers
            )));
        }
        let blocks = blocks_of_part(layout).map(|blocks| blocks.in_room(self.around.room()));
        let held = self.around.lists().add(stored.held_bytes());
        Ok(Source { stored, blocks, _held: held })
    }

    /// Copies what is wanted of one part to where it lies in `into`; how many numbers that were.
    fn read_part(&self, part: &Part, wanted: &[Range<usize>], into: &mut DecodingResult) -> Result<usize> {
        let here: Vec<Range<u64>> = part
            .here
            .iter()
            .zip(wanted)
            .map(|(along, range)| along.before(range.start as u64)..along.before(range.end as u64))
            .collect();
        if here.iter().any(Range::is_empty) {
            return Ok(0);
        }
        let source = self.source(part.source)?;
        let (shape, name) = (source.shape(), source.stored.name());
        let there: Vec<Along> = match part.there.as_ref() {
            Selection::Of(there) if there.len() == shape.len() => {
                there.iter().zip(shape).map(|(along, length)| along.up_to(*length as u64)).collect()
            }
            Selection::All => shape.iter().map(|length| Along::all(*length as u64)).collect(),
            _ => return Err(self.unread(&format!("parts have other axes than {name}"))),
        };
        let is_inside = there
            .iter()
            .zip(shape)
            .all(|(along, length)| along.end().is_some_and(|end| end <= *length as u64));
        if !is_inside {
            return Err(self.failed(format!(
                "is a virtual dataset of parts of {name} that are not there, as that has {shape:?} numbers; copy that file again, or wait until it is complete"
            )));
        }
        // Axes of one index are those of one or of the other dataset alone.
        let longer = |all: &[Along]| -> Vec<(usize, u64)> {
            let lengths = all.iter().map(|along| along.length().unwrap_or(0)).enumerate();
            lengths.filter(|(_, length)| *length != 1).collect()
        };
        let (of_here, of_there) = (longer(&part.here), longer(&there));
        if of_here.iter().map(|(_, length)| length).ne(of_there.iter().map(|(_, length)| length)) {
            let lengths =
                |all: &[Along]| all.iter().map(|along| along.length().unwrap_or(0)).collect::<Vec<_>>();
            let (here, there) = (lengths(&part.here), lengths(&there));
            let count = |all: &[u64]| all.iter().try_fold(1_u64, |all, length| all.checked_mul(*length));
            if count(&here) == count(&there) {
                return Err(self.unread(&format!("parts have another shape than in {name}")));
            }
            return Err(self.failed(format!(
                "is a virtual dataset in which {name} stands for a part of {here:?} numbers, but has {there:?}; copy that file again, or wait until it is complete"
            )));
        }
        // What is read there, at first along the axes that have no matching one here.
        let mut read: Vec<Range<usize>> = Vec::new();
        for along in &there {
            read.push(first_index(along).ok_or_else(|| super::damaged(&self.name, "its list of parts"))?);
        }
        let mut pieces: Vec<(Option<usize>, Vec<Places>)> = Vec::new();
        for (axis, numbers) in here.into_iter().enumerate() {
            // The matching axis of the source.
            let of_source = of_here.iter().position(|(own, _)| *own == axis).map(|place| of_there[place].0);
            // Of the last axes all is read at once, of the others only what is wanted.
            let at_once = axis + 2 >= wanted.len();
            let along_there = of_source.map_or(Along::all(1), |axis| there[axis].clone());
            let places = places(&part.here[axis], &along_there, numbers, wanted[axis].start, at_once);
            let places = places.ok_or_else(|| self.unread("parts lie in more pieces than can be listed"))?;
            pieces.push((of_source, places));
        }
        let count = pieces.iter().try_fold(1_usize, |all, (_, places)| all.checked_mul(places.len()));
        if count.is_none_or(|count| count > MOST_PIECES) {
            return Err(self.unread("parts lie in more pieces than can be listed"));
        }
        let mut copied = 0;
        let mut at = vec![0; pieces.len()];
        loop {
            let piece: Vec<&Places> = at.iter().zip(&pieces).map(|(at, (_, places))| &places[*at]).collect();
            for (places, (of_source, _)) in piece.iter().zip(&pieces) {
                if let Some(axis) = of_source {
                    read[*axis] = places.read.clone();
                }
            }
            let numbers = source.read(&read)?;
            let is_same = source.stored.layout().numbers == self.layout.numbers;
            let other = if is_same { None } else { converted(&numbers, self.layout.numbers) };
            let numbers = other.unwrap_or(numbers);
            gather(into, &lengths(wanted), &numbers, &piece)
                .ok_or_else(|| super::damaged(name, "it has fewer numbers than it says"))?;
            copied += piece.iter().map(|places| places.into.len()).product::<usize>();
            // The next combination, the last axis fastest.
            let Some(axis) = (0..at.len()).rfind(|axis| at[*axis] + 1 < pieces[*axis].1.len()) else {
                return Ok(copied);
            };
            at[axis] += 1;
            at[axis + 1..].fill(0);
        }
    }
}

impl StoredArray for Virtual {
    fn name(&self) -> &str {
        &self.name
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn source_blocks(&self) -> Option<&SourceBlocks> {
        Some(&self.source_blocks)
    }

    fn held_bytes(&self) -> u64 {
        let axes = self.layout.shape.len() * size_of::<Along>();
        (self.parts.len() * (size_of::<Part>() + axes)) as u64
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        self.around.begin();
        let shape = lengths(part);
        let mut numbers = filled(&self.name, &self.fill, &shape)?;
        let most = count_of(&shape).unwrap_or(usize::MAX).saturating_mul(MOST_TIMES);
        let mut copied = 0_usize;
        for one in &self.parts {
            copied = copied.saturating_add(self.read_part(one, part, &mut numbers)?);
            if copied > most {
                return Err(self.unread("parts lie over each other many times"));
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod corpus_tests;
