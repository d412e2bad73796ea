//! Label values as people draw them, to class indices as networks count them, and back.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::images::NO_LABEL;
use crate::metrics::UNLABELLED;

/// More classes than this are taken for a grey image given by mistake.
const MAX_CLASSES: usize = 256;
/// How many values a message lists.
const LISTED: usize = 12;

/// Which label value each class stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMapping {
    /// The values in ascending order: class `i` has the label value `values[i]`.
    pub values: Vec<i64>,
    /// The value of pixels that nobody labelled.
    pub ignored: Option<i64>,
}

/// The values of label images, gathered image by image.
#[derive(Debug)]
pub(super) struct LabelValues {
    values: BTreeSet<i64>,
    ignored: Option<i64>,
    images: usize,
    /// The first image up to which there were too many values, and the first with a value beyond 32 bits.
    too_many_in: Option<String>,
    too_large: Option<(String, i64)>,
}

impl LabelValues {
    /// Of no image yet; `ignored` is no class.
    pub(super) fn new(ignored: Option<i64>) -> Self {
        Self { values: BTreeSet::new(), ignored, images: 0, too_many_in: None, too_large: None }
    }

    /// Adds the values of the image called `name`.
    pub(super) fn add(&mut self, name: &str, image: &Array2<i64>) {
        self.images += 1;
        let mut last = None;
        for value in image {
            // Neighbours are mostly equal: looking back once spares most of the look-ups.
            if last != Some(*value) {
                if self.ignored != Some(*value) && *value != NO_LABEL {
                    self.values.insert(*value);
                }
                last = Some(*value);
            }
        }
        if self.too_large.is_none() {
            let value = self.values.iter().find(|value| i32::try_from(**value).is_err());
            self.too_large = value.map(|value| (name.to_owned(), *value));
        }
        if self.values.len() > MAX_CLASSES && self.too_many_in.is_none() {
            self.too_many_in = Some(name.to_owned());
        }
    }

    /// The mapping that has them as its classes.
    ///
    /// # Errors
    /// [`Error::Input`] for a value beyond 32 bits; [`Error::Mismatch`] for more than 256 different values, a single one, or
    /// no label image at all.
    pub(super) fn mapping(self) -> Result<LabelMapping> {
        let Self { values, ignored, images, too_many_in, too_large } = self;
        if let Some((name, value)) = too_large {
            return Err(Error::input(
                name,
                format!(
                    "has the label {value}, which 32 bits do not hold, so that no label image could be written with it; give its class a smaller number"
                ),
            ));
        }
        if let Some(name) = too_many_in {
            return Err(Error::Mismatch(format!(
                "found {} different values in the label images ({name} among them), but wanted at most {MAX_CLASSES} classes; is this a grey image rather than a label image?",
                values.len()
            )));
        }
        match values.len() {
            0 => Err(Error::Mismatch(format!(
                "found no labelled pixel in {images} label images; wanted at least two classes"
            ))),
            1 => Err(Error::Mismatch(format!(
                "every labelled pixel of the {images} label images is {}; wanted at least two classes, check that these are the targets",
                values.first().copied().unwrap_or_default()
            ))),
            _ => Ok(LabelMapping { values: values.into_iter().collect(), ignored }),
        }
    }
}

