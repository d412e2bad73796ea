//! Named tensors in a file's bytes, turned into numbers only when asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Problem;
use super::pickle::shortened;

/// How a number is stored, least significant byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Float32,
    Float64,
    /// Something that holds no parameters, of this many bytes.
    Other(usize),
}

impl Element {
    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Element::Float32 => 4,
            Element::Float64 => 8,
            Element::Other(width) => width,
        }
    }
}

/// Where a tensor's numbers lie.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub element: Element,
    /// The bytes of the storage that the tensor is a view of.
    pub storage: Range<usize>,
    /// Place of the tensor's first number in the storage, in numbers.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Distance in numbers between neighbours, for each axis.
    pub strides: Vec<usize>,
}

/// The tensors of a file.
///
/// A tensor that PyTorch pruned (`torch.nn.utils.prune`) is stored as `NAME_orig` and `NAME_mask`; here it is `NAME`, their
/// product.
#[derive(Debug)]
pub(super) struct Tensors<'a> {
    bytes: &'a [u8],
    places: BTreeMap<String, Place>,
    /// Of each pruned tensor what its numbers are multiplied by.
    masks: BTreeMap<String, Place>,
}

impl<'a> Tensors<'a> {
    /// The tensors at `places` in the file's `bytes`.
    pub fn new(bytes: &'a [u8], mut places: BTreeMap<String, Place>) -> Self {
        let pruned: Vec<String> = places
            .keys()
            .filter_map(|name| name.strip_suffix("_orig"))
            .filter(|name| places.contains_key(&format!("{name}_mask")) && !places.contains_key(*name))
            .map(str::to_owned)
            .collect();
        let mut masks = BTreeMap::new();
        for name in pruned {
            let parts = (places.remove(&format!("{name}_orig")), places.remove(&format!("{name}_mask")));
            if let (Some(original), Some(mask)) = parts {
                places.insert(name.clone(), original);
                masks.insert(name, mask);
            }
        }
        Self { bytes, places, masks }
    }

    /// Bytes of the whole file.
    pub fn file_length(&self) -> usize {
        self.bytes.len()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The shape of tensor `name`.
    pub fn shape(&self, name: &str) -> Problem<&[usize]> {
        Ok(&self.place(name)?.shape)
    }

    /// The numbers of tensor `name`, the last axis fastest; its shape must be `shape`.
    pub fn read(&self, name: &str, shape: &[usize]) -> Problem<Vec<f32>> {
        let mut numbers = self.numbers(name, self.place(name)?, shape)?;
        if let Some(mask) = self.masks.get(name) {
            let mask = self.numbers(&format!("{name}_mask"), mask, shape)?;
            numbers.iter_mut().zip(mask).for_each(|(number, mask)| *number *= mask);
        }
        Ok(numbers)
    }

    /// The numbers at `place`, those of the tensor `name`.
    fn numbers(&self, name: &str, place: &Place, shape: &[usize]) -> Problem<Vec<f32>> {
        let refuse =
            |found: String| format!("{found}; wanted {shape:?} in float32, as the other tensors say");
        let name = shortened(name);
        if place.shape != shape || place.strides.len() != shape.len() {
            return Err(refuse(format!("has the tensor {name} of shape {:?}", place.shape)));
        }
        let number: fn(&[u8]) -> Option<f32> = match place.element {
            Element::Float32 => |bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)),
            Element::Float64 => |bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?) as f32),
            Element::Other(_) => {
                return Err(refuse(format!("has the tensor {name} in numbers of another kind")));
            }
        };
        let storage = self.bytes.get(place.storage.clone()).unwrap_or_default();
        let width = place.element.width();
        let at = |index: usize| number(storage.get(index.checked_mul(width)?..)?.get(..width)?);
        let count = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n));
        // A view may show a few numbers many times over; a parameter is a number of its own.
        let count = count.filter(|count| *count <= storage.len() / width);
        let outside = || format!("has the tensor {name} with numbers outside the file; copy the file again");
        let count = count.ok_or_else(outside)?;
        let mut numbers = Vec::with_capacity(count);
        for flat in 0..count {
            let (mut left, mut index) = (flat, Some(place.offset));
            for (&length, &stride) in shape.iter().zip(&place.strides).rev() {
                index = index.and_then(|index| index.checked_add((left % length).checked_mul(stride)?));
                left /= length;
            }
            numbers.push(index.and_then(at).ok_or_else(outside)?);
        }
        Ok(numbers)
    }

    fn place(&self, name: &str) -> Problem<&Place> {
        let missing = || format!("has no tensor {}; wanted a whole network", shortened(name));
        self.places.get(name).ok_or_else(missing)
    }
}

