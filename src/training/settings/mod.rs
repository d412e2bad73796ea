//! Everything that a training run depends on.

mod checks;
mod class_shares;
mod mixing_start;
mod monitor;
mod optimisation;
mod paths;
mod self_supervised;
mod upscaling;
mod volumes;

pub use class_shares::ClassShares;
pub use mixing_start::MixingStart;
pub use monitor::Monitor;
pub use optimisation::{Optimisation, Optimizer, RateSchedule};

use crate::engine::{Loss, Precision};
use crate::geometry::{Boundary, Footprint};
use crate::images::Discovery;
use crate::network::{Architecture, DilationMode, Measure, SplitScheme, Stem, TaskKind, parse_dilations};
use crate::samples::{Augmentation, ClassWeights, LabelRule, Replacement, Symmetries};
use crate::settings::Heading::{Data, Device, Network, Optimisation as Optimise, Run, Stop};
use crate::settings::{Setting, ValueKind, byte_size, declare_settings};
use crate::training::choices::usual_depth;
use crate::{Error, Result};

declare_settings! {
    /// The settings of a run, as they stand in its `config.toml`: [`Settings::new`], and then whatever is to be different.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Settings in None;
    required {
        /// What to learn: the class of each pixel, or its values (denoising and the like).
        task: TaskKind => Setting::under(Data, "TASK");
        /// Training images: a folder, a glob in quotes, or a stack (PNG, TIFF).
        images: String => files();
        /// Their targets, of the same names: label images, or the wanted images.
        targets: String => files();
    }
    settings {
        /// A list of images, targets, weights and groups in the place of images and targets: comma-separated values whose first
        /// line is image,target,weight,group (the last two may be left out).
        ///
        /// Images of one group, or of one target, are never divided between training and validation.
        pairs: Option<String> = None => files();
        /// To denoise without clean images: recordings of the same slices with noise of their own, at least two, in the place of
        /// images and targets.
        ///
        /// Such are reconstructions from disjoint shares of the projections (Noise2Inverse), those of even and odd frames, or
        /// repeated scans. Each is learnt from the others, and `predict` with as many of them averages what it makes of each.
        splits: Vec<String> = Vec::new()
            => Setting::under(Data, "P").for_files().free_on_resume().omitted_at_default();
        /// Which of the splits the network is shown, and which it is to give for them.
        scheme: SplitScheme = SplitScheme::FromOthers
            => Setting::under(Data, "SCHEME").for_files().omitted_at_default();
        /// To denoise single images without clean ones: pixels are hidden from the network, which learns to foresee them from
        /// their neighbours, in the place of targets (Noise2Void).
        alone: bool = false => Setting::under(Data, "").for_files().omitted_at_default();
        /// What stands in the place of pixels that are hidden.
        blind_spot: Replacement = Replacement::Median
            => Setting::under(Data, "VALUE").for_files().omitted_at_default();
        /// Pixels that are hidden together, where their noise is correlated.
        blind_mask: Footprint = Footprint::Auto => Setting::under(Data, "MASK").for_files().omitted_at_default();
        /// How far these are from the one in their middle, in pixels.
        blind_extent: Option<usize> = None => Setting::under(Data, "N")
            .for_files()
            .described_default("as far as the noise is correlated, or 4 where a mask is named");
        /// To upscale: how many times as fine the targets are as the images, in y and x: 2, 3 or 4.
        ///
        /// Images are brought onto the grid of the targets by bicubic interpolation before the network sees them. Without targets
        /// the images are fine ones, from which coarse ones are made.
        factor: usize = 1 => Setting::under(Data, "N").for_files().omitted_at_default();
        /// Of fine images from which coarse ones are made: blur them before by a Gaussian of this standard deviation, in fine pixels.
        coarse_blur: f64 = 0.0 => Setting::under(Data, "PIXELS").for_files().omitted_at_default();
        /// Noise of this standard deviation is added to coarse images that are made, anew each time, in the units of the images.
        coarse_noise: f64 = 0.0 => Setting::under(Data, "X").for_files().omitted_at_default();
        /// Where in the coarse images the corner of the fine ones lies, where these show a part: Y,X, or with slices Z,Y,X, in whole
        /// coarse pixels from 0.
        at: Option<String> = None
            => Setting::under(Data, "Y,X").of_kind(ValueKind::Numbers).for_files().described_default("both show the same");
        /// Validation images; the model that is best on them is kept.
        val_images: Option<String> = None => files();
        /// Targets of the validation images.
        val_targets: Option<String> = None => files();
        /// Set this share of the training images aside for validation instead, a run of neighbours that the seed chooses.
        ///
        /// Of a single image a part, with a gap as wide as the receptive field between it and the rest.
        val_fraction: Option<f64> = None => Setting::under(Data, "SHARE");
        /// Train K times, each time with another K-th of the images for validation, into RUN/fold-1 and so on.
        folds: Option<usize> = None => Setting::under(Data, "K").for_files();
        /// Of the folds, train this one only, from 1.
        ///
        /// `None` for all of them.
        fold: Option<usize> = None => Setting::under(Data, "N").for_files();
        /// Value in label images of pixels that nobody labelled, such as 255: they do not count.
        ignore: Option<i64> = None => Setting::under(Data, "VALUE");
        /// Label values from this one on are class 1, all below class 0: for masks with soft edges, such as 128.
        threshold: Option<i64> = None => Setting::under(Data, "VALUE");
        /// Only these label values are classes, like 0,255 or 0..39, and any other is taken for the nearest; 0,rest makes one
        /// class of all others, such as of instances.
        classes: Option<String> = None
            => Setting::under(Data, "VALUES").of_kind(ValueKind::Numbers).described_default("all that are found");
        /// Masks are in colours: auto where all that are found are classes, or those that are, like '#000000,#ff0000'.
        ///
        /// Class 0 is the first one; the classes are named by their colours.
        colours: Option<String> = None => Setting::under(Data, "COLOURS");
        /// Names of the classes for people, in the order of their label values, like background,cell, or each behind its value, like
        /// 0=background,255=cell.
        ///
        /// Not given, a dataset.json of nnU-Net beside the targets names them, and so it does `ignore`.
        class_names: Option<String> = None => Setting::under(Data, "NAMES");
        /// Images of weights, of the same names as the images: how much each pixel counts, 0 for not at all.
        weights: Option<String> = None => files();
        /// Weights of the validation images.
        val_weights: Option<String> = None => files();
        /// What the planes of the files are, outermost first, where the files do not say it rightly: ZCYX, or CYX where pages
        /// are channels of one image. A number behind a letter is its length, as in ZC2YX.
        axes: Option<String> = None => Setting::under(Data, "AXES").for_files();
        /// What targets have at the end of their names but images have not, such as _mask.
        target_suffix: Option<String> = None => Setting::under(Data, "TEXT").for_files();
        /// Take only this channel of the images, counted from 0.
        channel: Option<usize> = None => Setting::under(Data, "N").for_files();
        /// Take only these slices of each stack, counted from 0: 100..200 (without the last), 0..1000..10 for every tenth, or a
        /// list.
        slices: Option<String> = None => Setting::under(Data, "SLICES").of_kind(ValueKind::Numbers).for_files();
        /// The slices of the images to which the slices of the targets belong, in order, such as 0..1000..10.
        slices_of_targets: Option<String> = None
            => Setting::under(Data, "SLICES").of_kind(ValueKind::Numbers).for_files();
        /// Show each slice with its neighbours as channels, this many slices together, such as 5: an odd number.
        ///
        /// At the ends the stack is mirrored. All flips and rotations include the one that exchanges above and below.
        slab: usize = 1 => Setting::under(Data, "N").for_files().omitted_at_default();
        /// Which level of a pyramid is taken, 0 being the finest.
        level: usize = 0 => Setting::under(Data, "N").for_files().omitted_at_default();
        /// How numbers lie in files without a header: columns x rows x slices and their type, such as 2048x2048x1000:u16le.
        raw: Option<String> = None => Setting::under(Data, "FORM").for_files();
        /// Use the whole pages of stacks that are cut off.
        keep_going: bool = false => Setting::under(Data, "").for_files().omitted_at_default();
        /// Hold the images in memory where they take no more than this, such as 4GB; else pieces are read as they are drawn.
        ///
        /// Of files that are decoded as a whole (PNG, JPEG) so much is kept. 0 holds nothing. The model is the same either way.
        cache: Option<String> = None => Setting::under(Data, "SIZE")
            .for_files()
            .free_on_resume()
            .described_default("half of what is free, at most 4GB");
        /// How much classes count: balanced, or a number for each in the order of their values, like 1,2,0.5.
        class_weights: Option<String> = None
            => Setting::under(Data, "WEIGHTS").of_kind(ValueKind::Numbers).described_default("all 1");
        /// Start from the parameters of this model (run folder or model file), with its layers and its normalisation.
        ///
        /// [`Settings::start_from`] takes these over.
        init: Option<String> = None => Setting::under(Network, "M").of_kind(ValueKind::Path);
        /// Keep the first N layers as `init` has them.
        freeze: usize = 0 => Setting::under(Network, "N").omitted_at_default();
        /// What becomes 0 and 1: mean (and standard deviation) of each channel, percentiles like 1..99 (they become -1
        /// and 1), or init for what the model of `init` has.
        ///
        /// Images and regression targets are normalised by it. Every pixel has a part in the mean, which is the default.
        normalise: String = AUTO.into() => Setting::under(Data, "MEASURE")
            .of_kind(ValueKind::Numbers)
            .described_default("mean, of each image by itself where the pixels of a class then agree better; or init where there is one");
        /// Normalise each image by itself, not all by the training images.
        normalise_per_image: bool = false => Setting::under(Data, "");
        /// Dimensions of the network: 2 for images, 3 for volumes, which are stacks or folders of slices.
        dimensions: usize = 2 => Setting::under(Network, "2|3").omitted_at_default();
        /// Number of layers.
        ///
        /// The default is half the paper's 100, at a quarter of the cost; where labels are strokes, it is a network that learns in seconds.
        depth: Option<usize> = None => Setting::under(Network, "N")
            .described_default("50, or 20 where at most a tenth of the pixels is labelled; 30 for volumes");
        /// Channels of each layer.
        ///
        /// The default is the paper's, as are those of dilations and boundary.
        width: usize = 1 => Setting::under(Network, "N");
        /// Dilations of the layers, like 1..10 or 1,2,4,8.
        dilations: String = "1..10".into() => Setting::under(Network, "LIST");
        /// Of volumes: dilations along z, like 1..5 or 0,1, in slices; 0 for layers that see no slices beside.
        dilations_z: Option<String> = None => Setting::under(Network, "LIST")
            .of_kind(ValueKind::Numbers)
            .described_default("those of the layers, or as the size of voxels says");
        /// Of volumes: the size of a voxel along z, y and x, such as 5,1,1, which dilations along z are chosen by.
        voxel_size: Option<String> = None => Setting::under(Network, "Z,Y,X")
            .of_kind(ValueKind::Numbers)
            .described_default("as long as wide");
        /// What is seen beyond the edge of an image.
        boundary: Boundary = Boundary::Reflect => Setting::under(Network, "BOUNDARY");
        /// Fixed filters in front of the layers, which find edges and blobs of these sizes in pixels: auto, none, or sizes like 0.7,1.6,3.5,8.
        ///
        /// With auto a network that learns classes has them, as it then learns from far less; one that learns values gains nothing.
        stem: String = AUTO.into() => Setting::under(Network, "SIZES").described_default("auto: 0.7,1.6,3.5,8 for segment, none for regress and volumes");
        /// What the mixing layer begins with: fitted, to labelled pixels as the network sees them before the first step, or zero.
        ///
        /// Fitted, a network that learns classes is ahead in its first hundred steps.
        mixing_start: MixingStart = MixingStart::Auto => Setting::under(Network, "START")
            .described_default("fitted for classes in images, else zero");
        /// Which shares of the classes (class priors) the model assumes: those of the labelled pixels (labels), or those that the network finds in the
        /// training images (images).
        ///
        /// People paint a rare class nearly as much as the others, so that a network which has seen strokes finds too much of it.
        class_shares: ClassShares = ClassShares::Auto => Setting::under(Optimise, "SHARES")
            .described_default("images where at most a tenth of the pixels is labelled, else labels");
        /// Images in each step.
        batch: usize = 1 => Setting::under(Optimise, "N");
        /// Show random pieces of N x N pixels, of volumes N x N x N; 0 for whole images.
        ///
        /// With the default there are many steps a minute, and a piece is still wider than most features.
        crop: Option<usize> = None => Setting::under(Data, "N")
            .described_default("256, or 192 where at most a tenth of the pixels is labelled; 48 for volumes");
        /// Flips and rotations that images are shown in; where an up and a down matter, choose those that keep them.
        symmetries: Symmetries = Symmetries::All => Setting::under(Data, "SYMMETRIES");
        /// Place this share of the pieces about a pixel of a class drawn evenly.
        favour_rare: Option<f64> = None => Setting::under(Data, "SHARE")
            .described_default("0, or 0.5 where a class has less than 1 % of the labelled pixels");
        /// Place this share of the other pieces about a labelled pixel drawn evenly.
        favour_labelled: Option<f64> = None => Setting::under(Data, "SHARE")
            .described_default("0, or 1 where at most a tenth of the pixels is labelled");
        /// Learning rate.
        ///
        /// The default is three times the usual rate of Adam: with 0.001, micrographs at depth 50 were learnt much more
        /// slowly than with 0.004.
        lr: f64 = 3e-3 => Setting::under(Optimise, "RATE");
        /// Stop after this many epochs.
        max_epochs: Option<u64> = None
            => Setting::under(Stop, "N").described_default("1000 when no limit is given").free_on_resume();
        /// Stop after this many minutes of training, those before a resume among them.
        max_minutes: Option<f64> = None => Setting::under(Stop, "MINUTES").free_on_resume();
        /// Stop after this many steps.
        max_steps: Option<u64> = None => Setting::under(Stop, "N").free_on_resume();
        /// Stop after this many epochs without a better model; 0 for never.
        patience: u64 = DEFAULT_PATIENCE
            => Setting::under(Stop, "N").described_default("100, or never when a limit is given").free_on_resume();
        /// Judge the network once in this many epochs.
        ///
        /// Without it, so often that judging takes at most a tenth of the work of a run.
        validate_every: Option<u64> = None => Setting::under(Stop, "EPOCHS")
            .described_default("so that judging takes at most a tenth of the work");
        /// Where all random numbers start from.
        seed: u64 = 1 => Setting::under(Optimise, "N");
        /// Device: auto, cpu, gpu, gpu:1 for the second one, an index or part of a name from `msd-gpu devices`; or several, like
        /// gpu:0,gpu:1, or all.
        ///
        /// Several share out the images of each step (see batch); the model is the same.
        device: String = "auto".into() => Setting::under(Device, "D").free_on_resume();
        /// How a GPU stores feature maps and gradient maps: full, or half for about two thirds of the memory.
        ///
        /// Sums, losses, gradients of parameters and the optimiser are full in any case. A run that begins on a device that cannot store
        /// halves is one with full.
        precision: Precision = Precision::Full => Setting::under(Device, "PRECISION").omitted_at_default();
        /// Write event files into the run's folder, for: tensorboard --logdir RUN.
        tensorboard: bool = false => Setting::under(Run, "").free_on_resume();
        /// What the best model is best in, on the validation images.
        monitor: Option<Monitor> = None => Setting::under(Stop, "SCORE")
            .described_default("loss, or iou where a class has less than 1 % of the labelled pixels");
    }
    parts {
        /// Loss, optimiser and learning rate.
        optimisation: Optimisation => |_| true;
        /// Random changes of what is shown.
        augmentation: Augmentation => |augmentation| !augmentation.is_off();
    }
}

