//! What a run takes from people, and shows to them, while it goes on: labels that are drawn meanwhile, and the network as it is.

use super::relabel::Relabelled;
use super::run::Judge;
use crate::Result;
use crate::engine::Engine;
use crate::network::Model;

/// Somebody who works with a run while it goes on. Its methods are called by the thread that trains, between two steps, which waits
/// for them: this is how a run is paused.
pub trait Session {
    /// The labels from step `step` on, counted from 1, where they are others than those before it.
    ///
    /// The run goes on from where it is: it keeps its parameters, the moments of the optimiser and its average, and its learning
    /// rate is that of the first steps again. It depends on the settings, the labels and the steps from which on they hold alone, so
    /// that the same labels from the same steps on give the same bits.
    ///
    /// # Errors
    /// Any, which ends the run.
    fn labels(&mut self, step: u64) -> Result<Option<Relabelled>> {
        let _ = step;
        Ok(None)
    }

    /// Step `step` was made; `network` is what it gave.
    ///
    /// # Errors
    /// Any, which ends the run.
    fn stepped(&mut self, step: u64, network: &mut Snapshot<'_>) -> Result<()> {
        let _ = (step, network);
        Ok(())
    }
}

impl Session for () {}

/// The network of a run between two steps.
pub struct Snapshot<'a> {
    pub(in crate::training) engine: &'a mut dyn Engine,
    pub(in crate::training) model: &'a Model,
    pub(in crate::training) judge: &'a Judge<'a>,
    /// Whether the run averages its parameters.
    pub(in crate::training) averages: bool,
    pub(in crate::training) step: u64,
    /// From which step on which labels held.
    pub(in crate::training) labels: Option<String>,
}

impl Snapshot<'_> {
    /// The network as a model: with the average of its parameters where the run averages them.
    ///
    /// # Errors
    /// What comes of reading them from the device, and of applying the network where shares of classes are looked for.
    pub fn model(&mut self) -> Result<Model> {
        let parameters = if self.averages { self.engine.average()? } else { self.engine.parameters()? };
        let parameters = self.judge.as_model(self.engine, parameters)?;
        let mut model = Model { parameters, ..self.model.clone() };
        model.provenance.insert("device".into(), self.engine.device().name.clone());
        model.provenance.insert("steps".into(), self.step.to_string());
        if let Some(labels) = &self.labels {
            model.provenance.insert("labels".into(), labels.clone());
        }
        Ok(model)
    }
}
