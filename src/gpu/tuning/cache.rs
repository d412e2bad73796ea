//! Keeps what was found, in the user's folder for what can be made again.

use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use log::warn;
use serde::{Deserialize, Serialize};

use crate::engine::DeviceInfo;
use crate::files::write_bytes_atomic;
use crate::geometry::Shape;
use crate::gpu::network::Tuning;
use crate::network::Architecture;
use crate::{Error, Result};

/// The version of the file.
const FORMAT: u32 = 1;
/// Most bytes of a file that is read, and most tunings that are kept in one.
const MAX_BYTES: u64 = 1 << 20;
const MAX_KEPT: usize = 200;

/// Networks and images that are tuned alike: all numbers are rounded to powers of two, and of those that are larger than here the
/// device is as busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Rows and columns of a square of as many pixels as the batch has.
    pub side: usize,
    /// Layers.
    pub depth: usize,
    /// Channels of a layer.
    pub width: usize,
}

impl Bucket {
    /// Where a network and the batches that it is shown belong.
    pub fn of(architecture: &Architecture, shape: Shape) -> Self {
        // The power of two that is nearest to the root of a square, by ratio.
        let nearest_root = |square: u64| 1usize << square.max(1).ilog2().div_ceil(2).min(20);
        let nearest = |number: usize| nearest_root((number as u64).saturating_mul(number as u64));
        let extent = shape.extent;
        let pixels = [extent.z, extent.y, extent.x]
            .iter()
            .fold(shape.batch as u64, |n, &m| n.saturating_mul(m as u64));
        Self {
            side: nearest_root(pixels).clamp(64, 512),
            depth: nearest(architecture.depth).clamp(8, 64),
            width: nearest(architecture.width).clamp(1, 8),
        }
    }
}

/// What a tuning was found for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TuningKey {
    adapter: String,
    backend: String,
    driver: String,
    kernels: String,
    #[serde(flatten)]
    bucket: Bucket,
}