impl LabelMapping {
    /// Collects the values of all label images, each given with its name for messages; `ignored` is no class.
    ///
    /// # Errors
    /// [`Error::Input`] for a value beyond 32 bits; [`Error::Mismatch`] for more than 256 different values, a single one, or
    /// no label image at all.
    pub fn from_labels<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a Array2<i64>)>,
        ignored: Option<i64>,
    ) -> Result<Self> {
        let mut values = LabelValues::new(ignored);
        labels.into_iter().for_each(|(name, image)| values.add(name, image));
        values.mapping()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.values.len()
    }

    /// Label values of shape `[y][x]` to class indices, or [`UNLABELLED`] for the ignored value; `name` is the image's name for messages.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first value that is no class, its pixels and the known values.
    pub fn encode(&self, name: &str, labels: &Array2<i64>) -> Result<Array2<u32>> {
        let mut unknown = BTreeMap::<i64, usize>::new();
        let mut last = None;
        let classes = labels.mapv(|value| {
            if let Some((known, class)) = last
                && known == value
            {
                return class;
            }
            let class = match self.values.binary_search(&value) {
                _ if self.ignored == Some(value) || value == NO_LABEL => Some(UNLABELLED),
                Ok(class) => Some(class as u32),
                Err(_) => None,
            };
            match class {
                Some(class) => {
                    last = Some((value, class));
                    class
                }
                None => {
                    *unknown.entry(value).or_default() += 1;
                    0
                }
            }
        });
        let Some((value, pixels)) = unknown.first_key_value() else {
            return Ok(classes);
        };
        let others = match unknown.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more unknown values)"),
        };
        Err(Error::input(
            name,
            format!(
                "has the label {value} in {pixels} of {} pixels{others}, but the classes are {}; relabel the image, give the `threshold` or `classes` of training, add an image with this class to the training images, or say `ignore {value}` if it means that nobody labelled the pixel",
                labels.len(),
                self.listed()
            ),
        ))
    }

    /// Class indices of shape `[y][x]` to label values.
    ///
    /// # Panics
    /// For an index that is no class, [`UNLABELLED`] too, which no network with this mapping gives.
    pub fn decode(&self, classes: &Array2<u32>) -> Array2<i64> {
        classes.mapv(|class| self.values[class as usize])
    }

    fn listed(&self) -> String {
        let values: Vec<_> = self.values.iter().take(LISTED).map(i64::to_string).collect();
        let more = if self.values.len() > LISTED { ", ..." } else { "" };
        values.join(", ") + more
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn values_become_classes_and_come_back() {
        let (a, b) = (array![[255, 0], [0, 7]], array![[-1, -1]]);
        let mapping = LabelMapping::from_labels([("a", &a), ("b", &b)], None).unwrap();
        assert_eq!(mapping.values, [-1, 0, 7, 255]);
        let classes = mapping.encode("a", &a).unwrap();
        assert_eq!(classes, array![[3, 1], [1, 2]]);
        assert_eq!(mapping.decode(&classes), a);
    }

    #[test]
    fn the_ignored_value_is_no_class_and_collides_with_none() {
        // All other values of an 8-bit image are classes.
        let labels = Array2::from_shape_fn((16, 16), |(y, x)| (y * 16 + x) as i64);
        let mapping = LabelMapping::from_labels([("a", &labels)], Some(255)).unwrap();
        assert_eq!((mapping.classes(), mapping.values.contains(&255)), (255, false));
        let classes = mapping.encode("a", &labels).unwrap();
        assert_eq!((classes[[15, 14]], classes[[15, 15]]), (254, UNLABELLED));
        // Also where it is neither the largest value nor positive.
        let brush = array![[-1, 3, -1], [5, -1, -1]];
        let mapping = LabelMapping::from_labels([("b", &brush)], Some(-1)).unwrap();
        assert_eq!(mapping.values, [3, 5]);
        let classes = mapping.encode("b", &brush).unwrap();
        assert_eq!(classes, array![[UNLABELLED, 0, UNLABELLED], [1, UNLABELLED, UNLABELLED]]);
        let empty = Array2::from_elem((2, 2), -1);
        let error = LabelMapping::from_labels([("c", &empty)], Some(-1)).unwrap_err().to_string();
        assert!(error.contains("no labelled pixel"), "{error}");
    }

    #[test]
    fn one_value_or_a_thousand_are_errors() {
        let flat = Array2::from_elem((2, 2), 3);
        let error = LabelMapping::from_labels([("a", &flat)], None).unwrap_err().to_string();
        assert!(error.contains("is 3; wanted at least two classes"), "{error}");
        let grey = Array2::from_shape_fn((10, 100), |(y, x)| (y * 100 + x) as i64);
        let error = LabelMapping::from_labels([("a", &grey)], None).unwrap_err().to_string();
        assert!(error.contains("1000 different values") && error.contains("grey image"), "{error}");
        assert!(LabelMapping::from_labels([], None).is_err());
        let most = Array2::from_shape_fn((1, 256), |(_, x)| x as i64);
        assert_eq!(LabelMapping::from_labels([("a", &most)], None).unwrap().classes(), 256);
    }

    #[test]
    fn labels_beyond_32_bits_are_refused_before_training() {
        let labels = array![[0, 1 << 31]];
        let error = LabelMapping::from_labels([("a.tif", &labels)], None).unwrap_err().to_string();
        assert!(error.contains("a.tif") && error.contains("2147483648"), "{error}");
    }

    #[test]
    fn a_class_that_only_validation_has_is_named() {
        let mapping = LabelMapping { values: vec![0, 1], ignored: None };
        let error = mapping.encode("val/z3.png", &array![[0, 2, 2], [5, 2, 1]]).unwrap_err().to_string();
        for part in ["val/z3.png", "3 of 6 pixels", "label 2", "1 more unknown", "0, 1"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
