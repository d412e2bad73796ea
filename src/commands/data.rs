//! The flags of `train` for how images and targets are taken.

use clap::Args;

use crate::training::Settings;

/// What counts, how images are normalised, and which are set aside.
#[derive(Debug, Args)]
#[command(next_help_heading = "Images and targets")]
pub struct DataArguments {
    /// Value in label images of pixels that nobody labelled, such as 255: they do not count
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    ignore: Option<i64>,
    /// Images of weights, of the same names as the images: how much each pixel counts, 0 for not at all
    #[arg(long, value_name = "P")]
    weights: Option<String>,
    /// Weights of the validation images
    #[arg(long, value_name = "P")]
    val_weights: Option<String>,
    /// How much classes count: balanced, or a number for each in the order of their values, like 1,2,0.5 [all 1]
    #[arg(long, value_name = "WEIGHTS", allow_hyphen_values = true)]
    class_weights: Option<String>,
    /// What becomes 0 and 1: mean (and standard deviation) of each channel, percentiles like 1..99 (they become -1
    /// and 1), or init for what the model of --init has [mean, or init where there is one]
    #[arg(long, value_name = "MEASURE", allow_hyphen_values = true)]
    normalise: Option<String>,
    /// Normalise each image by itself, not all by the training images
    #[arg(long)]
    normalise_per_image: bool,
    /// Train K times, each time with another K-th of the images for validation, into RUN/fold-1 and so on
    #[arg(long, value_name = "K")]
    folds: Option<usize>,
    /// Of the folds, train this one only, from 1
    #[arg(long, value_name = "N")]
    fold: Option<usize>,
}

impl DataArguments {
    /// Puts what was given in the place of what is set.
    pub(super) fn override_settings(&self, settings: &mut Settings) {
        fn set_some<T: Clone>(setting: &mut Option<T>, given: &Option<T>) {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        set_some(&mut settings.ignore, &self.ignore);
        set_some(&mut settings.weights, &self.weights);
        set_some(&mut settings.val_weights, &self.val_weights);
        set_some(&mut settings.class_weights, &self.class_weights);
        if let Some(measure) = &self.normalise {
            settings.normalise.clone_from(measure);
        }
        settings.normalise_per_image |= self.normalise_per_image;
        set_some(&mut settings.folds, &self.folds);
        set_some(&mut settings.fold, &self.fold);
    }
}
