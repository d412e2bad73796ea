//! The lines of a journal: on the disk before they are acknowledged, chained by hashes.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::entry::Entry;
use crate::{Error, Result};

/// How the hash stands at the end of a line: behind the other fields.
const HASH_FIELD: &str = ",\"hash\":\"";
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// An entry with its number and the tab that it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::portal) struct Line {
    pub(in crate::portal) seq: u64,
    pub(in crate::portal) tab: String,
    #[serde(flatten)]
    pub(in crate::portal) entry: Entry,
}

/// The file that lines are added to. The hash of a line is SHA-256 of the hash before it (nothing for the first line) and the line
/// without its hash.
#[derive(Debug)]
pub(in crate::portal) struct JournalFile {
    path: PathBuf,
    file: File,
    /// Bytes that are known to be whole lines.
    length: u64,
    seq: u64,
    hash: String,
    /// Whether what is behind `length` could not be cut off again, so that nothing can be added.
    is_broken: bool,
}

/// What is in a line of the file: without its hash, and the hash.
fn parted(line: &str) -> Option<(String, &str)> {
    let end = line.strip_suffix("\"}")?;
    let (before, hash) = end.split_at_checked(end.len().checked_sub(HASH_DIGITS)?)?;
    let before = before.strip_suffix(HASH_FIELD)?;
    Some((format!("{before}}}"), hash))
}

