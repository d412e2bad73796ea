//! The flags of `train` for loss, optimiser and learning rate.

use clap::Args;

use crate::Result;
use crate::training::{Optimisation, Optimizer, RateSchedule};

/// How the network learns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Optimisation")]
pub struct OptimisationArguments {
    /// What is minimised: cross-entropy, focal, dice, cross-entropy+dice for classes; l2, l1, huber, charbonnier for
    /// values; some with a number, as focal:2, huber:1, charbonnier:0.001 [cross-entropy or l2]
    #[arg(long)]
    loss: Option<String>,
    /// Optimiser [adam]
    #[arg(long, value_enum)]
    optimizer: Option<Optimizer>,
    /// AdamW: how fast weights decay [0.01]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Scale gradients down that are together longer than this [never]
    #[arg(long, value_name = "LENGTH", allow_negative_numbers = true)]
    clip_norm: Option<f64>,
    /// Judge and keep an average of the weights that keeps this share of itself in each step, such as 0.999 [none]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    ema: Option<f64>,
    /// How the learning rate changes; plateau watches what --monitor names [constant]
    #[arg(long, value_enum)]
    schedule: Option<RateSchedule>,
    /// Let the learning rate grow from nothing in this many steps [0]
    #[arg(long, value_name = "STEPS")]
    warmup_steps: Option<u64>,
    /// cosine: steps to its end [the whole run]; step: steps from one drop to the next
    #[arg(long, value_name = "STEPS")]
    lr_steps: Option<u64>,
    /// step and plateau: multiply the learning rate by this [0.1]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    lr_factor: Option<f64>,
    /// plateau: epochs without a better model before the learning rate drops [10]
    #[arg(long, value_name = "EPOCHS")]
    lr_patience: Option<u64>,
}

impl OptimisationArguments {
    /// Puts what was given in the place of what is set.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a loss that is none.
    pub(super) fn override_settings(&self, o: &mut Optimisation) -> Result<()> {
        if let Some(loss) = &self.loss {
            o.loss = Some(loss.parse()?);
        }
        o.optimizer = self.optimizer.unwrap_or(o.optimizer);
        o.weight_decay = self.weight_decay.or(o.weight_decay);
        o.clip_norm = self.clip_norm.or(o.clip_norm);
        o.ema = self.ema.or(o.ema);
        o.schedule = self.schedule.unwrap_or(o.schedule);
        o.warmup_steps = self.warmup_steps.unwrap_or(o.warmup_steps);
        o.lr_steps = self.lr_steps.or(o.lr_steps);
        o.lr_factor = self.lr_factor.unwrap_or(o.lr_factor);
        o.lr_patience = self.lr_patience.unwrap_or(o.lr_patience);
        Ok(())
    }
}
