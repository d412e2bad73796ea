//! Which results lie in a folder and what they are results of, kept in a hidden file beside them, so that another run finds what is done.
//!
//! A line is added for each result once it has its name: its length and the time of its last change, by which a result that has changed
//! since is told; a number for the models and settings, and one for the images, both of which are others where anything is that the result
//! depends on. Of several lines for a result in one file the last one counts; a line that the program did not finish is one that is not
//! there. Programs that share a prediction have files of their own.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::files::{Stamp, read_exact_at, write_bytes_atomic};
use crate::{Error, Result};

/// How the names of the files begin and end; between them stands the share, where there are several.
const NAME: (&str, &str) = (".msd-gpu-results", ".jsonl");
/// More than a million results have less. What is behind that is taken for not done.
const MOST_BYTES: u64 = 256 << 20;
/// A line has less: a name has 255 bytes at most.
const MOST_BYTES_OF_LINE: u64 = 4096;

/// What is known of a result, as a line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    result: String,
    bytes: u64,
    modified: u64,
    work: String,
    images: String,
}

/// What is known of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    stamp: Stamp,
    work: u128,
    images: u128,
}

/// What a record says of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultState {
    /// It is there as it was written, and was made by these models and settings of these images.
    Same,
    /// The same, but it was copied or changed since, at the same length.
    Touched,
    /// It is not there.
    Missing,
    /// It is there, and nothing is known of it but its name.
    Unknown,
    /// It does not have the length that was written.
    OtherLength {
        /// The bytes that it has.
        found: u64,
        /// The bytes that were written.
        written: u64,
    },
    /// It was made by other models or settings, or of other images.
    Other,
    /// It was made by other models or settings.
    OtherWork,
    /// It was made of other images, or of these as they were before.
    OtherImages,
}

impl ResultState {
    /// How much it says against taking a result for what is wanted.
    pub(super) fn against(&self) -> u8 {
        match self {
            Self::Same => 0,
            Self::Unknown => 1,
            Self::Touched => 2,
            Self::OtherLength { .. } => 3,
            Self::OtherImages => 4,
            Self::Missing => 5,
            Self::Other | Self::OtherWork => 6,
        }
    }

    /// Whether it is there and is not what was written, or not what is wanted.
    pub fn is_other(&self) -> bool {
        !matches!(self, Self::Same | Self::Missing | Self::Unknown)
    }
}

impl fmt::Display for ResultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => write!(f, "there"),
            Self::Touched => write!(f, "copied or changed since it was written"),
            Self::Missing => write!(f, "missing"),
            Self::Unknown => write!(f, "there, but not known by which models it was made"),
            Self::OtherLength { found, written } => {
                write!(f, "{found} bytes of the {written} that were written")
            }
            Self::Other => write!(f, "made by other models or settings, or of other images"),
            Self::OtherWork => {
                write!(f, "made by other models or settings, or by another version of msd-gpu")
            }
            Self::OtherImages => write!(f, "made of other images, or of these before they were changed"),
        }
    }
}

/// The records in a folder of results, and the one that is added to.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// `None` before the first result.
    file: Option<File>,
    /// The number of the models and settings.
    work: u128,
    /// What each of the files says of a result.
    entries: HashMap<String, Vec<Entry>>,
}

impl Record {
    /// What is known of the results in `folder` to one whose models and settings are `work`.
    pub(super) fn read(folder: &Path, work: &str) -> Self {
        Self::open(folder, "", work, false)
    }

