//! DXchange (De Carlo et al., Journal of Synchrotron Radiation 21, 1224, 2014): `/exchange/data` and its neighbours.

use super::angles::{Angles, Unit};
use super::{Found, images_of, pixel};
use crate::error::{Error, Result};
use crate::images::{DatasetPlace, Hdf5File};

/// The groups that hold raw data, of which the first one that is there is taken; others hold what was made of it.
const GROUPS: [&str; 4] = ["/exchange", "/exchange_0", "/exchange_1", "/exchange1"];
const ONE_FLAT: &str = "/process/acquisition/flat_fields/flat_field_value";
const ROTATION: &str = "/process/acquisition/rotation";
/// The size of a pixel in the plane of the object, in micrometres unless it says otherwise.
const RESOLUTIONS: [&str; 2] = [
    "/measurement/instrument/detection_system/objective/resolution",
    "/measurement/instrument/detector/actual_pixel_size_x",
];
/// That of the detector itself.
const PIXEL: &str = "/measurement/instrument/detector/pixel_size";
const MAGNIFICATION: &str = "/measurement/instrument/detection_system/objective/magnification";

/// What the file `p` holds, or its group `within`; `None` where it is laid out otherwise.
pub(super) fn find(
    p: &str,
    file: &Hdf5File,
    within: Option<&str>,
    _: &[DatasetPlace],
) -> Result<Option<Found>> {
    let named = within.filter(|group| group.contains("exchange"));
    let groups = named.map_or(GROUPS.to_vec(), |group| vec![group]);
    if within.is_some() != named.is_some() {
        return Ok(None);
    }
    let data = groups.into_iter().find_map(|group| Some((group, file.dataset(&format!("{group}/data"))?)));
    let Some((group, data)) = data else { return Ok(None) };
    let &[first, second, third] = data.shape.as_slice() else {
        let axes = data.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let problem = format!("{} is {axes}; wanted three axes: angle, row and column", data.place);
        return Err(Error::input(p, problem));
    };
    let mut notes = Vec::new();
    let theta = file.numbers(&format!("{group}/theta"))?.filter(|values| !values.is_empty());
    let axis = match theta.as_ref().map(Vec::len) {
        Some(count) if count != first && (count == second) != (count == third) => {
            let place = if count == second { "second" } else { "third" };
            notes.push(format!("{} has its {count} projections along the {place} axis", data.place));
            if count == second { 1 } else { 2 }
        }
        _ => 0,
    };
    let size = without(&data.shape, axis);
    let mut frames = |name: &str| {
        let place = format!("{group}/{name}");
        match file.dataset(&place) {
            Some(frames) if !frames.shape.contains(&0) && frames.shape.len() == 2 => {
                images_of(p, &place, "YX")
            }
            Some(frames) if !frames.shape.contains(&0) && frames.shape.len() == 3 => {
                // As the projections lie, or one after the other.
                let is_alike = without(&frames.shape, axis) == size;
                images_of(p, &place, AXES[if is_alike { axis } else { 0 }])
            }
            Some(_) => {
                notes.push(format!("{place} holds no images and is passed over"));
                Ok(Vec::new())
            }
            None => Ok(Vec::new()),
        }
    };
    let (flats, darks) = (frames("data_white")?, frames("data_dark")?);
    let flat_value = match flats.is_empty() {
        true => file.numbers(ONE_FLAT)?.and_then(|values| values.first().map(|value| *value as f32)),
        false => None,
    };
    Ok(Some(Found {
        layout: "DXchange",
        projections: images_of(p, &data.place, AXES[axis])?,
        flats,
        darks,
        flat_value,
        angles: Some(match theta {
            Some(values) => {
                let unit = file.text(&format!("{group}/theta"), "units");
                Angles::new(values, Unit::of(unit.as_deref()))
            }
            None => by_steps(file, data.shape[axis])?,
        }),
        pixel: pixel(file, &mut notes),
        notes,
    }))
}

/// What the axes are where projections lie along the first, the second or the third one.
const AXES: [&str; 3] = ["ZYX", "YZX", "YXZ"];

/// The lengths of the other axes.
fn without(shape: &[usize], axis: usize) -> Vec<usize> {
    shape.iter().enumerate().filter(|(place, _)| *place != axis).map(|(_, length)| *length).collect()
}

/// How wide a pixel is in the plane of the object, in metres.
fn pixel(file: &Hdf5File, notes: &mut Vec<String>) -> Option<f64> {
    if let Some(size) = RESOLUTIONS.iter().find_map(|place| pixel::size(file, place, "um")) {
        return Some(size);
    }
    let size = pixel::number(file, PIXEL)?;
    let said = file.text(PIXEL, "units").is_some_and(|unit| !unit.trim().is_empty());
    let unit = if said { "" } else { pixel::likely_unit(size).unwrap_or("") };
    let found = pixel::size(file, PIXEL, unit).zip(pixel::magnification(file, MAGNIFICATION));
    match found {
        None => notes.push(format!(
            "how large a pixel is cannot be told from {PIXEL} ({size}), as its unit or the magnification is missing or none: `pixel_size` says it"
        )),
        Some(_) if !said => notes.push(format!(
            "{PIXEL} ({size}) has no unit and is taken for {unit}: `pixel_size` says otherwise"
        )),
        Some(_) => {}
    }
    found.map(|(size, magnification)| size / magnification)
}

/// Angles by where the rotation starts and how far it goes from one projection to the next.
fn by_steps(file: &Hdf5File, count: usize) -> Result<Angles> {
    let number = |name: &str| {
        let found = file.numbers(&format!("{ROTATION}/{name}"))?;
        Ok::<_, crate::Error>(found.and_then(|values| values.first().copied()))
    };
    let step = number("rotation_step")?.or(number("step")?);
    let start = number("rotation_start")?.or(number("start")?);
    Ok(match step {
        Some(step) => {
            let start = start.unwrap_or(0.0);
            Angles::new((0..count).map(|i| start + step * i as f64).collect(), Unit::Degrees)
        }
        None => Angles::assumed(count),
    })
}
