//! NumPy's `.npy` files: a line that says type, order and shape, and the numbers behind it.
//!
//! The format is NumPy's own: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use std::io::Read;

use super::ArrayLayout;
use super::head::Head;
use super::raw::sample_type;
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};

/// The first bytes of every such file.
pub(in crate::images) const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read: those of arrays have a hundred bytes.
pub(super) const MOST_HEADER_BYTES: usize = 64 << 10;

fn damaged(name: &str, what: impl std::fmt::Display) -> Error {
    Error::input(name, format!("is a damaged NPY file ({what}); save it again with numpy.save"))
}

/// What the header of a file says that begins with `bytes` and that messages call `name`.
///
/// # Errors
/// [`Error::Input`] for a header that is damaged or of a type that is no plain number.
pub(super) fn head(name: &str, bytes: &[u8]) -> Result<Head> {
    let failed = |_: std::io::Error| damaged(name, "its header is cut off");
    let mut file = bytes;
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(failed)?;
    if !start.starts_with(MAGIC) {
        return Err(damaged(name, "it does not begin as one"));
    }
    let (length, before) = match start[6] {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(failed)?;
            (usize::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(failed)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        other => return Err(damaged(name, format!("version {other}"))),
    };
    if length > MOST_HEADER_BYTES {
        return Err(damaged(name, format!("a header of {length} bytes")));
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header).map_err(failed)?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let field =
        |key: &str| value_of(&header, key).ok_or_else(|| damaged(name, format!("no {key} in its header")));
    let (numbers, big_endian) = type_of(name, field("descr")?)?;
    let columns_first = match field("fortran_order")? {
        "True" => true,
        "False" => false,
        other => return Err(damaged(name, format!("an order of '{other}'"))),
    };
    let mut shape = shape_of(field("shape")?).ok_or_else(|| damaged(name, "a shape that is none"))?;
    // A layout has the outermost axis first, however NumPy counts them.
    if columns_first {
        shape.reverse();
    }
    let layout = ArrayLayout { columns_first, ..ArrayLayout::plain(shape, numbers) };
    Ok(Head { layout, offset: before + length as u64, big_endian, scale: None })
}

/// What stands behind `'key':` in the text of a Python dictionary, up to the comma that ends it.
fn value_of<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let start = [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|key| Some(header.find(key)? + key.len()))?;
    let rest = header[start..].trim_start().strip_prefix(':')?.trim_start();
    let end = match rest.chars().next()? {
        '(' => rest.find(')')? + 1,
        '[' => rest.find(']')? + 1,
        _ => rest.find([',', '}'])?,
    };
    Some(rest[..end].trim())
}

/// The type of numbers that NumPy calls `descr`, such as `<f4`, and whether their highest byte comes first.
///
/// # Errors
/// [`Error::Input`] for types that are no plain numbers.
pub(super) fn type_of(name: &str, descr: &str) -> Result<(SampleType, bool)> {
    let wanted = || {
        let problem = format!(
            "holds numbers of type {descr}; wanted whole numbers or floats of up to 64 bits, convert them with astype and save it again"
        );
        Error::input(name, problem)
    };
    let text = descr.trim_matches(['\'', '"']);
    let (order, rest) = text.split_at_checked(1).ok_or_else(wanted)?;
    let big_endian = match order {
        ">" => true,
        "<" | "|" => false,
        "=" => cfg!(target_endian = "big"),
        _ => return Err(wanted()),
    };
    if rest == "b1" || rest == "?" {
        return Ok((SampleType { kind: SampleKind::Unsigned, bits: 8 }, false));
    }
    let (kind, bytes) = rest.split_at_checked(1).ok_or_else(wanted)?;
    let bits = bytes.parse::<u8>().ok().and_then(|bytes| bytes.checked_mul(8)).ok_or_else(wanted)?;
    let numbers = sample_type(&format!("{kind}{bits}")).ok_or_else(wanted)?;
    Ok((numbers, big_endian))
}

fn shape_of(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    inner.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use tiff::decoder::DecodingResult;

    use super::*;
    use crate::images::arrays::StoredArray;
    use crate::images::arrays::head::start_of;

    fn open(name: &str, file: File) -> Result<Box<dyn StoredArray>> {
        head(name, &start_of(name, &file, 0)?)?.open(name, file)
    }

    fn file(header: &str, numbers: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(MAGIC).unwrap();
        file.write_all(&[1, 0]).unwrap();
        file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(numbers).unwrap();
        file
    }

    #[test]
    fn type_order_and_shape_are_those_of_the_header() {
        let header = "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }\n";
        let array = open("a.npy", file(header, &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 255, 255])).unwrap();
        assert_eq!((array.layout().shape.as_slice(), array.layout().columns_first), (&[2, 3][..], false));
        let DecodingResult::I16(found) = array.read(&[1..2, 0..3]).unwrap() else { panic!("another type") };
        assert_eq!(found, [4, 5, -1]);
        let header = "{'shape': (2, 3), 'fortran_order': True, 'descr': '|b1'}";
        let array = open("a.npy", file(header, &[1; 6])).unwrap();
        assert_eq!((array.layout().shape.as_slice(), array.layout().columns_first), (&[3, 2][..], true));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let dictionary = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (header, part) in [
            (dictionary("'<c8'", "(1,)"), "numbers of type '<c8'"),
            (dictionary("[('a', '<f4')]", "(1,)"), "numbers of type ["),
            (dictionary("'|O'", "(1,)"), "numbers of type '|O'"),
            (dictionary("'<f4'", "(99999999999, 99999999999)"), "more numbers than can be counted"),
            (dictionary("'<f4'", "(9, 9)"), "ends at"),
            (dictionary("'<f4'", "(-1, 9)"), "a shape that is none"),
            ("{}".to_owned(), "no descr"),
        ] {
            let error = open("a.npy", file(&header, &[0; 4])).unwrap_err().to_string();
            assert!(error.contains(part), "{header}: {error}");
        }
    }
}
