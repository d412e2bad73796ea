//! The `.labeling` files of Labkit: JSON with the size of the image, and of each label all pixels, as columns, rows and slices.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Named, Pixels, check_memory, other_size, too_many};
use crate::portal::project::Image;
use crate::{Error, Result};

/// Most axes of an image: columns, rows, slices, channels and points in time.
const MOST_AXES: usize = 5;
/// The fewest bytes that the text of a pixel has.
const LEAST_BYTES: u64 = 6;

#[derive(Deserialize)]
struct Labeling {
    interval: Interval,
    labels: Regions,
    #[serde(default)]
    colors: BTreeMap<String, String>,
}

/// The first and the last place along each axis.
#[derive(Deserialize)]
struct Interval {
    min: Vec<i64>,
    max: Vec<i64>,
}

/// The pixels of each label, in the order of the file.
struct Regions(Vec<(String, Vec<Place>)>);

/// The places along as many axes as there are; 0 along others.
#[derive(Clone, Copy)]
struct Place {
    axes: usize,
    at: [i32; MOST_AXES],
}

impl<'de> Deserialize<'de> for Regions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Regions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels with their pixels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Regions, A::Error> {
                let mut all = Vec::new();
                while let Some(region) = map.next_entry::<String, Vec<Place>>()? {
                    all.push(region);
                    if all.len() > 254 {
                        return Err(A::Error::custom("there are more than 254 labels"));
                    }
                }
                Ok(Regions(all))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Seq;
        impl<'de> Visitor<'de> for Seq {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the place of a pixel along two to five axes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Place, A::Error> {
                let mut place = Place { axes: 0, at: [0; MOST_AXES] };
                while let Some(at) = seq.next_element()? {
                    *place.at.get_mut(place.axes).ok_or_else(|| A::Error::invalid_length(6, &self))? = at;
                    place.axes += 1;
                }
                if place.axes < 2 {
                    return Err(A::Error::invalid_length(place.axes, &self));
                }
                Ok(place)
            }
        }
        deserializer.deserialize_seq(Seq)
    }
}

/// Whether the file at `path` is JSON, as its first bytes say.
fn is_json(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    Ok(start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}

/// The labels in the file at `path`; `None` where it is no JSON.
///
/// # Errors
/// As [`Pixels::read`].
pub(super) fn read(path: &Path, image: &Image) -> Result<Option<Pixels>> {
    let unreadable =
        |error: std::io::Error| Error::input(path, format!("cannot be read: {error}; send it again"));
    if !is_json(path).map_err(unreadable)? {
        return Ok(None);
    }
    let file = File::open(path).map_err(unreadable)?;
    // All pixels are held once as they are read and once in order.
    check_memory(file.metadata().map_err(unreadable)?.len() / LEAST_BYTES * 2)?;
    let labeling: Labeling = serde_json::from_reader(BufReader::new(file)).map_err(|error| {
        Error::Mismatch(format!("the file is no labeling of Labkit: {error}; save it in Labkit again"))
    })?;
    let Labeling { interval: Interval { min, max }, labels: Regions(regions), colors } = labeling;
    let lengths: Option<Vec<i64>> = (min.len() == max.len() && (2..=MOST_AXES).contains(&min.len()))
        .then(|| min.iter().zip(&max).map(|(min, max)| max.checked_sub(*min)?.checked_add(1)).collect())
        .flatten();
    let lengths = lengths.ok_or_else(|| {
        Error::Mismatch(
            "the file says no size of an image of two to five axes; save it in Labkit again".into(),
        )
    })?;
    // Of the axes behind columns and rows, that of slices is the one that is longer than one.
    let long: Vec<usize> = (2..lengths.len()).filter(|axis| lengths[*axis] > 1).collect();
    let slices = long.iter().try_fold(1_i64, |count, axis| count.checked_mul(lengths[*axis]));
    let wanted = [image.width, image.height, image.slices].map(|side| i64::try_from(side).ok());
    if long.len() > 1 || [Some(lengths[0]), Some(lengths[1]), slices] != wanted {
        let sizes: Vec<String> = lengths.iter().map(i64::to_string).collect();
        return Err(other_size(image, &format!("an image of {} pixels", sizes.join(" x "))));
    }
    let slice_axis = long.first().copied();
    let mut names = BTreeMap::new();
    let mut pixels = Vec::new();
    for ((name, region), value) in regions.into_iter().zip(1_u8..) {
        if value == u8::MAX {
            return Err(too_many());
        }
        let colour = colors.get(&name).cloned();
        names.insert(i64::from(value), Named { name, colour });
        for Place { axes, at } in region {
            let along = |axis: usize| {
                let place = i64::from(at[axis]).checked_sub(min[axis])?;
                (0..lengths[axis]).contains(&place).then_some(place as u32)
            };
            let place = (axes == lengths.len())
                .then(|| Some([slice_axis.map_or(Some(0), along)?, along(1)?, along(0)?]))
                .flatten();
            let place = place.ok_or_else(|| {
                Error::Mismatch(format!(
                    "the file has a pixel at {:?}, which is not in its image; save it in Labkit again",
                    &at[..axes]
                ))
            })?;
            pixels.push((place, value));
        }
    }
    Ok(Some(Pixels::of(names, pixels)))
}
