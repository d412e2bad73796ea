//! HDF5 files: which dataset is meant, and how its numbers are stored.
//!
//! - `source`, `checksum`: the bytes of a file, for the library that reads its structure. `attributes`: axes and pixels.
//! - `links`: links to other places and files. `opened`: a file, what is at a path of it, and the files that it leads to. `search`:
//!   all datasets of a file.
//! - `beside`: what a file holds that is no image.
//! - `bitshuffle`, `lz4`, `filters`, `chunks`: numbers that are stored in chunks. `virtuals`: those that are in other datasets.

mod attributes;
mod beside;
mod bitshuffle;
mod checksum;
mod chunks;
mod filters;
mod links;
mod lz4;
mod opened;
mod search;
mod source;
mod virtuals;

use std::fs::File as SystemFile;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5_pure::{ChunkIndex, Dataset, Datatype, DatatypeByteOrder, Group, Layout};
use tiff::decoder::DecodingResult;

pub(crate) use self::beside::{DatasetPlace, Hdf5File};
pub(in crate::images) use self::checksum::checksum;
use self::chunks::Chunked;
use self::links::TreeList;
use self::opened::{At, Object, Opened};
use self::search::{Found, Held};
use self::virtuals::{Around, Virtual};
use super::contiguous::{Contiguous, bytes_of};
use super::list::{Candidate, chosen, what_there_is};
use super::numbers::{copy_common, from_bytes, lengths, zeros};
use super::{ArrayLayout, StoredArray};
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};

/// More datasets than this are not looked at where none is named.
const MOST_DATASETS: usize = 2000;
/// The most bytes of a dataset that is stored inside its header.
const MOST_COMPACT_BYTES: u64 = 64 << 10;

fn damaged(name: &str, what: &str) -> Error {
    // Forms that came later than what is read, such as those of HDF5 2.0 where it is asked for its latest.
    if what.contains("data layout version: 5") {
        let problem = "is stored in a newer form than is read (data layout version 5); store it again with h5py.File(..., libver=('earliest', 'v114'))";
        return Error::input(name, problem);
    }
    // What a library says of a file may have several sentences.
    let what = what.split(['\n', ';']).next().unwrap_or_default().trim_end_matches('.');
    Error::input(name, format!("is a damaged HDF5 file ({what}); copy or export it again"))
}

/// The dataset that `inside` names in the file at `path`: its path, or that of a group that has only one; without a name the only
/// one of the whole file. Links are followed, also to files beside it.
///
/// # Errors
/// [`Error::Input`] for what is damaged or not read, and where it is to be said which dataset is meant.
pub(super) fn open(
    path: &Path,
    system_file: SystemFile,
    inside: Option<&str>,
) -> Result<Box<dyn StoredArray>> {
    let (file, place, dataset) = find(Opened::new(path, system_file)?, inside.unwrap_or_default())?;
    let name = format!("{}:{place}", file.name());
    let linked_files = if file.path == path { Vec::new() } else { vec![file.path.clone()] };
    of_dataset(&name, file, &place, dataset, linked_files, Around::default())
}

/// The dataset that `inside` names in `file`, as [`open`] has it, in the file that it is in.
fn find(file: Opened, inside: &str) -> Result<(Opened, String, Dataset)> {
    match file.at(inside)? {
        Some(At::Here(place, Object::Dataset(dataset))) => Ok((file, place, dataset)),
        Some(At::Here(place, Object::Group(group))) => only(file, &place, &group),
        Some(At::Elsewhere(outward)) => {
            let other = file.beside(&outward)?;
            find(other, &outward.place)
        }
        None => {
            let mut found = search::datasets(&file, "", &file.file.root(), MOST_DATASETS)?;
            search::drop_doubles(&mut found);
            let all: Vec<&Candidate> = found.iter().map(|found| &found.candidate).collect();
            let inside = inside.trim_matches('/');
            let problem = format!("holds no dataset '/{inside}'; {}", what_there_is(&all));
            Err(Error::input(file.name(), problem))
        }
    }
}

