//! Where the files of a run are, for whoever reads its settings from another folder.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::{IN_MEMORY, Settings};
use crate::images::is_there;

impl Settings {
    /// The settings as they stand in a file in `folder`: paths that are not absolute are relative to it.
    pub(in crate::training) fn relative_to(&self, folder: &Path) -> Self {
        let mut settings = self.clone();
        // Without a working directory nothing is relative to it; paths stay as they are.
        let Ok(here) = std::env::current_dir() else { return settings };
        let folder = without_dots(&here.join(folder));
        settings.change_paths(|path| from(&folder, &without_dots(&here.join(path))));
        settings
    }

    /// Makes paths that are relative to `folder`, which the settings were read from, relative to the working directory. A path
    /// that names nothing there, but something from the working directory, stays as it is.
    pub fn found_from(&mut self, folder: &Path) {
        self.change_paths(|path| {
            let there = without_dots(&folder.join(path));
            if !there.to_str().is_some_and(is_there) && is_there(path) { PathBuf::from(path) } else { there }
        });
    }

    fn change_paths(&mut self, change: impl Fn(&str) -> PathBuf) {
        let optional = [
            &mut self.pairs,
            &mut self.val_images,
            &mut self.val_targets,
            &mut self.weights,
            &mut self.val_weights,
            &mut self.init,
        ];
        let paths = [&mut self.images, &mut self.targets].into_iter().chain(optional.into_iter().flatten());
        let paths = paths.chain(&mut self.splits);
        for path in paths.filter(|path| path.as_str() != IN_MEMORY && Path::new(path.as_str()).is_relative())
        {
            // Text goes in; what comes out is text too, as folders are joined that have names in text.
            if let Some(changed) = change(path).to_str() {
                *path = changed.to_owned();
            }
        }
    }
}

/// The path without `.`, and with each `..` taken together with the folder before it.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let last = plain.components().next_back();
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(last, Some(Component::Normal(_))) => {
                plain.pop();
            }
            Component::ParentDir if matches!(last, Some(Component::RootDir)) => {}
            part => plain.push(part),
        }
    }
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}

/// `path` as it is seen from `folder`, both absolute.
fn from(folder: &Path, path: &Path) -> PathBuf {
    let same = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(same).map(|_| OsStr::new(".."));
    let down = path.components().skip(same).map(Component::as_os_str);
    let seen: PathBuf = up.chain(down).collect();
    if seen.as_os_str().is_empty() { PathBuf::from(".") } else { seen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::TaskKind;

    #[test]
    fn paths_are_seen_from_the_folder_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/one");
        let images = folder.path().join("data/images");
        std::fs::create_dir_all(&images).unwrap();
        let here = std::env::current_dir().unwrap();
        let relative = from(&here, &images);
        let mut settings = Settings::new(TaskKind::Segment, relative.to_str().unwrap(), "/somewhere/targets");
        settings.weights = Some(IN_MEMORY.into());
        let written = settings.relative_to(&run);
        assert_eq!(written.images, "../../data/images");
        assert_eq!(
            (written.targets.as_str(), written.weights.as_deref()),
            ("/somewhere/targets", Some(IN_MEMORY))
        );
        let mut read = written.clone();
        read.found_from(&from(&here, &run));
        assert_eq!(read, settings);
        // What was written by hand or by an older version is relative to the working directory.
        let mut old = Settings::new(TaskKind::Segment, "src", "shaders");
        old.found_from(&run);
        assert_eq!((old.images.as_str(), old.targets.as_str()), ("src", "shaders"));
        assert_eq!(without_dots(Path::new("run/../img/./a")), Path::new("img/a"));
        assert_eq!(without_dots(Path::new("../a/..")), Path::new(".."));
    }
}
