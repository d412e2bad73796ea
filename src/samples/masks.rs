//! What label images look like that were not meant as their values say: soft edges, instances, grey images, and others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ndarray::Array2;

use super::label_rule::LabelRule;
use crate::error::{Error, Result};
use crate::images::NO_LABEL;

/// More values than this are refused unless they are listed as classes.
const MAX_UNLISTED: usize = 32;
/// A value of which less than this share lies in squares of 2 x 2 equal pixels is spread over edges or noise: regions that
/// somebody drew are more than a pixel wide.
const SOLID: f64 = 0.25;
/// A value that covers less than this share of the pixels is not suggested as a class.
const MAIN_SHARE: f64 = 0.005;
/// So many regions in an image, each in one piece and of a value of its own, are rather objects than classes.
const OBJECTS: usize = 6;
/// How many values a message lists.
const LISTED: usize = 8;

/// What is known of a value over all images.
#[derive(Debug, Default, Clone)]
struct Value {
    pixels: u64,
    /// Pixels in squares of 2 x 2 that are equal, by their upper left one.
    solid: u64,
}

/// What is known of an image.
#[derive(Debug)]
struct Looked {
    name: String,
    /// How many values it has, and which, where they are few.
    count: usize,
    few: Vec<i64>,
}

/// Looks at the values of label images that are to be classes as they are, image by image.
#[derive(Debug)]
pub(super) struct Inspection {
    ignored: Option<i64>,
    values: BTreeMap<i64, Value>,
    images: Vec<Looked>,
    /// The image that shows most objects, and their number.
    objects: Option<(String, usize)>,
}

impl Inspection {
    /// Of no image yet; `ignored` is no class.
    pub(super) fn new(ignored: Option<i64>) -> Self {
        Self { ignored, values: BTreeMap::new(), images: Vec::new(), objects: None }
    }

    /// Looks at the image called `name`.
    pub(super) fn add(&mut self, name: &str, image: &Array2<i64>) {
        let mut own = values_of(image);
        own.retain(|value, _| *value != NO_LABEL && self.ignored != Some(*value));
        let few = if own.len() < 4 { own.keys().copied().collect() } else { Vec::new() };
        self.images.push(Looked { name: name.to_owned(), count: own.len(), few });
        if own.len() > OBJECTS {
            let found = objects(image, &own).filter(|&found| {
                // Of images with as many objects, the last one.
                self.objects.as_ref().is_none_or(|(_, most)| found >= *most)
            });
            self.objects = found.map(|found| (name.to_owned(), found)).or(self.objects.take());
        }
        own.into_iter().for_each(|(value, found)| add(&mut self.values, value, &found));
    }

    /// What looks like a mistake, each with the setting that mends it, for the caller to tell.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for more than 32 values, with what the images look like.
    pub(super) fn problems(&self) -> Result<Vec<String>> {
        let Self { ignored, values, images, .. } = self;
        let look = self.look();
        if values.len() > MAX_UNLISTED {
            let first = images.iter().max_by_key(|image| image.count).map_or("", |image| image.name.as_str());
            let looks = look.unwrap_or_else(|| {
                let (least, most) = (values.keys().next().copied(), values.keys().next_back().copied());
                format!(
                    "check that these are the targets, or list them with `classes {}..{}`",
                    least.unwrap_or_default(),
                    most.unwrap_or_default()
                )
            });
            return Err(Error::Mismatch(format!(
                "found {} different values in the label images ({first} among them), but wanted at most {MAX_UNLISTED} where `classes` does not list them; {looks}",
                values.len()
            )));
        }
        Ok(look.into_iter().chain(self.mixed()).chain(unset_ignore(values, *ignored)).collect())
    }

