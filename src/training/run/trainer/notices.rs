//! What is said of a run whose limits and schedule do not fit each other.

use log::warn;

use super::Trainer;
use crate::evaluation::TaskScores;
use crate::metrics::ConfusionMatrix;
use crate::network::Task;
use crate::training::settings::RateSchedule;

/// So many times in a row, over so many steps, everything must have been predicted as one class before that is said: most networks
/// begin so.
const COLLAPSED_JUDGINGS: u32 = 3;
const COLLAPSED_STEPS: u64 = 200;

/// How long a network has predicted one class only.
#[derive(Debug, Default)]
pub(super) struct Collapse {
    /// The class, and the step at which the network was judged first since then.
    since: Option<(usize, u64)>,
    judgings: u32,
    told: bool,
}

impl Collapse {
    /// Notes what was predicted after `step`. Gives the class, once, where it has been the only one for a while though the targets hold others.
    fn note(&mut self, matrix: &ConfusionMatrix, step: u64) -> Option<usize> {
        let counts = matrix.counts();
        let is_held = |class: &usize| counts.row(*class).sum() > 0;
        let is_predicted = |class: &usize| counts.column(*class).sum() > 0;
        let mut predicted = (0..matrix.classes()).filter(is_predicted);
        let only = predicted.next().filter(|_| predicted.next().is_none());
        match only.filter(|_| (0..matrix.classes()).filter(is_held).count() > 1) {
            None => *self = Self::default(),
            Some(class) if self.since.is_none_or(|(before, _)| before != class) => {
                *self = Self { since: Some((class, step)), judgings: 1, told: false };
            }
            Some(_) => self.judgings += 1,
        }
        let (class, since) = self.since?;
        let is_long = self.judgings >= COLLAPSED_JUDGINGS && step - since >= COLLAPSED_STEPS;
        (is_long && !std::mem::replace(&mut self.told, is_long)).then_some(class)
    }
}

impl Trainer<'_> {
    /// Says where nothing but one class has been predicted for a while.
    pub(super) fn warn_of_collapse(&mut self, scores: &TaskScores) {
        let (TaskScores::Segment { matrix, .. }, Task::Segment { classes }) = (scores, &self.model.task)
        else {
            return;
        };
        if let Some(class) = self.collapse.note(matrix, self.progress.step)
            && self.peers.rank() == 0
        {
            let name = classes.get(class).map_or("one class", |class| class.name.as_str());
            warn!(
                "the last {COLLAPSED_JUDGINGS} times that the network was judged it predicted nothing but {name}; where that stays so, begin anew with a smaller `lr`, more labels of the other classes, or `loss` cross-entropy+dice and `favour_rare` 0.5"
            );
        }
    }

    pub(super) fn warn_of_short_schedule(&self) {
        let optimisation = &self.settings.optimisation;
        let ends = (optimisation.lr_steps, self.settings.last_step(self.steps_in_epoch));
        if let (RateSchedule::Cosine, (Some(end), Some(last))) = (optimisation.schedule(), ends)
            && end < last
        {
            warn!("the learning rate is 0 from step {end} on: the steps from there to {last} teach nothing");
        }
    }

    /// Says of a run that is at its end when it is resumed what ends it, and how it could go on.
    pub(super) fn warn_of_nothing_to_do(&self) {
        let (s, p) = (&self.settings, &self.progress);
        if p.step == 0 || self.stopped || self.finished().is_none() {
            return;
        }
        let why = if let Some(most) = s.max_steps.filter(|&most| p.step >= most) {
            format!("{} steps are made and `max_steps` is {most}; give a higher `max_steps`", p.step)
        } else if let Some(most) = s.max_epochs.filter(|&most| p.epoch >= most) {
            format!("{} epochs have ended and `max_epochs` is {most}; give a higher `max_epochs`", p.epoch)
        } else if let Some(most) =
            s.max_minutes.filter(|&most| self.minutes() + self.minutes_to_end() >= most)
        {
            let minutes = self.minutes();
            format!(
                "it has trained for {minutes:.2} minutes in all and `max_minutes` is {most}; give a higher `max_minutes`"
            )
        } else {
            let waited = p.waited();
            format!(
                "no better model came for {waited} epochs and `patience` is {}; give a higher `patience`",
                s.patience
            )
        };
        warn!("the run has nothing left to do: {why} to go further");
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_network_that_gives_one_class_for_a_while_is_told_of_once() {
        let matrix = |predicted: [u32; 4]| {
            let mut matrix = ConfusionMatrix::new(3);
            matrix.add(array![[0, 0, 0, 2]].view(), array![predicted].view()).unwrap();
            matrix
        };
        let (background, both) = (matrix([0; 4]), matrix([0, 0, 0, 2]));
        let mut collapse = Collapse::default();
        let said: Vec<_> = (1..6).map(|judging| collapse.note(&background, 150 * judging)).collect();
        assert_eq!(said, [None, None, Some(0), None, None]);
        assert_eq!(collapse.note(&both, 900), None);
        let said: Vec<_> = (1..6).map(|judging| collapse.note(&background, 900 + 50 * judging)).collect();
        assert_eq!(said, [None, None, None, None, Some(0)]);
        // Where the targets hold one class, it is right to give no other.
        let mut whole = ConfusionMatrix::new(2);
        whole.add(array![[0, 0]].view(), array![[0, 0]].view()).unwrap();
        assert!((1..9).all(|judging| collapse.note(&whole, 2000 + 150 * judging).is_none()));
    }
}
