//! What is said of a run whose limits and schedule do not fit each other.

use log::warn;

use super::Trainer;
use crate::training::settings::RateSchedule;

impl Trainer<'_> {
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
