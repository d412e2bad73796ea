//! What can be done to a project, and which numbers are accepted.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// Most points of a stroke or a polygon.
const MOST_POINTS: usize = 100_000;
/// The largest coordinate of a point, in pixels.
const LARGEST_COORDINATE: f64 = 1e6;
/// The largest brush, in pixels.
const LARGEST_BRUSH: f64 = 4096.0;
/// Most rows of all segments of a stroke or a polygon together, so that no entry takes more than about a second.
const MOST_ROWS: f64 = 2e7;
/// Most bytes of a name.
const MOST_NAME_BYTES: usize = 200;
/// The class that stands for no label.
pub(in crate::portal) const UNLABELLED: u8 = 255;

/// Something that was done. The names of fields are those of the journal's lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(in crate::portal) enum Entry {
    Stroke(Stroke),
    Polygon(Polygon),
    Fill(Fill),
    Between(Between),
    Import(Import),
    Undo(Of),
    Redo(Of),
    Class(ClassChange),
    Image(ImageChange),
}

/// A brush along a line: pixels whose centre is at most half of `size` from a segment of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Stroke {
    pub(in crate::portal) image: String,
    pub(in crate::portal) slice: usize,
    /// `None` for the eraser.
    #[serde(deserialize_with = "given")]
    pub(in crate::portal) class: Option<u8>,
    /// The width of the brush in pixels.
    pub(in crate::portal) size: f64,
    /// x and y of the points in pixels; the centre of the first pixel is at (0.5, 0.5).
    pub(in crate::portal) points: Vec<[f64; 2]>,
    /// How many slices before and behind are painted too.
    #[serde(default)]
    pub(in crate::portal) depth: usize,
    /// Only pixels whose grey value is in it, both ends included.
    #[serde(default)]
    pub(in crate::portal) range: Option<[f64; 2]>,
}

/// An area by its corners: pixels whose centre is inside by the even-odd rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Polygon {
    pub(in crate::portal) image: String,
    pub(in crate::portal) slice: usize,
    #[serde(deserialize_with = "given")]
    pub(in crate::portal) class: Option<u8>,
    pub(in crate::portal) points: Vec<[f64; 2]>,
}

/// The connected pixels around one whose grey value is like that pixel's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Fill {
    pub(in crate::portal) image: String,
    pub(in crate::portal) slice: usize,
    #[serde(deserialize_with = "given")]
    pub(in crate::portal) class: Option<u8>,
    pub(in crate::portal) x: usize,
    pub(in crate::portal) y: usize,
    /// The largest difference of grey values.
    pub(in crate::portal) tolerance: f64,
}

/// What lies between the labels of a class in two slices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Between {
    pub(in crate::portal) image: String,
    pub(in crate::portal) class: u8,
    pub(in crate::portal) from: usize,
    pub(in crate::portal) to: usize,
}

/// A label image or stack that is laid over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Import {
    pub(in crate::portal) image: String,
    /// A file of the project, as `labels/import-1.tif`.
    pub(in crate::portal) file: String,
}

/// The entry that is undone or done again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Of {
    pub(in crate::portal) of: u64,
}

/// A class as it is from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct ClassChange {
    pub(in crate::portal) class: u8,
    pub(in crate::portal) name: String,
    pub(in crate::portal) colour: String,
    #[serde(default)]
    pub(in crate::portal) locked: bool,
    #[serde(default)]
    pub(in crate::portal) removed: bool,
}

/// An image that is taken out of the project, or put back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct ImageChange {
    pub(in crate::portal) image: String,
    pub(in crate::portal) removed: bool,
}

/// A field that may be null but not missing: a stroke without a class would else be taken for an eraser.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u8>, D::Error> {
    Option::deserialize(deserializer)
}

/// How many slices, rows and columns an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::portal) struct Shape {
    pub(in crate::portal) slices: usize,
    pub(in crate::portal) height: usize,
    pub(in crate::portal) width: usize,
}

