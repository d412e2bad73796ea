//! A Zarr folder that several programs fill, each with images of its own.
//!
//! All of them write into one unfinished folder. A program that has written its images leaves a mark there, an empty file that names
//! them. Whoever leaves the last mark gives the folder its name. What the folder is a result of stands in the attributes of its group
//! from the beginning, so that nobody adds images to the result of other models or settings.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::folder::{remove, replaced};
use crate::error::{Error, Result};
use crate::files::{read_text, remove_unfinished, unfinished_name, write_bytes_atomic};

/// The key of the attributes under which stands what made a folder.
pub(super) const MADE_BY: &str = "msd_gpu";
pub(super) const WORK: &str = "work";
/// How the names of marks begin and end, as those of all unfinished files do.
const MARK: (&str, &str) = (".msd-gpu-images-", ".part");
/// How often a folder is given its name while another program does the same, and how much longer is waited each time.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// How far the programs are that fill a stack together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStack {
    path: PathBuf,
    /// What it is to be a result of.
    work: String,
    /// How many images it has.
    count: usize,
    is_whole: bool,
    /// Whether what has its name says that it is a result of something else.
    is_other: bool,
    /// Whether there is an unfinished folder of something else.
    is_taken: bool,
    /// The images that have been written and marked, in order.
    written: Vec<Range<usize>>,
}

impl SharedStack {
    /// That of `count` images which is called `path` when it is whole, where it is a result of `work`.
    pub fn of(path: &Path, count: usize, work: &str) -> Self {
        let unfinished = [unfinished_name(path), complete_name(path)];
        let made_by = unfinished.each_ref().map(|folder| work_of(folder));
        let is_by_work = |made_by: &Option<String>| made_by.as_deref() == Some(work);
        let of_work = unfinished.iter().zip(&made_by).filter(|(_, made_by)| is_by_work(made_by));
        let mut written: Vec<_> = of_work.flat_map(|(folder, _)| marks(folder)).collect();
        written.sort_unstable_by_key(|images| (images.start, images.end));
        // Last, as it may have got its name meanwhile.
        let named = work_of(path);
        Self {
            path: path.to_path_buf(),
            work: work.to_owned(),
            count,
            is_whole: is_by_work(&named),
            is_other: named.is_some() && !is_by_work(&named),
            is_taken: made_by.iter().any(|made_by| made_by.is_some() && !is_by_work(made_by)),
            written,
        }
    }

    /// Refuses an unfinished folder of something else.
    ///
    /// # Errors
    /// [`Error::Output`] for that.
    pub fn check_unfinished(&self) -> Result<()> {
        if self.is_whole || !self.is_taken {
            return Ok(());
        }
        Err(Error::output(&self.path, taken(&unfinished_name(&self.path))))
    }

    /// Whether what has the name is a result of other images, models or settings, as it says.
    pub fn is_other(&self) -> bool {
        self.is_other
    }

    /// Whether it has its name, as a result of this work.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether some images have been written and not all.
    pub fn is_begun(&self) -> bool {
        !self.is_whole && !self.written.is_empty()
    }

    /// Whether all of `images` have been written.
    pub fn has(&self, images: &Range<usize>) -> bool {
        self.missing().iter().all(|missing| missing.end <= images.start || images.end <= missing.start)
    }

    /// The images that are missing, or of which it is not known that they are there.
    pub fn missing(&self) -> Vec<Range<usize>> {
        let (mut missing, mut end) = (Vec::new(), 0);
        let whole = 0..self.count;
        for images in if self.is_whole { std::slice::from_ref(&whole) } else { &self.written } {
            if images.start > end {
                missing.push(end..images.start);
            }
            end = end.max(images.end);
        }
        if end < self.count {
            missing.push(end..self.count);
        }
        missing
    }

    /// Gives the folder its name where all images are there, which the program that wrote the last one may not have come to.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be renamed.
    pub fn finish(&self) -> Result<()> {
        if self.is_whole {
            remove_unfinished(&self.path);
            return Ok(());
        }
        if !self.missing().is_empty() {
            return Ok(());
        }
        name(&self.path, &self.work).map_err(|error| {
            let problem = format!("{error}; check that the folder may be written to");
            Error::output(&self.path, problem).caused_by(error)
        })
    }
}

