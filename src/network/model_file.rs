//! The model file: safetensors with the tensors `filters`, `biases`, `mix` and `output_biases`, `stem` where there is one, and all
//! else as text in its metadata, under a format version.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

use super::{Architecture, InputNormalisation, Model, Normalisation, ParameterLayout, Task};
use crate::encoding::{Float32Tensor, safetensors_bytes};
use crate::{Error, Result};

/// The version that this crate writes and reads.
const FORMAT: &str = "msd-gpu model 1";
/// Largest file that is read, in bytes: far more than any network that fits the limits of an architecture.
const MAX_BYTES: u64 = 1 << 32;

impl Model {
    /// The bytes of the model file.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the parts of the model do not fit each other.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let layout = ParameterLayout::of(&self.architecture);
        let channels = self.architecture.channels();
        let mix = layout.mix(0).start..layout.output_biases().start;
        let taps = if self.architecture.is_of_volumes() { vec![3; 3] } else { vec![3; 2] };
        let filters = [vec![layout.filter_count()], taps].concat();
        let mut parts = vec![
            ("filters", layout.filters(), filters),
            ("biases", layout.biases(), vec![self.architecture.hidden()]),
            ("mix", mix, vec![self.architecture.outputs, channels]),
            ("output_biases", layout.output_biases(), vec![self.architecture.outputs]),
        ];
        // Files of models without a stem stay as they have always been.
        let stem = layout.stem();
        if !stem.is_empty() {
            let shape = vec![stem.len() / 2, 2];
            parts.push(("stem", stem, shape));
        }
        let tensor = |(name, range, shape)| Float32Tensor { name, shape, values: &self.parameters[range] };
        let tensors: Vec<Float32Tensor> = parts.into_iter().map(tensor).collect();
        let mut metadata = vec![("format", FORMAT.to_string())];
        let texts = [
            ("architecture", serde_json::to_string(&self.architecture)),
            ("task", serde_json::to_string(&self.task)),
            ("input", serde_json::to_string(&self.input)),
            ("target", serde_json::to_string(&self.target)),
            ("provenance", serde_json::to_string(&self.provenance)),
        ];
        for (name, text) in texts {
            metadata.push((name, text.map_err(|e| Error::Mismatch(e.to_string()))?));
        }
        // Files of models without slabs stay as they have always been.
        if self.slab != 1 {
            metadata.push(("slab", self.slab.to_string()));
        }
        if let Some(learnt_from) = &self.self_supervised {
            let text = serde_json::to_string(learnt_from).map_err(|e| Error::Mismatch(e.to_string()))?;
            metadata.push(("self_supervised", text));
        }
        if let Some(upscaling) = &self.upscaling {
            let text = serde_json::to_string(upscaling).map_err(|e| Error::Mismatch(e.to_string()))?;
            metadata.push(("upscaling", text));
        }
        safetensors_bytes(&tensors, &metadata).map_err(|e| Error::Mismatch(e.to_string()))
    }

    /// Reads the bytes of a model file; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that is damaged, not a model, or of another version.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| {
            Error::model(
                path,
                format!("is not a whole model file ({what}); wanted one that msd-gpu train wrote"),
            )
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let problem = format!(
                    "has the format '{other}', but this version of msd-gpu reads '{FORMAT}'; use the version that wrote it"
                );
                return Err(Error::model(path, problem));
            }
            None => {
                let problem =
                    "is a safetensors file without the name of a format; wanted one that msd-gpu train wrote";
                return Err(Error::model(path, problem));
            }
        }
        let architecture: Architecture = text(&metadata, "architecture", path)?;
        // The numbers are checked before they size anything.
        architecture.validate().map_err(|e| Error::model(path, e))?;
        let layout = ParameterLayout::of(&architecture);
        let mix = layout.mix(0).start..layout.output_biases().start;
        let mut parts = vec![
            ("filters", layout.filters()),
            ("biases", layout.biases()),
            ("mix", mix),
            ("output_biases", layout.output_biases()),
        ];
        if !layout.stem().is_empty() {
            parts.push(("stem", layout.stem()));
        }
        let mut parameters = Vec::with_capacity(file.iter().map(|(_, view)| view.data().len() / 4).sum());
        for (name, range) in parts {
            let view = file.tensor(name).map_err(|e| damaged(&e))?;
            if view.dtype() != Dtype::F32 || view.data().len() != 4 * range.len() {
                let found = format!(
                    "tensor {name} has {} bytes, its architecture {}",
                    view.data().len(),
                    4 * range.len()
                );
                return Err(damaged(&found));
            }
            parameters.extend(view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)));
        }
        let task: Task = text(&metadata, "task", path)?;
        let input: InputNormalisation = text(&metadata, "input", path)?;
        let target: Option<Normalisation> = text(&metadata, "target", path)?;
        let provenance: BTreeMap<String, String> = text(&metadata, "provenance", path)?;
        let slab = if metadata.contains_key("slab") { text(&metadata, "slab", path)? } else { 1 };
        let self_supervised = optional_text(&metadata, "self_supervised", path)?;
        let upscaling = optional_text(&metadata, "upscaling", path)?;
        let model = Self {
            architecture,
            parameters,
            task,
            input,
            target,
            slab,
            self_supervised,
            upscaling,
            provenance,
        };
        model.validate().map_err(|e| Error::model(path, e))?;
        Ok(model)
    }

    /// The models that `path` stands for: itself, or, where it is a folder of folds (`fold-1`, `fold-2` and so on), those of all
    /// folds in order, which make an ensemble.
    pub fn paths(path: &Path) -> Vec<PathBuf> {
        let fold = |number: usize| path.join(format!("fold-{number}"));
        if path.join("model.safetensors").exists() || !fold(1).is_dir() {
            return vec![path.to_path_buf()];
        }
        (1..).map(fold).take_while(|fold| fold.is_dir()).collect()
    }

    /// Reads a model from a file, or from `model.safetensors` in a run folder.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no such file, or as [`Model::from_bytes`].
    pub fn read(path: &Path) -> Result<Self> {
        let file: Cow<Path> = if path.is_dir() { path.join("model.safetensors").into() } else { path.into() };
        let missing = |e: std::io::Error| {
            Error::model(&file, format!("cannot be read ({e}); wanted a model file or a run folder"))
                .caused_by(e)
        };
        let length = std::fs::metadata(&file).map_err(missing)?.len();
        if length > MAX_BYTES {
            return Err(Error::model(
                &file,
                format!("has {length} bytes, more than any model; wanted one that msd-gpu train wrote"),
            ));
        }
        Self::from_bytes(&std::fs::read(&file).map_err(missing)?, &file)
    }
}

