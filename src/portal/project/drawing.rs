//! Entries that are added to the journal, undo, redo and classes.

use super::purpose::Aim;
use super::{Project, Region, State};
use crate::portal::journal::{ClassChange, Entry, ImageChange, Line, Of, check_tab};
use crate::{Error, Result};

/// Most entries at once.
const MOST_ENTRIES: usize = 1000;

/// The tab of what no page has asked for by its name.
pub(in crate::portal) const SERVER: &str = "server";

/// What entries have done.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Done {
    /// The number of the last one.
    pub(in crate::portal) seq: u64,
    pub(in crate::portal) hash: String,
    pub(in crate::portal) changed: Vec<Region>,
}

impl Project {
    /// Adds entries of the tab `tab`, all or none. When this returns, they are on the disk.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for entries that cannot be meant; those of reading the image where that is needed; [`Error::Output`]
    /// where they cannot be written.
    pub(in crate::portal) fn append(&self, tab: &str, entries: Vec<Entry>) -> Result<Done> {
        check_tab(tab)?;
        self.check_has_labels()?;
        if entries.is_empty() || entries.len() > MOST_ENTRIES {
            return Err(Error::Mismatch(format!(
                "there are {} entries, but wanted 1 to {MOST_ENTRIES}",
                entries.len()
            )));
        }
        let is_simple =
            |entry: &Entry| matches!(entry, Entry::Stroke(_) | Entry::Polygon(_) | Entry::Fill(_));
        if entries.len() > 1 && !entries.iter().all(is_simple) {
            let problem =
                "only strokes, polygons and fills may come several at once; send the others one by one";
            return Err(Error::Mismatch(problem.into()));
        }
        let mut state = self.state();
        let mut changed = Vec::new();
        for (entry, seq) in entries.iter().zip(state.journal.seq() + 1..) {
            let line = Line { seq, tab: tab.to_owned(), entry: entry.clone() };
            let prepared = state
                .check(self, entry)
                .and_then(|()| state.with_labels(self, |labels, given| labels.prepare(given, &line)));
            match prepared {
                Ok(regions) => changed.extend(regions),
                Err(error) => {
                    let next = state.journal.seq() + 1;
                    state.labels.forget_from(next);
                    return Err(error);
                }
            }
        }
        let has_classes = entries.iter().any(|entry| matches!(entry, Entry::Class(_)));
        let done = state.write(self, tab, entries, changed)?;
        drop(state);
        if has_classes && let Err(error) = self.change_about(|_| ()) {
            // The journal has it, which counts.
            log::warn!("{error}");
        }
        Ok(done)
    }

    /// Undoes the last entry of the tab `tab` (where it has none, of those that are not open, as `is_open` says), or does the last one
    /// again that it has undone; `None` where there is none. Gives the entry too.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be written.
    pub(in crate::portal) fn turn(
        &self,
        tab: &str,
        again: bool,
        is_open: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(Done, Line)>> {
        check_tab(tab)?;
        let mut state = self.state();
        let of = if again { state.history.to_redo(tab) } else { state.history.to_undo(tab, is_open) };
        let Some(of) = of else { return Ok(None) };
        let entry = if again { Entry::Redo(Of { of }) } else { Entry::Undo(Of { of }) };
        let mut done = state.write(self, tab, vec![entry], Vec::new())?;
        done.changed = state.with_labels(self, |labels, given| labels.turned(given, of));
        state.remember(done.seq, done.changed.clone());
        let line = state.history.record(of).map(|record| record.line.clone());
        Ok(line.map(|line| (done, line)))
    }

    /// Whether there is anything that a tab could undo.
    pub(in crate::portal) fn has_drawings(&self) -> bool {
        self.state().history.to_undo("", &|_| false).is_some()
    }

    /// Takes an image out of the project for the tab `tab`, or puts it back; its strokes stay in the journal, which says so too. `None`
    /// where there is no such image to be taken out or put back.
    ///
    /// # Errors
    /// [`Error::Output`] where that cannot be written; [`Error::Mismatch`] for a stack of files in a project that denoises.
    pub(in crate::portal) fn set_removed(&self, tab: &str, id: &str, removed: bool) -> Result<Option<Done>> {
        check_tab(tab)?;
        self.check_may_change()?;
        let mut state = self.state();
        let known = state.about.images.iter().find(|image| image.id == id);
        let Some((is_removed, is_of_files)) = known.map(|image| (image.removed, image.is_of_files)) else {
            return Ok(None);
        };
        if is_removed == removed {
            // It is where it is wanted already.
            let (seq, hash) = (state.journal.seq(), state.journal.hash().to_owned());
            return Ok((!removed).then_some(Done { seq, hash, changed: Vec::new() }));
        }
        if !removed && is_of_files && state.about.aim == Aim::Denoise {
            let problem = "it is a stack of files, and in a project that denoises each file is an image; add its folder again";
            return Err(Error::Mismatch(problem.into()));
        }
        let change = ImageChange { image: id.to_owned(), removed };
        let done = state.write(self, tab, vec![Entry::Image(change)], Vec::new())?;
        state.take_over_removed();
        drop(state);
        if let Err(error) = self.change_about(|_| ()) {
            // The journal has it, which counts.
            log::warn!("{error}");
        }
        if removed {
            self.tiles.close(id);
        }
        Ok(Some(done))
    }

    /// Adds a class and gives its number.
    ///
    /// # Errors
    /// As [`Project::append`]; [`Error::Mismatch`] where there are 255 classes.
    pub(in crate::portal) fn add_class(&self, tab: &str, name: String, colour: String) -> Result<(u8, Done)> {
        let class = self.state().history.next_class().ok_or_else(|| {
            Error::Mismatch("all 255 numbers of classes are taken; begin another project".into())
        })?;
        let change = ClassChange { class, name, colour, locked: false, removed: false };
        Ok((class, self.append(tab, vec![Entry::Class(change)])?))
    }
}

impl State {
    /// Which images were taken out, as the journal says it.
    pub(super) fn take_over_removed(&mut self) {
        for image in &mut self.about.images {
            image.removed = self.history.is_removed(&image.id).unwrap_or(image.removed);
        }
    }

