//! The angles of projections, in whatever unit they are written.

use std::f64::consts::PI;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::read_text;

/// Angles as they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Angles {
    pub(super) values: Vec<f64>,
    pub(super) unit: Unit,
    /// Whether nothing says them, and half a turn was taken for granted.
    pub(super) is_assumed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Radians,
    Degrees,
    /// Degrees by custom, as nothing says it.
    Unsaid,
    /// Something else, which is taken for degrees too.
    Unknown,
}

impl Unit {
    pub(super) fn of(text: Option<&str>) -> Self {
        match text.map(|text| text.trim().to_lowercase()) {
            Some(text) if text.starts_with("rad") => Self::Radians,
            Some(text) if text.starts_with("deg") || text == "\u{b0}" => Self::Degrees,
            Some(text) if !text.is_empty() => Self::Unknown,
            _ => Self::Unsaid,
        }
    }
}

impl Angles {
    pub(super) fn new(values: Vec<f64>, unit: Unit) -> Self {
        Self { values, unit, is_assumed: false }
    }

    /// Those in a text file, in degrees, one at the end of each line; what follows a `#` does not count, nor does a first line without a
    /// number.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, or holds something else.
    pub(super) fn read(path: &str) -> Result<Self> {
        let text = read_text(Path::new(path), MOST_BYTES)?.ok_or_else(|| {
            let problem =
                format!("has more than {MOST_BYTES} bytes; wanted an angle in degrees on each line");
            Error::input(path, problem)
        })?;
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
        let angle = |line: &str| -> Option<f64> {
            line.split([',', ' ', '\t', ';']).next_back().and_then(|word| word.parse().ok())
        };
        // The first line of a table may name its columns.
        let mut head = lines.clone();
        let names = head.next().is_some_and(|(_, line)| angle(line).is_none()) && head.next().is_some();
        let mut values = Vec::new();
        for (number, line) in lines.skip(names.into()) {
            let angle = angle(line);
            let problem = || {
                let line = line.chars().take(40).collect::<String>();
                format!("line {} is '{line}'; wanted an angle in degrees on each line", number + 1)
            };
            values
                .push(angle.filter(|angle| angle.is_finite()).ok_or_else(|| Error::input(path, problem()))?);
            if values.len() > MOST_ANGLES {
                let problem = format!("has more than {MOST_ANGLES} angles; wanted one for each projection");
                return Err(Error::input(path, problem));
            }
        }
        Ok(Self::new(values, Unit::Unsaid))
    }

    /// Half a turn for `count` projections with both ends, where nothing says anything.
    pub(super) fn assumed(count: usize) -> Self {
        let step = 180.0 / count.saturating_sub(1).max(1) as f64;
        Self { values: (0..count).map(|i| step * i as f64).collect(), unit: Unit::Degrees, is_assumed: true }
    }

    /// In radians, for `count` projections of `name`; what people are to know goes to `notes`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of angles, [`Error::Input`] for numbers that are none.
    pub(super) fn in_radians(self, name: &str, count: usize, notes: &mut Vec<String>) -> Result<Vec<f64>> {
        let Self { values, unit, is_assumed } = self;
        if values.len() != count {
            return Err(Error::Mismatch(format!(
                "{name} has {count} projections but {} angles; wanted one for each, give the right ones with `angles` or `range`",
                values.len()
            )));
        }
        if values.iter().any(|angle| !angle.is_finite()) {
            let problem = "an angle is no finite number; give the right ones with `angles` or `range`";
            return Err(Error::input(name, problem));
        }
        if is_assumed {
            notes.push(
                "the file does not say at which angles it was scanned: 0 to 180 degrees are taken, both ends included (`range` and `angles` say otherwise)".into(),
            );
        }
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let range = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
        if count > 1 && range == 0.0 {
            let problem =
                format!("all {count} angles are {least}; give the right ones with `angles` or `range`");
            return Err(Error::input(name, problem));
        }
        // Many projections within seven degrees are no scan, but within two pi radians they are one.
        let look_like_radians = count >= MANY && (LEAST_RADIANS..=MOST_RADIANS).contains(&range);
        // As many radians would be tens of turns.
        let look_like_degrees = count >= MANY && (LEAST_DEGREES..=MOST_DEGREES).contains(&range);
        let in_radians = match unit {
            Unit::Radians => !look_like_degrees,
            Unit::Degrees | Unit::Unsaid | Unit::Unknown => look_like_radians,
        };
        if unit == Unit::Unknown {
            let taken = if in_radians { "radians" } else { "degrees" };
            notes.push(format!("the unit of the angles is neither degrees nor radians: {taken} are taken"));
        } else if in_radians && unit != Unit::Radians {
            notes.push(format!(
                "the angles cover {range:.3}, which is taken for radians, as so many projections within {range:.3} degrees would be no scan"
            ));
        } else if !in_radians && unit == Unit::Radians {
            notes.push(format!(
                "the angles cover {range:.1}, which is taken for degrees, as {range:.1} radians would be {:.0} turns",
                range / (2.0 * PI)
            ));
        }
        let factor = if in_radians { 1.0 } else { PI / 180.0 };
        let degrees = (factor * range).to_degrees();
        if degrees > MOST_TURNS * 360.0 {
            let turns = degrees / 360.0;
            notes.push(format!(
                "the angles cover {degrees:.0} degrees, which are {turns:.0} turns: if they are in another unit, give the right ones with `angles` or `range`"
            ));
        } else if count >= MANY && degrees < FEW_DEGREES {
            notes.push(format!(
                "the angles cover {degrees:.1} degrees only, so that slices are blurred along one direction: if they are in another unit, give the right ones with `angles` or `range`"
            ));
        }
        Ok(values.into_iter().map(|angle| factor * angle).collect())
    }
}