    /// As [`Record::read`], for one that adds results to the record of the share `share`; with `alone`, no other program adds to that.
    pub(super) fn open(folder: &Path, share: &str, work: &str, alone: bool) -> Self {
        let path = folder.join(format!("{}{share}{}", NAME.0, NAME.1));
        let version = env!("CARGO_PKG_VERSION");
        let mut record = Self {
            path,
            file: None,
            work: XxHash3_128::oneshot(format!("{version} {work}").as_bytes()),
            entries: HashMap::new(),
        };
        let mut left = MOST_BYTES;
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(NAME.0) || !name.ends_with(NAME.1) {
                continue;
            }
            // Without it results are made anew, which costs time and nothing else.
            match read_lines(&entry.path(), &mut left) {
                Ok((lines, count)) => {
                    if alone && entry.path() == record.path && count > lines.len() {
                        record.rewrite(&lines);
                    }
                    for (result, entry) in lines {
                        record.entries.entry(result).or_default().push(entry);
                    }
                }
                Err(error) => log::warn!(
                    "{} cannot be read: {error}; results that it names are not known to be done",
                    entry.path().display()
                ),
            }
        }
        record
    }

    /// What is known of the result at `path` to one who wants it of the images whose number is `images`.
    pub(super) fn state(&self, path: &Path, images: u128) -> ResultState {
        let Some(stamp) = Stamp::at(path) else { return ResultState::Missing };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entries = self.entries.get(name.as_ref()).map_or(&[][..], Vec::as_slice);
        let with = |is_it: &dyn Fn(&Entry) -> bool| entries.iter().rfind(|entry| is_it(entry));
        let known = with(&|entry| entry.stamp == stamp)
            .or_else(|| with(&|entry| entry.stamp.bytes == stamp.bytes))
            .or(entries.last());
        match known {
            None => ResultState::Unknown,
            Some(entry) if entry.stamp.bytes != stamp.bytes => {
                ResultState::OtherLength { found: stamp.bytes, written: entry.stamp.bytes }
            }
            Some(entry) if entry.work != self.work => ResultState::OtherWork,
            Some(entry) if entry.images != images => ResultState::OtherImages,
            Some(entry) if entry.stamp != stamp => ResultState::Touched,
            Some(_) => ResultState::Same,
        }
    }

    /// Whether all of `files`, the results of the images whose number is `images`, are there as they were written.
    pub(super) fn has<'p>(&self, files: impl IntoIterator<Item = &'p Path>, images: u128) -> bool {
        files.into_iter().all(|file| self.state(file, images) == ResultState::Same)
    }

    /// Says that `files`, the results of the images whose number is `images`, have their names.
    ///
    /// # Errors
    /// [`Error::Output`] when that cannot be written.
    pub(super) fn add(&mut self, files: &[PathBuf], images: u128) -> Result<()> {
        let mut text = String::new();
        for file in files {
            let (Some(stamp), Some(name)) = (Stamp::at(file), file.file_name()) else { continue };
            let (name, entry) =
                (name.to_string_lossy().into_owned(), Entry { stamp, work: self.work, images });
            text += &line(&name, &entry);
            // What is known of the file that was there before is of no use any more.
            self.entries.insert(name, vec![entry]);
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => begun(&self.path).and_then(|(mut file, end)| {
                // In one piece, so that lines are there or not.
                file.write_all((end.to_owned() + &text).as_bytes())?;
                self.file = Some(file);
                Ok(())
            }),
        };
        written.map_err(|error| {
            let problem = format!("{error}; check the free space and the permissions of the folder");
            Error::output(&self.path, problem).caused_by(error)
        })
    }

    /// Leaves out lines that later ones have replaced, so that the file does not grow with every run.
    fn rewrite(&self, lines: &HashMap<String, Entry>) {
        let mut lines: Vec<_> = lines.iter().collect();
        lines.sort_unstable_by_key(|(name, _)| *name);
        let text: String = lines.into_iter().map(|(name, entry)| line(name, entry)).collect();
        if let Err(error) = write_bytes_atomic(&self.path, text.as_bytes()) {
            log::debug!("{error}");
        }
    }
}

/// The file at `path` to add lines to, and the end of its last line where a program was killed before it wrote that.
fn begun(path: &Path) -> std::io::Result<(File, &'static str)> {
    let file = File::options().read(true).append(true).create(true).open(path)?;
    let mut last = [b'\n'];
    if let Some(place) = file.metadata()?.len().checked_sub(1) {
        read_exact_at(&file, &mut last, place)?;
    }
    Ok((file, if last == [b'\n'] { "" } else { "\n" }))
}

