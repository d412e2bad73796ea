//! All entries with what is undone, and which one undo and redo mean.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::entry::{Entry, Of};
use super::file::Line;
use crate::{Error, Result};

/// Entries of which no class is locked have these.
const NONE_LOCKED: [bool; 256] = [false; 256];

/// An entry, and whether it counts.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Record {
    pub(in crate::portal) line: Line,
    pub(in crate::portal) undone: bool,
}

/// A class as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Its number, 0 to 254.
    pub class: u8,
    /// What people call it.
    pub name: String,
    /// Its colour, such as `#e6550d`.
    pub colour: String,
    /// Whether its labels stay when others are drawn over them.
    pub locked: bool,
}

/// All entries in order.
#[derive(Debug, Default)]
pub(in crate::portal) struct History {
    records: Vec<Record>,
    /// For each image the places of the entries that change its labels.
    of_image: HashMap<String, Vec<usize>>,
    /// For each tab what it has drawn that is not undone, in order.
    drawn: HashMap<String, Vec<u64>>,
    /// For each tab what it has undone since it drew last, in this order.
    undone: HashMap<String, Vec<u64>>,
    classes: BTreeMap<u8, Class>,
    /// Classes that were removed, as they were.
    removed_classes: BTreeMap<u8, Class>,
    /// For each image the last entry that has changed its labels; and the last of all that has changed a class.
    changed: HashMap<String, u64>,
    class_changed: u64,
    /// Whether an image was taken out, for those that ever were.
    removed: HashMap<String, bool>,
    /// The number of the next class: those of classes that were removed are not used again.
    next: u8,
    /// Which classes are locked, and which there are, from an entry on.
    at: Vec<ClassesAt>,
}

/// Which classes there are, and which are locked, from the entry `seq` on.
#[derive(Debug, Clone, Copy)]
struct ClassesAt {
    seq: u64,
    there: [bool; 256],
    locked: [bool; 256],
}

impl History {
    /// That of the lines of a journal.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an undo or redo of what cannot be.
    pub(in crate::portal) fn of(lines: Vec<Line>) -> Result<Self> {
        let mut history = Self::default();
        lines.into_iter().try_for_each(|line| history.push(line))?;
        Ok(history)
    }

    /// Adds the line that comes next.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an undo or redo of what cannot be.
    pub(in crate::portal) fn push(&mut self, line: Line) -> Result<()> {
        let seq = line.seq;
        let (tab, place) = (line.tab.clone(), self.records.len());
        if let Entry::Undo(Of { of }) | Entry::Redo(Of { of }) = &line.entry
            && let Some(image) = self.record(*of).and_then(|record| record.line.entry.image())
        {
            self.changed.insert(image.to_owned(), seq);
        }
        match &line.entry {
            Entry::Undo(Of { of }) => {
                let record = self.drawing_mut(*of, false)?;
                record.undone = true;
                let owner = record.line.tab.clone();
                self.drawn.entry(owner).or_default().retain(|seq| seq != of);
                self.undone.entry(tab).or_default().push(*of);
            }
            Entry::Redo(Of { of }) => {
                let record = self.drawing_mut(*of, true)?;
                record.undone = false;
                let owner = record.line.tab.clone();
                let drawn = self.drawn.entry(owner).or_default();
                drawn.insert(drawn.partition_point(|seq| seq < of), *of);
                self.undone.values_mut().for_each(|undone| undone.retain(|seq| seq != of));
            }
            Entry::Class(change) => {
                let number = usize::from(change.class);
                let mut at = self.at.last().copied().unwrap_or(ClassesAt {
                    seq,
                    there: [false; 256],
                    locked: NONE_LOCKED,
                });
                at.seq = seq;
                at.there[number] = !change.removed;
                at.locked[number] = change.locked && !change.removed;
                self.at.push(at);
                self.class_changed = seq;
                self.next = self.next.max(change.class.saturating_add(1));
                let class = Class {
                    class: change.class,
                    name: change.name.clone(),
                    colour: change.colour.clone(),
                    locked: change.locked,
                };
                self.classes.remove(&change.class);
                self.removed_classes.remove(&change.class);
                let of = if change.removed { &mut self.removed_classes } else { &mut self.classes };
                of.insert(change.class, class);
            }
            Entry::Image(change) => {
                self.removed.insert(change.image.clone(), change.removed);
            }
            drawing => {
                if let Some(image) = drawing.image() {
                    self.of_image.entry(image.to_owned()).or_default().push(place);
                    self.changed.insert(image.to_owned(), seq);
                }
                self.undone.remove(&tab);
                self.drawn.entry(tab).or_default().push(seq);
            }
        }
        self.records.push(Record { line, undone: false });
        Ok(())
    }