/// A file of angles has no more.
const MOST_BYTES: u64 = 16 << 20;
/// More angles than any scan has projections.
const MOST_ANGLES: usize = 1 << 20;
/// As many projections are a scan, which covers at least a third of a half turn.
const MANY: usize = 30;
const LEAST_RADIANS: f64 = PI / 3.0;
const MOST_RADIANS: f64 = 2.0 * PI + 0.1;
/// The same of degrees, where a file says radians.
const LEAST_DEGREES: f64 = 60.0;
const MOST_DEGREES: f64 = 366.0;
/// More turns than a scan that is reconstructed as a whole has.
const MOST_TURNS: f64 = 10.0;
/// Fewer degrees than a scan of all directions has.
const FEW_DEGREES: f64 = 120.0;

/// `count` angles in radians, evenly over `range` degrees, without its end.
///
/// # Errors
/// [`Error::Setting`] for a range that is none.
pub(super) fn over(range: f64, count: usize) -> Result<Vec<f64>> {
    if !(range.is_finite() && range.abs() > 0.0 && range.abs() <= 3600.0) {
        return Err(Error::setting("range", range, "wanted degrees, mostly 180 or 360"));
    }
    Ok((0..count).map(|number| range.to_radians() * number as f64 / count as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_and_radians_are_told_apart() {
        let mut notes = Vec::new();
        let degrees: Vec<f64> = (0..180).map(f64::from).collect();
        let radians: Vec<f64> = degrees.iter().map(|angle| angle.to_radians()).collect();
        let of = |values: &[f64], unit, notes: &mut Vec<String>| {
            Angles::new(values.to_vec(), unit).in_radians("it", 180, notes).unwrap()
        };
        assert_eq!(of(&degrees, Unit::Degrees, &mut notes), radians);
        assert_eq!(of(&degrees, Unit::Unsaid, &mut notes), radians);
        assert_eq!(of(&radians, Unit::Radians, &mut notes), radians);
        assert!(notes.is_empty());
        // A wrong unit is found.
        assert_eq!(of(&radians, Unit::Degrees, &mut notes), radians);
        assert_eq!(notes.len(), 1);
        assert_eq!(of(&degrees, Unit::Radians, &mut notes), radians);
        assert!(notes[1].contains("taken for degrees"), "{notes:?}");
        assert_eq!(of(&degrees, Unit::of(Some("gon")), &mut notes), radians);
        assert!(notes[2].contains("neither degrees nor radians"), "{notes:?}");
        // Thousandths of degrees, and turns.
        for (factor, wanted) in [(1000.0, "497 turns"), (1.0 / 360.0, "0.5 degrees only")] {
            let other: Vec<f64> = degrees.iter().map(|angle| factor * angle).collect();
            of(&other, Unit::Degrees, &mut notes);
            assert!(notes.last().unwrap().contains(wanted), "{notes:?}");
        }
        let error = Angles::new(vec![5.0; 40], Unit::Degrees).in_radians("it", 40, &mut notes).unwrap_err();
        assert!(error.to_string().contains("all 40 angles are 5"), "{error}");
        assert!(Angles::new(degrees, Unit::Degrees).in_radians("it", 181, &mut notes).is_err());
        assert!(Angles::new(vec![f64::NAN], Unit::Degrees).in_radians("it", 1, &mut notes).is_err());
    }

    #[test]
    fn angles_are_read_from_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("angles.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Angles::read(path.to_str().unwrap())
        };
        assert_eq!(read("# degrees\n0\n0.5\n\n1 # one\n3, 1.5\n").unwrap().values, [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(read("number,angle\n1,0\n2,0.5\n").unwrap().values, [0.0, 0.5]);
        for damaged in ["a", "1\ninf", "1\n2 x", "a\nb\n1"] {
            assert!(read(damaged).unwrap_err().to_string().contains("wanted an angle"));
        }
    }

    #[test]
    fn ranges_leave_their_end_out() {
        assert_eq!(over(180.0, 2).unwrap(), [0.0, PI / 2.0]);
        assert!(over(0.0, 2).is_err() && over(f64::NAN, 2).is_err());
    }
}