/// A line without the carriage return that editors and copying from Windows put at its end.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The hash of the line `text` (without its hash) behind lines of the hash `before`.
fn hash_of(before: &str, text: &str) -> String {
    let digest = Sha256::new().chain_update(before).chain_update(text).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a line of the file that follows `seq` and `hash`; says what is wrong with it otherwise.
fn read_line(bytes: &[u8], seq: u64, hash: &str) -> std::result::Result<(Line, String), String> {
    let text = std::str::from_utf8(without_return(bytes)).map_err(|_| "is no text".to_owned())?;
    let (text, found) = parted(text).ok_or("has no hash at its end")?;
    let line: Line = serde_json::from_str(&text).map_err(|error| format!("is no entry: {error}"))?;
    if line.seq != seq + 1 {
        return Err(format!("has the number {} behind {seq}", line.seq));
    }
    if hash_of(hash, &text) != found {
        return Err("has another hash than its text".to_owned());
    }
    Ok((line, found.to_owned()))
}

/// The whole lines at the beginning of a file.
struct Lines {
    lines: Vec<Line>,
    /// Their bytes.
    length: usize,
    /// The hash of the last one.
    hash: String,
    /// Whether the last one has lost its line feed, and nothing else.
    is_open: bool,
}

impl Lines {
    /// Those in `bytes`, which are of the file at `path`. A last line that has lost no more than its line feed is one of them; what a
    /// program was writing else when it was killed is not.
    ///
    /// # Errors
    /// [`Error::Input`] for a whole line that is damaged.
    fn of(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (mut lines, mut length, mut hash) = (Vec::<Line>::new(), 0, String::new());
        let mut is_open = false;
        while length < bytes.len() {
            let rest = &bytes[length..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let read = match end {
                Some(end) => read_line(&rest[..end], lines.len() as u64, &hash).map(|read| (read, end)),
                None => Err("has no end".to_owned()),
            };
            match read {
                Ok(((line, of_line), end)) => {
                    lines.push(line);
                    hash = of_line;
                    length += end + 1;
                }
                Err(_) if Self::is_torn(rest, end) => {
                    // The hash at its end tells that it is whole. Where the line feed was to be, there may be zeros.
                    let end = rest.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(rest.len());
                    if let Ok((line, of_line)) = read_line(&rest[..end], lines.len() as u64, &hash) {
                        lines.push(line);
                        hash = of_line;
                        length += end;
                        is_open = true;
                    }
                    break;
                }
                Err(problem) => {
                    let number = lines.len() + 1;
                    let way_out = "put back a copy of the file, or remove this line and all behind it";
                    return Err(Error::input(path, format!("line {number} {problem}; {way_out}")));
                }
            }
        }
        Ok(Self { lines, length, hash, is_open })
    }

    /// Whether a bad line, at the beginning of `rest` with its end at `end`, is what was being written when the program was killed: it has
    /// no end, or holds zeros where the disk had not written yet and nothing behind it looks like a whole line. All others were
    /// acknowledged once, and are not to be dropped.
    fn is_torn(rest: &[u8], end: Option<usize>) -> bool {
        let Some(end) = end else { return true };
        if !rest[..end].contains(&0) {
            return false;
        }
        !rest[end + 1..]
            .split(|byte| *byte == b'\n')
            .map(without_return)
            .any(|line| line.starts_with(b"{\"seq\":") && line.ends_with(b"\"}"))
    }
}

impl JournalFile {
    /// Opens the journal at `path`, or begins it; gives its lines. What a program was writing when it was killed, which is the last
    /// line at most, is cut off, and kept in a file `journal.cut-<n>` beside it; a line without its line feed alone gets that.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read or has a damaged line; [`Error::Output`] where it cannot be made or mended.
    pub(in crate::portal) fn open(path: &Path) -> Result<(Self, Vec<Line>)> {
        let is_new = !path.exists();
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(|error| {
            let problem = format!("the journal cannot be opened: {error}; check its permissions");
            Error::output(path, problem).caused_by(error)
        })?;
        if is_new {
            sync_folder(path)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| {
            Error::input(path, format!("the journal cannot be read: {error}")).caused_by(error)
        })?;
        let Lines { lines, length: lines_end, hash, is_open } = Lines::of(path, &bytes)?;
        let (seq, length) = (lines.len() as u64, lines_end as u64);
        let mut journal = Self { path: path.to_path_buf(), file, length, seq, hash, is_broken: false };
        let left = &bytes[lines_end..];
        // Zeros, and what ends them, hold nothing.
        if left.iter().any(|byte| !(is_open && matches!(byte, 0 | b'\r' | b'\n'))) {
            let kept = keep_torn(path, left)?;
            log::warn!(
                "line {} of {} was not finished and is cut off; what was there of it is kept in {}",
                seq + 1,
                path.display(),
                kept.display()
            );
        }
        if is_open || !left.is_empty() {
            journal.mend(is_open).map_err(|error| journal.failed(error))?;
        }
        Ok((journal, lines))
    }

    /// Cuts off what is behind the whole lines, and ends the last one where that `is_open`.
    fn mend(&mut self, is_open: bool) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        if is_open {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(b"\n")?;
            self.length += 1;
        }
        self.file.sync_all()
    }

    /// Opens the journal at `path` as it was after the line whose hash begins with `hash`, to be read alone: nothing is cut off or added,
    /// whoever else writes to it. An empty text stands for the last line.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read or is damaged, and where no line has this hash.
    pub(in crate::portal) fn as_of(path: &Path, hash: &str) -> Result<(Self, Vec<Line>)> {
        let unreadable = |error: std::io::Error| {
            Error::input(path, format!("the journal cannot be read: {error}")).caused_by(error)
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        if !hash.is_empty() {
            let is_wanted = |line: &&[u8]| {
                let text = std::str::from_utf8(without_return(line)).ok();
                text.and_then(parted).is_some_and(|(_, found)| found.starts_with(hash))
            };
            let mut wanted = bytes.split(|byte| *byte == b'\n').filter(is_wanted);
            let (Some(line), None) = (wanted.next(), wanted.next()) else {
                let problem = format!(
                    "no entry, or more than one, has a hash that begins with '{hash}'; give the whole hash, as in the model"
                );
                return Err(Error::input(path, problem));
            };
            let end = line.as_ptr_range().end as usize - bytes.as_ptr() as usize;
            bytes.truncate(end);
            bytes.push(b'\n');
        }
        let Lines { lines, length, hash, .. } = Lines::of(path, &bytes)?;
        let (seq, length) = (lines.len() as u64, length as u64);
        // Nothing can be added to a file that is open for reading.
        Ok((Self { path: path.to_path_buf(), file, length, seq, hash, is_broken: true }, lines))
    }

    /// The number of the last line; 0 before the first.
    pub(in crate::portal) fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the last line; empty before the first.
    pub(in crate::portal) fn hash(&self) -> &str {
        &self.hash
    }

    /// Adds `entries` of the tab `tab` and gives their lines. When this returns, they are on the disk.
    ///
    /// # Errors
    /// [`Error::Output`] where they cannot be written; then none of them is there.
    pub(in crate::portal) fn append(&mut self, tab: &str, entries: Vec<Entry>) -> Result<Vec<Line>> {
        if self.is_broken {
            let problem =
                "an earlier line could not be written whole; check the disk, and start the server anew";
            return Err(Error::output(&self.path, problem));
        }
        let (mut text, mut hash, mut lines) = (String::new(), self.hash.clone(), Vec::new());
        for (entry, number) in entries.into_iter().zip(self.seq + 1..) {
            let line = Line { seq: number, tab: tab.to_owned(), entry };
            let json = serde_json::to_string(&line).map_err(|error| Error::output(&self.path, error))?;
            hash = hash_of(&hash, &json);
            text += json.strip_suffix('}').unwrap_or(&json);
            text += HASH_FIELD;
            text += &hash;
            text += "\"}\n";
            lines.push(line);
        }
        let written = (|| {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        })();
        if let Err(error) = written {
            let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
            self.is_broken = cut.is_err();
            return Err(self.failed(error));
        }
        self.length += text.len() as u64;
        self.seq += lines.len() as u64;
        self.hash = hash;
        Ok(lines)
    }

    /// The lines from `seq` on, as they are in the file.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read.
    pub(in crate::portal) fn text_from(&self, seq: u64) -> Result<Vec<u8>> {
        let unreadable = |error: std::io::Error| {
            Error::input(&self.path, format!("the journal cannot be read: {error}")).caused_by(error)
        };
        let file = File::open(&self.path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(self.length).read_to_end(&mut bytes).map_err(unreadable)?;
        let before = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = match before {
            0 => Some(0),
            _ => bytes
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .nth(before - 1)
                .map(|(at, _)| at + 1),
        };
        Ok(start.map_or_else(Vec::new, |start| bytes.split_off(start)))
    }

    /// The hashes of the lines with these numbers, as far as there are such lines.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read.
    pub(in crate::portal) fn hashes(&self, numbers: &BTreeSet<u64>) -> Result<HashMap<u64, String>> {
        let Some(first) = numbers.first() else { return Ok(HashMap::new()) };
        let text = self.text_from(*first)?;
        let lines = text.split(|byte| *byte == b'\n').zip(*first.max(&1)..=u64::MAX);
        let wanted = lines.filter(|(_, number)| numbers.contains(number));
        let hash = |line| Some(parted(std::str::from_utf8(without_return(line)).ok()?)?.1.to_owned());
        Ok(wanted.filter_map(|(line, number)| Some((number, hash(line)?))).collect())
    }

    fn failed(&self, error: std::io::Error) -> Error {
        let way_out = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space and try again",
            _ => "check the disk and try again",
        };
        Error::output(&self.path, format!("{error}; {way_out}")).caused_by(error)
    }
}

/// Keeps what is cut off the journal at `path` under a free name beside it; gives that.
fn keep_torn(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let mut number = 1_u64;
    loop {
        let kept = path.with_extension(format!("cut-{number}"));
        let failed = |error: std::io::Error| {
            let way_out = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space and try again",
                _ => "check the disk and try again",
            };
            let problem = format!("the unfinished line of the journal cannot be kept: {error}; {way_out}");
            Error::output(&kept, problem).caused_by(error)
        };
        match File::options().write(true).create_new(true).open(&kept) {
            Ok(mut file) => {
                let written = file.write_all(bytes).and_then(|()| file.sync_all());
                if written.is_err() {
                    // Nothing half-written stays.
                    std::fs::remove_file(&kept).ok();
                }
                written.map_err(failed)?;
                return Ok(kept);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Writes the name of a new file to the disk.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Error::output(path, format!("{error}; check the disk")).caused_by(error))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
