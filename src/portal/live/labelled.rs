//! The labels of a project as training takes them. Some are set aside, to score the network by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ndarray::{Array2, Array3};
use serde::Serialize;

use crate::metrics::UNLABELLED;
use crate::network::{Class, Task};
use crate::portal::journal::UNLABELLED as NO_LABEL;
use crate::portal::labels::{Division, Plane};
use crate::portal::project::{Image, Planes, Project};
use crate::samples::{Dataset, Sample, Target};
use crate::{Error, Result};

/// Most bytes of the images that are trained on, which are held in memory.
const MOST_BYTES: usize = 4 << 30;
/// Of the strokes of a class every fifth was set aside, the fourth first, before whole regions were.
const ASIDE: (usize, usize) = (5, 3);
/// How a run says that whole regions are set aside, and which images it was without.
const BY_REGION: &str = "by-region";
const WITHOUT: &str = "without";

/// How labels are divided into those that are trained on and those that a network is scored by. What a run is told of its labels says it, so
/// that the run can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// Strokes are set aside by their count. Runs of earlier versions did so.
    Strokes,
    /// Regions of images are set aside, and these images left out.
    Regions { without: BTreeSet<String> },
}

impl Rule {
    /// What a run is told of it.
    fn words(&self) -> String {
        match self {
            Rule::Strokes => String::new(),
            Rule::Regions { without } if without.is_empty() => format!(" {BY_REGION}"),
            Rule::Regions { without } => {
                let images: Vec<&str> = without.iter().map(String::as_str).collect();
                format!(" {BY_REGION} {WITHOUT} {}", images.join("+"))
            }
        }
    }

    /// That of the words that a run was told; `None` for those that no run is told.
    pub(super) fn of(words: &[&str]) -> Option<Self> {
        match words {
            [] => Some(Rule::Strokes),
            [BY_REGION] => Some(Rule::Regions { without: BTreeSet::new() }),
            [BY_REGION, WITHOUT, images] => {
                Some(Rule::Regions { without: images.split('+').map(str::to_owned).collect() })
            }
            _ => None,
        }
    }
}

/// An image that is labelled, but cannot be trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The image, such as `i1`.
    pub image: String,
    /// Its name for people.
    pub name: String,
    /// Why it cannot be trained on.
    pub reason: String,
}

/// A slice of an image with labels.
struct Slice {
    name: String,
    image: Arc<Array3<f32>>,
    divided: Arc<Divided>,
}

/// The labels of a slice, and how many pixels each class has to train on and set aside.
struct Divided {
    division: Division,
    counts: BTreeMap<u8, [usize; 2]>,
}

/// All labels of a project at one moment.
pub(super) struct Labelled {
    slices: Vec<Slice>,
    /// Classes all of whose labels are trained on, as too few would be left.
    whole: [bool; 256],
    /// The classes of pixels that are trained on.
    pub(super) present: BTreeSet<u8>,
    /// The last entry of the journal that they follow from, and its hash.
    pub(super) seq: u64,
    pub(super) hash: String,
    rule: Rule,
    /// Images that were left out.
    pub(super) skipped: Vec<Skipped>,
}

/// Gathers labels again and again: images are read once, and only the labels of slices that have changed are divided anew.
#[derive(Default)]
pub(super) struct Gatherer {
    images: HashMap<(String, usize), Arc<Array3<f32>>>,
    planes: Planes,
    divided: HashMap<(String, usize), Known>,
}

/// The labels of a slice as they were divided last: the number of its last change, what was shown of the classes, and what came of it.
type Known = (u64, [u8; 256], Arc<Divided>);

impl Gatherer {
    /// The labels as they are now; what is drawn meanwhile is not among them. Images that cannot be used are left out.
    ///
    /// # Errors
    /// For more images and labels than can be held.
    pub(super) fn gather(&mut self, project: &Project) -> Result<Labelled> {
        project.update_planes(&mut self.planes)?;
        self.gathered(project, Rule::Regions { without: BTreeSet::new() })
    }

    /// The labels of a project that was opened as it was once, divided by `rule`.
    ///
    /// # Errors
    /// As [`Self::gather`]; for images that cannot be used, as they were trained on then.
    pub(super) fn gather_again(&mut self, project: &Project, rule: &Rule) -> Result<Labelled> {
        self.planes = Planes::default();
        self.divided.clear();
        project.update_planes(&mut self.planes)?;
        let labelled = self.gathered(project, rule.clone())?;
        let is_new = |skipped: &&Skipped| match rule {
            Rule::Strokes => true,
            Rule::Regions { without } => !without.contains(&skipped.image),
        };
        match labelled.skipped.iter().find(is_new) {
            None => Ok(labelled),
            Some(Skipped { name, reason, .. }) => Err(Error::Mismatch(format!("{name}: {reason}"))),
        }
    }

