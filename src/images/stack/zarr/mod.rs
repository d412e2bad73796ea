//! Stacks as OME-Zarr: folders in which each image is a file of its own, and smaller copies of it for viewers.
//!
//! - `axes`: where an image lies in the array. `planes`: an image in smaller sizes and in chunks; `levels`: its rows as they come, to the
//!   files of all sizes. `metadata`: files of JSON. `ranges`: how viewers show channels.
//! - `folder`: the folder while it is unfinished, and how it gets its name. `shared`: one that several programs fill, each with images of its own ([`SharedStack`]).
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
mod folder;
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
use self::folder::{is_zarr, remove};
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
use crate::files::{unfinished_name, write_bytes_atomic};
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
        self.give_name()
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

/// JSON as the files of a folder have it.
fn json_text(json: &Value) -> String {
    format!("{json:#}\n")
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