/// The only dataset inside `group`, at `path`, that can be images, in the file that it is in.
fn only(file: Opened, path: &str, group: &Group) -> Result<(Opened, String, Dataset)> {
    let mut found = search::datasets(&file, path, group, MOST_DATASETS)?;
    search::drop_doubles(&mut found);
    let all: Vec<&Candidate> = found.iter().map(|found| &found.candidate).collect();
    let chosen = chosen(&file.name(), "dataset", &all)?;
    let Found { candidate, held, .. } = found.swap_remove(chosen);
    match held {
        Held::Here(dataset) => Ok((file, candidate.place, dataset)),
        Held::Elsewhere(outward) => {
            let gone = || damaged(&file.name(), "its links have just been changed");
            file.linked(&outward)?.ok_or_else(gone)
        }
        Held::Again => find(file, &candidate.place),
    }
}

fn shape_of(shape: &[u64]) -> Option<Vec<usize>> {
    shape.iter().map(|length| usize::try_from(*length).ok()).collect()
}

/// The type of numbers, and whether their first byte counts most; `None` where they are none that are read.
fn sample_type(datatype: &Datatype) -> Option<(SampleType, bool)> {
    let is_big = |order: &DatatypeByteOrder| match order {
        DatatypeByteOrder::LittleEndian => Some(false),
        DatatypeByteOrder::BigEndian => Some(true),
        DatatypeByteOrder::Vax => None,
    };
    match datatype {
        Datatype::FixedPoint { size: size @ (1 | 2 | 4 | 8), byte_order, layout }
            if layout.bit_offset == 0 && u32::from(layout.bit_precision) == size * 8 =>
        {
            let kind = if layout.signed { SampleKind::Signed } else { SampleKind::Unsigned };
            Some((SampleType { kind, bits: *size as u8 * 8 }, is_big(byte_order)?))
        }
        Datatype::FloatingPoint { size, byte_order, layout } => {
            // The floats of IEEE 754; others of the same size, such as bfloat16, have other parts.
            let parts = (layout.exponent_size, layout.mantissa_size, layout.exponent_bias);
            match (size, parts) {
                (2, (5, 10, 15)) | (4, (8, 23, 127)) | (8, (11, 52, 1023)) => {
                    Some((SampleType { kind: SampleKind::Float, bits: *size as u8 * 8 }, is_big(byte_order)?))
                }
                _ => None,
            }
        }
        // Names for numbers, which true and false are too.
        Datatype::Enumeration { base_type, .. } => {
            let (numbers, big_endian) = sample_type(base_type)?;
            match numbers {
                SampleType { kind: SampleKind::Signed, bits: 8 } => {
                    Some((SampleType { kind: SampleKind::Unsigned, bits: 8 }, big_endian))
                }
                SampleType { kind: SampleKind::Float, .. } => None,
                numbers => Some((numbers, big_endian)),
            }
        }
        _ => None,
    }
}

/// What a dataset holds whose type is none of numbers that are read, and what else can be done about it.
fn other_type(datatype: &Datatype) -> (&'static str, &'static str) {
    let is_text = |base: &Datatype| matches!(base, Datatype::String { .. });
    match datatype {
        Datatype::String { .. } | Datatype::VariableLength { is_string: true, .. } => ("texts", ""),
        Datatype::VariableLength { base_type, .. } if is_text(base_type) => ("texts", ""),
        Datatype::VariableLength { .. } => ("lists of different lengths", ""),
        Datatype::Compound { members, .. } => match members.as_slice() {
            [real, imaginary] if (real.name.as_str(), imaginary.name.as_str()) == ("r", "i") => (
                "complex numbers",
                ", or store a part of them with h5py: new['data'] = old['data'][...].real",
            ),
            _ => (
                "records of several fields",
                ", or store one of the fields with h5py: new['data'] = old['data'][...]['field']",
            ),
        },
        Datatype::Reference { .. } => ("references to other places in the file", ""),
        Datatype::Opaque { .. } => ("bytes of which nothing says what they are", ""),
        Datatype::Array { .. } => {
            ("arrays in each of its elements", ", or store them with h5py: new['data'] = old['data'][...]")
        }
        _ => (
            "numbers of a type that is not read",
            ", or store it in another with h5py: new['data'] = old['data'][...].astype('f4')",
        ),
    }
}