/// As [`text`]; `None` where it is missing.
fn optional_text<T: DeserializeOwned>(
    metadata: &HashMap<String, String>,
    name: &str,
    path: &Path,
) -> Result<Option<T>> {
    if metadata.contains_key(name) { text(metadata, name, path).map(Some) } else { Ok(None) }
}

fn text<T: DeserializeOwned>(metadata: &HashMap<String, String>, name: &str, path: &Path) -> Result<T> {
    let problem = |e: &dyn std::fmt::Display| {
        Error::model(
            path,
            format!("has unusable metadata '{name}' ({e}); wanted a file that msd-gpu train wrote"),
        )
    };
    let found = metadata.get(name).ok_or_else(|| problem(&"it is missing"))?;
    serde_json::from_str(found).map_err(|e| problem(&e))
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::geometry::Footprint;
    use crate::network::{
        Class, Coarsening, Measure, SelfSupervised, SplitScheme, Splits, Stem, Upscaling, initialise,
    };

    fn model() -> Model {
        let architecture = Architecture { width: 2, ..Architecture::new(3, 2, 4) };
        Model {
            parameters: initialise(&architecture, 1),
            architecture,
            task: Task::Segment {
                classes: [0, 255].map(|value| Class { value, name: format!("class {value}") }).to_vec(),
            },
            input: Normalisation { mean: vec![1.0, 2.0, 3.0], deviation: vec![0.5; 3] }.into(),
            target: None,
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::from([("seed".to_string(), "1".to_string())]),
        }
    }

    fn refusal(bytes: &[u8]) -> String {
        Model::from_bytes(bytes, Path::new("m.safetensors")).unwrap_err().to_string()
    }

    #[test]
    fn comes_back_as_it_was() {
        let bytes = model().to_bytes().unwrap();
        assert_eq!(bytes, model().to_bytes().unwrap());
        assert_eq!(Model::from_bytes(&bytes, Path::new("m")).unwrap(), model());
        let by_itself = InputNormalisation::PerImage { per_image: Measure::MeanDeviation };
        let model = Model { input: by_itself, ..model() };
        assert_eq!(Model::from_bytes(&model.to_bytes().unwrap(), Path::new("m")).unwrap(), model);
        let architecture =
            Architecture { dimensions: 3, dilations_z: vec![0, 2], ..model.architecture.clone() };
        let parameters = initialise(&architecture, 3);
        let of_volumes = Model { architecture, parameters, ..model.clone() };
        assert_eq!(Model::from_bytes(&of_volumes.to_bytes().unwrap(), Path::new("m")).unwrap(), of_volumes);
        let of_slabs = Model { slab: 3, ..model.clone() };
        assert_eq!(Model::from_bytes(&of_slabs.to_bytes().unwrap(), Path::new("m")).unwrap(), of_slabs);
        let architecture = Architecture { stem: Stem::usual(), ..model.architecture.clone() };
        let parameters = initialise(&architecture, 3);
        let with_stem = Model { architecture, parameters, ..model.clone() };
        assert_eq!(Model::from_bytes(&with_stem.to_bytes().unwrap(), Path::new("m")).unwrap(), with_stem);
        for count in [2, 5] {
            let splits = Splits { count, scheme: SplitScheme::FromOne };
            let of_splits = Model { self_supervised: Some(SelfSupervised::Splits(splits)), ..model.clone() };
            assert_eq!(Model::from_bytes(&of_splits.to_bytes().unwrap(), Path::new("m")).unwrap(), of_splits);
        }
        let spots = SelfSupervised::BlindSpots { mask: Footprint::Cross, extent: 3 };
        let of_spots = Model { self_supervised: Some(spots), ..model.clone() };
        assert_eq!(Model::from_bytes(&of_spots.to_bytes().unwrap(), Path::new("m")).unwrap(), of_spots);
        for coarsening in [None, Some(Coarsening { blur: 0.5, noise: 3.0 })] {
            let finer = Model { upscaling: Some(Upscaling { factor: 3, coarsening }), ..model.clone() };
            assert_eq!(Model::from_bytes(&finer.to_bytes().unwrap(), Path::new("m")).unwrap(), finer);
        }
        for factor in [0, 1, 5, usize::MAX] {
            let wrong = Model { upscaling: Some(Upscaling { factor, coarsening: None }), ..model.clone() };
            assert!(wrong.to_bytes().unwrap_err().to_string().contains("another grid"));
        }
        for wrong in [0, 2, 5] {
            let error = Model { slab: wrong, ..of_slabs.clone() }.to_bytes().unwrap_err().to_string();
            assert!(error.contains("slabs of"), "{error}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = model().to_bytes().unwrap();
        for length in (0..bytes.len()).step_by(13) {
            assert!(refusal(&bytes[..length]).starts_with("m.safetensors: "));
        }
    }

    #[test]
    fn other_versions_and_other_files_are_named() {
        let bytes = model().to_bytes().unwrap();
        let at = bytes.windows(FORMAT.len()).position(|w| w == FORMAT.as_bytes()).unwrap();
        let mut newer = bytes.clone();
        newer[at + FORMAT.len() - 1] = b'9';
        assert!(refusal(&newer).contains("msd-gpu model 9"), "{}", refusal(&newer));
        let foreign = safetensors::serialize(Vec::<(&str, TensorView)>::new(), None).unwrap();
        assert!(refusal(&foreign).contains("without the name of a format"));
        assert!(refusal(b"hello").contains("not a whole model file"));
    }

    #[test]
    fn damaged_numbers_are_refused() {
        let bytes = model().to_bytes().unwrap();
        let replace = |from: &str, to: &str| {
            assert_eq!(from.len(), to.len());
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
            let mut damaged = bytes.clone();
            damaged[at..at + to.len()].copy_from_slice(to.as_bytes());
            damaged
        };
        assert!(refusal(&replace("\\\"depth\\\":4", "\\\"depth\\\":5")).contains("bytes"));
        assert!(refusal(&replace("\\\"depth\\\":4", "\\\"depth\\\":0")).contains("from 1"));
        let mut not_a_number = bytes.clone();
        let end = not_a_number.len();
        not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(refusal(&not_a_number).contains("not a finite number"));
    }
}
