//! The flags of `predict` and `evaluate` for how images are looked for.

use clap::Args;

use crate::images::Discovery;

/// What files do not say rightly, and what is passed over.
#[derive(Debug, Args)]
pub struct DiscoveryArguments {
    /// What the planes of the files are, outermost first, where the files do not say it rightly: ZCYX, or CYX where pages
    /// are channels of one image; a number behind a letter is its length, as in ZC2YX
    #[arg(long, value_name = "AXES")]
    pub(super) axes: Option<String>,
    /// Use the whole pages of stacks that are cut off; predict passes over images that cannot be used, and ends with a list of
    /// them and exit code 1
    #[arg(long)]
    pub(super) keep_going: bool,
}

impl DiscoveryArguments {
    /// With what targets have at the end of their names.
    pub(super) fn discovery(&self, target_suffix: Option<&str>) -> Discovery {
        Discovery::new(self.axes.clone(), target_suffix.map(str::to_owned), self.keep_going)
    }
}
