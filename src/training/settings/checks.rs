//! Checks of the settings that need no images.

use super::Settings;
use crate::images::check_slab;
use crate::network::TaskKind;
use crate::samples::LabelRule;
use crate::{Error, Result};

impl Settings {
    /// Checks every number that does not need the images.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.validate_volumes()?;
        self.architecture(1, 1)?;
        check_slab(self.slab)?;
        if self.batch == 0 || self.batch > 4096 {
            return Err(Error::setting("batch", self.batch, "it must be from 1 to 4096"));
        }
        self.augmentation.validate()?;
        self.validate_favoured("favour_rare", self.favour_rare.unwrap_or(0.0))?;
        self.validate_favoured("favour_labelled", self.favour_labelled.unwrap_or(0.0))?;
        // Engines compute in float32.
        if !((self.lr as f32).is_finite() && self.lr as f32 > 0.0) {
            return Err(Error::setting("lr", self.lr, "it must be a number above 0, such as 0.003"));
        }
        self.optimisation.validate(self.lr)?;
        self.validate_loss()?;
        self.monitor().validate(self.task)?;
        self.mixing_start.validate(self.task, self.is_of_volumes())?;
        self.class_shares.validate(self.task, self.is_of_volumes())?;
        if self.max_minutes.is_some_and(|minutes| minutes.is_nan() || minutes <= 0.0) {
            let found = self.max_minutes.unwrap_or_default();
            return Err(Error::setting("max_minutes", found, "it must be a number above 0"));
        }
        let counts = [
            ("max_epochs", self.max_epochs),
            ("max_steps", self.max_steps),
            ("validate_every", self.validate_every),
        ];
        for (name, limit) in counts {
            if limit == Some(0) {
                return Err(Error::setting(name, 0, "it must be at least 1"));
            }
        }
        // The integers of config.toml have a sign.
        let whole = [("seed", Some(self.seed)), ("patience", Some(self.patience))];
        for (name, value) in whole.into_iter().chain(counts) {
            if let Some(value) = value.filter(|&value| i64::try_from(value).is_err()) {
                return Err(Error::setting(name, value, format!("it must be at most {}", i64::MAX)));
            }
        }
        self.cache_bytes()?;
        self.validate_alone()?;
        self.validate_splits()?;
        self.validate_upscaling()?;
        self.validate_validation()?;
        self.validate_data()
    }

    /// Checks where validation images come from.
    fn validate_validation(&self) -> Result<()> {
        if self.val_images.is_some() != self.val_targets.is_some() {
            let found = if self.val_images.is_some() { "`val_images` alone" } else { "`val_targets` alone" };
            return Err(Error::setting(
                "validation",
                found,
                "`val_images` and `val_targets` go together; give both",
            ));
        }
        if self.val_weights.is_some() && self.val_images.is_none() {
            let wanted =
                "it goes with `val_images`; images set aside from the training images keep their `weights`";
            return Err(Error::setting("val_weights", "given without `val_images`", wanted));
        }
        if self.val_images.is_some() && self.val_fraction.is_some() {
            let wanted =
                "validation images come either from `val_images` or from the training images; drop one";
            return Err(Error::setting("val_fraction", "given beside `val_images`", wanted));
        }
        if self.folds.is_some() && (self.val_images.is_some() || self.val_fraction.is_some()) {
            let other = if self.val_images.is_some() { "val_images" } else { "val_fraction" };
            let found = format!("given beside {other}");
            return Err(Error::setting("folds", found, "each fold is validated on its own images; drop one"));
        }
        match (self.folds, self.fold) {
            (Some(folds), _) if folds < 2 => {
                Err(Error::setting("folds", folds, "it must be at least 2, such as 5"))
            }
            (None, Some(fold)) => Err(Error::setting("fold", fold, "it is one of several; give `folds` too")),
            (Some(folds), Some(fold)) if !(1..=folds).contains(&fold) => {
                Err(Error::setting("fold", fold, format!("it must be from 1 to {folds}, as `folds`")))
            }
            _ => Ok(()),
        }
    }

    /// Checks how images and targets are to be taken.
    fn validate_data(&self) -> Result<()> {
        self.validate_initial()?;
        let class_weights = self.class_weights()?;
        let rule = self.label_rule()?;
        if self.task == TaskKind::Regress {
            if let Some(value) = self.ignore {
                let wanted =
                    "a regression has no label values; give `weights` with 0 where pixels do not count";
                return Err(Error::setting("ignore", value, wanted));
            }
            if rule != LabelRule::AsStored {
                let rules = [("threshold", self.threshold.is_some()), ("classes", self.classes.is_some())];
                let name = rules.iter().find(|(_, is_set)| *is_set).map_or("colours", |(name, _)| name);
                let wanted = "a regression has no label values; leave it out";
                return Err(Error::setting(name, "given for a regression", wanted));
            }
            let of_classes =
                [("class_weights", class_weights.is_some()), ("class_names", self.class_names.is_some())];
            if let Some((name, _)) = of_classes.into_iter().find(|(_, is_set)| *is_set) {
                let wanted = "a regression has no classes; leave it out";
                return Err(Error::setting(name, "given for a regression", wanted));
            }
            if self.normalise_per_image {
                let wanted = "a regression gives values in the units of the targets, which an image normalised by itself no longer tells; leave it out";
                return Err(Error::setting("normalise_per_image", "given for a regression", wanted));
            }
        }
        Ok(())
    }

    /// Checks what is taken over from another model.
    fn validate_initial(&self) -> Result<()> {
        if self.freeze > 0 && self.init.is_none() {
            let wanted = "layers that were never trained are not worth keeping; give a model with `init`";
            return Err(Error::setting("freeze", self.freeze, wanted));
        }
        if let Some(depth) = self.depth.filter(|depth| self.freeze > *depth) {
            let wanted = format!("the network has {depth} layers; give at most as many");
            return Err(Error::setting("freeze", self.freeze, wanted));
        }
        if self.measure()?.is_some() {
            return Ok(());
        }
        if self.init.is_none() {
            let wanted = "there is no model to take it from; give one with `init`, or say mean or 1..99";
            return Err(Error::setting("normalise", &self.normalise, wanted));
        }
        if self.normalise_per_image {
            let wanted = "images are normalised as the model of `init` does it; say by what with `normalise`";
            return Err(Error::setting("normalise_per_image", "given beside `init`", wanted));
        }
        Ok(())
    }

    fn validate_loss(&self) -> Result<()> {
        let wanted = match (self.task, self.loss().is_of_classes()) {
            (TaskKind::Segment, false) => {
                "a segmentation needs a loss of classes: cross-entropy, focal, dice or cross-entropy+dice"
            }
            (TaskKind::Regress, true) => "a regression needs a loss of values: l2, l1, huber or charbonnier",
            _ => return Ok(()),
        };
        Err(Error::setting("loss", self.loss(), wanted))
    }

    fn validate_favoured(&self, name: &'static str, share: f64) -> Result<()> {
        let wanted = if !(0.0..=1.0).contains(&share) {
            "it must be a share of the pieces, from 0 to 1"
        } else if share > 0.0 && self.crop == Some(0) {
            "whole images (`crop 0`) have no pieces to choose; set `crop`, or leave it out"
        } else if share > 0.0 && self.task == TaskKind::Regress {
            "a regression has no classes; leave it out"
        } else {
            return Ok(());
        };
        Err(Error::setting(name, share, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Loss;
    use crate::geometry::Footprint;
    use crate::network::SplitScheme;
    use crate::samples::Augmentation;
    use crate::training::{ClassShares, MixingStart, Monitor, Optimisation};

    fn settings() -> Settings {
        Settings::new(TaskKind::Segment, "images", "labels")
    }

    fn regression() -> Settings {
        Settings::new(TaskKind::Regress, "images", "targets")
    }

    fn alone() -> Settings {
        let mut settings = regression();
        settings.learn_alone();
        settings
    }

    fn upscaling() -> Settings {
        let mut settings = Settings { factor: 2, ..regression() };
        settings.coarsen_images();
        settings
    }

    fn of_splits() -> Settings {
        let mut settings = regression();
        settings.learn_from_splits(vec!["a".into(), "b".into()]);
        settings
    }

    #[test]
    fn unusable_numbers_are_named() {
        let refusals = [
            ("batch", Settings { batch: 0, ..settings() }),
            ("lr", Settings { lr: f64::NAN, ..settings() }),
            ("max_minutes", Settings { max_minutes: Some(0.0), ..settings() }),
            ("max_steps", Settings { max_steps: Some(0), ..settings() }),
            ("depth", Settings { depth: Some(0), ..settings() }),
            ("dilations", Settings { dilations: "x".into(), ..settings() }),
            ("favour_rare", Settings { favour_rare: Some(1.5), ..settings() }),
            ("favour_rare", Settings { favour_rare: Some(0.5), crop: Some(0), ..settings() }),
            (
                "noise",
                Settings { augmentation: Augmentation { noise: -1.0, ..Default::default() }, ..settings() },
            ),
            ("folds", Settings { folds: Some(1), ..settings() }),
            ("folds", Settings { folds: Some(4), val_fraction: Some(0.2), ..settings() }),
            ("fold", Settings { fold: Some(1), ..settings() }),
            ("fold", Settings { folds: Some(4), fold: Some(5), ..settings() }),
            ("val_weights", Settings { val_weights: Some("w".into()), ..settings() }),
            ("class_weights", Settings { class_weights: Some("x".into()), ..settings() }),
            ("normalise", Settings { normalise: "9..1".into(), ..settings() }),
            ("threshold", Settings { threshold: Some(1), task: TaskKind::Regress, ..settings() }),
            ("classes", Settings { classes: Some("0".into()), ..settings() }),
            ("colours", Settings { colours: Some("red".into()), ..settings() }),
            ("ignore", Settings { ignore: Some(0), task: TaskKind::Regress, ..settings() }),
            (
                "normalise_per_image",
                Settings { normalise_per_image: true, task: TaskKind::Regress, ..settings() },
            ),
            ("mixing_start", Settings { mixing_start: MixingStart::Fitted, dimensions: 3, ..settings() }),
            ("class_shares", Settings { class_shares: ClassShares::Images, dimensions: 3, ..settings() }),
            ("monitor", Settings { monitor: Some(Monitor::Psnr), ..settings() }),
            (
                "loss",
                Settings {
                    optimisation: Optimisation { loss: Some(Loss::SquaredError), ..Default::default() },
                    ..settings()
                },
            ),
            ("validation", Settings { val_images: Some("v".into()), ..settings() }),
            ("blind_mask", Settings { blind_mask: Footprint::Point, ..settings() }),
            ("blind_extent", Settings { blind_extent: Some(33), ..alone() }),
            ("alone is given beside `targets`", Settings { alone: true, ..regression() }),
            ("alone is given beside `weights`", Settings { weights: Some("w".into()), ..alone() }),
            (
                "alone is given beside random",
                Settings { augmentation: Augmentation { rotate: 3.0, ..Default::default() }, ..alone() },
            ),
            ("alone is given for", Settings { alone: true, ..settings() }),
            ("factor is 5", Settings { factor: 5, ..regression() }),
            ("factor is 0", Settings { factor: 0, ..regression() }),
            ("factor is given for", Settings { factor: 2, ..settings() }),
            ("factor is given beside `alone`", Settings { factor: 2, ..alone() }),
            ("factor is given beside `splits`", Settings { factor: 2, ..of_splits() }),
            (
                "factor is given beside random",
                Settings { augmentation: Augmentation { scale: 0.1, ..Default::default() }, ..upscaling() },
            ),
            ("coarse_blur is given without", Settings { coarse_blur: 1.0, ..regression() }),
            ("coarse_blur is 17", Settings { coarse_blur: 17.0, ..upscaling() }),
            ("coarse_noise is NaN", Settings { coarse_noise: f64::NAN, ..upscaling() }),
            (
                "coarse_noise is given beside `targets`",
                Settings { coarse_noise: 1.0, targets: "fine".into(), ..upscaling() },
            ),
            ("at is given for fine", Settings { at: Some("1,2".into()), ..upscaling() }),
            ("at is '1'", Settings { at: Some("1".into()), targets: "fine".into(), ..upscaling() }),
            (
                "at is given beside `weights`",
                Settings {
                    at: Some("1,2".into()),
                    targets: "fine".into(),
                    weights: Some("w".into()),
                    ..upscaling()
                },
            ),
            ("weights is given for fine", Settings { weights: Some("w".into()), ..upscaling() }),
            ("scheme", Settings { scheme: SplitScheme::FromOne, ..settings() }),
            ("splits is given for", Settings { splits: vec!["a".into(), "b".into()], ..settings() }),
            ("splits is images alone", Settings { splits: vec!["images".into()], ..regression() }),
            (
                "splits is given beside `images`",
                Settings { splits: vec!["a".into(), "b".into()], ..regression() },
            ),
            ("splits is given beside `pairs`", Settings { pairs: Some("l".into()), ..of_splits() }),
            ("splits is given beside `weights`", Settings { weights: Some("w".into()), ..of_splits() }),
            (
                "splits is given beside `val_images`",
                Settings { val_images: Some("v".into()), val_targets: Some("v".into()), ..of_splits() },
            ),
        ];
        for (name, settings) in refusals {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error} does not name {name}");
        }
        assert!(settings().validate().is_ok());
        assert!(of_splits().validate().is_ok());
        assert!(alone().validate().is_ok());
        assert!(upscaling().validate().is_ok());
        assert!(
            Settings { at: Some("1,2".into()), targets: "fine".into(), ..upscaling() }.validate().is_ok()
        );
    }
}
