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
    /// Take only this channel, counted from 0
    #[arg(long, value_name = "N")]
    channel: Option<usize>,
    /// Take only these slices of each stack, counted from 0: 100..200 (without the last), 0..1000..10 for every tenth, or a list
    #[arg(long, value_name = "SLICES")]
    slices: Option<String>,
    /// Which level of a pyramid is taken, 0 being the finest
    #[arg(long, value_name = "N", default_value_t = 0)]
    level: usize,
    /// How numbers lie in files without a header: columns x rows x slices and their type, such as 2048x2048x1000:u16le
    #[arg(long, value_name = "FORM")]
    raw: Option<String>,
    /// Use the whole pages of stacks that are cut off; with predict, pass over images that cannot be used too, and end with a
    /// list of them and exit code 1
    #[arg(long)]
    pub(super) keep_going: bool,
}

impl DiscoveryArguments {
    /// With what targets have at the end of their names.
    pub(super) fn discovery(&self, target_suffix: Option<&str>) -> Discovery {
        Discovery {
            channel: self.channel,
            slices: self.slices.clone(),
            level: self.level,
            raw: self.raw.clone(),
            ..Discovery::new(self.axes.clone(), target_suffix.map(str::to_owned), self.keep_going)
        }
    }
}
