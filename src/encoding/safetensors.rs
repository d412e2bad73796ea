//! Writing safetensors files whose bytes depend on their content alone.
//!
//! The `safetensors` crate takes the metadata as a `HashMap`, whose order differs from run to run; it is used for reading.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A tensor of float32, as it stands in a file.
pub(crate) struct Float32Tensor<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its extents, which multiply to the number of values.
    pub(crate) shape: Vec<usize>,
    /// Its values.
    pub(crate) values: &'a [f32],
}

/// The header: the metadata, and then the tensors, in the order in which they were given.
struct Header<'a> {
    tensors: &'a [Float32Tensor<'a>],
    metadata: &'a [(&'a str, String)],
}

#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

struct Metadata<'a>(&'a [(&'a str, String)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry("__metadata__", &Metadata(self.metadata))?;
        let mut start = 0;
        for tensor in self.tensors {
            let end = start + size_of_val(tensor.values);
            let entry = Entry { dtype: "F32", shape: &tensor.shape, data_offsets: [start, end] };
            map.serialize_entry(tensor.name, &entry)?;
            start = end;
        }
        map.end()
    }
}

/// The bytes of a file with these tensors and this text beside them.
///
/// # Errors
/// When the header cannot be written as JSON.
pub(crate) fn safetensors_bytes(
    tensors: &[Float32Tensor],
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut header = serde_json::to_vec(&Header { tensors, metadata })?;
    // Readers map the file into memory, so the values begin at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let values: usize = tensors.iter().map(|tensor| size_of_val(tensor.values)).sum();
    let mut bytes = Vec::with_capacity(8 + header.len() + values);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for tensor in tensors {
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn the_crate_reads_what_is_written_and_equal_content_gives_equal_bytes() {
        let values = [1.0_f32, -2.5, 3.0, 4.0, 5.0, 6.0];
        let write = || {
            let tensors = [
                Float32Tensor { name: "b", shape: vec![2, 2], values: &values[..4] },
                Float32Tensor { name: "a", shape: vec![2], values: &values[4..] },
                Float32Tensor { name: "none", shape: vec![0], values: &[] },
            ];
            let metadata: Vec<(String, String)> =
                (0..12).map(|n| (format!("name{n}"), format!("a \"text\" {n}"))).collect();
            let metadata: Vec<(&str, String)> =
                metadata.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
            safetensors_bytes(&tensors, &metadata).unwrap()
        };
        let bytes = write();
        assert_eq!(bytes, write());
        let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(length % 8, 0);
        assert_eq!(header.metadata().as_ref().unwrap()["name7"], "a \"text\" 7");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let b = file.tensor("b").unwrap();
        assert_eq!((b.shape(), b.data().len()), (&[2, 2][..], 16));
        assert_eq!(b.data()[4..8], (-2.5_f32).to_le_bytes());
        assert_eq!(file.tensor("a").unwrap().data()[..4], 5.0_f32.to_le_bytes());
        assert!(file.tensor("none").unwrap().data().is_empty());
    }
}
