//! Where the pixels of each class are, to draw one of them.

use std::collections::BTreeMap;

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Place};
use super::item::Item;
use super::measurements::{Measurements, Stamp};
use super::random::below;
use super::sample::Target;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::metrics::UNLABELLED;

/// The pixels of a dataset that count, by class: how many there are in each row. Where in its row a pixel is, is looked for when it
/// is drawn.
#[derive(Debug, Clone)]
pub struct ClassPixels {
    /// The images that they are in.
    set: Dataset,
    /// Those that the dataset has, in ascending order.
    classes: Vec<OfClass>,
}

/// How many pixels of each class count in each row of the images of a dataset, which are counted as they are read.
#[derive(Debug, Clone, Default)]
pub struct ClassRows {
    classes: BTreeMap<u32, Vec<InImage>>,
    /// Those of the image that is being counted.
    begun: BTreeMap<u32, Vec<u32>>,
    bytes: u64,
}

/// The pixels of a class.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfClass {
    class: u32,
    /// The images that have some, in order.
    images: Vec<InImage>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct InImage {
    image: usize,
    /// Pixels of the class in this image and all before it.
    until: u64,
    /// Pixels of the class in each row.
    rows: Vec<u32>,
}

impl InImage {
    /// Bytes of what is known of an image of so many rows.
    fn bytes(rows: usize) -> u64 {
        (size_of::<Self>() + rows * size_of::<u32>()) as u64
    }
}

impl OfClass {
    /// How many there are, at least one.
    fn pixels(&self) -> u64 {
        self.images.last().map_or(1, |image| image.until)
    }

    /// Whether they may be pixels of a dataset.
    fn is_of(&self, dataset: &Dataset) -> bool {
        let mut until = 0_u64;
        !self.images.is_empty()
            && self.images.iter().all(|image| {
                let pixels: u64 = image.rows.iter().map(|&pixels| u64::from(pixels)).sum();
                until = until.saturating_add(pixels);
                let rows = dataset.items().get(image.image).map(|item| item.extent().z * item.extent().y);
                image.until == until && pixels > 0 && rows == Some(image.rows.len())
            })
    }
}

impl ClassPixels {
    /// Of a segmentation.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for regression targets, and for a dataset without a labelled pixel; what comes of reading targets.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        Self::known_or_of(dataset, &Measurements::default(), None, None)
    }

    /// As [`ClassPixels::of`], where an earlier run may have counted them when the stamp was the same, and where `rows` are those of the
    /// dataset if all of it was read already.
    ///
    /// # Errors
    /// As [`ClassPixels::of`].
    pub fn known_or_of(
        dataset: &Dataset,
        known: &Measurements,
        stamp: Option<Stamp>,
        rows: Option<&ClassRows>,
    ) -> Result<Self> {
        let is_usable =
            |classes: &Vec<OfClass>| !classes.is_empty() && classes.iter().all(|of| of.is_of(dataset));
        let classes = known.known_or("class pixels", stamp, is_usable, || match rows {
            Some(rows) => rows.clone().by_class(),
            None => counted(dataset)?.by_class(),
        })?;
        Ok(Self { set: dataset.clone(), classes })
    }

    /// Bytes of what is known of all rows.
    pub fn bytes(&self) -> u64 {
        let images = self.classes.iter().flat_map(|of_class| &of_class.images);
        images.map(|image| InImage::bytes(image.rows.len())).sum()
    }

    /// A class that the dataset has, each equally likely, and a pixel of it, each equally likely: the image's index, y,
    /// counted through the rows of all slices, and x.
    ///
    /// # Errors
    /// What comes of reading the pixel's row, and [`Error::Mismatch`] where that is not what it was.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> Result<(usize, usize, usize)> {
        let of_class = &self.classes[below(random, self.classes.len())];
        let pixel = below(random, of_class.pixels() as usize) as u64;
        self.place(of_class, pixel)
    }

    /// A pixel of any class, each equally likely: the image's index, y and x.
    ///
    /// # Errors
    /// As [`ClassPixels::draw`].
    pub(super) fn draw_any(&self, random: &mut ChaCha8Rng) -> Result<(usize, usize, usize)> {
        let all: u64 = self.classes.iter().map(OfClass::pixels).sum();
        let mut pixel = below(random, all as usize) as u64;
        for of_class in &self.classes {
            match pixel.checked_sub(of_class.pixels()) {
                None => return self.place(of_class, pixel),
                Some(left) => pixel = left,
            }
        }
        unreachable!("the pixel is one of them")
    }

    /// Where pixel `pixel` of a class is, counted through all images.
    fn place(&self, OfClass { class, images }: &OfClass, pixel: u64) -> Result<(usize, usize, usize)> {
        let at = images.partition_point(|image| image.until <= pixel);
        let InImage { image, rows, .. } = &images[at];
        let mut rest = pixel - if at == 0 { 0 } else { images[at - 1].until };
        let mut rows = rows.iter().map(|&pixels| u64::from(pixels)).enumerate();
        let row = rows.find_map(|(y, pixels)| match rest.checked_sub(pixels) {
            None => Some(y),
            Some(left) => {
                rest = left;
                None
            }
        });
        let item = &self.set.items()[*image];
        let found = row.map(|y| {
            let Extent { y: height, x: width, .. } = item.extent();
            let (slice, within) = (y / height, y % height);
            let window = Window::new(slice..slice + 1, within..within + 1, 0..width);
            let (target, weights) = item.target_part(&window)?;
            let Target::Classes(labels) = &target else { return Ok(None) };
            let is_of_class = |x: &usize| {
                labels[[0, *x]] == *class && weights.as_ref().is_none_or(|weights| weights[[0, *x]] > 0.0)
            };
            Ok((0..labels.ncols()).filter(is_of_class).nth(rest as usize).map(|x| (*image, y, x)))
        });
        found.transpose()?.flatten().ok_or_else(|| {
            Error::Mismatch(format!(
                "the target of {} has changed since the run was begun; begin anew with `out` when nothing writes to it any more",
                item.name()
            ))
        })
    }
}

