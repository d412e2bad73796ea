//! Files of the beamline 8.3.2 of the Advanced Light Source: each image in a dataset of its own, whose name tells what it is.

use super::angles::{Angles, Unit};
use super::{Found, images_of};
use crate::error::Result;
use crate::images::{DatasetPlace, Hdf5File, ImageSource};

/// What the names of flat and dark fields hold before their numbers.
const FLAT: &str = "bak";
const DARK: &str = "drk";

/// What the file `p` holds in the datasets `all`; `None` where these are laid out otherwise.
pub(super) fn find(p: &str, file: &Hdf5File, _: Option<&str>, all: &[DatasetPlace]) -> Result<Option<Found>> {
    let is_image = |dataset: &&DatasetPlace| {
        // Links would have images twice.
        !dataset.is_linked
            && matches!(dataset.shape.as_slice(), [_, _] | [1, _, _])
            && numbers(dataset.name()).is_some()
    };
    let mut images: Vec<&DatasetPlace> = all.iter().filter(is_image).collect();
    images.sort_by_key(|dataset| numbers(dataset.name()));
    let of = |what: Option<&str>| {
        let fits = |dataset: &&&DatasetPlace| {
            let stem = stem(dataset.name());
            match what {
                Some(what) => stem.ends_with(what),
                None => !stem.ends_with(FLAT) && !stem.ends_with(DARK),
            }
        };
        images.iter().filter(fits).copied().collect::<Vec<_>>()
    };
    let (projections, flats, darks) = (of(None), of(Some(FLAT)), of(Some(DARK)));
    if projections.len() < 2 || flats.is_empty() && darks.is_empty() {
        return Ok(None);
    }
    let read = |datasets: &[&DatasetPlace]| -> Result<Vec<ImageSource>> {
        let mut sources = Vec::new();
        for dataset in datasets {
            sources.extend(images_of(
                p,
                &dataset.place,
                if dataset.shape.len() == 3 { "ZYX" } else { "YX" },
            )?);
        }
        Ok(sources)
    };
    let group = projections[0].group();
    let own: Option<Vec<f64>> =
        projections.iter().map(|dataset| file.number(&dataset.place, "rot_angle")).collect();
    let range = ["arange", "angularrange"].iter().find_map(|name| file.number(group, name));
    let angles = match (own, range) {
        (Some(own), _) => Some(Angles::new(own, Unit::Degrees)),
        (None, Some(range)) => {
            // Both ends are there. An image that is missing leaves its number out.
            let mut places: Vec<u64> = projections
                .iter()
                .filter_map(|dataset| numbers(dataset.name()).map(|(last, _)| last))
                .collect();
            let said = file.number(group, "nangles").filter(|said| *said >= 2.0 && said.fract() == 0.0);
            let count = said.unwrap_or(projections.len() as f64);
            let is_numbered = places.len() == projections.len()
                && places.windows(2).all(|pair| pair[0] < pair[1])
                && places.last().is_some_and(|last| (*last as f64) < count);
            if !is_numbered {
                places = (0..projections.len() as u64).collect();
            }
            let count = if is_numbered { count } else { projections.len() as f64 };
            let step = range / (count - 1.0);
            Some(Angles::new(places.into_iter().map(|place| step * place as f64).collect(), Unit::Degrees))
        }
        (None, None) => None,
    };
    Ok(Some(Found {
        layout: "ALS 8.3.2",
        projections: read(&projections)?,
        flats: read(&flats)?,
        darks: read(&darks)?,
        flat_value: None,
        angles,
        pixel: file.number(group, "pxsize").filter(|size| *size > 0.0).map(|size| 1e-3 * size),
        notes: Vec::new(),
    }))
}

/// The name without its two numbers and ending, such as `tooth_bak` of `tooth_bak_0000_0012.tif`.
fn stem(name: &str) -> &str {
    name.rsplitn(3, '_').nth(2).unwrap_or_default()
}

/// The two numbers that a name ends with, the later one first: flat fields of different times follow each other.
fn numbers(name: &str) -> Option<(u64, u64)> {
    let name = name.strip_suffix(".tif").or_else(|| name.strip_suffix(".tiff"))?;
    let mut parts = name.rsplitn(3, '_');
    let (last, first) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some((last.parse().ok()?, first.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_images_are() {
        assert_eq!(numbers("a_b_0000_0012.tif"), Some((12, 0)));
        assert_eq!(
            (numbers("a_0012"), numbers("0000_0012.tif"), numbers("a_x_0012.tif")),
            (None, None, None)
        );
        assert_eq!(stem("a_bbak_0000_0012.tif"), "a_bbak");
    }
}
