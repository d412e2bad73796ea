//! What a watch has done, kept in a file in the folder of the results, so that another one does nothing twice.
//!
//! The first line says of what. Then comes a line for each image that is done or passed over, with the size and time of its
//! file, by which one that was written again is told. Of several lines for an image the last one counts; a line that the
//! program did not finish is one that is not there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{Stamp, read_line};
use crate::{Error, Result};

/// The name of the file.
const NAME: &str = ".msd-gpu-watch.jsonl";
/// A record of ten million images has less.
const MOST_BYTES: u64 = 4 << 30;
/// A line has less: the names of an image and of its results.
const MOST_BYTES_OF_LINE: u64 = 64 << 10;

/// Of what the record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// What is watched.
    pub(super) input: String,
    /// What tells the models and the results that are wanted from others.
    pub(super) identity: String,
}

/// An image that is done or passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    image: String,
    bytes: u64,
    modified: u64,
    /// The names of its files in the folder of the results; none for an image that was passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    results: Vec<String>,
}

impl Entry {
    /// The image as it was when it was done.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { bytes: self.bytes, modified: self.modified }
    }
}

#[derive(Debug)]
pub(super) struct Record {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    entries: HashMap<String, Entry>,
    /// Which image each result belongs to.
    owners: HashMap<String, String>,
}

impl Record {
    /// Goes on with the record in `folder`, or begins one.
    ///
    /// # Errors
    /// [`Error::Setting`] where the record is one of other work; [`Error::Output`] when it cannot be read or written.
    pub(super) fn open(folder: &Path, work: &Work) -> Result<Self> {
        let path = folder.join(NAME);
        let file = File::options().read(true).append(true).create(true).open(&path);
        let file = file.map_err(|error| failed(&path, error))?;
        let mut lines = BufReader::new((&file).take(MOST_BYTES));
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| {
            read_line(&mut lines, line, MOST_BYTES_OF_LINE).map_err(|error| failed(&path, error))
        };
        let mut entries = HashMap::new();
        let mut is_cut_off = false;
        let begun = if next(&mut line)? {
            is_cut_off = !line.ends_with(b"\n");
            serde_json::from_slice::<Work>(&line).ok()
        } else {
            None
        };
        if begun.is_some() {
            while next(&mut line)? {
                is_cut_off = !line.ends_with(b"\n");
                if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
                    entries.insert(entry.image.clone(), entry);
                }
            }
        }
        if let Some(begun) = begun.filter(|begun| begun != work && !entries.is_empty()) {
            let what = match begun.input == work.input {
                true => "other models or settings".to_owned(),
                false => format!("images from {}", begun.input),
            };
            let found = format!("{}, where a watch with {what} has begun", folder.display());
            let wanted = format!(
                "its results would be mixed with others; name another folder, or remove {NAME} and the results from it"
            );
            return Err(Error::setting("out", found, wanted));
        }
        let is_new = entries.is_empty();
        let owners = entries.values().flat_map(|entry: &Entry| {
            entry.results.iter().map(|result| (result.clone(), entry.image.clone()))
        });
        let mut record = Self { owners: owners.collect(), folder: folder.to_path_buf(), path, file, entries };
        if is_new {
            // Also where a program was killed before it had finished the first line.
            record.file.set_len(0).map_err(|error| failed(&record.path, error))?;
            record.write(work)?;
        } else if is_cut_off {
            record.file.write_all(b"\n").map_err(|error| failed(&record.path, error))?;
        }
        Ok(record)
    }

    /// The images that need not be done again as long as their files are those of that time: of those that are done, the results
    /// are there.
    pub(super) fn finished(&self) -> impl Iterator<Item = (String, Stamp)> {
        let is_there = |entry: &&Entry| entry.results.iter().all(|name| self.folder.join(name).exists());
        self.entries.values().filter(is_there).map(|entry| (entry.image.clone(), entry.stamp()))
    }

    /// Whether an image was done or passed over, whatever its file was then.
    pub(super) fn has(&self, image: &str) -> bool {
        self.entries.contains_key(image)
    }

    pub(super) fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Claims the names of `files` for `image`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where one is the result of another image.
    pub(super) fn claim(&mut self, image: &str, files: &[PathBuf]) -> Result<()> {
        for name in names(files) {
            let owner = self.owners.entry(name.clone()).or_insert_with(|| image.to_owned());
            if owner != image {
                return Err(Error::Mismatch(format!(
                    "{image} and {owner} would both be written to {name}; rename one, or predict it into another folder"
                )));
            }
        }
        Ok(())
    }

    /// Gives up what was claimed for an image that was not done.
    pub(super) fn release(&mut self, image: &str) {
        if !self.has(image) {
            self.owners.retain(|_, owner| owner != image);
        }
    }

    /// Says that `image` is done as it was with `stamp`, with `files` as its results, or passed over without any.
    ///
    /// # Errors
    /// [`Error::Output`] when that cannot be written.
    pub(super) fn add(&mut self, image: &str, stamp: Stamp, files: &[PathBuf]) -> Result<()> {
        let Stamp { bytes, modified } = stamp;
        let entry = Entry { image: image.to_owned(), bytes, modified, results: names(files).collect() };
        self.write(&entry)?;
        self.entries.insert(entry.image.clone(), entry);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(line).map_err(|error| failed(&self.path, error.into()))?;
        // In one piece, so that a line is there or not.
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(|error| failed(&self.path, error))
    }
}

