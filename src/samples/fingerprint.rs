//! Images known again by their content: file names and formats may change, pixels may not.

use std::fmt;

use ndarray::{Array2, Array3, ArrayBase, Axis, Data, Dimension};
use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use super::dataset::{Dataset, Place, Visited};
use super::item::Item;
use super::sample::{Sample, Target};
use super::streaming::in_order;
use crate::error::Result;
use crate::geometry::{Extent, Window};

/// A hash of 128 bits (XXH3) of decoded numbers; it is no protection against somebody who wants two sets to look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u128);

impl From<Fingerprint> for String {
    fn from(print: Fingerprint) -> Self {
        print.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

impl Fingerprint {
    /// Of a sample's image, without its target: its shape and pixels.
    pub fn of_image(sample: &Sample) -> Self {
        let mut hasher = Hasher::new();
        add(&mut hasher, &sample.image, f32::to_le_bytes);
        Self(hasher.finish_128())
    }

    /// Of all images, targets and weights, in their order.
    ///
    /// # Errors
    /// What comes of reading them.
    pub fn of_dataset(set: &Dataset) -> Result<Self> {
        let mut all = SetHasher::default();
        set.visit_apart(|place, part| all.add(place, &set.items()[place.item], part))?;
        Ok(all.fingerprint())
    }
}

/// The fingerprint of a dataset, sample by sample, and of volumes slice by slice; it is that of the volume in one piece.
#[derive(Default)]
pub struct SetHasher {
    hasher: Hasher,
    /// Whether slices of the volume that is being added have weights.
    has_weights: bool,
}

impl SetHasher {
    /// Adds the next sample, which is `item`, or a slice of it as `place` says: the images of all slices, and then their targets. All
    /// channels of a volume but the first come after the first channel of its last slice, and weights after all targets; these are read
    /// for that.
    ///
    /// # Errors
    /// What comes of reading these.
    pub fn add(&mut self, place: Place, item: &Item, part: Visited) -> Result<()> {
        let Self { hasher, has_weights } = self;
        let sample = match part {
            Visited::Sample(sample) => sample,
            Visited::Image(image) => return add_slice(hasher, place, item, image),
            Visited::Target(target, weights) => {
                *has_weights = weights.is_some() || *has_weights && place.slice > 0;
                return add_target(hasher, place, item, target, *has_weights);
            }
        };
        add(hasher, &sample.image, f32::to_le_bytes);
        match &sample.target {
            Target::Classes(classes) => add(hasher, classes, u32::to_le_bytes),
            Target::Values(values) => add(hasher, values, f32::to_le_bytes),
        }
        if let Some(weights) = &sample.weights {
            add(hasher, weights, f32::to_le_bytes);
        }
        Ok(())
    }

    /// Of all samples that were added.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.hasher.finish_128())
    }
}

/// The fingerprint of the image of a volume, slice by slice: that of [`Fingerprint::of_image`].
#[derive(Default)]
pub struct ImageHasher(Hasher);

impl ImageHasher {
    /// Adds the slice of `item` at `place`; with the last one, all channels but the first are read anew.
    ///
    /// # Errors
    /// What comes of reading these.
    pub fn add(&mut self, place: Place, item: &Item, image: &Array3<f32>) -> Result<()> {
        add_slice(&mut self.0, place, item, image)
    }

    /// Of all slices that were added.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.0.finish_128())
    }
}