/// Images or targets that lie somewhere.
const fn files() -> Setting {
    // A resumed run knows its images by their content, wherever they lie.
    Setting::under(Data, "P").of_kind(ValueKind::Path).for_files().free_on_resume()
}

/// What stands for the paths of images that have none.
const IN_MEMORY: &str = "arrays in memory";
/// Epochs when nothing else ends a run.
const EPOCHS_WITHOUT_LIMIT: u64 = 1000;
/// Epochs without a better model after which a run without another limit ends.
const DEFAULT_PATIENCE: u64 = 100;
/// The value of `normalise` that keeps what the initial model has.
pub(in crate::training) const INITIAL: &str = "init";
/// What settings say that are chosen by what is seen.
pub(in crate::training) const AUTO: &str = "auto";

impl Settings {
    /// Settings with all defaults.
    pub fn new(task: TaskKind, images: impl Into<String>, targets: impl Into<String>) -> Self {
        Self::with_required(task, images.into(), targets.into())
    }

    /// How images are looked for.
    pub(in crate::training) fn discovery(&self) -> Discovery {
        Discovery {
            channel: self.channel,
            slices: self.slices.clone(),
            slices_of_targets: self.slices_of_targets.clone(),
            level: self.level,
            raw: self.raw.clone(),
            slab: self.slab,
            ..Discovery::new(self.axes.clone(), self.target_suffix.clone(), self.keep_going)
        }
    }

