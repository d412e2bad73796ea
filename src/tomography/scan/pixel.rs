//! The size of a pixel, as files of scans say it: in the plane of the object, in metres.

use crate::images::Hdf5File;
use crate::images::units::{factor, sign};

/// Sizes without a unit below this many are taken for millimetres, as the ALS writes them, and from the next one on for micrometres.
const MOST_MILLIMETRES: f64 = 0.05;
const LEAST_MICROMETRES: f64 = 0.5;

/// The number above 0 at `place`; `None` where there is none.
pub(super) fn number(file: &Hdf5File, place: &str) -> Option<f64> {
    let numbers = file.numbers(place).ok()??;
    numbers.first().copied().filter(|number| number.is_finite() && *number > 0.0)
}

/// The size at `place`, in metres; `otherwise` is the unit where the file has none. `None` where there is no size, or of a unit that is
/// none of length.
pub(super) fn size(file: &Hdf5File, place: &str, otherwise: &str) -> Option<f64> {
    let unit = file.text(place, "units").filter(|unit| !unit.trim().is_empty());
    Some(number(file, place)? * metres(unit.as_deref().unwrap_or(otherwise))?)
}

/// How many times as large as the object its image on the detector is; 1 where nothing says so, and `None` where that is no number.
pub(super) fn magnification(file: &Hdf5File, place: &str) -> Option<f64> {
    if file.holds(place) { number(file, place) } else { Some(1.0) }
}

/// The unit of a size that has none, where it can be told.
pub(super) fn likely_unit(size: f64) -> Option<&'static str> {
    if size < MOST_MILLIMETRES {
        Some("mm")
    } else if size >= LEAST_MICROMETRES {
        Some("um")
    } else {
        None
    }
}

/// How many metres one of `unit` is, which may be spelled out, in the plural, or with `/pixel` behind it.
fn metres(unit: &str) -> Option<f64> {
    let lower = unit.trim().to_lowercase().replace("metre", "meter");
    let length = lower.split(['/', ' ']).next().unwrap_or_default();
    let one = length.strip_suffix('s').unwrap_or(length);
    factor(sign(one), "m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_people_write_them() {
        for (unit, wanted) in [
            ("microns", 1e-6),
            ("Micrometers", 1e-6),
            ("\u{b5}m", 1e-6),
            ("um/pixel", 1e-6),
            ("mm", 1e-3),
            ("millimetres", 1e-3),
            ("m", 1.0),
            ("Metres", 1.0),
            ("nm", 1e-9),
        ] {
            let found = metres(unit).unwrap_or_else(|| panic!("{unit}"));
            assert!((found / wanted - 1.0).abs() < 1e-9, "{unit}: {found}");
        }
        assert_eq!((metres("pixel"), metres("")), (None, None));
        assert_eq!(
            (likely_unit(6.5e-4), likely_unit(0.65), likely_unit(0.1)),
            (Some("mm"), Some("um"), None)
        );
    }
}
