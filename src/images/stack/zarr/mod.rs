//! Stacks as OME-Zarr: folders in which each image is a file of its own, and smaller copies of it for viewers.
//!
//! - `axes`: where an image lies in the array. `planes`: an image in smaller sizes and in chunks; `levels`: its rows as they come, to the
//!   files of all sizes. `metadata`: files of JSON. `ranges`: how viewers show channels.
//! - `shared`: a folder that several programs fill, each with images of its own ([`SharedStack`]).
//!
//! Values are an image: the arrays `0`, `1`, … of the levels stand in the root, whose attributes tell of them. Class labels are
//! what OME-Zarr calls labels: their levels stand in the group `labels/NAME`, with colours and names of classes, and the group
//! `labels` lists it, so that the folder can be put into that of an image, or its labels added to it. But programs open a
//! folder by its root, and take it for an image (ome-zarr-py, and with it napari, follow `multiscales` and then `labels`). As
//! there is no image here, the root tells of the levels of the labels as its own.
//!
//! The levels of an image are written together with it: it is at hand then, and need not be read once more at the end. What is
//! halved are rows and columns only, so that no level needs two images.
//!
//! Chunks are packed with gzip, which every reader of Zarr has. Zstandard would pack better, but its encoder in plain Rust is
//! several times slower than gzip and packs worse.
//!
//! No file is written in parts or by two writers, which loses data: a shard is one channel of one image, which is written to
//! another name and renamed when it is whole. Readers take a file that is missing for zeros, so the folder as a whole has its
//! name only when all of it is there.

mod axes;
mod levels;
mod metadata;
mod planes;
mod ranges;
mod shared;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use tiff::decoder::DecodingResult;

