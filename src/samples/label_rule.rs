//! How the values of label images are taken, where they are not the classes themselves: thresholds, lists of classes, and
//! colours.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, s};

use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::{
    ImageCache, ImageSource, NO_LABEL, read_colours, read_labels_with_gaps, read_rough_labels_with_gaps,
};

/// More classes than this can be listed by nobody, and no network tells them apart.
const MAX_LISTED: usize = 256;
/// More colours than this are taken for a picture given by mistake.
const MAX_COLOURS: usize = 32;

/// The colours of label images that were looked at.
#[derive(Debug, Default)]
pub(super) struct FoundColours(BTreeSet<i64>);

impl FoundColours {
    /// Adds those of the image called `name`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for more than 32 colours.
    pub(super) fn add(&mut self, name: &str, image: &Array2<i64>) -> Result<()> {
        let Self(found) = self;
        let mut last = None;
        for &colour in image.iter().filter(|&&colour| colour != NO_LABEL) {
            if last.replace(colour) != Some(colour) {
                found.insert(colour);
            }
        }
        if found.len() <= MAX_COLOURS {
            return Ok(());
        }
        Err(Error::Mismatch(format!(
            "the label images up to {name} have {} colours, but wanted at most {MAX_COLOURS}; list those that are classes, such as `colours '#000000,#ff0000'`, and save the masks without lossy compression (as PNG)",
            found.len()
        )))
    }

    /// The rule by which they are the classes.
    pub(super) fn rule(self) -> LabelRule {
        LabelRule::Colours(self.0.into_iter().collect())
    }
}

/// What is made of the values of label images before they are classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LabelRule {
    /// Nothing: each value is a class.
    #[default]
    AsStored,
    /// Values from this one on become class 1, all below class 0.
    Threshold(i64),
    /// Only these values are classes.
    Values {
        /// The values, in ascending order.
        values: Vec<i64>,
        /// Whether all other values are one class more, with the value after the largest of `values`; else each of them is
        /// taken for the nearest one of `values`, the lower one of two.
        rest: bool,
    },
    /// Images in colours: class `i` is the `i`-th of these, as 65536 red + 256 green + blue; any other one is refused.
    Colours(Vec<i64>),
    /// Images in colours: all that are found are classes, in ascending order.
    FoundColours,
}

impl LabelRule {
    /// The rule of the settings `threshold`, `classes` and `colours`, of which one may be set.
    ///
    /// `classes` is a list of values and ranges with `rest` as its last word, such as `0,255`, `0..39` or `0,rest`; `colours`
    /// is `auto` or a list such as `#000000,#ff0000`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is none, and for more than one that is set.
    pub fn from_settings(
        threshold: Option<i64>,
        classes: Option<&str>,
        colours: Option<&str>,
    ) -> Result<Self> {
        match (threshold, classes, colours) {
            (None, None, None) => Ok(Self::AsStored),
            (Some(threshold), None, None) => Ok(Self::Threshold(threshold)),
            (None, Some(classes), None) => listed_values(classes),
            (None, None, Some(colours)) => listed_colours(colours),
            (threshold, classes, _) => {
                let name = if threshold.is_some() { "threshold" } else { "classes" };
                let other = if threshold.is_some() && classes.is_some() { "classes" } else { "colours" };
                let wanted = "each says by itself what the classes are; drop one";
                Err(Error::setting(name, format!("given beside `{other}`"), wanted))
            }
        }
    }

    /// Reads a label image, as colours where the rule is about these.
    pub(super) fn read(&self, page: &ImageSource) -> Result<Array2<i64>> {
        match self {
            Self::Colours(_) | Self::FoundColours => read_colours(page),
            // Lossy compression moves values by little.
            Self::Threshold(_) | Self::Values { rest: false, .. } => read_rough_labels_with_gaps(page),
            _ => read_labels_with_gaps(page),
        }
    }

    /// As [`LabelRule::read`], of the rows and columns of `part`.
    pub(super) fn read_part(
        &self,
        cache: &ImageCache,
        page: &ImageSource,
        part: &Window,
    ) -> Result<Array2<i64>> {
        match self {
            // In how many bits colours are stored, only all pixels together tell.
            Self::Colours(_) | Self::FoundColours => {
                Ok(read_colours(page)?.slice_move(s![part.rows(), part.columns()]))
            }
            Self::Threshold(_) | Self::Values { rest: false, .. } => cache.labels(page, part, true),
            _ => cache.labels(page, part, false),
        }
    }

