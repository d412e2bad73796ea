//! The labels of a project as training takes them. Some strokes are set aside, whole ones, to score the network by.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ndarray::{Array2, Array3};

use crate::metrics::UNLABELLED;
use crate::network::{Class, Task};
use crate::portal::journal::UNLABELLED as NO_LABEL;
use crate::portal::project::Project;
use crate::samples::{Dataset, Sample, Target};
use crate::{Error, Result};

/// Of the strokes of a class every fifth is set aside, the fourth first: the first three are all needed.
const ASIDE: (usize, usize) = (5, 3);
/// Most bytes of the images that are trained on, which are held in memory.
const MOST_BYTES: usize = 4 << 30;

/// A slice of an image with labels.
struct Slice {
    name: String,
    image: Arc<Array3<f32>>,
    /// Labels to train on, and those to score by.
    training: Array2<u8>,
    validation: Option<Array2<u8>>,
}

/// All labels of a project at one moment.
pub(super) struct Labelled {
    slices: Vec<Slice>,
    /// The classes of pixels that are trained on.
    pub(super) present: BTreeSet<u8>,
    /// The last entry of the journal that they follow from, and its hash.
    pub(super) seq: u64,
    pub(super) hash: String,
}

/// Gathers labels again and again; images are read once.
#[derive(Default)]
pub(super) struct Gatherer {
    images: HashMap<(String, usize), Arc<Array3<f32>>>,
}

impl Gatherer {
    /// The labels as they are now.
    ///
    /// # Errors
    /// Those of reading images, and for more images than can be held.
    pub(super) fn gather(&mut self, project: &Project) -> Result<Labelled> {
        loop {
            let (seq, hash) = project.journal_state();
            let found = self.of_moment(project, seq, &hash)?;
            // What was drawn meanwhile may be in some slices and not in others.
            if project.journal_state().0 == seq {
                return Ok(found);
            }
        }
    }

    fn of_moment(&mut self, project: &Project, seq: u64, hash: &str) -> Result<Labelled> {
        let aside = set_aside(&project.drawn_of_classes());
        let mut slices = Vec::new();
        let mut present = BTreeSet::new();
        let mut kept = HashMap::new();
        let mut bytes = 0;
        for image in project.images() {
            for slice in project.painted_slices(&image.id) {
                let (labels, _) = project.labels(&image.id, slice)?;
                if labels.iter().all(|label| *label == NO_LABEL) {
                    continue;
                }
                let key = (image.id.clone(), slice);
                let pixels = match self.images.remove(&key).or_else(|| kept.get(&key).cloned()) {
                    Some(pixels) => pixels,
                    None => Arc::new(project.read(&image.id, slice)?),
                };
                bytes += size_of::<f32>() * pixels.len();
                if bytes > MOST_BYTES {
                    return Err(Error::Mismatch(format!(
                        "the labelled images take more than {} GiB of memory; label fewer or smaller ones, or train by `msd-gpu train`, which reads them piece by piece",
                        MOST_BYTES >> 30
                    )));
                }
                kept.insert(key, Arc::clone(&pixels));
                let (training, validation) = divided(project, &image.id, slice, labels, &aside)?;
                present.extend(training.iter().filter(|label| **label != NO_LABEL));
                let name = match image.slices {
                    1 => image.name.clone(),
                    _ => format!("{} slice {slice}", image.name),
                };
                slices.push(Slice { name, image: pixels, training, validation });
            }
        }
        self.images = kept;
        Ok(Labelled { slices, present, seq, hash: hash.to_owned() })
    }
}

/// The entries that are set aside, of all that were ever drawn, with their classes: what is undone keeps its place, so that no stroke
/// that was trained on becomes one to score by.
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

/// Labels to train on, and those of strokes that are set aside, where there are some in the slice.
fn divided(
    project: &Project,
    image: &str,
    slice: usize,
    labels: Array2<u8>,
    aside: &BTreeSet<u64>,
) -> Result<(Array2<u8>, Option<Array2<u8>>)> {
    let strokes = project.strokes(image, slice)?;
    if !strokes.iter().any(|stroke| aside.contains(&stroke.seq)) {
        return Ok((labels, None));
    }
    let mut is_aside = Array2::from_elem(labels.dim(), false);
    for stroke in &strokes {
        let value = aside.contains(&stroke.seq);
        for run in &stroke.runs {
            is_aside.slice_mut(ndarray::s![run.y, run.start..run.end]).fill(value);
        }
    }
    let (mut training, mut validation) = (labels.clone(), labels);
    ndarray::Zip::from(&mut training).and(&mut validation).and(&is_aside).for_each(|train, score, &aside| {
        *(if aside { train } else { score }) = NO_LABEL;
    });
    let has_some = validation.iter().any(|label| *label != NO_LABEL);
    Ok((training, has_some.then_some(validation)))
}

impl Labelled {
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
    /// For images that differ in their channels, or whose numbers are not finite where they count.
    pub(super) fn sets(&self, numbers: &BTreeSet<u8>) -> Result<(Dataset, Option<Dataset>)> {
        let mut index = [UNLABELLED; 256];
        numbers.iter().zip(0..).for_each(|(&number, place)| index[usize::from(number)] = place);
        let of = |labels: &Array2<u8>| labels.mapv(|label| index[usize::from(label)]);
        let is_labelled = |classes: &Array2<u32>| classes.iter().any(|class| *class != UNLABELLED);
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for slice in &self.slices {
            let add = |to: &mut Vec<Sample>, labels: &Array2<u8>| {
                let classes = of(labels);
                if is_labelled(&classes) {
                    let image = slice.image.as_ref().clone();
                    to.push(Sample::new(slice.name.clone(), image, Target::Classes(classes)));
                }
            };
            add(&mut training, &slice.training);
            slice.validation.iter().for_each(|labels| add(&mut validation, labels));
        }
        let validation = match validation.is_empty() {
            true => None,
            false => Some(Dataset::from_memory(validation)?),
        };
        Ok((Dataset::from_memory(training)?, validation))
    }

    /// What tells these labels from others.
    pub(super) fn version(&self) -> String {
        format!("journal {} {}", self.seq, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fifth_stroke_of_a_class_is_set_aside_but_none_of_the_first_three() {
        let drawn: Vec<(u64, u8)> = (1..=20).map(|seq| (seq, (seq % 2) as u8)).collect();
        // The 4th and 9th of each class.
        assert_eq!(set_aside(&drawn), [7, 8, 17, 18].into());
        assert!(set_aside(&drawn[..6]).is_empty());
    }
}
