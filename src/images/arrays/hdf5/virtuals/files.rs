//! The files that the parts of a virtual dataset are in, and how often they are opened.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hdf5_pure::{Dataset, Layout};

use super::super::of_dataset;
use super::super::opened::{At, Object, Opened, Outward};
use super::source_blocks::{Lists, blocks_of_dataset};
use super::{MOST_MEASURED, SourcePlace, Virtual};
use crate::error::Result;
use crate::images::arrays::blocks::RoomPart;
use crate::images::arrays::source_blocks::SourceBlocks;

/// A virtual dataset may be made of others, which may be made of others, and so on.
const MOST_NESTED: usize = 4;
/// So many parts of parts are opened for what is read at once: each may have many in turn.
const MOST_OPENINGS: usize = 1 << 16;

/// What is around a dataset that is a part of virtual ones.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Around {
    /// How many virtual datasets there are around it.
    nested: usize,
    /// How many parts of parts the outermost of them has opened for what is read.
    openings: Arc<AtomicUsize>,
    /// Whether the files that are needed are found already.
    has_files: bool,
    /// Whose room the blocks of its parts have; that of nobody yet where it is the outermost one.
    room: Option<RoomPart>,
    /// The lists of what is open, of all of them.
    lists: Lists,
}

impl Around {
    /// What is around a part of a dataset.
    pub(super) fn of_part(&self, has_files: bool) -> Self {
        Self { nested: self.nested + 1, has_files, ..self.clone() }
    }

    /// The same, with a room of its own where it has none.
    pub(super) fn with_room(self) -> Self {
        Self { room: Some(self.room()), ..self }
    }

    /// Whose room the blocks of its parts have.
    pub(super) fn room(&self) -> RoomPart {
        self.room.unwrap_or_else(RoomPart::new)
    }

    /// Lets `count` parts share the room alike.
    pub(super) fn divide_room(&mut self, count: usize) {
        self.room = Some(self.room().divided(count));
    }

    /// The lists of what is open.
    pub(super) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// How many virtual datasets there are around it.
    pub(super) fn nested(&self) -> usize {
        self.nested
    }

    /// Begins to count what is opened anew, where it is the outermost one.
    pub(super) fn begin(&self) {
        if self.nested == 0 {
            self.openings.store(0, Ordering::Relaxed);
        }
    }
}

impl Virtual {
    /// The link that a part is.
    fn outward(&self, at: &SourcePlace) -> Outward {
        let file = moved(&at.file, &self.opened.path).unwrap_or_else(|| at.file.to_string());
        Outward { link: self.name.clone(), file, place: at.place.to_string() }
    }

    /// The file of a part.
    pub(super) fn path_of(&self, at: &SourcePlace) -> Result<PathBuf> {
        if &*at.file == "." {
            Ok(self.opened.path.clone())
        } else {
            self.opened.path_beside(&self.outward(at))
        }
    }

    /// The files of all parts but this one, and those of their parts in turn, so that nothing is written over them; and what is known of
    /// the blocks of each other dataset, as far as these are looked at. Nothing of both where it was found before.
    ///
    /// # Errors
    /// [`Error::Input`] for one of its own that is not there, or must not be followed, and for more parts of parts than are opened.
    pub(super) fn files(&self) -> Result<(Vec<PathBuf>, Vec<Option<SourceBlocks>>)> {
        if self.around.has_files {
            return Ok((Vec::new(), vec![None; self.sources.len()]));
        }
        let mut named = HashSet::new();
        let mut files = Vec::new();
        for at in &self.sources {
            if &*at.file != "." && named.insert(&at.file) {
                files.push(self.path_of(at)?);
            }
        }
        let mut known: HashSet<PathBuf> = files.iter().cloned().collect();
        known.insert(self.opened.path.clone());
        let mut blocks = Vec::new();
        for at in self.sources.iter().take(MOST_MEASURED) {
            // What is wrong with a part is told by whoever reads it.
            let (behind, of_part) = self.files_behind(at).unwrap_or_default();
            files.extend(behind.into_iter().filter(|path| known.insert(path.clone())));
            blocks.push(of_part);
        }
        self.check_openings()?;
        Ok((files, blocks))
    }

