//! What the files `zarr.json`, `.zarray`, `.zgroup` and `.zattrs` say.
//!
//! The formats are those of <https://zarr-specs.readthedocs.io/>, versions 2 and 3.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::codecs::{MOST_BYTES, Pipeline};
use super::shards::Shards;
use crate::error::{Bytes, Error, Result};
use crate::files::read_text;
use crate::images::arrays::npy::type_of;
use crate::images::arrays::numbers::count_of;
use crate::images::arrays::raw::sample_type;
use crate::images::source::{SampleKind, SampleType};

/// The longest file of metadata that is read. Those of arrays have a few thousand bytes; where a group repeats what its members
/// say they are longer.
const MOST_JSON_BYTES: u64 = 2 << 20;
/// The most objects in such a file, each of which takes some hundred bytes however short it is. Those of metadata are longer than this allows.
const MOST_OBJECTS: usize = 1 << 16;
/// The most axes that an array may have; there is no letter for more.
const MOST_AXES: usize = 8;

/// What a folder is.
pub(super) enum Node {
    Array(ArrayJson, Attributes),
    Group(Attributes),
}

/// What the metadata of an array say, as it is written.
pub(super) enum ArrayJson {
    Version2(Box<Version2>),
    Version3(Box<Version3>),
}

/// What is said besides what Zarr needs: how images lie, by OME-Zarr and others.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Attributes {
    /// OME-Zarr from 0.5 on.
    pub(super) ome: Option<Value>,
    /// OME-Zarr up to 0.4.
    pub(super) multiscales: Option<Value>,
    pub(super) omero: Option<Value>,
    /// The names of axes, by xarray in version 2.
    #[serde(rename = "_ARRAY_DIMENSIONS")]
    pub(super) dimensions: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Version2 {
    shape: Vec<u64>,
    chunks: Vec<u64>,
    dtype: Value,
    compressor: Option<Value>,
    #[serde(default)]
    fill_value: Value,
    #[serde(default)]
    order: Option<String>,
    filters: Option<Vec<Value>>,
    dimension_separator: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Version3 {
    node_type: String,
    #[serde(default)]
    shape: Vec<u64>,
    #[serde(default)]
    data_type: Value,
    #[serde(default)]
    chunk_grid: Value,
    #[serde(default)]
    chunk_key_encoding: Value,
    #[serde(default)]
    fill_value: Value,
    #[serde(default)]
    codecs: Vec<Value>,
    dimension_names: Option<Value>,
    attributes: Option<Attributes>,
}

/// How chunks are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    /// Whether a `c` stands before the numbers.
    with_c: bool,
    separator: char,
}

impl Keys {
    /// The name of the chunk at `place`, counted in chunks.
    pub(super) fn name(self, place: &[usize]) -> String {
        let numbers = place.iter().map(usize::to_string);
        let parts: Vec<String> = self.with_c.then(|| "c".to_owned()).into_iter().chain(numbers).collect();
        parts.join(&self.separator.to_string())
    }
}

/// How the numbers of an array are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: SampleType,
    /// How long along each axis the part is that has a file.
    pub(super) chunk: Vec<usize>,
    pub(super) keys: Keys,
    /// The bytes of the number, lowest first, that stands where there is no file.
    pub(super) fill: Vec<u8>,
    pub(super) packing: Packing,
    /// The names of the axes, where there are some.
    pub(super) names: Option<Value>,
}

/// What is in the file of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Packing {
    /// The numbers.
    Whole(Pipeline),
    /// Smaller chunks and a list of where they are.
    Shards(Shards),
}

/// What the folder is; `None` where it is nothing of Zarr.
///
/// # Errors
/// [`Error::Input`] for files that cannot be read, or say what is no metadata.
pub(super) fn node(folder: &Path) -> Result<Option<Node>> {
    if let Some(mut array) = json::<Version3>(&folder.join("zarr.json"))? {
        let attributes = array.attributes.take().unwrap_or_default();
        return Ok(Some(match array.node_type.as_str() {
            "array" => Node::Array(ArrayJson::Version3(Box::new(array)), attributes),
            _ => Node::Group(attributes),
        }));
    }
    let array = json::<Version2>(&folder.join(".zarray"))?;
    let attributes = json::<Attributes>(&folder.join(".zattrs"))?;
    let is_group = attributes.is_some() || folder.join(".zgroup").is_file();
    let attributes = attributes.unwrap_or_default();
    Ok(match array {
        Some(array) => Some(Node::Array(ArrayJson::Version2(Box::new(array)), attributes)),
        None => is_group.then_some(Node::Group(attributes)),
    })
}

/// What the file at `path` says; `None` where there is none.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    // Anything else than a file, such as a pipe, might never end.
    let Ok(found) = std::fs::metadata(path) else { return Ok(None) };
    if !found.is_file() {
        return Ok(None);
    }
    let text = read_text(path, MOST_JSON_BYTES)?.ok_or_else(|| {
        let problem = format!(
            "has more than {}, which no metadata of an array have; export it again",
            Bytes(MOST_JSON_BYTES)
        );
        Error::input(path, problem)
    })?;
    if text.bytes().filter(|byte| *byte == b'{').count() > MOST_OBJECTS {
        let problem = format!(
            "describes more than {MOST_OBJECTS} things, which no metadata of an array do; export it again"
        );
        return Err(Error::input(path, problem));
    }
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| {
        let problem = format!("does not say how an array is stored ({error}); copy or export it again");
        Error::input(path, problem)
    })
}

