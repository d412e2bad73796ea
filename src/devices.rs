//! The devices of this machine, with which tiles they are run, and opening an engine on one of them.

use std::time::Duration;

use log::{info, warn};

use crate::cpu::{self, CpuEngine, CpuOptions};
use crate::engine::{DeviceInfo, DeviceKind, Engine, Peaks};
use crate::geometry::Shape;
use crate::gpu::{
    self, Bucket, Cache, GpuAdapter, GpuEngine, GpuOptions, Trial, Tuning, TuningKey, TuningResult,
};
use crate::network::Architecture;
use crate::{Error, Result};

/// How long an automatic search begins trials.
const AUTOMATIC: Duration = Duration::from_secs(5);

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

/// What a policy comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Safe,
    Kept,
    Search,
}

/// What to do on a device of a kind, with `CI` set or not, where something was `kept` or not.
fn decide(policy: TuningPolicy, kind: DeviceKind, ci: bool, kept: bool) -> Decision {
    match (policy, kind) {
        (TuningPolicy::Safe, _) | (_, DeviceKind::Cpu) => Decision::Safe,
        _ if kept => Decision::Kept,
        (TuningPolicy::Search, DeviceKind::Gpu) if !ci => Decision::Search,
        _ => Decision::Safe,
    }
}

/// A device that a network can run on.
#[derive(Debug, Clone)]
pub struct Device {
    /// What it is.
    pub info: DeviceInfo,
    /// The GPU; `None` for the CPU.
    adapter: Option<GpuAdapter>,
    policy: TuningPolicy,
    /// The sizes of tiles, once they are decided.
    tuning: Option<Tuning>,
}

impl Device {
    fn new(info: DeviceInfo, adapter: Option<GpuAdapter>) -> Self {
        Self { info, adapter, policy: TuningPolicy::default(), tuning: None }
    }

    fn cpu() -> Self {
        Self::new(cpu::device(), None)
    }

    /// The device with sizes of tiles from elsewhere; those of [`list`] and [`choose`] are safe ones.
    pub fn with_policy(self, policy: TuningPolicy) -> Self {
        Self { policy, tuning: None, ..self }
    }

    /// The device with the sizes of tiles that were found before, where it would search for them.
    pub fn without_search(self) -> Self {
        match self.policy {
            TuningPolicy::Search => self.with_policy(TuningPolicy::Kept),
            _ => self,
        }
    }

    /// The device with the sizes of tiles of a run that was made on it before, as [`Device::tuning`] gave them. What is not
    /// known (any more) leaves the device as it is.
    pub fn with_tuning(self, text: &str) -> Self {
        match Tuning::parse(text) {
            Some(tuning) => Self { tuning: Some(tuning), ..self },
            None => {
                warn!("the sizes of tiles '{text}' are not known: results may differ in rounding");
                self
            }
        }
    }

    /// The device with the sizes of tiles that its policy gives for batches of `shape`; a search may take a few seconds.
    /// It stays as it is where they were decided before.
    pub fn tuned_for(&self, architecture: &Architecture, shape: Shape) -> Self {
        let mut device = self.clone();
        if let (Some(adapter), None) = (&self.adapter, self.tuning) {
            let decided = self.decide(adapter, Bucket::of(architecture, shape));
            let tuning = decided.unwrap_or_else(|| Tuning::safe(self.info.kind));
            log::debug!("sizes of tiles: {tuning}");
            device.tuning = Some(tuning);
        }
        device
    }

    /// The sizes of tiles that a GPU is run with, as text; `None` for the CPU.
    pub fn tuning(&self) -> Option<String> {
        self.adapter.as_ref()?;
        Some(self.tuning.unwrap_or_else(|| Tuning::safe(self.info.kind)).to_string())
    }

