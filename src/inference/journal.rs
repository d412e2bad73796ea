//! What of a prediction is done, kept in a file, so that another run goes on where a killed one ended.
//!
//! The first line says of what; each further one names a tile whose results are in their files. A line that the program did not
//! finish is one that is not there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The name of the file, before the share that it is of.
const NAME: &str = ".msd-gpu-predict";
/// As unfinished files are called, so that it goes where they go.
const ENDING: &str = ".part";
/// What stands behind an image whose file has its name.
const FINISHED: &str = "finished";
/// A journal of a hundred million tiles has less.
const MOST_BYTES: u64 = 4 << 30;

/// A journal that is kept while results are written.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Tiles that were done before, as image and tile.
    before: HashSet<(usize, usize)>,
    /// Images whose file, which has several parts or images, an earlier run has given its name.
    finished: HashSet<usize>,
    /// Whether a line has been written in this run or before.
    has_lines: bool,
    kept: bool,
}

impl Journal {
    /// The journal in `folder` of the share `share` of a prediction; `work` tells it from others. With `resume`, what an earlier
    /// run has done is taken over.
    ///
    /// # Errors
    /// [`Error::Setting`] where the earlier run did something else, [`Error::Output`] when it cannot be written.
    pub(super) fn open(folder: &Path, share: &str, work: &str, resume: bool) -> Result<Self> {
        let path = folder.join(format!("{NAME}{share}{ENDING}"));
        let failed = |error: std::io::Error| {
            let problem = format!("{error}; check the free space and the permissions of the folder");
            Error::output(&path, problem).caused_by(error)
        };
        let mut text = String::new();
        if resume && let Ok(file) = File::open(&path) {
            file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
        }
        let (mut before, mut finished) = (HashSet::new(), HashSet::new());
        let mut whole = text.lines();
        if let Some(first) = whole.next() {
            if first != work {
                return Err(Error::setting(
                    "resume",
                    format!(
                        "given, but {} was begun with other images, models or settings",
                        folder.display()
                    ),
                    "give the same as before, or leave `resume` out to begin anew",
                ));
            }
            // The last line may have been cut off.
            let end = text.rfind('\n').unwrap_or(0);
            for line in text[..end].lines().skip(1) {
                let Some((image, tile)) = line.split_once(' ') else { continue };
                match (image.parse(), tile.parse()) {
                    (Ok(image), Ok(tile)) => {
                        before.insert((image, tile));
                    }
                    (Ok(image), _) if tile == FINISHED => {
                        finished.insert(image);
                    }
                    _ => {}
                }
            }
        }
        let mut file = File::create(&path).map_err(failed)?;
        let mut lines: Vec<_> = before.iter().copied().collect();
        lines.sort_unstable();
        let mut text = format!("{work}\n");
        lines.iter().for_each(|(image, tile)| text += &format!("{image} {tile}\n"));
        finished.iter().for_each(|image| text += &format!("{image} {FINISHED}\n"));
        file.write_all(text.as_bytes()).map_err(failed)?;
        let has_lines = !before.is_empty();
        Ok(Self { path, file, before, finished, has_lines, kept: false })
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

    /// How many tiles an earlier run has done.
    pub(super) fn count(&self) -> usize {
        self.before.len()
    }

    /// Forgets tiles of an earlier run whose results were not kept.
    pub(super) fn forget(&mut self, image: usize) {
        self.before.retain(|(known, _)| *known != image);
        self.finished.remove(&image);
    }

    /// Says that the results of a tile are in their files.
    ///
    /// # Errors
    /// [`Error::Output`] when that cannot be written.
    pub(super) fn add(&mut self, image: usize, tile: usize) -> Result<()> {
        self.write(&format!("{image} {tile}\n"))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        self.has_lines = true;
        // In one piece, so that a line is there or not.
        self.file.write_all(line.as_bytes()).map_err(|error| {
            Error::output(&self.path, format!("{error}; check the free space and try again")).caused_by(error)
        })
    }

    /// Leaves the journal when this is dropped, for another run to go on; gives whether there is something to go on with.
    pub(super) fn keep(&mut self) -> bool {
        self.kept = self.has_lines;
        self.kept
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::debug!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_again_and_a_line_that_was_cut_off_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".msd-gpu-predict-2-of-3.part");
        let open = |work: &str, resume| Journal::open(folder.path(), "-2-of-3", work, resume);
        let mut journal = open("a", true).unwrap();
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
        journal.keep();
        drop(journal);
        let error = open("b", true).unwrap_err().to_string();
        assert!(error.contains("other images, models or settings"), "{error}");
        drop(open("b", false).unwrap());
        assert!(!path.exists());
    }
}