    /// Applies the rule to the labels of the image called `name`; `ignored` and [`NO_LABEL`] stay.
    ///
    /// # Errors
    /// [`Error::Input`] for a colour that is not listed.
    pub(super) fn apply(&self, name: &str, labels: &mut Array2<i64>, ignored: Option<i64>) -> Result<()> {
        let kept = |value: i64| value == NO_LABEL || ignored == Some(value);
        match self {
            Self::AsStored | Self::FoundColours => {}
            Self::Threshold(threshold) => {
                labels.mapv_inplace(|v| if kept(v) { v } else { i64::from(v >= *threshold) });
            }
            Self::Values { values, rest } => {
                labels.mapv_inplace(|v| if kept(v) { v } else { class_value(v, values, *rest) });
            }
            Self::Colours(colours) => {
                let classes: BTreeMap<i64, i64> = colours.iter().copied().zip(0..).collect();
                if let Some(unknown) = labels.iter().find(|colour| !classes.contains_key(colour)) {
                    let count = labels.iter().filter(|colour| *colour == unknown).count();
                    let known: Vec<String> = colours.iter().copied().map(colour_name).collect();
                    let problem = format!(
                        "has the colour {} in {count} of {} pixels, but the classes are {}; add it to `colours`, or save the mask without lossy compression (as PNG)",
                        colour_name(*unknown),
                        labels.len(),
                        known.join(",")
                    );
                    return Err(Error::input(name, problem));
                }
                // What is no class was refused above.
                labels.mapv_inplace(|colour| classes.get(&colour).copied().unwrap_or(NO_LABEL));
            }
        }
        Ok(())
    }

    /// The values of the classes, in ascending order, where the rule and not the images say them.
    pub(super) fn values(&self) -> Option<Vec<i64>> {
        match self {
            Self::AsStored | Self::Threshold(_) | Self::FoundColours => None,
            Self::Values { values, rest } => {
                Some(values.iter().copied().chain(rest.then(|| rest_value(values))).collect())
            }
            Self::Colours(colours) => Some((0..colours.len() as i64).collect()),
        }
    }

    /// What the class of the label value `value` is called: its colour, or the value.
    pub fn class_name(&self, value: i64) -> String {
        let colour = match self {
            Self::Colours(colours) => usize::try_from(value).ok().and_then(|index| colours.get(index)),
            _ => None,
        };
        colour.map_or_else(|| value.to_string(), |colour| colour_name(*colour))
    }

    /// The rule by which classes of these names were made: colours, where all are colours.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let colours: Option<Vec<i64>> = names.into_iter().map(colour).collect();
        colours.filter(|colours| !colours.is_empty()).map_or(Self::AsStored, Self::Colours)
    }
}

fn rest_value(values: &[i64]) -> i64 {
    values.last().map_or(1, |last| last.saturating_add(1))
}

/// The class that `value` belongs to.
fn class_value(value: i64, values: &[i64], rest: bool) -> i64 {
    match values.binary_search(&value) {
        Ok(_) => value,
        Err(_) if rest => rest_value(values),
        Err(at) => {
            let (below, above) = (at.checked_sub(1).map(|at| values[at]), values.get(at).copied());
            match (below, above) {
                (Some(below), Some(above)) if value.abs_diff(above) < value.abs_diff(below) => above,
                (Some(below), _) => below,
                (None, above) => above.unwrap_or(value),
            }
        }
    }
}

fn listed_values(text: &str) -> Result<LabelRule> {
    let wrong = || {
        let wanted = "it must be values of label images, such as 0,255 or 0..39, or 0,rest to make one class of all others";
        Error::setting("classes", format!("'{text}'"), wanted)
    };
    let mut values = BTreeSet::new();
    let mut rest = false;
    for part in text.split(',').map(str::trim) {
        if part == "rest" && !rest {
            rest = true;
        } else if let Some((first, last)) = part.split_once("..") {
            let number = |text: &str| text.parse::<i32>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if i64::from(last) - i64::from(first) >= MAX_LISTED as i64 {
                return Err(wrong());
            }
            values.extend((first..=last).map(i64::from));
        } else {
            values.insert(i64::from(part.parse::<i32>().map_err(|_| wrong())?));
        }
    }
    let count = values.len() + usize::from(rest);
    if values.is_empty() || !(2..=MAX_LISTED).contains(&count) || rest && values.contains(&i32::MAX.into()) {
        return Err(wrong());
    }
    Ok(LabelRule::Values { values: values.into_iter().collect(), rest })
}

