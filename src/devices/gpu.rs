//! A GPU of this machine, and how its sizes of tiles are decided.

use std::time::Duration;

use log::{info, warn};

use super::{TuningPolicy, Variant};
use crate::engine::{BackProjector, DeviceInfo, DeviceKind, DeviceLimits, Engine, Peaks, Precision};
use crate::geometry::Shape;
use crate::gpu::{
    self, Bucket, Cache, GpuAdapter, GpuEngine, GpuOptions, Remedy, Trial, Tuning, TuningKey, TuningResult,
};
use crate::network::Architecture;
use crate::{Error, Result};

/// How long an automatic search begins trials.
const AUTOMATIC: Duration = Duration::from_secs(5);

/// The outcome of a policy.
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

/// A GPU, with which tiles it is run.
#[derive(Debug, Clone)]
pub(super) struct Gpu {
    info: DeviceInfo,
    adapter: GpuAdapter,
    policy: TuningPolicy,
    /// The sizes of tiles, once they are decided.
    tuning: Option<Tuning>,
    precision: Precision,
}

impl Gpu {
    /// All GPUs, with what they are, best first.
    pub(super) fn list() -> Vec<(DeviceInfo, Self)> {
        let gpu = |(adapter, info): (GpuAdapter, DeviceInfo)| {
            let gpu = Self {
                info: info.clone(),
                adapter,
                policy: TuningPolicy::default(),
                tuning: None,
                precision: Precision::Full,
            };
            (info, gpu)
        };
        gpu::adapters().into_iter().map(gpu).collect()
    }

    pub(super) fn back_projector(&self) -> Result<Box<dyn BackProjector>> {
        Ok(Box::new(gpu::GpuBackProjector::open(&self.adapter)?))
    }

    pub(super) fn with_policy(self, policy: TuningPolicy) -> Self {
        Self { policy, tuning: None, ..self }
    }

    pub(super) fn has_halves(&self) -> bool {
        self.adapter.has_halves()
    }

    pub(super) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn without_search(self) -> Self {
        match self.policy {
            TuningPolicy::Search => self.with_policy(TuningPolicy::Kept),
            _ => self,
        }
    }

    pub(super) fn with_tuning(self, text: &str) -> Self {
        if self.adapter.fault().is_some() {
            return self;
        }
        match Tuning::parse(text) {
            Some(tuning) => Self { tuning: Some(tuning), ..self },
            None => {
                warn!("the sizes of tiles '{text}' are not known: results may differ in rounding");
                self
            }
        }
    }

    pub(super) fn with_tiles(self, text: &str) -> Result<Self> {
        let wanted =
            "it must name every size with a value that it may have, in quotes, as `msd-gpu tune` prints them";
        let tuning = Tuning::parse(text).ok_or_else(|| Error::setting("--tiles", text, wanted))?;
        self.check_free_choice()?;
        Ok(Self { tuning: Some(tuning), ..self })
    }

    pub(super) fn tuned_for(mut self, architecture: &Architecture, shape: Shape) -> Self {
        if self.tuning.is_none() {
            let decided = self.decide(Bucket::of(architecture, shape));
            let tuning = decided.unwrap_or_else(|| Tuning::safe_on(&self.adapter));
            log::debug!("sizes of tiles: {tuning}");
            self.tuning = Some(tuning);
        }
        self
    }

    pub(super) fn tuning(&self) -> String {
        self.tuning.unwrap_or_else(|| Tuning::safe_on(&self.adapter)).to_string()
    }

    /// Refuses to choose tiles where a fault of the driver leaves no choice.
    fn check_free_choice(&self) -> Result<()> {
        let Some(fault) = self.adapter.fault() else { return Ok(()) };
        let wanted = format!(
            "its driver has a fault for which it is run with the smallest tiles or not at all ({}); update the driver, or use another \
             device",
            fault.link
        );
        Err(Error::setting("device", &self.info.name, wanted))
    }

    /// What was kept or is found now; `None` for the safe tuning.
    fn decide(&self, bucket: Bucket) -> Option<Tuning> {
        if self.policy == TuningPolicy::Safe || self.adapter.fault().is_some() {
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
                .find_and_keep(bucket, &cache, &key, AUTOMATIC)
                .inspect_err(|e| warn!("the default sizes of tiles are used: {e}"))
                .ok(),
        }
    }