    /// What was kept or is found now; `None` for the safe tuning.
    fn decide(&self, adapter: &GpuAdapter, bucket: Bucket) -> Option<Tuning> {
        if self.policy == TuningPolicy::Safe {
            return None;
        }
        let cache = Cache::of_user()?;
        let key = TuningKey::new(&self.info, gpu::kernel_fingerprint(), bucket);
        let kept = cache.get(&key);
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        match decide(self.policy, self.info.kind, ci, kept.is_some()) {
            Decision::Safe => None,
            Decision::Kept => kept,
            // What cannot be kept may be another one the next time, and the same run would not give the same bits.
            Decision::Search => self
                .find_and_keep(adapter, bucket, &cache, &key, AUTOMATIC)
                .inspect_err(|e| warn!("the default sizes of tiles are used: {e}"))
                .ok(),
        }
    }

    fn find_and_keep(
        &self,
        adapter: &GpuAdapter,
        bucket: Bucket,
        cache: &Cache,
        key: &TuningKey,
        limit: Duration,
    ) -> Result<Tuning> {
        cache.prepare()?;
        info!(
            "trying sizes of tiles on {} for a few seconds, once: the result is kept in {}; `no_tune` does without",
            self.info.name,
            cache.path().display()
        );
        let (architecture, shape) = bucket.example();
        let found = gpu::search(adapter, &architecture, shape, limit, &mut |_| ())?;
        cache.put(key, found.tuning)?;
        Ok(found.tuning)
    }

    /// Looks for the sizes of tiles with which this device is fastest for a network and batches of `shape`, and keeps them for
    /// all that is like these, in the file that is given back. Begins no trial after `limit`; `tried` sees each of them.
    ///
    /// # Errors
    /// [`Error::Setting`] on the CPU; [`Error::Output`] where there is no place to keep them; what the device refuses.
    pub fn tune(
        &self,
        architecture: &Architecture,
        shape: Shape,
        limit: Duration,
        tried: &mut dyn FnMut(Trial),
    ) -> Result<(TuningResult, Cache)> {
        let Some(adapter) = &self.adapter else {
            let wanted = "there is nothing to tune there; name a GPU of `msd-gpu devices`";
            return Err(Error::setting("device", &self.info.name, wanted));
        };
        let cache = Cache::of_user().ok_or_else(|| {
            Error::setting("the folder for caches", "not known", "set HOME to the folder of the user")
        })?;
        cache.prepare()?;
        let found = gpu::search(adapter, architecture, shape, limit, tried)?;
        let key = TuningKey::new(&self.info, gpu::kernel_fingerprint(), Bucket::of(architecture, shape));
        cache.put(&key, found.tuning)?;
        Ok((found, cache))
    }

    /// An engine for `architecture` on this device.
    ///
    /// # Errors
    /// When the architecture is unusable or the device refuses.
    pub fn open(&self, architecture: &Architecture, parameters: &[f32]) -> Result<Box<dyn Engine>> {
        Ok(match &self.adapter {
            Some(adapter) => {
                let options = GpuOptions { tuning: self.tuning, ..Default::default() };
                Box::new(GpuEngine::open(adapter, architecture, parameters, options)?)
            }
            None => Box::new(CpuEngine::new(architecture, parameters, &CpuOptions::default())?),
        })
    }

    /// Measures what this device can do at best; takes a second or so.
    ///
    /// # Errors
    /// When the device cannot be opened or refuses.
    pub fn peaks(&self) -> Result<Peaks> {
        match &self.adapter {
            Some(adapter) => gpu::peaks(adapter),
            None => Ok(Peaks { operations: cpu::multiply_add_peak(), copied_bytes: cpu::copy_peak() }),
        }
    }
}

/// All devices, best first: hardware GPUs, the CPU, and then programs that play a GPU.
pub fn list() -> Vec<Device> {
    let gpus = gpu::adapters().into_iter().map(|(adapter, info)| Device::new(info, Some(adapter)));
    let mut devices: Vec<Device> = gpus.chain([Device::cpu()]).collect();
    devices.sort_by_key(|device| match device.info.kind {
        DeviceKind::Gpu => 0,
        DeviceKind::Cpu => 1,
        DeviceKind::Software => 2,
    });
    devices
}