impl TuningKey {
    /// For a device, the kernels of [`super::kernel_fingerprint`] and a bucket.
    pub fn new(device: &DeviceInfo, kernels: String, bucket: Bucket) -> Self {
        let DeviceInfo { name: adapter, backend, driver, .. } = device.clone();
        Self { adapter, backend, driver, kernels, bucket }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    format: u32,
    /// The oldest first.
    #[serde(default)]
    tuned: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    key: TuningKey,
    tuning: String,
}

/// The file of tunings.
#[derive(Debug, Clone)]
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The user's, or that in the folder that `MSD_GPU_CACHE` names; none where the system has no folder for it.
    pub fn of_user() -> Option<Self> {
        let folder = match std::env::var_os("MSD_GPU_CACHE").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => choose_native_strategy().ok()?.cache_dir().join("msd-gpu"),
        };
        Some(Self::at(folder.join("tuning.toml")))
    }

    /// The one in a file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found for `key`. A file that is damaged holds nothing.
    pub fn get(&self, key: &TuningKey) -> Option<Tuning> {
        let file = self.read();
        let entry = file.tuned.iter().rev().find(|entry| entry.key == *key)?;
        let tuning = Tuning::parse(&entry.tuning);
        if tuning.is_none() {
            warn!("{}: '{}' is no tuning; it is ignored", self.path.display(), entry.tuning);
        }
        tuning
    }

    /// Keeps a tuning, in the place of what was found for `key` before.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn put(&self, key: &TuningKey, tuning: Tuning) -> Result<()> {
        self.prepare()?;
        // Of two programs that do this at once one is forgotten, and searches again.
        let mut file = self.read();
        file.format = FORMAT;
        file.tuned.retain(|entry| entry.key != *key);
        let excess = (file.tuned.len() + 1).saturating_sub(MAX_KEPT);
        file.tuned.drain(..excess);
        file.tuned.push(Entry { key: key.clone(), tuning: tuning.to_string() });
        let text = toml::to_string(&file).map_err(|e| Error::output(&self.path, e))?;
        let heading =
            "# The sizes of tiles that msd-gpu found fastest. The file can be deleted at any time.\n";
        write_bytes_atomic(&self.path, format!("{heading}{text}").as_bytes())
    }

    /// Creates the folder, and checks that files can be written there.
    ///
    /// # Errors
    /// [`Error::Output`] when it does not.
    pub fn prepare(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .and_then(|()| tempfile::Builder::new().prefix(".msd-gpu-").tempfile_in(folder).map(drop))
            .map_err(|e| Error::output(&self.path, e))
    }

    fn read(&self) -> File {
        match self.try_read() {
            Ok(file) => file,
            Err(problem) => {
                warn!("{}: {problem}; it is ignored", self.path.display());
                File::default()
            }
        }
    }

    fn try_read(&self) -> std::result::Result<File, String> {
        let length = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
            Err(e) => return Err(format!("cannot be read ({e})")),
        };
        if length > MAX_BYTES {
            return Err(format!("has {length} bytes, and is no file of tunings"));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|e| format!("cannot be read ({e})"))?;
        let file: File = toml::from_str(&text).map_err(|e| format!("is damaged ({})", e.message()))?;
        if file.format != FORMAT {
            return Err(format!("has format {} and not {FORMAT}", file.format));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DeviceKind;
    use crate::geometry::Extent;

    fn key(side: usize) -> TuningKey {
        let device = DeviceInfo {
            name: "a \"card\"\nof two lines".into(),
            backend: "vulkan".into(),
            kind: DeviceKind::Gpu,
            driver: "1.2".into(),
            shares_memory: false,
        };
        TuningKey::new(&device, "hash".into(), Bucket { side, depth: 8, width: 1 })
    }

    #[test]
    fn what_is_kept_is_found_by_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("a/b/tuning.toml"));
        assert_eq!(cache.get(&key(64)), None);
        let tunings = Tuning::covering();
        cache.put(&key(64), tunings[0]).unwrap();
        cache.put(&key(128), tunings[1]).unwrap();
        cache.put(&key(64), tunings[2]).unwrap();
        assert_eq!((cache.get(&key(64)), cache.get(&key(128))), (Some(tunings[2]), Some(tunings[1])));
        let others = [
            TuningKey { adapter: "b".into(), ..key(64) },
            TuningKey { backend: "metal".into(), ..key(64) },
            TuningKey { driver: "1.3".into(), ..key(64) },
            TuningKey { kernels: "other".into(), ..key(64) },
            TuningKey { bucket: Bucket { depth: 16, ..key(64).bucket }, ..key(64) },
            key(256),
        ];
        assert!(others.iter().all(|other| cache.get(other).is_none()));
        assert_eq!(std::fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1, "nothing half-written");
    }

    #[test]
    fn a_damaged_file_holds_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("tuning.toml"));
        let tuning = Tuning::covering()[0];
        cache.put(&key(64), tuning).unwrap();
        let whole = std::fs::read_to_string(cache.path()).unwrap();
        let huge = "#".repeat(MAX_BYTES as usize + 1);
        let trusting = whole.replace("convolve_rows=8", "convolve_rows=64");
        let later = whole.replace("format = 1", "format = 2");
        for text in ["not toml [", "format = \"x\"", "", huge.as_str(), &trusting, &later] {
            assert_ne!(text, whole);
            std::fs::write(cache.path(), text).unwrap();
            assert_eq!(cache.get(&key(64)), None, "{:.40}", text);
            cache.put(&key(64), tuning).unwrap();
            assert_eq!(cache.get(&key(64)), Some(tuning));
        }
        for length in 0..whole.len() {
            std::fs::write(cache.path(), &whole[..length]).unwrap();
            assert!([None, Some(tuning)].contains(&cache.get(&key(64))));
        }
        std::fs::write(cache.path(), [0xff, 0xfe]).unwrap();
        assert_eq!(cache.get(&key(64)), None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("tuning.toml"));
        let tuning = Tuning::covering()[0];
        (0..MAX_KEPT + 3).for_each(|side| cache.put(&key(side), tuning).unwrap());
        assert_eq!(cache.read().tuned.len(), MAX_KEPT);
        assert!(cache.get(&key(2)).is_none() && cache.get(&key(MAX_KEPT + 2)).is_some());
    }

    #[test]
    fn a_place_that_takes_no_files_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let cache = Cache::at(folder.path().join("file/tuning.toml"));
        assert!(cache.put(&key(64), Tuning::covering()[0]).is_err());
        assert_eq!(cache.get(&key(64)), None);
    }

    #[test]
    fn shapes_that_are_alike_share_a_bucket() {
        let bucket = |batch, y, x, depth, width| {
            let architecture = Architecture { width, ..Architecture::new(1, 2, depth) };
            let found = Bucket::of(&architecture, Shape { batch, extent: Extent::plane(y, x) });
            (found.side, found.depth, found.width)
        };
        assert_eq!(bucket(1, 256, 256, 50, 1), (256, 64, 1));
        assert_eq!(bucket(1, 250, 240, 50, 1), (256, 64, 1));
        assert_eq!(bucket(4, 128, 128, 30, 2), (256, 32, 2));
        assert_eq!(bucket(1, 1, 1, 1, 1), (64, 8, 1));
        assert_eq!(bucket(usize::MAX, usize::MAX, 9, usize::MAX, 1000), (512, 64, 8));
    }
}