impl ArrayJson {
    /// How the array called `name` is stored.
    ///
    /// # Errors
    /// [`Error::Input`] for metadata that do not fit together, or say what is not read.
    pub(super) fn stored(self, name: &str) -> Result<Stored> {
        let stored = match self {
            ArrayJson::Version2(array) => array.stored(name)?,
            ArrayJson::Version3(array) => array.stored().map_err(|problem| unreadable(name, &problem))?,
        };
        stored.check().map_err(|problem| unreadable(name, &problem))?;
        Ok(stored)
    }
}

/// The error for an array that says of itself what cannot be.
fn unreadable(name: &str, problem: &str) -> Error {
    Error::input(name, format!("cannot be read, as {problem}; export it again"))
}

fn lengths(numbers: &[u64]) -> std::result::Result<Vec<usize>, String> {
    numbers
        .iter()
        .map(|number| usize::try_from(*number).map_err(|_| "it is larger than can be counted".into()))
        .collect()
}

/// The lengths in a list of JSON, such as the shape of a chunk.
pub(super) fn lengths_in(list: Option<&Value>) -> std::result::Result<Vec<usize>, String> {
    let list = list.and_then(Value::as_array).ok_or("it does not say how large a chunk is")?;
    let numbers: Option<Vec<u64>> = list.iter().map(Value::as_u64).collect();
    lengths(&numbers.ok_or("it has chunks of a size that is none")?)
}

/// The name and the settings of a part that can be extended, such as a codec.
pub(super) fn named(part: &Value) -> (&str, &Value) {
    let name = part.as_str().or_else(|| part.get("name").and_then(Value::as_str));
    (name.unwrap_or_default(), part.get("configuration").unwrap_or(&Value::Null))
}

impl Version2 {
    fn stored(self, name: &str) -> Result<Stored> {
        let Some(dtype) = self.dtype.as_str() else {
            return Err(unreadable(name, "its numbers are records of several fields"));
        };
        let (numbers, big_endian) = type_of(name, dtype)?;
        self.stored_as(numbers, big_endian).map_err(|problem| unreadable(name, &problem))
    }

    fn stored_as(self, numbers: SampleType, big_endian: bool) -> std::result::Result<Stored, String> {
        let rank = self.shape.len();
        let mut pipeline = Pipeline::default();
        if self.order.as_deref() == Some("F") {
            pipeline.reverse_axes(rank);
        }
        let filters = self.filters.unwrap_or_default();
        for codec in filters.iter().chain(self.compressor.as_ref().filter(|codec| !codec.is_null())) {
            let id = codec.get("id").and_then(Value::as_str).unwrap_or_default();
            if id == "transpose" {
                return Err("its numbers are packed with 'transpose', which is none of its version".into());
            }
            pipeline.add(id, codec, rank)?;
        }
        pipeline.big_endian = big_endian;
        let separator = if self.dimension_separator.as_deref() == Some("/") { '/' } else { '.' };
        Ok(Stored {
            shape: lengths(&self.shape)?,
            numbers,
            chunk: lengths(&self.chunks)?,
            keys: Keys { with_c: false, separator },
            fill: fill(numbers, &self.fill_value)?,
            packing: Packing::Whole(pipeline),
            names: None,
        })
    }
}

impl Version3 {
    fn stored(self) -> std::result::Result<Stored, String> {
        let (data_type, _) = named(&self.data_type);
        let numbers = match data_type {
            "bool" => Some(SampleType { kind: SampleKind::Unsigned, bits: 8 }),
            other => sample_type(other),
        };
        let numbers = numbers.ok_or_else(|| {
            format!("its numbers are of type '{data_type}', wanted whole numbers or floats of up to 64 bits")
        })?;
        let (grid, settings) = named(&self.chunk_grid);
        if grid != "regular" {
            return Err(format!("its chunks lie in a grid called '{grid}', wanted a regular one"));
        }
        let chunk = lengths_in(settings.get("chunk_shape"))?;
        let (encoding, settings) = named(&self.chunk_key_encoding);
        let with_c = match encoding {
            "default" => true,
            "v2" => false,
            other => {
                return Err(format!("its chunks are named in a way called '{other}', wanted default or v2"));
            }
        };
        let separator = match settings.get("separator").and_then(Value::as_str) {
            Some("/") => '/',
            Some(".") => '.',
            _ if with_c => '/',
            _ => '.',
        };
        let rank = self.shape.len();
        let mut pipeline = Pipeline::default();
        let mut shards = None;
        for codec in &self.codecs {
            let (codec, settings) = named(codec);
            if shards.is_some() || codec == "sharding_indexed" && !pipeline.is_plain() {
                return Err(
                    "its shards are packed once more as a whole; wanted chunks packed by themselves".into()
                );
            }
            if codec == "sharding_indexed" {
                shards = Some(Shards::of(settings, &chunk)?);
            } else {
                pipeline.add(codec, settings, rank)?;
            }
        }
        Ok(Stored {
            shape: lengths(&self.shape)?,
            numbers,
            chunk,
            keys: Keys { with_c, separator },
            fill: fill(numbers, &self.fill_value)?,
            packing: shards.map_or(Packing::Whole(pipeline), Packing::Shards),
            names: self.dimension_names,
        })
    }
}

