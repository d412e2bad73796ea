//! How the network is moved towards a smaller loss: the `[optimisation]` part of `config.toml`.

use crate::engine::{Adam, Loss};
use crate::settings::{Heading, Setting, SettingValue, ValueKind, declare_settings, named_choices};
use crate::{Error, Result};

named_choices! {
    /// The optimiser.
    pub enum Optimizer of "optimizer", default Adam {
        /// Kingma & Ba 2015.
        Adam = "adam",
        /// With decay of the weights apart from the moments (Loshchilov & Hutter 2019).
        AdamW = "adamw",
    }
}

named_choices! {
    /// How the learning rate changes after the warm-up.
    pub enum RateSchedule of "schedule", default Constant {
        /// Not at all.
        Constant = "constant",
        /// Along half a cosine down to 0 (Loshchilov & Hutter 2017, equation 5, without restarts).
        Cosine = "cosine",
        /// Multiplied by the factor every so many steps.
        Step = "step",
        /// Multiplied by the factor when no better model came for so many epochs.
        Plateau = "plateau",
    }
}

declare_settings! {
    /// Loss, optimiser and learning rate.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Optimisation in Some("optimisation");
    required {}
    settings {
        /// What is minimised: cross-entropy, focal, dice, cross-entropy+dice for classes; l2, l1, huber, charbonnier for
        /// values; some with a number, as focal:2, huber:1, charbonnier:0.001.
        ///
        /// `None` for the task's usual loss, cross-entropy or the squared error.
        loss: Option<Loss> = None => under("LOSS")
            .described_default("l2; cross-entropy, or cross-entropy+dice where a class has less than 1 % of the labelled pixels");
        /// Optimiser.
        optimizer: Option<Optimizer> = None => under("OPTIMIZER")
            .described_default("adam, or adamw with a decay of 1 where at most a tenth of the pixels is labelled");
        /// AdamW: how fast weights decay.
        weight_decay: Option<f64> = None => under("DECAY").described_default("0.01");
        /// Scale gradients down that are together longer than this.
        clip_norm: Option<f64> = None => under("LENGTH").described_default("never");
        /// Judge and keep an average of the weights that keeps this share of itself in each step, such as 0.999; 0 for none.
        ema: Option<f64> = None => under("DECAY")
            .described_default("0, or 0.99 where at most a tenth of the pixels is labelled");
        /// How the learning rate changes; plateau watches what `monitor` names.
        schedule: Option<RateSchedule> = None => under("SCHEDULE")
            .described_default("constant, or where at most a tenth of the pixels is labelled step: half the rate each time all images were shown twenty times, after 100 to 800 steps");
        /// Let the learning rate grow from nothing in this many steps.
        warmup_steps: u64 = 0 => under("STEPS");
        /// cosine: steps to its end [the whole run]; step: steps from one drop to the next.
        ///
        /// The warm-up is part of a cosine's steps.
        lr_steps: Option<u64> = None => under("STEPS");
        /// step and plateau: multiply the learning rate by this.
        lr_factor: f64 = 0.1 => under("FACTOR");
        /// plateau: epochs without a better model before the learning rate drops.
        lr_patience: u64 = 10 => under("EPOCHS");
    }
    parts {}
}

const fn under(value_name: &'static str) -> Setting {
    Setting::under(Heading::Optimisation, value_name)
}

impl Default for Optimisation {
    fn default() -> Self {
        Self::with_required()
    }
}

impl SettingValue for Loss {
    const KIND: ValueKind = ValueKind::Text;

