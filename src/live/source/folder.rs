//! A folder that files come into.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Look, Source};
use crate::files::Stamp;
use crate::images::{ImageSource, arriving_name, is_zarr_name};
use crate::live::arrivals::{Arrivals, Seen, Wait};
use crate::{Error, Result};

/// How often files that are done are looked at, to see whether they were written again. In a folder of many thousand files on a
/// file server, asking for all of them takes long.
const SWEEP: Duration = Duration::from_secs(2);

/// A folder that is listed again and again.
#[derive(Debug)]
pub(in crate::live) struct Folder {
    path: PathBuf,
    /// Whether files have no header.
    raw: bool,
    swept: Option<Instant>,
    /// Since when, and why, the folder cannot be listed; and whether that was said.
    trouble: Option<(String, bool)>,
    /// The Zarr folders inside that were named, and those that are to be.
    named: HashSet<String>,
    to_name: Vec<PathBuf>,
}

impl Folder {
    /// The folder at `path`; with `raw`, of files without a header.
    pub(in crate::live) fn new(path: PathBuf, raw: bool) -> Self {
        Self { path, raw, swept: None, trouble: None, named: HashSet::new(), to_name: Vec::new() }
    }

    fn list(&mut self, arrivals: &Arrivals, sweeps: bool) -> std::io::Result<Look> {
        let mut seen = Vec::new();
        let mut names = HashSet::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            // Names that are no text cannot be kept in the record.
            let Some(key) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !arriving_name(&path, self.raw) {
                if is_zarr_name(&path) && !self.named.contains(key) && path.is_dir() {
                    self.named.insert(key.to_owned());
                    self.to_name.push(path);
                }
                continue;
            }
            names.insert(key.to_owned());
            if !sweeps && arrivals.is_over(key) {
                continue;
            }
            // It may have gone away since, or be a link to something that is not there yet.
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.is_file() {
                let stamp = Stamp::of(&metadata);
                seen.push(Seen { key: key.to_owned(), stamp, wait: Wait::Settle });
            }
        }
        Ok(Look { seen, names: Some(names) })
    }
}

impl Source for Folder {
    fn look(&mut self, arrivals: &Arrivals, now: Instant) -> Result<Look> {
        let sweeps = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP);
        match self.list(arrivals, sweeps) {
            Ok(look) => {
                if sweeps {
                    self.swept = Some(now);
                }
                self.trouble = None;
                Ok(look)
            }
            // As when a file server does not answer: it will again.
            Err(error) => {
                if self.swept.is_none() {
                    let problem = format!("the folder cannot be listed: {error}; check its permissions");
                    return Err(Error::input(&self.path, problem).caused_by(error));
                }
                let told = self.trouble.as_ref().is_some_and(|(_, told)| *told);
                self.trouble = Some((format!("{} cannot be listed: {error}", self.path.display()), told));
                Ok(Look::default())
            }
        }
    }

    fn name(&self, key: &str) -> String {
        self.path.join(key).display().to_string()
    }

    fn image(&self, _: &str) -> Option<ImageSource> {
        None
    }

    fn trouble(&mut self) -> Option<String> {
        if let Some(folder) = self.to_name.pop() {
            let folder = folder.display();
            return Some(format!(
                "{folder} is a Zarr folder, which is not done with the files here; watch it by itself where it grows (msd-gpu watch {folder}), or use `predict` once it is whole"
            ));
        }
        let (trouble, told) = self.trouble.as_mut().filter(|(_, told)| !told)?;
        *told = true;
        Some(trouble.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_seen_and_hidden_temporary_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a.png", "b.TIF", ".c.png", "d.png.tmp", "e.tif.part", "f.txt", "g.h5", "h", "i.zarr"];
        for name in names {
            std::fs::write(folder.path().join(name), b"12").unwrap();
        }
        for name in ["j.png", "k.zarr", "l.ome.zarr", ".m.zarr"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let mut source = Folder::new(folder.path().to_path_buf(), false);
        let now = Instant::now();
        let mut keys: Vec<_> =
            source.look(&arrivals, now).unwrap().seen.into_iter().map(|seen| seen.key).collect();
        keys.sort();
        assert_eq!(keys, ["a.png", "b.TIF", "g.h5"]);
        // Zarr folders are named, each once.
        source.look(&arrivals, now).unwrap();
        let mut told = Vec::from_iter(std::iter::from_fn(|| source.trouble()));
        told.sort();
        assert!(
            told.len() == 2 && told[0].contains("k.zarr") && told[1].contains("msd-gpu watch"),
            "{told:?}"
        );
        // A folder that goes away is told of once, and may come back.
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(source.look(&arrivals, now).unwrap().seen.is_empty());
        assert!(source.trouble().is_some_and(|text| text.contains("cannot be listed")));
        source.look(&arrivals, now).unwrap();
        assert!(source.trouble().is_none());
        std::fs::create_dir(folder.path()).unwrap();
        std::fs::write(folder.path().join("a.png"), b"12").unwrap();
        assert_eq!(source.look(&arrivals, now).unwrap().seen.len(), 1);
        assert!(Folder::new(folder.path().join("no"), false).look(&arrivals, now).is_err());
    }

    #[test]
    fn files_that_are_done_are_looked_at_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"12").unwrap();
        let mut arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let now = Instant::now();
        arrivals.done_before("a.png".into(), Stamp::default(), now);
        let mut source = Folder::new(folder.path().to_path_buf(), false);
        let mut count = |now| source.look(&arrivals, now).unwrap().seen.len();
        assert_eq!((count(now), count(now), count(now + SWEEP)), (1, 0, 1));
    }
}
