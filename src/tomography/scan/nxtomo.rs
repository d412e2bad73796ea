//! NeXus files of tomographic scans (NXtomo), as Diamond and the ESRF write them: one stack in which a key tells what each image
//! is.

use super::angles::{Angles, Unit};
use super::{Found, images_of, pixel};
use crate::error::{Error, Result};
use crate::images::{DatasetPlace, Hdf5File};

/// The values of `image_key`.
const PROJECTION: f64 = 0.0;
const FLAT: f64 = 1.0;
const DARK: f64 = 2.0;

/// What the file `p` holds in the datasets `all`; `None` where these are laid out otherwise.
pub(super) fn find(p: &str, file: &Hdf5File, _: Option<&str>, all: &[DatasetPlace]) -> Result<Option<Found>> {
    let list = |names: &[&str], count: Option<usize>| {
        let fits = |dataset: &&DatasetPlace| {
            names.contains(&dataset.name())
                && dataset.shape.len() == 1
                && count.is_none_or(|count| dataset.shape[0] == count)
        };
        all.iter().find(fits)
    };
    const ANGLES: [&str; 2] = ["rotation_angle", "rotation_angles"];
    // Without a key all images are projections, where each has an angle.
    let key = list(&["image_key", "image_key_control"], None);
    let Some(listed) = key.or_else(|| list(&ANGLES, None).filter(|angles| angles.shape[0] > 1)) else {
        return Ok(None);
    };
    let count = listed.shape[0];
    let stacks: Vec<&DatasetPlace> =
        all.iter().filter(|dataset| dataset.shape.len() == 3 && dataset.shape[0] == count).collect();
    // That beside the key, or under the same entry.
    let beside = stacks.iter().find(|stack| stack.group() == listed.group());
    let Some(data) = beside.or(stacks.first()) else {
        let problem = format!("has {} but no stack of as many images ({count})", listed.place);
        return Err(Error::input(p, problem));
    };
    // Other scans in the same file, which links do not make.
    let entry = |place: &str| place.trim_start_matches('/').split('/').next().map(str::to_owned);
    let is_key = |dataset: &&DatasetPlace| dataset.name() == listed.name() && !dataset.is_linked;
    let mut entries: Vec<String> = all.iter().filter(is_key).filter_map(|key| entry(&key.place)).collect();
    entries.sort();
    entries.dedup();
    let own = entry(&data.place);
    let mut notes = Vec::new();
    if let Some(other) = entries.iter().find(|entry| Some(*entry) != own.as_ref()) {
        notes.push(format!(
            "{p} holds {} scans, of which that of {} is taken; another one is named behind a colon, such as {p}:/{}",
            entries.len(),
            data.place,
            other
        ));
    }
    let keys = match key {
        Some(key) => file.numbers(&key.place)?.unwrap_or_default(),
        None => vec![PROJECTION; count],
    };
    let images = images_of(p, &data.place, "ZYX")?;
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
    // Those of all images, or of the projections alone; of another count, for whoever compares it to say so.
    let lists = [Some(count), Some(projections.len()), None];
    let angles = match lists.iter().find_map(|count| list(&ANGLES, *count)) {
        Some(place) => {
            let mut values = file.numbers(&place.place)?.unwrap_or_default();
            if values.len() == count {
                let mut keys = keys.iter();
                values.retain(|_| keys.next() == Some(&PROJECTION));
            }
            let unit = file.text(&place.place, "units");
            Some(Angles::new(values, Unit::of(unit.as_deref())))
        }
        None => None,
    };
    // In the plane of the object, or on the detector.
    let named = |wanted: &str| {
        let inside = wanted.split_once('/').map_or(wanted, |(_, name)| name);
        let group = wanted.split_once('/').map(|(group, _)| format!("/{group}"));
        all.iter().find(|dataset| {
            dataset.name() == inside && group.as_ref().is_none_or(|group| dataset.group().ends_with(group))
        })
    };
    let at = |place: &DatasetPlace| pixel::size(file, &place.place, "m");
    let of_object = ["sample/x_pixel_size", "x_magnified_pixel_size"];
    let pixel = of_object.into_iter().find_map(|name| named(name).and_then(at)).or_else(|| {
        let place = named("x_pixel_size")?;
        Some(at(place)? / pixel::magnification(file, &format!("{}/magnification", place.group()))?)
    });
    Ok(Some(Found {
        layout: "NXtomo",
        projections,
        flats: of(FLAT).collect(),
        darks: of(DARK).collect(),
        flat_value: None,
        angles,
        pixel,
        notes,
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
