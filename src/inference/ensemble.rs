//! One prediction from several: of several models, and of an image in its eight symmetries.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{info, warn};
use ndarray::{Array2, Array3};

use super::prediction::{Found, Prediction, RunningMean};
use super::predictor::Predictor;
use crate::devices::Device;
use crate::engine::{DeviceInfo, Precision};
use crate::geometry::{Extent, Symmetry, as_volume, stacked};
use crate::images::{ImageSource, Kernel, Resampling, mean_of_arrays, page_size};
use crate::network::{Combination, InputNormalisation, Measure, Model, Normalisation, Task};
use crate::watcher::Flow;
use crate::{Error, Result};

/// Models that are applied together, and the symmetries in which they are applied to an image.
///
/// What is averaged are the probabilities of the classes, not the raw outputs (Lakshminarayanan, Pritzel & Blundell,
/// "Simple and scalable predictive uncertainty estimation using deep ensembles", NIPS 2017), or the values in
/// the units of the targets. An image that is shown in its eight symmetries gives eight predictions, each turned back
/// (Wang et al., "Aleatoric uncertainty estimation with test-time augmentation", Neurocomputing 338, 2019).
pub struct Ensemble {
    /// One for each architecture: models that share one take turns in the same memory.
    predictors: Vec<Predictor>,
    /// The models, each with its place in `predictors`.
    members: Vec<(usize, Model)>,
    symmetries: &'static [Symmetry],
    /// How the device stores feature maps.
    precision: Precision,
    /// What images are brought to the models' range by.
    rescale: Option<Measure>,
    /// Whether an image in another range was told of, on any device.
    told: Arc<AtomicBool>,
    /// The most bytes of the device's memory that there was once enough of.
    reserved: u64,
    /// The name of the first device that had too little memory.
    refused: Option<String>,
    /// Whether it was said that a device has too little memory.
    told_of_memory: bool,
    /// The same models on other devices, for work that is shared out.
    others: Vec<Ensemble>,
}

/// What was measured over all of an image.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured(pub(super) Vec<(Measure, Normalisation)>);

impl Measured {
    fn by(&self, measure: Measure) -> Option<&Normalisation> {
        self.0.iter().find(|(known, _)| *known == measure).map(|(_, found)| found)
    }
}

impl Ensemble {
    /// Opens `models`, with the names that errors use, on `device`; each sees an image in all eight `symmetries`, or only
    /// as it is. `tile` is that of [`Predictor::new`].
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no models, and for models of different tasks, classes or channels; else as
    /// [`Predictor::new`].
    pub fn new(
        models: Vec<(String, Model)>,
        device: &Device,
        tile: Option<usize>,
        symmetries: bool,
    ) -> Result<Self> {
        let Some((first_name, first)) = models.first() else {
            return Err(Error::Mismatch("found no models to apply; name at least one with `model`".into()));
        };
        for (name, model) in &models[1..] {
            check_agreement((first_name, first), (name, model))?;
        }
        let (mut predictors, mut members) = (Vec::<Predictor>::new(), Vec::new());
        for (_, model) in models {
            let place = predictors.iter().position(|p| p.model().architecture == model.architecture);
            let place = match place {
                Some(place) => {
                    model.validate()?;
                    place
                }
                None => {
                    predictors.push(Predictor::new(model.clone(), device, tile)?);
                    predictors.len() - 1
                }
            };
            members.push((place, model));
        }
        let symmetries = if symmetries { &Symmetry::ALL[..] } else { &Symmetry::ALL[..1] };
        Ok(Self {
            predictors,
            members,
            symmetries,
            precision: device.precision(),
            rescale: None,
            told: Arc::default(),
            reserved: 0,
            refused: None,
            told_of_memory: false,
            others: Vec::new(),
        })
    }

    /// As [`Ensemble::new`], on several `devices`, among which [`predict`](super::predict()) shares images and tiles out; all else is done
    /// on the first of them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no devices; else as [`Ensemble::new`].
    pub fn on_all(
        models: &[(String, Model)],
        devices: &[Device],
        tile: Option<usize>,
        symmetries: bool,
    ) -> Result<Self> {
        let open = |device: &Device| Self::new(models.to_vec(), device, tile, symmetries);
        let mut opened = devices.iter().map(open).collect::<Result<Vec<_>>>()?.into_iter();
        let none = || Error::Mismatch("found no device to open the models on; name at least one".into());
        let mut first = opened.next().ok_or_else(none)?;
        first.others = opened.collect();
        first.others.iter_mut().for_each(|other| other.told = first.told.clone());
        Ok(first)
    }

