//! Scores of a segmentation, all from one table of counts.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::error::{Error, Result};

/// The target value of an unlabelled pixel, which is left out of every score.
pub const UNLABELLED: u32 = u32::MAX;

/// More classes than this are not scored: there is a count for each pair of them, for each image, too.
pub const MOST_CLASSES: usize = 1024;

/// How many pixels of each target class were predicted as which class.
///
/// Counts are summed over all images that are added, so every score weighs pixels alike, whichever image
/// they lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// `[target class][predicted class]`, in pixels.
    counts: Array2<u64>,
}

/// The scores of one class, each from 0 to 1, or `None` where it would divide by zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScores {
    /// Correct pixels / target pixels of the class (recall); `None` if the targets do not have the class.
    pub accuracy: Option<f64>,
    /// Correct pixels / pixels predicted as the class; `None` if the class was never predicted.
    pub precision: Option<f64>,
    /// Intersection over union (Jaccard index); `None` if neither targets nor predictions have the class.
    pub iou: Option<f64>,
    /// Dice coefficient (F1 score); `None` if neither targets nor predictions have the class.
    pub dice: Option<f64>,
    /// Pixels of the class in the targets.
    pub target_pixels: u64,
}

impl ConfusionMatrix {
    /// An empty matrix for `classes` classes, numbered from 0, which takes 8 bytes for each pair of them: check the number against
    /// [`MOST_CLASSES`] where it comes from a file.
    pub fn new(classes: usize) -> Self {
        Self { counts: Array2::zeros((classes, classes)) }
    }

    /// The matrix of these counts, row by row; `None` where they are not as many as this one has.
    pub(crate) fn with_counts(&self, counts: &[u64]) -> Option<Self> {
        let counts = Array2::from_shape_vec(self.counts.dim(), counts.to_vec()).ok()?;
        Some(Self { counts })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.nrows()
    }

