//! DXchange (De Carlo et al., Journal of Synchrotron Radiation 21, 1224, 2014): `/exchange/data` and its neighbours.

use super::angles::{Angles, Unit};
use super::{Found, images_of};
use crate::error::Result;
use crate::images::{DatasetPlace, Hdf5File};

const DATA: &str = "/exchange/data";
const THETA: &str = "/exchange/theta";
const FLATS: &str = "/exchange/data_white";
const DARKS: &str = "/exchange/data_dark";
const ONE_FLAT: &str = "/process/acquisition/flat_fields/flat_field_value";
const ROTATION: &str = "/process/acquisition/rotation";
const PIXELS: [&str; 3] = [
    "/measurement/instrument/detection_system/objective/resolution",
    "/measurement/instrument/detector/pixel_size",
    "/measurement/instrument/detector/actual_pixel_size_x",
];

/// What the file `p` holds; `None` where it is laid out otherwise.
pub(super) fn find(p: &str, file: &Hdf5File, _: &[DatasetPlace]) -> Result<Option<Found>> {
    let at = |place: &str| file.dataset(place);
    let Some(data) = at(DATA).filter(|data| data.shape.len() == 3) else { return Ok(None) };
    let frames = |place: &str| match at(place) {
        Some(frames) if (2..=3).contains(&frames.shape.len()) && !frames.shape.contains(&0) => {
            images_of(p, place, frames.shape.len())
        }
        _ => Ok(Vec::new()),
    };
    let (flats, darks) = (frames(FLATS)?, frames(DARKS)?);
    let flat_value = match flats.is_empty() {
        true => file.numbers(ONE_FLAT)?.and_then(|values| values.first().map(|value| *value as f32)),
        false => None,
    };
    let pixel = PIXELS.iter().find_map(|place| {
        let size = file.numbers(place).ok()??.first().copied().filter(|size| *size > 0.0)?;
        let unit = file.text(place, "units")?;
        Some(size * metres(&unit)?)
    });
    Ok(Some(Found {
        layout: "DXchange",
        projections: images_of(p, DATA, 3)?,
        flats,
        darks,
        flat_value,
        angles: Some(angles(file, data.shape[0])?),
        pixel,
    }))
}

fn angles(file: &Hdf5File, count: usize) -> Result<Angles> {
    if let Some(values) = file.numbers(THETA)?.filter(|values| !values.is_empty()) {
        let unit = file.text(THETA, "units");
        return Ok(Angles::new(values, Unit::of(unit.as_deref())));
    }
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

/// How many metres one of `unit` is.
pub(super) fn metres(unit: &str) -> Option<f64> {
    match unit.trim() {
        "m" | "meter" | "meters" | "metre" => Some(1.0),
        "cm" => Some(1e-2),
        "mm" | "millimeter" | "millimeters" | "millimetre" => Some(1e-3),
        "um" | "\u{b5}m" | "\u{3bc}m" | "micron" | "microns" | "micrometer" | "micrometers" => Some(1e-6),
        "nm" => Some(1e-9),
        _ => None,
    }
}
