//! The devices of this machine, with which tiles they are run, and opening an engine on one of them.
//!
//! All that has to do with GPUs is in `gpu`; a build without the feature `gpu` has `without_gpu` in its place, where there
//! are none.

#[cfg(feature = "gpu")]
mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "without_gpu.rs"]
mod gpu;

use std::sync::Once;
#[cfg(feature = "gpu")]
use std::time::Duration;

use log::{info, warn};

use self::gpu::Gpu;
use crate::cpu::{self, CpuEngine, CpuOptions};
use crate::engine::{BackProjector, DeviceInfo, DeviceKind, DeviceLimits, Engine, Peaks, Precision};
use crate::geometry::Shape;
#[cfg(feature = "gpu")]
use crate::gpu::{Cache, Trial, TuningResult};
use crate::network::Architecture;
use crate::{Error, Result};

/// Where a GPU's sizes of tiles come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TuningPolicy {
    /// Those that are safe on every device.
    #[default]
    Safe,
    /// What was found and kept on this machine, else the safe ones.
    Kept,
    /// What was found and kept, else a short search, on hardware and not under continuous integration.
    Search,
}

/// How an engine is opened to be checked; see [`Device::open_variant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Layers in a block of the schedule; `None` for those of the tiles.
    pub block: Option<usize>,
    /// Bytes of the largest buffer of maps, on a GPU.
    pub max_page_bytes: u64,
    /// Whether kernels of a GPU check indices, loops and divisors while they run.
    pub checked: bool,
    /// Sizes of tiles of a GPU, one of [`Device::every_kernel`]; `None` for the safe ones.
    pub tiles: Option<String>,
    /// How a GPU stores feature maps.
    pub precision: Precision,
}

/// A device that a network can run on.
#[derive(Debug, Clone)]
pub struct Device {
    /// What it is.
    pub info: DeviceInfo,
    /// The GPU; `None` for the CPU.
    gpu: Option<Gpu>,
}

impl Device {
    /// The processor.
    pub fn cpu() -> Self {
        Self { info: cpu::device(), gpu: None }
    }

    fn map_gpu(self, change: impl FnOnce(Gpu) -> Gpu) -> Self {
        Self { gpu: self.gpu.map(change), ..self }
    }

    /// The device with sizes of tiles from elsewhere; those of [`list`] and [`choose`] are safe ones.
    pub fn with_policy(self, policy: TuningPolicy) -> Self {
        self.map_gpu(|gpu| gpu.with_policy(policy))
    }

    /// Whether feature maps can be stored as halves on it.
    pub fn has_halves(&self) -> bool {
        self.gpu.as_ref().is_some_and(Gpu::has_halves)
    }

    /// The device with engines that store feature maps and gradient maps as `precision` says. A device without halves stays as it is, with a
    /// warning.
    pub fn with_precision(self, precision: Precision) -> Self {
        if precision == Precision::Half && !self.has_halves() {
            warn!(
                "{} cannot store feature maps as halves (f16): `precision full` is used on it",
                self.info.name
            );
            return self;
        }
        self.map_gpu(|gpu| gpu.with_precision(precision))
    }

    /// How its engines store feature maps.
    pub fn precision(&self) -> Precision {
        self.gpu.as_ref().map_or(Precision::Full, Gpu::precision)
    }

    /// The device with the sizes of tiles that were found before, where it would search for them.
    pub fn without_search(self) -> Self {
        self.map_gpu(Gpu::without_search)
    }

    /// The device with the sizes of tiles of a run that was made on it before, as [`Device::tuning`] gave them. What is not
    /// known (any more) leaves the device as it is.
    pub fn with_tuning(self, text: &str) -> Self {
        self.map_gpu(|gpu| gpu.with_tuning(text))
    }

    /// The GPU with sizes of tiles that somebody asks for, as [`Device::tuning`] gives them.
    ///
    /// # Errors
    /// [`Error::Setting`] when `text` names no sizes of tiles, and for the CPU, which has none.
    pub fn with_tiles(self, text: &str) -> Result<Self> {
        match self.gpu {
            Some(gpu) => Ok(Self { gpu: Some(gpu.with_tiles(text)?), ..self }),
            None => Err(Error::setting(
                "--tiles",
                text,
                "sizes of tiles are for GPUs alone; name one with --device, or leave --tiles out",
            )),
        }
    }