    /// Does `work` with the models on each device by itself, the first of them first.
    pub(super) fn on_each<T>(&mut self, work: impl FnOnce(Vec<&mut Ensemble>) -> T) -> T {
        let mut others = std::mem::take(&mut self.others);
        let done = work(std::iter::once(&mut *self).chain(&mut others).collect());
        self.others = others;
        done
    }

    /// The measure that the setting `rescale` names, for `models` with the names that errors use.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no measure, and for another one than that by which the training images of a model
    /// were normalised: mean and deviation of one image are not where the percentiles of others are.
    pub fn rescale_measure(text: &str, models: &[(String, Model)]) -> Result<Measure> {
        let measure: Measure = text.parse().map_err(|_| {
            Error::setting(
                "rescale",
                format!("'{text}'"),
                "it must be mean, or two percentiles such as 1..99",
            )
        })?;
        for (name, model) in models.iter().filter(|(_, model)| model.input.of_set().is_some()) {
            let of_training = model.provenance.get("normalise").and_then(|text| text.parse::<Measure>().ok());
            if let Some(of_training) = of_training.filter(|of_training| *of_training != measure) {
                let wanted = format!(
                    "the training images of {name} were normalised by {of_training}; give `rescale {of_training}`"
                );
                return Err(Error::setting("rescale", measure, wanted));
            }
        }
        Ok(measure)
    }

    /// Brings each image from now on to the range of numbers that the models were trained on, by what `measure` finds in it;
    /// `None` takes images as they are.
    pub fn rescale(&mut self, measure: Option<Measure>) {
        self.rescale = measure;
        self.others.iter_mut().for_each(|other| other.rescale = measure);
    }