    fn drawing_mut(&mut self, seq: u64, undone: bool) -> Result<&mut Record> {
        let place = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        let record = place.and_then(|place| self.records.get_mut(place));
        record.filter(|record| record.line.entry.image().is_some() && record.undone == undone).ok_or_else(
            || {
                let what = if undone { "done again" } else { "undone" };
                Error::Mismatch(format!("entry {seq} of the journal cannot be {what}"))
            },
        )
    }

    /// The entries that were drawn with a class, in order, also those that are undone.
    pub(in crate::portal) fn drawn_of_classes(&self) -> Vec<(u64, u8)> {
        let class = |entry: &Entry| match entry {
            Entry::Stroke(stroke) => stroke.class,
            Entry::Polygon(polygon) => polygon.class,
            Entry::Fill(fill) => fill.class,
            _ => None,
        };
        self.records.iter().filter_map(|record| Some((record.line.seq, class(&record.line.entry)?))).collect()
    }

    /// The entry that an undo of the tab `tab` is about: the last that it has drawn, or where it has drawn none, of all tabs that are
    /// not open any more, as `is_open` says. Entries of images that were taken out are passed over.
    pub(in crate::portal) fn to_undo(&self, tab: &str, is_open: &dyn Fn(&str) -> bool) -> Option<u64> {
        let own = self.drawn.get(tab).and_then(|drawn| self.last_there(drawn));
        own.or_else(|| {
            let others = self.drawn.iter().filter(|(other, _)| *other != tab && !is_open(other));
            others.filter_map(|(_, drawn)| self.last_there(drawn)).max()
        })
    }

    /// The entry that a redo of the tab `tab` is about.
    pub(in crate::portal) fn to_redo(&self, tab: &str) -> Option<u64> {
        self.undone.get(tab).and_then(|undone| self.last_there(undone))
    }

    /// The last of these entries whose image is in the project.
    fn last_there(&self, entries: &[u64]) -> Option<u64> {
        let is_there = |seq: &&u64| {
            let image = self.record(**seq).and_then(|record| record.line.entry.image());
            image.is_some_and(|image| self.is_removed(image) != Some(true))
        };
        entries.iter().rev().find(is_there).copied()
    }

    /// Whether an image was taken out of the project; `None` where nothing is said of it.
    pub(in crate::portal) fn is_removed(&self, image: &str) -> Option<bool> {
        self.removed.get(image).copied()
    }