    fn gathered(&mut self, project: &Project, rule: Rule) -> Result<Labelled> {
        let shown = self.planes.shown.unwrap_or([NO_LABEL; 256]);
        let aside = match rule {
            Rule::Strokes => set_aside(&project.drawn_of_classes()),
            Rule::Regions { .. } => BTreeSet::new(),
        };
        let (mut slices, mut skipped) = (Vec::new(), Vec::new());
        let (mut images, mut divided) = (HashMap::new(), HashMap::new());
        let (mut bytes, mut channels) = (0, None);
        for image in &self.planes.images {
            let mut failure = self.planes.failure(&image.id).map(str::to_owned);
            if matches!(&rule, Rule::Regions { without } if without.contains(&image.id)) {
                failure = Some("was left out before, and so it is again".into());
            }
            let first = channels.unwrap_or(image.channels);
            if failure.is_none() && image.channels != first {
                failure = Some(format!(
                    "has {} channels, but the first image that is labelled has {first}; a network takes images of one kind",
                    image.channels
                ));
            }
            let (mut of_image, mut of_this, mut is_labelled) = (Vec::new(), 0_usize, false);
            for (slice, change, plane) in self.planes.of(&image.id) {
                let key = (image.id.clone(), slice);
                let known = self.divided.remove(&key);
                let known = known.filter(|(of, with, _)| (*of, *with) == (change, shown));
                let labels = match (known, &rule) {
                    (Some((.., labels)), _) => labels,
                    (None, Rule::Strokes) => {
                        Arc::new(by_strokes(project, image, slice, plane, &shown, &aside)?)
                    }
                    (None, Rule::Regions { .. }) => Arc::new(Divided::of(plane.division(&shown))),
                };
                divided.insert(key.clone(), (change, shown, Arc::clone(&labels)));
                if labels.counts.is_empty() {
                    continue;
                }
                is_labelled = true;
                if failure.is_some() {
                    continue;
                }
                let pixels = match self.images.remove(&key) {
                    Some(pixels) => Ok(pixels),
                    None => project.read(&image.id, slice).map(Arc::new),
                };
                match pixels {
                    Ok(pixels) => {
                        // Before the next slice is read.
                        of_this += size_of::<f32>() * pixels.len();
                        if bytes + of_this > MOST_BYTES {
                            return Err(Error::Mismatch(format!(
                                "the labelled images take more than {} GiB of memory; label fewer or smaller ones, or train by `msd-gpu train`, which reads them piece by piece",
                                MOST_BYTES >> 30
                            )));
                        }
                        of_image.push((key, pixels, labels));
                    }
                    Err(error) => failure = Some(error.to_string()),
                }
            }
            // Of an image without labels nothing is wrong.
            if !is_labelled && image.channels != first {
                continue;
            }
            if let Some(reason) = failure {
                skipped.push(Skipped { image: image.id.clone(), name: image.name.clone(), reason });
                continue;
            }
            bytes += of_this;
            for (key, pixels, labels) in of_image {
                let name = match image.slices {
                    1 => image.name.clone(),
                    _ => format!("{} slice {}", image.name, key.1),
                };
                channels = Some(first);
                images.insert(key, Arc::clone(&pixels));
                slices.push(Slice { name, image: pixels, divided: labels });
            }
        }
        (self.images, self.divided) = (images, divided);
        let mut labelled = Labelled {
            slices,
            whole: [false; 256],
            present: BTreeSet::new(),
            seq: self.planes.seq,
            hash: self.planes.hash.clone(),
            rule,
            skipped,
        };
        labelled.choose_classes();
        Ok(labelled)
    }
}

/// The entries that are set aside by their count, of all that were ever drawn, with their classes: what is undone keeps its place.
fn set_aside(drawn: &[(u64, u8)]) -> BTreeSet<u64> {
    let mut counts = [0_usize; 256];
    let mut aside = BTreeSet::new();
    for &(seq, class) in drawn {
        let count = &mut counts[usize::from(class)];
        if *count % ASIDE.0 == ASIDE.1 {
            aside.insert(seq);
        }
        *count += 1;
    }
    aside
}

