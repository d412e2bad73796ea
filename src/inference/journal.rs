//! What of a prediction is done, kept in a file, so that another run goes on where a killed one ended.
//!
//! The first line says of what. Then come how images are cut, as memory that is free differs from run to run, and a line for each
//! tile whose results are in their files. A line that the program did not finish is one that is not there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::tiling::Tiling;
use crate::files::{ResumableFile, read_line};
use crate::{Error, Result};

/// The name of the file, before the share that it is of.
const NAME: &str = ".msd-gpu-predict";
/// As unfinished files are called, so that it goes where they go.
const ENDING: &str = ".part";
/// What stands behind an image whose file has its name.
const FINISHED: &str = "finished";
/// What stands behind an image that has no result.
const BLANK: &str = "blank";
/// What a line begins with that says how images of one kind are cut.
const TILING: &str = "tiling";
/// A journal of a hundred million tiles has less.
const MOST_BYTES: u64 = 4 << 30;
/// A line has less.
const MOST_BYTES_OF_LINE: u64 = 4096;

/// What tells images apart that are cut in different ways: rows, columns, and bytes that are held while one is read.
pub(super) type Kind = (usize, usize, u64);

/// A journal that is kept while results are written.
#[derive(Debug)]
pub(super) struct Journal {
    /// `None` for one that is kept in memory alone.
    path: Option<PathBuf>,
    work: String,
    /// `None` before [`Journal::begin`].
    file: Option<File>,
    /// Tiles that were done before, as image and tile.
    before: HashSet<(usize, usize)>,
    /// Images whose file, which has several parts or images, an earlier run has given its name.
    finished: HashSet<usize>,
    /// Images of stacks that have no result.
    blank: HashSet<usize>,
    tilings: BTreeMap<Kind, Tiling>,
    /// The kinds of images of which it was said how they are cut.
    told: BTreeSet<Kind>,
    /// Whether results have been written in this run or before.
    has_results: bool,
    kept: bool,
}

impl Journal {
    /// A journal that no other run goes on with.
    pub(super) fn in_memory() -> Self {
        Self::new(None, "")
    }

    fn new(path: Option<PathBuf>, work: &str) -> Self {
        Self {
            path,
            work: work.to_owned(),
            file: None,
            before: HashSet::new(),
            finished: HashSet::new(),
            blank: HashSet::new(),
            tilings: BTreeMap::new(),
            told: BTreeSet::new(),
            has_results: false,
            kept: false,
        }
    }

    /// The journal in `folder` of the share `share` of a prediction; `work` tells it from others. With `resume`, what an earlier
    /// run has done is taken over.
    ///
    /// # Errors
    /// [`Error::Setting`] where the earlier run did something else, [`Error::Output`] when it cannot be read.
    pub(super) fn open(folder: &Path, share: &str, work: &str, resume: bool) -> Result<Self> {
        let path = folder.join(format!("{NAME}{share}{ENDING}"));
        let mut journal = Self::new(Some(path.clone()), work);
        let Some(file) = File::open(&path).ok().filter(|_| resume) else { return Ok(journal) };
        let mut reader = BufReader::new(file.take(MOST_BYTES));
        let (mut line, mut is_first) = (Vec::new(), true);
        while read_line(&mut reader, &mut line, MOST_BYTES_OF_LINE).map_err(|error| failed(&path, error))? {
            // The last line may have been cut off.
            let whole = line.strip_suffix(b"\n");
            if is_first && whole.unwrap_or(&line) != work.as_bytes() {
                return Err(Error::setting(
                    "resume",
                    format!(
                        "given, but {} was begun with other images, models or settings",
                        folder.display()
                    ),
                    "give the same as before, or leave `resume` out to begin anew",
                ));
            }
            if let Some(Ok(text)) = whole.filter(|_| !is_first).map(str::from_utf8) {
                journal.take_over(text);
            }
            is_first = false;
        }
        journal.has_results = !journal.before.is_empty();
        Ok(journal)
    }