    /// Bytes of images that are held in memory, where that was set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no size.
    pub fn cache_bytes(&self) -> Result<Option<u64>> {
        self.cache.as_deref().map(|text| byte_size("cache", text)).transpose()
    }

    /// Settings with all defaults, for images that are in memory.
    pub fn in_memory(task: TaskKind) -> Self {
        Self::new(task, IN_MEMORY, IN_MEMORY)
    }

    /// All settings, those of the parts after the others.
    pub fn all() -> impl Iterator<Item = &'static Setting> + Clone {
        Self::SETTINGS.iter().chain(Optimisation::SETTINGS).chain(Augmentation::SETTINGS)
    }

    /// What images are normalised by; `None` for what the model has that the run starts from.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is none.
    pub fn measure(&self) -> Result<Option<Measure>> {
        match self.normalise.as_str() {
            INITIAL => Ok(None),
            AUTO => Ok(Some(Measure::MeanDeviation)),
            text => text.parse().map(Some),
        }
    }

    /// How much classes count, where it was set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is none.
    pub fn class_weights(&self) -> Result<Option<ClassWeights>> {
        self.class_weights.as_deref().map(str::parse).transpose()
    }

    /// What is made of the values of label images.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no rule, and for two rules.
    pub fn label_rule(&self) -> Result<LabelRule> {
        LabelRule::from_settings(self.threshold, self.classes.as_deref(), self.colours.as_deref())
    }

    /// The loss: the one asked for, or the task's usual one.
    pub fn loss(&self) -> Loss {
        self.optimisation.loss.unwrap_or(match self.task {
            TaskKind::Segment => Loss::CrossEntropy,
            TaskKind::Regress => Loss::SquaredError,
        })
    }

    /// What the best model is best in.
    pub fn monitor(&self) -> Monitor {
        self.monitor.unwrap_or_default()
    }

    /// Fills in what is taken from the length of the run, given the steps in an epoch.
    pub(in crate::training) fn fit(&mut self, steps_in_epoch: u64) -> Result<()> {
        self.optimisation.fit(self.lr, self.last_step(steps_in_epoch))?;
        self.optimisation.loss = Some(self.loss());
        Ok(())
    }

    /// The step at which the limits end the run, where they say so.
    pub(in crate::training) fn last_step(&self, steps_in_epoch: u64) -> Option<u64> {
        let epochs = self.max_epochs.map(|epochs| epochs.saturating_mul(steps_in_epoch));
        [epochs, self.max_steps].into_iter().flatten().min()
    }

    /// The architecture for images of `inputs` channels and `outputs` classes or target channels.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first number that cannot be used.
    pub fn architecture(&self, inputs: usize, outputs: usize) -> Result<Architecture> {
        let architecture = Architecture {
            inputs,
            outputs,
            width: self.width,
            depth: self.depth.unwrap_or_else(|| usual_depth(self)),
            dimensions: self.dimensions,
            dilations_z: self.dilations_along_z()?,
            dilations: parse_dilations(&self.dilations)?,
            dilation_mode: DilationMode::Channel,
            boundary: self.boundary,
            stem: self.stem()?,
        };
        architecture.validate()?;
        Ok(architecture)
    }

    /// The filters in front of the layers.
    ///
    /// # Errors
    /// [`Error::Setting`] where they cannot be used.
    pub fn stem(&self) -> Result<Stem> {
        match (self.stem.trim(), self.task) {
            (AUTO, TaskKind::Segment) if !self.is_of_volumes() => Ok(Stem::usual()),
            (AUTO, _) => Ok(Stem::default()),
            (text, _) => text.parse(),
        }
    }

    /// Whether the run has a limit. With patience alone it might never end.
    pub fn has_limit(&self) -> bool {
        self.max_epochs.is_some() || self.max_minutes.is_some() || self.max_steps.is_some()
    }

    /// The patience of a run whose settings name none. A run with a limit is trained up to that limit, so it gets no patience.
    pub fn default_patience(has_limit: bool) -> u64 {
        if has_limit { 0 } else { DEFAULT_PATIENCE }
    }

    /// Takes all limits away, where a run is resumed with others: these take the place of all old ones, as a run is resumed to
    /// go further than it did.
    pub fn clear_limits(&mut self) {
        (self.max_epochs, self.max_minutes, self.max_steps) = (None, None, None);
    }

    /// Sets the limit of a run that has none.
    pub fn fill_limit(&mut self) {
        if !self.has_limit() {
            self.max_epochs = Some(EPOCHS_WITHOUT_LIMIT);
        }
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a number cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self)
            .map_err(|e| Error::Mismatch(format!("the settings cannot be written as TOML: {e}")))?;
        Ok(format!(
            "# Settings of a run of msd-gpu {}. Repeat it with: msd-gpu train --config config.toml --out ANOTHER_RUN\n{text}",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(TaskKind::Segment, "images", "labels")
    }

    #[test]
    fn settings_come_back_from_their_text() {
        let all =
            Settings { val_fraction: Some(0.25), max_minutes: Some(1.5), max_steps: Some(7), ..settings() };
        let all = Settings { augmentation: Augmentation { rotate: 5.0, ..Default::default() }, ..all };
        let optimisation = Optimisation {
            loss: Some(Loss::Focal { gamma: 1.5 }),
            ema: Some(0.99),
            lr_steps: Some(7),
            ..Default::default()
        };
        let all = Settings { optimisation, monitor: Some(Monitor::Dice), ..all };
        assert_eq!(toml::from_str::<Settings>(&all.to_toml().unwrap()).unwrap(), all);
        let short = "task = 'segment'\nimages = 'images'\ntargets = 'labels'";
        assert_eq!(toml::from_str::<Settings>(short).unwrap(), settings());
        assert!(
            toml::from_str::<Settings>("task = 'segment'\nimages = 'a'\ntargets = 'b'\ndeepth = 3").is_err()
        );
    }
}
