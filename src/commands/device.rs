//! The flags for where a network runs.

use clap::Args;

use crate::Result;
use crate::devices::{self, Device, TuningPolicy};
use crate::engine::{DeviceInfo, Precision};

/// Which device, and with which tiles.
#[derive(Debug, Args)]
pub(super) struct DeviceArguments {
    /// Device: auto, cpu, gpu, gpu:1 for the second one, an index or part of a name from `msd-gpu devices`
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tuning: TuningArguments,
}

/// With which tiles.
#[derive(Debug, Args)]
pub(super) struct TuningArguments {
    /// Run a GPU with the default sizes of tiles, neither those that `msd-gpu tune` found nor a short search for the best
    /// (which is made once for each GPU and kind of network, and never where the variable CI is set)
    #[arg(long)]
    no_tune: bool,
}

/// How a device stores feature maps.
#[derive(Debug, Args)]
pub(super) struct PrecisionArguments {
    /// How a GPU stores feature maps: full, or half for half of their memory and traffic, with outputs that differ by some
    /// thousandths of the largest; sums are full in any case
    #[arg(long, value_name = "PRECISION", default_value = "full", value_parser = ["full", "half"])]
    precision: String,
}

impl PrecisionArguments {
    /// What `--precision` says.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for what is no precision, which the parser lets nobody give.
    pub(super) fn get(&self) -> Result<Precision> {
        self.precision.parse()
    }
}

impl DeviceArguments {
    /// What `--device` says.
    pub(super) fn name(&self) -> &str {
        &self.device
    }

    /// The device that is asked for.
    pub(super) fn choose(&self) -> Result<Device> {
        self.tuning.choose(&self.device)
    }

    /// The devices that are asked for; of these the one of the process with this number among those of the machine, where there
    /// are several processes.
    pub(super) fn choose_all_for(&self, process: Option<usize>) -> Result<Vec<Device>> {
        match process {
            Some(process) => Ok(vec![self.tuning.choose_for(&self.device, process)?]),
            None => self.tuning.choose_all(&self.device),
        }
    }
}

impl TuningArguments {
    /// The device that `wish` names; see [`devices::choose`].
    pub(super) fn choose(&self, wish: &str) -> Result<Device> {
        Ok(devices::choose(wish)?.with_policy(self.policy()))
    }

    /// The devices that `wish` names; see [`devices::choose_all`].
    pub(super) fn choose_all(&self, wish: &str) -> Result<Vec<Device>> {
        let devices = devices::choose_all(wish)?.into_iter();
        Ok(devices.map(|device| device.with_policy(self.policy())).collect())
    }

    /// The device of the process that is number `index` of those on this machine; see [`devices::choose_for`].
    pub(super) fn choose_for(&self, wish: &str, index: usize) -> Result<Device> {
        Ok(devices::choose_for(wish, index)?.with_policy(self.policy()))
    }

    fn policy(&self) -> TuningPolicy {
        if self.no_tune { TuningPolicy::Safe } else { TuningPolicy::Search }
    }
}

/// The names of devices that share work, for a line of the log: equal ones are counted.
pub(super) fn named<'a>(devices: impl IntoIterator<Item = &'a DeviceInfo>) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for device in devices {
        match counted.iter_mut().find(|(name, _)| *name == device.name) {
            Some((_, count)) => *count += 1,
            None => counted.push((&device.name, 1)),
        }
    }
    let text = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        count => format!("{count} times {name}"),
    };
    counted.into_iter().map(text).collect::<Vec<_>>().join(" and ")
}