    /// Takes over what a line of an earlier run says.
    fn take_over(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [TILING, height, width, held, tile, halo] => {
                let kind = (height.parse(), width.parse(), held.parse());
                if let ((Ok(height), Ok(width), Ok(held)), Ok(halo)) = (kind, halo.parse()) {
                    self.tilings.insert((height, width, held), Tiling::cut(tile.parse().ok(), halo));
                }
            }
            [image, BLANK] => self.blank.extend(image.parse::<usize>()),
            [image, FINISHED] => self.finished.extend(image.parse::<usize>()),
            [image, tile] => {
                if let (Ok(image), Ok(tile)) = (image.parse(), tile.parse()) {
                    self.before.insert((image, tile));
                }
            }
            _ => {}
        }
    }

    /// Writes what is taken over from an earlier run, and nothing else, in the place of that run's journal.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub(super) fn begin(&mut self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut lines: Vec<_> = self.before.iter().collect();
        lines.sort_unstable();
        let tilings = self.tilings.iter().map(|(kind, tiling)| tiling_line(*kind, tiling));
        let tiles = lines.iter().map(|(image, tile)| format!("{image} {tile}\n"));
        let finished = self.finished.iter().map(|image| format!("{image} {FINISHED}\n"));
        let blank = self.blank.iter().map(|image| format!("{image} {BLANK}\n"));
        let first = std::iter::once(format!("{}\n", self.work));
        let text: String = first.chain(tilings).chain(tiles).chain(finished).chain(blank).collect();
        // Whole or not at all: else a program that is killed now would lose what was done before. What it leaves then is
        // written over by the run that goes on.
        let whole = ResumableFile::open(path, false)?;
        whole.write_at(text.as_bytes(), 0)?;
        whole.done(text.len() as u64)?;
        let file = File::options().append(true).open(path).map_err(|error| failed(path, error))?;
        self.file = Some(file);
        Ok(())
    }

    /// How images of one kind are cut, where an earlier run has begun with them.
    pub(super) fn tiling(&self, kind: Kind) -> Option<Tiling> {
        self.tilings.get(&kind).copied()
    }

    /// Says how images of one kind are cut.
    ///
    /// # Errors
    /// [`Error::Output`] when that cannot be written.
    pub(super) fn add_tiling(&mut self, kind: Kind, tiling: &Tiling) -> Result<()> {
        self.tilings.insert(kind, *tiling);
        self.write(&tiling_line(kind, tiling))
    }

    /// Whether this is the first time that images of one kind come.
    pub(super) fn is_new(&mut self, kind: Kind) -> bool {
        self.told.insert(kind)
    }

    /// Whether an earlier run has done a tile.
    pub(super) fn has(&self, image: usize, tile: usize) -> bool {
        self.before.contains(&(image, tile))
    }

    /// Whether an earlier run has finished the file that begins with an image.
    pub(super) fn has_finished(&self, image: usize) -> bool {
        self.finished.contains(&image)
    }

    /// Says that the file that begins with an image has its name.
    ///
    /// # Errors
    /// As [`Journal::add`].
    pub(super) fn finish(&mut self, image: usize) -> Result<()> {
        self.write(&format!("{image} {FINISHED}\n"))
    }

    /// Says that an image of a stack has no result.
    ///
    /// # Errors
    /// As [`Journal::add`].
    pub(super) fn add_blank(&mut self, image: usize) -> Result<()> {
        self.write(&format!("{image} {BLANK}\n"))
    }

    /// Whether an earlier run has found that an image of a stack has no result.
    pub(super) fn has_blank(&self, image: usize) -> bool {
        self.blank.contains(&image)
    }

    /// How many tiles an earlier run has done.
    pub(super) fn count(&self) -> usize {
        self.before.len()
    }

    /// Forgets tiles of an earlier run whose results were not kept.
    pub(super) fn forget(&mut self, image: usize) {
        self.before.retain(|(known, _)| *known != image);
        self.finished.remove(&image);
        self.blank.remove(&image);
    }

    /// Says that the results of a tile are in their files.
    ///
    /// # Errors
    /// [`Error::Output`] when that cannot be written.
    pub(super) fn add(&mut self, image: usize, tile: usize) -> Result<()> {
        self.has_results = true;
        self.write(&format!("{image} {tile}\n"))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        // In one piece, so that a line is there or not.
        match (&mut self.file, &self.path) {
            (Some(file), Some(path)) => file.write_all(line.as_bytes()).map_err(|error| failed(path, error)),
            _ => Ok(()),
        }
    }

    /// Leaves the journal when this is dropped, for another run to go on; gives whether there is something to go on with.
    pub(super) fn keep(&mut self) -> bool {
        self.kept = self.has_results && self.path.is_some();
        self.kept
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.kept
            && self.file.is_some()
            && let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            log::debug!("{} cannot be removed: {error}", path.display());
        }
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::output(path, format!("{error}; check the free space and the permissions of the folder"))
        .caused_by(error)
}

fn tiling_line((height, width, held): Kind, tiling: &Tiling) -> String {
    let tile = tiling.tile().map_or_else(|| "whole".to_owned(), |tile| tile.to_string());
    format!("{TILING} {height} {width} {held} {tile} {}\n", tiling.halo())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_again_and_a_line_that_was_cut_off_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".msd-gpu-predict-2-of-3.part");
        let open = |work: &str, resume| {
            let mut journal = Journal::open(folder.path(), "-2-of-3", work, resume)?;
            journal.begin().map(|()| journal)
        };
        let mut journal = open("a", true).unwrap();
        let cut = Tiling::cut(Some(64), 8);
        journal.add_tiling((5, 6, 7), &cut).unwrap();
        journal.add_tiling((9, 6, 7), &Tiling::cut(None, 8)).unwrap();
        journal.add(0, 0).unwrap();
        journal.add(12, 3).unwrap();
        assert!(journal.keep());
        drop(journal);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text += "13 4";
        std::fs::write(&path, text).unwrap();
        let mut journal = open("a", true).unwrap();
        assert_eq!(
            (journal.has(12, 3), journal.has(0, 0), journal.has(13, 4), journal.count()),
            (true, true, false, 2)
        );
        // How images were cut is known again, whatever memory is free now.
        assert_eq!(journal.tiling((5, 6, 7)), Some(cut));
        assert_eq!(journal.tiling((9, 6, 7)), Some(Tiling::cut(None, 8)));
        assert_eq!(journal.tiling((5, 6, 8)), None);
        // The end of a line that is too long is no line of its own.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}14 5\n15 6\n", "x".repeat(MOST_BYTES_OF_LINE as usize)))
            .unwrap();
        journal.keep();
        journal = Journal::open(folder.path(), "-2-of-3", "a", true).unwrap();
        assert!(!journal.has(14, 5) && journal.has(15, 6) && journal.has(12, 3));
        // What is forgotten stays so, also where this run is killed in its turn.
        journal.forget(12);
        journal.begin().unwrap();
        let mut next = open("a", true).unwrap();
        assert!(!next.has(12, 3) && next.has(0, 0));
        next.keep();
        drop(next);
        journal.keep();
        drop(journal);
        let error = open("b", true).unwrap_err().to_string();
        assert!(error.contains("other images, models or settings"), "{error}");
        drop(open("b", false).unwrap());
        assert!(!path.exists());
    }
}