impl Entry {
    /// The image whose labels it changes; `None` where it changes none by itself.
    pub(in crate::portal) fn image(&self) -> Option<&str> {
        match self {
            Entry::Stroke(Stroke { image, .. })
            | Entry::Polygon(Polygon { image, .. })
            | Entry::Fill(Fill { image, .. })
            | Entry::Between(Between { image, .. })
            | Entry::Import(Import { image, .. }) => Some(image),
            Entry::Undo(_) | Entry::Redo(_) | Entry::Class(_) | Entry::Image(_) => None,
        }
    }

    /// The class that is drawn: `Some(None)` for the eraser, `None` for entries of no or of many classes.
    pub(in crate::portal) fn class(&self) -> Option<Option<u8>> {
        match self {
            Entry::Stroke(Stroke { class, .. })
            | Entry::Polygon(Polygon { class, .. })
            | Entry::Fill(Fill { class, .. }) => Some(*class),
            Entry::Between(Between { class, .. }) => Some(Some(*class)),
            Entry::Import(_) | Entry::Undo(_) | Entry::Redo(_) | Entry::Class(_) | Entry::Image(_) => None,
        }
    }

    /// The slices of an image of `slices` slices that it may change; none where it changes no labels by itself.
    pub(in crate::portal) fn slices(&self, slices: usize) -> RangeInclusive<usize> {
        let last = slices.saturating_sub(1);
        #[allow(clippy::reversed_empty_ranges)]
        match self {
            Entry::Stroke(stroke) => {
                stroke.slice.saturating_sub(stroke.depth)
                    ..=stroke.slice.saturating_add(stroke.depth).min(last)
            }
            Entry::Polygon(Polygon { slice, .. }) | Entry::Fill(Fill { slice, .. }) => *slice..=*slice,
            Entry::Between(Between { from, to, .. }) => {
                let (first, last) = (from.min(to), from.max(to));
                match last - first {
                    0 => 1..=0,
                    _ => first + 1..=last - 1,
                }
            }
            Entry::Import(_) if slices > 0 => 0..=last,
            _ => 1..=0,
        }
    }

    /// Checks what can be checked without the image's numbers; `shape` is that of the entry's image.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for numbers that cannot be meant.
    pub(in crate::portal) fn check(&self, shape: Option<Shape>) -> Result<()> {
        let Some(shape) = shape else {
            return match self {
                Entry::Class(change) => change.check(),
                _ => Ok(()),
            };
        };
        let slice = |slice: usize| {
            let Shape { slices, .. } = shape;
            (slice < slices).then_some(()).ok_or_else(|| {
                Error::Mismatch(format!("`slice` is {slice}, but the image has {slices}, counted from 0"))
            })
        };
        match self {
            Entry::Stroke(stroke) => {
                slice(stroke.slice)?;
                if !(stroke.size > 0.0 && stroke.size <= LARGEST_BRUSH) {
                    let problem =
                        format!("`size` is {}, but wanted 0 to {LARGEST_BRUSH} pixels", stroke.size);
                    return Err(Error::Mismatch(problem));
                }
                if let Some([low, high]) = stroke.range
                    && !(low.is_finite() && high.is_finite() && low <= high)
                {
                    let problem =
                        format!("`range` is {low} to {high}, but wanted two numbers, the smaller one first");
                    return Err(Error::Mismatch(problem));
                }
                check_points(&stroke.points, 1, stroke.size + 2.0)
            }
            Entry::Polygon(polygon) => {
                slice(polygon.slice)?;
                check_points(&polygon.points, 3, 2.0)
            }
            Entry::Fill(fill) => {
                slice(fill.slice)?;
                if fill.x >= shape.width || fill.y >= shape.height {
                    return Err(Error::Mismatch(format!(
                        "the fill starts at x {}, y {}, but the image has {} x {} pixels",
                        fill.x, fill.y, shape.width, shape.height
                    )));
                }
                if !(fill.tolerance >= 0.0 && fill.tolerance.is_finite()) {
                    let problem = format!("`tolerance` is {}, but wanted a number from 0 on", fill.tolerance);
                    return Err(Error::Mismatch(problem));
                }
                Ok(())
            }
            Entry::Between(between) => {
                slice(between.from)?;
                slice(between.to)?;
                if between.from.abs_diff(between.to) < 2 {
                    return Err(Error::Mismatch(format!(
                        "there is no slice between {} and {}; choose two that are further apart",
                        between.from, between.to
                    )));
                }
                Ok(())
            }
            Entry::Import(_) | Entry::Undo(_) | Entry::Redo(_) | Entry::Class(_) | Entry::Image(_) => Ok(()),
        }
    }
}