    /// The device with the sizes of tiles that its policy gives for batches of `shape`; a search may take a few seconds.
    /// It stays as it is where they were decided before.
    pub fn tuned_for(&self, architecture: &Architecture, shape: Shape) -> Self {
        self.clone().map_gpu(|gpu| gpu.tuned_for(architecture, shape))
    }

    /// The sizes of tiles that a GPU is run with, as text; `None` for the CPU.
    pub fn tuning(&self) -> Option<String> {
        self.gpu.as_ref().map(Gpu::tuning)
    }

    /// Looks for the sizes of tiles with which this device is fastest for a network and batches of `shape`, and keeps them for
    /// similar networks and shapes, in the file that is returned. Starts no trial after `limit`; `tried` is called with each of
    /// them.
    ///
    /// # Errors
    /// [`Error::Setting`] on the CPU; [`Error::Output`] where there is no place to keep them; what the device refuses.
    #[cfg(feature = "gpu")]
    pub fn tune(
        &self,
        architecture: &Architecture,
        shape: Shape,
        limit: Duration,
        tried: &mut dyn FnMut(Trial),
    ) -> Result<(TuningResult, Cache)> {
        let Some(gpu) = &self.gpu else {
            let wanted = "there is nothing to tune there; name a GPU of `msd-gpu devices`";
            return Err(Error::setting("device", &self.info.name, wanted));
        };
        gpu.tune(architecture, shape, limit, tried)
    }

    /// Opens an engine for `architecture` on this device, with `parameters` in the order of
    /// [`crate::network::ParameterLayout`]. Memory for images is taken later, by the first pass over each shape.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Mismatch`] when the architecture is unusable or there are not as many parameters as it has;
    /// [`Error::Device`] or [`Error::OutOfMemory`] when the device cannot be opened or has no memory for them.
    pub fn open(&self, architecture: &Architecture, parameters: &[f32]) -> Result<Box<dyn Engine>> {
        match &self.gpu {
            Some(gpu) => gpu.open(architecture, parameters),
            None => Ok(Box::new(CpuEngine::new(architecture, parameters, &CpuOptions::default())?)),
        }
    }