/// The dataset at `place` of `file`, where links have led to the `linked_files`; it may be a part of virtual datasets `around` it.
fn of_dataset(
    name: &str,
    file: Opened,
    place: &str,
    dataset: Dataset,
    linked_files: Vec<PathBuf>,
    around: Around,
) -> Result<Box<dyn StoredArray>> {
    let failed = |error: hdf5_pure::Error| damaged(name, &error.to_string());
    let datatype = dataset.datatype().map_err(failed)?;
    let Some((numbers, big_endian)) = sample_type(&datatype) else {
        let (what, way_out) = other_type(&datatype);
        let problem = format!(
            "holds {what}; wanted whole numbers or floats of up to 64 bits: name another dataset{way_out}"
        );
        return Err(Error::input(name, problem));
    };
    let shape = shape_of(&dataset.shape().map_err(failed)?);
    let shape = shape.ok_or_else(|| damaged(name, "more numbers than can be counted"))?;
    if !(2..=5).contains(&shape.len()) {
        let problem = format!(
            "is a dataset of {} axes; wanted two to five, with rows and columns among them, name another one",
            shape.len()
        );
        return Err(Error::input(name, problem));
    }
    // Attributes that cannot be read do not keep anybody from the numbers.
    let attributes = dataset.attrs().unwrap_or_default();
    let layout = ArrayLayout {
        axes: attributes::axes(&attributes, shape.len()),
        voxel_size: attributes::voxel_size(&attributes),
        linked_files,
        ..ArrayLayout::plain(shape, numbers)
    };
    let stored = dataset.layout().map_err(failed)?;
    if stored == Layout::Virtual {
        let array = Virtual::open(name, file, place, (layout, big_endian), around)?;
        bytes_of(name, array.layout())?;
        return Ok(Box::new(array));
    }
    let bytes = bytes_of(name, &layout)?;
    let tree = match stored {
        Layout::Chunked { index: ChunkIndex::BTreeV2, .. } => {
            let said = file.groups.object(place).and_then(|object| file.groups.said_of(object));
            let said = said.ok_or_else(|| damaged(name, "its list of chunks"))?;
            let chunks = file.groups.chunks_of_tree(name, &said.layout, layout.shape.len())?;
            Some(TreeList { chunks, fill: said.number_for_nothing(numbers) })
        }
        _ => None,
    };
    let file = file.system_file;
    match stored {
        Layout::Contiguous { address: Some(address), .. } => {
            Ok(Box::new(Contiguous::new(name, file, address, big_endian, layout)?))
        }
        Layout::Contiguous { address: None, .. } => {
            let problem = if is_external(&dataset, &layout) {
                "has its numbers in other files (external storage), which are not read; store it again in one file with h5py: new['data'] = old['data'][...]"
            } else {
                "has no numbers in this file, as nothing was written to it yet; wait for it, or write it again"
            };
            Err(Error::input(name, problem))
        }
        Layout::Compact { .. } if bytes <= MOST_COMPACT_BYTES => {
            let stored = dataset.read_raw().map_err(failed)?;
            Ok(Box::new(InMemory {
                name: name.to_owned(),
                numbers: from_bytes(numbers, big_endian, &stored),
                layout,
            }))
        }
        Layout::Chunked { chunk_shape, index } => {
            let block = shape_of(&chunk_shape)
                .filter(|block| block.len() == layout.shape.len() && !block.contains(&0));
            let block = block.ok_or_else(|| damaged(name, "its chunks have no size"))?;
            Ok(Box::new(Chunked::new(name, file, dataset, (layout, big_endian), block, (index, tree))?))
        }
        _ => Err(damaged(name, "its numbers are stored in no way that there is")),
    }
}

/// Whether a dataset without a place in its file has its numbers in other files, as far as its library tells.
fn is_external(dataset: &Dataset, layout: &ArrayLayout) -> bool {
    /// A row of what was never written is all that is read to find out.
    const MOST_ROW_BYTES: u64 = 1 << 20;
    let row = layout.shape[1..].iter().fold(u64::from(layout.numbers.bits.div_ceil(8)), |bytes, length| {
        bytes.saturating_mul(*length as u64)
    });
    row <= MOST_ROW_BYTES
        && dataset
            .read_raw_rows(0, 1)
            .is_err_and(|error| error.to_string().to_lowercase().contains("external"))
}

/// A small array whose numbers were read already.
#[derive(Debug)]
struct InMemory {
    name: String,
    layout: ArrayLayout,
    numbers: DecodingResult,
}

impl StoredArray for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        let mut found = zeros(&self.name, self.layout.numbers, &lengths(part))?;
        let whole: Vec<Range<usize>> = self.layout.shape.iter().map(|length| 0..*length).collect();
        copy_common(&mut found, part, &self.numbers, &whole)
            .ok_or_else(|| damaged(&self.name, "it ends too early"))?;
        Ok(found)
    }
}