    /// What images of many values look like: soft edges, instances, or a grey image.
    fn look(&self) -> Option<String> {
        let values = &self.values;
        if values.len() < 5 {
            return None;
        }
        let pixels: u64 = values.values().map(|value| value.pixels).sum();
        let is_solid = |value: &Value| value.solid as f64 >= SOLID * value.pixels as f64;
        let scattered = values.values().filter(|value| !is_solid(value)).count();
        if scattered >= 3 && 2 * scattered >= values.len() {
            let is_main =
                |value: &Value| is_solid(value) && value.pixels as f64 >= MAIN_SHARE * pixels as f64;
            let main: Vec<(i64, u64)> = values
                .iter()
                .filter(|(_, value)| is_main(value))
                .map(|(&v, found)| (v, found.pixels))
                .collect();
            let covered: u64 = main.iter().map(|(_, pixels)| pixels).sum();
            let meant: Vec<i64> = match main[..] {
                [(lowest, _), .., (highest, _)] if 2 * covered >= pixels => {
                    most_frequent_of_neighbours(&main, (highest - lowest) / 16)
                }
                _ => two_bulks(values).map_or(Vec::new(), Vec::from),
            };
            return Some(match meant[..] {
                [] | [_] => format!(
                    "the {} values of the label images are spread like those of a grey image; check that these are the targets, or give `threshold 128` (or what parts bright from dark) where they are masks",
                    values.len()
                ),
                _ => {
                    let list = listed(meant.iter().copied(), usize::MAX);
                    let threshold = match meant[..] {
                        [low, high] => format!("`threshold {}` or ", low + (high - low + 1) / 2),
                        _ => String::new(),
                    };
                    format!(
                        "the label images look like masks with soft edges or of a lossy format such as JPEG: {} values, most of them rare or close to {list}; give {threshold}`classes {list}` to make classes of these alone",
                        values.len()
                    )
                }
            });
        }
        let (name, objects) = self.objects.as_ref()?;
        let background = values.iter().max_by_key(|(_, value)| value.pixels).map_or(0, |(value, _)| *value);
        Some(format!(
            "the label images look like instances, each object with a number of its own ({name} has {objects}), which would be {} classes; give `classes {background},rest` to make one class of all objects, unless each number is a class",
            values.len()
        ))
    }

    /// Images of 0 and 1 beside images of 0 and 255, or the like.
    fn mixed(&self) -> Option<String> {
        let Self { values, images, .. } = self;
        let found: Vec<i64> = values.keys().copied().collect();
        let [0, 1, high] = found[..] else { return None };
        if high < 100 || images.iter().any(|image| image.few.contains(&1) && image.few.contains(&high)) {
            return None;
        }
        let with = |value: i64| {
            images.iter().find(|image| image.few.contains(&value)).map(|image| image.name.as_str())
        };
        let (one, other) = (with(1)?, with(high)?);
        Some(format!(
            "some label images hold 0 and 1 ({one}) and others 0 and {high} ({other}), which would be 3 classes; give `threshold 1` where 1 and {high} mean the same"
        ))
    }
}

/// The values of an image.
fn values_of(image: &Array2<i64>) -> BTreeMap<i64, Value> {
    let mut values: BTreeMap<i64, Value> = BTreeMap::new();
    let (height, width) = image.dim();
    let mut run: Option<(i64, Value)> = None;
    for y in 0..height {
        for x in 0..width {
            let value = image[[y, x]];
            let solid = y + 1 < height
                && x + 1 < width
                && image[[y, x + 1]] == value
                && image[[y + 1, x]] == value
                && image[[y + 1, x + 1]] == value;
            // Neighbours are mostly equal: counting runs spares most of the look-ups.
            match &mut run {
                Some((last, found)) if *last == value => {
                    found.pixels += 1;
                    found.solid += u64::from(solid);
                }
                _ => {
                    if let Some((last, found)) =
                        run.replace((value, Value { pixels: 1, solid: solid.into() }))
                    {
                        add(&mut values, last, &found);
                    }
                }
            }
        }
    }
    if let Some((last, found)) = run {
        add(&mut values, last, &found);
    }
    values
}

fn add(values: &mut BTreeMap<i64, Value>, value: i64, found: &Value) {
    let all = values.entry(value).or_default();
    all.pixels += found.pixels;
    all.solid += found.solid;
}

/// Of values in ascending order that are at most `reach` apart, the one of most pixels: lossy compression moves the values
/// inside of regions too, and those beside the value that was drawn are no classes.
fn most_frequent_of_neighbours(values: &[(i64, u64)], reach: i64) -> Vec<i64> {
    let mut chosen: Vec<(i64, u64)> = Vec::new();
    for &(value, pixels) in values {
        match chosen.last_mut() {
            Some(last) if value - last.0 <= reach => {
                if pixels > last.1 {
                    *last = (value, pixels);
                }
            }
            _ => chosen.push((value, pixels)),
        }
    }
    chosen.into_iter().map(|(value, _)| value).collect()
}