use self::axes::Axes;
use self::levels::OpenPlane;
use self::metadata::Grid;
pub(in crate::images) use self::metadata::OmeVersion;
use self::planes::Plane;
use self::ranges::Ranges;
pub use self::shared::SharedStack;
use super::array_file::check_part;
use super::shape::origin_in;
use super::{StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::files::{read_text, remove_unfinished, unfinished_name, write_bytes_atomic};
use crate::geometry::Window;
use crate::images::decoded::map_type;
use crate::images::source::stem_of;

/// The largest side of the smallest level.
const SMALLEST: usize = 256;

/// A stack on its way into a Zarr folder.
pub(in crate::images) struct ZarrFile {
    stack: TypedStack,
    version: OmeVersion,
    axes: Axes,
    /// The folder while it is unfinished, beside its place.
    unfinished: PathBuf,
    /// Where the arrays of the levels stand in it, with a slash at the end where that is not the root.
    place: String,
    /// The images that this program writes.
    own: Range<usize>,
    /// The next of them, and how many of its rows have come.
    next: usize,
    rows: usize,
    /// Its channels, where not all of its rows have come.
    open: HashMap<usize, OpenPlane>,
    /// Those of the smallest levels; not known of stacks that others fill too, of which all programs have to say the same.
    ranges: Ranges,
    /// Whether the folder has got its name meanwhile, from another program that has written the same.
    is_named: bool,
    /// Whether what is unfinished stays when this is dropped.
    kept: bool,
}

impl ZarrFile {
    /// Begins the folder of a stack, or goes on with one of which some images have been written.
    ///
    /// # Errors
    /// [`Error::Output`] where something else has its name, where it cannot be written, and where the images are not there that
    /// should have been written.
    pub(super) fn begin(stack: TypedStack, version: OmeVersion) -> Result<Self> {
        let path = &stack.path;
        if path.file_name().is_none() {
            return Err(Error::output(path, "is no name of a folder; give one such as result.zarr"));
        }
        if path.exists() && !is_zarr(path) {
            let problem = "there is something else of that name, which is no Zarr folder; remove it or choose another name";
            return Err(Error::output(path, problem));
        }
        let unfinished = unfinished_name(path);
        let stem = stem_of(path);
        let place = if stack.classes.is_empty() { String::new() } else { format!("labels/{stem}/") };
        let axes = Axes::of(&stack);
        let own = stack.share.clone().unwrap_or(0..stack.extent.z);
        let next = own.start + stack.written;
        // What is another stack's stays where it is refused.
        let ranges = Ranges::new(axes.channel_count());
        let mut file = Self {
            stack,
            version,
            axes,
            unfinished,
            place,
            own,
            next,
            rows: 0,
            open: HashMap::new(),
            ranges,
            is_named: false,
            kept: true,
        };
        file.settle_replaced()?;
        if file.stack.share.is_some() {
            file.join()?;
            // Others write there.
            return Ok(file);
        }
        if file.stack.written > 0 {
            file.check_unfinished()?;
            file.read_ranges()?;
        } else {
            file.start()?;
        }
        file.kept = false;
        Ok(file)
    }

    fn failed(&self, error: io::Error) -> Error {
        let problem = format!("{error}; check the free space and that the folder may be written to");
        Error::output(&self.stack.path, problem).caused_by(error)
    }

    fn labels(&self) -> bool {
        !self.stack.classes.is_empty()
    }

    /// The rows and columns of each level.
    fn levels(&self) -> Vec<[usize; 2]> {
        let mut sides = [self.stack.extent.y, self.stack.extent.x];
        let mut levels = vec![sides];
        while sides.iter().any(|side| *side > SMALLEST) {
            sides = sides.map(|side| side.div_ceil(2));
            levels.push(sides);
        }
        levels
    }

    /// The metadata of the arrays of all levels, and in which files they stand inside the folder.
    fn arrays(&self) -> Vec<(String, Value)> {
        let array = |(level, [rows, columns]): (usize, [usize; 2])| {
            let (name, json) = self.version.array(&self.axes, self.stack.numbers, rows, columns);
            (format!("{}{level}/{name}", self.place), json)
        };
        self.levels().into_iter().enumerate().map(array).collect()
    }

    /// Writes a file of JSON inside the unfinished folder.
    fn write_json(&self, place: &str, json: &Value) -> Result<()> {
        self.write(&self.unfinished.join(place), json_text(json).as_bytes())
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| self.failed(error))?;
        }
        self.write_there(file, bytes)
    }

    /// Writes a file in a folder that is there.
    fn write_there(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        write_bytes_atomic(file, bytes).map_err(|error| self.of_result(error))
    }

    /// Refuses a place for the folder that is not there.
    fn check_place(&self) -> Result<()> {
        let parent = self.stack.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent
            && !parent.is_dir()
        {
            let problem = format!("the folder {} is not there; make the folder first", parent.display());
            return Err(Error::output(&self.stack.path, problem));
        }
        Ok(())
    }

    /// Makes the unfinished folder anew.
    fn start(&self) -> Result<()> {
        self.check_place()?;
        remove(&self.unfinished).map_err(|error| self.failed(error))?;
        for (place, json) in self.arrays() {
            self.write_json(&place, &json)?;
        }
        Ok(())
    }

    /// The images are gone that were written before.
    fn not_there(&self) -> Error {
        let problem = format!(
            "{} images of it were to be there in {}, which holds none or others; start it anew",
            self.stack.written,
            self.unfinished.display()
        );
        Error::output(&self.stack.path, problem)
    }

    /// Makes the unfinished folder, or takes part in filling the one that another program has made.
    fn join(&self) -> Result<()> {
        if self.stack.work.is_none() {
            let problem =
                "several programs fill it, and it is not said what it is a result of; give its `work`";
            return Err(Error::output(&self.stack.path, problem));
        }
        self.check_place()?;
        shared::take_back(&self.stack.path).map_err(|error| self.failed(error))?;
        for (place, json) in self.groups().into_iter().chain(self.arrays()) {
            // Of programs that find nothing here at the same time all write the same.
            match holds(&self.unfinished.join(&place), &json) {
                None => self.write_json(&place, &json)?,
                Some(true) => {}
                Some(false) => {
                    return Err(Error::output(&self.stack.path, shared::taken(&self.unfinished)));
                }
            }
        }
        // What this program has written before is not passed over where it is gone.
        let last_level = self.levels().len() - 1;
        let last = self.stack.channels.saturating_sub(1);
        let is_gone = |image: &usize| !self.file(last_level, *image, last, [0, 0]).exists();
        if (self.own.start..self.next).any(|image| is_gone(&image)) {
            return Err(self.not_there());
        }
        (0..=last_level).try_for_each(|level| {
            std::fs::create_dir_all(self.level(level)).map_err(|error| self.failed(error))
        })
    }

    /// Refuses an unfinished folder that is another stack's, and removes what a killed program left of an image in it, or of the
    /// groups.
    fn check_unfinished(&self) -> Result<()> {
        for (place, json) in self.arrays() {
            if holds(&self.unfinished.join(place), &json) != Some(true) {
                return Err(self.not_there());
            }
        }
        // What the groups say may have been half-written, when all images were there.
        for folder in ["", "labels", &self.place] {
            remove_unfinished(self.unfinished.join(folder));
        }
        for channel in 0..self.stack.channels {
            for level in 0..self.levels().len() {
                if let Some(folder) = self.file(level, self.next, channel, [0, 0]).parent() {
                    remove_unfinished(folder);
                }
            }
        }
        Ok(())
    }

    /// The file of a chunk or shard of one channel of an image, by its place among those of the image.
    fn file(&self, level: usize, image: usize, channel: usize, place: [usize; 2]) -> PathBuf {
        let mut file = self.level(level);
        let outer = self.axes.place(image, channel);
        file.extend(outer.into_iter().chain(place).map(|place| place.to_string()));
        file
    }

    /// The folder of the chunks of a level.
    fn level(&self, level: usize) -> PathBuf {
        let folder = self.unfinished.join(format!("{}{level}", self.place));
        if self.version == OmeVersion::V05 { folder.join("c") } else { folder }
    }

    /// Writes a chunk, in the folder of a level.
    fn write_chunk(&self, level: usize, file: &Path, bytes: &[u8]) -> Result<()> {
        self.make_folder(level, file)?;
        self.write_there(file, bytes)
    }

    /// Makes the folder of a chunk or shard, in the folder of a level.
    fn make_folder(&self, level: usize, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(file);
        if self.stack.share.is_none() {
            return std::fs::create_dir_all(folder).map_err(|error| self.failed(error));
        }
        // Of a folder that others fill too, the level must be there: else it has got its name meanwhile.
        let level = self.level(level);
        let mut folders: Vec<_> =
            folder.ancestors().take_while(|folder| **folder != level && folder.starts_with(&level)).collect();
        while let Some(folder) = folders.pop() {
            match std::fs::create_dir(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(self.failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the folder has its name, from another program that has written what was left.
    fn is_named_by_others(&self) -> bool {
        self.stack.share.is_some()
            && !self.unfinished.exists()
            && self.stack.work.as_deref().is_some_and(|work| shared::is_complete(&self.stack.path, work))
    }

    /// What the groups say, and in which files inside the folder. The last is what programs know the folder by.
    fn groups(&self) -> Vec<(String, Value)> {
        let stem = stem_of(&self.stack.path);
        let size = self.stack.layout.voxel_size();
        let origin = size.and_then(|size| origin_in(&self.stack, &size.unit));
        let annotations = self.stack.layout.annotations();
        let grid = Grid { size, origin, annotations };
        let multiscales = |place: &str| {
            self.version.multiscales(&stem, &self.axes, &grid, self.levels().len(), self.labels(), place)
        };
        let mut groups = Vec::new();
        let mut group = |place: &str, attributes: Value, work: Option<&str>| {
            let files = self.version.group(attributes, work).into_iter();
            groups.extend(files.map(|(name, json)| (format!("{place}{name}"), json)));
        };
        if self.labels() {
            let label = self.version.image_label(&self.stack.classes);
            group(&self.place, json!({"multiscales": multiscales(""), "image-label": label}), None);
            group("labels/", json!({"labels": [stem]}), None);
        }
        let mut image = json!({"multiscales": multiscales(&self.place)});
        let names = &annotations.channels;
        if !self.labels() && !names.is_empty() && names.len() == self.axes.channel_count() {
            image["omero"] = self.version.omero(names, &self.ranges.of(self.stack.numbers));
        }
        group("", image, self.stack.work.as_deref());
        groups
    }

    fn write_groups(&self) -> Result<()> {
        self.groups().iter().try_for_each(|(place, json)| self.write_json(place, json))
    }

    /// Brings back, or removes, a result that was about to be replaced when the program was killed.
    fn settle_replaced(&self) -> Result<()> {
        let replaced = replaced(&self.stack.path);
        if !replaced.exists() {
            return Ok(());
        }
        let settled = if self.stack.path.exists() {
            match self.stack.share {
                // Another program may be about to put it there.
                Some(_) => Ok(()),
                None => remove(&replaced),
            }
        } else {
            std::fs::rename(&replaced, &self.stack.path)
        };
        settled.map_err(|error| self.failed(error))
    }
}

impl StackFile for ZarrFile {
    fn takes_parts(&self) -> bool {
        false
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        let (extent, channels) = (self.stack.extent, self.stack.channels);
        let is_whole = part.rows() == (0..extent.y) || part.extent.z == 1;
        let is_next = part.z == self.next && part.y == self.rows && part.slices().end <= self.own.end;
        if !(is_whole && is_next && part.columns() == (0..extent.x)) {
            return Err(Error::Mismatch(format!(
                "{part} was given to {}, which takes whole images in order, of which {} is the next, or whole rows of that, of which {} is the next; give it those",
                self.stack.path.display(),
                self.next,
                self.rows
            )));
        }
        check_part(&self.stack, &part, &numbers)?;
        let pixels = part.extent.y * part.extent.x;
        let is_end = part.rows().end == extent.y;
        let mut numbers = Some(numbers);
        for image in 0..part.extent.z {
            for channel in 0..channels {
                if self.is_named {
                    break;
                }
                let start = (channel * part.extent.z + image) * pixels;
                // One plane is taken as it is: a copy of a large one takes as much again.
                let plane_of = |numbers: &DecodingResult| map_type!(numbers, values => values[start..start + pixels].to_vec());
                let numbers = match channels * part.extent.z {
                    1 => numbers.take(),
                    _ => numbers.as_ref().map(plane_of),
                };
                let Some(numbers) = numbers else { break };
                let rows = Plane { numbers, rows: part.extent.y, columns: extent.x };
                let open = self.open.remove(&channel);
                let mut open = open.unwrap_or_else(|| self.open_plane(part.z + image, channel));
                if let Err(error) = self.add_rows(&mut open, rows) {
                    self.is_named = self.is_named_by_others();
                    if !self.is_named {
                        return Err(error);
                    }
                }
                if !is_end {
                    self.open.insert(channel, open);
                }
            }
            self.next += usize::from(is_end);
        }
        self.rows = if is_end { 0 } else { part.rows().end };
        Ok(())
    }

    fn keep(&mut self) {
        self.kept = true;
    }

    fn done(self: Box<Self>) -> Result<()> {
        let (written, own) = (self.next - self.own.start, self.own.len());
        if written < own {
            let problem = format!("{written} of {own} images have been written; write the others too");
            return Err(Error::output(&self.stack.path, problem));
        }
        if let (Some(_), Some(work)) = (&self.stack.share, &self.stack.work) {
            return match shared::mark(&self.unfinished, &self.own) {
                Err(_) if self.is_named || self.is_named_by_others() => Ok(()),
                Err(error) => Err(error),
                Ok(()) => SharedStack::of(&self.stack.path, self.stack.extent.z, work).finish(),
            };
        }
        self.write_groups()?;
        let replaced = replaced(&self.stack.path);
        let is_there = self.stack.path.exists();
        if is_there {
            std::fs::rename(&self.stack.path, &replaced).map_err(|error| self.failed(error))?;
        }
        std::fs::rename(&self.unfinished, &self.stack.path).map_err(|error| self.failed(error))?;
        if is_there && let Err(error) = remove(&replaced) {
            log::warn!("{} cannot be removed: {error}", replaced.display());
        }
        Ok(())
    }
}

impl Drop for ZarrFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove(&self.unfinished)
        {
            log::debug!("{} cannot be removed: {error}", self.unfinished.display());
        }
    }
}

/// Where a result is kept while another takes its place.
fn replaced(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.replaced"))
}

/// JSON as the files of a folder have it.
fn json_text(json: &Value) -> String {
    format!("{json:#}\n")
}

/// Whether a file holds `json`, as [`json_text`] writes it; `None` where there is no file that can be read. What it holds else is not
/// taken apart, which might take many times the memory of its text.
fn holds(file: &Path, json: &Value) -> Option<bool> {
    let wanted = json_text(json);
    let found = read_text(file, wanted.len() as u64).ok()?;
    Some(found.is_some_and(|found| found == wanted))
}

/// Whether the folder at `path` is one of Zarr, or an empty one.
fn is_zarr(path: &Path) -> bool {
    let has = |name: &str| path.join(name).is_file();
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    path.is_dir() && (has("zarr.json") || has(".zgroup") || has(".zarray") || is_empty())
}

/// Removes a folder with all that is in it, where there is one.
fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes all that is written to it.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