fn line(result: &str, entry: &Entry) -> String {
    let Entry { stamp: Stamp { bytes, modified }, work, images } = *entry;
    let (work, images) = (format!("{work:032x}"), format!("{images:032x}"));
    let line = Line { result: result.to_owned(), bytes, modified, work, images };
    serde_json::to_string(&line).map_or(String::new(), |line| line + "\n")
}

/// The results that the file at `path` names, and how many lines it has; at most `left` bytes are read, which become fewer.
fn read_lines(path: &Path, left: &mut u64) -> std::io::Result<(HashMap<String, Entry>, usize)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((HashMap::new(), 0)),
        file => file?,
    };
    let mut reader = BufReader::new(file);
    let (mut found, mut count, mut bytes) = (HashMap::new(), 0, Vec::new());
    while *left > 0 {
        bytes.clear();
        let read = (&mut reader).take(MOST_BYTES_OF_LINE.min(*left)).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        *left -= read as u64;
        count += 1;
        let number = |text: &str| u128::from_str_radix(text, 16).ok();
        if let Ok(Line { result, bytes, modified, work, images }) = serde_json::from_slice(&bytes)
            && let (Some(work), Some(images)) = (number(&work), number(&images))
        {
            found.insert(result, Entry { stamp: Stamp { bytes, modified }, work, images });
        }
    }
    Ok((found, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_and_so_is_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, bytes: &[u8]| std::fs::write(path(name), bytes).unwrap();
        let mut record = Record::open(folder.path(), "", "a", true);
        for name in ["same", "longer", "gone", "touched", "other images"] {
            write(name, b"1234");
            record.add(&[path(name)], 7).unwrap();
        }
        // A program that was killed in the middle of a line, and another that goes on.
        let file = path(".msd-gpu-results.jsonl");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "{\"result\": \"unkn").unwrap();
        write("unknown", b"1234");
        write("other work", b"1234");
        Record::open(folder.path(), "", "b", false).add(&[path("other work")], 7).unwrap();
        write("longer", b"123");
        std::fs::remove_file(path("gone")).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::options().write(true).open(path("touched")).unwrap().set_modified(old).unwrap();
        // A share has a file of its own, which all read.
        write("shared", b"1");
        Record::open(folder.path(), "-2-of-3", "a", true).add(&[path("shared")], 7).unwrap();
        let record = Record::read(folder.path(), "a");
        let state = |name: &str| record.state(&path(name), if name == "other images" { 8 } else { 7 });
        for (name, wanted) in [
            ("same", ResultState::Same),
            ("shared", ResultState::Same),
            ("longer", ResultState::OtherLength { found: 3, written: 4 }),
            ("gone", ResultState::Missing),
            ("touched", ResultState::Touched),
            ("unknown", ResultState::Unknown),
            ("other work", ResultState::OtherWork),
            ("other images", ResultState::OtherImages),
        ] {
            assert_eq!(state(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_record_does_not_grow_with_every_run_and_may_hold_anything() {
        let folder = tempfile::tempdir().unwrap();
        let (result, path) = (folder.path().join("a.tif"), folder.path().join(".msd-gpu-results.jsonl"));
        for run in 0..5 {
            std::fs::write(&result, vec![0; 10 + run]).unwrap();
            let mut record = Record::open(folder.path(), "", "a", true);
            record.add(std::slice::from_ref(&result), 1).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= 3, "{text}");
        let known = || Record::read(folder.path(), "a").state(&result, 1);
        assert_eq!(known(), ResultState::Same);
        // What is no line of a record says nothing, and a line without an end takes no memory.
        let text = "x".repeat(3 * MOST_BYTES_OF_LINE as usize) + "\n[]\n{\"result\": 1}\n\u{0}\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(known(), ResultState::Unknown);
    }
}