    /// The entry `seq`.
    pub(in crate::portal) fn record(&self, seq: u64) -> Option<&Record> {
        self.records.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// The last entry that has changed the labels of `image`, or how a file of them shows them; `None` where nothing was ever drawn there.
    pub(in crate::portal) fn changed_at(&self, image: &str) -> Option<u64> {
        self.changed.get(image).map(|seq| (*seq).max(self.class_changed))
    }

    /// The entries that change the labels of `image` and are not undone, before the entry `before`, in order.
    pub(in crate::portal) fn counting(&self, image: &str, before: u64) -> impl Iterator<Item = &Line> {
        let places = self.of_image.get(image).map_or(&[][..], Vec::as_slice);
        let records = places.iter().filter_map(|place| self.records.get(*place));
        records
            .take_while(move |record| record.line.seq < before)
            .filter(|record| !record.undone)
            .map(|record| &record.line)
    }

    /// The classes that there are, in order of their numbers.
    pub(in crate::portal) fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// The class of a number, where there is one.
    pub(in crate::portal) fn class(&self, number: u8) -> Option<&Class> {
        self.classes.get(&number)
    }

    /// The class of a number that was removed, as it was.
    pub(in crate::portal) fn removed_class(&self, number: u8) -> Option<&Class> {
        self.removed_classes.get(&number)
    }

    /// The number of the next class; `None` where all are taken, also by classes that were removed.
    pub(in crate::portal) fn next_class(&self) -> Option<u8> {
        (self.next < 255).then_some(self.next)
    }

    /// Which classes are locked at the entry `seq`.
    pub(in crate::portal) fn locked_at(&self, seq: u64) -> &[bool; 256] {
        self.at(seq).map_or(&NONE_LOCKED, |at| &at.locked)
    }

    /// Which classes there are at the entry `seq`.
    pub(in crate::portal) fn there_at(&self, seq: u64) -> &[bool; 256] {
        self.at(seq).map_or(&NONE_LOCKED, |at| &at.there)
    }

    fn at(&self, seq: u64) -> Option<&ClassesAt> {
        self.at[..self.at.partition_point(|at| at.seq < seq)].last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::journal::{ClassChange, ImageChange, Polygon};

    /// No tab is open.
    const NOBODY: fn(&str) -> bool = |_| false;

    /// A story by tabs: `a` draws, `a-` undoes, `a+` does again.
    struct Story {
        history: History,
        lines: Vec<Line>,
    }

    impl Story {
        fn new() -> Self {
            Self { history: History::default(), lines: Vec::new() }
        }

        fn add(&mut self, tab: &str, entry: Entry) {
            let line = Line { seq: self.lines.len() as u64 + 1, tab: tab.into(), entry };
            self.lines.push(line.clone());
            self.history.push(line).unwrap();
        }

        fn tell(&mut self, story: &str) -> &mut Self {
            for step in story.split_whitespace() {
                let tab = &step[..1];
                let entry = match &step[1..] {
                    "" => Entry::Polygon(Polygon {
                        image: "i1".into(),
                        slice: 0,
                        class: Some(0),
                        points: vec![[0.0; 2]; 3],
                    }),
                    "-" => Entry::Undo(Of { of: self.history.to_undo(tab, &NOBODY).unwrap() }),
                    _ => Entry::Redo(Of { of: self.history.to_redo(tab).unwrap() }),
                };
                self.add(tab, entry);
            }
            self
        }

        /// The numbers of the entries that count, which are the same when the journal is read again.
        fn counting(&self) -> Vec<u64> {
            let of =
                |history: &History| history.counting("i1", u64::MAX).map(|line| line.seq).collect::<Vec<_>>();
            let again = History::of(self.lines.clone()).unwrap();
            for tab in ["a", "b", "c"] {
                assert_eq!(again.to_undo(tab, &NOBODY), self.history.to_undo(tab, &NOBODY));
                assert_eq!(again.to_redo(tab), self.history.to_redo(tab));
            }
            assert_eq!(of(&again), of(&self.history));
            of(&self.history)
        }
    }

    #[test]
    fn undo_and_redo_go_through_what_a_tab_has_drawn() {
        let mut story = Story::new();
        assert_eq!(story.history.to_undo("a", &NOBODY), None);
        assert_eq!(story.tell("a a a a- a-").counting(), [1]);
        assert_eq!(story.tell("a+").counting(), [1, 2]);
        assert_eq!(story.tell("a+").counting(), [1, 2, 3]);
        assert_eq!(story.history.to_redo("a"), None);
        // What was drawn after an undo ends the redo.
        assert_eq!(story.tell("a- a").counting(), [1, 2, 9]);
        assert_eq!(story.history.to_redo("a"), None);
        assert_eq!(story.tell("a- a- a-").counting(), [0; 0]);
        assert_eq!(story.history.to_undo("a", &NOBODY), None);
        assert_eq!(story.tell("a+ a+ a+").counting(), [1, 2, 9]);
    }

    #[test]
    fn two_tabs_undo_what_is_theirs_and_a_new_one_what_is_there() {
        let mut story = Story::new();
        assert_eq!(story.tell("a b a b a-").counting(), [1, 2, 4]);
        // What another tab draws ends no redo.
        assert_eq!(story.tell("b a+").counting(), [1, 2, 3, 4, 6]);
        assert_eq!(story.tell("b- b-").counting(), [1, 2, 3]);
        // A tab after a reload has drawn nothing: it undoes the last that there is, and can do that again.
        assert_eq!(story.tell("c-").counting(), [1, 2]);
        assert_eq!(story.history.to_redo("a"), None);
        assert_eq!(story.tell("c+").counting(), [1, 2, 3]);
        assert_eq!(story.history.to_undo("a", &NOBODY), Some(3));
    }

    #[test]
    fn what_an_open_tab_has_drawn_is_left_to_it() {
        let mut story = Story::new();
        story.tell("b c");
        let undo = |history: &History, open: &str| history.to_undo("a", &|tab| open.contains(tab));
        let history = &story.history;
        assert_eq!([undo(history, ""), undo(history, "c"), undo(history, "bc")], [Some(2), Some(1), None]);
        // One's own tab is open.
        assert_eq!(history.to_undo("b", &|_| true), Some(1));
    }

    #[test]
    fn what_was_drawn_on_an_image_that_was_taken_out_is_not_undone() {
        let mut story = Story::new();
        story.tell("a a a-");
        let taken_out = |removed| Entry::Image(ImageChange { image: "i1".into(), removed });
        story.add("b", taken_out(true));
        assert_eq!(story.history.is_removed("i1"), Some(true));
        assert_eq!((story.history.to_undo("a", &NOBODY), story.history.to_redo("a")), (None, None));
        story.add("b", taken_out(false));
        assert_eq!((story.history.to_undo("a", &NOBODY), story.history.to_redo("a")), (Some(1), Some(2)));
        assert_eq!(story.counting(), [1]);
    }

    #[test]
    fn what_changes_labels_is_known_for_each_image() {
        let mut story = Story::new();
        assert_eq!(story.history.changed_at("i1"), None);
        assert_eq!(story.tell("a a a-").history.changed_at("i1"), Some(3));
        assert_eq!(story.tell("a+").history.changed_at("i1"), Some(4));
        let (name, colour) = ("n".to_owned(), "#000000".to_owned());
        story.add("a", Entry::Class(ClassChange { class: 0, name, colour, locked: false, removed: true }));
        assert_eq!((story.history.changed_at("i1"), story.history.changed_at("i2")), (Some(5), None));
    }

    #[test]
    fn what_cannot_be_undone_is_refused() {
        let mut story = Story::new();
        story.tell("a a a-");
        for (entry, word) in [
            (Entry::Undo(Of { of: 2 }), "undone"),
            (Entry::Undo(Of { of: 3 }), "undone"),
            (Entry::Undo(Of { of: 0 }), "undone"),
            (Entry::Undo(Of { of: u64::MAX }), "undone"),
            (Entry::Redo(Of { of: 1 }), "done again"),
        ] {
            let line = Line { seq: 4, tab: "a".into(), entry };
            assert!(story.history.push(line).unwrap_err().to_string().contains(word));
        }
    }

    #[test]
    fn classes_are_as_they_were_when_an_entry_was_made() {
        let mut story = Story::new();
        let class = |class: u8, locked: bool, removed: bool| {
            Entry::Class(ClassChange { class, name: "n".into(), colour: "#000000".into(), locked, removed })
        };
        assert_eq!(story.history.next_class(), Some(0));
        story.add("a", class(0, false, false));
        story.add("a", class(0, true, false));
        story.add("a", class(4, false, false));
        story.add("a", class(0, true, true));
        let history = &story.history;
        let locked: Vec<bool> = (1..7).map(|seq| history.locked_at(seq)[0]).collect();
        assert_eq!(locked, [false, false, true, true, false, false]);
        let there: Vec<bool> = (1..7).map(|seq| history.there_at(seq)[0]).collect();
        assert_eq!(there, [false, true, true, true, false, false]);
        assert_eq!(history.classes().map(|class| class.class).collect::<Vec<_>>(), [4]);
        assert_eq!((history.next_class(), history.class(0)), (Some(5), None));
        assert!(
            history.removed_class(0).is_some_and(|class| class.locked) && history.removed_class(4).is_none()
        );
        story.add("a", class(254, false, true));
        assert_eq!(story.history.next_class(), None);
    }
}
