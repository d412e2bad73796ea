//! The flags of `train` for random changes of what is shown.

use clap::Args;

use crate::samples::Augmentation;

/// Strengths; each sample draws its own evenly between nothing and these.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Augmentation (each sample draws its own strength, up to what is given) [none]"
)]
pub struct AugmentationArguments {
    /// Turn by up to this, either way
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    rotate: Option<f64>,
    /// Enlarge or shrink by up to this: 0.1 for a factor of 1/1.1 to 1.1
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    scale: Option<f64>,
    /// Bend: displace points 64 pixels apart by this standard deviation, and those between them smoothly
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    elastic: Option<f64>,
    /// Blur with a Gaussian of up to this standard deviation
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    blur: Option<f64>,
    /// Multiply by a factor between 1/(1+X) and 1+X
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    contrast: Option<f64>,
    /// Brighten or darken by up to X, where 1 is the standard deviation of the normalised image
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    brightness: Option<f64>,
    /// Raise the brightness (0 at the darkest, 1 at the brightest pixel) to a power between 1/(1+X) and 1+X
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// Photon noise, of up to X standard deviations at the mean brightness
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    poisson: Option<f64>,
    /// Normal noise of up to X standard deviations
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    noise: Option<f64>,
}

impl AugmentationArguments {
    /// Puts what was given in the place of what is set.
    pub(super) fn override_settings(&self, augmentation: &mut Augmentation) {
        for (setting, given) in [
            (&mut augmentation.rotate, self.rotate),
            (&mut augmentation.scale, self.scale),
            (&mut augmentation.elastic, self.elastic),
            (&mut augmentation.blur, self.blur),
            (&mut augmentation.contrast, self.contrast),
            (&mut augmentation.brightness, self.brightness),
            (&mut augmentation.gamma, self.gamma),
            (&mut augmentation.poisson, self.poisson),
            (&mut augmentation.noise, self.noise),
        ] {
            *setting = given.unwrap_or(*setting);
        }
    }
}
