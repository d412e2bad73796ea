//! Ends of epochs: the network is judged, and kept if it is the best so far.

use log::info;

use super::{Trainer, together};
use crate::Result;
use crate::engine::Precision;
use crate::evaluation::{Evaluation, Scores, metric_names};
use crate::training::settings::RateSchedule;
use crate::watcher::{Epoch, Flow, ImageReport, Watcher};

impl Trainer<'_> {
    /// Ends an epoch; where it is `judged`, the network is, and is kept if it is the best.
    pub(super) fn end_epoch(&mut self, judged: bool, watcher: &mut dyn Watcher) -> Result<()> {
        self.take_losses(true)?;
        let (minutes, step) = (self.minutes(), self.progress.step);
        let learning_rate = self.rate(step);
        let p = &mut self.progress;
        p.epoch += 1;
        let no_metrics = self.history.metrics.iter().map(|name| (name.clone(), f64::NAN)).collect();
        self.history.epochs.push(Epoch {
            epoch: p.epoch,
            step,
            minutes,
            training_loss: p.loss_sum / p.epoch_steps.max(1) as f64,
            validation_loss: f64::NAN,
            metrics: no_metrics,
            learning_rate,
            best: false,
        });
        (p.loss_sum, p.epoch_steps, self.losses) = (0.0, 0, 0);
        if judged {
            return self.judge_last_epoch(false, watcher);
        }
        self.reports.epoch(&self.history, Vec::new(), false)?;
        self.report_epoch(watcher);
        Ok(())
    }

    /// Judges the network as the last epoch left it, and keeps it if it is the best. `reported` is true where the epoch was
    /// reported without a judgement when it ended.
    pub(super) fn judge_last_epoch(&mut self, reported: bool, watcher: &mut dyn Watcher) -> Result<()> {
        let mut candidate = self.checked_parameters()?;
        if self.settings.optimisation.averages() {
            candidate = self.engine.average()?;
        }
        let step = self.progress.step;
        // Where the watcher asks for an end while the network is judged, judging is finished first: otherwise there might be
        // no model at all.
        let mut listener = Listener { watcher: &mut *watcher, stopped: false };
        let validated = self.judge.validates();
        if validated {
            candidate = self.judge.as_model(self.engine.as_mut(), candidate)?;
        }
        together::check_alike(self.peers, &candidate)?;
        let Evaluation { image_losses, scores, loss, .. } =
            self.judge.judge(self.engine.as_mut(), self.peers, &candidate, step, &mut listener)?;
        self.stopped |= listener.stopped;
        self.warn_of_collapse(&scores);
        let metrics = scores.metrics().into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN)));
        let scores = Scores { loss, metrics: metrics.collect() };
        let judged = self.settings.monitor().judge(&scores);
        let minutes = self.minutes();
        let optimisation = &self.settings.optimisation;
        let p = &mut self.progress;
        let best = p.best_epoch == 0 || judged < p.best;
        if let Some(epoch) = self.history.epochs.last_mut() {
            (epoch.minutes, epoch.best) = (minutes, best);
            if validated {
                epoch.validation_loss = scores.loss;
                epoch.metrics =
                    scores.metrics.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
            }
        }
        if best {
            (p.best, p.best_epoch) = (judged, p.epoch);
            // Those of the images that are trained on have the shares of their labels.
            self.model.parameters = match validated {
                true => candidate,
                false => self.judge.as_model(self.engine.as_mut(), candidate)?,
            };
            // A resumed run may be on another device.
            self.model.provenance.insert("device".into(), self.engine.device().name.clone());
            if self.settings.precision == Precision::Half {
                self.model.provenance.insert("precision".into(), self.settings.precision.name().into());
            }
            self.model.provenance.insert("steps".into(), step.to_string());
            for (name, value) in scores.metrics.iter().filter(|_| validated) {
                self.model.provenance.insert(format!("validation_{name}"), value.to_string());
            }
            if let Some(labels) = p.labels_as_text() {
                self.model.provenance.insert("labels".into(), labels);
            }
            p.best_provenance.clone_from(&self.model.provenance);
        }
        if optimisation.schedule() == RateSchedule::Plateau
            && p.epoch - p.best_epoch.max(p.drop_epoch) >= optimisation.lr_patience
        {
            p.drops += 1;
            p.drop_epoch = p.epoch;
            let (epoch, rate) = (p.best_epoch, self.rate(step + 1));
            if self.peers.rank() == 0 {
                info!("no better model since epoch {epoch}: the learning rate drops to {rate}");
            }
        }
        self.reports.epoch(&self.history, image_losses, reported)?;
        self.report_epoch(watcher);
        Ok(())
    }

    pub(super) fn report_epoch(&mut self, watcher: &mut dyn Watcher) {
        if let Some(epoch) = self.history.epochs.last() {
            self.stopped |= watcher.epoch(epoch).is_break();
        }
    }

    /// The scores of the best model on the validation images.
    pub(super) fn best_scores(&self) -> Option<Scores> {
        self.judge.validates().then_some(())?;
        let epoch = self.history.epochs.iter().find(|epoch| epoch.epoch == self.progress.best_epoch)?;
        let values = epoch.metrics.iter().map(|(_, value)| *value);
        let metrics = metric_names(&self.model.task).iter().copied().zip(values).collect();
        Some(Scores { loss: epoch.validation_loss, metrics })
    }
}

/// Passes reports on to the watcher. When it asks to stop, that is noted in `stopped` and the work goes on.
struct Listener<'a> {
    watcher: &'a mut dyn Watcher,
    stopped: bool,
}

impl Watcher for Listener<'_> {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        self.stopped |= self.watcher.image(image).is_break();
        Flow::Continue(())
    }
}