impl ClassRows {
    /// Adds the labels of `item`, or of a slice of it, which is at `place` and comes after all that were added.
    pub fn add(&mut self, place: Place, item: &Item, labels: &Array2<u32>, weights: Option<&Array2<f32>>) {
        // Rows are those of all slices.
        let (all_rows, first) = (item.extent().z * item.extent().y, place.slice * labels.nrows());
        let Self { classes, begun, bytes } = self;
        for (y, row) in labels.rows().into_iter().enumerate() {
            let mut run = (UNLABELLED, 0);
            let mut add = |(class, pixels): (u32, u32)| {
                if class != UNLABELLED {
                    let rows = begun.entry(class).or_insert_with(|| {
                        *bytes += InImage::bytes(all_rows);
                        vec![0; all_rows]
                    });
                    rows[first + y] += pixels;
                }
            };
            for (x, &class) in row.iter().enumerate() {
                let counts = weights.is_none_or(|weights| weights[[y, x]] > 0.0);
                let class = if counts { class } else { UNLABELLED };
                // Neighbours are mostly equal: counting runs spares most of the look-ups.
                if class == run.0 {
                    run.1 += 1;
                } else {
                    add(std::mem::replace(&mut run, (class, 1)));
                }
            }
            add(run);
        }
        if !place.is_last() {
            return;
        }
        for (class, rows) in std::mem::take(begun) {
            let images = classes.entry(class).or_default();
            let pixels: u64 = rows.iter().map(|&pixels| u64::from(pixels)).sum();
            let until = pixels + images.last().map_or(0, |before| before.until);
            images.push(InImage { image: place.item, until, rows });
        }
    }

    /// Bytes of what was counted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn by_class(self) -> Result<Vec<OfClass>> {
        if self.classes.is_empty() {
            let problem = "found no labelled pixel to favour; wanted at least one";
            return Err(Error::Mismatch(problem.into()));
        }
        Ok(self.classes.into_iter().map(|(class, images)| OfClass { class, images }).collect())
    }
}

fn counted(dataset: &Dataset) -> Result<ClassRows> {
    let mut rows = ClassRows::default();
    dataset.visit_targets(|place, target, weights| {
        let item = &dataset.items()[place.item];
        let Target::Classes(labels) = target else {
            return Err(Error::Mismatch(format!(
                "the target of {} holds values, not classes, so that none is rare; leave out `favour_rare` and `favour_labelled`",
                item.name()
            )));
        };
        rows.add(place, item, labels, weights);
        Ok(())
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::{Array3, array};

    use super::*;
    use crate::samples::Sample;
    use crate::samples::random::{Stream, stream};

    #[test]
    fn classes_are_drawn_evenly_and_so_are_their_pixels() {
        let labels = [array![[0_u32, 0, 0, 0], [0, 7, UNLABELLED, 7]], array![[0_u32, 0], [2, 0]]];
        let samples = labels.clone().map(|classes| {
            let image = Array3::zeros((1, classes.nrows(), classes.ncols()));
            Sample::new("a", image, Target::Classes(classes))
        });
        let pixels = ClassPixels::of(&Dataset::unchecked(samples)).unwrap();
        let mut counts: BTreeMap<(usize, usize, usize), u32> = BTreeMap::new();
        let mut random = stream(1, Stream::Draw, 0);
        for _ in 0..24_000 {
            *counts.entry(pixels.draw(&mut random).unwrap()).or_default() += 1;
        }
        // Three classes with 8, 2 and 1 pixels.
        assert_eq!(counts.len(), 11);
        for ((image, y, x), count) in counts {
            let expected = match labels[image][[y, x]] {
                0 => 1000.0,
                7 => 4000.0,
                _ => 8000.0,
            };
            assert!((f64::from(count) / expected - 1.0).abs() < 0.15, "{image} {y} {x}: {count}");
        }
    }
}