/// Adds the slice of a volume at `place`, as one image of all rows is added: the channels lie one after the other.
fn add_slice(hasher: &mut Hasher, place: Place, item: &Item, image: &Array3<f32>) -> Result<()> {
    let Extent { z, y, x } = item.extent();
    if place.slice == 0 {
        add_shape(hasher, &[image.dim().0, z * y, x]);
    }
    add_numbers(hasher, &image.index_axis(Axis(0), 0), f32::to_le_bytes);
    if !place.is_last() {
        return Ok(());
    }
    for channel in 1..image.dim().0 {
        let slices = item.slices();
        in_order(
            slices.len(),
            slices[0].bytes(),
            |slice| slices[slice].image(),
            |_, image| {
                add_numbers(hasher, &image.index_axis(Axis(0), channel), f32::to_le_bytes);
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Adds the target of the slice of a volume at `place`, likewise; `has_weights` says whether it or one before it has weights.
fn add_target(
    hasher: &mut Hasher,
    place: Place,
    item: &Item,
    target: &Target,
    has_weights: bool,
) -> Result<()> {
    let Extent { z, y, x } = item.extent();
    let channels = item.target_channels();
    let shape = [channels.unwrap_or(1), z * y, x];
    if place.slice == 0 {
        add_shape(hasher, if channels.is_some() { &shape } else { &shape[1..] });
    }
    match target {
        Target::Classes(classes) => add_numbers(hasher, classes, u32::to_le_bytes),
        Target::Values(values) => add_numbers(hasher, &values.index_axis(Axis(0), 0), f32::to_le_bytes),
    }
    if !place.is_last() {
        return Ok(());
    }
    let slices = item.slices();
    let each = |visit: &mut (dyn FnMut(Target, Option<Array2<f32>>) + Send)| {
        let read = |slice: usize| slices[slice].target_part(&Window::whole(slices[slice].extent()));
        in_order(slices.len(), slices[0].bytes(), read, |_, (target, weights)| {
            visit(target, weights);
            Ok(())
        })
    };
    for channel in 1..shape[0] {
        each(&mut |target, _| {
            if let Target::Values(values) = target {
                add_numbers(hasher, &values.index_axis(Axis(0), channel), f32::to_le_bytes);
            }
        })?;
    }
    if has_weights {
        add_shape(hasher, &shape[1..]);
        each(&mut |_, weights| {
            // Those of a slice that has none are 1.
            let weights = weights.unwrap_or_else(|| Array2::ones((y, x)));
            add_numbers(hasher, &weights, f32::to_le_bytes);
        })?;
    }
    Ok(())
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Adds the shape and the numbers of an array, as little-endian bytes on every machine.
fn add<T: Copy, S: Data<Elem = T>, D: Dimension>(
    hasher: &mut Hasher,
    array: &ArrayBase<S, D>,
    bytes: impl Fn(T) -> [u8; 4],
) {
    add_shape(hasher, array.shape());
    add_numbers(hasher, array, bytes);
}

fn add_shape(hasher: &mut Hasher, shape: &[usize]) {
    for &length in shape {
        hasher.write(&(length as u64).to_le_bytes());
    }
}

fn add_numbers<T: Copy, S: Data<Elem = T>, D: Dimension>(
    hasher: &mut Hasher,
    array: &ArrayBase<S, D>,
    bytes: impl Fn(T) -> [u8; 4],
) {
    let mut buffer = [0; BUFFER];
    let mut write = |values: &[T]| {
        for values in values.chunks(BUFFER / 4) {
            let places = buffer.as_chunks_mut::<4>().0;
            places.iter_mut().zip(values).for_each(|(place, &value)| *place = bytes(value));
            hasher.write(&buffer[..4 * values.len()]);
        }
    };
    match array.as_slice() {
        Some(values) => write(values),
        None => array.iter().for_each(|value| write(&[*value])),
    }
}

/// Bytes that are hashed at a time.
const BUFFER: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let image = Array3::from_shape_fn((1, 70, 90), |(_, y, x)| (y * 90 + x) as f32);
        let target = Target::Classes(image.index_axis(ndarray::Axis(0), 0).mapv(|v| v as u32 % 3));
        Sample { name: "a".into(), image, slices: 1, target, group: None, weights: None }
    }

    #[test]
    fn content_counts_and_nothing_else() {
        let of = |samples: &[Sample]| Fingerprint::of_dataset(&Dataset::unchecked(samples.to_vec())).unwrap();
        let (one, renamed) = (sample(), Sample { name: "b".into(), ..sample() });
        assert_eq!(of(std::slice::from_ref(&one)), of(std::slice::from_ref(&renamed)));
        assert_eq!(Fingerprint::of_image(&one), Fingerprint::of_image(&renamed));
        let mut image = sample();
        image.image[[0, 69, 89]] += 1.0;
        let mut target = sample();
        target.target = Target::Classes(Array2::zeros((70, 90)));
        let weights = Sample { weights: Some(Array2::ones((70, 90))), ..sample() };
        let shape = Sample { image: sample().image.into_shape_with_order((1, 90, 70)).unwrap(), ..sample() };
        let all = [vec![one.clone()], vec![image.clone()], vec![target.clone()], vec![weights], vec![shape]];
        let mut prints: Vec<Fingerprint> = all.iter().map(|samples| of(samples)).collect();
        prints.push(of(&[one.clone(), image.clone()]));
        prints.push(of(&[image.clone(), one.clone()]));
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), 7);
        assert_ne!(Fingerprint::of_image(&one), Fingerprint::of_image(&image));
        assert_eq!(Fingerprint::of_image(&one), Fingerprint::of_image(&target));
        assert_eq!(of(&[one]).to_string().len(), 32);
    }

    #[test]
    fn the_hash_is_that_of_its_definition() {
        // XXH3 of 128 bits over nothing, as its authors publish it.
        assert_eq!(Fingerprint(Hasher::new().finish_128()).to_string(), "99aa06d3014798d86001c324468d497f");
    }
}