    /// Checks an entry against images and classes.
    fn check(&self, project: &Project, entry: &Entry) -> Result<()> {
        let shape = match entry.image() {
            None => None,
            Some(id) => {
                let image = self.about.image(id);
                Some(image.map(super::Image::shape).ok_or_else(|| {
                    let id: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
                    Error::Mismatch(format!(
                        "there is no image '{id}' in the project; read the project again"
                    ))
                })?)
            }
        };
        entry.check(shape)?;
        if let Some(Some(class)) = entry.class()
            && self.history.class(class).is_none()
        {
            return Err(Error::Mismatch(format!("there is no class {class} in the project; add it first")));
        }
        match entry {
            Entry::Undo(_) | Entry::Redo(_) => Err(Error::Mismatch(
                "undo and redo have addresses of their own: /api/undo and /api/redo".into(),
            )),
            Entry::Image(_) => Err(Error::Mismatch(
                "images are taken out and put back at an address of their own: /api/images/ID".into(),
            )),
            Entry::Class(change) => {
                let next = self.history.next_class();
                let is_known = next.is_none_or(|next| change.class < next);
                match is_known || next == Some(change.class) {
                    true => Ok(()),
                    false => Err(Error::Mismatch(format!(
                        "class {} is not the next one, which is {}",
                        change.class,
                        next.unwrap_or_default()
                    ))),
                }
            }
            Entry::Import(import) => project.check_import(&import.file, shape),
            _ => Ok(()),
        }
    }

    /// Writes entries down that were prepared, and brings everything up to date.
    pub(super) fn write(
        &mut self,
        project: &Project,
        tab: &str,
        entries: Vec<Entry>,
        changed: Vec<Region>,
    ) -> Result<Done> {
        let lines = self.journal.append(tab, entries).inspect_err(|_| {
            self.labels.forget_from(self.journal.seq() + 1);
        })?;
        for line in lines {
            let seq = line.seq;
            self.history.push(line.clone())?;
            self.with_labels(project, |labels, given| labels.added(given, &line));
            let of_line = changed.iter().filter(|region| line.entry.image() == Some(&region.image));
            let of_line = of_line.cloned().collect();
            self.remember(seq, of_line);
        }
        Ok(Done { seq: self.journal.seq(), hash: self.journal.hash().to_owned(), changed })
    }

    /// Remembers what an entry has changed.
    fn remember(&mut self, seq: u64, changed: Vec<Region>) {
        if !changed.is_empty() {
            self.changes.push_back((seq, changed));
        }
        while self.changes.len() > super::MOST_CHANGES {
            self.changes_from = self.changes.pop_front().map_or(self.changes_from, |(seq, _)| seq);
        }
    }
}
