//! One step of training: its images, their gradients, and the update.

use std::time::Instant;

use log::warn;

use super::Trainer;
use crate::engine::{Adam, Gradients, Images, Targets};
use crate::peers::{Gathered, Message, MessageReader};
use crate::training::batches::{Step, StepsAhead, grouped, scale_of};
use crate::training::run::outcome::StopReason;
use crate::watcher::{StepReport, Watcher};
use crate::{Error, Result};

/// What comes next in a run.
pub(super) enum Next {
    Step(Ready),
    Finished(StopReason),
}

/// The images of a step.
pub(super) struct Ready {
    /// When they were first waited for.
    asked: Instant,
    batches: Vec<(Images, Targets)>,
    /// Makes the loss a mean.
    scale: f32,
    /// Where gradients are added a piece at a time: the order in which they are, as places in the batch.
    order: Option<Vec<usize>>,
}

impl Trainer<'_> {
    /// Waits for the images of the next step, unless this rank has a `reason` to end the run, or another one. Ranks agree: all make the
    /// step, or none.
    pub(super) fn next_step(&mut self, steps: &mut StepsAhead, reason: Option<StopReason>) -> Result<Next> {
        let asked = Instant::now();
        if let (Some(reason), 1) = (reason, self.peers.size()) {
            return Ok(Next::Finished(reason));
        }
        let Step { batches, weights } = match reason {
            Some(_) => Step { batches: Vec::new(), weights: Vec::new() },
            None => self.images_of_next(steps)?,
        };
        if !self.by_pieces {
            return Ok(Next::Step(Ready { asked, batches, scale: scale_of(&weights), order: None }));
        }
        let mut own = Message::new();
        own.number(code_of(reason));
        for ((images, _), weight) in batches.iter().zip(&weights) {
            let extent = images.shape.extent;
            own.number(extent.z as u64).number(extent.y as u64).number(extent.x as u64).float(*weight);
        }
        let (mut sizes, mut weights) = (Vec::new(), Vec::new());
        let mut first_reason = None;
        for (rank, bytes) in self.gather(own)?.iter().enumerate() {
            let mut reader = MessageReader::new(bytes, rank);
            first_reason = first_reason.or(reason_of(reader.number()?));
            while !reader.is_empty() {
                sizes.push([reader.number()?, reader.number()?, reader.number()?]);
                weights.push(reader.float()?);
            }
        }
        if let Some(reason) = first_reason {
            return Ok(Next::Finished(reason));
        }
        // As whole batches are made: those of one size together.
        let order = grouped(&sizes).concat();
        let weights: Vec<f64> = order.iter().map(|&place| weights[place]).collect();
        Ok(Next::Step(Ready { asked, batches, scale: scale_of(&weights), order: Some(order) }))
    }

    fn gather(&mut self, mut own: Message) -> Result<Gathered> {
        let start = Instant::now();
        let gathered = self.peers.gather(own.done());
        self.talked += start.elapsed();
        gathered
    }

    fn images_of_next(&mut self, steps: &mut StepsAhead) -> Result<Step> {
        steps.step(self.progress.step + 1).inspect_err(|_| {
            // An image that cannot be read any more may be brought back: the run goes on from here.
            self.save().unwrap_or_else(|second| warn!("{second}"));
        })
    }

    /// Makes a step; gives whether it was made, or given up as the watcher asked for that.
    pub(super) fn step(&mut self, ready: Ready, watcher: &mut dyn Watcher) -> Result<bool> {
        let Ready { asked, batches, scale, order } = ready;
        match order {
            Some(order) => self.add_pieces(&batches, scale, &order)?,
            None => {
                for (images, targets) in &batches {
                    let mut go_on = || watcher.within_step();
                    match self.engine.accumulate_while(images, targets, self.loss, scale, &mut go_on) {
                        // The step is not made. It is the next one of a run that goes on from here.
                        Err(Error::Stopped { .. }) => {
                            self.stopped = true;
                            return Ok(false);
                        }
                        added => added?,
                    }
                }
            }
        }
        self.progress.step += 1;
        self.progress.epoch_steps += 1;
        let step = self.progress.step;
        let adam = self.settings.optimisation.adam(step, self.rate(step));
        self.engine.update(&Adam { frozen_layers: self.settings.freeze, ..adam })?;
        self.take_losses(false)?;
        self.step_time = (self.step_time.0 + asked.elapsed(), self.step_time.1 + 1);
        let report = StepReport { step, loss: self.latest_loss, done: self.done() };
        self.stopped |= watcher.step(&report).is_break();
        Ok(true)
    }

    /// Adds the gradients of all pieces of the batch, those of all ranks, in the order of the pieces: so the sums are the same,
    /// to the last bit, whichever rank a piece fell to.
    fn add_pieces(&mut self, pieces: &[(Images, Targets)], scale: f32, order: &[usize]) -> Result<()> {
        let mut own = Message::new();
        for (images, targets) in pieces {
            self.engine.accumulate(images, targets, self.loss, scale)?;
            let Gradients { values, loss } = self.engine.take_gradients()?;
            own.float(loss).floats(&values);
        }
        let gathered = self.gather(own)?;
        // Shares are neighbours, so the pieces of all ranks come in their order in the batch.
        let mut all = Vec::with_capacity(order.len());
        for (rank, bytes) in gathered.iter().enumerate() {
            let mut reader = MessageReader::new(bytes, rank);
            while !reader.is_empty() {
                all.push((reader.float()?, reader.floats()?));
            }
        }
        let count = self.model.parameters.len();
        if all.len() != order.len() || all.iter().any(|(_, values)| values.len() != count) {
            let problem = "the ranks have sent other gradients than were waited for; start the same program on every rank";
            return Err(Error::Mismatch(problem.into()));
        }
        let mut sum = Gradients::zeros(count);
        for &place in order {
            let (loss, values) = &all[place];
            sum.add(values.clone(), *loss);
        }
        self.engine.set_gradients(&sum)
    }
}

fn code_of(reason: Option<StopReason>) -> u64 {
    match reason {
        None => 0,
        Some(StopReason::Limit) => 1,
        Some(StopReason::Patience) => 2,
        Some(StopReason::Asked) => 3,
    }
}

fn reason_of(code: u64) -> Option<StopReason> {
    match code {
        0 => None,
        1 => Some(StopReason::Limit),
        2 => Some(StopReason::Patience),
        _ => Some(StopReason::Asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_back() {
        let all = [None, Some(StopReason::Limit), Some(StopReason::Patience), Some(StopReason::Asked)];
        assert_eq!(all.map(|reason| reason_of(code_of(reason))), all);
    }
}