impl ClassChange {
    fn check(&self) -> Result<()> {
        if self.class == UNLABELLED {
            return Err(Error::Mismatch("`class` is 255, which stands for no label; use 0 to 254".into()));
        }
        check_name(&self.name)?;
        let digits = self.colour.strip_prefix('#').filter(|digits| digits.len() == 6);
        if !digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            return Err(Error::Mismatch(format!(
                "`colour` is '{}', but wanted one such as #e6550d",
                self.colour.chars().take(40).collect::<String>()
            )));
        }
        Ok(())
    }
}

/// Refuses names that cannot be shown on a line.
///
/// # Errors
/// [`Error::Mismatch`] for these.
pub(in crate::portal) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > MOST_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::Mismatch(format!(
            "`name` is empty, longer than {MOST_NAME_BYTES} bytes or not on one line; give another one"
        )));
    }
    Ok(())
}

/// Refuses what is no name of a tab: 1 to 64 letters, digits and hyphens.
///
/// # Errors
/// [`Error::Mismatch`] for these.
pub(in crate::portal) fn check_tab(tab: &str) -> Result<()> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=64).contains(&tab.len()) && tab.bytes().all(is_known) {
        return Ok(());
    }
    Err(Error::Mismatch("`tab` must be 1 to 64 letters, digits and hyphens".into()))
}

