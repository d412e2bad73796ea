//! Results that lie in files, this program's or another's, beside their targets: read one pair after the other.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ndarray::Axis;

use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::sample::{Sample, Target};
use super::weight_images;
use crate::error::{Error, Result, counted_channels};
use crate::images::{Discovery, ImageSource, NO_LABEL, page_size, read_image, read_values_with_gaps};
use crate::metrics::{MOST_CLASSES, UNLABELLED};

/// More different values than this in one image are values and not labels, unless it is said that they are labels.
const MAX_LABELS: usize = 32;

/// Where results, their targets and weights lie, and how label images are taken.
#[derive(Debug, Clone)]
pub struct ResultFiles<'a> {
    /// The results: a folder, a file or a pattern, see [`Discovery::discover`].
    pub results: &'a str,
    /// Their targets, see [`Discovery::pair`].
    pub targets: &'a str,
    /// How much each pixel counts, see [`super::DataFiles::weights`].
    pub weights: Option<&'a str>,
    /// How all of them are looked for.
    pub discovery: Discovery,
    /// What is made of the values of label images.
    pub rule: LabelRule,
    /// The value in targets of pixels that nobody labelled.
    pub ignored: Option<i64>,
}

/// Results with their targets; the headers have been compared.
#[derive(Debug)]
pub struct Results {
    pairs: Vec<(ImageSource, ImageSource)>,
    weights: Option<Vec<ImageSource>>,
    rule: LabelRule,
    ignored: Option<i64>,
}

impl ResultFiles<'_> {
    /// Pairs results with targets and weights, and compares their sizes.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read; [`Error::Mismatch`] for results without target and other sizes.
    pub fn pair(self) -> Result<Results> {
        let found = without_pictures(self.discovery.discover(self.results)?);
        let targets = self.discovery.discover(self.targets)?;
        let pairs = self.discovery.pair(&found, &targets, "target")?;
        for (result, target) in &pairs {
            same_size(result, target, "target")?;
        }
        let weights = self.weights.map(|weights| {
            let pages = self.discovery.discover_single_channel(weights)?;
            let results: Vec<_> = pairs.iter().map(|(result, _)| result.clone()).collect();
            let pairs = self.discovery.pair(&results, &pages, "weight image")?;
            pairs.iter().try_for_each(|(result, page)| same_size(result, page, "weight image"))?;
            Ok(pairs.into_iter().map(|(_, page)| page).collect())
        });
        Ok(Results { pairs, weights: weights.transpose()?, rule: self.rule, ignored: self.ignored })
    }
}

/// `results` without what this program writes beside them: `NAME_overlay` beside `NAME`, the legend, and so on.
fn without_pictures(results: Vec<ImageSource>) -> Vec<ImageSource> {
    const BESIDE: [&str; 4] = ["_overlay", "_probabilities", "_deviation", "_entropy"];
    let stems: BTreeSet<String> = results.iter().map(|result| result.stem.clone()).collect();
    let file_stems: BTreeSet<String> = results.iter().map(file_stem).collect();
    let is_beside = |result: &ImageSource| {
        // Of a stack, the file has the ending and each page a number behind it.
        let names = [(result.stem.clone(), &stems), (file_stem(result), &file_stems)];
        names.iter().any(|(name, known)| {
            BESIDE.iter().any(|end| name.strip_suffix(end).is_some_and(|base| known.contains(base)))
        }) || result.stem == "legend"
    };
    let (left_out, kept): (Vec<_>, Vec<_>) = results.into_iter().partition(is_beside);
    // Somebody may have an image of that name alone.
    if kept.is_empty() { left_out } else { kept }
}

/// Adds what is in `all` to `values` until these are more than `most`; whether they are not.
fn add_values(values: &mut BTreeSet<i64>, all: impl Iterator<Item = i64>, most: usize) -> bool {
    let mut last = None;
    for value in all {
        // Neighbours are mostly equal: looking back once spares most of the look-ups.
        if last != Some(value) {
            values.insert(value);
            last = Some(value);
        }
        if values.len() > most {
            return false;
        }
    }
    true
}

/// Results of 0 and 1 beside targets of 0 and 255, or the like: two values each, of which one is the same.
fn written_differently(results: &BTreeSet<i64>, targets: &BTreeSet<i64>) -> Option<String> {
    if results.len() != 2 || targets.len() != 2 {
        return None;
    }
    let own = |one: &BTreeSet<i64>, other: &BTreeSet<i64>| match one.difference(other).collect::<Vec<_>>()[..]
    {
        [value] => Some(*value),
        _ => None,
    };
    let (result, target) = (own(results, targets)?, own(targets, results)?);
    let common = results.intersection(targets).next()?;
    let way_out = match result.min(target) {
        least if least > *common => {
            format!("give `threshold {least}` where {result} and {target} mean the same")
        }
        _ => "give label images that use the same two".to_owned(),
    };
    Some(format!(
        "the results hold {common} and {result} and the targets {common} and {target}, which are compared as three classes; {way_out}"
    ))
}

fn file_stem(source: &ImageSource) -> String {
    source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn same_size(result: &ImageSource, other: &ImageSource, what: &str) -> Result<()> {
    let ((_, height, width), (_, other_height, other_width)) = (page_size(result)?, page_size(other)?);
    if (height, width) == (other_height, other_width) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{} is {width} x {height} pixels but its {what} {} is {other_width} x {other_height}; wanted the same size",
        result.name(),
        other.name()
    )))
}