    /// The files to which links lead from the part's file, and those of a part that is virtual too; and its blocks.
    fn files_behind(&self, at: &SourcePlace) -> Result<(Vec<PathBuf>, Option<SourceBlocks>)> {
        self.count_opening()?;
        let (other, place, dataset) = self.find(at)?;
        let mut files = vec![other.path.clone()];
        let mut blocks = blocks_of_dataset(&dataset);
        if dataset.layout().is_ok_and(|layout| layout == Layout::Virtual) {
            let name = format!("{}:{place}", other.name());
            let around = self.around.of_part(self.around.has_files);
            let stored = of_dataset(&name, other, &place, dataset, Vec::new(), around)?;
            files.extend(stored.layout().linked_files.iter().cloned());
            blocks = stored.source_blocks().copied();
        }
        Ok((files, blocks))
    }

    /// Counts that a part is opened, where this dataset is one itself.
    pub(super) fn count_opening(&self) -> Result<()> {
        if self.around.nested > 0 {
            self.around.openings.fetch_add(1, Ordering::Relaxed);
        }
        self.check_openings()
    }

    fn check_openings(&self) -> Result<()> {
        if self.around.openings.load(Ordering::Relaxed) > MOST_OPENINGS {
            return Err(self.unread(&format!(
                "parts are those of virtual datasets in turn, with more than {MOST_OPENINGS} parts"
            )));
        }
        Ok(())
    }

    /// The dataset that is a part, and the file that it is in.
    pub(super) fn find(&self, at: &SourcePlace) -> Result<(Opened, String, Dataset)> {
        if self.around.nested + 1 >= MOST_NESTED {
            return Err(self.unread(&format!(
                "parts are those of virtual datasets in turn, more than {MOST_NESTED} of them one in the other"
            )));
        }
        let outward = self.outward(at);
        let other = if &*at.file == "." { self.opened.again()? } else { self.opened.beside(&outward)? };
        let path = other.path.clone();
        let found = match other.at(&at.place)? {
            Some(At::Here(place, Object::Dataset(dataset))) => Some((other, place, dataset)),
            Some(At::Elsewhere(outward)) => other.linked(&outward)?,
            _ => None,
        };
        found.ok_or_else(|| {
            self.failed(format!(
                "is a virtual dataset of '{}' in {}, where there is no such dataset; copy that file again, or wait until it is complete",
                at.place,
                path.display()
            ))
        })
    }
}

/// The name of a file that was written by its whole path, and was moved together with the one at `beside`; `None` for others, and where
/// another file is at that path still.
fn moved(file: &str, beside: &Path) -> Option<String> {
    let path = Path::new(file);
    let name = path.file_name().filter(|_| path.is_absolute())?;
    let here = beside.with_file_name(name);
    let is_other =
        path.exists() && !matches!((path.canonicalize(), here.canonicalize()), (Ok(a), Ok(b)) if a == b);
    (here.is_file() && !is_other).then(|| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As each part may have many in turn, those of all levels are counted together.
    #[test]
    fn parts_of_parts_are_opened_so_often_and_no_more() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hdf5/virtual");
        let path = corpus.join("sets_v114.h5");
        let open = |before: usize| {
            let opened = Opened::new(&path, std::fs::File::open(&path).unwrap()).unwrap();
            let Some(At::Here(place, Object::Dataset(dataset))) = opened.at("of_another").unwrap() else {
                panic!("no dataset")
            };
            let around = Around { nested: 1, openings: Arc::new(before.into()), ..Around::default() };
            let found = of_dataset("a", opened, &place, dataset, Vec::new(), around.clone());
            (found.map(|_| ()), around.openings.load(Ordering::Relaxed) - before)
        };
        // Itself a part, it has one part, which has three.
        let (found, count) = open(0);
        assert_eq!((found.unwrap(), count), ((), 4));
        let (found, _) = open(MOST_OPENINGS - 2);
        let error = found.unwrap_err().to_string();
        assert!(error.contains("virtual datasets in turn, with more than 65536 parts"), "{error}");
    }

    #[test]
    fn a_file_of_the_same_name_is_not_taken_for_one_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        [&here, &there].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        let (beside, named) = (here.join("a.h5"), there.join("b.h5"));
        let found = || moved(named.to_str().unwrap(), &beside);
        assert_eq!(found(), None);
        std::fs::write(here.join("b.h5"), "1").unwrap();
        assert_eq!(found().as_deref(), Some("b.h5"));
        std::fs::write(&named, "2").unwrap();
        assert_eq!(found(), None);
        let own = here.join("b.h5");
        assert_eq!(moved(own.to_str().unwrap(), &beside).as_deref(), Some("b.h5"));
        assert_eq!(moved("b.h5", &beside), None);
    }
}