impl Stored {
    /// How long along each axis the part is that is unpacked at once.
    pub(super) fn block(&self) -> &[usize] {
        match &self.packing {
            Packing::Whole(_) => &self.chunk,
            Packing::Shards(shards) => &shards.inner,
        }
    }

    /// The bytes of a number.
    pub(super) fn element_bytes(&self) -> usize {
        usize::from(self.numbers.bits).div_ceil(8)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let (rank, block) = (self.shape.len(), self.block());
        if rank == 0 || rank > MOST_AXES {
            return Err(format!("it has {rank} axes, wanted 2 to 5"));
        }
        if self.chunk.len() != rank
            || block.len() != rank
            || self.chunk.iter().chain(block).any(|length| *length == 0)
        {
            return Err(format!(
                "its chunks are of {:?} numbers, wanted {rank} lengths of at least 1",
                self.chunk
            ));
        }
        if self.shape.contains(&0) {
            return Err("it is an array without numbers, wanted at least one pixel".into());
        }
        let bytes =
            |lengths: &[usize]| count_of(lengths).and_then(|count| count.checked_mul(self.element_bytes()));
        if bytes(&self.shape).is_none() {
            return Err("it says that it has more numbers than can be counted".into());
        }
        match bytes(block) {
            Some(bytes) if bytes <= MOST_BYTES => Ok(()),
            _ => Err(format!(
                "its chunks are of {block:?} numbers, wanted at most {}",
                Bytes(MOST_BYTES as u64)
            )),
        }
    }
}

/// The bytes, lowest first, of the number that is said to stand where there is none.
fn fill(numbers: SampleType, value: &Value) -> std::result::Result<Vec<u8>, String> {
    let bytes = usize::from(numbers.bits) / 8;
    let wrong = || format!("its fill value {value} is no {numbers}");
    let whole = |value: &Value| match value {
        Value::Bool(value) => Some(i128::from(*value)),
        value => {
            let float = || value.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i128);
            value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)).or_else(float)
        }
    };
    if value.is_null() {
        return Ok(vec![0; bytes]);
    }
    if numbers.kind == SampleKind::Float {
        let float = match value.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            Some(text) => {
                let bits = text.strip_prefix("0x").and_then(|bits| u64::from_str_radix(bits, 16).ok());
                return bits.map(|bits| bits.to_le_bytes()[..bytes].to_vec()).ok_or_else(wrong);
            }
            None => value.as_f64().ok_or_else(wrong)?,
        };
        return Ok(match bytes {
            2 => half::f16::from_f64(float).to_le_bytes().to_vec(),
            4 => (float as f32).to_le_bytes().to_vec(),
            _ => float.to_le_bytes().to_vec(),
        });
    }
    let number = whole(value).ok_or_else(wrong)?;
    let (least, most) = match numbers.kind {
        SampleKind::Signed => (-(1 << (numbers.bits - 1)), (1 << (numbers.bits - 1)) - 1),
        _ => (0, (1_i128 << numbers.bits) - 1),
    };
    if !(least..=most).contains(&number) {
        return Err(wrong());
    }
    Ok(number.to_le_bytes()[..bytes].to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fill_values_are_those_of_either_version() {
        let of = |kind, bits, value| fill(SampleType { kind, bits }, &value);
        assert_eq!(of(SampleKind::Unsigned, 16, json!(258)).unwrap(), [2, 1]);
        assert_eq!(of(SampleKind::Signed, 8, json!(-1)).unwrap(), [255]);
        assert_eq!(of(SampleKind::Unsigned, 8, json!(true)).unwrap(), [1]);
        assert_eq!(of(SampleKind::Unsigned, 64, json!(u64::MAX)).unwrap(), [255; 8]);
        assert_eq!(of(SampleKind::Float, 32, json!("-Infinity")).unwrap(), f32::NEG_INFINITY.to_le_bytes());
        assert_eq!(of(SampleKind::Float, 16, json!("0x7e01")).unwrap(), [1, 0x7e]);
        assert_eq!(of(SampleKind::Float, 64, json!(null)).unwrap(), [0; 8]);
        for wrong in [json!(-1), json!(256), json!("x"), json!(0.5), json!([1])] {
            of(SampleKind::Unsigned, 8, wrong).unwrap_err();
        }
    }

    #[test]
    fn chunks_are_called_as_each_version_has_it() {
        let name = |with_c, separator| Keys { with_c, separator }.name(&[1, 0, 20]);
        assert_eq!(name(true, '/'), "c/1/0/20");
        assert_eq!(name(false, '.'), "1.0.20");
    }
}