impl Results {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    /// Whether the first target holds labels, as far as that can be known: whole numbers in one channel, and few different ones.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read.
    pub fn are_labels(&self) -> Result<bool> {
        let Some((_, target)) = self.pairs.first() else { return Ok(false) };
        if self.rule != LabelRule::AsStored {
            return Ok(true);
        }
        let labels = self.rule.read(target);
        Ok(match labels {
            Ok(labels) => add_values(&mut BTreeSet::new(), labels.iter().copied(), MAX_LABELS),
            // What is wrong with the file itself shows here too.
            Err(_) => {
                read_image(target)?;
                false
            }
        })
    }

    /// The label values of all results and targets, by which classes are counted. A result may have the value of pixels that
    /// nobody labelled; where the target is labelled, that is wrong. Every file is read for it, one at a time.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read as labels, [`Error::Mismatch`] for more than [`MOST_CLASSES`] values.
    pub fn classes(&self) -> Result<LabelMapping> {
        let (mut of_results, mut of_targets) = (BTreeSet::new(), BTreeSet::new());
        for (result, target) in &self.pairs {
            let found = self.labels(result, None)?;
            let wanted = self.labels(target, self.ignored)?;
            let wanted = wanted.into_iter().filter(|value| Some(*value) != self.ignored);
            let is_label = |value: &i64| *value != NO_LABEL;
            let few = add_values(&mut of_results, found.into_iter().filter(is_label), MOST_CLASSES)
                && add_values(&mut of_targets, wanted.filter(is_label), MOST_CLASSES);
            if !few || of_results.union(&of_targets).count() > MOST_CLASSES {
                return Err(Error::Mismatch(format!(
                    "the label images up to {} hold more than {MOST_CLASSES} different values, which is as many classes as are compared; give `task regress` where they are no classes",
                    target.name()
                )));
            }
        }
        if let Some(problem) = written_differently(&of_results, &of_targets) {
            log::warn!("{problem}");
        }
        let values = of_results.union(&of_targets).copied().collect();
        Ok(LabelMapping { values, ignored: self.ignored })
    }

    fn labels(&self, page: &ImageSource, ignored: Option<i64>) -> Result<ndarray::Array2<i64>> {
        let mut labels = self.rule.read(page)?;
        self.rule.apply(&page.name(), &mut labels, ignored)?;
        Ok(labels)
    }

    /// Pair `index` as a sample whose image is the result: of classes their numbers, in one channel.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read, [`Error::Mismatch`] for another number of channels.
    pub fn sample(&self, index: usize, classes: Option<&LabelMapping>) -> Result<Cow<'static, Sample>> {
        let (result, target) = &self.pairs[index];
        let (image, wanted) = match classes {
            Some(mapping) => {
                let found = LabelMapping { ignored: None, ..mapping.clone() };
                let found = found.encode(&result.name(), &self.labels(result, None)?)?;
                let wanted = mapping.encode(&target.name(), &self.labels(target, self.ignored)?)?;
                let is_missing =
                    |(found, wanted): (&u32, &u32)| *found == UNLABELLED && *wanted != UNLABELLED;
                if found.dim() == wanted.dim() && found.iter().zip(&wanted).any(is_missing) {
                    let problem = "holds NaN where its target has a label; wanted a label for each of these pixels, or none in the target";
                    return Err(Error::input(result.name(), problem));
                }
                (found.mapv(|class| class as f32).insert_axis(Axis(0)), Target::Classes(wanted))
            }
            None => {
                let (image, values) = (read_image(result)?, read_values_with_gaps(target)?);
                if image.dim() != values.dim() {
                    return Err(Error::Mismatch(format!(
                        "{} has {} but its target {} has {}; wanted the same number",
                        result.name(),
                        counted_channels(image.dim().0),
                        target.name(),
                        values.dim().0
                    )));
                }
                (image, Target::Values(values))
            }
        };
        let mut sample = Sample::new(result.name(), image, wanted);
        if let Some(pages) = &self.weights {
            sample.weights = Some(weight_images::read(&pages[index])?);
        }
        sample.settle_gaps();
        Ok(Cow::Owned(sample))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::images::write_labels;

    #[test]
    fn no_more_classes_are_compared_than_can_be_counted() {
        let folder = tempfile::tempdir().unwrap();
        let compared = |count: usize| {
            for name in ["found", "targets"] {
                let labels = Array2::from_shape_fn((40, 40), |(y, x)| ((40 * y + x) % count) as i64);
                std::fs::create_dir_all(folder.path().join(name)).unwrap();
                write_labels(folder.path().join(name).join("a"), &labels).unwrap();
            }
            let place = |name: &str| folder.path().join(name).display().to_string();
            let files = ResultFiles {
                results: &place("found"),
                targets: &place("targets"),
                weights: None,
                discovery: Discovery::default(),
                rule: LabelRule::AsStored,
                ignored: Some(0),
            };
            files.pair().unwrap().classes().map(|mapping| mapping.values.len())
        };
        assert_eq!(compared(MOST_CLASSES).unwrap(), MOST_CLASSES);
        let error = compared(MOST_CLASSES + 1).unwrap_err().to_string();
        assert!(
            error.contains("more than 1024 different values") && error.contains("`task regress`"),
            "{error}"
        );
    }
}
