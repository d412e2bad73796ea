//! What is known of machines and their speed.

use msd_gpu::doctor::{Machine, View, findings};

use super::in_unpacked;

/// The files of a machine that `doctor` looks at, packed as [`pack`](super::pack) does.
pub fn machine(bytes: &[u8]) {
    in_unpacked(bytes, |root| {
        for environment in [&[("HOME", "/home/me")][..], &[("VK_DRIVER_FILES", "/chosen:/a.json")]] {
            let _ = findings(&Machine::look(&View::of_folder(root, environment)));
        }
    });
}

/// The sizes of tiles that were found for a GPU.
#[cfg(feature = "gpu")]
pub fn tunings(bytes: &[u8]) {
    use msd_gpu::engine::{DeviceInfo, DeviceKind};
    use msd_gpu::gpu::{Bucket, Cache, Tuning, TuningKey};

    super::in_file(bytes, |path| {
        let device = DeviceInfo {
            name: "a".into(),
            backend: "vulkan".into(),
            kind: DeviceKind::Gpu,
            driver: "1".into(),
            shares_memory: false,
        };
        let key = TuningKey::new(&device, "k".into(), Bucket { side: 64, depth: 8, width: 1 });
        let cache = Cache::at(path);
        let _ = cache.get(&key);
        let _ = cache.put(&key, Tuning::covering()[0]);
    });
}

/// What other programs have measured, as `bench` takes it.
#[cfg(feature = "cli")]
pub fn timings(bytes: &[u8]) {
    super::in_file(bytes, |path| {
        // A device that there is not ends it behind the file.
        let place = path.display().to_string();
        super::run(&["bench", "--device", "none", "--against", &place].map(String::from));
    });
}