/// The most frequent dark and bright value where nearly all pixels are close to the darkest or the brightest, as in a mask of
/// two classes that strong lossy compression has touched everywhere; a grey image holds more between the two.
fn two_bulks(values: &BTreeMap<i64, Value>) -> Option<[i64; 2]> {
    let (lowest, highest) = (*values.keys().next()?, *values.keys().next_back()?);
    let reach = (highest - lowest) / 8;
    let pixels = |range: RangeInclusive<i64>| values.range(range).map(|(_, value)| value.pixels).sum::<u64>();
    let (low, high) = (lowest..=lowest + reach, highest - reach..=highest);
    let (dark, bright, all) = (pixels(low.clone()), pixels(high.clone()), pixels(lowest..=highest));
    let between = all.saturating_sub(dark + bright);
    if reach == 0 || 5 * between > all || between > dark.min(bright) {
        return None;
    }
    let peak = |range| values.range(range).max_by_key(|(_, value)| value.pixels).map(|(&value, _)| value);
    Some([peak(low)?, peak(high)?])
}

/// How many objects an image shows, where its values are numbers of objects: nearly each but the most frequent is in one
/// piece.
fn objects(image: &Array2<i64>, values: &BTreeMap<i64, Value>) -> Option<usize> {
    let mut pieces: BTreeMap<i64, usize> = BTreeMap::new();
    let mut pixels: BTreeMap<i64, usize> = BTreeMap::new();
    let (height, width) = image.dim();
    let mut seen = Array2::from_elem(image.dim(), false);
    let mut stack = Vec::new();
    for ((y, x), &value) in image.indexed_iter() {
        if seen[[y, x]] || !values.contains_key(&value) {
            continue;
        }
        *pieces.entry(value).or_default() += 1;
        seen[[y, x]] = true;
        stack.push((y, x));
        while let Some((y, x)) = stack.pop() {
            *pixels.entry(value).or_default() += 1;
            for v in y.saturating_sub(1)..(y + 2).min(height) {
                for u in x.saturating_sub(1)..(x + 2).min(width) {
                    if !seen[[v, u]] && image[[v, u]] == value {
                        seen[[v, u]] = true;
                        stack.push((v, u));
                    }
                }
            }
        }
    }
    let background = pixels.iter().max_by_key(|(_, pixels)| **pixels).map(|(value, _)| *value)?;
    pieces.remove(&background);
    let whole: usize = pieces.values().sum();
    // Objects that overlap cut each other into pieces now and then.
    (pieces.len() >= OBJECTS && 2 * whole <= 3 * pieces.len()).then_some(pieces.len())
}

/// One value over most of the pixels, beside several that are few.
fn unset_ignore(values: &BTreeMap<i64, Value>, ignored: Option<i64>) -> Option<String> {
    if ignored.is_some() || values.len() < 3 {
        return None;
    }
    let pixels: u64 = values.values().map(|value| value.pixels).sum();
    let (&value, most) = values.iter().max_by_key(|(_, value)| value.pixels)?;
    // A background of 0 is common; so are brush strokes over it, but these leave much more of it.
    let wanted = if value == 0 { 0.95 } else { 0.6 };
    let share = most.pixels as f64 / pixels as f64;
    (share >= wanted).then(|| {
        let others = listed(values.keys().copied().filter(|&other| other != value), LISTED);
        format!(
            "{:.1} % of the label images' pixels are {value}, beside a few of {others}; if {value} means that nobody labelled them, give `ignore {value}`, else it is a class like the others",
            100.0 * share
        )
    })
}

/// What a rule made of label images, where it looks like a mistake: images that held several values and now hold one.
pub(super) fn flattened(
    name: &str,
    before: &Array2<i64>,
    after: &Array2<i64>,
    rule: &LabelRule,
) -> Option<String> {
    let setting = match rule {
        LabelRule::Threshold(threshold) => format!("`threshold {threshold}`"),
        LabelRule::Values { values, rest } => {
            let rest = if *rest { ",rest" } else { "" };
            format!("`classes {}{rest}`", listed(values.iter().copied(), LISTED))
        }
        _ => return None,
    };
    let distinct = |labels: &Array2<i64>| -> BTreeSet<i64> {
        labels.iter().copied().filter(|&value| value != NO_LABEL).collect()
    };
    let (before, after) = (distinct(before), distinct(after));
    match (before.len(), after.first()) {
        (2.., Some(class)) if after.len() == 1 => Some(format!(
            "all of {name} became class {class} by {setting}, though it holds {}; check that its values mean the same as those of the other label images",
            listed(before.iter().copied(), LISTED)
        )),
        _ => None,
    }
}

fn listed(values: impl Iterator<Item = i64>, most: usize) -> String {
    let mut texts: Vec<String> = values.map(|value| value.to_string()).collect();
    let more = if texts.len() > most { ",..." } else { "" };
    texts.truncate(most);
    texts.join(",") + more
}

#[cfg(test)]
#[path = "masks_tests.rs"]
mod tests;