/// The device that `wish` names: `auto` (the best hardware GPU, else the CPU), `cpu`, `gpu` (the best GPU, a
/// program that plays one if there is no other), an index of [`list`], or part of a name in it.
///
/// # Errors
/// [`Error::NoDevice`] with what is there when nothing fits.
pub fn choose(wish: &str) -> Result<Device> {
    if wish == "cpu" {
        return Ok(Device::cpu());
    }
    let devices = list();
    let lower = wish.to_lowercase();
    let fits = |(index, device): &(usize, &Device)| match (wish, wish.parse::<usize>()) {
        ("auto", _) => device.info.kind != DeviceKind::Software,
        ("gpu", _) => device.info.kind != DeviceKind::Cpu,
        (_, Ok(number)) => *index == number,
        _ => !lower.is_empty() && device.info.name.to_lowercase().contains(&lower),
    };
    if let Some((_, device)) = devices.iter().enumerate().find(fits) {
        if wish == "auto" && device.info.kind == DeviceKind::Cpu {
            log::info!("no hardware GPU was found: using the {}", device.info.name);
        }
        return Ok(device.clone());
    }
    let found: Vec<String> =
        devices.iter().enumerate().map(|(index, device)| format!("{index}: {}", device.info.name)).collect();
    Err(Error::NoDevice { wanted: wish.into(), found: found.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hardware_is_searched_and_never_under_continuous_integration() {
        use {DeviceKind as Kind, TuningPolicy as Policy};
        for kind in [Kind::Cpu, Kind::Gpu, Kind::Software] {
            for (ci, kept) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_eq!(decide(Policy::Safe, kind, ci, kept), Decision::Safe);
                for policy in [Policy::Kept, Policy::Search] {
                    let wanted = match (kind, kept) {
                        (Kind::Cpu, _) => Decision::Safe,
                        (_, true) => Decision::Kept,
                        (Kind::Gpu, false) if policy == Policy::Search && !ci => Decision::Search,
                        _ => Decision::Safe,
                    };
                    assert_eq!(decide(policy, kind, ci, kept), wanted, "{policy:?} {kind:?} {ci} {kept}");
                }
            }
        }
    }

    #[test]
    fn the_tiles_of_an_earlier_run_are_taken_and_unknown_ones_are_not() {
        let safe = Tuning::safe(DeviceKind::Software);
        let architecture = Architecture::new(1, 2, 3);
        let shape = Shape { batch: 1, extent: crate::geometry::Extent::plane(8, 8) };
        let other = Tuning::covering().into_iter().find(|tuning| *tuning != safe).unwrap().to_string();
        assert!(list().iter().any(|device| device.adapter.is_some()), "{}", gpu::NO_ADAPTER);
        for device in list() {
            let earlier = device.clone().with_tuning(&other).tuned_for(&architecture, shape);
            let is_gpu = device.adapter.is_some();
            assert_eq!(earlier.tuning(), is_gpu.then(|| other.clone()));
            assert_eq!(device.clone().with_tuning("block=0").tuning(), device.tuning());
            assert_eq!(device.tuned_for(&architecture, shape).tuning(), device.tuning());
        }
        assert_eq!(Device::cpu().tuning(), None);
    }

    #[test]
    fn what_is_found_without_being_asked_for_is_kept_or_not_used() {
        let device = list().into_iter().find(|device| device.adapter.is_some()).expect(gpu::NO_ADAPTER);
        let adapter = device.adapter.as_ref().unwrap();
        let bucket = Bucket { side: 64, depth: 8, width: 1 };
        let key = TuningKey::new(&device.info, gpu::kernel_fingerprint(), bucket);
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("tuning.toml"));
        let found = device.find_and_keep(adapter, bucket, &cache, &key, Duration::ZERO).unwrap();
        assert_eq!((Some(found), found), (cache.get(&key), Tuning::safe(device.info.kind)));
        let nowhere = Cache::at(cache.path().join("tuning.toml"));
        assert!(device.find_and_keep(adapter, bucket, &nowhere, &key, Duration::ZERO).is_err());
    }

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
}