/// The labels of a slice, of which those of the strokes `aside` are set aside.
fn by_strokes(
    project: &Project,
    image: &Image,
    slice: usize,
    plane: &Plane,
    shown: &[u8; 256],
    aside: &BTreeSet<u64>,
) -> Result<Divided> {
    let labels = plane.division(shown).labels;
    let strokes = project.strokes(&image.id, slice)?;
    if !strokes.iter().any(|stroke| aside.contains(&stroke.seq)) {
        return Ok(Divided::of(Division { labels, aside: None }));
    }
    let mut is_aside = Array2::from_elem(labels.dim(), false);
    for stroke in &strokes {
        let value = aside.contains(&stroke.seq);
        for run in &stroke.runs {
            is_aside.slice_mut(ndarray::s![run.y, run.start..run.end]).fill(value);
        }
    }
    Ok(Divided::of(Division { labels, aside: Some(is_aside) }))
}

impl Divided {
    fn of(division: Division) -> Self {
        let mut counts = [[0; 2]; 256];
        match &division.aside {
            None => division.labels.iter().for_each(|label| counts[usize::from(*label)][0] += 1),
            Some(aside) => ndarray::Zip::from(&division.labels)
                .and(aside)
                .for_each(|label, aside| counts[usize::from(*label)][usize::from(*aside)] += 1),
        }
        let classes = (0..NO_LABEL).zip(counts).filter(|(_, count)| *count != [0; 2]);
        Self { counts: classes.collect(), division }
    }
}

impl Labelled {
    /// Decides which classes are trained on as a whole: those of which more would be set aside than be left.
    fn choose_classes(&mut self) {
        let mut counts = [[0; 2]; 256];
        for slice in &self.slices {
            for (class, [trained, aside]) in &slice.divided.counts {
                let count = &mut counts[usize::from(*class)];
                *count = [count[0] + trained, count[1] + aside];
            }
        }
        for (class, [trained, aside]) in (0..NO_LABEL).zip(counts) {
            let whole = &mut self.whole[usize::from(class)];
            *whole = aside > trained && self.rule != Rule::Strokes;
            if trained > 0 || *whole {
                self.present.insert(class);
            }
        }
    }

    /// What is to be learnt: the classes `numbers`, with their names.
    pub(super) fn task(project: &Project, numbers: &BTreeSet<u8>) -> Task {
        let named = project.classes();
        let name =
            |number: u8| named.iter().find(|class| class.class == number).map(|class| class.name.clone());
        let classes = numbers.iter().map(|&number| Class {
            value: i64::from(number),
            name: name(number).unwrap_or_else(|| number.to_string()),
        });
        Task::Segment { classes: classes.collect() }
    }

    /// The images to train on and those to score by, where the network's classes are `numbers` in this order. Labels of other classes
    /// are left out.
    ///
    /// # Errors
    /// For images whose numbers are not finite where they count.
    pub(super) fn sets(&self, numbers: &BTreeSet<u8>) -> Result<(Dataset, Option<Dataset>)> {
        let mut index = [UNLABELLED; 256];
        numbers.iter().zip(0..).for_each(|(&number, place)| index[usize::from(number)] = place);
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for slice in &self.slices {
            let Division { labels, aside } = &slice.divided.division;
            let part = |set_aside: bool| match aside {
                None if set_aside => None,
                None => Some(labels.mapv(|label| index[usize::from(label)])),
                Some(aside) => {
                    let of = |label: &u8, aside: &bool| {
                        let label = usize::from(*label);
                        if (*aside && !self.whole[label]) == set_aside { index[label] } else { UNLABELLED }
                    };
                    Some(ndarray::Zip::from(labels).and(aside).map_collect(of))
                }
            };
            for (to, classes) in [(&mut training, part(false)), (&mut validation, part(true))] {
                let classes = classes.filter(|all| all.iter().any(|class| *class != UNLABELLED));
                to.extend(classes.map(|classes| {
                    let image = slice.image.as_ref().clone();
                    Sample::new(slice.name.clone(), image, Target::Classes(classes))
                }));
            }
        }
        let validation = match validation.is_empty() {
            true => None,
            false => Some(Dataset::from_memory(validation)?),
        };
        Ok((Dataset::from_memory(training)?, validation))
    }

    /// The journal that these labels follow from.
    pub(super) fn journal(&self) -> String {
        format!("journal {} {}", self.seq, self.hash)
    }

    /// What tells these labels from others, for the run: the journal, and how they are divided.
    pub(super) fn version(&self) -> String {
        let words = match &self.rule {
            Rule::Strokes => Rule::Strokes.words(),
            Rule::Regions { without } => {
                let mut without = without.clone();
                without.extend(self.skipped.iter().map(|skipped| skipped.image.clone()));
                Rule::Regions { without }.words()
            }
        };
        self.journal() + &words
    }
}

#[cfg(test)]
#[path = "labelled_tests.rs"]
mod tests;