/// What the folder is a result of, as its group says; `None` where there is none, or it does not say so.
pub(super) fn work_of(folder: &Path) -> Option<String> {
    read_json::<Group>(&folder.join("zarr.json"))
        .map(|group| group.attributes)
        .or_else(|| read_json(&folder.join(".zattrs")))?
        .made_by?
        .work
}

/// A group, as far as it says what it is a result of.
#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(rename = "msd_gpu")]
    made_by: Option<MadeBy>,
}

#[derive(Deserialize)]
struct MadeBy {
    work: Option<String>,
}

/// What a file of JSON holds, where there is one and it is no larger than those of Zarr are.
fn read_json<T: DeserializeOwned>(file: &Path) -> Option<T> {
    const MOST_BYTES: u64 = 16 << 20;
    let text = read_text(file, MOST_BYTES).ok()??;
    serde_json::from_str(&text).ok()
}

/// Whether all of the stack that is called `path` is there as a result of `work`, and has its name or is about to get it.
pub(super) fn is_complete(path: &Path, work: &str) -> bool {
    [path.to_path_buf(), complete_name(path)].iter().any(|folder| work_of(folder).as_deref() == Some(work))
}

/// Says that `images` have been written into the unfinished `folder`.
///
/// # Errors
/// As [`write_bytes_atomic`].
pub(super) fn mark(folder: &Path, images: &Range<usize>) -> Result<()> {
    write_bytes_atomic(folder.join(format!("{}{}-{}{}", MARK.0, images.start, images.end, MARK.1)), b"")
}

/// The images that the marks in an unfinished folder name.
fn marks(folder: &Path) -> Vec<Range<usize>> {
    let images = |name: &str| -> Option<Range<usize>> {
        let (start, end) = name.strip_prefix(MARK.0)?.strip_suffix(MARK.1)?.split_once('-')?;
        Some(start.parse().ok()?..end.parse().ok()?)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| images(&entry.file_name().to_string_lossy())).collect()
}

/// What the folder is called while it is complete and has not got its name.
fn complete_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    unfinished_name(&path.with_file_name(format!("{name}.complete")))
}

/// Makes a complete folder that has not got its name, as a program was killed, an unfinished one again.
pub(super) fn take_back(path: &Path) -> io::Result<()> {
    let (complete, unfinished) = (complete_name(path), unfinished_name(path));
    if unfinished.exists() || !complete.exists() {
        return Ok(());
    }
    match std::fs::rename(complete, unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is wrong with an unfinished folder of something else.
pub(super) fn taken(folder: &Path) -> String {
    format!(
        "{} holds an unfinished result of other images, models or settings; give the same as before, or remove that folder",
        folder.display()
    )
}

/// Gives the complete folder of `path`, a result of `work`, its name, in the place of what was there. Of several programs that do so at the
/// same time one succeeds, and the others do nothing; what one has named no other takes for what was there before.
fn name(path: &Path, work: &str) -> io::Result<()> {
    let (complete, replaced) = (complete_name(path), replaced(path));
    let is_result = |folder: &Path| work_of(folder).as_deref() == Some(work);
    match std::fs::rename(unfinished_name(path), &complete) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove_leftovers(&complete);
    let mut tried = 0;
    loop {
        let error = match std::fs::rename(&complete, path) {
            Ok(()) => break,
            // Another program has named it, or was killed when it had.
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => error,
        };
        tried += 1;
        if tried > TRIES {
            return Err(error);
        }
        if is_result(path) {
            remove(&complete)?;
            break;
        }
        // What was there before makes room. Where another program is about to do the same, it is given time.
        if path.exists() && std::fs::rename(path, &replaced).is_err() {
            std::thread::sleep(PAUSE.saturating_mul(tried));
        }
    }
    if !path.exists() && is_result(&replaced) {
        // It was moved in the moment in which another program had named it.
        std::fs::rename(&replaced, path)?;
    }
    if !is_result(&replaced)
        && let Err(error) = remove(&replaced)
    {
        log::warn!("{} cannot be removed: {error}", replaced.display());
    }
    // The marks, which were needed until now: a program that is killed before finds by them that all is there.
    remove_unfinished(path);
    Ok(())
}

/// Removes what killed programs left of images in the folders inside `folder`; the marks stay.
fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_unfinished(entry.path());
            remove_leftovers(&entry.path());
        }
    }
}