/// The strides of a tensor whose numbers lie without gaps, the last axis fastest; `None` beyond all memory.
pub(super) fn dense(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].checked_mul(shape[axis])?;
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(bytes: &[u8], place: Place) -> Tensors<'_> {
        Tensors::new(bytes, BTreeMap::from([("t".to_owned(), place)]))
    }

    fn place(element: Element, offset: usize, shape: &[usize], strides: &[usize]) -> Place {
        Place { element, storage: 4..28, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn views_are_read_as_they_lie() {
        let bytes: Vec<u8> = (0..7).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let file = tensors(&bytes, place(Element::Float32, 1, &[2, 2], &[1, 2]));
        assert_eq!(file.read("t", &[2, 2]).unwrap(), [2.0, 4.0, 3.0, 5.0]);
        let double: Vec<u8> =
            [0; 4].into_iter().chain([1.5_f64, 2.5, 3.5].iter().flat_map(|v| v.to_le_bytes())).collect();
        assert_eq!(
            tensors(&double, place(Element::Float64, 0, &[3], &[1])).read("t", &[3]).unwrap(),
            [1.5, 2.5, 3.5]
        );
    }

    #[test]
    fn what_lies_outside_is_refused_before_memory_is_taken() {
        let bytes = [0; 28];
        let huge = usize::MAX / 2;
        for (element, offset, shape, strides) in [
            (Element::Float32, 5, vec![2], vec![1]),
            (Element::Float32, 0, vec![2], vec![6]),
            (Element::Float32, 0, vec![2], vec![huge]),
            (Element::Float32, huge, vec![2], vec![1]),
            (Element::Float32, 0, vec![huge], vec![0]),
            (Element::Float32, 0, vec![huge, huge], vec![0, 0]),
            (Element::Float32, 0, vec![7], vec![0]),
            (Element::Other(2), 0, vec![2], vec![1]),
            (Element::Float32, 0, vec![2], vec![]),
        ] {
            let file = tensors(&bytes, place(element, offset, &shape, &strides));
            assert!(file.read("t", &shape).is_err(), "{offset} {shape:?} {strides:?}");
        }
        let file = tensors(&bytes, place(Element::Float32, 0, &[6], &[1]));
        assert!(file.read("t", &[5]).unwrap_err().contains("[6]"));
        assert!(file.read("other", &[5]).unwrap_err().contains("other"));
    }

    #[test]
    fn pruned_tensors_are_products() {
        let bytes: Vec<u8> =
            [1.5_f32, -2.0, 4.0, 1.0, 0.0, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let place = |first: usize| Place {
            element: Element::Float32,
            storage: 0..24,
            offset: first,
            shape: vec![3],
            strides: vec![1],
        };
        let named = |names: &[(&str, usize)]| {
            names.iter().map(|(name, first)| ((*name).to_owned(), place(*first))).collect()
        };
        let file = Tensors::new(&bytes, named(&[("a.weight_orig", 0), ("a.weight_mask", 3), ("b_orig", 0)]));
        assert_eq!(file.names().collect::<Vec<_>>(), ["a.weight", "b_orig"]);
        assert_eq!(file.shape("a.weight").unwrap(), [3]);
        assert_eq!(file.read("a.weight", &[3]).unwrap(), [1.5, 0.0, 4.0]);
        // A mask of another size is damage.
        let mut places = BTreeMap::from([("a_orig".to_owned(), place(0)), ("a_mask".to_owned(), place(3))]);
        places.get_mut("a_mask").unwrap().shape = vec![2];
        let error = Tensors::new(&bytes, places).read("a", &[3]).unwrap_err();
        assert!(error.contains("a_mask of shape [2]"), "{error}");
    }

    #[test]
    fn dense_strides() {
        assert_eq!(dense(&[2, 3, 4]).unwrap(), [12, 4, 1]);
        assert_eq!(dense(&[]), Some(vec![]));
        assert_eq!(dense(&[2, usize::MAX, 4]), None);
    }
}