fn names(files: &[PathBuf]) -> impl Iterator<Item = String> {
    files.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::output(path, format!("{error}; check the free space and the permissions of the folder"))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_again_and_a_line_that_was_cut_off_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let work = |identity: &str| Work { input: "in".into(), identity: identity.into() };
        let open = |identity: &str| Record::open(folder.path(), &work(identity));
        let stamp = |bytes| Stamp { bytes, modified: u64::MAX - 1 };
        let result = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, b"x").unwrap();
            path
        };
        let mut record = open("a").unwrap();
        record.add("1.tif", stamp(1), &[result("1.png"), result("1_overlay.png")]).unwrap();
        record.add("2.tif", stamp(2), &[result("2.png")]).unwrap();
        record.add("3.tif", stamp(3), &[]).unwrap();
        record.add("1.tif", stamp(4), &[result("1.png")]).unwrap();
        std::fs::remove_file(folder.path().join("2.png")).unwrap();
        drop(record);
        let path = folder.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "{\"image\": \"4.t").unwrap();
        // Twice: the second run adds to what the first one left.
        for count in [3, 4] {
            let mut record = open("a").unwrap();
            let mut finished: Vec<_> = record.finished().collect();
            finished.sort_by(|a, b| a.0.cmp(&b.0));
            finished.truncate(2);
            assert_eq!(finished, [("1.tif".to_owned(), stamp(4)), ("3.tif".to_owned(), stamp(3))]);
            assert_eq!(record.count(), count);
            assert!(record.has("2.tif") && !record.has("4.tif"));
            record.claim("2.tif", &[folder.path().join("2.png")]).unwrap();
            let error = record.claim("2.png", &[folder.path().join("2.png")]).unwrap_err().to_string();
            assert!(error.contains("2.png and 2.tif would both be written to 2.png"), "{error}");
            record.add("5.tif", stamp(5), &[]).unwrap();
        }
        let error = open("b").unwrap_err().to_string();
        assert!(error.contains("other models or settings"), "{error}");
        std::fs::write(&path, "{\"inp").unwrap();
        let mut record = open("b").unwrap();
        assert_eq!(record.count(), 0);
        // Nothing was done yet, so it may as well be other work.
        record = open("c").unwrap();
        record.add("1.tif", stamp(1), &[]).unwrap();
        assert!(open("a").is_err());
    }
}
