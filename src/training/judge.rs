//! Judges a network: by all validation images, or by a few of the training images where there are none.

use std::borrow::Cow;

use super::Settings;
use super::prepare::Prepared;
use super::scores::{Judgement, evaluate};
use crate::Result;
use crate::engine::Engine;
use crate::network::Model;
use crate::samples::Dataset;

/// Training images that judge where there are no validation images: enough to tell, few enough to be quick.
const MAX_TRAINING_IMAGES: usize = 4;

/// The images that judge, and what they look at.
pub(in crate::training) struct Judge<'a> {
    set: Cow<'a, Dataset>,
    model: &'a Model,
    settings: Settings,
}

impl<'a> Judge<'a> {
    pub(in crate::training) fn new(prepared: &'a Prepared, settings: &Settings) -> Self {
        let set = match &prepared.validation {
            Some(set) => Cow::Borrowed(set),
            None => Cow::Owned(spread(&prepared.training)),
        };
        Self { set, model: &prepared.model, settings: settings.clone() }
    }

    /// The scores of `parameters` after step `step`, and the number that the best model has smallest. The engine gets its
    /// own parameters back.
    pub(in crate::training) fn judge(
        &self,
        engine: &mut dyn Engine,
        parameters: &[f32],
        step: u64,
    ) -> Result<(Judgement, f64)> {
        let loss = self.settings.loss();
        let judgement = with_parameters(engine, parameters, |engine| {
            evaluate(engine, &self.set, self.model, loss, step)
        })?;
        let judged = self.settings.monitor.judge(&judgement.scores);
        Ok((judgement, judged))
    }

    /// The images that judge.
    pub(in crate::training) fn set(&self) -> &Dataset {
        &self.set
    }
}

/// Does something with other parameters in the engine, which then gets its own back.
pub(in crate::training) fn with_parameters<T>(
    engine: &mut dyn Engine,
    parameters: &[f32],
    act: impl FnOnce(&mut dyn Engine) -> Result<T>,
) -> Result<T> {
    let present = engine.parameters()?;
    engine.set_parameters(parameters)?;
    let result = act(engine);
    engine.set_parameters(&present)?;
    result
}

/// A few images, spread evenly over `set`.
fn spread(set: &Dataset) -> Dataset {
    let count = set.samples.len();
    let chosen = count.min(MAX_TRAINING_IMAGES);
    Dataset { samples: (0..chosen).map(|i| set.samples[i * count / chosen].clone()).collect() }
}
