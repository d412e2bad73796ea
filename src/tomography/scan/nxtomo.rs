//! NeXus files of tomographic scans (NXtomo), as Diamond and the ESRF write them: one stack in which a key tells what each image
//! is.

use super::angles::{Angles, Unit};
use super::dxchange::metres;
use super::{Found, images_of};
use crate::error::{Error, Result};
use crate::images::{DatasetPlace, Hdf5File};

/// The values of `image_key`.
const PROJECTION: f64 = 0.0;
const FLAT: f64 = 1.0;
const DARK: f64 = 2.0;

/// What the file `p` holds; `None` where it is laid out otherwise.
pub(super) fn find(p: &str, file: &Hdf5File, all: &[DatasetPlace]) -> Result<Option<Found>> {
    let list = |names: &[&str], count: Option<usize>| {
        let fits = |dataset: &&DatasetPlace| {
            names.contains(&dataset.name())
                && dataset.shape.len() == 1
                && count.is_none_or(|count| dataset.shape[0] == count)
        };
        all.iter().find(fits)
    };
    let Some(key) = list(&["image_key", "image_key_control"], None) else { return Ok(None) };
    let count = key.shape[0];
    let stacks: Vec<&DatasetPlace> =
        all.iter().filter(|dataset| dataset.shape.len() == 3 && dataset.shape[0] == count).collect();
    // That beside the key, or under the same entry.
    let beside = stacks.iter().find(|stack| stack.group() == key.group());
    let Some(data) = beside.or(stacks.first()) else {
        let problem = format!("has {} but no stack of as many images ({count})", key.place);
        return Err(Error::input(p, problem));
    };
    let keys = file.numbers(&key.place)?.unwrap_or_default();
    let images = images_of(p, &data.place, 3)?;
    if keys.len() != images.len() {
        let problem = format!("has {} images but {} keys that say what they are", images.len(), keys.len());
        return Err(Error::input(p, problem));
    }
    let of = |wanted: f64| {
        images.iter().zip(&keys).filter(move |(_, key)| **key == wanted).map(|(image, _)| image.clone())
    };
    let projections: Vec<_> = of(PROJECTION).collect();
    if projections.is_empty() {
        return Err(Error::input(p, "holds no projection: no image has the key 0"));
    }
    let angles = match list(&["rotation_angle", "rotation_angles"], Some(count)) {
        Some(place) => {
            let values = file.numbers(&place.place)?.unwrap_or_default();
            let values = values.iter().zip(&keys).filter(|(_, key)| **key == PROJECTION);
            let unit = file.text(&place.place, "units");
            Some(Angles::new(values.map(|(angle, _)| *angle).collect(), Unit::of(unit.as_deref())))
        }
        None => None,
    };
    let pixel = all.iter().find(|dataset| dataset.name() == "x_pixel_size").and_then(|place| {
        let size = file.numbers(&place.place).ok()??.first().copied().filter(|size| *size > 0.0)?;
        Some(size * file.text(&place.place, "units").map_or(Some(1.0), |unit| metres(&unit))?)
    });
    Ok(Some(Found {
        layout: "NXtomo",
        projections,
        flats: of(FLAT).collect(),
        darks: of(DARK).collect(),
        flat_value: None,
        angles,
        pixel,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::tomography::{Scan, ScanFiles};

    #[test]
    fn links_lead_to_what_is_stored_elsewhere_in_the_file() {
        let open = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/scan").join(name);
            Scan::open(path.to_str().unwrap(), &ScanFiles::default())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        for (linked, plain) in [("nxtomo_links.nxs", "nxtomo.nxs"), ("dxchange_links.h5", "dxchange.h5")] {
            let (linked, plain) = (open(linked), open(plain));
            assert_eq!(linked.layout(), plain.layout());
            assert_eq!(linked.angles(), plain.angles());
            assert_eq!(linked.frames(), plain.frames());
            assert_eq!(linked.projections(0..2).unwrap(), plain.projections(0..2).unwrap());
            assert_eq!(linked.flats(0..2).unwrap(), plain.flats(0..2).unwrap());
        }
    }
}