fn listed_colours(text: &str) -> Result<LabelRule> {
    if text == "auto" {
        return Ok(LabelRule::FoundColours);
    }
    let colours: Option<Vec<i64>> = text.split(',').map(|text| colour(text.trim())).collect();
    let distinct = |colours: &Vec<i64>| colours.iter().collect::<BTreeSet<_>>().len() == colours.len();
    match colours {
        Some(colours) if (2..=MAX_LISTED).contains(&colours.len()) && distinct(&colours) => {
            Ok(LabelRule::Colours(colours))
        }
        _ => {
            let wanted =
                "it must be auto, or a list of two or more different colours such as '#000000,#ff0000'";
            Err(Error::setting("colours", format!("'{text}'"), wanted))
        }
    }
}

/// A colour as people write it: `#ff0000`.
pub(super) fn colour_name(colour: i64) -> String {
    format!("#{colour:06x}")
}

/// The colour that is written as `text`.
fn colour(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('#')?;
    let plain = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if plain { i64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn applied(rule: &LabelRule, labels: Array2<i64>) -> Array2<i64> {
        let mut labels = labels;
        rule.apply("a", &mut labels, Some(9)).unwrap();
        labels
    }

    #[test]
    fn each_rule_makes_its_classes_and_leaves_what_nobody_labelled() {
        let rule =
            |threshold, classes, colours| LabelRule::from_settings(threshold, classes, colours).unwrap();
        let labels = array![[0, 127, 128], [255, 9, NO_LABEL]];
        let wanted = array![[0, 0, 1], [1, 9, NO_LABEL]];
        assert_eq!(applied(&rule(Some(128), None, None), labels.clone()), wanted);
        let nearest = rule(None, Some("0, 255"), None);
        assert_eq!(applied(&nearest, labels.clone()), array![[0, 0, 255], [255, 9, NO_LABEL]]);
        assert_eq!(applied(&nearest, array![[-7, 300]]), array![[0, 255]]);
        // As far from both: the lower one.
        assert_eq!(applied(&rule(None, Some("0,2"), None), array![[1]]), array![[0]]);
        let rest = rule(None, Some("0,rest"), None);
        assert_eq!(applied(&rest, labels), array![[0, 1, 1], [1, 9, NO_LABEL]]);
        assert_eq!(rest.values(), Some(vec![0, 1]));
        assert_eq!(rule(None, Some("0..2,5"), None).values(), Some(vec![0, 1, 2, 5]));
    }

    #[test]
    fn colours_are_classes_in_their_order_and_others_are_named() {
        let listed = LabelRule::from_settings(None, None, Some("#ff0000,#000000")).unwrap();
        assert_eq!(applied(&listed, array![[0, 0xff0000]]), array![[1, 0]]);
        assert_eq!((listed.class_name(0), listed.class_name(1)), ("#ff0000".into(), "#000000".into()));
        assert_eq!(LabelRule::of_names(["#ff0000", "#000000"]), listed);
        assert_eq!(LabelRule::of_names(["0", "#000000"]), LabelRule::AsStored);
        let error = listed.apply("m.png", &mut array![[0, 0x0000ff]], None).unwrap_err().to_string();
        for part in ["m.png", "#0000ff in 1 of 2", "#ff0000,#000000", "`colours`"] {
            assert!(error.contains(part), "{error}");
        }
        let image = array![[0xff0000, 0, 0x00ff00]];
        let mut found = FoundColours::default();
        found.add("a", &image).unwrap();
        assert_eq!(found.rule(), LabelRule::Colours(vec![0, 0x00ff00, 0xff0000]));
        let many = Array2::from_shape_fn((1, 40), |(_, x)| x as i64);
        let error = FoundColours::default().add("a", &many).unwrap_err().to_string();
        assert!(error.contains("at most 32") && error.contains("`colours '#000000,#ff0000'`"), "{error}");
    }

    #[test]
    fn rules_are_read_strictly() {
        for (name, classes, colours) in [
            ("classes", Some("0"), None),
            ("classes", Some("rest"), None),
            ("classes", Some("0,rest,rest"), None),
            ("classes", Some("0..300"), None),
            ("classes", Some("0,x"), None),
            ("classes", Some("0,1"), Some("auto")),
            ("colours", None, Some("red,blue")),
            ("colours", None, Some("#ff0000")),
            ("colours", None, Some("#ff0000,#ff0000")),
        ] {
            let error = LabelRule::from_settings(None, classes, colours).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        let error = LabelRule::from_settings(Some(1), Some("0,1"), None).unwrap_err().to_string();
        assert!(error.starts_with("threshold is given beside `classes`"), "{error}");
    }
}