    /// Opens the device for back-projection; `None` for the processor, which has its own ([`crate::tomography`]).
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::OutOfMemory`] when it cannot be opened.
    pub fn back_projector(&self) -> Result<Option<Box<dyn BackProjector>>> {
        self.gpu.as_ref().map(Gpu::back_projector).transpose()
    }

    /// Opens an engine as [`Device::open`] does, in a variant that is to be checked. A GPU that is avoided for a known fault of its
    /// driver is opened all the same.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_variant(
        &self,
        architecture: &Architecture,
        parameters: &[f32],
        variant: &Variant,
    ) -> Result<Box<dyn Engine>> {
        match &self.gpu {
            Some(gpu) => gpu.open_variant(architecture, parameters, variant),
            None => {
                let options = CpuOptions { block: variant.block };
                Ok(Box::new(CpuEngine::new(architecture, parameters, &options)?))
            }
        }
    }

    /// Sizes of tiles with which a GPU, between them, runs every kernel that it may be run with; none for the CPU.
    pub fn every_kernel(&self) -> Vec<String> {
        self.gpu.as_ref().map(Gpu::every_kernel).unwrap_or_default()
    }

    /// What a GPU allows; `None` for the CPU.
    pub fn limits(&self) -> Option<DeviceLimits> {
        self.gpu.as_ref().map(Gpu::limits)
    }

    /// A known fault of a GPU's driver and what is done about it, in words that follow the name of the device and a colon.
    pub fn fault(&self) -> Option<String> {
        self.gpu.as_ref().and_then(Gpu::fault)
    }

    /// Whether the device can be opened.
    fn try_open(&self) -> Result<()> {
        self.gpu.as_ref().map_or(Ok(()), Gpu::try_open)
    }

    /// Measures what this device can do at best; takes a second or so.
    ///
    /// # Errors
    /// When the device cannot be opened or refuses.
    pub fn peaks(&self) -> Result<Peaks> {
        match &self.gpu {
            Some(gpu) => gpu.peaks(),
            None => Ok(Peaks { operations: cpu::multiply_add_peak(), copied_bytes: cpu::copy_peak() }),
        }
    }
}

/// All devices, best first: hardware GPUs, the CPU, and then software implementations of a GPU.
pub fn list() -> Vec<Device> {
    let gpus = Gpu::list().into_iter().map(|(info, gpu)| Device { info, gpu: Some(gpu) });
    let mut devices: Vec<Device> = gpus.chain([Device::cpu()]).collect();
    devices.sort_by_key(|device| match device.info.kind {
        DeviceKind::Gpu => 0,
        DeviceKind::Cpu => 1,
        DeviceKind::Software => 2,
    });
    devices
}

/// What stands for all hardware GPUs; see [`choose_all`].
const ALL: &str = "all";

/// The device that `wish` names: `auto` (the best hardware GPU that can be opened, else the CPU), `cpu`, `gpu` (the best GPU, or a
/// software implementation if there is no other), `gpu:1` (the second GPU of [`list`]), an index of [`list`], or part of a name in it. A
/// number that is no index is taken for part of a name: `4090` of `NVIDIA GeForce RTX 4090`.
///
/// # Errors
/// [`Error::NoDevice`] with what is there when nothing fits; [`Error::Setting`] for `gpu` in a build without GPU support, and where several
/// devices are named.
pub fn choose(wish: &str) -> Result<Device> {
    static WARNED: Once = Once::new();
    static WARNED_OF_UNUSABLE: Once = Once::new();
    if wish == "cpu" {
        return Ok(Device::cpu());
    }
    if wish == "gpu" && !cfg!(feature = "gpu") {
        let wanted =
            "this build of msd-gpu has no GPU support; use `device cpu`, or build it with the feature gpu";
        return Err(Error::setting("device", wish, wanted));
    }
    let devices = list();
    let infos: Vec<&DeviceInfo> = devices.iter().map(|device| &device.info).collect();
    if wish == "auto" {
        let (index, unusable) = automatic(&infos, |index| devices[index].try_open());
        if let Some(sentence) = &unusable {
            WARNED_OF_UNUSABLE.call_once(|| warn!("{sentence}"));
        } else if infos[index].kind == DeviceKind::Cpu {
            info!("no hardware GPU was found: using the {}", infos[index].name);
        }
        return Ok(devices[index].clone());
    }
    let Some(index) = pick(wish, &infos) else {
        let several = wish.split(',').map(|one| pick(one.trim(), &infos));
        if wish == ALL || wish.contains(',') && several.clone().all(|index| index.is_some()) {
            let wanted = "this is done on one device; name one of them (`msd-gpu train` and `msd-gpu predict` alone share their work out among several)";
            return Err(Error::setting("device", wish, wanted));
        }
        let found: Vec<String> =
            infos.iter().enumerate().map(|(index, info)| format!("{index}: {}", info.name)).collect();
        return Err(Error::NoDevice { wanted: wish.into(), found: found.join(", ") });
    };
    let device = devices[index].clone();
    if wish == "gpu" && device.info.kind == DeviceKind::Software {
        WARNED.call_once(|| warn!("{}", slower_than_cpu(&device.info)));
    }
    Ok(device)
}

/// Which of `devices`, which are in the order of [`list`] and hold the CPU, is taken where nobody says: the first that is no software
/// and that `try_open` opens. Where GPUs before it cannot be opened, a sentence that says so.
fn automatic(devices: &[&DeviceInfo], try_open: impl Fn(usize) -> Result<()>) -> (usize, Option<String>) {
    let mut unusable: Option<Error> = None;
    let mut cpu = 0;
    for (index, info) in devices.iter().enumerate() {
        match info.kind {
            DeviceKind::Gpu => match try_open(index) {
                Ok(()) => return (index, unusable.map(|error| instead(&error, info))),
                // The best GPU is the one that is missed.
                Err(error) => unusable = unusable.or(Some(error)),
            },
            DeviceKind::Cpu => {
                cpu = index;
                break;
            }
            DeviceKind::Software => {}
        }
    }
    (cpu, unusable.map(|error| instead(&error, devices[cpu])))
}

/// The devices that `wish` names, for work that is shared out: `all` (all hardware GPUs, else the CPU), names as [`choose`] takes them
/// with commas between them, such as `gpu:0,gpu:1` or `cpu,cpu`, or one of these. A device may be named more than once.
///
/// # Errors
/// As [`choose`].
pub fn choose_all(wish: &str) -> Result<Vec<Device>> {
    if wish == ALL {
        let gpus: Vec<Device> =
            list().into_iter().filter(|device| device.info.kind == DeviceKind::Gpu).collect();
        return if gpus.is_empty() { Ok(vec![choose("auto")?]) } else { Ok(gpus) };
    }
    // Names of devices may have commas in them.
    if !wish.contains(',') || find(wish, &list()).is_some() {
        return Ok(vec![choose(wish)?]);
    }
    wish.split(',').map(|one| choose(one.trim())).collect()
}

/// The device of the process that is number `index` of those which work together on this machine: of what `wish` names, as for
/// [`choose_all`], each has one in turn; with `auto`, of all hardware GPUs.
///
/// # Errors
/// As [`choose_all`].
pub fn choose_for(wish: &str, index: usize) -> Result<Device> {
    let mut devices = choose_all(if wish == "auto" { ALL } else { wish })?;
    let index = index % devices.len().max(1);
    Ok(devices.swap_remove(index))
}

/// The warning that another device is used than the best one.
fn instead(error: &Error, used: &DeviceInfo) -> String {
    format!("using the {} instead, as {error}", used.name)
}

/// Which of the devices of [`list`] `wish` names, as for [`choose`]. No device is opened to see whether it can be.
pub fn find(wish: &str, devices: &[Device]) -> Option<usize> {
    let infos: Vec<&DeviceInfo> = devices.iter().map(|device| &device.info).collect();
    pick(wish, &infos)
}

/// Which of `devices`, which are in the order of [`list`], `wish` names; see [`choose`].
fn pick(wish: &str, devices: &[&DeviceInfo]) -> Option<usize> {
    let best = |fits: &dyn Fn(&DeviceInfo) -> bool| devices.iter().position(|info| fits(info));
    match wish {
        "" => None,
        "auto" => best(&|info| info.kind != DeviceKind::Software),
        "cpu" => best(&|info| info.kind == DeviceKind::Cpu),
        "gpu" => best(&|info| info.kind != DeviceKind::Cpu),
        _ => {
            if let Some(number) = wish.strip_prefix("gpu:").and_then(|number| number.parse().ok()) {
                let mut gpus = devices.iter().enumerate().filter(|(_, info)| info.kind != DeviceKind::Cpu);
                return gpus.nth(number).map(|(index, _)| index);
            }
            let index = wish.parse().ok().filter(|&index: &usize| index < devices.len());
            let part = wish.to_lowercase();
            index.or_else(|| best(&|info| info.name.to_lowercase().contains(&part)))
        }
    }
}

/// The warning for users who ask for a GPU where there is only a software implementation of one.
fn slower_than_cpu(software: &DeviceInfo) -> String {
    format!(
        "the only GPU that was found is {}, a software implementation on the processor, which is slower than the CPU engine; use `device cpu`",
        software.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_nonsense_is_named() {
        assert_eq!(choose("cpu").unwrap().info.kind, DeviceKind::Cpu);
        assert_ne!(choose("auto").unwrap().info.kind, DeviceKind::Software);
        for nonsense in ["no such thing", "", "999"] {
            let error = choose(nonsense).unwrap_err();
            assert!(!error.is_failure());
            assert!(error.to_string().contains("CPU"), "{error}");
        }
    }

    #[test]
    fn several_devices_are_named_one_after_the_other() {
        let kinds =
            |wish: &str| choose_all(wish).unwrap().iter().map(|device| device.info.kind).collect::<Vec<_>>();
        assert_eq!(kinds("cpu"), [DeviceKind::Cpu]);
        assert_eq!(kinds("cpu, cpu,cpu"), [DeviceKind::Cpu; 3]);
        // Its name has commas.
        assert_eq!(kinds(&Device::cpu().info.name), [DeviceKind::Cpu]);
        assert!(kinds("all").iter().all(|kind| *kind != DeviceKind::Software));
        assert_eq!(choose_for("cpu,cpu", 5).unwrap().info.kind, DeviceKind::Cpu);
        assert!(
            matches!(choose_all("cpu,nonsense"), Err(Error::NoDevice { wanted, .. }) if wanted == "nonsense")
        );
        let error = choose("cpu,cpu").unwrap_err().to_string();
        assert!(error.contains("name one of them"), "{error}");
    }

    #[test]
    fn a_number_is_an_index_and_otherwise_part_of_a_name() {
        let device = |name: &str, kind| DeviceInfo {
            name: name.into(),
            backend: String::new(),
            kind,
            driver: String::new(),
            shares_memory: kind != DeviceKind::Gpu,
        };
        let rtx_3090 = device("NVIDIA GeForce RTX 3090", DeviceKind::Gpu);
        let rtx_4090 = device("NVIDIA GeForce RTX 4090", DeviceKind::Gpu);
        let cpu = device("CPU, 4 threads, avx2", DeviceKind::Cpu);
        let llvmpipe = device("llvmpipe (LLVM 19.1.7, 256 bits)", DeviceKind::Software);
        let all = [&rtx_3090, &rtx_4090, &cpu, &llvmpipe];
        for (wish, wanted) in [
            ("4090", Some(1)),
            ("rtx 4090", Some(1)),
            ("NVIDIA", Some(0)),
            ("0", Some(0)),
            ("3", Some(3)),
            // No index, but a number of llvmpipe's name.
            ("19", Some(3)),
            ("4080", None),
            ("999", None),
            ("-1", None),
            ("99999999999999999999999", None),
            ("", None),
            ("auto", Some(0)),
            ("gpu", Some(0)),
            ("gpu:0", Some(0)),
            ("gpu:1", Some(1)),
            // Software comes after the CPU.
            ("gpu:2", Some(3)),
            ("gpu:3", None),
            ("gpu:x", None),
            ("cpu", Some(2)),
        ] {
            assert_eq!(pick(wish, &all), wanted, "'{wish}'");
        }
        let without_hardware = [&cpu, &llvmpipe];
        assert_eq!(pick("auto", &without_hardware), Some(0));
        assert_eq!(pick("gpu", &without_hardware), Some(1));
        assert_eq!(pick("4", &without_hardware), Some(0));
        assert_eq!(pick("gpu", &[&cpu]), None);
        let warning = slower_than_cpu(&llvmpipe);
        assert!(warning.contains("llvmpipe") && warning.contains("`device cpu`"), "{warning}");
    }

    #[test]
    fn a_gpu_that_cannot_be_opened_is_passed_over_with_one_line() {
        let device = |name: &str, kind| DeviceInfo {
            name: name.into(),
            backend: String::new(),
            kind,
            driver: String::new(),
            shares_memory: false,
        };
        let first = device("Radeon", DeviceKind::Gpu);
        let second = device("Arc", DeviceKind::Gpu);
        let cpu = device("CPU, 4 threads", DeviceKind::Cpu);
        let software = device("llvmpipe", DeviceKind::Software);
        let all = [&first, &second, &cpu, &software];
        let fails = |index: usize| Err(Error::device(&all[index].name, "opening it", "it is asleep"));

        assert_eq!(automatic(&all, |_| Ok(())), (0, None));
        let (index, line) = automatic(&all, |index| if index == 0 { fails(index) } else { Ok(()) });
        let line = line.unwrap();
        assert!(
            index == 1 && line.contains("Arc") && line.contains("Radeon failed") && line.contains("asleep")
        );
        let (index, line) = automatic(&all, fails);
        let line = line.unwrap();
        assert!(
            index == 2 && line.contains("CPU, 4 threads") && line.contains("Radeon") && !line.contains('\n')
        );
        // Software is slower than the CPU, so nobody tries it.
        assert_eq!(automatic(&[&cpu, &software], fails), (0, None));
    }

    #[cfg(not(feature = "gpu"))]
    #[test]
    fn a_build_without_gpus_says_so() {
        assert_eq!(list().len(), 1);
        let error = choose("gpu").unwrap_err();
        assert!(!error.is_failure());
        assert!(error.to_string().contains("no GPU support; use `device cpu`"), "{error}");
    }
}
