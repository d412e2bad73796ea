//! The files of `torch.save`: the zip archive of PyTorch 1.6 and later, and the row of pickles of earlier ones.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::Problem;
use super::pickle::{self, Class, Id, Pickle, Value, shortened};
use super::tensors::{Element, Place, Tensors};

/// How a file of PyTorch before 1.6 starts: a pickle of a number that was chosen for it (protocol 2).
pub(super) const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// How a zip archive starts.
pub(super) const ZIP_START: &[u8] = b"PK\x03\x04";

/// The key of dlsia's files under which the description of the network is pickled, with classes.
const DLSIA: &str = "topo_dict";
const WANTED: &str = "wanted a file that torch.save wrote";

/// The tensors of a model's `state_dict`, which is the file's root or its entry of that name.
pub(super) fn read(bytes: &[u8]) -> Problem<Tensors<'_>> {
    let places = match bytes.starts_with(ZIP_START) {
        true => archive(bytes)?,
        false => legacy(bytes)?,
    };
    Ok(Tensors::new(bytes, places))
}

/// The zip archive: `data.pkl`, and one stored entry for each storage.
fn archive(bytes: &[u8]) -> Problem<BTreeMap<String, Place>> {
    let damaged =
        |error: &dyn std::fmt::Display| format!("is a damaged zip archive ({error}); copy the file again");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let mut entries: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(|error| damaged(&error))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(format!("has the compressed or encrypted entry {}; {WANTED}", shortened(&name)));
        }
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let end =
            start.zip(usize::try_from(entry.size()).ok()).and_then(|(start, size)| start.checked_add(size));
        let range = start.zip(end).map(|(start, end)| start..end).filter(|range| range.end <= bytes.len());
        entries.insert(name, range.ok_or_else(|| damaged(&"an entry lies outside the file"))?);
    }
    let root = entries.keys().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(root) = root else { return Err(format!("is a zip archive without data.pkl; {WANTED}")) };
    let folder = &root[..root.len() - "data.pkl".len()];
    if let Some(order) = entries.get(&format!("{folder}byteorder"))
        && &bytes[order.clone()] != b"little"
    {
        return Err(big_endian());
    }
    let pickle = pickle::read(&bytes[entries[root].clone()], allowed, DLSIA)?;
    state_dict(&pickle, |key| entries.get(&format!("{folder}data/{key}")).cloned())
}

/// The row of pickles: a magic number, a version, the machine, the object, and the keys of the storages, whose numbers
/// follow in the order of the keys, each after its length.
fn legacy(bytes: &[u8]) -> Problem<BTreeMap<String, Place>> {
    let mut at = LEGACY_START.len();
    let mut next = || -> Problem<Pickle<'_>> {
        let pickle = pickle::read(&bytes[at..], allowed, DLSIA)?;
        at += pickle.end;
        Ok(pickle)
    };
    let version = next()?;
    if *version.root() != Value::Int(1001) {
        return Err(format!("has a version of PyTorch's format that is not known; {WANTED}"));
    }
    let machine = next()?;
    if machine.entry(machine.root(), "little_endian") != Some(&Value::Bool(true)) {
        return Err(big_endian());
    }
    let object = next()?;
    let keys = next()?;
    let mut kept = BTreeMap::new();
    for value in object.values() {
        if let Value::Kept(description) = value {
            let storage = Storage::of(&object, *description)?;
            kept.insert(storage.key, storage.element);
        }
    }
    let damaged = || "has a damaged list of storages; copy the file again".to_string();
    let Value::List(list) = keys.root() else { return Err(damaged()) };
    let mut storages: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for &key in list {
        let Value::Text(key) = *keys.get(key) else { return Err(damaged()) };
        let element = kept.get(key).ok_or_else(damaged)?;
        let length = bytes.get(at..).and_then(|left| left.first_chunk::<8>()).map(|n| u64::from_le_bytes(*n));
        let start = at + 8;
        let end =
            length.and_then(|n| usize::try_from(n).ok()?.checked_mul(element.width())?.checked_add(start));
        let end = end.filter(|end| *end <= bytes.len()).ok_or_else(|| {
            format!("breaks off in the numbers of its tensors, at byte {}; copy the file again", bytes.len())
        })?;
        storages.insert(key, start..end);
        at = end;
    }
    state_dict(&object, |key| storages.get(key).cloned())
}

fn big_endian() -> String {
    "was written on a big-endian machine; save it again on another one".into()
}

/// The classes and functions that tensors and plain containers need.
fn allowed(class: Class) -> bool {
    match class.module {
        "collections" => class.name == "OrderedDict",
        "torch._utils" => matches!(class.name, "_rebuild_tensor_v2" | "_rebuild_parameter"),
        "torch" => element(class).is_some(),
        _ => false,
    }
}

