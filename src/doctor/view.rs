//! How a machine is looked at.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// The files and the environment of a machine.
///
/// Paths in it are those that the machine knows, whatever folder stands in for its root.
pub struct View {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    /// As [`std::env::consts::OS`] names it.
    pub(super) system: String,
    try_open: fn(&Path) -> io::Result<()>,
}

/// Opens a file as a driver does.
fn open_to_use(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path).map(drop)
}

impl View {
    /// This machine and the environment of this process.
    pub fn of_this_machine() -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { root: "/".into(), environment, system: std::env::consts::OS.into(), try_open: open_to_use }
    }

    /// A machine of a test: the files in a folder, and the named variables of the environment.
    #[cfg(test)]
    pub(super) fn of_folder(root: &Path, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        Self { root: root.into(), environment, system: "linux".into(), try_open: open_to_use }
    }

    /// The same machine, on which opening files to use them fails or not as `try_open` says: tests may be run by an administrator,
    /// to whom every file is open.
    #[cfg(test)]
    pub(super) fn with_opening(self, try_open: fn(&Path) -> io::Result<()>) -> Self {
        Self { try_open, ..self }
    }

    /// The same machine with another operating system.
    #[cfg(test)]
    pub(super) fn with_system(self, system: &str) -> Self {
        Self { system: system.into(), ..self }
    }

    /// A variable of the environment, where it is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where a path of the machine is on the disk. One that is not absolute is taken from the folder of this process.
    fn place(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/").map_or_else(|_| path.to_path_buf(), |inside| self.root.join(inside))
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.place(path).is_file()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.place(Path::new(path)).exists()
    }

    /// The text of a file, without the blanks at its ends.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let bytes = self.bytes(path.as_ref())?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(super) fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.place(path))
    }

    /// The paths in a folder, in order; none where it cannot be read.
    pub(super) fn folder(&self, path: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.place(path)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| path.join(entry.file_name())).collect();
        paths.sort();
        paths
    }

    /// The last part of what a link names.
    pub(super) fn link_name(&self, path: &Path) -> Option<String> {
        let target = std::fs::read_link(self.place(path)).ok()?;
        target.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// Whether a file can be opened to read and write.
    pub(super) fn try_open(&self, path: &Path) -> io::Result<()> {
        (self.try_open)(&self.place(path))
    }

    /// The name of the group that a file belongs to.
    #[cfg(unix)]
    pub(super) fn group(&self, path: &Path) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let number = std::fs::metadata(self.place(path)).ok()?.gid().to_string();
        let groups = self.text("/etc/group").ok()?;
        let mut fields = groups.lines().map(|line| line.split(':'));
        fields.find_map(|mut line| {
            let name = line.next()?;
            (line.nth(1)? == number).then(|| name.to_owned())
        })
    }

    #[cfg(not(unix))]
    pub(super) fn group(&self, _: &Path) -> Option<String> {
        None
    }
}
