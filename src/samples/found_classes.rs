//! What the classes of label images are, whether these are in memory or in files.

use log::{debug, info, warn};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::dataset::{Classes, reading_bytes};
use super::label_rule::{FoundColours, LabelRule};
use super::labels::{LabelMapping, LabelValues};
use super::masks::{Inspection, flattened};
use super::sample::Counting;
use super::streaming::in_order;
use super::weight_images;
use crate::error::Result;
use crate::geometry::Window;
use crate::images::{ImageCache, ImageSource, page_size};

/// What is done with the name, the values and the weights of a label image.
pub(super) type Visit<'a> = dyn FnMut(&str, &mut Array2<i64>, Option<&Array2<f32>>) -> Result<()> + Send + 'a;

/// Label images, one after the other.
pub(super) trait LabelImages {
    /// Calls `visit` with each; where they stay in memory, what it makes of them stays too.
    ///
    /// # Errors
    /// The first error of reading or of `visit`.
    fn each(&mut self, visit: &mut Visit) -> Result<()>;

    /// Whether they stay in memory.
    fn are_held(&self) -> bool;
}

/// Label images in memory, with their names and without weights.
pub(super) struct HeldLabels<'a>(pub(super) &'a [String], pub(super) &'a mut [Array2<i64>]);

impl LabelImages for HeldLabels<'_> {
    fn each(&mut self, visit: &mut Visit) -> Result<()> {
        let Self(names, labels) = self;
        names.iter().zip(labels.iter_mut()).try_for_each(|(name, labels)| visit(name, labels, None))
    }

    fn are_held(&self) -> bool {
        true
    }
}

/// What the classes of label images are: applies `rule` to them, warns of what looks like a mistake, and gives the mapping of their
/// values, the rule, in which colours that were asked for are listed, and what counts of each image, or nothing where none was looked at.
pub(super) fn find_classes(
    images: &mut dyn LabelImages,
    rule: &LabelRule,
    classes: Classes,
) -> Result<(LabelMapping, LabelRule, Vec<Counting>)> {
    let (known, ignored) = match classes {
        Classes::Known(mapping) => (Some(mapping.clone()), mapping.ignored),
        Classes::Found { ignored } => (None, ignored),
    };
    let mut counting = Vec::new();
    let resolved = match rule {
        LabelRule::FoundColours => {
            let mut found = FoundColours::default();
            images.each(&mut |name, labels, weights| {
                counting.push(Counting::of_labels(labels, weights, None));
                found.add(name, labels)
            })?;
            found.rule()
        }
        rule => rule.clone(),
    };
    if *rule == LabelRule::FoundColours {
        let values = resolved.values().unwrap_or_default();
        let colours: Vec<_> = values.into_iter().map(|value| resolved.class_name(value)).collect();
        info!("the colours of the label images are the classes, in this order: {}", colours.join(","));
    }
    // Colours that were found are classes, of which nothing more is to be known: files need not be read again.
    if let (LabelRule::FoundColours, None, None, false) = (rule, &known, ignored, images.are_held()) {
        let values = resolved.values().unwrap_or_default();
        if values.len() > 1 {
            return Ok((LabelMapping { values, ignored }, resolved, counting));
        }
    }
    let is_as_stored = resolved == LabelRule::AsStored;
    if let (true, Some(mapping)) = (is_as_stored, &known) {
        return Ok((mapping.clone(), resolved, Vec::new()));
    }
    counting.clear();
    let mut inspection = is_as_stored.then(|| Inspection::new(ignored));
    let mut values = LabelValues::new(ignored);
    let mut told = false;
    images.each(&mut |name, labels, weights| {
        if let Some(inspection) = &mut inspection {
            inspection.add(name, labels);
        } else {
            let before = labels.clone();
            resolved.apply(name, labels, ignored)?;
            if let Some(problem) = flattened(name, &before, labels, &resolved).filter(|_| !told) {
                warn!("{problem}");
                told = true;
            }
        }
        counting.push(Counting::of_labels(labels, weights, ignored));
        if known.is_none() {
            values.add(name, labels);
        }
        Ok(())
    })?;
    if let Some(inspection) = inspection {
        inspection.problems()?.iter().for_each(|problem| warn!("{problem}"));
    }
    let mapping = match known {
        Some(mapping) => mapping,
        None => {
            let found = values.mapping()?;
            LabelMapping { values: resolved.values().unwrap_or(found.values), ..found }
        }
    };
    Ok((mapping, resolved, counting))
}

/// What was found of the classes of label images.
#[derive(Serialize, Deserialize)]
pub(super) struct FoundClasses {
    values: Vec<i64>,
    colours: Option<Vec<i64>>,
    /// What counts of each image, where they were looked at.
    #[serde(default)]
    pub(super) counting: Vec<Counting>,
}

impl From<(LabelMapping, LabelRule, Vec<Counting>)> for FoundClasses {
    fn from((mapping, rule, counting): (LabelMapping, LabelRule, Vec<Counting>)) -> Self {
        let colours = match rule {
            LabelRule::Colours(colours) => Some(colours),
            _ => None,
        };
        Self { values: mapping.values, colours, counting }
    }
}

impl FoundClasses {
    /// Whether the values are in the order that a mapping has.
    pub(super) fn is_usable(&self) -> bool {
        !self.values.is_empty() && self.values.is_sorted_by(|a, b| a < b)
    }

    /// The mapping and the rule, where the classes were asked for as `classes` and `rule` say.
    pub(super) fn mapping(self, classes: Classes, rule: &LabelRule) -> (LabelMapping, LabelRule) {
        let mapping = match classes {
            Classes::Known(mapping) => mapping.clone(),
            Classes::Found { ignored } => LabelMapping { values: self.values, ignored },
        };
        (mapping, self.colours.map_or_else(|| rule.clone(), LabelRule::Colours))
    }
}

/// Label images that are read when their turn comes.
pub(super) struct FileLabels<'a> {
    pub(super) pairs: &'a [(ImageSource, ImageSource)],
    /// Those of each, where there are some.
    pub(super) weights: &'a [Option<ImageSource>],
    pub(super) names: &'a [String],
    pub(super) rule: &'a LabelRule,
    pub(super) cache: &'a ImageCache,
    /// Bytes of the largest image with its target.
    pub(super) bytes: u64,
}

impl LabelImages for FileLabels<'_> {
    fn each(&mut self, visit: &mut Visit) -> Result<()> {
        debug!("reading all targets, {} of each", self.pairs.len());
        let read = |index: usize| {
            let page = &self.pairs[index].1;
            let (_, height, width) = page_size(page)?;
            let window = Window::plane(0..height, 0..width);
            let weights = self.weights[index].as_ref();
            let weights =
                weights.map(|page| weight_images::read_part(self.cache, page, &window)).transpose()?;
            Ok((self.rule.read_part(self.cache, page, &window)?, weights))
        };
        in_order(self.pairs.len(), reading_bytes(self.bytes), read, |index, (mut labels, weights)| {
            visit(&self.names[index], &mut labels, weights.as_ref())
        })
    }

    fn are_held(&self) -> bool {
        false
    }
}