    fn read(_: &str, text: &str) -> Result<Self> {
        text.parse()
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// AdamW's usual decay.
const WEIGHT_DECAY: f64 = 0.01;

impl Optimisation {
    /// How the learning rate changes.
    pub fn schedule(&self) -> RateSchedule {
        self.schedule.unwrap_or_default()
    }

    /// Checks every number for learning rate `lr`.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that cannot be used.
    pub fn validate(&self, lr: f64) -> Result<()> {
        let refuse = |name: &str, found: &dyn std::fmt::Display, wanted: &str| {
            Err(Error::setting(name, found, wanted))
        };
        if let Some(decay) = self.weight_decay {
            if self.optimizer != Some(Optimizer::AdamW) {
                return refuse(
                    "weight_decay",
                    &decay,
                    "Adam has none; use `optimizer adamw`, or leave it out",
                );
            }
            if !(decay >= 0.0 && decay * lr < 1.0) {
                return refuse("weight_decay", &decay, "it must be from 0 to below 1 / `lr`, such as 0.01");
            }
        }
        if let Some(norm) = self.clip_norm.filter(|&n| !(n as f32 > 0.0 && (n as f32).is_finite())) {
            return refuse("clip_norm", &norm, "it must be a number above 0, such as 1");
        }
        if let Some(decay) = self.ema.filter(|&d| !(0.0..1.0).contains(&d)) {
            return refuse("ema", &decay, "it must be from 0 to below 1, such as 0.999");
        }
        if !(self.lr_factor > 0.0 && self.lr_factor < 1.0) {
            return refuse("lr_factor", &self.lr_factor, "it must be between 0 and 1, such as 0.1");
        }
        let counts = [
            ("warmup_steps", Some(self.warmup_steps)),
            ("lr_steps", self.lr_steps),
            ("lr_patience", Some(self.lr_patience)),
        ];
        for (name, count) in counts {
            // The integers of config.toml have a sign.
            if let Some(count) = count.filter(|&count| i64::try_from(count).is_err()) {
                return Err(Error::setting(name, count, format!("it must be at most {}", i64::MAX)));
            }
        }
        match (self.schedule(), self.lr_steps) {
            (RateSchedule::Cosine, Some(steps)) if steps <= self.warmup_steps => {
                refuse("lr_steps", &steps, "the cosine must be longer than `warmup_steps`")
            }
            (RateSchedule::Step, None) => {
                refuse("lr_steps", &"missing", "`schedule step` needs the steps between two drops")
            }
            (RateSchedule::Step, Some(0)) => refuse("lr_steps", &0, "it must be at least 1"),
            (RateSchedule::Plateau, _) if self.lr_patience == 0 => {
                refuse("lr_patience", &0, "it must be at least 1")
            }
            (RateSchedule::Constant | RateSchedule::Plateau, Some(steps)) => {
                refuse("lr_steps", &steps, "only `schedule` cosine and step have steps; leave it out")
            }
            _ => Ok(()),
        }
    }

    /// Fills in the length of a cosine that is to last as long as a run of `run_steps` steps.
    ///
    /// # Errors
    /// [`Error::Setting`] when the run has no length in steps, or one shorter than the warm-up.
    pub(in crate::training) fn fit(&mut self, lr: f64, run_steps: Option<u64>) -> Result<()> {
        if self.schedule() == RateSchedule::Cosine && self.lr_steps.is_none() {
            self.lr_steps = Some(run_steps.ok_or_else(|| {
                let wanted = "a cosine must know its length; give `max_steps`, `max_epochs` or `lr_steps`";
                Error::setting("schedule", "cosine without a number of steps", wanted)
            })?);
        }
        self.validate(lr)
    }

    /// The learning rate of step `step`, from 1, after `drops` drops on a plateau.
    pub fn rate(&self, lr: f64, step: u64, drops: u64) -> f64 {
        let warm = match self.warmup_steps {
            0 => 1.0,
            steps => (step as f64 / steps as f64).min(1.0),
        };
        let after = step.saturating_sub(1 + self.warmup_steps) as f64;
        let decayed = match (self.schedule(), self.lr_steps) {
            (RateSchedule::Cosine, Some(steps)) => {
                let done = (after / (steps - self.warmup_steps) as f64).min(1.0);
                0.5 + 0.5 * (std::f64::consts::PI * done).cos()
            }
            (RateSchedule::Step, Some(steps)) => self.lr_factor.powf((after / steps as f64).floor()),
            (RateSchedule::Plateau, _) => self.lr_factor.powf(drops as f64),
            _ => 1.0,
        };
        lr * warm * decayed
    }

    /// Whether the parameters are averaged.
    pub(in crate::training) fn averages(&self) -> bool {
        self.ema.is_some_and(|decay| decay > 0.0)
    }

    /// Step `step` of the optimiser, at learning rate `rate`.
    pub(in crate::training) fn adam(&self, step: u64, rate: f64) -> Adam {
        let weight_decay = match self.optimizer {
            None | Some(Optimizer::Adam) => 0.0,
            Some(Optimizer::AdamW) => self.weight_decay.unwrap_or(WEIGHT_DECAY),
        };
        Adam {
            weight_decay,
            clip_norm: self.clip_norm,
            average_decay: self.ema.filter(|&decay| decay > 0.0),
            ..Adam::new(rate, step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found}, wanted {wanted}");
    }

    #[test]
    fn a_constant_rate_is_constant() {
        let plain = Optimisation::default();
        assert!((1..1000).all(|step| plain.rate(0.3, step, 0) == 0.3));
    }

    #[test]
    fn the_warm_up_grows_evenly_and_reaches_the_rate() {
        let warm = Optimisation { warmup_steps: 10, ..Default::default() };
        for step in 1..=10 {
            close(warm.rate(0.5, step, 0), 0.05 * step as f64);
        }
        close(warm.rate(0.5, 11, 0), 0.5);
    }

    #[test]
    fn a_cosine_falls_from_the_whole_rate_through_half_to_nothing() {
        let mut cosine =
            Optimisation { schedule: Some(RateSchedule::Cosine), warmup_steps: 20, ..Default::default() };
        cosine.fit(0.1, Some(120)).unwrap();
        close(cosine.rate(0.1, 20, 0), 0.1);
        close(cosine.rate(0.1, 21, 0), 0.1);
        close(cosine.rate(0.1, 71, 0), 0.05);
        close(cosine.rate(0.1, 121, 0), 0.0);
        close(cosine.rate(0.1, 500, 0), 0.0);
        assert!((21..120).all(|step| cosine.rate(0.1, step + 1, 0) < cosine.rate(0.1, step, 0)));
        let endless = Optimisation { schedule: Some(RateSchedule::Cosine), ..Default::default() };
        let error = endless.clone().fit(0.1, None).unwrap_err().to_string();
        assert!(error.contains("max_steps") && error.contains("lr_steps"), "{error}");
    }

    #[test]
    fn steps_and_plateaus_drop_by_the_factor() {
        let steps = Optimisation {
            schedule: Some(RateSchedule::Step),
            lr_steps: Some(10),
            lr_factor: 0.5,
            ..Default::default()
        };
        for (step, wanted) in [(1, 1.0), (10, 1.0), (11, 0.5), (20, 0.5), (21, 0.25)] {
            close(steps.rate(1.0, step, 3), wanted);
        }
        let plateau = Optimisation { schedule: Some(RateSchedule::Plateau), ..Default::default() };
        close(plateau.rate(1.0, 99, 0), 1.0);
        close(plateau.rate(1.0, 99, 2), 0.01);
    }

    #[test]
    fn weights_decay_with_adamw_only() {
        let adam = |optimizer, weight_decay| {
            Optimisation { optimizer: Some(optimizer), weight_decay, ..Default::default() }
                .adam(1, 0.1)
                .weight_decay
        };
        assert_eq!(adam(Optimizer::Adam, None), 0.0);
        assert_eq!(adam(Optimizer::AdamW, None), 0.01);
        assert_eq!(adam(Optimizer::AdamW, Some(0.2)), 0.2);
    }

    #[test]
    fn unusable_numbers_are_named() {
        let d = Optimisation::default;
        let refusals = [
            ("weight_decay", Optimisation { weight_decay: Some(0.1), ..d() }),
            (
                "weight_decay",
                Optimisation { weight_decay: Some(-1.0), optimizer: Some(Optimizer::AdamW), ..d() },
            ),
            ("clip_norm", Optimisation { clip_norm: Some(0.0), ..d() }),
            ("ema", Optimisation { ema: Some(1.0), ..d() }),
            ("ema", Optimisation { ema: Some(f64::NAN), ..d() }),
            ("lr_factor", Optimisation { lr_factor: 1.5, ..d() }),
            ("lr_steps", Optimisation { schedule: Some(RateSchedule::Step), ..d() }),
            ("lr_steps", Optimisation { lr_steps: Some(3), ..d() }),
            (
                "lr_steps",
                Optimisation {
                    schedule: Some(RateSchedule::Cosine),
                    lr_steps: Some(3),
                    warmup_steps: 3,
                    ..d()
                },
            ),
            ("lr_patience", Optimisation { schedule: Some(RateSchedule::Plateau), lr_patience: 0, ..d() }),
        ];
        for (name, optimisation) in refusals {
            let error = optimisation.validate(0.003).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error} does not name {name}");
        }
        assert!(d().validate(0.003).is_ok());
    }
}