    /// The counts, `[target class][predicted class]`, in pixels.
    pub fn counts(&self) -> ArrayView2<'_, u64> {
        self.counts.view()
    }

    /// Counts one image: target classes and predicted classes `[y][x]`, numbered from 0. Pixels whose target is [`UNLABELLED`]
    /// are left out, whatever was predicted there.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the shapes differ, or a counted pixel has a class that the matrix does not; then nothing is counted.
    pub fn add(&mut self, target: ArrayView2<u32>, predicted: ArrayView2<u32>) -> Result<()> {
        if target.dim() != predicted.dim() {
            let ((th, tw), (ph, pw)) = (target.dim(), predicted.dim());
            return Err(Error::Mismatch(format!(
                "the target is {th}x{tw} pixels, but the prediction is {ph}x{pw}; both must be of one size"
            )));
        }
        let classes = self.classes();
        let counted = || target.iter().zip(&predicted).filter(|(target, _)| **target != UNLABELLED);
        let is_unknown = |class: u32| class as usize >= classes;
        if let Some((&t, &p)) = counted().find(|(t, p)| is_unknown(**t) || is_unknown(**p)) {
            let (whose, label) = if is_unknown(t) { ("target", t) } else { ("prediction", p) };
            return Err(Error::Mismatch(format!(
                "a {whose} holds the label {label}, but there are {classes} classes, numbered from 0"
            )));
        }
        counted().for_each(|(&t, &p)| self.counts[[t as usize, p as usize]] += 1);
        Ok(())
    }

    /// Adds the counts of another matrix.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it has another number of classes; then nothing is added.
    pub fn merge(&mut self, other: &ConfusionMatrix) -> Result<()> {
        if self.classes() != other.classes() {
            return Err(Error::Mismatch(format!(
                "scores of {} classes cannot be added to scores of {} classes",
                other.classes(),
                self.classes()
            )));
        }
        self.counts += &other.counts;
        Ok(())
    }

    /// The scores of every class, in the order of the classes.
    pub fn per_class(&self) -> Vec<ClassScores> {
        (0..self.classes())
            .map(|class| {
                let correct = self.counts[[class, class]];
                let target_pixels = self.counts.row(class).sum();
                let predicted_pixels = self.counts.column(class).sum();
                ClassScores {
                    accuracy: ratio(correct, target_pixels),
                    precision: ratio(correct, predicted_pixels),
                    iou: ratio(correct, target_pixels + predicted_pixels - correct),
                    dice: ratio(2 * correct, target_pixels + predicted_pixels),
                    target_pixels,
                }
            })
            .collect()
    }

    /// Correct pixels / all labelled pixels; `None` before a pixel was counted.
    pub fn global_accuracy(&self) -> Option<f64> {
        ratio(self.counts.diag().sum(), self.counts.sum())
    }

    /// The mean of the classes' accuracies (recalls) over the classes that the targets have.
    pub fn class_accuracy(&self) -> Option<f64> {
        mean(self.per_class().iter().filter_map(|c| c.accuracy))
    }

    /// The mean intersection over union over the classes that the targets or the predictions have.
    pub fn mean_iou(&self) -> Option<f64> {
        mean(self.per_class().iter().filter_map(|c| c.iou))
    }

    /// The mean Dice coefficient over the classes that the targets or the predictions have.
    pub fn mean_dice(&self) -> Option<f64> {
        mean(self.per_class().iter().filter_map(|c| c.dice))
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    /// Class 3 is in neither image, class 2 only in the prediction.
    fn example() -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(4);
        let target = array![[0, 0, 0, 1], [0, 1, 1, 1]];
        let predicted = array![[0, 0, 1, 1], [0, 1, 1, 2]];
        matrix.add(target.view(), predicted.view()).unwrap();
        matrix
    }

    #[test]
    fn rows_are_targets_and_columns_predictions() {
        assert_eq!(
            example().counts(),
            array![[3u64, 1, 0, 0], [0, 3, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]].view()
        );
    }

    #[test]
    fn scores_are_those_counted_by_hand() {
        let matrix = example();
        let scores = matrix.per_class();
        assert_eq!(scores[0].accuracy, Some(0.75));
        assert_eq!(scores[0].precision, Some(1.0));
        assert_eq!(scores[0].iou, Some(0.75));
        assert_eq!(scores[0].dice, Some(6.0 / 7.0));
        assert_eq!(scores[1].iou, Some(3.0 / 5.0));
        assert_eq!((scores[2].accuracy, scores[2].precision), (None, Some(0.0)));
        assert_eq!((scores[2].iou, scores[2].dice), (Some(0.0), Some(0.0)));
        assert_eq!((scores[3].accuracy, scores[3].precision), (None, None));
        assert_eq!((scores[3].iou, scores[3].dice), (None, None));
        assert_eq!(scores.iter().map(|c| c.target_pixels).collect::<Vec<_>>(), [4, 4, 0, 0]);
        assert_eq!(matrix.global_accuracy(), Some(0.75));
        assert_eq!(matrix.class_accuracy(), Some(0.75));
        assert!((matrix.mean_iou().unwrap() - (0.75 + 0.6) / 3.0).abs() < 1e-12);
        assert!((matrix.mean_dice().unwrap() - (6.0 / 7.0 + 0.75) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn images_add_up_one_by_one_and_merged() {
        let target = array![[0u32, 1, 1], [1, 0, 0]];
        let predicted = array![[0u32, 0, 1], [1, 1, 0]];
        let mut whole = ConfusionMatrix::new(2);
        whole.add(target.view(), predicted.view()).unwrap();
        let mut parts = ConfusionMatrix::new(2);
        let mut second = ConfusionMatrix::new(2);
        parts.add(target.slice(s![..1, ..]), predicted.slice(s![..1, ..])).unwrap();
        second.add(target.slice(s![1.., ..]), predicted.slice(s![1.., ..])).unwrap();
        parts.merge(&second).unwrap();
        assert_eq!(whole, parts);
        assert!(parts.merge(&ConfusionMatrix::new(3)).is_err());
    }

    #[test]
    fn unlabelled_pixels_do_not_count() {
        let mut matrix = ConfusionMatrix::new(2);
        matrix.add(array![[0, UNLABELLED, 1]].view(), array![[0, 1, 1]].view()).unwrap();
        assert_eq!(matrix.counts().sum(), 2);
        assert_eq!(matrix.global_accuracy(), Some(1.0));
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_counts_nothing() {
        let mut matrix = ConfusionMatrix::new(2);
        assert!(matches!(
            matrix.add(Array2::zeros((2, 3)).view(), Array2::zeros((3, 2)).view()),
            Err(Error::Mismatch(_))
        ));
        let bad_target = matrix.add(array![[0, 2]].view(), array![[0, 0]].view());
        assert!(bad_target.unwrap_err().to_string().contains("target holds the label 2"));
        let bad_prediction = matrix.add(array![[0, 1]].view(), array![[0, 7]].view());
        assert!(bad_prediction.unwrap_err().to_string().contains("prediction holds the label 7"));
        assert_eq!(matrix, ConfusionMatrix::new(2));
        assert_eq!(matrix.global_accuracy(), None);
        assert_eq!(matrix.mean_iou(), None);
    }
}