fn check_points(points: &[[f64; 2]], least: usize, rows_each: f64) -> Result<()> {
    if !(least..=MOST_POINTS).contains(&points.len()) {
        let count = points.len();
        return Err(Error::Mismatch(format!(
            "there are {count} `points`, but wanted {least} to {MOST_POINTS}"
        )));
    }
    if let Some([x, y]) =
        points.iter().find(|point| !point.iter().all(|value| value.abs() <= LARGEST_COORDINATE))
    {
        return Err(Error::Mismatch(format!("a point is at x {x}, y {y}, which is in no image")));
    }
    let rows: f64 = points.windows(2).map(|pair| (pair[1][1] - pair[0][1]).abs() + rows_each).sum();
    if rows > MOST_ROWS {
        return Err(Error::Mismatch("the line is too long for one entry; draw it in several".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { slices: 3, height: 20, width: 30 };

    fn entry(text: &str) -> std::result::Result<Entry, String> {
        let entry: Entry = serde_json::from_str(text).map_err(|error| error.to_string())?;
        entry.check(entry.image().map(|_| SHAPE)).map_err(|error| error.to_string())?;
        Ok(entry)
    }

    #[test]
    fn entries_are_read_and_written_as_the_page_has_them() {
        for text in [
            r#"{"op":"stroke","image":"i1","slice":0,"class":0,"size":9.0,"points":[[1.5,2.3]],"depth":0,"range":null}"#,
            r#"{"op":"stroke","image":"i1","slice":2,"class":null,"size":9.5,"points":[[1.5,2.3],[-3.1,4.0]],"depth":7,"range":[0.1,2.0]}"#,
            r#"{"op":"polygon","image":"i1","slice":0,"class":3,"points":[[1.5,2.3],[1.0,1.0],[3.0,4.0]]}"#,
            r#"{"op":"fill","image":"i1","slice":0,"class":1,"x":29,"y":19,"tolerance":2.5}"#,
            r#"{"op":"between","image":"i1","class":1,"from":2,"to":0}"#,
            r#"{"op":"import","image":"i1","file":"labels/import-1.tif"}"#,
            r#"{"op":"undo","of":7}"#,
            r#"{"op":"image","image":"i1","removed":true}"#,
            r##"{"op":"class","class":254,"name":"<b>fibre</b>","colour":"#e6550d","locked":true,"removed":false}"##,
        ] {
            assert_eq!(serde_json::to_string(&entry(text).unwrap()).unwrap(), text);
        }
        let short = r#"{"op":"stroke","image":"i1","slice":0,"class":0,"size":9,"points":[[1,2]]}"#;
        let Entry::Stroke(stroke) = entry(short).unwrap() else { panic!("wanted a stroke") };
        assert_eq!((stroke.depth, stroke.range), (0, None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let many = vec!["[1.0,1.0]"; MOST_POINTS + 1].join(",");
        let long = vec!["[0,-1000000],[0,1000000]"; 50].join(",");
        let stroke = |rest: &str| format!(r#"{{"op":"stroke","image":"i1",{rest}}}"#);
        for (text, word) in [
            (stroke(r#""slice":0,"size":9,"points":[[1,2]]"#), "class"),
            (stroke(r#""slice":3,"class":0,"size":9,"points":[[1,2]]"#), "`slice` is 3"),
            (stroke(r#""slice":-1,"class":0,"size":9,"points":[[1,2]]"#), "invalid value"),
            (stroke(r#""slice":0,"class":256,"size":9,"points":[[1,2]]"#), "256"),
            (stroke(r#""slice":0,"class":"0","size":9,"points":[[1,2]]"#), "invalid type"),
            (stroke(r#""slice":0,"class":0,"size":0,"points":[[1,2]]"#), "`size` is 0"),
            (stroke(r#""slice":0,"class":0,"size":1e9,"points":[[1,2]]"#), "`size`"),
            (stroke(r#""slice":0,"class":0,"size":9,"points":[]"#), "0 `points`"),
            (stroke(r#""slice":0,"class":0,"size":9,"points":[[1e9,2]]"#), "in no image"),
            (stroke(&format!(r#""slice":0,"class":0,"size":9,"points":[{many}]"#)), "100001 `points`"),
            (stroke(&format!(r#""slice":0,"class":0,"size":9,"points":[{long}]"#)), "too long"),
            (stroke(r#""slice":0,"class":0,"size":9,"points":[[1,2]],"range":[3,1]"#), "`range`"),
            (stroke(r#""slice":0,"class":0,"size":9,"points":[[1,2]],"more":1"#), "unknown field"),
            (
                r#"{"op":"polygon","image":"i1","slice":0,"class":3,"points":[[1,2],[3,4]]}"#.into(),
                "2 `points`",
            ),
            (r#"{"op":"fill","image":"i1","slice":0,"class":1,"x":30,"y":0,"tolerance":1}"#.into(), "x 30"),
            (
                r#"{"op":"fill","image":"i1","slice":0,"class":1,"x":0,"y":0,"tolerance":-1}"#.into(),
                "`tolerance`",
            ),
            (r#"{"op":"between","image":"i1","class":1,"from":1,"to":2}"#.into(), "no slice between"),
            (r##"{"op":"class","class":255,"name":"a","colour":"#e6550d"}"##.into(), "255"),
            (r##"{"op":"class","class":1,"name":" ","colour":"#e6550d"}"##.into(), "`name`"),
            (r#"{"op":"class","class":1,"name":"a","colour":"red;}"}"#.into(), "`colour`"),
            (r#"{"op":"delete"}"#.into(), "unknown variant"),
        ] {
            let error = entry(&text).unwrap_err();
            assert!(error.contains(word), "{}: {error}", text.chars().take(100).collect::<String>());
        }
        assert!(check_tab("a-Z9").is_ok());
        for tab in ["", "a b", "ä", "<", &"a".repeat(65)] {
            assert!(check_tab(tab).is_err(), "{tab}");
        }
    }

    #[test]
    fn slices_are_those_that_may_change() {
        let slices = |text: &str| entry(text).unwrap().slices(SHAPE.slices).collect::<Vec<_>>();
        let deep = r#"{"op":"stroke","image":"i1","slice":2,"class":0,"size":9,"points":[[1,2]],"depth":1}"#;
        assert_eq!(slices(deep), [1, 2]);
        assert_eq!(slices(r#"{"op":"between","image":"i1","class":1,"from":2,"to":0}"#), [1]);
        assert_eq!(slices(r#"{"op":"import","image":"i1","file":"a"}"#), [0, 1, 2]);
        assert!(slices(r#"{"op":"undo","of":7}"#).is_empty());
    }
}
