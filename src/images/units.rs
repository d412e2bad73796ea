//! Units of length and time, as files spell them and as people read them.

/// How people write a millionth of a metre.
pub(crate) const MICROMETRE: &str = "\u{b5}m";

/// The unit of sizes that a file gives without one.
pub(crate) const PIXEL: &str = "pixel";

/// How people write a ten thousand millionth of a metre.
pub(super) const ANGSTROM: &str = "\u{c5}";

/// Names of units in OME-Zarr and other files that spell them out, their signs, and how many metres they are.
const UNITS: [(&str, &str, f64); 12] = [
    ("angstrom", ANGSTROM, 1e-10),
    ("picometer", "pm", 1e-12),
    ("nanometer", "nm", 1e-9),
    ("micrometer", MICROMETRE, 1e-6),
    ("millimeter", "mm", 1e-3),
    ("centimeter", "cm", 1e-2),
    ("decimeter", "dm", 1e-1),
    ("meter", "m", 1.0),
    ("kilometer", "km", 1e3),
    ("inch", "in", 0.0254),
    ("foot", "ft", 0.3048),
    ("yard", "yd", 0.9144),
];

/// The same of units of time, without how long they are.
const UNITS_OF_TIME: [(&str, &str); 8] = [
    ("second", "s"),
    ("millisecond", "ms"),
    ("microsecond", "\u{b5}s"),
    ("nanosecond", "ns"),
    ("picosecond", "ps"),
    ("minute", "min"),
    ("hour", "h"),
    ("day", "d"),
];

/// The sign of a unit of time that is spelled out, as `ms` for `millisecond`; other units as they are.
pub(super) fn time_sign(unit: &str) -> &str {
    let spelled = unit.trim();
    match UNITS_OF_TIME.iter().find(|(name, _)| name.eq_ignore_ascii_case(spelled)) {
        Some((_, sign)) => sign,
        None if ["us", "\u{3bc}s"].contains(&spelled) => "\u{b5}s",
        None => spelled,
    }
}

/// The name of a unit of time of which the sign is known.
pub(super) fn time_spelled_out(sign: &str) -> Option<&'static str> {
    UNITS_OF_TIME.iter().find(|(_, known)| *known == sign).map(|(name, _)| *name)
}

/// The sign of a unit that is spelled out, as `\u{b5}m` for `micrometer`; other units as they are.
pub(crate) fn sign(unit: &str) -> &str {
    let spelled = unit.trim();
    match UNITS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(spelled)) {
        Some((_, sign, _)) => sign,
        None if ["um", "micron", "microns", "micrometre", "\u{3bc}m"].contains(&spelled) => MICROMETRE,
        None => spelled,
    }
}

/// The name of a unit of which the sign is known.
pub(super) fn spelled_out(sign: &str) -> Option<&'static str> {
    UNITS.iter().find(|(_, known, _)| *known == sign).map(|(name, ..)| *name)
}

/// How many of the unit `to` one of the unit `from` is, both given by their signs; `None` for units that cannot be compared.
pub(crate) fn factor(from: &str, to: &str) -> Option<f64> {
    let metres = |sign: &str| UNITS.iter().find(|(_, known, _)| *known == sign).map(|(.., metres)| *metres);
    if from == to {
        return Some(1.0);
    }
    let [from, to] = [metres(from)?, metres(to)?];
    // A factor that is whole up to rounding is made whole, and its inverse is one divided by it.
    let [larger, smaller] = if from >= to { [from, to] } else { [to, from] };
    let whole = (larger / smaller).round();
    let factor = if (whole * smaller / larger - 1.0).abs() < 1e-12 { whole } else { larger / smaller };
    Some(if from >= to { factor } else { 1.0 / factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_signs_and_can_be_compared() {
        assert_eq!((sign("micrometer"), sign("um"), sign("parsec")), (MICROMETRE, MICROMETRE, "parsec"));
        assert_eq!((spelled_out(MICROMETRE), spelled_out("parsec")), (Some("micrometer"), None));
        assert_eq!((factor("nm", MICROMETRE), factor(MICROMETRE, "nm")), (Some(1e-3), Some(1000.0)));
        assert!((factor("ft", "mm").unwrap() - 304.8).abs() < 1e-9);
        assert_eq!(
            (time_sign("Millisecond"), time_sign("us"), time_sign("fortnight")),
            ("ms", "\u{b5}s", "fortnight")
        );
        assert_eq!((time_spelled_out("min"), time_spelled_out("fortnight")), (Some("minute"), None));
        assert_eq!((factor("parsec", "parsec"), factor("parsec", "m")), (Some(1.0), None));
    }
}
