//! What tells one state of a file from another without reading it.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

/// What a Zarr folder describes itself in, of which the first that is there counts.
const DESCRIPTIONS: [&str; 4] = ["zarr.json", ".zattrs", ".zgroup", ".zarray"];

/// Length and time of the last change of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970; 0 where that is not known.
    pub modified: u64,
}

impl Stamp {
    /// That of the file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: nanoseconds(metadata.modified().ok()) }
    }

    /// That of the file at `path`, of a Zarr folder that of what it describes itself in; `None` where nothing is there.
    pub fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let inside = || DESCRIPTIONS.iter().find_map(|name| std::fs::metadata(path.join(name)).ok());
        let metadata = if metadata.is_dir() { inside().unwrap_or(metadata) } else { metadata };
        Some(Self::of(&metadata))
    }
}

/// Since 1970; 0 for what is not known.
pub fn nanoseconds(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