    /// Warns of the first image, called `name`, that is in another range of numbers than the images that the first model was
    /// trained on.
    pub fn warn_of_range(&mut self, name: &str, image: &Array3<f32>) {
        if self.rescale.is_some() || self.told.load(Ordering::Relaxed) {
            return;
        }
        let model = self.model();
        let misfit = model.input.of_set().and_then(|normalisation| normalisation.misfit(image.view()));
        if let Some(misfit) = misfit
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let measure = model.provenance.get("normalise").filter(|text| text.parse::<Measure>().is_ok());
            let measure = measure.map_or("mean", String::as_str);
            warn!(
                "{name} is far from the images that the model was trained on: {misfit}; where it shows the same in another range of numbers, give `rescale {measure}`, or train with `normalise_per_image`"
            );
        }
    }

    /// The first model: its task, classes and channels are those of all.
    pub fn model(&self) -> &Model {
        &self.members[0].1
    }

    /// Checks that all models were trained on as many recordings of each slice as the first one, in the same way.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where one was not.
    pub(super) fn check_splits(&self) -> Result<()> {
        let splits = self.model().splits();
        if self.members.iter().all(|(_, model)| model.splits() == splits) {
            return Ok(());
        }
        let problem = "the models were not all trained on as many recordings of each slice in the same way; apply those that were together with `model`, or name one recording";
        Err(Error::Mismatch(problem.into()))
    }

    /// The image as the models see it: on the grid of their results, where that is finer.
    ///
    /// # Errors
    /// What comes of reading its header.
    pub fn seen(&self, image: ImageSource) -> Result<ImageSource> {
        match self.model().factor() {
            1 => Ok(image),
            factor => image.resampled(Resampling::Finer { factor, kernel: Kernel::Bicubic }),
        }
    }

    /// How many models there are.
    pub fn models(&self) -> usize {
        self.members.len()
    }

    /// From how many predictions the mean is taken.
    pub fn predictions(&self) -> usize {
        self.members.len() * self.symmetries.len()
    }

    /// What tells these models and how they are applied from others.
    pub(super) fn identity(&self) -> String {
        let mut hash = twox_hash::XxHash3_128::new();
        for (_, model) in &self.members {
            hash.write(
                format!("{:?} {:?} {:?} {:?}", model.architecture, model.task, model.input, model.target)
                    .as_bytes(),
            );
            model.parameters.iter().for_each(|parameter| hash.write(&parameter.to_le_bytes()));
        }
        // As before there were halves, so that results of then are known.
        let halves = match self.has_halves() {
            true => " half",
            false => "",
        };
        format!("{:032x} {} {:?}{halves}", hash.finish_128(), self.symmetries.len(), self.rescale)
    }

    /// Whether feature maps are stored as halves, on any of the devices.
    fn has_halves(&self) -> bool {
        self.precision == Precision::Half || self.others.iter().any(Self::has_halves)
    }

    /// What it runs on; of several devices, the first.
    pub fn device(&self) -> &DeviceInfo {
        self.predictors[0].device()
    }

    /// All devices that images are shared out among.
    pub fn devices(&self) -> Vec<&DeviceInfo> {
        std::iter::once(self.device()).chain(self.others.iter().map(Ensemble::device)).collect()
    }

    /// As [`Predictor::check_channels`].
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming the image, its channels and the models'.
    pub fn check_channels(&self, name: &str, channels: usize) -> Result<()> {
        self.predictors[0].check_channels(name, channels)
    }

    /// As [`Ensemble::check_channels`] for a file, by its header.
    ///
    /// # Errors
    /// As [`Ensemble::check_channels`] and [`page_size`].
    pub fn check_image(&self, source: &ImageSource) -> Result<()> {
        self.check_channels(&source.name(), page_size(source)?.0)
    }

    /// Predicts an image `[channel][y][x]` in the file's own units, with the standard deviation where `deviation` asks
    /// for it.
    ///
    /// # Errors
    /// As [`Predictor::outputs`].
    pub fn predict(&mut self, image: &Array3<f32>, deviation: bool) -> Result<Prediction> {
        self.predict_watched(image, deviation, &mut |_| Flow::Continue(()))
    }

    /// As [`Ensemble::predict`]; `progress` is called after each tile with the share that is done, from 0 to 1, and may stop the work.
    ///
    /// # Errors
    /// As [`Ensemble::predict`], and [`Error::Stopped`].
    pub fn predict_watched(
        &mut self,
        image: &Array3<f32>,
        deviation: bool,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        let measured = self.measured(image);
        self.predict_measured((image, 1), &measured, deviation, progress)
    }

    /// As [`Ensemble::predict_watched`] of a volume with the rows of so many slices, one slice below the other, `[channel][row][x]`; the
    /// prediction lies in the same way.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`].
    pub fn predict_slices(
        &mut self,
        volume: &Array3<f32>,
        slices: usize,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        let measured = self.measured(volume);
        self.predict_measured((volume, slices), &measured, false, progress)
    }

    /// The most probable class of each pixel of an image `[channel][y][x]`, `[y][x]`. Those of a single model as it is are taken on the
    /// device, which is faster than [`Ensemble::predict`]. `progress` is as that of [`Ensemble::predict_watched`].
    ///
    /// # Errors
    /// [`Error::Mismatch`] for regression models; else as [`Ensemble::predict_watched`].
    pub fn classify(
        &mut self,
        image: &Array3<f32>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array2<u32>> {
        self.check_segments()?;
        let measured = self.measured(image);
        Ok(self.classify_measured((image, 1), &measured, progress)?.into_classes())
    }

    /// Checks that the models give classes.
    pub(super) fn check_segments(&self) -> Result<()> {
        self.predictors[0].check_task(true)
    }

    /// As [`Ensemble::predict_measured`] where only the classes of the prediction are wanted: those of a single model as it is are
    /// taken on the device.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`].
    pub(super) fn classify_measured(
        &mut self,
        (image, slices): (&Array3<f32>, usize),
        measured: &Measured,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Found> {
        let ([(place, model)], 1) = (self.members.as_slice(), self.symmetries.len()) else {
            return self.predict_measured((image, slices), measured, false, progress).map(Found::Prediction);
        };
        let (image, own) = as_model_takes_it(image, model, measured, self.rescale);
        self.predictors[*place].classes_normalised(&image, slices, own, progress).map(Found::Classes)
    }

    /// What is measured over an image that is in memory.
    pub(super) fn measured(&self, image: &Array3<f32>) -> Measured {
        let own = |measure: Measure| (measure, measure.of(&[(image.view(), None)]));
        Measured(self.measures().into_iter().map(own).collect())
    }

    /// The raw outputs of each model for an image or a part of one, over all of which `measured` was found.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`].
    pub(super) fn outputs_of_models(
        &mut self,
        (image, slices): (&Array3<f32>, usize),
        measured: &Measured,
    ) -> Result<Vec<Array3<f32>>> {
        let takes_turns = self.members.len() > self.predictors.len();
        let mut outputs = Vec::new();
        for (place, model) in &self.members {
            let predictor = &mut self.predictors[*place];
            if takes_turns {
                predictor.replace(model)?;
            }
            let (image, own) = as_model_takes_it(image, model, measured, self.rescale);
            outputs.push(predictor.outputs_normalised(&image, slices, own, &mut |_| Flow::Continue(()))?);
        }
        Ok(outputs)
    }

    /// Bytes of the device's memory that applying the models to an image of `extent` takes; of several devices, of that which takes
    /// most.
    ///
    /// # Errors
    /// When the extent is unusable or too large for a device.
    pub(super) fn bytes(&self, extent: Extent) -> Result<u64> {
        let mut all = 0_u64;
        for predictor in &self.predictors {
            all = all.saturating_add(predictor.bytes(extent)?);
        }
        for other in &self.others {
            all = all.max(other.bytes(extent)?);
        }
        Ok(all)
    }

    /// Takes the memory of all devices for applying the models to an image of `extent`; gives whether there is enough.
    ///
    /// # Errors
    /// What the device refuses for another reason.
    pub(super) fn reserve(&mut self, extent: Extent) -> Result<bool> {
        let bytes = self.bytes(extent)?;
        if bytes <= self.reserved {
            return Ok(true);
        }
        let of_others = self.others.iter_mut().flat_map(|other| &mut other.predictors);
        for predictor in self.predictors.iter_mut().chain(of_others) {
            match predictor.reserve(extent) {
                Ok(()) => {}
                Err(Error::OutOfMemory { .. }) => {
                    self.refused.get_or_insert_with(|| predictor.device().name.clone());
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.reserved = bytes;
        Ok(true)
    }

    /// Says once that a device has too little memory for images of `extent`, so that tiles are halved.
    pub(super) fn tell_of_memory(&mut self, extent: Extent) {
        if !self.told_of_memory {
            info!(
                "{} has too little memory for {} x {} pixels at once: tiles are halved until it has enough",
                self.refused.as_deref().unwrap_or(&self.device().name),
                extent.x,
                extent.y
            );
        }
        self.told_of_memory = true;
    }

    /// How many pixels to either side a pixel of the result depends on.
    pub fn halo(&self) -> usize {
        self.predictors.iter().map(|predictor| predictor.model().architecture.halo()).max().unwrap_or(0)
    }

    /// How many slices to either side a voxel of the result depends on; 0 for networks of images.
    pub fn halo_z(&self) -> usize {
        self.predictors.iter().map(|predictor| predictor.model().architecture.halo_z()).max().unwrap_or(0)
    }

    /// Does `work` with images computed in one piece each, whatever the size of tiles that the models were opened with.
    pub(super) fn in_one_piece<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before: Vec<_> = self.predictors.iter_mut().map(|predictor| predictor.retile(None)).collect();
        let found = work(self);
        for (predictor, tile) in self.predictors.iter_mut().zip(before) {
            predictor.retile(tile);
        }
        found
    }

    /// What has to be measured over all of an image before parts of it are predicted.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures: Vec<Measure> = Vec::new();
        for (_, model) in &self.members {
            let wanted = match &model.input {
                InputNormalisation::PerImage { per_image } => Some(*per_image),
                InputNormalisation::Set(_) => self.rescale,
            };
            measures.extend(wanted.filter(|wanted| !measures.contains(wanted)));
        }
        measures
    }

    /// As [`Ensemble::predict_watched`], of an image or a part of one, over all of which `measured` was found; a volume has the rows of so
    /// many slices, one slice below the other.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`].
    pub(super) fn predict_measured(
        &mut self,
        (image, slices): (&Array3<f32>, usize),
        measured: &Measured,
        deviation: bool,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        self.mean_over((&[Cow::Borrowed(image)], slices), measured, deviation, progress)
    }

    /// The mean of what the models make of several images of the same, of one size: of the combinations of `recordings`
    /// that they were trained with. Recordings and their combinations are `[channel][y][x]`, in the files' own units.
    ///
    /// This is how results are averaged in Noise2Inverse (see [`crate::network::SplitScheme`]): over the recording that is left out, or
    /// that is shown.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of recordings than the models were trained on, and where their sizes differ; else as
    /// [`Ensemble::predict_watched`].
    pub fn predict_recordings(
        &mut self,
        recordings: &[Array3<f32>],
        deviation: bool,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        self.check_splits()?;
        let splits = self.model().splits().filter(|splits| splits.count == recordings.len());
        let images = splits.and_then(|splits| {
            let mean = |one: Combination| mean_of_arrays(one.input.iter().map(|&place| &recordings[place]));
            splits.combinations().map(mean).collect::<Option<Vec<_>>>()
        });
        let Some(images) = images.filter(|all| all.iter().all(|image| image.dim() == all[0].dim())) else {
            return Err(Error::Mismatch(format!(
                "found {} recordings, but the model takes {} of one size; give those that belong together",
                recordings.len(),
                self.model().splits().map_or(1, |splits| splits.count)
            )));
        };
        let images: Vec<_> = images.into_iter().map(Cow::Owned).collect();
        self.mean_over((&images, 1), &Measured::default(), deviation, progress)
    }

    /// The mean over all models, `images` and symmetries.
    fn mean_over(
        &mut self,
        (images, slices): (&[Cow<'_, Array3<f32>>], usize),
        measured: &Measured,
        deviation: bool,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        let takes_turns = self.members.len() > self.predictors.len();
        let (all, mut before) = ((self.predictions() * images.len()) as f64, 0.0);
        let mut moments: Option<RunningMean> = None;
        for (place, model) in &self.members {
            let predictor = &mut self.predictors[*place];
            if takes_turns {
                predictor.replace(model)?;
            }
            let shown =
                images.iter().flat_map(|image| self.symmetries.iter().map(move |turn| (image, *turn)));
            for (image, symmetry) in shown {
                let (image, own) = as_model_takes_it(image, model, measured, self.rescale);
                let turned = match symmetry {
                    Symmetry::IDENTITY => image,
                    symmetry => Cow::Owned(turned_by(&image, slices, symmetry)),
                };
                let found = predictor
                    .results_normalised(&turned, slices, own, &mut |done| progress((before + done) / all))?;
                before += 1.0;
                let found = match symmetry {
                    Symmetry::IDENTITY => found,
                    symmetry => turned_by(&found, slices, symmetry.inverse()),
                };
                match &mut moments {
                    None => moments = Some(RunningMean::of(found, deviation)),
                    Some(moments) => moments.add(&found),
                }
            }
        }
        // There is at least one model and one symmetry.
        let moments = moments.ok_or_else(|| Error::Mismatch("found no models to apply".into()))?;
        Ok(moments.finish())
    }
}

/// An image, or each slice of a volume, turned.
fn turned_by(image: &Array3<f32>, slices: usize, symmetry: Symmetry) -> Array3<f32> {
    if slices == 1 {
        return symmetry.apply3(image);
    }
    stacked(symmetry.apply(&as_volume(image.as_standard_layout().view(), slices)))
}

/// An image or a part of one in the range that `model` takes, and what it is normalised by where that is not the model's own.
fn as_model_takes_it<'a>(
    image: &'a Array3<f32>,
    model: &Model,
    measured: &'a Measured,
    rescale: Option<Measure>,
) -> (Cow<'a, Array3<f32>>, Option<&'a Normalisation>) {
    match &model.input {
        InputNormalisation::PerImage { per_image } => (Cow::Borrowed(image), measured.by(*per_image)),
        InputNormalisation::Set(normalisation) => match rescale.and_then(|measure| measured.by(measure)) {
            Some(own) => {
                let mut rescaled = image.clone();
                normalisation.rescale_from(&mut rescaled, own);
                (Cow::Owned(rescaled), None)
            }
            None => (Cow::Borrowed(image), None),
        },
    }
}

/// Checks that a model gives what the first one gives, for the same images.
fn check_agreement((first_name, first): (&str, &Model), (name, model): (&str, &Model)) -> Result<()> {
    let task = |model: &Model| match model.task {
        Task::Segment { .. } => "a segmentation",
        Task::Regress => "a regression",
    };
    let values = |model: &Model| {
        let values: Vec<_> = model.classes().iter().map(|class| class.value.to_string()).collect();
        format!("the classes {}", values.join(", "))
    };
    let channels =
        |count: usize, what: &str| format!("{count} channel{} {what}", if count == 1 { "" } else { "s" });
    let properties: [&dyn Fn(&Model) -> String; 7] = [
        &|model| format!("{} dimensions", model.architecture.dimensions),
        &|model| task(model).to_owned(),
        &|model| channels(model.architecture.inputs, "in its images"),
        &|model| format!("slabs of {}", model.slab),
        &|model| format!("results on a grid {} times as fine", model.factor()),
        &values,
        &|model| channels(model.architecture.outputs, "in its results"),
    ];
    let differs = properties.iter().find(|property| property(first) != property(model));
    differs.map_or(Ok(()), |property| {
        let verb = if task(first) == task(model) { "has" } else { "is" };
        Err(Error::Mismatch(format!(
            "{name} {verb} {}, but {first_name} {verb} {}; models that are averaged must agree, name only those that do with `model`",
            property(model),
            property(first)
        )))
    })
}

#[cfg(test)]
#[path = "ensemble_tests.rs"]
mod tests;