/// The numbers in a storage of class `class`.
fn element(class: Class) -> Option<Element> {
    if class.module != "torch" {
        return None;
    }
    Some(match class.name {
        "FloatStorage" => Element::Float32,
        "DoubleStorage" => Element::Float64,
        "ComplexDoubleStorage" => Element::Other(16),
        "LongStorage" | "ComplexFloatStorage" => Element::Other(8),
        "IntStorage" => Element::Other(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Element::Other(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Element::Other(1),
        _ => return None,
    })
}

/// A storage as a pickle describes it: `('storage', class, key, device, length[, view])`.
struct Storage<'a> {
    key: &'a str,
    element: Element,
}

impl<'a> Storage<'a> {
    fn of(pickle: &Pickle<'a>, description: Id) -> Problem<Self> {
        let unknown =
            || format!("describes a tensor in a way that is not known; {WANTED} from version 0.4 on");
        let Value::Tuple(parts) = pickle.get(description) else { return Err(unknown()) };
        let parts: Vec<_> = parts.iter().map(|&id| pickle.get(id)).collect();
        match parts[..] {
            [Value::Text("storage"), Value::Class(class), Value::Text(key), _, _]
            | [Value::Text("storage"), Value::Class(class), Value::Text(key), _, _, Value::None] => {
                Ok(Self { key, element: element(*class).ok_or_else(unknown)? })
            }
            _ => Err(unknown()),
        }
    }
}

/// The tensors of the state_dict, whose storages `find` finds by key.
fn state_dict(
    pickle: &Pickle<'_>,
    find: impl Fn(&str) -> Option<Range<usize>>,
) -> Problem<BTreeMap<String, Place>> {
    let root = pickle.root();
    if pickle.entry(root, DLSIA).is_some() {
        return Err(super::dlsia());
    }
    let wanted = "wanted a state_dict, or a dictionary with the entry 'state_dict' as msd_pytorch saves it";
    let Value::Dict(entries) = pickle.entry(root, "state_dict").unwrap_or(root) else {
        return Err(format!("holds no dictionary of tensors; {wanted}"));
    };
    let mut places = BTreeMap::new();
    for &(name, tensor) in entries {
        let Value::Text(name) = pickle.get(name) else {
            return Err(format!("holds a dictionary whose keys are not names; {wanted}"));
        };
        let place = tensor_place(pickle, pickle.get(tensor), &find)?;
        let place =
            place.ok_or_else(|| format!("holds {}, which is not a tensor; {wanted}", shortened(name)))?;
        places.insert((*name).to_owned(), place);
    }
    Ok(places)
}

/// Where a tensor's numbers lie; `None` for a value that is not a tensor.
fn tensor_place(
    pickle: &Pickle<'_>,
    value: &Value<'_>,
    find: &impl Fn(&str) -> Option<Range<usize>>,
) -> Problem<Option<Place>> {
    let Some((mut function, mut arguments)) = called(pickle, value) else { return Ok(None) };
    if function == "_rebuild_parameter" {
        // Called with the tensor, which is never a parameter itself.
        let inner = arguments.first().and_then(|tensor| called(pickle, tensor));
        let Some(inner) = inner else { return Ok(None) };
        (function, arguments) = inner;
    }
    let ("_rebuild_tensor_v2", [Value::Kept(storage), Value::Int(offset), shape, strides, ..]) =
        (function, &arguments[..])
    else {
        return Ok(None);
    };
    let storage = Storage::of(pickle, *storage)?;
    let range =
        find(storage.key).ok_or_else(|| "lacks the numbers of a tensor; copy the file again".to_string())?;
    let damaged = || "has a tensor of an impossible size; copy the file again".to_string();
    Ok(Some(Place {
        element: storage.element,
        storage: range,
        offset: usize::try_from(*offset).map_err(|_| damaged())?,
        shape: sizes(pickle, shape).ok_or_else(damaged)?,
        strides: sizes(pickle, strides).ok_or_else(damaged)?,
    }))
}

/// The name of the function that would have given `value`, and its arguments.
fn called<'p, 'a>(pickle: &'p Pickle<'a>, value: &Value<'a>) -> Option<(&'a str, Vec<&'p Value<'a>>)> {
    let Value::Object { class, arguments } = value else { return None };
    match (pickle.get(*class), pickle.get(*arguments)) {
        (Value::Class(class), Value::Tuple(list)) if class.module == "torch._utils" => {
            Some((class.name, list.iter().map(|&id| pickle.get(id)).collect()))
        }
        _ => None,
    }
}

fn sizes(pickle: &Pickle<'_>, value: &Value<'_>) -> Option<Vec<usize>> {
    let Value::Tuple(list) = value else { return None };
    let size = |&id: &Id| match pickle.get(id) {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    // PyTorch has no tensors of more axes than this.
    if list.len() > 64 { None } else { list.iter().map(size).collect() }
}