    fn find_and_keep(
        &self,
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
        let found = gpu::search(&self.adapter, &architecture, shape, limit, &mut |_| ())?;
        cache.put(key, found.tuning)?;
        Ok(found.tuning)
    }

    pub(super) fn tune(
        &self,
        architecture: &Architecture,
        shape: Shape,
        limit: Duration,
        tried: &mut dyn FnMut(Trial),
    ) -> Result<(TuningResult, Cache)> {
        self.check_free_choice()?;
        let cache = Cache::of_user().ok_or_else(|| {
            Error::setting("the folder for caches", "not known", "set HOME to the folder of the user")
        })?;
        cache.prepare()?;
        let found = gpu::search(&self.adapter, architecture, shape, limit, tried)?;
        let key = TuningKey::new(&self.info, gpu::kernel_fingerprint(), Bucket::of(architecture, shape));
        cache.put(&key, found.tuning)?;
        Ok((found, cache))
    }

    pub(super) fn open(&self, architecture: &Architecture, parameters: &[f32]) -> Result<Box<dyn Engine>> {
        let options = GpuOptions { tuning: self.tuning, precision: self.precision, ..Default::default() };
        Ok(Box::new(GpuEngine::open(&self.adapter, architecture, parameters, options)?))
    }

    pub(super) fn open_variant(
        &self,
        architecture: &Architecture,
        parameters: &[f32],
        variant: &Variant,
    ) -> Result<Box<dyn Engine>> {
        let options = GpuOptions {
            tuning: variant.tiles.as_deref().and_then(Tuning::parse),
            block: variant.block,
            max_page_bytes: Some(variant.max_page_bytes),
            checked_shaders: Some(variant.checked),
            precision: variant.precision,
            // Whether a driver still has the fault for which it is avoided is worth knowing.
            despite_faults: self.adapter.fault().is_some_and(|fault| fault.remedy == Remedy::Avoid),
        };
        Ok(Box::new(GpuEngine::open(&self.adapter, architecture, parameters, options)?))
    }

    /// Sizes of tiles that between them run every kernel that may be run.
    pub(super) fn every_kernel(&self) -> Vec<String> {
        match self.adapter.fault().map(|fault| fault.remedy) {
            Some(Remedy::SmallTiles) => vec![self.tuning()],
            Some(Remedy::Avoid) | None => Tuning::covering().iter().map(Tuning::to_string).collect(),
        }
    }

    pub(super) fn try_open(&self) -> Result<()> {
        self.adapter.try_open()
    }

    pub(super) fn limits(&self) -> DeviceLimits {
        self.adapter.limits()
    }

    /// The known fault of its driver, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        self.adapter.fault().map(|fault| {
            let done = match fault.remedy {
                Remedy::Avoid => "it is not used",
                Remedy::SmallTiles => "it is run with the smallest tiles",
            };
            format!("with its driver {} ({}), so {done}; update the driver", fault.fails, fault.link)
        })
    }

    pub(super) fn peaks(&self) -> Result<Peaks> {
        gpu::peaks(&self.adapter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{Device, list};

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
        assert!(list().iter().any(|device| device.gpu.is_some()), "{}", gpu::NO_ADAPTER);
        for device in list() {
            let earlier = device.clone().with_tuning(&other).tuned_for(&architecture, shape);
            let is_gpu = device.gpu.is_some();
            assert_eq!(earlier.tuning(), is_gpu.then(|| other.clone()));
            assert_eq!(device.clone().with_tuning("block=0").tuning(), device.tuning());
            assert_eq!(device.tuned_for(&architecture, shape).tuning(), device.tuning());
        }
        assert_eq!(Device::cpu().tuning(), None);
    }

    #[test]
    fn what_is_found_without_being_asked_for_is_kept_or_not_used() {
        let (info, gpu) = Gpu::list().into_iter().next().expect(gpu::NO_ADAPTER);
        let bucket = Bucket { side: 64, depth: 8, width: 1 };
        let key = TuningKey::new(&info, gpu::kernel_fingerprint(), bucket);
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("tuning.toml"));
        let found = gpu.find_and_keep(bucket, &cache, &key, Duration::ZERO).unwrap();
        assert_eq!((Some(found), found), (cache.get(&key), Tuning::safe(info.kind)));
        let nowhere = Cache::at(cache.path().join("tuning.toml"));
        assert!(gpu.find_and_keep(bucket, &nowhere, &key, Duration::ZERO).is_err());
    }
}
