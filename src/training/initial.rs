//! Starting from a model that was trained before: fine-tuning.

use std::path::Path;

use log::info;

use super::settings::{AUTO, INITIAL};
use super::{Settings, TaskKind};
use crate::error::{Error, Result, counted_channels};
use crate::network::{Architecture, InputNormalisation, Model, Normalisation, ParameterLayout, Task};

impl Settings {
    /// Sets `init` to the model file or run folder `path`, and takes over its architecture, its normalisation, and by how much
    /// it makes images finer.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn start_from(&mut self, path: &str) -> Result<()> {
        let Model {
            architecture:
                Architecture { width, depth, dimensions, dilations, dilations_z, boundary, stem, .. },
            slab,
            upscaling,
            ..
        } = Model::read(Path::new(path))?;
        self.init = Some(path.into());
        (self.width, self.depth, self.boundary, self.slab) = (width, Some(depth), boundary, slab);
        let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        self.dilations = list(&dilations);
        self.dimensions = dimensions;
        (self.dilations_z, self.voxel_size) = ((!dilations_z.is_empty()).then(|| list(&dilations_z)), None);
        self.stem = stem.to_string();
        if let Some(upscaling) = upscaling {
            self.factor = upscaling.factor;
        }
        self.normalise = INITIAL.into();
        Ok(())
    }

    /// The model that the run starts from, for images of `inputs` channels; `None` where it starts from random parameters.
    ///
    /// # Errors
    /// As [`Model::read`]; [`Error::Setting`] or [`Error::Mismatch`] when settings or images are not those of the model.
    pub(in crate::training) fn initial_model(&self, inputs: usize) -> Result<Option<Model>> {
        let Some(path) = &self.init else { return Ok(None) };
        let model = Model::read(Path::new(path))?;
        let wanted = &model.architecture;
        let mut found = self.architecture(1, 1)?;
        // What is left open is the model's.
        found.depth = self.depth.unwrap_or(wanted.depth);
        if self.stem == AUTO {
            found.stem.clone_from(&wanted.stem);
        }
        let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let parts = [
            ("depth", found.depth.to_string(), wanted.depth.to_string()),
            ("width", found.width.to_string(), wanted.width.to_string()),
            ("dimensions", found.dimensions.to_string(), wanted.dimensions.to_string()),
            ("dilations", list(&found.dilations), list(&wanted.dilations)),
            ("dilations_z", list(&found.dilations_z), list(&wanted.dilations_z)),
            ("boundary", found.boundary.name().into(), wanted.boundary.name().into()),
            ("stem", found.stem.to_string(), wanted.stem.to_string()),
            ("slab", self.slab.to_string(), model.slab.to_string()),
            ("factor", self.factor.to_string(), model.factor().to_string()),
        ];
        if let Some((name, found, wanted)) = parts.into_iter().find(|(_, found, wanted)| found != wanted) {
            let wanted = format!("the model of `init` has {wanted}; leave it out, or start without `init`");
            return Err(Error::setting(name, found, wanted));
        }
        if inputs != wanted.inputs {
            return Err(Error::Mismatch(format!(
                "the images have {}, but {path} (`init`) takes images of {}; convert the images, or start from another model",
                counted_channels(inputs),
                wanted.inputs
            )));
        }
        if self.keeps_normalisation()
            && self.task == TaskKind::Regress
            && matches!(model.input, InputNormalisation::PerImage { .. })
        {
            let wanted = "that model normalises each image by itself, which a regression cannot; give `normalise mean` beside it";
            return Err(Error::setting("init", path, wanted));
        }
        Ok(Some(model))
    }

    /// Whether images are normalised as the model of `init` does it.
    pub(in crate::training) fn keeps_normalisation(&self) -> bool {
        self.normalise == INITIAL
    }
}

/// Whether the outputs of two models mean things of the same kind and number, so that one can go on from the other's.
pub(in crate::training) fn same_outputs(model: &Model, initial: &Model) -> bool {
    let classes = |model: &Model| matches!(model.task, Task::Segment { .. });
    classes(model) == classes(initial) && model.architecture.outputs == initial.architecture.outputs
}

/// Puts the parameters of `initial` in the place of those of `model`, a network of the same layers. Where the outputs
/// are not the same, the mixing weights stay as they are.
pub(in crate::training) fn take_parameters(model: &mut Model, initial: &Model) {
    let outputs = (initial.architecture.outputs, model.architecture.outputs);
    if same_outputs(model, initial) {
        model.parameters.clone_from(&initial.parameters);
        return;
    }
    info!("{} outputs become {} of another meaning: the mixing layer starts anew", outputs.0, outputs.1);
    // Filters and biases lie before whatever belongs to the outputs.
    let layers = ParameterLayout::of(&model.architecture).biases().end;
    model.parameters[..layers].copy_from_slice(&initial.parameters[..layers]);
    let stems = [&model.architecture, &initial.architecture].map(|of| ParameterLayout::of(of).stem());
    model.parameters[stems[0].clone()].copy_from_slice(&initial.parameters[stems[1].clone()]);
}

/// The normalisation of targets that goes with the mixing weights of `initial`, where these are kept.
pub(in crate::training) fn target_of(initial: &Model, outputs: usize) -> Option<Normalisation> {
    initial.target.clone().filter(|_| initial.architecture.outputs == outputs)
}
